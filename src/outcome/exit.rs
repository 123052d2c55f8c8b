//! How a process ended: what the system says of it, or what mtask ended it for.
//!
//! Always: a child gives nothing but a status, and no process is ended without a verdict for what
//! it did; only a status has a field in an error record.

use std::fmt;
use std::time::Duration;

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As the system says.
    Status(ExitStatus),
    /// mtask ended it, for this reason.
    Verdict(Verdict),
}

/// What the system says of the end of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited by itself with this status.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// The kernel killed it by SIGKILL, for want of memory.
    OutOfMemory,
    /// It never began, for the reason given.
    NotStarted(String),
}

/// What mtask ends a process for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It closed its stdout and went on.
    StdoutClosed,
    /// It closed its stdin and did not answer what it had been sent.
    StdinClosed,
    /// It took too long over a record.
    TimedOut,
    /// It was not ready within `--init-timeout`.
    NotReady(Duration),
    /// It did not keep to one answer for each record.
    OutOfStep,
    /// It gave an answer that nothing was asked for.
    Unasked,
    /// It gave another answer to the record that it had answered last.
    AnsweredTwice,
}

impl Exit {
    /// Whether the process exited by itself, with status 0.
    pub fn is_success(&self) -> bool {
        *self == Self::Status(ExitStatus::Code(0))
    }

    /// Whether it says that COMMAND cannot be run, as a shell, env(1) and whatever else may stand
    /// before it say with 126 and 127. Once COMMAND is ready, these are its own.
    pub fn says_unrunnable(&self) -> bool {
        matches!(self, Self::Status(ExitStatus::Code(126 | 127)))
    }

    /// What the system says, unless mtask ended it.
    pub fn status(&self) -> Option<&ExitStatus> {
        match self {
            Self::Status(status) => Some(status),
            Self::Verdict(_) => None,
        }
    }

    /// What mtask ended it for, if it did.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Status(_) => None,
            Self::Verdict(verdict) => Some(*verdict),
        }
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        Self::Status(status)
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        Self::Verdict(verdict)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => status.fmt(f),
            Self::Verdict(verdict) => verdict.fmt(f),
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => match signal_hook::low_level::signal_name(*signal) {
                Some(name) => write!(f, "signal {signal} ({name})"),
                None => write!(f, "signal {signal}"),
            },
            Self::OutOfMemory => {
                f.write_str("signal 9 (SIGKILL), by which the kernel kills for want of memory")
            }
            Self::NotStarted(reason) => write!(f, "it could not be started: {reason}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StdoutClosed => f.write_str("it closed its stdout"),
            Self::StdinClosed => f.write_str("it closed its stdin and answered no more"),
            Self::TimedOut => f.write_str("it took too long over a record"),
            Self::NotReady(limit) => write!(f, "no answer within --init-timeout {limit:?}"),
            Self::OutOfStep => f.write_str("it did not answer line by line"),
            Self::Unasked => f.write_str("it gave an answer that nothing was asked for"),
            Self::AnsweredTwice => f.write_str("it answered a record twice"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_cannot_be_run_is_told_as_a_shell_tells_it() {
        for (exit, says_unrunnable) in [
            (ExitStatus::Code(126).into(), true),
            (ExitStatus::Code(127).into(), true),
            (ExitStatus::Code(125).into(), false),
            (ExitStatus::Code(128).into(), false),
            (ExitStatus::Signal(127).into(), false),
            // To start it again may help: it may be for want of memory.
            (ExitStatus::NotStarted("why".into()).into(), false),
            (Exit::Verdict(Verdict::StdinClosed), false),
        ] {
            assert_eq!(exit.says_unrunnable(), says_unrunnable, "{exit}");
        }
    }

    #[test]
    fn exits_are_named() {
        for (exit, name) in [
            (ExitStatus::Code(3), "exit status 3"),
            (ExitStatus::Signal(9), "signal 9 (SIGKILL)"),
            (ExitStatus::Signal(0), "signal 0"),
        ] {
            assert_eq!(exit.to_string(), name);
        }
    }
}

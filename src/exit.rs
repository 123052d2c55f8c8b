//! How mtask ends, as a type: every status it can give, which one wins where several hold, and the
//! way out.

use std::error::Error;
use std::fmt;
use std::process;

use crate::sys;

/// A status that mtask ends with, in rising order of precedence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Every record gave a result.
    #[default]
    Success,
    /// A record failed, or a worker failed at its end.
    RecordFailed,
    /// A worker of the lines protocol did not answer line by line: results may stand in wrong
    /// places.
    InDoubt,
    /// No worker could be kept running.
    NoWorker,
    /// Input could not be read, output could not be written, or an internal fault.
    Fault,
    /// Ended by this signal.
    Signal(i32),
    /// COMMAND was not found.
    NotFound,
    /// COMMAND is not executable.
    NotExecutable,
    /// The command line cannot be run as it was typed.
    Usage,
}

impl Status {
    /// The one that wins where both hold; of two signals the first.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        if other.precedence() > self.precedence() {
            other
        } else {
            self
        }
    }

    /// The number a shell shows for it.
    pub fn code(self) -> i32 {
        match self {
            Self::Success => 0,
            Self::Fault => 1,
            Self::Usage => 2,
            Self::InDoubt => 122,
            Self::RecordFailed => 123,
            Self::NoWorker => 125,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
            Self::Signal(signal) => 128 + signal,
        }
    }

    /// Ends mtask. A signal is raised again with its default disposition, so that the caller sees a
    /// death by it; only where that does not kill, as process 1 of a container is not killed, does
    /// the code stand for it.
    pub fn exit(self) -> ! {
        if let Self::Signal(signal) = self {
            sys::raise_default(signal);
        }
        process::exit(self.code())
    }

    fn precedence(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::RecordFailed => 1,
            Self::InDoubt => 2,
            Self::NoWorker => 3,
            Self::Fault => 4,
            Self::Signal(_) => 5,
            Self::NotFound => 6,
            Self::NotExecutable => 7,
            Self::Usage => 8,
        }
    }
}

/// Why a run cannot begin. Displays as its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// What mtask ends with.
    pub status: Status,
    /// What is wrong, with what, and the way out.
    pub message: String,
}

impl Unusable {
    /// A reason to end with `status`.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// Of two things that may be wrong, the one that wins.
    ///
    /// # Errors
    /// Where one of them is.
    pub fn worst_of(one: Result<(), Self>, other: Result<(), Self>) -> Result<(), Self> {
        match (one, other) {
            (Err(one), Err(other)) if one.status.worst(other.status) != one.status => Err(other),
            (Err(one), _) => Err(one),
            (Ok(()), other) => other,
        }
    }

    /// The command line is at fault.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Status::Usage, message)
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Unusable {}

#[cfg(test)]
mod tests {
    use std::env;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR2};

    use super::*;

    #[test]
    fn usage_then_command_then_signal_then_fault_then_workers_then_doubts_then_records() {
        let falling = [
            Status::Usage,
            Status::NotExecutable,
            Status::NotFound,
            Status::Signal(SIGTERM),
            Status::Fault,
            Status::NoWorker,
            Status::InDoubt,
            Status::RecordFailed,
            Status::Success,
        ];
        for (place, worse) in falling.iter().enumerate() {
            for better in &falling[place..] {
                assert_eq!(worse.worst(*better), *worse);
                assert_eq!(better.worst(*worse), *worse);
            }
        }
    }

    #[test]
    fn of_two_signals_the_first_stays() {
        let first = Status::Signal(SIGINT);
        assert_eq!(first.worst(Status::Signal(SIGTERM)), first);
    }

    #[test]
    fn codes_are_those_of_the_manual() {
        assert_eq!(Status::Success.code(), 0);
        assert_eq!(Status::Fault.code(), 1);
        assert_eq!(Status::Usage.code(), 2);
        assert_eq!(Status::InDoubt.code(), 122);
        assert_eq!(Status::RecordFailed.code(), 123);
        assert_eq!(Status::NoWorker.code(), 125);
        assert_eq!(Status::NotExecutable.code(), 126);
        assert_eq!(Status::NotFound.code(), 127);
        assert_eq!(Status::Signal(SIGPIPE).code(), 141);
    }

    /// Ends a process of its own: this test, started again with the signal to end by.
    #[test]
    fn the_caller_sees_a_death_by_the_signal() {
        const SIGNAL: &str = "MTASK_TEST_SIGNAL";
        if let Ok(signal) = env::var(SIGNAL) {
            Status::Signal(signal.parse().expect("a number")).exit();
        }
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT, SIGALRM, SIGUSR2] {
            let status = Command::new(env::current_exe().expect("this test's binary"))
                .args([
                    "--exact",
                    "exit::tests::the_caller_sees_a_death_by_the_signal",
                ])
                .env(SIGNAL, signal.to_string())
                .stdout(Stdio::null())
                .status()
                .expect("started");
            assert_eq!(status.signal(), Some(signal));
        }
    }
}

//! What became of a record, and how it is written.
//!
//! Owns the list of what can go wrong with a record. Always: that list is closed, each kind has the
//! one name that error records and the summary use, and how a record is tried again and what is
//! said of its failure follow from it.

mod chunks;
mod done;
mod exit;
mod limit;
mod lines;
mod rendering;
mod results;

use std::borrow::Cow;
use std::fmt::Display;

use crate::input::{Flaw, Rejected, Rejection};
use crate::record::{Index, Slice};

pub use chunks::Chunks;
pub use done::{Done, Place, Places, Ranges, Stretch};
pub use exit::{Exit, ExitStatus, Verdict};
pub use limit::TimeLimit;
pub use lines::{Lines, Parts};
pub use rendering::{ErrorInput, OutputFormat, Rendering};

/// The outcome of a record that gave no result.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The record's index.
    pub index: Index,
    /// What it failed of.
    pub cause: Cause,
    /// The worker that had it last, by number, if any had.
    pub worker: Option<usize>,
    /// How often it was sent.
    pub attempts: u32,
    /// The record without its separator, for `invalid_input` the line it stood on; `None` where
    /// its bytes were skipped.
    pub record: Option<Slice>,
}

/// What a record can fail of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The process that held it died.
    WorkerExit {
        /// How.
        exit: Exit,
        /// The last of what it wrote to stderr.
        stderr: Vec<u8>,
        /// The same of stdout, where the process was started for the record.
        stdout: Option<Vec<u8>>,
    },
    /// The worker answered with an error.
    WorkerError {
        /// What it sent, JSON.
        error: String,
        /// The same for people.
        message: String,
    },
    /// The worker took longer over it than it may.
    Timeout {
        /// How long that is.
        limit: TimeLimit,
        /// What was ended for it.
        ended: Ended,
    },
    /// The worker skipped it, or answers cannot be told apart any more.
    MissingAnswer,
    /// What came back is not an answer.
    BadAnswer(BadAnswer),
    /// It is not one JSON value, or no text where it must be.
    InvalidInput {
        /// What is wrong.
        flaw: Flaw,
        /// What the line is likely to be.
        line: BadLine,
    },
    /// It is longer than a record may be.
    RecordTooLarge {
        /// The most bytes a record may have.
        max: usize,
    },
    /// It cannot be put into the command that is to be started for it, for this reason.
    UnfitInput(String),
    /// Its answer is longer than an answer may be.
    AnswerTooLarge,
    /// The same of all that its own process has written.
    StdoutTooLarge,
}

/// What a line is likely to be that is not one JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLine {
    /// Text.
    Text,
    /// JSON with a mistake in it.
    Mistake,
    /// The beginning of a value that goes on in the next line.
    Unfinished,
}

/// How a record is tried again, where `--retries` allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not at all: it would fail again, or nobody knows what the worker has done with it.
    Never,
    /// Alone, for a process died of it or was stopped for it.
    Alone,
    /// In line with the others: the worker goes on, after an error or a call that was ended.
    InLine,
}

/// What was ended for a record that took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The process that had it.
    Process,
    /// The call alone: the process goes on with others.
    Call,
}

/// What is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadAnswer {
    /// What names this record, for this reason.
    Invalid(String),
    /// Something that has nothing to do with any record, for which the process was ended.
    Unasked(Verdict),
}

impl Failure {
    /// What it failed of, for people: a fragment.
    pub fn message(&self) -> Cow<'_, str> {
        let worker = || match self.worker {
            Some(number) => format!("worker {number}"),
            None => "the worker".into(),
        };
        let died =
            |how: &dyn Display| format!("{} died while it held the record ({how})", worker());
        let text = match &self.cause {
            Cause::WorkerExit {
                exit,
                stdout: Some(_),
                ..
            } => exit.to_string(),
            Cause::WorkerExit { exit, .. } => died(exit),
            Cause::BadAnswer(BadAnswer::Unasked(verdict)) => died(verdict),
            Cause::WorkerError { message, .. } => return Cow::Borrowed(message),
            Cause::Timeout { limit, .. } => format!("no answer within {limit}"),
            Cause::MissingAnswer => format!("{} left it without an answer", worker()),
            Cause::BadAnswer(BadAnswer::Invalid(why)) => {
                format!("{} gave no valid answer: {why}", worker())
            }
            Cause::InvalidInput { flaw, .. } => flaw.to_string(),
            Cause::UnfitInput(why) => return Cow::Borrowed(why),
            Cause::RecordTooLarge { max } => {
                format!("the record is longer than {max} bytes (--max-record)")
            }
            Cause::AnswerTooLarge => format!(
                "the line of its answer is longer than --max-record allows, or was begun before the \
                 record was sent; {} goes on",
                worker()
            ),
            Cause::StdoutTooLarge => {
                "its process wrote more than --max-record allows, and was ended".into()
            }
        };
        Cow::Owned(text)
    }
}

impl Cause {
    /// All kinds.
    pub const KINDS: [&'static str; 8] = [
        "worker_exit",
        "worker_error",
        "timeout",
        "missing_answer",
        "bad_answer",
        "invalid_input",
        "record_too_large",
        "answer_too_large",
    ];

    /// The kind of the failure, as error records and the summary call it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::WorkerExit { .. } => "worker_exit",
            Self::WorkerError { .. } => "worker_error",
            Self::Timeout { .. } => "timeout",
            Self::MissingAnswer => "missing_answer",
            Self::BadAnswer(_) => "bad_answer",
            Self::InvalidInput { .. } | Self::UnfitInput(_) => "invalid_input",
            Self::RecordTooLarge { .. } => "record_too_large",
            Self::AnswerTooLarge | Self::StdoutTooLarge => "answer_too_large",
        }
    }

    /// What tells failures of its kind apart, for people; nothing where they are alike, or none is
    /// like another.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::WorkerError { message, .. } => Some(message.clone()),
            Self::WorkerExit { exit, .. } => Some(exit.to_string()),
            Self::BadAnswer(BadAnswer::Invalid(why)) => Some(why.clone()),
            Self::BadAnswer(BadAnswer::Unasked(verdict)) => Some(verdict.to_string()),
            Self::InvalidInput { flaw, .. } => Some(flaw.message.clone()),
            Self::Timeout { .. }
            | Self::MissingAnswer
            | Self::RecordTooLarge { .. }
            | Self::AnswerTooLarge
            | Self::StdoutTooLarge
            | Self::UnfitInput(_) => None,
        }
    }

    /// How a record that fails of it is tried again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::WorkerExit { .. }
            | Self::Timeout {
                ended: Ended::Process,
                ..
            }
            | Self::BadAnswer(BadAnswer::Unasked(_)) => Retry::Alone,
            Self::WorkerError { .. }
            | Self::Timeout {
                ended: Ended::Call, ..
            }
            | Self::BadAnswer(BadAnswer::Invalid(_)) => Retry::InLine,
            Self::MissingAnswer
            | Self::InvalidInput { .. }
            | Self::UnfitInput(_)
            | Self::RecordTooLarge { .. }
            | Self::AnswerTooLarge
            | Self::StdoutTooLarge => Retry::Never,
        }
    }

    /// Whether it is what the worker has said or written, and holds whatever has become of the run.
    pub fn is_its_word(&self) -> bool {
        matches!(
            self,
            Self::WorkerError { .. }
                | Self::AnswerTooLarge
                | Self::StdoutTooLarge
                | Self::UnfitInput(_)
        )
    }
}

impl From<Rejected> for Failure {
    fn from(rejected: Rejected) -> Self {
        let (cause, record) = match rejected.reason {
            Rejection::Invalid { flaw, record } => {
                let line = BadLine::of(&record);
                (Cause::InvalidInput { flaw, line }, Some(record))
            }
            Rejection::TooLarge { max } => (Cause::RecordTooLarge { max }, None),
            Rejection::Passed { .. } => unreachable!("what is passed on has not failed"),
        };
        Self {
            index: rejected.index,
            cause,
            worker: None,
            attempts: 0,
            record,
        }
    }
}

impl BadLine {
    fn of(line: &[u8]) -> Self {
        let is_value = |line: &[u8]| matches!(line.trim_ascii_start().first(), Some(b'{' | b'['));
        let Ok(text) = str::from_utf8(line) else {
            return Self::Mistake;
        };
        if !is_value(text.trim_start_matches('\u{feff}').as_bytes()) {
            return Self::Text;
        }
        match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Err(error) if error.is_eof() => Self::Unfinished,
            _ => Self::Mistake,
        }
    }
}

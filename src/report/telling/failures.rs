//! Records that failed.

use super::{Notice, Teller};
use crate::input::Requirement;
use crate::outcome::{BadLine, Cause, Failure};
use crate::schedule::event::LimitFound;
use crate::schedule::policy::{ErrorRecords, MaxErrors, OnError};
use crate::visible;

/// How much of a failure's message is said; the error record has all of it.
const MOST_SAID: usize = 300;

impl Teller {
    /// Tells of the first failure, where more is to be found and what follows; later ones are
    /// counted.
    pub(super) fn failed(&mut self, failure: &Failure) -> Option<Notice> {
        if std::mem::replace(&mut self.has_failure, true) {
            return None;
        }
        let why = match failure.cause {
            // What the worker has done with this record has just been said.
            Cause::Timeout { .. } | Cause::WorkerExit { .. } => String::new(),
            _ => format!(": {}", visible::excerpt(&failure.message(), MOST_SAID)),
        };
        let way_out = match failure.cause {
            Cause::InvalidInput { line, ref flaw } if flaw.expected == Requirement::Json => {
                match line {
                    BadLine::Text => "; for lines of text use --format lines",
                    BadLine::Unfinished => {
                        "; is it a value over several lines? jq -c . writes each value on one line, \
                         jq -c '.[]' each element of an array"
                    }
                    BadLine::Mistake => "",
                }
            }
            _ => "",
        };
        let place = match self.policy.error_records {
            ErrorRecords::InPlace => "in the output",
            ErrorRecords::Apart => "in the file of --errors",
        };
        let then = match (
            self.policy.failures.on_error,
            self.policy.failures.max_errors,
        ) {
            (OnError::Raise, _) => "the run ends (--on-error raise)",
            (OnError::Drain, _) => "nothing more is sent (--on-error drain)",
            (_, Some(MaxErrors::Count(1))) => "nothing more is sent (--max-errors 1)",
            (OnError::Defer | OnError::Ignore, _) => "later failures are counted",
        };
        Some(Notice::warning(format!(
            "record {} failed ({}){why}{way_out}; its error record is {place}, {then}",
            failure.index,
            failure.cause.kind()
        )))
    }

    /// The failure that ended the run was told of with the first one, if it was that.
    pub(super) fn too_many(
        &self,
        failures: u64,
        outcomes: u64,
        found: LimitFound,
    ) -> Option<Notice> {
        let then = match found {
            LimitFound::UnderWay => ": nothing more is sent",
            LimitFound::AtTheEnd => "",
        };
        Some(Notice::warning(match self.policy.failures.max_errors? {
            MaxErrors::Count(most) if most > 1 && failures >= most => {
                format!("{most} records failed{then} (--max-errors)")
            }
            MaxErrors::Count(_) => return None,
            MaxErrors::Part(most) => format!(
                "{failures} of {outcomes} records failed, more than {most}{then} (--max-errors)"
            ),
        }))
    }
}

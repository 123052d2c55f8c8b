//! How a run goes on to its end.

use super::{Notice, Teller, waits};
use crate::outcome::{Exit, ExitStatus};
use crate::schedule::event::{Outstanding, Trigger, Turn};
use crate::schedule::policy::OnError;

impl Teller {
    pub(super) fn turned(&mut self, turn: &Turn) -> Option<Notice> {
        match turn {
            Turn::Notified {
                signal,
                outstanding,
            } => {
                self.is_interrupted = true;
                told_to_end(*signal, outstanding, "; SIGTERM ends within --grace")
            }
            Turn::Interrupted {
                signal,
                outstanding,
            } => {
                self.is_interrupted = true;
                let grace = self.policy.limits.grace;
                let limit = format!(" within --grace {grace:?}; a second signal ends at once");
                told_to_end(*signal, outstanding, &limit)
            }
            Turn::Raised(Trigger::Stray) => Some(Notice::error(
                "the run ends for this (--on-error raise)".into(),
            )),
            Turn::Draining(Trigger::Stray) => {
                let option = match self.policy.failures.on_error {
                    OnError::Drain => "--on-error drain",
                    _ => "--max-errors",
                };
                Some(Notice::error(format!(
                    "nothing more is sent for this ({option})"
                )))
            }
            // Who has ended the run may have ended the workers too.
            Turn::NoWorker { .. } if self.is_interrupted => None,
            // COMMAND has said why, and the status tells.
            Turn::NoWorker { last, stderr } if self.has_said_why(last.as_ref(), stderr) => None,
            Turn::NoWorker { .. } if self.has_refused => Some(Notice::error(
                "no worker is left: all that was asked for was refused".into(),
            )),
            Turn::NoWorker { last, stderr } => Some(no_worker(last.as_ref(), stderr)),
            // It has been said what failed.
            Turn::Raised(Trigger::Failure) | Turn::Draining(Trigger::Failure) => None,
            Turn::OutputFailed | Turn::Cut { .. } | Turn::Finished => None,
        }
    }

    fn has_said_why(&self, last: Option<&Exit>, stderr: &[u8]) -> bool {
        last.is_some_and(|exit| self.is_unrunnable(exit)) && !stderr.trim_ascii().is_empty()
    }

    pub(super) fn lost(&self, read: u64, outcomes: u64) -> Notice {
        Notice::error(format!(
            "internal fault: {read} records were read and {outcomes} have an outcome; please report this"
        ))
    }
}

/// Says what is still waited for, and how long.
fn told_to_end(signal: i32, outstanding: &Outstanding, limit: &str) -> Option<Notice> {
    let what = match outstanding.owed + outstanding.waiting {
        0 => return None,
        1 => "1 record that was sent",
        count => &format!("{count} records that were sent"),
    };
    let waiting = match outstanding.waiting {
        0 => String::new(),
        _ => format!("; {}", waits::to_be_sent_again(outstanding)),
    };
    let signal = ExitStatus::Signal(signal);
    Some(Notice::warning(format!(
        "told to end by {signal}: {what} may finish{limit}{waiting}"
    )))
}

fn no_worker(last: Option<&Exit>, stderr: &[u8]) -> Notice {
    let how = last.map_or_else(String::new, |exit| format!(": the last one died ({exit})"));
    let said = String::from_utf8_lossy(stderr).trim_end().to_owned();
    let quoted = Some(said).filter(|said| !said.is_empty());
    let where_to_look = match quoted {
        Some(_) => "its last words on stderr:",
        None if last.is_some_and(Exit::is_success) => {
            "it said nothing on stderr, and answered nothing: a worker is to answer one record after \
             another until its stdin ends"
        }
        None => "it said nothing on stderr: try COMMAND by itself, with a record on its stdin",
    };
    Notice {
        quoted,
        ..Notice::error(format!(
            "no worker could be kept running{how}; {where_to_look}"
        ))
    }
}

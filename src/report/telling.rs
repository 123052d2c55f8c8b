//! What is said on stderr of what has happened.
//!
//! Owns the words, a file for each subject, and what has been said already. Always: one event is
//! one message at most, and whether it is said decides nothing.

mod answers;
mod deaths;
mod failures;
mod turns;
mod waits;

use std::time::Duration;

pub(super) use answers::doubtful;
use deaths::Deaths;

use crate::schedule::event::{Event, Span};
use crate::schedule::policy::Policy;
use crate::worker::machine::gpus::Gpus;

/// Something for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it means.
    pub level: Level,
    /// One line.
    pub text: String,
    /// What a worker has said, in lines of its own below.
    pub quoted: Option<String>,
}

/// What a message means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The run cannot go on or has failed.
    Error,
    /// Something went wrong that mtask copes with.
    Warning,
}

/// Tells of one run.
#[derive(Debug)]
pub struct Teller {
    policy: Policy,
    /// mtask was told to end.
    is_interrupted: bool,
    /// A record has failed.
    has_failure: bool,
    /// A process has spoken another protocol.
    has_misspoken: bool,
    /// A process has asked for what is no number of records at a time.
    has_refused_concurrency: bool,
    /// A process held more memory than it may.
    has_outgrown: bool,
    /// The longest that a worker was said to have asked to wait.
    told_pause: Duration,
    /// A worker was given up because all was refused.
    has_refused: bool,
    /// The longest that processes were said to have to stay up before they are sent anything.
    told_trial: Duration,
    deaths: Deaths,
    /// What workers were dealt that is named with them.
    gpus: Gpus,
}

impl Teller {
    /// Of a run with these rules, of which nothing has been told yet.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            is_interrupted: false,
            has_failure: false,
            has_misspoken: false,
            has_refused_concurrency: false,
            has_outgrown: false,
            told_pause: Duration::ZERO,
            has_refused: false,
            told_trial: Duration::ZERO,
            deaths: Deaths::default(),
            gpus: Gpus::default(),
        }
    }

    /// The same, where workers were dealt these.
    #[must_use]
    pub fn naming(self, gpus: Gpus) -> Self {
        Self { gpus, ..self }
    }

    /// What is to be said of an event, if anything.
    pub fn tell(&mut self, event: &Event) -> Option<Notice> {
        match event {
            Event::Settled(settled) => match &settled.outcome {
                Ok(()) => {
                    self.answered(settled.worker, settled.count);
                    None
                }
                Err(failure) => self.failed(failure),
            },
            Event::TooManyFailures {
                failures,
                outcomes,
                found,
            } => self.too_many(*failures, *outcomes, *found),
            Event::Ended(ended) => self.ended(ended),
            Event::OutOfStep {
                worker,
                breach,
                in_doubt,
            } => Some(self.out_of_step(*worker, breach, in_doubt)),
            Event::AnsweredUnasked { worker, unasked } => {
                Some(self.answered_unasked(*worker, unasked))
            }
            Event::Misspoken { worker, protocol } => self.misspoken(*worker, *protocol),
            Event::NoConcurrency(refused) => self.no_concurrency(refused),
            Event::Spoilt { worker, errors } => Some(self.spoilt(*worker, *errors)),
            Event::Outgrown { worker, bytes } => self.outgrown(*worker, *bytes),
            Event::Overdue(overdue) => Some(self.overdue(overdue)),
            Event::AskedToWait { worker, wait } => self.asked_to_wait(*worker, *wait),
            Event::HeldUp {
                index,
                wait,
                buffer,
            } => Some(waits::held_up(*index, *wait, *buffer)),
            Event::AllWait(outstanding) => Some(waits::all_wait(outstanding)),
            Event::StartAwaited {
                worker,
                age,
                expiry,
            } => Some(self.start_awaited(*worker, *age, *expiry)),
            Event::Trial { worker, trial } => self.trial(*worker, *trial),
            Event::Asked { worker, asking } => self.asked(*worker, asking),
            Event::AnsweredAtEnd { worker } => Some(self.answered_at_end(*worker)),
            Event::ExitOverdue { worker } => Some(self.exit_overdue(*worker)),
            Event::Turned(turn) => self.turned(turn),
            Event::Lost { read, outcomes } => Some(self.lost(*read, *outcomes)),
            Event::TimedOut {
                worker,
                suspects,
                limit,
                grace,
            } => Some(waits::timed_out(*worker, *suspects, *limit, *grace)),
            Event::GivenUp(loss) => self.given_up(loss),
            Event::Ready { .. } => self.ready(),
            Event::Started { worker, .. } => {
                self.begins(*worker);
                None
            }
            Event::StayedUp { .. } | Event::Gone { .. } | Event::SentAgain { .. } => None,
        }
    }
}

impl Notice {
    fn error(text: String) -> Self {
        Self {
            level: Level::Error,
            text,
            quoted: None,
        }
    }

    fn warning(text: String) -> Self {
        Self {
            level: Level::Warning,
            ..Self::error(text)
        }
    }
}

/// Records, for a message.
fn records(span: Span) -> String {
    match span.count {
        0 => "no record".into(),
        1 => format!("1 record (index {})", span.low),
        count => format!("{count} records (of indices {} to {})", span.low, span.high),
    }
}

#[cfg(test)]
mod tests;

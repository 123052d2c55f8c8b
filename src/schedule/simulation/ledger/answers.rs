//! What lives have said, and what that makes of the records they hold.

use std::time::Duration;

use super::{Charge, Ledger};
use crate::schedule::WorkerId;
use crate::schedule::policy::Delivery;
use crate::schedule::simulation::process::Blame;
use crate::schedule::simulation::scenario::{Effect, Saying};

/// What an answer with an id says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Said {
    Output,
    Error,
    Bad,
    TooLarge,
}

impl Ledger {
    /// A life answered the oldest records that it holds.
    pub(in super::super) fn answered(&mut self, worker: WorkerId, count: usize, now: Duration) {
        self.answers_came(worker, now);
        let life = self.lives[worker.0].as_mut().expect("a life answers");
        for owed in life.owed.drain(..count) {
            let past = &mut self.pasts[owed.index as usize];
            past.is_answered = true;
            past.holder = None;
        }
        life.age = Duration::ZERO;
        life.age_before = Duration::ZERO;
        life.last_answer = now;
        life.idle = Duration::ZERO;
    }

    /// Answers of a life have been read together.
    pub(in super::super) fn answers_came(&mut self, worker: WorkerId, now: Duration) {
        self.signed(worker, now);
        let life = self.lives[worker.0].as_mut().expect("a life answers");
        if life
            .concurrency
            .is_some_and(|takes| life.owed.len() > takes)
        {
            life.start_clocks();
        }
        life.window = (life.window * 2).min(1024);
    }

    /// A life answered this record, if it holds it. Gives whether it does.
    pub(in super::super) fn replied(
        &mut self,
        worker: WorkerId,
        index: u64,
        said: Said,
        now: Duration,
    ) -> bool {
        let life = self.lives[worker.0].as_mut().expect("a life answers");
        let oldest = life.oldest();
        let Some(place) = life.owed.iter().position(|owed| owed.index == index) else {
            return false;
        };
        life.owed.remove(place);
        if life.oldest() != oldest {
            life.age = Duration::ZERO;
            life.age_before = Duration::ZERO;
        }
        life.last_answer = now;
        life.last_answered = Some(index);
        life.idle = Duration::ZERO;
        life.errors = match said {
            Said::Output => 0,
            Said::Error | Said::Bad => life.errors + 1,
            Said::TooLarge => life.errors,
        };
        let is_sent_once = self.policy.delivery == Delivery::AtMostOnce;
        let past = &mut self.pasts[index as usize];
        past.holder = None;
        let charge = match said {
            Said::Output | Said::TooLarge => None,
            Said::Error => Some(Charge::Error),
            Said::Bad => Some(Charge::BadAnswer),
        };
        if let Some(charge) = charge {
            past.charge(charge, true);
            past.stand_in_line();
            past.refused_by = Some((worker, self.begun_lives[worker.0]));
        }
        past.is_answered =
            charge.is_none() || is_sent_once || past.least_charges() > self.policy.retries;
        true
    }

    /// A life says that it is up. Gives whether that is news.
    pub(in super::super) fn ready(
        &mut self,
        worker: WorkerId,
        concurrency: Option<usize>,
        now: Duration,
    ) -> bool {
        let life = self.lives[worker.0].as_mut().expect("a life is ready");
        if life.has_signed {
            return false;
        }
        life.concurrency = concurrency;
        self.awaits_ready = true;
        self.signed(worker, now);
        true
    }

    fn signed(&mut self, worker: WorkerId, now: Duration) {
        self.signless[worker.0] = 0;
        let life = self.lives[worker.0].as_mut().expect("a life shows a sign");
        if !std::mem::replace(&mut life.has_signed, true) {
            // Until now it may have been starting.
            life.start_clocks();
            let took = now - life.started;
            // One that was to end may have waited for that.
            let learnt = self.learnt_start.unwrap_or(took);
            self.learnt_start = Some(match life.closed {
                None => learnt.max(took),
                Some(_) => learnt,
            });
        }
    }

    /// A life gave an answer that nothing was asked for, because of this record.
    pub(in super::super) fn unasked(&mut self, worker: WorkerId, guilty: u64) {
        let past = &self.pasts[guilty as usize];
        assert!(
            matches!(&past.effect, Some(Effect::Says(_, saying)) if saying.is_break()),
            "{worker} has answered what it was asked, and record {guilty} once"
        );
        if let Some(life) = &mut self.lives[worker.0] {
            let charge = match &past.effect {
                Some(Effect::Says(_, Saying::Twice)) if life.last_answered == Some(guilty) => {
                    Charge::SecondAnswer
                }
                _ => Charge::Unasked,
            };
            life.unasked = Some((Blame::Record(guilty), charge));
        }
    }

    pub(in super::super) fn is_heard_out(&self, worker: WorkerId) -> bool {
        (self.lives[worker.0].as_ref()).is_some_and(super::Life::is_working)
    }

    pub(in super::super) fn owes(&self, worker: WorkerId, index: u64) -> bool {
        self.lives[worker.0]
            .as_ref()
            .is_some_and(|life| life.holds(index))
    }

    pub(in super::super) fn logged(&mut self, lines: u64) {
        self.log_lines += lines;
    }

    /// A life said something at its end. Gives whether it is to be kept: not once it was stopped.
    pub(in super::super) fn said_exit(&mut self, worker: WorkerId) -> bool {
        let life = self.lives[worker.0].as_ref().expect("a life ends");
        assert!(life.closed.is_some(), "{worker} was not told to end");
        life.is_working()
    }

    pub(in super::super) fn kept_exit(&mut self) {
        self.exits += 1;
    }

    pub(in super::super) fn stray(&mut self, worker: WorkerId) {
        assert!(self.has_liars, "{worker} has written no line too many");
        if let Some(life) = &mut self.lives[worker.0] {
            life.is_stray = true;
        }
    }
}

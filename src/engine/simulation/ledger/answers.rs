//! What processes have said, and what that makes of the records they hold.

use std::time::Duration;

use super::{Charge, Ledger, OwedRecord, SPOILT};
use crate::engine::simulation::actor::Blame;
use crate::engine::simulation::scenario::{Effect, Saying, millis};
use crate::schedule::WorkerId;
use crate::schedule::policy::Delivery;

/// Workers with the same init argument wait for so long after a refusal, at the least.
const SHORTEST_PAUSE: Duration = millis(100);
/// A record that was refused so often may fail.
pub(in super::super) const MOST_REFUSALS: u32 = 20;

/// What an answer with an id says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Said {
    Output,
    Error,
    Bad,
    TooLarge,
    /// Not before so many milliseconds have passed.
    Later(u32),
}

impl Ledger {
    /// A process answered the oldest records that it holds.
    pub(in super::super) fn answered(&mut self, worker: WorkerId, count: usize, now: Duration) {
        if count == 0 {
            return;
        }
        self.answers_came(worker, true, now);
        let process = self.processes[worker.0].as_mut().expect("a process answers");
        for owed in process.owed.drain(..count) {
            let past = &mut self.pasts[owed.index as usize];
            past.is_answered = true;
            past.holder = None;
        }
        process.age = Duration::ZERO;
        process.age_before = Duration::ZERO;
        process.last_answer = now;
        process.idle = Duration::ZERO;
    }

    /// Answers of a process have been read together, the first of which was asked for or not.
    pub(in super::super) fn answers_came(
        &mut self,
        worker: WorkerId,
        is_owed: bool,
        now: Duration,
    ) {
        let process = self.processes[worker.0].as_mut().expect("a process answers");
        process.clock_before = process.clock().0;
        // What is given up is no answer: of one that may do so each is looked at.
        if is_owed && !process.cancels {
            self.note_first_answer(worker, now);
        }
        self.answered_ready(worker, now);
        let process = self.processes[worker.0].as_mut().expect("a process answers");
        process.goes_on = true;
        if process.concurrency.is_some_and(|takes| process.owed.len() > takes) {
            process.start_clocks();
        }
        process.window = (process.window * 2).min(1024);
    }

    fn note_first_answer(&mut self, worker: WorkerId, now: Duration) {
        let process = self.processes[worker.0].as_mut().expect("a process answers");
        if process.since_first.is_some() {
            return;
        }
        process.since_first = Some((Duration::ZERO, Duration::ZERO));
        if process.is_untold {
            return;
        }
        // While no clock runs mtask may see how the time passes, and may not.
        // Once there is a first answer such time does not count.
        let is_first = self.first_answer_time.is_none();
        let (least, most) = match process.is_ready {
            true => {
                let counted = process.since_call.unwrap_or(process.clock_before);
                let uncounted = if is_first {
                    process.uncounted
                } else {
                    Duration::ZERO
                };
                (counted, counted + uncounted)
            }
            false if is_first => (now - process.started, now - process.started),
            false => (process.up - process.unfed, process.up - process.unfed),
        };
        let (longest_least, longest_most) = self.first_answer_time.unwrap_or_default();
        self.first_answer_time = Some((longest_least.max(least), longest_most.max(most)));
        self.has_lazy_first |= self.policy.limits.timeout.is_some_and(|limit| least > limit);
    }

    /// A process answered this record, if it holds it. Gives whether it does.
    pub(in super::super) fn replied(
        &mut self,
        worker: WorkerId,
        index: u64,
        said: Said,
        now: Duration,
    ) -> bool {
        let is_given_up = said == Said::Error && self.is_asked_for(worker, index);
        if !matches!(said, Said::Later(_)) && !is_given_up && self.owes(worker, index) {
            self.note_first_answer(worker, now);
        }
        self.has_given_up |= is_given_up;
        let process = self.processes[worker.0].as_mut().expect("a process answers");
        let oldest = process.oldest();
        let Some(place) = process.owed.iter().position(|owed| owed.index == index) else {
            return false;
        };
        process.owed.remove(place);
        if process.tells_calls || process.oldest() != oldest {
            process.age = Duration::ZERO;
            process.age_before = Duration::ZERO;
        }
        process.last_answer = now;
        process.last_answered = Some(index);
        process.idle = Duration::ZERO;
        process.errors = match said {
            Said::Output => 0,
            _ if is_given_up => process.errors,
            Said::Error | Said::Bad => process.errors + 1,
            Said::TooLarge | Said::Later(_) => process.errors,
        };
        process.may_be_spoilt |= process.errors >= SPOILT;
        let is_sent_once = self.policy.delivery == Delivery::AtMostOnce;
        if matches!(said, Said::Later(_)) {
            process.since_call = None;
            process.is_untold |= process.since_first.is_none();
        }
        let group = self.policy.pacing.groups.get(worker.0).copied().unwrap_or_default();
        let past = &mut self.pasts[index as usize];
        past.holder = None;
        if let Said::Later(wait) = said {
            let wait = millis(wait.into());
            let until = now + wait.max(SHORTEST_PAUSE);
            self.held_until[group] = self.held_until[group].max(until);
            self.refusals[group] += 1;
            past.refusals += 1;
            if !is_sent_once {
                past.sends -= 1;
                past.not_before = Some(now + wait);
                return true;
            }
        }
        let charge = match said {
            Said::Output | Said::TooLarge => None,
            Said::Error if is_given_up => Some(Charge::Timeout),
            Said::Later(_) if is_sent_once => Some(Charge::Error),
            Said::Later(_) => None,
            Said::Error => Some(Charge::Error),
            Said::Bad => Some(Charge::BadAnswer),
        };
        if let Some(charge) = charge {
            past.charge(charge, true);
            past.timeouts += u32::from(is_given_up);
            past.stand_in_line();
            past.refused_by = Some((worker, self.begun_processes[worker.0]));
            let least =
                (self.policy.pacing.retry_delay).map(|delay| delay.shortest(past.least_charges()));
            past.not_before = least.map(|wait| now + wait);
        }
        past.is_answered =
            charge.is_none() || is_sent_once || past.least_charges() > self.policy.failures.retries;
        true
    }

    /// A process says that it is up. Gives whether that is news.
    pub(in super::super) fn ready(
        &mut self,
        worker: WorkerId,
        concurrency: Option<usize>,
        (tells_calls, cancels): (bool, bool),
        now: Duration,
    ) -> bool {
        let process = self.processes[worker.0].as_mut().expect("a process is ready");
        if process.is_ready {
            return false;
        }
        process.concurrency = concurrency;
        (process.tells_calls, process.cancels) = (tells_calls, cancels);
        let up = process.up;
        if !std::mem::replace(&mut self.awaits_ready, true) {
            self.first_announced = Some(now);
        }
        self.became_ready(worker, up, now);
        true
    }

    /// A process says that it has begun these. Gives whether that is news.
    pub(in super::super) fn begun(&mut self, worker: WorkerId, indices: &[u64]) -> bool {
        let process = self.processes[worker.0].as_mut().expect("a process begins a call");
        let owes = indices.iter().any(|index| process.holds(*index));
        if !process.tells_calls || !process.is_working() || !owes {
            return false;
        }
        process.calls += 1;
        process.since_call.get_or_insert(Duration::ZERO);
        let call = Some(process.calls);
        let is_begun = |owed: &OwedRecord| indices.contains(&owed.index);
        let begun = process.owed.iter().filter(|owed| is_begun(owed));
        let earlier: Vec<_> = begun.filter_map(|owed| owed.call).collect();
        self.has_begun_again |= !earlier.is_empty();
        for owed in &mut process.owed {
            if is_begun(owed) {
                (owed.age, owed.age_before, owed.call) = (Duration::ZERO, Duration::ZERO, call);
            } else if owed.call.is_some_and(|call| earlier.contains(&call)) {
                owed.call = None;
            }
        }
        true
    }

    /// A process is to be replaced, as it says. Gives whether that is news.
    pub(in super::super) fn resigned(&mut self, worker: WorkerId) -> bool {
        let process = self.processes[worker.0].as_mut().expect("a process resigns");
        if !process.is_working() || process.closed.is_some() {
            return false;
        }
        for owed in std::mem::take(&mut process.owed) {
            let past = &mut self.pasts[owed.index as usize];
            past.holder = None;
            past.may_be_missing |= self.policy.delivery == Delivery::AtMostOnce;
            if owed.call.is_some() {
                // As if the process had died of something else.
                past.hits += 1;
                past.outside_hits += 1;
                past.suspect(true);
            }
        }
        self.has_resigned = true;
        true
    }

    /// A process has answered, and so is ready.
    pub(super) fn answered_ready(&mut self, worker: WorkerId, now: Duration) {
        // While it was sent nothing it may have been ready for long.
        let process = self.processes[worker.0].as_ref();
        let heard = process.map(|process| process.up - process.unfed);
        self.became_ready(worker, heard.expect("a process answers"), now);
    }

    /// A process is ready, which it can have shown for so long.
    fn became_ready(&mut self, worker: WorkerId, heard: Duration, now: Duration) {
        self.failed_starts[worker.0] = 0;
        let process = self.processes[worker.0].as_mut().expect("a process that runs is ready");
        if !std::mem::replace(&mut process.is_ready, true) {
            // Until now it may have been starting.
            process.start_clocks();
            let took = now - process.started;
            self.long_trial = None;
            // One that was to end may have waited for that.
            // While it was not listened to it may have been ready for long.
            self.startup_time = Some(match (self.startup_time, process.closed) {
                (None, _) => took,
                (Some(learnt), None) => learnt.max(heard),
                (Some(learnt), Some(_)) => learnt,
            });
        }
    }

    /// A process gave an answer that nothing was asked for, because of this record.
    pub(in super::super) fn unasked(&mut self, worker: WorkerId, guilty: u64) {
        let past = &self.pasts[guilty as usize];
        assert!(
            matches!(&past.effect, Some(Effect::Says(_, saying)) if saying.is_break()),
            "{worker} has answered what it was asked, and record {guilty} once"
        );
        if let Some(process) = &mut self.processes[worker.0] {
            let charge = match &past.effect {
                Some(Effect::Says(_, Saying::Twice)) if process.last_answered == Some(guilty) => {
                    Charge::SecondAnswer
                }
                _ => Charge::Unasked,
            };
            process.unasked = Some((Blame::Record(guilty), charge));
        }
    }

    pub(in super::super) fn is_read_from_out(&self, worker: WorkerId) -> bool {
        (self.processes[worker.0].as_ref()).is_some_and(super::ProcessLedger::is_working)
    }

    pub(in super::super) fn owes(&self, worker: WorkerId, index: u64) -> bool {
        self.processes[worker.0].as_ref().is_some_and(|process| process.holds(index))
    }

    pub(in super::super) fn logged(&mut self, lines: u64) {
        self.log_lines += lines;
    }

    /// A process said something at its end. Gives whether it is to be kept: not once it was
    /// stopped.
    pub(in super::super) fn said_exit(&mut self, worker: WorkerId) -> bool {
        let process = self.processes[worker.0].as_ref().expect("a process ends");
        assert!(process.closed.is_some(), "{worker} was not told to end");
        process.is_working()
    }

    pub(in super::super) fn kept_exit(&mut self) {
        self.exits += 1;
    }

    pub(in super::super) fn stray(&mut self, worker: WorkerId) {
        assert!(self.has_liars, "{worker} has written no line too many");
        if let Some(process) = &mut self.processes[worker.0] {
            process.is_stray = true;
        }
    }
}

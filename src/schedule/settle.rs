//! From what a process owes to outcomes.
//!
//! Always: what came of a record goes through [`Scheduler::settle`], once, and from nowhere else
//! into the order buffer and the counts.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::event::{Event, LimitFound, Settled, Trigger};
use super::ids::WorkerId;
use super::outcomes::{Results, Sizes, Weight};
use super::policy::{ENOUGH_OUTCOMES, OnError};
use super::queue::Work;
use super::trail::Trail;
use crate::input::{Rejected, Rejection};
use crate::outcome::{Cause, Failure};
use crate::record::Slice;

/// When a process was at what it has answered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timing {
    /// How long each record took, where that is known.
    pub(super) took: Option<Duration>,
    /// Since when it was at the first of them.
    pub(super) since: Option<Instant>,
}

impl Scheduler {
    /// Takes up to `most` answered records off the front of what a process owes: the longest run of
    /// consecutive indices that were sent equally often. They are to be settled with an outcome; where
    /// that is written with the records, they come too.
    pub(super) fn take_answered(
        &mut self,
        worker: WorkerId,
        most: usize,
    ) -> Settled<Option<Slice>> {
        let ended_by = match self.outcomes.sizes {
            Sizes::Counted => Some(self.policy.shape.separator),
            Sizes::Unknown => None,
        };
        let writes_records = self.outcomes.rendering.writes_records();
        let separator = self.policy.shape.separator;
        let process = self.process_mut(worker).expect("only a running process answers");
        let (records, (first, count, attempts, trail)) = match writes_records {
            true => {
                let (records, answered) = process.owed.take_answered_records(most, separator);
                (Some(records), answered)
            }
            false => (None, process.owed.take_answered(most, ended_by)),
        };
        Settled {
            first,
            count,
            worker: Some(worker),
            attempts,
            took: None,
            trail,
            outcome: Ok(records),
        }
    }

    /// Counts the bytes of records and of their results from now on.
    pub fn count_bytes(&mut self) {
        self.outcomes.sizes = Sizes::Counted;
    }

    /// Takes the oldest record that a process owes.
    pub(super) fn take_oldest(&mut self, worker: WorkerId) -> Work {
        let oldest = self.process(worker).and_then(|process| process.owed.oldest());
        oldest.and_then(|index| self.take(worker, index)).expect("it owes a record")
    }

    /// Puts down that a process answered, before the records are settled. Gives how long that took.
    pub(super) fn note_answers(&mut self, worker: WorkerId, count: usize, now: Instant) -> Timing {
        self.time_oldest(worker, count, now);
        self.note_own_answer(worker, now);
        self.note_first_answer(worker, now);
        let process = self.process_mut(worker).expect("only a running process answers");
        let since = Some(process.owed.clock());
        let took = process.answered(count, now);
        self.note_ready(worker, now);
        Timing { took, since }
    }

    /// Puts down that a process answers, before its clocks begin anew.
    pub(super) fn note_first_answer(&mut self, worker: WorkerId, now: Instant) {
        let stuck_since = self.throttle.stderr_stuck_since();
        let Some(process) = self.process_mut(worker) else {
            return;
        };
        let heard_until = process.heard_until(stuck_since, now);
        if let Some((took, heard)) = process.gives_first_answer(heard_until, now) {
            self.command.answered_first(took, heard);
        }
    }

    /// Puts down that a process is up.
    pub(super) fn note_ready(&mut self, worker: WorkerId, now: Instant) {
        let Some(process) = self.process(worker) else {
            return;
        };
        if !process.is_ready() {
            let took = process.time_to_ready(now);
            // While nobody listened, or it was sent nothing, it may have been ready for long.
            let heard_until = process.heard_until(self.throttle.stderr_stuck_since(), now);
            let heard = process.time_to_ready(heard_until).saturating_sub(process.start.untold());
            let process = self.process_mut(worker).expect("it runs");
            process.start.became_ready();
            // One that answers at the end of its stdin may have waited for that.
            let is_told = process.is_serving() || process.silence.answered_late();
            self.tell(Event::Ready { worker, took });
            self.workers[worker.0].restarts.became_ready();
            if self.command.became_ready(took, heard, is_told) {
                // Another limit holds for the others from now on.
                self.watch_all();
            }
        }
    }

    /// Puts down what came of records that are nowhere else any more. A failure that is one too
    /// many ends the run.
    pub(super) fn settle(&mut self, settled: Settled<Results<'_, '_>>, now: Instant) {
        match settled.outcome {
            Ok(results) => {
                let mut records = Settled {
                    first: settled.first,
                    count: settled.count,
                    worker: settled.worker,
                    attempts: settled.attempts,
                    took: settled.took,
                    trail: settled.trail,
                    outcome: Ok(()),
                };
                self.outcomes.succeeded(&mut records, results);
                let count = records.count;
                self.tell(Event::Settled(records));
                self.note_enough_outcomes(count, now);
            }
            Err(failure) => self.settle_failure(failure, settled.took, settled.trail, now),
        }
    }

    fn settle_failure(
        &mut self,
        mut failure: Box<Failure>,
        took: Option<Duration>,
        mut trail: Trail,
        now: Instant,
    ) {
        let raises = self.policy.failures.on_error == OnError::Raise;
        if raises {
            if !self.course.gives_out() {
                return;
            }
            self.raise(Trigger::Failure, now);
        }
        // The one that ended the run is the last of those that were allowed as they are put down.
        let (failures, outcomes) = self.outcomes.tally.failures_and_outcomes();
        let (failures, outcomes) = (failures + 1, outcomes + 1);
        let is_last =
            !raises && self.is_last_failure(failures, outcomes) && !self.course.has_last_failure();
        let weight = match (raises, is_last) {
            (true, _) => Weight::Ends,
            (false, true) => Weight::Last,
            (false, false) => Weight::Usual,
        };
        if is_last {
            self.course.failed_for_the_last_time();
        }
        trail.bytes_in = failure.record.as_ref().map_or(0, |record| record.len());
        self.outcomes.failed(&mut failure, weight, &self.policy);
        self.tell(Event::Settled(Settled::failed(failure, took, trail)));
        if !raises && self.has_failed_too_often() {
            self.drain(Trigger::Failure, now);
        }
        if is_last {
            self.tell(Event::TooManyFailures {
                failures,
                outcomes,
                found: LimitFound::UnderWay,
            });
        }
    }

    /// Ends the run where these results make enough outcomes to show that too many have failed.
    fn note_enough_outcomes(&mut self, results: usize, now: Instant) {
        let Some(limit) = self.policy.failures.max_errors else {
            return;
        };
        let (failures, outcomes) = self.outcomes.tally.failures_and_outcomes();
        let before = outcomes - results as u64;
        if self.course.takes_input() && limit.is_reached_with_results(failures, before, outcomes) {
            // What fails from now on has not ended the run.
            self.course.failed_for_the_last_time();
            self.drain(Trigger::Failure, now);
            self.tell(Event::TooManyFailures {
                failures,
                outcomes: ENOUGH_OUTCOMES,
                found: LimitFound::UnderWay,
            });
        }
    }

    /// Whether the last failure is one after which nothing more is sent, those that are not put
    /// down yet included.
    pub(super) fn has_failed_too_often(&self) -> bool {
        let (failures, outcomes) = self.outcomes.tally.failures_and_outcomes();
        let pending = self.outcomes.pending.records() as u64;
        self.is_last_failure(failures + pending, outcomes + pending)
    }

    /// Whether the last of so many failures, among so many outcomes, is one after which nothing
    /// more is sent.
    fn is_last_failure(&self, failures: u64, outcomes: u64) -> bool {
        let limit = self.policy.failures.max_errors;
        self.policy.failures.on_error == OnError::Drain
            || limit.is_some_and(|most| most.is_reached(failures, outcomes))
    }

    /// Whether more failed than `--max-errors` allows, looked at from the end.
    pub(super) fn too_many_failed(&self) -> bool {
        let (failures, outcomes) = self.outcomes.tally.failures_and_outcomes();
        let limit = self.policy.failures.max_errors;
        limit.is_some_and(|most| most.is_exceeded_at_the_end(failures, outcomes))
    }

    /// Puts down that a single record has failed.
    pub(super) fn fail_work(
        &mut self,
        work: Work,
        cause: Cause,
        worker: WorkerId,
        took: Option<Duration>,
        now: Instant,
    ) {
        debug_assert_eq!(work.remaining(), 1);
        let mut trail = work.trail;
        trail.began(took.and_then(|took| now.checked_sub(took)));
        let failure = Failure {
            index: work.first(),
            cause,
            worker: Some(worker.0),
            attempts: work.sent,
            record: Some(work.block.first_record(self.policy.shape.separator)),
        };
        self.settle(Settled::failed(Box::new(failure), took, trail), now);
    }

    /// Puts down that a record of the input is none, or passes it on.
    pub(super) fn reject(&mut self, rejected: Rejected, queued: Instant, now: Instant) {
        if let Rejection::Passed { record } = &rejected.reason {
            self.outcomes.passed(rejected.index, record);
            return;
        }
        let trail = Trail {
            queued: Some(queued),
            ..Trail::default()
        };
        self.settle(Settled::failed(Box::new(rejected.into()), None, trail), now);
    }
}

impl<T> Settled<T> {
    /// The same records, with their results.
    pub(super) fn with<U>(mut self, timing: Timing, results: impl FnOnce(T) -> U) -> Settled<U> {
        self.trail.began(timing.since);
        Settled {
            first: self.first,
            count: self.count,
            worker: self.worker,
            attempts: self.attempts,
            took: timing.took,
            trail: self.trail,
            outcome: self.outcome.map(results),
        }
    }

    fn failed(failure: Box<Failure>, took: Option<Duration>, trail: Trail) -> Self {
        Self {
            first: failure.index,
            count: 1,
            worker: failure.worker.map(WorkerId),
            attempts: failure.attempts,
            took,
            trail,
            outcome: Err(failure),
        }
    }
}

//! From what a process owes to outcomes.
//!
//! Always: what came of a record goes through [`Scheduler::settle`], once, and from nowhere else
//! into the order buffer and the counts.

use std::mem::take;
use std::time::{Duration, Instant};

use super::Scheduler;
use super::action::WorkerId;
use super::event::{Event, Settled, Trigger};
use super::order::{Outcome, Written};
use super::policy::OnError;
use super::queue::Work;
use crate::input::Rejected;
use crate::outcome::{Cause, Failure, Lines, Rendering};
use crate::protocol::message::{Answer, Reply};
use crate::record::Index;

/// The answers that are results of as many records.
#[derive(Debug)]
pub(super) enum Results<'a, 'b> {
    /// The first so many bytes of these lines.
    Lines(&'a mut Lines<'b>, usize),
    /// The outputs in these answers.
    Outputs(&'a mut [Answer<'b>]),
}

impl Scheduler {
    /// Takes up to `most` answered records off the front of what a process owes: the longest run of
    /// consecutive indices that were sent equally often. They are to be settled with an outcome.
    pub(super) fn take_answered(&mut self, worker: WorkerId, most: usize) -> Settled {
        let process = self.process_mut(worker).expect("only a running process answers");
        let (first, count, attempts) = process.owed.take_answered(most);
        Settled {
            first,
            count,
            worker: Some(worker),
            attempts,
            took: None,
            outcome: Ok(()),
        }
    }

    /// Takes the oldest record that a process owes.
    pub(super) fn take_oldest(&mut self, worker: WorkerId) -> Work {
        let oldest = self.process(worker).and_then(|process| process.owed.oldest());
        oldest.and_then(|index| self.take(worker, index)).expect("it owes a record")
    }

    /// Puts down that a process answered, before the records are settled. Gives how long each took.
    pub(super) fn note_answers(
        &mut self,
        worker: WorkerId,
        count: usize,
        now: Instant,
    ) -> Option<Duration> {
        self.time_oldest(worker, count, now);
        self.note_own_answer(worker, now);
        let process = self.process_mut(worker).expect("only a running process answers");
        let took = process.answered(count, now);
        self.note_ready(worker, now);
        took
    }

    /// Puts down that a process is up.
    pub(super) fn note_ready(&mut self, worker: WorkerId, now: Instant) {
        let Some(process) = self.process(worker) else {
            return;
        };
        if !process.is_ready() {
            let took = process.time_to_ready(now);
            let process = self.process_mut(worker).expect("it runs");
            process.start.became_ready();
            // One that answers at the end of its stdin may have waited for that.
            let is_told = process.is_serving() || process.silence.answered_late();
            self.tell(Event::Ready { worker, took });
            let is_first = self.startup_time.is_none();
            self.startup_time = Some(match self.startup_time {
                Some(learnt) if is_told => learnt.max(took),
                Some(learnt) => learnt,
                None => took,
            });
            self.workers[worker.0].restarts.became_ready();
            self.long_trial = None;
            if is_first {
                // Another limit holds for the others from now on.
                self.watch_all();
            }
        }
    }

    /// Puts down what came of records that are nowhere else any more. A failure that is one too
    /// many ends the run.
    pub(super) fn settle(&mut self, settled: Settled<Results<'_, '_>>, now: Instant) {
        let Settled { first, count, .. } = settled;
        match settled.outcome {
            Ok(results) => {
                self.tally.results += count as u64;
                let rendering = &self.rendering;
                let write = |out: &mut Written| results.write(rendering, first, count, out);
                self.order.put(first, count, Outcome::Results, write);
                self.tell(Event::Settled(Settled {
                    first,
                    count,
                    worker: settled.worker,
                    attempts: settled.attempts,
                    took: settled.took,
                    outcome: Ok(()),
                }));
            }
            Err(failure) => self.settle_failure(failure, settled.took, now),
        }
    }

    fn settle_failure(&mut self, mut failure: Box<Failure>, took: Option<Duration>, now: Instant) {
        let raises = self.policy.on_error == OnError::Raise;
        if raises {
            if !self.phase.gives_out() {
                return;
            }
            self.raise(Trigger::Failure, now);
        }
        // The one that ended the run is the last of those that were allowed as they are put down.
        let failures = self.tally.failures_and_strays() + 1;
        let is_last = !raises && self.is_last_failure(failures) && !self.has_last_failure;
        self.has_last_failure |= is_last;
        let kind = failure.cause.kind();
        self.tally.failed(kind);
        let (rendering, place) = (&self.rendering, self.policy.error_records);
        let index = failure.index;
        let write = |out: &mut Written| rendering.failure(&mut failure, out.errors_at(place));
        match (raises, is_last) {
            (true, _) => self.order.put_last(write),
            (false, true) => (self.order).put(index, 1, Outcome::LastFailure, write),
            (false, false) => (self.order).put(index, 1, Outcome::Failure(kind), write),
        }
        // Its bytes are written by now, and count in the budget until they are dropped.
        failure.record = None;
        self.tell(Event::Settled(Settled::failed(failure, took)));
        if !raises && self.is_last_failure(self.failures()) {
            self.drain(Trigger::Failure, now);
        }
        if is_last {
            self.tell(Event::TooManyFailures { failures });
        }
    }

    /// How many failures there were, in earlier runs too: of records, also where that is not put
    /// down yet, and of workers that wrote what nothing had asked for.
    pub(super) fn failures(&self) -> u64 {
        self.tally.failures_and_strays() + self.pending.records() as u64
    }

    /// Whether the last of so many failures is one after which nothing more is sent.
    pub(super) fn is_last_failure(&self, failures: u64) -> bool {
        let too_many = (self.policy.max_errors).is_some_and(|most| failures >= most);
        self.policy.on_error == OnError::Drain || too_many
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
        let failure = Failure {
            index: work.first(),
            cause,
            worker: Some(worker.0),
            attempts: work.sent,
            record: Some(work.block.first_record(self.policy.shape.separator)),
        };
        self.settle(Settled::failed(Box::new(failure), took), now);
    }

    /// Puts down that a record of the input is none.
    pub(super) fn reject(&mut self, rejected: Rejected, now: Instant) {
        self.settle(Settled::failed(Box::new(rejected.into()), None), now);
    }
}

impl<T> Settled<T> {
    /// The same records, with their results.
    pub(super) fn with<U>(self, took: Option<Duration>, results: U) -> Settled<U> {
        Settled {
            first: self.first,
            count: self.count,
            worker: self.worker,
            attempts: self.attempts,
            took,
            outcome: self.outcome.map(|_| results),
        }
    }

    fn failed(failure: Box<Failure>, took: Option<Duration>) -> Self {
        Self {
            first: failure.index,
            count: 1,
            worker: failure.worker.map(WorkerId),
            attempts: failure.attempts,
            took,
            outcome: Err(failure),
        }
    }
}

impl Results<'_, '_> {
    fn write(self, rendering: &Rendering, first: Index, count: usize, out: &mut Written) {
        match self {
            Self::Lines(lines, bytes) => {
                rendering.results(first, count, lines, bytes, &mut out.results);
            }
            Self::Outputs(answers) => {
                for answer in answers {
                    let Reply::Output(output) = &mut answer.reply else {
                        unreachable!("only outputs are put down as results");
                    };
                    rendering.value(answer.index, take(output), &mut out.results);
                }
            }
        }
    }
}

//! From what a process owes to outcomes.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::action::WorkerId;
use super::order::Outcome;
use super::policy::{ErrorRecords, OnError};
use super::process::Stage;
use super::queue::Work;
use crate::outcome::{Cause, Failure};
use crate::record::Index;
use crate::shape::Format;
use crate::visible;

/// How much of a failure's message is said on stderr; the error record has all of it.
const MOST_SAID: usize = 300;

impl Scheduler {
    /// Takes up to `most` answered records off the front of what a process owes: the longest run of
    /// consecutive indices. Gives the first index and the number.
    pub(super) fn settle_oldest(&mut self, worker: WorkerId, most: usize) -> (Index, usize) {
        let process = self
            .process_mut(worker)
            .expect("only a running process answers");
        let first = process
            .oldest()
            .expect("a process answers only what it owes");
        let mut run = 0;
        while run < most
            && let Some(work) = process.owed.front_mut()
            && work.first() == first.plus(run)
        {
            let step = work.remaining().min(most - run);
            run += step;
            work.answered += step;
            if work.remaining() == 0 {
                process.owed_bytes -= work.block.bytes.len();
                process.owed.pop_front();
            }
        }
        process.owed_records -= run;
        (first, run)
    }

    /// Takes the oldest record that a process owes.
    pub(super) fn take_oldest(&mut self, worker: WorkerId) -> Work {
        let separator = self.policy.shape.separator;
        let process = self
            .process_mut(worker)
            .expect("only a running process holds records");
        let work = process
            .owed
            .pop_front()
            .expect("a process answers only what it owes");
        process.owed_bytes -= work.block.bytes.len();
        process.owed_records -= 1;
        let mut rest = work.trimmed(separator);
        let oldest = rest.cut(1, usize::MAX, separator);
        if rest.block.count > 0 {
            process.owed_bytes += rest.block.bytes.len();
            process.owed.push_front(rest);
        }
        oldest
    }

    /// Puts down that a process answered, before the records are settled.
    pub(super) fn note_answers(&mut self, worker: WorkerId, count: usize, now: Instant) {
        self.time_oldest(worker, count, now);
        self.note_own_answer(worker, now);
        let process = self
            .process_mut(worker)
            .expect("only a running process answers");
        process.pace.answered(count, now);
        process.clock = now;
        process.next_reminder = Duration::ZERO;
        self.note_ready(worker, now);
    }

    /// Puts down that a process is up.
    pub(super) fn note_ready(&mut self, worker: WorkerId, now: Instant) {
        let Some(process) = self.process(worker) else {
            return;
        };
        if !process.is_ready {
            let took = self.time_to_ready(process, now);
            let process = self.process_mut(worker).expect("it runs");
            process.is_ready = true;
            // One that answers at the end of its stdin may have waited for that.
            let is_told = process.stage == Stage::Serving || process.answered_late;
            if self.startup_time.is_none() {
                self.name_given_up();
            }
            self.startup_time = Some(match self.startup_time {
                Some(learnt) if is_told => learnt.max(took),
                Some(learnt) => learnt,
                None => took,
            });
            self.workers[worker.0].became_ready();
            self.died_early = None;
        }
    }

    /// Puts a failure down, and ends the run if it is one too many.
    pub(super) fn fail(&mut self, failure: Failure, now: Instant) {
        if self.policy.on_error == OnError::Raise {
            self.raise(failure, now);
            return;
        }
        // The one that ended the run is the last of those that were allowed as they are put down.
        let failures = self.tally.failures_and_strays() + 1;
        let is_one_too_many = self.is_last_failure(failures);
        let is_first_to =
            is_one_too_many && !std::mem::replace(&mut self.has_last_failure, is_one_too_many);
        let outcome = if is_first_to {
            Outcome::LastFailure
        } else {
            Outcome::Failure(failure.cause.kind())
        };
        self.conclude(failure, outcome);
        if self.is_last_failure(self.failures()) {
            self.drain(now);
        }
        if let Some(most) = self.policy.max_errors
            && most > 1
            && is_first_to
            && failures >= most
        {
            self.warn(format!(
                "{most} records failed: nothing more is sent (--max-errors)"
            ));
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

    /// Tells of the first failure, where more is to be found and what follows; later ones are
    /// counted.
    pub(super) fn announce(&mut self, failure: &Failure) {
        if self.tally.failures() > 0 {
            return;
        }
        let why = match failure.cause {
            // What the worker has done with this record has just been said.
            Cause::Timeout | Cause::WorkerExit { .. } => String::new(),
            _ => format!(": {}", visible::excerpt(&failure.message, MOST_SAID)),
        };
        let way_out = match (&failure.cause, &failure.record) {
            (Cause::InvalidInput, Some(line))
                if self.rendering.shape.format == Format::Jsonl && is_text(line) =>
            {
                "; for lines of text use --format lines"
            }
            _ => "",
        };
        let place = match self.policy.error_records {
            ErrorRecords::InPlace => "in the output",
            ErrorRecords::Apart => "in the file of --errors",
        };
        let then = match (self.policy.on_error, self.policy.max_errors) {
            (OnError::Raise, _) => "the run ends (--on-error raise)",
            (OnError::Drain, _) => "nothing more is sent (--on-error drain)",
            (_, Some(1)) => "nothing more is sent (--max-errors 1)",
            (OnError::Defer | OnError::Ignore, _) => "later failures are counted",
        };
        self.warn(format!(
            "record {} failed ({}){why}{way_out}; its error record is {place}, {then}",
            failure.index,
            failure.cause.kind()
        ));
    }

    pub(super) fn fail_answer_too_large(&mut self, worker: WorkerId, work: Work, now: Instant) {
        let message = format!(
            "the line of its answer is longer than --max-record allows, or was begun before the record was \
             sent; {worker} goes on"
        );
        self.fail_work(work, Cause::AnswerTooLarge, message, Some(worker), now);
    }

    /// Puts down that a single record has failed.
    pub(super) fn fail_work(
        &mut self,
        work: Work,
        cause: Cause,
        message: String,
        worker: Option<WorkerId>,
        now: Instant,
    ) {
        debug_assert_eq!(work.remaining(), 1);
        let failure = Failure {
            index: work.first(),
            cause,
            message,
            worker: worker.map(|worker| worker.0),
            attempts: work.sent,
            record: Some(work.block.first_record(self.policy.shape.separator)),
        };
        self.fail(failure, now);
    }
}

/// Whether a line that is no JSON is likely to be text, and not JSON with a mistake in it.
fn is_text(line: &[u8]) -> bool {
    let first = line.trim_ascii_start().first();
    str::from_utf8(line).is_ok() && !matches!(first, Some(b'{' | b'['))
}

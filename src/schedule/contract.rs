//! What the lines protocol asks of a worker: one line for each record, in the same order; and what
//! becomes of records that a worker leaves without an answer, with either protocol.
//!
//! A process that writes more than was asked for is ended, and said to be out of step: which
//! answers are in doubt, and why that may be. That counts as a failure, though no record has
//! failed: it may end the run. What a process still owes at its end fails and is not sent again,
//! for nobody knows what the worker has done with it.

use std::time::Instant;

use super::Scheduler;
use super::action::WorkerId;
use super::doubts::Doubts;
use super::event::{Breach, Event, Trigger};
use super::policy::OnError;
use super::process::{Break, Death, Process};
use crate::outcome::{Lines, Verdict};
use crate::protocol::message::beginning;

impl Scheduler {
    /// An answer came that nothing was asked for.
    pub(super) fn stray(&mut self, worker: WorkerId, line: &[u8], now: Instant) {
        if self
            .process(worker)
            .is_some_and(|process| process.pipes().is_partially_written() && process.is_working())
        {
            // It answered a part of a record for the whole.
            self.terminate_faulty(worker, Verdict::StdinClosed, 0, now);
            self.feed(now);
            return;
        }
        self.break_contract(worker, Breach::StrayLine(beginning(line)), now);
        self.feed(now);
    }

    fn break_contract(&mut self, worker: WorkerId, breach: Breach, now: Instant) {
        let Some(process) = self.process(worker) else {
            return;
        };
        if !process.is_working() {
            return;
        }
        debug_assert!(
            process.owed().is_empty(),
            "a line answers what is owed first"
        );
        let in_doubt = process.audit().in_doubt(Break::TooMany);
        let startup = self.startup(process, now);
        self.stop(worker, now);
        self.count_process(worker, startup, false, Death::by(Verdict::OutOfStep));
        self.note_breach(worker, breach, in_doubt);
        self.count_stray(now);
    }

    /// Counts and tells that a process did not give one answer for each record.
    pub(super) fn note_breach(&mut self, worker: WorkerId, breach: Breach, in_doubt: Doubts) {
        self.tally.protocol_violations += 1;
        self.workers[worker.0].protocol_violations += 1;
        if !self.policy.names_records() {
            self.tally.doubtful += u64::from(!in_doubt.is_empty());
            self.tally.doubts.extend(&in_doubt);
        }
        self.tell(Event::OutOfStep {
            worker,
            breach,
            in_doubt,
        });
    }

    /// A process has ended, and owed nothing when it wrote what stands after its last whole line.
    pub(super) fn note_tail(&mut self, worker: WorkerId, process: &Process, death: &Death) {
        let breach = Breach::Tail(beginning(&death.tail.bytes));
        self.note_breach(worker, breach, process.audit().in_doubt(Break::TooMany));
    }

    /// Counts something that a worker wrote and nothing had asked for as a failure, and ends the
    /// run if it is one too many.
    pub(super) fn count_stray(&mut self, now: Instant) {
        self.tally.strays += 1;
        if self.policy.on_error == OnError::Raise && self.phase.gives_out() {
            self.raise(Trigger::Stray, now);
        } else if self.phase.takes_input() && self.is_last_failure(self.failures()) {
            // What fails from now on has not ended the run.
            self.has_last_failure = true;
            self.drain(Trigger::Stray, now);
        }
    }

    /// A line without its end is an answer where the worker was to finish and exited well.
    pub(super) fn take_last_line(&mut self, worker: WorkerId, death: &mut Death, now: Instant) {
        let Some(process) = self.process(worker) else {
            return;
        };
        let may_be_answer = process.has_seen_end(death.unsent) && self.owed(worker) > 0;
        if may_be_answer && death.exit.is_success() && !death.tail.bytes.is_empty() {
            let mut tail = std::mem::take(&mut death.tail);
            if tail.is_too_long {
                self.answered_too_large(worker, now);
            } else {
                tail.bytes.push(self.policy.shape.separator.byte());
                self.answered(
                    worker,
                    1,
                    Lines::Given {
                        buffer: &mut tail.bytes,
                        from: 0,
                    },
                    now,
                );
            }
        }
    }
}

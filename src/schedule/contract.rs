//! What the lines protocol asks of a worker: one line for each record, in the same order; and what
//! becomes of records that a worker leaves without an answer, with either protocol.
//!
//! A process that writes more than was asked for is ended, and said to be out of step: which
//! answers are in doubt, and why that may be. That counts as a failure, though no record has
//! failed: it may end the run. What a process still owes at its end fails and is not sent again,
//! for nobody knows what the worker has done with it.

use std::time::Instant;

use super::action::Action;
use super::doubts::Doubts;
use super::event::{Breach, Event, Trigger};
use super::ids::WorkerId;
use super::policy::OnError;
use super::process::{Break, Death, Pipe, Process};
use super::{Scheduler, Unsent};
use crate::outcome::Verdict;
use crate::protocol::message::beginning;

impl Scheduler {
    /// An answer came that nothing was asked for.
    pub(super) fn stray(&mut self, worker: WorkerId, line: &[u8], now: Instant) {
        if self
            .process(worker)
            .is_some_and(|process| process.pipes.is_partially_written() && process.is_working())
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
        debug_assert!(process.owed.is_empty(), "a line answers what is owed first");
        let in_doubt = process.audit.in_doubt(Break::TooMany);
        let startup = self.startup(process, now);
        self.stop(worker, now);
        self.count_process(worker, startup, false, Death::by(Verdict::OutOfStep));
        self.note_breach(worker, breach, in_doubt);
        self.count_stray(now);
    }

    /// Counts and tells that a process did not give one answer for each record.
    pub(super) fn note_breach(&mut self, worker: WorkerId, breach: Breach, in_doubt: Doubts) {
        self.outcomes.tally.faults.protocol_violations += 1;
        self.workers[worker.0].restarts.broke_step();
        if !self.policy.names_records() {
            self.outcomes.tally.lasting_faults.protocol_violations +=
                u64::from(!in_doubt.is_empty());
            self.outcomes.tally.doubts.extend(&in_doubt);
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
        self.note_breach(worker, breach, process.audit.in_doubt(Break::TooMany));
    }

    /// Counts something that a worker wrote and nothing had asked for as a failure, and ends the
    /// run if it is one too many.
    pub(super) fn count_stray(&mut self, now: Instant) {
        self.outcomes.tally.faults.strays += 1;
        self.outcomes.tally.lasting_faults.strays += 1;
        if self.policy.failures.on_error == OnError::Raise && self.course.gives_out() {
            self.raise(Trigger::Stray, now);
        } else if self.course.takes_input() && self.has_failed_too_often() {
            // What fails from now on has not ended the run.
            self.course.failed_for_the_last_time();
            self.drain(Trigger::Stray, now);
        }
    }

    /// A process has closed its stdin in the middle of a record: [`Scheduler::hung_up`] is to
    /// follow.
    pub fn record_partially_written(&mut self, worker: WorkerId) {
        if let Some(process) = self.process_mut(worker) {
            process.pipes.wrote_in_part();
        }
    }

    /// A process has closed one of its pipes. The last `unsent` records that it holds are not begun
    /// to be written to it, and are taken back.
    pub fn hung_up(&mut self, worker: WorkerId, pipe: Pipe, unsent: usize, now: Instant) {
        if self.policy.is_for_own_record() {
            // Its exit tells what that means.
            return;
        }
        let separator = self.policy.shape.separator;
        let process = self.process_mut(worker).filter(|process| process.is_working());
        let Some(process) = process else {
            return;
        };
        let back = process.hung_up(pipe, unsent, separator, now);
        back.into_iter().for_each(|work| self.queue.put_back(work));
        self.watch(worker);
        self.feed(now);
    }

    /// Ends a running process that is as good as dead, and deals with what it held.
    pub(super) fn terminate_faulty(
        &mut self,
        worker: WorkerId,
        verdict: Verdict,
        unsent: usize,
        now: Instant,
    ) {
        let process = self.process(worker).expect("only a running process can be found faulty");
        let startup = self.startup(process, now);
        let owed = self.process_mut(worker).expect("it runs").owed.take_all();
        self.stop(worker, now);
        let death = Death {
            unsent,
            ..Death::by(verdict)
        };
        let charged = self.blame(worker, owed, startup, &death, now);
        self.count_process(worker, startup, charged, death);
    }

    /// Tells a process's group to end.
    pub(super) fn stop(&mut self, worker: WorkerId, now: Instant) {
        let kill_at = now + self.policy.limits.grace;
        let process = self.process_mut(worker).expect("only a running process can be stopped");
        debug_assert!(
            process.owed.is_empty(),
            "a process is stopped after its records have been dealt with"
        );
        process.stop(kill_at, kill_at);
        self.actions.push(Action::Terminate(worker));
        self.watch(worker);
    }

    /// A process that has closed a pipe has not exited in time.
    pub(super) fn end_hung_up(&mut self, worker: WorkerId, unsent: Unsent<'_>, now: Instant) {
        let pipes = self.process(worker).and_then(|process| process.pipes.hung_up());
        let verdict = match pipes {
            Some((_, Pipe::Stdout)) => Verdict::StdoutClosed,
            _ => Verdict::StdinClosed,
        };
        self.terminate_faulty(worker, verdict, unsent(worker), now);
    }
}

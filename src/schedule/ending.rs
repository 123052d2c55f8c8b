//! How a run ends: by itself, by a failure that ends it, or by a signal.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::action::Action;
use super::course::{EndReason, Phase};
use super::event::{Event, LimitFound, Outstanding, Trigger, Turn};
use super::ids::WorkerId;
use super::pending::PendingFailures;
use super::policy::{OnError, Readiness};
use super::process::Death;
use super::tally::EarlyEnd;
use super::worker::Worker;
use crate::exit::Status;
use crate::outcome::{Exit, ExitStatus};
use crate::shape::AnswerEnd;

/// A process dies of SIGKILL at once. One that has not after so long, the system itself holds.
const KILLED: Duration = Duration::from_secs(2);

/// A tool that reads on at the end of its input, as exiftool does, is given so long to exit.
const TOOL_EXIT: Duration = Duration::from_secs(1);

impl Scheduler {
    /// A signal asks mtask to end: what was sent comes to an outcome if it can in time. A second
    /// one ends everything at once.
    pub fn interrupt(&mut self, signal: i32, now: Instant) {
        match self.course.phase() {
            Phase::Feeding | Phase::Draining | Phase::Notified(_) => {
                let kill_at = now + self.policy.limits.grace;
                let terminate_at = now + self.policy.limits.grace / 2;
                self.queue.drop_fresh();
                self.queue.drop_put_off_after(terminate_at);
                let outstanding = self.outstanding(now);
                let phase = Phase::Interrupted(signal, terminate_at, kill_at);
                self.turn(
                    phase,
                    Turn::Interrupted {
                        signal,
                        outstanding,
                    },
                );
                self.wake_by(terminate_at);
                self.forgive_judged(now);
                self.feed(now);
            }
            Phase::Interrupted(..) | Phase::Aborted(_) => {
                let phase = Phase::Aborted(EndReason::Signal(signal));
                self.turn(phase, Turn::Cut { signal });
                self.kill_all(now);
                self.finish_if_done();
            }
            Phase::Finished(_) => {
                self.course.turn(Phase::Finished(Some(EndReason::Signal(signal))));
            }
        }
    }

    /// A signal tells that mtask's time will be over: what was sent comes to an outcome, however
    /// long that takes. Where mtask has been told to end before, it asks for that again.
    pub fn notify(&mut self, signal: i32, now: Instant) {
        if !matches!(self.course.phase(), Phase::Feeding | Phase::Draining) {
            self.interrupt(signal, now);
            return;
        }
        self.queue.drop_fresh();
        let outstanding = self.outstanding(now);
        self.turn(
            Phase::Notified(signal),
            Turn::Notified {
                signal,
                outstanding,
            },
        );
        if outstanding.owed == 0 {
            self.throttle.has_told_of_time();
        }
        self.forgive_judged(now);
        self.wake_by(now);
        self.feed(now);
    }

    /// The records that were sent and have no outcome yet, where only those are left.
    pub(super) fn outstanding(&self, now: Instant) -> Outstanding {
        let due = self.queue.together() + self.queue.alone();
        let wait = match (due, self.queue.later()) {
            (0, 0) => None,
            (0, _) => self.queue.next_due(),
            _ => self.brakes.lets_one_through(now).err(),
        };
        Outstanding {
            owed: self.processes().map(|(_, process)| process.owed.records()).sum(),
            waiting: due + self.queue.later(),
            wait: wait.map(|until| until.saturating_duration_since(now)),
        }
    }

    /// Goes on in another way.
    fn turn(&mut self, phase: Phase, turn: Turn) {
        self.course.turn(phase);
        self.tell(Event::Turned(turn));
    }

    /// Nothing can be written any more: everything is stopped.
    pub fn output_failed(&mut self, now: Instant) {
        self.course.output_failed();
        if matches!(self.course.phase(), Phase::Finished(_) | Phase::Aborted(_)) {
            return;
        }
        self.abort(EndReason::OutputFailed, Turn::OutputFailed);
        self.stop_all(now + self.policy.limits.grace, now);
        self.finish_if_done();
    }

    /// A failure ends the run at once.
    pub(super) fn raise(&mut self, trigger: Trigger, now: Instant) {
        self.abort(EndReason::Raised, Turn::Raised(trigger));
        self.kill_all(now);
    }

    /// Nothing that was not sent yet is sent any more.
    pub(super) fn drain(&mut self, trigger: Trigger, now: Instant) {
        if self.course.takes_input() {
            self.turn(Phase::Draining, Turn::Draining(trigger));
            self.queue.drop_fresh();
            self.wake_by(now);
        }
    }

    /// No worker is left.
    fn give_up(&mut self) {
        let (last, stderr) = match self.course.take_last_death() {
            Some(death) => (Some(death.exit), death.stderr),
            None => (None, Vec::new()),
        };
        // Each worker was given up for what COMMAND says before it has ever been ready.
        let may_be_unrunnable =
            self.policy.readiness == Readiness::Announced && self.command.startup_time().is_none();
        let reason = match last.as_ref().and_then(Exit::status) {
            Some(ExitStatus::Code(code @ (126 | 127))) if may_be_unrunnable => {
                EndReason::Unrunnable(*code)
            }
            _ => EndReason::NoWorker,
        };
        self.abort(reason, Turn::NoWorker { last, stderr });
    }

    /// Ends the run, for this reason unless a signal has asked for its end before.
    fn abort(&mut self, reason: EndReason, turn: Turn) {
        let reason = self.course.reason().unwrap_or(reason);
        self.turn(Phase::Aborted(reason), turn);
    }

    /// Goes on with the end of an interrupted run as time passes.
    pub(super) fn interrupted_tick(&mut self, now: Instant) {
        let Phase::Interrupted(signal, terminate_at, kill_at) = self.course.phase() else {
            return;
        };
        if now < terminate_at {
            self.wake_by(terminate_at);
            return;
        }
        let phase = Phase::Aborted(EndReason::Signal(signal));
        self.turn(phase, Turn::Cut { signal });
        self.stop_all(kill_at, now);
    }

    /// Drops all records that are with no process.
    fn forget_waiting(&mut self) {
        self.queue.clear();
        self.outcomes.pending = PendingFailures::default();
    }

    /// Nobody waits for the judgement of a process that has ended.
    fn dismiss_judged(&mut self, now: Instant) {
        for worker in &mut self.workers {
            worker.take_deferred(|_, _| true, now);
        }
    }

    fn kill_all(&mut self, now: Instant) {
        (0..self.workers.len()).for_each(|number| self.kill(WorkerId(number), now));
        self.dismiss_judged(now);
        self.forget_waiting();
    }

    /// How long a process that was killed may take to die. At the end of a run nobody waits long
    /// for what the system itself cannot end. During one, the next process may need what that one
    /// holds.
    pub(super) fn patience_with_killed(&self) -> Duration {
        match self.course.phase() {
            Phase::Feeding | Phase::Draining => self.policy.limits.exit_timeout.max(KILLED),
            _ => KILLED,
        }
    }

    /// A process that was to end cannot be ended, and is not waited for.
    pub fn left_behind(&mut self, worker: WorkerId, now: Instant) {
        self.workers[worker.0].restarts.was_left_behind();
        self.died(worker, Death::by(ExitStatus::Signal(libc::SIGKILL)), now);
    }

    /// Kills the group of a process.
    pub(super) fn kill(&mut self, worker: WorkerId, now: Instant) {
        let until = now + self.patience_with_killed();
        if let Some(process) = self.process_mut(worker) {
            process.killed(until);
            self.actions.push(Action::Kill(worker));
            self.watch(worker);
        }
    }

    /// How long a process may take to exit once it owes nothing and its stdin has ended. A tool whose
    /// answers end with a line has done all by then, and need not know that its input may end.
    pub(super) fn exit_limit(&self) -> Duration {
        let limit = self.policy.limits.exit_timeout;
        match self.policy.shape.answer_end {
            AnswerEnd::Line(_) => limit.min(TOOL_EXIT),
            AnswerEnd::Separator | AnswerEnd::Exit => limit,
        }
    }

    /// A process has not exited within that.
    pub(super) fn end_lingering(&mut self, worker: WorkerId, now: Instant) {
        if !matches!(self.policy.shape.answer_end, AnswerEnd::Line(_)) {
            self.count_bad_end();
            self.tell(Event::ExitOverdue { worker });
        }
        self.stop(worker, now);
    }

    fn stop_all(&mut self, kill_at: Instant, now: Instant) {
        for (number, worker) in self.workers.iter_mut().enumerate() {
            if let Some(process) = worker.process_mut()
                && process.stop(kill_at, kill_at + KILLED)
            {
                self.actions.push(Action::Terminate(WorkerId(number)));
            }
        }
        self.dismiss_judged(now);
        self.forget_waiting();
        self.wake_by(kill_at);
    }

    /// Ends the run once nothing is left to do and no process is left.
    pub(super) fn finish_if_done(&mut self) {
        if matches!(self.course.phase(), Phase::Finished(_)) {
            return;
        }
        if self.course.gives_out() {
            let more_to_come = self.course.takes_input() && self.intake.is_open();
            // Behind a record that is left without an outcome nothing is written.
            let is_stuck = self.course.is_interrupted() && !self.pending_will_move();
            let waits = !self.queue.is_empty() || !(self.outcomes.pending.is_empty() || is_stuck);
            if more_to_come || waits {
                if !self.workers.iter().all(Worker::is_given_up) || self.pending_will_move() {
                    return;
                }
                self.give_up();
            }
        }
        if self.workers.iter().any(|worker| worker.last_process().is_some()) {
            return;
        }
        let reason = self.course.reason();
        self.forget_waiting();
        self.outcomes.order.cut_at_gap();
        self.check_that_nothing_is_lost(reason);
        self.note_early_end(reason);
        self.note_too_many(reason);
        self.turn(Phase::Finished(reason), Turn::Finished);
        self.actions.push(Action::Finish);
    }

    /// Law 1, on each run: a run that was not cut short has as many outcomes as records.
    fn check_that_nothing_is_lost(&mut self, reason: Option<EndReason>) {
        let is_complete = reason.is_none() && self.course.takes_input();
        let (outcomes, read) = (self.outcomes.order.outcomes(), self.intake.seen());
        if is_complete && (outcomes != read || self.outcomes.order.in_turn() != read) {
            self.course.lost_records();
            self.tell(Event::Lost { read, outcomes });
        }
    }

    /// Tells that too many failed, where that shows only at the end.
    fn note_too_many(&mut self, reason: Option<EndReason>) {
        if reason.is_none() && !self.course.has_last_failure() && self.too_many_failed() {
            let (failures, outcomes) = self.outcomes.tally.failures_and_outcomes();
            self.tell(Event::TooManyFailures {
                failures,
                outcomes,
                found: LimitFound::AtTheEnd,
            });
        }
    }

    /// Counts a process that failed after it had answered everything.
    pub(super) fn count_bad_end(&mut self) {
        self.outcomes.tally.faults.bad_ends += 1;
        self.outcomes.tally.lasting_faults.bad_ends += u64::from(!self.course.is_interrupted());
    }

    /// Counts what has no outcome in a run that was cut short. Where the output failed, nobody
    /// knows.
    fn note_early_end(&mut self, reason: Option<EndReason>) {
        let is_whole = reason.is_none() && self.course.takes_input();
        if is_whole || self.course.has_output_failed() {
            return;
        }
        // Who sends a signal knows that input is left.
        let is_told = matches!(reason, Some(EndReason::Signal(_)));
        self.outcomes.tally.early_end = Some(EarlyEnd {
            records: self.intake.seen() - self.outcomes.order.in_turn(),
            is_input_left: self.intake.is_open() && !is_told,
        });
    }

    /// Whether records have no outcome at the end of a whole run: a fault of mtask.
    pub fn has_lost_records(&self) -> bool {
        self.course.has_lost_records()
    }

    /// The exit status so far, as far as records and workers decide it.
    pub fn status(&self) -> Status {
        let reason = self.course.reason();
        let by_reason = match reason {
            Some(EndReason::Signal(signal)) => Status::Signal(signal),
            Some(EndReason::NoWorker) => Status::NoWorker,
            Some(EndReason::Unrunnable(126)) => Status::NotExecutable,
            Some(EndReason::Unrunnable(_)) => Status::NotFound,
            Some(EndReason::Raised) => Status::RecordFailed,
            Some(EndReason::OutputFailed) | None => Status::Success,
        };
        let failures = self.outcomes.tally.earlier.failures() + self.outcomes.tally.failures();
        // A limit that was reached is never ignored: records are left without an outcome.
        let counts = self.policy.failures.on_error != OnError::Ignore
            || self.course.has_last_failure()
            || self.too_many_failed();
        let a_record_failed = failures > 0 && counts;
        let earlier = self.outcomes.tally.earlier.worker_faults;
        let a_worker_failed = self.outcomes.tally.faults.bad_ends > 0 || earlier.bad_ends > 0;
        let out_of_step =
            self.outcomes.tally.faults.protocol_violations > 0 || earlier.protocol_violations > 0;
        let by_records = if out_of_step && !self.policy.names_records() {
            Status::InDoubt
        } else if a_record_failed || a_worker_failed || out_of_step {
            Status::RecordFailed
        } else {
            Status::Success
        };
        let by_count = if self.course.has_lost_records() {
            Status::Fault
        } else {
            Status::Success
        };
        by_reason.worst(by_records).worst(by_count)
    }
}

//! When the check of a worker's answers goes on (see `process/audit`), and what it does then.

use std::time::Instant;

use super::Scheduler;
use super::deadline::Deadline;
use super::event::{Asking, Event};
use super::ids::WorkerId;
use super::policy::{Delivery, Window};
use super::process::{Asked, AuditState, REMINDER};

impl Scheduler {
    /// Begins a check of this worker's process if it is time for one.
    pub(super) fn audit_if_due(&mut self, worker: WorkerId, now: Instant) {
        // Ids cannot be shifted, and a worker that collects several records before it answers
        // cannot run empty.
        let answers_each = match self.policy.window {
            _ if self.policy.names_records() => false,
            Window::Auto => true,
            Window::Records(records) => records.get() == 1,
            Window::Full => false,
        };
        if answers_each && self.process(worker).is_some_and(|process| process.may_be_checked(now)) {
            self.let_run_empty(worker);
            self.audit_answered(worker, now);
        }
    }

    /// Sends a process nothing before it owes nothing.
    pub(super) fn let_run_empty(&mut self, worker: WorkerId) {
        let patience = self.process(worker).and_then(|process| self.patience_with(process));
        if let Some(process) = self.process_mut(worker) {
            process.begin_check(patience.unwrap_or_else(|| process.patience()));
        }
    }

    /// Goes on with a check after answers.
    pub(super) fn audit_answered(&mut self, worker: WorkerId, now: Instant) {
        let is_stuck = self.throttle.is_stderr_stuck();
        let Some(process) = self.process_mut(worker) else {
            return;
        };
        process.go_on_with_check(now);
        if is_stuck {
            // No clock runs that could end a watch.
            process.audit.leave_unwatched(now);
        }
        self.watch_for(worker, Deadline::Check);
    }

    /// Sends one record, if one waits, to a process that owes some and may owe more. A process that
    /// holds a record alone is not checked, and so never gets here.
    fn probe(&mut self, worker: WorkerId, now: Instant) -> bool {
        let process = self.process(worker).expect("only a running process is checked");
        let may_owe_more =
            self.policy.window == Window::Auto && self.policy.delivery == Delivery::AtLeastOnce;
        if !may_owe_more
            || process.pipes.hung_up().is_some()
            || process.is_reserved()
            || self.is_spent(process)
        {
            return false;
        }
        if let Err(until) = self.brakes.lets_one_through(now) {
            self.wake_by(until);
            return false;
        }
        let Some(work) = self.queue.pop(1, usize::MAX, &[]) else {
            return false;
        };
        self.send(worker, work, now);
        true
    }

    /// Whether nothing can go on before this process answers: what is behind its record fills the
    /// budget, so that there is not even a record to probe it with.
    fn is_in_the_way(&self, worker: WorkerId, now: Instant) -> bool {
        let process = self.process(worker).expect("only a running process is checked");
        self.policy.window == Window::Auto
            && self.policy.delivery == Delivery::AtLeastOnce
            && self.budget.has_waiter()
            && process.age(now) >= REMINDER
    }

    /// Closes a process's stdin: only there does it show whether it still means to answer.
    pub(super) fn ask_by_end(&mut self, worker: WorkerId, now: Instant) {
        let process = self.process(worker).expect("only a running process is asked");
        let (waited, had_answered) = (process.age(now), process.is_ready());
        if let Some(index) = process.owed.oldest() {
            let asking = match had_answered {
                true => Asking::Skipped(index),
                false => Asking::Unanswered(index, waited),
            };
            self.tell(Event::Asked { worker, asking });
        }
        self.note_asked(
            worker,
            Asked::Silent {
                waited,
                had_answered,
            },
        );
        self.close_stdin(worker, now);
    }

    /// Goes on with a check though nothing was answered in time.
    pub(super) fn go_on_with_check(&mut self, worker: WorkerId, now: Instant) {
        let process = self.process_mut(worker).expect("only a running process is checked");
        match process.audit.state() {
            AuditState::Off | AuditState::Probing(_) => {}
            AuditState::Watching(_) => {
                process.audit.passed();
                self.workers[worker.0].restarts.kept_step();
            }
            // Without a record at hand the next look after one has come tries again.
            AuditState::RunningEmpty if self.probe(worker, now) => {
                self.process_mut(worker).expect("it runs").audit.probed(now);
            }
            AuditState::RunningEmpty if !self.is_in_the_way(worker, now) => {}
            AuditState::RunningEmpty | AuditState::Doubting => self.ask_by_end(worker, now),
        }
    }
}

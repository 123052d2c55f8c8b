//! When the check of a worker's answers goes on (see `process/audit`), and what it does then.

use std::time::Instant;

use super::Scheduler;
use super::action::WorkerId;
use super::event::{Asking, Event};
use super::policy::{Delivery, Window};
use super::process::{Asked, AuditState, Process, REMINDER};

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
        let Some(process) = self.process_mut(worker) else {
            return;
        };
        if answers_each && process.may_be_checked(now) {
            process.begin_check();
            self.audit_answered(worker, now);
        }
    }

    /// When a process that answers nothing is checked out of turn: it may have skipped the record
    /// it owes, and wait for the next one.
    pub(super) fn audit_deadline(&self, process: &Process) -> Option<Instant> {
        let may_check = !self.policy.names_records()
            && self.policy.window == Window::Auto
            && self.policy.delivery == Delivery::AtLeastOnce
            && process.is_serving()
            && process.audit.state() == AuditState::Off
            && process.is_ready()
            && !process.owed.holds_alone()
            && !process.owed.is_empty();
        may_check.then(|| process.owed.clock() + process.patience())
    }

    /// When a process is asked, by the end of its stdin, whether it has skipped the record it owes:
    /// the last resort, where no further record may show it or none has shown it.
    pub(super) fn silence_deadline(&self, process: &Process) -> Option<Instant> {
        let may_wait_for_more = match self.policy.window {
            _ if !self.policy.facts().may_collect => false,
            Window::Auto => false,
            Window::Records(records) => process.owed.records() < records.get(),
            Window::Full => true,
        };
        let limit = self.silence_limit(process)?;
        let may_ask = process.is_serving() && !process.owed.is_empty() && !may_wait_for_more;
        may_ask.then(|| process.silent_since() + limit)
    }

    /// Goes on with a check after answers.
    pub(super) fn audit_answered(&mut self, worker: WorkerId, now: Instant) {
        let is_stuck = self.unread_since.is_some();
        let Some(process) = self.process_mut(worker) else {
            return;
        };
        process.go_on_with_check(now);
        if is_stuck {
            // No clock runs that could end a watch.
            process.audit.leave_unwatched(now);
        }
        if let Some(at) = process.audit.goes_on_at(process.owed.clock()) {
            self.wake_by(at);
        }
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
    fn ask_by_end(&mut self, worker: WorkerId, now: Instant) {
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

    /// Goes on with a check as time passes.
    pub(super) fn audit_tick(&mut self, worker: WorkerId, now: Instant) {
        let Some(process) = self.process_mut(worker) else {
            return;
        };
        if !process.is_serving() || process.is_paused() {
            return;
        }
        if self.audit_deadline(self.process(worker).expect("it runs")).is_some_and(|at| now >= at) {
            self.process_mut(worker).expect("it runs").begin_check();
        }
        let process = self.process(worker).expect("it runs");
        let at = process.audit.goes_on_at(process.owed.clock());
        match process.audit.state() {
            _ if at.is_some_and(|at| now < at) => self.wake_by(at.unwrap_or(now)),
            AuditState::Off | AuditState::Probing(_) => {}
            AuditState::Watching(_) => {
                self.process_mut(worker).expect("it runs").audit.passed();
                self.workers[worker.0].restarts.kept_step();
            }
            AuditState::RunningEmpty => {
                // Without a record at hand the next tick after one has come tries again.
                if self.probe(worker, now) {
                    self.process_mut(worker).expect("it runs").audit.probed(now);
                } else if self.is_in_the_way(worker, now) {
                    self.ask_by_end(worker, now);
                }
            }
            AuditState::Doubting => self.ask_by_end(worker, now),
        }
        let silence = self.process(worker).and_then(|process| self.silence_deadline(process));
        if silence.is_some_and(|at| now >= at) {
            self.ask_by_end(worker, now);
        }
    }
}

//! Deaths by a hand from outside: a batch system or a container runtime that ends a run signals all
//! of its processes, in no order that could be relied on.
//!
//! Always: a death that would leave an outcome leaves it only once mtask might have been signalled
//! too, and has not been. After a signal that ends the run no death and no limit leaves one: what
//! such a process held is sent once more, alone, and is then left to a run that goes on with this
//! one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Scheduler;
use super::action::WorkerId;
use super::event::Moment;
use super::policy::{Delivery, Window};
use super::process::{Death, Process};
use super::queue::{Isolation, Work};
use super::worker::State;
use crate::outcome::{Exit, ExitStatus};
use crate::protocol::stdout::Tail;

/// A death that something depends on is judged this much later: mtask may be about to get the
/// signal that the worker got.
const JUDGED_LATER: Duration = Duration::from_millis(200);

impl Scheduler {
    /// mtask got this signal, which does not end the run.
    pub fn signalled(&mut self, signal: i32, now: Instant) {
        self.signalled = Some((signal, now));
        self.forgive_judged(now);
        self.feed(now);
    }

    /// Deals with the end of a process that was of use.
    pub(super) fn judge_or_wait(
        &mut self,
        worker: WorkerId,
        mut process: Box<Process>,
        death: Death,
        now: Instant,
    ) {
        process.died(now);
        if self.phase.is_interrupted() {
            self.outlive(worker, *process, death, now);
        } else if self.is_forgiven(&process, &death, now) {
            self.forgive(worker, *process, &death, now);
        } else if is_signal_for_groups(&death.exit) || self.may_leave_outcome(&process, &death, now)
        {
            self.judge_silence(worker, &process, now);
            self.workers[worker.0].state = State::DeferredExit(process, death, now + JUDGED_LATER);
            self.wake_by(now + JUDGED_LATER);
        } else {
            self.judge_silence(worker, &process, now);
            self.judge(worker, *process, death, now);
        }
    }

    /// Passes judgement on a process whose time has come.
    pub(super) fn judge_tick(&mut self, worker: WorkerId, now: Instant) {
        let seat = &mut self.workers[worker.0];
        match std::mem::replace(&mut seat.state, State::Vacant(now)) {
            State::DeferredExit(process, death, at) if now >= at => {
                self.judge(worker, *process, death, now);
                // The wait for the next process has begun with this one's end.
                if let State::Vacant(from) = &mut self.workers[worker.0].state {
                    *from = from.checked_sub(JUDGED_LATER).unwrap_or(now);
                }
            }
            State::DeferredExit(process, death, at) => {
                seat.state = State::DeferredExit(process, death, at);
                self.wake_by(at);
            }
            other => seat.state = other,
        }
    }

    /// mtask was signalled: processes that have just died of that have not failed.
    pub(super) fn forgive_judged(&mut self, now: Instant) {
        for number in 0..self.workers.len() {
            let worker = WorkerId(number);
            match std::mem::replace(&mut self.workers[number].state, State::Vacant(now)) {
                State::DeferredExit(process, death, _) if self.phase.is_interrupted() => {
                    self.outlive(worker, *process, death, now);
                }
                State::DeferredExit(process, death, _)
                    if self.is_forgiven(&process, &death, now) =>
                {
                    self.forgive(worker, *process, &death, now);
                }
                other => self.workers[number].state = other,
            }
        }
    }

    /// A limit or an answer is of no account any more: what it was about has no outcome in this
    /// run.
    pub(super) fn is_beyond_blame(&self) -> bool {
        self.phase.is_interrupted()
    }

    /// Has what a process held that ended after mtask was told to end sent once more, alone, or
    /// left without an outcome. Of the last `unsent` records no byte was written.
    pub(super) fn send_once_more(
        &mut self,
        worker: WorkerId,
        mut owed: VecDeque<Work>,
        unsent: usize,
    ) {
        self.take_back(&mut owed, unsent);
        let is_full = self.policy.window == Window::Full;
        for work in owed {
            let was_again = match is_full {
                true => work.sent > 1,
                false => work.isolation == Isolation::Alone,
            };
            if was_again || self.policy.delivery == Delivery::AtMostOnce {
                continue;
            }
            let isolation = if is_full {
                work.isolation
            } else {
                Isolation::Alone
            };
            self.tell_again(worker, &work);
            self.queue.put_back(Work { isolation, ..work });
        }
    }

    /// A process ended after mtask was told to end, for whatever reason. That fails no record.
    fn outlive(&mut self, worker: WorkerId, mut process: Process, mut death: Death, now: Instant) {
        if process.owed().is_empty() && process.has_seen_end(death.unsent) {
            // How it has left is told, and is forgotten with this run; its last words are no
            // answer.
            death.tail = Tail::default();
            self.judge(worker, process, death, now);
            return;
        }
        self.tell_end(worker, &death, Moment::Excused);
        let startup = self.startup(&process, now);
        let owed = process.take_owed();
        self.send_once_more(worker, owed, death.unsent);
        self.count_process(worker, startup, false, death);
        self.replace(worker, now);
    }

    /// Whether a process died of a signal that mtask got as well, and the run goes on with what it
    /// held.
    fn is_forgiven(&self, process: &Process, death: &Death, now: Instant) -> bool {
        let is_same = |(signal, at): (i32, Instant)| {
            death.exit == ExitStatus::Signal(signal).into() && now <= at + JUDGED_LATER
        };
        let may_go_on = self.policy.delivery == Delivery::AtLeastOnce || process.owed().is_empty();
        self.signalled.is_some_and(is_same) && may_go_on
    }

    /// A process was killed along with mtask: nobody is charged, and what it held is sent again.
    fn forgive(&mut self, worker: WorkerId, mut process: Process, death: &Death, now: Instant) {
        self.tell_end(worker, death, Moment::Excused);
        let mut owed = process.take_owed();
        self.take_back(&mut owed, death.unsent);
        for work in owed {
            self.tell_again(worker, &work);
            self.queue.put_back(work);
        }
        self.workers[worker.0].vacate(now);
    }

    /// Whether judgement on this death may fail a record or count against the run.
    fn may_leave_outcome(&self, process: &Process, death: &Death, now: Instant) -> bool {
        let is_over = process.has_seen_end(death.unsent);
        let is_well = death.exit.is_success();
        if process.owed().is_empty() {
            return is_over && !(is_well && death.tail.bytes.is_empty());
        }
        let is_full = self.policy.window == Window::Full;
        let is_again =
            |work: &Work| work.isolation == Isolation::Alone || (is_full && work.sent > 1);
        let may_be_charged =
            self.startup(process, now).is_proof() && process.owed().iter().any(is_again);
        (is_over && is_well) || self.policy.delivery == Delivery::AtMostOnce || may_be_charged
    }
}

fn is_signal_for_groups(exit: &Exit) -> bool {
    matches!(
        exit,
        Exit::Status(ExitStatus::Signal(
            libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGUSR1 | libc::SIGUSR2
        ))
    )
}

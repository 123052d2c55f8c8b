//! What the user is told of time that passes, records that take too long, and times in which no
//! clock runs.

use std::time::{Duration, Instant};

use super::event::{Event, Expiry, Overdue};
use super::ids::WorkerId;
use super::worker::Worker;
use super::{Scheduler, Unsent};
use crate::outcome::Verdict;

impl Scheduler {
    /// Names a process that has not said for long that it is up.
    pub(super) fn remind_of_start(&mut self, worker: WorkerId, now: Instant) {
        let process = self.process(worker).expect("only a running process is awaited");
        let age = now.saturating_duration_since(process.start.since());
        let expiry = self.expiry(process);
        self.process_mut(worker).expect("it runs").silence.reminded(age);
        self.tell(Event::StartAwaited {
            worker,
            age,
            expiry,
        });
    }

    /// The oldest record of a process has not been answered in time.
    pub(super) fn expire(&mut self, worker: WorkerId, unsent: Unsent<'_>, now: Instant) {
        let process = self.process(worker).expect("only a running process can be late");
        let (unsent_now, owed) = (unsent(worker), process.owed.records());
        let verdict = match self.expiry(process) {
            // It takes no records: none can have taken it too long.
            Expiry::Record if unsent_now >= owed => Verdict::StdinClosed,
            Expiry::Record => return self.time_out(worker, unsent, now),
            Expiry::Start => Verdict::NotReady(self.policy.limits.init_timeout.unwrap_or_default()),
        };
        self.terminate_faulty(worker, verdict, unsent_now, now);
    }

    /// Tells of a record that has been waited for long, or that nothing has come of its process.
    pub(super) fn remind(&mut self, worker: WorkerId, is_first: bool, now: Instant) {
        let process = self.process(worker).expect("only a running process is waited for");
        let age = process.age(now);
        let Some(index) = process.owed.awaited() else {
            return;
        };
        let overdue = Overdue {
            worker,
            index,
            age,
            is_first,
            reading: process.silence.reading(),
            expiry: self.told_expiry(process),
            is_full: self.budget.is_full() || self.budget.has_waiter(),
        };
        let process = self.process_mut(worker).expect("it runs");
        match is_first {
            true => process.silence.hinted(),
            false => process.silence.reminded(age),
        }
        self.tell(Event::Overdue(overdue));
    }

    /// Whether what workers write to stderr is read. While it is not, because nobody takes it from
    /// mtask, a worker may be stuck in writing it: no clock runs.
    pub fn reads_stderr(&mut self, reads: bool, now: Instant) {
        let was_stuck = self.throttle.is_stderr_stuck();
        let since = self.throttle.reads_stderr(reads, now);
        if was_stuck != reads {
            return;
        }
        for process in self.workers.iter_mut().filter_map(Worker::process_mut) {
            match since {
                Some(since) => process.stand_still(now.saturating_duration_since(since), now),
                None => process.audit.leave_unwatched(now),
            }
        }
        self.wake_by(now);
    }

    /// Whether it was last told that what workers write to stderr is not read.
    pub fn leaves_stderr(&self) -> bool {
        self.throttle.is_stderr_stuck()
    }

    /// mtask and its workers were stopped for so long: no clock has run.
    pub fn was_suspended(&mut self, pause: Duration, now: Instant) {
        for process in self.workers.iter_mut().filter_map(Worker::process_mut) {
            process.was_suspended(pause, now);
        }
        self.throttle.was_suspended(pause, now);
        self.course.was_suspended(pause);
        self.intake.was_suspended(pause, now);
        self.command.was_suspended(pause, now);
        self.wake_by(now);
    }

    /// mtask was stopped for a time that is not known, if at all: all clocks start anew. The grace
    /// of a signal does not, for that might go on for ever.
    pub fn was_stopped(&mut self, now: Instant) {
        let (kill_at, leave_at) = (
            now + self.policy.limits.grace,
            now + self.patience_with_killed(),
        );
        for process in self.workers.iter_mut().filter_map(Worker::process_mut) {
            process.was_stopped(kill_at, leave_at, now);
        }
        self.wake_by(now);
    }
}

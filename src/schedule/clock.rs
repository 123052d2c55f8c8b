//! What the user is told of time that passes, records that take too long, and times in which no
//! clock runs.

use std::time::{Duration, Instant};

use super::action::WorkerId;
use super::ending::Phase;
use super::event::{Event, Expiry, Overdue};
use super::{Scheduler, Unsent};
use crate::outcome::Verdict;

/// Later processes may take so many times as long to be ready as the first one did.
const START_FACTOR: u32 = 3;
const SHORTEST_START: Duration = Duration::from_secs(1);

impl Scheduler {
    /// How long processes take to be ready at most, as far as this run or an earlier one knows.
    pub(super) fn known_start(&self) -> Option<Duration> {
        self.startup_time.or(self.earlier_startup_time)
    }

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
            Expiry::Start => Verdict::NotReady(self.policy.init_timeout.unwrap_or_default()),
        };
        self.terminate_faulty(worker, verdict, unsent_now, now);
    }

    /// Tells of a record that has been waited for long, or that nothing has come of its process.
    pub(super) fn remind(&mut self, worker: WorkerId, is_first: bool, now: Instant) {
        let process = self.process(worker).expect("only a running process is waited for");
        let age = process.age(now);
        let Some(index) = process.owed.oldest() else {
            return;
        };
        let overdue = Overdue {
            worker,
            index,
            age,
            is_first,
            reading: process.silence.reading(),
            expiry: self.expiry(process),
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
        match (self.unread_since, reads) {
            (None, false) => {
                self.unread_since = Some(now);
                for worker in &mut self.workers {
                    if let Some(process) = worker.process_mut() {
                        process.audit.leave_unwatched(now);
                    }
                }
                self.wake_by(now);
            }
            (Some(since), true) => {
                self.unread_since = None;
                for worker in &mut self.workers {
                    if let Some(process) = worker.process_mut() {
                        process.stand_still(now.saturating_duration_since(since), now);
                    }
                }
                self.wake_by(now);
            }
            _ => {}
        }
    }

    /// mtask and its workers were stopped for so long: no clock has run.
    pub fn was_suspended(&mut self, pause: Duration, now: Instant) {
        for worker in &mut self.workers {
            if let Some(process) = worker.process_mut() {
                process.was_suspended(pause, now);
            }
        }
        if let Phase::Interrupted(signal, terminate_at, kill_at) = self.phase {
            self.phase = Phase::Interrupted(signal, terminate_at + pause, kill_at + pause);
        }
        self.moved_at = (self.moved_at + pause).min(now);
        self.none_at_hand_since = (self.none_at_hand_since).map(|since| (since + pause).min(now));
        self.wake_by(now);
    }

    /// mtask was stopped for a time that is not known, if at all: all clocks start anew. The grace
    /// of a signal does not, for that might go on for ever.
    pub fn was_stopped(&mut self, now: Instant) {
        let leave_after = self.patience_with_killed();
        for worker in &mut self.workers {
            if let Some(process) = worker.process_mut() {
                process.was_stopped(now + self.policy.grace, now + leave_after, now);
            }
        }
        self.wake_by(now);
    }
}

/// How long a process may take to start where the slowest so far took `learnt`.
pub(super) fn ample_start(learnt: Duration) -> Duration {
    (learnt * START_FACTOR).max(SHORTEST_START)
}

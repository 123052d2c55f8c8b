//! Where suspects go: each alone, to a process that holds nothing else and is ready.
//!
//! A process that was never ready may die of itself, whatever it is given. So a suspect waits for
//! one that is ready, as long as there is one. Where there is none it opens a process, after the
//! other records, and nothing is held against it if that dies: the next ones have to stand a trial
//! (`trial`). Before COMMAND has been ready anywhere, a suspect also waits for a record to come
//! that may show that it can be, but not for long.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::process::{AuditState, Process};
use super::queue::Work;

/// For how long suspects wait for another record to come.
const WAIT_FOR_ANOTHER: Duration = Duration::from_secs(5);
/// How often it is looked meanwhile whether the reader of the input has come to wait for bytes.
const LOOK: Duration = Duration::from_millis(100);

impl Scheduler {
    /// Gives records that must be alone to processes that hold nothing else.
    pub(super) fn feed_alone(&mut self, now: Instant) {
        while self.queue.has_alone() {
            if let Err(until) = self.brakes.lets_one_through(now) {
                self.wake_by(until);
                return;
            }
            let is_let = |worker| self.brakes.lets_one_through_to(worker, now).is_ok();
            let free_and_ready = (self.processes())
                .filter(|(_, process)| self.is_ready(process) && is_free(process))
                .filter(|(worker, _)| is_let(*worker))
                .min_by_key(|(_, process)| process.reputation.errors())
                .map(|(worker, _)| worker);
            if let Some(worker) = free_and_ready {
                if let Some(work) = self.queue.pop_alone(|_| true) {
                    self.send(worker, work, now);
                }
                continue;
            }
            if self.processes().any(|(_, process)| self.is_ready(process)) {
                self.wake_for_alone(now);
                self.reserve_one(now);
                return;
            }
            if !self.open_one(now) {
                self.wake_for_alone(now);
                return;
            }
        }
        for worker in &mut self.workers {
            if let Some(process) = worker.process_mut() {
                process.reserve(false);
            }
        }
    }

    /// Where free workers may begin nothing before some time, looks again then.
    fn wake_for_alone(&mut self, now: Instant) {
        let times = (self.processes())
            .filter(|(_, process)| is_free(process))
            .filter_map(|(worker, _)| self.brakes.lets_one_through_to(worker, now).err());
        if let Some(at) = times.min() {
            self.wake_by(at);
        }
    }

    /// Has a suspect open a process, for none is ready. Gives whether one does.
    fn open_one(&mut self, now: Instant) -> bool {
        let opens = |process: &Process| {
            let serves = process.is_serving() && !process.is_ready();
            serves && !process.owed.is_empty() && !process.owed.holds_alone()
        };
        if self.command.awaits_ready()
            || self.awaits_another(now)
            || self.processes().any(|(_, process)| opens(process))
        {
            return false;
        }
        let takes = |process: &Process| {
            self.may_serve(process) && is_free(process) && !self.awaits_ready_of(process)
        };
        let is_let = |worker| self.brakes.lets_one_through_to(worker, now).is_ok();
        let free = self.processes().filter(|(worker, process)| takes(process) && is_let(*worker));
        let pair = free.into_iter().find_map(|(worker, _)| {
            let suits = |work: &&Work| may_open(work) && !self.is_behind(work);
            let work = self.queue.those_alone().find(suits)?;
            Some((worker, work.block.first))
        });
        let Some((worker, first)) = pair else {
            return false;
        };
        if let Some(work) = self.queue.pop_alone(|work| work.block.first == first) {
            self.send(worker, work, now);
        }
        true
    }

    /// Whether others are to open a process before a suspect does: those that were there before it
    /// was one.
    fn is_behind(&self, work: &Work) -> bool {
        self.command.known_start().is_some() && self.queue.has_before(work.behind)
    }

    /// Whether no suspect is to open a process, for another record may still show that COMMAND can
    /// be ready: one is at hand, or may be about to come.
    fn awaits_another(&mut self, now: Instant) -> bool {
        if self.command.known_start().is_some() {
            return false;
        }
        if self.queue.together() > 0 {
            self.command.others_at_hand();
            return true;
        }
        let until = self.command.none_at_hand(now) + WAIT_FOR_ANOTHER;
        if now >= until || self.input_is_over() {
            return false;
        }
        self.wake_by(until.min(now + LOOK));
        true
    }

    /// Whether all that is held are suspects that wait for COMMAND to be ready for the first time,
    /// and the others, which could show that it can be, do not fit beside them. One more is read
    /// all the same: so there are never more of them than processes that died, and those have a
    /// limit.
    pub(super) fn starves(&self) -> bool {
        let has_others = || {
            let mut processes = self.processes();
            self.queue.together() > 0
                || processes
                    .any(|(_, process)| !process.owed.is_empty() && !process.owed.holds_alone())
        };
        self.command.known_start().is_none()
            && self.queue.has_alone()
            && self.takes_input()
            && self.intake.is_open()
            && self.budget.has_waiter()
            && !has_others()
    }

    /// Leaves one process to run empty, for the records that must be alone.
    fn reserve_one(&mut self, now: Instant) {
        let ready = || self.processes().filter(|(_, process)| self.is_ready(process));
        if ready().any(|(_, process)| process.is_reserved() || process.owed.holds_alone()) {
            return;
        }
        let soonest = ready()
            .min_by(|(_, a), (_, b)| a.next_answer(now).total_cmp(&b.next_answer(now)))
            .map(|(worker, _)| worker);
        if let Some(process) = soonest.and_then(|worker| self.process_mut(worker)) {
            process.reserve(true);
        }
    }
}

/// Whether a process can take a record that must be alone.
fn is_free(process: &Process) -> bool {
    process.owed.is_empty() && !matches!(process.audit.state(), AuditState::Watching(_))
}

/// Whether a record that must be alone may open a process. Once it was charged that would be a try
/// more than `--retries` allows, as its death would not count.
pub(super) fn may_open(work: &Work) -> bool {
    work.charged == 0
}

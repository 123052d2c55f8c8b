//! What happens because time has passed.

use std::time::{Duration, Instant};

use super::action::{Action, WorkerId};
use super::ending::Phase;
use super::event::{Event, Expiry, Overdue};
use super::policy::Window;
use super::process::{HINT, Process, Stage};
use super::{Scheduler, Unsent};
use crate::outcome::Verdict;

/// Later processes may take so many times as long to be ready as the first one did.
const START_FACTOR: u32 = 3;
const SHORTEST_START: Duration = Duration::from_secs(1);

impl Scheduler {
    /// When [`Scheduler::tick`] is to be called next, if no other event comes before.
    pub fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// Whether a limit runs that time alone brings to its end, and that means something for a
    /// record or a worker.
    pub fn is_timed(&self) -> bool {
        let limits = self.policy.timeout.or(self.policy.init_timeout).is_some();
        let is_timed = |process: &Process| match process.stage() {
            Stage::Serving => limits && (!process.owed.is_empty() || self.awaits_ready_of(process)),
            Stage::Closing(_) | Stage::Stopping(_) => true,
            Stage::Killed(_) => false,
        };
        (self.workers.iter()).filter_map(super::Worker::process).any(is_timed)
    }

    /// Time has passed. Everything that workers had written by `now` must have been reported.
    pub fn tick(&mut self, unsent: Unsent<'_>, now: Instant) {
        if self.wake_at.is_none_or(|at| now < at) {
            return;
        }
        self.wake_at = None;
        self.interrupted_tick(now);
        self.feed_the_starved(now);
        for number in 0..self.workers.len() {
            let worker = WorkerId(number);
            self.judge_deferred(worker, now);
            if let Some(at) = self.workers[number].judged_at() {
                self.wake_by(at);
            }
            let Some(process) = self.process(worker) else {
                continue;
            };
            match process.stage() {
                Stage::Serving | Stage::Closing(_) if self.unread_since.is_some() => {}
                Stage::Serving | Stage::Closing(_) => {
                    self.end_trial(worker, now);
                    self.remind_of_start(worker, now);
                    self.watch_start(worker);
                    self.watch_oldest(worker);
                    self.expire(worker, unsent, now);
                    self.hang_up_tick(worker, unsent, now);
                    self.audit_tick(worker, now);
                    self.remind(worker, now);
                    self.show_end(worker, now);
                    self.expire_closing(worker, now);
                }
                Stage::Stopping(kill_at) if now >= kill_at => {
                    self.actions.push(Action::Kill(worker));
                    let until = now + self.patience_with_killed();
                    let process = self.workers[number].process_mut().expect("it runs");
                    process.killed(until);
                    self.wake_by(until);
                }
                Stage::Killed(until) if now >= until => self.actions.push(Action::Leave(worker)),
                Stage::Stopping(at) | Stage::Killed(at) => self.wake_by(at),
            }
        }
        self.feed(now);
    }

    /// Sets the deadlines of the oldest record that a process owes.
    pub(super) fn watch_oldest(&mut self, worker: WorkerId) {
        let Some(process) = self.process(worker) else {
            return;
        };
        if process.owed.is_empty() || process.is_paused() || self.unread_since.is_some() {
            return;
        }
        let clock = process.owed.clock();
        let expiry = self.deadline(process).map(|(at, _)| at);
        let hint = (!process.is_ready() && !process.silence.was_hinted()).then(|| clock + HINT);
        let reminder = clock + process.silence.next_reminder();
        let audit = self.audit_deadline(process);
        let silence = self.silence_deadline(process);
        let flush = self.flush_deadline(process);
        for at in [expiry, hint, Some(reminder), audit, silence, flush].into_iter().flatten() {
            self.wake_by(at);
        }
    }

    /// Until when the oldest record must be answered, and what it means if it is not.
    fn deadline(&self, process: &Process) -> Option<(Instant, Expiry)> {
        let expiry = self.expiry(process);
        let at = match expiry {
            Expiry::Record => self.up_by(process) + self.policy.timeout?,
            Expiry::Start => process.owed.clock() + self.policy.init_timeout?,
        };
        Some((at, expiry))
    }

    /// Which limit holds for a process's oldest record.
    fn expiry(&self, process: &Process) -> Expiry {
        let is_start_known = self.known_start().is_some() && self.policy.timeout.is_some();
        match process.is_ready() || is_start_known {
            true => Expiry::Record,
            false => Expiry::Start,
        }
    }

    /// Until when a process that is sent nothing before it has said that it is up must have said
    /// so, and how long that is.
    fn start_deadline(&self, process: &Process) -> Option<(Instant, Duration)> {
        if !self.awaits_ready_of(process) || !self.awaits_ready || !process.is_serving() {
            return None;
        }
        let limit = match self.expiry(process) {
            Expiry::Record => ample_start(self.known_start()?) + self.policy.timeout?,
            Expiry::Start => self.policy.init_timeout?,
        };
        Some((process.start.since() + limit, limit))
    }

    /// Sets the deadlines of a process that is sent nothing before it has said that it is up.
    pub(super) fn watch_start(&mut self, worker: WorkerId) {
        let Some(process) = self.process(worker) else {
            return;
        };
        let is_paused = process.is_paused() || self.unread_since.is_some();
        if !self.awaits_ready || !self.awaits_ready_of(process) || is_paused {
            return;
        }
        let reminder = process.start.since() + process.silence.next_reminder();
        let deadline = self.start_deadline(process).map(|(at, _)| at);
        for at in [deadline, Some(reminder)].into_iter().flatten() {
            self.wake_by(at);
        }
    }

    /// How long processes take to be ready at most, as far as this run or an earlier one knows.
    pub(super) fn known_start(&self) -> Option<Duration> {
        self.startup_time.or(self.earlier_startup_time)
    }

    /// Names a process that has not said for long that it is up.
    fn remind_of_start(&mut self, worker: WorkerId, now: Instant) {
        let Some(process) = self.process(worker) else {
            return;
        };
        let age = now.saturating_duration_since(process.start.since());
        let is_read_from = !process.is_paused();
        if !is_read_from
            || !self.awaits_ready
            || !self.awaits_ready_of(process)
            || age < process.silence.next_reminder()
        {
            return;
        }
        let expiry = self.expiry(process);
        self.process_mut(worker).expect("it runs").silence.reminded(age);
        self.tell(Event::StartAwaited {
            worker,
            age,
            expiry,
        });
    }

    fn expire(&mut self, worker: WorkerId, unsent: Unsent<'_>, now: Instant) {
        let Some(process) = self.process(worker) else {
            return;
        };
        if process.is_paused() {
            return;
        }
        if process.owed.is_empty() {
            if let Some((at, limit)) = self.start_deadline(process)
                && now >= at
            {
                self.terminate_faulty(worker, Verdict::NotReady(limit), 0, now);
            }
            return;
        }
        match self.deadline(process) {
            Some((at, Expiry::Record)) if now >= at && unsent(worker) >= process.owed.records() => {
                // It takes no records: none can have taken it too long.
                self.terminate_faulty(worker, Verdict::StdinClosed, unsent(worker), now);
            }
            Some((at, Expiry::Record)) if now >= at => self.time_out(worker, unsent, now),
            Some((at, Expiry::Start)) if now >= at => {
                let limit = self.policy.init_timeout.unwrap_or_default();
                self.terminate_faulty(worker, Verdict::NotReady(limit), unsent(worker), now);
            }
            _ => {}
        }
    }

    /// Tells of a record that has been waited for long.
    fn remind(&mut self, worker: WorkerId, now: Instant) {
        let Some(process) = self.process(worker) else {
            return;
        };
        let age = process.age(now);
        let Some(index) = process.owed.oldest() else {
            return;
        };
        let is_first = !process.is_ready() && !process.silence.was_hinted() && age >= HINT;
        if !is_first && age < process.silence.next_reminder() {
            return;
        }
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

    /// Closes the stdin of a process whose last answers are awaited in vain.
    fn show_end(&mut self, worker: WorkerId, now: Instant) {
        let Some(process) = self.process(worker) else {
            return;
        };
        let nothing_waits = self.queue.is_empty() && self.input_is_over();
        let is_last = nothing_waits || self.is_spent(process);
        let is_due = (is_last && process.age(now) >= process.patience_at_the_end())
            || self.flush_deadline(process).is_some_and(|at| now >= at);
        if is_due && process.is_serving() && !process.owed.is_empty() && !process.is_paused() {
            self.close_stdin(worker, now);
        }
    }

    /// When a process that may collect several records, and holds one that must be alone, is shown
    /// the end of its stdin, so that it answers. One that may still be starting is given the time
    /// for it.
    fn flush_deadline(&self, process: &Process) -> Option<Instant> {
        let may_collect =
            matches!(self.policy.window, Window::Records(records) if records.get() > 1);
        if !may_collect || !process.owed.holds_alone() || !process.is_serving() {
            return None;
        }
        let half = self.policy.timeout.map_or(Duration::MAX, |limit| limit / 2);
        Some(self.up_by(process) + process.patience().min(half))
    }

    /// When the clock of a process's oldest record begins: not before the process must be up.
    fn up_by(&self, process: &Process) -> Instant {
        if process.is_ready() {
            return process.owed.clock();
        }
        let start = self.known_start().map_or(HINT, ample_start);
        process.owed.clock().max(process.start.since() + start)
    }

    fn expire_closing(&mut self, worker: WorkerId, now: Instant) {
        let limit = self.policy.exit_timeout;
        let Some(process) = self.process(worker) else {
            return;
        };
        let Stage::Closing(since) = process.stage() else {
            return;
        };
        if !process.owed.is_empty() || process.is_paused() {
            return;
        }
        let at = since.max(process.owed.clock()) + limit;
        if now < at {
            self.wake_by(at);
            return;
        }
        self.count_bad_end();
        self.tell(Event::ExitOverdue { worker });
        self.stop(worker, now);
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

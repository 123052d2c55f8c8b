//! What happens because time has passed.

use std::time::{Duration, Instant};

use super::action::{Action, WorkerId};
use super::ending::Phase;
use super::life::{Life, Stage, State};
use super::policy::Window;
use super::silence::Reading;
use super::{Scheduler, Unsent};
use crate::outcome::Exit;
use crate::protocol::Protocol;

/// A record unanswered for so long is named, and again each time its age has doubled.
pub(super) const REMINDER: Duration = Duration::from_secs(60);
/// A life that has not answered its first record after so long may be collecting its output.
pub(super) const HINT: Duration = Duration::from_secs(10);
/// Later lives may take so many times as long to their first sign as the first one did.
const START_FACTOR: u32 = 3;
const SHORTEST_START: Duration = Duration::from_secs(1);

/// What a deadline says about an unanswered record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expiry {
    /// The record has taken too long.
    Record,
    /// The life has taken too long to start.
    Start,
}

impl Scheduler {
    /// When [`Scheduler::tick`] is to be called next, if no other event comes before.
    pub fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// Whether a limit runs that time alone brings to its end, and that means something for a record or
    /// a worker.
    pub fn is_timed(&self) -> bool {
        let limits = self.policy.timeout.or(self.policy.init_timeout).is_some();
        let is_timed = |life: &Life| match life.stage {
            Stage::Serving => limits && (!life.owed.is_empty() || self.awaits_ready_of(life)),
            Stage::Closing(_) | Stage::Stopping(_) => true,
            Stage::Killed(_) => false,
        };
        (self.workers.iter())
            .filter_map(super::Worker::life)
            .any(is_timed)
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
            self.judge_tick(worker, now);
            let Some(life) = self.life(worker) else {
                continue;
            };
            match life.stage {
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
                    let life = self.workers[number].life_mut().expect("it runs");
                    life.stage = Stage::Killed(until);
                    self.wake_by(until);
                }
                Stage::Killed(until) if now >= until => self.actions.push(Action::Leave(worker)),
                Stage::Stopping(at) | Stage::Killed(at) => self.wake_by(at),
            }
        }
        self.feed(now);
    }

    /// Sets the deadlines of the oldest record that a life owes.
    pub(super) fn watch_oldest(&mut self, worker: WorkerId) {
        let Some(life) = self.life(worker) else {
            return;
        };
        if life.owed.is_empty() || life.deaf_since.is_some() || self.unread_since.is_some() {
            return;
        }
        let clock = life.clock;
        let expiry = self.deadline(life).map(|(at, _)| at);
        let hint = (!life.has_signed && !life.was_hinted).then(|| clock + HINT);
        let reminder = clock + life.next_reminder.max(REMINDER);
        let audit = self.audit_deadline(life);
        let silence = self.silence_deadline(life);
        let flush = self.flush_deadline(life);
        for at in [expiry, hint, Some(reminder), audit, silence, flush]
            .into_iter()
            .flatten()
        {
            self.wake_by(at);
        }
    }

    /// Until when the oldest record must be answered, and what it means if it is not.
    fn deadline(&self, life: &Life) -> Option<(Instant, Expiry)> {
        let expiry = self.expiry(life);
        let at = match expiry {
            Expiry::Record => self.up_by(life) + self.policy.timeout?,
            Expiry::Start => life.clock + self.policy.init_timeout?,
        };
        Some((at, expiry))
    }

    /// Which limit holds for a life's oldest record.
    fn expiry(&self, life: &Life) -> Expiry {
        let is_start_known = self.known_start().is_some() && self.policy.timeout.is_some();
        match life.has_signed || is_start_known {
            true => Expiry::Record,
            false => Expiry::Start,
        }
    }

    /// Which option ends the wait for a life's oldest record, and when, if it was given.
    fn told_limit(&self, worker: WorkerId) -> String {
        let life = self.life(worker).expect("a running life is waited for");
        let (option, limit) = match self.expiry(life) {
            Expiry::Record => ("--timeout", self.policy.timeout),
            Expiry::Start => ("--init-timeout", self.policy.init_timeout),
        };
        match limit {
            Some(limit) => format!("{option} {limit:?} ends the wait"),
            None => format!("{option} DURATION would end the wait"),
        }
    }

    /// Until when a life that is sent nothing before it has said that it is up must have said so, and
    /// how long that is.
    fn start_deadline(&self, life: &Life) -> Option<(Instant, Duration)> {
        if !self.awaits_ready_of(life) || !self.awaits_ready || life.stage != Stage::Serving {
            return None;
        }
        let limit = match self.expiry(life) {
            Expiry::Record => ample_start(self.known_start()?) + self.policy.timeout?,
            Expiry::Start => self.policy.init_timeout?,
        };
        Some((life.started + life.unheard + limit, limit))
    }

    /// Sets the deadlines of a life that is sent nothing before it has said that it is up.
    pub(super) fn watch_start(&mut self, worker: WorkerId) {
        let Some(life) = self.life(worker) else {
            return;
        };
        let is_deaf = life.deaf_since.is_some() || self.unread_since.is_some();
        if !self.awaits_ready_of(life) || is_deaf {
            return;
        }
        let reminder = life.started + life.unheard + life.next_reminder.max(REMINDER);
        let deadline = self.start_deadline(life).map(|(at, _)| at);
        let trial = self.trial_end(life);
        for at in [deadline, trial, Some(reminder)].into_iter().flatten() {
            self.wake_by(at);
        }
    }

    /// How long lives take to their first sign at most, as far as this run or an earlier one knows.
    fn known_start(&self) -> Option<Duration> {
        self.learnt_start.or(self.earlier_start)
    }

    /// Whether the next lives are to stay up for a while before they are sent anything: COMMAND was
    /// ready in an earlier run, and in this one has done nothing but die. If the records that are left
    /// kill it, it lives on without one; if it is broken by now, it does not, and no record is to be
    /// charged with that.
    pub(super) fn is_on_trial(&self) -> bool {
        self.learnt_start.is_none() && self.earlier_start.is_some() && self.last_death.is_some()
    }

    /// Until when a life is to stay up, to count as ready without a word. One that will say that it is
    /// ready has to.
    fn trial_end(&self, life: &Life) -> Option<Instant> {
        let start = self.earlier_start.filter(|_| self.is_on_trial())?;
        let is_silent = !self.awaits_ready && !life.has_signed && life.owed.is_empty();
        let may_pass = is_silent && life.stage == Stage::Serving && life.hung_up.is_none();
        may_pass.then(|| life.started + life.unheard + ample_start(start))
    }

    /// Takes COMMAND for ready once a life of it has stayed up.
    fn end_trial(&mut self, worker: WorkerId, now: Instant) {
        let life = self.life(worker).filter(|life| life.deaf_since.is_none());
        if (life.and_then(|life| self.trial_end(life))).is_some_and(|at| now >= at) {
            self.name_given_up();
            self.learnt_start = self.earlier_start;
        }
    }

    /// Says that lives are to stay up, when that begins.
    pub(super) fn tell_of_trial(&mut self) {
        if let Some(start) = self.earlier_start
            && self.learnt_start.is_none()
            && self.last_death.is_none()
            && !self.awaits_ready
        {
            let ample = ample_start(start);
            self.warn(format!(
                "COMMAND was ready in an earlier run, and not yet in this one: its next process is sent \
                 nothing before it has stayed up for {ample:?}"
            ));
        }
    }

    /// Names a life that has not said for long that it is up.
    fn remind_of_start(&mut self, worker: WorkerId, now: Instant) {
        let Some(life) = self.life(worker) else {
            return;
        };
        let age = now.saturating_duration_since(life.started + life.unheard);
        let is_heard = life.deaf_since.is_none();
        if !is_heard
            || !self.awaits_ready
            || !self.awaits_ready_of(life)
            || age < life.next_reminder.max(REMINDER)
        {
            return;
        }
        self.life_mut(worker).expect("it runs").next_reminder = age * 2;
        let limit = self.told_limit(worker);
        self.warn(format!(
            "{worker} has not said that it is ready for {} s; {limit}",
            age.as_secs()
        ));
    }

    fn expire(&mut self, worker: WorkerId, unsent: Unsent<'_>, now: Instant) {
        let Some(life) = self.life(worker) else {
            return;
        };
        if life.deaf_since.is_some() {
            return;
        }
        if life.owed.is_empty() {
            if let Some((at, limit)) = self.start_deadline(life)
                && now >= at
            {
                self.condemn(worker, Exit::NoSign(limit), 0, now);
            }
            return;
        }
        match self.deadline(life) {
            Some((at, Expiry::Record)) if now >= at && unsent(worker) >= life.owed_records => {
                // It takes no records: none can have taken it too long.
                self.condemn(worker, Exit::StdinClosed, unsent(worker), now);
            }
            Some((at, Expiry::Record)) if now >= at => self.time_out(worker, unsent, now),
            Some((at, Expiry::Start)) if now >= at => {
                let limit = self.policy.init_timeout.unwrap_or_default();
                self.condemn(worker, Exit::NoSign(limit), unsent(worker), now);
            }
            _ => {}
        }
    }

    /// Names a record that has been waited for long, and what may help.
    fn remind(&mut self, worker: WorkerId, now: Instant) {
        let Some(life) = self.life_mut(worker) else {
            return;
        };
        let age = life.age(now);
        let Some(index) = life.oldest() else { return };
        if !life.has_signed && !life.was_hinted && age >= HINT {
            life.was_hinted = true;
            let advice = self.advice(self.life(worker).expect("it runs"));
            let limit = self.told_limit(worker);
            let and = if self.budget.is_full() || self.budget.has_waiter() {
                ". What it collects must fit into --buffer, which is full: raise it"
            } else {
                ""
            };
            self.warn(format!(
                "{worker} has not answered its first record (index {index}) for {} s: {advice}; \
                 {limit}{and}",
                age.as_secs(),
            ));
            return;
        }
        let next = life.next_reminder.max(REMINDER);
        if age >= next {
            life.next_reminder = age * 2;
            let reading = life.reading;
            let limit = self.told_limit(worker);
            let what = match (self.policy.protocol, reading) {
                (_, Reading::Unknown) => "",
                (_, Reading::Behind) => " (it has not read all that it was sent)",
                (Protocol::Json, Reading::All) => " (it has read it)",
                (Protocol::Lines, Reading::All) => {
                    " (it has read it: does it answer each record, or does a command in it read them? \
                     Give that one </dev/null)"
                }
            };
            self.warn(format!(
                "{worker} has not answered record {index} for {} s{what}; {limit}",
                age.as_secs()
            ));
        }
    }

    /// Closes the stdin of a life whose last answers are awaited in vain.
    fn show_end(&mut self, worker: WorkerId, now: Instant) {
        let Some(life) = self.life(worker) else {
            return;
        };
        let nothing_waits = self.queue.is_empty() && self.input_is_over();
        let is_last = nothing_waits || self.is_spent(life);
        let is_due = (is_last && life.age(now) >= life.patience_at_the_end())
            || self.flush_deadline(life).is_some_and(|at| now >= at);
        if is_due
            && life.stage == Stage::Serving
            && !life.owed.is_empty()
            && life.deaf_since.is_none()
        {
            self.close_stdin(worker, now);
        }
    }

    /// When a life that may collect several records, and holds one that must be alone, is shown the
    /// end of its stdin, so that it answers. One that may still be starting is given the time for it.
    fn flush_deadline(&self, life: &Life) -> Option<Instant> {
        let may_collect =
            matches!(self.policy.window, Window::Records(records) if records.get() > 1);
        if !may_collect || !life.holds_alone() || life.stage != Stage::Serving {
            return None;
        }
        let half = self.policy.timeout.map_or(Duration::MAX, |limit| limit / 2);
        Some(self.up_by(life) + life.patience().min(half))
    }

    /// When the clock of a life's oldest record begins: not before the life must be up.
    fn up_by(&self, life: &Life) -> Instant {
        if life.has_signed {
            return life.clock;
        }
        let start = self.known_start().map_or(HINT, ample_start);
        life.clock.max(life.started + life.unheard + start)
    }

    fn expire_closing(&mut self, worker: WorkerId, now: Instant) {
        let limit = self.policy.exit_timeout;
        let Some(life) = self.life(worker) else {
            return;
        };
        let Stage::Closing(since) = life.stage else {
            return;
        };
        if !life.owed.is_empty() || life.deaf_since.is_some() {
            return;
        }
        let at = since.max(life.clock) + limit;
        if now < at {
            self.wake_by(at);
            return;
        }
        self.count_bad_end();
        self.warn(format!(
            "{worker} did not exit within --exit-timeout {limit:?} of the end of its stdin; it is killed"
        ));
        self.stop(worker, now);
    }

    /// Whether what workers write to stderr is read. While it is not, because nobody takes it from
    /// mtask, a worker may be stuck in writing it: no clock runs.
    pub fn reads_stderr(&mut self, reads: bool, now: Instant) {
        match (self.unread_since, reads) {
            (None, false) => {
                self.unread_since = Some(now);
                for worker in &mut self.workers {
                    if let State::Running(life) = &mut worker.state {
                        life.audit.leave_unwatched(now);
                    }
                }
                self.wake_by(now);
            }
            (Some(since), true) => {
                self.unread_since = None;
                for worker in &mut self.workers {
                    if let State::Running(life) = &mut worker.state {
                        life.stand_still(now.saturating_duration_since(since), now);
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
            if let State::Running(life) = &mut worker.state {
                life.stand_still(pause, now);
                if let Stage::Stopping(at) | Stage::Killed(at) = &mut life.stage {
                    *at += pause;
                }
            }
        }
        if let Phase::Interrupted(signal, terminate_at, kill_at) = self.phase {
            self.phase = Phase::Interrupted(signal, terminate_at + pause, kill_at + pause);
        }
        self.moved_at = (self.moved_at + pause).min(now);
        self.wake_by(now);
    }

    /// mtask was stopped for a time that is not known, if at all: all clocks start anew. The grace of
    /// a signal does not, for that might go on for ever.
    pub fn was_stopped(&mut self, now: Instant) {
        let leave_after = self.patience_with_killed();
        for worker in &mut self.workers {
            if let State::Running(life) = &mut worker.state {
                life.start_clocks(now);
                if !life.has_signed {
                    life.unheard = now.saturating_duration_since(life.started);
                }
                life.deaf_since = life.deaf_since.map(|_| now);
                life.hung_up = life.hung_up.map(|(_, pipe)| (now, pipe));
                match &mut life.stage {
                    Stage::Closing(since) => *since = now,
                    Stage::Stopping(kill_at) => *kill_at = now + self.policy.grace,
                    Stage::Killed(until) => *until = now + leave_after,
                    Stage::Serving => {}
                }
                life.pace.busy_from(now);
            }
        }
        self.wake_by(now);
    }
}

/// How long a life may take to start where the slowest so far took `learnt`.
pub(super) fn ample_start(learnt: Duration) -> Duration {
    (learnt * START_FACTOR).max(SHORTEST_START)
}

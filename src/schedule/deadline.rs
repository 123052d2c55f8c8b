//! All that time brings: which deadlines stand, when each is due, and what happens then.
//!
//! Always: when a deadline is due is stated in [`Scheduler::due`] alone. Whoever does something by
//! which one may begin has the worker watched ([`Scheduler::watch`]); it need not know which.
//! Clocks stand still while a process is not listened to, and while nobody reads stderr.

use std::time::{Duration, Instant};

use super::action::Action;
use super::event::Expiry;
use super::ids::WorkerId;
use super::policy::{Delivery, Window};
use super::process::{AuditState, Generation, HINT, Pipe, Process, REMINDER, Stage};
use super::{Scheduler, Unsent};
use crate::outcome::{TimeLimit, Verdict};

/// A process that has closed its stdout is given so long to exit.
const HANG_UP: Duration = Duration::from_millis(200);

/// No limit but those that the user sets is shorter for the record of a process that is ready.
const NEAREST: Duration = Duration::from_secs(1);

/// What a worker has until some time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    /// The death of its process is judged.
    Judgement,
    /// A process that was told to end is killed.
    Kill,
    /// One that was killed is not waited for any longer.
    Leave,
    /// One that is on trial has stayed up for long enough.
    Trial,
    /// The user is told that one has not said that it is ready.
    StartReminder,
    /// It has not said so in time.
    Start,
    /// The oldest record has taken too long, or its process has taken too long to start.
    Record,
    /// A process has not ended in time what it was asked to.
    Cancel,
    /// A process that has closed a pipe has not exited in time.
    HangUp,
    /// One may have skipped the record that it owes, and wait for the next one: it is checked.
    Skip,
    /// A check goes on without an answer.
    Check,
    /// The last resort, where no further record may show that one was skipped, or none has.
    Silence,
    /// The user is told that nothing has come of a process yet,
    Hint,
    /// or that its record is waited for.
    Reminder,
    /// The end of stdin is shown to a process that may collect until then.
    End,
    /// A process has not exited in time after it.
    Exit,
    /// The process that has been started beside one is taken to be up.
    Succession,
    /// It may be given records that it was refused, as where one that it owes is long overdue: they
    /// are given out at the end of each look.
    Refusal,
}

impl Deadline {
    /// Those that ring, in the order in which they are looked at. What one of them begins may be rung by those after
    /// it, but a process that was told to end is killed at the next look, at the earliest.
    const ALL: [Self; 17] = [
        Self::Judgement,
        Self::Kill,
        Self::Leave,
        Self::Trial,
        Self::StartReminder,
        Self::Start,
        Self::Record,
        Self::Cancel,
        Self::HangUp,
        Self::Skip,
        Self::Check,
        Self::Silence,
        Self::Hint,
        Self::Reminder,
        Self::End,
        Self::Exit,
        Self::Succession,
    ];
}

impl Scheduler {
    /// When [`Scheduler::tick`] is to be called next, if no other event comes before. Nothing is
    /// due before that.
    pub fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// Has `tick` called at that time.
    pub(super) fn wake_by(&mut self, at: Instant) {
        if self.wake_at.is_none_or(|earlier| at < earlier) {
            self.wake_at = Some(at);
        }
    }

    /// Whether a limit runs that time alone brings to its end, and that means something for a
    /// record or a worker.
    pub fn is_timed(&self) -> bool {
        let limits = self.policy.limits.timeout.or(self.policy.limits.init_timeout).is_some();
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
        self.call_due(now);
        self.feed_the_starved(now);
        for worker in (0..self.workers.len()).map(WorkerId) {
            for deadline in Deadline::ALL {
                if self.due(worker, deadline).is_some_and(|at| now >= at) {
                    self.ring(worker, deadline, unsent, now);
                }
            }
            // Whatever is due has had its turn.
            for deadline in Deadline::ALL {
                if let Some(at) = self.due(worker, deadline).filter(|at| *at > now) {
                    self.wake_by(at);
                }
            }
        }
        self.feed(now);
    }

    /// Something has happened to this worker, by which deadlines may begin.
    pub(super) fn watch(&mut self, worker: WorkerId) {
        for deadline in Deadline::ALL {
            self.watch_for(worker, deadline);
        }
    }

    /// The same, where it was sent records or has answered some. Of a process that is ready nothing
    /// is due then for a while: a look after that is early enough, and finds what stands.
    pub(super) fn watch_busy(&mut self, worker: WorkerId) {
        let half = self.policy.limits.timeout.map_or(Duration::MAX, |limit| limit / 2);
        let process = self.process(worker).filter(|process| process.is_steady());
        let soonest = process.map(|process| process.owed.clock() + NEAREST.min(half));
        match soonest {
            // Where answers name their records, a look by itself may give out more.
            Some(at) if !self.policy.names_records() => self.wake_by(at),
            Some(at) if self.wake_at.is_some_and(|next| next <= at) => {}
            _ => self.watch(worker),
        }
    }

    /// The same, of all of them.
    pub(super) fn watch_all(&mut self) {
        (0..self.workers.len()).for_each(|number| self.watch(WorkerId(number)));
    }

    /// The same, where it can be but this one.
    pub(super) fn watch_for(&mut self, worker: WorkerId, deadline: Deadline) {
        if let Some(at) = self.due(worker, deadline) {
            self.wake_by(at);
        }
    }

    /// When this is due, if it stands at all.
    pub(super) fn due(&self, worker: WorkerId, deadline: Deadline) -> Option<Instant> {
        let Some(process) = self.process(worker) else {
            let seat = &self.workers[worker.0];
            return seat.judged_at().filter(|_| deadline == Deadline::Judgement);
        };
        match process.stage() {
            Stage::Stopping(at) => return (deadline == Deadline::Kill).then_some(at),
            Stage::Killed(at) => return (deadline == Deadline::Leave).then_some(at),
            // No clock of it: others may have turned out slower.
            _ if deadline == Deadline::Refusal => return process.held().until(),
            _ if process.is_paused() || self.throttle.is_stderr_stuck() => return None,
            Stage::Serving | Stage::Closing(_) => {}
        }
        let (clock, owes) = (process.owed.clock(), !process.owed.is_empty());
        match deadline {
            Deadline::Judgement | Deadline::Kill | Deadline::Leave => None,
            Deadline::Trial => self.trial_end(process),
            Deadline::StartReminder => (self.command.awaits_ready()
                && self.awaits_ready_of(process))
            .then(|| process.start.since() + process.silence.next_reminder()),
            Deadline::Start => Some(process.start.since() + self.start_limit(process)?),
            Deadline::Record if process.owed.is_timed() => self.record_limit(process),
            Deadline::Cancel => Some(process.owed.cancelled_since()? + self.policy.limits.grace),
            Deadline::HangUp => self.hang_up_limit(process),
            Deadline::Skip if self.is_overdue_by_step(process) => {
                Some(clock + self.patience_with(process)?)
            }
            Deadline::Check if process.is_serving() => process.audit.goes_on_at(clock),
            Deadline::Silence => self.silence_deadline(process),
            Deadline::Hint => {
                let is_unhinted = !process.is_ready() && !process.silence.was_hinted();
                (owes && is_unhinted).then(|| clock + HINT)
            }
            Deadline::Reminder if owes => Some(clock + process.silence.next_reminder()),
            Deadline::End if owes => self.end_deadline(process),
            Deadline::Succession => (self.workers[worker.0].successor_up_at())
                .filter(|_| process.is_serving() && process.reputation.awaits_successor()),
            Deadline::Exit => match process.stage() {
                Stage::Closing(since) if !owes => Some(since.max(clock) + self.exit_limit()),
                _ => None,
            },
            Deadline::Record | Deadline::Skip | Deadline::Check => None,
            Deadline::Reminder | Deadline::End | Deadline::Refusal => None,
        }
    }

    /// A deadline is due.
    fn ring(&mut self, worker: WorkerId, deadline: Deadline, unsent: Unsent<'_>, now: Instant) {
        match deadline {
            Deadline::Judgement => self.judge_deferred(worker, now),
            Deadline::Kill => self.kill(worker, now),
            Deadline::Leave => self.actions.push(Action::Leave(worker)),
            Deadline::Trial => self.end_trial(worker),
            Deadline::StartReminder => self.remind_of_start(worker, now),
            Deadline::Start => {
                let limit = self.process(worker).and_then(|process| self.start_limit(process));
                let verdict = Verdict::NotReady(limit.unwrap_or_default());
                self.terminate_faulty(worker, verdict, 0, now);
            }
            Deadline::Record => self.expire(worker, unsent, now),
            Deadline::Cancel => self.end_uncancelled(worker, unsent, now),
            Deadline::HangUp => self.end_hung_up(worker, unsent, now),
            Deadline::Skip => self.let_run_empty(worker),
            Deadline::Check => self.go_on_with_check(worker, now),
            Deadline::Silence => self.ask_by_end(worker, now),
            Deadline::Hint | Deadline::Reminder => {
                self.remind(worker, deadline == Deadline::Hint, now);
            }
            Deadline::End => self.close_stdin(worker, now),
            Deadline::Exit => self.end_lingering(worker, now),
            Deadline::Succession => self.retire(worker),
            Deadline::Refusal => {}
        }
    }

    /// Until when the oldest record must be answered.
    fn record_limit(&self, process: &Process) -> Option<Instant> {
        Some(match self.expiry(process) {
            Expiry::Record => self.up_by(process) + self.time_limit(process)?.duration(),
            Expiry::Start => process.owed.clock() + self.policy.limits.init_timeout?,
        })
    }

    /// How long a process may be at a record now. Only its author knows what the first call of one
    /// that is up still has to load, so until COMMAND has given an answer anywhere, the first answer
    /// has the larger one of both limits; in processes that begin after that it is told by how long
    /// the slowest took.
    pub(super) fn time_limit(&self, process: &Process) -> Option<TimeLimit> {
        let timeout = self.policy.limits.timeout?;
        let usual = TimeLimit::Usual(timeout);
        if !process.is_ready() || process.first_answer.is_given() {
            return Some(usual);
        }
        match (
            process.first_answer.generation(),
            self.command.ample_first_answer(),
        ) {
            (Generation::Later, Some(ample)) => Some(TimeLimit::Learnt {
                limit: ample + timeout,
                timeout,
            }),
            _ => match self.policy.limits.init_timeout? {
                init if init > timeout => Some(TimeLimit::First(init)),
                _ => Some(usual),
            },
        }
    }

    /// Which option is told to end the wait for a record.
    pub(super) fn told_expiry(&self, process: &Process) -> Expiry {
        let is_limited = process.is_ready() && self.policy.limits.timeout.is_some();
        match self.time_limit(process) {
            None | Some(TimeLimit::First(_)) if is_limited => Expiry::Start,
            _ => self.expiry(process),
        }
    }

    /// Which limit holds for a process's oldest record.
    pub(super) fn expiry(&self, process: &Process) -> Expiry {
        let is_start_known =
            self.command.known_start().is_some() && self.policy.limits.timeout.is_some();
        match process.is_ready() || is_start_known {
            true => Expiry::Record,
            false => Expiry::Start,
        }
    }

    /// How long a process may take to say that it is ready, where it is sent nothing before.
    fn start_limit(&self, process: &Process) -> Option<Duration> {
        if !self.awaits_ready_of(process) || !self.command.awaits_ready() || !process.is_serving() {
            return None;
        }
        match self.expiry(process) {
            Expiry::Record => Some(self.command.ample_start()? + self.policy.limits.timeout?),
            Expiry::Start => self.policy.limits.init_timeout,
        }
    }

    /// When the clock of a process's oldest record begins: not before the process must be up, and not
    /// before its first answer, if it has given that.
    fn up_by(&self, process: &Process) -> Instant {
        let clock = process.owed.clock();
        if process.is_ready() {
            return process.first_answer.counts_from(clock);
        }
        let start = self.command.ample_start().unwrap_or(HINT);
        clock.max(process.start.since() + start)
    }

    /// When one that has closed a pipe must have exited.
    fn hang_up_limit(&self, process: &Process) -> Option<Instant> {
        let (since, pipe) = process.pipes.hung_up()?;
        let owes = !process.owed.is_empty();
        let is_done = !owes && process.is_closing();
        (!is_done).then(|| match pipe {
            Pipe::Stdin if owes => {
                since.max(process.owed.clock()) + self.policy.limits.exit_timeout
            }
            _ => since + HANG_UP,
        })
    }

    /// Whether a process that answers nothing is checked out of turn.
    fn is_overdue_by_step(&self, process: &Process) -> bool {
        !self.policy.names_records()
            && self.policy.window == Window::Auto
            && self.policy.delivery == Delivery::AtLeastOnce
            && process.is_serving()
            && process.audit.state() == AuditState::Off
            && process.is_ready()
            && !process.owed.holds_alone()
            && !process.owed.is_empty()
    }

    /// When a process is asked, by the end of its stdin, whether it has skipped the record it owes.
    fn silence_deadline(&self, process: &Process) -> Option<Instant> {
        let may_wait_for_more = match self.policy.window {
            _ if !self.policy.facts().may_collect => false,
            Window::Auto => false,
            Window::Records(records) => process.owed.records() < records.get(),
            Window::Full => true,
        };
        let may_ask = process.is_serving() && !process.owed.is_empty() && !may_wait_for_more;
        let limit = may_ask.then(|| self.silence_limit(process))??;
        Some(process.silent_since() + limit)
    }

    /// When a process whose last answers are awaited in vain, or that may collect several records
    /// and holds one that must be alone, is shown the end of its stdin, so that it answers. One
    /// that may still be starting is given the time for it.
    fn end_deadline(&self, process: &Process) -> Option<Instant> {
        // One that can be asked to end a record could not be any more, and does not collect.
        if !process.is_serving() || process.owed.can_cancel() {
            return None;
        }
        let is_last = self.nothing_waits() || self.is_spent(process);
        let end = is_last.then(|| process.owed.clock() + process.patience_at_the_end());
        let may_collect =
            matches!(self.policy.window, Window::Records(records) if records.get() > 1);
        let flush = (may_collect && process.owed.holds_alone()).then(|| {
            let half = self.policy.limits.timeout.map_or(Duration::MAX, |limit| limit / 2);
            self.up_by(process) + process.patience().min(half)
        });
        [end, flush].into_iter().flatten().min()
    }

    /// When the oldest record of a process is long overdue. Where answers have ids, perhaps it will
    /// never be answered, and the others are not to wait behind it. A worker that has said how many
    /// it takes is sent no more than that: it could not begin with one more, whose clock would run.
    pub(super) fn overdue_at(&self, process: &Process) -> Option<Instant> {
        let may_pass = self.policy.names_records()
            && self.policy.window == Window::Auto
            && self.policy.delivery == Delivery::AtLeastOnce
            && process.owed.concurrency().is_none()
            && process.is_ready()
            && !process.owed.is_empty();
        let is_unheard = process.is_paused() || self.throttle.is_stderr_stuck();
        let may_pass = may_pass && !is_unheard;
        let patience = may_pass.then(|| self.patience_with(process)).flatten()?;
        Some(process.owed.clock() + patience)
    }

    /// How long an answer of a process may take before it is tried with one record more. Where none
    /// of it has been timed, others tell how long one takes, or its first answer and its start do.
    pub(super) fn patience_with(&self, process: &Process) -> Option<Duration> {
        let of_others = || self.processes().filter_map(|(_, other)| other.pace.measured()).max();
        let own = process.pace.measured();
        match own.or_else(of_others).or_else(|| process.pace.first()) {
            Some(longest) => Some(process.patience().max(longest * 20)),
            None => self.patience_with_the_first(process),
        }
    }

    /// The same where nothing is known of any. A record that is sent to one that is only slow waits
    /// behind it, though another may be free first: so one alone is tried, and late.
    fn patience_with_the_first(&self, process: &Process) -> Option<Duration> {
        if self.workers.iter().filter(|worker| !worker.is_given_up()).count() == 1 {
            return Some(process.patience());
        }
        let can_be_tried = |it: &&Process| {
            let is_up = it.is_ready() && it.owed.concurrency().is_none();
            is_up && !it.owed.is_empty() && self.may_serve(it)
        };
        let first = (self.processes().map(|(_, it)| it).filter(can_be_tried))
            .min_by_key(|it| it.owed.clock())?;
        std::ptr::eq(first, process).then_some(REMINDER)
    }
}

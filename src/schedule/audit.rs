//! Checks that a worker of the lines protocol answers line by line.
//!
//! Answers carry no name: a worker that prints one line too many, or skips one, shifts all that
//! follow. It shows when the process owes nothing: a line more than was asked for, or none where
//! one is owed. So a process is let run empty many times a second, which costs next to nothing and
//! shows a line that is missing; and about once a second it is then watched for a moment, which
//! shows one too many.
//!
//! What is in doubt when the counts disagree follows from the last time they agreed: where a line
//! is missing, since the process last owed nothing; where one is too many, since it was last found
//! in step, for it may have been late.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::action::WorkerId;
use super::doubts::Doubts;
use super::event::{Asking, Event};
use super::pace::Pace;
use super::policy::{Delivery, Window};
use super::process::{Process, REMINDER, Stage};
use super::silence::Asked;
use crate::record::Index;

/// How often a process is let run empty. It then has nothing to do until mtask has read its last
/// answer and sent more: some 50 µs.
const EMPTIED: Duration = Duration::from_millis(10);
/// How long after its start a process is first watched. That time doubles with each watch, for a
/// fault shows early as a rule, and a short run is to be checked too,
const FIRST: Duration = Duration::from_millis(100);
/// up to this.
const INTERVAL: Duration = Duration::from_secs(1);
/// At most one part in so many of the time is spent watching an empty process: little of a short
/// run,
const FIRST_SHARE: u32 = 100;
/// and more later on.
const SHARE: u32 = 50;
/// How long at least a process is given that seems to have skipped a record.
const DOUBT: Duration = Duration::from_secs(3);
/// A process that would have to be watched for longer is found out when its input pauses, or at its
/// end.
const LONGEST_WATCH: Duration = Duration::from_secs(60);

/// How far the check of one process has got.
#[derive(Debug)]
pub(crate) struct Audit {
    pub(crate) state: AuditState,
    /// How long an answer may take before the check goes on without it.
    pub(crate) patience: Duration,
    /// When it is next let run empty.
    next: Instant,
    /// When it was last watched, and how often.
    watched: Instant,
    watches: u32,
    /// The records that were sent since the process was found in step, lowest and highest,
    since_step: Option<(Index, Index)>,
    /// and those since it last owed nothing,
    since_empty: Option<(Index, Index)>,
    /// but for those that it was probed with: they may lie far ahead, for others have gone on.
    probes: Option<(Index, Index)>,
}

/// How counts disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// A line answers nothing.
    TooMany,
    /// The process has left records without an answer.
    TooFew,
}

/// Where a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuditState {
    /// Records flow.
    Off,
    /// Nothing is sent until the process owes nothing.
    RunningEmpty,
    /// It owes nothing; until then a line more would be seen.
    Watching(Instant),
    /// It did not run empty in time; one record was sent at that time, to see whether an answer
    /// comes at once.
    Probing(Instant),
    /// One came at once, and it still owes as much as before: let it run empty once more.
    Doubting,
}

impl Audit {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            state: AuditState::Off,
            patience: Duration::ZERO,
            next: now + EMPTIED,
            watched: now,
            watches: 0,
            since_step: None,
            since_empty: None,
            probes: None,
        }
    }

    /// The process is about to be sent records after it owed nothing since then: as many lines came
    /// as were asked for. If it was silent for as long as it would be watched, it is in step.
    pub(crate) fn was_empty(&mut self, since: Instant, now: Instant, pace: &Pace) {
        self.emptied();
        if watch_time(pace).is_some_and(|time| now.saturating_duration_since(since) >= time) {
            self.since_step = None;
            self.watched = now;
        }
    }

    /// Records from `first` to `last` were sent.
    pub(crate) fn sent(&mut self, first: Index, last: Index) {
        let widen = |range: &mut Option<(Index, Index)>| {
            let (low, high) = range.unwrap_or((first, last));
            *range = Some((low.min(first), high.max(last)));
        };
        if self.holds_back() {
            return widen(&mut self.probes);
        }
        widen(&mut self.since_step);
        widen(&mut self.since_empty);
    }

    /// Whether a check is due.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.state == AuditState::Off && now >= self.next
    }

    /// Whether the process may be sent more.
    pub(crate) fn holds_back(&self) -> bool {
        !matches!(self.state, AuditState::Off)
    }

    /// The process owes nothing: if it is time for that, it is watched for as long as a further
    /// answer might take, given how long a record takes it. Gives until when.
    pub(crate) fn run_empty(&mut self, pace: &Pace, now: Instant) -> Option<Instant> {
        self.next = now + EMPTIED;
        if let Some(time) = watch_time(pace)
            && now >= self.watched + self.gap(time)
        {
            self.watched = now + time;
            self.watches += 1;
            self.state = AuditState::Watching(self.watched);
            return Some(self.watched);
        }
        self.state = AuditState::Off;
        self.emptied();
        None
    }

    /// The least time between two watches of so long.
    fn gap(&self, time: Duration) -> Duration {
        let interval = (FIRST * (1 << self.watches.min(16))).min(INTERVAL);
        let share = match self.watches {
            0 => FIRST_SHARE,
            _ => SHARE,
        };
        interval.max(time * share)
    }

    /// It goes on without a watch, of which there can be no end now.
    pub(super) fn leave_unwatched(&mut self, now: Instant) {
        if matches!(self.state, AuditState::Watching(_)) {
            self.emptied();
            self.put_off(now);
        }
    }

    /// It went on without a verdict.
    fn put_off(&mut self, now: Instant) {
        self.state = AuditState::Off;
        self.next = now + INTERVAL;
    }

    /// As many lines came as were asked for. One too many may still come.
    fn emptied(&mut self) {
        self.since_empty = None;
        if let Some((first, last)) = self.probes.take() {
            let (low, high) = self.since_step.unwrap_or((first, last));
            self.since_step = Some((low.min(first), high.max(last)));
        }
    }

    /// The process was found in step: what it answered is beyond doubt.
    fn passed(&mut self) {
        self.state = AuditState::Off;
        self.emptied();
        self.since_step = None;
    }

    /// Whose answers are in doubt.
    pub(crate) fn in_doubt(&self, what: Break) -> Doubts {
        let mut doubts = Doubts::default();
        let since = match what {
            Break::TooMany => self.since_step,
            Break::TooFew => self.since_empty,
        };
        for (first, last) in [since, self.probes].into_iter().flatten() {
            doubts.insert(first, last);
        }
        doubts
    }
}

/// How long a further answer might take to come; not known before an answer has been timed. Where
/// it is too long to be waited for, nothing is.
fn watch_time(pace: &Pace) -> Option<Duration> {
    let time = pace.measured()? * 2 + Duration::from_millis(1);
    (time <= LONGEST_WATCH).then_some(time)
}

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
        if !answers_each
            || !process.is_ready
            || process.holds_alone()
            || process.stage != Stage::Serving
            || !process.audit.is_due(now)
        {
            return;
        }
        process.audit.state = AuditState::RunningEmpty;
        process.audit.patience = process.patience();
        self.audit_answered(worker, now);
    }

    /// When a process that answers nothing is checked out of turn: it may have skipped the record
    /// it owes, and wait for the next one.
    pub(super) fn audit_deadline(&self, process: &Process) -> Option<Instant> {
        let may_check = !self.policy.names_records()
            && self.policy.window == Window::Auto
            && self.policy.delivery == Delivery::AtLeastOnce
            && process.stage == Stage::Serving
            && process.audit.state == AuditState::Off
            && process.is_ready
            && !process.holds_alone()
            && !process.owed.is_empty();
        may_check.then(|| process.clock + process.patience())
    }

    /// When a process is asked, by the end of its stdin, whether it has skipped the record it owes:
    /// the last resort, where no further record may show it or none has shown it.
    pub(super) fn silence_deadline(&self, process: &Process) -> Option<Instant> {
        let may_wait_for_more = match self.policy.window {
            _ if !self.policy.facts().may_collect => false,
            Window::Auto => false,
            Window::Records(records) => process.owed_records < records.get(),
            Window::Full => true,
        };
        let limit = self.silence_limit(process)?;
        let may_ask =
            process.stage == Stage::Serving && !process.owed.is_empty() && !may_wait_for_more;
        may_ask.then(|| self.silent_since(process) + limit)
    }

    /// Goes on with a check after answers.
    pub(super) fn audit_answered(&mut self, worker: WorkerId, now: Instant) {
        let is_stuck = self.unread_since.is_some();
        let Some(process) = self.process_mut(worker) else {
            return;
        };
        let at = match process.audit.state {
            AuditState::Off | AuditState::Watching(_) => return,
            _ if process.owed.is_empty() => match process.audit.run_empty(&process.pace, now) {
                // No clock runs that could end it.
                Some(_) if is_stuck => return process.audit.leave_unwatched(now),
                Some(until) => until,
                None => return,
            },
            // A worker that waited for nothing but the next record answers it at once. Then the
            // answer is likely that of the record before.
            AuditState::Probing(sent) if now - sent < process.audit.patience / 10 => {
                process.audit.state = AuditState::Doubting;
                process.audit.patience = DOUBT.max((now - sent) * 20);
                now + process.audit.patience
            }
            AuditState::Probing(_) => {
                process.audit.put_off(now);
                return;
            }
            AuditState::RunningEmpty => {
                process.audit.patience = process.audit.patience.max(process.patience());
                now + process.audit.patience
            }
            AuditState::Doubting => now + process.audit.patience,
        };
        self.wake_by(at);
    }

    /// Sends one record, if one waits, to a process that owes some and may owe more. A process that
    /// holds a record alone is not checked, and so never gets here.
    fn probe(&mut self, worker: WorkerId, now: Instant) -> bool {
        let process = self.process(worker).expect("only a running process is checked");
        let may_owe_more =
            self.policy.window == Window::Auto && self.policy.delivery == Delivery::AtLeastOnce;
        if !may_owe_more
            || process.hung_up.is_some()
            || process.is_reserved
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
        let (waited, had_answered) = (process.age(now), process.is_ready);
        if let Some(index) = process.oldest() {
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
        if process.stage != Stage::Serving || process.paused_since.is_some() {
            return;
        }
        if self.audit_deadline(self.process(worker).expect("it runs")).is_some_and(|at| now >= at) {
            let process = self.process_mut(worker).expect("it runs");
            process.audit.patience = process.patience();
            process.audit.state = AuditState::RunningEmpty;
        }
        let Some(process) = self.process_mut(worker) else {
            return;
        };
        let expired = process.age(now) >= process.audit.patience;
        let at = process.clock + process.audit.patience;
        match process.audit.state {
            AuditState::Off | AuditState::Probing(_) => {}
            AuditState::Watching(until) if now >= until => {
                process.audit.passed();
                self.workers[worker.0].protocol_violations = 0;
            }
            AuditState::Watching(until) => self.wake_by(until),
            AuditState::RunningEmpty if expired => {
                // Without a record at hand the next tick after one has come tries again.
                if self.probe(worker, now) {
                    let process = self.process_mut(worker).expect("it runs");
                    process.audit.state = AuditState::Probing(now);
                } else if self.is_in_the_way(worker, now) {
                    self.ask_by_end(worker, now);
                }
            }
            AuditState::Doubting if expired => self.ask_by_end(worker, now),
            AuditState::RunningEmpty | AuditState::Doubting => self.wake_by(at),
        }
        let silence = self.process(worker).and_then(|process| self.silence_deadline(process));
        if silence.is_some_and(|at| now >= at) {
            self.ask_by_end(worker, now);
        }
    }
}

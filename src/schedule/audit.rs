//! Checks that a worker of the lines protocol answers line by line.
//!
//! Answers carry no name: a worker that prints one line too many, or skips one, shifts all that
//! follow. It shows when the life owes nothing: a line more than was asked for, or none where one is
//! owed. So about once a second a life is let run empty, and watched for a moment. What it answered
//! since it was last found in step is in doubt when the counts disagree.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::action::WorkerId;
use super::clock::REMINDER;
use super::life::{Life, Stage};
use super::policy::{Delivery, Window};
use super::silence::Asked;
use crate::protocol::Protocol;
use crate::record::Index;

/// How often a life is let run empty.
const INTERVAL: Duration = Duration::from_secs(1);
/// At most one part in so many of the time is spent watching an empty life.
const SHARE: u32 = 50;
/// How long at least a life is given that seems to have skipped a record.
const DOUBT: Duration = Duration::from_secs(3);
const LONGEST_WATCH: Duration = Duration::from_millis(200);

/// How far the check of one life has got.
#[derive(Debug)]
pub(crate) struct Audit {
    pub(crate) state: AuditState,
    /// How long an answer may take before the check goes on without it.
    pub(crate) patience: Duration,
    next: Instant,
    /// The first record that was sent since the life was found in step.
    since: Option<Index>,
    last: Option<Index>,
}

/// Where a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuditState {
    /// Records flow.
    Off,
    /// Nothing is sent until the life owes nothing.
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
            next: now + INTERVAL,
            since: None,
            last: None,
        }
    }

    /// The life is about to be sent records after it owed nothing; if it was silent for as long
    /// as it would be watched, it is in step.
    pub(crate) fn idle_until(&mut self, now: Instant, idle_since: Instant, per_record: Duration) {
        if now.saturating_duration_since(idle_since) >= Self::watch_time(per_record) {
            self.passed();
        }
    }

    /// Records from `first` to `last` were sent.
    pub(crate) fn sent(&mut self, first: Index, last: Index) {
        self.since.get_or_insert(first);
        self.last = Some(self.last.map_or(last, |l| l.max(last)));
    }

    /// Whether a check is due.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.state == AuditState::Off && now >= self.next
    }

    /// Whether the life may be sent more.
    pub(crate) fn holds_back(&self) -> bool {
        !matches!(self.state, AuditState::Off)
    }

    /// The life owes nothing: watch it for as long as a further answer might take, given how long
    /// a record takes it.
    pub(crate) fn watch(&mut self, per_record: Duration, now: Instant) -> Instant {
        let watch = Self::watch_time(per_record);
        self.next = now + INTERVAL.max(watch * SHARE);
        self.state = AuditState::Watching(now + watch);
        now + watch
    }

    fn watch_time(per_record: Duration) -> Duration {
        (per_record * 2 + Duration::from_millis(1)).min(LONGEST_WATCH)
    }

    /// The life was found in step: what it answered is beyond doubt.
    pub(crate) fn passed(&mut self) {
        self.state = AuditState::Off;
        self.since = None;
        self.last = None;
    }

    /// The range of indices in doubt.
    pub(crate) fn in_doubt(&self) -> Option<(Index, Index)> {
        Some((self.since?, self.last?))
    }
}

impl Scheduler {
    /// Begins a check of this worker's life if it is time for one.
    pub(super) fn audit_if_due(&mut self, worker: WorkerId, now: Instant) {
        // Ids cannot be shifted, and a worker that collects several records before it answers cannot
        // run empty.
        let answers_each = match self.policy.window {
            _ if self.policy.protocol == Protocol::Json => false,
            Window::Auto => true,
            Window::Records(records) => records.get() == 1,
            Window::Full => false,
        };
        let Some(life) = self.life_mut(worker) else {
            return;
        };
        if !answers_each
            || !life.has_signed
            || life.holds_alone()
            || life.stage != Stage::Serving
            || !life.audit.is_due(now)
        {
            return;
        }
        life.audit.state = AuditState::RunningEmpty;
        life.audit.patience = life.patience();
        self.audit_answered(worker, now);
    }

    /// When a life that answers nothing is checked out of turn: it may have skipped the record it
    /// owes, and wait for the next one.
    pub(super) fn audit_deadline(&self, life: &Life) -> Option<Instant> {
        let may_check = self.policy.protocol == Protocol::Lines
            && self.policy.window == Window::Auto
            && self.policy.delivery == Delivery::AtLeastOnce
            && life.stage == Stage::Serving
            && life.audit.state == AuditState::Off
            && life.has_signed
            && !life.holds_alone()
            && !life.owed.is_empty();
        may_check.then(|| life.clock + life.patience())
    }

    /// When a life is asked, by the end of its stdin, whether it has skipped the record it owes: the
    /// last resort, where no further record may show it or none has shown it.
    pub(super) fn silence_deadline(&self, life: &Life) -> Option<Instant> {
        let may_wait_for_more = match self.policy.window {
            _ if self.policy.protocol == Protocol::Json => false,
            Window::Auto => false,
            Window::Records(records) => life.owed_records < records.get(),
            Window::Full => true,
        };
        let limit = self.silence_limit(life)?;
        let may_ask = life.stage == Stage::Serving && !life.owed.is_empty() && !may_wait_for_more;
        may_ask.then(|| self.silent_since(life) + limit)
    }

    /// Goes on with a check after answers.
    pub(super) fn audit_answered(&mut self, worker: WorkerId, now: Instant) {
        let Some(life) = self.life_mut(worker) else {
            return;
        };
        let at = match life.audit.state {
            AuditState::Off | AuditState::Watching(_) => return,
            _ if life.owed.is_empty() => life.audit.watch(life.pace.per_record(), now),
            // A worker that waited for nothing but the next record answers it at once. Then the
            // answer is likely that of the record before.
            AuditState::Probing(sent) if now - sent < life.audit.patience / 10 => {
                life.audit.state = AuditState::Doubting;
                life.audit.patience = DOUBT.max((now - sent) * 20);
                now + life.audit.patience
            }
            AuditState::Probing(_) => {
                life.audit.state = AuditState::Off;
                life.audit.next = now + INTERVAL;
                return;
            }
            AuditState::RunningEmpty => {
                life.audit.patience = life.audit.patience.max(life.patience());
                now + life.audit.patience
            }
            AuditState::Doubting => now + life.audit.patience,
        };
        self.wake_by(at);
    }

    /// Sends one record, if one waits, to a life that owes some and may owe more. A life that holds
    /// a record alone is not checked, and so never gets here.
    fn probe(&mut self, worker: WorkerId, now: Instant) -> bool {
        let life = self.life(worker).expect("only a running life is checked");
        let may_owe_more =
            self.policy.window == Window::Auto && self.policy.delivery == Delivery::AtLeastOnce;
        if !may_owe_more || life.hung_up.is_some() || life.is_reserved || self.is_spent(life) {
            return false;
        }
        let Some(work) = self.queue.pop(1, usize::MAX) else {
            return false;
        };
        self.send(worker, work, now);
        true
    }

    /// Whether nothing can go on before this life answers: what is behind its record fills the
    /// budget, so that there is not even a record to probe it with.
    fn is_in_the_way(&self, worker: WorkerId, now: Instant) -> bool {
        let life = self.life(worker).expect("only a running life is checked");
        self.policy.window == Window::Auto
            && self.policy.delivery == Delivery::AtLeastOnce
            && self.budget.has_waiter()
            && life.age(now) >= REMINDER
    }

    /// Closes a life's stdin: only there does it show whether it still means to answer.
    fn ask_by_end(&mut self, worker: WorkerId, now: Instant) {
        let life = self.life(worker).expect("only a running life is asked");
        let (waited, had_answered) = (life.age(now), life.has_signed);
        if let Some(index) = life.oldest() {
            let what = match had_answered {
                true => format!("may have skipped record {index}"),
                false => format!(
                    "has read record {index} and not answered for {} s",
                    waited.as_secs()
                ),
            };
            self.warn(format!(
                "{worker} {what}: its stdin is closed to see whether the answer still comes"
            ));
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
        let Some(life) = self.life_mut(worker) else {
            return;
        };
        if life.stage != Stage::Serving || life.deaf_since.is_some() {
            return;
        }
        if self
            .audit_deadline(self.life(worker).expect("it runs"))
            .is_some_and(|at| now >= at)
        {
            let life = self.life_mut(worker).expect("it runs");
            life.audit.patience = life.patience();
            life.audit.state = AuditState::RunningEmpty;
        }
        let Some(life) = self.life_mut(worker) else {
            return;
        };
        let expired = life.age(now) >= life.audit.patience;
        let at = life.clock + life.audit.patience;
        match life.audit.state {
            AuditState::Off | AuditState::Probing(_) => {}
            AuditState::Watching(until) if now >= until => {
                life.audit.passed();
                self.workers[worker.0].broken = 0;
            }
            AuditState::Watching(until) => self.wake_by(until),
            AuditState::RunningEmpty if expired => {
                // Without a record at hand the next tick after one has come tries again.
                if self.probe(worker, now) {
                    let life = self.life_mut(worker).expect("it runs");
                    life.audit.state = AuditState::Probing(now);
                } else if self.is_in_the_way(worker, now) {
                    self.ask_by_end(worker, now);
                }
            }
            AuditState::Doubting if expired => self.ask_by_end(worker, now),
            AuditState::RunningEmpty | AuditState::Doubting => self.wake_by(at),
        }
        let silence = self
            .life(worker)
            .and_then(|life| self.silence_deadline(life));
        if silence.is_some_and(|at| now >= at) {
            self.ask_by_end(worker, now);
        }
    }
}

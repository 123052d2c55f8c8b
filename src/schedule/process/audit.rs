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

use crate::record::Index;
use crate::schedule::doubts::Doubts;
use crate::schedule::pace::Pace;

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
/// However quick a process is, it is watched for so long.
const SHORTEST_WATCH: Duration = Duration::from_millis(1);
/// A process that would have to be watched for longer is found out when its input pauses, or at its
/// end.
const LONGEST_WATCH: Duration = Duration::from_secs(60);

/// How far the check of one process has got.
#[derive(Debug)]
pub(crate) struct Audit {
    state: AuditState,
    /// How long an answer may take before the check goes on without it.
    patience: Duration,
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
    pub(super) fn new(now: Instant) -> Self {
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
    pub(super) fn was_empty(&mut self, since: Instant, now: Instant, pace: &Pace) {
        self.emptied();
        let silent = now.saturating_duration_since(since);
        // Most often it is too short for any watch.
        if silent >= SHORTEST_WATCH && watch_time(pace).is_some_and(|time| silent >= time) {
            self.since_step = None;
            self.watched = now;
        }
    }

    /// Records from `first` to `last` were sent.
    pub(super) fn sent(&mut self, first: Index, last: Index) {
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

    pub(crate) fn state(&self) -> AuditState {
        self.state
    }

    /// When the check goes on though nothing is answered, where the clock of the oldest record runs
    /// since then.
    pub(crate) fn goes_on_at(&self, clock: Instant) -> Option<Instant> {
        match self.state {
            AuditState::Off | AuditState::Probing(_) => None,
            AuditState::Watching(until) => Some(until),
            AuditState::RunningEmpty | AuditState::Doubting => Some(clock + self.patience),
        }
    }

    /// Nothing is sent from now on until the process owes nothing.
    pub(super) fn begin(&mut self, patience: Duration) {
        self.state = AuditState::RunningEmpty;
        self.patience = patience;
    }

    /// A record was sent though it did not run empty.
    pub(crate) fn probed(&mut self, now: Instant) {
        self.state = AuditState::Probing(now);
    }

    /// The process has answered, and owes more, for which it is given so long.
    pub(super) fn answered(&mut self, patience: Duration, now: Instant) {
        match self.state {
            AuditState::Off | AuditState::Watching(_) | AuditState::Doubting => {}
            // A worker that waited for nothing but the next record answers it at once. Then the
            // answer is likely that of the record before.
            AuditState::Probing(sent) if now - sent < self.patience / 10 => {
                self.state = AuditState::Doubting;
                self.patience = DOUBT.max((now - sent) * 20);
            }
            AuditState::Probing(_) => self.put_off(now),
            AuditState::RunningEmpty => self.patience = self.patience.max(patience),
        }
    }

    /// The process owes nothing: if it is time for that, it is watched for as long as a further
    /// answer might take, given how long a record takes it.
    pub(super) fn ran_empty(&mut self, pace: &Pace, now: Instant) {
        if matches!(self.state, AuditState::Off | AuditState::Watching(_)) {
            return;
        }
        self.next = now + EMPTIED;
        if let Some(time) = watch_time(pace)
            && now >= self.watched + self.gap(time)
        {
            self.watched = now + time;
            self.watches += 1;
            self.state = AuditState::Watching(self.watched);
            return;
        }
        self.state = AuditState::Off;
        self.emptied();
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
    pub(crate) fn leave_unwatched(&mut self, now: Instant) {
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
    pub(crate) fn passed(&mut self) {
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
    let time = pace.line_time()? * 2 + SHORTEST_WATCH;
    (time <= LONGEST_WATCH).then_some(time)
}

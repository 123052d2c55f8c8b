//! What keeps records from being sent though a worker has room for them: the rate, and what workers
//! have asked to wait.
//!
//! Owns the tokens of `--rate`, and the pauses and the pace of each group of workers with the same
//! init argument. Always: no more records are sent than there are tokens, and whoever is refused for
//! that is told when to come again.

mod bucket;
mod group;

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use bucket::Bucket;
use group::Group;
pub(super) use group::{FUTILE, Refusal};

use super::Scheduler;
use super::held::Held;
use super::ids::WorkerId;
use super::policy::{Pacing, Policy, Rate};

/// So much work is kept in flight at all workers together, where a rate is given: a record is sent
/// when it may be begun, and not long before.
const IN_FLIGHT: f64 = 0.005;
/// For so long the records of a batch are gathered.
const GATHER: Duration = Duration::from_secs(1);

/// What is let through, and how soon.
#[derive(Debug)]
pub(super) struct Brakes {
    rate: Option<Bucket>,
    /// How many records go together.
    batch: usize,
    /// How many records of a worker may be in flight, where it does not say how many it takes.
    window: usize,
    /// Since when records wait that may be too few for a batch.
    gathers_since: Option<Instant>,
    /// The workers with the same init argument, where they can ask to wait.
    groups: Vec<Group>,
    /// Which of them each worker is one of.
    group_of: Vec<usize>,
    /// When a record was last answered.
    last_answer: Option<Instant>,
}

/// A pause that a worker has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who.
    pub by: WorkerId,
    /// How long it still takes.
    pub wait: Duration,
}

impl Brakes {
    pub(super) fn new(policy: &Policy, now: Instant) -> Self {
        let Pacing { rate, batch, .. } = policy.pacing;
        let group_of: Vec<_> = match &policy.pacing.groups[..] {
            [] => vec![0; policy.jobs.get()],
            groups => groups.to_vec(),
        };
        let groups = match policy.names_records() {
            true => group_of.iter().max().map_or(0, |last| last + 1),
            false => 0,
        };
        let batch = batch.map_or(1, NonZeroUsize::get);
        let per_second = rate.map(Rate::per_second);
        let each = |rate: f64| (rate * IN_FLIGHT / policy.jobs.get() as f64) as usize;
        Self {
            rate: per_second.map(|rate| Bucket::new(rate, rate.max(1.0).max(batch as f64), now)),
            batch,
            window: per_second.map_or(usize::MAX, |rate| each(rate).max(1)),
            gathers_since: None,
            groups: (0..groups).map(|_| Group::default()).collect(),
            group_of,
            last_answer: None,
        }
    }

    /// How many records a worker may hold that does not say how many it takes.
    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// Whether the records that are let through go together.
    pub(super) fn sends_together(&self) -> bool {
        self.batch > 1 && (self.rate.is_some() || self.window == 1)
    }

    /// How many of the records that a worker could be sent may be sent now.
    pub(super) fn let_through(
        &self,
        worker: WorkerId,
        records: usize,
        more_may_come: MoreRecords,
        now: Instant,
    ) -> Result<usize, Held> {
        let least = records.min(self.batch);
        let granted = match self.group(worker) {
            Some(group) => group.lets_through(least, now).map_err(|until| Held::Asked { until })?,
            None => usize::MAX,
        };
        let records = records.min(granted);
        let Some(bucket) = &self.rate else {
            return Ok(records);
        };
        if records < self.batch
            && more_may_come == MoreRecords::Expected
            && let Some(since) = self.gathers_since
            && now < since + GATHER
        {
            return Err(Held::Rate {
                until: since + GATHER,
            });
        }
        match bucket.available(now) {
            tokens if tokens >= least => Ok(match records.min(tokens) {
                // A part of a batch would go as a batch of its own.
                granted if granted > self.batch => granted - granted % self.batch,
                granted => granted,
            }),
            _ => Err(Held::Rate {
                until: bucket.has(least, now),
            }),
        }
    }

    /// Whether one record that must be alone may be sent now, or when.
    pub(super) fn lets_one_through(&self, now: Instant) -> Result<(), Instant> {
        match &self.rate {
            Some(bucket) if bucket.available(now) == 0 => Err(bucket.has(1, now)),
            _ => Ok(()),
        }
    }

    /// The same of this worker, which may have been asked to wait.
    pub(super) fn lets_one_through_to(
        &self,
        worker: WorkerId,
        now: Instant,
    ) -> Result<(), Instant> {
        self.group(worker).map_or(Ok(()), |group| group.lets_through(1, now).map(drop))
    }

    fn group(&self, worker: WorkerId) -> Option<&Group> {
        self.groups.get(self.group_of[worker.0])
    }

    fn group_mut(&mut self, worker: WorkerId) -> Option<&mut Group> {
        self.groups.get_mut(self.group_of[worker.0])
    }

    /// The pause that takes longest, of those that go on.
    pub(super) fn pause(&self, now: Instant) -> Option<Asked> {
        let pauses = self.groups.iter().filter_map(|group| group.pause(now));
        pauses.max_by_key(|pause| pause.until).map(|pause| Asked {
            by: pause.by,
            wait: pause.until - now,
        })
    }

    /// Those with the same init argument.
    pub(super) fn fellows(&self, worker: WorkerId) -> Vec<WorkerId> {
        let number = self.group_of[worker.0];
        let workers = self.group_of.iter().enumerate();
        workers.filter(|(_, group)| **group == number).map(|(other, _)| WorkerId(other)).collect()
    }

    /// A process answered so many records, the first of which was sent at that time.
    pub(super) fn answered(
        &mut self,
        worker: WorkerId,
        records: usize,
        sent: Option<Instant>,
        now: Instant,
    ) {
        self.last_answer = Some(now);
        if let Some(group) = self.group_mut(worker) {
            group.answered(records, sent, now);
        }
    }

    /// Whether any record was answered after that.
    pub(super) fn has_answered_since(&self, time: Instant) -> bool {
        self.last_answer.is_some_and(|last| last > time)
    }

    /// A record that was sent at that time was refused, for so long.
    pub(super) fn refused(
        &mut self,
        worker: WorkerId,
        wait: Duration,
        sent: Option<Instant>,
        now: Instant,
    ) -> Refusal {
        // What is begun is what is let through: nothing is to lie at workers.
        self.window = 1;
        let group = self.group_mut(worker).expect("only one that answers by name can refuse");
        group.refused(worker, wait, sent, now)
    }

    /// Records came where none waited.
    pub(super) fn gathers_from(&mut self, now: Instant) {
        self.gathers_since = Some(now);
    }

    /// So many records are sent.
    pub(super) fn sent(&mut self, worker: WorkerId, records: usize, now: Instant) {
        if let Some(group) = self.group_mut(worker) {
            group.sent(records, now);
        }
        if let Some(bucket) = &mut self.rate {
            bucket.take(records, now);
            self.gathers_since = Some(now);
        }
    }
}

/// Whether the input may give more records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MoreRecords {
    Expected,
    /// There are none but those that wait.
    None,
}

impl Scheduler {
    /// What workers have asked to wait, where that keeps what waits from being sent.
    pub fn asked_to_wait(&self, now: Instant) -> Option<Asked> {
        let waits = self.queue.together() + self.queue.later() > 0 || self.queue.has_alone();
        self.brakes.pause(now).filter(|_| waits)
    }

    /// Whether the rate keeps what waits from being sent.
    pub(super) fn is_held_by_rate(&self) -> bool {
        let is_held = |held| matches!(held, Held::Rate { .. });
        self.queue.together() > 0 && self.processes().any(|(_, process)| is_held(process.held()))
    }
}

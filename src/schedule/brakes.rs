//! What keeps records from being sent though a worker has room for them: the rate.
//!
//! Owns the tokens of `--rate`. Always: no more records are sent than there are tokens, and whoever
//! is refused for that is told when to come again.

mod bucket;

use std::time::{Duration, Instant};

use bucket::Bucket;

use super::Scheduler;
use super::held::Held;
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
}

impl Brakes {
    pub(super) fn new(policy: &Policy, now: Instant) -> Self {
        let Pacing { rate, batch, .. } = policy.pacing;
        let batch = rate.and(batch).map_or(1, std::num::NonZeroUsize::get);
        let per_second = rate.map(Rate::per_second);
        let each = |rate: f64| (rate * IN_FLIGHT / policy.jobs.get() as f64) as usize;
        Self {
            rate: per_second.map(|rate| Bucket::new(rate, rate.max(1.0).max(batch as f64), now)),
            batch,
            window: per_second.map_or(usize::MAX, |rate| each(rate).max(1)),
            gathers_since: None,
        }
    }

    /// How many records a worker may hold that does not say how many it takes.
    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// Whether the records that are let through go together.
    pub(super) fn sends_together(&self) -> bool {
        self.batch > 1
    }

    /// How many of the records that a worker could be sent may be sent now.
    pub(super) fn let_through(
        &self,
        records: usize,
        more_may_come: MoreRecords,
        now: Instant,
    ) -> Result<usize, Held> {
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
        let least = records.min(self.batch);
        match bucket.available(now) {
            tokens if tokens >= least => Ok(records.min(tokens)),
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

    /// Records came where none waited.
    pub(super) fn gathers_from(&mut self, now: Instant) {
        self.gathers_since = Some(now);
    }

    /// So many records are sent.
    pub(super) fn sent(&mut self, records: usize, now: Instant) {
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
    /// Whether the rate keeps what waits from being sent.
    pub(super) fn is_held_by_rate(&self) -> bool {
        let is_held = |held| matches!(held, Held::Rate { .. });
        self.queue.together() > 0 && self.processes().any(|(_, process)| is_held(process.held()))
    }
}

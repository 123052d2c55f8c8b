//! What the statistics of a run come to: its records, and what the time of its workers went to.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use super::latencies::Latencies;
use crate::schedule::{Bottleneck, Doubts, Refusals, SlowRecord};

/// The statistics of a run that is over.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub(super) wall: Duration,
    /// Records with an outcome.
    pub(super) records: u64,
    /// The results that those gave that did not fail.
    pub(super) results: u64,
    /// Failed ones by kind.
    pub(super) failed: BTreeMap<&'static str, u64>,
    pub(super) restarts: u64,
    pub(super) refusals: Refusals,
    /// The records whose results may stand in wrong places.
    pub(super) doubts: Doubts,
    pub(super) workers: Vec<Share>,
    pub(super) lost: BTreeMap<Reason, Duration>,
    pub(super) slowest: Vec<SlowRecord>,
    pub(super) latencies: Latencies,
}

/// One worker's part of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    /// Records with an outcome that it had last.
    pub(super) records: u64,
    pub(super) failed: u64,
    pub(super) processes: u32,
    /// How many of them were replaced for the memory that they held.
    pub(super) outgrown: u32,
    /// How many threads its numeric libraries were told to start, if they were.
    pub(super) threads: Option<usize>,
    /// The most memory that one of its processes has had, as far as is known.
    pub(super) peak: Option<u64>,
    pub(super) times: Times,
}

/// What a worker's time was spent on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    /// From a process's start until it is ready.
    pub(super) starting: Duration,
    /// Up, but with nothing to do, or not listened to.
    pub(super) waiting: Duration,
    /// With records to answer.
    pub(super) working: Duration,
    /// From the end of its stdin, everything answered, to its exit.
    pub(super) exiting: Duration,
    /// Without a process.
    pub(super) absent: Duration,
}

/// Why a worker did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// It started up.
    Starting,
    /// The input gave nothing.
    Input,
    /// Nobody took the output.
    Output,
    /// Results waited for their turn, and held all the bytes there were.
    Order,
    /// No records were left for it.
    End,
    /// Those that were left went to quicker ones.
    Quicker,
    /// It was seen whether it answers each record with one line.
    Check,
    /// It was being replaced, or records were kept for another one.
    Restart,
    /// What was left waited for its time to be sent again.
    Retry,
    /// No more was to be sent so soon.
    Rate,
    /// Workers had asked to wait.
    Asked,
    /// It was to exit.
    Exiting,
}

impl Account {
    /// The times of all workers.
    pub(super) fn total(&self) -> Times {
        let mut total = Times::default();
        self.workers.iter().for_each(|worker| total += worker.times);
        total
    }

    /// How much of the workers' time this is, from 0 to 1.
    pub(super) fn share(&self, time: Duration) -> f64 {
        let all = self.total().sum().as_secs_f64();
        if all == 0.0 {
            0.0
        } else {
            time.as_secs_f64() / all
        }
    }

    /// Records per second.
    pub(super) fn rate(&self) -> f64 {
        let seconds = self.wall.as_secs_f64();
        if seconds == 0.0 {
            0.0
        } else {
            self.records as f64 / seconds
        }
    }
}

impl Times {
    pub(super) fn sum(&self) -> Duration {
        self.starting + self.waiting + self.working + self.exiting + self.absent
    }
}

impl AddAssign for Times {
    fn add_assign(&mut self, other: Self) {
        self.starting += other.starting;
        self.waiting += other.waiting;
        self.working += other.working;
        self.exiting += other.exiting;
        self.absent += other.absent;
    }
}

impl From<Bottleneck> for Reason {
    fn from(wait: Bottleneck) -> Self {
        match wait {
            Bottleneck::Input => Self::Input,
            Bottleneck::Output => Self::Output,
            Bottleneck::Order => Self::Order,
            Bottleneck::End => Self::End,
            Bottleneck::Quicker => Self::Quicker,
            Bottleneck::Check => Self::Check,
            Bottleneck::Restart => Self::Restart,
            Bottleneck::Retry => Self::Retry,
            Bottleneck::Rate => Self::Rate,
            Bottleneck::Asked => Self::Asked,
        }
    }
}

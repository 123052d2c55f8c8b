//! The counts of a run as the thread that shows them sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::status::Wait;

/// Stands for a number that is not known.
const UNKNOWN: u64 = u64::MAX;

/// A sample of the scheduler's counts. Clones share it: the engine puts it there, the thread of the
/// messages looks at it.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<LatestCounts>);

#[derive(Debug)]
struct LatestCounts {
    done: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
    total: AtomicU64,
    wait: AtomicU64,
}

impl Default for LatestCounts {
    fn default() -> Self {
        Self {
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            total: AtomicU64::new(UNKNOWN),
            wait: AtomicU64::new(0),
        }
    }
}

/// What was counted at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Records with an outcome.
    pub(super) done: u64,
    /// Those of them that failed.
    pub(super) failed: u64,
    /// The bytes of the input that they took, where these can be told.
    pub(super) bytes: Option<u64>,
    /// How many records there are, once that is known for certain.
    pub(super) total: Option<u64>,
    /// What everything has waited for, for a while.
    pub(super) wait: Wait,
}

impl Counts {
    /// Puts a sample there. Without a number of bytes the last one stays.
    pub(super) fn set(&self, counted: Counted) {
        let Self(inner) = self;
        inner.done.store(counted.done, Relaxed);
        inner.failed.store(counted.failed, Relaxed);
        if let Some(bytes) = counted.bytes {
            inner.bytes.store(bytes, Relaxed);
        }
        inner.total.store(counted.total.unwrap_or(UNKNOWN), Relaxed);
        inner.wait.store(counted.wait.number(), Relaxed);
    }

    pub(super) fn done(&self) -> u64 {
        self.0.done.load(Relaxed)
    }

    pub(super) fn get(&self) -> Counted {
        let Self(inner) = self;
        let total = inner.total.load(Relaxed);
        Counted {
            done: self.done(),
            failed: inner.failed.load(Relaxed),
            bytes: Some(inner.bytes.load(Relaxed)),
            total: (total != UNKNOWN).then_some(total),
            wait: Wait::of(inner.wait.load(Relaxed)),
        }
    }
}

//! The counts of a run as the thread that shows them sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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
}

impl Default for LatestCounts {
    fn default() -> Self {
        Self {
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            total: AtomicU64::new(UNKNOWN),
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
    /// The bytes of the input that they took.
    pub(super) bytes: u64,
    /// How many records there are, once that is known for certain.
    pub(super) total: Option<u64>,
}

impl Counts {
    /// Puts a sample there. Without a number of bytes the last one stays.
    pub(super) fn set(&self, done: u64, failed: u64, bytes: Option<u64>, total: Option<u64>) {
        let Self(inner) = self;
        inner.done.store(done, Relaxed);
        inner.failed.store(failed, Relaxed);
        if let Some(bytes) = bytes {
            inner.bytes.store(bytes, Relaxed);
        }
        inner.total.store(total.unwrap_or(UNKNOWN), Relaxed);
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
            bytes: inner.bytes.load(Relaxed),
            total: (total != UNKNOWN).then_some(total),
        }
    }
}

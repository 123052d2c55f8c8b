//! What is particular to a journal of what is tried again.

use super::{KeptPlaces, Past};

/// The term of a journal of what has been tried again: the last checksum of the journal that says what
/// failed.
pub(in super::super) const RETRY_FAILED: &str = "--retry-failed";

impl Past {
    /// A journal of what is tried again, which goes on from what `failed` knows of input and workers.
    pub(in super::super) fn follow(&mut self, failed: &Self) {
        self.input = failed.input;
        self.worker_faults = failed.worker_faults;
        self.doubts.clone_from(&failed.doubts);
        self.ready.clone_from(&failed.ready);
        self.places = KeptPlaces::All;
    }

    /// Whether it is one of what is tried again, of which not all records need be.
    pub(super) fn is_retry(&self) -> bool {
        self.header.terms.contains_key(RETRY_FAILED)
    }
}

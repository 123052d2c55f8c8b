//! The way of records to their outcome, for those who tell of it.

use std::time::Instant;

use super::ids::ProcessNumber;

/// Where records have been on their way to an outcome, and what they came to in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// When the first of them came from the input.
    pub queued: Option<Instant>,
    /// When their worker was at the first of them, the last time that they were sent; when it was
    /// sent, where nothing better is known.
    pub started: Option<Instant>,
    /// Which process of their worker had them last.
    pub process: Option<ProcessNumber>,
    /// The bytes of the records, without what ends each, where bytes are counted.
    pub bytes_in: usize,
    /// The bytes of their results as they are written, where bytes are counted.
    pub bytes_out: usize,
    /// How many results they gave.
    pub results: u64,
}

impl Trail {
    /// Their worker was not at them before this time, nor before they came.
    pub(super) fn began(&mut self, since: Option<Instant>) {
        self.started = self.started.max(since);
        if self.started.is_some() {
            self.started = self.started.max(self.queued);
        }
    }
}

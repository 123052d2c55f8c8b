//! Whether mtask listens to a process, and how much it has heard of an answer that is not whole.

use std::time::{Duration, Instant};

/// What mtask hears of a process.
#[derive(Debug)]
pub(crate) struct Listening {
    /// Since when mtask does not listen to it.
    paused_since: Option<Instant>,
    /// How many bytes mtask holds of an answer that it has begun.
    begun: usize,
    /// When it last said anything, or was first heard again.
    said_at: Instant,
    /// It has said nothing for long amid an answer, though it was heard.
    has_stalled: bool,
}

impl Listening {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            paused_since: None,
            begun: 0,
            said_at: now,
            has_stalled: false,
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused_since.is_some()
    }

    /// Up to when its clocks have run.
    pub(crate) fn until(&self, now: Instant) -> Instant {
        self.paused_since.unwrap_or(now)
    }

    /// How much it has begun of an answer.
    pub(crate) fn begun(&self) -> usize {
        self.begun
    }

    /// Whether it is amid an answer, and has not stalled.
    pub(crate) fn is_amid(&self) -> bool {
        self.begun > 0 && !self.has_stalled
    }

    pub(crate) fn has_stalled(&self) -> bool {
        self.has_stalled
    }

    /// Since when it is waited for amid an answer.
    pub(crate) fn silent_since(&self, now: Instant) -> Instant {
        match self.is_paused() {
            true => now,
            false => self.said_at,
        }
    }

    /// Of an answer that it has begun so many bytes are held now.
    pub(crate) fn said(&mut self, begun: usize, now: Instant) {
        self.begun = begun;
        self.said_at = now;
        self.has_stalled = false;
    }

    pub(crate) fn stalled(&mut self) {
        self.has_stalled = true;
    }

    pub(super) fn pause(&mut self, at: Instant) {
        self.paused_since = Some(at);
    }

    /// It is listened to again. Gives for how long it was not, up to `until`, if it was not.
    pub(super) fn resume(&mut self, until: Instant, now: Instant) -> Option<Duration> {
        let since = self.paused_since.take()?;
        self.said_at = now;
        Some(until.saturating_duration_since(since))
    }

    pub(super) fn stand_still(&mut self, later: impl Fn(Instant) -> Instant) {
        self.paused_since = self.paused_since.map(later);
    }
}

//! What is known of a process that says nothing.

use std::time::{Duration, Instant};

use super::Stage;

/// So long a full buffer may be what everything waits for.
pub(crate) const HUNGER: Duration = Duration::from_secs(30);
/// A process that has not answered its first record after so long may be collecting its output.
pub(crate) const HINT: Duration = Duration::from_secs(10);
/// A record unanswered for so long is named, and again each time its age has doubled.
pub(crate) const REMINDER: Duration = Duration::from_secs(60);

/// What a process has done with the records that it was sent, as far as its stdin shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Nobody can know.
    Unknown,
    /// It has not read all of them.
    Behind,
    /// It has read them all.
    All,
}

/// Why the end of its stdin was shown to a process that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It had not answered for so long; it had answered something before, or nothing.
    Silent {
        waited: Duration,
        had_answered: bool,
    },
    /// It could be sent no more, for the buffer is full.
    Starved,
}

/// What its silence may mean, and what the user was told of it.
#[derive(Debug)]
pub(crate) struct Silence {
    /// What it has read of what it was sent, when that was last of interest.
    reading: Reading,
    /// When it was last seen not to have read it all.
    behind_at: Option<Instant>,
    /// The end of its stdin was shown to it before its time.
    asked: Option<Asked>,
    /// It has answered so long after that that it cannot have waited for it.
    answered_late: bool,
    /// At what age of its record, or of its start, the user is next told that it is waited for.
    next_reminder: Duration,
    was_hinted: bool,
}

impl Silence {
    pub(super) fn new() -> Self {
        Self {
            reading: Reading::Unknown,
            behind_at: None,
            asked: None,
            answered_late: false,
            next_reminder: REMINDER,
            was_hinted: false,
        }
    }

    pub(crate) fn reading(&self) -> Reading {
        self.reading
    }

    pub(crate) fn asked(&self) -> Option<Asked> {
        self.asked
    }

    pub(crate) fn answered_late(&self) -> bool {
        self.answered_late
    }

    pub(crate) fn next_reminder(&self) -> Duration {
        self.next_reminder
    }

    pub(crate) fn was_hinted(&self) -> bool {
        self.was_hinted
    }

    /// When it was last seen not to have read what it was sent, and from `clock` on otherwise.
    pub(super) fn since_behind(&self, clock: Instant) -> Instant {
        self.behind_at.map_or(clock, |at| clock.max(at))
    }

    /// Whether what it does now, at that stage, is likely to come of the end of its stdin.
    pub(super) fn is_prompt(&self, stage: Stage, now: Instant) -> bool {
        let Stage::Closing(since) = stage else {
            return false;
        };
        let limit = match self.asked {
            Some(Asked::Silent { waited, .. }) => waited / 2,
            Some(Asked::Starved) => HUNGER / 2,
            None => return false,
        };
        now.saturating_duration_since(since) <= limit
    }

    pub(crate) fn has_read(&mut self, reading: Reading, now: Instant) {
        self.reading = reading;
        if reading == Reading::Behind {
            self.behind_at = Some(now);
        }
    }

    pub(crate) fn ask(&mut self, asked: Asked) {
        self.asked = Some(asked);
    }

    pub(super) fn spoke(&mut self, stage: Stage, now: Instant) {
        self.answered_late |= self.asked.is_some() && !self.is_prompt(stage, now);
    }

    /// Something else is waited for now.
    pub(super) fn end(&mut self) {
        self.next_reminder = REMINDER;
    }

    pub(crate) fn hinted(&mut self) {
        self.was_hinted = true;
    }

    pub(crate) fn reminded(&mut self, age: Duration) {
        self.next_reminder = age * 2;
    }
}

//! How far a process has come: whether it is up.

use std::time::{Duration, Instant};

/// From its beginning to its first answer, or its death.
#[derive(Debug)]
pub(crate) struct Start {
    began: Instant,
    /// How long mtask has not listened to it.
    unheard: Duration,
    /// For how long it was listened to before it was sent its first record, where it has been.
    unfed: Option<Duration>,
    /// It has answered, or has said that it is up.
    is_ready: bool,
    /// It has shown that it stays up.
    has_stood: bool,
    /// When it died, where that is judged later.
    died_at: Option<Instant>,
}

/// How far a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Startup {
    /// It runs for so long, and whether it is able to is not known.
    Begun { ran: Duration, holds_any: bool },
    /// It has stayed up without a record for longer than those that could not, and for longer than
    /// with one, or for as long as a start may take.
    Stood,
    /// It has answered, or has said that it is up.
    Ready,
}

impl Startup {
    /// Whether its death says anything of what it held.
    pub(crate) fn is_proof(self) -> bool {
        !matches!(self, Self::Begun { .. })
    }
}

impl Start {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            unheard: Duration::ZERO,
            unfed: None,
            is_ready: false,
            has_stood: false,
            died_at: None,
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.is_ready
    }

    pub(crate) fn has_stood(&self) -> bool {
        self.has_stood
    }

    /// From when its start is timed, time not listened to left out.
    pub(crate) fn since(&self) -> Instant {
        self.began + self.unheard
    }

    /// For how long it may have been ready and could not show it: nobody listened, or it was sent
    /// nothing.
    pub(crate) fn untold(&self) -> Duration {
        self.unheard + self.unfed.unwrap_or_default()
    }

    /// How long it runs.
    pub(crate) fn ran(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// How far it has come, where it was sent its first record at `fed`, and to have stayed up for
    /// `enough` is proof in any case.
    pub(super) fn startup(
        &self,
        fed: Instant,
        enough: Duration,
        holds_any: impl FnOnce() -> bool,
        now: Instant,
    ) -> Startup {
        let ran = (self.died_at.unwrap_or(now)).saturating_duration_since(self.since());
        let unfed = fed.saturating_duration_since(self.since());
        match (self.is_ready, self.has_stood) {
            (true, _) => Startup::Ready,
            // Else it may have died of what the earlier ones died of, only later.
            (false, true) if unfed * 2 >= ran || unfed >= enough => Startup::Stood,
            _ => Startup::Begun {
                ran,
                holds_any: holds_any(),
            },
        }
    }

    pub(super) fn began(&mut self, now: Instant) {
        self.began = now;
    }

    /// It is sent a record.
    pub(super) fn fed(&mut self, now: Instant) {
        let unfed = now.saturating_duration_since(self.since());
        self.unfed.get_or_insert(unfed);
    }

    /// It says when it is ready, whether or not it is sent anything.
    pub(super) fn says_so(&mut self) {
        self.unfed = Some(Duration::ZERO);
    }

    pub(crate) fn became_ready(&mut self) {
        self.is_ready = true;
    }

    pub(crate) fn stood(&mut self) {
        self.has_stood = true;
    }

    /// Others like it were found to need longer.
    pub(super) fn has_yet_to_stand(&mut self) {
        self.has_stood = false;
    }

    pub(crate) fn died(&mut self, now: Instant) {
        self.died_at = Some(now);
    }

    pub(super) fn was_unheard(&mut self, pause: Duration) {
        self.unheard += pause;
    }

    pub(super) fn stand_still(&mut self, later: impl Fn(Instant) -> Instant) {
        self.began = later(self.began);
    }

    /// Nothing is known of the time up to now.
    pub(super) fn start_anew(&mut self, now: Instant) {
        if !self.is_ready {
            (self.unheard, self.unfed) = (self.ran(now), Some(Duration::ZERO));
        }
    }
}

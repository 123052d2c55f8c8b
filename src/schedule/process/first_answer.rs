//! The first answer of a process. Whatever else it holds by then may have waited for that, so that no
//! clock counts the time before.

use std::time::{Duration, Instant};

use super::Process;

/// Whether COMMAND had given an answer anywhere when a process began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    /// It had given none.
    First,
    /// It had.
    Later,
}

/// Whether there is one, and since when.
#[derive(Debug)]
pub(crate) struct FirstAnswer {
    generation: Generation,
    given: Option<Instant>,
    /// When the process has begun its first call, where it says so.
    called: Option<Instant>,
    /// For how long no clock has run though the process did. It may have been at its first call for
    /// all of that time, be it said later; or for none of it.
    uncounted: Duration,
    /// Whether it cannot be told how long the first call takes. What a process waits for elsewhere
    /// goes on while mtask is stopped; what a first call has to do may be done in one that is refused
    /// or ended.
    is_untold: bool,
}

impl FirstAnswer {
    pub(super) fn new(generation: Generation) -> Self {
        Self {
            generation,
            given: None,
            called: None,
            uncounted: Duration::ZERO,
            is_untold: false,
        }
    }

    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    pub(crate) fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// From when the time of a record counts that the process has been at since then.
    pub(crate) fn counts_from(&self, since: Instant) -> Instant {
        self.given.map_or(since, |at| since.max(at))
    }

    /// It takes no longer than any other: its time counts from here.
    pub(super) fn is_like_others(&mut self, now: Instant) {
        self.given = Some(now);
    }

    /// The process begins a call.
    pub(super) fn called(&mut self, now: Instant) {
        self.called.get_or_insert(now);
    }

    /// What it was called for is refused: that tells of no answer, and the next call is not its first.
    pub(super) fn was_refused(&mut self) {
        self.called = None;
        self.is_untold |= self.given.is_none();
    }

    /// No clock has run for `pause`.
    pub(super) fn was_uncounted(&mut self, pause: Duration) {
        self.uncounted += pause;
    }

    /// It is asked to end a call.
    pub(super) fn was_cancelled(&mut self) {
        self.is_untold |= self.given.is_none();
    }

    /// mtask was stopped, and perhaps the process with it.
    pub(super) fn was_stopped(&mut self) {
        self.is_untold |= self.given.is_none();
    }

    /// All clocks are set to what `later` makes of them.
    pub(super) fn move_clocks(&mut self, later: impl Fn(Instant) -> Instant) {
        self.given = self.given.map(&later);
        self.called = self.called.map(&later);
    }
}

impl Process {
    /// It answers, and its clocks have not begun anew for that. Gives how long it took to it at most,
    /// and how long of the time in which it was `heard`, the last of which was at that time, if that is
    /// the first time and can be told.
    pub(crate) fn gives_first_answer(
        &mut self,
        heard_until: Instant,
        now: Instant,
    ) -> Option<(Duration, Duration)> {
        if self.first_answer.is_given() {
            return None;
        }
        self.first_answer.given = Some(now);
        if self.first_answer.is_untold {
            return None;
        }
        Some(match self.is_ready() {
            // What has been begun once more has its clock anew.
            true => {
                let since = self.first_answer.called.unwrap_or(self.owed.clock());
                let took = now.saturating_duration_since(since) + self.first_answer.uncounted;
                (took, heard_until.saturating_duration_since(since))
            }
            // Its start is a part of that.
            false => {
                let heard = self.time_to_ready(heard_until).saturating_sub(self.start.untold());
                (self.time_to_ready(now), heard)
            }
        })
    }

    /// How many of the first records it may have been at for longer than so long; of what it has begun,
    /// where it says so, these come first from now on.
    pub(crate) fn lead_with_expired(
        &mut self,
        written: usize,
        limit: Duration,
        now: Instant,
    ) -> usize {
        let first = &self.first_answer;
        let is_over = |since| now >= first.counts_from(since) + limit;
        self.owed.lead_with_expired(written, is_over)
    }
}

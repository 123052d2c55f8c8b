//! What has come from the input, and since when nothing has moved.

use std::time::{Duration, Instant};

use super::ids::Crew;
use super::process::HUNGER;

/// How long a full buffer is what everything waits for, once that has been found to be so.
const SHORT: Duration = Duration::from_secs(1);

/// The input, as far as it is known.
#[derive(Debug)]
pub(super) struct Intake {
    is_open: bool,
    /// How many records it has given so far, and their bytes.
    seen: u64,
    seen_bytes: u64,
    /// The first process may begin: there is input, or none has come for a moment.
    may_start: Option<Instant>,
    /// Who shares the machine, since the first process has begun.
    crew: Option<Crew>,
    /// When records last came or were answered.
    moved_at: Instant,
    /// How long nothing may move before a process that may wait for more records than the buffer
    /// holds is shown the end of its stdin.
    hunger: Duration,
}

impl Intake {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            is_open: true,
            seen: 0,
            seen_bytes: 0,
            may_start: None,
            crew: None,
            moved_at: now,
            hunger: HUNGER,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// How many records came.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    pub(super) fn seen_bytes(&self) -> u64 {
        self.seen_bytes
    }

    pub(super) fn may_start(&self) -> Option<Instant> {
        self.may_start
    }

    pub(super) fn crew(&self) -> Option<Crew> {
        self.crew
    }

    /// Whether it may soon turn out that there are fewer records than these workers, none of which has
    /// begun.
    pub(super) fn may_be_short(&self, jobs: usize) -> bool {
        self.crew.is_none() && self.is_open && (1..jobs as u64).contains(&self.seen)
    }

    /// How long nothing may move.
    pub(super) fn hunger(&self) -> Duration {
        self.hunger
    }

    /// When nothing has moved for too long.
    pub(super) fn starves_at(&self) -> Instant {
        self.moved_at + self.hunger
    }

    /// Whether it was found before that everything waited for a full buffer.
    pub(super) fn has_starved(&self) -> bool {
        self.hunger == SHORT
    }

    /// Records came.
    pub(super) fn came(&mut self, count: usize, bytes: usize) {
        self.seen += count as u64;
        self.seen_bytes += bytes as u64;
    }

    /// Processes may begin.
    pub(super) fn may_begin(&mut self, now: Instant) {
        self.may_start.get_or_insert(now);
    }

    /// A process begins, of so many workers. Gives who shares the machine.
    pub(super) fn muster(&mut self, jobs: usize) -> Crew {
        let all = match self.is_open {
            true => jobs,
            false => usize::try_from(self.seen).unwrap_or(jobs).clamp(1, jobs),
        };
        *self.crew.get_or_insert(Crew(all))
    }

    pub(super) fn ended(&mut self) {
        self.is_open = false;
    }

    /// Something moved.
    pub(super) fn moved(&mut self, now: Instant) {
        self.moved_at = now;
    }

    /// A process that was shown the end of its stdin for it had waited for that.
    pub(super) fn starved(&mut self) {
        self.hunger = SHORT;
    }

    /// It was only slow, and is not to be disturbed again for so long.
    pub(super) fn was_slow(&mut self, silence: Duration) {
        self.hunger = silence;
    }

    pub(super) fn was_suspended(&mut self, pause: Duration, now: Instant) {
        self.moved_at = (self.moved_at + pause).min(now);
    }
}

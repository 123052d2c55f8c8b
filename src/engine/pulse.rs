//! Whether the engine itself stood still: a frozen cgroup, a paused container or virtual machine
//! stops it and its workers, and no signal tells of it.
//!
//! The rule: while a time limit runs, the engine asks to be woken every [`BEAT`]. A turn of its
//! loop that took [`STANDSTILL`] or longer all the same, but for one beat, is time in which nobody
//! ran, and no clock of a worker has run then. A machine that is only busy cannot put a limit off
//! for ever: with each turn the clocks go on by a beat, so that a limit is over after so many
//! turns.

use std::time::{Duration, Instant};

/// How often the engine looks whether it runs.
pub(super) const BEAT: Duration = Duration::from_millis(250);
/// A turn that took less is none that anybody held up.
const STANDSTILL: Duration = Duration::from_secs(1);

/// When the engine was last seen to run.
#[derive(Debug)]
pub(super) struct Pulse {
    last: Instant,
    /// Whether the turn that began then was to last no longer than a beat.
    beats: bool,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last: now,
            beats: false,
        }
    }

    /// A turn begins that waits for whatever comes, or if it `beats`, for a beat at most.
    pub(super) fn begin(&mut self, beats: bool) {
        self.beats = beats;
    }

    /// When the turn must be over.
    pub(super) fn due(&self) -> Option<Instant> {
        self.beats.then(|| self.last + BEAT)
    }

    /// The turn is over, and the next begins. Gives for how long nobody has run, if that is so.
    pub(super) fn end(&mut self, now: Instant) -> Option<Duration> {
        let took = now.saturating_duration_since(self.last);
        self.last = now;
        (self.beats && took >= STANDSTILL).then(|| took - BEAT)
    }

    /// It is known, and dealt with, what held this turn up.
    pub(super) fn excuse(&mut self, now: Instant) {
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// What becomes of turns that end after so many milliseconds each.
    fn turns(beats: bool, each: impl IntoIterator<Item = u32>) -> Vec<Option<u128>> {
        let mut now = Instant::now();
        let mut pulse = Pulse::new(now);
        let turn = |took: u32| {
            pulse.begin(beats);
            assert_eq!(pulse.due(), beats.then(|| now + BEAT));
            now += took * MILLISECOND;
            pulse.end(now).map(|pause| pause.as_millis())
        };
        each.into_iter().map(turn).collect()
    }

    #[test]
    fn a_turn_that_nobody_asked_to_be_long_is_a_pause() {
        assert_eq!(
            turns(true, [250, 1, 4000, 250, 999, 1000]),
            [None, None, Some(3750), None, None, Some(750)]
        );
    }

    #[test]
    fn a_long_wait_is_no_pause_where_no_limit_runs() {
        assert_eq!(turns(false, [250, 60_000]), [None, None]);
    }

    #[test]
    fn a_machine_that_is_always_busy_puts_no_limit_off_for_ever() {
        let limit = 10_000;
        let (mut ran, mut count) = (0, 0);
        while ran < limit {
            let pause = turns(true, [5000])[0].expect("a pause");
            ran += 5000 - pause;
            count += 1;
        }
        assert_eq!(count, 40);
    }

    #[test]
    fn what_is_dealt_with_already_is_no_pause() {
        let begin = Instant::now();
        let mut pulse = Pulse::new(begin);
        pulse.begin(true);
        pulse.excuse(begin + 9000 * MILLISECOND);
        assert_eq!(pulse.end(begin + 9100 * MILLISECOND), None);
    }
}

//! What is known of COMMAND, from all of its processes.

use std::time::{Duration, Instant};

use super::process::Generation;

/// Later processes may take so many times as long to be ready as the first one did.
const START_FACTOR: u32 = 3;
const SHORTEST_START: Duration = Duration::from_secs(1);
/// The shortest trial.
const SHORTEST_TRIAL: Duration = Duration::from_secs(1);
/// A process that has stayed up for so long, where starts do not take as long, is able to: what
/// dies later with a record has worked at that.
const LONGEST_START: Duration = Duration::from_secs(10);

/// How its processes start, and when they answer.
#[derive(Debug)]
pub(super) struct Command {
    /// Whether any process has been ready, and how long the slowest took to be.
    startup_time: Option<Duration>,
    /// How long the slowest took in an earlier run, where this one goes on with that.
    earlier_startup_time: Option<Duration>,
    /// Whether any process has given an answer, and how long the slowest took to its first one.
    first_answer_time: Option<Duration>,
    /// For how long processes are to stay up by what is known of those that died before they were
    /// ready, since one last became ready.
    long_trial: Option<Duration>,
    /// It has once said that it is up: its later processes will too, and get nothing before.
    awaits_ready: bool,
    /// A process that said nothing has answered, or left its records, at the end of its stdin.
    has_shown_silence: bool,
    /// Since when only suspects are at hand, before it has been ready.
    none_at_hand_since: Option<Instant>,
}

impl Command {
    pub(super) fn new(awaits_ready: bool) -> Self {
        Self {
            startup_time: None,
            earlier_startup_time: None,
            first_answer_time: None,
            long_trial: None,
            awaits_ready,
            has_shown_silence: false,
            none_at_hand_since: None,
        }
    }

    /// In an earlier run it took at most so long to be ready, if it was.
    pub(super) fn resume(&mut self, start: Option<Duration>) {
        self.earlier_startup_time = start;
    }

    pub(super) fn startup_time(&self) -> Option<Duration> {
        self.startup_time
    }

    /// How long processes take to be ready at most, as far as this run or an earlier one knows.
    pub(super) fn known_start(&self) -> Option<Duration> {
        self.startup_time.or(self.earlier_startup_time)
    }

    /// How long a process may take to start, by that.
    pub(super) fn ample_start(&self) -> Option<Duration> {
        self.known_start().map(ample)
    }

    /// The same, by this run alone; where none has been ready yet, not long.
    pub(super) fn start_in_this_run(&self) -> Duration {
        ample(self.startup_time.unwrap_or_default())
    }

    /// How long a first answer may take in processes that begin after one was given, beside
    /// `--timeout`.
    pub(super) fn ample_first_answer(&self) -> Option<Duration> {
        self.first_answer_time.map(|took| took * START_FACTOR)
    }

    /// That of a process that begins now.
    pub(super) fn generation(&self) -> Generation {
        match self.first_answer_time {
            None => Generation::First,
            Some(_) => Generation::Later,
        }
    }

    pub(super) fn awaits_ready(&self) -> bool {
        self.awaits_ready
    }

    pub(super) fn has_shown_silence(&self) -> bool {
        self.has_shown_silence
    }

    /// Whether a process has died early since one was last ready.
    pub(super) fn has_died_early(&self) -> bool {
        self.long_trial.is_some()
    }

    /// For how long processes are to stay up.
    pub(super) fn trial(&self) -> Duration {
        self.long_trial.unwrap_or_default().max(SHORTEST_TRIAL)
    }

    /// To have stayed up for so long is proof that a process is able to.
    pub(super) fn proof(&self) -> Duration {
        self.ample_trial().max(self.trial())
    }

    /// For how long a start takes at most, as far as is known.
    fn ample_trial(&self) -> Duration {
        self.ample_start().unwrap_or_default().max(LONGEST_START)
    }

    /// A process said that it is up.
    pub(super) fn announced(&mut self) {
        self.awaits_ready = true;
    }

    /// A process took so long to be ready, and was `heard` for so long of that; by itself or perhaps
    /// because it was shown the end of its stdin. Gives whether it is the first.
    pub(super) fn became_ready(
        &mut self,
        took: Duration,
        heard: Duration,
        by_itself: bool,
    ) -> bool {
        let is_first = self.startup_time.is_none();
        self.startup_time = Some(match self.startup_time {
            None => took,
            Some(learnt) if by_itself => learnt.max(heard),
            Some(learnt) => learnt,
        });
        self.long_trial = None;
        is_first
    }

    /// A process took so long to its first answer, and was `heard` for so long of that. Once one has
    /// answered, time in which nobody listened does not count: it may have been another record's.
    pub(super) fn answered_first(&mut self, took: Duration, heard: Duration) {
        self.first_answer_time = Some(match self.first_answer_time {
            None => took,
            Some(learnt) => learnt.max(heard),
        });
    }

    /// A process died that was never ready and had run for so long. How long a record takes to kill
    /// must not count.
    pub(super) fn died_early(&mut self, ran: Duration, held_any: bool) {
        let trial = match held_any {
            true => (ran * 3 / 2).min(self.ample_trial()),
            false => ran * 3 / 2,
        };
        self.long_trial = self.long_trial.max(Some(trial));
    }

    /// A process did nothing before the end of its stdin. Gives whether it is the first.
    pub(super) fn showed_silence(&mut self) -> bool {
        !std::mem::replace(&mut self.has_shown_silence, true)
    }

    /// One that was taken for silent was only slow.
    pub(super) fn was_slow(&mut self) {
        self.has_shown_silence = false;
    }

    /// Only suspects are at hand. Gives since when.
    pub(super) fn none_at_hand(&mut self, now: Instant) -> Instant {
        *self.none_at_hand_since.get_or_insert(now)
    }

    pub(super) fn others_at_hand(&mut self) {
        self.none_at_hand_since = None;
    }

    pub(super) fn was_suspended(&mut self, pause: Duration, now: Instant) {
        self.none_at_hand_since = self.none_at_hand_since.map(|since| (since + pause).min(now));
    }
}

/// How long a process may take to start where the slowest so far took `learnt`.
fn ample(learnt: Duration) -> Duration {
    (learnt * START_FACTOR).max(SHORTEST_START)
}

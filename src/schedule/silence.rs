//! Workers that say nothing: what their stdin tells of them, and when its end is shown to them.
//!
//! Whether a worker is slow or will never answer cannot be seen. But a worker whose stdin is closed
//! shows it: one that is only slow answers all the same, and its next process goes on; one that
//! waited for the end, or has dropped its record, does or leaves something at once. So the end of
//! its stdin never harms a record. A worker that has done nothing before it in several processes in
//! a row is given up.

use std::time::{Duration, Instant};

use super::action::WorkerId;
use super::clock::HINT;
use super::event::{Asking, Event};
use super::policy::{Delivery, Window};
use super::process::{Process, Stage};
use super::{InputState, Scheduler};

/// A record unanswered for so long, where others took far less, may have been skipped.
pub(super) const SILENCE: Duration = Duration::from_secs(5 * 60);
/// So long a full buffer may be what everything waits for.
pub(super) const HUNGER: Duration = Duration::from_secs(30);
/// The same, once that has been found to be so.
const SHORT: Duration = Duration::from_secs(1);

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

impl Scheduler {
    /// Whether it is of interest what a worker has read: it has not answered for long.
    pub fn asks_after_reading(&self, worker: WorkerId, now: Instant) -> bool {
        self.process(worker).is_some_and(|process| {
            process.stage == Stage::Serving && !process.owed.is_empty() && process.age(now) >= HINT
        })
    }

    /// This is what a worker has read.
    pub fn note_reading(&mut self, worker: WorkerId, reading: Reading, now: Instant) {
        if let Some(process) = self.process_mut(worker) {
            process.reading = reading;
            if reading == Reading::Behind {
                process.behind_at = Some(now);
            }
        }
    }

    /// For how long a process may be silent that usually takes so long; `None` where only its user
    /// knows.
    pub(super) fn silence_limit(&self, process: &Process) -> Option<Duration> {
        let least = match self.has_shown_silence {
            true => HINT,
            false => SILENCE,
        };
        let has_read = process.reading == Reading::All;
        let usual = match (process.is_ready, self.startup_time) {
            // Before an answer has been timed, the first one of all tells how long they may take.
            (true, first) => process.pace.measured().or(first).unwrap_or_default(),
            // What was learnt of those that waited for their end says nothing.
            (false, Some(_)) if has_read && self.has_shown_silence => Duration::ZERO,
            (false, Some(learnt)) => learnt,
            // It may be starting, for as long as that takes.
            (false, None) if process.reading == Reading::Unknown => return None,
            // The time counts from when it was last seen not to have read what it was sent.
            (false, None) => Duration::ZERO,
        };
        Some(least.max(usual * 20))
    }

    /// From when the silence of a process counts. One that has yet to answer may be starting for as
    /// long as it has not read what it was sent.
    pub(super) fn silent_since(&self, process: &Process) -> Instant {
        match process.behind_at {
            Some(at) if !process.is_ready => process.clock.max(at),
            _ => process.clock,
        }
    }

    /// Notes that the end of its stdin is shown to a process.
    pub(super) fn note_asked(&mut self, worker: WorkerId, asked: Asked) {
        if let Some(process) = self.process_mut(worker) {
            process.asked = Some(asked);
        }
    }

    /// How long it took a process to be ready, as far as that says how long others will take.
    pub(super) fn time_to_ready(&self, process: &Process, now: Instant) -> Duration {
        match (process.stage, process.asked) {
            // It may have waited for that.
            (Stage::Closing(since), Some(_)) if self.is_prompt(process, now) => {
                now.saturating_duration_since(since)
            }
            _ => now.saturating_duration_since(process.started),
        }
    }

    /// Whether what a process does now is likely to come of the end of its stdin.
    fn is_prompt(&self, process: &Process, now: Instant) -> bool {
        match (process.stage, process.asked) {
            (Stage::Closing(since), Some(Asked::Silent { waited, .. })) => {
                now.saturating_duration_since(since) <= waited / 2
            }
            (Stage::Closing(since), Some(Asked::Starved)) => {
                now.saturating_duration_since(since) <= HUNGER / 2
            }
            _ => false,
        }
    }

    /// A process that was shown the end of its stdin is ready now, or has ended.
    pub(super) fn judge_silence(&mut self, worker: WorkerId, process: &Process, now: Instant) {
        let had_answered = match process.asked {
            Some(Asked::Silent { had_answered, .. }) => had_answered,
            Some(Asked::Starved) => {
                // One that was slow is not to be disturbed again soon.
                self.hunger = if process.answered_late {
                    SILENCE
                } else {
                    SHORT
                };
                return;
            }
            None => return,
        };
        let has_answered_all = process.owed.is_empty();
        if !has_answered_all && !self.is_prompt(process, now) {
            return;
        }
        if has_answered_all && had_answered {
            // It may have been slow, or have held its answers back.
        } else if has_answered_all && process.answered_late {
            self.has_shown_silence = false;
            self.workers[worker.0].silent = 0;
        } else {
            let is_news = !std::mem::replace(&mut self.has_shown_silence, true);
            self.workers[worker.0].silent += 1;
            if is_news && has_answered_all {
                self.tell(Event::AnsweredAtEnd { worker });
            }
        }
    }

    /// A process has answered: whether it did so by itself.
    pub(super) fn note_own_answer(&mut self, worker: WorkerId, now: Instant) {
        self.moved_at = now;
        let Some(process) = self.process(worker) else {
            return;
        };
        if process.asked.is_none() {
            self.workers[worker.0].silent = 0;
        } else if !process.answered_late && !self.is_prompt(process, now) {
            self.process_mut(worker).expect("it runs").answered_late = true;
        }
    }

    /// Whether a process may wait for more records than it has been sent. Where it has no
    /// need to collect them, not once it has answered any.
    fn may_wait_for_more(&self, process: &Process) -> bool {
        process.stage == Stage::Serving
            && process.paused_since.is_none()
            && !process.owed.is_empty()
            && (self.policy.facts().may_collect || process.served == process.owed_records)
            && process.owed_records < self.window(process)
    }

    /// Looks for processes that wait for more records, which wait for room in the buffer, which
    /// those processes alone can make. They are shown the end of their stdin, and their next
    /// processes go on.
    pub(super) fn feed_the_starved(&mut self, now: Instant) {
        let may_collect = self.policy.window != Window::Auto
            && self.policy.delivery == Delivery::AtLeastOnce
            && self.phase.takes_input();
        if !may_collect {
            return;
        }
        let at = self.moved_at + self.hunger;
        if now < at {
            self.wake_by(at);
            return;
        }
        let is_over = self.input == InputState::Ended && self.queue.is_empty();
        let is_full = self.budget.has_waiter() || self.budget.is_full();
        let hungry: Vec<_> = (self.processes())
            .filter(|(_, process)| !is_over && self.may_wait_for_more(process))
            .map(|(worker, _)| worker)
            .collect();
        if hungry.is_empty() {
            return;
        }
        self.wake_by(now + self.hunger);
        if !is_full {
            return;
        }
        for worker in hungry {
            if self.process(worker).expect("it runs").reading == Reading::Behind {
                continue;
            }
            self.note_asked(worker, Asked::Starved);
            self.close_stdin(worker, now);
            let asking = Asking::Starved {
                buffer: self.budget.limit(),
                is_news: self.hunger != SHORT,
            };
            self.tell(Event::Asked { worker, asking });
        }
    }
}

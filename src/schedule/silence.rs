//! Workers that say nothing: what their stdin tells of them, and when its end is shown to them.
//!
//! Whether a worker is slow or will never answer cannot be seen. But a worker whose stdin is closed
//! shows it: one that is only slow answers all the same, and its next process goes on; one that
//! waited for the end, or has dropped its record, does or leaves something at once. So the end of
//! its stdin never harms a record. A worker that has done nothing before it in several processes in
//! a row is given up.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::event::{Asking, Event};
use super::ids::WorkerId;
use super::policy::{Delivery, Window};
use super::process::{Asked, HINT, Process, Reading};

/// A record unanswered for so long, where others took far less, may have been skipped.
pub(super) const SILENCE: Duration = Duration::from_secs(5 * 60);

impl Scheduler {
    /// Whether it is of interest what a worker has read: it has not answered for long.
    pub fn asks_after_reading(&self, worker: WorkerId, now: Instant) -> bool {
        self.process(worker).is_some_and(|process| {
            process.is_serving() && !process.owed.is_empty() && process.age(now) >= HINT
        })
    }

    /// This is what a worker has read.
    pub fn note_reading(&mut self, worker: WorkerId, reading: Reading, now: Instant) {
        if let Some(process) = self.process_mut(worker) {
            process.silence.has_read(reading, now);
        }
    }

    /// For how long a process may be silent that usually takes so long; `None` where only its user
    /// knows.
    pub(super) fn silence_limit(&self, process: &Process) -> Option<Duration> {
        let least = match self.command.has_shown_silence() {
            true => HINT,
            false => SILENCE,
        };
        let has_read = process.silence.reading() == Reading::All;
        let usual = match (process.is_ready(), self.command.startup_time()) {
            // Before an answer has been timed, the first one of all tells how long they may take.
            (true, first) => process.pace.measured().or(first).unwrap_or_default(),
            // What was learnt of those that waited for their end says nothing.
            (false, Some(_)) if has_read && self.command.has_shown_silence() => Duration::ZERO,
            (false, Some(learnt)) => learnt,
            // It may be starting, for as long as that takes.
            (false, None) if process.silence.reading() == Reading::Unknown => return None,
            // The time counts from when it was last seen not to have read what it was sent.
            (false, None) => Duration::ZERO,
        };
        Some(least.max(usual * 20))
    }

    /// Notes that the end of its stdin is shown to a process.
    pub(super) fn note_asked(&mut self, worker: WorkerId, asked: Asked) {
        if let Some(process) = self.process_mut(worker) {
            process.silence.ask(asked);
        }
    }

    /// A process that was shown the end of its stdin is ready now, or has ended.
    pub(super) fn judge_silence(&mut self, worker: WorkerId, process: &Process, now: Instant) {
        let had_answered = match process.silence.asked() {
            Some(Asked::Silent { had_answered, .. }) => had_answered,
            Some(Asked::Starved) => {
                // One that was slow is not to be disturbed again soon.
                match process.silence.answered_late() {
                    true => self.intake.was_slow(SILENCE),
                    false => self.intake.starved(),
                }
                return;
            }
            None => return,
        };
        let has_answered_all = process.owed.is_empty();
        if !has_answered_all && !process.is_prompt(now) {
            return;
        }
        if has_answered_all && had_answered {
            // It may have been slow, or have held its answers back.
        } else if has_answered_all && process.silence.answered_late() {
            self.command.was_slow();
            self.workers[worker.0].restarts.spoke();
        } else {
            let is_news = self.command.showed_silence();
            self.workers[worker.0].restarts.was_silent();
            if is_news {
                // Others are not waited for as long as before.
                self.watch_all();
            }
            if is_news && has_answered_all {
                self.tell(Event::AnsweredAtEnd { worker });
            }
        }
    }

    /// A process has answered: whether it did so by itself.
    pub(super) fn note_own_answer(&mut self, worker: WorkerId, now: Instant) {
        self.intake.moved(now);
        let Some(process) = self.process_mut(worker) else {
            return;
        };
        let was_asked = process.silence.asked().is_some();
        process.spoke(now);
        if !was_asked {
            self.workers[worker.0].restarts.spoke();
        }
    }

    /// Whether a process may wait for more records than it has been sent. Where it has no
    /// need to collect them, not once it has answered any.
    fn may_wait_for_more(&self, process: &Process) -> bool {
        process.is_serving()
            && !process.is_paused()
            && !process.owed.is_empty()
            && (self.policy.facts().may_collect || process.owed.served() == process.owed.records())
            && process.owed.records() < self.window(process)
    }

    /// Looks for processes that wait for more records, which wait for room in the buffer, which
    /// those processes alone can make. They are shown the end of their stdin, and their next
    /// processes go on.
    pub(super) fn feed_the_starved(&mut self, now: Instant) {
        let may_collect = self.policy.window != Window::Auto
            && self.policy.delivery == Delivery::AtLeastOnce
            && self.course.takes_input();
        if !may_collect {
            return;
        }
        let at = self.intake.starves_at();
        if now < at {
            self.wake_by(at);
            return;
        }
        let is_over = !self.intake.is_open() && self.queue.is_empty();
        let is_full = self.budget.has_waiter() || self.budget.is_full();
        let hungry: Vec<_> = (self.processes())
            .filter(|(_, process)| !is_over && self.may_wait_for_more(process))
            .map(|(worker, _)| worker)
            .collect();
        if hungry.is_empty() {
            return;
        }
        self.wake_by(now + self.intake.hunger());
        if !is_full {
            return;
        }
        for worker in hungry {
            if self.process(worker).expect("it runs").silence.reading() == Reading::Behind {
                continue;
            }
            self.note_asked(worker, Asked::Starved);
            self.close_stdin(worker, now);
            let asking = Asking::Starved {
                buffer: self.budget.limit(),
                is_news: !self.intake.has_starved(),
            };
            self.tell(Event::Asked { worker, asking });
        }
    }
}

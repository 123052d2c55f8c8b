//! Who is listened to: the input, unless outcomes are far ahead of the output; and every worker,
//! unless the budget is full.
//!
//! Always: while the budget is full, somebody is heard whose answer makes room, or the output is
//! what everything waits for; and the clocks of those who are not heard stand still.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::action::WorkerId;
use super::process::{Process, Stage};

/// An output that has not moved on for so long waits for a slow record or a slow reader. Longer,
/// and workers would stand idle each time that a slow fellow moves the output on.
const STANDSTILL: Duration = Duration::from_millis(1);

impl Scheduler {
    /// Decides whether the input is listened to, and which workers are: all, unless the budget is
    /// full. Then only the one that owes the lowest index is, for its answer alone can be written;
    /// nobody is while the output itself is what everything waits for.
    pub fn choose_read_from(&mut self, now: Instant) {
        self.look_ahead(now);
        self.feed_the_starved(now);
        if self.starves() {
            self.budget.lend();
        }
        if self.settle_pending(now) {
            self.feed(now);
            // What has been put down is to be written.
            self.wake_by(now);
        }
        let is_full = self.budget.is_full();
        if !is_full && !self.was_full {
            return;
        }
        self.was_full = is_full;
        if !is_full {
            // Records may have been held back.
            self.feed(now);
        }
        let only = match self.order.next() {
            _ if !is_full => ReadFrom::All,
            _ if self.order.is_backed_up() => ReadFrom::None,
            None => ReadFrom::All,
            Some(_) => {
                let by_index = |(_, process): &(WorkerId, &Process)| process.lowest();
                let waits = self.queue.lowest();
                let lowest = self
                    .processes()
                    .filter(|(_, process)| !process.owed.is_empty())
                    .min_by_key(by_index);
                let reserved = self.processes().find(|(_, process)| process.is_reserved);
                match (lowest, reserved) {
                    (Some((_, process)), Some((worker, _))) if waits < process.lowest() => {
                        ReadFrom::Only(worker)
                    }
                    (Some((worker, _)), _) => ReadFrom::Only(worker),
                    (None, _) => ReadFrom::All,
                }
            }
        };
        for number in 0..self.workers.len() {
            let is_read_from = match only {
                ReadFrom::All => true,
                ReadFrom::None => false,
                ReadFrom::Only(worker) => worker.0 == number,
            };
            let Some(process) = self.workers[number].process_mut() else {
                continue;
            };
            match (is_read_from, process.paused_since) {
                (true, Some(since)) => {
                    let pause = now.saturating_duration_since(since);
                    process.delay(pause);
                    process.paused_for += pause;
                    if let Stage::Closing(at) = &mut process.stage {
                        *at += pause.min(now.saturating_duration_since(*at));
                    }
                    process.paused_since = None;
                    process.pace.busy_from(now);
                    self.watch_oldest(WorkerId(number));
                    self.wake_by(now);
                }
                // It may have begun only a moment after `now`.
                (false, None) => process.paused_since = Some(now.max(process.clock)),
                _ => {}
            }
        }
    }

    /// Notes whether outcomes are far ahead of the output. While that moves on, to go further would
    /// cost memory and win nothing; while it stands still, workers go on as far as the budget
    /// allows.
    fn look_ahead(&mut self, now: Instant) {
        let passed = self.order.passed();
        if passed != self.moved_on.0 {
            self.moved_on = (passed, now);
        }
        let (held, lead) = (self.order.held(), self.policy.lead);
        let jobs = self.policy.jobs.get();
        let stands_still_at = self.moved_on.1 + STANDSTILL;
        self.is_far_ahead = self.takes_input()
            && held.records > jobs.saturating_mul(lead.records)
            && held.bytes > jobs.saturating_mul(lead.bytes)
            && now < stands_still_at;
        if self.is_far_ahead {
            self.wake_by(stands_still_at);
        }
    }

    /// Whether this worker's answers are to be read.
    pub fn reads_from(&self, worker: WorkerId) -> bool {
        self.process(worker)
            .is_some_and(|process| process.paused_since.is_none() && process.is_working())
    }
}

#[derive(Clone, Copy)]
enum ReadFrom {
    All,
    None,
    Only(WorkerId),
}

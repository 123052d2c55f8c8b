//! What can be seen of a run from outside, for reports. Changes nothing.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::course::Phase;
use super::held::Held;
use super::ids::WorkerId;
use super::process::{Process, Stage};
use super::worker::Worker;
use crate::record::Index;

/// What a worker is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No process of it has begun yet.
    Unstarted,
    /// A process of it has ended, and another is to follow or would, were it not given up.
    Between,
    /// It is not needed any more.
    Gone,
    /// A process starts up: it is not ready, and there is something for it to do.
    Starting,
    /// A process is not ready, and nothing is there for it to do: it may be up or not.
    Unready,
    /// A process owes nothing.
    Idle,
    /// A process owes answers that mtask does not listen to just now.
    Paused,
    /// A process owes answers.
    Working,
    /// A process owes nothing any more and is to exit.
    Exiting,
}

/// Why a worker has nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bottleneck {
    /// The input gives nothing.
    Input,
    /// Nobody takes the output.
    Output,
    /// Results wait for their turn, and hold all the bytes there are, or are far ahead.
    Order,
    /// No records are left for it.
    End,
    /// Those that are left go to quicker workers.
    Quicker,
    /// It is seen whether it answers each record with one line.
    Check,
    /// Its process is to be replaced, or what waits must be alone or go to others.
    Restart,
    /// What is left waits for its time to be sent again.
    Retry,
    /// No more may be sent so soon (`--rate`).
    Rate,
    /// Workers have asked to wait.
    Asked,
}

/// The records that have no outcome yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// How many workers owe answers to.
    pub in_flight: usize,
    /// How many wait: for a worker, for what came before them, or, where they have failed, for the
    /// output.
    pub waiting: usize,
    /// The one that a worker has owed for longest.
    pub oldest: Option<Oldest>,
}

/// The record that a worker has been at for longest, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oldest {
    /// Its index.
    pub index: Index,
    /// Who has it.
    pub worker: WorkerId,
    /// For how long that is, time not listened to left out.
    pub age: Duration,
    /// Whether the worker's process is ready.
    pub is_ready: bool,
}

impl Scheduler {
    /// The records that have no outcome yet.
    pub fn under_way(&self, now: Instant) -> UnderWay {
        let held = self.workers.iter().filter_map(Worker::last_process);
        let oldest = |(worker, process): (WorkerId, &Process)| {
            Some(Oldest {
                index: process.owed.awaited()?,
                worker,
                age: process.age(now),
                is_ready: process.is_ready(),
            })
        };
        let unsent = self.queue.together() + self.queue.alone() + self.queue.later();
        UnderWay {
            in_flight: held.map(|process| process.owed.records()).sum(),
            waiting: unsent + self.queue.rejected() + self.outcomes.pending.records(),
            oldest: self.processes().filter_map(oldest).max_by_key(|it| it.age),
        }
    }

    /// How many records the input has given, and their bytes.
    #[cfg(test)]
    pub(crate) fn seen(&self) -> (u64, u64) {
        (self.intake.seen(), self.intake.seen_bytes())
    }

    /// How many records there are, once the input has ended and all of them are to come to an
    /// outcome. Error records of earlier runs are none.
    pub fn total_records(&self) -> Option<u64> {
        let is_whole = match self.course.phase() {
            Phase::Feeding => true,
            Phase::Finished(_) => {
                !self.course.has_output_failed()
                    && self.outcomes.tally.early_end.is_none_or(|end| end.records == 0)
            }
            _ => false,
        };
        let passed = self.outcomes.tally.earlier.passed;
        (is_whole && !self.intake.is_open()).then(|| self.intake.seen() - passed)
    }

    /// How many workers there are.
    pub fn jobs(&self) -> usize {
        self.workers.len()
    }

    /// What a worker is about.
    pub fn standing(&self, worker: WorkerId) -> Standing {
        let seat = &self.workers[worker.0];
        match seat.process() {
            Some(process) => self.standing_of(process),
            None if !seat.has_begun() => Standing::Unstarted,
            None if seat.vacant_from().is_some() && self.nothing_waits() => Standing::Gone,
            None => Standing::Between,
        }
    }

    fn standing_of(&self, process: &Process) -> Standing {
        let is_idle = process.owed.is_empty();
        match process.stage() {
            Stage::Stopping(_) | Stage::Killed(_) => Standing::Exiting,
            Stage::Closing(_) if is_idle => Standing::Exiting,
            _ if is_idle && self.awaits_ready_of(process) => Standing::Starting,
            _ if is_idle && !process.is_ready() => Standing::Unready,
            _ if is_idle => Standing::Idle,
            _ if process.is_paused() => Standing::Paused,
            _ if !process.is_ready() => Standing::Starting,
            _ => Standing::Working,
        }
    }

    /// Why a worker that does not work has nothing to do: what it was refused for when records were
    /// last given out, where some wait, and what all wait for otherwise.
    pub fn waits_for(&self, worker: WorkerId, now: Instant) -> Bottleneck {
        let seat = &self.workers[worker.0];
        let is_to_restart =
            seat.vacant_from().is_some_and(|from| from > now && !self.nothing_waits());
        if seat.is_given_up() || seat.judged_at().is_some() || is_to_restart {
            return Bottleneck::Restart;
        }
        let Some(process) = seat.process() else {
            return self.bottleneck();
        };
        match process.held() {
            _ if process.is_paused() => self.held_up_by(),
            _ if !self.course.gives_out() => self.bottleneck(),
            _ if self.queue.together() == 0 => match self.queue.has_alone() {
                true => Bottleneck::Restart,
                false => self.bottleneck(),
            },
            Held::Outpaced { .. } => Bottleneck::Quicker,
            Held::Check => Bottleneck::Check,
            Held::Rate { .. } => Bottleneck::Rate,
            Held::Asked { .. } => Bottleneck::Asked,
            Held::Budget => self.held_up_by(),
            Held::Suspect | Held::Kept | Held::Leaving => Bottleneck::Restart,
            // One that has nothing to do is given something, or is not up.
            Held::Full { .. } | Held::Share { .. } | Held::Start => self.bottleneck(),
        }
    }

    /// Why nothing can be given out, or nothing is at hand.
    pub fn bottleneck(&self) -> Bottleneck {
        let is_tight =
            self.budget.is_full() || self.budget.has_waiter() || self.throttle.is_far_ahead();
        if self.outcomes.order.is_backed_up() {
            Bottleneck::Output
        } else if is_tight && self.outcomes.order.holds_back() {
            Bottleneck::Order
        } else if self.is_held_by_rate() {
            Bottleneck::Rate
        } else if self.queue.later() > 0 && (is_tight || self.input_is_over()) {
            Bottleneck::Retry
        } else if self.input_is_over() {
            Bottleneck::End
        } else {
            Bottleneck::Input
        }
    }

    /// What keeps a worker from being listened to, or from being given records, while the budget
    /// is full.
    fn held_up_by(&self) -> Bottleneck {
        match self.outcomes.order.is_backed_up() {
            true => Bottleneck::Output,
            false => Bottleneck::Order,
        }
    }

    /// The bytes of the records that have an outcome; the answered ones of a block that a process
    /// has not answered as a whole are left out. `None` once records were dropped.
    pub fn finished_bytes(&self) -> Option<u64> {
        if !self.course.takes_input() {
            return None;
        }
        let held = self.workers.iter().filter_map(Worker::last_process);
        let owed = held.map(|process| process.owed.bytes()).sum::<usize>();
        let unfinished = self.queue.bytes() + self.outcomes.pending.bytes() + owed;
        Some(self.intake.seen_bytes().saturating_sub(unfinished as u64))
    }
}

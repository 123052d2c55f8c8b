//! Who is given the last records: a worker is passed over that is clearly slower than others, where
//! those would be done with all that waits before it could answer one.
//!
//! Clearly slower is a worker whose quickest record of late took longer than the slowest one of
//! each of the others, if so many were seen that chance does not explain it. Where records take
//! unequal times nobody is, and whoever is free takes the next. Owns nothing; all workers are looked
//! at once for each decision, however many are compared.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::ids::WorkerId;
use super::policy::Window;
use super::process::Process;

/// One record that took long says nothing about its worker: so many have to.
const LEAST: u32 = 2;
/// With fewer answers seen, those of the one by those of the others, chance may explain which of
/// them took longer.
const ENOUGH: u32 = 16;

impl Scheduler {
    /// How fast all workers are, where that decides who gets the last records.
    pub(super) fn fleet(&self, now: Instant) -> Option<Fleet> {
        if self.intake.is_open() || self.policy.window != Window::Auto {
            return None;
        }
        let speeds =
            self.processes().filter_map(|(worker, process)| self.speed(worker, process, now));
        Some(Fleet::new(speeds.collect()))
    }

    /// What a process adds to the speed of all; nothing where that is not known.
    fn speed(&self, worker: WorkerId, process: &Process, now: Instant) -> Option<Speed> {
        let each = process.expected(now);
        // One that was asked to wait would not be done sooner.
        let is_let = self.brakes.lets_one_through_to(worker, now).is_ok();
        let runs = process.is_ready() && each > 0.0 && is_let && self.may_serve(process);
        runs.then(|| Speed {
            slowest: each.max(process.pace.per_record().as_secs_f64()),
            reads: process.pace.reads(),
            rate: 1.0 / each,
            work: process.owed.records() as f64,
            next: process.next_answer(now),
        })
    }

    /// Whether quicker workers would be done with all that waits before this one could answer one
    /// record more.
    pub(super) fn is_outpaced(
        &self,
        process: &Process,
        fleet: &Fleet,
        now: Instant,
    ) -> Option<Duration> {
        let (quickest, reads) = match process.pace.quickest() {
            // It is about its first record, which takes as long as it has by now, at least.
            (_, 0) if !process.owed.is_empty() => (process.expected(now), LEAST),
            seen => seen,
        };
        let quicker = fleet.quicker_than(quickest, reads)?;
        let waiting = quicker.work + self.queue.together() as f64;
        let mine = process.next_answer(now);
        let is_outpaced = mine > quicker.soonest.max(waiting / quicker.rate);
        // They may turn out slower than they seem: look again.
        is_outpaced.then(|| Duration::from_secs_f64(quicker.soonest.clamp(0.001, 1.0)))
    }
}

/// A process that answers records.
#[derive(Clone, Copy)]
struct Speed {
    /// The longest that one of its records took of late, in seconds; how many reads of answers have
    /// been timed.
    slowest: f64,
    reads: u32,
    /// Records for each second.
    rate: f64,
    /// Records that it holds.
    work: f64,
    /// When it would have answered one record more.
    next: f64,
}

/// Several workers together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Together {
    reads: u32,
    rate: f64,
    work: f64,
    /// When the first of them would have answered one record more.
    soonest: f64,
}

/// All workers, by their slowest record.
pub(super) struct Fleet {
    /// The slowest record of each, and what it and those before it are together.
    speeds: Vec<(f64, Together)>,
}

impl Fleet {
    fn new(mut speeds: Vec<Speed>) -> Self {
        speeds.sort_unstable_by(|a, b| a.slowest.total_cmp(&b.slowest));
        let mut all = Together {
            reads: 0,
            rate: 0.0,
            work: 0.0,
            soonest: f64::INFINITY,
        };
        let add = |speed: Speed| {
            all.reads = all.reads.saturating_add(speed.reads);
            all.rate += speed.rate;
            all.work += speed.work;
            all.soonest = all.soonest.min(speed.next);
            (speed.slowest, all)
        };
        Self {
            speeds: speeds.into_iter().map(add).collect(),
        }
    }

    /// Those that are clearly quicker than one whose quickest record took so long, of so many.
    fn quicker_than(&self, quickest: f64, reads: u32) -> Option<Together> {
        let count = self.speeds.partition_point(|(slowest, _)| *slowest < quickest);
        let (_, together) = self.speeds[..count].last()?;
        let is_enough = reads >= LEAST && together.reads.saturating_mul(reads) >= ENOUGH;
        is_enough.then_some(*together)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `each` seconds over a record, and holds some.
    fn speed(each: f64, holds: usize) -> Speed {
        Speed {
            slowest: each,
            reads: 10,
            rate: 1.0 / each,
            work: holds as f64,
            next: each * (holds + 1) as f64,
        }
    }

    #[test]
    fn the_quicker_ones_are_those_whose_slowest_record_took_less() {
        // They would answer one more after 4, 2, 8 and 2 s.
        let speeds = [speed(4.0, 0), speed(1.0, 1), speed(2.0, 3), speed(0.5, 3)];
        let fleet = Fleet::new(speeds.to_vec());
        let quicker = |quickest| {
            let found = fleet.quicker_than(quickest, 4)?;
            Some((found.rate, found.work, found.soonest))
        };
        assert_eq!(quicker(0.5), None, "nobody is quicker than itself");
        assert_eq!(quicker(0.6), Some((2.0, 3.0, 2.0)));
        assert_eq!(quicker(3.0), Some((3.5, 7.0, 2.0)));
        assert_eq!(quicker(5.0), Some((3.75, 7.0, 2.0)));
    }

    #[test]
    fn few_answers_say_nothing() {
        let fleet = Fleet::new(vec![speed(1.0, 0), speed(1.0, 0)]);
        assert_eq!(fleet.quicker_than(9.0, 1), None, "one record is none");
        assert!(fleet.quicker_than(9.0, 2).is_some());
        let few = Speed {
            reads: 7,
            ..speed(1.0, 0)
        };
        let fleet = Fleet::new(vec![few]);
        assert_eq!(fleet.quicker_than(9.0, 2), None, "of two, against seven");
        assert!(fleet.quicker_than(9.0, 3).is_some());
    }
}

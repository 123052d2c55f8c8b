//! Who is given the last records: a worker that would answer one after the others could be done
//! with all of them is left out.
//!
//! Owns nothing; all workers are looked at once for each decision, however many are compared.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::ids::WorkerId;
use super::policy::Window;
use super::process::Process;

impl Scheduler {
    /// How fast all workers are together, where that decides who gets the last records.
    pub(super) fn fleet(&self, now: Instant) -> Option<Fleet> {
        if self.intake.is_open() || self.policy.window != Window::Auto {
            return None;
        }
        let mut fleet = Fleet::default();
        for (worker, process) in self.processes() {
            if let Some(speed) = self.speed(process, now) {
                fleet.add(worker, speed);
            }
        }
        Some(fleet)
    }

    /// What a process adds to the speed of all; nothing where that is not known.
    fn speed(&self, process: &Process, now: Instant) -> Option<Speed> {
        let each = process.expected(now);
        let runs = process.is_ready() && each > 0.0 && self.may_serve(process);
        runs.then(|| Speed {
            rate: 1.0 / each,
            work: process.owed.records() as f64,
            next: process.next_answer(now),
        })
    }

    /// Whether the others would be done with all that is left before this worker could answer one
    /// record more.
    pub(super) fn is_outpaced(&mut self, worker: WorkerId, fleet: &Fleet, now: Instant) -> bool {
        let Some(process) = self.process(worker) else {
            return true;
        };
        let mine = process.next_answer(now);
        let own = self.speed(process, now);
        let (rate, work, soonest) = fleet.without(worker, own);
        let work = work + self.queue.together() as f64;
        if rate <= 0.0 || mine <= soonest.max(work / rate) {
            return false;
        }
        // The others may turn out slower than they seem: look again.
        self.wake_by(now + Duration::from_secs_f64(soonest.clamp(0.001, 1.0)));
        true
    }
}

/// A process that answers records.
#[derive(Clone, Copy)]
struct Speed {
    /// Records for each second.
    rate: f64,
    /// Records that it holds.
    work: f64,
    next: f64,
}

/// All of them, looked at once for all that are compared with the others.
#[derive(Default)]
pub(super) struct Fleet {
    rate: f64,
    work: f64,
    /// The two that would be the first to answer one record more.
    soonest: [Option<(f64, WorkerId)>; 2],
}

impl Fleet {
    fn add(&mut self, worker: WorkerId, speed: Speed) {
        self.rate += speed.rate;
        self.work += speed.work;
        let [first, second] = &mut self.soonest;
        if first.is_none_or(|(next, _)| speed.next < next) {
            *second = first.replace((speed.next, worker));
        } else if second.is_none_or(|(next, _)| speed.next < next) {
            *second = Some((speed.next, worker));
        }
    }

    /// The rate, the work and the soonest answer of the others.
    fn without(&self, worker: WorkerId, own: Option<Speed>) -> (f64, f64, f64) {
        let soonest = (self.soonest.iter().flatten())
            .find(|(_, other)| *other != worker)
            .map_or(f64::INFINITY, |(next, _)| *next);
        match own {
            Some(own) => (self.rate - own.rate, self.work - own.work, soonest),
            None => (self.rate, self.work, soonest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `each` seconds over a record, and holds some.
    fn speed(each: f64, holds: usize) -> Speed {
        Speed {
            rate: 1.0 / each,
            work: holds as f64,
            next: each * (holds + 1) as f64,
        }
    }

    fn fleet(speeds: &[Speed]) -> Fleet {
        let mut fleet = Fleet::default();
        for (number, speed) in speeds.iter().enumerate() {
            fleet.add(WorkerId(number), *speed);
        }
        fleet
    }

    #[test]
    fn the_others_are_all_but_one() {
        // They would answer one more after 5, 2, 8 and 3 s.
        let mut speeds = [speed(5.0, 0), speed(1.0, 1), speed(2.0, 3), speed(0.5, 5)];
        for _ in 0..2 * speeds.len() {
            speeds.rotate_left(1);
            if speeds[0].next == 5.0 {
                speeds.reverse();
            }
            let fleet = fleet(&speeds);
            for (number, own) in speeds.iter().enumerate() {
                let others: Vec<_> = (speeds.iter().enumerate())
                    .filter_map(|(other, it)| (other != number).then_some(it))
                    .collect();
                let rate: f64 = others.iter().map(|it| it.rate).sum();
                let work: f64 = others.iter().map(|it| it.work).sum();
                let soonest = others.iter().map(|it| it.next).fold(f64::INFINITY, f64::min);
                let found = fleet.without(WorkerId(number), Some(*own));
                assert!((found.0 - rate).abs() < 1e-9, "{found:?}");
                assert_eq!((found.1, found.2), (work, soonest));
            }
            let found = fleet.without(WorkerId(9), None);
            assert_eq!(
                (found.1, found.2),
                (9.0, 2.0),
                "one whose speed is not known"
            );
        }
    }

    #[test]
    fn one_alone_has_no_others() {
        let own = speed(0.3, 7);
        let found = fleet(&[own]).without(WorkerId(0), Some(own));
        assert_eq!(
            found,
            (0.0, 0.0, f64::INFINITY),
            "and nothing is left of rounding"
        );
    }
}

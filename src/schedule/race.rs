//! Who is given the last records: a worker that would answer one after the others could be done with
//! all of them is left out.
//!
//! Owns nothing; all workers are looked at once for each decision, however many are compared.

use std::time::{Duration, Instant};

use super::action::WorkerId;
use super::life::Life;
use super::policy::Window;
use super::{InputState, Scheduler};

impl Scheduler {
    /// How fast all workers are together, where that decides who gets the last records.
    pub(super) fn field(&self, now: Instant) -> Option<Field> {
        if self.input == InputState::Open || self.policy.window != Window::Auto {
            return None;
        }
        let mut field = Field::default();
        for (worker, life) in self.lives() {
            if let Some(runner) = self.runner(life, now) {
                field.add(worker, runner);
            }
        }
        Some(field)
    }

    /// What a life adds to the speed of all; nothing where that is not known.
    fn runner(&self, life: &Life, now: Instant) -> Option<Runner> {
        let each = life.expected(now);
        let runs = life.has_signed && each > 0.0 && self.may_serve(life);
        runs.then(|| Runner {
            rate: 1.0 / each,
            work: life.owed_records as f64,
            next: life.next_answer(now),
        })
    }

    /// Whether the others would be done with all that is left before this worker could answer one
    /// record more.
    pub(super) fn is_outpaced(&mut self, worker: WorkerId, field: &Field, now: Instant) -> bool {
        let Some(life) = self.life(worker) else {
            return true;
        };
        let mine = life.next_answer(now);
        let own = self.runner(life, now);
        let (rate, work, soonest) = field.without(worker, own);
        let work = work + self.queue.together() as f64;
        if rate <= 0.0 || mine <= soonest.max(work / rate) {
            return false;
        }
        // The others may turn out slower than they seem: look again.
        self.wake_by(now + Duration::from_secs_f64(soonest.clamp(0.001, 1.0)));
        true
    }
}

/// A life that answers records.
#[derive(Clone, Copy)]
struct Runner {
    /// Records for each second.
    rate: f64,
    /// Records that it holds.
    work: f64,
    next: f64,
}

/// All of them, looked at once for all that are compared with the others.
#[derive(Default)]
pub(super) struct Field {
    rate: f64,
    work: f64,
    /// The two that would be the first to answer one record more.
    soonest: [Option<(f64, WorkerId)>; 2],
}

impl Field {
    fn add(&mut self, worker: WorkerId, runner: Runner) {
        self.rate += runner.rate;
        self.work += runner.work;
        let [first, second] = &mut self.soonest;
        if first.is_none_or(|(next, _)| runner.next < next) {
            *second = first.replace((runner.next, worker));
        } else if second.is_none_or(|(next, _)| runner.next < next) {
            *second = Some((runner.next, worker));
        }
    }

    /// The rate, the work and the soonest answer of the others.
    fn without(&self, worker: WorkerId, own: Option<Runner>) -> (f64, f64, f64) {
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
    fn runner(each: f64, holds: usize) -> Runner {
        Runner {
            rate: 1.0 / each,
            work: holds as f64,
            next: each * (holds + 1) as f64,
        }
    }

    fn field(runners: &[Runner]) -> Field {
        let mut field = Field::default();
        for (number, runner) in runners.iter().enumerate() {
            field.add(WorkerId(number), *runner);
        }
        field
    }

    #[test]
    fn the_others_are_all_but_one() {
        // They would answer one more after 5, 2, 8 and 3 s.
        let mut runners = [
            runner(5.0, 0),
            runner(1.0, 1),
            runner(2.0, 3),
            runner(0.5, 5),
        ];
        for _ in 0..2 * runners.len() {
            runners.rotate_left(1);
            if runners[0].next == 5.0 {
                runners.reverse();
            }
            let field = field(&runners);
            for (number, own) in runners.iter().enumerate() {
                let others: Vec<_> = (runners.iter().enumerate())
                    .filter_map(|(other, it)| (other != number).then_some(it))
                    .collect();
                let rate: f64 = others.iter().map(|it| it.rate).sum();
                let work: f64 = others.iter().map(|it| it.work).sum();
                let soonest = others
                    .iter()
                    .map(|it| it.next)
                    .fold(f64::INFINITY, f64::min);
                let found = field.without(WorkerId(number), Some(*own));
                assert!((found.0 - rate).abs() < 1e-9, "{found:?}");
                assert_eq!((found.1, found.2), (work, soonest));
            }
            let found = field.without(WorkerId(9), None);
            assert_eq!(
                (found.1, found.2),
                (9.0, 2.0),
                "one whose speed is not known"
            );
        }
    }

    #[test]
    fn one_alone_has_no_others() {
        let own = runner(0.3, 7);
        let found = field(&[own]).without(WorkerId(0), Some(own));
        assert_eq!(
            found,
            (0.0, 0.0, f64::INFINITY),
            "and nothing is left of rounding"
        );
    }
}

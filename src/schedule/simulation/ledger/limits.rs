//! Time as it passes for lives, and the limits that end a wait.

use std::time::Duration;

use super::Ledger;
use crate::schedule::{Scheduler, WorkerId};

impl Ledger {
    /// mtask and all lives were stopped for so long.
    pub(in super::super) fn suspended(&mut self, pause: Duration) {
        for at in &mut self.interrupts {
            *at += pause;
        }
        for life in self.lives.iter_mut().flatten() {
            life.started += pause;
            for at in [&mut life.closed, &mut life.terminated, &mut life.hung_up] {
                *at = at.map(|at| at + pause);
            }
        }
    }

    pub(in super::super) fn begin_to_wait(&mut self) {
        for life in self.lives.iter_mut().flatten() {
            life.age_before = life.age;
            for owed in &mut life.owed {
                owed.age_before = owed.age;
            }
        }
    }

    pub(in super::super) fn pass(&mut self, by: Duration, is_heard: impl Fn(WorkerId) -> bool) {
        for (number, life) in self.lives.iter_mut().enumerate() {
            if let Some(life) = life
                && is_heard(WorkerId(number))
            {
                life.age += by;
                life.owed.iter_mut().for_each(|owed| owed.age += by);
                if life.closed.is_some() && life.owed.is_empty() {
                    life.idle += by;
                }
            }
        }
    }

    /// Documented limits end a wait.
    pub(in super::super) fn check_limits(&mut self, scheduler: &Scheduler, now: Duration) {
        let slack = self.time_slack;
        for (number, life) in self.lives.iter().enumerate() {
            let Some(life) = life else { continue };
            let worker = WorkerId(number);
            if let Some(at) = life.terminated {
                let until = at + self.policy.grace + slack;
                assert!(
                    life.is_killed || now <= until,
                    "{worker} is not killed after --grace"
                );
            } else if let Some(limit) = self.policy.timeout
                && life.has_signed
                && !life.owed.is_empty()
                && scheduler.hears(worker)
            {
                assert!(
                    life.clock().0 <= limit + slack,
                    "{worker} may work longer than --timeout"
                );
            } else {
                let is_late = life.idle > self.policy.exit_timeout + slack;
                assert!(
                    !is_late,
                    "{worker} may take longer to exit than --exit-timeout"
                );
            }
        }
    }
}

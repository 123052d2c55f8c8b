//! Time as it passes for processes, and the limits that end a wait.

use std::time::Duration;

use super::{Ledger, ProcessLedger, START_FACTOR};
use crate::schedule::WorkerId;
use crate::schedule::policy::OnError;

impl Ledger {
    /// mtask and all processes were stopped for so long.
    pub(in super::super) fn suspended(&mut self, pause: Duration) {
        for at in &mut self.interrupts {
            *at += pause;
        }
        for process in self.processes.iter_mut().flatten() {
            process.started += pause;
            process.is_untold |= process.since_first.is_none();
            for at in [
                &mut process.closed,
                &mut process.terminated,
                &mut process.hung_up,
            ] {
                *at = at.map(|at| at + pause);
            }
        }
    }

    /// These processes are listened to from now on. Where what they write to stderr is not read,
    /// they may be stuck in that: no time counts.
    pub(in super::super) fn listen(
        &mut self,
        is_read_from: impl Fn(WorkerId) -> bool,
        reads_stderr: bool,
    ) {
        self.reads_stderr = reads_stderr;
        for (number, process) in self.processes.iter_mut().enumerate() {
            if let Some(process) = process {
                process.is_read_from = is_read_from(WorkerId(number));
            }
        }
    }

    pub(in super::super) fn begin_to_wait(&mut self) {
        for process in self.processes.iter_mut().flatten() {
            process.age_before = process.age;
            process.since_first = process.since_first.map(|(age, _)| (age, age));
            for owed in &mut process.owed {
                owed.age_before = owed.age;
            }
        }
    }

    pub(in super::super) fn pass(&mut self, by: Duration) {
        for process in self.processes.iter_mut().flatten() {
            if !self.reads_stderr || !process.is_read_from {
                process.uncounted += by;
            }
            if !self.reads_stderr {
                process.started += by;
                for at in [&mut process.closed, &mut process.hung_up] {
                    *at = at.map(|at| at + by);
                }
            } else if process.is_read_from {
                process.age += by;
                process.since_call = process.since_call.map(|age| age + by);
                process.since_first = process.since_first.map(|(age, before)| (age + by, before));
                process.up += by;
                for owed in &mut process.owed {
                    owed.age += by;
                    owed.asked = owed.asked.map(|asked| asked + by);
                }
                if process.closed.is_some() && process.owed.is_empty() {
                    process.idle += by;
                }
            }
        }
    }

    /// The engine waits for something to happen, however long: nobody may be waited for then.
    pub(in super::super) fn check_that_none_owes(&self) {
        for (number, process) in self.processes.iter().enumerate() {
            let owes = process.as_ref().is_some_and(|process| {
                process.is_working() && process.is_read_from && !process.owed.is_empty()
            });
            assert!(
                !owes,
                "{} is waited for, and no clock runs",
                WorkerId(number)
            );
        }
    }

    /// How long a process may be at a record, at least and at most.
    pub(super) fn record_limit(&self, process: &ProcessLedger) -> Option<(Duration, Duration)> {
        let (timeout, slack) = (self.policy.limits.timeout?, self.time_slack);
        let about = |limit: Duration| (limit.saturating_sub(slack), limit + slack);
        match self.first_answer_time {
            _ if !process.is_ready || process.since_first.is_some() => Some(about(timeout)),
            Some((least, most)) if process.is_later => {
                let least = least * START_FACTOR + timeout;
                let most = most * START_FACTOR + timeout;
                Some((least.saturating_sub(slack * 4), most + slack * 4))
            }
            _ => Some(about(timeout.max(self.policy.limits.init_timeout?))),
        }
    }

    /// Documented limits end a wait.
    pub(in super::super) fn check_limits(&self, now: Duration) {
        let slack = self.time_slack;
        for (number, process) in self.processes.iter().enumerate() {
            let Some(process) = process else { continue };
            let worker = WorkerId(number);
            assert!(
                process.unasked.is_none()
                    || !process.is_working()
                    || self.policy.failures.on_error == OnError::Raise,
                "{worker} gave an answer that nothing was asked for, and goes on"
            );
            let (_, asked) = process.asked();
            assert!(
                !process.is_working() || asked <= self.policy.limits.grace + slack,
                "{worker} may take longer to give up a record than --grace"
            );
            if let Some(at) = process.terminated {
                let until = at + self.policy.limits.grace + slack;
                assert!(
                    process.is_killed || now <= until,
                    "{worker} is not killed after --grace"
                );
            } else if let Some((_, most)) = self.record_limit(process)
                && process.is_ready
                && process.owed.iter().any(|owed| owed.asked.is_none())
                && process.is_read_from
                && self.reads_stderr
            {
                assert!(
                    process.counted(process.clock()).0 <= most,
                    "{worker} may work longer than it may"
                );
            } else {
                let is_late = process.idle > self.policy.limits.exit_timeout + slack;
                assert!(
                    !is_late,
                    "{worker} may take longer to exit than --exit-timeout"
                );
            }
        }
    }
}

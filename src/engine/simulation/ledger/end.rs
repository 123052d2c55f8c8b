//! The end of a run: when it may come, and what is true then.

use std::time::Duration;

use super::{KILLED, Ledger};
use crate::engine::simulation::scenario::{Scenario, millis};
use crate::exit::Status;
use crate::schedule::Tally;
use crate::schedule::policy::OnError;

/// After so many refusals workers may be given up.
const FUTILE: u32 = 20;

impl Ledger {
    pub(in super::super) fn interrupted(&mut self, now: Duration) {
        self.interrupts.push(now);
    }

    /// The run is to end because of something that is no record and no worker.
    pub(in super::super) fn ended_early(&mut self, now: Duration) {
        self.ended_early.get_or_insert(now);
    }

    pub(in super::super) fn finished(&mut self, now: Duration) {
        self.finished = Some(now);
        // What SIGKILL does not end is waited for a little longer.
        let killed = match self.left.iter().any(|left| *left > 0) {
            true => KILLED,
            false => Duration::ZERO,
        };
        let slack = self.time_slack + millis(20) + killed;
        let grace = self.policy.limits.grace;
        if let Some(at) = self.ended_early {
            assert!(
                now <= at + grace + slack,
                "the end takes longer than --grace"
            );
        }
        match self.interrupts[..] {
            [] => {}
            [at] => assert!(
                now <= at + grace + slack,
                "the end takes longer than --grace"
            ),
            [_, at, ..] => assert!(now <= at + slack, "the second signal does not end the run"),
        }
    }

    pub(in super::super) fn check_end(
        &mut self,
        scenario: &Scenario,
        status: Status,
        tally: &Tally,
        has_failed: bool,
    ) {
        let most = self.policy.failures.max_restarts.max(1);
        if status == Status::NoWorker {
            let has_failed_enough = |number: usize| {
                let counts = [&self.failed_starts, &self.broken, &self.left, &self.silent];
                let group = self.policy.pacing.groups.get(number).copied().unwrap_or_default();
                self.refusals[group] >= FUTILE || counts.iter().any(|count| count[number] >= most)
            };
            assert!(
                (0..self.processes.len()).all(has_failed_enough),
                "workers are given up that have not failed often enough: {:?}, {:?}, {:?} and {:?}",
                self.failed_starts,
                self.broken,
                self.left,
                self.silent
            );
        }
        if let Status::Signal(_) = status {
            assert!(!self.interrupts.is_empty(), "nobody has sent a signal");
        }
        let (counted, said) = (
            (tally.chatter.lines, tally.chatter.unkept_exits),
            (self.log_lines, self.exits),
        );
        if self.policy.failures.on_error == OnError::Raise {
            // A failure read together with others may have ended the run in between.
            let all = self.log_lines + self.exits;
            let counted = tally.chatter.lines + tally.chatter.unkept_exits;
            assert!(
                (all - self.repeated..=all + self.behind).contains(&counted),
                "{counted} lines are no answers or exit values of {all}, {} less and up to {} more",
                self.repeated,
                self.behind
            );
        } else {
            assert_eq!(counted, said, "lines that are no answers, and exit values");
        }
        let is_cut_short = !self.interrupts.is_empty() || has_failed;
        if !self.interrupts.is_empty() && !has_failed {
            assert!(
                matches!(status, Status::Signal(_)),
                "the signal does not show: {status:?}"
            );
        }
        if let Some(end) = tally.early_end.filter(|_| !has_failed) {
            let total = scenario.records.len() as u64;
            self.outcomes.check_early_end(total, status, end);
        }
        self.outcomes.check_end(scenario, &self.pasts, status, tally, is_cut_short);
    }
}

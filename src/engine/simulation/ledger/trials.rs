//! Which processes have stayed up without a record, so that what they die of is what they were sent
//! then.

use std::time::Duration;

use super::{Ledger, ProcessLedger, millis};
use crate::schedule::WorkerId;

const SHORTEST_TRIAL: Duration = millis(1_000);
const LONGEST_START: Duration = millis(10_000);

/// Whether the death of a process tells of the record that it holds alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Proof {
    /// It may be unable to start.
    #[default]
    None,
    Perhaps,
    Certain,
}

impl ProcessLedger {
    /// What its death tells now.
    pub(super) fn proof(&self, slack: Duration) -> Proof {
        let fed = self.up - self.unfed;
        let (may_suffice, suffices) = self.has_stood_long;
        match self.proof {
            _ if self.is_ready => Proof::Certain,
            _ if fed > self.unfed + slack && !may_suffice => Proof::None,
            Proof::Certain if fed + slack > self.unfed && !suffices => Proof::Perhaps,
            proof => proof,
        }
    }
}

impl Ledger {
    /// Whether a process of COMMAND has been ready.
    pub(in super::super) fn was_ready(&self) -> bool {
        self.startup_time.is_some()
    }

    /// A process is sent a record. Once one has died early, a suspect goes to no process that has
    /// neither been ready nor stayed up for longer.
    pub(super) fn note_first(&mut self, worker: WorkerId, index: u64) {
        let is_suspect = self.pasts[index as usize].is_suspect;
        let trial = self.long_trial.unwrap_or_default().max(SHORTEST_TRIAL);
        let enough = self.ample_trial().max(trial);
        let (is_known, slack) = (self.startup_time.is_some(), self.time_slack * 3);
        let Some(process) = &mut self.processes[worker.0] else {
            return;
        };
        if process.is_ready || process.sent > 0 {
            return;
        }
        let has_stood = is_known && process.up + slack >= trial;
        let is_tried = is_known && is_suspect && self.long_trial.is_some();
        assert!(
            has_stood || !is_tried,
            "suspect {index} is sent to an actor of {worker} that has been up for {:?} of {trial:?}",
            process.up
        );
        process.unfed = process.up;
        process.has_stood_long = (process.up + slack >= enough, process.up >= enough + slack);
        process.proof = match (has_stood, is_tried) {
            (false, _) => Proof::None,
            (true, false) => Proof::Perhaps,
            (true, true) => Proof::Certain,
        };
    }

    /// A process has died, for certain, that was never ready and was not to end.
    pub(super) fn note_early(&mut self, worker: WorkerId, held_any: bool) {
        let longest = match held_any {
            true => self.ample_trial(),
            false => Duration::MAX,
        };
        if let Some(process) = &self.processes[worker.0]
            && process.proof(self.time_slack) == Proof::None
            && (process.closed.is_none() || held_any)
        {
            let trial = (process.up * 3 / 2).min(longest);
            self.long_trial = self.long_trial.max(Some(trial));
        }
    }

    fn ample_trial(&self) -> Duration {
        self.longest_start().unwrap_or_default().max(LONGEST_START)
    }
}

//! What is counted for the summary and the exit status.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::doubts::Doubts;
use super::ids::WorkerId;
use crate::outcome::Done;

/// The counts of a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// What came to an outcome in earlier runs, where this one goes on with them. Not in what
    /// follows.
    pub earlier: Earlier,
    /// Records that did not fail.
    pub results: u64,
    /// The results that they gave: as many, unless a record may give several or none.
    pub parts: u64,
    /// Failed records by kind.
    pub failed: BTreeMap<&'static str, u64>,
    /// Processes begun to replace one that was not meant to end.
    pub restarts: u64,
    /// Workers that are not started any more.
    pub given_up: u64,
    /// Processes that failed though no record did.
    pub faults: WorkerFaults,
    /// Those of them that runs that go on are to know: whose answers are in doubt, as answers without ids
    /// can be, and who failed before mtask was told to end, as the workers may have been.
    pub lasting_faults: WorkerFaults,
    /// Whose answers these are, in all runs.
    pub doubts: Doubts,
    /// What workers asked to have later.
    pub refusals: Refusals,
    /// What workers said that is no answer.
    pub chatter: Chatter,
    /// Set where the run was cut short.
    pub early_end: Option<EarlyEnd>,
}

/// What a run that was cut short has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarlyEnd {
    /// Records that were read and have no outcome.
    pub records: u64,
    /// The end of the input has not been seen, which is news.
    pub is_input_left: bool,
}

/// What workers said that is no answer.
#[derive(Clone, Debug, Default)]
pub struct Chatter {
    /// Lines on their stdout that are no answers, where answers have ids.
    pub lines: u64,
    /// The workers that wrote such lines.
    pub loggers: BTreeSet<WorkerId>,
    /// What they had to say at their ends, and nobody had asked for.
    pub unkept_exits: u64,
}

/// What workers asked to have later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// How often a record was refused.
    pub records: u64,
    /// How long workers asked to wait.
    pub wait: Duration,
}

/// The counts of the runs that are gone on with.
#[derive(Clone, Debug, Default)]
pub struct Earlier {
    /// Records that did not fail.
    pub results: u64,
    /// The results that they gave.
    pub parts: u64,
    /// Failed records by kind.
    pub failed: BTreeMap<&'static str, u64>,
    /// Processes that failed though no record did.
    pub worker_faults: WorkerFaults,
    /// Error records of them that have come out as they are in this run. Not in what stands above.
    pub passed: u64,
}

/// Processes that failed though no record did, which is not to be forgotten by runs that go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerFaults {
    /// Those that did not keep to one answer for each record, so that their answers are in doubt.
    pub protocol_violations: u64,
    /// How often one wrote what nothing had asked for.
    pub strays: u64,
    /// Those that failed after they had answered everything.
    pub bad_ends: u64,
}

impl Earlier {
    /// How many records failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// How many records came to an outcome.
    pub fn outcomes(&self) -> u64 {
        self.results + self.failures()
    }
}

impl From<Done> for Earlier {
    fn from(done: Done) -> Self {
        Self {
            results: done.results().saturating_sub(done.passed),
            parts: done.parts.saturating_sub(done.passed),
            failed: done.failed,
            worker_faults: WorkerFaults::default(),
            passed: 0,
        }
    }
}

impl Tally {
    /// Counts a failed record.
    pub(crate) fn failed(&mut self, kind: &'static str) {
        *self.failed.entry(kind).or_default() += 1;
    }

    /// How many records failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// The failures that have been put down, in all runs, of records and of workers that wrote what
    /// nothing had asked for; and the outcomes.
    pub(super) fn failures_and_outcomes(&self) -> (u64, u64) {
        let strays = self.earlier.worker_faults.strays.saturating_add(self.faults.strays);
        let failures = (self.earlier.failures() + self.failures()).saturating_add(strays);
        (failures, self.earlier.outcomes() + self.outcomes())
    }

    /// How many records have come to an outcome.
    pub fn outcomes(&self) -> u64 {
        self.results + self.failures()
    }

    /// The processes that failed though no record did, in all runs.
    pub fn worker_faults(&self) -> WorkerFaults {
        let (earlier, lasting) = (self.earlier.worker_faults, self.lasting_faults);
        WorkerFaults {
            protocol_violations: earlier.protocol_violations + lasting.protocol_violations,
            strays: earlier.strays.saturating_add(lasting.strays),
            bad_ends: earlier.bad_ends + lasting.bad_ends,
        }
    }
}

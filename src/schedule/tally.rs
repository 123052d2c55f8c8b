//! What is counted for the summary and the exit status.

use std::collections::{BTreeMap, BTreeSet};

use super::action::WorkerId;
use super::doubts::Doubts;
use crate::outcome::Done;

/// The counts of a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// What came to an outcome in earlier runs, where this one goes on with them. Not in what
    /// follows.
    pub earlier: Earlier,
    /// Records that gave a result.
    pub results: u64,
    /// Failed records by kind.
    pub failed: BTreeMap<&'static str, u64>,
    /// Processes begun to replace one that was not meant to end.
    pub restarts: u64,
    /// Workers that are not started any more.
    pub given_up: u64,
    /// Processes that failed after they had answered everything: at their exit, or by not exiting.
    pub bad_ends: u64,
    /// Those of them that came after mtask was told to end, as the workers may have been.
    pub bad_ends_when_told: u64,
    /// Records without an outcome at the end of a whole run: a fault of mtask.
    pub lost: u64,
    /// Processes that did not keep to one answer for each record.
    pub protocol_violations: u64,
    /// Those of them whose answers are in doubt, as answers without ids can be.
    pub doubtful: u64,
    /// Whose answers these are, in all runs.
    pub doubts: Doubts,
    /// How often a worker wrote what nothing had asked for, where that is a failure.
    pub strays: u64,
    /// Lines on workers' stdout that are no answers, where answers have ids.
    pub log_lines: u64,
    /// The workers that wrote such lines.
    pub loggers: BTreeSet<WorkerId>,
    /// What workers had to say at their ends, and nobody had asked for.
    pub unkept_exits: u64,
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

impl EarlyEnd {
    fn told(self) -> Option<String> {
        let records = match self.records {
            0 => None,
            1 => Some("1 record that was read has no outcome".to_owned()),
            count => Some(format!("{count} records that were read have no outcome")),
        };
        let input = self
            .is_input_left
            .then(|| "the input was not read to its end".to_owned());
        let parts: Vec<_> = [records, input].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| format!("the run ended early: {}", parts.join(", and ")))
    }
}

/// The counts of the runs that are gone on with.
#[derive(Clone, Debug, Default)]
pub struct Earlier {
    /// Records that gave a result.
    pub results: u64,
    /// Failed records by kind.
    pub failed: BTreeMap<&'static str, u64>,
    /// Processes that failed though no record did.
    pub worker_faults: WorkerFaults,
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
            results: done.results(),
            failed: done.failed,
            worker_faults: WorkerFaults::default(),
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

    /// The failures that have been put down, in all runs: of records, and of workers that wrote
    /// what nothing had asked for.
    pub(super) fn failures_and_strays(&self) -> u64 {
        let strays = self
            .earlier
            .worker_faults
            .strays
            .saturating_add(self.strays);
        (self.earlier.failures() + self.failures()).saturating_add(strays)
    }

    /// How many records have come to an outcome.
    pub fn outcomes(&self) -> u64 {
        self.results + self.failures()
    }

    /// The processes that failed though no record did, in all runs.
    pub fn worker_faults(&self) -> WorkerFaults {
        let earlier = self.earlier.worker_faults;
        WorkerFaults {
            protocol_violations: earlier.protocol_violations + self.doubtful,
            strays: earlier.strays.saturating_add(self.strays),
            bad_ends: earlier.bad_ends + self.bad_ends - self.bad_ends_when_told,
        }
    }

    /// One line for the user, if anything was out of the ordinary.
    pub fn summary(&self) -> Option<String> {
        let plural = |count: u64, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            _ => Some(format!("{count} {many}")),
        };
        let earlier = self.earlier.failures();
        let failures = earlier + self.failures();
        let records = self.earlier.outcomes() + self.outcomes();
        let mut failed = self.earlier.failed.clone();
        for (kind, count) in &self.failed {
            *failed.entry(kind).or_default() += count;
        }
        let mut kinds: Vec<_> = failed.iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let kinds: Vec<_> = kinds
            .into_iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let before = |earlier: u64, now: u64| match (earlier, now) {
            (0, _) => String::new(),
            (_, 0) => ", before this run".into(),
            _ => format!(", {earlier} before this run"),
        };
        let failed = (failures > 0).then(|| {
            format!(
                "{failures} of {records} records failed ({}){}",
                kinds.join(", "),
                before(earlier, self.failures())
            )
        });
        let in_doubt = (self.doubts.told())
            .map(|records| format!("results of {records} may stand in wrong places"));
        let given_up =
            plural(self.given_up, "worker", "workers").map(|text| format!("{text} given up"));
        let earlier = self.earlier.worker_faults;
        let bad_ends = plural(earlier.bad_ends + self.bad_ends, "worker", "workers").map(|text| {
            let before = before(earlier.bad_ends, self.bad_ends);
            format!("{text} failed at the end{before}")
        });
        let protocol_violations = plural(
            earlier.protocol_violations + self.protocol_violations,
            "process",
            "processes",
        )
        .map(|text| {
            let before = before(earlier.protocol_violations, self.protocol_violations);
            format!("{text} that did not give one answer for each record{before}")
        });
        let loggers: Vec<_> = self
            .loggers
            .iter()
            .take(3)
            .map(ToString::to_string)
            .collect();
        let more = if self.loggers.len() > loggers.len() {
            ", …"
        } else {
            ""
        };
        let log_lines = plural(self.log_lines, "line", "lines").map(|text| {
            format!(
                "{text} on stdout that answer nothing ({}{more})",
                loggers.join(", ")
            )
        });
        let exits = plural(self.unkept_exits, "exit value", "exit values")
            .map(|text| format!("{text} not kept (--exits FILE keeps them)"));
        let parts = [
            failed,
            self.early_end.and_then(EarlyEnd::told),
            in_doubt,
            protocol_violations,
            plural(self.restarts, "restart", "restarts"),
            given_up,
            bad_ends,
            log_lines,
            exits,
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_incident_needs_no_summary() {
        let tally = Tally {
            results: 1000,
            ..Tally::default()
        };
        assert_eq!(tally.summary(), None);
    }

    #[test]
    fn the_summary_names_the_most_frequent_failures_first() {
        let tally = Tally {
            results: 996,
            failed: BTreeMap::from([("worker_exit", 2), ("bad_answer", 1), ("timeout", 1)]),
            restarts: 2,
            bad_ends: 1,
            ..Tally::default()
        };
        assert_eq!(
            tally.summary().unwrap(),
            "4 of 1000 records failed (2 worker_exit, 1 bad_answer, 1 timeout); 2 restarts; 1 worker \
             failed at the end"
        );
    }

    #[test]
    fn the_summary_counts_the_records_of_earlier_runs_and_names_three_that_log() {
        let mut tally = Tally {
            results: 5,
            failed: BTreeMap::from([("timeout", 1)]),
            log_lines: 7,
            loggers: (0..3).map(WorkerId).collect(),
            ..Tally::default()
        };
        tally.earlier.results = 10;
        tally.earlier.failed.insert("timeout", 4);
        assert_eq!(
            tally.summary().unwrap(),
            "5 of 20 records failed (5 timeout), 4 before this run; 7 lines on stdout that answer \
             nothing (worker 0, worker 1, worker 2)"
        );
        tally.loggers.insert(WorkerId(3));
        assert!(tally.summary().unwrap().ends_with("worker 2, …)"));
    }

    #[test]
    fn an_early_end_tells_what_it_has_left() {
        let told = |records, is_input_left| {
            let tally = Tally {
                early_end: Some(EarlyEnd {
                    records,
                    is_input_left,
                }),
                ..Tally::default()
            };
            tally.summary().unwrap_or_default()
        };
        assert_eq!(told(0, false), "");
        assert_eq!(
            told(1, false),
            "the run ended early: 1 record that was read has no outcome"
        );
        assert_eq!(
            told(7, true),
            "the run ended early: 7 records that were read have no outcome, and the input was not \
             read to its end"
        );
    }
}

//! The last line of a run.

use super::reasons::Reasons;
use super::telling::doubtful;
use crate::schedule::{EarlyEnd, Tally};

/// One line for the user, if anything was out of the ordinary.
pub(super) fn summary(tally: &Tally, reasons: &Reasons) -> Option<String> {
    let plural = |count: u64, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{count} {many}")),
    };
    let earlier = tally.earlier.failures();
    let failures = earlier + tally.failures();
    let records = tally.earlier.outcomes() + tally.outcomes();
    let mut failed = tally.earlier.failed.clone();
    for (kind, count) in &tally.failed {
        *failed.entry(kind).or_default() += count;
    }
    let mut kinds: Vec<_> = failed.iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let texts: Vec<_> = kinds.iter().map(|(kind, count)| reasons.of(kind, **count)).collect();
    // Messages are separated by commas.
    let separator = match texts.iter().all(String::is_empty) {
        true => ", ",
        false => "; ",
    };
    let kinds =
        kinds.iter().zip(texts).map(|((kind, count), text)| format!("{count} {kind}{text}"));
    let kinds: Vec<_> = kinds.collect();
    let before = |earlier: u64, now: u64| match (earlier, now) {
        (0, _) => String::new(),
        (_, 0) => ", before this run".into(),
        _ => format!(", {earlier} before this run"),
    };
    let failed = (failures > 0).then(|| {
        format!(
            "{failures} of {records} records failed ({}){}",
            kinds.join(separator),
            before(earlier, tally.failures())
        )
    });
    let in_doubt = doubtful(&tally.doubts)
        .map(|records| format!("results of {records} may stand in wrong places"));
    let given_up =
        plural(tally.given_up, "worker", "workers").map(|text| format!("{text} given up"));
    let earlier = tally.earlier.worker_faults;
    let bad_ends = plural(
        earlier.bad_ends + tally.faults.bad_ends,
        "worker",
        "workers",
    )
    .map(|text| {
        let before = before(earlier.bad_ends, tally.faults.bad_ends);
        format!("{text} failed at the end{before}")
    });
    let broken = plural(
        earlier.protocol_violations + tally.faults.protocol_violations,
        "process",
        "processes",
    )
    .map(|text| {
        let before = before(
            earlier.protocol_violations,
            tally.faults.protocol_violations,
        );
        format!("{text} that did not give one answer for each record{before}")
    });
    let loggers: Vec<_> = tally.chatter.loggers.iter().take(3).map(ToString::to_string).collect();
    let more = if tally.chatter.loggers.len() > loggers.len() {
        ", …"
    } else {
        ""
    };
    let log_lines = plural(tally.chatter.lines, "line", "lines").map(|text| {
        format!(
            "{text} on stdout without an answer ({}{more})",
            loggers.join(", ")
        )
    });
    let exits = plural(tally.chatter.unkept_exits, "exit value", "exit values")
        .map(|text| format!("{text} not kept (--exits FILE keeps them)"));
    let parts = [
        gave(
            tally.earlier.results + tally.results,
            tally.earlier.parts + tally.parts,
        ),
        failed,
        tally.early_end.and_then(early_end),
        in_doubt,
        broken,
        plural(tally.restarts, "restart", "restarts"),
        given_up,
        bad_ends,
        log_lines,
        exits,
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// How many results there are, where that is not one for each record that did not fail.
fn gave(records: u64, results: u64) -> Option<String> {
    let count = |count: u64, one: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    };
    let text = || {
        format!(
            "{} gave {}",
            count(records, "record"),
            count(results, "result")
        )
    };
    (records != results).then(text)
}

fn early_end(end: EarlyEnd) -> Option<String> {
    let records = match end.records {
        0 => None,
        1 => Some("1 record that was read has no outcome".to_owned()),
        count => Some(format!("{count} records that were read have no outcome")),
    };
    let input = end.is_input_left.then(|| "the input was not read to its end".to_owned());
    let parts: Vec<_> = [records, input].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("the run ended early: {}", parts.join(", and ")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::schedule::{WorkerFaults, WorkerId};

    fn told(tally: &Tally) -> Option<String> {
        summary(tally, &Reasons::default())
    }

    #[test]
    fn a_run_without_incident_needs_no_summary() {
        let tally = Tally {
            results: 1000,
            parts: 1000,
            ..Tally::default()
        };
        assert_eq!(told(&tally), None);
    }

    #[test]
    fn the_summary_names_the_most_frequent_failures_first() {
        let tally = Tally {
            results: 996,
            parts: 996,
            failed: BTreeMap::from([("worker_exit", 2), ("bad_answer", 1), ("timeout", 1)]),
            restarts: 2,
            faults: WorkerFaults {
                bad_ends: 1,
                ..WorkerFaults::default()
            },
            ..Tally::default()
        };
        assert_eq!(
            told(&tally).unwrap(),
            "4 of 1000 records failed (2 worker_exit, 1 bad_answer, 1 timeout); 2 restarts; 1 worker \
             failed at the end"
        );
    }

    #[test]
    fn the_summary_counts_the_records_of_earlier_runs_and_names_three_that_log() {
        let mut tally = Tally {
            results: 5,
            parts: 5,
            failed: BTreeMap::from([("timeout", 1)]),
            ..Tally::default()
        };
        tally.chatter.lines = 7;
        tally.chatter.loggers = (0..3).map(WorkerId).collect();
        (tally.earlier.results, tally.earlier.parts) = (10, 10);
        tally.earlier.failed.insert("timeout", 4);
        assert_eq!(
            told(&tally).unwrap(),
            "5 of 20 records failed (5 timeout), 4 before this run; 7 lines on stdout without \
             an answer (worker 0, worker 1, worker 2)"
        );
        tally.chatter.loggers.insert(WorkerId(3));
        assert!(told(&tally).unwrap().ends_with("worker 2, …)"));
    }

    #[test]
    fn results_are_counted_apart_where_there_are_more_or_fewer_of_them() {
        let gave = |results, parts| {
            let mut tally = Tally {
                results,
                parts,
                ..Tally::default()
            };
            (tally.earlier.results, tally.earlier.parts) = (1, 1);
            told(&tally)
        };
        assert_eq!(gave(999, 999), None);
        assert_eq!(gave(999, 1733).unwrap(), "1000 records gave 1734 results");
        assert_eq!(gave(1, 0).unwrap(), "2 records gave 1 result");
    }

    #[test]
    fn an_early_end_tells_what_it_has_left() {
        let early = |records, is_input_left| {
            let tally = Tally {
                early_end: Some(EarlyEnd {
                    records,
                    is_input_left,
                }),
                ..Tally::default()
            };
            told(&tally).unwrap_or_default()
        };
        assert_eq!(early(0, false), "");
        assert_eq!(
            early(1, false),
            "the run ended early: 1 record that was read has no outcome"
        );
        assert_eq!(
            early(7, true),
            "the run ended early: 7 records that were read have no outcome, and the input was not \
             read to its end"
        );
    }
}

//! What the journal vouches for, against what comes out.

use std::collections::BTreeSet;

use super::scenario::Scenario;
use crate::journal::played::Vouched;
use crate::outcome::Done;
use crate::schedule::policy::{ErrorRecords, OnError, Order, Policy};
use crate::shape::AnswerEnd;

const ERROR: &[u8] = b"{\"mtask_error\":";

/// What is said to be done once so many bytes are written.
struct Promise {
    done: Done,
    results: usize,
    errors: usize,
}

/// The places that are told are where the outcomes stand, of all bytes.
fn check_places(done: &Done, results: &[u8], policy: &Policy) {
    let is_apart = policy.error_records == ErrorRecords::Apart;
    let mut bytes = 0;
    for (places, is_failure) in [(&done.failed_at, true), (&done.results_at, false)] {
        let mut records = 0;
        for place in places.iter() {
            let lines = &results[place.at as usize..place.end_at() as usize];
            let lines: Vec<_> = lines.split_inclusive(|byte| *byte == b'\n').collect();
            let expected = if is_apart && is_failure {
                0
            } else {
                place.count
            };
            if is_failure {
                assert_eq!(lines.len() as u64, expected);
            }
            assert!(lines.iter().all(|line| line.starts_with(ERROR) == is_failure));
            records += place.count;
            bytes += place.bytes;
        }
        let all = if is_failure {
            done.failures()
        } else {
            done.results()
        };
        assert_eq!(records, all);
    }
    assert_eq!(bytes, results.len() as u64);
}

/// All that was said in a run, each time with what was said before.
#[derive(Default)]
pub(super) struct Promises(Vec<Promise>);

impl Promises {
    /// Notes what an entry of the journal says.
    pub(super) fn note(&mut self, mut entry: Vouched) {
        if entry.done.is_empty() {
            // It tells that COMMAND was ready, or of processes.
            return;
        }
        let mut done = self.0.last().map_or_else(Done::default, |it| it.done.clone());
        done.append(&mut entry.done);
        self.0.push(Promise {
            done,
            results: entry.output as usize,
            errors: entry.errors as usize,
        });
    }

    /// Each time the bytes are whole lines, one for each result and failure. Nothing is
    /// left out but what stands from the failure on that ended the run.
    pub(super) fn check(&self, results: &[u8], errors: &[u8], scenario: &Scenario, is_whole: bool) {
        let policy = &scenario.policy;
        let mut told = (0, 0);
        for promise in &self.0 {
            // It is told of what is written, and of nothing else.
            let (results, errors) = (&results[..promise.results], &errors[..promise.errors]);
            let bytes = [results, errors];
            assert!(bytes.iter().all(|it| it.is_empty() || it.ends_with(b"\n")));
            let lines = || {
                let lines = bytes.iter().flat_map(|it| it.split_inclusive(|b| *b == b'\n'));
                lines.map(|line| line.starts_with(ERROR))
            };
            let done = &promise.done;
            assert_eq!(
                lines().count() as u64,
                expected_lines(done, bytes, scenario)
            );
            assert_eq!(
                lines().filter(|failed| *failed).count() as u64,
                done.failures()
            );
            check_places(done, results, policy);
            let is_prefix = done.ranges.iter().eq(std::iter::once(0..done.ranges.count()));
            assert!(is_prefix || policy.order == Order::Finish);
            told = (promise.results, promise.errors);
        }
        let (results, errors) = (&results[told.0..], &errors[told.1..]);
        if !is_whole || results.is_empty() && errors.is_empty() {
            return;
        }
        let may_end_run = matches!(policy.failures.on_error, OnError::Raise | OnError::Drain)
            || policy.failures.max_errors.is_some();
        assert!(may_end_run, "something is written and not said to be done");
        assert!(
            results.starts_with(ERROR) || errors.starts_with(ERROR),
            "something before the failure that ended the run is not said to be done"
        );
    }
}

/// How many lines are written of what is done.
fn expected_lines(done: &Done, bytes: [&[u8]; 2], scenario: &Scenario) -> u64 {
    if scenario.policy.shape.answer_end == AnswerEnd::Separator {
        return done.parts + done.failures();
    }
    let failed: BTreeSet<u64> =
        (bytes.iter()).flat_map(|it| it.split(|b| *b == b'\n')).filter_map(failed_index).collect();
    let of_record = |index: u64| match failed.contains(&index) {
        true => 1,
        false => scenario.records[index as usize].results(index).len() as u64,
    };
    done.ranges.iter().flatten().map(of_record).sum()
}

/// The record whose error record a line is, if it is one.
fn failed_index(line: &[u8]) -> Option<u64> {
    let error: serde_json::Value = serde_json::from_slice(line).ok()?;
    error["index"].as_u64()
}

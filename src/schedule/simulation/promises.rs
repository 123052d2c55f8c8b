//! What the scheduler says is done, against what comes out: what a journal would vouch for.

use crate::outcome::Done;
use crate::schedule::Written;
use crate::schedule::policy::{OnError, Order, Policy};

const ERROR: &[u8] = b"{\"mtask_error\":";

/// What is said to be done once so many bytes are written.
struct Promise {
    done: Done,
    results: usize,
    errors: usize,
}

/// All that was said in a run, each time with what was said before.
#[derive(Default)]
pub(super) struct Promises(Vec<Promise>);

impl Promises {
    /// Notes what is said of `written`, before which so many bytes were taken over.
    pub(super) fn note(&mut self, written: &mut Written, results: usize, errors: usize) {
        let mut new = std::mem::take(&mut written.done);
        if new.is_empty() {
            return;
        }
        let mut done = self
            .0
            .last()
            .map_or_else(Done::default, |it| it.done.clone());
        done.append(&mut new);
        self.0.push(Promise {
            done,
            results: results + written.results.len(),
            errors: errors + written.errors.len(),
        });
    }

    /// Each time the bytes are whole lines, one for each record, of that many failures. Nothing is
    /// left out but what stands from the failure on that ended the run.
    pub(super) fn check(&self, results: &[u8], errors: &[u8], policy: &Policy) {
        let mut told = (0, 0);
        for promise in &self.0 {
            let (Some(results), Some(errors)) =
                (results.get(..promise.results), errors.get(..promise.errors))
            else {
                // The output failed before.
                return;
            };
            let bytes = [results, errors];
            assert!(bytes.iter().all(|it| it.is_empty() || it.ends_with(b"\n")));
            let lines = || {
                let lines = bytes
                    .iter()
                    .flat_map(|it| it.split_inclusive(|b| *b == b'\n'));
                lines.map(|line| line.starts_with(ERROR))
            };
            let done = &promise.done;
            assert_eq!(lines().count() as u64, done.ranges.count());
            assert_eq!(
                lines().filter(|failed| *failed).count() as u64,
                done.failures()
            );
            let is_prefix = done
                .ranges
                .iter()
                .eq(std::iter::once(0..done.ranges.count()));
            assert!(is_prefix || policy.order == Order::Finish);
            told = (promise.results, promise.errors);
        }
        let (results, errors) = (&results[told.0..], &errors[told.1..]);
        if results.is_empty() && errors.is_empty() {
            return;
        }
        let may_end_run = matches!(policy.on_error, OnError::Raise | OnError::Drain)
            || policy.max_errors.is_some();
        assert!(may_end_run, "something is written and not said to be done");
        assert!(
            results.starts_with(ERROR) || errors.starts_with(ERROR),
            "something before the failure that ended the run is not said to be done"
        );
    }
}

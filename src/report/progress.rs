//! How far a run is, from samples of its counts.

use std::time::{Duration, Instant};

use super::counts::{Counted, Counts};
use super::recent::Recent;
use super::status::Wait;
use crate::schedule::Earlier;

/// What is known of a run before it begins.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// What the run is called (`--desc`).
    pub name: Option<String>,
    /// How many records there will be (`--total`).
    pub records: Option<u64>,
    /// The size of the input, if all of it lies in regular files.
    pub bytes: Option<u64>,
    /// What was done in earlier runs, where this one goes on with them.
    pub earlier: Earlier,
}

/// A run that goes on.
#[derive(Debug)]
pub struct Progress {
    counts: Counts,
    expected: Expected,
    began: Instant,
    recent: Recent,
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct View {
    /// Records with an outcome.
    pub(super) done: u64,
    /// Those of them that failed.
    pub(super) failed: u64,
    /// How many records there are or should be.
    pub(super) total: Option<u64>,
    /// From 0 to 1.
    pub(super) fraction: Option<f64>,
    /// Records per second.
    pub(super) rate: Option<f64>,
    pub(super) elapsed: Duration,
    pub(super) left: Option<Duration>,
    /// What everything has waited for, for a while.
    pub(super) wait: Wait,
}

impl View {
    /// Rounded down: 100 is the end and nothing else.
    pub(super) fn percent(&self) -> Option<u32> {
        self.fraction.map(|fraction| (fraction * 100.0 + 1e-9) as u32)
    }
}

impl Progress {
    /// A run that begins now.
    pub fn new(counts: Counts, expected: Expected, now: Instant) -> Self {
        Self {
            counts,
            expected,
            began: now,
            recent: Recent::new(),
        }
    }

    /// What the run is called.
    pub(super) fn name(&self) -> Option<&str> {
        self.expected.name.as_deref()
    }

    /// How far the run is.
    pub(super) fn look(&mut self, now: Instant) -> View {
        let counted = self.counts.get();
        let elapsed = now.saturating_duration_since(self.began);
        let (total, fraction) = self.expected.fraction(counted);
        self.recent.note(now, elapsed, counted.done, fraction);
        let earlier = &self.expected.earlier;
        View {
            done: earlier.outcomes() + counted.done,
            failed: earlier.failures() + counted.failed,
            total,
            fraction,
            rate: self.recent.rate(now, counted.done),
            elapsed,
            left: fraction.and_then(|fraction| self.recent.left(now, fraction)),
            wait: counted.wait,
        }
    }

    /// How the run has ended: the rate is that of the whole run.
    pub(super) fn look_back(&mut self, now: Instant) -> View {
        let mut view = self.look(now);
        let done = self.counts.done();
        view.rate =
            (done > 0 && !view.elapsed.is_zero()).then(|| done as f64 / view.elapsed.as_secs_f64());
        view.left = None;
        view.wait = Wait::None;
        view
    }

    /// The run stood still for so long.
    pub(super) fn shift(&mut self, pause: Duration) {
        self.began += pause;
        self.recent.shift(pause);
    }
}

impl Expected {
    /// How many records there are, and how much of the run is done.
    fn fraction(&self, counted: Counted) -> (Option<u64>, Option<f64>) {
        let earlier = self.earlier.outcomes();
        let done = earlier + counted.done;
        let said = self.records.filter(|records| *records >= done);
        let read = counted.total.map(|total| earlier + total);
        if let Some(total) = read.or(said)
            && total > 0
        {
            return (Some(total), Some(done as f64 / total as f64));
        }
        let read = self.bytes.filter(|bytes| *bytes > 0);
        // The end of the input may yet show more than its size did.
        let by_bytes =
            read.map(|size| (counted.bytes.unwrap_or(0) as f64 / size as f64).min(0.999));
        (None, by_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(done: u64, bytes: u64, total: Option<u64>) -> Counted {
        Counted {
            done,
            failed: 0,
            bytes: Some(bytes),
            total,
            ..Counted::default()
        }
    }

    fn expected(records: Option<u64>, bytes: Option<u64>) -> Expected {
        Expected {
            records,
            bytes,
            ..Expected::default()
        }
    }

    #[test]
    fn the_number_that_was_given_goes_before_bytes_and_the_true_one_before_both() {
        let by_all = expected(Some(100), Some(1000));
        assert_eq!(
            by_all.fraction(counted(50, 900, None)),
            (Some(100), Some(0.5))
        );
        assert_eq!(
            by_all.fraction(counted(50, 900, Some(200))),
            (Some(200), Some(0.25))
        );
        let by_bytes = expected(None, Some(1000));
        assert_eq!(by_bytes.fraction(counted(50, 900, None)), (None, Some(0.9)));
        assert_eq!(
            by_bytes.fraction(counted(50, 900, Some(50))),
            (Some(50), Some(1.0))
        );
    }

    #[test]
    fn a_number_that_was_wrong_is_dropped() {
        assert_eq!(
            expected(Some(10), None).fraction(counted(11, 0, None)),
            (None, None)
        );
        assert_eq!(
            expected(Some(10), None).fraction(counted(7, 0, Some(7))),
            (Some(7), Some(1.0))
        );
    }

    #[test]
    fn bytes_alone_never_claim_the_end() {
        let by_bytes = expected(None, Some(10));
        let view = View {
            fraction: by_bytes.fraction(counted(3, 11, None)).1,
            ..View::default()
        };
        assert_eq!(view.percent(), Some(99));
        assert_eq!(
            expected(None, Some(0)).fraction(counted(3, 11, None)),
            (None, None)
        );
        assert_eq!(
            expected(None, None).fraction(counted(0, 0, Some(0))),
            (None, None)
        );
    }

    #[test]
    fn what_earlier_runs_did_is_done_but_not_done_fast() {
        let earlier = Earlier {
            results: 69,
            failed: [("timeout", 1)].into(),
            ..Earlier::default()
        };
        let expected = Expected {
            records: Some(100),
            earlier,
            ..Expected::default()
        };
        let (base, counts) = (Instant::now(), Counts::default());
        let mut progress = Progress::new(counts.clone(), expected, base);
        let view = progress.look(base);
        assert_eq!((view.done, view.failed, view.percent()), (70, 1, Some(70)));
        counts.set(Counted {
            done: 30,
            failed: 2,
            total: Some(30),
            ..Counted::default()
        });
        let view = progress.look_back(base + Duration::from_secs(10));
        assert_eq!((view.done, view.failed, view.total), (100, 3, Some(100)));
        assert_eq!(view.rate, Some(3.0));
    }

    #[test]
    fn the_view_back_tells_the_rate_of_the_whole_run() {
        let (base, counts) = (Instant::now(), Counts::default());
        let mut progress = Progress::new(counts.clone(), Expected::default(), base);
        counts.set(Counted::default());
        progress.look(base);
        counts.set(Counted {
            done: 30,
            failed: 2,
            total: Some(30),
            ..Counted::default()
        });
        let view = progress.look_back(base + Duration::from_secs(10));
        assert_eq!((view.done, view.failed, view.total), (30, 2, Some(30)));
        assert_eq!(view.rate, Some(3.0));
        assert_eq!((view.percent(), view.left), (Some(100), None));
    }
}

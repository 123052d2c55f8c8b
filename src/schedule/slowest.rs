//! The records that took longest, for `--stats`.
//!
//! What is timed is a try, not an outcome: a record has taken its time where its process has died
//! of it, though it is sent again.
//!
//! A record's time runs from when it became the oldest that its worker owed, or, where the worker
//! takes several at a time, from when it was sent; of answers that were read together each is given
//! its share. So it is right where records are slow; those of less than a millisecond are left out.
//! The first answer of a process that has not said that it is up is left out: nobody knows how much
//! of the time was its start.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::ids::WorkerId;
use super::queue::Work;
use crate::protocol::message::Answer;
use crate::record::Index;

/// How many are kept.
const KEPT: usize = 5;
/// The time of a quicker one says nothing: it was read together with others.
const LEAST: Duration = Duration::from_millis(1);
/// How many bytes are kept of each.
const SHOWN: usize = 120;

/// A record that took long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowRecord {
    /// Its index.
    pub index: Index,
    /// How long it took.
    pub took: Duration,
    /// Who had it.
    pub worker: WorkerId,
    /// The beginning of it.
    pub start: Vec<u8>,
    /// How many bytes it has.
    pub bytes: usize,
}

/// The slowest records so far, the slowest first.
#[derive(Debug, Default)]
pub(crate) struct Slowest {
    records: Vec<SlowRecord>,
}

impl Slowest {
    /// Whether a record that took so long is among them.
    fn takes(&self, took: Duration) -> bool {
        let is_full = self.records.len() == KEPT;
        let least = self.records.last().filter(|_| is_full).map(|last| last.took);
        took >= LEAST && least.is_none_or(|least| took > least)
    }

    fn put(&mut self, record: SlowRecord) {
        // It may have been sent more than once.
        if let Some(before) = self.records.iter().position(|other| other.index == record.index) {
            if self.records[before].took >= record.took {
                return;
            }
            self.records.remove(before);
        }
        let place = self.records.partition_point(|other| other.took >= record.took);
        self.records.insert(place, record);
        self.records.truncate(KEPT);
    }
}

impl Scheduler {
    /// Keeps the slowest records from now on.
    pub fn keep_slowest(&mut self) {
        self.outcomes.slowest = Some(Slowest::default());
    }

    /// The slowest records, the slowest first; none if they were not kept.
    pub fn slowest(&self) -> &[SlowRecord] {
        self.outcomes.slowest.as_ref().map_or(&[], |slowest| &slowest.records)
    }

    /// A process is about to be done with `count` of the oldest records that it owes, at once.
    pub(super) fn time_oldest(&mut self, worker: WorkerId, count: usize, now: Instant) {
        let Some(slowest) = &mut self.outcomes.slowest else {
            return;
        };
        let Some(process) = self.workers[worker.0].process() else {
            return;
        };
        if let Some(each) = process.share(count, now)
            && slowest.takes(each)
            && let Some(work) = process.owed.front()
        {
            let record = slow(
                work,
                work.first(),
                each,
                worker,
                self.policy.shape.separator,
            );
            slowest.put(record);
        }
    }

    /// A process is about to be done with the records of these answers, read together.
    pub(super) fn time_answers(&mut self, worker: WorkerId, answers: &[Answer<'_>], now: Instant) {
        let Some(slowest) = &mut self.outcomes.slowest else {
            return;
        };
        let Some(process) = self.workers[worker.0].process() else {
            return;
        };
        if !slowest.takes(process.age(now)) {
            return;
        }
        let Some(share) = process.share(answers.len(), now) else {
            return;
        };
        for answer in answers {
            let Some(work) = process.owed.find(answer.index) else {
                continue;
            };
            let took = process.took(work, share, now);
            if slowest.takes(took) {
                let separator = self.policy.shape.separator;
                slowest.put(slow(work, answer.index, took, worker, separator));
            }
        }
    }
}

fn slow(
    work: &Work,
    index: Index,
    took: Duration,
    worker: WorkerId,
    separator: crate::record::Separator,
) -> SlowRecord {
    let before = (index.0 - work.block.first.0) as usize;
    let record =
        work.block.bytes.split(|byte| *byte == separator.byte()).nth(before).unwrap_or_default();
    SlowRecord {
        index,
        took,
        worker,
        start: record[..record.len().min(SHOWN)].to_vec(),
        bytes: record.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(index: u64, milliseconds: u64) -> SlowRecord {
        SlowRecord {
            index: Index(index),
            took: Duration::from_millis(milliseconds),
            worker: WorkerId(0),
            start: Vec::new(),
            bytes: 0,
        }
    }

    #[test]
    fn the_slowest_five_are_kept_and_none_twice() {
        let mut slowest = Slowest::default();
        for (index, took) in [
            (0, 5),
            (1, 9),
            (2, 1),
            (3, 7),
            (1, 8),
            (4, 3),
            (5, 4),
            (2, 6),
            (6, 5),
            (7, 0),
        ] {
            if slowest.takes(Duration::from_millis(took)) {
                slowest.put(record(index, took));
            }
        }
        let kept: Vec<_> = slowest.records.iter().map(|slow| slow.index.0).collect();
        assert_eq!(kept, [1, 3, 2, 0, 6]);
        assert!(!slowest.takes(Duration::from_millis(5)));
        assert!(slowest.takes(Duration::from_millis(6)));
    }
}

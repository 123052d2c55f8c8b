//! What has become of records: put into their turn, counted, and the slowest of them.
//!
//! Always: what is put down is counted, once; nothing else writes results or error records.

use std::mem::take;

use super::event::Settled;
use super::order::{OrderBuffer, Outcome, Written};
use super::pending::PendingFailures;
use super::policy::Policy;
use super::slowest::Slowest;
use super::tally::Tally;
use crate::budget::Budget;
use crate::outcome::{Failure, Lines, Rendering};
use crate::protocol::message::{Answer, Reply};
use crate::record::{Index, Slice};

/// Outcomes on their way out, and the counts of them.
#[derive(Debug)]
pub(super) struct Outcomes {
    pub(super) order: OrderBuffer,
    pub(super) tally: Tally,
    /// Those that are failures, and not put down yet.
    pub(super) pending: PendingFailures,
    /// Where they are asked for.
    pub(super) slowest: Option<Slowest>,
    pub(super) sizes: Sizes,
    pub(super) rendering: Rendering,
}

/// The results of records, and these where they are written too.
#[derive(Debug)]
pub(super) struct Results<'a, 'b> {
    pub(super) answers: ResultAnswers<'a, 'b>,
    pub(super) records: Option<Slice>,
}

/// Whether the bytes of records and results are counted, which takes time where records are small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sizes {
    /// Nobody asks.
    Unknown,
    /// They are.
    Counted,
}

/// The answers that are results of as many records.
#[derive(Debug)]
pub(super) enum ResultAnswers<'a, 'b> {
    /// The first so many bytes of these lines.
    Lines(&'a mut Lines<'b>, usize),
    /// What these answers hold.
    Replies(&'a mut [Answer<'b>]),
}

/// What a failure means for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// The run goes on.
    Usual,
    /// It is the last one that is allowed.
    Last,
    /// It ends the run at once.
    Ends,
}

impl Outcomes {
    pub(super) fn new(policy: &Policy, rendering: Rendering, budget: &Budget) -> Self {
        Self {
            order: OrderBuffer::new(policy.order, budget),
            tally: Tally::default(),
            pending: PendingFailures::default(),
            slowest: None,
            sizes: Sizes::Unknown,
            rendering,
        }
    }

    /// Records gave these results.
    pub(super) fn succeeded(&mut self, records: &mut Settled<()>, results: Results<'_, '_>) {
        let (first, count, rendering) = (records.first, records.count, &self.rendering);
        let parts = results.parts(count);
        self.tally.results += count as u64;
        self.tally.parts += parts;
        records.trail.results = parts;
        let (sizes, bytes) = (self.sizes, &mut records.trail.bytes_out);
        let write = |out: &mut Written| match sizes {
            Sizes::Unknown => results.write(rendering, first, count, out),
            Sizes::Counted => {
                let before = out.results.len();
                results.write(rendering, first, count, out);
                *bytes = out.results.len() - before;
            }
        };
        self.order.put(first, count, Outcome::Results(parts), write);
    }

    /// The error record of an earlier run comes out as it is.
    pub(super) fn passed(&mut self, index: Index, record: &[u8]) {
        self.tally.earlier.passed += 1;
        let separator = self.rendering.shape.separator.byte();
        let write = |out: &mut Written| {
            out.results.append(record.len() + 1, |to| {
                to.extend_from_slice(record);
                to.push(separator);
            });
        };
        self.order.put(index, 1, Outcome::Passed, write);
    }

    /// A record has failed.
    pub(super) fn failed(&mut self, failure: &mut Failure, weight: Weight, policy: &Policy) {
        let (kind, index) = (failure.cause.kind(), failure.index);
        self.tally.failed(kind);
        let (rendering, place) = (&self.rendering, policy.error_records);
        let write = |out: &mut Written| rendering.failure(failure, out.errors_at(place));
        match weight {
            Weight::Ends => self.order.put_last(write),
            Weight::Last => self.order.put(index, 1, Outcome::LastFailure, write),
            Weight::Usual => self.order.put(index, 1, Outcome::Failure(kind), write),
        }
        // Its bytes are written by now, and count in the budget until they are dropped.
        failure.record = None;
    }
}

impl Results<'_, '_> {
    /// How many results so many records have given.
    fn parts(&self, records: usize) -> u64 {
        match &self.answers {
            ResultAnswers::Lines(..) => records as u64,
            ResultAnswers::Replies(answers) => {
                answers.iter().filter_map(|it| it.reply.results()).map(|parts| parts as u64).sum()
            }
        }
    }

    fn write(self, rendering: &Rendering, first: Index, count: usize, out: &mut Written) {
        let mut records = self.records.as_deref().unwrap_or_default();
        let out = &mut out.results;
        match self.answers {
            ResultAnswers::Lines(lines, bytes) => {
                rendering.results(first, count, lines, bytes, records, out);
            }
            ResultAnswers::Replies(answers) => {
                for answer in answers {
                    let record = rendering.next(&mut records);
                    match &mut answer.reply {
                        Reply::Output(output) => {
                            rendering.value(answer.index, take(output), record, out);
                        }
                        Reply::Outputs(parts) => {
                            rendering.parts(answer.index, take(parts), record, out);
                        }
                        _ => unreachable!("only results are put down as such"),
                    }
                }
            }
        }
    }
}

//! Records that fail together, with the process that held them.
//!
//! Owns those whose failure is decided and not yet put down. Always: they come to their outcomes in
//! input order, and no more of them at a time than the output takes, for an error record may be
//! many times as large as its record.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::Scheduler;
use super::event::Trigger;
use super::ids::WorkerId;
use super::policy::OnError;
use super::queue::Work;
use crate::outcome::Cause;
use crate::record::{Index, Separator};

/// So many bytes of outcomes may wait before further failures do.
const ENOUGH: usize = 1024 * 1024;

#[derive(Debug)]
struct PendingFailure {
    work: Work,
    worker: WorkerId,
    cause: Arc<Cause>,
}

/// The records whose failure is decided and not yet put down.
#[derive(Debug, Default)]
pub(super) struct PendingFailures {
    by_first: BTreeMap<Index, PendingFailure>,
    records: usize,
    bytes: usize,
}

impl PendingFailures {
    pub(super) fn is_empty(&self) -> bool {
        self.by_first.is_empty()
    }

    pub(super) fn records(&self) -> usize {
        self.records
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn first(&self) -> Option<Index> {
        self.by_first.keys().next().copied()
    }

    fn push(&mut self, pending: PendingFailure) {
        self.records += pending.work.block.count;
        self.bytes += pending.work.block.bytes.len();
        self.by_first.insert(pending.work.first(), pending);
    }

    /// Takes out the first record.
    fn pop(&mut self, separator: Separator) -> Option<PendingFailure> {
        let (_, mut rest) = self.by_first.pop_first()?;
        self.records -= rest.work.block.count;
        self.bytes -= rest.work.block.bytes.len();
        let one = PendingFailure {
            work: rest.work.cut(1, usize::MAX, separator),
            worker: rest.worker,
            cause: Arc::clone(&rest.cause),
        };
        if rest.work.block.count > 0 {
            self.push(rest);
        }
        Some(one)
    }
}

impl Scheduler {
    /// Charges all these records with what became of the process that held them. What follows from
    /// that follows at once: they are tried again, or nothing more is sent. Only what is written of
    /// them may have to wait.
    pub(super) fn fail_together(
        &mut self,
        worker: WorkerId,
        works: VecDeque<Work>,
        cause: Cause,
        now: Instant,
    ) {
        let cause = Arc::new(cause);
        for work in works {
            let work = work.trimmed(self.policy.shape.separator);
            if let Some(work) = self.try_again(work, cause.retry(), worker, now) {
                let cause = Arc::clone(&cause);
                self.outcomes.pending.push(PendingFailure {
                    work,
                    worker,
                    cause,
                });
            }
        }
        if !self.outcomes.pending.is_empty() && self.has_failed_too_often() {
            self.drain(Trigger::Failure, now);
        }
        self.settle_pending(now);
    }

    /// Puts failures down as far as the output takes them. Gives whether there were any.
    pub(super) fn settle_pending(&mut self, now: Instant) -> bool {
        let enough = ENOUGH.min(self.budget.limit() / 8).max(1);
        let mut has_settled = false;
        while self.course.gives_out()
            && let Some(first) = self.outcomes.pending.first()
        {
            // What is in turn takes no room. Anything else may have to wait for that for long, but
            // not what ends the run.
            let is_next =
                self.outcomes.order.next() == Some(first) && !self.outcomes.order.is_backed_up();
            let may_wait = !is_next && self.policy.failures.on_error != OnError::Raise;
            if may_wait && self.outcomes.order.held().bytes >= enough {
                break;
            }
            let Some(one) = self.outcomes.pending.pop(self.policy.shape.separator) else {
                break;
            };
            self.settle_one(one, now);
            has_settled = true;
        }
        has_settled
    }

    /// Whether failures wait for nothing but the output.
    pub(super) fn pending_will_move(&self) -> bool {
        let Some(first) = self.outcomes.pending.first() else {
            return false;
        };
        // In input order only what is next moves for sure: before it there may be a gap for ever.
        match self.outcomes.order.next() {
            Some(next) => next == first,
            None => self.outcomes.order.is_backed_up(),
        }
    }

    fn settle_one(&mut self, pending: PendingFailure, now: Instant) {
        let cause = Arc::unwrap_or_clone(pending.cause);
        self.fail_work(pending.work, cause, pending.worker, None, now);
    }
}

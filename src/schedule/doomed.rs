//! Records that fail together, with the life that held them.
//!
//! Owns those whose failure is decided and not yet put down. Always: they come to their outcomes in
//! input order, and no more of them at a time than the output takes, for an error record may be many
//! times as large as its record.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::Scheduler;
use super::action::WorkerId;
use super::queue::Work;
use crate::outcome::{Cause, Exit};

/// So many bytes of outcomes may wait before further failures do.
const ENOUGH: usize = 1024 * 1024;

/// What is held against a life.
#[derive(Debug)]
pub(super) enum Fault {
    /// It died, with these last words.
    Died { exit: Exit, stderr: Vec<u8> },
    /// It left its records without an answer.
    NoAnswer,
}

#[derive(Debug)]
pub(super) struct Doomed {
    work: Work,
    worker: WorkerId,
    fault: Arc<Fault>,
}

impl Scheduler {
    /// Charges all these records with what became of the life that held them.
    pub(super) fn doom(
        &mut self,
        worker: WorkerId,
        works: VecDeque<Work>,
        fault: Fault,
        now: Instant,
    ) {
        let fault = Arc::new(fault);
        for work in works {
            let work = work.trimmed(self.policy.separator);
            let fault = Arc::clone(&fault);
            let first = work.first();
            self.doomed.insert(
                first,
                Doomed {
                    work,
                    worker,
                    fault,
                },
            );
        }
        self.settle_doomed(now);
    }

    /// Puts failures down as far as the output takes them. Gives whether there were any.
    pub(super) fn settle_doomed(&mut self, now: Instant) -> bool {
        let enough = ENOUGH.min(self.budget.limit() / 8);
        let mut has_settled = false;
        while self.phase.gives_out()
            && let Some((first, _)) = self.doomed.first_key_value()
        {
            // What is in turn takes no room. Anything else may have to wait for that for long.
            let is_next = self.order.next() == Some(*first) && !self.order.is_backed_up();
            if !is_next && self.order.held().bytes >= enough {
                break;
            }
            let Some((_, mut doomed)) = self.doomed.pop_first() else {
                break;
            };
            let one = doomed.work.cut(1, usize::MAX, self.policy.separator);
            let (worker, fault) = (doomed.worker, Arc::clone(&doomed.fault));
            if doomed.work.block.count > 0 {
                self.doomed.insert(doomed.work.first(), doomed);
            }
            self.settle_one(one, worker, &fault, now);
            has_settled = true;
        }
        has_settled
    }

    /// Whether failures wait for nothing but the output.
    pub(super) fn doomed_will_move(&self) -> bool {
        let Some((first, _)) = self.doomed.first_key_value() else {
            return false;
        };
        // In input order only what is next moves for sure: before it there may be a gap for ever.
        match self.order.next() {
            Some(next) => next == *first,
            None => self.order.is_backed_up(),
        }
    }

    fn settle_one(&mut self, work: Work, worker: WorkerId, fault: &Fault, now: Instant) {
        let (exit, stderr) = match fault {
            Fault::Died { exit, stderr } => (exit, stderr),
            Fault::NoAnswer => {
                let message = format!("{worker} left it without an answer");
                return self.fail_work(work, Cause::MissingAnswer, message, Some(worker), now);
            }
        };
        let cause = match exit {
            Exit::Unasked | Exit::AnsweredTwice => Cause::BadAnswer,
            _ => Cause::WorkerExit {
                exit: exit.clone(),
                stderr: stderr.clone(),
            },
        };
        let message = format!("{worker} died while it held the record ({exit})");
        self.charge(work, cause, message, worker, now);
    }
}

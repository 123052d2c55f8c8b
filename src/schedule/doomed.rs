//! Records that fail together, with the life that held them.
//!
//! Owns those whose failure is decided and not yet put down. Always: they come to their outcomes in
//! input order, and no more of them at a time than the output takes, for an error record may be many
//! times as large as its record.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::Scheduler;
use super::action::WorkerId;
use super::policy::OnError;
use super::queue::Work;
use crate::outcome::{Cause, Exit};
use crate::record::{Index, Separator};

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
struct Sentence {
    work: Work,
    worker: WorkerId,
    fault: Arc<Fault>,
}

/// The records whose failure is decided and not yet put down.
#[derive(Debug, Default)]
pub(super) struct Doomed {
    by_first: BTreeMap<Index, Sentence>,
    records: usize,
    bytes: usize,
}

impl Doomed {
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

    fn push(&mut self, sentence: Sentence) {
        self.records += sentence.work.block.count;
        self.bytes += sentence.work.block.bytes.len();
        self.by_first.insert(sentence.work.first(), sentence);
    }

    /// Takes out the first record.
    fn pop(&mut self, separator: Separator) -> Option<Sentence> {
        let (_, mut rest) = self.by_first.pop_first()?;
        self.records -= rest.work.block.count;
        self.bytes -= rest.work.block.bytes.len();
        let one = Sentence {
            work: rest.work.cut(1, usize::MAX, separator),
            worker: rest.worker,
            fault: Arc::clone(&rest.fault),
        };
        if rest.work.block.count > 0 {
            self.push(rest);
        }
        Some(one)
    }
}

impl Scheduler {
    /// Charges all these records with what became of the life that held them. What follows from that
    /// follows at once: they are tried again, or nothing more is sent. Only what is written of them
    /// may have to wait.
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
            let work = match *fault {
                Fault::Died { .. } => self.try_again(work, worker),
                Fault::NoAnswer => Some(work),
            };
            if let Some(work) = work {
                let fault = Arc::clone(&fault);
                self.doomed.push(Sentence {
                    work,
                    worker,
                    fault,
                });
            }
        }
        if !self.doomed.is_empty() && self.is_last_failure(self.failures()) {
            self.drain(now);
        }
        self.settle_doomed(now);
    }

    /// Puts failures down as far as the output takes them. Gives whether there were any.
    pub(super) fn settle_doomed(&mut self, now: Instant) -> bool {
        let enough = ENOUGH.min(self.budget.limit() / 8).max(1);
        let mut has_settled = false;
        while self.phase.gives_out()
            && let Some(first) = self.doomed.first()
        {
            // What is in turn takes no room. Anything else may have to wait for that for long, but
            // not what ends the run.
            let is_next = self.order.next() == Some(first) && !self.order.is_backed_up();
            let may_wait = !is_next && self.policy.on_error != OnError::Raise;
            if may_wait && self.order.held().bytes >= enough {
                break;
            }
            let Some(one) = self.doomed.pop(self.policy.separator) else {
                break;
            };
            self.settle_one(one, now);
            has_settled = true;
        }
        has_settled
    }

    /// Whether failures wait for nothing but the output.
    pub(super) fn doomed_will_move(&self) -> bool {
        let Some(first) = self.doomed.first() else {
            return false;
        };
        // In input order only what is next moves for sure: before it there may be a gap for ever.
        match self.order.next() {
            Some(next) => next == first,
            None => self.order.is_backed_up(),
        }
    }

    fn settle_one(&mut self, sentence: Sentence, now: Instant) {
        let worker = sentence.worker;
        let (cause, message) = match &*sentence.fault {
            Fault::NoAnswer => (
                Cause::MissingAnswer,
                format!("{worker} left it without an answer"),
            ),
            Fault::Died { exit, stderr } => {
                let cause = match exit {
                    Exit::Unasked | Exit::AnsweredTwice => Cause::BadAnswer,
                    _ => Cause::WorkerExit {
                        exit: exit.clone(),
                        stderr: stderr.clone(),
                    },
                };
                let message = format!("{worker} died while it held the record ({exit})");
                (cause, message)
            }
        };
        self.fail_work(sentence.work, cause, message, Some(worker), now);
    }
}

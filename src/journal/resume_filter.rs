//! The input of a run that can be resumed: what is done already is passed over, and what was read
//! before is compared.
//!
//! Stands between the reader of the input and the engine, in the reader's thread. Owns the hash of
//! all records so far and what is held back: copies of the records still to be done in the input
//! that the journal knows, until all of that has been found to be the same. The run that was ended
//! may have had a larger budget, so no more of them are held than half of this one. Those are
//! passed on before all is known, and so is what follows. Always: nothing is told to `marks` before
//! the input has been found to be the same, and until then the journal vouches for nothing new.

use std::fmt;
use std::hash::Hasher;

use crossbeam_channel::Sender;
use memchr::memchr;
use twox_hash::XxHash3_64;

use super::format::Prefix;
use crate::budget::{BOOKKEEPING, Budget};
use crate::input::{Arrival, Changed, Flaw, Gone, LeftOut, Rejected, Rejection};
use crate::outcome::{Ranges, Stretch};
use crate::record::{Block, Index, Separator, Slice};
use crate::shape::Shape;

/// What is hashed for a record whose bytes were skipped over.
const TOO_LARGE: &[u8] = b"\0mtask: a record that is too large\0";

/// Passes over what is done.
pub struct ResumeFilter {
    shape: Shape,
    budget: Budget,
    /// What is passed over counts as left out.
    left_out: LeftOut,
    done: Ranges,
    /// What was read before. While less has been read now, everything is held back.
    before: Prefix,
    hash: XxHash3_64,
    next: Index,
    held: Vec<HeldRecords>,
    /// How much that takes, counted in the budget.
    held_bytes: usize,
    /// More was to be held back than may be: all is passed on.
    is_passing: bool,
    marks: Sender<Prefix>,
}

impl fmt::Debug for ResumeFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumeFilter")
            .field("next", &self.next)
            .field("before", &self.before)
            .finish_non_exhaustive()
    }
}

/// What is held back: a copy, so that no large buffer is held with it.
#[derive(Debug)]
struct HeldRecords {
    first: Index,
    bytes: Vec<u8>,
    kind: HeldKind,
}

#[derive(Debug)]
enum HeldKind {
    Records(usize),
    Invalid(Flaw),
    Passed,
    TooLarge { max: usize },
}

impl ResumeFilter {
    /// Passes over `done`, and finds out whether the input begins with `before`. From there on,
    /// what has been read is told to `marks`, always before it is passed on.
    pub fn new(
        done: Ranges,
        before: Prefix,
        shape: Shape,
        budget: &Budget,
        left_out: &LeftOut,
        marks: Sender<Prefix>,
    ) -> Self {
        Self {
            shape,
            budget: budget.clone(),
            left_out: left_out.clone(),
            done,
            before,
            hash: XxHash3_64::new(),
            next: Index(0),
            held: Vec::new(),
            held_bytes: 0,
            is_passing: false,
            marks,
        }
    }

    /// Takes what the reader of the input has to tell, and passes on what is of use.
    ///
    /// # Errors
    /// Where nothing more need be read: nobody takes it, or it is not what it was.
    pub fn take(
        &mut self,
        arrival: Arrival,
        send: &mut impl FnMut(Arrival) -> Result<(), Gone>,
    ) -> Result<(), Gone> {
        let taken = self.take_next(arrival, send);
        if !self.held.is_empty() {
            // It waits for what is read next, not for room.
            self.budget.lend();
        }
        taken
    }

    fn take_next(
        &mut self,
        arrival: Arrival,
        send: &mut impl FnMut(Arrival) -> Result<(), Gone>,
    ) -> Result<(), Gone> {
        match arrival {
            Arrival::Records(block) => self.take_records(block, send),
            Arrival::Rejected(rejected) => self.take_rejected(rejected, send),
            Arrival::End => {
                let known = self.before.records.max(self.done.end());
                if self.next.0 < known {
                    return self.refuse(known, send);
                }
                send(Arrival::End)
            }
            other => send(other),
        }
    }

    fn take_records(
        &mut self,
        mut block: Block,
        send: &mut impl FnMut(Arrival) -> Result<(), Gone>,
    ) -> Result<(), Gone> {
        debug_assert_eq!(block.first, self.next);
        if self.is_unproved() {
            let known = usize::try_from(self.before.records - self.next.0).unwrap_or(usize::MAX);
            let front = block.cut_records(known.min(block.count), self.shape.separator);
            self.hash.write(&front.bytes);
            self.next = front.end();
            self.pass(front, !self.is_passing, send)?;
            self.compare(send)?;
        }
        if block.count > 0 {
            self.hash.write(&block.bytes);
            self.next = block.end();
            self.mark();
            self.pass(block, false, send)?;
        }
        Ok(())
    }

    /// Sends on, or holds back, what is not done.
    fn pass(
        &mut self,
        mut block: Block,
        is_held_back: bool,
        send: &mut impl FnMut(Arrival) -> Result<(), Gone>,
    ) -> Result<(), Gone> {
        while block.count > 0 {
            let first = block.first.0;
            let (is_done, until) = match self.done.stretch(first) {
                Stretch::Inside(until) => (true, until),
                Stretch::Outside(until) => (false, until),
            };
            let count = usize::try_from(until - first).unwrap_or(usize::MAX);
            let part = block.cut_records(count.min(block.count), self.shape.separator);
            if is_done {
                self.left_out.add(part.bytes.len());
                continue;
            }
            if !is_held_back || self.is_passing {
                send(Arrival::Records(part))?;
                continue;
            }
            let held = HeldRecords {
                first: part.first,
                bytes: part.bytes.to_vec(),
                kind: HeldKind::Records(part.count),
            };
            drop(part);
            self.hold(held, send)?;
        }
        Ok(())
    }

    /// Holds this back, or passes on all that is, where it has become too much.
    fn hold(
        &mut self,
        held: HeldRecords,
        send: &mut impl FnMut(Arrival) -> Result<(), Gone>,
    ) -> Result<(), Gone> {
        let bytes = held.bytes.capacity() + BOOKKEEPING;
        self.budget.add(bytes);
        self.held_bytes += bytes;
        self.held.push(held);
        if self.held_bytes > self.budget.limit() / 2 {
            self.is_passing = true;
            return self.pass_held(send);
        }
        Ok(())
    }

    fn pass_held(
        &mut self,
        send: &mut impl FnMut(Arrival) -> Result<(), Gone>,
    ) -> Result<(), Gone> {
        self.held_bytes = 0;
        self.budget.end_loan();
        for held in std::mem::take(&mut self.held) {
            send(held.into_arrival(self.shape.separator, &self.budget))?;
        }
        Ok(())
    }

    fn take_rejected(
        &mut self,
        rejected: Rejected,
        send: &mut impl FnMut(Arrival) -> Result<(), Gone>,
    ) -> Result<(), Gone> {
        debug_assert_eq!(rejected.index, self.next);
        let was_unproved = self.is_unproved();
        match &rejected.reason {
            Rejection::Invalid { record, .. } | Rejection::Passed { record } => {
                self.hash.write(record);
            }
            Rejection::TooLarge { .. } => self.hash.write(TOO_LARGE),
        }
        self.hash.write(&[self.shape.separator.byte()]);
        self.next = rejected.index.plus(1);
        let is_done = matches!(self.done.stretch(rejected.index.0), Stretch::Inside(_));
        if was_unproved {
            if is_done {
                self.left_out.add(rejected.bytes());
            } else if self.is_passing {
                send(Arrival::Rejected(rejected))?;
            } else {
                self.hold(HeldRecords::rejected(rejected), send)?;
            }
            return self.compare(send);
        }
        // Each one: its outcome may be vouched for before more is read.
        self.mark();
        if is_done {
            self.left_out.add(rejected.bytes());
            return Ok(());
        }
        send(Arrival::Rejected(rejected))
    }

    /// Whether more is known of the input than has been read.
    fn is_unproved(&self) -> bool {
        self.next.0 < self.before.records
    }

    fn mark(&mut self) {
        let records = self.next.0;
        let hash = self.hash.finish();
        // Where nobody keeps a journal any more, the run is at its end.
        let _ = self.marks.send(Prefix { records, hash });
    }

    /// Once all is read that was read before: passes on what was held back, if it is the same.
    fn compare(&mut self, send: &mut impl FnMut(Arrival) -> Result<(), Gone>) -> Result<(), Gone> {
        if self.is_unproved() {
            return Ok(());
        }
        if self.hash.finish() != self.before.hash {
            return self.refuse(self.before.records, send);
        }
        self.mark();
        self.pass_held(send)
    }

    fn refuse(
        &mut self,
        known: u64,
        send: &mut impl FnMut(Arrival) -> Result<(), Gone>,
    ) -> Result<(), Gone> {
        self.held.clear();
        self.budget.free(std::mem::take(&mut self.held_bytes));
        let (known, found) = (Index(known), self.next);
        send(Arrival::Changed(Changed { known, found }))?;
        Err(Gone)
    }
}

impl HeldRecords {
    fn rejected(rejected: Rejected) -> Self {
        let (bytes, kind) = match rejected.reason {
            Rejection::Invalid { flaw, record } => (record.to_vec(), HeldKind::Invalid(flaw)),
            Rejection::TooLarge { max } => (Vec::new(), HeldKind::TooLarge { max }),
            Rejection::Passed { record } => (record.to_vec(), HeldKind::Passed),
        };
        Self {
            first: rejected.index,
            bytes,
            kind,
        }
    }

    /// What it was a copy of; it has been counted.
    fn into_arrival(self, separator: Separator, budget: &Budget) -> Arrival {
        let counted = |bytes: Vec<u8>| Slice::new(bytes, budget);
        let index = self.first;
        let reason = match self.kind {
            HeldKind::Records(count) => {
                debug_assert!(memchr(separator.byte(), &self.bytes).is_some());
                return Arrival::Records(Block {
                    first: index,
                    count,
                    bytes: counted(self.bytes),
                });
            }
            HeldKind::Invalid(flaw) => Rejection::Invalid {
                flaw,
                record: counted(self.bytes),
            },
            HeldKind::Passed => Rejection::Passed {
                record: counted(self.bytes),
            },
            HeldKind::TooLarge { max } => {
                drop(counted(self.bytes));
                Rejection::TooLarge { max }
            }
        };
        Arrival::Rejected(Rejected { index, reason })
    }
}

#[cfg(test)]
mod tests;

//! Outcomes on their way out: in input order, or as they came.
//!
//! Owns what is finished and may not be written yet. Always: each index passes exactly once, and
//! bytes held here are counted in the budget until they are passed on.

use std::collections::BTreeMap;

use super::policy;
use crate::budget::{BOOKKEEPING, Budget};
use crate::record::Index;

/// Pieces are joined up to this size, so that many small ones cost little.
const JOINED: usize = 64 * 1024;

/// Bytes for the two outputs.
#[derive(Debug, Default)]
pub struct Written {
    /// For the output.
    pub results: Vec<u8>,
    /// For the file of `--errors`.
    pub errors: Vec<u8>,
}

impl Written {
    /// Whether there is nothing to be written.
    pub fn is_empty(&self) -> bool {
        self.results.is_empty() && self.errors.is_empty()
    }

    fn len(&self) -> usize {
        self.results.len() + self.errors.len()
    }

    fn capacity(&self) -> usize {
        self.results.capacity() + self.errors.capacity()
    }
}

#[derive(Debug)]
struct Piece {
    count: usize,
    bytes: Written,
    counted: usize,
}

/// Outcomes that wait for their turn or for room in the output.
#[derive(Debug)]
pub(crate) struct OrderBuffer {
    order: policy::Order,
    budget: Budget,
    /// The next place to be written: the lowest index without an outcome, or, where results are
    /// written as they finish, the number of pieces that have been passed on.
    next: u64,
    /// Where the next piece goes if results are written as they finish.
    end: u64,
    pieces: BTreeMap<u64, Piece>,
    /// How many outcomes have been put in.
    outcomes: u64,
    /// What the output takes now, in bytes.
    room: usize,
    out: Written,
}

impl OrderBuffer {
    pub(crate) fn new(order: policy::Order, budget: &Budget) -> Self {
        Self {
            order,
            budget: budget.clone(),
            next: 0,
            end: 0,
            pieces: BTreeMap::new(),
            outcomes: 0,
            room: 0,
            out: Written::default(),
        }
    }

    /// Puts in the outcomes of `count` records from `first` on; `write` appends their bytes.
    pub(crate) fn put(&mut self, first: Index, count: usize, write: impl FnOnce(&mut Written)) {
        self.outcomes += count as u64;
        let (place, step) = match self.order {
            policy::Order::Input => (first.0, count as u64),
            policy::Order::Finish => (self.end, 1),
        };
        self.end += 1;
        if place == self.next && self.out.len() < self.room {
            write(&mut self.out);
            self.next += step;
            self.pull();
            return;
        }
        debug_assert!(place >= self.next, "record {first} has a second outcome");
        if let Some((before, piece)) = self.pieces.range_mut(..place).next_back()
            && before + piece.count as u64 == place
            && piece.bytes.len() < JOINED
        {
            write(&mut piece.bytes);
            piece.count += step as usize;
            recount(&self.budget, piece);
            return;
        }
        let mut piece = Piece {
            count: step as usize,
            bytes: Written::default(),
            counted: 0,
        };
        write(&mut piece.bytes);
        recount(&self.budget, &mut piece);
        let replaced = self.pieces.insert(place, piece);
        debug_assert!(replaced.is_none(), "record {first} has a second outcome");
    }

    /// Tells how many bytes the output takes now, and moves on what may be written.
    pub(crate) fn set_room(&mut self, bytes: usize) {
        self.room = bytes;
        self.pull();
    }

    fn pull(&mut self) {
        while self.out.len() < self.room
            && let Some(entry) = self.pieces.first_entry()
            && *entry.key() == self.next
        {
            let mut piece = entry.remove();
            self.next += piece.count as u64;
            self.budget.free(piece.counted);
            join(&mut self.out.results, &mut piece.bytes.results);
            join(&mut self.out.errors, &mut piece.bytes.errors);
        }
    }

    /// What is to be written now. The caller takes the bytes out.
    pub(crate) fn out(&mut self) -> &mut Written {
        &mut self.out
    }

    /// Whether there are outcomes that may be written but found no room in the output.
    pub(crate) fn is_backed_up(&self) -> bool {
        self.pieces
            .first_key_value()
            .is_some_and(|(place, _)| *place == self.next)
    }

    /// The lowest index without an outcome, where results are written in input order.
    pub(crate) fn next(&self) -> Option<Index> {
        match self.order {
            policy::Order::Input => {
                let mut next = self.next;
                // Pieces without a gap between them wait for the output, not for an outcome.
                for (place, piece) in &self.pieces {
                    if *place != next {
                        break;
                    }
                    next += piece.count as u64;
                }
                Some(Index(next))
            }
            policy::Order::Finish => None,
        }
    }

    /// Whether outcomes are held back until others have come.
    pub(crate) fn holds_back(&self) -> bool {
        !self.pieces.is_empty() && !self.is_backed_up()
    }

    /// How many outcomes have been put in.
    pub(crate) fn outcomes(&self) -> u64 {
        self.outcomes
    }

    /// Drops what lies behind the first gap: nothing will fill it any more.
    pub(crate) fn cut_at_gap(&mut self) {
        let mut end = self.next;
        while let Some(piece) = self.pieces.get(&end) {
            end += piece.count as u64;
        }
        for piece in self.pieces.split_off(&end).into_values() {
            self.budget.free(piece.counted);
        }
    }

    /// Appends bytes after everything that can still be written.
    pub(crate) fn put_last(&mut self, write: impl FnOnce(&mut Written)) {
        self.cut_at_gap();
        let place = self
            .pieces
            .last_key_value()
            .map_or(self.next, |(p, piece)| p + piece.count as u64);
        let mut piece = Piece {
            count: 1,
            bytes: Written::default(),
            counted: 0,
        };
        write(&mut piece.bytes);
        recount(&self.budget, &mut piece);
        self.pieces.insert(place, piece);
        self.pull();
    }
}

fn recount(budget: &Budget, piece: &mut Piece) {
    let holds = piece.bytes.capacity() + BOOKKEEPING;
    budget.add(holds);
    budget.free(piece.counted);
    piece.counted = holds;
}

/// Appends `from` to `to`, by exchange where that saves the copy.
fn join(to: &mut Vec<u8>, from: &mut Vec<u8>) {
    if to.is_empty() && to.capacity() < from.capacity() {
        std::mem::swap(to, from);
    } else {
        to.extend_from_slice(from);
    }
}

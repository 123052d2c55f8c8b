//! Outcomes on their way out: in input order, or as they came.
//!
//! Owns what is finished and may not be written yet. Always: each index passes exactly once, and
//! bytes held here are counted in the budget until they are passed on. Where a run can be resumed,
//! it is told whose outcomes the bytes are, and where failures stand: up to the failure that ends the
//! run, which is passed on apart from what stands before it.

use std::collections::BTreeMap;

use super::policy;
use crate::budget::{BOOKKEEPING, Budget};
use crate::outcome::{Chunks, Done, Place, Ranges, Stretch};
use crate::record::Index;

/// Pieces are joined up to this size, so that many small ones cost little.
const JOINED: usize = 64 * 1024;

/// Bytes for the two outputs.
#[derive(Debug, Default)]
pub struct Written {
    /// For the output.
    pub results: Chunks,
    /// For the file of `--errors`.
    pub errors: Chunks,
    /// Whose outcomes the bytes are, those included that were taken out since this was: told where
    /// a run can be resumed, and then of all bytes or of none.
    pub done: Done,
}

/// What is put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// So many results.
    Results(u64),
    /// The error record of an earlier run.
    Passed,
    /// A failure of this kind.
    Failure(&'static str),
    /// The failure that ends the run. A run that is resumed tries again from here on.
    LastFailure,
}

impl Written {
    /// Whether there is nothing to be written.
    pub fn is_empty(&self) -> bool {
        self.results.is_empty() && self.errors.is_empty()
    }

    /// The same, and nothing to be told: there may be outcomes without a byte.
    pub fn is_out(&self) -> bool {
        self.is_empty() && self.done.is_empty()
    }

    /// Where error records go.
    pub(crate) fn errors_at(&mut self, place: policy::ErrorRecords) -> &mut Chunks {
        match place {
            policy::ErrorRecords::InPlace => &mut self.results,
            policy::ErrorRecords::Apart => &mut self.errors,
        }
    }

    fn len(&self) -> usize {
        self.results.len() + self.errors.len()
    }

    fn capacity(&self) -> usize {
        self.results.capacity() + self.errors.capacity()
    }
}

/// How much waits for its turn or for room in the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeldOutcomes {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug)]
struct Piece {
    /// How many places it takes.
    count: usize,
    records: usize,
    bytes: Written,
    counted: usize,
    /// It begins with the failure that ends the run.
    is_last: bool,
}

/// Whether it is told whose outcomes the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telling {
    /// Nobody asks.
    Never,
    /// Which places are told, and how many bytes of the output have been passed on.
    Now {
        places: policy::PlacesTold,
        bytes: u64,
    },
    /// The failure that ends the run has been passed on.
    NoMore,
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
    /// The records that have outcomes from earlier runs, where results are in input order.
    earlier: Ranges,
    /// How many records' outcomes have been passed on, where results are in input order.
    turns: u64,
    pieces: BTreeMap<u64, Piece>,
    held: HeldOutcomes,
    /// How many outcomes have been put in.
    outcomes: u64,
    /// What the output takes now, in bytes.
    room: usize,
    out: Written,
    telling: Telling,
}

impl OrderBuffer {
    pub(crate) fn new(order: policy::Order, budget: &Budget) -> Self {
        Self {
            order,
            budget: budget.clone(),
            next: 0,
            end: 0,
            earlier: Ranges::default(),
            turns: 0,
            pieces: BTreeMap::new(),
            held: HeldOutcomes::default(),
            outcomes: 0,
            room: 0,
            out: Written::default(),
            telling: Telling::Never,
        }
    }

    /// Tells whose outcomes the bytes are, in a run in which `earlier` have their outcomes already.
    /// Nothing may have been put in yet.
    pub(crate) fn tell(&mut self, earlier: &Ranges, places: policy::PlacesTold) {
        self.telling = Telling::Now { places, bytes: 0 };
        if self.order == policy::Order::Input {
            self.earlier = earlier.clone();
            self.next = self.after(0);
        }
    }

    /// The next place from this one on that is to be filled.
    fn after(&self, place: u64) -> u64 {
        match self.earlier.stretch(place) {
            Stretch::Inside(until) => until,
            Stretch::Outside(_) => place,
        }
    }

    /// Puts in the outcomes of `count` records from `first` on; `write` appends their bytes.
    pub(crate) fn put(
        &mut self,
        first: Index,
        count: usize,
        outcome: Outcome,
        write: impl FnOnce(&mut Written),
    ) {
        self.outcomes += count as u64;
        let (place, step) = match self.order {
            policy::Order::Input => (first.0, count as u64),
            policy::Order::Finish => (self.end, 1),
        };
        self.end += 1;
        let is_last = outcome == Outcome::LastFailure;
        let records = Records {
            first,
            count,
            outcome,
        };
        if place == self.next && self.has_room(is_last) {
            let (done, bytes) = self.telling.write(&mut self.out, records, write);
            self.next = self.after(place + step);
            self.turns += step;
            self.told(is_last, done, bytes);
            self.pull();
            return;
        }
        assert!(place >= self.next, "record {first} has a second outcome");
        if let Some((before, piece)) = self.pieces.range_mut(..place).next_back()
            && before + piece.count as u64 == place
            && piece.bytes.len() < JOINED
            && !is_last
        {
            write_to(piece, &mut self.out, self.telling, records, write);
            piece.count += step as usize;
            piece.records += count;
            self.held.records += count;
            self.held.bytes += recount(&self.budget, piece);
            return;
        }
        let mut piece = Piece {
            count: step as usize,
            records: count,
            bytes: Written::default(),
            counted: 0,
            is_last,
        };
        write_to(&mut piece, &mut self.out, self.telling, records, write);
        let is_new = self.hold(place, piece);
        assert!(is_new, "record {first} has a second outcome");
    }

    fn hold(&mut self, place: u64, mut piece: Piece) -> bool {
        self.held.records += piece.records;
        self.held.bytes += recount(&self.budget, &mut piece);
        self.pieces.insert(place, piece).is_none()
    }

    fn let_go(&mut self, piece: &Piece) {
        self.held.records -= piece.records;
        self.held.bytes -= piece.counted;
        self.budget.free(piece.counted);
    }

    /// Tells how many bytes the output takes now, and moves on what may be written.
    pub(crate) fn set_room(&mut self, bytes: usize) {
        self.room = bytes;
        self.pull();
    }

    fn pull(&mut self) {
        while let Some((place, piece)) = self.pieces.first_key_value()
            && *place == self.next
            && self.has_room(piece.is_last)
            && let Some((_, mut piece)) = self.pieces.pop_first()
        {
            self.next = self.after(place_after(self.next, &piece));
            self.turns += piece.count as u64;
            self.let_go(&piece);
            let bytes = self.telling.measure(&piece.bytes);
            self.out.results.join(&mut piece.bytes.results);
            self.out.errors.join(&mut piece.bytes.errors);
            self.told(piece.is_last, piece.bytes.done, bytes);
        }
    }

    /// Whether a piece may be passed on: the failure that ends the run, not before all else is out,
    /// outcomes without a byte included.
    fn has_room(&self, is_last: bool) -> bool {
        self.out.len() < self.room && (!is_last || self.out.is_out())
    }

    /// Notes whose outcomes have been passed on, so many bytes of the output, up to the failure that
    /// ends the run.
    fn told(&mut self, is_last: bool, mut done: Done, bytes: u64) {
        let Telling::Now { bytes: before, .. } = &mut self.telling else {
            return;
        };
        if is_last {
            self.telling = Telling::NoMore;
            return;
        }
        done.failed_at.shift(*before);
        done.results_at.shift(*before);
        *before += bytes;
        self.out.done.append(&mut done);
    }

    /// What is to be written now. The caller takes the bytes out.
    pub(crate) fn out(&mut self) -> &mut Written {
        &mut self.out
    }

    /// Whether there are outcomes that may be written but found no room in the output.
    pub(crate) fn is_backed_up(&self) -> bool {
        self.pieces.first_key_value().is_some_and(|(place, _)| *place == self.next)
    }

    /// Whether the output takes nothing now.
    pub(crate) fn has_no_room(&self) -> bool {
        self.room == 0
    }

    /// The lowest index without an outcome, where results are written in input order.
    pub(crate) fn next(&self) -> Option<Index> {
        match self.order {
            policy::Order::Input => Some(Index(self.gap().0)),
            policy::Order::Finish => None,
        }
    }

    /// How many records have an outcome that may be written, or wait for nothing but the output.
    pub(crate) fn in_turn(&self) -> u64 {
        match self.order {
            policy::Order::Input => self.gap().1,
            policy::Order::Finish => self.outcomes,
        }
    }

    /// The first place that is not filled, and how many are before it.
    fn gap(&self) -> (u64, u64) {
        let (mut next, mut turns) = (self.next, self.turns);
        // Pieces without a gap between them wait for the output, not for an outcome.
        for (place, piece) in &self.pieces {
            if *place != next {
                break;
            }
            next = self.after(place_after(next, piece));
            turns += piece.count as u64;
        }
        (next, turns)
    }

    /// How much waits for its turn or for room in the output.
    pub(crate) fn held(&self) -> HeldOutcomes {
        self.held
    }

    /// A number that grows whenever something is passed on.
    pub(crate) fn passed(&self) -> u64 {
        self.next
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
        let (end, _) = self.gap();
        for piece in self.pieces.split_off(&end).into_values() {
            self.let_go(&piece);
        }
    }

    /// Appends bytes after everything that can still be written.
    pub(crate) fn put_last(&mut self, write: impl FnOnce(&mut Written)) {
        self.cut_at_gap();
        self.outcomes += 1;
        let (place, _) = self.gap();
        let mut piece = Piece {
            count: 1,
            records: 0,
            bytes: Written::default(),
            counted: 0,
            is_last: true,
        };
        write(&mut piece.bytes);
        self.hold(place, piece);
        self.pull();
    }
}

/// Consecutive records that come to an outcome.
#[derive(Clone, Copy)]
struct Records {
    first: Index,
    count: usize,
    outcome: Outcome,
}

impl Telling {
    /// Has outcomes of `records` written behind what `to` holds; gives what is to be told of them, with
    /// places that count from there, and how many bytes of the output they are.
    fn write(
        self,
        to: &mut Written,
        records: Records,
        write: impl FnOnce(&mut Written),
    ) -> (Done, u64) {
        let before = self.measure(to);
        write(to);
        let bytes = self.measure(to) - before;
        (self.done(records, bytes), bytes)
    }

    /// The bytes for the output, where places are told.
    fn measure(self, written: &Written) -> u64 {
        match self {
            Self::Now { .. } => written.results.len() as u64,
            Self::Never | Self::NoMore => 0,
        }
    }

    fn done(self, records: Records, bytes: u64) -> Done {
        let Records {
            first,
            count,
            outcome,
        } = records;
        let mut done = Done::default();
        let Self::Now { places, .. } = self else {
            return done;
        };
        if outcome == Outcome::LastFailure {
            return done;
        }
        let is_new = done.ranges.insert(first.0..first.plus(count).0);
        debug_assert!(is_new, "an outcome of no record");
        let place = Place {
            first: first.0,
            count: count as u64,
            at: 0,
            bytes,
        };
        match outcome {
            Outcome::Failure(kind) => {
                done.failed.insert(kind, 1);
                done.failed_at.push(place);
            }
            Outcome::Results(_) | Outcome::Passed => {
                (done.parts, done.passed) = match outcome {
                    Outcome::Results(parts) => (parts, 0),
                    _ => (1, 1),
                };
                if places == policy::PlacesTold::All {
                    done.results_at.push(place);
                }
            }
            Outcome::LastFailure => {}
        }
        done
    }
}

fn place_after(place: u64, piece: &Piece) -> u64 {
    place + piece.count as u64
}

/// Has a piece written, into buffers that `out` has emptied where there are any.
fn write_to(
    piece: &mut Piece,
    out: &mut Written,
    telling: Telling,
    records: Records,
    write: impl FnOnce(&mut Written),
) {
    piece.bytes.results.borrow_spares(&mut out.results);
    let before = telling.measure(&piece.bytes);
    let (mut done, _) = telling.write(&mut piece.bytes, records, write);
    done.failed_at.shift(before);
    done.results_at.shift(before);
    piece.bytes.done.append(&mut done);
    out.results.borrow_spares(&mut piece.bytes.results);
}

/// Counts what a piece holds, and gives how much more that is than before.
fn recount(budget: &Budget, piece: &mut Piece) -> usize {
    let more = piece.bytes.capacity() + BOOKKEEPING - piece.counted;
    budget.add(more);
    piece.counted += more;
    more
}

#[cfg(test)]
mod tests;

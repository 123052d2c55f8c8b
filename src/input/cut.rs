//! Cuts the bytes of the sources into blocks of records.
//!
//! Owns the buffer, the index of the next record, and whether a record that is too large is being
//! skipped. Always: between two reads the buffer holds at most one unfinished record, of no more
//! than `max_record` bytes; the thread waits for the budget only while whatever else is counted
//! there has been sent on, so that somebody can free it.

use std::io;
use std::ops::Range;

use memchr::{memchr, memrchr};

use crate::budget::{BOOKKEEPING, Budget};
use crate::object::Key;
use crate::record::{Block, Index, Separator, Slice};
use crate::shape::Shape;

use super::buffer::Buffer;
use super::kind::{Kind, OddSource};
use super::validator::{RecordFault, Sifted, SourceStart, Validator, fault};
use super::{Arrival, Flaw, Gone, InputSource, LeftOut, Rejected, Rejection, Requirement};

/// So much is read of a source without room for it.
const PROBE: usize = 512;

/// Cuts what it is given into blocks and hands them to `send`.
pub(super) struct Cutter<S> {
    shape: Shape,
    validator: Validator,
    buffer: Buffer,
    next: Index,
    unfinished: Unfinished,
    left_out: LeftOut,
    /// How many records are in the buffer, where it holds rows.
    rows: usize,
    source: InputSource,
    /// What the source is called, where there are several.
    name: Option<String>,
    /// What the source is likely to be instead of records.
    kind: Option<Kind>,
    /// The index of the first record of the source.
    first: Index,
    send: S,
}

/// Why a source is not read to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody takes arrivals any more.
    Gone,
    /// A read failed.
    Failed {
        /// How.
        error: io::Error,
        /// The bytes of a record whose end was not read.
        unfinished: usize,
    },
}

impl Stop {
    /// A failure before anything was read.
    pub(super) fn failed(error: io::Error) -> Self {
        Self::Failed {
            error,
            unfinished: 0,
        }
    }
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// What becomes of the record whose end has not been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfinished {
    /// It is in the buffer.
    Held,
    /// It was too large and has been rejected; what is still to come of it is dropped.
    Skipped,
}

impl<S: FnMut(Arrival) -> Result<(), Gone>> Cutter<S> {
    pub(super) fn new(shape: Shape, budget: Budget, send: S) -> Self {
        Self {
            shape,
            validator: Validator::new(shape),
            buffer: Buffer::new(budget),
            next: Index(0),
            unfinished: Unfinished::Held,
            left_out: LeftOut::default(),
            rows: 0,
            source: InputSource::Stdin,
            name: None,
            kind: None,
            first: Index(0),
            send,
        }
    }

    /// Counts there, from now on, what is left out.
    pub(super) fn count_in(&mut self, left_out: LeftOut) {
        self.left_out = left_out;
    }

    /// This source is read next, and named where it must be told from others.
    pub(super) fn turn_to(&mut self, source: &InputSource, others: usize) {
        self.source = source.clone();
        let is_within = matches!(source, InputSource::Part(part) if part.range.start > 0);
        let is_lines = self.delimiter().is_none();
        self.name = (others > 0 || is_within && is_lines).then(|| source.counted_name(self.shape));
    }

    /// Tells of something between two reads.
    pub(super) fn tell(&mut self, arrival: Arrival) -> Result<(), Gone> {
        (self.send)(arrival)
    }

    pub(super) fn separator(&self) -> Separator {
        self.shape.separator
    }

    pub(super) fn budget(&self) -> &Budget {
        self.buffer.budget()
    }

    /// Reads a source, which begins at `start`, to its end through `fill`, which appends one read of
    /// at most so many bytes to the buffer without making it grow, and returns their number, 0 at the
    /// end.
    pub(super) fn read(
        &mut self,
        block: usize,
        start: SourceStart,
        mut fill: impl FnMut(&mut Vec<u8>, usize) -> io::Result<usize>,
    ) -> Result<(), Stop> {
        self.begin_source(block, start);
        // A record may still be unfinished when it has all the bytes it may have, and then there
        // must be room to read on.
        let max = self.shape.max_record.saturating_add(block);
        let mut is_first = true;
        loop {
            let before = self.buffer.len();
            let read = match self.buffer.make_room_now(block, max) {
                true => fill(&mut self.buffer, block),
                false => self.probe(block, max, &mut fill),
            };
            match read {
                Ok(0) => break,
                Ok(_) => {
                    if std::mem::take(&mut is_first) {
                        self.look_at(Kind::of(&self.buffer, self.shape))?;
                    }
                    self.cut(before, block)?;
                }
                Err(error) => {
                    let unfinished = self.buffer.len();
                    return Err(Stop::Failed { error, unfinished });
                }
            }
        }
        self.end_source(block)?;
        Ok(())
    }

    /// Reads a little before there is room for it, and waits for the room only where something has
    /// come: the end of a source is seen however full the budget is, for perhaps a worker waits for
    /// just that.
    fn probe(
        &mut self,
        block: usize,
        max: usize,
        mut fill: impl FnMut(&mut Vec<u8>, usize) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let most = PROBE.min(block / 4).max(1);
        let mut probe = Vec::with_capacity(most);
        let count = fill(&mut probe, most)?;
        if count > 0 {
            self.buffer.make_room(block, max);
            self.buffer.extend_from_slice(&probe);
        }
        Ok(count)
    }

    fn begin_source(&mut self, block: usize, start: SourceStart) {
        self.validator.begin_source(start);
        self.unfinished = Unfinished::Held;
        self.kind = None;
        self.first = self.next;
        if self.buffer.capacity() != block {
            self.buffer = Buffer::new(self.budget().clone());
        }
    }

    /// Looks at what was read first of a source: perhaps it holds no records.
    fn look_at(&mut self, kind: Option<Kind>) -> Result<(), Gone> {
        self.kind = kind;
        match kind {
            // Only its end shows whether there are others.
            None | Some(Kind::Array) => Ok(()),
            Some(kind) => self.tell_kind(kind),
        }
    }

    fn tell_kind(&mut self, kind: Kind) -> Result<(), Gone> {
        let source = self.source.clone();
        self.tell(Arrival::Odd(OddSource { source, kind }))
    }

    /// A last line without the separator is a record too.
    fn end_source(&mut self, block: usize) -> Result<(), Gone> {
        if !self.buffer.is_empty() {
            self.buffer.push(self.shape.separator.byte());
            self.pass_on(self.buffer.len(), block)?;
        }
        if self.kind == Some(Kind::Array) && self.next == self.first.plus(1) {
            self.tell_kind(Kind::Array)?;
        }
        Ok(())
    }

    /// Sends on the records that end in the bytes from `new` on, which were just read.
    fn cut(&mut self, new: usize, block: usize) -> Result<(), Gone> {
        let separator = self.shape.separator.byte();
        if self.unfinished == Unfinished::Skipped {
            debug_assert!(new == 0, "nothing of a skipped record is held");
            let Some(end) = memchr(separator, &self.buffer) else {
                self.left_out.add(self.buffer.len());
                self.buffer.clear();
                return Ok(());
            };
            self.left_out.add(end + 1);
            self.buffer.remove(end + 1);
            self.validator.skip_line();
            self.unfinished = Unfinished::Held;
        }
        if let Some(last) = memrchr(separator, &self.buffer[new..]) {
            self.pass_on(new + last + 1, block)?;
        }
        if self.buffer.len() > self.shape.max_record {
            self.left_out.add(self.buffer.len());
            self.buffer.clear();
            self.buffer.shrink(block);
            self.unfinished = Unfinished::Skipped;
            self.reject(Rejection::TooLarge {
                max: self.shape.max_record,
            })?;
        }
        Ok(())
    }

    /// Sends on the first `whole` bytes of the buffer, which end with a separator.
    fn pass_on(&mut self, mut whole: usize, block: usize) -> Result<(), Gone> {
        while whole > 0 {
            let sifted = self.validator.sift(&mut self.buffer[..whole]);
            whole -= sifted.consumed;
            self.left_out.add(sifted.consumed - sifted.kept);
            self.send_part(sifted, block)?;
        }
        Ok(())
    }

    /// Sends on the first bytes of the buffer, which have been looked through.
    fn send_part(&mut self, sifted: Sifted, block: usize) -> Result<(), Gone> {
        // A few bytes must not hold a large buffer for as long as a worker takes.
        let is_small = sifted.kept < self.buffer.capacity() / 4;
        let copy = is_small.then(|| self.buffer.copy(sifted.kept)).flatten();
        match copy {
            Some(copy) => {
                self.buffer.remove(sifted.consumed);
                self.send_sifted(&copy, sifted)?;
                self.buffer.shrink(block);
                Ok(())
            }
            None => {
                if is_small && sifted.consumed == self.buffer.len() {
                    self.buffer.shrink(0);
                }
                self.send_buffer(sifted, block)
            }
        }
    }

    /// What stands between the fields of a row, where records are read from rows.
    pub(super) fn delimiter(&self) -> Option<u8> {
        self.shape.format.delimiter()
    }

    /// The key whose value alone is sent.
    pub(super) fn field(&self) -> Option<Key> {
        self.shape.field
    }

    /// The most bytes of a record.
    pub(super) fn max_record(&self) -> usize {
        self.shape.max_record
    }

    /// A source of rows begins.
    pub(super) fn begin_rows(&mut self, block: usize) {
        self.begin_source(block, SourceStart::OfFile);
    }

    /// These are its first bytes.
    pub(super) fn look_at_rows(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.look_at(Kind::of(bytes, self.shape))
    }

    /// Takes a record that is known to be one: a line of JSON, from so many bytes of the source.
    pub(super) fn push_row(&mut self, line: &[u8], bytes: u64, block: usize) -> Result<(), Gone> {
        if line.len() > self.shape.max_record + 1 {
            return self.reject_row_too_large(bytes, block);
        }
        self.make_room_for(line.len(), block)?;
        self.buffer.extend_from_slice(line);
        self.rows += 1;
        self.left_out.correct(bytes, line.len());
        Ok(())
    }

    fn make_room_for(&mut self, bytes: usize, block: usize) -> Result<(), Gone> {
        if self.buffer.capacity() - self.buffer.len() < bytes {
            self.send_rows(block)?;
            if self.buffer.capacity() < bytes {
                self.buffer.shrink(0);
                self.buffer.make_room(block.max(bytes), usize::MAX);
            }
        }
        Ok(())
    }

    /// Sends the rows on that have been taken.
    pub(super) fn send_rows(&mut self, block: usize) -> Result<(), Gone> {
        let bytes = self.buffer.len();
        if bytes == 0 {
            return Ok(());
        }
        let sifted = Sifted {
            consumed: bytes,
            kept: bytes,
            marks: Vec::new(),
            records: std::mem::take(&mut self.rows),
        };
        self.send_part(sifted, block)
    }

    /// A row, which begins on that line and was read from that, is no record.
    pub(super) fn reject_row(
        &mut self,
        row: &[u8],
        line: u64,
        mut message: String,
        bytes: u64,
        block: usize,
    ) -> Result<(), Gone> {
        self.send_rows(block)?;
        self.make_room_for(row.len() + 1, block)?;
        self.buffer.extend_from_slice(row);
        self.left_out.correct(bytes, row.len() + 1);
        let record = match self.buffer.copy(row.len()) {
            Some(copy) => {
                self.buffer.clear();
                copy
            }
            None => self.buffer.freeze(),
        };
        self.name_place(&mut message);
        let flaw = Flaw {
            expected: Requirement::of(self.shape.format),
            line,
            column: 1,
            message,
        };
        self.reject(Rejection::Invalid { flaw, record })
    }

    /// A row is too large.
    pub(super) fn reject_row_too_large(&mut self, bytes: u64, block: usize) -> Result<(), Gone> {
        self.send_rows(block)?;
        self.leave_out(bytes);
        self.reject(Rejection::TooLarge {
            max: self.shape.max_record,
        })
    }

    /// So many bytes of the source belong to no record.
    pub(super) fn leave_out(&self, bytes: u64) {
        self.left_out.correct(bytes, 0);
    }

    /// Says in which source it is, of several.
    fn name_place(&self, message: &mut String) {
        if let Some(name) = &self.name {
            message.push_str(" in ");
            message.push_str(name);
        }
    }

    /// Sends the buffer itself, and goes on with another.
    fn send_buffer(&mut self, sifted: Sifted, block: usize) -> Result<(), Gone> {
        // Where it has grown, it may have more than doubled what was needed.
        self.buffer.shrink(block);
        let own = self.buffer.capacity() + BOOKKEEPING;
        let all = self.buffer.freeze();
        let kept = all.part(0..sifted.kept);
        let rest = (sifted.consumed < all.len()).then(|| all.part(sifted.consumed..all.len()));
        drop(all);
        self.send_sifted(&kept, sifted)?;
        drop(kept);
        if let Some(rest) = rest {
            self.buffer.carry(rest, own, block);
        }
        Ok(())
    }

    fn send_sifted(&mut self, kept: &Slice, sifted: Sifted) -> Result<(), Gone> {
        let mut sent = 0;
        for mark in sifted.marks {
            self.send_records(kept, sent..mark.place.start, mark.records)?;
            sent = mark.place.end;
            self.reject(match mark.fault {
                RecordFault::Invalid { line } => {
                    let record = kept.part(mark.place.start..mark.place.end - 1);
                    let (expected, column, mut message) = fault(&record, &self.shape);
                    if let Some(kind) = self.kind.and_then(Kind::words) {
                        message.push_str(&format!(" ({kind})"));
                    }
                    self.name_place(&mut message);
                    let flaw = Flaw {
                        expected,
                        line,
                        column,
                        message,
                    };
                    Rejection::Invalid { flaw, record }
                }
                RecordFault::TooLarge => Rejection::TooLarge {
                    max: self.shape.max_record,
                },
                RecordFault::Passed => Rejection::Passed {
                    record: kept.part(mark.place.start..mark.place.end - 1),
                },
            })?;
        }
        self.send_records(kept, sent..sifted.kept, sifted.records)
    }

    fn send_records(&mut self, kept: &Slice, at: Range<usize>, count: usize) -> Result<(), Gone> {
        if count == 0 {
            return Ok(());
        }
        let block = Block {
            first: self.next,
            count,
            bytes: kept.part(at),
        };
        self.next = block.end();
        self.budget().end_loan();
        (self.send)(Arrival::Records(block))
    }

    fn reject(&mut self, reason: Rejection) -> Result<(), Gone> {
        let index = self.next;
        self.next = index.plus(1);
        self.budget().end_loan();
        (self.send)(Arrival::Rejected(Rejected { index, reason }))
    }
}

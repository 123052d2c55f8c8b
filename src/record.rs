//! Records and the blocks they travel in.
//!
//! A [`Block`] is a run of records that lie next to each other in one buffer, each followed by the
//! separator, with the index of the first. Blocks are cut and passed on without copying; the buffer
//! goes back to the [`Budget`] when the last block in it is gone. No list of record ends is kept: a
//! count is enough, and the rare record that must be picked out is found by scanning again.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memrchr};

use crate::budget::{BOOKKEEPING, Budget};

/// A record's number in the input, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(pub u64);

impl Index {
    /// The index `records` further on.
    pub fn plus(self, records: usize) -> Self {
        Self(self.0 + records as u64)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which of the times it is that a record is sent, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt(pub u32);

/// A record that a process is started for.
#[derive(Clone, Debug)]
pub struct OwnRecord {
    /// Its index.
    pub index: Index,
    /// Which of the times it is that it is given to one.
    pub attempt: Attempt,
    /// The record, followed by the separator.
    pub bytes: Slice,
}

/// The byte that ends each record, towards workers and in all output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    /// Records are lines.
    Newline,
    /// Records end with NUL (`-0`).
    Nul,
}

impl Separator {
    /// The byte itself.
    pub fn byte(self) -> u8 {
        match self {
            Self::Newline => b'\n',
            Self::Nul => 0,
        }
    }
}

impl Separator {
    /// How many times it stands in `bytes`.
    pub fn count(self, bytes: &[u8]) -> usize {
        memchr_iter(self.byte(), bytes).count()
    }

    /// Where what its `nth` occurrence ends (from 1) is over; `None` if there are not so many.
    pub fn end_of(self, nth: usize, bytes: &[u8]) -> Option<usize> {
        self.find(nth, bytes).ok()
    }

    /// The same, or how many there are.
    fn find(self, nth: usize, bytes: &[u8]) -> Result<usize, usize> {
        debug_assert!(nth > 0);
        // To count is several times as fast as to stop at each, so only the last stride is walked.
        let (mut left, mut from) = (nth, 0);
        for stride in STRIDES {
            while left > FEW && from < bytes.len() {
                let end = bytes.len().min(from + stride);
                let count = self.count(&bytes[from..end]);
                if count >= left {
                    break;
                }
                left -= count;
                from = end;
            }
        }
        for at in memchr_iter(self.byte(), &bytes[from..]) {
            left -= 1;
            if left == 0 {
                return Ok(from + at + 1);
            }
        }
        Err(nth - left)
    }
}

/// How records lie in what is written to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// What ends each line.
    pub separator: Separator,
    /// How many lines each record takes.
    pub lines: usize,
}

/// So many bytes are counted at a time: many at first, few towards the end.
const STRIDES: [usize; 2] = [8192, 512];
/// So few separators are found sooner one by one.
const FEW: usize = 8;

/// A buffer of input bytes, counted in a [`Budget`] until its last [`Slice`] is dropped.
#[derive(Debug)]
struct RecordBytes {
    bytes: Vec<u8>,
    budget: Budget,
}

impl Drop for RecordBytes {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.bytes);
        let bytes = buffer.capacity() + BOOKKEEPING;
        // Before they are freed: the reader that wakes up then is to find the buffer.
        self.budget.give_back(buffer);
        self.budget.free(bytes);
    }
}

/// A part of a shared buffer.
#[derive(Clone, Debug)]
pub struct Slice {
    chunk: Arc<RecordBytes>,
    range: Range<usize>,
}

impl Slice {
    /// All of `bytes`, whose capacity and [`BOOKKEEPING`] the caller has taken from `budget`;
    /// they are freed there when the last part of them is dropped.
    pub fn new(bytes: Vec<u8>, budget: &Budget) -> Self {
        let range = 0..bytes.len();
        Self {
            chunk: Arc::new(RecordBytes {
                bytes,
                budget: budget.clone(),
            }),
            range,
        }
    }

    /// What the buffer that it lies in costs the budget.
    #[cfg(test)]
    pub(crate) fn cost(&self) -> usize {
        self.chunk.bytes.capacity() + BOOKKEEPING
    }

    /// Leaves its buffer to others, where that is much larger: what waits for long is not to keep all
    /// of that in memory.
    pub fn detach(&mut self) {
        if self.len() + BOOKKEEPING < self.chunk.bytes.len() {
            let (bytes, budget) = (self.to_vec(), self.chunk.budget.clone());
            budget.add(bytes.capacity() + BOOKKEEPING);
            *self = Self::new(bytes, &budget);
        }
    }

    /// The part of this slice at `range`, which shares its buffer.
    pub fn part(&self, range: Range<usize>) -> Self {
        debug_assert!(range.start <= range.end && range.end <= self.len());
        let start = self.range.start;
        Self {
            chunk: Arc::clone(&self.chunk),
            range: start + range.start..start + range.end,
        }
    }
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.chunk.bytes[self.range.clone()]
    }
}

/// A run of records in one buffer, each followed by the separator. Never empty.
#[derive(Clone, Debug)]
pub struct Block {
    /// The index of its first record.
    pub first: Index,
    /// How many records it holds, at least 1.
    pub count: usize,
    /// The records, each followed by the separator.
    pub bytes: Slice,
}

impl Block {
    /// The index after its last record.
    pub fn end(&self) -> Index {
        self.first.plus(self.count)
    }

    /// Cuts off and returns the first records: at most `max_records`, and no more than fit into
    /// `max_bytes`, but at least one. What is left stays; `None` is left as a block of 0 records.
    pub fn cut(&mut self, max_records: usize, max_bytes: usize, separator: Separator) -> Self {
        debug_assert!(self.count > 0);
        if self.count <= max_records && self.bytes.len() <= max_bytes {
            return self.take(self.count, self.bytes.len());
        }
        let sep = separator.byte();
        let window = &self.bytes[..self.bytes.len().min(max_bytes)];
        let count = match separator.find(max_records.max(1), window) {
            Ok(end) => return self.take(max_records.max(1), end),
            Err(count) => count,
        };
        if let Some(last) = memrchr(sep, window) {
            return self.take(count, last + 1);
        }
        let end = memchr(sep, &self.bytes).expect("each record of a block ends with the separator");
        self.take(1, end + 1)
    }

    /// Cuts off and returns the first `records`, which must not be more than there are.
    pub fn cut_records(&mut self, records: usize, separator: Separator) -> Self {
        debug_assert!(records > 0 && records <= self.count);
        self.cut(records, usize::MAX, separator)
    }

    fn take(&mut self, count: usize, bytes: usize) -> Self {
        let front = Self {
            first: self.first,
            count,
            bytes: self.bytes.part(0..bytes),
        };
        self.first = self.first.plus(count);
        self.count -= count;
        self.bytes = self.bytes.part(bytes..self.bytes.len());
        front
    }

    /// Leaves the buffer that it shares with others, where that is much larger.
    pub fn detach(&mut self) {
        self.bytes.detach();
    }

    /// The bytes of its first record, without the separator.
    pub fn first_record(&self, separator: Separator) -> Slice {
        let end = memchr(separator.byte(), &self.bytes).unwrap_or(self.bytes.len());
        self.bytes.part(0..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Block {
        let budget = Budget::new(1 << 20);
        let bytes = text.as_bytes().to_vec();
        budget.add(bytes.capacity() + BOOKKEEPING);
        let count = text.matches('\n').count();
        Block {
            first: Index(7),
            count,
            bytes: Slice::new(bytes, &budget),
        }
    }

    fn cut(block: &mut Block, records: usize, bytes: usize) -> (u64, usize, String) {
        let b = block.cut(records, bytes, Separator::Newline);
        (
            b.first.0,
            b.count,
            String::from_utf8(b.bytes.to_vec()).unwrap(),
        )
    }

    #[test]
    fn blocks_are_cut_by_records_and_by_bytes() {
        let mut b = block("a\nbb\n\nccc\ndddd\n");
        assert_eq!(cut(&mut b, 2, 100), (7, 2, "a\nbb\n".into()));
        assert_eq!(cut(&mut b, 9, 6), (9, 2, "\nccc\n".into()));
        assert_eq!(
            cut(&mut b, 9, 2),
            (11, 1, "dddd\n".into()),
            "at least one record, however long"
        );
        assert_eq!(b.count, 0);
    }

    #[test]
    fn the_end_of_the_nth_is_found_in_long_and_short_records() {
        for len in [
            0, 1, 50, 126, 127, 128, 511, 512, 1023, 1024, 5000, 8191, 8192,
        ] {
            let record = format!("{}\n", "x".repeat(len));
            let bytes = record.repeat(40);
            for nth in [1, 2, 8, 9, 17, 40, 41, 90] {
                let found = Separator::Newline.find(nth, bytes.as_bytes());
                let expected = if nth <= 40 {
                    Ok(nth * (len + 1))
                } else {
                    Err(40)
                };
                assert_eq!(found, expected, "{nth} of {len}");
            }
        }
    }

    #[test]
    fn what_is_detached_frees_its_buffer_and_costs_what_it_holds() {
        let mut rest = block(&"x\n".repeat(4096));
        let budget = rest.bytes.chunk.budget.clone();
        let mut front = rest.cut_records(1, Separator::Newline);
        front.detach();
        rest.detach();
        assert_eq!(
            budget.held(),
            (8192 + 2) + 2 * BOOKKEEPING,
            "only what is much larger is left"
        );
        drop(rest);
        assert_eq!(
            (budget.held(), &front.bytes[..]),
            (2 + BOOKKEEPING, &b"x\n"[..])
        );
    }

    #[test]
    fn the_last_part_of_a_buffer_frees_it() {
        let budget = Budget::new(1 << 20);
        let bytes = b"x\ny\n".to_vec();
        budget.add(bytes.capacity() + BOOKKEEPING);
        let mut rest = Block {
            first: Index(0),
            count: 2,
            bytes: Slice::new(bytes, &budget),
        };
        let front = rest.cut_records(1, Separator::Newline);
        drop(rest);
        assert!(budget.held() > 0);
        drop(front);
        assert_eq!(budget.held(), 0);
    }
}

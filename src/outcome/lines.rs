//! What a worker wrote, on its way from the buffer into which it was read to those of the output.

use std::mem;
use std::ops::Deref;

use super::chunks::{Chunk, Chunks, SMALL};

/// Whole lines, and the buffer they lie in where it may be moved on with them: to move a buffer
/// costs nothing, to copy what it holds does.
#[derive(Debug, PartialEq, Eq)]
pub enum Lines<'a> {
    /// Somebody else needs the buffer.
    Lent(&'a [u8]),
    /// All that `buffer` holds from `from` on. It may be taken, with another left in its place.
    Given {
        /// Where they lie.
        buffer: &'a mut Vec<u8>,
        /// Where they begin.
        from: usize,
    },
}

/// The results of one record: any number of lines, each followed by the separator.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// How many there are.
    pub count: usize,
    /// The lines, in the bytes that are to be written.
    pub lines: String,
}

impl<'a> Lines<'a> {
    /// The bytes, without a right to the buffer.
    pub fn into_bytes(self) -> &'a [u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Given { buffer, from } => &buffer[from..],
        }
    }

    /// Leaves out the first `bytes`.
    pub(super) fn skip(&mut self, bytes: usize) {
        match self {
            Self::Lent(all) => *all = &all[bytes..],
            Self::Given { from, .. } => *from += bytes,
        }
    }

    /// Moves the first `bytes` to the end of `out`; copies them where they are little, or less than
    /// half of what their buffer takes, for it is held as long as they are.
    pub(super) fn move_to(&mut self, bytes: usize, out: &mut Chunks) {
        match self {
            Self::Given { buffer, from } if bytes >= SMALL.max(buffer.capacity() / 2) => {
                let mut rest = out.spare(buffer.capacity());
                rest.extend_from_slice(&buffer[*from + bytes..]);
                buffer.truncate(*from + bytes);
                let moved = mem::replace(*buffer, rest);
                out.push(Chunk::part_of(moved, mem::take(from)));
            }
            _ => {
                out.append(bytes, |to| to.extend_from_slice(&self[..bytes]));
                self.skip(bytes);
            }
        }
    }
}

impl Deref for Lines<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Given { buffer, from } => &buffer[*from..],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that tell their place.
    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at / 7 % 251) as u8).collect()
    }

    #[test]
    fn the_same_bytes_come_out_however_they_are_cut() {
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut out, mut written) = (Chunks::default(), Vec::new());
        for _ in 0..500 {
            let all = bytes(rng.usize(1..5 * SMALL));
            let from = rng.usize(..all.len());
            let mut buffer = all.clone();
            let mut lines = if rng.bool() {
                let buffer = &mut buffer;
                Lines::Given { buffer, from }
            } else {
                Lines::Lent(&all[from..])
            };
            written.clear();
            while !lines.is_empty() {
                let most = if rng.bool() { 2000 } else { lines.len() };
                let count = rng.usize(1..=most.min(lines.len()));
                if rng.u32(..8) == 0 {
                    let copy = lines[..count].to_vec();
                    lines.skip(count);
                    out.append(count, |to| to.extend_from_slice(&copy));
                } else {
                    lines.move_to(count, &mut out);
                }
                if rng.bool() {
                    // What is written leaves its buffer for what comes next.
                    let first = out.first().to_vec();
                    out.advance(first.len());
                    written.extend(first);
                }
            }
            written.extend(out.take_bytes());
            assert!(written == all[from..]);
        }
    }

    /// All that `buffer` holds.
    fn all(buffer: &mut Vec<u8>) -> Lines<'_> {
        Lines::Given { buffer, from: 0 }
    }

    #[test]
    fn what_is_large_is_moved_and_the_less_is_copied() {
        let mut out = Chunks::default();
        let mut buffer = bytes(4 * SMALL);
        let at = buffer.as_ptr();
        let mut lines = all(&mut buffer);
        lines.move_to(SMALL, &mut out);
        assert_ne!(out.first().as_ptr(), at, "more is left");
        assert_eq!(lines.len(), 3 * SMALL);
        out.advance(SMALL);
        lines.move_to(2 * SMALL, &mut out);
        assert_eq!(out.first().as_ptr(), at.wrapping_add(SMALL));
        assert_eq!(lines.into_bytes(), &bytes(4 * SMALL)[3 * SMALL..]);
        assert_eq!(buffer.len(), SMALL, "another buffer is in its place");
    }

    #[test]
    fn what_is_little_leaves_the_buffer_where_it_is() {
        let mut out = Chunks::default();
        let mut buffer = bytes(SMALL - 1);
        let at = buffer.as_ptr();
        all(&mut buffer).move_to(SMALL - 1, &mut out);
        assert_eq!((buffer.as_ptr(), out.len()), (at, SMALL - 1));
    }

    #[test]
    fn what_fills_less_than_half_of_a_buffer_does_not_hold_it() {
        let mut out = Chunks::default();
        let mut buffer = Vec::with_capacity(4 * SMALL);
        buffer.extend_from_slice(&bytes(2 * SMALL - 1));
        all(&mut buffer).move_to(2 * SMALL - 1, &mut out);
        assert!(out.capacity() < 4 * SMALL);
        assert_eq!(buffer.capacity(), 4 * SMALL);
    }

    #[test]
    fn the_buffer_that_is_left_is_one_that_was_emptied_and_is_about_as_large() {
        let mut out = Chunks::default();
        let mut buffer = bytes(2 * SMALL);
        let at = buffer.as_ptr();
        all(&mut buffer).move_to(2 * SMALL, &mut out);
        assert_eq!(buffer.capacity(), 0, "there is none");
        out.advance(2 * SMALL);
        buffer = bytes(3 * SMALL);
        all(&mut buffer).move_to(3 * SMALL, &mut out);
        assert_eq!(buffer.capacity(), 0, "it is too small");
        buffer = bytes(SMALL);
        all(&mut buffer).move_to(SMALL, &mut out);
        assert_eq!(buffer.capacity(), 0, "it is too large");
        buffer = bytes(3 * SMALL / 2);
        all(&mut buffer).move_to(3 * SMALL / 2, &mut out);
        assert_eq!(buffer.as_ptr(), at);
    }
}

//! What a worker wrote, on its way from the buffer into which it was read to those of the output.

use std::mem;
use std::ops::Deref;

use super::chunks::{Chunk, Chunks, SMALL};

/// Whole lines, and the buffer they lie in where it may be moved on with them: to move a buffer costs
/// nothing, to copy what it holds does.
#[derive(Debug, PartialEq, Eq)]
pub enum Lines<'a> {
    /// Somebody else needs the buffer.
    Lent(&'a [u8]),
    /// All that the buffer holds from `from` on. It may be taken, with another left in its place.
    Given {
        /// The buffer.
        buffer: &'a mut Vec<u8>,
        /// Where they begin.
        from: usize,
    },
}

impl<'a> Lines<'a> {
    /// What `buffer` holds from `from` on, and the buffer.
    pub fn given(buffer: &'a mut Vec<u8>, from: usize) -> Self {
        Self::Given { buffer, from }
    }

    /// The bytes alone.
    pub fn lent(self) -> &'a [u8] {
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

    /// Moves the first `bytes` to the end of `out`. Where that leaves more than it takes, or takes
    /// little, it copies them.
    pub(super) fn move_to(&mut self, bytes: usize, out: &mut Chunks) {
        match self {
            Self::Given { buffer, from }
                if bytes >= SMALL && bytes >= buffer.len() - *from - bytes =>
            {
                let mut rest = out.spare();
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
        for _ in 0..500 {
            let all = bytes(rng.usize(1..5 * SMALL));
            let from = rng.usize(..all.len());
            let mut buffer = all.clone();
            let mut lines = if rng.bool() {
                Lines::given(&mut buffer, from)
            } else {
                Lines::Lent(&all[from..])
            };
            let mut out = Chunks::default();
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
            }
            assert_eq!(out.len(), all.len() - from);
            assert!(out.take_bytes() == all[from..]);
        }
    }

    #[test]
    fn what_is_large_is_moved_and_the_less_is_copied() {
        let mut out = Chunks::default();
        let mut buffer = bytes(4 * SMALL);
        let at = buffer.as_ptr();
        let mut lines = Lines::given(&mut buffer, 10);
        lines.move_to(SMALL, &mut out);
        assert_ne!(out.first().as_ptr(), at.wrapping_add(10), "more is left");
        assert_eq!(lines.len(), 3 * SMALL - 10);
        out.advance(SMALL);
        lines.move_to(2 * SMALL, &mut out);
        assert_eq!(out.first().as_ptr(), at.wrapping_add(10 + SMALL));
        assert_eq!(lines.lent(), &bytes(4 * SMALL)[10 + 3 * SMALL..]);
        assert_eq!(buffer.len(), SMALL - 10, "another buffer is in its place");
    }

    #[test]
    fn what_is_little_leaves_the_buffer_where_it_is() {
        let mut out = Chunks::default();
        let mut buffer = bytes(SMALL - 1);
        let at = buffer.as_ptr();
        Lines::given(&mut buffer, 0).move_to(SMALL - 1, &mut out);
        assert_eq!((buffer.as_ptr(), out.len()), (at, SMALL - 1));
    }

    #[test]
    fn the_buffer_that_is_left_is_one_that_was_emptied() {
        let mut out = Chunks::default();
        let mut buffer = bytes(2 * SMALL);
        let at = buffer.as_ptr();
        Lines::given(&mut buffer, 0).move_to(2 * SMALL, &mut out);
        assert!(buffer.is_empty());
        out.advance(2 * SMALL);
        buffer = bytes(SMALL);
        Lines::given(&mut buffer, 0).move_to(SMALL, &mut out);
        assert_eq!(buffer.as_ptr(), at);
    }
}

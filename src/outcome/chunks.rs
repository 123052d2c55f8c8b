//! Bytes on their way out: what is appended is moved on in the buffers in which it lies.
//!
//! Owns the buffers, and a few emptied ones for what comes next. Always: no chunk is empty, and one
//! that is large is not copied when it is moved on.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Deref;

/// Chunks below this size grow and are joined; copying that little costs less than one more chunk.
pub(super) const SMALL: usize = 16 * 1024;
/// How many emptied buffers are kept.
const SPARES: usize = 8;
/// Larger buffers are not kept.
const LARGEST_SPARE: usize = 128 * 1024;

/// What a buffer holds from some place on.
#[derive(Debug)]
pub(super) struct Chunk {
    buffer: Vec<u8>,
    from: usize,
}

impl Chunk {
    /// What `buffer` holds from `from` on.
    pub(super) fn part_of(buffer: Vec<u8>, from: usize) -> Self {
        debug_assert!(from < buffer.len());
        Self { buffer, from }
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[self.from..]
    }
}

/// Bytes in chunks.
#[derive(Debug, Default)]
pub struct Chunks {
    chunks: VecDeque<Chunk>,
    spares: Vec<Vec<u8>>,
    /// The same for what is small and goes out alone.
    little: Option<Vec<u8>>,
}

impl Chunks {
    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    /// How many bytes the buffers take.
    pub fn capacity(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.buffer.capacity()).sum()
    }

    /// Appends what `write` appends to the buffer that it is given: about `expected` bytes, and at
    /// least one.
    pub fn append(&mut self, expected: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let has_room = |last: &Chunk| {
            let room = last.buffer.capacity() - last.buffer.len();
            last.buffer.len() < SMALL || room >= expected.max(1)
        };
        if !self.chunks.back().is_some_and(has_room) {
            let emptied = if expected < SMALL {
                self.little.take()
            } else {
                self.spares.pop()
            };
            // One that is too small would be copied to be grown, though it is empty.
            let fits = emptied.filter(|emptied| emptied.capacity() >= expected);
            self.push(fits.unwrap_or_default().into());
        }
        let last = self.chunks.back_mut().expect("one has been pushed");
        last.buffer.reserve(expected);
        write(&mut last.buffer);
    }

    /// Appends bytes, in the buffer in which they lie where they are many.
    pub fn put(&mut self, bytes: Vec<u8>) {
        if bytes.len() < SMALL {
            self.append(bytes.len(), |last| last.extend_from_slice(&bytes));
        } else {
            self.push(bytes.into());
        }
    }

    /// Appends a chunk as it is.
    pub(super) fn push(&mut self, chunk: Chunk) {
        self.chunks.push_back(chunk);
    }

    /// Appends all that `other` has.
    pub fn join(&mut self, other: &mut Self) {
        for chunk in other.chunks.drain(..) {
            if chunk.len() < SMALL && !self.chunks.is_empty() {
                self.append(chunk.len(), |last| last.extend_from_slice(&chunk));
            } else {
                self.push(chunk);
            }
        }
    }

    /// Takes all bytes out.
    pub fn take(&mut self) -> Self {
        Self {
            chunks: std::mem::take(&mut self.chunks),
            ..Self::default()
        }
    }

    /// The bytes, to be written.
    pub fn slices(&self) -> Vec<IoSlice<'_>> {
        self.chunks.iter().map(|chunk| IoSlice::new(chunk)).collect()
    }

    /// The first of the bytes; none only if there are none at all.
    pub fn first(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |first| first)
    }

    /// Drops the first `count` bytes: they are written.
    pub fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let mut first = self.chunks.pop_front().expect("no more than there are");
            if count < first.len() {
                first.from += count;
                self.chunks.push_front(first);
                return;
            }
            count -= first.len();
            self.keep(first.buffer);
        }
    }

    /// Uses the buffers of `written` for what comes next.
    pub fn reuse(&mut self, written: Self) {
        for chunk in written.chunks {
            self.keep(chunk.buffer);
        }
    }

    /// Takes over the emptied buffers of `other`.
    pub fn borrow_spares(&mut self, other: &mut Self) {
        debug_assert!(self.spares.is_empty(), "only one of all has spares");
        self.spares = std::mem::take(&mut other.spares);
    }

    /// A buffer that was emptied and takes at least so many bytes, and not much more, or one
    /// without an allocation.
    pub(super) fn spare(&mut self, capacity: usize) -> Vec<u8> {
        let fits = |spare: &Vec<u8>| (capacity..=capacity / 2 * 3).contains(&spare.capacity());
        let found = self.spares.iter().rposition(fits);
        found.map_or_else(Vec::new, |at| self.spares.swap_remove(at))
    }

    fn keep(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if buffer.capacity() < SMALL {
            self.little = Some(buffer);
        } else if self.spares.len() < SPARES && buffer.capacity() <= LARGEST_SPARE {
            self.spares.push(buffer);
        }
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(buffer: Vec<u8>) -> Self {
        Self { buffer, from: 0 }
    }
}

impl From<Vec<u8>> for Chunks {
    fn from(bytes: Vec<u8>) -> Self {
        let chunks = Some(bytes).filter(|bytes| !bytes.is_empty());
        Self {
            chunks: chunks.into_iter().map(Chunk::from).collect(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
impl Chunks {
    /// Takes all bytes out, in one piece.
    pub(crate) fn take_bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.take().chunks.iter().for_each(|chunk| bytes.extend_from_slice(chunk));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(chunks: &mut Chunks, bytes: &[u8]) {
        chunks.append(bytes.len(), |last| last.extend_from_slice(bytes));
    }

    fn sizes(chunks: &Chunks) -> Vec<usize> {
        chunks.chunks.iter().map(|chunk| chunk.len()).collect()
    }

    #[test]
    fn bytes_stay_in_their_order_however_they_come_and_go() {
        let mut rng = fastrand::Rng::with_seed(7);
        let (mut chunks, mut expected, mut written) = (Chunks::default(), Vec::new(), Vec::new());
        for _ in 0..2000 {
            let longest = if rng.bool() { 100 } else { 40_000 };
            let len = rng.usize(1..longest);
            let bytes: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
            expected.extend_from_slice(&bytes);
            if rng.bool() {
                append(&mut chunks, &bytes);
            } else {
                let mut other = Chunks::default();
                let (a, b) = bytes.split_at(len / 2);
                append(&mut other, b);
                let mut first = Chunks::from(a.to_vec());
                first.join(&mut other);
                chunks.join(&mut first);
                assert!(other.is_empty() && first.is_empty());
            }
            assert!(sizes(&chunks).iter().all(|size| *size > 0));
            match rng.u32(..4) {
                0 => {
                    let taken = chunks.take();
                    for slice in taken.slices() {
                        written.extend_from_slice(&slice);
                    }
                    chunks.reuse(taken);
                }
                1 => {
                    let count = rng.usize(..=chunks.first().len());
                    written.extend_from_slice(&chunks.first()[..count]);
                    chunks.advance(count);
                }
                _ => {}
            }
            assert_eq!(chunks.len() + written.len(), expected.len());
            assert!(chunks.spares.len() <= SPARES);
        }
        written.append(&mut chunks.take_bytes());
        assert!(chunks.is_empty() && written == expected);
    }

    #[test]
    fn what_is_large_is_moved_and_what_is_small_is_joined() {
        let mut chunks = Chunks::default();
        for _ in 0..10 {
            append(&mut chunks, b"small");
        }
        assert_eq!(sizes(&chunks), [50]);
        let mut large = Chunks::from(vec![1; SMALL]);
        let at = large.first().as_ptr();
        append(&mut large, b"small");
        chunks.join(&mut large);
        assert_eq!(sizes(&chunks), [50, SMALL, 5]);
        chunks.advance(50);
        assert_eq!(chunks.first().as_ptr(), at);
        append(&mut chunks, &[2; SMALL]);
        append(&mut chunks, &[3; SMALL]);
        assert_eq!(sizes(&chunks), [SMALL, 5 + SMALL, SMALL]);
    }

    #[test]
    fn a_buffer_that_was_written_is_used_again_for_what_is_large() {
        let mut chunks = Chunks::default();
        append(&mut chunks, &[1; SMALL + 1000]);
        let at = chunks.first().as_ptr();
        let taken = chunks.take();
        chunks.reuse(taken);
        append(&mut chunks, b"small");
        assert!(chunks.capacity() < SMALL);
        chunks.advance(5);
        let mut others = Chunks::default();
        others.borrow_spares(&mut chunks);
        append(&mut others, &[1; SMALL]);
        assert_eq!(others.first().as_ptr(), at);
        others.advance(SMALL);
        append(&mut others, &[1; SMALL + 2000]);
        assert!(others.spares.is_empty(), "it was too small");
        others.reuse(Chunks::from(vec![1; LARGEST_SPARE + 1]));
        assert!(others.spares.is_empty(), "it would be kept for nothing");
    }
}

//! The buffer that input is read into.
//!
//! Owns at most one allocation. Always: its capacity and [`BOOKKEEPING`] are counted in the
//! [`Budget`] from before it is allocated until it is dropped or frozen into a [`Slice`], which
//! takes the count over.

use std::ops::{Deref, DerefMut};

use crate::budget::{BOOKKEEPING, Budget};
use crate::record::Slice;

/// A growing buffer that is counted. Without an allocation nothing is.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    budget: Budget,
}

impl Buffer {
    /// A buffer without an allocation.
    pub(super) fn new(budget: Budget) -> Self {
        Self {
            bytes: Vec::new(),
            budget,
        }
    }

    /// The budget it is counted in.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// How many bytes it can hold.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Makes room to read at least a quarter of `block`, waiting for the budget: allocates `block`
    /// bytes, or doubles what there is, but never to more than `max` bytes.
    pub(super) fn make_room(&mut self, block: usize, max: usize) {
        let capacity = self.capacity();
        if capacity == 0 {
            self.allocate(block, 0);
        } else if capacity - self.bytes.len() < block / 4 {
            self.grow((2 * capacity).min(max));
        }
    }

    /// Allocates `capacity` bytes once the budget has room for them, or holds only the caller's
    /// `own` bytes.
    fn allocate(&mut self, capacity: usize, own: usize) {
        debug_assert!(self.capacity() == 0);
        self.budget.wait_for(capacity + BOOKKEEPING, own);
        self.bytes = self.budget.buffer(capacity);
        self.recount(capacity);
    }

    fn grow(&mut self, capacity: usize) {
        let before = self.capacity();
        if capacity > before {
            self.budget
                .wait_for(capacity - before, before + BOOKKEEPING);
            self.bytes.reserve_exact(capacity - self.bytes.len());
            self.recount(capacity);
        }
    }

    /// Gives the memory beyond `capacity` bytes back, as far as it holds nothing.
    pub(super) fn shrink(&mut self, capacity: usize) {
        let before = self.capacity();
        if before > capacity {
            self.bytes.shrink_to(capacity);
            self.budget.free(before - self.capacity());
        }
    }

    /// The count stands at `counted` bytes, and the allocator may have given others.
    fn recount(&self, counted: usize) {
        let capacity = self.capacity();
        if capacity > counted {
            self.budget.add(capacity - counted);
        } else if capacity < counted {
            self.budget.free(counted - capacity);
        }
    }

    /// Copies the first `count` bytes into an allocation of just that size, once the budget has
    /// room for it.
    pub(super) fn copy(&self, count: usize) -> Slice {
        let mut copy = Self::new(self.budget.clone());
        self.budget
            .wait_for(count + BOOKKEEPING, self.capacity() + BOOKKEEPING);
        // Not from the budget's spare buffers, which are large.
        copy.bytes = Vec::with_capacity(count);
        copy.recount(count);
        copy.bytes.extend_from_slice(&self.bytes[..count]);
        copy.freeze()
    }

    /// Passes the allocation on, and is left without one.
    pub(super) fn freeze(&mut self) -> Slice {
        Slice::new(std::mem::take(&mut self.bytes), &self.budget)
    }

    /// Goes on with `rest`, a part of what was frozen, in a new allocation of `block` bytes, or of
    /// more if that leaves too little room to read. `own` bytes are counted as long as `rest` lives.
    pub(super) fn carry(&mut self, rest: Slice, own: usize, block: usize) {
        let capacity = if rest.len() <= block / 2 {
            block
        } else {
            rest.len() + block
        };
        self.allocate(capacity, own);
        self.bytes.extend_from_slice(&rest);
    }

    /// Removes the first `count` bytes.
    pub(super) fn remove(&mut self, count: usize) {
        self.bytes.drain(..count);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Its end is that of a slice: empty, and counted down where it dies.
        if self.capacity() > 0 {
            drop(self.freeze());
        }
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

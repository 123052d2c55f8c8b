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
        if let Some(more) = self.missing(block, max) {
            let (bytes, own) = self.cost(more);
            self.budget.wait_for(bytes, own);
            self.take_room(more);
        }
    }

    /// The same where the budget has room for it now; gives whether it has.
    pub(super) fn make_room_now(&mut self, block: usize, max: usize) -> bool {
        let Some(more) = self.missing(block, max) else {
            return true;
        };
        let (bytes, own) = self.cost(more);
        let is_taken = self.budget.try_take(bytes, own);
        if is_taken {
            self.take_room(more);
        }
        is_taken
    }

    /// The capacity that it is to have, where it has too little to read a quarter of `block`.
    fn missing(&self, block: usize, max: usize) -> Option<usize> {
        match self.capacity() {
            0 => Some(block),
            has if has - self.bytes.len() < block / 4 => {
                Some((2 * has).min(max)).filter(|more| *more > has)
            }
            _ => None,
        }
    }

    /// What that capacity takes from the budget, and what is this buffer's own there already.
    fn cost(&self, capacity: usize) -> (usize, usize) {
        match self.capacity() {
            0 => (capacity + BOOKKEEPING, 0),
            has => (capacity - has, has + BOOKKEEPING),
        }
    }

    /// Has that capacity, which the budget has been asked for.
    fn take_room(&mut self, capacity: usize) {
        if self.capacity() == 0 {
            self.bytes = self.budget.buffer(capacity);
        } else {
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.recount(capacity);
    }

    /// Appends a byte. Where there is no room for it, that is counted, but not waited for.
    pub(super) fn push(&mut self, byte: u8) {
        let before = self.capacity();
        if self.bytes.len() == before {
            self.bytes.reserve_exact(1);
            self.budget.add(self.capacity() - before);
        }
        self.bytes.push(byte);
    }

    /// Allocates `capacity` bytes once the budget has room for them, or holds only the caller's
    /// `own` bytes.
    fn allocate(&mut self, capacity: usize, own: usize) {
        debug_assert!(self.capacity() == 0);
        self.budget.wait_for(capacity + BOOKKEEPING, own);
        self.bytes = self.budget.buffer(capacity);
        self.recount(capacity);
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

    /// Copies the first `count` bytes into an allocation of just that size, where the budget has
    /// room for it.
    pub(super) fn copy(&self, count: usize) -> Option<Slice> {
        let mut copy = Self::new(self.budget.clone());
        let own = self.capacity() + BOOKKEEPING;
        if !self.budget.try_take(count + BOOKKEEPING, own) {
            return None;
        }
        // Not from the budget's spare buffers, which are large.
        copy.bytes = Vec::with_capacity(count);
        copy.recount(count);
        copy.bytes.extend_from_slice(&self.bytes[..count]);
        Some(copy.freeze())
    }

    /// Passes the allocation on, and is left without one.
    pub(super) fn freeze(&mut self) -> Slice {
        Slice::new(std::mem::take(&mut self.bytes), &self.budget)
    }

    /// Goes on with `rest`, a part of what was frozen, in a new allocation of `block` bytes, or of
    /// more if that leaves too little room to read. `own` bytes are counted as long as `rest` is
    /// there.
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

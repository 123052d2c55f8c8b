//! The bytes mtask may hold at any time (`--buffer`), and the one edge back in the flow of data:
//! the reader of the input waits here until outcomes have been written and their bytes are free.
//!
//! Owns the count of held bytes and the buffers that are used again. Always: only the reader of
//! the input ever waits; everything behind it may take bytes without waiting ([`Budget::add`]),
//! because what it holds was let in by the reader before. So a full budget can never be a deadlock.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, Thread};

use crossbeam_channel::{Receiver, Sender, bounded};

/// What a buffer costs beside its bytes: its allocation, its reference counts, its place in queues.
pub const BOOKKEEPING: usize = 192;

/// How many emptied buffers are kept for the next read.
const SPARE_BUFFERS: usize = 2;

/// A shared count of held bytes with a limit. Clones share the count.
#[derive(Clone, Debug)]
pub struct Budget(Arc<BudgetState>);

#[derive(Debug)]
struct BudgetState {
    limit: usize,
    held: AtomicUsize,
    /// Set by the reader before it sleeps; whoever frees bytes and finds it set wakes the reader.
    waiting: AtomicBool,
    /// The reader may take what it needs for what it sends next, though it does not fit.
    lent: AtomicBool,
    reader: OnceLock<Thread>,
    /// What [`Budget::buffer`] was last asked for: only buffers of this capacity are kept.
    spare_capacity: AtomicUsize,
    put_spare: Sender<Vec<u8>>,
    take_spare: Receiver<Vec<u8>>,
}

impl Budget {
    /// A budget of `limit` bytes, none of them held.
    pub fn new(limit: usize) -> Self {
        let (put_spare, take_spare) = bounded(SPARE_BUFFERS);
        Self(Arc::new(BudgetState {
            limit,
            held: AtomicUsize::new(0),
            waiting: AtomicBool::new(false),
            lent: AtomicBool::new(false),
            reader: OnceLock::new(),
            spare_capacity: AtomicUsize::new(0),
            put_spare,
            take_spare,
        }))
    }

    /// The limit in bytes.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// The bytes held now.
    pub fn held(&self) -> usize {
        self.0.held.load(SeqCst)
    }

    /// Whether no byte more should be taken in.
    pub fn is_full(&self) -> bool {
        self.held() >= self.0.limit
    }

    /// Counts `bytes` as held, whether or not there is room.
    pub fn add(&self, bytes: usize) {
        self.0.held.fetch_add(bytes, SeqCst);
    }

    /// Frees `bytes`, and wakes the reader of the input if it waits for them.
    pub fn free(&self, bytes: usize) {
        let before = self.0.held.fetch_sub(bytes, SeqCst);
        debug_assert!(before >= bytes, "freed {bytes} bytes of {before}");
        self.wake_reader();
    }

    /// Lets the reader of the input take what it needs for what it sends next, full or not: nothing
    /// of what is held can be freed before more has been read.
    pub fn lend(&self) {
        self.0.lent.store(true, SeqCst);
        self.wake_reader();
    }

    /// The reader is about to send what it was lent bytes for, if it was.
    pub fn end_loan(&self) {
        self.0.lent.store(false, SeqCst);
    }

    fn wake_reader(&self) {
        if self.0.waiting.swap(false, SeqCst)
            && let Some(reader) = self.0.reader.get()
        {
            reader.unpark();
        }
    }

    /// Takes `bytes`, waiting until they fit below the limit, or until nothing is held but the
    /// `own` bytes of the caller: so that a record larger than the limit still passes, alone.
    ///
    /// Only one thread, the reader of the input, may call this.
    pub fn wait_for(&self, bytes: usize, own: usize) {
        while !self.take_or_announce(bytes, own) {
            thread::park();
        }
    }

    /// Takes `bytes` if they are free; if not, announces that the reader waits for them.
    pub fn take_or_announce(&self, bytes: usize, own: usize) -> bool {
        if self.try_take(bytes, own) {
            return true;
        }
        self.0.reader.get_or_init(thread::current);
        self.0.waiting.store(true, SeqCst);
        // Bytes may have been freed before anybody could know of the reader.
        let is_taken = self.try_take(bytes, own);
        if is_taken {
            self.0.waiting.store(false, SeqCst);
        }
        is_taken
    }

    /// Whether the reader of the input waits for bytes to be freed.
    pub fn has_waiter(&self) -> bool {
        self.0.waiting.load(SeqCst)
    }

    /// Takes `bytes` if [`Budget::wait_for`] would not wait.
    pub fn try_take(&self, bytes: usize, own: usize) -> bool {
        let fits =
            |held: usize| held + bytes <= self.0.limit || held <= own || self.0.lent.load(SeqCst);
        self.0
            .held
            .fetch_update(SeqCst, SeqCst, |held| fits(held).then_some(held + bytes))
            .is_ok()
    }

    /// An empty buffer of at least `capacity` bytes, a used one where there is one.
    /// Its bytes must have been taken before.
    pub fn buffer(&self, capacity: usize) -> Vec<u8> {
        self.0.spare_capacity.store(capacity, SeqCst);
        match self.0.take_spare.try_recv() {
            Ok(spare) if spare.capacity() == capacity => spare,
            _ => Vec::with_capacity(capacity),
        }
    }

    /// Takes back a buffer for the next read. One of another size than [`Budget::buffer`] is asked
    /// for is dropped: kept buffers are not counted, so they must be few and small.
    pub fn give_back(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() == self.0.spare_capacity.load(SeqCst) {
            buffer.clear();
            // No room for one more spare buffer: this one is simply dropped.
            let _ = self.0.put_spare.try_send(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_unless_it_is_alone() {
        let budget = Budget::new(100);
        assert!(budget.try_take(60, 0));
        assert!(!budget.try_take(60, 0));
        assert!(
            budget.try_take(60, 60),
            "only the caller's own bytes are held"
        );
        budget.free(120);
        assert!(
            budget.try_take(1000, 0),
            "a record larger than the budget passes alone"
        );
    }

    #[test]
    fn the_reader_sleeps_until_bytes_are_freed() {
        let budget = Budget::new(10);
        budget.add(10);
        let reader = {
            let budget = budget.clone();
            thread::spawn(move || budget.wait_for(5, 0))
        };
        budget.free(5);
        reader.join().unwrap();
        assert_eq!(budget.held(), 10);
    }

    #[test]
    fn a_reader_that_is_lent_bytes_has_them_until_it_sends() {
        let budget = Budget::new(10);
        budget.add(10);
        let reader = {
            let budget = budget.clone();
            thread::spawn(move || {
                budget.wait_for(5, 0);
                budget.wait_for(7, 0);
                budget.end_loan();
            })
        };
        budget.lend();
        reader.join().unwrap();
        assert_eq!(budget.held(), 22);
        assert!(!budget.try_take(1, 0));
    }

    #[test]
    fn only_buffers_of_the_size_that_is_read_into_are_kept() {
        let budget = Budget::new(1 << 20);
        let buffer = budget.buffer(64);
        let address = buffer.as_ptr();
        budget.give_back(Vec::with_capacity(1 << 16));
        budget.give_back(buffer);
        let again = budget.buffer(64);
        assert_eq!(again.as_ptr(), address);
    }
}

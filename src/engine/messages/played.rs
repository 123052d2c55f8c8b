//! The thread that writes messages as a test plays it, which says when anything is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, unbounded};

use super::{ENOUGH, Messages, StderrWriter, WriterCommand, WriterThread};
use crate::report::Verbosity;
use crate::waker::Waker;

/// What stands in for the thread that writes.
pub(in crate::engine) struct PlayedStderr {
    orders: Receiver<WriterCommand>,
    /// Until nobody is left to order anything.
    ended: Option<Sender<()>>,
    waiting: Arc<AtomicUsize>,
    is_awaited: Arc<AtomicBool>,
    waker: Waker,
}

impl PlayedStderr {
    /// Writes what is said next, and gives it; ends where nothing more can come.
    pub(in crate::engine) fn write(&mut self) -> Option<Vec<u8>> {
        match self.orders.try_recv() {
            Ok(WriterCommand::Write(text)) => {
                self.waiting.fetch_sub(text.len(), SeqCst);
                if self.is_awaited.swap(false, SeqCst) {
                    self.waker.wake();
                }
                Some(text)
            }
            Ok(_) => Some(Vec::new()),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                if self.ended.take().is_some() {
                    self.waker.wake();
                }
                None
            }
        }
    }

    /// Whether so much waits that what workers write to stderr is not to be read.
    pub(in crate::engine) fn is_full(&self) -> bool {
        self.waiting.load(SeqCst) >= ENOUGH
    }

    /// Whether something waits to be written.
    pub(in crate::engine) fn has_work(&self) -> bool {
        !self.orders.is_empty()
    }
}

impl Messages {
    /// Messages, warnings too, and the place of the thread that writes them.
    pub(in crate::engine) fn played(waker: &Waker) -> (Self, PlayedStderr) {
        let (orders, received) = unbounded();
        let (ended, end) = bounded(0);
        let (waiting, is_awaited) = (Arc::default(), Arc::default());
        let played = PlayedStderr {
            orders: received,
            ended: Some(ended),
            waiting: Arc::clone(&waiting),
            is_awaited: Arc::clone(&is_awaited),
            waker: waker.clone(),
        };
        let mut messages = Self::new(Verbosity::Normal, waker);
        messages.writer = StderrWriter::Thread(WriterThread {
            orders,
            end,
            waiting,
            is_awaited,
        });
        (messages, played)
    }
}

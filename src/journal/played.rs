//! The thread that keeps a journal as a test plays it, which says when anything is kept.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::{Journal, WrittenOutcomes};
use crate::journal::format::Prefix;
use crate::outcome::Done;
use crate::output::WriteError;
use crate::schedule::WorkerFaults;

/// What stands in for the thread that keeps a journal.
pub(crate) struct PlayedKeeper {
    orders: Receiver<WrittenOutcomes>,
    done: Option<Sender<Result<(), WriteError>>>,
}

/// What an entry vouches for: outcomes, and the bytes up to which they are written, of the output
/// and of the file of `--errors`.
pub(crate) struct Vouched {
    pub(crate) done: Done,
    pub(crate) output: u64,
    pub(crate) errors: u64,
}

impl PlayedKeeper {
    /// Whether an entry waits to be kept.
    pub(crate) fn has_work(&self) -> bool {
        !self.orders.is_empty()
    }

    /// Keeps the next entry; ends where nothing more can come. Gives whether it has done anything.
    pub(crate) fn keep(&mut self) -> Option<Vouched> {
        let Ok(written) = self.orders.try_recv() else {
            return None;
        };
        if let Some(done) = &self.done {
            // Nobody asks for it any more where the engine is gone.
            let _ = done.send(Ok(()));
        }
        Some(Vouched {
            done: written.done,
            output: written.output,
            errors: written.errors,
        })
    }

    /// Ends once no entry can come any more. Gives whether it has just ended.
    pub(crate) fn end(&mut self) -> bool {
        let is_over = matches!(
            self.orders.try_recv(),
            Err(crossbeam_channel::TryRecvError::Disconnected)
        );
        is_over && self.done.take().is_some()
    }
}

impl Journal {
    /// A journal of a run from its beginning, which knows no pauses between entries, and the place
    /// of the thread that keeps it.
    pub(crate) fn played(now: Instant) -> (Self, PlayedKeeper) {
        let (to_keeper, orders) = unbounded();
        let (done, from_keeper) = unbounded();
        let fresh = WrittenOutcomes {
            // What was read of the input is not looked at.
            input: Prefix {
                records: u64::MAX,
                hash: 0,
            },
            ..WrittenOutcomes::default()
        };
        let journal = Self {
            to_keeper: Some(to_keeper),
            from_keeper,
            fresh,
            told: WorkerFaults::default(),
            told_ready: None,
            told_whole: false,
            end: 0,
            marks: bounded(0).1,
            is_proved: true,
            under_way: 0,
            began: now,
            shortest: Duration::ZERO,
            next: now,
        };
        let keeper = PlayedKeeper {
            orders,
            done: Some(done),
        };
        (journal, keeper)
    }
}

//! What the scheduler asks of the engine.

use std::fmt;

use super::event::Event;
use crate::record::Block;

/// A worker's number, from 0. It outlives the worker's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub usize);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}", self.0)
    }
}

/// A process's number among those of its worker, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessNumber(pub u32);

/// One thing to do. The engine does them in order.
#[derive(Debug)]
pub enum Action {
    /// Start a process, then say so by `started` or `start_failed`.
    Start(WorkerId, ProcessNumber),
    /// Send these records to the worker's running process.
    Send(WorkerId, Block),
    /// Close the process's stdin once everything sent has been written.
    CloseStdin(WorkerId),
    /// SIGTERM to the process group. Its answers are of no interest any more.
    Terminate(WorkerId),
    /// SIGKILL to the process group. Its answers are of no interest any more.
    Kill(WorkerId),
    /// Wait no longer for the end of a process that was killed; say so by `left_behind`.
    Leave(WorkerId),
    /// Tell all who listen what has happened.
    Tell(Event),
    /// Every process has ended and nothing is left to do but to write what is ready.
    Finish,
}

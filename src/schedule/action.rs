//! What the scheduler asks of the engine.

use super::event::Event;
use super::ids::{Crew, ProcessNumber, WorkerId};
use crate::record::{Attempt, Block, Index, OwnRecord};

/// A process that begins.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// Its number.
    pub number: ProcessNumber,
    /// How many workers share the machine, its own among them.
    pub crew: Crew,
    /// The record that it is started for, where each has one.
    pub own: Option<OwnRecord>,
}

/// One thing to do. The engine does them in order.
#[derive(Debug)]
pub enum Action {
    /// Start a process of this worker, then say so by `started`, `start_failed` or `unfit`.
    Start(WorkerId, Beginning),
    /// Start the worker's next process beside the present one. Once that is gone, it is started as any
    /// other, and is there already; until then say by `successor_lost` where it is no more.
    Prepare(WorkerId, Beginning),
    /// Send these records to the worker's running process. It is this attempt at each of them.
    Send(WorkerId, Block, Attempt),
    /// Ask the worker's process to end what it has begun with this record.
    Cancel(WorkerId, Index),
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

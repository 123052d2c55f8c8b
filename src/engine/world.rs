//! The outside, as the engine's own thread meets it: processes, signals and time.
//!
//! There are two: the system ([`System`]), and the simulation that tests run the engine in. What
//! other threads do, which is all that may block, reaches the engine through channels; in the
//! simulation it is the other ends of these that are played.
//!
//! [`System`]: super::System

use std::time::Instant;

use rustix::process::Pid;

use crate::output::Sink;
use crate::schedule::{Beginning, WorkerId};
use crate::signal::Request;
use crate::worker::child::Child;
use crate::worker::launcher::StartError;
use crate::worker::memory::Held;

/// What the engine's thread does to the outside, and what it learns of it.
pub trait World {
    /// A process of COMMAND.
    type Child: Child;
    /// Where outcomes go.
    type Sink: Sink;

    /// The time.
    fn now(&mut self) -> Instant;

    /// Starts a process of COMMAND, the worker's next.
    ///
    /// # Errors
    /// Where it cannot be started.
    fn start(&mut self, worker: WorkerId, beginning: &Beginning)
    -> Result<Self::Child, StartError>;

    /// What was started beside a worker's process takes the place of that, which is gone.
    fn succeeds(&mut self, _worker: WorkerId) {}

    /// What processes were found to hold since the last time, where anybody looks.
    fn take_held(&mut self) -> Vec<Held>;

    /// Whether the kernel has sent the SIGKILL of which a process has just died, and not mtask.
    fn explains_a_kill(&mut self) -> bool;

    /// Waits until any of `sources` is ready or that time has come, and leaves those that are.
    /// `child` gives the process of a worker that is named there. The wait may be shorter.
    fn wait<'c>(
        &mut self,
        sources: &mut Vec<Source>,
        child: impl Fn(WorkerId) -> &'c Self::Child,
        until: Option<Instant>,
    ) where
        Self::Child: 'c;

    /// Lets workers run for a moment.
    fn give_way(&mut self);

    /// Takes what signals have asked for since the last time.
    fn take_requests(&mut self) -> Vec<Request>;

    /// Whether SIGCONT is among what would be taken.
    fn has_continued(&mut self) -> bool;

    /// Stops mtask until it is continued.
    fn stop(&mut self);

    /// Has mtask do without a terminal that is another job's.
    fn ignore_terminal(&mut self);

    /// A child of mtask that has exited and has not been waited for, be it none that was started
    /// here.
    fn exited_child(&mut self) -> Option<Pid>;

    /// Reaps such a child that was not started here.
    fn reap_adopted(&mut self, child: Pid);
}

/// What the engine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Another thread, to wake it.
    Waker,
    /// A signal.
    Requests,
    /// Room in a worker's stdin.
    Stdin(WorkerId),
    /// Answers of a worker, or their end.
    Stdout(WorkerId),
    /// Messages of a worker, or their end.
    Stderr(WorkerId),
}

//! What workers and their processes are called.

use std::fmt;

/// A worker's number, from 0. It outlives the worker's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub usize);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}", self.0)
    }
}

/// How many workers share the machine: all that there are, or as many as there are records where these
/// were known to be fewer when the first process began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crew(pub usize);

/// A process's number among those of its worker, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessNumber(pub u32);

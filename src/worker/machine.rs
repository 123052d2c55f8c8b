//! What a worker is given of the machine that it shares with the others.
//!
//! Always: what is given to a worker's process depends on the worker and on how many share the machine
//! alone, so that its next process gets the same.

pub mod cpus;
pub mod gpus;
mod threads;

use cpus::Pins;
use gpus::Gpus;
pub use threads::{ThreadVariables, Threads};

use crate::sys::spawn::Variable;

/// How the machine is dealt out to workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// How many threads their numeric libraries are told to start.
    pub threads: ThreadVariables,
    /// The GPUs that they are given.
    pub gpus: Gpus,
    /// The CPUs that they run on.
    pub pins: Pins,
}

impl Machine {
    /// Whether it matters how many workers share it.
    pub fn is_divided(&self) -> bool {
        self.threads.are_divided() || self.pins.count() > 0
    }

    /// How many threads the numeric libraries of a worker start, where that is set, so many workers
    /// sharing the machine.
    pub fn threads(&self, worker: usize, crew: usize) -> Option<usize> {
        self.threads.number(worker, crew, &self.pins)
    }

    /// What a worker's process finds of it in its environment.
    pub fn variables(&self, worker: usize, crew: usize) -> Vec<Variable> {
        let mut variables = self.gpus.variables(worker);
        variables.extend(self.threads.variables(worker, crew, &self.pins));
        variables
    }
}

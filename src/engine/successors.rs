//! Processes that start beside those whose places they take.
//!
//! Always: nothing that one has said is read, and nothing is sent to it, before it has the place: it is
//! only seen whether it is still there.

use std::time::Instant;

use super::Engine;
use super::processes::RunningProcess;
use super::world::World;
use crate::schedule::{Beginning, WorkerId};
use crate::worker::child::Child;

impl<W: World> Engine<W> {
    /// Starts the next process of a worker beside the present one.
    pub(super) fn prepare(&mut self, worker: WorkerId, beginning: Beginning) {
        match self.begin_process(worker, beginning) {
            Ok(successor) => self.successors[worker.0] = Some(successor),
            // It is started once there is room, and told of then.
            Err(_) => {
                let now = self.world.now();
                self.scheduler.successor_lost(worker, now);
            }
        }
    }

    /// Gives what has been started beside the process of this worker, which is gone.
    pub(super) fn take_successor(&mut self, worker: WorkerId) -> Option<RunningProcess<W::Child>> {
        let successor = self.successors[worker.0].take()?;
        self.world.succeeds(worker);
        Some(successor)
    }

    /// Deals with those that have exited. They have held no record: the worker's next process is
    /// started as any other, and what keeps it from starting is told of then.
    pub(super) fn look_at_successors(&mut self) {
        for number in 0..self.successors.len() {
            let is_gone = |it: &mut RunningProcess<W::Child>| it.child.has_exited();
            let Some(mut successor) = self.successors[number].take_if(is_gone) else {
                continue;
            };
            let now: Instant = self.world.now();
            successor.child.reap();
            self.scheduler.successor_lost(WorkerId(number), now);
            self.act();
        }
    }
}

//! What can be seen of a run from outside, for reports. Changes nothing.

use super::ending::Phase;
use super::life::State;
use super::{InputState, Scheduler};

impl Scheduler {
    /// How many records there are, once the input has ended and all of them are to come to an outcome.
    pub fn total_records(&self) -> Option<u64> {
        let is_whole = match self.phase {
            Phase::Feeding => true,
            Phase::Finished(_) => self.order.outcomes() == self.seen,
            _ => false,
        };
        (is_whole && self.input == InputState::Ended).then_some(self.seen)
    }

    /// The bytes of the records that have an outcome; the answered ones of a block that a life has
    /// not answered as a whole are left out. `None` once records were dropped.
    pub fn finished_bytes(&self) -> Option<u64> {
        if self.phase != Phase::Feeding {
            return None;
        }
        let held = |worker: &super::Worker| match &worker.state {
            State::Running(life) | State::Judged(life, ..) => life.owed_bytes,
            State::Vacant(_) | State::GivenUp => 0,
        };
        let unfinished = self.queue.bytes() + self.workers.iter().map(held).sum::<usize>();
        Some(self.seen_bytes.saturating_sub(unfinished as u64))
    }
}

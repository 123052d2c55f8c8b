//! A process that holds more memory than it may is replaced, as at the end of its lifespan.

use std::time::Instant;

use super::Scheduler;
use super::event::Event;
use super::ids::WorkerId;

impl Scheduler {
    /// The process of this worker and its group hold so many bytes.
    pub fn holds(&mut self, worker: WorkerId, bytes: u64, now: Instant) {
        let limit = self.policy.max_memory.filter(|limit| bytes > limit.get() as u64);
        let process = self.process_mut(worker);
        if let (Some(_), Some(process)) = (limit, process)
            && process.outgrew()
        {
            self.tell(Event::Outgrown { worker, bytes });
            self.feed(now);
        }
    }
}

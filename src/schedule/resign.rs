//! A process that asks to be replaced, as one does whose GPU gives nothing but errors any more.
//!
//! It has answered what it could. What it had not begun goes elsewhere, and is not charged; where it
//! says what it has begun, that is suspect. It is shown the end of its stdin, so that it can end well.

use std::time::Instant;

use super::Scheduler;
use super::ids::WorkerId;
use super::policy::Delivery;
use crate::outcome::Cause;
use crate::protocol::message::Reception;

impl Scheduler {
    /// A process asks to be replaced. That is no news once it is to end.
    pub(super) fn resigns(&mut self, worker: WorkerId, now: Instant) -> Reception {
        let process = self.process_mut(worker).filter(|process| process.is_serving());
        let Some(process) = process.filter(|process| process.is_ready()) else {
            return Reception::Ignored;
        };
        let owed = process.owed.take_all();
        // Before anything is given out: this one takes no more.
        self.close_stdin(worker, now);
        if self.policy.delivery == Delivery::AtMostOnce {
            self.fail_together(worker, owed, Cause::MissingAnswer, now);
            return Reception::Taken;
        }
        for work in owed {
            self.tell_again(worker, &work);
            match work.call {
                Some(_) => self.queue.put_back_alone(work),
                None => self.queue.put_back(work),
            }
        }
        Reception::Taken
    }
}

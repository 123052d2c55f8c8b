//! What the input gives, passed on to the scheduler as that wants more.

use std::time::Instant;

use crossbeam_channel::TryRecvError;

use super::Engine;
use super::world::World;
use crate::exit::Status;
use crate::input::Arrival;

impl<W: World> Engine<W> {
    pub(super) fn take_input(&mut self, now: Instant) {
        if self.start_by.is_some_and(|at| now >= at) {
            self.start_by = None;
            self.scheduler.input_is_slow(now);
        }
        while self.scheduler.takes_input()
            && self.scheduler.wants_input()
            && let Some(input) = &self.input
        {
            let arrival = match input.try_recv() {
                Ok(arrival) => arrival,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.messages.error(
                        "internal fault: the reader of the input is gone; please report this",
                    );
                    self.status = self.status.worst(Status::Fault);
                    self.scheduler.input_ended(now);
                    self.input = None;
                    break;
                }
            };
            self.start_by = (self.start_by).filter(|_| matches!(arrival, Arrival::Awaited(_)));
            match arrival {
                Arrival::Awaited(pipe) => self.messages.warning(&pipe.to_string()),
                Arrival::Odd(source) => self.messages.warning(&source.to_string()),
                Arrival::Records(block) => self.scheduler.records(block, now),
                Arrival::Rejected(rejected) => self.scheduler.rejected(rejected, now),
                Arrival::End => {
                    self.input = None;
                    self.scheduler.input_ended(now);
                }
                Arrival::Failed(error) => self.input_failed(&error.to_string(), now),
                Arrival::Changed(changed) => self.input_failed(&changed.to_string(), now),
            }
            self.act();
        }
        if !self.scheduler.takes_input() {
            // The reader finds nobody to send to, and reads no more.
            self.input = None;
        }
    }

    fn input_failed(&mut self, text: &str, now: Instant) {
        self.messages.error(text);
        self.status = self.status.worst(Status::Fault);
        self.input = None;
        self.scheduler.input_ended(now);
    }
}

//! The stdout of a process that was started for one record: all of it is the answer, if the process
//! exits well.
//!
//! Owns what has been written so far. Always: no more is held than an answer may have, and what is
//! held is counted in the budget once it is much.

use super::message::{End, Message};
use super::stdout::Tail;
use super::{Aside, Listener, Reads};
use crate::budget::Budget;
use crate::shape::Shape;

/// What is held is counted in the budget beyond this length.
const COUNTED_FROM: usize = 4 * 1024;

/// All that a process writes.
#[derive(Debug)]
pub(super) struct WholeReader {
    written: Vec<u8>,
    max: usize,
    /// It has outgrown that, and the rest is of no interest.
    is_too_large: bool,
    budget: Budget,
    counted: usize,
}

impl WholeReader {
    /// Of a process that has written nothing yet.
    pub(super) fn new(shape: &Shape, budget: &Budget) -> Self {
        Self {
            written: Vec::new(),
            max: shape.max_record.saturating_add(1),
            is_too_large: false,
            budget: budget.clone(),
            counted: 0,
        }
    }

    fn take(&mut self) -> Vec<u8> {
        self.budget.free(std::mem::take(&mut self.counted));
        std::mem::take(&mut self.written)
    }
}

impl Reads for WholeReader {
    fn lead(&mut self, _: &mut Vec<u8>) {}

    fn take_back(&mut self, _: &mut Vec<u8>) {}

    fn begun(&self) -> usize {
        match self.counted {
            0 => 0,
            _ => self.written.len(),
        }
    }

    fn text(&self) -> usize {
        0
    }

    fn read(&mut self, buffer: &mut Vec<u8>, listener: &mut dyn Listener, _: &mut Aside) -> End {
        if self.is_too_large {
            return End::Partial;
        }
        if self.written.len() + buffer.len() > self.max {
            self.is_too_large = true;
            self.take();
            listener.heard(Message::TooLarge);
            return End::Partial;
        }
        self.written.extend_from_slice(buffer);
        if self.written.len() > COUNTED_FROM {
            let holds = self.written.capacity();
            self.budget.add(holds);
            self.budget.free(std::mem::replace(&mut self.counted, holds));
        }
        End::Partial
    }

    /// Its exit tells whether it is an answer.
    fn read_tail(&mut self, _: &mut dyn Listener, _: &mut Aside) -> (Tail, End) {
        let tail = Tail {
            bytes: self.take(),
            ..Tail::default()
        };
        (tail, End::Partial)
    }
}

impl Drop for WholeReader {
    fn drop(&mut self) {
        self.budget.free(self.counted);
    }
}

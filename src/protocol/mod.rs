//! How records and answers travel: from records to the bytes that carry them, and from what a
//! process writes to messages.
//!
//! No module here knows of processes, or of what becomes of a message. What a reader has to know of
//! the records that are under way it asks its [`Listener`].

pub mod json;
pub mod lines;
pub mod message;
pub mod several;
pub mod stdout;
mod whole;

use std::fmt::Debug;

pub use json::Wanted;

use crate::budget::{BOOKKEEPING, Budget};
use crate::record::{Attempt, Block, Index, OwnRecord, Slice};
use crate::shape::{AnswerEnd, Protocol, Shape};
use message::{End, Message, Reception};
use several::SeveralLinesReader;
use stdout::{Awaited, StdoutLines, Tail};
use whole::WholeReader;

/// Who hears what one process says, and knows what it owes.
pub trait Listener {
    /// How many records it may answer.
    fn owed(&self) -> usize;

    /// Whether it owes an answer to that record.
    fn owes(&self, index: Index) -> bool;

    /// Whether it may have something to say that counts: an answer, or its last word.
    fn awaits_words(&self) -> bool;

    /// Of how many records, the last ones that it was sent, no byte was written.
    fn unsent(&self) -> usize;

    /// How long a line for people may get before it is cut, given how much of such it has begun on
    /// its stdout.
    fn longest_text(&self, begun: usize) -> usize;

    /// It says this.
    fn heard(&mut self, message: Message<'_, '_>) -> Reception;
}

/// Whether workers are told which attempt at a record they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempts {
    /// They know what to make of it.
    Told,
    /// Records are all that they are sent.
    Untold,
}

impl Attempts {
    /// What the worker is told of this attempt: of a first one nothing.
    pub fn shown(self, attempt: Attempt) -> Option<Attempt> {
        (self == Self::Told && attempt != Attempt(1)).then_some(attempt)
    }
}

/// What a process said that is not the listener's.
#[derive(Debug, Default)]
pub struct Aside {
    /// Lines for people, each with its newline.
    pub log: Vec<u8>,
    /// What it had to say at its end, as JSON.
    pub exits: Vec<String>,
    /// It has begun as processes of another protocol do.
    pub foreign: Option<Protocol>,
}

/// What a protocol makes of the stdout of one process.
trait Reads: Debug {
    /// Puts what is not whole yet into the empty `buffer`, if it is short.
    fn lead(&mut self, buffer: &mut Vec<u8>);

    /// Takes that back, where nothing was read behind it.
    fn take_back(&mut self, buffer: &mut Vec<u8>);

    /// How many bytes are held of an answer that has been begun, where they count.
    fn begun(&self) -> usize;

    /// How many bytes text for people takes that has been begun.
    fn text(&self) -> usize;

    /// Says what was read into `buffer`, behind what [`Reader::lead`] put there, but for the end of
    /// the read.
    fn read(&mut self, buffer: &mut Vec<u8>, listener: &mut dyn Listener, aside: &mut Aside)
    -> End;

    /// Says what the process wrote after its last whole line, now that it has ended. Gives it back
    /// where only its exit tells what that is.
    fn read_tail(&mut self, listener: &mut dyn Listener, aside: &mut Aside) -> (Tail, End);
}

/// The stdout of one process, read as its protocol has it.
#[derive(Debug)]
pub struct Reader(Box<dyn Reads>);

impl Reader {
    /// Of a process that has written nothing yet.
    pub fn new(shape: &Shape, wanted: Wanted, budget: &Budget) -> Self {
        match (shape.protocol, shape.answer_end) {
            (Protocol::Lines, AnswerEnd::Separator) => {
                Self(Box::new(lines::LinesReader::new(shape, budget)))
            }
            (Protocol::Lines, AnswerEnd::Line(line)) => {
                Self(Box::new(SeveralLinesReader::new(shape, line, budget)))
            }
            (Protocol::Lines, AnswerEnd::Exit) => Self(Box::new(WholeReader::new(shape, budget))),
            (Protocol::Json, _) => Self(Box::new(json::JsonReader::new(shape, wanted, budget))),
        }
    }

    /// Puts what is not whole yet into the empty `buffer`, if it is short. What is about to be read
    /// lies behind it then, and the two need not be joined.
    pub fn lead(&mut self, buffer: &mut Vec<u8>) {
        self.0.lead(buffer);
    }

    /// Takes back what [`Reader::lead`] put into `buffer`, where nothing was read behind it: then
    /// the process has said nothing.
    pub fn take_back(&mut self, buffer: &mut Vec<u8>) {
        self.0.take_back(buffer);
    }

    /// Tells the listener what was read into `buffer`, behind what [`Reader::lead`] put there. The
    /// end of the read is the last message.
    pub fn read(&mut self, buffer: &mut Vec<u8>, listener: &mut dyn Listener) -> Aside {
        let mut aside = Aside::default();
        let end = self.0.read(buffer, listener, &mut aside);
        let begun = self.0.begun();
        listener.heard(Message::End { end, begun });
        aside
    }

    /// The same for what a process that has ended wrote after its last whole line. Gives it back
    /// where only its exit tells what that is.
    pub fn read_tail(&mut self, listener: &mut dyn Listener) -> (Tail, Aside) {
        let mut aside = Aside::default();
        let (tail, end) = self.0.read_tail(listener, &mut aside);
        listener.heard(Message::End { end, begun: 0 });
        (tail, aside)
    }

    /// How many bytes text for people takes that has been begun.
    pub fn text(&self) -> usize {
        self.0.text()
    }
}

/// The bytes that carry the records of a block to a worker, and which attempt at them this is if
/// the worker is told.
pub fn write(block: Block, attempt: Option<Attempt>, shape: &Shape, budget: &Budget) -> Slice {
    let bytes = match (shape.protocol, shape.field, shape.record_end) {
        (Protocol::Lines, None, None) => return block.bytes,
        (Protocol::Lines, field, line) => lines::write(&block, field, line, shape.separator),
        (Protocol::Json, ..) => json::write(&block, attempt, shape),
    };
    // They are counted until they are written.
    budget.add(bytes.capacity() + BOOKKEEPING);
    Slice::new(bytes, budget)
}

/// The same of a record that a process is started for.
pub fn write_own(own: &OwnRecord, shape: &Shape, budget: &Budget) -> Slice {
    let block = Block {
        first: own.index,
        count: 1,
        bytes: own.bytes.clone(),
    };
    write(block, None, shape, budget)
}

/// The bytes that ask a worker, one that has said that it can, to end what it has begun with this
/// record.
pub fn write_cancel(index: Index, budget: &Budget) -> Slice {
    let bytes = json::write_cancel(index);
    budget.add(bytes.capacity() + BOOKKEEPING);
    Slice::new(bytes, budget)
}

/// Lets go of what a process has written and can be no part of an answer, now that the whole lines
/// before it have been said. Text for people goes to `take`.
fn let_go(stdout: &mut StdoutLines, listener: &dyn Listener, take: impl FnMut(&[u8])) {
    let awaited = match listener.awaits_words() {
        true => Awaited::Something,
        false => Awaited::Nothing,
    };
    if stdout.may_let_go(awaited) {
        let longest = listener.longest_text(stdout.text());
        stdout.let_go(awaited, longest, |index| listener.owes(index), take);
    }
}

#[cfg(test)]
mod tests;

//! What the engine has of a process: a running process of COMMAND and its three pipes. Passive: the
//! engine says when to read, write and signal.
//!
//! Always: what is pushed is written in its order, as far as the pipe takes it.

use std::collections::VecDeque;

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use crate::outcome::ExitStatus;
use crate::record::{Framing, Slice};

/// A running process of COMMAND.
pub trait Child {
    /// The leader of its group.
    fn leader(&self) -> Pid;

    /// The process id, which is that of its group too.
    fn pid(&self) -> u32 {
        self.leader().as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether there are bytes to write, and a stdin that they go to.
    fn awaits_stdin(&self) -> bool;

    /// Whether answers may come.
    fn has_stdout(&self) -> bool;

    /// Whether messages may come.
    fn has_stderr(&self) -> bool;

    /// Adds records to be written.
    fn push(&mut self, bytes: Slice);

    /// Adds a line that is no record, which goes before the records that are not begun.
    fn push_note(&mut self, bytes: Slice);

    /// Writes what the pipe takes.
    fn write(&mut self) -> Sent;

    /// Whether the record that is being written is not wholly in the pipe.
    fn is_amid_record(&self, framing: Framing) -> bool;

    /// Gives up writing: stdin is closed, and what is not written yet is forgotten.
    fn abandon_stdin(&mut self);

    /// Closes stdin once everything is written.
    fn close_stdin(&mut self);

    /// Whether it has read all that was sent to it, be it into a buffer of its own. `None` where
    /// nobody can tell.
    fn has_read_all(&self) -> Option<bool>;

    /// How many of the last records pushed are not begun to be written.
    fn unsent(&self, framing: Framing) -> usize;

    /// Appends answers to `buffer`, as many as fit; 0 bytes at their end.
    ///
    /// # Errors
    /// `AGAIN` where nothing is there to be read.
    fn read_stdout(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Errno>;

    /// Appends messages to `buffer`, as many as fit; 0 bytes at their end.
    ///
    /// # Errors
    /// `AGAIN` where nothing is there to be read.
    fn read_stderr(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Errno>;

    /// Closes the pipes of records and answers: nothing more is sent, nothing more is of interest.
    fn drop_pipes(&mut self);

    /// Sends a signal to the group, and to the process itself where that has left the group. One
    /// that is gone is no error.
    ///
    /// # Errors
    /// Where mtask may not signal the process: it runs as another user.
    fn signal(&self, signal: Signal) -> Result<(), Errno>;

    /// Ends it with a signal, also where it was stopped; nothing more is sent to it or read from it.
    ///
    /// # Errors
    /// Those of [`Child::signal`].
    fn end(&mut self, signal: Signal) -> Result<(), Errno> {
        let reached = self.signal(signal);
        // One that was stopped must run to see it.
        let _ = self.signal(Signal::CONT);
        self.drop_pipes();
        reached
    }

    /// Gives up waiting for it. It is reaped by [`Child::reap`], should it ever exit.
    fn leave(&mut self);

    /// Whether the leader has exited. It stays a zombie until [`Child::reap`].
    fn has_exited(&self) -> bool;

    /// Kills what is left of the group, and reaps the leader, which has exited.
    fn reap(&mut self) -> Reaped;
}

/// What the system says of a process that is no more.
#[derive(Clone, Debug)]
pub struct Reaped {
    /// How it ended.
    pub exit: ExitStatus,
    /// The most memory that it, or one of its children that it has waited for, has had, in bytes.
    /// The system counts from before COMMAND began, so that it is not less than mtask had then.
    pub peak: Option<u64>,
}

/// What came of writing to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Everything is in the pipe.
    All,
    /// The pipe is full.
    Some,
    /// The process has closed its stdin.
    Refused,
}

/// The bytes that are not in stdin's pipe yet.
#[derive(Debug, Default)]
pub struct Unwritten {
    slices: VecDeque<Slice>,
    /// How much of the first of them is written.
    written: usize,
    /// Lines that are no records.
    notes: VecDeque<Slice>,
    /// How much of the first of them is written.
    noted: usize,
}

impl Unwritten {
    /// Whether everything is in the pipe.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty() && self.notes.is_empty()
    }

    /// What is unwritten, with the slices that are begun.
    #[cfg(test)]
    pub(crate) fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.slices.iter().chain(&self.notes)
    }

    /// Adds records.
    pub fn push(&mut self, bytes: Slice) {
        self.slices.push_back(bytes);
    }

    /// Adds a line that is no record, which goes between two slices.
    pub fn push_note(&mut self, bytes: Slice) {
        self.notes.push_back(bytes);
    }

    /// Has what there is written, until the pipe takes no more.
    pub fn write(&mut self, mut write: impl FnMut(&[u8]) -> Result<usize, Errno>) -> Sent {
        loop {
            let (queue, written) = match self.written == 0 && !self.notes.is_empty() {
                true => (&mut self.notes, &mut self.noted),
                false => (&mut self.slices, &mut self.written),
            };
            let Some(slice) = queue.front() else {
                return Sent::All;
            };
            match write(&slice[*written..]) {
                Ok(count) => {
                    *written += count;
                    if *written == slice.len() {
                        queue.pop_front();
                        *written = 0;
                    }
                }
                Err(Errno::AGAIN) => return Sent::Some,
                Err(Errno::INTR) => {}
                Err(_) => return Sent::Refused,
            }
        }
    }

    /// Whether the record that is being written is not wholly in the pipe.
    pub fn is_amid_record(&self, framing: Framing) -> bool {
        let (lines, is_amid_line) = self.begun(framing);
        is_amid_line || lines % framing.lines != 0
    }

    /// How many records are not begun to be written.
    pub fn records(&self, framing: Framing) -> usize {
        let separator = framing.separator;
        let lines: usize = self.slices.iter().map(|slice| separator.count(slice)).sum();
        let (written, is_amid_line) = self.begun(framing);
        let begun = (written + usize::from(is_amid_line)).div_ceil(framing.lines);
        lines / framing.lines - begun
    }

    /// How many whole lines of the first slice are written, and whether one more is in part.
    fn begun(&self, framing: Framing) -> (usize, bool) {
        let written = self.slices.front().map_or(&[][..], |first| &first[..self.written]);
        let separator = framing.separator;
        let is_amid_line = written.last().is_some_and(|last| *last != separator.byte());
        (separator.count(written), is_amid_line)
    }
}

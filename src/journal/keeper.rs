//! The thread that writes entries.
//!
//! Owns the file of the journal, and with it the lock, and sees the outputs through descriptors of
//! its own. It may wait for the disk as long as that takes.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use crossbeam_channel::Receiver;

use super::Written;
use super::format::{Entry, Extent, Prefix, hash, write_entry};
use super::open::Opened;
use crate::engine::WriteError;
use crate::outcome::Done;

/// So many of the last bytes of an output are hashed.
const TAIL: u64 = 4096;

/// A file that is vouched for, as the keeper sees it.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) name: String,
    pub(super) file: File,
    /// How many bytes it had when this run began.
    pub(super) base: u64,
    last: Extent,
}

/// What writes entries.
#[derive(Debug)]
pub(super) struct Keeper {
    name: String,
    journal: File,
    output: Watched,
    errors: Option<Watched>,
    /// How far the outcomes reach that are vouched for.
    end: u64,
    /// What is known of the input, as near behind that as can be.
    input: Prefix,
    marks: Receiver<Prefix>,
}

impl Watched {
    pub(super) fn new(name: String, file: File, extent: Extent) -> Self {
        Self {
            name,
            file,
            base: extent.bytes,
            last: extent,
        }
    }

    /// Makes the first `written` bytes of this run safe.
    fn secure(&mut self, written: u64) -> Result<Extent, WriteError> {
        let bytes = self.base + written;
        if bytes > self.last.bytes {
            let tail = self.file.sync_data().and_then(|()| tail(&self.file, bytes));
            let tail = tail.map_err(|error| failed(&self.name, error))?;
            self.last = Extent { bytes, tail };
        }
        Ok(self.last)
    }
}

impl Keeper {
    pub(super) fn new(opened: Opened, marks: Receiver<Prefix>) -> Self {
        Self {
            name: opened.name,
            journal: opened.journal,
            output: opened.output,
            errors: opened.errors,
            end: opened.past.done.ranges.end(),
            input: opened.past.input,
            marks,
        }
    }

    /// Makes safe what has been written, and then says so.
    pub(super) fn keep(&mut self, written: &Written) -> Result<(), WriteError> {
        let output = self.output.secure(written.output)?;
        let errors = match &mut self.errors {
            Some(errors) => Some(errors.secure(written.errors)?),
            None => None,
        };
        let entry = self.entry(&written.done, output, errors);
        (self.journal.write_all(&write_entry(&entry)))
            .and_then(|()| self.journal.sync_data())
            .map_err(|error| failed(&self.name, error))
    }

    fn entry(&mut self, done: &Done, output: Extent, errors: Option<Extent>) -> Entry {
        self.end = self.end.max(done.ranges.end());
        while self.input.records < self.end
            && let Ok(mark) = self.marks.try_recv()
        {
            self.input = mark;
        }
        let failed = done.failed.iter();
        Entry {
            done: (done.ranges.iter())
                .map(|range| (range.start, range.end - range.start))
                .collect(),
            failed: failed
                .map(|(kind, count)| ((*kind).into(), *count))
                .collect(),
            output,
            errors,
            input: self.input,
        }
    }
}

fn failed(name: &str, error: io::Error) -> WriteError {
    WriteError {
        file: name.to_owned(),
        error,
    }
}

/// A hash of the last of the first `bytes` of a file.
pub(super) fn tail(file: &File, bytes: u64) -> io::Result<u64> {
    let length = bytes.min(TAIL);
    let mut tail = vec![0; length as usize];
    file.read_exact_at(&mut tail, bytes - length)?;
    Ok(hash(&tail))
}

//! The thread that writes entries.
//!
//! Owns the file of the journal, and with it the lock, and sees the outputs through descriptors of
//! its own. It may wait for the disk as long as that takes.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use super::WrittenOutcomes;
use super::format::{Chain, Entry, Extent, Ready, hash, written_places};
use super::open::Opened;
use crate::output::WriteError;

/// So many of the last bytes of an output are hashed.
const TAIL: u64 = 4096;

/// A file that is vouched for, as the keeper sees it.
#[derive(Debug)]
pub(super) struct WatchedFile {
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
    chain: Chain,
    /// A hash of COMMAND.
    command: u64,
    output: WatchedFile,
    errors: Option<WatchedFile>,
}

impl WatchedFile {
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
    pub(super) fn new(opened: Opened) -> Self {
        Self {
            name: opened.name,
            journal: opened.journal,
            chain: opened.past.chain,
            command: opened.command,
            output: opened.output,
            errors: opened.errors,
        }
    }

    /// Makes safe what has been written, and then says so.
    pub(super) fn keep(&mut self, written: &WrittenOutcomes) -> Result<(), WriteError> {
        let output = self.output.secure(written.output)?;
        let errors = match &mut self.errors {
            Some(errors) => Some(errors.secure(written.errors)?),
            None => None,
        };
        let entry = self.entry(written, output, errors);
        let line = self.chain.entry(entry);
        (self.journal.write_all(&line))
            .and_then(|()| self.journal.sync_data())
            .map_err(|error| failed(&self.name, error))
    }

    fn entry(&self, written: &WrittenOutcomes, output: Extent, errors: Option<Extent>) -> Entry {
        let failed = written.done.failed.iter();
        Entry {
            done: (written.done.ranges.iter())
                .map(|range| (range.start, range.end - range.start))
                .collect(),
            failed: failed.map(|(kind, count)| ((*kind).into(), *count)).collect(),
            passed: written.done.passed,
            parts: (written.done.parts != written.done.results()).then_some(written.done.parts),
            failed_at: written_places(&written.done.failed_at, self.output.base),
            results_at: written_places(&written.done.results_at, self.output.base),
            protocol_violations: written.worker_faults.protocol_violations,
            strays: written.worker_faults.strays,
            in_doubt: written.doubts.ranges().to_vec(),
            bad_ends: written.worker_faults.bad_ends,
            ready: written.ready.map(|took| Ready {
                command: self.command,
                took: took.as_millis() as u64,
            }),
            output,
            errors,
            input: written.input,
            whole: written.is_whole,
            ..Entry::default()
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

//! The input: reads the sources one after another, cuts their bytes into blocks of records and,
//! where records are JSON, checks them.
//!
//! Owns the index of the next record and the buffer that is read into. Always: indices are
//! consecutive over the whole run, a record that is rejected takes one too; what a read returned
//! is sent on, as far as it is whole records, before the next read; every byte is counted in the
//! [`Budget`] before there is memory for it, and the thread waits there and nowhere else.

mod buffer;
mod cut;
mod kind;
mod part;
mod rows;
mod source;
#[cfg(test)]
mod tests;
mod validator;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use crate::budget::Budget;
use crate::record::{Block, Index, Slice};
use crate::shape::{Format, Shape};
use crate::visible;

pub use part::FilePart;
pub use rows::check_names;

use cut::{Cutter, Stop};

pub use kind::OddSource;
pub use validator::strange_number;

/// What the input has to tell the engine.
#[derive(Debug)]
pub enum Arrival {
    /// Records to be sent to workers.
    Records(Block),
    /// A record whose outcome is known already.
    Rejected(Rejected),
    /// A named pipe that nobody writes to: its writer is waited for.
    Awaited(AwaitedFile),
    /// What a source holds is likely to be no records. It is read all the same.
    Odd(OddSource),
    /// All sources are read. The last arrival.
    End,
    /// A source could not be read to its end. The last arrival, after all that was read before.
    Failed(ReadError),
    /// In a run that is resumed, it is not what it was. The last arrival.
    Changed(Changed),
}

/// A record that never reaches a worker.
#[derive(Debug)]
pub struct Rejected {
    /// Its index.
    pub index: Index,
    /// What is wrong with it.
    pub reason: Rejection,
}

impl Rejected {
    /// The bytes of the input that it took; 0 where they were left out.
    pub fn bytes(&self) -> usize {
        match &self.reason {
            Rejection::Invalid { record, .. } | Rejection::Passed { record } => record.len() + 1,
            Rejection::TooLarge { .. } => 0,
        }
    }
}

/// Why a record never reaches a worker.
#[derive(Debug)]
pub enum Rejection {
    /// It is not one JSON value, or not UTF-8 where it must be.
    Invalid {
        /// What is wrong.
        flaw: Flaw,
        /// The whole line, without the newline.
        record: Slice,
    },
    /// It is longer than `--max-record`, and its bytes were skipped.
    TooLarge {
        /// The most bytes a record may have.
        max: usize,
    },
    /// It is the error record of an earlier run, which comes out as it is.
    Passed {
        /// The whole line, without the newline.
        record: Slice,
    },
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// What it should have been.
    pub expected: Requirement,
    /// Its line in its source, from 1, blank lines counted.
    pub line: u64,
    /// The byte of that line at which it goes wrong, from 1.
    pub column: usize,
    /// What is wrong there; of several sources, in which one.
    pub message: String,
}

/// What a record must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// One JSON value.
    Json,
    /// UTF-8.
    Text,
    /// A row of CSV with the fields that the first row names.
    Csv,
    /// The same of TSV.
    Tsv,
    /// What this option takes: an object that has what it asks for.
    Object(&'static str),
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json => f.write_str("JSON"),
            Self::Text => f.write_str("text"),
            Self::Csv => f.write_str("CSV"),
            Self::Tsv => f.write_str("TSV"),
            Self::Object(option) => write!(f, "input for {option}"),
        }
    }
}

impl Requirement {
    /// What records of this format must be in any case.
    fn of(format: Format) -> Self {
        match format {
            Format::Jsonl => Self::Json,
            Format::Lines => Self::Text,
            Format::Csv => Self::Csv,
            Format::Tsv => Self::Tsv,
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            expected,
            line,
            column,
            message,
        } = self;
        write!(
            f,
            "not valid {expected}: {message} at line {line} column {column}"
        )
    }
}

/// Why the input ended before its end.
#[derive(Debug)]
pub struct ReadError {
    /// The path of the file, or "standard input".
    pub file: String,
    /// What went wrong.
    pub error: io::Error,
    /// Bytes that had been read of a record whose end never came. They are no record, for nobody
    /// knows what is missing, and take no index.
    pub unfinished: usize,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}: {}", self.file, self.error)?;
        match self.unfinished {
            0 => Ok(()),
            bytes => write!(
                f,
                " (the last {bytes} bytes, an unfinished record, are left out)"
            ),
        }
    }
}

/// A named pipe that nobody writes to yet.
#[derive(Debug)]
pub struct AwaitedFile(PathBuf);

impl fmt::Display for AwaitedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "--input {} is a named pipe that nobody writes to: its writer is waited for",
            visible::name(&self.0)
        )
    }
}

/// How the input differs from what was read of it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The index after the last record that was read before.
    pub known: Index,
    /// The index after the last record that has been read now.
    pub found: Index,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { known, found } = self;
        f.write_str("the input has changed since the journal of --resume was written: ")?;
        if found < known {
            write!(
                f,
                "it has {found} records now, and {known} were read before"
            )?;
        } else {
            write!(
                f,
                "its first {known} records are not the same (a last line without a newline is a record, and \
                 another one once it has grown)"
            )?;
        }
        f.write_str("; give the same input, or begin anew with another journal and output")
    }
}

/// Where records come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputSource {
    /// Standard input.
    Stdin,
    /// A file, opened when its turn comes.
    File(PathBuf),
    /// A part of a regular file.
    Part(FilePart),
}

impl fmt::Display for InputSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => f.write_str(&visible::name(path)),
            Self::Part(part) => part.fmt(f),
        }
    }
}

impl InputSource {
    /// Its name, with where the lines begin that are counted in it: the lines of rows are those of the
    /// whole file, which is read from its beginning.
    fn counted_name(&self, shape: Shape) -> String {
        match self {
            Self::Part(part) if shape.format.delimiter().is_some() => visible::name(&part.path),
            _ => self.to_string(),
        }
    }
}

/// The engine is gone: nobody takes arrivals any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// How many bytes of the input belong to no record that is sent on: blank lines, byte order marks,
/// records that are too large. Below 0 where records have more bytes than what they were read from,
/// as rows of CSV have. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct LeftOut(Arc<AtomicI64>);

impl LeftOut {
    /// The bytes so far.
    pub fn bytes(&self) -> i64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as i64, Relaxed);
    }

    /// A record of `bytes` was read from so many.
    fn correct(&self, read: u64, bytes: usize) {
        self.0.fetch_add(read as i64 - bytes as i64, Relaxed);
    }
}

/// Reads `sources` to their end and hands what they hold to `send`, which may block. Returns after
/// the last arrival, or as soon as `send` finds the engine gone. What is left out is counted.
pub fn read_all(
    sources: Vec<InputSource>,
    shape: Shape,
    budget: Budget,
    left_out: LeftOut,
    mut send: impl FnMut(Arrival) -> Result<(), Gone>,
) {
    let mut cutter = Cutter::new(shape, budget, &mut send);
    cutter.count_in(left_out);
    let mut end = Arrival::End;
    let mut names = None;
    for source in &sources {
        cutter.turn_to(source, sources.len() - 1);
        match source::read(source, &mut cutter, &mut names) {
            Ok(()) => {}
            Err(Stop::Gone) => return,
            Err(Stop::Failed { error, unfinished }) => {
                let file = source.counted_name(shape);
                end = Arrival::Failed(ReadError {
                    file,
                    error,
                    unfinished,
                });
                break;
            }
        }
    }
    // The buffer is freed first, so that the end finds only what is still under way.
    drop(cutter);
    // Where nobody takes it, nobody misses it.
    let _ = send(end);
}

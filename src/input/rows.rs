//! Rows of CSV as records: each an object of strings on a line, under the names of the first row.
//!
//! Always: each file names its fields, all the same ones; a row is one record wherever its line ends
//! are, and what is wrong with it is said with the line on which it begins. A part of a file is found
//! by reading what stands before it, for a line end may be data.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use memchr::memchr_iter;
use serde_json::Value;

use super::cut::{Cutter, Stop};
use super::kind::{Kind, OddSource};
use super::{Gone, InputSource};
use crate::input::Arrival;
use crate::object::Key;
use crate::shape::Shape;

/// A first row longer than this is looked at only when the file is read.
const MOST_NAMES: usize = 1 << 20;

/// What the first row of the files names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// As they are.
    names: Vec<String>,
    /// As they stand in an object, with the colon.
    keys: Vec<u8>,
    ends: Vec<usize>,
}

/// Whether these files, which are there, name the same fields, each but once.
///
/// # Errors
/// What is wrong, and with which file.
pub fn check_names(paths: &[&Path], shape: Shape) -> Result<(), (PathBuf, io::Error)> {
    let Some(delimiter) = shape.format.delimiter() else {
        return Ok(());
    };
    let mut first: Option<Names> = None;
    for path in paths {
        let failed = |error| ((*path).to_owned(), error);
        let file = File::open(path).map_err(failed)?;
        let named = |error| failed(name_kind(error, path, &file, shape));
        let Some(names) = read_names(&file, delimiter).map_err(named)? else {
            continue;
        };
        names.require(shape.field).map_err(failed)?;
        match &first {
            None => first = Some(names),
            Some(first) => first.compare(&names).map_err(failed)?,
        }
    }
    Ok(())
}

/// Adds to why a file has no names what it is instead, where that is known.
fn name_kind(error: io::Error, path: &Path, file: &File, shape: Shape) -> io::Error {
    let mut bytes = [0; 4096];
    let count = file.read_at(&mut bytes, 0).unwrap_or(0);
    match Kind::of(&bytes[..count], shape) {
        Some(kind) => {
            let source = InputSource::File(path.to_owned());
            unusable(format!("{error} ({})", OddSource { source, kind }))
        }
        None => error,
    }
}

/// The names of a file, if they are not longer than a record may be by far.
fn read_names(mut file: &File, delimiter: u8) -> io::Result<Option<Names>> {
    let mut csv = ReaderBuilder::new().delimiter(delimiter).build();
    let (mut row, mut bytes) = (Row::new(), [0; 4096]);
    let mut is_over = false;
    while row.bytes.len() < MOST_NAMES && !is_over {
        let count = match file.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        is_over = count == 0;
        // The end of a line ends the first row, where that is all there is.
        let mut input = if is_over { b"\n" } else { &bytes[..count] };
        while !input.is_empty() {
            let (result, read) = row.step(&mut csv, input, MOST_NAMES);
            input = &input[read..];
            if result == ReadRecordResult::Record {
                return Names::of(&row).map(Some);
            }
        }
    }
    Ok(None)
}

/// Why a file of rows cannot be read on.
fn unusable(fault: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault.into())
}

impl Names {
    fn of(row: &Row) -> io::Result<Self> {
        let mut names = Self::default();
        let mut known = HashSet::new();
        for field in row.fields() {
            let Ok(name) = str::from_utf8(field) else {
                return Err(unusable(
                    "its first row, which names the fields, is not UTF-8",
                ));
            };
            if !known.insert(name) {
                let name = Value::from(name);
                return Err(unusable(format!("its first row names {name} twice")));
            }
            names.names.push(name.to_owned());
            write_string(name, &mut names.keys);
            names.keys.push(b':');
            names.ends.push(names.keys.len());
        }
        Ok(names)
    }

    /// Whether a file names the same fields.
    fn compare(&self, other: &Self) -> io::Result<()> {
        if self == other {
            return Ok(());
        }
        let (first, own) = (Value::from(&*self.names), Value::from(&*other.names));
        Err(unusable(format!(
            "its first row names {own}, and that of the first file {first}: all must name the same fields"
        )))
    }

    /// Whether the field is there that is sent alone.
    fn require(&self, field: Option<Key>) -> io::Result<()> {
        match field {
            Some(key) if !self.names.iter().any(|name| name == key.name()) => {
                let (key, names) = (Value::from(key.name()), Value::from(&*self.names));
                Err(unusable(format!(
                    "its first row names {names} and no field {key} (--field)"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Appends the object of a row, where it can be one.
    fn write(&self, row: &Row, to: &mut Vec<u8>) -> Result<(), String> {
        if row.count() != self.names.len() {
            let count = row.count();
            let fields = if count == 1 { "field" } else { "fields" };
            let named = self.names.len();
            return Err(format!(
                "{count} {fields} where the first row names {named}"
            ));
        }
        to.push(b'{');
        let mut start = 0;
        for (field, end) in row.fields().zip(&self.ends) {
            let text = str::from_utf8(field).map_err(|_| "invalid UTF-8")?;
            if start > 0 {
                to.push(b',');
            }
            to.extend_from_slice(&self.keys[start..*end]);
            write_string(text, to);
            start = *end;
        }
        to.extend_from_slice(b"}\n");
        Ok(())
    }
}

fn write_string(text: &str, to: &mut Vec<u8>) {
    serde_json::to_writer(to, text).expect("a Vec takes everything");
}

/// A row that is being read.
#[derive(Debug)]
struct Row {
    /// Its fields without quotes, one behind the other.
    bytes: Vec<u8>,
    filled: usize,
    ends: Vec<usize>,
    ended: usize,
    /// More fields than this are counted, and not kept.
    most: usize,
    dropped: usize,
    /// Where it begins in the file, and on which line.
    start: u64,
    line: u64,
    /// What it was read from, as far as that lay in earlier reads.
    raw: Vec<u8>,
    /// Whether that is only its beginning.
    is_cut: bool,
    is_too_large: bool,
}

impl Row {
    fn new() -> Self {
        Self {
            bytes: vec![0; 4096],
            filled: 0,
            ends: vec![0; 32],
            ended: 0,
            most: usize::MAX,
            dropped: 0,
            start: 0,
            line: 1,
            raw: Vec::new(),
            is_cut: false,
            is_too_large: false,
        }
    }

    fn count(&self) -> usize {
        self.dropped + self.ended
    }

    fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ends = self.ends[..self.ended].iter();
        starts.zip(ends).map(|(start, end)| &self.bytes[start..*end])
    }

    /// The next row begins.
    fn begin(&mut self, start: u64, line: u64) {
        self.filled = 0;
        self.ended = 0;
        self.dropped = 0;
        self.start = start;
        self.line = line;
        self.raw.clear();
        self.is_cut = false;
        self.is_too_large = false;
    }

    /// Parses on. Gives how far.
    fn step(&mut self, csv: &mut Reader, bytes: &[u8], max: usize) -> (ReadRecordResult, usize) {
        let (result, read, written, ended) = csv.read_record(
            bytes,
            &mut self.bytes[self.filled..],
            &mut self.ends[self.ended..],
        );
        self.filled += written;
        self.ended += ended;
        match result {
            ReadRecordResult::OutputFull => self.grow(max),
            ReadRecordResult::OutputEndsFull if self.ended > self.most => {
                self.dropped += std::mem::take(&mut self.ended);
            }
            ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            ReadRecordResult::InputEmpty | ReadRecordResult::Record | ReadRecordResult::End => {}
        }
        (result, read)
    }

    /// There is no room for its bytes: it gets more, up to `max`, or is too large.
    fn grow(&mut self, max: usize) {
        if self.filled > max {
            self.is_too_large = true;
            self.filled = 0;
        } else {
            let more = (self.bytes.len() * 2).min(max + 1).max(self.bytes.len() + 1);
            self.bytes.resize(more, 0);
        }
    }

    /// Keeps what it was read from.
    fn keep_raw(&mut self, mut bytes: &[u8], max: usize) {
        if self.raw.is_empty() {
            // Empty lines stand before it, or the rest of the line end of the row before.
            let is_end = |byte: &&u8| matches!(**byte, b'\r' | b'\n');
            let (ends, own) = bytes.split_at(bytes.iter().take_while(is_end).count());
            self.line += memchr_iter(b'\n', ends).count() as u64;
            bytes = own;
        }
        // The line end comes beside what a record may have.
        let room = (max + 1).saturating_sub(self.raw.len());
        self.is_cut |= bytes.len() > room;
        self.raw.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// Reads the rows of a file, of which those are wanted that begin in the range.
pub(super) struct RowReader<'a, S> {
    cutter: &'a mut Cutter<S>,
    csv: Reader,
    /// What the files before have named.
    names: &'a mut Option<Names>,
    has_names: bool,
    range: Range<u64>,
    row: Row,
    /// How many bytes of the file have been looked at.
    place: u64,
    json: Vec<u8>,
    block: usize,
    max: usize,
}

impl<'a, S: FnMut(Arrival) -> Result<(), Gone>> RowReader<'a, S> {
    pub(super) fn new(
        cutter: &'a mut Cutter<S>,
        delimiter: u8,
        names: &'a mut Option<Names>,
        range: Option<Range<u64>>,
        block: usize,
    ) -> Self {
        let max = cutter.max_record();
        Self {
            cutter,
            csv: ReaderBuilder::new().delimiter(delimiter).build(),
            names,
            has_names: false,
            range: range.unwrap_or(0..u64::MAX),
            row: Row::new(),
            place: 0,
            json: Vec::new(),
            block,
            max,
        }
    }

    /// Reads all of them through `fill`, which appends one read of at most so many bytes.
    pub(super) fn read(
        mut self,
        mut fill: impl FnMut(&mut Vec<u8>, usize) -> io::Result<usize>,
    ) -> Result<(), Stop> {
        self.cutter.begin_rows(self.block);
        let mut chunk = Vec::with_capacity(self.block);
        let mut is_first = true;
        loop {
            chunk.clear();
            let count = match fill(&mut chunk, self.block) {
                Ok(count) => count,
                Err(error) => {
                    return Err(Stop::Failed {
                        error,
                        unfinished: self.row.filled,
                    });
                }
            };
            if count == 0 {
                break;
            }
            if std::mem::take(&mut is_first) {
                self.cutter.look_at_rows(&chunk)?;
            }
            if !self.take(&chunk)? {
                return Ok(());
            }
        }
        self.end()
    }

    /// Takes what was read. Gives whether more is wanted.
    fn take(&mut self, chunk: &[u8]) -> Result<bool, Stop> {
        let mut begin = 0;
        let mut at = 0;
        while at < chunk.len() {
            let (result, read) = self.step(&chunk[at..]);
            at += read;
            if result == ReadRecordResult::Record {
                if !self.finish_row(&chunk[begin..at])? {
                    self.cutter.send_rows(self.block)?;
                    return Ok(false);
                }
                begin = at;
            }
        }
        self.row.keep_raw(&chunk[begin..], self.max);
        self.cutter.send_rows(self.block)?;
        Ok(true)
    }

    /// Parses on. Gives how far.
    fn step(&mut self, bytes: &[u8]) -> (ReadRecordResult, usize) {
        let (result, read) = self.row.step(&mut self.csv, bytes, self.max);
        self.place += read as u64;
        (result, read)
    }

    /// The file has ended.
    fn end(mut self) -> Result<(), Stop> {
        // A line end finishes the last row, if it needs that, and is data only within quotes.
        let place = self.place;
        loop {
            let before = (self.row.filled, self.row.is_too_large);
            let (result, read) = self.step(b"\n");
            match result {
                ReadRecordResult::Record => {
                    self.place = place;
                    self.finish_row(b"")?;
                    break;
                }
                ReadRecordResult::InputEmpty
                    if before != (self.row.filled, self.row.is_too_large) =>
                {
                    let line = self.row.line;
                    return Err(Stop::failed(unusable(format!(
                        "a quote is never closed in the row that begins on line {line}"
                    ))));
                }
                ReadRecordResult::InputEmpty | ReadRecordResult::End => break,
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    debug_assert!(read <= 1);
                    if read == 1 {
                        break;
                    }
                }
            }
        }
        Ok(self.cutter.send_rows(self.block)?)
    }

    /// A row is whole, and `last` is the last of what it was read from. Gives whether more are
    /// wanted.
    fn finish_row(&mut self, last: &[u8]) -> Result<bool, Stop> {
        let is_first = !std::mem::replace(&mut self.has_names, true);
        let mut is_over = false;
        if is_first {
            self.take_names()?;
        } else if self.row.start >= self.range.end {
            is_over = true;
        } else if self.row.start >= self.range.start {
            self.pass_on(last)?;
        }
        if is_first || self.row.start < self.range.start {
            self.cutter.leave_out(self.place - self.row.start);
        }
        self.row.begin(self.place, self.csv.line());
        Ok(!is_over)
    }

    fn take_names(&mut self) -> Result<(), Stop> {
        if self.row.is_too_large {
            return Err(Stop::failed(unusable(
                "its first row is longer than --max-record",
            )));
        }
        let names = Names::of(&self.row).map_err(Stop::failed)?;
        names.require(self.cutter.field()).map_err(Stop::failed)?;
        self.row.most = names.names.len();
        match self.names {
            None => *self.names = Some(names),
            Some(first) => first.compare(&names).map_err(Stop::failed)?,
        }
        Ok(())
    }

    fn pass_on(&mut self, last: &[u8]) -> Result<(), Stop> {
        let bytes = self.place - self.row.start;
        if self.row.is_too_large {
            return Ok(self.cutter.reject_row_too_large(bytes, self.block)?);
        }
        let names = self.names.as_ref().expect("the first row has named the fields");
        self.json.clear();
        match names.write(&self.row, &mut self.json) {
            Ok(()) => self.cutter.push_row(&self.json, bytes, self.block)?,
            Err(fault) => {
                self.row.keep_raw(last, self.max);
                if self.row.is_cut {
                    return Ok(self.cutter.reject_row_too_large(bytes, self.block)?);
                }
                // White space may be fields of it, as tabs are; its line end is none of it.
                let raw = match &*self.row.raw {
                    [own @ .., b'\r' | b'\n'] => own,
                    raw => raw,
                };
                self.cutter.reject_row(raw, self.row.line, fault, bytes, self.block)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_have_no_name_are_counted_and_take_no_memory() {
        let mut csv = ReaderBuilder::new().build();
        let mut row = Row::new();
        row.most = 2;
        let text = ",".repeat(100_000) + "\n";
        let mut bytes = text.as_bytes();
        while !bytes.is_empty() {
            let (_, read) = row.step(&mut csv, bytes, 1000);
            bytes = &bytes[read..];
        }
        assert_eq!(row.count(), 100_001);
        assert!(row.ends.len() < 100, "{} ends", row.ends.len());
    }
}

//! Copying what one shard has written, with the indices that its records have in the whole input.
//!
//! Where results have no index, only error records have one. A result may look like an error record;
//! so those that look like one are counted against the failures of the journal, and where that does
//! not tell them apart nothing is joined.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use super::shards::DoneShard;
use crate::exit::{Status, Unusable};
use crate::journal::format::Extent;
use crate::journal::vouches_for;
use crate::outcome::Cause;
use crate::visible;

/// Bytes that are read at a time.
const BLOCK: usize = 256 << 10;

/// What a shard has written to one of its files.
#[derive(Debug)]
pub(super) struct ShardFile<'a> {
    done: &'a DoneShard,
    path: &'a Path,
    extent: Extent,
    form: Numbering,
    /// How many records come before it in the whole input.
    before: u64,
}

/// Which lines have an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbering {
    /// None.
    Plain,
    /// All, and some are error records.
    Envelopes,
    /// The error records among them.
    Mixed,
    /// All, and all are error records.
    ErrorRecords,
}

/// Why a part is not copied.
#[derive(Debug)]
pub(super) enum CopyFault {
    /// It cannot be written.
    Write(io::Error),
    /// It cannot be read, or is not what it should be.
    Refused(Unusable),
}

impl<'a> ShardFile<'a> {
    /// The outputs of these shards, which are all.
    pub(super) fn of_outputs(done: &'a [DoneShard]) -> Vec<Self> {
        let part = |done: &'a DoneShard| {
            let form = match (
                done.has_envelopes(),
                done.errors.is_some() || done.failed() == 0,
            ) {
                (true, _) => Numbering::Envelopes,
                (false, true) => Numbering::Plain,
                (false, false) => Numbering::Mixed,
            };
            (&*done.output, done.past.output, form)
        };
        Self::of(done, part)
    }

    /// Their files of `--errors`, which all of them have.
    pub(super) fn of_errors(done: &'a [DoneShard]) -> Vec<Self> {
        let part = |done: &'a DoneShard| {
            let path = done.errors.as_deref().expect("each shard has a file of --errors");
            (path, done.past.errors, Numbering::ErrorRecords)
        };
        Self::of(done, part)
    }

    fn of(
        done: &'a [DoneShard],
        part: impl Fn(&'a DoneShard) -> (&'a Path, Extent, Numbering),
    ) -> Vec<Self> {
        let mut before = 0;
        let mut parts = Vec::with_capacity(done.len());
        for done in done {
            let (path, extent, form) = part(done);
            parts.push(Self {
                done,
                path,
                extent,
                form,
                before,
            });
            before += done.records();
        }
        parts
    }

    /// Copies it.
    pub(super) fn copy(&self, out: &mut impl Write) -> Result<(), CopyFault> {
        let file = File::open(self.path).map_err(|error| self.unreadable(&error))?;
        let mut bytes = (&file).take(self.extent.bytes);
        // The indices of the first shard are those of the whole input.
        if self.before == 0 || self.form == Numbering::Plain {
            copy_all(&mut bytes, out, |error| self.unreadable(&error))?;
        } else {
            self.renumber(BufReader::with_capacity(BLOCK, bytes), out)?;
        }
        // A task may have begun anew since the journal was read.
        match vouches_for(&file, self.extent) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.refused("has changed meanwhile")),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    fn renumber(&self, mut bytes: impl BufRead, out: &mut impl Write) -> Result<(), CopyFault> {
        let separator = self.done.separator();
        let mut counts = IndexCounts::default();
        let mut line = Vec::new();
        loop {
            let block = match bytes.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(|error| self.unreadable(&error))?,
            };
            if block.is_empty() {
                break;
            }
            let mut from = 0;
            for last in memchr::memchr_iter(separator, block) {
                self.renumber_line(&block[from..=last], &mut counts, out)?;
                from = last + 1;
            }
            if from > 0 {
                bytes.consume(from);
                continue;
            }
            // Its end is in another block.
            line.clear();
            let read = bytes.read_until(separator, &mut line);
            read.map_err(|error| self.unreadable(&error))?;
            self.renumber_line(&line, &mut counts, out)?;
        }
        if self.form != Numbering::ErrorRecords && counts.lines != self.lines() {
            let text = format!("has {} lines and not {}", counts.lines, self.lines());
            return Err(self.refused(&text));
        }
        if counts.errors != self.failures() {
            return Err(self.refused(&format!(
                "has {} lines that look like error records, and {} records failed: results that look \
                 like error records cannot be told from them; run the shards with --errors or with \
                 --output-format envelope",
                counts.errors,
                self.failures()
            )));
        }
        Ok(())
    }

    fn renumber_line(
        &self,
        line: &[u8],
        counts: &mut IndexCounts,
        out: &mut impl Write,
    ) -> Result<(), CopyFault> {
        let write = match self.index_of(line, counts.lines) {
            Some(numbered) => {
                counts.errors += u64::from(numbered.is_error);
                let (head, rest) = (&line[..numbered.place], &line[numbered.end..]);
                let index = numbered.index + self.before;
                (out.write_all(head))
                    .and_then(|()| write!(out, "{index}"))
                    .and_then(|()| out.write_all(rest))
            }
            None if self.form == Numbering::Mixed => out.write_all(line),
            None => {
                let text = format!(
                    "holds something else than records in line {}",
                    counts.lines + 1
                );
                return Err(self.refused(&text));
            }
        };
        counts.lines += 1;
        write.map_err(CopyFault::Write)
    }

    /// How many lines the output has.
    fn lines(&self) -> u64 {
        self.done.results() + self.failures()
    }

    /// Whether each line is the outcome of a record of its own, in their order.
    fn has_line_for_each(&self) -> bool {
        self.done.is_in_order() && self.done.results() + self.done.failed() == self.done.records()
    }

    /// How many error records the file has.
    fn failures(&self) -> u64 {
        match (self.form, self.done.errors.is_some()) {
            (Numbering::ErrorRecords, _) | (_, false) => self.done.failed(),
            (_, true) => 0,
        }
    }

    /// The index of a line, the first of which has the number 0, where it has one.
    fn index_of(&self, line: &[u8], number: u64) -> Option<Numbered> {
        let error = error_record(line).map(|place| (place, true));
        let result = || {
            let prefix = b"{\"index\":";
            let is_envelope = self.form == Numbering::Envelopes && line.starts_with(prefix);
            is_envelope.then_some((prefix.len(), false))
        };
        let (place, is_error) = error.or_else(result)?;
        let digits = line[place..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let index: u64 = str::from_utf8(&line[place..place + digits]).ok()?.parse().ok()?;
        let is_in_place =
            !self.has_line_for_each() || self.form != Numbering::Mixed || index == number;
        let is_own = index < self.done.records() && line.get(place + digits) == Some(&b',');
        (is_own && is_in_place).then_some(Numbered {
            index,
            place,
            end: place + digits,
            is_error,
        })
    }

    fn unreadable(&self, error: &io::Error) -> CopyFault {
        self.refused(&format!("cannot be read: {error}"))
    }

    fn refused(&self, fault: &str) -> CopyFault {
        let name = visible::name(self.path);
        CopyFault::Refused(Unusable::new(
            Status::Fault,
            format!(
                "{name}, of shard {}, {fault}; nothing is joined",
                self.done.shard
            ),
        ))
    }
}

/// What has been copied of a file.
#[derive(Default)]
struct IndexCounts {
    lines: u64,
    errors: u64,
}

/// The index of a line, and where it stands.
struct Numbered {
    index: u64,
    place: usize,
    end: usize,
    is_error: bool,
}

/// Where the index stands in a line that looks like an error record.
fn error_record(line: &[u8]) -> Option<usize> {
    let rest = line.strip_prefix(b"{\"mtask_error\":\"")?;
    let kind = Cause::KINDS.into_iter().find(|kind| {
        let rest = rest.strip_prefix(kind.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"\",\"index\":"))
    })?;
    Some(b"{\"mtask_error\":\"".len() + kind.len() + b"\",\"index\":".len())
}

/// Copies all bytes.
fn copy_all(
    bytes: &mut impl Read,
    out: &mut impl Write,
    unreadable: impl Fn(io::Error) -> CopyFault,
) -> Result<(), CopyFault> {
    let mut block = vec![0; BLOCK];
    loop {
        match bytes.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(count) => out.write_all(&block[..count]).map_err(CopyFault::Write)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
}

//! The end of what was tried again: its outcomes take the places of the error records.
//!
//! In input order they stand where the error records stood, unordered behind all others. What is in
//! the way of that, a file that has changed meanwhile for one, is found before anything is changed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::iter::Peekable;
use std::path::Path;

use super::{RetriedRun, STANDS, read_again};
use crate::exit::{Status, Unusable};
use crate::journal::format::{
    self, Entry, Extent, Header, Past, Ready, write_header, written_places,
};
use crate::journal::keeper::tail;
use crate::journal::open::{is_at, unreadable};
use crate::journal::{terms, vouches_for};
use crate::outcome::{Place, Places};
use crate::output::NewFile;
use crate::record::Separator;
use crate::visible;

/// Bytes that are read and written at a time.
const BLOCK: usize = 256 << 10;
/// An output of so many bytes takes a while to be written.
const MUCH: u64 = 1 << 28;
/// So many places are in a line of a journal.
const PLACES: usize = 100_000;
/// What an error record begins with.
const ERROR_MARK: &[u8] = b"{\"mtask_error\":\"";

/// What has become of what was tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retried {
    /// It has taken its place.
    All,
    /// Not all is tried yet.
    Unfinished,
}

impl RetriedRun {
    /// Ends it, where all is tried: then the outcomes take the places of the error records. Tells
    /// people what is waited for, where that may take a while.
    ///
    /// # Errors
    /// 1 where a file cannot be written, or is not what it was: then all is as it was.
    pub fn end(self, tell: impl Fn(&str)) -> Result<Retried, Unusable> {
        let again = read_again(&self.beside.again.journal, &self.past)?;
        let Some(again) = again.filter(|again| again.is_whole) else {
            return Ok(Retried::Unfinished);
        };
        self.check_unchanged(&again)?;
        if self.past.output.bytes >= MUCH {
            tell(&format!(
                "{} is written anew: {} bytes",
                visible::name(&self.failed.paths.output),
                self.past.output.bytes
            ));
        }
        let output = NewFile::create(Some(&self.beside.rewritten), STANDS)?;
        output.be_read_as(&self.failed.output);
        let mut out = BufWriter::with_capacity(BLOCK, output.writer());
        let failed_at = self.splice(&again, &mut out).and_then(|failed_at| {
            out.flush().map_err(CopyFault::Write)?;
            Ok(failed_at)
        });
        let failed_at = failed_at.map_err(|fault| match fault {
            CopyFault::Write(error) => output.failed(&error),
            CopyFault::Refused(refused) => refused,
        })?;
        drop(out);
        output.put_in_place()?;
        let extent = extent(&self.beside.rewritten)
            .map_err(|error| changed(&self.beside.rewritten, &error.to_string()))?;
        let past = self.begin_anew(&again, extent, &failed_at)?;
        self.beside.take_their_places(&self.failed.paths, &past)?;
        Ok(Retried::All)
    }

    /// The files are still those that have been opened, and as long.
    fn check_unchanged(&self, again: &Past) -> Result<(), Unusable> {
        let failed = &self.failed;
        let errors = failed.errors.as_ref().zip(failed.paths.errors.as_deref());
        let files = [
            Some((&failed.journal, &*failed.paths.journal)),
            Some((&failed.output, &*failed.paths.output)),
            errors,
        ];
        for (file, path) in files.into_iter().flatten() {
            if !is_at(file, path) {
                return Err(changed(path, "is another file"));
            }
        }
        // What takes the place of the error records as it is.
        if let Some(path) = &self.beside.again.errors {
            let is_whole = File::open(path).and_then(|file| vouches_for(&file, again.errors));
            if !is_whole.map_err(|error| changed(path, &error.to_string()))? {
                return Err(changed(path, "holds something else"));
            }
        }
        Ok(())
    }

    /// Writes the output, with the outcomes of `again` in the places of the error records; gives where
    /// the failures are in it.
    fn splice(&self, again: &Past, out: &mut impl Write) -> Result<Places, CopyFault> {
        let again_path = &self.beside.again.output;
        let again_file = File::open(again_path)
            .map_err(|error| CopyFault::Refused(changed(again_path, &error.to_string())))?;
        let mut old = CopiedFile::new(&self.failed.output, &self.failed.paths.output);
        let mut new = CopiedFile::new(&again_file, again_path);
        let mut places = AgainPlaces {
            results: again.done.results_at.iter().peekable(),
            failed: again.done.failed_at.iter().peekable(),
        };
        let mut failed_at = Places::default();
        let is_in_order = self.past.is_in_order();
        for place in self.past.done.failed_at.iter() {
            old.copy_to(place.at, out)?;
            old.skip_errors(place, self.separator)?;
            if is_in_order {
                let end = places.take_until(place.end(), &new, &old, &mut failed_at);
                new.copy_to(end, out)?;
            }
        }
        old.copy_to(self.past.output.bytes, out)?;
        places.take_until(u64::MAX, &new, &old, &mut failed_at);
        new.copy_to(again.output.bytes, out)?;
        // Nobody else has written to them meanwhile.
        old.check(self.past.output)?;
        new.check(again.output)?;
        Ok(failed_at)
    }

    /// Writes the journal of what has come of it, which decides.
    fn begin_anew(
        &self,
        again: &Past,
        output: Extent,
        failed_at: &Places,
    ) -> Result<Past, Unusable> {
        let path = &self.failed.paths.journal;
        let header = Header {
            id: terms::new_id(),
            files: terms::files(&self.failed.paths),
            terms: self.past.header.terms.clone(),
            command: again.header.command.clone(),
            made_from: Some(again.header.id),
        };
        let journal = NewFile::create(Some(path), STANDS)?;
        let mut lines = BufWriter::new(journal.writer());
        let (first, mut chain) = write_header(&header);
        let entries = self.entries(again, output, failed_at);
        let written = lines.write_all(&first).and_then(|()| {
            entries.into_iter().try_for_each(|entry| lines.write_all(&chain.entry(entry)))?;
            lines.flush()
        });
        written.map_err(|error| journal.failed(&error))?;
        drop(lines);
        journal.put_in_place()?;
        let read = File::open(path).map(|file| format::read(BufReader::new(file)));
        match read {
            Ok(Ok(Some(past))) => Ok(past),
            Ok(Ok(None)) => Err(changed(path, "is empty")),
            Ok(Err(fault)) => Err(unreadable(fault, &visible::name(path))),
            Err(error) => Err(changed(path, &error.to_string())),
        }
    }

    /// What the journal is to say: of all records, and of all failures where they stand.
    fn entries(&self, again: &Past, output: Extent, failed_at: &Places) -> Vec<Entry> {
        let mut done = self.past.done.ranges.clone();
        for range in again.done.ranges.without(&self.past.done.ranges).iter() {
            assert!(done.insert(range), "only what is new is added");
        }
        let entry = || Entry {
            protocol_violations: again.worker_faults.protocol_violations,
            strays: again.worker_faults.strays,
            bad_ends: again.worker_faults.bad_ends,
            output,
            errors: self.failed.errors.as_ref().map(|_| again.errors),
            input: again.input,
            whole: true,
            ..Entry::default()
        };
        let failed = again.done.failed.iter();
        let mut entries = vec![Entry {
            done: done.iter().map(|range| (range.start, range.end - range.start)).collect(),
            failed: failed.map(|(kind, count)| ((*kind).into(), *count)).collect(),
            parts: Some(self.past.done.parts + again.done.parts),
            in_doubt: again.doubts.ranges().to_vec(),
            ..entry()
        }];
        entries.extend(again.ready.iter().map(|(command, took)| Entry {
            ready: Some(Ready {
                command: *command,
                took: took.as_millis() as u64,
            }),
            ..entry()
        }));
        let places = written_places(failed_at, 0);
        entries.extend(places.chunks(PLACES).map(|places| Entry {
            failed_at: places.to_vec(),
            ..entry()
        }));
        entries
    }
}

/// Why the output is not rewritten.
enum CopyFault {
    /// It cannot be.
    Write(io::Error),
    /// What it is made of cannot be read, or is not what it was.
    Refused(Unusable),
}

/// A file that is copied from its beginning on.
struct CopiedFile<'a> {
    bytes: BufReader<&'a File>,
    path: &'a Path,
    /// How far it has been read, and how much of that has been copied.
    at: u64,
    copied: u64,
}

impl<'a> CopiedFile<'a> {
    fn new(file: &'a File, path: &'a Path) -> Self {
        Self {
            bytes: BufReader::with_capacity(BLOCK, file),
            path,
            at: 0,
            copied: 0,
        }
    }

    /// Copies it up to there.
    fn copy_to(&mut self, at: u64, out: &mut impl Write) -> Result<(), CopyFault> {
        self.copied += at - self.at;
        self.read_to(at, |block| out.write_all(block).map_err(CopyFault::Write))
    }

    fn read_to(
        &mut self,
        at: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), CopyFault>,
    ) -> Result<(), CopyFault> {
        while self.at < at {
            let block = match self.bytes.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok([]) => return Err(self.refused("has become shorter")),
                Ok(block) => block,
                Err(error) => return Err(refused(self.path, &error.to_string())),
            };
            let count = block.len().min(usize::try_from(at - self.at).unwrap_or(usize::MAX));
            take(&block[..count])?;
            self.bytes.consume(count);
            self.at += count as u64;
        }
        Ok(())
    }

    /// Leaves out the error records that have this place, if they are here.
    fn skip_errors(&mut self, place: Place, separator: Separator) -> Result<(), CopyFault> {
        let (mut read, mut last) = (0, separator.byte());
        let mut is_error = true;
        self.read_to(place.end_at(), |block| {
            let mark = ERROR_MARK.get(read..).unwrap_or_default();
            is_error &= mark.iter().zip(block).all(|(expected, found)| expected == found);
            read += block.len();
            last = block.last().copied().unwrap_or(last);
            Ok(())
        })?;
        if is_error && last == separator.byte() {
            return Ok(());
        }
        let fault = format!("has no error record at byte {}", place.at);
        Err(self.refused(&fault))
    }

    /// What was read is what a journal vouches for, as far as that can be told.
    fn check(&self, extent: Extent) -> Result<(), CopyFault> {
        let file = *self.bytes.get_ref();
        match tail(file, extent.bytes) {
            Ok(_) if extent.bytes == 0 => Ok(()),
            Ok(tail) if tail == extent.tail => Ok(()),
            Ok(_) => Err(self.refused("holds something else")),
            Err(error) => Err(self.refused(&error.to_string())),
        }
    }

    fn refused(&self, fault: &str) -> CopyFault {
        refused(self.path, fault)
    }
}

fn refused(path: &Path, fault: &str) -> CopyFault {
    CopyFault::Refused(changed(path, fault))
}

/// Where the outcomes of what was tried again stand.
struct AgainPlaces<I: Iterator<Item = Place>> {
    results: Peekable<I>,
    failed: Peekable<I>,
}

impl<I: Iterator<Item = Place>> AgainPlaces<I> {
    /// Takes those of records below `bound`, which follow what has been copied of `new`, and are to
    /// stand behind what has been copied of both; notes where failures will be. Gives where they end.
    fn take_until(
        &mut self,
        bound: u64,
        new: &CopiedFile<'_>,
        old: &CopiedFile<'_>,
        failed_at: &mut Places,
    ) -> u64 {
        let mut end = new.at;
        while let Some(place) = self.results.next_if(|place| place.first < bound) {
            end = end.max(place.end_at());
        }
        while let Some(place) = self.failed.next_if(|place| place.first < bound) {
            end = end.max(place.end_at());
            failed_at.push(Place {
                at: old.copied + place.at,
                ..place
            });
        }
        end
    }
}

/// What a file holds whose bytes are all there.
fn extent(path: &Path) -> io::Result<Extent> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let tail = tail(&file, bytes)?;
    Ok(Extent { bytes, tail })
}

fn changed(path: &Path, how: &str) -> Unusable {
    Unusable::new(
        Status::Fault,
        format!(
            "{} {how}, and was not so when what failed was begun to be tried again: restore it; {STANDS}",
            visible::name(path)
        ),
    )
}

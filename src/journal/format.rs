//! The form of a journal: a line that says what the run is, then a line for each time that outcomes
//! were found safe in the output, or are to go to files of other names.
//!
//! Each line begins with a checksum of what follows it, so that a line that is not whole is known.
//! Only the last one may be: it was being written when the machine stopped, and is left out. Each
//! line names the one before by its checksum, and the first has a number that no other journal has:
//! a line that is lost, doubled, moved or of another journal is known too. A line is JSON, for
//! people. Lines only ever add: what they say together is [`Past`]. Pure; owns no state.

mod again;
mod places;

use std::collections::BTreeMap;
use std::io::{BufRead, Read};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(super) use again::RETRY_FAILED;
pub use places::KeptPlaces;
pub(super) use places::written_places;

use crate::outcome::{Cause, Done};
use crate::record::Index;
use crate::schedule::{Doubts, WorkerFaults};
use places::WrittenPlace;

/// What a journal begins with; the version follows.
const MAGIC: &str = "mtask-journal ";
/// The version that is written and read.
const VERSION: &str = "4";
/// The most bytes of a line, for a file that is no journal could be one line. The first line holds
/// a command line, of which systems take some megabytes at most; an entry, some 100 000 ranges.
const MAX_LINE: usize = 64 << 20;
/// The characters of a checksum.
const SUM: usize = 16;
/// More processes that failed than a run can have.
const MOST_LAPSES: u64 = 1 << 48;
/// No process is waited for longer than a multiple of this.
const LONGEST_START: Duration = Duration::from_secs(86_400);
/// The term that says whether outcomes come in the order of the input.
pub(super) const UNORDERED: &str = "--unordered";
/// The term that says which shard of the input the outcomes are of.
pub const SHARD: &str = "--shard";

/// What a run is, as far as the same files can only come of the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// What this journal has and no other, so that none of its lines fits into another.
    pub id: u64,
    /// The options that decide what is written, with their values.
    pub terms: BTreeMap<String, String>,
    /// Where the outcomes were written at first.
    pub files: Files,
    /// COMMAND and its arguments as they were typed. It may change.
    pub command: Vec<String>,
    /// The journal of what was tried again from which this one was made, by its id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub made_from: Option<u64>,
}

/// The paths of the outputs, in a form that means the same in every directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// The output.
    pub output: String,
    /// The file of `--errors`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub errors: Option<String>,
}

/// How much of a file is vouched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Its first so many bytes.
    pub bytes: u64,
    /// A hash of the last of them.
    pub tail: u64,
}

/// The beginning of the input, as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefix {
    /// Its first so many records.
    pub records: u64,
    /// A hash of them.
    pub hash: u64,
}

/// What has become safe since the line before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The checksum of the line before.
    pub after: String,
    /// Whose outcomes: first indices and counts.
    pub done: Vec<(u64, u64)>,
    /// How many of them failed, by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub failed: BTreeMap<String, u64>,
    /// How many of the others are error records of earlier runs, which came out as they are.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub passed: u64,
    /// How many results the others gave, where that is not one each.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parts: Option<u64>,
    /// Where in the output these failures stand: first indices, counts, first bytes and how many. Where
    /// error records go to a file of their own, it is where results would.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub failed_at: Vec<WrittenPlace>,
    /// And the results, in a journal of what has been tried again, where they are in input order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub results_at: Vec<WrittenPlace>,
    /// Processes that did not keep to one answer for each record, since the journal was begun.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub protocol_violations: u64,
    /// How often one wrote what nothing had asked for, since then.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub strays: u64,
    /// The first and the last index of the ranges of records whose results may stand in wrong
    /// places, all of them where there is a new one.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub in_doubt: Vec<(u64, u64)>,
    /// Processes that failed after they had answered everything, since then.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub bad_ends: u64,
    /// That COMMAND was ready, where that is new.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ready: Option<Ready>,
    /// What is now vouched for of the output.
    pub output: Extent,
    /// And of the file of `--errors`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub errors: Option<Extent>,
    /// The input that this was made from; all of what is done is in it.
    pub input: Prefix,
    /// That the input had ended and all of its records have their outcomes. What follows may take
    /// that back, for an input may grow.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub whole: bool,
    /// Where outcomes are written from now on, where that has changed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub files: Option<Files>,
}

/// A COMMAND was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// A hash of what was run.
    pub command: u64,
    /// How many milliseconds the slowest process took until then.
    pub took: u64,
}

/// Gives each line its place behind the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The checksum of the last line.
    last: String,
}

/// What a journal vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// What the run is.
    pub header: Header,
    /// Where the outcomes were written last.
    pub files: Files,
    /// Which records have their outcomes.
    pub done: Done,
    /// Processes that failed though no record did.
    pub worker_faults: WorkerFaults,
    /// The records whose results may stand in wrong places for that.
    pub doubts: Doubts,
    /// The part of the output that holds these outcomes.
    pub output: Extent,
    /// The part of the file of `--errors`.
    pub errors: Extent,
    /// The input they were made from.
    pub input: Prefix,
    /// All of the input has its outcomes.
    pub is_whole: bool,
    /// How long each COMMAND took until it was ready, by its hash, for those that once were.
    pub ready: BTreeMap<u64, Duration>,
    /// Whether [`Past::done`] knows places.
    pub places: KeptPlaces,
    /// What the next line follows.
    pub chain: Chain,
    /// The bytes of the journal that say so; the rest is a torn line.
    pub bytes: usize,
}

/// Why a file is not taken for a journal. Displays as a fragment to stand after its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalFault {
    /// It is something else.
    Foreign,
    /// It is a journal of another version.
    Version(String),
    /// A line that was once whole is not what it was: its number, from 1.
    Damaged(usize),
    /// A whole line does not follow the one before: its number, from 1.
    OutOfPlace(usize),
    /// It cannot be read, and why.
    Unreadable(String),
}

impl Past {
    /// A journal of nothing but a first line, of so many bytes.
    pub(super) fn begun(header: Header, chain: Chain, bytes: usize) -> Self {
        Self {
            files: header.files.clone(),
            header,
            done: Done::default(),
            worker_faults: WorkerFaults::default(),
            doubts: Doubts::default(),
            output: Extent::default(),
            errors: Extent::default(),
            input: Prefix::default(),
            is_whole: false,
            ready: BTreeMap::new(),
            places: KeptPlaces::None,
            chain,
            bytes,
        }
    }

    /// The line that says that outcomes are written to other files from now on.
    pub(super) fn write_files(&mut self) -> Vec<u8> {
        self.chain.entry(Entry {
            protocol_violations: self.worker_faults.protocol_violations,
            strays: self.worker_faults.strays,
            bad_ends: self.worker_faults.bad_ends,
            output: self.output,
            input: self.input,
            whole: self.is_whole,
            files: Some(self.files.clone()),
            ..Entry::default()
        })
    }

    /// Whether outcomes come in the order of the input.
    pub(super) fn is_in_order(&self) -> bool {
        self.header.terms.get(UNORDERED).is_none_or(|it| it == "no")
    }

    /// Adds what an entry says, if it can follow what is known.
    fn add(&mut self, entry: Entry) -> Option<()> {
        let errors = entry.errors.unwrap_or(self.errors);
        let worker_faults = WorkerFaults {
            protocol_violations: entry.protocol_violations,
            strays: entry.strays,
            bad_ends: entry.bad_ends,
        };
        let is_forward = entry.output.bytes >= self.output.bytes
            && errors.bytes >= self.errors.bytes
            && entry.input.records >= self.input.records
            && worker_faults.protocol_violations >= self.worker_faults.protocol_violations
            && worker_faults.strays >= self.worker_faults.strays
            && worker_faults.bad_ends >= self.worker_faults.bad_ends
            && worker_faults
                .protocol_violations
                .max(worker_faults.strays)
                .max(worker_faults.bad_ends)
                <= MOST_LAPSES;
        let is_news = !entry.done.is_empty()
            || !entry.failed_at.is_empty()
            || entry.files.is_some()
            || entry.ready.is_some()
            || entry.whole != self.is_whole
            || worker_faults != self.worker_faults;
        if !is_forward || !is_news {
            return None;
        }
        let before = self.done.results();
        for (first, count) in entry.done {
            let end = self.done.ranges.end();
            if self.is_in_order() && (first < end || first > end && !self.is_retry()) {
                return None;
            }
            let range = first..first.checked_add(count)?;
            self.done.ranges.insert(range).then_some(())?;
        }
        for (name, count) in entry.failed {
            let kind = Cause::KINDS.into_iter().find(|kind| *kind == name)?;
            let failed = self.done.failed.entry(kind).or_default();
            *failed = failed.checked_add(count)?;
        }
        let failures =
            (self.done.failed.values()).try_fold(0_u64, |sum, it| sum.checked_add(*it))?;
        (failures <= self.done.ranges.count()).then_some(())?;
        let parts = match entry.parts {
            Some(parts) => parts,
            None => self.done.results().checked_sub(before)?,
        };
        self.done.parts = self.done.parts.checked_add(parts)?;
        self.done.passed = self.done.passed.checked_add(entry.passed)?;
        (self.done.passed <= self.done.results().min(self.done.parts)).then_some(())?;
        self.add_places(&entry.failed_at, &entry.results_at, entry.output.bytes)?;
        // What no hash covers could be something else the next time.
        (self.done.ranges.end() <= entry.input.records).then_some(())?;
        (self.output, self.errors, self.input) = (entry.output, errors, entry.input);
        self.worker_faults = worker_faults;
        self.is_whole = entry.whole;
        for (first, last) in entry.in_doubt {
            self.doubts.insert(Index(first), Index(last));
        }
        if let Some(Ready { command, took }) = entry.ready {
            let took = Duration::from_millis(took).min(LONGEST_START);
            self.ready.insert(command, took);
        }
        if let Some(files) = entry.files {
            self.files = files;
        }
        Some(())
    }
}

/// Reads a journal; `None` where none was begun, or no more than its first line. Only one line is
/// held at a time.
///
/// # Errors
/// Where it cannot be read, or is no journal that can be gone on with.
pub fn read(journal: impl BufRead) -> Result<Option<Past>, JournalFault> {
    read_from(journal, |_| ())
}

/// Reads a journal, as [`fn@read`] does, whose entries go on from what `begin` makes of its beginning.
pub(super) fn read_from(
    mut journal: impl BufRead,
    begin: impl FnOnce(&mut Past),
) -> Result<Option<Past>, JournalFault> {
    let mut line = Vec::new();
    let Some(mut past) = read_first(&mut journal, &mut line)? else {
        return Ok(None);
    };
    begin(&mut past);
    let mut torn = None;
    for number in 2.. {
        read_line(&mut journal, &mut line)?;
        if line.is_empty() {
            break;
        }
        let text = line.strip_suffix(b"\n");
        let Some((sum, json)) = text.and_then(whole) else {
            if text.is_some_and(is_first_line) {
                return Err(torn.map_or(JournalFault::OutOfPlace(number), JournalFault::Damaged));
            }
            torn = torn.or(Some(number));
            continue;
        };
        // What is whole was written after what is not: that was whole once, too.
        if let Some(torn) = torn {
            return Err(JournalFault::Damaged(torn));
        }
        let entry: Entry =
            serde_json::from_slice(json).map_err(|_| JournalFault::Damaged(number))?;
        if entry.after.as_bytes() != past.chain.last.as_bytes() {
            return Err(JournalFault::OutOfPlace(number));
        }
        past.add(entry).ok_or(JournalFault::Damaged(number))?;
        past.chain = Chain::at(sum);
        past.bytes += line.len();
    }
    Ok(Some(past))
}

/// Reads the first line.
pub(super) fn read_first(
    journal: &mut impl BufRead,
    line: &mut Vec<u8>,
) -> Result<Option<Past>, JournalFault> {
    read_line(journal, line)?;
    let is_too_long = line.len() == MAX_LINE;
    // Where a file system keeps its length but not its bytes, they are 0.
    if !is_too_long && line.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let length = line.len().min(MAGIC.len());
    if line[..length] != MAGIC.as_bytes()[..length] {
        let is_entry = line.strip_suffix(b"\n").and_then(whole).is_some();
        return Err(if is_entry {
            JournalFault::OutOfPlace(1)
        } else {
            JournalFault::Foreign
        });
    }
    let Some(first) = line.strip_suffix(b"\n") else {
        return if is_too_long {
            Err(JournalFault::Damaged(1))
        } else {
            Ok(None)
        };
    };
    let (version, header) = split(&first[MAGIC.len()..]).ok_or(JournalFault::Damaged(1))?;
    if version != VERSION.as_bytes() {
        let version = String::from_utf8_lossy(version).into_owned();
        return Err(JournalFault::Version(version));
    }
    let (sum, header) = whole(header).ok_or(JournalFault::Damaged(1))?;
    let header = serde_json::from_slice(header).map_err(|_| JournalFault::Damaged(1))?;
    Ok(Some(Past::begun(header, Chain::at(sum), line.len())))
}

/// Reads the next line, with its end; nothing at the end of the journal. Of a line that is too long
/// it gives the beginning.
fn read_line(journal: &mut impl BufRead, line: &mut Vec<u8>) -> Result<(), JournalFault> {
    line.clear();
    let mut part = journal.by_ref().take(MAX_LINE as u64);
    let mut read = part.read_until(b'\n', line);
    if line.len() == MAX_LINE && !line.ends_with(b"\n") {
        read = read.and_then(|_| journal.skip_until(b'\n'));
    }
    read.map_err(|error| JournalFault::Unreadable(error.to_string()))?;
    Ok(())
}

/// The first line, and what the next one follows.
pub fn write_header(header: &Header) -> (Vec<u8>, Chain) {
    let (sum, line) = write(header);
    let line = [MAGIC, VERSION, " ", &line].concat();
    (line.into(), Chain { last: sum })
}

impl Chain {
    /// The checksum of the last line.
    pub(super) fn last(&self) -> &str {
        &self.last
    }

    fn at(sum: &[u8]) -> Self {
        Self {
            last: String::from_utf8_lossy(sum).into_owned(),
        }
    }

    /// A line after the first; the next one follows it.
    pub fn entry(&mut self, mut entry: Entry) -> Vec<u8> {
        entry.after.clone_from(&self.last);
        let (sum, line) = write(&entry);
        self.last = sum;
        line.into()
    }
}

/// A line with its checksum, and that by itself.
fn write(line: &impl Serialize) -> (String, String) {
    let json = serde_json::to_string(line).expect("keys are text");
    let sum = checksum(json.as_bytes());
    let line = format!("{sum} {json}\n");
    (sum, line)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The checksum and what stands behind it, where that is right.
fn whole(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sum, json) = split(line)?;
    (sum == checksum(json).as_bytes()).then_some((sum, json))
}

/// Whether a line, whole, is the first of a journal.
fn is_first_line(line: &[u8]) -> bool {
    let rest = line.strip_prefix(MAGIC.as_bytes());
    rest.and_then(|rest| whole(split(rest)?.1)).is_some()
}

/// What stands before the first blank, and behind it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|byte| *byte == b' ')?;
    Some((&bytes[..place], &bytes[place + 1..]))
}

fn checksum(bytes: &[u8]) -> String {
    format!("{:0SUM$x}", hash(bytes))
}

/// The hash of all checksums. It finds accidents, not attacks.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    twox_hash::XxHash3_64::oneshot(bytes)
}

#[cfg(test)]
mod tests;

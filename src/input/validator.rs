//! Looks through whole lines: counts the records, checks JSON, and sorts out what is no record.
//!
//! Owns the number of the next line of the source. Always: what is kept lies at the start of the
//! bytes, in order and without gaps, each record and each invalid line followed by the separator;
//! a line that has nothing wrong with it and nothing around it is not moved. Beside the bytes a
//! pass holds at most [`MAX_MARKS`] marks, however many lines are malformed.

use std::ops::Range;

use memchr::memchr;
use serde::de::IgnoredAny;

use super::Requirement;
use crate::shape::{EarlierErrors, Encoding, Format, Shape};

/// How many rejected records one pass may find before it stops, to be called again.
const MAX_MARKS: usize = 1024;

const BOM: &[u8] = b"\xEF\xBB\xBF";
/// How error records begin, and nothing else that mtask writes.
const ERROR_RECORD: &[u8] = b"{\"mtask_error\":";

/// Sifts the lines of one source after another.
#[derive(Debug)]
pub(super) struct Validator {
    shape: Shape,
    /// The line that comes next, from 1. Not kept up where any line is a record.
    line: u64,
    start: SourceStart,
}

/// Where a source begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceStart {
    /// At the start of a file, where a byte order mark may stand.
    OfFile,
    /// Within one.
    Within,
}

/// What a pass made of the bytes.
#[derive(Debug)]
pub(super) struct Sifted {
    /// The bytes it looked at: all, unless it found [`MAX_MARKS`].
    pub(super) consumed: usize,
    /// The bytes that are left of them.
    pub(super) kept: usize,
    /// The rejected records.
    pub(super) marks: Vec<Mark>,
    /// The records after the last mark.
    pub(super) records: usize,
}

/// A rejected record between others.
#[derive(Debug)]
pub(super) struct Mark {
    /// The records before it, up to the previous mark.
    pub(super) records: usize,
    /// Where it lies in the kept bytes, with its separator.
    pub(super) place: Range<usize>,
    /// What is wrong with it.
    pub(super) fault: RecordFault,
}

/// What is wrong with a marked record.
#[derive(Clone, Copy, Debug)]
pub(super) enum RecordFault {
    /// It is not one JSON value, or not UTF-8; [`fault`] tells more.
    Invalid {
        /// Its line in its source.
        line: u64,
    },
    /// It is longer than a record may be, and not kept.
    TooLarge,
    /// None: it is the error record of an earlier run.
    Passed,
}

/// What a line is.
enum LineVerdict {
    /// A record, which lies there in the line.
    Record(Range<usize>),
    Blank,
    /// Not one JSON value, or not UTF-8; the whole line, without a BOM, lies there.
    Invalid(Range<usize>),
    TooLarge,
    /// The error record of an earlier run, which is to be passed on.
    Passed,
}

/// How much is known about the encoding of some lines.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ValidPrefix {
    Utf8,
    Nothing,
}

impl Validator {
    /// A validator at the start of a source.
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            shape,
            line: 1,
            start: SourceStart::OfFile,
        }
    }

    /// A new source begins.
    pub(super) fn begin_source(&mut self, start: SourceStart) {
        self.line = 1;
        self.start = start;
    }

    /// A line was skipped over outside of the validator.
    pub(super) fn skip_line(&mut self) {
        self.line += 1;
    }

    /// Sifts `bytes`, which end with the separator.
    pub(super) fn sift(&mut self, bytes: &mut [u8]) -> Sifted {
        let separator = self.shape.separator.byte();
        let too_short_to_be_too_large = bytes.len() <= self.shape.max_record.saturating_add(1);
        let may_hold_anything = self.shape.encoding() == Encoding::Bytes
            && self.shape.earlier_errors == EarlierErrors::Sent;
        if may_hold_anything && too_short_to_be_too_large {
            return Sifted {
                consumed: bytes.len(),
                kept: bytes.len(),
                marks: Vec::new(),
                records: self.shape.separator.count(bytes),
            };
        }
        self.sift_lines(bytes, separator)
    }

    fn sift_lines(&mut self, bytes: &mut [u8], separator: u8) -> Sifted {
        // For all lines at once this costs much less than for each; parts of UTF-8 between
        // newlines are UTF-8 too.
        let known = if str::from_utf8(bytes).is_ok() {
            ValidPrefix::Utf8
        } else {
            ValidPrefix::Nothing
        };
        let mut sifted = Sifted {
            consumed: 0,
            kept: 0,
            marks: Vec::new(),
            records: 0,
        };
        while sifted.consumed < bytes.len() && sifted.marks.len() < MAX_MARKS {
            let start = sifted.consumed;
            let length = memchr(separator, &bytes[start..])
                .expect("the bytes that are sifted end with the separator");
            sifted.consumed += length + 1;
            match self.judge(&bytes[start..start + length], known) {
                LineVerdict::Record(part) => {
                    sifted.keep(bytes, start, part, separator);
                    sifted.records += 1;
                }
                LineVerdict::Blank => {}
                LineVerdict::Invalid(part) => {
                    let from = sifted.kept;
                    sifted.keep(bytes, start, part, separator);
                    sifted.mark(from, RecordFault::Invalid { line: self.line });
                }
                LineVerdict::TooLarge => sifted.mark(sifted.kept, RecordFault::TooLarge),
                LineVerdict::Passed => {
                    let from = sifted.kept;
                    sifted.keep(bytes, start, 0..length, separator);
                    sifted.mark(from, RecordFault::Passed);
                }
            }
            self.line += 1;
        }
        sifted
    }

    fn judge(&self, line: &[u8], known: ValidPrefix) -> LineVerdict {
        if line.len() > self.shape.max_record {
            return LineVerdict::TooLarge;
        }
        if self.shape.earlier_errors == EarlierErrors::Passed && line.starts_with(ERROR_RECORD) {
            return LineVerdict::Passed;
        }
        let is_utf8 = |text: &[u8]| known == ValidPrefix::Utf8 || str::from_utf8(text).is_ok();
        if self.shape.format == Format::Lines {
            return if self.shape.encoding() == Encoding::Bytes || is_utf8(line) {
                LineVerdict::Record(0..line.len())
            } else {
                LineVerdict::Invalid(0..line.len())
            };
        }
        let start = if self.line == 1 && self.start == SourceStart::OfFile && line.starts_with(BOM)
        {
            BOM.len()
        } else {
            0
        };
        let value = trimmed(line, start);
        if value.is_empty() {
            return LineVerdict::Blank;
        }
        let text = &line[value.clone()];
        if is_utf8(text) && self.is_record(text) {
            LineVerdict::Record(value)
        } else {
            LineVerdict::Invalid(start..line.len())
        }
    }
}

impl Validator {
    /// Whether this is one JSON value, with all that is asked of it.
    fn is_record(&self, text: &[u8]) -> bool {
        match self.shape.field {
            Some(key) => key.find(text).is_ok_and(|place| place.member.is_some()),
            None if self.shape.merge.is_some() && !text.starts_with(b"{") => false,
            None => serde_json::from_slice::<IgnoredAny>(text).is_ok(),
        }
    }
}

impl Sifted {
    /// Keeps the `part` of the line at `line`.
    fn keep(&mut self, bytes: &mut [u8], line: usize, part: Range<usize>, separator: u8) {
        let length = part.len();
        if line + part.start != self.kept {
            bytes.copy_within(line + part.start..line + part.end, self.kept);
        }
        bytes[self.kept + length] = separator;
        self.kept += length + 1;
    }

    /// Marks what was kept from `from` on.
    fn mark(&mut self, from: usize, fault: RecordFault) {
        self.marks.push(Mark {
            records: std::mem::take(&mut self.records),
            place: from..self.kept,
            fault,
        });
    }
}

/// Where the value lies in `line[start..]`, without the white space of JSON around it.
fn trimmed(line: &[u8], start: usize) -> Range<usize> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
    let line_end = line.len();
    let leading = line[start..].iter().take_while(|b| is_space(b)).count();
    let start = start + leading;
    let trailing = line[start..].iter().rev().take_while(|b| is_space(b)).count();
    start..line_end - trailing
}

/// What an invalid line should have been, at which byte of it, from 1, it goes wrong, and how.
pub(super) fn fault(line: &[u8], shape: &Shape) -> (Requirement, usize, String) {
    let text = &line[trimmed(line, 0)];
    let is_value = || serde_json::from_slice::<IgnoredAny>(text).is_ok();
    let missing = match (shape.field, shape.merge) {
        _ if str::from_utf8(text).is_err() || !is_value() => None,
        (Some(key), _) if text.starts_with(b"{") => {
            let key = serde_json::Value::from(key.name());
            Some(("--field", format!("the object has no {key}")))
        }
        (Some(_), _) => Some(("--field", "it is no object".to_owned())),
        (None, Some(_)) => Some(("--merge", "it is no object".to_owned())),
        (None, None) => None,
    };
    match missing {
        Some((option, why)) => (Requirement::Object(option), 1, why),
        None => {
            let (column, why) = flaw_of(line);
            (Requirement::of(shape.format), column, why)
        }
    }
}

/// At which byte of `line`, from 1, what is no JSON or no UTF-8 goes wrong, and how.
///
/// serde_json passes over values without recursion and without looking at their encoding: so
/// nesting has no limit but the record's, lone surrogates in escapes and numbers of any size are
/// let through, and UTF-8 is checked here.
fn flaw_of(line: &[u8]) -> (usize, String) {
    if let Err(error) = str::from_utf8(line) {
        return (error.valid_up_to() + 1, "invalid UTF-8".to_owned());
    }
    if line.starts_with(BOM) {
        let what = "a byte order mark in the middle of a file";
        return (1, what.to_owned());
    }
    match serde_json::from_slice::<IgnoredAny>(line) {
        Ok(_) => (1, "not one JSON value".to_owned()),
        Err(error) => {
            let number =
                str::from_utf8(line).ok().and_then(|line| strange_number(line, error.column()));
            if let Some(number) = number {
                return (error.column().max(1), format!("JSON has no {number}"));
            }
            let place = format!(" at line {} column {}", error.line(), error.column());
            let message = error.to_string();
            let message = message.strip_suffix(&place).unwrap_or(&message);
            (error.column().max(1), message.to_owned())
        }
    }
}

/// What is no number in JSON and stands at that column, from 1: NaN or an infinity, as most
/// languages print them.
pub fn strange_number(line: &str, column: usize) -> Option<&str> {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic();
    let (before, after) = line.split_at_checked(column.saturating_sub(1))?;
    let before = before.bytes().rev().take_while(is_letter).count();
    let after = after.bytes().take_while(is_letter).count();
    let word = &line[column - 1 - before..column - 1 + after];
    ["nan", "inf", "infinity"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
        .then_some(word)
}

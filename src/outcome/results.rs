//! Results as they are written: by themselves, or between what tells whose they are.
//!
//! Owns no state. Always: what is appended ends with the separator; a result that is JSON, and the
//! record that it is written with, stay byte for byte as they are.

use std::borrow::Cow;
use std::io::Write;

use memchr::memchr;
use serde::Serialize;

use super::rendering::{OutputFormat, Rendering, text_or_base64};
use super::{Chunks, Lines, Parts};
use crate::object::Key;
use crate::record::Index;
use crate::shape::{AnswerEnd, Format};

/// About so many bytes stand around a result beside its record.
const FRAME: usize = 64;

/// What is written around a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    /// Nothing.
    None,
    /// The index.
    Envelope,
    /// The index and the record.
    Pair,
    /// The record, with the result under this key.
    Record(Key),
}

/// Whose result it is.
#[derive(Clone, Copy, Debug)]
struct Owner<'r> {
    index: Index,
    /// Which of the record's results, where it may have several.
    part: Option<usize>,
    /// The record, where it is written too.
    record: &'r [u8],
}

/// What a result is that is put between something.
#[derive(Clone, Copy, Debug)]
enum Output<'o> {
    /// JSON.
    Value(&'o str),
    /// Bytes, which are written as a string, or in base64 where they are no text.
    Bytes(&'o [u8]),
}

impl Rendering {
    /// Whether records are written with their results.
    pub fn writes_records(&self) -> bool {
        matches!(self.frame(), Frame::Pair | Frame::Record(_))
    }

    /// Appends the results of `count` records, the first of index `first`, whose answers are the
    /// first `bytes` of `answers`, each followed by the separator, and leaves out those bytes
    /// there. So are the records in `records`, where they are written too. Where an answer may be
    /// several lines, it is one answer, with all its lines.
    pub fn results(
        &self,
        first: Index,
        count: usize,
        answers: &mut Lines<'_>,
        bytes: usize,
        mut records: &[u8],
        out: &mut Chunks,
    ) {
        if self.frame() == Frame::None {
            // An answer of no line writes none.
            if bytes > 0 {
                answers.move_to(bytes, out);
            }
            return;
        }
        out.append(bytes + records.len(), |to| {
            let mut left = &answers[..bytes];
            for number in 0..count {
                let owner = Owner {
                    index: first.plus(number),
                    part: None,
                    record: self.next(&mut records),
                };
                let output = Output::Bytes(self.next_answer(&mut left));
                self.framed(owner, output, to);
            }
            debug_assert!(left.is_empty(), "more answers than counted");
        });
        answers.skip(bytes);
    }

    /// Appends the result of a record whose answer is `value`: JSON, or plain text where that is
    /// wanted. One that is given away is moved on in its buffer.
    pub fn value(&self, index: Index, value: Cow<'_, str>, record: &[u8], out: &mut Chunks) {
        let separator = self.shape.separator.byte();
        let owner = Owner {
            index,
            part: None,
            record,
        };
        match value {
            Cow::Borrowed(value) => out.append(value.len() + record.len() + FRAME, |to| {
                self.framed(owner, Output::Value(value), to);
            }),
            Cow::Owned(value) if self.frame() == Frame::None => {
                out.put(value.into_bytes());
                out.append(1, |to| to.push(separator));
            }
            Cow::Owned(value) => {
                let mut after = &[][..];
                out.append(record.len(), |to| {
                    after = self.begin(owner, Naming::Plain, to);
                });
                out.put(value.into_bytes());
                out.append(after.len() + 1, |to| {
                    to.extend_from_slice(after);
                    to.push(separator);
                });
            }
        }
    }

    /// Appends the results of a record of which there may be any number.
    pub fn parts(&self, index: Index, parts: Parts, record: &[u8], out: &mut Chunks) {
        if self.frame() == Frame::None {
            out.put(parts.lines.into_bytes());
            return;
        }
        let separator = char::from(self.shape.separator.byte());
        for (number, line) in parts.lines.split_terminator(separator).enumerate() {
            let owner = Owner {
                index,
                part: Some(number),
                record,
            };
            out.append(line.len() + record.len() + FRAME, |to| {
                self.framed(owner, Output::Value(line), to);
            });
        }
    }

    /// The first of these records, without its separator, which is left out there.
    pub fn next<'b>(&self, bytes: &mut &'b [u8]) -> &'b [u8] {
        let all = *bytes;
        match memchr(self.shape.separator.byte(), all) {
            Some(end) => {
                *bytes = &all[end + 1..];
                &all[..end]
            }
            None => std::mem::take(bytes),
        }
    }

    /// The first of these answers, without its last separator, which is left out there.
    fn next_answer<'b>(&self, answers: &mut &'b [u8]) -> &'b [u8] {
        match self.shape.answer_end {
            AnswerEnd::Separator => self.next(answers),
            AnswerEnd::Line(_) | AnswerEnd::Exit => {
                let all = std::mem::take(answers);
                all.strip_suffix(&[self.shape.separator.byte()]).unwrap_or(all)
            }
        }
    }

    fn frame(&self) -> Frame {
        match (self.shape.merge, self.output_format) {
            (Some(key), _) => Frame::Record(key),
            (None, OutputFormat::Envelope) => Frame::Envelope,
            (None, OutputFormat::Pair) => Frame::Pair,
            (None, OutputFormat::Raw | OutputFormat::Text) => Frame::None,
        }
    }

    fn framed(&self, owner: Owner<'_>, output: Output<'_>, to: &mut Vec<u8>) {
        let after = match output {
            Output::Value(value) => {
                let after = self.begin(owner, Naming::Plain, to);
                to.extend_from_slice(value.as_bytes());
                after
            }
            Output::Bytes(bytes) => match text_or_base64(bytes) {
                (Some(text), _) => {
                    let after = self.begin(owner, Naming::Plain, to);
                    write_json(&text, to);
                    after
                }
                (None, base64) => {
                    let after = self.begin(owner, Naming::Base64, to);
                    write_json(&base64, to);
                    after
                }
            },
        };
        to.extend_from_slice(after);
        to.push(self.shape.separator.byte());
    }

    /// Appends what stands before a result; gives what stands behind it. It is put together by
    /// hand: the value is JSON already, however deep.
    fn begin<'r>(&self, owner: Owner<'r>, naming: Naming, to: &mut Vec<u8>) -> &'r [u8] {
        let Owner {
            index,
            part,
            record,
        } = owner;
        let frame = self.frame();
        match frame {
            Frame::None => return b"",
            Frame::Record(key) => return begin_in_record(key, record, naming, to),
            Frame::Envelope | Frame::Pair => {}
        }
        write!(to, "{{\"index\":{index},").expect("a Vec takes everything");
        if let Some(part) = part {
            write!(to, "\"part\":{part},").expect("a Vec takes everything");
        }
        if frame == Frame::Pair {
            self.write_input(record, to);
        }
        to.extend_from_slice(b"\"output");
        to.extend_from_slice(naming.suffix());
        to.extend_from_slice(b"\":");
        b"}"
    }

    /// The record under its key.
    fn write_input(&self, record: &[u8], to: &mut Vec<u8>) {
        match (self.shape.format, text_or_base64(record)) {
            (Format::Jsonl | Format::Csv | Format::Tsv, _) => {
                to.extend_from_slice(b"\"input\":");
                to.extend_from_slice(record);
            }
            (Format::Lines, (Some(text), _)) => {
                to.extend_from_slice(b"\"input\":");
                write_json(&text, to);
            }
            (Format::Lines, (None, base64)) => {
                to.extend_from_slice(b"\"input_base64\":");
                write_json(&base64, to);
            }
        }
        to.push(b',');
    }
}

/// Under which name a result stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    Plain,
    /// With what says that it is base64 behind it.
    Base64,
}

impl Naming {
    fn suffix(self) -> &'static [u8] {
        match self {
            Self::Plain => b"",
            Self::Base64 => b"_base64",
        }
    }
}

/// Appends a record up to the value under the key; gives what stands behind that.
fn begin_in_record<'r>(key: Key, record: &'r [u8], naming: Naming, to: &mut Vec<u8>) -> &'r [u8] {
    let place = key.find_in_valid(record);
    let Some((name, value)) = place.member else {
        let (before, after) = record.split_at(place.end);
        to.extend_from_slice(before);
        if place.has_members {
            to.push(b',');
        }
        write_json(&key.name(), to);
        rename(naming, to);
        to.push(b':');
        return after;
    };
    to.extend_from_slice(&record[..name.end]);
    rename(naming, to);
    to.extend_from_slice(&record[name.end..value.start]);
    &record[value.end..]
}

/// Changes the key that the bytes end with.
fn rename(naming: Naming, to: &mut Vec<u8>) {
    if naming == Naming::Base64 {
        to.pop();
        to.extend_from_slice(naming.suffix());
        to.push(b'"');
    }
}

fn write_json(value: &impl Serialize, to: &mut Vec<u8>) {
    serde_json::to_writer(to, value).expect("a Vec takes everything, and it is text");
}

#[cfg(test)]
mod tests;

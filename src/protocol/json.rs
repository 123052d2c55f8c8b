//! The json protocol: one JSON object on a line each way, answers named by their record's id.
//!
//! Always: what a worker gives as `output`, `error` or `exit` is checked to be JSON and passed on
//! byte for byte; it is never parsed into values, so big numbers, key order and repeated keys
//! survive.

mod dialogue;
mod named;
mod parted;
mod reply;

use std::io::Write;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr_iter;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub(super) use self::dialogue::JsonReader;
pub use self::named::{NamedRecord, Scanner, named};
use self::reply::{reply_of_error, reply_of_output, reply_of_outputs, reply_of_wait};
use super::message::{Answer, Base64Input, Begins, Cancels, Capabilities, Reply};
use crate::input::strange_number;
use crate::outcome::OutputFormat;
use crate::record::{Attempt, Block, Index, Separator};
use crate::shape::{Format, Shape};
use crate::visible;

/// What a worker says with one line.
#[derive(Debug, PartialEq)]
pub enum Statement<'a> {
    /// It answers a record.
    Answer(Answer<'a>),
    /// No valid answer, and one only if the record is owed: otherwise the line is the worker's own.
    Mention(Answer<'a>),
    /// It begins like an answer, and names no record.
    Nameless,
    /// It is up.
    Ready(Capabilities<'a>),
    /// It has begun these records, together.
    Begun(Vec<Index>),
    /// It asks to be replaced.
    Restart,
    /// What it has to say at its end, as JSON.
    Exit(&'a str),
    /// Nothing to mtask: a line for people.
    Log,
}

/// The form in which a result is wanted, and what ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// JSON, verbatim.
    Json(Separator),
    /// A string without its quotes, any other value verbatim.
    Text(Separator),
}

impl Wanted {
    /// What this format takes.
    pub fn of(format: OutputFormat, separator: Separator) -> Self {
        match format {
            OutputFormat::Text => Self::Text(separator),
            OutputFormat::Raw | OutputFormat::Envelope | OutputFormat::Pair => {
                Self::Json(separator)
            }
        }
    }

    fn separator(self) -> Separator {
        match self {
            Self::Json(separator) | Self::Text(separator) => separator,
        }
    }
}

/// How mtask's lines to a worker begin, and how an answer does that is one whatever follows.
const ID: &str = "{\"id\":";

/// How many characters of a line that is no valid answer are shown.
const MOST_QUOTED: usize = 100;

/// The lines that carry the records of `block`, and which attempt at them this is if the worker is
/// told.
pub fn write(block: &Block, attempt: Option<Attempt>, shape: &Shape) -> Vec<u8> {
    // An id, the frame, and some escapes.
    let mut lines = Vec::with_capacity(block.bytes.len() + block.count * 40);
    let mut start = 0;
    for (number, end) in memchr_iter(shape.separator.byte(), &block.bytes).enumerate() {
        let record = &block.bytes[start..end];
        start = end + 1;
        let index = block.first.plus(number);
        write!(lines, "{ID}{index},").expect("a Vec takes everything");
        if let Some(Attempt(attempt)) = attempt {
            write!(lines, "\"attempt\":{attempt},").expect("a Vec takes everything");
        }
        match (shape.format, shape.field) {
            (_, Some(key)) => write_value(key.value_in(record), &mut lines),
            (Format::Jsonl | Format::Csv | Format::Tsv, None) => write_value(record, &mut lines),
            (Format::Lines, None) => write_text(record, &mut lines),
        }
        lines.extend_from_slice(b"}\n");
    }
    lines
}

fn write_value(value: &[u8], line: &mut Vec<u8>) {
    line.extend_from_slice(b"\"input\":");
    line.extend_from_slice(value);
}

/// A string, or base64 where it is none.
fn write_text(record: &[u8], line: &mut Vec<u8>) {
    match str::from_utf8(record) {
        Ok(text) => {
            line.extend_from_slice(b"\"input\":");
            serde_json::to_writer(line, text).expect("a Vec takes everything");
        }
        Err(_) => {
            let bytes = Base64Display::new(record, &STANDARD);
            write!(line, "\"input_base64\":\"{bytes}\"").expect("a Vec takes everything");
        }
    }
}

/// The line that asks a worker to end what it has begun with this record.
pub fn write_cancel(index: Index) -> Vec<u8> {
    format!("{{\"cancel\":{index}}}\n").into_bytes()
}

/// Reads a line of a worker, which is without its newline.
pub fn read(line: &[u8], wanted: Wanted) -> Statement<'_> {
    let Ok(line) = str::from_utf8(line) else {
        return match claimed(line) {
            Claim::Id(index) => {
                let shown = visible::excerpt_of_bytes(line, MOST_QUOTED);
                bad(index, format!("it is not valid UTF-8: {shown}"))
            }
            Claim::Nameless => Statement::Nameless,
            Claim::None => Statement::Log,
        };
    };
    if let Some((index, output)) = plain_output(line) {
        let reply = reply_of_output(output, wanted);
        return Statement::Answer(Answer { index, reply });
    }
    if !line.trim_start().starts_with('{') {
        return Statement::Log;
    }
    match serde_json::from_str::<Fields<'_>>(line) {
        Ok(fields) => fields.message(line, wanted),
        Err(error) => match claimed(line.as_bytes()) {
            Claim::Id(index) => bad(index, no_object(line, &error)),
            Claim::Nameless => Statement::Nameless,
            Claim::None => match named(line.as_bytes()).first() {
                Some(first) if first.is_first => Statement::Mention(Answer {
                    index: first.index,
                    reply: Reply::Bad(no_object(line, &error)),
                }),
                _ => Statement::Log,
            },
        },
    }
}

/// Reads a line that is too long, of which only the beginning is known and which objects it holds.
/// It answers the first record of those that are owed.
pub fn read_head<'a>(
    head: &[u8],
    found: &[NamedRecord],
    owes: impl Fn(Index) -> bool,
) -> Statement<'a> {
    let too_large = |index| {
        Statement::Answer(Answer {
            index,
            reply: Reply::TooLarge,
        })
    };
    match claimed(head) {
        Claim::Id(index) => too_large(index),
        Claim::Nameless => Statement::Nameless,
        Claim::None => {
            let first = found.first().filter(|first| first.is_first);
            let is_of_first = first.filter(|first| owes(first.index));
            is_of_first
                .or(NamedRecord::answers(found, owes).first())
                .map_or(Statement::Log, |named| too_large(named.index))
        }
    }
}

/// The keys of a worker's line. Others are ignored.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    output: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    outputs: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    retry_after: Option<&'a RawValue>,
    #[serde(borrow)]
    ready: Option<&'a RawValue>,
    #[serde(borrow)]
    concurrency: Option<&'a RawValue>,
    #[serde(borrow)]
    can: Option<&'a RawValue>,
    #[serde(borrow)]
    started: Option<&'a RawValue>,
    #[serde(borrow)]
    restart: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    exit: Option<&'a RawValue>,
}

/// A value that is there even where it is null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Fields<'a> {
    fn message(&self, line: &str, wanted: Wanted) -> Statement<'a> {
        let Some(id) = self.id else {
            return match (self.ready, self.exit, self.started) {
                (Some(ready), ..) if ready.get() == "true" => Statement::Ready(self.capabilities()),
                (None, Some(exit), _) => Statement::Exit(exit.get()),
                (None, None, Some(started)) => {
                    ids(started.get()).map_or(Statement::Log, Statement::Begun)
                }
                _ if self.restart.is_some_and(|it| it.get() == "true") => Statement::Restart,
                _ => Statement::Log,
            };
        };
        let begins_like_an_answer = begins_like_an_answer(line.as_bytes());
        let Some(index) = id.get().parse().ok().map(Index) else {
            return if begins_like_an_answer {
                Statement::Nameless
            } else {
                Statement::Log
            };
        };
        let reply = match (self.output, self.outputs, self.error) {
            (Some(output), None, None) => reply_of_output(output.get(), wanted),
            (None, Some(outputs), None) => reply_of_outputs(outputs.get(), wanted),
            (None, None, Some(error)) => reply_of_error(error.get()),
            (Some(_), Some(_), _) => {
                Reply::Bad(quoting("it has both an output and outputs: ", line))
            }
            (_, _, Some(_)) => Reply::Bad(quoting("it has both an output and an error: ", line)),
            (None, None, None) => match self.retry_after {
                Some(wait) => reply_of_wait(wait.get()),
                None => Reply::Bad(quoting("it has neither an output nor an error: ", line)),
            },
        };
        let reply = match (self.retry_after, reply) {
            (None, reply) | (Some(_), reply @ (Reply::Later(_) | Reply::Bad(_))) => reply,
            _ => Reply::Bad(quoting(
                "it has retry_after beside an output or an error: ",
                line,
            )),
        };
        let answer = Answer { index, reply };
        if matches!(answer.reply, Reply::Bad(_)) && !begins_like_an_answer {
            Statement::Mention(answer)
        } else {
            Statement::Answer(answer)
        }
    }

    /// What a process that is up says of itself.
    fn capabilities(&self) -> Capabilities<'a> {
        let given = self.concurrency.map(RawValue::get);
        let number = given.map(|text| text.parse().map_err(|_| text));
        let can = self.can.map(RawValue::get).unwrap_or_default();
        let words: Vec<&RawValue> = serde_json::from_str(can).unwrap_or_default();
        let says = |what: &str| words.iter().any(|word| word.get() == what);
        Capabilities {
            concurrency: number.transpose(),
            begins: match says("\"start\"") {
                true => Begins::Told,
                false => Begins::Untold,
            },
            cancels: match says("\"cancel\"") {
                true => Cancels::WhenAsked,
                false => Cancels::Untold,
            },
            base64: match says("\"base64\"") {
                true => Base64Input::Taken,
                false => Base64Input::Untold,
            },
        }
    }
}

/// The ids in a list, if it is one.
fn ids(list: &str) -> Option<Vec<Index>> {
    let ids: Vec<u64> = serde_json::from_str(list).ok()?;
    Some(ids.into_iter().map(Index).collect())
}

/// The id and the output of the most usual line, `{"id":…,"output":…}`, which is looked at but
/// once.
fn plain_output(line: &str) -> Option<(Index, &str)> {
    let rest = line.strip_prefix(ID)?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let output = rest[digits..].strip_prefix(",\"output\":")?.strip_suffix('}')?;
    let index = number(&rest[..digits])?;
    // What is one JSON value has no further key behind it.
    serde_json::from_str::<serde::de::IgnoredAny>(output).ok()?;
    Some((index, output.trim_matches([' ', '\t', '\r'])))
}

/// An id as JSON writes it: without leading zeros.
fn number(digits: &str) -> Option<Index> {
    let is_canonical = digits == "0" || !digits.starts_with('0');
    is_canonical.then(|| digits.parse().ok().map(Index))?
}

/// Which record a line names that cannot be read as a whole.
enum Claim {
    Id(Index),
    Nameless,
    None,
}

fn claimed(line: &[u8]) -> Claim {
    let Some(rest) = behind_id_key(line) else {
        return Claim::None;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_whole = rest
        .get(digits)
        .is_some_and(|byte| matches!(byte, b',' | b'}') || byte.is_ascii_whitespace());
    str::from_utf8(&rest[..digits])
        .ok()
        .filter(|_| is_whole)
        .and_then(number)
        .map_or(Claim::Nameless, Claim::Id)
}

/// Whether a line begins with the key of the id: then it answers one record, or none well.
pub fn begins_like_an_answer(line: &[u8]) -> bool {
    behind_id_key(line).is_some()
}

/// Whether a line begins as that which says that a process is up.
pub(super) fn says_ready(line: &[u8]) -> bool {
    behind_key(b"\"ready\"", line).is_some()
}

/// What stands behind the key of the id in a line that begins with it.
fn behind_id_key(line: &[u8]) -> Option<&[u8]> {
    behind_key(b"\"id\"", line)
}

/// What stands behind this key in a line that begins with it; white space counts for nothing.
fn behind_key<'a>(key: &[u8], line: &'a [u8]) -> Option<&'a [u8]> {
    let rest = line.trim_ascii_start().strip_prefix(b"{")?;
    let rest = rest.trim_ascii_start().strip_prefix(key)?;
    let rest = rest.trim_ascii_start().strip_prefix(b":")?;
    Some(rest.trim_ascii_start())
}

fn bad<'a>(index: Index, why: String) -> Statement<'a> {
    Statement::Answer(Answer {
        index,
        reply: Reply::Bad(why),
    })
}

/// Why a line cannot be read.
fn no_object(line: &str, error: &serde_json::Error) -> String {
    let column = error.column();
    let why = if let Some(number) = strange_number(line, column) {
        format!("JSON has no {number}, answer null or an error: ")
    } else {
        // Each line is a text of its own, so that the number of the line tells nothing.
        let message = error.to_string();
        let end = message.rfind(" at line ").unwrap_or(message.len());
        format!("{} at column {column} of ", &message[..end])
    };
    quoting(&format!("it is not a JSON object: {why}"), line)
}

/// A reason, followed by the beginning of the line.
fn quoting(why: &str, line: &str) -> String {
    format!("{why}{}", visible::excerpt(line, MOST_QUOTED))
}

#[cfg(test)]
mod tests;

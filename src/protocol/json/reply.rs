//! What a worker gives for a record: a value, a list of them, an error, or a time to wait.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use memchr::memchr;
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Wanted, quoting};
use crate::outcome::Parts;
use crate::protocol::message::Reply;
use crate::record::Separator;

/// So many bytes of what an error says become the message; the error itself is passed on whole.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// What an error says, where it is an object.
#[derive(Deserialize)]
struct ErrorObject<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

pub(super) fn reply_of_output(output: &str, wanted: Wanted) -> Reply<'_> {
    match result_of_output(output, wanted) {
        Ok(result) => Reply::Output(result),
        Err(why) => Reply::Bad(why),
    }
}

/// The bytes that are to be written of an output, or why it cannot be.
fn result_of_output(output: &str, wanted: Wanted) -> Result<Cow<'_, str>, String> {
    if matches!(wanted, Wanted::Json(_)) || !output.starts_with('"') {
        return Ok(output.into());
    }
    let quoted = &output[1..output.len() - 1];
    // Asking for a `&str` instead would make an error of each string with an escape, at ten times
    // the cost of reading it.
    let text = if memchr(b'\\', quoted.as_bytes()).is_none() {
        Cow::Borrowed(quoted)
    } else {
        match serde_json::from_str::<String>(output) {
            Ok(text) => Cow::Owned(text),
            Err(error) => {
                let why = format!("its output is no text: {error}: ");
                return Err(quoting(&why, output));
            }
        }
    };
    let separator = wanted.separator();
    if text.contains(char::from(separator.byte())) {
        let what = match separator {
            Separator::Newline => "newline",
            Separator::Nul => "NUL",
        };
        return Err(format!(
            "its output holds a {what}, which --output-format text cannot hold: use raw"
        ));
    }
    Ok(text)
}

/// Any number of results, put together as they are to be written.
pub(super) fn reply_of_outputs(outputs: &str, wanted: Wanted) -> Reply<'_> {
    if !outputs.starts_with('[') {
        return Reply::Bad(quoting("its outputs are no list: ", outputs));
    }
    // Each takes no more there than here: it loses a comma or a bracket, and perhaps escapes.
    let mut parts = PartList {
        wanted,
        count: 0,
        lines: String::with_capacity(outputs.len()),
        bad: None,
    };
    let mut list = serde_json::Deserializer::from_str(outputs);
    if let Err(error) = list.deserialize_seq(&mut parts) {
        return Reply::Bad(quoting(
            &format!("its outputs are no list: {error}: "),
            outputs,
        ));
    }
    match parts.bad {
        Some(why) => Reply::Bad(why),
        None => Reply::Outputs(Parts {
            count: parts.count,
            lines: parts.lines,
        }),
    }
}

/// Takes results out of a list, one by one: as many as fit into an answer need not be held apart.
struct PartList {
    wanted: Wanted,
    count: usize,
    lines: String,
    bad: Option<String>,
}

impl<'de> Visitor<'de> for &mut PartList {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(output) = list.next_element::<&RawValue>()? {
            match result_of_output(output.get(), self.wanted) {
                Ok(result) => self.lines.push_str(&result),
                Err(why) => {
                    self.bad.get_or_insert(why);
                }
            }
            self.lines.push(char::from(self.wanted.separator().byte()));
            self.count += 1;
        }
        Ok(())
    }
}

/// So many seconds, or a few more years than any run lasts.
pub(super) fn reply_of_wait(seconds: &str) -> Reply<'_> {
    const LONGEST: f64 = 1e9;
    match serde_json::from_str::<f64>(seconds) {
        Ok(wait) if wait >= 0.0 => Reply::Later(Duration::from_secs_f64(wait.min(LONGEST))),
        _ => {
            let why = "its retry_after is no number of seconds of at least 0: ";
            Reply::Bad(quoting(why, seconds))
        }
    }
}

pub(super) fn reply_of_error(error: &str) -> Reply<'_> {
    let message = if error.starts_with('"') {
        text_of(error)
    } else if error.starts_with('{') {
        said_by(error)
    } else {
        let why = "its error is neither a string nor an object: ";
        return Reply::Bad(quoting(why, error));
    };
    Reply::Error {
        json: error.into(),
        message: message.unwrap_or_else(|| "the worker gave an error that is no text".into()),
    }
}

/// What an error says that is an object.
fn said_by(error: &str) -> Option<String> {
    let object: ErrorObject<'_> = serde_json::from_str(error).ok()?;
    let text = |value: Option<&RawValue>| match value {
        Some(value) => text_of(value.get()).map(Some),
        None => Some(None),
    };
    Some(match (text(object.kind)?, text(object.message)?) {
        (Some(kind), Some(message)) if message.is_empty() => kind,
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        (Some(text), None) | (None, Some(text)) => text,
        (None, None) => "the worker gave an error without a message".into(),
    })
}

/// The text of a JSON string, or how it begins.
fn text_of(string: &str) -> Option<String> {
    if string.len() <= LONGEST_MESSAGE {
        return serde_json::from_str(string).ok();
    }
    // Not in the middle of a character or of an escape, of which two may belong together.
    (LONGEST_MESSAGE - "\\ud83d\\ude00".len()..=LONGEST_MESSAGE)
        .rev()
        .filter_map(|end| string.get(..end))
        .find_map(|begin| serde_json::from_str::<String>(&format!("{begin}\"")).ok())
        .map(|begin| begin + "…")
}

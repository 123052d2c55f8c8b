//! The form of the output, and error records as they are written.
//!
//! Owns no state. Always: what is appended ends with the separator, and an error record is one JSON
//! line, whatever the formats.

use std::borrow::Cow;
use std::mem::take;

use clap::ValueEnum;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::shape::Shape;

use super::{Cause, Chunks, ExitStatus, Failure};

/// The form of results (`--output-format`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// The bytes of the answer
    Raw,
    /// {"index":...,"output":...} on a line each
    Envelope,
    /// {"index":...,"input":...,"output":...} on a line each
    Pair,
    /// With --protocol json: strings without their quotes, other values as they are
    Text,
}

/// What error records say of the record (`--error-input`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ErrorInput {
    /// All of it, so that it can be run again
    Whole,
    /// Nothing
    #[value(name = "none")]
    Omitted,
}

/// How outcomes are written.
#[derive(Clone, Copy, Debug)]
pub struct Rendering {
    /// What records look like, and what ends each result and error record.
    pub shape: Shape,
    /// The form of results.
    pub output_format: OutputFormat,
    /// What error records say of the record.
    pub error_input: ErrorInput,
}

impl Rendering {
    /// Appends the error record of `failure`. The error that a worker sent is taken out, and moved
    /// on in its buffer.
    pub fn failure(&self, failure: &mut Failure, out: &mut Chunks) {
        let (status, stdout, stderr) = match &failure.cause {
            Cause::WorkerExit {
                exit,
                stderr,
                stdout,
            } => (exit.status(), stdout.as_deref(), Some(stderr)),
            _ => (None, None, None),
        };
        let (input, input_base64) = match (&failure.record, self.error_input) {
            (Some(record), ErrorInput::Whole) => self.input(&failure.cause, record),
            (None, _) | (_, ErrorInput::Omitted) => (None, None),
        };
        let error_record = ErrorRecord {
            kind: failure.cause.kind(),
            index: failure.index.0,
            message: failure.message(),
            worker: failure.worker,
            attempts: failure.attempts,
            exit_code: status.and_then(|status| match status {
                ExitStatus::Code(code) => Some(*code),
                _ => None,
            }),
            signal: status.and_then(|status| match status {
                ExitStatus::Signal(signal) => Some(*signal),
                ExitStatus::OutOfMemory => Some(libc::SIGKILL),
                _ => None,
            }),
            oom: (status == Some(&ExitStatus::OutOfMemory)).then_some(true),
        };
        let last_fields = LastFields {
            stdout: stdout.map(String::from_utf8_lossy),
            stderr: stderr.map(|stderr| String::from_utf8_lossy(stderr)),
            input,
            input_base64,
        };
        let mut last = json(&last_fields);
        out.append(0, |to| {
            to.append(&mut json(&error_record));
            to.pop();
        });
        if let Cause::WorkerError { error, .. } = &mut failure.cause {
            out.append(0, |to| to.extend_from_slice(b",\"error\":"));
            out.put(take(error).into_bytes());
        }
        if last == b"{}" {
            last.remove(0);
        } else {
            last[0] = b',';
        }
        last.push(self.shape.separator.byte());
        out.put(last);
    }

    fn input<'a>(
        &self,
        cause: &Cause,
        record: &'a [u8],
    ) -> (Option<Input<'a>>, Option<Base64<'a>>) {
        if self.shape.format.is_json()
            && !matches!(cause, Cause::InvalidInput { .. })
            && let Ok(value) = serde_json::from_slice(record)
        {
            return (Some(Input::Value(value)), None);
        }
        let (text, base64) = text_or_base64(record);
        (text.map(Input::Text), base64)
    }
}

fn json(object: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(object).expect("keys are text")
}

/// What stands in the place of a result. The key that comes first is reserved; `error` and
/// [`LastFields`] follow.
#[derive(Serialize)]
struct ErrorRecord<'a> {
    #[serde(rename = "mtask_error")]
    kind: &'static str,
    index: u64,
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<usize>,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oom: Option<bool>,
}

/// What an error record ends with.
#[derive(Serialize)]
struct LastFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Input<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_base64: Option<Base64<'a>>,
}

/// The record in an error record.
#[derive(Serialize)]
#[serde(untagged)]
enum Input<'a> {
    Text(&'a str),
    /// JSON, byte for byte as it came.
    Value(&'a RawValue),
}

/// Bytes that JSON cannot hold as they are.
pub(super) struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

pub(super) fn text_or_base64(bytes: &[u8]) -> (Option<&str>, Option<Base64<'_>>) {
    match str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(Base64(bytes))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Exit, Verdict};
    use super::*;
    use crate::budget::{BOOKKEEPING, Budget};
    use crate::input::{Flaw, Rejected, Rejection, Requirement};
    use crate::outcome::{BadAnswer, BadLine, TimeLimit};
    use crate::record::{Index, Separator, Slice};
    use crate::shape::Format;

    const LINES: Rendering = Rendering {
        shape: Shape::LINES,
        output_format: OutputFormat::Raw,
        error_input: ErrorInput::Whole,
    };
    const JSONL: Rendering = Rendering {
        shape: Shape {
            format: Format::Jsonl,
            ..Shape::LINES
        },
        ..LINES
    };
    fn slice(bytes: &[u8]) -> Slice {
        let budget = Budget::new(1 << 30);
        let bytes = bytes.to_vec();
        budget.add(bytes.capacity() + BOOKKEEPING);
        Slice::new(bytes, &budget)
    }

    fn failure(cause: Cause, record: &[u8]) -> Failure {
        Failure {
            index: Index(3),
            cause,
            worker: Some(1),
            attempts: 2,
            record: Some(slice(record)),
        }
    }

    const TIMEOUT: Cause = Cause::Timeout {
        limit: TimeLimit::Usual(Duration::from_secs(5)),
        ended: crate::outcome::Ended::Process,
    };

    fn exit(exit: Exit) -> Cause {
        let stderr = b"oh \xff\n".to_vec();
        Cause::WorkerExit {
            exit,
            stderr,
            stdout: None,
        }
    }

    fn error_record(rendering: Rendering, failure: &Failure) -> String {
        let mut out = Chunks::from(b"before\n".to_vec());
        rendering.failure(&mut failure.clone(), &mut out);
        String::from_utf8(out.take_bytes()).unwrap().strip_prefix("before\n").unwrap().into()
    }

    #[test]
    fn an_error_record_begins_with_the_reserved_key_and_ends_with_the_record() {
        assert_eq!(
            error_record(LINES, &failure(TIMEOUT, b"a \"b\"\t")),
            r#"{"mtask_error":"timeout","index":3,"message":"no answer within --timeout 5s","worker":1,"attempts":2,"input":"a \"b\"\t"}"#
                .to_owned()
                + "\n"
        );
    }

    #[test]
    fn a_death_tells_its_status_or_signal_and_its_last_words() {
        let end = "\"stderr\":\"oh \u{fffd}\\n\",\"input\":\"r\"}\n";
        for (cause, field) in [
            (Exit::from(ExitStatus::Code(3)), r#""exit_code":3,"#),
            (ExitStatus::Signal(9).into(), r#""signal":9,"#),
            (ExitStatus::OutOfMemory.into(), r#""signal":9,"oom":true,"#),
            (Verdict::StdoutClosed.into(), ""),
        ] {
            let begin = format!(
                "{{\"mtask_error\":\"worker_exit\",\"index\":3,\"message\":\"worker 1 died while it \
                 held the record ({cause})\",\"worker\":1,\"attempts\":2,"
            );
            assert_eq!(
                error_record(LINES, &failure(exit(cause), b"r")),
                format!("{begin}{field}{end}")
            );
        }
    }

    #[test]
    fn a_json_record_is_its_own_input_byte_for_byte() {
        let value = br#"{"b":1.00,"a": 12345678901234567890123,"b":"\ud800"}"#;
        let bad = Cause::BadAnswer(BadAnswer::Invalid("m".into()));
        let line = error_record(JSONL, &failure(bad, value));
        let end = format!(r#","input":{}}}"#, str::from_utf8(value).unwrap());
        assert_eq!(
            line.trim_end_matches('\n').split_at(line.len() - end.len() - 1).1,
            end
        );
    }

    #[test]
    fn a_json_record_may_be_nested_to_any_depth() {
        let deep = [[b'['; 200_000], [b']'; 200_000]].concat();
        let line = error_record(JSONL, &failure(TIMEOUT, &deep));
        assert!(line.ends_with(&format!(":{}}}\n", str::from_utf8(&deep).unwrap())));
    }

    #[test]
    fn an_invalid_line_is_text_and_what_is_not_text_is_base64() {
        let input = |rendering, cause, record| {
            let line = error_record(rendering, &failure(cause, record));
            line.split_once("\"attempts\":2,").unwrap().1.to_owned()
        };
        let invalid = || Cause::InvalidInput {
            flaw: Flaw {
                expected: Requirement::Json,
                line: 4,
                column: 1,
                message: "m".into(),
            },
            line: BadLine::Mistake,
        };
        assert_eq!(
            input(JSONL, invalid(), b"{\"a\":"),
            "\"input\":\"{\\\"a\\\":\"}\n"
        );
        assert_eq!(
            input(JSONL, invalid(), b"1 \xff"),
            "\"input_base64\":\"MSD/\"}\n"
        );
        assert_eq!(
            input(LINES, TIMEOUT, b"1 \xff"),
            "\"input_base64\":\"MSD/\"}\n"
        );
        assert_eq!(input(LINES, TIMEOUT, b""), "\"input\":\"\"}\n");
    }

    #[test]
    fn a_record_too_large_was_never_sent_and_is_left_out() {
        let reason = Rejection::TooLarge { max: 64 };
        let rejected = Rejected {
            index: Index(5),
            reason,
        };
        assert_eq!(
            error_record(LINES, &rejected.into()),
            "{\"mtask_error\":\"record_too_large\",\"index\":5,\
             \"message\":\"the record is longer than 64 bytes (--max-record)\",\"attempts\":0}\n"
        );
    }

    #[test]
    fn the_record_is_left_out_on_request() {
        let rendering = Rendering {
            error_input: ErrorInput::Omitted,
            ..LINES
        };
        let line = error_record(rendering, &failure(TIMEOUT, b"secret"));
        assert!(line.ends_with("\"attempts\":2}\n"));
    }

    #[test]
    fn with_nul_an_error_record_ends_with_nul() {
        let rendering = Rendering {
            shape: Shape {
                separator: Separator::Nul,
                ..Shape::LINES
            },
            ..LINES
        };
        assert!(error_record(rendering, &failure(TIMEOUT, b"a\nb")).ends_with("\"a\\nb\"}\0"));
    }
}

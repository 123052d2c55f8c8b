//! The shape of a run's data: what a record is, how records and answers travel, what ends each of
//! them and how long each may be.
//!
//! Made once, from what was typed, and passed whole.

use clap::ValueEnum;

use crate::object::Key;
use crate::record::{Framing, Separator};

/// What records and answers look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What a record is.
    pub format: Format,
    /// How records and answers travel.
    pub protocol: Protocol,
    /// The byte that ends each record, answer, result and error record. Always a newline with
    /// [`Format::Jsonl`] and [`Protocol::Json`].
    pub separator: Separator,
    /// The most bytes of a record, and of an answer, the separator not counted.
    pub max_record: usize,
    /// What is sent behind each record, as a line of its own.
    pub record_end: Option<EndLine>,
    /// Where an answer ends.
    pub answer_end: AnswerEnd,
    /// What becomes of lines of the input that are error records.
    pub earlier_errors: EarlierErrors,
    /// Under which key of the object that is a record stands what is sent, where that is not all.
    pub field: Option<Key>,
    /// Under which key of it the result is put, where it is not written by itself.
    pub merge: Option<Key>,
}

/// What becomes of lines of the input that begin as the error records of an earlier run do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlierErrors {
    /// They are records as others are.
    Sent,
    /// They come out as they are, in their places.
    Passed,
}

/// A line that ends something, without the separator. There are two of a run at most, which live as
/// long as that does.
pub type EndLine = &'static [u8];

/// Where an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerEnd {
    /// Where its line does.
    Separator,
    /// Before a line that is this one: what stands before that are its lines, any number of them.
    Line(EndLine),
    /// Where its process does, that was started for the record: all that it writes is the answer.
    Exit,
}

/// What a record is (`--format`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line, or with -0 what ends with NUL; its bytes are passed on untouched
    Lines,
    /// A line that is one JSON value; blank lines are skipped
    Jsonl,
    /// A row after the first, which names the fields: a JSON object of strings
    Csv,
    /// The same with tabs between fields
    Tsv,
}

/// How records and answers travel (`--protocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// One line in, one line out, in the same order, flushed
    Lines,
    /// One JSON object a line each way; answers carry the record's id, in any order
    Json,
}

/// What bytes a record may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Any.
    Bytes,
    /// UTF-8 only.
    Utf8,
}

impl Shape {
    /// What bytes a record may hold.
    pub fn encoding(&self) -> Encoding {
        match self.format {
            Format::Lines => Encoding::Bytes,
            Format::Jsonl | Format::Csv | Format::Tsv => Encoding::Utf8,
        }
    }

    /// Whether a record may hold bytes that a worker may not take.
    pub fn may_be_unfit(&self) -> bool {
        self.encoding() == Encoding::Bytes && self.protocol.facts().encoding == Encoding::Utf8
    }

    /// How records lie in what is written to a worker.
    pub fn framing(&self) -> Framing {
        Framing {
            separator: match self.protocol.facts().takes_separator {
                true => self.separator,
                false => Separator::Newline,
            },
            lines: 1 + usize::from(self.record_end.is_some()),
        }
    }
}

impl Format {
    /// Whether a record is a JSON value, as it is sent on.
    pub fn is_json(self) -> bool {
        self != Self::Lines
    }

    /// What stands between the fields of a row, where records are read from rows.
    pub fn delimiter(self) -> Option<u8> {
        match self {
            Self::Lines | Self::Jsonl => None,
            Self::Csv => Some(b','),
            Self::Tsv => Some(b'\t'),
        }
    }
}

/// What a protocol lets workers do, and what it lets mtask know of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How an answer tells whose it is.
    pub answers: Answers,
    /// Whether a worker may collect several records before it answers, at any time. If not, then
    /// only before its first answer.
    pub may_collect: bool,
    /// Whether a worker may say something at its end that is to be kept.
    pub has_last_word: bool,
    /// Whether results are JSON, which may be written as text.
    pub gives_json: bool,
    /// Whether records, and answers, may end with something else than a newline.
    pub takes_separator: bool,
    /// Whether a line may stand behind each record, or end an answer of several lines.
    pub takes_end_lines: bool,
    /// What a record is where nobody says it.
    pub format: Format,
    /// What bytes records and answers may hold.
    pub encoding: Encoding,
    /// What a worker may begin with, for people.
    pub begins_with: &'static str,
}

/// How an answer tells which record it is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// By its turn: they come in the order of the records.
    InTurn,
    /// By the record's name: they come in any order.
    Named,
}

impl Protocol {
    /// What it lets workers do, and mtask know.
    pub fn facts(self) -> Facts {
        match self {
            Self::Lines => Facts {
                answers: Answers::InTurn,
                may_collect: true,
                has_last_word: false,
                gives_json: false,
                takes_separator: true,
                takes_end_lines: true,
                format: Format::Lines,
                encoding: Encoding::Bytes,
                begins_with: "lines",
            },
            Self::Json => Facts {
                answers: Answers::Named,
                may_collect: false,
                has_last_word: true,
                gives_json: true,
                takes_separator: false,
                takes_end_lines: false,
                format: Format::Jsonl,
                encoding: Encoding::Utf8,
                begins_with: "{\"ready\":…}",
            },
        }
    }

    /// Its name, as `--protocol` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Json => "json",
        }
    }

    /// Its name and version, as workers find it in `MTASK_PROTOCOL`.
    pub fn version(self) -> &'static str {
        match self {
            Self::Lines => "lines/1",
            Self::Json => "json/1",
        }
    }
}

#[cfg(test)]
impl Shape {
    /// Lines each way.
    pub(crate) const LINES: Self = Self {
        format: Format::Lines,
        protocol: Protocol::Lines,
        separator: Separator::Newline,
        max_record: 1 << 20,
        record_end: None,
        answer_end: AnswerEnd::Separator,
        earlier_errors: EarlierErrors::Sent,
        field: None,
        merge: None,
    };
}

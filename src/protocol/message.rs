//! What a process says, whatever protocol it says it in.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::outcome::{Lines, Parts};
use crate::record::Index;

/// The most bytes that are kept of what answers nothing.
const KEPT: usize = 1024;

/// One thing that a process says.
#[derive(Debug, PartialEq)]
pub enum Message<'m, 'b> {
    /// Results of the oldest records that it owes, in turn: so many lines, each followed by the
    /// separator. Where an answer may be several lines, all those of one, be it none.
    Results(usize, Lines<'b>),
    /// An answer to the oldest record that it owes, longer than it may be.
    TooLarge,
    /// A line that nothing asked for, where answers come in turn.
    Stray(&'b [u8]),
    /// Answers that name their records.
    Answers(&'m mut [Answer<'b>]),
    /// It is up.
    Ready(Capabilities<'b>),
    /// It has begun these records, with one call. Those of an earlier call of which one is among
    /// them wait again.
    Begun(&'m [Index]),
    /// It is of no more use, and asks to be replaced: it will answer nothing more that it owes.
    Resigns,
    /// It has something to say at its end.
    LastWord,
    /// So many lines that are no answers.
    Log(u64),
    /// That was all that was read together. The last message of each read, for what a process wrote
    /// by then answers nothing that it is sent from now on.
    End {
        /// What it was.
        end: End,
        /// So many bytes that count are held of an answer that it has begun.
        begun: usize,
    },
}

/// What a process says of itself when it is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities<'b> {
    /// How many records it wants to be sent at a time, if it says so; or what it gives there and is
    /// no number of records, as it stands.
    pub concurrency: Result<Option<NonZeroUsize>, &'b str>,
    /// Whether it says which records it has begun.
    pub begins: Begins,
    /// Whether it ends what it has begun with one record when it is asked to.
    pub cancels: Cancels,
    /// Whether it takes records that are not UTF-8.
    pub base64: Base64Input,
}

/// Whether a process takes records that are not UTF-8 where others travel as strings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Base64Input {
    /// It has not said so.
    #[default]
    Untold,
    /// It does, in base64.
    Taken,
}

/// Whether a process says which records it has begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begins {
    /// Nobody knows: it may be at any of those that it was sent.
    #[default]
    Untold,
    /// It does, and is at no others.
    Told,
}

/// Whether a process can give up one record and go on with the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cancels {
    /// Nobody knows: only its end ends what it is at.
    #[default]
    Untold,
    /// It does when it is asked to, and then answers that record like any other.
    WhenAsked,
}

/// What a read comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing in it counts yet.
    Partial,
    /// All of it has been said.
    Whole,
    /// An answer that nothing was asked for, where answers name their records. What came behind it
    /// is of no interest.
    Unasked {
        /// What it answers.
        unasked: Unasked,
        /// Of so many records, the last ones that the process was sent, no byte was written.
        unsent: usize,
    },
}

/// An answer that nothing was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unasked {
    /// To a record that the process does not owe: it never had it, or has answered it.
    Record(Index),
    /// To no record at all: how the line begins.
    Line(Vec<u8>),
}

impl Unasked {
    /// The same of a line, which may be long.
    pub fn line(line: &[u8]) -> Self {
        Self::Line(beginning(line))
    }
}

/// The beginning of what a worker wrote.
pub fn beginning(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(KEPT)].to_vec()
}

/// How a message is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// It counts.
    Taken,
    /// It means nothing now.
    Ignored,
    /// It holds an answer to this record, which is not owed. The answers before that count.
    Unasked(Index),
}

/// What came back for one record.
#[derive(Debug, PartialEq)]
pub struct Answer<'a> {
    /// The record's index.
    pub index: Index,
    /// What is said of it.
    pub reply: Reply<'a>,
}

/// What a worker says of a record.
#[derive(Debug, PartialEq)]
pub enum Reply<'a> {
    /// The result, in the bytes that are to be written.
    Output(Cow<'a, str>),
    /// Any number of results.
    Outputs(Parts),
    /// An error.
    Error {
        /// As it came, JSON.
        json: Cow<'a, str>,
        /// The same for people, or how that begins.
        message: String,
    },
    /// Not now: it is to be sent again after so long a time, and no sooner.
    Later(Duration),
    /// No valid answer, for this reason.
    Bad(String),
    /// An answer longer than it may be.
    TooLarge,
}

impl Reply<'_> {
    /// How many results it is, where it is no failure.
    pub fn results(&self) -> Option<usize> {
        match self {
            Self::Output(_) => Some(1),
            Self::Outputs(parts) => Some(parts.count),
            Self::Error { .. } | Self::Later(_) | Self::Bad(_) | Self::TooLarge => None,
        }
    }
}

//! How records and answers travel: from lines that a worker wrote to answers, and back.
//!
//! No module here knows of processes, or of what becomes of an answer.

pub mod json;
pub mod lines;

use clap::ValueEnum;

/// How records and answers travel (`--protocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// One line in, one line out, in the same order, flushed
    Lines,
    /// One JSON object a line each way; answers carry the record's id, in any order
    Json,
}

impl Protocol {
    /// Its name and version, as workers find it in `MTASK_PROTOCOL`.
    pub fn version(self) -> &'static str {
        match self {
            Self::Lines => "lines/1",
            Self::Json => "json/1",
        }
    }
}

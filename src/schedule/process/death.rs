//! The end of a process.

use crate::outcome::Exit;
use crate::protocol::stdout::Tail;

/// How a process ended.
#[derive(Clone, Debug)]
pub struct Death {
    /// The process, if one was started.
    pub pid: Option<u32>,
    /// What became of the process.
    pub exit: Exit,
    /// The most memory that it has had, in bytes, where that is known.
    pub peak: Option<u64>,
    /// The last lines of its stderr.
    pub stderr: Vec<u8>,
    /// What it wrote after its last whole line, where that may be an answer.
    pub tail: Tail,
    /// How many of the records it holds, the last ones, were not even begun to be written to it.
    pub unsent: usize,
}

impl Death {
    pub(crate) fn by(exit: impl Into<Exit>) -> Self {
        Self {
            pid: None,
            exit: exit.into(),
            peak: None,
            stderr: Vec::new(),
            tail: Tail::default(),
            unsent: 0,
        }
    }
}

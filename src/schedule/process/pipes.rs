//! What has happened to the pipes of a process.

use std::time::Instant;

/// A pipe between mtask and a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipe {
    /// Records go to it.
    Stdin,
    /// Answers come from it.
    Stdout,
}

/// What is known of its pipes.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    /// Since when it has closed one of them, and which.
    hung_up: Option<(Instant, Pipe)>,
    /// It has closed its stdin before all that it was sent was written.
    has_refused: bool,
    /// The last record that it owes has reached it in part only: no answer to that can be right.
    is_partially_written: bool,
    /// It has said what it has to say at its end.
    has_left: bool,
}

impl Pipes {
    /// Since when it has closed one, and which: its stdout, if both.
    pub(crate) fn hung_up(&self) -> Option<(Instant, Pipe)> {
        self.hung_up
    }

    pub(crate) fn has_refused(&self) -> bool {
        self.has_refused
    }

    pub(crate) fn is_partially_written(&self) -> bool {
        self.is_partially_written
    }

    pub(crate) fn has_left(&self) -> bool {
        self.has_left
    }

    pub(super) fn closed(&mut self, pipe: Pipe, now: Instant) {
        self.has_refused |= pipe == Pipe::Stdin;
        if !matches!(self.hung_up, Some((_, Pipe::Stdout))) {
            self.hung_up = Some((now, pipe));
        }
    }

    pub(crate) fn wrote_in_part(&mut self) {
        self.is_partially_written = true;
    }

    pub(super) fn left(&mut self) {
        self.has_left = true;
    }

    pub(super) fn stand_still(&mut self, later: impl Fn(Instant) -> Instant) {
        self.hung_up = self.hung_up.map(|(since, pipe)| (later(since), pipe));
    }
}

//! Everything mtask says on stderr: its own messages and what workers write there.

use std::io::Write;

/// mtask's stderr. Whole lines are written at a time.
#[derive(Debug)]
pub struct Messages {
    shows_warnings: bool,
    lines: Vec<u8>,
}

impl Messages {
    /// Messages of which warnings are shown or, with `--quiet`, left out.
    pub fn new(verbosity: crate::config::Verbosity) -> Self {
        Self {
            shows_warnings: verbosity == crate::config::Verbosity::Normal,
            lines: Vec::new(),
        }
    }

    /// Says that the run cannot go on or has failed.
    pub fn error(&mut self, text: &str) {
        self.say(text);
    }

    /// Says something that mtask copes with.
    pub fn warning(&mut self, text: &str) {
        if self.shows_warnings {
            self.say(text);
        }
    }

    /// Where whole lines of workers are put for the next [`Messages::flush`].
    pub(crate) fn lines(&mut self) -> &mut Vec<u8> {
        &mut self.lines
    }

    /// Writes the lines of workers. Nothing can be said about a stderr that takes nothing.
    pub(crate) fn flush(&mut self) {
        if !self.lines.is_empty() {
            let _ = std::io::stderr().write_all(&self.lines);
            self.lines.clear();
        }
    }

    fn say(&mut self, text: &str) {
        self.flush();
        let _ = std::io::stderr().write_all(format!("mtask: {text}\n").as_bytes());
    }
}

//! What a process writes to stderr: passed on in whole lines, the last of it kept for error
//! records.

use std::collections::BTreeSet;

use memchr::{memmem, memrchr};

use crate::visible::LONGEST_LINE;

/// How much of the end is kept.
const KEPT: usize = 4 * 1024;

/// What stands before each line of a worker's stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StderrTags {
    /// Nothing.
    None,
    /// The worker's number: `[worker 2] `.
    Worker,
}

/// How a line begins in which the adapter of `--python` speaks itself: mostly why there is no worker.
const ADAPTER: &[u8] = b"mtask: --python";
/// What stands before it where code of the user's raised.
const TRACEBACK: &[u8] = b"Traceback (most recent call last):\n";
/// So many different ones are known.
const MOST_NOTES: usize = 32;

/// What the adapters of `--python` have said themselves: each line is shown once, for what keeps one
/// from coming up is likely to keep all.
#[derive(Debug, Default)]
pub struct AdapterNotes(BTreeSet<Vec<u8>>);

impl AdapterNotes {
    /// How much of what was read is to be shown: not a note that has been shown before, with its
    /// traceback. One that was not read in one piece is shown again.
    pub fn news<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(lines) = bytes.strip_suffix(b"\n") else {
            return bytes;
        };
        let last = memrchr(b'\n', lines).map_or(0, |end| end + 1);
        let note = &lines[last..];
        if !note.starts_with(ADAPTER) || note.len() > KEPT {
            return bytes;
        }
        if self.0.contains(note) {
            let begin = memmem::find(lines, TRACEBACK).unwrap_or(last);
            return &bytes[..begin];
        }
        if self.0.len() < MOST_NOTES {
            self.0.insert(note.to_vec());
        }
        bytes
    }
}

/// The stderr of one process.
#[derive(Debug)]
pub struct StderrLines {
    /// What stands before each line.
    tag: Vec<u8>,
    partial: Vec<u8>,
    /// The last line passed on ended with a carriage return.
    is_after_return: bool,
    kept: Vec<u8>,
}

impl StderrLines {
    /// Nothing written yet; `tag` goes before each line.
    pub fn new(tag: Vec<u8>) -> Self {
        Self {
            tag,
            partial: Vec::new(),
            is_after_return: false,
            kept: Vec::new(),
        }
    }

    /// Appends to `out` the lines that `bytes` complete, but for what is said again.
    pub fn pass(&mut self, bytes: &[u8], notes: &mut AdapterNotes, out: &mut Vec<u8>) {
        self.keep(bytes);
        let bytes = match self.partial.is_empty() {
            true => notes.news(bytes),
            false => bytes,
        };
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            // A line feed right after a carriage return belongs to the line that has been passed
            // on.
            if piece == b"\n" && std::mem::take(&mut self.is_after_return) {
                out.push(b'\n');
                continue;
            }
            let mut piece = piece;
            while self.partial.len() + piece.len() > LONGEST_LINE {
                let (front, rest) = piece.split_at(LONGEST_LINE - self.partial.len());
                self.partial.extend_from_slice(front);
                self.partial.push(b'\n');
                self.flush(out);
                piece = rest;
            }
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || piece.ends_with(b"\r") {
                self.flush(out);
            }
        }
    }

    /// Lines that the process wrote elsewhere and that belong here, each with its newline: appends
    /// them to `out`, if there is one.
    pub fn log(&mut self, lines: &[u8], out: Option<&mut Vec<u8>>) {
        self.keep(lines);
        let Some(out) = out else { return };
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            out.extend_from_slice(&self.tag);
            out.extend_from_slice(line);
        }
    }

    /// How many bytes are held of a line that is not whole yet.
    pub fn unfinished(&self) -> usize {
        self.partial.len()
    }

    /// Appends to `out` what is left of a last line without an end.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.partial.is_empty() {
            self.partial.push(b'\n');
            self.flush(out);
        }
    }

    /// The last lines, as many whole ones as fit into 4 KiB.
    pub fn last_lines(&self) -> Vec<u8> {
        let from = self.kept.len().saturating_sub(KEPT);
        let kept = &self.kept[from..];
        let whole = match kept.iter().position(|byte| *byte == b'\n') {
            Some(end) if from > 0 && end + 1 < kept.len() => &kept[end + 1..],
            _ => kept,
        };
        whole.to_vec()
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.tag);
        self.is_after_return = self.partial.ends_with(b"\r");
        out.append(&mut self.partial);
        if self.partial.capacity() > LONGEST_LINE / 16 {
            self.partial = Vec::new();
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(KEPT + 1)..];
        let all = self.kept.len() + bytes.len();
        if all > 2 * KEPT {
            self.kept.drain(..all - KEPT - 1);
        }
        self.kept.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(tag: &str, reads: &[&str]) -> String {
        let mut lines = StderrLines::new(tag.into());
        let mut out = Vec::new();
        let mut notes = AdapterNotes::default();
        reads.iter().for_each(|read| lines.pass(read.as_bytes(), &mut notes, &mut out));
        lines.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_whole_lines_are_passed_on_and_each_has_its_tag() {
        assert_eq!(
            pass("[0] ", &["a\nb", "c\n", "d"]),
            "[0] a\n[0] bc\n[0] d\n"
        );
        assert_eq!(
            pass("", &["10%\r20%\r", "done\r\nx\n"]),
            "10%\r20%\rdone\r\nx\n"
        );
    }

    #[test]
    fn a_note_of_an_adapter_is_shown_once() {
        let mut notes = AdapterNotes::default();
        let first = b"loading\nTraceback (most recent call last):\n  x\nmtask: --python a:A: no\n";
        assert_eq!(notes.news(first), first);
        assert_eq!(notes.news(first), b"loading\n");
        assert_eq!(notes.news(b"mtask: --python a:A: no\n"), b"");
        for other in [
            &b"mtask: --python a:A: yes\n"[..],
            b"x\n",
            b"",
            b"\n",
            b"mtask: --python",
        ] {
            assert_eq!(notes.news(other), other);
        }
    }

    #[test]
    fn long_lines_are_cut() {
        let out = pass("", &["x".repeat(LONGEST_LINE * 2 + 10).as_str(), "\n"]);
        assert_eq!(
            out.lines().map(str::len).collect::<Vec<_>>(),
            [LONGEST_LINE, LONGEST_LINE, 10]
        );
    }

    #[test]
    fn the_last_whole_lines_are_kept() {
        let mut lines = StderrLines::new(Vec::new());
        let mut out = Vec::new();
        for number in 0..10_000 {
            let line = format!("line {number}\n");
            lines.pass(line.as_bytes(), &mut AdapterNotes::default(), &mut out);
        }
        let last = String::from_utf8(lines.last_lines()).unwrap();
        assert!(
            last.starts_with("line ") && last.ends_with("line 9999\n"),
            "{last}"
        );
        assert!(
            last.len() > KEPT - 20 && last.len() <= KEPT,
            "{}",
            last.len()
        );
    }
}

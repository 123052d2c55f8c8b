//! What a process writes to stdout, in whole lines, without copies where it can be.
//!
//! Owns the line that is not whole yet. Always: it is held back, for the process may die in the
//! middle of it, and its bytes are counted in the budget once they are many.

use memchr::{memchr, memrchr};

use super::json::{Named, Scanner, named};
use crate::budget::Budget;
use crate::outcome::Lines;
use crate::record::Separator;

/// A part of what a process wrote.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Whole lines, at least one, each followed by the separator.
    Lines(Lines<'a>),
    /// A line longer than it may be: how it begins, and which objects that name a record it holds,
    /// if they are looked for. The rest is not kept.
    TooLong(&'a [u8], &'a [Named]),
}

/// What a process wrote after its last whole line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// The bytes, or how they begin.
    pub bytes: Vec<u8>,
    /// They were more than a line may have.
    pub is_too_long: bool,
}

/// A partial line is counted in the budget from this capacity on.
const COUNTED_FROM: usize = 64 * 1024;
/// How much is kept of a line that is too long.
const HEAD: usize = 256;

/// The stdout of one process.
#[derive(Debug)]
pub struct StdoutLines {
    separator: Separator,
    max: usize,
    budget: Budget,
    partial: Vec<u8>,
    counted: usize,
    /// The partial line is too long: only its beginning is kept, the rest is being skipped.
    is_skipping: bool,
    /// Looks through it then for objects that name a record.
    scanner: Option<Scanner>,
}

impl StdoutLines {
    /// Nothing written yet. No line may be longer than `max` bytes.
    pub fn new(separator: Separator, max: usize, budget: &Budget) -> Self {
        Self {
            separator,
            max,
            budget: budget.clone(),
            partial: Vec::new(),
            counted: 0,
            is_skipping: false,
            scanner: None,
        }
    }

    /// The same, where answers are objects that name their record.
    pub fn of_objects(separator: Separator, max: usize, budget: &Budget) -> Self {
        let mut lines = Self::new(separator, max, budget);
        lines.scanner = Some(Scanner::default());
        lines
    }

    /// Puts the line that is not whole yet into the empty `buffer`, if it is short: then what is
    /// about to be read lies behind it, and the two need not be joined.
    pub fn lead(&mut self, buffer: &mut Vec<u8>) {
        debug_assert!(buffer.is_empty());
        if self.partial.len() <= buffer.capacity() / 4 && !self.is_skipping {
            buffer.append(&mut self.partial);
        }
    }

    /// Cuts up what was read into `buffer`, behind what [`StdoutLines::lead`] put there.
    pub fn cut(&mut self, buffer: &mut Vec<u8>, mut take: impl FnMut(Part<'_>)) {
        let sep = self.separator.byte();
        let mut from = 0;
        if self.is_skipping || !self.partial.is_empty() {
            let Some(end) = memchr(sep, buffer) else {
                self.hold(buffer);
                return;
            };
            self.hold(&buffer[..end]);
            let found = self.take_found();
            let Tail {
                bytes: mut line,
                is_too_long,
            } = self.take_tail();
            if is_too_long {
                take(Part::TooLong(&line, &found));
            } else {
                line.push(sep);
                take(Part::Lines(Lines::Given {
                    buffer: &mut line,
                    from: 0,
                }));
            }
            from = end + 1;
        }
        let Some(last) = memrchr(sep, &buffer[from..]) else {
            self.hold(&buffer[from..]);
            return;
        };
        let end = from + last + 1;
        self.hold(&buffer[end..]);
        buffer.truncate(end);
        if end - from <= self.max {
            take(Part::Lines(Lines::Given { buffer, from }));
        } else {
            self.cut_each(&buffer[from..], &mut take);
        }
    }

    /// The slow way, where some of the lines may be too long.
    fn cut_each(&self, mut whole: &[u8], take: &mut impl FnMut(Part<'_>)) {
        let sep = self.separator.byte();
        while !whole.is_empty() {
            let mut end = 0;
            let mut too_long = None;
            while let Some(len) = memchr(sep, &whole[end..]) {
                if len > self.max {
                    too_long = Some(len);
                    break;
                }
                end += len + 1;
            }
            if end > 0 {
                take(Part::Lines(Lines::Lent(&whole[..end])));
            }
            if let Some(len) = too_long {
                let line = &whole[end..end + len];
                let found = self.scanner.as_ref().map(|_| named(line));
                take(Part::TooLong(
                    &line[..len.min(HEAD)],
                    &found.unwrap_or_default(),
                ));
                end += len + 1;
            }
            whole = &whole[end..];
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.is_skipping {
            self.scan(bytes);
            return;
        }
        if bytes.is_empty() {
            return;
        }
        if self.partial.len() + bytes.len() > self.max {
            let held = std::mem::take(&mut self.partial);
            self.scan(&held);
            self.scan(bytes);
            self.partial = held;
            let more = HEAD.saturating_sub(self.partial.len()).min(bytes.len());
            self.partial.extend_from_slice(&bytes[..more]);
            self.partial.truncate(HEAD);
            self.partial.shrink_to_fit();
            self.is_skipping = true;
        } else {
            self.partial.extend_from_slice(bytes);
        }
        self.recount();
    }

    fn scan(&mut self, bytes: &[u8]) {
        if let Some(scanner) = &mut self.scanner {
            scanner.feed(bytes);
        }
    }

    fn take_found(&mut self) -> Vec<Named> {
        let scanner = self.scanner.as_mut().map(std::mem::take);
        scanner.map(Scanner::into_found).unwrap_or_default()
    }

    fn recount(&mut self) {
        let holds = self.partial.capacity();
        let holds = if holds < COUNTED_FROM { 0 } else { holds };
        if holds != self.counted {
            self.budget.add(holds);
            self.budget.free(self.counted);
            self.counted = holds;
        }
    }

    /// What came after the last whole line.
    pub fn take_tail(&mut self) -> Tail {
        self.scanner = self.scanner.take().map(|_| Scanner::default());
        let tail = Tail {
            bytes: std::mem::take(&mut self.partial),
            is_too_long: std::mem::take(&mut self.is_skipping),
        };
        self.recount();
        tail
    }
}

impl Drop for StdoutLines {
    fn drop(&mut self) {
        self.budget.free(self.counted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(reads: &[&str], max: usize) -> Vec<String> {
        let budget = Budget::new(1 << 20);
        let mut lines = StdoutLines::new(Separator::Newline, max, &budget);
        let mut parts = Vec::new();
        let mut buffer = Vec::with_capacity(1024);
        for read in reads {
            buffer.clear();
            lines.lead(&mut buffer);
            buffer.extend_from_slice(read.as_bytes());
            lines.cut(&mut buffer, |part| {
                parts.push(match part {
                    Part::Lines(lines) => String::from_utf8_lossy(&lines).into_owned(),
                    Part::TooLong(head, _) => format!("too long: {}", head.escape_ascii()),
                });
            });
        }
        parts
    }

    #[test]
    fn a_partial_line_is_held_back() {
        assert_eq!(cut(&["a\nb\nc"], 99), ["a\nb\n"]);
        assert_eq!(cut(&["a\nb", "b\n", "\n"], 99), ["a\n", "bb\n", "\n"]);
    }

    #[test]
    fn a_long_line_is_skipped_and_the_next_one_is_not() {
        assert_eq!(cut(&["1234567\nok\n"], 4), ["too long: 1234567", "ok\n"]);
        assert_eq!(
            cut(&["1234", "567", "8\nok\n"], 4),
            ["too long: 1234567", "ok\n"]
        );
        assert_eq!(
            cut(&["ab\n12345\nc\n"], 4),
            ["ab\n", "too long: 12345", "c\n"]
        );
        assert_eq!(cut(&["1234\n"], 4), ["1234\n"]);
    }

    #[test]
    fn of_a_long_line_the_beginning_is_kept() {
        let long = "x".repeat(700);
        let head = format!("too long: {}", "x".repeat(HEAD));
        assert_eq!(cut(&[&long, &long, "\n"], 800), [head.as_str()]);
        assert_eq!(cut(&[&format!("{long}\n")], 600), [head.as_str()]);
    }

    #[test]
    fn the_tail_tells_whether_it_is_all() {
        let budget = Budget::new(1 << 20);
        let mut lines = StdoutLines::new(Separator::Newline, 4, &budget);
        lines.cut(&mut b"ok\nrest".to_vec(), |_| ());
        let tail = Tail {
            bytes: b"rest".to_vec(),
            is_too_long: false,
        };
        assert_eq!(lines.take_tail(), tail);
        lines.cut(&mut b"more than 4".to_vec(), |_| panic!("no line yet"));
        assert!(lines.take_tail().is_too_long);
        assert_eq!(lines.take_tail(), Tail::default());
    }

    #[test]
    fn a_long_partial_line_is_counted_until_it_is_over() {
        let budget = Budget::new(1 << 20);
        let mut lines = StdoutLines::new(Separator::Newline, 1 << 20, &budget);
        lines.cut(&mut vec![b'x'; 100_000], |_| panic!("no line yet"));
        assert!(budget.held() >= 100_000);
        let mut len = 0;
        lines.cut(&mut b"y\n".to_vec(), |part| match part {
            Part::Lines(line) => len = line.len(),
            other => panic!("{other:?}"),
        });
        assert_eq!((len, budget.held()), (100_002, 0));
    }
}

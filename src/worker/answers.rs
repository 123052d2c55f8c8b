//! From what a life writes to answers: whole lines, counted, without copies where it can be.
//!
//! Owns the line that is not whole yet. Always: it is held back, for the life may die in the middle
//! of it, and its bytes are counted in the budget once they are many.

use memchr::{memchr, memchr_iter, memrchr};

use crate::budget::Budget;
use crate::record::Separator;

/// A part of what a life wrote.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// So many answers, each followed by the separator.
    Answers(usize, &'a [u8]),
    /// One answer, longer than it may be. Its bytes are not kept.
    TooLarge,
    /// A line that answers nothing. What follows it was dropped.
    Stray(&'a [u8]),
}

/// A partial line is counted in the budget from this capacity on.
const COUNTED_FROM: usize = 64 * 1024;

/// The answers of one life.
#[derive(Debug)]
pub struct Answers {
    separator: Separator,
    max: usize,
    budget: Budget,
    partial: Vec<u8>,
    counted: usize,
    /// The rest of a line that is too long is being skipped.
    is_skipping: bool,
}

impl Answers {
    /// No answers yet. No answer may be longer than `max` bytes.
    pub fn new(separator: Separator, max: usize, budget: &Budget) -> Self {
        Self {
            separator,
            max,
            budget: budget.clone(),
            partial: Vec::new(),
            counted: 0,
            is_skipping: false,
        }
    }

    /// Puts the line that is not whole yet before what is about to be read, if it is short: then
    /// the two lie together and need not be joined. Gives how many bytes of `buffer` that took.
    pub fn lead(&mut self, buffer: &mut [u8]) -> usize {
        let len = self.partial.len();
        if len > buffer.len() / 4 || self.is_skipping {
            return 0;
        }
        buffer[..len].copy_from_slice(&self.partial);
        self.partial.clear();
        len
    }

    /// Cuts up what was read; `bytes` begins with what [`Answers::lead`] put there. The life owes
    /// `owed` answers.
    pub fn cut(&mut self, mut bytes: &[u8], mut owed: usize, mut take: impl FnMut(Part<'_>)) {
        let sep = self.separator.byte();
        if self.is_skipping || !self.partial.is_empty() {
            let Some(end) = memchr(sep, bytes) else {
                self.hold(bytes);
                return;
            };
            self.hold(&bytes[..end]);
            let line = std::mem::take(&mut self.partial);
            let was_skipping = std::mem::replace(&mut self.is_skipping, false);
            self.recount();
            match owed {
                0 => return take(Part::Stray(&line)),
                _ if was_skipping => take(Part::TooLarge),
                _ => {
                    let mut line = line;
                    line.push(sep);
                    take(Part::Answers(1, &line));
                }
            }
            owed -= 1;
            bytes = &bytes[end + 1..];
        }
        let Some(last) = memrchr(sep, bytes) else {
            self.hold(bytes);
            return;
        };
        let (whole, rest) = bytes.split_at(last + 1);
        let count = memchr_iter(sep, whole).count();
        if count <= owed && whole.len() <= self.max {
            take(Part::Answers(count, whole));
        } else if !self.cut_each(whole, owed, &mut take) {
            return;
        }
        self.hold(rest);
    }

    /// The slow way, line by line. Gives whether there was no line too many.
    fn cut_each(&self, mut whole: &[u8], mut owed: usize, take: &mut impl FnMut(Part<'_>)) -> bool {
        let sep = self.separator.byte();
        while !whole.is_empty() {
            let mut run = 0;
            let mut end = 0;
            while run < owed
                && let Some(len) = memchr(sep, &whole[end..])
                && len <= self.max
            {
                run += 1;
                end += len + 1;
            }
            if run > 0 {
                take(Part::Answers(run, &whole[..end]));
                owed -= run;
                whole = &whole[end..];
            }
            let Some(len) = memchr(sep, whole) else {
                continue;
            };
            if owed == 0 {
                take(Part::Stray(&whole[..len]));
                return false;
            }
            if len > self.max {
                take(Part::TooLarge);
                owed -= 1;
                whole = &whole[len + 1..];
            }
        }
        true
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.is_skipping || bytes.is_empty() {
            return;
        }
        if self.partial.len() + bytes.len() > self.max {
            self.partial = Vec::new();
            self.is_skipping = true;
        } else {
            self.partial.extend_from_slice(bytes);
        }
        self.recount();
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
    pub fn take_partial(&mut self) -> Vec<u8> {
        let partial = std::mem::take(&mut self.partial);
        self.recount();
        partial
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.budget.free(self.counted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(reads: &[&str], owed: usize, max: usize) -> Vec<String> {
        let budget = Budget::new(1 << 20);
        let mut answers = Answers::new(Separator::Newline, max, &budget);
        let mut parts = Vec::new();
        let mut left = owed;
        for read in reads {
            let mut buffer = [0; 256];
            let led = answers.lead(&mut buffer);
            buffer[led..led + read.len()].copy_from_slice(read.as_bytes());
            answers.cut(&buffer[..led + read.len()], left, |part| {
                parts.push(match part {
                    Part::Answers(count, bytes) => {
                        left -= count;
                        format!("{count}:{}", String::from_utf8_lossy(bytes))
                    }
                    Part::TooLarge => {
                        left -= 1;
                        "too large".into()
                    }
                    Part::Stray(line) => format!("stray:{}", String::from_utf8_lossy(line)),
                });
            });
        }
        parts
    }

    #[test]
    fn lines_are_counted_and_a_partial_one_is_held_back() {
        assert_eq!(cut(&["a\nb\nc"], 9, 99), ["2:a\nb\n"]);
        assert_eq!(
            cut(&["a\nb", "b\n", "\n"], 9, 99),
            ["1:a\n", "1:bb\n", "1:\n"]
        );
    }

    #[test]
    fn a_line_more_than_owed_is_stray() {
        assert_eq!(cut(&["a\nb\nc\nd\n"], 2, 99), ["2:a\nb\n", "stray:c"]);
        assert_eq!(cut(&["a", "b\n"], 0, 99), ["stray:ab"]);
    }

    #[test]
    fn a_long_line_is_skipped_and_the_next_one_is_not() {
        assert_eq!(cut(&["1234567\nok\n"], 3, 4), ["too large", "1:ok\n"]);
        assert_eq!(
            cut(&["1234", "567", "8\nok\n"], 3, 4),
            ["too large", "1:ok\n"]
        );
        assert_eq!(cut(&["ab\n12345\n"], 2, 4), ["1:ab\n", "too large"]);
        assert_eq!(cut(&["1234\n"], 2, 4), ["1:1234\n"]);
    }

    #[test]
    fn a_long_partial_line_is_counted_until_it_is_over() {
        let budget = Budget::new(1 << 20);
        let mut answers = Answers::new(Separator::Newline, 1 << 20, &budget);
        answers.cut(&vec![b'x'; 100_000], 1, |_| panic!("no line yet"));
        assert!(budget.held() >= 100_000);
        let mut count = 0;
        answers.cut(b"y\n", 1, |part| match part {
            Part::Answers(1, line) => count = line.len(),
            other => panic!("{other:?}"),
        });
        assert_eq!((count, budget.held()), (100_002, 0));
    }
}

//! The lines protocol, where an answer is all lines up to one that ends it (`--answer-end`).
//!
//! Owns the answer that is not whole yet. Always: lines belong to the oldest record that was owed
//! when they were read, answers are said one at a time, and what is held of one that has been begun
//! is counted in the budget once it is much.

use memchr::memchr;
use memchr::memmem::Finder;

use super::message::{End, Message};
use super::stdout::{Part, StdoutLines, Tail};
use super::{Aside, Listener, Reads, let_go};
use crate::budget::Budget;
use crate::outcome::Lines;
use crate::record::Separator;
use crate::shape::{EndLine, Shape};

/// What is held of an answer is counted in the budget beyond this length.
const COUNTED_FROM: usize = 4 * 1024;

/// The stdout of a process whose answers end with a line.
#[derive(Debug)]
pub(super) struct SeveralLinesReader {
    stdout: StdoutLines,
    answer: BegunAnswer,
    end: EndOfAnswer,
}

impl SeveralLinesReader {
    /// Of a process that has written nothing yet, and whose answers end before `line`.
    pub(super) fn new(shape: &Shape, line: EndLine, budget: &Budget) -> Self {
        Self {
            stdout: StdoutLines::new(shape.separator, shape.max_record, budget),
            answer: BegunAnswer::new(shape.max_record, budget),
            end: EndOfAnswer::new(line, shape.separator),
        }
    }
}

impl Reads for SeveralLinesReader {
    fn lead(&mut self, buffer: &mut Vec<u8>) {
        self.stdout.lead(buffer);
    }

    fn take_back(&mut self, buffer: &mut Vec<u8>) {
        self.stdout.take_back(buffer);
    }

    fn begun(&self) -> usize {
        self.stdout.begun() + self.answer.begun()
    }

    fn text(&self) -> usize {
        self.stdout.text()
    }

    fn read(&mut self, buffer: &mut Vec<u8>, listener: &mut dyn Listener, _: &mut Aside) -> End {
        let before = listener.owed();
        let mut owed = before;
        let Self {
            stdout,
            answer,
            end,
        } = self;
        stdout.cut(buffer, |part| {
            end.read(part, answer, &mut owed, |message| {
                listener.heard(message);
            });
        });
        let_go(stdout, listener, |_| {
            unreachable!("lines that cannot tell are skipped")
        });
        match owed == before {
            true => End::Partial,
            false => End::Whole,
        }
    }

    /// The line that ends an answer may lack its own end. What else is left of an answer is none,
    /// and where none is owed nothing has asked for it.
    fn read_tail(&mut self, listener: &mut dyn Listener, _: &mut Aside) -> (Tail, End) {
        let tail = self.stdout.take_tail();
        let owed = listener.owed();
        if owed == 0 {
            return (tail, End::Partial);
        }
        if !tail.is_too_long && !tail.is_rest && tail.bytes == self.end.line {
            listener.heard(self.answer.finish(&[]));
        }
        self.answer.forget();
        (Tail::default(), End::Partial)
    }
}

/// The line that ends answers, and how it is found.
#[derive(Debug)]
pub struct EndOfAnswer {
    line: EndLine,
    separator: Separator,
    finder: Finder<'static>,
}

impl EndOfAnswer {
    /// That is `line`.
    pub fn new(line: EndLine, separator: Separator) -> Self {
        let whole = [line, &[separator.byte()]].concat();
        Self {
            line,
            separator,
            finder: Finder::new(&whole).into_owned(),
        }
    }

    /// Reads `part` as answers, or parts of them, of a process that owed `owed` of them when it wrote
    /// it, and takes them off. `answer` is what it has begun, and begins.
    ///
    /// What it is sent from now on it cannot have answered yet.
    pub fn read(
        &self,
        part: Part<'_>,
        answer: &mut BegunAnswer,
        owed: &mut usize,
        mut take: impl FnMut(Message<'_, '_>),
    ) {
        let lines = match part {
            Part::Lines(lines) => lines,
            Part::Rest(lines) => Lines::Lent(lines),
            Part::TooLong(head, _) if *owed == 0 => return take(Message::Stray(head)),
            Part::TooLong(..) => return answer.outgrow(),
        };
        let mut left = lines.into_bytes();
        while !left.is_empty() {
            if *owed == 0 {
                let end = memchr(self.separator.byte(), left).expect("whole lines");
                // What comes behind it says no more.
                return take(Message::Stray(&left[..end]));
            }
            let Some(at) = self.find(left) else {
                return answer.grow(left);
            };
            take(answer.finish(&left[..at]));
            answer.forget();
            *owed -= 1;
            left = &left[at + self.line.len() + 1..];
        }
    }

    /// Where the first line stands in `lines` that ends an answer.
    fn find(&self, lines: &[u8]) -> Option<usize> {
        let begins_line = |at: &usize| *at == 0 || lines[at - 1] == self.separator.byte();
        self.finder.find_iter(lines).find(begins_line)
    }
}

/// What has come of an answer: whole lines.
#[derive(Debug)]
pub struct BegunAnswer {
    lines: Vec<u8>,
    max: usize,
    /// It has more than `max` bytes, and is not kept.
    is_too_large: bool,
    budget: Budget,
    counted: usize,
}

impl BegunAnswer {
    /// Nothing yet. No answer may have more than `max` bytes, the last separator not counted.
    pub fn new(max: usize, budget: &Budget) -> Self {
        Self {
            lines: Vec::new(),
            max,
            is_too_large: false,
            budget: budget.clone(),
            counted: 0,
        }
    }

    /// How many bytes are held that count in the budget.
    fn begun(&self) -> usize {
        if self.counted > 0 {
            self.lines.len()
        } else {
            0
        }
    }

    fn grow(&mut self, lines: &[u8]) {
        if self.is_too_large || !self.has_room_for(lines) {
            return self.outgrow();
        }
        self.lines.extend_from_slice(lines);
        self.recount();
    }

    fn outgrow(&mut self) {
        self.forget();
        self.is_too_large = true;
    }

    fn has_room_for(&self, lines: &[u8]) -> bool {
        self.lines.len() + lines.len() <= self.max.saturating_add(1)
    }

    /// The whole answer, with its last lines.
    fn finish<'a>(&'a mut self, last: &'a [u8]) -> Message<'a, 'a> {
        if self.is_too_large || !self.has_room_for(last) {
            return Message::TooLarge;
        }
        if self.lines.is_empty() {
            return Message::Results(1, Lines::Lent(last));
        }
        self.lines.extend_from_slice(last);
        let buffer = &mut self.lines;
        Message::Results(1, Lines::Given { buffer, from: 0 })
    }

    /// Another one is to come.
    fn forget(&mut self) {
        self.is_too_large = false;
        self.lines.clear();
        if self.lines.capacity() > COUNTED_FROM {
            self.lines = Vec::new();
        }
        self.recount();
    }

    fn recount(&mut self) {
        let holds = self.lines.capacity();
        let holds = if self.lines.len() > COUNTED_FROM {
            holds
        } else {
            0
        };
        if holds != self.counted {
            self.budget.add(holds);
            self.budget.free(self.counted);
            self.counted = holds;
        }
    }
}

impl Drop for BegunAnswer {
    fn drop(&mut self) {
        self.budget.free(self.counted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of these pieces, each of whole lines, of a process that owes so many answers.
    fn said(max: usize, mut owed: usize, pieces: &[&str]) -> Vec<String> {
        let budget = Budget::new(1 << 20);
        let end = EndOfAnswer::new(b"END", Separator::Newline);
        let mut answer = BegunAnswer::new(max, &budget);
        let mut said = Vec::new();
        for piece in pieces {
            let lines = Lines::Lent(piece.as_bytes());
            end.read(Part::Lines(lines), &mut answer, &mut owed, |message| {
                said.push(match message {
                    Message::Results(count, lines) => {
                        assert_eq!(count, 1);
                        String::from_utf8(lines.to_vec()).unwrap()
                    }
                    Message::Stray(line) => format!("stray {}", line.escape_ascii()),
                    other => format!("{other:?}"),
                });
            });
        }
        drop(answer);
        assert_eq!(budget.held(), 0);
        said
    }

    #[test]
    fn an_answer_is_all_lines_up_to_its_end_however_they_are_cut() {
        let expected = ["a\nb\n", "", "\n", "c\n"];
        let all = "a\nb\nEND\nEND\n\nEND\nc\nEND\n";
        assert_eq!(said(100, 4, &[all]), expected);
        let each: Vec<&str> = all.split_inclusive('\n').collect();
        assert_eq!(said(100, 4, &each), expected);
    }

    #[test]
    fn only_a_whole_line_ends_an_answer() {
        assert_eq!(
            said(100, 1, &["xEND\nENDx\nEND \nEND\n"]),
            ["xEND\nENDx\nEND \n"]
        );
    }

    #[test]
    fn a_line_is_stray_where_nothing_is_owed_be_it_an_end() {
        assert_eq!(said(100, 1, &["END\nb\nEND\n"]), ["", "stray b"]);
        assert_eq!(said(100, 0, &["END\n"]), ["stray END"]);
    }

    #[test]
    fn an_answer_may_be_so_large_and_the_next_one_counts_anew() {
        assert_eq!(
            said(3, 3, &["abc\nEND\nab\ncd\nEND\nx\nEND\n"]),
            ["abc\n", "TooLarge", "x\n"]
        );
        assert_eq!(
            said(3, 2, &["ab\n", "cd\n", "e\n", "END\nx\n", "END\n"]),
            ["TooLarge", "x\n"]
        );
    }
}

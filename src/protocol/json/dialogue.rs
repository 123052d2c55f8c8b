//! What a process of the json protocol writes, as messages: the lines of each read, one by one, and
//! what stands on them.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr_iter};

use super::parted::Parted;
use super::{NamedRecord, Statement, Wanted};
use crate::budget::Budget;
use crate::outcome::Lines;
use crate::protocol::message::{Answer, End, Message, Reception, Reply, Unasked};
use crate::protocol::stdout::{Part, StdoutLines, Tail};
use crate::protocol::{Aside, Listener, Reads, let_go};
use crate::record::Separator;
use crate::shape::Shape;
use crate::visible::LONGEST_LINE;

/// The stdout of a process of the json protocol.
#[derive(Debug)]
pub(in crate::protocol) struct JsonReader {
    stdout: StdoutLines,
    wanted: Wanted,
    parted: Parted,
}

impl JsonReader {
    /// Of a process that has written nothing yet.
    pub(in crate::protocol) fn new(shape: &Shape, wanted: Wanted, budget: &Budget) -> Self {
        Self {
            stdout: StdoutLines::of_objects(Separator::Newline, shape.max_record, budget),
            wanted,
            parted: Parted::default(),
        }
    }
}

impl Reads for JsonReader {
    fn lead(&mut self, buffer: &mut Vec<u8>) {
        self.stdout.lead(buffer);
    }

    fn take_back(&mut self, buffer: &mut Vec<u8>) {
        self.stdout.take_back(buffer);
    }

    fn begun(&self) -> usize {
        self.stdout.begun()
    }

    fn text(&self) -> usize {
        self.stdout.text()
    }

    fn read(
        &mut self,
        buffer: &mut Vec<u8>,
        listener: &mut dyn Listener,
        aside: &mut Aside,
    ) -> End {
        let mut dialogue = Dialogue::new(self.wanted, &mut self.parted, listener);
        self.stdout.cut(buffer, |part| dialogue.read(part));
        let mut said = dialogue.said;
        let_go(&mut self.stdout, listener, |piece| {
            said.log.extend_from_slice(piece);
            said.log.push(b'\n');
        });
        said.end(listener, aside)
    }

    /// It is an answer if it can be read as one, and otherwise a line for people.
    fn read_tail(&mut self, listener: &mut dyn Listener, aside: &mut Aside) -> (Tail, End) {
        let mut tail = self.stdout.take_tail();
        if tail.bytes.is_empty() && !tail.is_rest {
            return (tail, End::Partial);
        }
        let mut dialogue = Dialogue::new(self.wanted, &mut self.parted, listener);
        if tail.is_rest {
            dialogue.read_rest(&tail.bytes);
        } else {
            dialogue.read_torn(&mut tail.bytes);
        }
        let said = dialogue.said;
        (Tail::default(), said.end(listener, aside))
    }
}

/// What a process of the json protocol said beside its answers.
#[derive(Default)]
struct LineContent {
    /// Lines for people, each with its newline.
    log: Vec<u8>,
    log_lines: u64,
    /// What it had to say at its end, as JSON.
    exits: Vec<String>,
    /// It answered what it does not owe. Nothing behind that has been looked at.
    unasked: Option<Unasked>,
}

/// So much of what was read together is passed on as lines for people. It is more than a read and a
/// text that began before it: a longer line was held because it might have been an answer.
const MOST_LOGGED: usize = 4 * LONGEST_LINE;

impl LineContent {
    /// Passes on what is left to be said at the end of a read.
    fn end(self, listener: &mut dyn Listener, aside: &mut Aside) -> End {
        if self.log_lines > 0 {
            listener.heard(Message::Log(self.log_lines));
        }
        aside.log = self.log;
        aside.exits = self.exits;
        match self.unasked {
            None => End::Whole,
            Some(unasked) => End::Unasked {
                unasked,
                unsent: listener.unsent(),
            },
        }
    }

    /// A line for people or a part of one, cut where it is long.
    fn log(&mut self, text: &[u8]) {
        let room = MOST_LOGGED.saturating_sub(self.log.len());
        let text = &text[..text.len().min(room)];
        if text.is_empty() && room > 0 {
            self.log.push(b'\n');
        }
        for piece in text.chunks(LONGEST_LINE) {
            self.log.extend_from_slice(piece);
            self.log.push(b'\n');
        }
    }
}

/// Lines of one read on their way to the listener.
struct Dialogue<'s> {
    wanted: Wanted,
    parted: &'s mut Parted,
    listener: &'s mut dyn Listener,
    said: LineContent,
    /// The process has answered on lines that held something else too.
    has_parted: bool,
}

impl<'s> Dialogue<'s> {
    fn new(wanted: Wanted, parted: &'s mut Parted, listener: &'s mut dyn Listener) -> Self {
        Self {
            wanted,
            has_parted: !parted.is_empty(),
            parted,
            listener,
            said: LineContent::default(),
        }
    }

    fn read(&mut self, part: Part<'_>) {
        let mut answers = Vec::new();
        match part {
            Part::TooLong(head, found) => {
                let owes = |index| self.listener.owes(index);
                match super::read_head(head, found, owes) {
                    Statement::Answer(answer)
                        if !self.listener.owes(answer.index)
                            && self.parted.takes_for_repeated(&answer) =>
                    {
                        self.log(head);
                    }
                    message => self.take(message, head, &mut answers),
                }
            }
            Part::Rest(line) => self.read_rest(line),
            Part::Lines(Lines::Given { buffer, from: 0 }) if is_large(buffer) => {
                buffer.pop();
                self.read_large(buffer);
            }
            Part::Lines(lines) => {
                let lines = lines.into_bytes();
                let mut start = 0;
                for end in memchr_iter(b'\n', lines) {
                    self.read_line(&lines[start..end], &mut answers);
                    start = end + 1;
                }
            }
        }
        self.pass(&mut answers);
    }

    fn read_line<'a>(&mut self, line: &'a [u8], answers: &mut Vec<Answer<'a>>) {
        match super::read(line, self.wanted) {
            Statement::Answer(answer) if is_valid(&answer) => {
                self.take_valid(answer, line, answers);
            }
            message @ (Statement::Ready(_)
            | Statement::Begun(_)
            | Statement::Restart
            | Statement::Exit(_)) => {
                self.take(message, line, answers);
            }
            message => {
                // The answers before it tell what is still owed.
                self.pass(answers);
                let parts = self.parts(line);
                if parts.is_empty() {
                    self.take(message, line, answers);
                } else {
                    self.read_parts(line, &parts);
                }
            }
        }
    }

    /// The same for a large line. What it says is moved on in its buffer, for it may be as large as
    /// all that mtask is to hold.
    fn read_large(&mut self, line: &mut Vec<u8>) {
        let mut answers = Vec::new();
        match super::read(line, self.wanted) {
            Statement::Answer(answer)
                if self.has_parted && self.parted.takes_for_repeated(&answer) =>
            {
                self.log(line);
            }
            Statement::Answer(Answer {
                index,
                reply: Reply::Output(Cow::Borrowed(output)),
            }) => {
                let place = place_of(output, line);
                let reply = Reply::Output(carve(line, place).into());
                answers.push(Answer { index, reply });
            }
            Statement::Answer(Answer {
                index,
                reply: Reply::Outputs(parts),
            }) => {
                *line = Vec::new();
                let reply = Reply::Outputs(parts);
                answers.push(Answer { index, reply });
            }
            Statement::Answer(Answer {
                index,
                reply:
                    Reply::Error {
                        json: Cow::Borrowed(json),
                        message,
                    },
            }) => {
                let place = place_of(json, line);
                let json = carve(line, place).into();
                let reply = Reply::Error { json, message };
                answers.push(Answer { index, reply });
            }
            Statement::Exit(exit) if self.is_taken(Message::LastWord) => {
                let place = place_of(exit, line);
                self.said.exits.push(carve(line, place));
            }
            _ => self.read_line(line, &mut answers),
        }
        self.pass(&mut answers);
    }

    /// A last line whose end is missing: it counts only as far as it can be read all the same.
    fn read_torn(&mut self, line: &mut Vec<u8>) {
        match super::read(line, self.wanted) {
            Statement::Answer(answer) if is_valid(&answer) => self.read_large(line),
            Statement::Exit(_) => self.read_large(line),
            _ => {
                let mut parts = self.parts(line);
                parts.retain(|part| {
                    let read = super::read(&line[part.start..part.end], self.wanted);
                    matches!(read, Statement::Answer(answer) if is_valid(&answer))
                });
                self.read_parts(line, &parts);
            }
        }
    }

    /// What is left of a line whose beginning has been let go: answers behind text, if any.
    fn read_rest(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let before = self.said.log_lines;
        self.read_parts(line, self.answers(&super::named(line)));
        // The text before it was a line as well.
        self.said.log_lines = self.said.log_lines.max(before + 1);
    }

    /// The answers to records that are owed on a line that is not one answer.
    fn parts(&self, line: &[u8]) -> Vec<NamedRecord> {
        let found = super::named(line);
        let parts = self.answers(&found);
        let begins_with_one = parts.first().is_some_and(|first| first.is_first);
        // What begins as an answer and is none is not searched for others: they may be what it
        // quotes.
        let is_begun = |first: &NamedRecord| {
            first.is_first && first.is_reply && self.listener.owes(first.index)
        };
        let begins_as_answer =
            super::begins_like_an_answer(line) || found.first().is_some_and(is_begun);
        let is_one = parts.len() == 1 && begins_with_one;
        if is_one || begins_as_answer && !begins_with_one {
            return Vec::new();
        }
        parts.to_vec()
    }

    /// Those of the objects on a line that are answers to records that are owed.
    fn answers<'n>(&self, found: &'n [NamedRecord]) -> &'n [NamedRecord] {
        NamedRecord::answers(found, |index| self.listener.owes(index))
    }

    /// Takes the answers that a line ends with one by one. What stands before the first is a line
    /// of its own.
    fn read_parts(&mut self, line: &[u8], parts: &[NamedRecord]) {
        let Some(first) = parts.first() else {
            if !line.trim_ascii().is_empty() {
                self.log(line);
            }
            return;
        };
        let text = &line[..first.start];
        if !text.trim_ascii().is_empty() {
            let message = match super::read(text, self.wanted) {
                Statement::Mention(_) => Statement::Log,
                message => message,
            };
            let mut answers = Vec::new();
            self.take(message, text, &mut answers);
            self.pass(&mut answers);
        }
        for part in parts {
            if self.said.unasked.is_some() {
                return;
            }
            let text = &line[part.start..part.end];
            match super::read(text, self.wanted) {
                Statement::Answer(answer) | Statement::Mention(answer)
                    if self.listener.owes(answer.index) =>
                {
                    self.parted.note(&answer);
                    self.has_parted = true;
                    self.pass(&mut vec![answer]);
                }
                _ => self.log(text),
            }
        }
    }

    fn take_valid<'a>(&mut self, answer: Answer<'a>, line: &[u8], answers: &mut Vec<Answer<'a>>) {
        if self.has_parted {
            self.pass(answers);
        }
        if self.said.unasked.is_some() {
            return;
        }
        if self.has_parted && self.parted.takes_for_repeated(&answer) {
            self.log(line);
        } else {
            answers.push(answer);
        }
    }

    fn take<'a>(&mut self, message: Statement<'a>, line: &[u8], answers: &mut Vec<Answer<'a>>) {
        if self.said.unasked.is_some() {
            return;
        }
        if !matches!(message, Statement::Answer(_)) {
            // The answers before it count first.
            self.pass(answers);
            if self.said.unasked.is_some() {
                return;
            }
        }
        match message {
            Statement::Answer(answer) => answers.push(answer),
            Statement::Mention(answer) if self.listener.owes(answer.index) => {
                answers.push(answer);
            }
            Statement::Nameless => self.said.unasked = Some(Unasked::line(line)),
            Statement::Ready(capabilities) if self.is_taken(Message::Ready(capabilities)) => {}
            Statement::Begun(indices) if self.is_taken(Message::Begun(&indices)) => {}
            Statement::Restart if self.is_taken(Message::Resigns) => {}
            Statement::Exit(exit) if self.is_taken(Message::LastWord) => {
                self.said.exits.push(exit.to_owned());
            }
            Statement::Mention(_)
            | Statement::Ready(_)
            | Statement::Begun(_)
            | Statement::Restart
            | Statement::Exit(_)
            | Statement::Log => {
                self.log(line);
            }
        }
    }

    fn is_taken(&mut self, message: Message<'_, '_>) -> bool {
        self.listener.heard(message) == Reception::Taken
    }

    fn pass(&mut self, answers: &mut Vec<Answer<'_>>) {
        if !answers.is_empty()
            && let Reception::Unasked(index) = self.listener.heard(Message::Answers(answers))
        {
            self.said.unasked = Some(Unasked::Record(index));
        }
        answers.clear();
    }

    fn log(&mut self, line: &[u8]) {
        self.said.log(line);
        self.said.log_lines += 1;
    }
}

/// Whether this is one line that is better moved than copied.
fn is_large(lines: &[u8]) -> bool {
    lines.len() > LONGEST_LINE && memchr(b'\n', lines) == Some(lines.len() - 1)
}

/// Where a part of a line stands.
fn place_of(part: &str, line: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - line.as_ptr().addr();
    start..start + part.len()
}

/// Leaves of a line what stands there, which was read as text.
fn carve(line: &mut Vec<u8>, place: Range<usize>) -> String {
    let mut bytes = std::mem::take(line);
    bytes.truncate(place.end);
    bytes.drain(..place.start);
    String::from_utf8(bytes).expect("it was read as text")
}

fn is_valid(answer: &Answer<'_>) -> bool {
    !matches!(answer.reply, Reply::Bad(_))
}

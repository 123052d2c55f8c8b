//! What workers write to stdout, passed on to the scheduler as their protocol has it.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Instant;

use memchr::{memchr, memchr_iter};

use super::Engine;
use super::processes::RunningProcess;
use super::world::World;
use crate::outcome::{Chunks, Lines};
use crate::protocol::json::{self, Answer, Message, Named, Reply, Wanted};
use crate::protocol::lines;
use crate::protocol::stdout::{Awaited, Part, Tail};
use crate::schedule::{Scheduler, Unasked, WorkerId};
use crate::shape::Protocol;
use crate::worker::child::Child;
use crate::worker::stderr::LONGEST_LINE;

impl<W: World> Engine<W> {
    /// Passes on what has been read into the buffer.
    pub(super) fn pass_answers(&mut self, worker: WorkerId, now: Instant) {
        let Some(process) = &mut self.processes[worker.0] else {
            return;
        };
        let buffer = &mut self.buffer;
        if buffer.is_empty() {
            return;
        }
        let scheduler = &mut self.scheduler;
        match self.config.shape.protocol {
            Protocol::Lines => {
                let separator = self.config.shape.separator;
                let before = scheduler.owed(worker);
                let mut owed = before;
                process.stdout.cut(buffer, |part| {
                    lines::read(part, &mut owed, separator, |answer| match answer {
                        lines::Answer::Results(count, answers) => {
                            scheduler.answered(worker, count, answers, now);
                        }
                        lines::Answer::TooLarge => scheduler.answered_too_large(worker, now),
                        lines::Answer::Stray(line) => scheduler.stray(worker, line, now),
                    });
                });
                let nothing = self.let_go(worker);
                debug_assert!(nothing.is_empty(), "lines that cannot tell are skipped");
                if owed != before {
                    self.scheduler.end_of_read(worker, now);
                }
            }
            Protocol::Json => {
                let mut dialogue = Dialogue::new(worker, self.config.wanted, scheduler, now);
                process.stdout.cut(buffer, |part| dialogue.read(part));
                let mut said = dialogue.said;
                said.log.extend(self.let_go(worker));
                self.pass_said(worker, said, now);
            }
        }
        if let Some(process) = &self.processes[worker.0] {
            self.scheduler
                .note_begun(worker, process.stdout.begun(), now);
        }
        self.act();
    }

    /// Lets go of what a process has written and can be no part of an answer. Gives what is for
    /// people.
    fn let_go(&mut self, worker: WorkerId) -> Vec<u8> {
        let scheduler = &self.scheduler;
        let awaited = if scheduler.awaits_words(worker) {
            Awaited::Something
        } else {
            Awaited::Nothing
        };
        let mut text = Vec::new();
        let may_let_go = |process: &RunningProcess<W::Child>| process.stdout.may_let_go(awaited);
        if !self.processes[worker.0].as_ref().is_some_and(may_let_go) {
            return text;
        }
        let longest = self.longest_unfinished();
        if let Some(process) = &mut self.processes[worker.0] {
            let owes = |index| scheduler.owes(worker, index);
            process.stdout.let_go(awaited, longest, owes, |piece| {
                text.extend_from_slice(piece);
                text.push(b'\n');
            });
        }
        text
    }

    /// What a process wrote after its last whole line. Where answers have ids, it is an answer if
    /// it can be read as one, and otherwise a line for people; where not, its end must tell.
    pub(super) fn pass_tail(&mut self, worker: WorkerId, now: Instant) -> Tail {
        let Some(process) = &mut self.processes[worker.0] else {
            return Tail::default();
        };
        let mut tail = process.stdout.take_tail();
        let is_empty = tail.bytes.is_empty() && !tail.is_rest;
        if self.config.shape.protocol == Protocol::Lines || is_empty {
            return tail;
        }
        let scheduler = &mut self.scheduler;
        let mut dialogue = Dialogue::new(worker, self.config.wanted, scheduler, now);
        if tail.is_rest {
            dialogue.read_rest(&tail.bytes);
        } else {
            dialogue.read_torn(&mut tail.bytes);
        }
        let said = dialogue.said;
        self.pass_said(worker, said, now);
        self.act();
        Tail::default()
    }

    /// Passes on what a process said beside its answers.
    fn pass_said(&mut self, worker: WorkerId, said: Said, now: Instant) {
        let Some(process) = &mut self.processes[worker.0] else {
            return;
        };
        if said.log_lines > 0 {
            self.scheduler.logged(worker, said.log_lines);
        }
        if !said.log.is_empty() {
            // What cannot be written is counted at least.
            let may_wait = !self.messages.is_full();
            process
                .stderr
                .log(&said.log, may_wait.then(|| self.messages.lines()));
            self.messages.flush();
        }
        let mut failure = None;
        for exit in said.exits {
            let begin = format!(
                "{{\"worker\":{},\"process\":{},\"exit\":",
                worker.0, process.number
            );
            let mut line = Chunks::from(begin.into_bytes());
            line.put(exit.into_bytes());
            line.put(b"}\n".to_vec());
            match self.output.keep_exit(line) {
                Ok(true) => {}
                Ok(false) => self.scheduler.exit_not_kept(),
                Err(error) => failure = Some(error),
            }
        }
        match said.unasked {
            None => self.scheduler.end_of_read(worker, now),
            Some(unasked) => {
                let unsent = process.child.unsent(self.config.shape.separator);
                self.scheduler
                    .answered_unasked(worker, &unasked, unsent, now);
            }
        }
        if let Some(error) = failure {
            self.output_failed(&error);
        }
    }
}

/// What a process of the json protocol said beside its answers.
#[derive(Default)]
struct Said {
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

impl Said {
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

/// Lines of one read on their way to the scheduler.
struct Dialogue<'s> {
    worker: WorkerId,
    wanted: Wanted,
    scheduler: &'s mut Scheduler,
    now: Instant,
    said: Said,
    /// The process has answered on lines that held something else too.
    has_parted: bool,
}

impl<'s> Dialogue<'s> {
    fn new(worker: WorkerId, wanted: Wanted, scheduler: &'s mut Scheduler, now: Instant) -> Self {
        Self {
            worker,
            wanted,
            now,
            said: Said::default(),
            has_parted: scheduler.has_parted(worker),
            scheduler,
        }
    }

    fn read(&mut self, part: Part<'_>) {
        let mut answers = Vec::new();
        match part {
            Part::TooLong(head, found) => {
                let owes = |index| self.scheduler.owes(self.worker, index);
                let message = json::read_head(head, found, owes);
                self.take(message, head, &mut answers);
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
        match json::read(line, self.wanted) {
            Message::Answer(answer) if is_valid(&answer) => self.take_valid(answer, line, answers),
            message @ (Message::Ready(_) | Message::Exit(_)) => self.take(message, line, answers),
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
        match json::read(line, self.wanted) {
            Message::Answer(answer)
                if self.has_parted && self.scheduler.takes_for_repeated(self.worker, &answer) =>
            {
                self.log(line);
            }
            Message::Answer(Answer {
                index,
                reply: Reply::Output(Cow::Borrowed(output)),
            }) => {
                let place = place_of(output, line);
                let reply = Reply::Output(carve(line, place).into());
                answers.push(Answer { index, reply });
            }
            Message::Answer(Answer {
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
            Message::Exit(exit) if self.scheduler.takes_exit(self.worker) => {
                let place = place_of(exit, line);
                self.said.exits.push(carve(line, place));
            }
            _ => self.read_line(line, &mut answers),
        }
        self.pass(&mut answers);
    }

    /// A last line whose end is missing: it counts only as far as it can be read all the same.
    fn read_torn(&mut self, line: &mut Vec<u8>) {
        match json::read(line, self.wanted) {
            Message::Answer(answer) if is_valid(&answer) => self.read_large(line),
            Message::Exit(_) => self.read_large(line),
            _ => {
                let mut parts = self.parts(line);
                parts.retain(|part| {
                    let read = json::read(&line[part.start..part.end], self.wanted);
                    matches!(read, Message::Answer(answer) if is_valid(&answer))
                });
                self.read_parts(line, &parts);
            }
        }
    }

    /// What is left of a line whose beginning has been let go: answers behind text, if any.
    fn read_rest(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let before = self.said.log_lines;
        self.read_parts(line, self.answers(&json::named(line)));
        // The text before it was a line as well.
        self.said.log_lines = self.said.log_lines.max(before + 1);
    }

    /// The answers to records that are owed on a line that is not one answer.
    fn parts(&self, line: &[u8]) -> Vec<Named> {
        let found = json::named(line);
        let parts = self.answers(&found);
        let begins_with_one = parts.first().is_some_and(|first| first.is_first);
        // What begins as an answer and is none is not searched for others: they may be what it
        // quotes.
        let is_begun = |first: &Named| {
            first.is_first && first.is_reply && self.scheduler.owes(self.worker, first.index)
        };
        let begins_as_answer =
            json::begins_like_an_answer(line) || found.first().is_some_and(is_begun);
        let is_one = parts.len() == 1 && begins_with_one;
        if is_one || begins_as_answer && !begins_with_one {
            return Vec::new();
        }
        parts.to_vec()
    }

    /// Those of the objects on a line that are answers to records that are owed.
    fn answers<'n>(&self, found: &'n [Named]) -> &'n [Named] {
        Named::answers(found, |index| self.scheduler.owes(self.worker, index))
    }

    /// Takes the answers that a line ends with one by one. What stands before the first is a line
    /// of its own.
    fn read_parts(&mut self, line: &[u8], parts: &[Named]) {
        let Some(first) = parts.first() else {
            if !line.trim_ascii().is_empty() {
                self.log(line);
            }
            return;
        };
        let text = &line[..first.start];
        if !text.trim_ascii().is_empty() {
            let message = match json::read(text, self.wanted) {
                Message::Mention(_) => Message::Log,
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
            match json::read(text, self.wanted) {
                Message::Answer(answer) | Message::Mention(answer)
                    if self.scheduler.owes(self.worker, answer.index) =>
                {
                    self.scheduler.note_parted(self.worker, &answer);
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
        if self.has_parted && self.scheduler.takes_for_repeated(self.worker, &answer) {
            self.log(line);
        } else {
            answers.push(answer);
        }
    }

    fn take<'a>(&mut self, message: Message<'a>, line: &[u8], answers: &mut Vec<Answer<'a>>) {
        if self.said.unasked.is_some() {
            return;
        }
        if !matches!(message, Message::Answer(_)) {
            // The answers before it count first.
            self.pass(answers);
            if self.said.unasked.is_some() {
                return;
            }
        }
        match message {
            Message::Answer(answer) => answers.push(answer),
            Message::Mention(answer) if self.scheduler.owes(self.worker, answer.index) => {
                answers.push(answer);
            }
            Message::Nameless => self.said.unasked = Some(Unasked::line(line)),
            Message::Ready(concurrency)
                if (self.scheduler).ready(
                    self.worker,
                    concurrency.unwrap_or_default(),
                    self.now,
                ) =>
            {
                if let Err(given) = concurrency {
                    self.scheduler.concurrency_refused(self.worker, given);
                }
            }
            Message::Exit(exit) if self.scheduler.takes_exit(self.worker) => {
                self.said.exits.push(exit.to_owned());
            }
            Message::Mention(_) | Message::Ready(_) | Message::Exit(_) | Message::Log => {
                self.log(line);
            }
        }
    }

    fn pass(&mut self, answers: &mut Vec<Answer<'_>>) {
        if !answers.is_empty()
            && let Err(unasked) = self.scheduler.replied(self.worker, answers, self.now)
        {
            self.said.unasked = Some(unasked);
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

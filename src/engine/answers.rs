//! What workers write to stdout, passed on to the scheduler as their protocol has it.

use std::time::Instant;

use memchr::memchr_iter;

use super::Engine;
use crate::protocol::json::{self, Answer, Message, Named, Reply, Wanted};
use crate::protocol::lines;
use crate::protocol::stdout::{Part, Tail};
use crate::schedule::{Scheduler, Unasked, WorkerId};
use crate::shape::Protocol;

impl Engine {
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
                if owed != before {
                    scheduler.end_of_read(worker, now);
                }
            }
            Protocol::Json => {
                let mut dialogue = Dialogue::new(worker, self.config.wanted, scheduler, now);
                process.stdout.cut(buffer, |part| dialogue.read(part));
                let said = dialogue.said;
                self.pass_said(worker, said, now);
            }
        }
        self.act();
    }

    /// What a process wrote after its last whole line. Where answers have ids, it is an answer if
    /// it can be read as one, and otherwise a line for people; where not, its end must tell.
    pub(super) fn pass_tail(&mut self, worker: WorkerId, now: Instant) -> Tail {
        let Some(process) = &mut self.processes[worker.0] else {
            return Tail::default();
        };
        let mut tail = process.stdout.take_tail();
        if self.config.shape.protocol == Protocol::Lines || tail.bytes.is_empty() {
            return tail;
        }
        tail.bytes.push(b'\n');
        let scheduler = &mut self.scheduler;
        let mut dialogue = Dialogue::new(worker, self.config.wanted, scheduler, now);
        dialogue.read_torn(&tail.bytes);
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
        if !said.log.is_empty() {
            self.scheduler.logged(worker, said.log_lines);
            // What cannot be written is counted at least.
            let may_wait = !self.messages.is_full();
            process
                .stderr
                .log(&said.log, may_wait.then(|| self.messages.lines()));
            self.messages.flush();
        }
        let mut failure = None;
        for exit in &said.exits {
            let line = format!(
                "{{\"worker\":{},\"process\":{},\"exit\":{exit}}}\n",
                worker.0, process.number
            );
            match self.output.keep_exit(line.into_bytes()) {
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

    /// A last line whose end is missing: it counts only as far as it can be read all the same.
    fn read_torn(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        match json::read(line, self.wanted) {
            Message::Answer(answer) if is_valid(&answer) => {
                let mut answers = Vec::new();
                self.take_valid(answer, line, &mut answers);
                self.pass(&mut answers);
            }
            message @ Message::Exit(_) => self.take(message, line, &mut Vec::new()),
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

    /// The answers to records that are owed on a line that is not one answer.
    fn parts(&self, line: &[u8]) -> Vec<Named> {
        let mut parts = json::named(line);
        parts.retain(|part| part.is_reply && self.scheduler.owes(self.worker, part.index));
        // What begins as an answer and is none is not searched for others: they may be what it
        // quotes.
        let begins_as_other =
            json::begins_like_an_answer(line) && parts.first().is_none_or(|first| !first.is_first);
        let is_one = parts.len() == 1 && parts[0].is_first;
        if begins_as_other || is_one {
            parts.clear();
        }
        parts
    }

    /// Takes the answers on a line one by one. What stands before the first is a line of its own,
    /// and what stands between and behind them is for people.
    fn read_parts(&mut self, line: &[u8], parts: &[Named]) {
        let mut from = 0;
        for part in parts {
            let text = &line[from..part.start];
            if from == 0 && !text.trim_ascii().is_empty() {
                let message = match json::read(text, self.wanted) {
                    Message::Mention(_) => Message::Log,
                    message => message,
                };
                let mut answers = Vec::new();
                self.take(message, text, &mut answers);
                self.pass(&mut answers);
            } else {
                self.log_text(text);
            }
            if self.said.unasked.is_some() {
                return;
            }
            from = part.end;
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
        self.log_text(&line[from..]);
    }

    fn take_valid<'a>(&mut self, answer: Answer<'a>, line: &[u8], answers: &mut Vec<Answer<'a>>) {
        if self.has_parted {
            self.pass(answers);
        }
        if self.said.unasked.is_some() {
            return;
        }
        if self.has_parted && self.scheduler.is_repeated(self.worker, &answer) {
            self.log(line);
        } else {
            answers.push(answer);
        }
    }

    fn take<'a>(&mut self, message: Message<'a>, line: &[u8], answers: &mut Vec<Answer<'a>>) {
        if self.said.unasked.is_some() {
            return;
        }
        if let Message::Answer(answer) = message {
            answers.push(answer);
            return;
        }
        // Whatever else it is, the answers before it count first.
        self.pass(answers);
        if self.said.unasked.is_some() {
            return;
        }
        match message {
            Message::Answer(answer) => answers.push(answer),
            Message::Mention(answer) if self.scheduler.owes(self.worker, answer.index) => {
                answers.push(answer);
            }
            Message::Nameless => self.said.unasked = Some(Unasked::Line(line.to_vec())),
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

    /// The same for a part of a line, which may be blank.
    fn log_text(&mut self, text: &[u8]) {
        if !text.trim_ascii().is_empty() {
            self.log(text);
        }
    }

    fn log(&mut self, line: &[u8]) {
        self.said.log.extend_from_slice(line);
        self.said.log.push(b'\n');
        self.said.log_lines += 1;
    }
}

fn is_valid(answer: &Answer<'_>) -> bool {
    !matches!(answer.reply, Reply::Bad(_))
}

//! What workers write to stdout, passed on to the scheduler as their protocol has it.

use std::time::Instant;

use memchr::memchr_iter;

use super::Engine;
use crate::protocol::json::{self, Answer, Message, Wanted};
use crate::protocol::{Protocol, lines};
use crate::schedule::{Scheduler, Unasked, WorkerId};
use crate::worker::stdout::{Part, Tail};

impl Engine {
    /// Passes on what has been read into the buffer.
    pub(super) fn pass_answers(&mut self, worker: WorkerId, now: Instant) {
        let Some(member) = &mut self.members[worker.0] else {
            return;
        };
        let buffer = &mut self.buffer;
        if buffer.is_empty() {
            return;
        }
        let scheduler = &mut self.scheduler;
        match self.parts.protocol {
            Protocol::Lines => {
                let separator = self.parts.separator;
                let before = scheduler.owed(worker);
                let mut owed = before;
                member.stdout.cut(buffer, |part| {
                    lines::read(part, &mut owed, separator, |answer| match answer {
                        lines::Answer::Results(count, answers) => {
                            scheduler.answered(worker, count, answers, now);
                        }
                        lines::Answer::TooLarge => scheduler.answered_too_large(worker, now),
                        lines::Answer::Stray(line) => scheduler.stray(worker, line, now),
                    });
                });
                if owed != before {
                    scheduler.heard_out(worker, now);
                }
            }
            Protocol::Json => {
                let mut dialogue = Dialogue::new(worker, self.parts.wanted, scheduler, now);
                member.stdout.cut(buffer, |part| dialogue.read(part));
                let said = dialogue.said;
                self.pass_said(worker, said, now);
            }
        }
        self.act();
    }

    /// What a life wrote after its last whole line. Where answers have ids, it is an answer if it
    /// can be read as one, and otherwise a line for people; where not, its end must tell.
    pub(super) fn pass_tail(&mut self, worker: WorkerId, now: Instant) -> Tail {
        let Some(member) = &mut self.members[worker.0] else {
            return Tail::default();
        };
        let mut tail = member.stdout.take_tail();
        if self.parts.protocol == Protocol::Lines || tail.bytes.is_empty() {
            return tail;
        }
        tail.bytes.push(b'\n');
        let scheduler = &mut self.scheduler;
        let mut dialogue = Dialogue::new(worker, self.parts.wanted, scheduler, now);
        dialogue.read_torn(&tail.bytes);
        let said = dialogue.said;
        self.pass_said(worker, said, now);
        self.act();
        Tail::default()
    }

    /// Passes on what a life said beside its answers.
    fn pass_said(&mut self, worker: WorkerId, said: Said, now: Instant) {
        let Some(member) = &mut self.members[worker.0] else {
            return;
        };
        if !said.log.is_empty() {
            self.scheduler.logged(worker, said.log_lines);
            // What cannot be written is counted at least.
            let may_wait = !self.messages.is_full();
            member
                .stderr
                .log(&said.log, may_wait.then(|| self.messages.lines()));
            self.messages.flush();
        }
        let mut failure = None;
        for exit in &said.exits {
            let line = format!(
                "{{\"worker\":{},\"life\":{},\"exit\":{exit}}}\n",
                worker.0, member.life
            );
            match self.output.keep_exit(line.into_bytes()) {
                Ok(true) => {}
                Ok(false) => self.scheduler.exit_not_kept(),
                Err(error) => failure = Some(error),
            }
        }
        match said.unasked {
            None => self.scheduler.heard_out(worker, now),
            Some(unasked) => {
                let unsent = member.process.unsent(self.parts.separator);
                self.scheduler
                    .answered_unasked(worker, &unasked, unsent, now);
            }
        }
        if let Some(error) = failure {
            self.output_failed(&error);
        }
    }
}

/// What a life of the json protocol said beside its answers.
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
}

impl<'s> Dialogue<'s> {
    fn new(worker: WorkerId, wanted: Wanted, scheduler: &'s mut Scheduler, now: Instant) -> Self {
        Self {
            worker,
            wanted,
            scheduler,
            now,
            said: Said::default(),
        }
    }

    fn read(&mut self, part: Part<'_>) {
        let mut answers = Vec::new();
        match part {
            Part::TooLong(head) => self.take(json::read_head(head), head, &mut answers),
            Part::Lines(lines) => {
                let lines = lines.into_bytes();
                let mut start = 0;
                for end in memchr_iter(b'\n', lines) {
                    let line = &lines[start..end];
                    self.take(json::read(line, self.wanted), line, &mut answers);
                    start = end + 1;
                }
            }
        }
        self.pass(&mut answers);
    }

    /// The same for a last line whose end is missing: it counts only where it can be read all the same.
    fn read_torn(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        match json::read(line, self.wanted) {
            Message::Answer(answer) if !matches!(answer.reply, json::Reply::Bad(_)) => {
                self.pass(&mut vec![answer]);
            }
            message @ Message::Exit(_) => self.take(message, line, &mut Vec::new()),
            _ => self.log(line),
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

    fn log(&mut self, line: &[u8]) {
        self.said.log.extend_from_slice(line);
        self.said.log.push(b'\n');
        self.said.log_lines += 1;
    }
}

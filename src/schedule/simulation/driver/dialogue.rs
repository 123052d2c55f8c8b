//! What simulated processes of the json protocol have written, passed on as the engine does.

use std::time::{Duration, Instant};

use memchr::memchr_iter;

use super::super::ledger::{Ledger, Said};
use super::super::scenario::UNKNOWN;
use super::Simulation;
use crate::protocol::json::{self, Answer, Message, Reply, Wanted};
use crate::protocol::stdout::{Part, Tail};
use crate::schedule::policy::OnError;
use crate::schedule::{Scheduler, Unasked, WorkerId};
use crate::shape::Protocol;

impl Simulation {
    pub(super) fn pass_messages(&mut self, worker: WorkerId, now: Duration) {
        let Some(mut member) = self.members[worker.0].take() else {
            return;
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut dialogue = self.dialogue(worker, now);
        member.stdout.cut(&mut buffer, |part| dialogue.read(part));
        let unasked = dialogue.unasked;
        self.buffer = buffer;
        self.members[worker.0] = Some(member);
        self.pass_unasked(worker, unasked, now);
    }

    /// A last line without its end is an answer where it can be read as one.
    pub(super) fn pass_tail(&mut self, worker: WorkerId, now: Duration) -> Tail {
        let Some(member) = &mut self.members[worker.0] else {
            return Tail::default();
        };
        let tail = member.stdout.take_tail();
        if self.scenario.policy.shape.protocol == Protocol::Lines || tail.bytes.is_empty() {
            return tail;
        }
        let mut dialogue = self.dialogue(worker, now);
        dialogue.read_torn(&tail.bytes);
        let unasked = dialogue.unasked;
        self.pass_unasked(worker, unasked, now);
        self.act();
        Tail::default()
    }

    fn dialogue(&mut self, worker: WorkerId, now: Duration) -> Dialogue<'_> {
        Dialogue {
            worker,
            scheduler: &mut self.scheduler,
            ledger: &mut self.ledger,
            may_end_run: self.scenario.policy.on_error == OnError::Raise,
            now,
            at: self.base + now,
            traces: self.traces,
            unasked: None,
        }
    }

    fn pass_unasked(&mut self, worker: WorkerId, unasked: Option<Unasked>, now: Duration) {
        let Some(unasked) = unasked else {
            self.scheduler.end_of_read(worker, self.base + now);
            return;
        };
        let Some(member) = &self.members[worker.0] else {
            return;
        };
        self.ledger.unasked(worker, guilty(&unasked));
        let unsent = member.actor.unsent();
        self.scheduler
            .answered_unasked(worker, &unasked, unsent, self.base + now);
    }
}

/// The record that has led to this answer.
fn guilty(unasked: &Unasked) -> u64 {
    match unasked {
        Unasked::Record(index) if index.0 >= UNKNOWN => index.0 - UNKNOWN,
        Unasked::Record(index) => index.0,
        Unasked::Line(line) => {
            let text = String::from_utf8_lossy(line);
            let id = text.split('"').nth(3).expect("an id");
            id.parse().expect("an index")
        }
    }
}

/// Lines of one read on their way to the scheduler, and to the ledger before it.
struct Dialogue<'s> {
    worker: WorkerId,
    scheduler: &'s mut Scheduler,
    ledger: &'s mut Ledger,
    /// An error may end the run, and then no later answer counts.
    may_end_run: bool,
    now: Duration,
    at: Instant,
    traces: bool,
    unasked: Option<Unasked>,
}

impl Dialogue<'_> {
    fn read(&mut self, part: Part<'_>) {
        let mut answers = Vec::new();
        match part {
            Part::TooLong(head, found) => {
                let owes = |index| self.scheduler.owes(self.worker, index);
                let message = json::read_head(head, found, owes);
                self.take(message, head, &mut answers);
            }
            Part::Rest(_) => unreachable!("lines are short"),
            Part::Lines(lines) => {
                let lines = lines.into_bytes();
                let mut start = 0;
                for end in memchr_iter(b'\n', lines) {
                    let line = &lines[start..end];
                    self.take(json::read(line, Wanted::Text), line, &mut answers);
                    start = end + 1;
                }
            }
        }
        self.pass(&mut answers);
    }

    fn read_torn(&mut self, line: &[u8]) {
        match json::read(line, Wanted::Text) {
            Message::Answer(answer) if !matches!(answer.reply, Reply::Bad(_)) => {
                self.pass(&mut vec![answer]);
            }
            message @ Message::Exit(_) => self.take(message, line, &mut Vec::new()),
            _ => self.log(),
        }
    }

    fn take<'a>(&mut self, message: Message<'a>, line: &[u8], answers: &mut Vec<Answer<'a>>) {
        if self.unasked.is_some() {
            return;
        }
        if !matches!(message, Message::Answer(_)) {
            self.pass(answers);
            if self.unasked.is_some() {
                return;
            }
        }
        match message {
            Message::Answer(answer) => answers.push(answer),
            Message::Mention(answer) => {
                let is_owed = self.scheduler.owes(self.worker, answer.index);
                let is_known = is_owed == self.ledger.owes(self.worker, answer.index.0);
                assert!(is_known || self.may_end_run);
                if is_owed {
                    answers.push(answer);
                } else {
                    self.log();
                }
            }
            Message::Nameless => self.unasked = Some(Unasked::Line(line.to_vec())),
            Message::Ready(concurrency) => {
                self.trace(&format!("ready, {concurrency:?}"));
                let concurrency = concurrency.unwrap_or_default();
                let count = concurrency.map(Into::into);
                let is_news = self.ledger.ready(self.worker, count, self.now);
                let taken = self.scheduler.ready(self.worker, concurrency, self.at);
                assert_eq!(is_news, taken, "{}'s being ready is news", self.worker);
                if !taken {
                    self.log();
                }
            }
            Message::Exit(_) => {
                let is_kept = self.ledger.said_exit(self.worker);
                let is_closing = self.scheduler.takes_exit(self.worker);
                // Unless a failure read together with it has just ended the run.
                assert!(is_kept == is_closing || self.may_end_run);
                if is_closing {
                    self.ledger.kept_exit();
                    self.scheduler.exit_not_kept();
                } else {
                    self.log();
                }
            }
            Message::Log => self.log(),
        }
    }

    fn pass(&mut self, answers: &mut Vec<Answer<'_>>) {
        if answers.is_empty() {
            return;
        }
        if !self.ledger.is_read_from_out(self.worker) {
            assert_eq!(
                self.scheduler.replied(self.worker, answers, self.at),
                Ok(())
            );
            return answers.clear();
        }
        self.ledger.answers_came(self.worker, self.now);
        let mut expected = Ok(());
        for answer in &*answers {
            let index = answer.index.0;
            let said = match answer.reply {
                Reply::Output(_) => Said::Output,
                Reply::Error { .. } => Said::Error,
                Reply::Bad(_) => Said::Bad,
                Reply::TooLarge => Said::TooLarge,
            };
            self.trace(&format!("{said:?} for {index}"));
            if !self.ledger.replied(self.worker, index, said, self.now) {
                expected = Err(Unasked::Record(answer.index));
                break;
            }
        }
        let found = self.scheduler.replied(self.worker, answers, self.at);
        let is_cut_short = self.may_end_run && found.is_ok();
        assert!(
            found == expected || is_cut_short,
            "{} gave {found:?} and not {expected:?}",
            self.worker
        );
        self.unasked = found.err();
        answers.clear();
    }

    fn log(&mut self) {
        self.trace("a line for people");
        self.ledger.logged(1);
        self.scheduler.logged(self.worker, 1);
    }

    fn trace(&self, what: &str) {
        if self.traces {
            println!("{:>12.6} < {}: {what}", self.now.as_secs_f64(), self.worker);
        }
    }
}

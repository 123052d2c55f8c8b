//! What a process says, from its first message to the end of each read.

use std::time::Instant;

use super::Scheduler;
use super::ids::WorkerId;
use super::outcomes::{ResultAnswers, Results};
use crate::outcome::{Cause, Lines};
use crate::protocol::message::{End, Message, Reception};

impl Scheduler {
    /// A process said this. The last message of each read is its end: only then the process may be
    /// sent more.
    pub fn heard(&mut self, worker: WorkerId, message: Message<'_, '_>, now: Instant) -> Reception {
        match message {
            Message::Results(count, lines) => self.answered(worker, count, lines, now),
            Message::TooLarge => self.answered_too_large(worker, now),
            Message::Stray(line) => self.stray(worker, line, now),
            Message::Answers(answers) => return self.replied(worker, answers, now),
            Message::Ready(said) => return self.announced(worker, said, now),
            Message::Begun(indices) => return self.began(worker, indices, now),
            Message::Resigns => return self.resigns(worker, now),
            Message::LastWord => return self.took_leave(worker),
            Message::Log(lines) => self.logged(worker, lines),
            Message::End { end, begun } => {
                match end {
                    End::Partial => {}
                    End::Whole => self.after_answers(worker, now),
                    End::Unasked { unasked, unsent } => {
                        self.answered_unasked(worker, &unasked, unsent, now);
                    }
                }
                self.note_begun(worker, begun, now);
            }
        }
        Reception::Taken
    }

    /// A process answered the `count` oldest records it owes; `answers` are as many lines.
    ///
    /// Lines too many are strays; so a process that owes less has been ended by an answer before
    /// these, and nobody wants them any more.
    pub(super) fn answered(
        &mut self,
        worker: WorkerId,
        count: usize,
        mut answers: Lines<'_>,
        now: Instant,
    ) {
        if self.owed(worker) < count {
            return;
        }
        let mut left = count;
        let timing = self.note_answers(worker, count, now);
        while left > 0 {
            let records = self.take_answered(worker, left);
            let run = records.count;
            let bytes = if run == left {
                answers.len()
            } else {
                let end = self.policy.shape.separator.end_of(run, &answers);
                end.expect("as many answers as counted")
            };
            left -= run;
            let settled = records.with(timing, |records| Results {
                answers: ResultAnswers::Lines(&mut answers, bytes),
                records,
            });
            self.settle(settled, now);
        }
    }

    /// A process answered its oldest record with more bytes than an answer may have.
    pub(super) fn answered_too_large(&mut self, worker: WorkerId, now: Instant) {
        if self.owed(worker) == 0 {
            return;
        }
        let timing = self.note_answers(worker, 1, now);
        let work = self.take_oldest(worker);
        if self.policy.is_for_own_record() {
            self.stop(worker, now);
            self.charge(work, Cause::StdoutTooLarge, worker, timing.took, now);
        } else {
            self.charge(work, Cause::AnswerTooLarge, worker, timing.took, now);
        }
    }
}

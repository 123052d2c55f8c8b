//! What simulated processes have written, and their end.

use std::time::Duration;

use super::super::actor::Blame;
use super::Simulation;
use crate::protocol::lines::{self, Answer};
use crate::schedule::{Death, Pipe, WorkerId};
use crate::shape::Protocol;

impl Simulation {
    pub(super) fn read_answers(&mut self, worker: WorkerId, now: Duration) {
        let Some(member) = &mut self.members[worker.0] else {
            return;
        };
        self.buffer.clear();
        member.stdout.lead(&mut self.buffer);
        let read = member.actor.read_stdout(&mut self.buffer);
        self.pass_answers(worker, now);
        if read == Some(0)
            && let Some(member) = &self.members[worker.0]
        {
            if member.actor.has_exited() {
                self.bury(worker);
            } else {
                trace!(self, "< {worker} closed its stdout");
                self.ledger.hung_up(worker, self.now);
                self.scheduler
                    .hung_up(worker, Pipe::Stdout, 0, self.base + now);
                self.act();
            }
        }
    }

    pub(super) fn pass_answers(&mut self, worker: WorkerId, now: Duration) {
        if self.members[worker.0].is_some() {
            assert_eq!(
                self.scheduler.owed(worker),
                self.ledger.owed(worker),
                "{worker} owes what it was sent and has not answered"
            );
        }
        match self.scenario.policy.shape.protocol {
            Protocol::Lines => self.pass_lines(worker, now),
            Protocol::Json => self.pass_messages(worker, now),
        }
        if let Some(member) = &self.members[worker.0] {
            self.scheduler
                .note_begun(worker, member.stdout.begun(), self.base + now);
        }
        self.act();
    }

    fn pass_lines(&mut self, worker: WorkerId, now: Duration) {
        let Some(member) = &mut self.members[worker.0] else {
            return;
        };
        let (scheduler, ledger, at) = (&mut self.scheduler, &mut self.ledger, self.base + now);
        let (traces, time) = (self.traces, self.now.as_secs_f64());
        let before = scheduler.owed(worker);
        let mut owed = before;
        let separator = self.scenario.policy.shape.separator;
        member.stdout.cut(&mut self.buffer, |part| {
            lines::read(part, &mut owed, separator, |answer| {
                if traces {
                    match &answer {
                        Answer::Results(count, _) => {
                            println!("{time:>12.6} < {worker} answers {count}");
                        }
                        answer => println!("{time:>12.6} < {worker}: {answer:?}"),
                    }
                }
                match answer {
                    Answer::Results(count, answers) => {
                        ledger.answered(worker, count, now);
                        scheduler.answered(worker, count, answers, at);
                    }
                    Answer::TooLarge => {
                        ledger.answered(worker, 1, now);
                        scheduler.answered_too_large(worker, at);
                    }
                    Answer::Stray(line) => {
                        ledger.stray(worker);
                        scheduler.stray(worker, line, at);
                    }
                }
            });
        });
        if owed != before {
            scheduler.end_of_read(worker, at);
        }
    }

    pub(super) fn look_at_processes(&mut self) {
        // What a signal has just ended is not heard any more.
        self.act();
        for number in 0..self.members.len() {
            if self.members[number]
                .as_ref()
                .is_some_and(|member| member.actor.has_exited())
            {
                self.bury(WorkerId(number));
            }
        }
    }

    pub(super) fn bury(&mut self, worker: WorkerId) {
        let now = self.now;
        while let Some(member) = &mut self.members[worker.0] {
            self.buffer.clear();
            member.stdout.lead(&mut self.buffer);
            let count = member.actor.read_stdout(&mut self.buffer).unwrap_or(0);
            self.pass_answers(worker, now);
            if count == 0 {
                break;
            }
        }
        let tail = self.pass_tail(worker, now);
        let Some(member) = self.members[worker.0].take() else {
            return;
        };
        let (exit, blame): (_, Blame) = member.actor.exit();
        trace!(self, "< {worker} died: {exit} ({blame:?})");
        let death = Death {
            pid: Some(1),
            exit: exit.clone(),
            stderr: Vec::new(),
            tail,
            unsent: member.actor.unsent(),
        };
        let has_partial = !death.tail.bytes.is_empty();
        self.ledger.died(
            worker,
            Some((&exit, blame, has_partial)),
            death.unsent,
            self.now,
        );
        self.scheduler.died(worker, death, self.base + now);
        self.act();
    }
}

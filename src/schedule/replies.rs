//! Answers that name their records: in any order, and perhaps errors.

use std::mem::take;
use std::time::{Duration, Instant};

use super::Scheduler;
use super::event::{Event, NoConcurrency, Settled};
use super::ids::WorkerId;
use super::outcomes::{ResultAnswers, Results};
use super::process::Process;
use super::queue::Work;
use super::settle::Timing;
use crate::outcome::{BadAnswer, Cause, Ended, Verdict};
use crate::protocol::message::{Answer, Capabilities, Reception, Reply, Unasked};
use crate::record::Index;

/// How many characters are kept of a value that is not what it should be.
const MOST_KEPT: usize = 100;

impl Scheduler {
    /// A process says that it is up, and perhaps how many records it wants to be sent at a time and
    /// whether it will say which it has begun. That is no news once the process has given an answer.
    pub(super) fn announced(
        &mut self,
        worker: WorkerId,
        said: Capabilities<'_>,
        now: Instant,
    ) -> Reception {
        let Some(process) = self.process_mut(worker) else {
            return Reception::Ignored;
        };
        if process.is_ready() {
            return Reception::Ignored;
        }
        process.announced(said, now);
        self.command.announced();
        self.note_ready(worker, now);
        if let Err(given) = said.concurrency {
            let given = given.chars().take(MOST_KEPT).collect();
            self.tell(Event::NoConcurrency(NoConcurrency { worker, given }));
        }
        Reception::Taken
    }

    /// A process says that it has begun these records. That is no news where it has not said before
    /// that it would say so, or owes none of them.
    pub(super) fn began(&mut self, worker: WorkerId, indices: &[Index], now: Instant) -> Reception {
        let separator = self.policy.shape.separator;
        let process = self.process_mut(worker);
        match process.is_some_and(|process| process.began_call(indices, separator, now)) {
            true => Reception::Taken,
            false => Reception::Ignored,
        }
    }

    /// A process gave these answers, each to the record that it names.
    pub(super) fn replied(
        &mut self,
        worker: WorkerId,
        answers: &mut [Answer<'_>],
        now: Instant,
    ) -> Reception {
        if !self.is_read_from_out(worker) {
            return Reception::Ignored;
        }
        let mut left = answers;
        while !left.is_empty() {
            if !self.is_read_from_out(worker) {
                // An answer before this one has ended the run, or the process.
                return Reception::Taken;
            }
            // What says "not now" says nothing of how long a record takes.
            let is_refusal = |answer: &Answer<'_>| matches!(answer.reply, Reply::Later(_));
            let refusals = left.iter().take_while(|answer| is_refusal(answer)).count();
            let run = match refusals {
                0 => left.iter().take_while(|answer| !is_refusal(answer)).count(),
                _ => refusals,
            };
            let (these, rest) = left.split_at_mut(run);
            let reception = match refusals {
                0 => self.answered_by_name(worker, these, now),
                _ => self.refused(worker, these, now),
            };
            if reception != Reception::Taken {
                return reception;
            }
            left = rest;
        }
        Reception::Taken
    }

    /// The same, where none of them asks to wait.
    fn answered_by_name(
        &mut self,
        worker: WorkerId,
        answers: &mut [Answer<'_>],
        now: Instant,
    ) -> Reception {
        self.time_answers(worker, answers, now);
        self.note_own_answer(worker, now);
        if self.gives_first_answer(worker, answers) {
            self.note_first_answer(worker, now);
        }
        let process = self.process_mut(worker).expect("it runs");
        let oldest = process.owed.oldest_timed();
        let since = process.owed.clock();
        let is_answered = |work: &&Work| answers.iter().any(|answer| work.holds(answer.index));
        let sent = process.owed.iter().find(is_answered).and_then(|work| work.since);
        let share = process.answered_by_name(answers.len(), sent, now);
        self.brakes.answered(worker, answers.len(), sent, now);
        self.note_ready(worker, now);
        let mut left = answers;
        while !left.is_empty() {
            if !self.is_read_from_out(worker) {
                // An answer before this one has ended the run, or the process.
                return Reception::Taken;
            }
            let in_turn = self.results_in_turn(worker, left);
            if in_turn > 0 {
                let timing = self.timing_of_oldest(worker, share, since, now);
                let records = self.take_answered(worker, in_turn);
                self.note_last_answered(worker, records.first.plus(records.count - 1));
                self.note_result(worker);
                let (answered, rest) = left.split_at_mut(records.count);
                let settled = records.with(timing, |records| Results {
                    answers: ResultAnswers::Replies(answered),
                    records,
                });
                self.settle(settled, now);
                left = rest;
                continue;
            }
            let answer = &mut left[0];
            let Some(work) = self.take(worker, answer.index) else {
                self.goes_on_from(worker, oldest, now);
                return Reception::Unasked(answer.index);
            };
            self.note_last_answered(worker, answer.index);
            let timing = self.timing(worker, &work, share, since, now);
            self.take_answer(worker, work, answer, timing, now);
            left = &mut left[1..];
        }
        self.goes_on_from(worker, oldest, now);
        Reception::Taken
    }

    /// A process wrote an answer that nothing was asked for. Ids tell which answers were right; but
    /// nobody knows what the process is about, so it is ended, and what it holds is suspect. Of
    /// the last `unsent` records of that no byte was written.
    pub(super) fn answered_unasked(
        &mut self,
        worker: WorkerId,
        unasked: &Unasked,
        unsent: usize,
        now: Instant,
    ) {
        let Some(process) = self.process(worker) else {
            return;
        };
        if !process.is_working() {
            return;
        }
        // Worth a restart, however many such processes there are: one answer alone may be all that
        // a worker ever gives that breaks the rules with every record.
        let is_of_use = process.owed.served() > process.owed.records() + 1;
        // What it holds has nothing to do with a second answer to the record before.
        let verdict = match (unasked, process.reputation.last_answered()) {
            (Unasked::Record(index), Some(last)) if *index == last => Verdict::AnsweredTwice,
            _ => Verdict::Unasked,
        };
        self.outcomes.tally.faults.protocol_violations += 1;
        let restarts = &mut self.workers[worker.0].restarts;
        match is_of_use {
            true => restarts.broke_step_once(),
            false => restarts.broke_step(),
        }
        let unasked = unasked.clone();
        self.tell(Event::AnsweredUnasked { worker, unasked });
        self.terminate_faulty(worker, verdict, unsent, now);
        self.feed(now);
    }

    /// Whether this process owes an answer to that record.
    pub fn owes(&self, worker: WorkerId, index: Index) -> bool {
        self.process(worker).is_some_and(|process| process.owed.find(index).is_some())
    }

    /// Whether what a process has to say at its end counts: once, after the end of its stdin.
    pub(super) fn took_leave(&mut self, worker: WorkerId) -> Reception {
        match self.process_mut(worker).is_some_and(Process::left) {
            true => Reception::Taken,
            false => Reception::Ignored,
        }
    }

    /// A process wrote lines that are no answers.
    pub(super) fn logged(&mut self, worker: WorkerId, lines: u64) {
        self.outcomes.tally.chatter.lines += lines;
        self.outcomes.tally.chatter.loggers.insert(worker);
    }

    /// What a process had to say at its end was not kept.
    pub fn exit_not_kept(&mut self) {
        self.outcomes.tally.chatter.unkept_exits += 1;
    }

    /// Whether a process answers for the first time: what it was not asked for is no answer, and
    /// neither is that it has ended what it was asked to end.
    fn gives_first_answer(&self, worker: WorkerId, answers: &[Answer<'_>]) -> bool {
        let process = self.process(worker).filter(|process| !process.first_answer.is_given());
        process.is_some_and(|process| {
            let asked =
                answers.iter().map_while(|answer| Some((answer, process.owed.find(answer.index)?)));
            let is_ended = |(answer, work): (&Answer<'_>, &Work)| {
                work.cancelled.is_some() && matches!(answer.reply, Reply::Error { .. })
            };
            asked.into_iter().any(|it| !is_ended(it))
        })
    }

    pub(super) fn is_read_from_out(&self, worker: WorkerId) -> bool {
        self.process(worker).is_some_and(Process::is_working)
    }

    /// How many of the first answers are results of the oldest records that the process owes, in
    /// turn.
    fn results_in_turn(&self, worker: WorkerId, answers: &[Answer<'_>]) -> usize {
        let Some(oldest) = self.process(worker).and_then(|process| process.owed.oldest()) else {
            return 0;
        };
        let is_in_turn = |(number, answer): &(usize, &Answer<'_>)| {
            answer.index == oldest.plus(*number) && answer.reply.results().is_some()
        };
        answers.iter().enumerate().take_while(is_in_turn).count()
    }

    /// How long the oldest record that a process owes took.
    fn timing_of_oldest(
        &self,
        worker: WorkerId,
        share: Option<Duration>,
        since: Instant,
        now: Instant,
    ) -> Timing {
        let oldest = self.process(worker).and_then(|process| process.owed.front());
        oldest.map_or(Timing::default(), |work| {
            self.timing(worker, work, share, since, now)
        })
    }

    /// How long a record of a process took, given its share of the time since the process was about
    /// the oldest of what it owed.
    fn timing(
        &self,
        worker: WorkerId,
        work: &Work,
        share: Option<Duration>,
        since: Instant,
        now: Instant,
    ) -> Timing {
        let Some(process) = self.process(worker) else {
            return Timing::default();
        };
        let took = share.map(|share| process.took(work, share, now));
        let since = match process.owed.concurrency() {
            Some(_) => took.and_then(|took| now.checked_sub(took)),
            None => Some(since),
        };
        Timing { took, since }
    }

    fn note_result(&mut self, worker: WorkerId) {
        if let Some(process) = self.process_mut(worker) {
            process.reputation.gave_result();
        }
    }

    pub(super) fn note_last_answered(&mut self, worker: WorkerId, index: Index) {
        if let Some(process) = self.process_mut(worker) {
            process.reputation.answered(index);
        }
    }

    fn take_answer(
        &mut self,
        worker: WorkerId,
        work: Work,
        answer: &mut Answer<'_>,
        timing: Timing,
        now: Instant,
    ) {
        let took = timing.took;
        match &mut answer.reply {
            Reply::Output(_) | Reply::Outputs(_) => {
                self.note_result(worker);
                let mut trail = work.trail;
                trail.bytes_in = work.measure(1, self.policy.shape.separator);
                let settled = Settled {
                    first: answer.index,
                    count: 1,
                    worker: Some(worker),
                    attempts: work.sent,
                    took: None,
                    trail,
                    outcome: Ok(work.block.bytes.clone()),
                };
                let settled = settled.with(timing, |records| Results {
                    answers: ResultAnswers::Replies(std::slice::from_mut(answer)),
                    records: Some(records),
                });
                self.settle(settled, now);
            }
            Reply::Error { json, message } => {
                let cause = match &work.cancelled {
                    // Whatever it says of that, it was asked to end it.
                    Some(cancelled) => Cause::Timeout {
                        limit: cancelled.limit,
                        ended: Ended::Call,
                    },
                    None => Cause::WorkerError {
                        error: take(json).into_owned(),
                        message: take(message),
                    },
                };
                self.charge(work, cause, worker, took, now);
            }
            Reply::Bad(why) => {
                let cause = Cause::BadAnswer(BadAnswer::Invalid(why.clone()));
                self.charge(work, cause, worker, took, now);
            }
            Reply::TooLarge => self.charge(work, Cause::AnswerTooLarge, worker, took, now),
            Reply::Later(_) => unreachable!("that is no answer"),
        }
    }

    /// Takes one record out of what a process owes, wherever it stands.
    pub(super) fn take(&mut self, worker: WorkerId, index: Index) -> Option<Work> {
        let separator = self.policy.shape.separator;
        self.process_mut(worker)?.owed.take(index, separator)
    }

    pub(super) fn goes_on_from(&mut self, worker: WorkerId, oldest: Option<Index>, now: Instant) {
        if let Some(process) = self.process_mut(worker) {
            process.goes_on_from(oldest, now);
        }
    }
}

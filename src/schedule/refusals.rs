//! A worker says "not now" of a record: it is sent again later, and that counts for nothing else.
//!
//! Always: a refusal is no attempt and no outcome, but for a record that was refused again and again
//! while others were answered, or that may be sent but once. Where nobody is answered any more, the
//! workers that asked for that are given up in the end, and the record goes to others.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::brakes::{FUTILE, Refusal};
use super::course::Phase;
use super::event::Event;
use super::ids::WorkerId;
use super::policy::Delivery;
use super::process::Process;
use super::queue::Work;
use crate::outcome::Cause;
use crate::protocol::message::{Answer, Reception, Reply};

/// A record that was refused so often fails, where others were answered meanwhile.
const MOST: u32 = 20;

/// So long a record lets others go first that was refused twice; more, where it was more often.
const LET_PASS: Duration = Duration::from_millis(50);

impl Scheduler {
    /// A process refused these records.
    pub(super) fn refused(
        &mut self,
        worker: WorkerId,
        answers: &[Answer<'_>],
        now: Instant,
    ) -> Reception {
        self.note_own_answer(worker, now);
        if let Some(process) = self.process_mut(worker) {
            process.refused(now);
        }
        self.note_ready(worker, now);
        let oldest = self.process(worker).and_then(|process| process.owed.oldest_timed());
        for answer in answers {
            let Reply::Later(wait) = answer.reply else {
                unreachable!("all of them are refusals");
            };
            let Some(work) = self.take(worker, answer.index) else {
                self.goes_on_from(worker, oldest, now);
                return Reception::Unasked(answer.index);
            };
            self.note_last_answered(worker, answer.index);
            self.refuse(worker, work, wait, now);
            if !self.is_read_from_out(worker) {
                return Reception::Taken;
            }
        }
        self.goes_on_from(worker, oldest, now);
        Reception::Taken
    }

    fn refuse(&mut self, worker: WorkerId, mut work: Work, wait: Duration, now: Instant) {
        let refusal = self.brakes.refused(worker, wait, work.since, now);
        self.outcomes.tally.refusals.records += 1;
        if refusal != Refusal::More {
            self.outcomes.tally.refusals.wait += self.brakes.pause(now).map_or(wait, |it| it.wait);
            self.tell(Event::AskedToWait { worker, wait });
        }
        let (refused, since) = work.refused.unwrap_or((0, now));
        work.refused = Some((refused + 1, since));
        let is_once = self.policy.delivery == Delivery::AtMostOnce;
        let is_enough = refused + 1 >= MOST && self.brakes.has_answered_since(since);
        if is_once || is_enough {
            let often = match is_once {
                true => "--at-most-once forbids to send it again".to_owned(),
                false => format!("it was refused {MOST} times while others were answered"),
            };
            self.fail_refused(worker, work, &often, wait, now);
        } else {
            work.sent -= 1;
            let until = (now + wait).max(self.turn_of_refused(refused, now));
            self.send_later(work, until);
        }
        if refusal == Refusal::Futile {
            self.give_up_refused(worker, now);
        }
    }

    /// A record that was refused before lets others go first after a pause, for it may be the one
    /// that is refused whenever it is sent.
    fn turn_of_refused(&self, before: u32, now: Instant) -> Instant {
        match (before, self.brakes.pause(now)) {
            (0, _) | (_, None) => now,
            (_, Some(pause)) => now + pause.wait + LET_PASS * (1 << before.min(6)),
        }
    }

    fn fail_refused(
        &mut self,
        worker: WorkerId,
        work: Work,
        why: &str,
        wait: Duration,
        now: Instant,
    ) {
        if self.is_beyond_blame() {
            return;
        }
        let message = format!("not now (retry_after {}), and {why}", wait.as_secs_f64());
        let cause = Cause::WorkerError {
            error: format!("\"{message}\""),
            message,
        };
        self.fail_work(work, cause, worker, None, now);
    }

    /// A record waits for its time, unless the run is over by then.
    fn send_later(&mut self, work: Work, until: Instant) {
        match self.course.phase() {
            Phase::Interrupted(_, end, _) if until > end => {}
            _ => self.put_off(work, until),
        }
    }

    /// Nobody who asks as these workers do is answered: they are told to end, and no other process
    /// follows.
    fn give_up_refused(&mut self, worker: WorkerId, now: Instant) {
        for worker in self.brakes.fellows(worker) {
            let restarts = &mut self.workers[worker.0].restarts;
            restarts.was_refused(FUTILE);
            if self.process(worker).is_some_and(Process::is_serving) {
                self.close_stdin(worker, now);
            } else if self.workers[worker.0].vacant_from().is_some() {
                self.replace(worker, now);
            }
        }
    }
}

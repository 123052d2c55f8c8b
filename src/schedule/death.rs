//! What the end of a process means for the records it held, and for its worker.
//!
//! Nobody knows which of the records that a process held has killed it. So nobody is charged at
//! first: what was held becomes suspect, and each suspect is sent again, alone, to a process that
//! holds nothing else and is ready, or has stayed up for long enough (`suspects`). If that process
//! dies too, the record is charged; the others finish. Where the process said what it had begun
//! (`process/owed/calls`), the rest of what it held is beyond suspicion.
//!
//! A batch system or a container runtime that ends a run signals all of its processes, in no order
//! that could be relied on. So a death that would leave an outcome leaves it only once mtask might
//! have been signalled too, and has not been. After a signal that ends the run no death and no limit
//! leaves one: what such a process held is sent once more, alone, and is then left to a run that goes
//! on with this one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Scheduler;
use super::event::{Breach, Ended, Event, Loss, Moment, Span};
use super::ids::WorkerId;
use super::policy::{Delivery, Readiness, Window};
use super::process::{Break, Death, Process, Startup};
use super::queue::{Isolation, Work};
use super::restarts::FailedStart;
use crate::outcome::{BadAnswer, Cause, Exit, ExitStatus, Lines, Verdict};
use crate::protocol::stdout::Tail;

/// A death that something depends on is judged this much later: mtask may be about to get the
/// signal that the worker got.
pub(super) const JUDGED_LATER: Duration = Duration::from_millis(200);

impl Scheduler {
    /// A process has ended, and everything that it answered has been reported.
    pub fn died(&mut self, worker: WorkerId, mut death: Death, now: Instant) {
        self.time_oldest(worker, 1, now);
        match self.policy.is_for_own_record() {
            true => self.take_own_answer(worker, &mut death, now),
            false => self.take_last_line(worker, &mut death, now),
        }
        let Some(process) = self.workers[worker.0].end(now) else {
            return;
        };
        self.queue.release(worker);
        let (exit, peak) = (death.exit.clone(), death.peak);
        self.tell(Event::Gone { worker, exit, peak });
        if !process.is_working() {
            self.replace(worker, now);
        } else if !self.course.gives_out() {
            // Processes were told to end, or nobody wants their answers.
        } else {
            self.judge_or_wait(worker, process, death, now);
        }
        self.feed(now);
    }

    /// A line without its end is an answer where the worker was to finish and exited well.
    pub(super) fn take_last_line(&mut self, worker: WorkerId, death: &mut Death, now: Instant) {
        let Some(process) = self.process(worker) else {
            return;
        };
        let may_be_answer = process.has_seen_end(death.unsent) && self.owed(worker) > 0;
        if may_be_answer && death.exit.is_success() && !death.tail.bytes.is_empty() {
            let mut tail = std::mem::take(&mut death.tail);
            if tail.is_too_long {
                self.answered_too_large(worker, now);
            } else {
                tail.bytes.push(self.policy.shape.separator.byte());
                self.answered(
                    worker,
                    1,
                    Lines::Given {
                        buffer: &mut tail.bytes,
                        from: 0,
                    },
                    now,
                );
            }
        }
    }

    /// Deals with the end of a process that was of use.
    pub(super) fn judge_or_wait(
        &mut self,
        worker: WorkerId,
        mut process: Box<Process>,
        death: Death,
        now: Instant,
    ) {
        process.start.died(now);
        if self.policy.is_for_own_record() {
            self.judge_own_or_wait(worker, process, death, now);
        } else if self.course.is_interrupted() {
            self.outlive(worker, *process, death, now);
        } else if is_forgiven(
            self.course.last_signal(),
            self.policy.delivery,
            &process,
            &death,
            now,
        ) {
            self.forgive(worker, *process, &death, now);
        } else if is_signal_for_groups(&death.exit) || self.may_leave_outcome(&process, &death, now)
        {
            self.judge_silence(worker, &process, now);
            self.workers[worker.0].defer(process, death, now + JUDGED_LATER);
            self.watch(worker);
        } else {
            self.judge_silence(worker, &process, now);
            self.judge(worker, *process, death, now);
        }
    }

    /// Passes judgement on a process whose time has come.
    pub(super) fn judge_deferred(&mut self, worker: WorkerId, now: Instant) {
        if let Some((process, death)) = self.workers[worker.0].take_deferred(|_, _| true, now) {
            self.judge(worker, *process, death, now);
            // The wait for the next process has begun with this one's end.
            self.workers[worker.0].has_waited(JUDGED_LATER, now);
        }
    }

    /// mtask was signalled: processes that have just died of that have not failed.
    pub(super) fn forgive_judged(&mut self, now: Instant) {
        for number in 0..self.workers.len() {
            let worker = WorkerId(number);
            if self.course.is_interrupted() {
                if let Some((process, death)) = self.workers[number].take_deferred(|_, _| true, now)
                {
                    self.outlive(worker, *process, death, now);
                }
                continue;
            }
            if self.policy.is_for_own_record() {
                // Nothing is run twice for that.
                continue;
            }
            let (signalled, delivery) = (self.course.last_signal(), self.policy.delivery);
            let suits = |process: &Process, death: &Death| {
                is_forgiven(signalled, delivery, process, death, now)
            };
            if let Some((process, death)) = self.workers[number].take_deferred(suits, now) {
                self.forgive(worker, *process, &death, now);
            }
        }
    }

    /// Decides what the end of a process means.
    fn judge(&mut self, worker: WorkerId, mut process: Process, death: Death, now: Instant) {
        if self.policy.is_for_own_record() {
            return self.judge_own(worker, process, death, now);
        }
        let is_closing = process.has_seen_end(death.unsent);
        let is_well = death.exit.is_success();
        let startup = self.startup(&process, now);
        let owed = process.owed.take_all();
        if owed.is_empty() && is_closing {
            if !is_well {
                self.count_bad_end();
            }
            self.tell_end(worker, &death, Moment::End);
            if !death.tail.bytes.is_empty() {
                self.note_tail(worker, &process, &death);
                self.replace(worker, now);
                self.count_stray(now);
            } else {
                let restarts = &mut self.workers[worker.0].restarts;
                restarts.kept_step();
                if restarts.are_in_vain() {
                    self.replace(worker, now);
                }
            }
        } else if owed.is_empty() {
            let moment = match process.is_ready() {
                true => Moment::Work,
                false => Moment::Start,
            };
            self.tell_end(worker, &death, moment);
            let is_stray = !death.tail.bytes.is_empty();
            if is_stray {
                self.note_tail(worker, &process, &death);
            }
            self.count_process(worker, startup, false, death);
            self.replace(worker, now);
            if is_stray {
                self.count_stray(now);
            }
        } else if is_closing && is_well {
            let breach = Breach::NoAnswer(Span::of(&owed));
            let in_doubt = process.audit.in_doubt(Break::TooFew);
            self.note_breach(worker, breach, in_doubt);
            self.fail_together(worker, owed, Cause::MissingAnswer, now);
            self.replace(worker, now);
        } else {
            let charged = self.blame(worker, owed, startup, &death, now);
            self.count_process(worker, startup, charged, death);
            self.replace(worker, now);
        }
    }

    /// Decides what becomes of the records that a dead process held. Gives whether any was charged.
    pub(super) fn blame(
        &mut self,
        worker: WorkerId,
        mut owed: VecDeque<Work>,
        startup: Startup,
        death: &Death,
        now: Instant,
    ) -> bool {
        if self.is_beyond_blame() {
            self.tell_end(worker, death, Moment::Excused);
            self.send_once_more(worker, owed, death.unsent);
            return false;
        }
        self.take_back(&mut owed, death.unsent);
        let held = Span::of(&owed);
        let is_alone =
            owed.len() == 1 && owed[0].remaining() == 1 && owed[0].isolation == Isolation::Alone;
        let is_full = self.policy.window == Window::Full;
        let unbegun = match self.policy.delivery {
            Delivery::AtMostOnce => VecDeque::new(),
            Delivery::AtLeastOnce => Work::take_unbegun(&mut owed),
        };
        let verdict = death.exit.verdict();
        let may_charge = startup.is_proof() && !matches!(verdict, Some(Verdict::NotReady(_)));
        let is_guilty = |work: &Work| match self.policy.delivery {
            Delivery::AtMostOnce => true,
            Delivery::AtLeastOnce if !may_charge => false,
            Delivery::AtLeastOnce if is_full => work.sent > 1,
            Delivery::AtLeastOnce => is_alone && verdict != Some(Verdict::AnsweredTwice),
        };
        let (guilty, again): (VecDeque<_>, VecDeque<_>) = owed.into_iter().partition(is_guilty);
        let charged = !guilty.is_empty();
        // Where COMMAND has never been ready, nothing is held against what it held.
        let is_futile = startup != Startup::Ready
            && !charged
            && (again.is_empty() || self.command.known_start().is_none());
        let moment = if is_futile {
            Moment::Start
        } else {
            Moment::Work
        };
        let cause = death.cause();
        let fate = guilty.front().map(|work| self.fate(work, &cause));
        self.tell(Event::Ended(Box::new(Ended {
            worker,
            pid: death.pid,
            exit: death.exit.clone(),
            moment,
            held,
            charged: fate,
            again: again.iter().chain(&unbegun).map(Work::remaining).sum(),
        })));
        for work in unbegun {
            self.tell_again(worker, &work);
            self.queue.put_back(Work {
                shuns: None,
                ..work
            });
        }
        for mut work in again {
            work.shuns = None;
            self.tell_again(worker, &work);
            match is_full {
                true => self.queue.put_back(work),
                false => self.queue.put_back_alone(work),
            }
        }
        if charged {
            self.fail_together(worker, guilty, cause, now);
        }
        charged
    }

    /// A process ended after mtask was told to end, for whatever reason. That fails no record.
    fn outlive(&mut self, worker: WorkerId, mut process: Process, mut death: Death, now: Instant) {
        if self.policy.is_for_own_record() {
            return self.judge_own(worker, process, death, now);
        }
        if process.owed.is_empty() && process.has_seen_end(death.unsent) {
            // How it has left is told, and is forgotten with this run; its last words are no
            // answer.
            death.tail = Tail::default();
            self.judge(worker, process, death, now);
            return;
        }
        self.tell_end(worker, &death, Moment::Excused);
        let startup = self.startup(&process, now);
        let owed = process.owed.take_all();
        self.send_once_more(worker, owed, death.unsent);
        self.count_process(worker, startup, false, death);
        self.replace(worker, now);
    }

    /// Has what a process held that ended after mtask was told to end sent once more, alone, or
    /// left without an outcome. Of the last `unsent` records no byte was written.
    pub(super) fn send_once_more(
        &mut self,
        worker: WorkerId,
        mut owed: VecDeque<Work>,
        unsent: usize,
    ) {
        self.take_back(&mut owed, unsent);
        let is_full = self.policy.window == Window::Full;
        for work in owed {
            let was_again = match is_full {
                true => work.sent > 1,
                false => work.isolation == Isolation::Alone,
            };
            if was_again || self.policy.delivery == Delivery::AtMostOnce {
                continue;
            }
            let isolation = match is_full {
                true => work.isolation,
                false => Isolation::Alone,
            };
            self.tell_again(worker, &work);
            self.queue.put_back(Work { isolation, ..work });
        }
    }

    /// A process was killed along with mtask: nobody is charged, and what it held is sent again.
    fn forgive(&mut self, worker: WorkerId, mut process: Process, death: &Death, now: Instant) {
        self.tell_end(worker, death, Moment::Excused);
        let mut owed = process.owed.take_all();
        self.take_back(&mut owed, death.unsent);
        for work in owed {
            self.tell_again(worker, &work);
            self.queue.put_back(work);
        }
        self.workers[worker.0].vacate(now);
    }

    /// Puts the last `unsent` records back as if they had not been given out.
    pub(super) fn take_back(&mut self, owed: &mut VecDeque<Work>, unsent: usize) {
        let back = Work::take_back(owed, unsent, self.policy.shape.separator);
        back.into_iter().for_each(|work| self.queue.put_back(work));
    }

    /// Counts a process for `--max-restarts`.
    pub(super) fn count_process(
        &mut self,
        worker: WorkerId,
        startup: Startup,
        charged: bool,
        death: Death,
    ) {
        // One that has run has come to its own end, whatever that is.
        if self.policy.is_for_own_record() && startup == Startup::Ready {
            return;
        }
        let is_early = !matches!(
            death.exit,
            Exit::Verdict(Verdict::NotReady(_) | Verdict::TimedOut)
        );
        let begins_trials = match startup {
            Startup::Begun { ran, holds_any } if is_early => self.note_early(ran, holds_any),
            _ => false,
        };
        // Once COMMAND has run, whatever keeps it from running now may pass.
        let may_be_unrunnable =
            self.policy.readiness == Readiness::Announced && self.command.startup_time().is_none();
        let is_unrunnable = may_be_unrunnable && death.exit.says_unrunnable();
        let restarts = &mut self.workers[worker.0].restarts;
        restarts.failed(&death.exit, is_unrunnable);
        self.course.lost_process(death);
        if startup != Startup::Ready {
            restarts.failed_to_start(match charged {
                true => FailedStart::Charged,
                false if begins_trials => FailedStart::BeginsTrials,
                false => FailedStart::Unexplained,
            });
        }
    }

    /// Makes room for the worker's next process, or gives it up.
    pub(super) fn replace(&mut self, worker: WorkerId, now: Instant) {
        let restarts = &self.workers[worker.0].restarts;
        if self.policy.is_for_own_record() && !restarts.is_troubled() {
            // Its seat is free already.
            return;
        }
        let Some((processes, cause, last)) = self.workers[worker.0].replace(now) else {
            return self.tell_trial(worker);
        };
        self.outcomes.tally.given_up += 1;
        self.tell(Event::GivenUp(Loss {
            worker,
            processes,
            cause,
            last,
        }));
    }

    /// Whether judgement on this death may fail a record or count against the run.
    fn may_leave_outcome(&self, process: &Process, death: &Death, now: Instant) -> bool {
        let is_over = process.has_seen_end(death.unsent);
        let is_well = death.exit.is_success();
        if process.owed.is_empty() {
            return is_over && !(is_well && death.tail.bytes.is_empty());
        }
        let is_full = self.policy.window == Window::Full;
        let is_again =
            |work: &Work| work.isolation == Isolation::Alone || (is_full && work.sent > 1);
        let may_be_charged =
            self.startup(process, now).is_proof() && process.owed.iter().any(is_again);
        (is_over && is_well) || self.policy.delivery == Delivery::AtMostOnce || may_be_charged
    }

    /// Tells that a process has ended that held nothing.
    pub(super) fn tell_end(&mut self, worker: WorkerId, death: &Death, moment: Moment) {
        self.tell(Event::Ended(Box::new(Ended {
            worker,
            pid: death.pid,
            exit: death.exit.clone(),
            moment,
            held: Span::default(),
            charged: None,
            again: 0,
        })));
    }

    /// Tells that records are to be sent again.
    pub(super) fn tell_again(&mut self, worker: WorkerId, work: &Work) {
        self.tell(Event::SentAgain {
            worker,
            first: work.first(),
            count: work.remaining(),
            charged: work.charged,
        });
    }

    /// mtask got this signal, which does not end the run.
    pub fn signalled(&mut self, signal: i32, now: Instant) {
        self.course.signalled(signal, now);
        self.forgive_judged(now);
        self.feed(now);
    }

    /// A limit or an answer is of no account any more: what it was about has no outcome in this
    /// run.
    pub(super) fn is_beyond_blame(&self) -> bool {
        self.course.is_interrupted()
    }
}

impl Death {
    /// What the records fail of that are charged with it.
    fn cause(&self) -> Cause {
        match &self.exit {
            Exit::Verdict(verdict @ (Verdict::Unasked | Verdict::AnsweredTwice)) => {
                Cause::BadAnswer(BadAnswer::Unasked(*verdict))
            }
            exit => Cause::WorkerExit {
                exit: exit.clone(),
                stderr: self.stderr.clone(),
                stdout: None,
            },
        }
    }
}

/// Whether a process died of a signal that mtask got as well, and the run goes on with what it held.
fn is_forgiven(
    signalled: Option<(i32, Instant)>,
    delivery: Delivery,
    process: &Process,
    death: &Death,
    now: Instant,
) -> bool {
    let is_same = |(signal, at): (i32, Instant)| {
        death.exit == ExitStatus::Signal(signal).into() && now <= at + JUDGED_LATER
    };
    let may_go_on = delivery == Delivery::AtLeastOnce || process.owed.is_empty();
    signalled.is_some_and(is_same) && may_go_on
}

fn is_signal_for_groups(exit: &Exit) -> bool {
    matches!(
        exit,
        Exit::Status(ExitStatus::Signal(
            libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGUSR1 | libc::SIGUSR2
        ))
    )
}

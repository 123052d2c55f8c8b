//! What the end of a process means for the records it held, and for its worker.
//!
//! Nobody knows which of the records that a process held has killed it. So nobody is charged at
//! first: what was held becomes suspect, and each suspect is sent again, alone, to a process that
//! holds nothing else and is ready, or has stayed up for long enough (`suspects`). If that process
//! dies too, the record is charged; the others finish.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::action::{Action, WorkerId};
use super::event::{Breach, Ended, Event, Loss, LossCause, Moment, Span};
use super::policy::{Delivery, Readiness, Window};
use super::process::{Break, Death, Pipe, Process, Startup};
use super::queue::{Isolation, Work};
use super::worker::State;
use super::{InputState, Scheduler, Unsent};
use crate::outcome::{BadAnswer, Cause, Exit, Verdict};

/// A process that has closed its stdout is given so long to exit.
const HANG_UP: Duration = Duration::from_millis(200);

impl Scheduler {
    /// A process has ended, and everything that it answered has been reported.
    pub fn died(&mut self, worker: WorkerId, mut death: Death, now: Instant) {
        self.time_oldest(worker, 1, now);
        self.take_last_line(worker, &mut death, now);
        let seat = &mut self.workers[worker.0];
        let state = std::mem::replace(&mut seat.state, State::Vacant(now));
        let State::Running(process) = state else {
            seat.state = state;
            return;
        };
        self.queue.release(worker);
        let exit = death.exit.clone();
        self.tell(Event::Gone { worker, exit });
        if !process.is_working() {
            self.replace(worker, now);
        } else if !self.phase.gives_out() {
            // Processes were told to end, or nobody wants their answers.
        } else {
            self.judge_or_wait(worker, process, death, now);
        }
        self.feed(now);
    }

    /// A process has closed its stdin in the middle of a record: [`Scheduler::hung_up`] is to
    /// follow.
    pub fn record_partially_written(&mut self, worker: WorkerId) {
        if let Some(process) = self.process_mut(worker) {
            process.wrote_in_part();
        }
    }

    /// A process has closed one of its pipes. The last `unsent` records that it holds are not begun
    /// to be written to it, and are taken back.
    pub fn hung_up(&mut self, worker: WorkerId, pipe: Pipe, unsent: usize, now: Instant) {
        let separator = self.policy.shape.separator;
        let process = self.process_mut(worker).filter(|process| process.is_working());
        let Some(process) = process else {
            return;
        };
        let back = process.hung_up(pipe, unsent, separator, now);
        back.into_iter().for_each(|work| self.queue.put_back(work));
        self.wake_by(now + HANG_UP);
        self.feed(now);
    }

    /// Deals with a process that has closed a pipe and does not exit.
    pub(super) fn hang_up_tick(&mut self, worker: WorkerId, unsent: Unsent<'_>, now: Instant) {
        let exit_timeout = self.policy.exit_timeout;
        let Some(process) = self.process_mut(worker) else {
            return;
        };
        let Some((since, pipe)) = process.pipes().hung_up() else {
            return;
        };
        let is_done = process.owed().is_empty() && process.is_closing();
        if !process.is_working() || is_done || process.is_paused() {
            return;
        }
        let until = match pipe {
            Pipe::Stdin if !process.owed().is_empty() => {
                since.max(process.owed().clock()) + exit_timeout
            }
            _ => since + HANG_UP,
        };
        if now < until {
            self.wake_by(until);
            return;
        }
        let verdict = match pipe {
            Pipe::Stdin => Verdict::StdinClosed,
            Pipe::Stdout => Verdict::StdoutClosed,
        };
        self.terminate_faulty(worker, verdict, unsent(worker), now);
    }

    /// Ends a running process that is as good as dead, and deals with what it held.
    pub(super) fn terminate_faulty(
        &mut self,
        worker: WorkerId,
        verdict: Verdict,
        unsent: usize,
        now: Instant,
    ) {
        let process = self.process(worker).expect("only a running process can be found faulty");
        let startup = self.startup(process, now);
        let owed = self.process_mut(worker).expect("it runs").take_owed();
        self.stop(worker, now);
        let death = Death {
            unsent,
            ..Death::by(verdict)
        };
        let charged = self.blame(worker, owed, startup, &death, now);
        self.count_process(worker, startup, charged, death);
    }

    /// Tells a process's group to end.
    pub(super) fn stop(&mut self, worker: WorkerId, now: Instant) {
        let kill_at = now + self.policy.grace;
        let process = self.process_mut(worker).expect("only a running process can be stopped");
        debug_assert!(
            process.owed().is_empty(),
            "a process is stopped after its records have been dealt with"
        );
        process.stop(kill_at, kill_at);
        self.actions.push(Action::Terminate(worker));
        self.wake_by(kill_at);
    }

    pub(super) fn judge(
        &mut self,
        worker: WorkerId,
        mut process: Process,
        death: Death,
        now: Instant,
    ) {
        let is_closing = process.has_seen_end(death.unsent);
        let is_well = death.exit.is_success();
        let startup = self.startup(&process, now);
        let owed = process.take_owed();
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
                let seat = &mut self.workers[worker.0];
                seat.protocol_violations = 0;
                seat.state = State::Vacant(now);
                if seat.silent >= self.policy.max_restarts.max(1) {
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
            let in_doubt = process.audit().in_doubt(Break::TooFew);
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
    fn blame(
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
            && (again.is_empty() || self.known_start().is_none());
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
            again: again.iter().map(Work::remaining).sum(),
        })));
        for mut work in again {
            work.shuns = None;
            self.tell_again(worker, &work);
            match is_full {
                true => self.queue.put_back(work),
                false => self.suspect(work),
            }
        }
        if charged {
            self.fail_together(worker, guilty, cause, now);
        }
        charged
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
            self.policy.readiness == Readiness::Announced && self.startup_time.is_none();
        let most = self.policy.max_restarts.max(1);
        let seat = &mut self.workers[worker.0];
        seat.replaces_failed = true;
        seat.last_exit = Some(death.exit.clone());
        seat.is_unrunnable = may_be_unrunnable && death.exit.says_unrunnable();
        self.last_death = Some(death);
        if startup == Startup::Ready {
            return;
        }
        seat.failed_starts += 1;
        seat.unready_exits = match charged {
            true => 0,
            // One process at least is to stand its trial.
            false if begins_trials => (seat.unready_exits + 1).min(most - 1),
            false => seat.unready_exits + 1,
        };
    }

    /// Makes room for the worker's next process, or gives it up.
    pub(super) fn replace(&mut self, worker: WorkerId, now: Instant) {
        let most = self.policy.max_restarts.max(1);
        let seat = &mut self.workers[worker.0];
        let is_worth_another = seat.unready_exits < most
            && seat.failed_starts < most.saturating_mul(4)
            && seat.protocol_violations < most
            && seat.silent < most
            && seat.left_behind < most
            && !seat.is_unrunnable;
        if is_worth_another {
            seat.vacate(now);
            self.tell_trial(worker);
            return;
        }
        seat.state = State::GivenUp;
        let (processes, cause) = match seat.is_unrunnable {
            _ if seat.protocol_violations >= most => {
                (seat.protocol_violations, LossCause::OutOfStep)
            }
            _ if seat.left_behind >= most => (seat.left_behind, LossCause::LeftBehind),
            _ if seat.silent >= most => (seat.silent, LossCause::Silent),
            true => (seat.failed_starts, LossCause::Unrunnable),
            false => (seat.failed_starts, LossCause::Unready),
        };
        let last = seat.last_exit.take();
        self.tally.given_up += 1;
        self.tell(Event::GivenUp(Loss {
            worker,
            processes,
            cause,
            last,
        }));
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

    /// Whether no record will come any more.
    pub(super) fn input_is_over(&self) -> bool {
        self.input == InputState::Ended || !self.phase.takes_input()
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
            },
        }
    }
}

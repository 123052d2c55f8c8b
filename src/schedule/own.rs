//! Processes that are started for a record each (`--each`), and end with it.
//!
//! Such a process is like any other that is up, holds one record and has seen the end of its input:
//! so limits of time, the order of outcomes and the end of a run are those of all. What is its own:
//! it begins with its record; all that it has written when it exits with 0 is the answer; how it
//! ends else is that record's failure and nobody else's, so that there are no suspects; and its end
//! is no fault, so that the next one begins at once. Always: a record is given to one process, and
//! to another one only where `--retries` allows it or none could be started.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::action::Action;
use super::death::JUDGED_LATER;
use super::event::{Ended, Event, Moment, Span};
use super::ids::WorkerId;
use super::process::{Death, Process, Startup};
use crate::outcome::{Cause, Exit, ExitStatus, Lines};
use crate::record::{Attempt, OwnRecord};

/// The most that an error record shows of what its process wrote to stdout: the end of it.
const SHOWN: usize = 64 * 1024;
/// What a shell adds to the signal that has ended its command.
const BY_SIGNAL: i32 = 128;

impl Scheduler {
    /// Starts processes for records that wait, each with its own.
    pub(super) fn start_for_records(&mut self, now: Instant) {
        while self.course.gives_out()
            && self.queue.together() > 0
            && !self.must_hold_back()
            && let Some(worker) = self.vacant_worker(now)
        {
            if let Err(at) = self.brakes.lets_one_through(now) {
                return self.wake_by(at);
            }
            self.start_for_record(worker, now);
            self.conclude_rejected(now);
        }
    }

    /// A worker whose next process may begin. Where there is none, when one may is noted.
    fn vacant_worker(&mut self, now: Instant) -> Option<WorkerId> {
        let mut soonest = None;
        for (number, worker) in self.workers.iter().enumerate() {
            match worker.vacant_from() {
                Some(from) if from <= now => return Some(WorkerId(number)),
                Some(from) => soonest = Some(soonest.map_or(from, |earlier| from.min(earlier))),
                None => {}
            }
        }
        if let Some(at) = soonest {
            self.wake_by(at);
        }
        None
    }

    fn start_for_record(&mut self, worker: WorkerId, now: Instant) {
        let Some(mut work) = self.queue.pop(1, usize::MAX, &[]) else {
            return;
        };
        work.sent += 1;
        self.brakes.sent(worker, 1, now);
        let own = OwnRecord {
            index: work.first(),
            attempt: Attempt(work.sent),
            bytes: work.block.bytes.clone(),
        };
        let beginning = self.begin_process(worker, Some(own), now);
        self.process_mut(worker).expect("it begins").begins_with(work, now);
        self.actions.push(Action::Start(worker, beginning));
        self.watch(worker);
    }

    /// A process runs that was started for a record: COMMAND can be.
    pub(super) fn began_with_record(&mut self, worker: WorkerId) {
        self.workers[worker.0].restarts.became_ready();
        let took = Duration::ZERO;
        self.tell(Event::Ready { worker, took });
    }

    /// A process has exited. If it did so well, what it wrote is the answer.
    pub(super) fn take_own_answer(&mut self, worker: WorkerId, death: &mut Death, now: Instant) {
        if !death.exit.is_success() || self.owed(worker) == 0 {
            return;
        }
        let mut answer = std::mem::take(&mut death.tail).bytes;
        if !answer.is_empty() {
            // Text ends with a newline, whatever ends a record.
            answer.pop_if(|last| *last == b'\n');
            answer.push(self.policy.shape.separator.byte());
        }
        let buffer = &mut answer;
        self.answered(worker, 1, Lines::Given { buffer, from: 0 }, now);
    }

    /// Deals with the end of a process, at once unless it may tell of a signal that mtask is about to
    /// get too.
    pub(super) fn judge_own_or_wait(
        &mut self,
        worker: WorkerId,
        process: Box<Process>,
        death: Death,
        now: Instant,
    ) {
        let may_be_excused = !process.owed.is_empty() && !self.course.is_interrupted();
        if may_be_excused && may_be_signalled_too(&death) {
            self.workers[worker.0].defer(process, death, now + JUDGED_LATER);
            self.watch(worker);
        } else {
            self.judge_own(worker, *process, death, now);
        }
    }

    /// Decides what the end of a process means for its record, if that has no outcome yet.
    pub(super) fn judge_own(
        &mut self,
        worker: WorkerId,
        mut process: Process,
        mut death: Death,
        now: Instant,
    ) {
        let Some(mut work) = process.owed.take_all().pop_front() else {
            return;
        };
        if self.is_beyond_blame() {
            return self.tell_end(worker, &death, Moment::Excused);
        }
        let never_began = matches!(death.exit, Exit::Status(ExitStatus::NotStarted(_)));
        let tail = std::mem::take(&mut death.tail).bytes;
        let cause = Cause::WorkerExit {
            exit: death.exit.clone(),
            stderr: death.stderr.clone(),
            stdout: Some(tail[tail.len().saturating_sub(SHOWN)..].to_vec()),
        };
        let held = Span {
            count: 1,
            low: work.first(),
            high: work.first(),
        };
        self.tell(Event::Ended(Box::new(Ended {
            worker,
            pid: death.pid,
            exit: death.exit.clone(),
            moment: Moment::Work,
            held: if never_began { Span::default() } else { held },
            charged: (!never_began).then(|| self.fate(&work, &cause)),
            again: usize::from(never_began),
        })));
        if never_began {
            // For want of something that may be there again.
            work.sent -= 1;
            self.queue.put_back(work);
            let startup = Startup::Begun {
                ran: Duration::ZERO,
                holds_any: false,
            };
            self.count_process(worker, startup, false, death);
            self.replace(worker, now);
            return;
        }
        let took = process.share(1, now);
        self.charge(work, cause, worker, took, now);
    }

    /// No process can be started for the record that this worker was to take, by the record's fault.
    pub fn unfit(&mut self, worker: WorkerId, why: String, now: Instant) {
        let Some(mut process) = self.workers[worker.0].end(now) else {
            return;
        };
        let exit = ExitStatus::NotStarted(why.clone()).into();
        let peak = None;
        self.tell(Event::Gone { worker, exit, peak });
        if let Some(mut work) = process.owed.take_all().pop_front() {
            work.sent -= 1;
            self.charge(work, Cause::UnfitInput(why), worker, None, now);
        }
        self.feed(now);
    }
}

/// Whether a process that has failed may have been signalled as mtask may be about to be.
fn may_be_signalled_too(death: &Death) -> bool {
    let signal = match death.exit {
        Exit::Status(ExitStatus::Signal(signal)) => signal,
        // A shell says so of its command.
        Exit::Status(ExitStatus::Code(code)) => code - BY_SIGNAL,
        _ => return false,
    };
    [
        libc::SIGTERM,
        libc::SIGINT,
        libc::SIGHUP,
        libc::SIGUSR1,
        libc::SIGUSR2,
    ]
    .contains(&signal)
}

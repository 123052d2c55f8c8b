//! The engine's readiness loop.

use std::mem;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};

use super::Engine;
use super::world::{Source, World};
use crate::schedule::WorkerId;
use crate::worker::child::Child;

/// So many times in a row a worker's answer may be found without poll(2), before all else is
/// looked at.
const PEEKS: u32 = 31;
/// How long after a write results may go without another, while their worker answers as soon as it
/// is let run.
const GATHER: Duration = Duration::from_micros(100);

/// What ended the wait for another thread.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waited<T> {
    Said(T),
    /// It has nothing more to say.
    Ended,
    /// Signals have come: the run may have to end earlier.
    Signalled,
    TooLong,
}

impl<W: World> Engine<W> {
    /// Waits until something happens or the next deadline has come, and deals with the pipes.
    /// Gives the time at which it began to wait: what workers had written by then has been read.
    /// `None` where a look at one worker was enough.
    pub(super) fn wait(&mut self) -> Option<Instant> {
        if self.peek().is_some() {
            return None;
        }
        self.peeks = 0;
        let from = self.world.now();
        self.waker.fall_asleep();
        let mut sources = self.sources();
        let until = if self.has_news() {
            Some(from)
        } else {
            self.next_deadline()
        };
        self.sleep(&mut sources, until);
        let now = self.world.now();
        for source in &sources {
            match *source {
                Source::Waker => {}
                Source::Requests => self.has_requests = true,
                Source::Stdin(worker) => {
                    self.write(worker);
                    self.act();
                }
                Source::Stdout(worker) => {
                    // What has just been read of others counts.
                    if self.budget.is_full() {
                        self.scheduler.choose_read_from(now);
                        self.act();
                    }
                    if self.scheduler.reads_from(worker) {
                        self.read_answers(worker, now);
                    }
                }
                Source::Stderr(worker) => {
                    if !self.messages.is_full() {
                        self.read_stderr(worker);
                    }
                }
            }
        }
        self.sources = sources;
        Some(from)
    }

    /// What there is to wait for now.
    fn sources(&mut self) -> Vec<Source> {
        let mut sources = mem::take(&mut self.sources);
        sources.clear();
        sources.extend([Source::Waker, Source::Requests]);
        let is_stderr_full = self.messages.is_full();
        for (number, process) in self.processes.iter().enumerate() {
            let worker = WorkerId(number);
            let Some(process) = process else { continue };
            if process.child.awaits_stdin() {
                sources.push(Source::Stdin(worker));
            }
            if self.scheduler.reads_from(worker) && process.child.has_stdout() {
                sources.push(Source::Stdout(worker));
            }
            if !is_stderr_full && process.child.has_stderr() {
                sources.push(Source::Stderr(worker));
            }
        }
        sources
    }

    /// Waits for one of these. The waker has been told before anything was looked at that it wakes
    /// for.
    fn sleep(&mut self, sources: &mut Vec<Source>, until: Option<Instant>) {
        let processes = &self.processes;
        let child = |worker: WorkerId| {
            let process = processes[worker.0].as_ref();
            &process.expect("a process that is waited for").child
        };
        self.world.wait(sources, child, until);
        self.waker.awake(sources.contains(&Source::Waker));
    }

    /// Waits, where nothing else is left to do, for a thread that wakes the engine when it has said
    /// something and when it has ended.
    pub(super) fn wait_for<T>(
        &mut self,
        thread: &Receiver<T>,
        until: Option<Instant>,
    ) -> Waited<T> {
        loop {
            let now = self.world.now();
            self.waker.fall_asleep();
            let waited = match thread.try_recv() {
                Ok(said) => Some(Waited::Said(said)),
                Err(TryRecvError::Disconnected) => Some(Waited::Ended),
                Err(TryRecvError::Empty) => until.filter(|at| *at <= now).map(|_| Waited::TooLong),
            };
            if let Some(waited) = waited {
                self.waker.awake(false);
                return waited;
            }
            let mut sources = vec![Source::Waker, Source::Requests];
            self.sleep(&mut sources, until);
            if sources.contains(&Source::Requests) {
                self.has_requests = true;
                let now = self.world.now();
                self.take_requests(now);
                return Waited::Signalled;
            }
        }
    }

    /// Lets workers run, and looks whether the one that owes anything has answered: it most likely
    /// has, where records go one at a time, and poll(2) costs as much as the read. Gives when that
    /// was.
    fn peek(&mut self) -> Option<Instant> {
        // Lets answers gather: one read of many costs far less than many reads.
        self.world.give_way();
        let worker = self.debtor()?;
        let now = self.world.now();
        if !self.read_answers(worker, now) {
            return None;
        }
        self.peeks += 1;
        Some(now)
    }

    /// The one worker that owes anything, if it is worth a look.
    fn debtor(&self) -> Option<WorkerId> {
        let worker = self.scheduler.only_debtor()?;
        let process = self.processes[worker.0].as_ref();
        let may_answer = process.is_some_and(|process| process.child.has_stdout());
        let is_worth_it = self.peeks < PEEKS && self.scheduler.reads_from(worker) && may_answer;
        is_worth_it.then_some(worker)
    }

    /// Looks again where the last look was worth it, for a moment: then results are written
    /// together.
    pub(super) fn peek_again(&mut self, now: Instant) -> Option<Instant> {
        if self.peeks == 0 || now >= self.flushed + GATHER {
            return None;
        }
        // Where nothing more is to come, nothing waits for it.
        self.debtor()?;
        self.peek()
    }
}

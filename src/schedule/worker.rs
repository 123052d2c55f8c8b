//! A worker: one of the N places where COMMAND runs. Owns its process.

use std::time::{Duration, Instant};

use super::event::LossCause;
use super::ids::ProcessNumber;
use super::process::{Death, Generation, Process};
use super::restarts::Restarts;
use crate::outcome::Exit;

/// One of the N places where COMMAND runs.
#[derive(Debug)]
pub(crate) struct Worker {
    state: State,
    /// The number of the next process.
    next_process: u32,
    /// When the next process is taken to be up, where it has been started beside the present one.
    successor: Option<Instant>,
    pub(crate) restarts: Restarts,
}

/// Where a worker stands.
#[derive(Debug)]
enum State {
    /// No process runs; one may be started from then on.
    Vacant(Instant),
    /// A process runs.
    Running(Box<Process>),
    /// The process was killed by a signal that mtask did not send. It is judged a little later, for
    /// mtask may be about to get the same signal.
    DeferredExit(Box<Process>, Death, Instant),
    /// Too many processes came to nothing.
    GivenUp,
}

impl Worker {
    pub(crate) fn new(max_restarts: u32, now: Instant) -> Self {
        Self {
            state: State::Vacant(now),
            next_process: 0,
            successor: None,
            restarts: Restarts::new(max_restarts),
        }
    }

    pub(crate) fn process(&self) -> Option<&Process> {
        match &self.state {
            State::Running(process) => Some(process),
            _ => None,
        }
    }

    pub(crate) fn process_mut(&mut self) -> Option<&mut Process> {
        match &mut self.state {
            State::Running(process) => Some(process),
            _ => None,
        }
    }

    /// The process that runs, or that has died and is not judged yet.
    pub(crate) fn last_process(&self) -> Option<&Process> {
        match &self.state {
            State::Running(process) | State::DeferredExit(process, ..) => Some(process),
            State::Vacant(_) | State::GivenUp => None,
        }
    }

    /// The number of its last process, where it has had one.
    pub(crate) fn number(&self) -> ProcessNumber {
        ProcessNumber(self.next_process.saturating_sub(1))
    }

    /// From when on its next process may be started.
    pub(crate) fn vacant_from(&self) -> Option<Instant> {
        match self.state {
            State::Vacant(from) => Some(from),
            _ => None,
        }
    }

    /// When the death of its process is judged, where that waits.
    pub(crate) fn judged_at(&self) -> Option<Instant> {
        match self.state {
            State::DeferredExit(_, _, at) => Some(at),
            _ => None,
        }
    }

    pub(crate) fn is_given_up(&self) -> bool {
        matches!(self.state, State::GivenUp)
    }

    /// Whether any process of it has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.next_process > 0
    }

    /// Its next process starts beside the present one, and is taken to be up at that time. Gives its
    /// number.
    pub(crate) fn prepare(&mut self, up_at: Instant) -> ProcessNumber {
        self.successor = Some(up_at);
        ProcessNumber(self.next_process)
    }

    /// When its next process is taken to be up, where that starts beside the present one.
    pub(crate) fn successor_up_at(&self) -> Option<Instant> {
        self.successor
    }

    /// What has been started beside its process is no more.
    pub(crate) fn lose_successor(&mut self) {
        self.successor = None;
    }

    /// A process begins. Gives its number, and whether it replaces one that was not meant to end.
    pub(crate) fn begin(&mut self, generation: Generation, now: Instant) -> (ProcessNumber, bool) {
        let number = ProcessNumber(self.next_process);
        self.next_process += 1;
        self.successor = None;
        self.state = State::Running(Box::new(Process::new(generation, now)));
        (number, self.restarts.began())
    }

    /// Its process has ended.
    pub(crate) fn end(&mut self, now: Instant) -> Option<Box<Process>> {
        self.process()?;
        match std::mem::replace(&mut self.state, State::Vacant(now)) {
            State::Running(process) => Some(process),
            _ => None,
        }
    }

    /// That is judged at this time.
    pub(crate) fn defer(&mut self, process: Box<Process>, death: Death, at: Instant) {
        self.state = State::DeferredExit(process, death, at);
    }

    /// Gives the death that is not judged yet, if it is the one for which `suits` says so.
    pub(crate) fn take_deferred(
        &mut self,
        suits: impl FnOnce(&Process, &Death) -> bool,
        now: Instant,
    ) -> Option<(Box<Process>, Death)> {
        match &self.state {
            State::DeferredExit(process, death, _) if suits(process, death) => {}
            _ => return None,
        }
        match std::mem::replace(&mut self.state, State::Vacant(now)) {
            State::DeferredExit(process, death, _) => Some((process, death)),
            _ => None,
        }
    }

    /// Its process is over that was not meant to end: the next may begin after a while.
    pub(crate) fn vacate(&mut self, now: Instant) {
        self.state = State::Vacant(now + self.restarts.wait());
    }

    /// The wait for the next process has begun so much earlier.
    pub(crate) fn has_waited(&mut self, time: Duration, now: Instant) {
        if let State::Vacant(from) = &mut self.state {
            *from = from.checked_sub(time).unwrap_or(now);
        }
    }

    /// The same, unless no other is worth it: then the worker is given up. Gives how many processes
    /// have shown that, why, and how the last one ended.
    pub(crate) fn replace(&mut self, now: Instant) -> Option<(u32, LossCause, Option<Exit>)> {
        let loss = self.restarts.loss().filter(|_| self.successor.is_none());
        let Some((processes, cause)) = loss else {
            self.vacate(now);
            return None;
        };
        self.state = State::GivenUp;
        Some((processes, cause, self.restarts.take_last_exit()))
    }
}

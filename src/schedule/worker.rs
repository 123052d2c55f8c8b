//! A worker and its running process, as the scheduler knows them.

use std::time::{Duration, Instant};

use super::process::{Death, Process};
use crate::outcome::Exit;

/// The first wait before a restart; it doubles with each process that is never ready.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// One of the N places where COMMAND runs.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) state: State,
    /// The number of the next process.
    pub(crate) next_process: u32,
    /// The next process replaces one that was not meant to end.
    pub(crate) replaces_failed: bool,
    /// Processes in a row that were never ready.
    pub(crate) failed_starts: u32,
    /// How its last process ended that counts.
    pub(crate) last_exit: Option<Exit>,
    /// Processes in a row that were never ready and charged nobody.
    pub(crate) unready_exits: u32,
    /// Processes in a row that did not give one answer for each record, and no more than one that
    /// is of use where answers have ids.
    pub(crate) protocol_violations: u32,
    /// Processes in a row that did nothing before the end of their stdin, which was shown to them
    /// for that.
    pub(crate) silent: u32,
    /// Processes that could not be ended.
    pub(crate) left_behind: u32,
    /// How many of its processes were replaced because they had come to answer with nothing but
    /// errors.
    pub(crate) spoilt: u32,
    /// The next process would end as the last one did.
    pub(crate) is_unrunnable: bool,
    backoff: Duration,
}

/// Where a worker stands.
#[derive(Debug)]
pub(crate) enum State {
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
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            state: State::Vacant(now),
            next_process: 0,
            replaces_failed: false,
            failed_starts: 0,
            last_exit: None,
            unready_exits: 0,
            protocol_violations: 0,
            silent: 0,
            left_behind: 0,
            spoilt: 0,
            is_unrunnable: false,
            backoff: FIRST_BACKOFF,
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

    /// A process is ready.
    pub(crate) fn became_ready(&mut self) {
        self.failed_starts = 0;
        self.unready_exits = 0;
        self.stood();
    }

    /// A process has stayed up: the next one need not wait for longer.
    pub(crate) fn stood(&mut self) {
        self.backoff = FIRST_BACKOFF;
    }

    /// A process is over that was not meant to end: the next may begin after a while.
    pub(crate) fn vacate(&mut self, now: Instant) {
        self.state = State::Vacant(now + self.backoff);
        self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
    }
}

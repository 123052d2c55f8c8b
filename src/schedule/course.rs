//! Where a run stands, and what its end will be put down to.

use std::time::{Duration, Instant};

use super::process::Death;

/// What a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Everything that the input gives is sent.
    Feeding,
    /// Only what was sent before comes to an outcome.
    Draining,
    /// The same, after this signal, which leaves all the time that it takes.
    Notified(i32),
    /// The same, after a signal, for a limited time: SIGTERM for all processes at the first time,
    /// SIGKILL at the second.
    Interrupted(i32, Instant, Instant),
    /// Nothing comes to an outcome any more; processes are ended.
    Aborted(EndReason),
    /// All processes have ended.
    Finished(Option<EndReason>),
}

/// Why a run was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndReason {
    Signal(i32),
    Raised,
    NoWorker,
    /// COMMAND cannot be run, as this exit status of its last process tells.
    Unrunnable(i32),
    OutputFailed,
}

/// How a run has gone so far.
#[derive(Debug)]
pub(super) struct Course {
    phase: Phase,
    /// Whether a failure has ended the run, under `drain` or `--max-errors`.
    has_last_failure: bool,
    /// Whether outcomes can no longer be written.
    has_output_failed: bool,
    /// Whether records have no outcome at the end of a whole run: a fault of mtask.
    has_lost_records: bool,
    /// The last signal that mtask got and that does not end the run, and when that was.
    signalled: Option<(i32, Instant)>,
    /// How the last process ended that was of no use.
    last_death: Option<Death>,
}

impl Course {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Feeding,
            has_last_failure: false,
            has_output_failed: false,
            has_lost_records: false,
            signalled: None,
            last_death: None,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether records of the input are to come to an outcome.
    pub(super) fn takes_input(&self) -> bool {
        self.phase == Phase::Feeding
    }

    /// Whether records are sent at all.
    pub(super) fn gives_out(&self) -> bool {
        !matches!(self.phase, Phase::Aborted(_) | Phase::Finished(_))
    }

    /// Whether mtask was told to end by a signal.
    pub(super) fn is_interrupted(&self) -> bool {
        matches!(
            self.phase,
            Phase::Notified(_) | Phase::Interrupted(..) | Phase::Aborted(EndReason::Signal(_))
        )
    }

    /// Why it is cut short, if it is.
    pub(super) fn reason(&self) -> Option<EndReason> {
        match self.phase {
            Phase::Finished(reason) => reason,
            Phase::Aborted(reason) => Some(reason),
            Phase::Notified(signal) | Phase::Interrupted(signal, ..) => {
                Some(EndReason::Signal(signal))
            }
            Phase::Feeding | Phase::Draining => None,
        }
    }

    pub(super) fn has_last_failure(&self) -> bool {
        self.has_last_failure
    }

    pub(super) fn has_output_failed(&self) -> bool {
        self.has_output_failed
    }

    pub(super) fn has_lost_records(&self) -> bool {
        self.has_lost_records
    }

    /// The last signal that did not end the run, and when it came.
    pub(super) fn last_signal(&self) -> Option<(i32, Instant)> {
        self.signalled
    }

    pub(super) fn turn(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// What fails from now on has not ended the run.
    pub(super) fn failed_for_the_last_time(&mut self) {
        self.has_last_failure = true;
    }

    pub(super) fn output_failed(&mut self) {
        self.has_output_failed = true;
    }

    pub(super) fn lost_records(&mut self) {
        self.has_lost_records = true;
    }

    pub(super) fn signalled(&mut self, signal: i32, now: Instant) {
        self.signalled = Some((signal, now));
    }

    pub(super) fn lost_process(&mut self, death: Death) {
        self.last_death = Some(death);
    }

    pub(super) fn take_last_death(&mut self) -> Option<Death> {
        self.last_death.take()
    }

    pub(super) fn was_suspended(&mut self, pause: Duration) {
        if let Phase::Interrupted(_, terminate_at, kill_at) = &mut self.phase {
            *terminate_at += pause;
            *kill_at += pause;
        }
    }
}

//! Whether a worker's next process is worth a start, and when it may begin.
//!
//! Owns all that is counted of a worker's processes in a row. Always: a worker whose processes are of
//! no use is given up in the end, whatever it is that they do.

use std::time::Duration;

use super::event::LossCause;
use crate::outcome::Exit;

/// The first wait before a restart; it doubles with each process that is never ready.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// A process that has given results, and then answers so many records with errors, is replaced.
/// Each time that it happens to a worker the number doubles: the records may be at fault.
const SPOILT: u32 = 4;

/// What a worker's processes have come to.
#[derive(Debug)]
pub(crate) struct Restarts {
    /// So many of no use in a row are enough.
    most: u32,
    /// The next process replaces one that was not meant to end.
    replaces_failed: bool,
    /// Processes in a row that were never ready.
    failed_starts: u32,
    /// Processes in a row that were never ready and charged nobody.
    unready_exits: u32,
    /// Processes in a row that did not give one answer for each record, and no more than one that
    /// is of use where answers have ids.
    protocol_violations: u32,
    /// Processes in a row that did nothing before the end of their stdin, which was shown to them
    /// for that.
    silent: u32,
    /// Processes that could not be ended.
    left_behind: u32,
    /// How many pauses in a row were asked for, where that is too many.
    refused: Option<u32>,
    /// How many were replaced because they had come to answer with nothing but errors.
    spoilt: u32,
    /// The next process would end as the last one did.
    is_unrunnable: bool,
    /// How the last process ended that counts.
    last_exit: Option<Exit>,
    backoff: Duration,
}

/// What a process that was never ready says of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailedStart {
    /// A record was charged with it.
    Charged,
    /// Trials begin with it: one process at least is to stand its trial.
    BeginsTrials,
    /// It failed by itself, as far as is known.
    Unexplained,
}

impl Restarts {
    pub(super) fn new(max_restarts: u32) -> Self {
        Self {
            most: max_restarts.max(1),
            replaces_failed: false,
            failed_starts: 0,
            unready_exits: 0,
            protocol_violations: 0,
            silent: 0,
            left_behind: 0,
            refused: None,
            spoilt: 0,
            is_unrunnable: false,
            last_exit: None,
            backoff: FIRST_BACKOFF,
        }
    }

    /// Why no other process is worth a start, and how many have shown that, where it is so.
    pub(super) fn loss(&self) -> Option<(u32, LossCause)> {
        if let Some(pauses) = self.refused {
            return Some((pauses, LossCause::Refused));
        }
        let most = self.most;
        let causes = [
            (self.protocol_violations, most, LossCause::OutOfStep),
            (self.left_behind, most, LossCause::LeftBehind),
            (self.silent, most, LossCause::Silent),
        ];
        if let Some((count, _, cause)) = causes.into_iter().find(|(count, most, _)| count >= most) {
            return Some((count, cause));
        }
        let is_unready = self.unready_exits >= most || self.failed_starts >= most.saturating_mul(4);
        match self.is_unrunnable {
            true => Some((self.failed_starts, LossCause::Unrunnable)),
            false => is_unready.then_some((self.failed_starts, LossCause::Unready)),
        }
    }

    /// Whether any process could lately not be started, or not be ended.
    pub(crate) fn is_troubled(&self) -> bool {
        self.failed_starts > 0 || self.left_behind > 0
    }

    pub(crate) fn failed_starts(&self) -> u32 {
        self.failed_starts
    }

    /// Whether its processes say too little for another one, or nobody answers what they ask for.
    pub(crate) fn are_in_vain(&self) -> bool {
        self.silent >= self.most || self.refused.is_some()
    }

    /// After so many errors in a row a process is spoilt.
    pub(crate) fn enough_errors(&self) -> u32 {
        SPOILT << self.spoilt.min(20)
    }

    /// How long the next process is to wait; the one after that waits twice as long.
    pub(super) fn wait(&mut self) -> Duration {
        let wait = self.backoff;
        self.backoff = (wait * 2).min(LONGEST_BACKOFF);
        wait
    }

    /// The next process begins. Gives whether it replaces one that was not meant to end.
    pub(super) fn began(&mut self) -> bool {
        std::mem::take(&mut self.replaces_failed)
    }

    pub(super) fn take_last_exit(&mut self) -> Option<Exit> {
        self.last_exit.take()
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

    /// A process has ended that was not meant to.
    pub(crate) fn failed(&mut self, exit: &Exit, is_unrunnable: bool) {
        self.replaces_failed = true;
        self.last_exit = Some(exit.clone());
        self.is_unrunnable = is_unrunnable;
    }

    /// It was never ready.
    pub(crate) fn failed_to_start(&mut self, how: FailedStart) {
        self.failed_starts += 1;
        self.unready_exits = match how {
            FailedStart::Charged => 0,
            FailedStart::BeginsTrials => (self.unready_exits + 1).min(self.most - 1),
            FailedStart::Unexplained => self.unready_exits + 1,
        };
    }

    /// A process did not give one answer for each record.
    pub(crate) fn broke_step(&mut self) {
        self.protocol_violations += 1;
    }

    /// The same, after answers that were of use.
    pub(crate) fn broke_step_once(&mut self) {
        self.protocol_violations = 1;
    }

    pub(crate) fn kept_step(&mut self) {
        self.protocol_violations = 0;
    }

    /// A process did nothing before the end of its stdin.
    pub(crate) fn was_silent(&mut self) {
        self.silent += 1;
    }

    pub(crate) fn spoke(&mut self) {
        self.silent = 0;
    }

    /// Nobody who asks as it does is answered.
    pub(crate) fn was_refused(&mut self, pauses: u32) {
        self.refused = Some(pauses);
    }

    pub(crate) fn was_left_behind(&mut self) {
        self.left_behind += 1;
    }

    /// A process is replaced because it answers with nothing but errors.
    pub(crate) fn was_spoilt(&mut self) {
        self.spoilt += 1;
    }
}

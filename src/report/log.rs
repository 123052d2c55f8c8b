//! What happens to each record and each process, one JSON line each (`--log`).
//!
//! docs/log.md says what each field means. Gives bytes and writes nothing itself. Always: records
//! that come to the same end together are one line, and each outcome is in one line; only whole
//! lines are given, once there are many or they have waited for a moment.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::outcome::{ExitStatus, Failure};
use crate::schedule::event::{Event, Settled};
use crate::schedule::{ProcessNumber, Tally, WorkerId};
use crate::visible;

/// The version of the form.
pub const VERSION: u32 = 1;
/// What the first line begins with, in this version and in others.
pub const BEGINNING: &[u8] = b"{\"event\":\"begin\",\"log\":";

/// So many bytes are given at once, or fewer where they have waited for so long.
const MUCH: usize = 64 * 1024;
const SOON: Duration = Duration::from_millis(200);
/// How many characters of a message are kept.
const MOST_OF_MESSAGE: usize = 1000;

/// What the first line says of a run.
#[derive(Clone, Debug, Serialize)]
pub struct RunFacts {
    /// The version of mtask.
    pub mtask: &'static str,
    /// What was typed.
    pub command: Vec<String>,
    /// How many workers there are.
    pub workers: usize,
    /// How many records came to an outcome in earlier runs that this one goes on with.
    pub resumed: u64,
}

/// The lines that have not been given yet.
#[derive(Debug)]
pub(super) struct Log {
    lines: Vec<u8>,
    /// Since when the first of them waits.
    since: Option<Instant>,
    clock: WallClock,
    /// The number of each worker's last process.
    processes: Vec<ProcessNumber>,
}

/// Moments as people and other programs name them: seconds since 1970. The system's clock is asked
/// once, so that one that is put right in between does not tear a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct WallClock {
    at: Instant,
    seconds: f64,
}

impl WallClock {
    pub(super) fn new(at: Instant) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            at,
            seconds: since.unwrap_or_default().as_secs_f64(),
        }
    }

    /// To the microsecond.
    pub(super) fn seconds(&self, at: Instant) -> f64 {
        let later = at.saturating_duration_since(self.at).as_secs_f64();
        let earlier = self.at.saturating_duration_since(at).as_secs_f64();
        micros(self.seconds + later - earlier)
    }
}

fn micros(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

#[derive(Serialize)]
struct Line<T> {
    event: &'static str,
    #[serde(flatten)]
    rest: T,
}

#[derive(Serialize)]
struct Begin<'a> {
    event: &'static str,
    log: u32,
    at: f64,
    #[serde(flatten)]
    facts: &'a RunFacts,
}

#[derive(Serialize)]
struct Records<'a> {
    event: &'static str,
    at: f64,
    index: u64,
    #[serde(skip_serializing_if = "is_one")]
    count: usize,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<u32>,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    queued: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    bytes_in: usize,
    bytes_out: usize,
}

#[derive(Serialize)]
struct OfProcess<'a> {
    at: f64,
    worker: usize,
    process: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    how: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_bytes: Option<u64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    ranges: &'a [(u64, u64)],
}

#[derive(Serialize)]
struct End {
    at: f64,
    status: i32,
    records: u64,
    failed: u64,
    restarts: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_one(count: &usize) -> bool {
    *count == 1
}

impl Log {
    /// Of a run that begins now.
    pub(super) fn new(facts: &RunFacts, now: Instant) -> Self {
        let mut log = Self {
            lines: Vec::new(),
            since: None,
            clock: WallClock::new(now),
            processes: vec![ProcessNumber(0); facts.workers],
        };
        let begin = Begin {
            event: "begin",
            log: VERSION,
            at: log.clock.seconds(now),
            facts,
        };
        log.put(&begin, now);
        log
    }

    /// Puts down what has happened, where it is of records or processes.
    pub(super) fn hear(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Settled(settled) => self.settled(settled, now),
            Event::Started {
                worker, process, ..
            } => {
                self.processes[worker.0] = *process;
                self.put_process("started", self.of(*worker, now), now);
            }
            Event::Ready { worker, took } => {
                let ready = OfProcess {
                    seconds: Some(micros(took.as_secs_f64())),
                    ..self.of(*worker, now)
                };
                self.put_process("ready", ready, now);
            }
            Event::Gone { worker, exit, peak } => {
                let ended = OfProcess {
                    how: Some(&visible::line(&exit.to_string())),
                    exit_code: match exit.status() {
                        Some(ExitStatus::Code(code)) => Some(*code),
                        _ => None,
                    },
                    signal: match exit.status() {
                        Some(ExitStatus::Signal(signal)) => Some(*signal),
                        _ => None,
                    },
                    peak_bytes: *peak,
                    ..self.of(*worker, now)
                };
                self.put_process("ended", ended, now);
            }
            Event::OutOfStep {
                worker, in_doubt, ..
            } if !in_doubt.ranges().is_empty() => {
                let doubtful = OfProcess {
                    ranges: in_doubt.ranges(),
                    ..self.of(*worker, now)
                };
                self.put_process("in_doubt", doubtful, now);
            }
            _ => {}
        }
    }

    /// How the run has ended.
    pub(super) fn end(&mut self, tally: &Tally, status: i32, now: Instant) {
        let end = End {
            at: self.clock.seconds(now),
            status,
            records: tally.outcomes(),
            failed: tally.failures(),
            restarts: tally.restarts,
        };
        let line = Line {
            event: "end",
            rest: end,
        };
        self.put(&line, now);
    }

    /// Gives what is due by now.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Vec<u8>> {
        let is_due = self.lines.len() >= MUCH || self.due().is_some_and(|due| now >= due);
        is_due.then(|| self.take())
    }

    /// Gives all there is.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.since = None;
        std::mem::take(&mut self.lines)
    }

    /// When something is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + SOON)
    }

    fn settled(&mut self, settled: &Settled, now: Instant) {
        let trail = &settled.trail;
        let message = settled.outcome.as_ref().err().map(|failure| said(failure));
        let seconds = |at: Option<Instant>| at.map(|at| self.clock.seconds(at));
        let line = Records {
            event: "settled",
            at: self.clock.seconds(now),
            index: settled.first.0,
            count: settled.count,
            outcome: settled
                .outcome
                .as_ref()
                .map_or_else(|failure| failure.cause.kind(), |()| "result"),
            results: (settled.outcome.is_ok() && trail.results != settled.count as u64)
                .then_some(trail.results),
            message: message.as_deref(),
            worker: settled.worker.map(|worker| worker.0),
            process: trail.process.map(|process| process.0),
            attempts: settled.attempts,
            queued: seconds(trail.queued),
            started: seconds(trail.started),
            seconds: settled.took.map(|took| micros(took.as_secs_f64())),
            bytes_in: trail.bytes_in,
            bytes_out: trail.bytes_out,
        };
        self.put(&line, now);
    }

    fn of(&self, WorkerId(worker): WorkerId, now: Instant) -> OfProcess<'static> {
        OfProcess {
            at: self.clock.seconds(now),
            worker,
            process: self.processes[worker].0,
            seconds: None,
            how: None,
            exit_code: None,
            signal: None,
            peak_bytes: None,
            ranges: &[],
        }
    }

    fn put_process(&mut self, event: &'static str, rest: OfProcess<'_>, now: Instant) {
        self.put(&Line { event, rest }, now);
    }

    fn put(&mut self, line: &impl Serialize, now: Instant) {
        serde_json::to_writer(&mut self.lines, line).expect("numbers and strings are JSON");
        self.lines.push(b'\n');
        self.since.get_or_insert(now);
    }
}

/// What is said of a failure, as text that can be seen.
fn said(failure: &Failure) -> String {
    visible::excerpt(&failure.message(), MOST_OF_MESSAGE)
}

//! A simulated process of COMMAND with its pipes, and mtask's ends of them.
//!
//! What the engine does to it comes through [`child`](super::child). The worker's side is in
//! [`worker`].

mod calls;
mod worker;

pub(super) use worker::MOAN;

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;
use rustix::io::Errno;
use rustix::process::Signal;

use super::scenario::{Accident, Beyond, CommandScenario, Fault, micros, millis};
use crate::outcome::ExitStatus;
use crate::record::Slice;
use crate::schedule::WorkerId;
use crate::shape::Protocol;
use crate::worker::child::{Sent, Unwritten};
use calls::CallUnderWay;
use worker::{Activity, CANNOT_START, Task};

/// Why an actor came to its end, or stopped to be of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// A record did that, whose index this is.
    Record(u64),
    /// Something from outside.
    Outside,
    /// mtask told it to.
    Mtask,
    /// A signal that mtask got too, at about that time.
    Signal,
    /// It came to the end of its input.
    Itself,
}

/// An actor, seen from both sides.
pub(super) struct Actor {
    // mtask's side.
    pub(super) worker: WorkerId,
    unwritten: Unwritten,
    closes: bool,
    pub(super) stdin_is_open: bool,
    pub(super) stdout_is_open: bool,
    pub(super) stderr_is_open: bool,
    /// What has been read of a line whose end has not.
    heard: Vec<u8>,
    last_signal: Option<Signal>,
    /// mtask has seen that it has exited, and takes what is left of it.
    pub(super) is_buried: bool,
    // The pipes.
    stdin: VecDeque<u8>,
    stdout: VecDeque<u8>,
    stderr: Vec<u8>,
    refuses_stdin: bool,
    stdout_has_ended: bool,
    // The worker's side.
    command: CommandScenario,
    activity: Activity,
    tasks: Vec<Task>,
    call: CallUnderWay,
    /// When it has loaded what its first call needs.
    warm_at: Option<Duration>,
    /// Records that it will never answer.
    stuck: Vec<u64>,
    read: VecDeque<u8>,
    collected: Vec<u8>,
    collected_answers: usize,
    unsaid: VecDeque<u8>,
    /// The same of messages.
    unmoaned: Vec<u8>,
    moans: u64,
    /// What it does once `unsaid` is written.
    then: Option<(ExitStatus, Blame)>,
    answers: u32,
    has_skipped: bool,
    /// It has asked to be replaced.
    has_resigned: bool,
    accident: Option<(Accident, Duration, u32)>,
    told_to_end: Option<(Duration, ExitStatus)>,
    told_by: Blame,
    /// Since when it is stopped.
    stopped: Option<Duration>,
    ignores_term: bool,
    beyond: Option<Beyond>,
    /// mtask does not wait for it any more.
    pub(super) is_left: bool,
    exit: Option<(ExitStatus, Blame)>,
    /// What made it useless before its end, if anything has.
    pub(super) spoilt: Option<Blame>,
    end: (ExitStatus, bool),
    halves_last_line: bool,
}

impl Actor {
    pub(super) fn new(
        worker: WorkerId,
        command: &CommandScenario,
        accident: Option<Accident>,
        scale: Duration,
        now: Duration,
        rng: &mut Rng,
    ) -> Self {
        let up = now + command.start.mul_f64(0.5 + rng.f64() / 2.0);
        let at = match accident {
            Some(Accident::DiesAtStart) => now + (up - now).mul_f64(rng.f64()),
            Some(Accident::CannotStart(takes)) => now + takes.mul_f64(0.75 + rng.f64() / 4.0),
            Some(Accident::KilledAt(at)) => at,
            _ => up + (scale * 10 + millis(2)).mul_f64(rng.f64() * rng.f64()),
        };
        let is_never_up = accident == Some(Accident::NeverUp);
        let does_nothing = is_never_up || matches!(accident, Some(Accident::CannotStart(_)));
        let bad_end = rng.f64() < command.bad_end;
        let is_late = rng.f64() < command.late_end;
        Self {
            worker,
            unwritten: Unwritten::default(),
            closes: false,
            stdin_is_open: true,
            stdout_is_open: true,
            stderr_is_open: true,
            heard: Vec::new(),
            last_signal: None,
            is_buried: false,
            stdin: VecDeque::new(),
            stdout: VecDeque::new(),
            stderr: Vec::new(),
            refuses_stdin: false,
            stdout_has_ended: false,
            command: command.clone(),
            activity: if does_nothing {
                Activity::Hanging
            } else {
                Activity::Starting(up)
            },
            tasks: Vec::new(),
            call: CallUnderWay::default(),
            warm_at: None,
            stuck: Vec::new(),
            read: VecDeque::new(),
            collected: Vec::new(),
            collected_answers: 0,
            unsaid: VecDeque::new(),
            unmoaned: Vec::new(),
            moans: 0,
            then: None,
            answers: 0,
            has_skipped: false,
            has_resigned: false,
            accident: accident.filter(|_| !is_never_up).map(|kind| (kind, at, rng.u32(1..6))),
            told_to_end: None,
            told_by: Blame::Mtask,
            stopped: None,
            ignores_term: rng.f64() < command.ignores_term,
            beyond: (rng.f64() < command.beyond.0).then_some(command.beyond.1),
            is_left: false,
            exit: None,
            spoilt: does_nothing.then_some(Blame::Outside),
            end: (
                if bad_end {
                    ExitStatus::Code(4)
                } else {
                    ExitStatus::Code(0)
                },
                is_late,
            ),
            // One that stays, owing half an answer, is waited for.
            halves_last_line: !is_late && rng.f64() < command.half_last_line,
        }
    }

    // What mtask does.

    /// Takes lines to be written.
    pub(super) fn push(&mut self, bytes: Slice) {
        debug_assert!(!bytes.contains(&0));
        self.unwritten.push(bytes);
    }

    /// Takes a line that is no record.
    pub(super) fn push_note(&mut self, bytes: Slice) {
        self.unwritten.push_note(bytes);
    }

    /// Whether there is anything to be written, be it in vain.
    pub(super) fn awaits_stdin(&self) -> bool {
        self.stdin_is_open && !self.unwritten.is_empty()
    }

    /// Whether poll(2) would say that its stdin can be written.
    pub(super) fn is_writable(&self) -> bool {
        let is_broken = self.refuses_stdin || self.exit.is_some();
        self.awaits_stdin() && (is_broken || self.stdin.len() < self.command.stdin)
    }

    /// Writes what the pipe takes.
    pub(super) fn write(&mut self) -> Sent {
        let Self {
            unwritten,
            stdin,
            stdin_is_open,
            ..
        } = self;
        let is_broken = !*stdin_is_open || self.refuses_stdin || self.exit.is_some();
        let most = self.command.stdin;
        let sent = unwritten.write(|bytes| match most - stdin.len() {
            _ if is_broken => Err(Errno::PIPE),
            0 => Err(Errno::AGAIN),
            room => {
                let count = bytes.len().min(room);
                stdin.extend(&bytes[..count]);
                Ok(count)
            }
        });
        if sent == Sent::All && self.closes {
            self.stdin_is_open = false;
        }
        sent
    }

    /// Gives up writing, as the engine does with a worker that refuses records.
    pub(super) fn abandon_stdin(&mut self) {
        self.unwritten = Unwritten::default();
        self.stdin_is_open = false;
    }

    pub(super) fn close_stdin(&mut self) {
        self.closes = true;
        if self.unwritten.is_empty() {
            self.stdin_is_open = false;
        }
    }

    /// How many of the last records pushed are not begun to be written.
    pub(super) fn unsent(&self) -> usize {
        self.unwritten.records(self.command.shape.framing())
    }

    pub(super) fn is_amid_record(&self) -> bool {
        self.unwritten.is_amid_record(self.command.shape.framing())
    }

    pub(super) fn has_read_all(&self) -> Option<bool> {
        let has_read = self.unwritten.is_empty() && self.stdin.is_empty();
        self.stdin_is_open.then_some(has_read)
    }

    /// What is to be written to it costs the budget beside the records themselves.
    pub(super) fn cost(&self) -> usize {
        match (self.command.shape.protocol, self.command.shape.record_end) {
            (Protocol::Lines, None) => 0,
            _ => self.unwritten.slices().map(Slice::cost).sum(),
        }
    }

    pub(super) fn is_readable(&self) -> bool {
        self.stdout_is_open
            && (!self.stdout.is_empty() || self.stdout_has_ended || self.exit.is_some())
    }

    /// Appends answers to `buffer`, as many as fit; 0 bytes at their end.
    pub(super) fn read_stdout(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
        if !self.stdout_is_open {
            return Ok(0);
        }
        let count = self.stdout.len().min(buffer.capacity() - buffer.len());
        let has_ended = self.stdout_has_ended || self.exit.is_some();
        if count == 0 && !has_ended {
            return Err(Errno::AGAIN);
        }
        let from = buffer.len();
        buffer.extend(self.stdout.drain(..count));
        self.heard.extend_from_slice(&buffer[from..]);
        if count == 0 {
            self.stdout_is_open = false;
        }
        Ok(count)
    }

    pub(super) fn has_messages(&self) -> bool {
        self.stderr_is_open && (!self.stderr.is_empty() || self.exit.is_some())
    }

    /// The same of messages.
    pub(super) fn read_stderr(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
        let count = self.stderr.len().min(buffer.capacity() - buffer.len());
        if count == 0 && self.stderr_is_open && self.exit.is_none() {
            return Err(Errno::AGAIN);
        }
        buffer.extend(self.stderr.drain(..count));
        self.stderr_is_open &= count > 0;
        Ok(count)
    }

    /// How many bytes it has written to stderr that stand for a line each.
    pub(super) fn take_moans(&mut self) -> u64 {
        std::mem::take(&mut self.moans)
    }

    /// Takes the lines that mtask has read whole.
    pub(super) fn take_heard(&mut self) -> Vec<u8> {
        let end = self.heard.iter().rposition(|byte| *byte == b'\n');
        let rest = self.heard.split_off(end.map_or(0, |at| at + 1));
        std::mem::replace(&mut self.heard, rest)
    }

    /// What mtask has read of a line without its end.
    pub(super) fn tail(&self) -> &[u8] {
        &self.heard
    }

    /// mtask sends it a signal.
    pub(super) fn signal(
        &mut self,
        signal: Signal,
        now: Duration,
        rng: &mut Rng,
    ) -> Result<(), Errno> {
        self.last_signal = match signal {
            Signal::TERM | Signal::KILL => Some(signal),
            _ => self.last_signal,
        };
        match signal {
            _ if self.exit.is_some() => {}
            _ if self.beyond == Some(Beyond::Signals) => return Err(Errno::PERM),
            Signal::KILL | Signal::CONT if self.is_held() => {}
            Signal::KILL if self.beyond == Some(Beyond::Death) => self.stopped = Some(now),
            Signal::TERM if !self.ignores_term && self.told_to_end.is_none() => {
                let exit = if rng.bool() {
                    ExitStatus::Signal(libc::SIGTERM)
                } else {
                    ExitStatus::Code(0)
                };
                self.told_to_end = Some((now + micros(rng.u64(1..3_000)), exit));
            }
            Signal::KILL => {
                self.told_to_end = Some((now + micros(50), ExitStatus::Signal(libc::SIGKILL)));
                self.told_by = Blame::Mtask;
            }
            Signal::STOP => self.stopped = self.stopped.or(Some(now)),
            Signal::CONT => {
                if let Some(since) = self.stopped.take() {
                    self.delay(now - since);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the system holds it, so that nothing ends it.
    fn is_held(&self) -> bool {
        let was_killed = self.last_signal == Some(Signal::KILL);
        self.beyond == Some(Beyond::Death) && was_killed && self.stopped.is_some()
    }

    /// Somebody else sends it a signal of which it dies.
    pub(super) fn signal_from_outside(&mut self, signal: i32, now: Duration) {
        if self.exit.is_none() && self.told_to_end.is_none() && !self.is_held() {
            self.told_to_end = Some((now, ExitStatus::Signal(signal)));
            self.told_by = Blame::Signal;
        }
    }

    /// The signal by which mtask has last told it to end.
    pub(super) fn last_signal(&self) -> Option<Signal> {
        self.last_signal
    }

    pub(super) fn drop_pipes(&mut self) {
        self.abandon_stdin();
        self.stdout_is_open = false;
    }

    /// mtask goes on without it; gives why.
    pub(super) fn leave(&mut self) -> Beyond {
        self.drop_pipes();
        self.stderr_is_open = false;
        self.is_left = true;
        self.beyond.expect("it could have been ended")
    }

    /// What its end shows to have gone wrong that is to go wrong in many worlds.
    pub(super) fn fault_of_end(&self) -> Option<Fault> {
        match &self.exit {
            Some((ExitStatus::Signal(libc::SIGUSR1), Blame::Signal)) => Some(Fault::StatusToAll),
            Some((_, Blame::Signal)) => Some(Fault::EndFromOutside),
            Some((CANNOT_START, Blame::Outside)) => Some(Fault::Fall),
            _ => None,
        }
    }

    pub(super) fn has_exited(&self) -> bool {
        self.exit.is_some()
    }

    pub(super) fn exit(&self) -> (ExitStatus, Blame) {
        self.exit.clone().expect("it has exited")
    }

    /// It was stopped for so long.
    fn delay(&mut self, pause: Duration) {
        if let Activity::Starting(at) | Activity::Ending(at) = &mut self.activity {
            *at += pause;
        }
        for task in &mut self.tasks {
            task.done_at = task.done_at.map(|at| at + pause);
        }
        self.call.delay(pause);
        self.warm_at = self.warm_at.map(|at| at + pause);
        if let Some((_, at, _)) = &mut self.accident {
            *at += pause;
        }
        if let Some((at, _)) = &mut self.told_to_end {
            *at += pause;
        }
    }
}

//! A simulated process of COMMAND with its two pipes, and mtask's ends of them.
//!
//! mtask's side is modelled after `worker::process`: what is unwritten, what is begun, when stdin
//! is closed. The other side is in [`worker`].

mod worker;

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;

use super::scenario::{Accident, Command, micros, millis};
use crate::outcome::Exit;
use crate::record::Slice;
use worker::{Activity, Task};

/// Why a actor came to its end, or stopped to be of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// A record did that, whose index this is.
    Record(u64),
    /// Something from outside.
    Outside,
    /// mtask told it to.
    Mtask,
    /// It came to the end of its input.
    Itself,
}

/// A actor, seen from both sides.
pub(super) struct Actor {
    // mtask's side.
    unwritten: VecDeque<(Slice, usize)>,
    written: usize,
    pushed: Vec<usize>,
    all_pushed: usize,
    all_written: usize,
    closes: bool,
    pub(super) stdin_is_open: bool,
    pub(super) stdout_is_open: bool,
    // The pipes.
    stdin: VecDeque<u8>,
    stdout: VecDeque<u8>,
    refuses_stdin: bool,
    stdout_has_ended: bool,
    // The worker's side.
    command: Command,
    activity: Activity,
    tasks: Vec<Task>,
    /// Records that it will never answer.
    stuck: Vec<u64>,
    read: VecDeque<u8>,
    collected: Vec<u8>,
    collected_answers: usize,
    unsaid: VecDeque<u8>,
    /// What it does once `unsaid` is written.
    then: Option<(Exit, Blame)>,
    answers: u32,
    has_skipped: bool,
    accident: Option<(Accident, Duration, u32)>,
    told_to_end: Option<(Duration, Exit)>,
    ignores_term: bool,
    exit: Option<(Exit, Blame)>,
    /// What made it useless before its end, if anything has.
    pub(super) spoilt: Option<Blame>,
    end: (Exit, bool),
    halves_last_line: bool,
}

impl Actor {
    pub(super) fn new(
        command: &Command,
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
            unwritten: VecDeque::new(),
            written: 0,
            pushed: Vec::new(),
            all_pushed: 0,
            all_written: 0,
            closes: false,
            stdin_is_open: true,
            stdout_is_open: true,
            stdin: VecDeque::new(),
            stdout: VecDeque::new(),
            refuses_stdin: false,
            stdout_has_ended: false,
            command: command.clone(),
            activity: if does_nothing {
                Activity::Hanging
            } else {
                Activity::Starting(up)
            },
            tasks: Vec::new(),
            stuck: Vec::new(),
            read: VecDeque::new(),
            collected: Vec::new(),
            collected_answers: 0,
            unsaid: VecDeque::new(),
            then: None,
            answers: 0,
            has_skipped: false,
            accident: accident
                .filter(|_| !is_never_up)
                .map(|kind| (kind, at, rng.u32(1..6))),
            told_to_end: None,
            ignores_term: rng.f64() < command.ignores_term,
            exit: None,
            spoilt: does_nothing.then_some(Blame::Outside),
            end: (
                if bad_end {
                    Exit::Code(4)
                } else {
                    Exit::Code(0)
                },
                is_late,
            ),
            // One that stays, owing half an answer, is waited for.
            halves_last_line: !is_late && rng.f64() < command.half_last_line,
        }
    }

    // What mtask does.

    /// Takes lines to be written, which cost the budget so much.
    pub(super) fn push(&mut self, bytes: Slice, cost: usize) {
        for (at, byte) in bytes.iter().enumerate() {
            if at == 0 || bytes[at - 1] == b'\n' {
                self.pushed.push(self.all_pushed + at);
            }
            debug_assert!(*byte != 0);
        }
        self.all_pushed += bytes.len();
        self.unwritten.push_back((bytes, cost));
    }

    /// Whether poll(2) would say that its stdin can be written.
    pub(super) fn is_writable(&self) -> bool {
        self.stdin_is_open
            && !self.unwritten.is_empty()
            && (self.refuses_stdin || self.stdin.len() < self.command.stdin)
    }

    /// Writes what the pipe takes. Gives whether stdin has been found closed.
    pub(super) fn write(&mut self) -> bool {
        while let Some((slice, _)) = self.unwritten.front() {
            if !self.stdin_is_open {
                return true;
            }
            if self.refuses_stdin {
                self.stdin_is_open = false;
                return true;
            }
            let room = self.command.stdin - self.stdin.len();
            if room == 0 {
                return false;
            }
            let part = &slice[self.written..];
            let count = part.len().min(room);
            self.stdin.extend(&part[..count]);
            self.all_written += count;
            self.written += count;
            if self.written == slice.len() {
                self.unwritten.pop_front();
                self.written = 0;
            }
        }
        if self.closes {
            self.stdin_is_open = false;
        }
        false
    }

    /// Gives up writing, as the engine does with a worker that refuses records.
    pub(super) fn abandon_stdin(&mut self) {
        let unsent = self.unsent();
        self.pushed.truncate(self.pushed.len() - unsent);
        self.unwritten.clear();
        self.written = 0;
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
        self.pushed
            .iter()
            .rev()
            .take_while(|start| **start >= self.all_written)
            .count()
    }

    /// What it is to be written costs the budget beside the records themselves.
    pub(super) fn cost(&self) -> usize {
        self.unwritten.iter().map(|(_, cost)| cost).sum()
    }

    pub(super) fn is_readable(&self) -> bool {
        self.stdout_is_open
            && (!self.stdout.is_empty() || self.stdout_has_ended || self.exit.is_some())
    }

    /// Appends answers to `buffer`, as many as fit; 0 bytes at their end, `None` where there is
    /// nothing yet.
    pub(super) fn read_stdout(&mut self, buffer: &mut Vec<u8>) -> Option<usize> {
        if !self.stdout_is_open {
            return Some(0);
        }
        let count = self.stdout.len().min(buffer.capacity() - buffer.len());
        buffer.extend(self.stdout.drain(..count));
        let has_ended = self.stdout_has_ended || self.exit.is_some();
        if count == 0 && !has_ended {
            return None;
        }
        if count == 0 {
            self.stdout_is_open = false;
        }
        Some(count)
    }

    pub(super) fn terminate(&mut self, now: Duration, rng: &mut Rng) {
        if !self.ignores_term && self.told_to_end.is_none() {
            let exit = if rng.bool() {
                Exit::Signal(libc::SIGTERM)
            } else {
                Exit::Code(0)
            };
            self.told_to_end = Some((now + micros(rng.u64(1..3_000)), exit));
        }
        self.drop_pipes();
    }

    pub(super) fn kill(&mut self, now: Duration) {
        self.told_to_end = Some((now + micros(50), Exit::Signal(libc::SIGKILL)));
        self.drop_pipes();
    }

    fn drop_pipes(&mut self) {
        self.unwritten.clear();
        self.written = 0;
        self.stdin_is_open = false;
        self.stdout_is_open = false;
    }

    pub(super) fn has_exited(&self) -> bool {
        self.exit.is_some()
    }

    pub(super) fn exit(&self) -> (Exit, Blame) {
        self.exit.clone().expect("it has exited")
    }

    /// mtask stopped it for so long.
    pub(super) fn suspend(&mut self, pause: Duration) {
        if let Activity::Starting(at) | Activity::Ending(at) = &mut self.activity {
            *at += pause;
        }
        for task in &mut self.tasks {
            task.done_at = task.done_at.map(|at| at + pause);
        }
        if let Some((_, at, _)) = &mut self.accident {
            *at += pause;
        }
        if let Some((at, _)) = &mut self.told_to_end {
            *at += pause;
        }
    }
}

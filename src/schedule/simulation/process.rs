//! A simulated process of COMMAND with its two pipes, and mtask's ends of them.
//!
//! mtask's side is modelled after `worker::process`: what is unwritten, what is begun, when stdin is
//! closed. The worker's side reads a record when it has answered the one before, works for a while,
//! and writes an answer, as far as its stdout takes it.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;

use super::scenario::{Accident, Command, Effect, Half, Record, answer_text, micros, millis};
use crate::outcome::Exit;
use crate::record::Slice;

/// Why a process came to its end, or stopped to be of use.
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

#[derive(Clone, Copy, Debug, PartialEq)]
enum Activity {
    Starting(Duration),
    Reading,
    Working(u64, Duration),
    /// It does nothing any more.
    Hanging,
    Ending(Duration),
}

/// A process, seen from both sides.
pub(super) struct Process {
    // mtask's side.
    unwritten: VecDeque<Slice>,
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

impl Process {
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
            _ => up + (scale * 10 + millis(2)).mul_f64(rng.f64() * rng.f64()),
        };
        let is_never_up = accident == Some(Accident::NeverUp);
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
            activity: if is_never_up {
                Activity::Hanging
            } else {
                Activity::Starting(up)
            },
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
            spoilt: is_never_up.then_some(Blame::Outside),
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

    pub(super) fn push(&mut self, bytes: Slice) {
        for (at, byte) in bytes.iter().enumerate() {
            if at == 0 || bytes[at - 1] == b'\n' {
                self.pushed.push(self.all_pushed + at);
            }
            debug_assert!(*byte != 0);
        }
        self.all_pushed += bytes.len();
        self.unwritten.push_back(bytes);
    }

    /// Whether poll(2) would say that its stdin can be written.
    pub(super) fn is_writable(&self) -> bool {
        self.stdin_is_open
            && !self.unwritten.is_empty()
            && (self.refuses_stdin || self.stdin.len() < self.command.stdin)
    }

    /// Writes what the pipe takes. Gives whether stdin has been found closed.
    pub(super) fn write(&mut self) -> bool {
        while let Some(slice) = self.unwritten.front() {
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

    pub(super) fn is_readable(&self) -> bool {
        self.stdout_is_open
            && (!self.stdout.is_empty() || self.stdout_has_ended || self.exit.is_some())
    }

    /// Reads answers into `buffer`; 0 bytes at their end, `None` where there is nothing yet.
    pub(super) fn read_stdout(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if !self.stdout_is_open {
            return Some(0);
        }
        let count = self.stdout.len().min(buffer.len());
        for (to, byte) in buffer.iter_mut().zip(self.stdout.drain(..count)) {
            *to = byte;
        }
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
        match &mut self.activity {
            Activity::Starting(at) | Activity::Working(_, at) | Activity::Ending(at) => {
                *at += pause;
            }
            Activity::Reading | Activity::Hanging => {}
        }
        if let Some((_, at, _)) = &mut self.accident {
            *at += pause;
        }
        if let Some((at, _)) = &mut self.told_to_end {
            *at += pause;
        }
    }

    // What the worker does.

    /// When it does something next, if nothing is done to it.
    pub(super) fn next(&self) -> Option<Duration> {
        if self.exit.is_some() {
            return None;
        }
        let activity = match self.activity {
            _ if !self.unsaid.is_empty() => None,
            Activity::Starting(at) | Activity::Working(_, at) | Activity::Ending(at) => Some(at),
            Activity::Reading | Activity::Hanging => None,
        };
        let accident = self.accident.map(|(_, at, _)| at);
        let told = self.told_to_end.as_ref().map(|(at, _)| *at);
        [activity, accident, told].into_iter().flatten().min()
    }

    /// What it is about, for messages.
    pub(super) fn describe(&self) -> String {
        format!(
            "{:?}, unwritten {}, in stdin {}, read {}, unsaid {}, in stdout {}, exit {:?}",
            self.activity,
            self.unwritten.len(),
            self.stdin.len(),
            self.read.len(),
            self.unsaid.len(),
            self.stdout.len(),
            self.exit
        )
    }

    /// Does all that it does until `now`.
    pub(super) fn run(&mut self, records: &mut [Record], now: Duration) {
        while self.exit.is_none() && self.step(records, now) {}
    }

    fn step(&mut self, records: &mut [Record], now: Duration) -> bool {
        if let Some((at, exit)) = &self.told_to_end
            && *at <= now
        {
            self.exit = Some((exit.clone(), Blame::Mtask));
            return false;
        }
        if let Some((kind, at, _)) = self.accident
            && at <= now
        {
            self.accident = None;
            self.meet(kind, now);
            return true;
        }
        if !self.unsaid.is_empty() {
            return self.say();
        }
        if let Some((exit, blame)) = self.then.take() {
            self.exit = Some((exit, blame));
            return false;
        }
        match self.activity {
            Activity::Starting(at) if at <= now => self.activity = Activity::Reading,
            Activity::Reading => return self.take(records, now),
            Activity::Working(index, at) if at <= now => self.answer(index, records),
            Activity::Ending(at) if at <= now => {
                self.exit = Some((self.end.0.clone(), Blame::Itself));
                return false;
            }
            _ => return false,
        }
        true
    }

    fn meet(&mut self, accident: Accident, now: Duration) {
        let exit = match accident {
            Accident::DiesAtStart => Exit::Code(7),
            Accident::Killed => Exit::Signal(libc::SIGKILL),
            Accident::Terminated => Exit::Signal(libc::SIGTERM),
            Accident::ClosesStdin => {
                self.refuses_stdin = true;
                self.spoilt = Some(Blame::Outside);
                self.activity = Activity::Hanging;
                // It can be noticed only where more is to be sent, or at its end.
                self.accident = Some((Accident::Killed, now + millis(700), 0));
                return;
            }
            Accident::ClosesStdout => {
                self.stdout_has_ended = true;
                self.spoilt = Some(Blame::Outside);
                // With status 0, half a line may pass for an answer.
                self.end.0 = Exit::Code(5);
                return;
            }
            // These come with answers.
            Accident::Leaves | Accident::DiesAfterAnswer => return,
            Accident::NotStarted | Accident::NeverUp => unreachable!("they never run"),
        };
        self.exit = Some((exit, Blame::Outside));
    }

    /// Writes what its stdout takes.
    fn say(&mut self) -> bool {
        if self.stdout_has_ended {
            self.unsaid.clear();
            return true;
        }
        if !self.stdout_is_open {
            self.exit = Some((Exit::Signal(libc::SIGPIPE), Blame::Mtask));
            return false;
        }
        let room = self.command.stdout - self.stdout.len();
        let count = self.unsaid.len().min(room);
        self.stdout.extend(self.unsaid.drain(..count));
        self.unsaid.is_empty()
    }

    /// Takes the next record.
    fn take(&mut self, records: &mut [Record], now: Duration) -> bool {
        self.read.extend(self.stdin.drain(..));
        if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.read.drain(..=end).collect();
            let text = String::from_utf8(line).expect("records are text");
            let index: u64 = text
                .split(':')
                .next()
                .expect("a field")
                .parse()
                .expect("an index");
            let record = &mut records[index as usize];
            assert_eq!(
                text.trim_end(),
                super::scenario::record_text(index, record.len),
                "record {index} is sent whole"
            );
            self.activity = match &mut record.effect {
                Effect::Hangs(times) if *times > 0 => {
                    *times -= 1;
                    self.spoilt = Some(Blame::Record(index));
                    Activity::Hanging
                }
                _ => Activity::Working(index, now + record.work),
            };
            return true;
        }
        if self.stdin_is_open {
            return false;
        }
        self.flush();
        if self.halves_last_line && self.unsaid.back() == Some(&b'\n') {
            self.unsaid.pop_back();
        }
        let (_, is_late) = self.end;
        if is_late {
            self.spoilt = Some(Blame::Itself);
        }
        self.activity = if is_late {
            Activity::Hanging
        } else {
            Activity::Ending(now + millis(2))
        };
        true
    }

    fn flush(&mut self) {
        self.unsaid.extend(self.collected.drain(..));
        self.collected_answers = 0;
    }

    fn answer(&mut self, index: u64, records: &mut [Record]) {
        let record = &mut records[index as usize];
        let mut line = answer_text(index, record.answer_len);
        line.push('\n');
        self.activity = Activity::Reading;
        match &mut record.effect {
            Effect::Kills(times, exit, half) if *times > 0 => {
                *times -= 1;
                self.then = Some((exit.clone(), Blame::Record(index)));
                match half {
                    Half::Answer => line.truncate(line.len() / 2),
                    Half::Nothing => line.clear(),
                }
            }
            Effect::ClosesStdout(times) if *times > 0 => {
                *times -= 1;
                self.stdout_has_ended = true;
                self.spoilt = Some(Blame::Record(index));
                self.end.0 = Exit::Code(5);
                return;
            }
            Effect::AddsLine => line.push_str("one line more\n"),
            // A life that skips its first record looks as if it had not started yet, and one that
            // skips the record that it is probed with as if it were slow: such a life is waited for.
            Effect::SkipsLine if self.answers > 0 && !self.has_skipped => {
                self.has_skipped = true;
                return;
            }
            _ => {}
        }
        self.answers += 1;
        self.collected.extend(line.bytes());
        self.collected_answers += 1;
        if self.collected_answers >= self.command.collects || self.then.is_some() {
            let is_last = !self.stdin_is_open && self.stdin.is_empty() && self.read.is_empty();
            self.flush();
            if is_last
                && self.halves_last_line
                && self.then.is_none()
                && self.unsaid.back() == Some(&b'\n')
            {
                self.unsaid.pop_back();
            }
        }
        if let Some((kind, _, after)) = self.accident
            && self.answers >= after
            && self.then.is_none()
        {
            match kind {
                Accident::Leaves => self.then = Some((Exit::Code(0), Blame::Outside)),
                Accident::DiesAfterAnswer => {
                    self.then = Some((Exit::Signal(libc::SIGKILL), Blame::Outside));
                }
                _ => {}
            }
        }
    }
}

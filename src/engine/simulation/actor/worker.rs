//! The worker's side of an actor: it reads a record when it has room for one, works for a while,
//! and writes an answer, as far as its stdout takes it.

use std::time::Duration;

use memchr::memchr_iter;

use super::{Actor, Blame};
use crate::engine::simulation::scenario::{
    Accident, Announcement, CallTimes, CancelManner, Effect, Half, PREFIX, Record, Saying,
    input_text, millis,
};
use crate::outcome::ExitStatus;
use crate::shape::Protocol;

/// What the pipe of messages holds.
const STDERR: usize = 64 * 1024;
/// How each line on stderr begins, and nothing else that is written there.
pub(in super::super) const MOAN: u8 = b'~';
/// How an actor exits that cannot start, and no other.
pub(super) const CANNOT_START: ExitStatus = ExitStatus::Code(255);

/// What an actor is about, the records that it works on aside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Activity {
    Starting(Duration),
    Serving,
    /// It does nothing any more.
    Hanging,
    Ending(Duration),
}

/// A record that it works on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    pub(super) index: u64,
    /// Until then, or for ever.
    pub(super) done_at: Option<Duration>,
}

impl Actor {
    /// When it does something next, if nothing is done to it.
    pub(in super::super) fn next(&self) -> Option<Duration> {
        if self.exit.is_some() || self.stopped.is_some() {
            return None;
        }
        let own = match self.activity {
            _ if !self.unsaid.is_empty() || !self.unmoaned.is_empty() => None,
            Activity::Starting(at) | Activity::Ending(at) => Some(at),
            Activity::Serving => {
                let done = self.tasks.iter().filter_map(|task| task.done_at);
                done.chain(self.call.fails_at).min()
            }
            Activity::Hanging => None,
        };
        let accident = self.accident.map(|(_, at, _)| at);
        let told = self.told_to_end.as_ref().map(|(at, _)| *at);
        [own, accident, told].into_iter().flatten().min()
    }

    /// Whether it will never answer this record, by the record's fault.
    pub(in super::super) fn is_stuck_on(&self, index: u64) -> bool {
        self.stuck.contains(&index)
    }

    /// What it is about, for messages.
    pub(in super::super) fn describe(&self) -> String {
        format!(
            "{:?}, {:?}, unwritten {:?}, in stdin {}, read {}, unsaid {}, in stdout {}, exit {:?}",
            self.activity,
            self.tasks,
            self.unwritten,
            self.stdin.len(),
            self.read.len(),
            self.unsaid.len(),
            self.stdout.len(),
            self.exit
        )
    }

    /// Does all that it does until `now`.
    pub(in super::super) fn run(&mut self, records: &mut [Record], now: Duration) {
        while self.exit.is_none() && self.stopped.is_none() && self.step(records, now) {}
    }

    fn step(&mut self, records: &mut [Record], now: Duration) -> bool {
        if let Some((at, exit)) = &self.told_to_end
            && *at <= now
        {
            self.exit = Some((exit.clone(), self.told_by));
            return false;
        }
        if let Some((kind, at, _)) = self.accident
            && at <= now
        {
            self.accident = None;
            self.meet(kind, now);
            return true;
        }
        if !self.unmoaned.is_empty() {
            return self.moan();
        }
        if !self.unsaid.is_empty() {
            return self.say();
        }
        if let Some((exit, blame)) = self.then.take() {
            self.exit = Some((exit, blame));
            return false;
        }
        match self.activity {
            Activity::Starting(at) if at <= now => {
                self.activity = Activity::Serving;
                self.say_ready();
            }
            Activity::Serving => return self.work(records, now),
            Activity::Ending(at) if at <= now => {
                let blame = self.spoilt.unwrap_or(Blame::Itself);
                self.exit = Some((self.end.0.clone(), blame));
                return false;
            }
            _ => return false,
        }
        true
    }

    fn meet(&mut self, accident: Accident, now: Duration) {
        let exit = match accident {
            // It cannot be told from one that dies of its first record.
            Accident::KilledAt(_) if self.answers == 0 => return,
            Accident::DiesAtStart => ExitStatus::Code(7),
            Accident::CannotStart(_) => CANNOT_START,
            Accident::Killed | Accident::KilledAt(_) => ExitStatus::Signal(libc::SIGKILL),
            Accident::Terminated => ExitStatus::Signal(libc::SIGTERM),
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
                self.end.0 = ExitStatus::Code(5);
                return;
            }
            // These come with answers.
            Accident::Leaves | Accident::DiesAfterAnswer => return,
            Accident::NotStarted | Accident::NeverUp => unreachable!("they never run"),
        };
        self.exit = Some((exit, Blame::Outside));
    }

    fn say_ready(&mut self) {
        let concurrency = match self.command.ready {
            Announcement::Never => return,
            Announcement::Plain => String::new(),
            Announcement::Concurrency(count) => format!(",\"concurrency\":{count}"),
            Announcement::NoNumber => ",\"concurrency\":0".into(),
        };
        let can = match (self.command.calls, self.command.cancels) {
            (CallTimes::Told { .. }, _) => ",\"can\":[\"start\"]",
            (_, CancelManner::Never) => "",
            _ => ",\"can\":[\"cancel\"]",
        };
        let line = format!("{{\"ready\":true{concurrency}{can}}}\n");
        self.unsaid.extend(line.bytes());
    }

    /// Writes what its stderr takes.
    fn moan(&mut self) -> bool {
        if !self.stderr_is_open {
            self.unmoaned.clear();
            return true;
        }
        let room = STDERR - self.stderr.len();
        let rest = self.unmoaned.split_off(self.unmoaned.len().min(room));
        let written = std::mem::replace(&mut self.unmoaned, rest);
        self.moans += memchr_iter(MOAN, &written).count() as u64;
        self.stderr.extend_from_slice(&written);
        self.unmoaned.is_empty()
    }

    /// Writes what its stdout takes.
    fn say(&mut self) -> bool {
        if self.stdout_has_ended {
            self.unsaid.clear();
            return true;
        }
        if !self.stdout_is_open {
            self.exit = Some((ExitStatus::Signal(libc::SIGPIPE), Blame::Mtask));
            return false;
        }
        let room = self.command.stdout - self.stdout.len();
        let count = self.unsaid.len().min(room);
        self.stdout.extend(self.unsaid.drain(..count));
        self.unsaid.is_empty()
    }

    fn work(&mut self, records: &mut [Record], now: Duration) -> bool {
        if self.has_resigned {
            self.leave_all();
            self.activity = Activity::Ending(now + millis(2));
            return true;
        }
        if self.fail_call(now) {
            return true;
        }
        let first_done = (self.tasks.iter().enumerate())
            .filter_map(|(place, task)| Some((task.done_at?, place)))
            .min()
            .filter(|(at, _)| *at <= now);
        if let Some((_, place)) = first_done {
            let task = self.tasks.remove(place);
            self.answer(task.index, records);
            return true;
        }
        self.has_room() && self.take(records, now)
    }

    /// The next record that it has been sent whole.
    pub(super) fn next_record(&mut self, records: &[Record]) -> Option<u64> {
        loop {
            let mut ends = (self.read.iter().enumerate()).filter(|(_, byte)| **byte == b'\n');
            let (end, _) = ends.next()?;
            let whole = match self.command.shape.record_end {
                Some(_) => ends.next()?.0,
                None => end,
            };
            let record: Vec<u8> = self.read.drain(..=whole).collect();
            if let Some(rest) = record.strip_prefix(b"{\"cancel\":") {
                self.give_up(number(rest));
                continue;
            }
            let (line, behind) = record.split_at(end + 1);
            assert_eq!(
                behind.strip_suffix(b"\n"),
                self.command.shape.record_end,
                "what follows a record"
            );
            return Some(self.parse(line, records));
        }
    }

    /// Begins these records.
    fn begin(&mut self, indices: &[u64], records: &mut [Record], now: Duration) {
        self.say_begun(indices);
        let now = now.max(*self.warm_at.get_or_insert(now + self.command.lazy));
        self.call.fails_at = self.failure_of(indices, records, now);
        for &index in indices {
            let record = &mut records[index as usize];
            let done_at = match &mut record.effect {
                Effect::Hangs(times) if *times > 0 => {
                    *times -= 1;
                    self.stuck.push(index);
                    self.spoilt = Some(Blame::Record(index));
                    None
                }
                _ if self.call.fails_at.is_some() => None,
                _ => Some(now + record.work),
            };
            self.tasks.push(Task { index, done_at });
        }
    }

    /// Takes what it begins next.
    fn take(&mut self, records: &mut [Record], now: Duration) -> bool {
        self.read.extend(self.stdin.drain(..));
        let next = self.next_call(records);
        if !next.is_empty() {
            self.begin(&next, records, now);
            return true;
        }
        if self.stdin_is_open || !self.tasks.is_empty() {
            return false;
        }
        self.flush();
        // Behind an answer without its newline it would spoil that.
        if self.command.says_exit && (!self.halves_last_line || self.answers == 0) {
            self.unsaid.extend(b"{\"exit\":[1]}\n");
        }
        if self.halves_last_line && self.unsaid.back() == Some(&b'\n') {
            self.unsaid.pop_back();
        }
        let (_, is_late) = self.end;
        if is_late {
            self.spoilt.get_or_insert(Blame::Itself);
        }
        self.activity = if is_late {
            Activity::Hanging
        } else {
            Activity::Ending(now + millis(2))
        };
        true
    }

    /// The indices of records as they are sent: the first, and how many there are.
    pub(in super::super) fn indices(&self, lines: &[u8]) -> (u64, usize) {
        let count = lines.iter().filter(|byte| **byte == b'\n').count();
        (
            self.index(lines),
            count / self.command.shape.framing().lines,
        )
    }

    /// Which record a line asks it to give up.
    pub(in super::super) fn asked_for(&self, line: &[u8]) -> u64 {
        number(line.strip_prefix(b"{\"cancel\":").expect("it asks for something"))
    }

    /// The index of the first record of these lines.
    fn index(&self, lines: &[u8]) -> u64 {
        let before = match self.command.shape.protocol {
            Protocol::Lines => 0,
            Protocol::Json => "{\"id\":".len(),
        };
        number(&lines[before..])
    }

    /// Reads a record's index from its line.
    fn parse(&self, line: &[u8], records: &[Record]) -> u64 {
        let index = self.index(line);
        let line = str::from_utf8(line).expect("records are text").trim_end();
        assert_eq!(
            line,
            input_text(
                self.command.shape.protocol,
                index,
                records[index as usize].len
            ),
            "record {index} is sent whole"
        );
        index
    }

    fn flush(&mut self) {
        self.unsaid.extend(self.collected.drain(..));
        self.collected_answers = 0;
    }

    fn answer(&mut self, index: u64, records: &mut [Record]) {
        let record = &mut records[index as usize];
        let mut line = record.answer(index, self.command.shape.protocol);
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
                self.end.0 = ExitStatus::Code(5);
                return;
            }
            Effect::AddsLine => line.push_str("one line more\n"),
            // A process that skips its first record looks as if it had not started yet, and one
            // that skips the record that it is probed with as if it were slow: such a process is
            // waited for.
            Effect::SkipsLine if self.answers > 0 && !self.has_skipped => {
                self.has_skipped = true;
                return;
            }
            // The same holds where nothing says that a process is up but its answers.
            Effect::Skips(times)
                if *times > 0
                    && (self.answers > 0 || self.command.ready != Announcement::Never) =>
            {
                *times -= 1;
                self.stuck.push(index);
                self.spoilt = Some(Blame::Record(index));
                return;
            }
            Effect::Says(times, saying) if *times > 0 => {
                *times -= 1;
                line = saying.line(index, line);
                self.has_resigned |= *saying == Saying::Resigns;
            }
            _ => {}
        }
        let may_prefix = matches!(
            record.effect,
            Effect::None | Effect::Says(_, Saying::Error | Saying::Twice)
        );
        if self.command.prefixes && may_prefix && self.then.is_none() {
            line.insert_str(0, PREFIX);
        }
        if self.command.moans > 0 {
            self.unmoaned.push(MOAN);
            let len = self.unmoaned.len() + self.command.moans;
            self.unmoaned.resize(len, b'z');
            self.unmoaned.push(b'\n');
        }
        if self.command.chats {
            line.insert_str(0, "{\"level\":\"info\"}\n");
        }
        if self.command.repeats_ready && self.answers == 0 && self.then.is_none() {
            line.push_str("{\"ready\":true,\"concurrency\":99}\n");
        }
        self.answers += 1;
        self.collected.extend(line.bytes());
        self.collected_answers += 1;
        if self.collected_answers >= self.command.collects || self.then.is_some() {
            let is_last = !self.stdin_is_open
                && self.stdin.is_empty()
                && self.read.is_empty()
                && self.tasks.is_empty()
                && self.call.left.is_empty();
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
                Accident::Leaves => self.then = Some((ExitStatus::Code(0), Blame::Outside)),
                Accident::DiesAfterAnswer => {
                    self.then = Some((ExitStatus::Signal(libc::SIGKILL), Blame::Outside));
                }
                _ => {}
            }
        }
    }
}

/// The number that these bytes begin with.
fn number(bytes: &[u8]) -> u64 {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

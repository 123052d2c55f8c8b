//! What processes have written, as mtask reads it: by the words that simulated workers use, not by
//! mtask's own reading of its protocols.

use std::time::Duration;

use super::{Ledger, Said};
use crate::engine::simulation::scenario::{ANSWER_END, MAX_ANSWER, PREFIX, UNKNOWN};
use crate::schedule::WorkerId;
use crate::shape::{AnswerEnd, Protocol};

/// What a line says that is to be read with the json protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
enum StdoutLine {
    Answer(u64, Said),
    /// The same, if the record is owed; otherwise it is for people.
    Mention(u64),
    /// An answer without an id, because of this record.
    Nameless(u64),
    /// How many records it takes at a time, whether it says what it begins, and whether it gives up
    /// what it is asked to.
    Ready(Option<usize>, bool, bool),
    Begun(Vec<u64>),
    /// It is to be replaced.
    Restart,
    Exit,
    /// It is for people.
    Log,
    /// The same, and an answer follows on the same line.
    Text,
}

impl StdoutLine {
    /// What stands before an answer is a line of its own, unless the whole is longer than an answer
    /// may be.
    fn read_all(line: &[u8]) -> impl Iterator<Item = Self> + use<> {
        let is_short = line.trim_ascii_end().len() <= MAX_ANSWER;
        let (before, rest) = match line.strip_prefix(PREFIX.as_bytes()) {
            Some(rest) if is_short => (Some(Self::Text), rest),
            Some(rest) => (None, rest),
            None => (None, line),
        };
        let all = match Self::read(rest) {
            Self::Answer(index, _) if !is_short && index < UNKNOWN => {
                Self::Answer(index, Said::TooLarge)
            }
            other => other,
        };
        before.into_iter().chain([all])
    }

    fn read(line: &[u8]) -> Self {
        let line = str::from_utf8(line).expect("workers write text").trim_end();
        let number = |text: &str| {
            let end = text.find(|c: char| !c.is_ascii_digit());
            text[..end.unwrap_or(text.len())].parse().ok()
        };
        let after = |begin: &str| line.strip_prefix(begin);
        if let Some(index) = after("{\"id\":\"").and_then(number) {
            return Self::Nameless(index);
        }
        if let Some(index) = after("{\"output\":NaN,\"id\":").and_then(number) {
            return Self::Mention(index);
        }
        if let Some(index) = after("{\"id\":").and_then(number) {
            return match line.split_once(',').map_or("", |(_, rest)| rest) {
                rest if rest.starts_with("\"retry_after\":") => {
                    let seconds = rest["\"retry_after\":".len()..].trim_end_matches('}').parse();
                    let millis: f64 = seconds.map_or(0.0, |seconds: f64| seconds * 1000.0);
                    Self::Answer(index, Said::Later(millis.round() as u32))
                }
                rest if rest.starts_with("\"error\"") => Self::Answer(index, Said::Error),
                rest if rest.starts_with("\"output\":NaN") => Self::Answer(index, Said::Bad),
                _ if line.len() > MAX_ANSWER => Self::Answer(index, Said::TooLarge),
                _ => Self::Answer(index, Said::Output),
            };
        }
        let list = after("{\"started\":[").and_then(|rest| rest.strip_suffix("]}"));
        if let Some(list) = list {
            return Self::Begun(list.split(',').filter_map(number).collect());
        }
        match after("{\"ready\":true") {
            Some(rest) => Self::Ready(
                rest.strip_prefix(",\"concurrency\":")
                    .and_then(number)
                    .map(|count| count as usize)
                    .filter(|count| *count > 0),
                rest.contains("\"start\""),
                rest.contains("\"cancel\""),
            ),
            None if line.starts_with("{\"exit\":") => Self::Exit,
            None if line == "{\"restart\":true}" => Self::Restart,
            None => Self::Log,
        }
    }
}

impl Ledger {
    /// mtask has read these lines together.
    pub(in super::super) fn heard(&mut self, worker: WorkerId, lines: &[u8], now: Duration) {
        let lines = lines.split_inclusive(|byte| *byte == b'\n');
        match (self.policy.shape.protocol, self.policy.shape.answer_end) {
            (Protocol::Lines, AnswerEnd::Separator) => self.heard_answers(worker, lines, now),
            (Protocol::Lines, AnswerEnd::Line(_)) => self.heard_several(worker, lines, now),
            // Nothing is an answer before its exit.
            (Protocol::Lines, AnswerEnd::Exit) => {}
            (Protocol::Json, _) => {
                self.heard_lines(worker, lines.flat_map(StdoutLine::read_all), now);
            }
        }
    }

    /// mtask has read this, a line without its end, when the process had exited.
    pub(in super::super) fn heard_tail(&mut self, worker: WorkerId, tail: &[u8], now: Duration) {
        if self.policy.shape.answer_end != AnswerEnd::Separator {
            if tail == ANSWER_END && self.owed(worker).is_some_and(|owed| owed > 0) {
                self.answered(worker, 1, now);
            }
            return;
        }
        if self.policy.shape.protocol == Protocol::Lines || tail.is_empty() {
            return;
        }
        // What stands behind an answer is for people where something stands before it too.
        // Elsewhere the whole is.
        let behind = tail.windows(2).position(|pair| pair == b"}{");
        let is_parted = tail.starts_with(PREFIX.as_bytes());
        let end = behind.filter(|_| is_parted).map_or(tail.len(), |at| at + 1);
        let is_one = match is_parted {
            // Where it is not owed, no answer is looked for behind text.
            true => self.is_read_from_out(worker),
            false => behind.is_none(),
        };
        let count = |brace| tail[..end].iter().filter(|byte| **byte == brace).count();
        let is_closed = tail[..end].ends_with(b"}") && count(b'{') == count(b'}');
        let is_whole = is_one && is_closed && tail.len() <= MAX_ANSWER;
        let is_read = |line: &StdoutLine| {
            matches!(
                line,
                StdoutLine::Exit
                    | StdoutLine::Text
                    | StdoutLine::Answer(_, Said::Output | Said::Error | Said::Later(_))
            )
        };
        let lines: Vec<_> = StdoutLine::read_all(&tail[..end]).collect();
        if is_whole && lines.iter().all(is_read) {
            let behind = (end < tail.len()).then_some(StdoutLine::Log);
            self.heard_lines(worker, lines.into_iter().chain(behind), now);
        } else {
            self.heard_lines(worker, [StdoutLine::Log].into_iter(), now);
        }
    }

    /// Each line answers the oldest record that is owed.
    fn heard_answers<'a>(
        &mut self,
        worker: WorkerId,
        lines: impl Iterator<Item = &'a [u8]>,
        now: Duration,
    ) {
        let mut together = 0;
        for line in lines {
            if self.owed(worker) == Some(together) {
                self.answered(worker, together, now);
                return self.stray(worker);
            }
            if line.len() > MAX_ANSWER + 1 {
                self.answered(worker, together, now);
                self.answered(worker, 1, now);
                together = 0;
            } else {
                together += 1;
            }
        }
        self.answered(worker, together, now);
    }

    /// All lines up to one that ends them answer the oldest record that is owed.
    fn heard_several<'a>(
        &mut self,
        worker: WorkerId,
        lines: impl Iterator<Item = &'a [u8]>,
        now: Duration,
    ) {
        for line in lines {
            match self.owed(worker) {
                Some(0) => return self.stray(worker),
                _ if line.strip_suffix(b"\n") == Some(ANSWER_END) => {
                    self.answered(worker, 1, now);
                }
                _ => {}
            }
        }
    }

    fn heard_lines(
        &mut self,
        worker: WorkerId,
        mut lines: impl Iterator<Item = StdoutLine>,
        now: Duration,
    ) {
        let mut is_together = false;
        let mut is_text = false;
        while let Some(line) = lines.next() {
            let was_text = std::mem::replace(&mut is_text, line == StdoutLine::Text);
            match line {
                StdoutLine::Mention(index) if self.owes(worker, index) => {
                    self.behind += 1;
                    self.heard_answer(worker, index, Said::Bad, false, now);
                    is_together = true;
                    continue;
                }
                StdoutLine::Answer(index, said) => {
                    // With a few words before it.
                    self.behind += u64::from(said == Said::TooLarge);
                    let has_parted = self.parted(worker, index, was_text);
                    if has_parted && said != Said::Bad && !self.owes(worker, index) {
                        // It may repeat that on a line of its own.
                        self.logged(1);
                        self.repeated += 1;
                        is_together = false;
                        continue;
                    }
                    is_together &= !has_parted;
                    is_together &= !matches!(said, Said::Bad | Said::TooLarge);
                    if !self.heard_answer(worker, index, said, is_together, now) {
                        let guilty = index.checked_sub(UNKNOWN).unwrap_or(index);
                        return self.heard_unasked(worker, guilty, lines);
                    }
                    is_together = !matches!(said, Said::TooLarge | Said::Later(_));
                    continue;
                }
                StdoutLine::Nameless(guilty) => return self.heard_unasked(worker, guilty, lines),
                StdoutLine::Begun(indices) => match self.begun(worker, &indices) {
                    true => self.behind += 1,
                    false => self.logged(1),
                },
                StdoutLine::Ready(concurrency, tells_calls, cancels) => {
                    if !self.ready(worker, concurrency, (tells_calls, cancels), now) {
                        self.logged(1);
                    }
                }
                StdoutLine::Restart => match self.resigned(worker) {
                    true => self.behind += 1,
                    false => self.logged(1),
                },
                StdoutLine::Exit => {
                    if self.said_exit(worker) {
                        self.kept_exit();
                    } else {
                        self.logged(1);
                    }
                }
                StdoutLine::Mention(_) | StdoutLine::Log | StdoutLine::Text => self.logged(1),
            }
            is_together = false;
        }
    }

    /// Notes that a process gives an answer on a line with something else, if it does. Gives
    /// whether it has given one to this record so.
    fn parted(&mut self, worker: WorkerId, index: u64, is_now: bool) -> bool {
        let Some(process) = &mut self.processes[worker.0] else {
            return false;
        };
        if is_now {
            process.parted.push(index);
            self.has_parted = true;
        }
        process.parted.contains(&index)
    }

    /// Gives whether the process was asked for this answer.
    fn heard_answer(
        &mut self,
        worker: WorkerId,
        index: u64,
        said: Said,
        is_together: bool,
        now: Duration,
    ) -> bool {
        if !self.is_read_from_out(worker) {
            return true;
        }
        let has_parted =
            (self.processes[worker.0].as_ref()).is_some_and(|process| !process.parted.is_empty());
        match said {
            Said::Later(_) => self.answered_ready(worker, now),
            _ if !is_together || has_parted => {
                self.answers_came(worker, self.owes(worker, index), now);
            }
            _ => {}
        }
        self.replied(worker, index, said, now)
    }

    /// Nothing behind that is looked at.
    fn heard_unasked(
        &mut self,
        worker: WorkerId,
        guilty: u64,
        behind: impl Iterator<Item = StdoutLine>,
    ) {
        if self.is_read_from_out(worker) {
            self.behind += behind.count() as u64;
            self.unasked(worker, guilty);
        }
    }
}

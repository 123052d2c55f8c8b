//! What is waited for, and what took too long.

use std::time::Duration;

use super::{Notice, Teller};
use crate::outcome::TimeLimit;
use crate::record::Index;
use crate::report::text::span;
use crate::schedule::event::{Asking, Expiry, Outstanding, Overdue, Suspects};
use crate::schedule::{Reading, WorkerId};
use crate::shape::Answers;

impl Teller {
    /// Names a record that has been waited for long, and what may help.
    pub(super) fn overdue(&self, overdue: &Overdue) -> Notice {
        let Overdue { worker, index, .. } = overdue;
        let age = overdue.age.as_secs();
        let limit = self.limit(overdue.expiry);
        if overdue.is_first {
            let advice = self.advice(overdue.reading);
            let and = match overdue.is_full {
                true => ". What it collects must fit into --buffer, which is full: raise it",
                false => "",
            };
            return Notice::warning(format!(
                "{worker} has not answered its first record (index {index}) for {age} s: {advice}; \
                 {limit}{and}"
            ));
        }
        let what = match (self.policy.facts().answers, overdue.reading) {
            (_, Reading::Unknown) => "",
            (_, Reading::Behind) => " (it has not read all that it was sent)",
            (Answers::Named, Reading::All) => " (it has read it)",
            (Answers::InTurn, Reading::All) => {
                " (it has read it: does it answer each record, or does a command in it read them? \
                 Give that one </dev/null)"
            }
        };
        Notice::warning(format!(
            "{worker} has not answered record {index} for {age} s{what}; {limit}"
        ))
    }

    /// What may help where a process has not answered its first record, by what is seen of it.
    fn advice(&self, reading: Reading) -> &'static str {
        match (self.policy.facts().answers, reading) {
            (_, Reading::Behind) => {
                "it has not read it: it is still starting, or does not read its stdin"
            }
            (Answers::Named, _) => {
                "if it is not still starting: each answer must be a line {\"id\":…,\"output\":…} of its \
                 own, flushed at once"
            }
            (Answers::InTurn, Reading::All) => SILENT_THOUGH_READ,
            (Answers::InTurn, Reading::Unknown) => SILENT,
        }
    }

    pub(super) fn start_awaited(&self, worker: WorkerId, age: Duration, expiry: Expiry) -> Notice {
        Notice::warning(format!(
            "{worker} has not said that it is ready for {} s; {}",
            age.as_secs(),
            self.limit(expiry)
        ))
    }

    /// Which option ends the wait, and when, if it was given.
    fn limit(&self, expiry: Expiry) -> String {
        let (option, limit) = match expiry {
            Expiry::Record => ("--timeout", self.policy.limits.timeout),
            Expiry::Start => ("--init-timeout", self.policy.limits.init_timeout),
        };
        match limit {
            Some(limit) => format!("{option} {limit:?} ends the wait"),
            None => format!("{option} DURATION would end the wait"),
        }
    }

    pub(super) fn trial(&mut self, worker: WorkerId, trial: Duration) -> Option<Notice> {
        if trial < self.told_trial * 2 {
            return None;
        }
        self.told_trial = trial;
        let trial = Duration::from_millis(trial.as_millis() as u64);
        Some(Notice::warning(format!(
            "{worker} was not ready when it died, and no other is: the next process is sent nothing \
             before it has stayed up for {trial:?}"
        )))
    }

    /// The first time that a worker asks to wait is told, and later ones that are long.
    pub(super) fn asked_to_wait(&mut self, worker: WorkerId, wait: Duration) -> Option<Notice> {
        let is_first = self.told_pause.is_zero();
        let is_long = wait >= LONG && wait >= self.told_pause * 2;
        if !is_first && !is_long {
            return None;
        }
        self.told_pause = wait.max(SECOND);
        let (who, later) = match (self.policy.pacing.groups.is_empty(), is_first) {
            (true, true) => ("no worker begins", "; later pauses are counted"),
            (true, false) => ("no worker begins", ""),
            (false, true) => (
                "none with its init argument begins",
                "; later pauses are counted",
            ),
            (false, false) => ("none with its init argument begins", ""),
        };
        Some(Notice::warning(format!(
            "{worker} asks to wait {} (retry_after): {who} anything until then{later}",
            span(wait)
        )))
    }

    pub(super) fn exit_overdue(&self, worker: WorkerId) -> Notice {
        let limit = self.policy.limits.exit_timeout;
        Notice::warning(format!(
            "{worker} did not exit within --exit-timeout {limit:?} of the end of its stdin; it is killed"
        ))
    }

    pub(super) fn asked(&self, worker: WorkerId, asking: &Asking) -> Option<Notice> {
        let what = match asking {
            Asking::Skipped(index) => format!("may have skipped record {index}"),
            Asking::Unanswered(index, waited) => format!(
                "has read record {index} and not answered for {} s",
                waited.as_secs()
            ),
            // It has been said what happens again and again.
            Asking::Starved { is_news: false, .. } => return None,
            Asking::Starved { buffer, .. } => {
                return Some(Notice::warning(format!(
                    "--buffer is full ({buffer} bytes) and {worker}, which may wait for more records, \
                     is what everything waits for: its stdin is closed, so that it answers those it \
                     has, and its next process goes on. Raise --buffer if one process is to get them \
                     all"
                )));
            }
        };
        Some(Notice::warning(format!(
            "{worker} {what}: its stdin is closed to see whether the answer still comes"
        )))
    }

    pub(super) fn answered_at_end(&self, worker: WorkerId) -> Notice {
        Notice::warning(format!(
            "{worker} answered only once its stdin was closed: it collects what it is sent, or a \
             command in it reads the records (give that one </dev/null)"
        ))
    }
}

/// All waits for the time of a record.
pub(super) fn held_up(index: Index, wait: Duration, buffer: usize) -> Notice {
    Notice::warning(format!(
        "--buffer is full ({buffer} bytes) while record {index} waits to be sent again: nothing is read \
         for {}; a larger --buffer lets workers go on for longer",
        span(wait)
    ))
}

/// Nothing is done before the time of a record comes.
pub(super) fn all_wait(outstanding: &Outstanding) -> Notice {
    Notice::warning(format!(
        "nothing is under way: {}",
        to_be_sent_again(outstanding)
    ))
}

/// How many records wait to be sent again, and how long.
pub(super) fn to_be_sent_again(outstanding: &Outstanding) -> String {
    let count = outstanding.waiting;
    let Some(wait) = outstanding.wait.map(span) else {
        return match count {
            1 => "1 record waits to be sent again".into(),
            _ => format!("{count} records wait to be sent again"),
        };
    };
    match count {
        1 => format!("1 record waits to be sent again, in {wait}"),
        _ => format!("{count} records wait to be sent again, the first in {wait}"),
    }
}

/// A process took too long over a record.
pub(super) fn timed_out(
    worker: WorkerId,
    suspects: Suspects,
    limit: TimeLimit,
    grace: Option<Duration>,
) -> Notice {
    let asked = |grace| format!(", nor ended the call within --grace {grace:?} when asked to,");
    let asked = grace.map(asked).unwrap_or_default();
    Notice::warning(match suspects {
        Suspects::One(index, fate) => format!(
            "{worker} gave no answer for record {index} within {limit}{}; its process is \
             replaced, and the record {}",
            asked.trim_end_matches(','),
            fate.text()
        ),
        Suspects::Several(count) => format!(
            "{worker} gave no answer within {limit}{asked} and may be at any of {count} records; its \
             process is replaced, and they are sent again, one at a time"
        ),
    })
}

/// A wait of so long is told.
const LONG: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

macro_rules! silent {
    ($begin:literal) => {
        concat!(
            $begin,
            " each record needs one line, flushed at once (sed -u, grep --line-buffered, jq \
             --unbuffered, python -u, awk with fflush()), and an empty one where a filter drops it \
             (not grep PATTERN; jq: if … then … else \"\" end). Does a command in a shell loop read \
             the records? Give it </dev/null. --window N is for a worker that collects N records \
             first, --window full for one that cannot be told, --protocol json for one whose answers \
             say which record they are for"
        )
    };
}

const SILENT: &str = silent!("if it is not still starting:");
const SILENT_THOUGH_READ: &str = silent!("it has read it; if it is not still at it:");

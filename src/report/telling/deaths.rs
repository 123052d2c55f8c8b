//! Processes that died, and workers that are given up for them.
//!
//! A COMMAND that cannot start fails in every worker, time after time, in the same way, and one
//! that works may die of every tenth record. Always: the first deaths of each kind are told in
//! full; of later ones nothing is lost with their line, as a record that fails has its error
//! record, and each death begets a restart, which is counted, or the end of its worker.

use std::collections::BTreeMap;

use super::{Notice, Teller, records};
use crate::outcome::{Exit, ExitStatus, Verdict};
use crate::report::text::size;
use crate::schedule::WorkerId;
use crate::schedule::event::{Ended, Fate, Loss, LossCause, Moment};
use crate::schedule::policy::{Readiness, Window};
use crate::worker::machine::gpus::Gpus;

/// What was said of deaths, and what was left unsaid.
#[derive(Debug, Default)]
pub(super) struct Deaths {
    /// How many processes have died in each way.
    counts: BTreeMap<(Moment, String), u64>,
    /// COMMAND has been ready.
    has_been_ready: bool,
    /// Workers that were given up without a word, once one has been told of.
    given_up: Option<Vec<WorkerId>>,
    /// How many workers were given up.
    lost: usize,
    /// Workers that cannot run COMMAND, which has said so itself.
    unrunnable: Vec<WorkerId>,
    /// How many records the present process of each worker has answered.
    answered: BTreeMap<WorkerId, u64>,
    /// It was said that COMMAND ends after one record.
    has_told_one_shot: bool,
}

/// What a worker is, and what there is for a command that is none.
const ONE_SHOT: &str = "\
a worker is to go on until its stdin ends, as a loop does (sh -c 'while IFS= read -r x; do … </dev/null; \
done'). --each starts a command anew for each record";

impl Teller {
    /// Tells of the first deaths of each kind, and then of one now and then, for that may go on for
    /// long.
    pub(super) fn ended(&mut self, ended: &Ended) -> Option<Notice> {
        let text = match (self.death(ended), self.ends_after_one(ended)) {
            (text, false) => text?,
            (Some(text), true) => {
                return Some(Notice::warning(format!(
                    "{text}. It exited after one record: {ONE_SHOT}"
                )));
            }
            (None, true) => {
                return Some(Notice::warning(format!(
                    "{} exited after one record: {ONE_SHOT}",
                    ended.worker
                )));
            }
        };
        let kind = match &ended.exit {
            // The limit follows the measured time.
            Exit::Verdict(Verdict::NotReady(_)) => String::new(),
            exit => exit.to_string(),
        };
        let count = self.deaths.counts.entry((ended.moment, kind)).or_default();
        *count += 1;
        let told = match ended.moment {
            Moment::Start => 1,
            _ => 10,
        };
        let text = match *count {
            n if n < told => text,
            n if n == told => format!("{text}; later ones like it are counted"),
            n if n == 10_u64.pow(n.ilog10()) => format!("{text}; it is the {n}th like it"),
            _ => return None,
        };
        Some(Notice::warning(text))
    }

    /// A process begins.
    pub(super) fn begins(&mut self, worker: WorkerId) {
        self.deaths.answered.insert(worker, 0);
    }

    /// A process has answered so many records.
    pub(super) fn answered(&mut self, worker: Option<WorkerId>, count: usize) {
        if let Some(worker) = worker {
            *self.deaths.answered.entry(worker).or_default() += count as u64;
        }
    }

    /// Whether a process has answered one record and exited, as a command does that is made for
    /// one. That is said once.
    fn ends_after_one(&mut self, ended: &Ended) -> bool {
        let is_one_shot = ended.exit.is_success()
            && ended.moment == Moment::Work
            && ended.charged.is_none()
            && self.deaths.answered.get(&ended.worker) == Some(&1);
        is_one_shot && !std::mem::replace(&mut self.deaths.has_told_one_shot, true)
    }

    fn death(&self, ended: &Ended) -> Option<String> {
        let Ended { worker, exit, .. } = ended;
        let held = records(ended.held);
        let what = match (exit, ended.pid) {
            (Exit::Status(ExitStatus::NotStarted(reason)), _) => {
                format!("{worker} could not be started: {reason}")
            }
            (exit, Some(pid)) => format!("{worker} (pid {pid}) died ({exit})"),
            (exit, None) => format!("{worker} is ended ({exit})"),
        };
        match (ended.moment, exit) {
            (Moment::Excused, _) => None,
            // Its record has failed, and says so.
            (_, Exit::Status(ExitStatus::Code(_))) if self.policy.is_for_own_record() => None,
            (Moment::Start, exit) if self.is_unrunnable(exit) => None,
            (_, exit) if exit.is_success() && ended.held.count == 0 => None,
            // It has been said already what it did.
            (_, Exit::Verdict(Verdict::Unasked | Verdict::AnsweredTwice))
                if ended.held.count == 0 =>
            {
                None
            }
            (Moment::End, _) => Some(format!(
                "{what} after its last answer: no record is lost, but the status is 123"
            )),
            (_, Exit::Status(ExitStatus::NotStarted(_))) => Some(what),
            (Moment::Start | Moment::Work, _) => {
                Some(format!("{what} while it held {held}{}", self.then(ended)))
            }
        }
    }

    /// What becomes of what it held.
    fn then(&self, ended: &Ended) -> String {
        let is_full = self.policy.window == Window::Full;
        match (ended.charged, ended.again) {
            (None, 0) => String::new(),
            // What had been sent once before fails; the rest is sent again.
            (Some(_), _) if is_full => String::new(),
            (Some(fate), _) => format!("; the record {}", fate.text()),
            (None, 1) => "; the record is sent again".into(),
            (None, _) if is_full => "; what it held is sent again".into(),
            (None, _) => "; what it held is sent again, one record at a time".into(),
        }
    }

    fn given_up_refused(&mut self, worker: WorkerId, pauses: u32) -> Notice {
        self.has_refused = true;
        Notice::warning(format!(
            "{worker} is given up: it asked to wait (retry_after) {pauses} times in a row, and nothing was \
             answered in between{}",
            self.left()
        ))
    }

    /// Tells that a worker is given up. For processes that were never ready, until COMMAND has been
    /// ready anywhere, the others are likely to follow, and are left to [`Teller::ready`].
    pub(super) fn given_up(&mut self, loss: &Loss) -> Option<Notice> {
        let Loss {
            worker, processes, ..
        } = loss;
        self.deaths.lost += 1;
        if loss.cause == LossCause::Unrunnable && !self.deaths.has_been_ready {
            self.deaths.unrunnable.push(*worker);
            return None;
        }
        let most = self.policy.failures.max_restarts.max(1);
        let fault = match loss.cause {
            LossCause::OutOfStep => "that did not give one answer for each record",
            LossCause::LeftBehind => "that could not be ended",
            LossCause::Refused => return Some(self.given_up_refused(*worker, *processes)),
            LossCause::Silent => {
                "that answered nothing before their stdin was closed: each record is to be answered \
                 by one line, at once"
            }
            LossCause::Unready | LossCause::Unrunnable => "without an answer",
        };
        let in_a_row = match (processes, loss.cause) {
            (1, _) => "1 process".into(),
            (_, LossCause::LeftBehind) => format!("{processes} processes"),
            _ => format!("{processes} processes in a row"),
        };
        let reason = match loss.cause {
            LossCause::Unrunnable => "it cannot be run".into(),
            _ => format!("--max-restarts {most}"),
        };
        let gpu = self.gpus.of(worker.0).map(|gpu| format!(" (GPU {gpu})")).unwrap_or_default();
        let text = format!("{worker}{gpu} is given up after {in_a_row} {fault} ({reason})");
        if loss.cause == LossCause::OutOfStep {
            return Some(Notice::warning(format!("{text}{}", self.left())));
        }
        if self.deaths.has_been_ready {
            // Its own deaths may all be among those that were left unsaid.
            let last = loss.last.as_ref();
            let how = last.map_or_else(String::new, |exit| format!("; the last one died ({exit})"));
            return Some(Notice::warning(format!("{text}{how}{}", self.left())));
        }
        if let Some(others) = &mut self.deaths.given_up {
            others.push(*worker);
            return None;
        }
        self.deaths.given_up = Some(Vec::new());
        let others = match self.policy.jobs.get() {
            1 => "",
            _ => "; others are counted until a first answer",
        };
        Some(Notice::warning(format!("{text}{others}")))
    }

    /// COMMAND is ready: if that is the first time, the workers that were given up before will be
    /// missed.
    pub(super) fn ready(&mut self) -> Option<Notice> {
        self.deaths.has_been_ready = true;
        let given_up = self.deaths.given_up.take().unwrap_or_default();
        let unrunnable = std::mem::take(&mut self.deaths.unrunnable);
        let all = |workers| all(workers, &self.gpus);
        let too = all(given_up).map(|workers| format!("{workers} given up too"));
        let cannot =
            all(unrunnable).map(|workers| format!("{workers} given up: COMMAND cannot run"));
        let texts: Vec<_> = [too, cannot].into_iter().flatten().collect();
        (!texts.is_empty()).then(|| {
            let texts = texts.join("; ");
            Notice::warning(format!("{texts}{}", self.left()))
        })
    }

    /// How many workers there are still, where there were several.
    fn left(&self) -> String {
        match self.policy.jobs.get() {
            1 => String::new(),
            jobs => format!(
                "; {} of {jobs} workers go on",
                jobs.saturating_sub(self.deaths.lost)
            ),
        }
    }

    /// Tells, once, that a process is replaced for the memory that it holds.
    pub(super) fn outgrown(&mut self, worker: WorkerId, bytes: u64) -> Option<Notice> {
        let limit = self.policy.limits.max_memory.map_or(0, |limit| limit.get() as u64);
        let is_first = !std::mem::replace(&mut self.has_outgrown, true);
        is_first.then(|| {
            Notice::warning(format!(
                "{worker} holds {}, more than --max-worker-memory {}: its process is replaced; later ones \
                 are counted",
                size(bytes),
                size(limit)
            ))
        })
    }

    /// Whether this exit tells that COMMAND cannot be run at all.
    pub(super) fn is_unrunnable(&self, exit: &Exit) -> bool {
        self.policy.readiness == Readiness::Announced
            && !self.deaths.has_been_ready
            && exit.says_unrunnable()
    }
}

impl Fate {
    /// The same for people, behind "the record".
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::LeftOut => "is left without an outcome",
            Self::TriedAgain => "is tried again",
            Self::Failed => "fails",
        }
    }
}

/// These workers with their verb, if there are any.
fn all(mut workers: Vec<WorkerId>, gpus: &Gpus) -> Option<String> {
    workers.sort_unstable();
    let with_gpus = |workers: &[WorkerId]| {
        let named = |it: &WorkerId| Some(format!("{} (GPU {})", it.0, gpus.of(it.0)?));
        workers.iter().map(named).collect::<Option<Vec<_>>>().map(|named| named.join(", "))
    };
    let gpus = with_gpus(&workers);
    match (workers.as_slice(), gpus) {
        ([], _) => None,
        ([_], Some(named)) => Some(format!("worker {named} is")),
        (_, Some(named)) => Some(format!("workers {named} are")),
        (workers, None) => without_gpus(workers),
    }
}

/// The same where they have none.
fn without_gpus(workers: &[WorkerId]) -> Option<String> {
    match workers {
        [] => None,
        [worker] => Some(format!("{worker} is")),
        _ => Some(format!("workers {} are", listed(workers))),
    }
}

/// `1, 4 to 9, 12`: the numbers of these workers, which are in order.
fn listed(workers: &[WorkerId]) -> String {
    let runs = workers.chunk_by(|one, next| next.0 == one.0 + 1);
    let shown = runs.map(|run| match run {
        [.., last] if run.len() > 2 => format!("{} to {}", run[0].0, last.0),
        _ => (run.iter().map(|worker| worker.0.to_string())).collect::<Vec<_>>().join(", "),
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_next_to_each_other_are_told_as_a_range() {
        let listed =
            |numbers: &[usize]| listed(&numbers.iter().copied().map(WorkerId).collect::<Vec<_>>());
        assert_eq!(listed(&[3, 5]), "3, 5");
        assert_eq!(listed(&[1, 2, 4, 5, 6, 9]), "1, 2, 4 to 6, 9");
    }
}

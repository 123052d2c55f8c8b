//! What is said of deaths, and of workers that are given up for them.
//!
//! A COMMAND that cannot start fails in every worker, time after time, in the same way, and one
//! that works may die of every tenth record. Always: the first deaths of each kind are told in
//! full; of later ones nothing is lost with their line, as a record that fails has its error
//! record, and each death begets a restart, which is counted, or the end of its worker.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Scheduler;
use super::action::WorkerId;
use crate::outcome::Exit;

/// What was said of deaths, and what was left unsaid.
#[derive(Debug, Default)]
pub(super) struct Deaths {
    /// How many processes have died in each way.
    counts: BTreeMap<(Moment, String), u64>,
    /// Workers that were given up without a word, once one has been told of.
    given_up: Option<Vec<WorkerId>>,
    /// The longest that processes were said to have to stay up before they are sent anything.
    pub(super) told_trial: Duration,
}

/// When a process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moment {
    /// Before it was ready, and no record is charged with it: it tells nothing of a record.
    Start,
    /// After it was ready, or a record is charged with it.
    Work,
    /// After its last answer.
    End,
}

impl Moment {
    /// How many deaths of a kind are told before they are only counted.
    const fn told(self) -> u64 {
        match self {
            Self::Start => 1,
            Self::Work | Self::End => 10,
        }
    }
}

impl Scheduler {
    /// Warns of a death: of each kind the first ones, and then now and then, for that may go on for
    /// long.
    pub(super) fn warn_of_death(&mut self, moment: Moment, exit: &Exit, text: &str) {
        let kind = match exit {
            // The limit follows the measured time.
            Exit::NotReady(_) => String::new(),
            exit => exit.to_string(),
        };
        let count = self.deaths.counts.entry((moment, kind)).or_default();
        *count += 1;
        match *count {
            n if n < moment.told() => self.warn(text.into()),
            n if n == moment.told() => self.warn(format!("{text}; later ones like it are counted")),
            n if n == 10_u64.pow(n.ilog10()) => {
                self.warn(format!("{text}; it is the {n}th like it"));
            }
            _ => {}
        }
    }

    /// Warns that a worker is given up for processes that were never ready. Until COMMAND has been
    /// ready anywhere the others are likely to follow, and are left to
    /// [`Scheduler::name_given_up`].
    pub(super) fn warn_of_loss(&mut self, worker: WorkerId, text: &str) {
        if self.startup_time.is_some() {
            // Its own deaths may all be among those that were left unsaid.
            let last = self.workers[worker.0].last_exit.as_ref();
            let how = last.map_or_else(String::new, |exit| format!("; the last one died ({exit})"));
            self.warn(format!("{text}{how}"));
        } else if let Some(others) = &mut self.deaths.given_up {
            others.push(worker);
        } else {
            self.deaths.given_up = Some(Vec::new());
            let others = match self.workers.len() {
                1 => "",
                _ => "; others are counted until a first answer",
            };
            self.warn(format!("{text}{others}"));
        }
    }

    /// COMMAND is ready for the first time: the workers that were given up before will be missed.
    pub(super) fn name_given_up(&mut self) {
        let mut given_up = self.deaths.given_up.take().unwrap_or_default();
        given_up.sort_unstable();
        let workers = match given_up.as_slice() {
            [] => return,
            [worker] => format!("{worker} is"),
            _ => format!("workers {} are", listed(&given_up)),
        };
        self.warn(format!("{workers} given up too"));
    }
}

/// `1, 4 to 9, 12`: the numbers of these workers, which are in order.
fn listed(workers: &[WorkerId]) -> String {
    let runs = workers.chunk_by(|one, next| next.0 == one.0 + 1);
    let shown = runs.map(|run| match run {
        [.., last] if run.len() > 2 => format!("{} to {}", run[0].0, last.0),
        _ => (run.iter().map(|worker| worker.0.to_string()))
            .collect::<Vec<_>>()
            .join(", "),
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

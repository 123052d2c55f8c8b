//! Records that a process was asked to give up, as it took too long over them.

use std::time::Duration;

use super::super::actor::{Actor, Blame};
use super::{Charge, Ledger, ProcessLedger};
use crate::schedule::WorkerId;

impl ProcessLedger {
    /// The records that it was asked to give up, and for how long at most.
    pub(super) fn asked(&self) -> (Vec<u64>, Duration) {
        let asked = || self.owed.iter().filter(|owed| owed.asked.is_some());
        let longest = asked().filter_map(|owed| owed.asked).max();
        (
            asked().map(|owed| owed.index).collect(),
            longest.unwrap_or_default(),
        )
    }
}

impl Ledger {
    /// mtask asks a process to give up a record.
    pub(in super::super) fn asked_to_give_up(&mut self, worker: WorkerId, index: u64) {
        let process = self.processes[worker.0].as_ref().expect("a process is asked");
        let (limit, slack) = self.record_limit(process).expect("there is a limit");
        let (most, _) = process.counted((Duration::MAX, Duration::MAX));
        let process = self.processes[worker.0].as_mut().expect("a process is asked");
        assert!(process.cancels, "{worker} gives up nothing");
        let (asked, _) = process.asked();
        process.goes_on &= !asked.is_empty();
        let owed = process.owed.iter_mut().find(|owed| owed.index == index);
        let owed = owed.expect("it is asked to give up what it owes");
        assert!(owed.asked.is_none(), "{worker} is asked twice for {index}");
        assert!(
            owed.age.min(most) + slack >= limit,
            "{worker} is asked to give up {index} after {:?}",
            owed.age
        );
        owed.asked = Some(Duration::ZERO);
        // What it is at next finds done what a first call does.
        process.is_untold |= process.since_first.is_none();
    }

    /// Whether a process was asked to give up this record.
    pub(super) fn is_asked_for(&self, worker: WorkerId, index: u64) -> bool {
        let process = self.processes[worker.0].as_ref();
        process.is_some_and(|process| process.asked().0.contains(&index))
    }

    /// Whether it has not given up in time what it was asked to.
    pub(super) fn has_not_given_up(&self, process: &ProcessLedger) -> bool {
        let (asked, longest) = process.asked();
        !asked.is_empty() && longest + self.time_slack >= self.policy.limits.grace
    }

    /// A process was terminated that had not.
    pub(super) fn end_of_deaf(
        &mut self,
        asked: &[u64],
        (goes_on, holds): (bool, usize),
        is_certain: bool,
        actor: &Actor,
    ) {
        self.has_not_given_up = true;
        let process = self.processes[actor.worker.0].as_ref();
        let has_hung_up = process.is_some_and(|process| process.hung_up.is_some());
        let is_it = asked.len() == 1 && (goes_on || holds == 1);
        for index in asked {
            let past = &mut self.pasts[*index as usize];
            past.timeouts += 1;
            if is_it {
                past.charge(Charge::Timeout, is_certain);
                assert!(
                    has_hung_up
                        || actor.is_stuck_on(*index)
                        || !matches!(actor.spoilt, Some(Blame::Record(_))),
                    "record {index} is charged and would be answered"
                );
            }
            past.suspect(is_certain);
        }
    }
}

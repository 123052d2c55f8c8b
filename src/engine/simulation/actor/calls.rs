//! Workers that say which records they have begun: several with one call, and where that fails, one
//! by one.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Actor, Blame};
use crate::engine::simulation::scenario::{
    CallFate, CallTimes, CancelManner, Effect, Record, UNKNOWN,
};

/// What an actor is at that begins records together.
#[derive(Debug, Default)]
pub(super) struct CallUnderWay {
    /// When it fails, if it does.
    pub(super) fails_at: Option<Duration>,
    /// What is to be tried one by one.
    pub(super) left: VecDeque<u64>,
}

impl CallUnderWay {
    pub(super) fn delay(&mut self, pause: Duration) {
        self.fails_at = self.fails_at.map(|at| at + pause);
    }
}

impl Actor {
    /// The call under way fails, if that is due.
    pub(super) fn fail_call(&mut self, now: Duration) -> bool {
        if self.call.fails_at.is_none_or(|at| now < at) {
            return false;
        }
        self.call.fails_at = None;
        self.call.left = self.tasks.drain(..).map(|task| task.index).collect();
        true
    }

    /// It is asked to give up this record, which it may just have answered.
    pub(super) fn give_up(&mut self, index: u64) {
        let place = self.tasks.iter().position(|task| task.index == index);
        let is_deaf = self.command.cancels == CancelManner::NotAll && index.is_multiple_of(3);
        let Some(place) = place.filter(|_| !is_deaf) else {
            return;
        };
        self.tasks.remove(place);
        self.stuck.retain(|stuck| *stuck != index);
        // What has closed its stdout stays so.
        if !self.stdout_has_ended {
            self.spoilt = self.spoilt.filter(|blame| *blame != Blame::Record(index));
            self.spoilt = self.spoilt.or(self.stuck.first().copied().map(Blame::Record));
        }
        let line = format!("{{\"id\":{index},\"error\":\"given up\"}}\n");
        self.unsaid.extend(line.bytes());
    }

    /// It has asked to be replaced: it does nothing more of what it was sent.
    pub(super) fn leave_all(&mut self) {
        self.tasks.clear();
        self.stuck.clear();
        self.spoilt = None;
        self.call = CallUnderWay::default();
    }

    /// Whether it is to begin something now.
    pub(super) fn has_room(&self) -> bool {
        match self.command.calls {
            CallTimes::Told { .. } => self.tasks.is_empty(),
            _ => self.tasks.len() < self.command.slots,
        }
    }

    /// The records that it is to begin next, as far as they are at hand.
    pub(super) fn next_call(&mut self, records: &[Record]) -> Vec<u64> {
        let most = match self.command.calls {
            CallTimes::Told { most, .. } => most,
            _ => 1,
        };
        if let Some(index) = self.call.left.pop_front() {
            return vec![index];
        }
        let next = std::iter::from_fn(|| self.next_record(records));
        next.take(most).collect()
    }

    /// Says what it begins, where it does so at all.
    pub(super) fn say_begun(&mut self, indices: &[u64]) {
        if self.command.calls == CallTimes::Untold {
            return;
        }
        let mut list: Vec<_> = indices.iter().map(u64::to_string).collect();
        if indices[0].is_multiple_of(5) {
            list.push((UNKNOWN + indices[0]).to_string());
        }
        let mut line = format!("{{\"started\":[{}]}}\n", list.join(","));
        if indices[0].is_multiple_of(7) {
            line.push_str("{\"started\":[]}\n");
        }
        self.unsaid.extend(line.bytes());
    }

    /// When a call with these fails, if it does. One that hangs does not.
    pub(super) fn failure_of(
        &self,
        indices: &[u64],
        records: &[Record],
        now: Duration,
    ) -> Option<Duration> {
        let called = || indices.iter().map(|index| &records[*index as usize]);
        let may_fail = matches!(
            self.command.calls,
            CallTimes::Told {
                fate: CallFate::SomeFail,
                ..
            }
        );
        let hangs = |record: &Record| matches!(record.effect, Effect::Hangs(1..));
        let fails =
            may_fail && indices.len() > 1 && !indices[0].is_multiple_of(4) && !called().any(hangs);
        let longest = called().map(|record| record.work).max()?;
        fails.then_some(now + longest)
    }
}

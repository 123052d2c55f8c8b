//! What a process was asked to end, because it takes too long: where it can give up one record and
//! go on with the others, it has some time to do so, and no other clock runs for that record.

use std::collections::VecDeque;
use std::time::Instant;

use super::Owed;
use crate::outcome::TimeLimit;
use crate::protocol::message::Cancels;
use crate::record::Index;
use crate::schedule::queue::{Cancelled, Work};

/// What a process says of that, and how much it was asked to end.
#[derive(Debug, Default)]
pub(super) struct Cancellation {
    cancels: Cancels,
    /// So many of the records that it owes.
    records: usize,
    /// It has answered since it was asked.
    goes_on: bool,
}

impl Cancellation {
    /// So many records of one work are not owed any more.
    pub(super) fn ended(&mut self, was_cancelled: bool, records: usize) {
        if was_cancelled {
            self.records -= records;
        }
    }

    pub(super) fn all_ended(&mut self) {
        self.records = 0;
    }

    /// These are what it owes now.
    pub(super) fn go_on_with(&mut self, works: &VecDeque<Work>) {
        self.records =
            works.iter().filter(|work| work.cancelled.is_some()).map(Work::remaining).sum();
    }
}

impl Owed {
    /// Whether it can give up one record and go on with the others.
    pub(crate) fn can_cancel(&self) -> bool {
        self.cancellation.cancels == Cancels::WhenAsked
    }

    /// It can from now on, or cannot.
    pub(in crate::schedule::process) fn will_cancel(&mut self, cancels: Cancels) {
        self.cancellation.cancels = cancels;
    }

    /// What it is at and was not asked to end: a clock runs for that.
    pub(super) fn timed(&self) -> impl Iterator<Item = &Work> {
        self.works.iter().filter(|work| work.cancelled.is_none())
    }

    /// The first record of that.
    pub(crate) fn oldest_timed(&self) -> Option<Index> {
        self.timed().next().map(Work::first)
    }

    /// Whether there is any.
    pub(crate) fn is_timed(&self) -> bool {
        self.records > self.cancellation.records
    }

    /// Since when it has been asked to end anything that it has not ended.
    pub(crate) fn cancelled_since(&self) -> Option<Instant> {
        if self.cancellation.records == 0 {
            return None;
        }
        self.works.iter().filter_map(|work| Some(work.cancelled.as_ref()?.since)).min()
    }

    /// Whether it has answered anything since it was asked to end what it has not ended.
    pub(crate) fn goes_on(&self) -> bool {
        self.cancellation.goes_on
    }

    /// It answers.
    pub(in crate::schedule::process) fn answers(&mut self) {
        self.cancellation.goes_on = true;
    }

    /// How long what names this record might have taken, where it was asked to end that.
    pub(crate) fn cancelled_limit(&self, index: Index) -> Option<TimeLimit> {
        if self.cancellation.records == 0 {
            return None;
        }
        Some(self.find(index)?.cancelled.as_ref()?.limit)
    }

    /// It is asked to end what it has been at for too long, of the first `written` records that it
    /// owes, the others being not written to it. Gives which that is.
    pub(crate) fn cancel_late(
        &mut self,
        written: usize,
        limit: TimeLimit,
        is_late: impl Fn(Instant) -> bool,
        now: Instant,
    ) -> Vec<Index> {
        let tells_calls = self.tells_calls();
        self.cancellation.goes_on &= self.cancellation.records > 0;
        let (mut late, mut left) = (Vec::new(), written);
        for work in &mut self.works {
            if work.remaining() > left {
                break;
            }
            left -= work.remaining();
            let begun = match tells_calls {
                true => work.call.map(|call| call.since),
                false => work.since,
            };
            if work.cancelled.is_none() && begun.is_some_and(&is_late) {
                work.cancelled = Some(Box::new(Cancelled { since: now, limit }));
                late.extend((0..work.remaining()).map(|place| work.first().plus(place)));
            }
        }
        self.cancellation.records += late.len();
        late
    }

    /// Moves what it was asked to end before the rest, and gives how many records that are.
    pub(crate) fn lead_with_cancelled(&mut self) -> usize {
        let works = std::mem::take(&mut self.works);
        let (cancelled, rest): (Vec<_>, Vec<_>) =
            works.into_iter().partition(|work| work.cancelled.is_some());
        self.works = cancelled.into_iter().chain(rest).collect();
        self.cancellation.records
    }
}

//! Records on their way to an outcome, and what they have been through.

use std::collections::VecDeque;
use std::time::Instant;

use crate::outcome::TimeLimit;
use crate::record::{Block, Index, Separator};
use crate::schedule::ids::WorkerId;
use crate::schedule::trail::Trail;

/// Records on their way to an outcome, with their common past.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) block: Block,
    pub(crate) answered: Front,
    pub(crate) trail: Trail,
    /// When the records were sent last, time not listened to left out.
    pub(crate) since: Option<Instant>,
    /// The call with which a process that says so has begun them.
    pub(crate) call: Option<Call>,
    /// The process was asked to end what it has begun with the records.
    pub(crate) cancelled: Option<Box<Cancelled>>,
    /// How often the records were sent.
    pub(crate) sent: u32,
    /// How often the records were refused, and when that was first.
    pub(crate) refused: Option<(u32, Instant)>,
    /// How often the records were charged with a failure.
    pub(crate) charged: u32,
    pub(crate) isolation: Isolation,
    /// The worker whose process has just answered it with an error: it is not sent there again as
    /// long as it can go elsewhere.
    pub(crate) shuns: Option<WorkerId>,
    /// How many records the input had given when it became suspect: where it would have to open a
    /// process, those go first.
    pub(crate) behind: Index,
}

/// The records of a block that are answered already: they stand at its front.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Front {
    pub(crate) records: usize,
    /// Where bytes are counted.
    pub(crate) bytes: usize,
}

/// What a process has begun with one call, which others of it may be under way beside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// Since when it is at that, time not listened to left out.
    pub(crate) since: Instant,
    /// Which of its calls it is.
    pub(crate) number: u64,
}

/// What a process was asked to end, as it took too long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cancelled {
    /// When it was asked, time not listened to left out.
    pub(crate) since: Instant,
    /// How long it might have taken.
    pub(crate) limit: TimeLimit,
}

/// Whether records may be sent together with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Any number at a time.
    Together,
    /// One at a time, to a process that holds nothing else: a suspect, or a record that is tried
    /// again after a process died of it or was stopped for it.
    Alone,
}

impl Work {
    pub(super) fn fresh(block: Block, queued: Instant) -> Self {
        let trail = Trail {
            queued: Some(queued),
            ..Trail::default()
        };
        Self {
            block,
            answered: Front::default(),
            trail,
            since: None,
            call: None,
            cancelled: None,
            sent: 0,
            refused: None,
            charged: 0,
            isolation: Isolation::Together,
            shuns: None,
            behind: Index(0),
        }
    }

    /// How many records are not answered yet.
    pub(crate) fn remaining(&self) -> usize {
        self.block.count - self.answered.records
    }

    /// The index of the first record that is not answered yet.
    pub(crate) fn first(&self) -> Index {
        self.block.first.plus(self.answered.records)
    }

    /// Whether this record is among those that are not answered yet.
    pub(crate) fn holds(&self, index: Index) -> bool {
        (self.first()..self.block.end()).contains(&index)
    }

    /// Moves the moments from which its time runs.
    pub(crate) fn move_clocks(&mut self, to: impl Fn(Instant) -> Instant) {
        self.since = self.since.map(&to);
        if let Some(call) = &mut self.call {
            call.since = to(call.since);
        }
        if let Some(cancelled) = &mut self.cancelled {
            cancelled.since = to(cancelled.since);
        }
    }

    /// The first `count` records of those left are answered: their bytes, without what ends each.
    pub(crate) fn measure(&self, count: usize, separator: Separator) -> usize {
        let rest = &self.block.bytes[self.answered.bytes..];
        let end = match count == self.remaining() {
            true => Some(rest.len()),
            false => separator.end_of(count, rest),
        };
        end.expect("each record of a block ends with the separator") - count
    }

    /// Forgets the answered records.
    pub(crate) fn trimmed(mut self, separator: Separator) -> Self {
        if self.answered.records > 0 {
            self.block.cut_records(self.answered.records, separator);
            self.answered = Front::default();
        }
        self
    }

    /// Cuts off the first records, which share this work's past. Nothing may have been answered.
    pub(crate) fn cut(&mut self, records: usize, bytes: usize, separator: Separator) -> Self {
        debug_assert_eq!(self.answered.records, 0);
        Self {
            block: self.block.cut(records, bytes, separator),
            ..self.clone()
        }
    }

    /// Takes the last `unsent` records off these, as if they had not been sent.
    pub(crate) fn take_back(
        works: &mut VecDeque<Self>,
        mut unsent: usize,
        separator: Separator,
    ) -> Vec<Self> {
        let mut back = Vec::new();
        while unsent > 0
            && let Some(work) = works.pop_back()
        {
            let mut work = work.trimmed(separator);
            if work.block.count > unsent {
                works.push_back(work.cut(work.block.count - unsent, usize::MAX, separator));
            }
            unsent -= work.block.count.min(unsent);
            work.sent -= 1;
            back.push(work);
        }
        back
    }

    /// Takes out of what a dead process held what it had not begun, where it had begun anything: it
    /// did not die of that.
    pub(crate) fn take_unbegun(works: &mut VecDeque<Self>) -> VecDeque<Self> {
        if works.iter().all(|work| work.call.is_none()) {
            return VecDeque::new();
        }
        let (begun, unbegun) =
            std::mem::take(works).into_iter().partition(|work| work.call.is_some());
        *works = begun;
        unbegun
    }
}

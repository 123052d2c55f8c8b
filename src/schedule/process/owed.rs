//! What a process was sent and has not answered, and since when it has been about the oldest of it,
//! or about what it has begun, where it says so (`calls`); and what it was asked to end of that (`cancelled`).

mod calls;
mod cancelled;

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::time::Instant;

use calls::Calls;
use cancelled::Cancellation;

use crate::protocol::message::Base64Input;
use crate::record::{Index, Separator, Slice};
use crate::schedule::queue::{Isolation, Work};
use crate::schedule::trail::Trail;

/// The records of a process, oldest first, with the clocks that run for them.
#[derive(Debug)]
pub(crate) struct Owed {
    works: VecDeque<Work>,
    records: usize,
    /// The bytes of all blocks, answered records of the first one included.
    bytes: usize,
    /// How many records it was sent.
    served: usize,
    /// Since when its oldest record has been the oldest, time not listened to left out.
    clock: Instant,
    calls: Calls,
    cancellation: Cancellation,
    /// How many records it wants to be sent at a time, where it has said so: then each has a clock
    /// of its own.
    concurrency: Option<NonZeroUsize>,
    base64: Base64Input,
}

impl Owed {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            works: VecDeque::new(),
            records: 0,
            bytes: 0,
            served: 0,
            clock: now,
            calls: Calls::default(),
            cancellation: Cancellation::default(),
            concurrency: None,
            base64: Base64Input::default(),
        }
    }

    /// Whether it takes records that are not UTF-8.
    pub(crate) fn takes_base64(&self) -> bool {
        self.base64 == Base64Input::Taken
    }

    /// It does from now on, or does not.
    pub(super) fn will_take(&mut self, base64: Base64Input) {
        self.base64 = base64;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.works.is_empty()
    }

    pub(crate) fn records(&self) -> usize {
        self.records
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn served(&self) -> usize {
        self.served
    }

    pub(crate) fn clock(&self) -> Instant {
        self.clock
    }

    pub(crate) fn concurrency(&self) -> Option<NonZeroUsize> {
        self.concurrency
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Work> {
        self.works.iter()
    }

    pub(crate) fn front(&self) -> Option<&Work> {
        self.works.front()
    }

    /// What holds this record.
    pub(crate) fn find(&self, index: Index) -> Option<&Work> {
        self.works.iter().find(|work| work.holds(index))
    }

    /// The index of the record that it has owed for longest.
    pub(crate) fn oldest(&self) -> Option<Index> {
        self.works.front().map(Work::first)
    }

    /// The lowest index that it owes.
    pub(crate) fn lowest(&self) -> Option<Index> {
        self.works.iter().map(Work::first).min()
    }

    /// Whether it holds a record that must be alone.
    pub(crate) fn holds_alone(&self) -> bool {
        self.front().is_some_and(|work| work.isolation == Isolation::Alone)
    }

    /// How many of the first records it may have taken too long over, where `written` were written
    /// to it and it may be at any of those: the ones whose time since they were sent is over. Where it
    /// says what it has begun, what has taken too long of that comes first from now on; where it has
    /// begun nothing, it has left the oldest one lying.
    pub(crate) fn lead_with_expired(
        &mut self,
        written: usize,
        is_over: impl Fn(Instant) -> bool,
    ) -> usize {
        if self.tells_calls() {
            return self.lead_with_late_calls(is_over).max(1);
        }
        let is_over = |work: &&Work| work.since.is_none_or(&is_over);
        let over: usize = self.works.iter().take_while(is_over).map(Work::remaining).sum();
        over.min(written).max(1)
    }

    /// Records are sent; their clock begins at that time.
    pub(super) fn push(&mut self, mut work: Work, clock: Instant) {
        if !self.is_timed() {
            self.clock = clock;
        }
        work.since = Some(clock);
        work.call = None;
        work.cancelled = None;
        self.served += work.block.count;
        self.records += work.block.count;
        self.bytes += work.block.bytes.len();
        self.works.push_back(work);
    }

    /// Takes up to `most` answered records off the front and gives them, as far as they lie together,
    /// with what [`Owed::take_answered`] tells of them.
    pub(crate) fn take_answered_records(
        &mut self,
        most: usize,
        separator: Separator,
    ) -> (Slice, (Index, usize, u32, Trail)) {
        let oldest = self.works.pop_front().expect("a process answers only what it owes");
        self.bytes -= oldest.block.bytes.len();
        let is_cancelled = oldest.cancelled.is_some();
        let mut rest = oldest.trimmed(separator);
        let (first, sent, mut trail) = (rest.first(), rest.sent, rest.trail);
        let taken = rest.block.cut_records(most.min(rest.block.count), separator);
        if rest.block.count > 0 {
            self.bytes += rest.block.bytes.len();
            self.works.push_front(rest);
        }
        self.records -= taken.count;
        self.cancellation.ended(is_cancelled, taken.count);
        trail.bytes_in += taken.bytes.len() - taken.count;
        (taken.bytes, (first, taken.count, sent, trail))
    }

    /// Takes up to `most` answered records off the front, the longest run of consecutive indices
    /// that were sent equally often: the first, how many, how often, and where they have been. Their
    /// bytes are counted where it is said what ends each.
    pub(crate) fn take_answered(
        &mut self,
        most: usize,
        ended_by: Option<Separator>,
    ) -> (Index, usize, u32, Trail) {
        let oldest = self.works.front().expect("a process answers only what it owes");
        let (first, sent, mut trail) = (oldest.first(), oldest.sent, oldest.trail);
        let mut run = 0;
        while run < most
            && let Some(work) = self.works.front_mut()
            && work.first() == first.plus(run)
            && work.sent == sent
        {
            let step = work.remaining().min(most - run);
            run += step;
            if let Some(separator) = ended_by {
                let bytes = work.measure(step, separator);
                work.answered.bytes += bytes + step;
                trail.bytes_in += bytes;
            }
            work.answered.records += step;
            self.cancellation.ended(work.cancelled.is_some(), step);
            if work.remaining() == 0 {
                self.bytes -= work.block.bytes.len();
                self.works.pop_front();
            }
        }
        self.records -= run;
        (first, run, sent, trail)
    }

    /// Takes one record out, wherever it stands.
    pub(crate) fn take(&mut self, index: Index, separator: Separator) -> Option<Work> {
        let place = self.works.iter().position(|work| work.holds(index))?;
        let work = self.works.remove(place)?;
        self.bytes -= work.block.bytes.len();
        self.records -= 1;
        self.cancellation.ended(work.cancelled.is_some(), 1);
        let mut rest = work.trimmed(separator);
        let before = (index.0 - rest.first().0) as usize;
        let front = (before > 0).then(|| rest.cut(before, usize::MAX, separator));
        let taken = rest.cut(1, usize::MAX, separator);
        let rest = (rest.block.count > 0).then_some(rest);
        for left in [rest, front].into_iter().flatten() {
            self.bytes += left.block.bytes.len();
            self.works.insert(place, left);
        }
        Some(taken)
    }

    pub(crate) fn take_all(&mut self) -> VecDeque<Work> {
        self.cancellation.all_ended();
        self.records = 0;
        self.bytes = 0;
        std::mem::take(&mut self.works)
    }

    /// Takes back the last `unsent` records.
    pub(super) fn take_back(&mut self, unsent: usize, separator: Separator) -> Vec<Work> {
        let mut works = self.take_all();
        let back = Work::take_back(&mut works, unsent, separator);
        self.records = works.iter().map(Work::remaining).sum();
        self.bytes = works.iter().map(|work| work.block.bytes.len()).sum();
        self.cancellation.go_on_with(&works);
        self.works = works;
        back
    }

    /// It is to be sent so many at a time from now on.
    pub(super) fn takes(&mut self, concurrency: Option<NonZeroUsize>) {
        self.concurrency = concurrency;
    }

    /// The oldest record is another one from now on, or the oldest ones were answered.
    pub(super) fn restart_clock(&mut self, now: Instant) {
        self.clock = now;
    }

    /// The same, where answers have ids.
    pub(super) fn restart_own_clock(&mut self, now: Instant) {
        let own = self.timed().next().filter(|_| self.concurrency.is_some());
        self.clock = own.and_then(|work| work.since).unwrap_or(now);
    }

    /// All clocks begin anew.
    pub(super) fn start_clocks(&mut self, now: Instant) {
        self.move_clocks(|_| now);
    }

    /// All clocks are set to what `later` makes of them.
    pub(super) fn move_clocks(&mut self, later: impl Fn(Instant) -> Instant) {
        self.clock = later(self.clock);
        self.works.iter_mut().for_each(|work| work.move_clocks(&later));
    }
}

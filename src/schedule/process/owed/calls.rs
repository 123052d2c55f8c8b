//! Which of the records that it owes a process is at, where it says so: what it has begun with one
//! call is begun together, and the clock of a record runs while it is begun and no longer.
//!
//! What is begun once more, as a part of a call that has failed, has its time anew, and the rest of
//! that call waits again. A process that owes records and has begun none is given as long to begin
//! one as a record may take.

use std::mem::take;
use std::time::Instant;

use super::Owed;
use crate::protocol::message::Begins;
use crate::record::{Index, Separator};
use crate::schedule::queue::{Call, Work};

/// What a process says of its calls.
#[derive(Debug, Default)]
pub(super) struct Calls {
    begins: Begins,
    /// How many it has begun.
    begun: u64,
}

impl Owed {
    /// Whether it says what it has begun.
    pub(crate) fn tells_calls(&self) -> bool {
        self.calls.begins == Begins::Told
    }

    /// The index of the record that its clock is about.
    pub(crate) fn awaited(&self) -> Option<Index> {
        let begun = self.timed().filter_map(|work| Some((work.call?.since, work)));
        let at = begun.min_by_key(|(since, _)| *since).map(|(_, work)| work);
        at.or(self.timed().next()).map(Work::first).or(self.oldest())
    }

    /// It will say so from now on, or will not.
    pub(in crate::schedule::process) fn will_tell(&mut self, begins: Begins) {
        self.calls.begins = begins;
    }

    /// It has begun those of these records that it owes, with one call. Gives whether there are any.
    pub(in crate::schedule::process) fn begin(
        &mut self,
        indices: &[Index],
        separator: Separator,
        now: Instant,
    ) -> bool {
        self.calls.begun += 1;
        let call = Call {
            since: now,
            number: self.calls.begun,
        };
        let mut earlier = Vec::new();
        // However long the list is, what it costs is bounded by what is owed.
        let owed = self.works.iter().map(|work| (work.first(), work.block.end()));
        let bounds = owed.reduce(|(low, end), (first, last)| (low.min(first), end.max(last)));
        let mut indices = indices.to_vec();
        indices.retain(|index| bounds.is_some_and(|(low, end)| low <= *index && *index < end));
        indices.sort_unstable();
        indices.dedup();
        for run in indices.chunk_by(|one, next| one.0.checked_add(1) == Some(next.0)) {
            self.begin_run(run, call, &mut earlier, separator);
        }
        if self.works.iter().all(|work| work.call.is_none_or(|it| it.number != call.number)) {
            return false;
        }
        for work in &mut self.works {
            work.call = work.call.filter(|call| !earlier.contains(&call.number));
        }
        true
    }

    /// Notes that those of a run of records that it owes belong to this call, and to which they
    /// belonged before.
    fn begin_run(
        &mut self,
        run: &[Index],
        call: Call,
        earlier: &mut Vec<u64>,
        separator: Separator,
    ) {
        let (first, end) = (run[0], Index(run[0].0.saturating_add(run.len() as u64)));
        let mut place = 0;
        while place < self.works.len() {
            let work = &self.works[place];
            let (from, to) = (work.first().max(first), work.block.end().min(end));
            if from >= to {
                place += 1;
                continue;
            }
            if let Some(before) = work.call
                && before.number != call.number
                && !earlier.contains(&before.number)
            {
                earlier.push(before.number);
            }
            place += self.part(place, from, to, separator);
            self.works[place].call = Some(call);
            place += 1;
        }
    }

    /// Cuts what stands at this place so that these of its records stand in a work of their own.
    /// Gives how many come before that.
    fn part(&mut self, place: usize, from: Index, to: Index, separator: Separator) -> usize {
        let work = &self.works[place];
        if (from, to) == (work.first(), work.block.end()) {
            return 0;
        }
        let work = self.works.remove(place).expect("it is there");
        self.bytes -= work.block.bytes.len();
        let mut rest = work.trimmed(separator);
        let mut pieces = Vec::new();
        for end in [from, to] {
            let count = (end.0 - rest.first().0) as usize;
            if count > 0 {
                pieces.push(rest.cut(count, usize::MAX, separator));
            }
        }
        if rest.block.count > 0 {
            pieces.push(rest);
        }
        let before = usize::from(pieces[0].first() < from);
        for piece in pieces.into_iter().rev() {
            self.bytes += piece.block.bytes.len();
            self.works.insert(place, piece);
        }
        before
    }

    /// Its clock is that of what it has been at for longest, or begins now where it is at nothing.
    /// Gives whether that is another one.
    pub(in crate::schedule::process) fn follow_calls(&mut self, now: Instant) -> bool {
        let begun = self.timed().filter_map(|work| Some(work.call?.since)).min();
        let before = std::mem::replace(&mut self.clock, begun.unwrap_or(now));
        self.clock != before
    }

    /// Moves what it has been at for longer than it may before the rest of what it owes, and gives
    /// how many records that are.
    pub(super) fn lead_with_late_calls(&mut self, is_late: impl Fn(Instant) -> bool) -> usize {
        let is_late = |work: &Work| work.call.is_some_and(|call| is_late(call.since));
        let (late, rest): (Vec<_>, Vec<_>) = take(&mut self.works).into_iter().partition(is_late);
        let count = late.iter().map(Work::remaining).sum();
        self.works = late.into_iter().chain(rest).collect();
        count
    }
}

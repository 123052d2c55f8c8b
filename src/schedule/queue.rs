//! The records that wait for a worker.
//!
//! Always: what was sent before goes before what was not, and a lower index before a higher one.

mod later;
mod work;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use later::PutOff;
pub(crate) use work::{Call, Cancelled, Isolation, Work};

use super::ids::WorkerId;
use crate::budget::BOOKKEEPING;
use crate::input::Rejected;
use crate::record::{Block, Index, Separator};

#[derive(Debug)]
enum Fresh {
    Records(Block, Instant),
    Rejected(Rejected, Instant),
}

/// Records that are not to go to the same place.
#[derive(Debug, Default)]
struct Shunning {
    works: BTreeMap<Index, Work>,
    records: usize,
}

/// All records that wait for a worker.
#[derive(Debug)]
pub(crate) struct Queue {
    separator: Separator,
    /// The index after the last record that came to be sent.
    end: Index,
    /// Never sent, in order of arrival.
    fresh: VecDeque<Fresh>,
    fresh_records: usize,
    fresh_bytes: usize,
    /// Sent before or taken back, not under suspicion.
    again: BTreeMap<Index, Work>,
    again_records: usize,
    /// The same, of those that are not to go everywhere. There is none without its records.
    shunning: BTreeMap<WorkerId, Shunning>,
    shunning_records: usize,
    /// To be sent one at a time.
    alone: BTreeMap<Index, Work>,
    /// To be sent later.
    put_off: PutOff,
}

impl Queue {
    pub(crate) fn new(separator: Separator) -> Self {
        Self {
            separator,
            end: Index(0),
            fresh: VecDeque::new(),
            fresh_records: 0,
            fresh_bytes: 0,
            again: BTreeMap::new(),
            again_records: 0,
            shunning: BTreeMap::new(),
            shunning_records: 0,
            alone: BTreeMap::new(),
            put_off: PutOff::default(),
        }
    }

    /// Records that just came from the input.
    pub(crate) fn push(&mut self, block: Block, now: Instant) {
        self.fresh_records += block.count;
        self.fresh_bytes += block.bytes.len();
        self.end = block.end();
        self.fresh.push_back(Fresh::Records(block, now));
    }

    /// A record that just came from the input and will not be sent.
    pub(crate) fn push_rejected(&mut self, rejected: Rejected, now: Instant) {
        self.fresh_bytes += BOOKKEEPING;
        self.fresh.push_back(Fresh::Rejected(rejected, now));
    }

    /// The next rejected record, once everything that came before it has been sent: so that a
    /// rejection that ends the run does so at the same place however fast the input is read. With it
    /// comes when it came.
    pub(crate) fn pop_rejected(&mut self) -> Option<(Rejected, Instant)> {
        match self.fresh.pop_front()? {
            Fresh::Rejected(rejected, queued) => {
                self.fresh_bytes -= BOOKKEEPING;
                Some((rejected, queued))
            }
            records => {
                self.fresh.push_front(records);
                None
            }
        }
    }

    /// Takes records back that are to be sent again.
    pub(crate) fn put_back(&mut self, work: Work) {
        let work = work.trimmed(self.separator);
        match (work.isolation, work.shuns) {
            (Isolation::Together, None) => {
                self.again_records += work.block.count;
                self.again.insert(work.block.first, work);
            }
            (Isolation::Together, Some(shun)) => {
                self.shunning_records += work.block.count;
                let those = self.shunning.entry(shun).or_default();
                those.records += work.block.count;
                those.works.insert(work.block.first, work);
            }
            (Isolation::Alone, _) => {
                self.alone.insert(work.block.first, work);
            }
        }
    }

    /// Takes back a suspect, which is sent alone from now on.
    pub(crate) fn put_back_alone(&mut self, work: Work) {
        self.put_back(Work {
            isolation: Isolation::Alone,
            behind: self.end,
            ..work
        });
    }

    /// Takes back records that are sent again at that time, and no sooner. They do not keep others
    /// in memory meanwhile.
    pub(crate) fn put_off(&mut self, work: Work, until: Instant) {
        let mut work = Work {
            behind: self.end,
            ..work.trimmed(self.separator)
        };
        work.block.detach();
        self.put_off.put(work, until);
    }

    /// The time has come for some of those. Gives when it comes for the next.
    pub(crate) fn call_due(&mut self, now: Instant) -> Option<Instant> {
        while let Some(work) = self.put_off.take_due(now) {
            self.put_back(work);
        }
        self.put_off.next()
    }

    /// Drops those whose time comes after that.
    pub(crate) fn drop_put_off_after(&mut self, end: Instant) {
        self.put_off.drop_after(end);
    }

    /// The lowest of the records that are sent later, where there are any.
    pub(crate) fn lowest_put_off(&self) -> Option<Index> {
        self.put_off.lowest()
    }

    /// Whether one of them comes before this.
    pub(crate) fn is_put_off_before(&self, index: Option<Index>) -> bool {
        self.put_off.lowest().zip(index).is_some_and(|(lowest, index)| lowest < index)
    }

    /// When the first of them may be sent.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.put_off.next()
    }

    /// How many there are.
    pub(crate) fn later(&self) -> usize {
        self.put_off.records()
    }

    /// A worker's process is at its end: what has failed in it may go anywhere.
    pub(crate) fn release(&mut self, worker: WorkerId) {
        self.put_off.release(worker);
        let Some(those) = self.shunning.remove(&worker) else {
            return;
        };
        self.shunning_records -= those.records;
        for work in those.works.into_values() {
            self.put_back(Work {
                shuns: None,
                ..work
            });
        }
    }

    /// Whether anything waits that was sent before or taken back, and may be sent to anybody.
    pub(crate) fn has_again(&self) -> bool {
        !self.again.is_empty()
    }

    /// Whether any record that may be sent together with others is not to go everywhere.
    pub(crate) fn has_shunning(&self) -> bool {
        !self.shunning.is_empty()
    }

    /// What those are not to go to.
    pub(crate) fn shuns(&self) -> impl Iterator<Item = (WorkerId, usize)> {
        self.shunning.iter().map(|(shun, those)| (*shun, those.records))
    }

    /// How many records wait that may be sent together with others, to anybody.
    pub(crate) fn for_anybody(&self) -> usize {
        self.again_records + self.fresh_records
    }

    /// Up to so many records that may be sent together with others, but at least one; none if none
    /// waits. Of those that are not to go everywhere, those with one of these `shuns`.
    pub(crate) fn pop(
        &mut self,
        max_records: usize,
        max_bytes: usize,
        shuns: &[WorkerId],
    ) -> Option<Work> {
        let mut first = (self.again.first_key_value()).map(|(index, _)| (*index, None));
        for shun in shuns {
            let those = self.shunning.get(shun);
            if let Some((index, _)) = those.and_then(|those| those.works.first_key_value())
                && first.is_none_or(|(lowest, _)| *index < lowest)
            {
                first = Some((*index, Some(*shun)));
            }
        }
        if let Some((_, from)) = first {
            return self.pop_again(from, max_records, max_bytes);
        }
        let Some(Fresh::Records(block, queued)) = self.fresh.front_mut() else {
            return None;
        };
        let queued = *queued;
        let front = block.cut(max_records, max_bytes, self.separator);
        if block.count == 0 {
            self.fresh.pop_front();
        }
        self.fresh_records -= front.count;
        self.fresh_bytes -= front.bytes.len();
        Some(Work::fresh(front, queued))
    }

    fn pop_again(
        &mut self,
        from: Option<WorkerId>,
        max_records: usize,
        max_bytes: usize,
    ) -> Option<Work> {
        let those = match from {
            None => &mut self.again,
            Some(shun) => &mut self.shunning.get_mut(&shun)?.works,
        };
        let mut entry = those.first_entry()?;
        let work = entry.get_mut().cut(max_records, max_bytes, self.separator);
        let rest = entry.remove();
        if rest.block.count > 0 {
            those.insert(rest.block.first, rest);
        }
        let Some(shun) = from else {
            self.again_records -= work.block.count;
            return Some(work);
        };
        self.shunning_records -= work.block.count;
        let those = self.shunning.get_mut(&shun)?;
        those.records -= work.block.count;
        if those.works.is_empty() {
            self.shunning.remove(&shun);
        }
        Some(work)
    }

    /// The next record that must be sent alone, of those for which `suits` says so.
    pub(crate) fn pop_alone(&mut self, suits: impl Fn(&Work) -> bool) -> Option<Work> {
        let (first, _) = self.alone.iter().find(|(_, work)| suits(work))?;
        let first = *first;
        let mut rest = self.alone.remove(&first)?;
        let work = rest.cut(1, usize::MAX, self.separator);
        if rest.block.count > 0 {
            self.alone.insert(rest.block.first, rest);
        }
        Some(work)
    }

    /// The records that must be sent alone, lowest first.
    pub(crate) fn those_alone(&self) -> impl Iterator<Item = &Work> {
        self.alone.values()
    }

    /// The lowest index of a record that may be sent together with others and was never sent.
    fn lowest_fresh(&self) -> Option<Index> {
        self.fresh.iter().find_map(|fresh| match fresh {
            Fresh::Records(block, _) => Some(block.first),
            Fresh::Rejected(..) => None,
        })
    }

    /// Whether records wait that may be sent together with others and go before what was held up
    /// when the input had given so many.
    pub(crate) fn has_before(&self, behind: Index) -> bool {
        !self.again.is_empty()
            || self.has_shunning()
            || self.lowest_fresh().is_some_and(|first| first < behind)
    }

    /// Drops what was never sent.
    pub(crate) fn drop_fresh(&mut self) {
        self.fresh.clear();
        self.fresh_records = 0;
        self.fresh_bytes = 0;
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.separator);
    }

    /// How many records wait that may be sent together with others.
    pub(crate) fn together(&self) -> usize {
        self.for_anybody() + self.shunning_records
    }

    /// The bytes that wait and were never sent; a rejected record counts as its bookkeeping.
    pub(crate) fn fresh_bytes(&self) -> usize {
        self.fresh_bytes
    }

    /// The bytes of all records that wait.
    pub(crate) fn bytes(&self) -> usize {
        let shunning = (self.shunning.values()).flat_map(|those| those.works.values());
        let sent = (self.again.values()).chain(shunning).chain(self.alone.values());
        let now = self.fresh_bytes + sent.map(|work| work.block.bytes.len()).sum::<usize>();
        now + self.put_off.bytes()
    }

    /// How many rejected records wait for what came before them.
    pub(crate) fn rejected(&self) -> usize {
        let is_rejected = |fresh: &&Fresh| matches!(fresh, Fresh::Rejected(..));
        self.fresh.iter().filter(is_rejected).count()
    }

    /// How many records wait that must be sent alone.
    pub(crate) fn alone(&self) -> usize {
        self.alone.values().map(|work| work.block.count).sum()
    }

    /// Whether any record must be sent alone.
    pub(crate) fn has_alone(&self) -> bool {
        !self.alone.is_empty()
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty()
            && self.again.is_empty()
            && self.shunning.is_empty()
            && self.alone.is_empty()
            && self.put_off.is_empty()
    }

    /// The lowest index among the records that wait, rejected ones aside.
    pub(crate) fn lowest(&self) -> Option<Index> {
        let fresh = self.lowest_fresh();
        let shunning = self.shunning.values();
        let shunning = shunning.filter_map(|those| those.works.keys().next().copied());
        let shunning = shunning.min();
        let again = self.again.first_key_value().map(|(first, _)| *first);
        let alone = self.alone.first_key_value().map(|(first, _)| *first);
        let later = self.put_off.lowest();
        [fresh, again, shunning, alone, later].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;

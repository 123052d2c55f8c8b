//! The records that wait for their time: no worker is to have them before.
//!
//! Always: none is in here without its time, and with no other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::work::Work;
use crate::record::Index;
use crate::schedule::ids::WorkerId;

/// Records that are sent again at some time, and no sooner.
#[derive(Debug, Default)]
pub(super) struct PutOff {
    /// Each with its time.
    works: BTreeMap<Index, (Instant, Work)>,
    times: BTreeSet<(Instant, Index)>,
    records: usize,
}

impl PutOff {
    pub(super) fn is_empty(&self) -> bool {
        self.works.is_empty()
    }

    pub(super) fn records(&self) -> usize {
        self.records
    }

    pub(super) fn bytes(&self) -> usize {
        self.works.values().map(|(_, work)| work.block.bytes.len()).sum()
    }

    pub(super) fn lowest(&self) -> Option<Index> {
        self.works.keys().next().copied()
    }

    /// The first time that comes.
    pub(super) fn next(&self) -> Option<Instant> {
        self.times.first().map(|(until, _)| *until)
    }

    pub(super) fn put(&mut self, work: Work, until: Instant) {
        let first = work.block.first;
        self.records += work.block.count;
        self.times.insert((until, first));
        let before = self.works.insert(first, (until, work));
        debug_assert!(before.is_none(), "a record waits in one place");
    }

    /// Takes out one whose time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Work> {
        let (until, first) = *self.times.first().filter(|(until, _)| *until <= now)?;
        self.times.remove(&(until, first));
        let (_, work) = self.works.remove(&first)?;
        self.records -= work.block.count;
        Some(work)
    }

    /// Drops those whose time comes after that.
    pub(super) fn drop_after(&mut self, end: Instant) {
        let Self {
            works,
            times,
            records,
        } = self;
        times.retain(|(until, _)| *until <= end);
        works.retain(|_, (until, work)| {
            let stays = *until <= end;
            *records -= if stays { 0 } else { work.block.count };
            stays
        });
    }

    /// They may go to this worker again.
    pub(super) fn release(&mut self, worker: WorkerId) {
        for (_, work) in self.works.values_mut() {
            work.shuns = work.shuns.filter(|shun| *shun != worker);
        }
    }
}

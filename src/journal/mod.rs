//! The journal of a run that can be resumed (`--resume`): which outcomes are safely in the output.
//!
//! [`open`] looks a journal up, refuses what cannot be gone on with, and cuts the outputs back to
//! what it vouches for. [`resume_filter`] passes over what is done when the input is read again.
//! [`retried`] has what failed be tried again, and puts that into its place.
//! [`Journal`] is the engine's side of a run: it gathers what has been written, and hands it now
//! and then to the `keeper`, a thread of its own, which waits for the disk so that nobody else
//! does.
//!
//! Always:
//! - an entry is written when the bytes it vouches for are safe, and is made safe itself before the
//!   next one: first the outputs are synced, then the entry is appended, then the journal is
//!   synced;
//! - entries only add, so a journal cut short anywhere is that of an earlier moment; each names the
//!   one before, so nothing else that is done to it is taken for the truth;
//! - one is written at once if none was lately, and otherwise after an interval: a hundredth of the
//!   time the run has taken, at least 0.1 s and at most 1 s, since the last one was safe.

pub mod format;
mod keeper;
pub mod open;
#[cfg(test)]
pub(crate) mod played;
mod program;
pub mod resume_filter;
pub mod retried;
mod terms;

use std::io;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

pub use open::vouches_for;

use crate::outcome::Done;
use crate::output::WriteError;
use crate::schedule::{Doubts, Tally, WorkerFaults};
use crate::waker::{WakeAtEnd, Waker};
use format::Prefix;
use keeper::Keeper;
use open::Opened;

/// Between two entries, at least: the disk is not to be kept busy for little.
const SHORTEST: Duration = Duration::from_millis(100);
/// Between two entries, at most: what is done again when mtask is killed.
const LONGEST: Duration = Duration::from_secs(1);
/// How much of the time of a run may have to be done again where that is less.
const SHARE: u32 = 100;

/// An entry of so many ranges or places is written at once: the lines of a journal must not be too
/// long.
const MOST_RANGES: usize = 100_000;

/// What has been written, for the keeper.
#[derive(Debug, Default)]
struct WrittenOutcomes {
    /// Whose outcomes, since the last time.
    done: Done,
    /// The processes that failed though no record did, in all runs.
    worker_faults: WorkerFaults,
    /// How long COMMAND took at most until it was ready, where no entry tells of it yet.
    ready: Option<Duration>,
    /// The records whose results may stand in wrong places for that, where there are new ones.
    doubts: Doubts,
    /// The bytes that this run has written to the output, and to the file of `--errors`.
    output: u64,
    errors: u64,
    /// The input up to them, or a little further.
    input: Prefix,
    /// The input has ended, and all of it has its outcomes.
    is_whole: bool,
}

/// What the scheduler knows that is no outcome and yet for the journal.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The processes that failed though no record did, and which results are in doubt for it.
    pub tally: &'a Tally,
    /// How long COMMAND has taken until it was ready, if it was in this run.
    pub ready: Option<Duration>,
    /// Whether, at the end of the run, the input has ended and all its records have their outcomes.
    pub is_whole: bool,
}

/// The engine's side of a journal.
#[derive(Debug)]
pub struct Journal {
    to_keeper: Option<Sender<WrittenOutcomes>>,
    from_keeper: Receiver<Result<(), WriteError>>,
    /// What no entry tells of yet.
    fresh: WrittenOutcomes,
    /// The workers' faults that the last entry tells of.
    told: WorkerFaults,
    /// How long it has been told that COMMAND takes, where it has been.
    told_ready: Option<Duration>,
    /// Whether the last entry tells that the run was whole.
    told_whole: bool,
    /// How far the outcomes reach that have been written.
    end: u64,
    /// What has been read, from a little behind that on; the first mark tells that the input is the
    /// same as far as it was read in earlier runs.
    marks: Receiver<Prefix>,
    /// That has come, or there was nothing to be the same: until then nothing new is vouched for.
    is_proved: bool,
    /// How many entries are with the keeper.
    under_way: usize,
    began: Instant,
    /// Between two entries, at least.
    shortest: Duration,
    /// The next entry is not written before.
    next: Instant,
}

impl Journal {
    /// Starts the thread that keeps it. What has been read of the input comes from `marks`, always
    /// before it can have been written.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(opened: Opened, marks: Receiver<Prefix>, waker: &Waker) -> io::Result<Self> {
        let (to_keeper, orders) = unbounded();
        let (done, from_keeper) = unbounded();
        let end = opened.past.done.ranges.end();
        let told = opened.past.worker_faults;
        let told_ready = opened.was_ready();
        let told_whole = opened.past.is_whole;
        let opened_records = opened.past.input.records;
        let fresh = WrittenOutcomes {
            worker_faults: told,
            input: opened.past.input,
            is_whole: told_whole,
            ..WrittenOutcomes::default()
        };
        let keeper = Keeper::new(opened);
        let waker = waker.clone();
        std::thread::Builder::new().name("journal".into()).spawn(move || {
            let _last = WakeAtEnd(waker.clone());
            // The file before the sender, and with it the lock.
            let (done, mut keeper) = (done, keeper);
            for written in orders {
                let kept = keeper.keep(&written);
                // Once a disk has failed to keep something, nothing more is vouched for.
                let is_over = kept.is_err();
                if done.send(kept).is_err() || is_over {
                    break;
                }
                waker.wake();
            }
        })?;
        let now = Instant::now();
        Ok(Self {
            to_keeper: Some(to_keeper),
            from_keeper,
            fresh,
            told,
            told_ready,
            told_whole,
            end,
            marks,
            is_proved: opened_records == 0,
            under_way: 0,
            began: now,
            shortest: SHORTEST,
            next: now,
        })
    }

    /// These outcomes have been written, and with them so many bytes of the output and of the file
    /// of `--errors` in this run.
    pub fn wrote(&mut self, mut done: Done, output: u64, errors: u64) {
        self.end = self.end.max(done.ranges.end());
        // Here and not by the keeper: while that waits for the disk, marks would pile up.
        self.look_for_proof();
        while self.fresh.input.records < self.end
            && let Ok(mark) = self.marks.try_recv()
        {
            self.fresh.input = mark;
        }
        debug_assert!(self.fresh.input.records >= self.end);
        self.fresh.done.append(&mut done);
        self.fresh.is_whole = false;
        self.fresh.output = output;
        self.fresh.errors = errors;
        let done = &self.fresh.done;
        let most = done.ranges.len().max(done.failed_at.len()).max(done.results_at.len());
        if most >= MOST_RANGES && self.is_proved {
            self.hand_over();
        }
    }

    fn look_for_proof(&mut self) {
        if !self.is_proved
            && let Ok(mark) = self.marks.try_recv()
        {
            debug_assert_eq!(mark, self.fresh.input);
            self.is_proved = true;
        }
    }

    /// Has an entry written if it is time for one, of what is known too.
    ///
    /// # Errors
    /// Where an earlier one could not be written, or an output could not be made safe.
    pub fn tick(&mut self, known: Known<'_>, now: Instant) -> Result<(), WriteError> {
        self.learn(known);
        self.look_for_proof();
        while let Ok(kept) = self.from_keeper.try_recv() {
            kept?;
            self.under_way -= 1;
            self.next = now + ((now - self.began) / SHARE).clamp(self.shortest, LONGEST);
        }
        if !self.is_syncing() && self.has_more_to_tell() && now >= self.next {
            self.hand_over();
        }
        Ok(())
    }

    /// Whether the outputs may be being made safe. Who writes to a file meanwhile may have to wait
    /// for the disk.
    pub fn is_syncing(&self) -> bool {
        self.under_way > 0
    }

    /// When [`Journal::tick`] is to be called next; the engine is woken when the keeper is done.
    pub fn wake_at(&self) -> Option<Instant> {
        (!self.is_syncing() && self.has_more_to_tell()).then_some(self.next)
    }

    /// Whether the keeper has done something that [`Journal::tick`] will learn of.
    pub fn has_news(&self) -> bool {
        !self.from_keeper.is_empty()
    }

    fn has_more_to_tell(&self) -> bool {
        let has_news = !self.fresh.done.is_empty()
            || self.fresh.worker_faults != self.told
            || self.fresh.is_whole != self.told_whole
            || self.fresh.ready.is_some() && self.told_ready.is_none();
        has_news && self.is_proved
    }

    fn learn(&mut self, known: Known<'_>) {
        let worker_faults = known.tally.worker_faults();
        if worker_faults.protocol_violations != self.fresh.worker_faults.protocol_violations {
            self.fresh.doubts.clone_from(&known.tally.doubts);
        }
        self.fresh.worker_faults = worker_faults;
        self.fresh.ready = known.ready.filter(|took| Some(*took) > self.told_ready);
    }

    /// Has the last entry written. What comes from the receiver are the ends of the writes under
    /// way; it is closed when the journal is.
    pub fn finish(&mut self, known: Known<'_>) -> Receiver<Result<(), WriteError>> {
        self.learn(known);
        self.fresh.is_whole = known.is_whole;
        self.look_for_proof();
        if self.has_more_to_tell() {
            self.hand_over();
        }
        self.to_keeper = None;
        std::mem::replace(&mut self.from_keeper, bounded(0).1)
    }

    fn hand_over(&mut self) {
        self.told = self.fresh.worker_faults;
        self.told_ready = self.fresh.ready.or(self.told_ready);
        self.told_whole = self.fresh.is_whole;
        let written = WrittenOutcomes {
            done: std::mem::take(&mut self.fresh.done),
            ready: self.fresh.ready.take(),
            doubts: std::mem::take(&mut self.fresh.doubts),
            ..self.fresh
        };
        if let Some(keeper) = &self.to_keeper {
            // It ends only after an error, which is known by then.
            let _ = keeper.send(written);
        }
        self.under_way += 1;
    }
}

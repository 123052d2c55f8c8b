//! The way out: bytes to the output and to the files of `--errors` and `--exits`.
//!
//! A thread writes, so that a slow reader never stops the engine. While it has nothing to do, the
//! engine itself writes what is small, where that cannot block whoever else has the same file
//! (`output/at_once`): that saves a wake for each slow record. While the journal has a file synced,
//! writing to that can. The thread is started when there is something for it, if not before.
//!
//! Owns the files, and the journal of a run that can be resumed. Always: bytes are written in the
//! order in which they came, and those that are not written yet are counted in the budget; the
//! journal is told of outcomes when all their bytes are written.

pub(super) mod lane;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use crate::budget::Budget;
use crate::journal::{Journal, Known};
use crate::outcome::{Chunks, Done};
use crate::output::{Destination, Destinations, PIPE_BUF, Sink, Target, WriteError};
use crate::schedule::Written;
use crate::waker::Waker;
use lane::{Lane, WriteEnd, WriteJob};

/// The most bytes on their way at a time.
const ROOM: usize = 256 * 1024;
/// While the log is behind by so many bytes, no outcomes are taken.
const LOG_ROOM: usize = 4 * 1024 * 1024;

/// How many bytes have gone which way.
#[derive(Clone, Copy, Debug, Default)]
struct Throughput {
    results: u64,
    errors: u64,
}

impl Throughput {
    fn add(&mut self, target: Target, bytes: usize) {
        match target {
            Target::Results => self.results += bytes as u64,
            Target::Errors => self.errors += bytes as u64,
            Target::Exits | Target::Log => {}
        }
    }
}

/// Outcomes that are done once so much is written.
#[derive(Debug)]
struct JournalMark {
    done: Done,
    at: Throughput,
}

/// The engine's side of the outputs.
#[derive(Debug)]
pub struct Output<S> {
    files: Arc<Destinations<S>>,
    lane: Lane<S>,
    /// The log has a thread of its own: a reader who takes no results does not keep it back.
    log: Option<Lane<S>>,
    /// The most bytes on their way at a time.
    most: usize,
    journal: Option<Journal>,
    /// Taken over, to be written.
    taken: Throughput,
    written: Throughput,
    /// What the journal is to be told, in the order in which it will be written.
    promises: VecDeque<JournalMark>,
}

impl<S: Sink> Output<S> {
    /// Outputs to which nothing has been written yet.
    pub fn new(
        files: Destinations<S>,
        journal: Option<Journal>,
        budget: &Budget,
        waker: &Waker,
    ) -> Self {
        let files = Arc::new(files);
        let log = files.log.as_ref().map(|_| Lane::new("log", &files, budget, waker));
        Self {
            lane: Lane::new("output", &files, budget, waker),
            log,
            files,
            most: ROOM,
            journal,
            taken: Throughput::default(),
            written: Throughput::default(),
            promises: VecDeque::new(),
        }
    }

    /// Starts the writing threads, if they are not there yet.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start_writer(&mut self) -> io::Result<()> {
        self.lane.start_writer()?;
        self.log.as_mut().map_or(Ok(()), Lane::start_writer)
    }

    /// How many bytes may be handed over now.
    pub fn room(&self) -> usize {
        match &self.log {
            Some(log) if log.bytes() >= LOG_ROOM => 0,
            _ => self.most.saturating_sub(self.lane.bytes()),
        }
    }

    /// Whether no outcome is with the writing thread.
    pub fn is_idle(&self) -> bool {
        self.lane.is_idle()
    }

    /// Whether the writing thread has as much as it takes.
    pub fn is_busy(&self) -> bool {
        self.lane.is_busy()
    }

    /// Asks to be woken when a writing thread has done something that is waited for.
    pub fn await_writer(&self) {
        for lane in self.lanes().filter(|lane| !lane.is_idle()) {
            lane.await_writer();
        }
    }

    /// Whether a writing thread has done something that [`Output::flush`] will learn of.
    pub fn has_news(&self) -> bool {
        self.lanes().any(Lane::has_news) || self.journal.as_ref().is_some_and(Journal::has_news)
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane<S>> {
        [Some(&self.lane), self.log.as_ref()].into_iter().flatten()
    }

    fn lanes_mut(&mut self) -> impl Iterator<Item = &mut Lane<S>> {
        [Some(&mut self.lane), self.log.as_mut()].into_iter().flatten()
    }

    /// Hands over what is to be written, as far as it can be; what is left stays in `written`.
    ///
    /// # Errors
    /// What an earlier write came to.
    pub fn flush(&mut self, written: &mut Written, now: Instant) -> Result<(), WriteError> {
        self.promise(written);
        while let Some(WriteJob { target, bytes }) = self.lane.take_written()? {
            self.wrote(target, bytes.len());
            written.results.reuse(bytes);
        }
        if let Some(log) = &mut self.log {
            while log.take_written()?.is_some() {}
        }
        if !written.results.is_empty() {
            let is_small = written.results.len() <= PIPE_BUF;
            let results = &self.files.results;
            let is_syncing = self.journal.as_ref().is_some_and(Journal::is_syncing);
            if is_small && self.is_idle() && !is_syncing {
                let count = results.write_at_once(written.results.first())?;
                written.results.advance(count);
                self.taken.add(Target::Results, count);
                self.wrote(Target::Results, count);
            }
            self.hand_over(Target::Results, &mut written.results)?;
        }
        if !written.errors.is_empty() {
            self.hand_over(Target::Errors, &mut written.errors)?;
        }
        self.lanes_mut().for_each(|lane| lane.watch(now));
        Ok(())
    }

    /// Notes what the journal is to be told once all that is in `written` now is written; of
    /// outcomes without a byte that may be now.
    fn promise(&mut self, written: &mut Written) {
        if self.journal.is_some() && !written.done.is_empty() {
            let done = std::mem::take(&mut written.done);
            let mut at = self.taken;
            at.add(Target::Results, written.results.len());
            at.add(Target::Errors, written.errors.len());
            self.promises.push_back(JournalMark { done, at });
            self.tell_journal();
        }
    }

    fn wrote(&mut self, target: Target, bytes: usize) {
        self.written.add(target, bytes);
        self.tell_journal();
    }

    /// Tells the journal of the outcomes all of whose bytes are written.
    fn tell_journal(&mut self) {
        let Some(journal) = &mut self.journal else {
            return;
        };
        let written = self.written;
        let is_kept = |at: Throughput| at.results <= written.results && at.errors <= written.errors;
        while self.promises.front().is_some_and(|next| is_kept(next.at))
            && let Some(JournalMark { done, at }) = self.promises.pop_front()
        {
            journal.wrote(done, at.results, at.errors);
        }
    }

    /// Has the journal written if it is time for that, with what is known so far.
    ///
    /// # Errors
    /// Where it cannot be, or what it is to vouch for cannot be made safe.
    pub fn keep_journal(&mut self, known: Known<'_>, now: Instant) -> Result<(), WriteError> {
        match &mut self.journal {
            Some(journal) => journal.tick(known, now),
            None => Ok(()),
        }
    }

    /// When [`Output::keep_journal`] is to be called.
    pub fn journal_wake_at(&self) -> Option<Instant> {
        self.journal.as_ref().and_then(Journal::wake_at)
    }

    /// Has the journal written for the last time. What comes from the receiver are the ends of its
    /// writes; it is closed when that is over.
    pub fn finish_journal(&mut self, known: Known<'_>) -> Option<Receiver<Result<(), WriteError>>> {
        (self.journal.take()).map(|mut journal| journal.finish(known))
    }

    fn hand_over(&mut self, target: Target, bytes: &mut Chunks) -> Result<(), WriteError> {
        if bytes.is_empty() || self.is_busy() {
            return Ok(());
        }
        self.taken.add(target, bytes.len());
        self.lane.send(target, bytes.take())
    }

    /// Writes what a process had to say at its end, a line; gives whether there is a file for it.
    ///
    /// # Errors
    /// Where there is no thread to write it.
    pub fn keep_exit(&mut self, line: Chunks) -> Result<bool, WriteError> {
        let is_kept = self.files.exits.is_some();
        if is_kept {
            self.lane.send(Target::Exits, line)?;
        }
        Ok(is_kept)
    }

    /// Writes lines of the log.
    ///
    /// # Errors
    /// Where there is no thread to write them.
    pub fn log(&mut self, lines: Chunks) -> Result<(), WriteError> {
        match &mut self.log {
            Some(log) => log.send(Target::Log, lines),
            None => Ok(()),
        }
    }

    /// Nothing more is logged. What comes from the receiver are the ends of what is still to be
    /// written; it is closed when that is over.
    pub(in crate::engine) fn finish_log(&mut self) -> Option<Receiver<WriteEnd>> {
        self.log.as_mut().map(Lane::close)
    }

    /// When [`Output::remind`] is to be asked.
    pub fn next_reminder(&self) -> Option<Instant> {
        self.lanes().filter_map(Lane::next_reminder).min()
    }

    /// mtask was stopped for so long.
    pub fn was_suspended(&mut self, pause: Duration) {
        self.lanes_mut().for_each(|lane| lane.was_suspended(pause));
    }

    /// Names a file that has taken nothing for long, at doubling intervals.
    pub fn remind(&mut self, now: Instant) -> Option<String> {
        self.lanes_mut().find_map(|lane| lane.remind(now))
    }

    /// Closes the outputs: some file systems tell only now that a write has failed.
    ///
    /// # Errors
    /// What close(2) reports.
    pub fn close(&self) -> Result<(), WriteError> {
        self.files.all().try_for_each(Sink::close)
    }
}

impl Output<Destination> {
    /// The file that results go to.
    pub fn results(&self) -> BorrowedFd<'_> {
        self.files.results.file.as_fd()
    }
}

#[cfg(test)]
pub(super) mod played;
#[cfg(test)]
mod tests;

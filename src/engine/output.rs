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

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::budget::Budget;
use crate::journal::{Journal, Known};
use crate::outcome::{Chunks, Done};
use crate::output::{Destination, Destinations, PIPE_BUF, Sink, Target, WriteError};
use crate::schedule::Written;
use crate::sys;
use crate::waker::Waker;

/// The most bytes on their way at a time.
const ROOM: usize = 256 * 1024;
/// The most parcels with the writing thread: one being written, one ready.
const PARCELS: usize = 2;
/// An output that takes nothing for so long is named.
const REMINDER: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct WriteJob {
    target: Target,
    bytes: Chunks,
}

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
            Target::Exits => {}
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
    writer: OutputWriter<S>,
    from_writer: Receiver<Result<WriteJob, WriteError>>,
    /// Set by the engine when it waits for the writer.
    is_awaited: Arc<AtomicBool>,
    /// Where the parcels with the writing thread go; it works on the first.
    parcels: VecDeque<Target>,
    bytes: usize,
    /// The most bytes on their way at a time.
    most: usize,
    /// Since when nothing has been written though there is something, and when to say so next.
    stall: Option<(Instant, Instant)>,
    budget: Budget,
    journal: Option<Journal>,
    /// Taken over, to be written.
    taken: Throughput,
    written: Throughput,
    /// What the journal is to be told, in the order in which it will be written.
    promises: VecDeque<JournalMark>,
}

/// The engine is gone: nobody asks what has been written.
struct WriterGone;

/// The writing thread.
#[derive(Debug)]
enum OutputWriter<S> {
    /// It is not there yet.
    NotYet(Writing<S>),
    /// Where it takes parcels from, until that is dropped.
    Thread(Sender<WriteJob>),
}

/// What it does.
#[derive(Debug)]
struct Writing<S> {
    files: Arc<Destinations<S>>,
    done: Sender<Result<WriteJob, WriteError>>,
    is_awaited: Arc<AtomicBool>,
    waker: Waker,
    budget: Budget,
    is_broken: bool,
}

impl<S: Sink> Writing<S> {
    /// The same once more, should the thread not start.
    fn again(&self) -> Self {
        Self {
            files: Arc::clone(&self.files),
            done: self.done.clone(),
            is_awaited: Arc::clone(&self.is_awaited),
            waker: self.waker.clone(),
            budget: self.budget.clone(),
            is_broken: self.is_broken,
        }
    }

    /// Starts the thread.
    fn start(mut self) -> io::Result<Sender<WriteJob>> {
        let (to_writer, parcels) = unbounded();
        let write = move || {
            for job in parcels {
                if self.write(job).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("output".into()).spawn(write)?;
        Ok(to_writer)
    }

    /// Writes one, and says what came of it; fails once the engine is gone.
    fn write(&mut self, job: WriteJob) -> Result<(), WriterGone> {
        let WriteJob { target, bytes } = job;
        // Nothing may follow what is missing, should there be room again.
        if self.is_broken && target != Target::Exits {
            self.budget.free(bytes.len());
            return Ok(());
        }
        let outcome = self.files.of(target).write_all(&mut bytes.slices());
        self.is_broken |= outcome.is_err();
        // Here and now, for the reader of the input may wait for it.
        self.budget.free(bytes.len());
        let outcome = outcome.map(|()| WriteJob { target, bytes });
        self.done.send(outcome).map_err(|_| WriterGone)?;
        if self.is_awaited.swap(false, SeqCst) {
            self.waker.wake();
        }
        Ok(())
    }
}

impl<S: Sink> Output<S> {
    /// Outputs to which nothing has been written yet.
    pub fn new(
        files: Destinations<S>,
        journal: Option<Journal>,
        budget: &Budget,
        waker: &Waker,
    ) -> Self {
        let (done, from_writer) = unbounded();
        let is_awaited = Arc::new(AtomicBool::new(false));
        let files = Arc::new(files);
        let writing = Writing {
            files: Arc::clone(&files),
            done,
            is_awaited: Arc::clone(&is_awaited),
            waker: waker.clone(),
            budget: budget.clone(),
            is_broken: false,
        };
        Self {
            files,
            writer: OutputWriter::NotYet(writing),
            from_writer,
            is_awaited,
            parcels: VecDeque::new(),
            bytes: 0,
            most: ROOM,
            stall: None,
            budget: budget.clone(),
            journal,
            taken: Throughput::default(),
            written: Throughput::default(),
            promises: VecDeque::new(),
        }
    }

    /// Starts the writing thread, if it is not there yet.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start_writer(&mut self) -> io::Result<()> {
        if let OutputWriter::NotYet(writing) = &self.writer {
            self.writer = OutputWriter::Thread(writing.again().start()?);
        }
        Ok(())
    }

    /// How many bytes may be handed over now.
    pub fn room(&self) -> usize {
        self.most.saturating_sub(self.bytes)
    }

    /// Whether nothing is with the writing thread.
    pub fn is_idle(&self) -> bool {
        self.parcels.is_empty()
    }

    /// Whether the writing thread has as much as it takes.
    pub fn is_busy(&self) -> bool {
        self.parcels.len() >= PARCELS
    }

    /// Asks to be woken when the writing thread has done something.
    pub fn await_writer(&self) {
        self.is_awaited.store(true, SeqCst);
    }

    /// Whether the writing thread has done something that [`Output::flush`] will learn of.
    pub fn has_news(&self) -> bool {
        !self.from_writer.is_empty() || self.journal.as_ref().is_some_and(Journal::has_news)
    }

    /// Hands over what is to be written, as far as it can be; what is left stays in `written`.
    ///
    /// # Errors
    /// What an earlier write came to.
    pub fn flush(&mut self, written: &mut Written, now: Instant) -> Result<(), WriteError> {
        self.promise(written);
        while let Ok(job) = self.from_writer.try_recv() {
            self.parcels.pop_front();
            self.stall = None;
            let WriteJob { target, bytes } = job?;
            self.bytes -= bytes.len();
            self.wrote(target, bytes.len());
            written.results.reuse(bytes);
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
        if !self.is_idle() {
            self.stall.get_or_insert((now, now + REMINDER));
        }
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
        self.send(target, bytes.take())
    }

    /// Writes what a process had to say at its end, a line; gives whether there is a file for it.
    ///
    /// # Errors
    /// Where there is no thread to write it.
    pub fn keep_exit(&mut self, line: Chunks) -> Result<bool, WriteError> {
        let is_kept = self.files.exits.is_some();
        if is_kept {
            self.send(Target::Exits, line)?;
        }
        Ok(is_kept)
    }

    fn send(&mut self, target: Target, bytes: Chunks) -> Result<(), WriteError> {
        self.start_writer().map_err(|error| {
            let way_out = sys::limit(&error).map(|limit| format!("; raise {limit}"));
            let way_out = way_out.unwrap_or_default();
            WriteError {
                file: self.files.of(target).name().into(),
                error: io::Error::other(format!("no thread to be had: {error}{way_out}")),
            }
        })?;
        if let OutputWriter::Thread(writer) = &self.writer {
            self.parcels.push_back(target);
            self.bytes += bytes.len();
            self.budget.add(bytes.len());
            // The thread ends only with the engine.
            let _ = writer.send(WriteJob { target, bytes });
        }
        Ok(())
    }

    /// When [`Output::remind`] is to be asked.
    pub fn next_reminder(&self) -> Option<Instant> {
        self.stall.filter(|_| !self.is_idle()).map(|(_, next)| next)
    }

    /// mtask was stopped for so long.
    pub fn was_suspended(&mut self, pause: Duration) {
        self.stall = (self.stall).map(|(since, next)| (since + pause, next + pause));
    }

    /// Names an output that nobody has read for long, at doubling intervals.
    pub fn remind(&mut self, now: Instant) -> Option<String> {
        let target = *self.parcels.front()?;
        let (since, next) = self.stall?;
        if now < next {
            return None;
        }
        let waited = now - since;
        self.stall = Some((since, now + waited));
        Some(format!(
            "{} has taken nothing for {} s: it is waited for",
            self.files.of(target).name(),
            waited.as_secs()
        ))
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

//! A thread that writes, and the engine's side of it.
//!
//! The thread is started when there is something for it, if not before. Always: bytes are written in
//! the order in which they came, and nothing after what could not be; those that are not written yet
//! are counted in the budget.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use crate::budget::Budget;
use crate::outcome::Chunks;
use crate::output::{Destinations, Sink, Target, WriteError};
use crate::sys;
use crate::waker::{WakeAtEnd, Waker};

/// The most parcels with the thread: one being written, one ready.
const PARCELS: usize = 2;
/// An output that takes nothing for so long is named.
pub(super) const REMINDER: Duration = Duration::from_secs(60);

/// Bytes for one of the files.
#[derive(Debug)]
pub(in crate::engine) struct WriteJob {
    pub(super) target: Target,
    pub(super) bytes: Chunks,
}

/// What came of one.
pub(in crate::engine) type WriteEnd = Result<WriteJob, WriteError>;

/// The engine's side of a thread that writes.
#[derive(Debug)]
pub(super) struct Lane<S> {
    files: Arc<Destinations<S>>,
    pub(super) writer: OutputWriter<S>,
    pub(super) ends: Receiver<WriteEnd>,
    /// Set by the engine when it waits for the thread.
    is_awaited: Arc<AtomicBool>,
    /// Where the parcels with the thread go; it works on the first.
    parcels: VecDeque<Target>,
    bytes: usize,
    /// Since when nothing has been written though there is something, and when to say so next.
    stall: Option<(Instant, Instant)>,
    budget: Budget,
}

/// The engine is gone: nobody asks what has been written.
pub(super) struct WriterGone;

/// The writing thread.
#[derive(Debug)]
pub(super) enum OutputWriter<S> {
    /// It is not there yet.
    NotYet(Writing<S>),
    /// Where it takes parcels from, until that is dropped.
    Thread(Sender<WriteJob>),
    /// It is to write what it has, and to end.
    Closed,
}

/// What it does.
#[derive(Debug)]
pub(super) struct Writing<S> {
    /// How the thread is called.
    name: &'static str,
    files: Arc<Destinations<S>>,
    done: Sender<WriteEnd>,
    is_awaited: Arc<AtomicBool>,
    waker: Waker,
    budget: Budget,
    is_broken: bool,
}

impl<S: Sink> Writing<S> {
    /// The same once more, should the thread not start.
    pub(super) fn again(&self) -> Self {
        Self {
            name: self.name,
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
        let name = self.name.into();
        let write = move || {
            let _last = WakeAtEnd(self.waker.clone());
            for job in parcels {
                if self.write(job).is_err() {
                    return;
                }
            }
            drop(self);
        };
        thread::Builder::new().name(name).spawn(write)?;
        Ok(to_writer)
    }

    /// Writes one, and says what came of it; fails once the engine is gone.
    pub(super) fn write(&mut self, job: WriteJob) -> Result<(), WriterGone> {
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

impl<S: Sink> Lane<S> {
    /// Nothing has been written yet by the thread, which has this name.
    pub(super) fn new(
        name: &'static str,
        files: &Arc<Destinations<S>>,
        budget: &Budget,
        waker: &Waker,
    ) -> Self {
        let (done, ends) = unbounded();
        let is_awaited = Arc::new(AtomicBool::new(false));
        let writing = Writing {
            name,
            files: Arc::clone(files),
            done,
            is_awaited: Arc::clone(&is_awaited),
            waker: waker.clone(),
            budget: budget.clone(),
            is_broken: false,
        };
        Self {
            files: Arc::clone(files),
            writer: OutputWriter::NotYet(writing),
            ends,
            is_awaited,
            parcels: VecDeque::new(),
            bytes: 0,
            stall: None,
            budget: budget.clone(),
        }
    }

    /// Starts the thread, if it is not there yet.
    pub(super) fn start_writer(&mut self) -> io::Result<()> {
        if let OutputWriter::NotYet(writing) = &self.writer {
            self.writer = OutputWriter::Thread(writing.again().start()?);
        }
        Ok(())
    }

    /// The bytes that are with the thread.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is with the thread.
    pub(super) fn is_idle(&self) -> bool {
        self.parcels.is_empty()
    }

    /// Whether the thread has as much as it takes.
    pub(super) fn is_busy(&self) -> bool {
        self.parcels.len() >= PARCELS
    }

    /// Asks to be woken when the thread has done something.
    pub(super) fn await_writer(&self) {
        self.is_awaited.store(true, SeqCst);
    }

    /// Whether the thread has done something that has not been asked for.
    pub(super) fn has_news(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Takes what has been written next, if anything has been.
    pub(super) fn take_written(&mut self) -> Result<Option<WriteJob>, WriteError> {
        match self.ends.try_recv() {
            Ok(end) => {
                self.parcels.pop_front();
                self.stall = None;
                let job = end?;
                self.bytes -= job.bytes.len();
                Ok(Some(job))
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => Ok(None),
        }
    }

    /// Hands bytes over.
    pub(super) fn send(&mut self, target: Target, bytes: Chunks) -> Result<(), WriteError> {
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

    /// Nothing more comes. What comes from the receiver are the ends of what is still to be written;
    /// it is closed, and the engine woken, when that is over.
    pub(super) fn close(&mut self) -> Receiver<WriteEnd> {
        self.writer = OutputWriter::Closed;
        self.ends.clone()
    }

    /// Notes that something is with the thread, if it is.
    pub(super) fn watch(&mut self, now: Instant) {
        if !self.is_idle() {
            self.stall.get_or_insert((now, now + REMINDER));
        }
    }

    /// When [`Lane::remind`] is to be asked.
    pub(super) fn next_reminder(&self) -> Option<Instant> {
        self.stall.filter(|_| !self.is_idle()).map(|(_, next)| next)
    }

    /// mtask was stopped for so long.
    pub(super) fn was_suspended(&mut self, pause: Duration) {
        self.stall = (self.stall).map(|(since, next)| (since + pause, next + pause));
    }

    /// Names a file that has taken nothing for long, at doubling intervals.
    pub(super) fn remind(&mut self, now: Instant) -> Option<String> {
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
}

//! Everything mtask says on stderr: its own messages and what workers write there.
//!
//! A thread writes, so that a reader who takes nothing never stops the engine. It is started before
//! there is anything to say: where it could not be, it would be a limit on processes that is to be
//! named. Always: whole lines are written at a time, and only so many bytes wait.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, at, bounded, never, select, unbounded};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::config::Verbosity;
use crate::signal::Request;
use crate::waker::Waker;

/// With so many bytes waiting, workers' stderr is not read.
const ENOUGH: usize = 128 * 1024;
/// With so many, mtask's own warnings are dropped.
const TOO_MANY: usize = 1024 * 1024;

/// mtask's stderr.
#[derive(Debug)]
pub struct Messages {
    verbosity: Verbosity,
    lines: Vec<u8>,
    /// Until [`Messages::finish`].
    writer: Option<Writer>,
}

/// The thread that writes.
#[derive(Debug)]
struct Writer {
    texts: Sender<Vec<u8>>,
    /// Is closed when the thread has ended.
    end: Receiver<()>,
    waiting: Arc<AtomicUsize>,
    is_awaited: Arc<AtomicBool>,
}

impl Messages {
    /// Starts the writing thread. Warnings are shown or, with `--quiet`, left out.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(verbosity: Verbosity, waker: &Waker) -> io::Result<Self> {
        Ok(Self {
            verbosity,
            lines: Vec::new(),
            writer: Some(Writer::start(waker.clone())?),
        })
    }

    /// Says that the run cannot go on or has failed.
    pub fn error(&mut self, text: &str) {
        self.send(format!("mtask: {text}\n").into_bytes());
    }

    /// Says something that mtask copes with.
    pub fn warning(&mut self, text: &str) {
        if self.verbosity == Verbosity::Normal && self.waiting() < TOO_MANY {
            self.error(text);
        }
    }

    /// Where whole lines of workers are put for the next [`Messages::flush`].
    pub(crate) fn lines(&mut self) -> &mut Vec<u8> {
        &mut self.lines
    }

    /// Passes on the lines of workers.
    pub(crate) fn flush(&mut self) {
        if !self.lines.is_empty() {
            let lines = std::mem::take(&mut self.lines);
            self.send(lines);
        }
    }

    /// Whether no more should be read of what workers write to stderr. The engine is woken when
    /// that has changed.
    pub(crate) fn is_full(&self) -> bool {
        let Some(writer) = &self.writer else {
            return false;
        };
        if writer.waiting.load(SeqCst) < ENOUGH {
            return false;
        }
        writer.is_awaited.store(true, SeqCst);
        writer.waiting.load(SeqCst) >= ENOUGH
    }

    /// Waits until everything is written; once mtask was told to end, until that time at most, and
    /// no longer than until the next signal.
    pub(crate) fn finish(&mut self, requests: &Receiver<Request>, end_by: Option<Instant>) {
        let Some(Writer { texts, end, .. }) = self.writer.take() else {
            return;
        };
        drop(texts);
        let deadline = end_by.map_or_else(never, at);
        loop {
            select! {
                recv(end) -> _ => return,
                recv(deadline) -> _ => return,
                recv(requests) -> request => match request {
                    Ok(Request::End(_)) | Err(_) => return,
                    Ok(_) => {}
                },
            }
        }
    }

    fn waiting(&self) -> usize {
        self.writer
            .as_ref()
            .map_or(0, |writer| writer.waiting.load(SeqCst))
    }

    fn send(&mut self, text: Vec<u8>) {
        if let Some(writer) = &self.writer {
            writer.waiting.fetch_add(text.len(), SeqCst);
            // The writing thread ends only with the messages.
            let _ = writer.texts.send(text);
        }
    }
}

impl Writer {
    fn start(waker: Waker) -> io::Result<Self> {
        let (texts, received) = unbounded::<Vec<u8>>();
        let (ended, end) = bounded(0);
        let waiting = Arc::new(AtomicUsize::new(0));
        let is_awaited = Arc::new(AtomicBool::new(false));
        let (left, awaited) = (Arc::clone(&waiting), Arc::clone(&is_awaited));
        let write = move || {
            for text in received {
                write_all(&text);
                left.fetch_sub(text.len(), SeqCst);
                if awaited.swap(false, SeqCst) {
                    waker.wake();
                }
            }
            drop::<Sender<()>>(ended);
        };
        thread::Builder::new()
            .name("messages".into())
            .spawn(write)?;
        Ok(Self {
            texts,
            end,
            waiting,
            is_awaited,
        })
    }
}

/// Writes to stderr. Nothing can be said about a stderr that takes nothing.
fn write_all(mut text: &[u8]) {
    let stderr = rustix::stdio::stderr();
    while !text.is_empty() {
        match rustix::io::write(stderr, text) {
            Ok(count) => text = &text[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => drop(poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], None)),
            Err(_) => return,
        }
    }
}

//! Everything mtask says on stderr: its own messages and what workers write there.
//!
//! A thread writes, so that a reader who takes nothing never stops the engine; it draws the
//! progress as well. It is started when there is something to say, if not before; where the system
//! has no thread left to give, the engine writes what stderr takes at once. Always: whole lines are
//! ordered, and written in their order; only so many bytes wait; nothing but what workers write to
//! stderr themselves is passed on as it is, all else with [`visible`] text alone.

#[cfg(test)]
pub(super) mod played;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::output::at_once::AtOnce;
use crate::report::Verbosity;
use crate::report::{Display, Level, Notice, Place};
use crate::visible;
use crate::waker::{WakeAtEnd, Waker};

/// With so many bytes waiting, workers' stderr is not read.
const ENOUGH: usize = 128 * 1024;
/// With so many, mtask's own warnings are dropped.
const TOO_MANY: usize = 1024 * 1024;

/// So much text is written together.
const TOGETHER: usize = 64 * 1024;
/// What a pipe takes at once if it takes anything, at the least (`_POSIX_PIPE_BUF`).
const PIPE_BUF: usize = 512;
/// How long a terminal that takes nothing may put off that mtask is stopped.
const CLEARED_WITHIN: Duration = Duration::from_millis(200);
/// The last messages have so long to be written, though nothing else may go on.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(200);

/// mtask's stderr.
#[derive(Debug)]
pub struct Messages {
    verbosity: Verbosity,
    lines: Vec<u8>,
    writer: StderrWriter,
    has_display: bool,
}

/// What the thread that writes is told.
#[derive(Debug)]
enum WriterCommand {
    /// Write this, whole lines.
    Write(Vec<u8>),
    /// Show the progress from now on.
    Show(Box<Display>),
    /// Take it off the screen, and drop the sender when that is done.
    Clear(Sender<()>),
    /// Show it again; mtask stood still for so long.
    GoOn(Duration),
    /// Show its end, which was at that time.
    End(Instant),
}

/// Who writes.
#[derive(Debug)]
enum StderrWriter {
    /// Nobody yet. The thread will wake the engine.
    NotYet(Waker),
    /// The thread.
    Thread(WriterThread),
    /// Nobody any more: [`Messages::close`].
    Closed,
}

/// The engine's side of the thread that writes.
#[derive(Debug)]
struct WriterThread {
    orders: Sender<WriterCommand>,
    /// Is closed when the thread has ended.
    end: Receiver<()>,
    waiting: Arc<AtomicUsize>,
    is_awaited: Arc<AtomicBool>,
}

impl Messages {
    /// Nothing has been said yet. Warnings are shown or, with `--quiet`, left out.
    pub fn new(verbosity: Verbosity, waker: &Waker) -> Self {
        Self {
            verbosity,
            lines: Vec::new(),
            writer: StderrWriter::NotYet(waker.clone()),
            has_display: false,
        }
    }

    /// Starts the writing thread, if it is not there yet.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start_writer(&mut self) -> io::Result<()> {
        if let StderrWriter::NotYet(waker) = &self.writer {
            self.writer = StderrWriter::Thread(WriterThread::start(waker.clone())?);
        }
        Ok(())
    }

    /// Says something that the scheduler has told.
    pub(crate) fn say(&mut self, notice: &Notice) {
        match notice.level {
            Level::Error => self.error(&notice.text),
            Level::Warning => self.warning(&notice.text),
        }
        if let Some(text) = &notice.quoted {
            self.quote(text);
        }
    }

    /// Says that the run cannot go on or has failed, on one line.
    pub fn error(&mut self, text: &str) {
        self.send(format!("mtask: {}\n", visible::line(text)).into_bytes());
    }

    /// Shows what somebody else has said, below what it was said for.
    pub(crate) fn quote(&mut self, text: &str) {
        self.send((visible::lines(text) + "\n").into_bytes());
    }

    /// Says something that mtask copes with.
    pub fn warning(&mut self, text: &str) {
        if self.verbosity == Verbosity::Normal && self.waiting() < TOO_MANY {
            self.error(text);
        }
    }

    /// Says whole lines that were asked for, `--quiet` or not.
    pub(crate) fn report(&mut self, lines: &str) {
        if !lines.is_empty() {
            self.send(visible::lines(lines).into_bytes());
        }
    }

    /// Shows the progress of the run from now on.
    pub fn show(&mut self, display: Display) {
        self.has_display = true;
        self.order(WriterCommand::Show(Box::new(display)));
    }

    /// Takes the progress off the screen before mtask is stopped: a shell is to write there.
    pub(crate) fn clear_progress(&mut self) {
        if self.has_display {
            let (cleared, is_cleared) = bounded(0);
            self.order(WriterCommand::Clear(cleared));
            let _ = is_cleared.recv_timeout(CLEARED_WITHIN);
        }
    }

    /// Shows it again, after so long.
    pub(crate) fn go_on_with_progress(&mut self, pause: Duration) {
        if self.has_display {
            self.order(WriterCommand::GoOn(pause));
        }
    }

    /// Shows how the run has ended.
    pub(crate) fn end_progress(&mut self, now: Instant) {
        if std::mem::take(&mut self.has_display) {
            self.order(WriterCommand::End(now));
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
        let StderrWriter::Thread(writer) = &self.writer else {
            return false;
        };
        if writer.waiting.load(SeqCst) < ENOUGH {
            return false;
        }
        writer.is_awaited.store(true, SeqCst);
        writer.waiting.load(SeqCst) >= ENOUGH
    }

    /// Nothing more will be said. What comes from this is closed, and the engine woken, when
    /// everything is written; `None` where there never was anything.
    pub(crate) fn close(&mut self) -> Option<Receiver<()>> {
        match std::mem::replace(&mut self.writer, StderrWriter::Closed) {
            StderrWriter::Thread(writer) => Some(writer.end),
            StderrWriter::NotYet(_) | StderrWriter::Closed => None,
        }
    }

    fn waiting(&self) -> usize {
        match &self.writer {
            StderrWriter::Thread(writer) => writer.waiting.load(SeqCst),
            StderrWriter::NotYet(_) | StderrWriter::Closed => 0,
        }
    }

    fn send(&mut self, text: Vec<u8>) {
        self.order(WriterCommand::Write(text));
    }

    fn order(&mut self, order: WriterCommand) {
        let _ = self.start_writer();
        match (&self.writer, order) {
            (StderrWriter::Thread(writer), order) => {
                if let WriterCommand::Write(text) = &order {
                    writer.waiting.fetch_add(text.len(), SeqCst);
                }
                // The thread ends only with the messages.
                let _ = writer.orders.send(order);
            }
            (StderrWriter::NotYet(_), WriterCommand::Write(text)) => write_at_once(&text),
            // Progress needs the thread.
            (StderrWriter::NotYet(_) | StderrWriter::Closed, _) => {}
        }
    }
}

/// Where the run does not begin, what was said is written before it is said why, unless nobody
/// takes it.
impl Drop for Messages {
    fn drop(&mut self) {
        if let Some(written) = self.close() {
            let _ = written.recv_timeout(LAST_WORDS);
        }
    }
}

impl WriterThread {
    fn start(waker: Waker) -> io::Result<Self> {
        let (orders, received) = unbounded();
        let (ended, end) = bounded(0);
        let waiting = Arc::new(AtomicUsize::new(0));
        let is_awaited = Arc::new(AtomicBool::new(false));
        let (left, awaited) = (Arc::clone(&waiting), Arc::clone(&is_awaited));
        let write = move || {
            let _last = WakeAtEnd(waker.clone());
            let _ended = ended;
            obey(&received, |written| {
                left.fetch_sub(written, SeqCst);
                if awaited.swap(false, SeqCst) {
                    waker.wake();
                }
            });
        };
        thread::Builder::new().name("messages".into()).spawn(write)?;
        Ok(Self {
            orders,
            end,
            waiting,
            is_awaited,
        })
    }
}

/// Does what is ordered until nobody is left to order; `note` is told how many bytes of text have
/// been written.
fn obey(orders: &Receiver<WriterCommand>, note: impl Fn(usize)) {
    let mut display: Option<Box<Display>> = None;
    let mut is_cleared = false;
    let mut held = None;
    loop {
        let next = display.as_ref().filter(|_| !is_cleared).map(|it| it.next());
        let order = match (held.take(), next) {
            (Some(order), _) => Ok(order),
            (None, Some(next)) => orders.recv_deadline(next),
            (None, None) => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let now = Instant::now();
        match (order, &mut display) {
            (Ok(WriterCommand::Write(mut text)), display) => {
                held = gather(orders, &mut text);
                match display {
                    Some(display) => write_all(&display.write(&text, Place::look(), now)),
                    None => write_all(&text),
                }
                note(text.len());
            }
            (Ok(WriterCommand::Show(shown)), display) => *display = Some(shown),
            (Ok(WriterCommand::Clear(_cleared)), Some(display)) => {
                write_all(&display.clear(Place::look()));
                is_cleared = true;
            }
            (Ok(WriterCommand::GoOn(pause)), Some(display)) => {
                display.shift(pause, now);
                is_cleared = false;
            }
            (Ok(WriterCommand::End(at)), Some(shown)) => {
                write_all(&shown.finish(Place::look(), at));
                display = None;
            }
            (Err(RecvTimeoutError::Timeout), Some(display)) => {
                write_all(&display.draw(Place::look(), now));
            }
            (Err(RecvTimeoutError::Disconnected), _) => return,
            (_, None) => {}
        }
    }
}

/// Adds the texts that wait already to the first one. Gives what came behind them, if anything.
fn gather(orders: &Receiver<WriterCommand>, text: &mut Vec<u8>) -> Option<WriterCommand> {
    while text.len() < TOGETHER {
        match orders.try_recv() {
            Ok(WriterCommand::Write(more)) => text.extend(more),
            Ok(other) => return Some(other),
            Err(_) => return None,
        }
    }
    None
}

/// Writes to stderr what it takes without a wait. The rest is lost.
fn write_at_once(mut text: &[u8]) {
    let stderr = rustix::stdio::stderr();
    let at_once = AtOnce::of(stderr);
    while !text.is_empty() {
        let written = match &at_once {
            Some(at_once) => at_once.write(stderr, text),
            None => Err(Errno::OPNOTSUPP),
        };
        match written.or_else(|error| match error {
            Errno::OPNOTSUPP => write_if_polled(text),
            other => Err(other),
        }) {
            Ok(count) => text = &text[count..],
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Where there is no better way: somebody else may fill a pipe in between.
fn write_if_polled(text: &[u8]) -> Result<usize, Errno> {
    let stderr = rustix::stdio::stderr();
    let no_wait = Timespec::default();
    match poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&no_wait))? {
        1 => rustix::io::write(stderr, &text[..text.len().min(PIPE_BUF)]),
        _ => Err(Errno::AGAIN),
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

//! The one thread that runs everything: it turns what the pipes, the input, the signals and the
//! clock say into events for the [`Scheduler`], and does what that asks for.
//!
//! Owns the processes and all of mtask's ends of their pipes. Always: while processes run it waits
//! in poll(2) and nowhere else, so nothing that one worker does keeps the others waiting. It waits
//! for another thread only where it has nothing else to do: at the end, for the journal to be safe
//! and for messages to be written, and briefly for the progress to be cleared before mtask is
//! stopped. The input and the output have a thread each, however many workers there are.

mod answers;
mod arrivals;
mod ends;
mod messages;
mod output;
mod processes;
mod pulse;
mod requests;
#[cfg(test)]
mod simulation;
mod successors;
mod system;
mod wait;
mod world;

use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use rustix::process::Signal;

pub use messages::Messages;
pub use output::Output;
pub use system::System;

use crate::budget::Budget;
use crate::exit::Status;
use crate::input::Arrival;
use crate::output::WriteError;
use crate::output::rewrite::Pages;
use crate::protocol::{self, Attempts, Wanted};
use crate::report::Report;
use crate::schedule::{Action, Reading, Scheduler, WorkerId};
use crate::shape::Shape;
use crate::waker::Waker;
use crate::worker::child::Child;
use crate::worker::stderr::{AdapterNotes, StderrTags};
use processes::RunningProcess;
use pulse::Pulse;
use requests::Paused;
use world::{Source, World};

/// The room for a read: what a pipe holds, behind the beginning of a line of usual length.
const READ: usize = (64 + 4) * 1024;

/// What the engine is made of.
#[derive(Debug)]
pub struct EngineConfig {
    /// Whether lines of a worker's stderr are tagged.
    pub stderr_tags: StderrTags,
    /// What records and answers look like.
    pub shape: Shape,
    /// The form in which results are wanted, where the protocol has several.
    pub wanted: Wanted,
    /// Whether workers are told which attempt at a record they are sent.
    pub attempts: Attempts,
    /// How long a run may go on that was told to end.
    pub grace: Duration,
    /// For how long workers wait for news of the input before they start, if not for ever.
    pub first_look: Option<Duration>,
}

/// The engine's channels to the other threads, and what it shares with them.
#[derive(Debug)]
pub struct Channels<S> {
    /// What the input thread has read.
    pub input: Receiver<Arrival>,
    /// Where outcomes go.
    pub output: Output<S>,
    /// Where messages go.
    pub messages: Messages,
    /// What watches the run.
    pub report: Report,
    /// How the other threads wake the engine.
    pub waker: Waker,
    /// The bytes that are held.
    pub budget: Budget,
}

/// The engine of a run in this world.
#[derive(Debug)]
pub struct Engine<W: World> {
    world: W,
    config: EngineConfig,
    scheduler: Scheduler,
    processes: Vec<Option<RunningProcess<W::Child>>>,
    /// What has been started beside the process of a worker, and takes its place.
    successors: Vec<Option<RunningProcess<W::Child>>>,
    /// Those that cannot be ended. They are reaped, should they exit.
    left_behind: Vec<W::Child>,
    /// Until it has ended, or nothing more of it is wanted.
    input: Option<Receiver<Arrival>>,
    /// Whether signals have come.
    has_requests: bool,
    output: Output<W::Sink>,
    messages: Messages,
    pages: Pages,
    /// What the adapters of `--python` have said of themselves.
    adapter_notes: AdapterNotes,
    report: Report,
    waker: Waker,
    budget: Budget,
    /// What was waited for last; its memory is used again.
    sources: Vec<Source>,
    /// What is read lies here; with answers it may be moved on.
    buffer: Vec<u8>,
    /// How often in a row an answer has been found without poll(2).
    peeks: u32,
    /// When results could last be written.
    flushed: Instant,
    pulse: Pulse,
    /// What the input and the output have to say about the exit status.
    status: Status,
    start_by: Option<Instant>,
    /// When mtask was told that its time will be over.
    notified: Option<Instant>,
    /// Once mtask was told to end: until when the output may be written.
    end_by: Option<Instant>,
    is_finished: bool,
    /// Nothing can be written any more.
    is_output_broken: bool,
}

impl<W: World> Engine<W> {
    /// An engine that has not begun.
    pub fn new(
        mut world: W,
        config: EngineConfig,
        scheduler: Scheduler,
        channels: Channels<W::Sink>,
    ) -> Self {
        let Channels {
            input,
            output,
            messages,
            report,
            waker,
            budget,
        } = channels;
        let now = world.now();
        Self {
            processes: (0..scheduler.jobs()).map(|_| None).collect(),
            successors: (0..scheduler.jobs()).map(|_| None).collect(),
            left_behind: Vec::new(),
            start_by: (config.first_look).map(|wait| now + wait),
            sources: Vec::new(),
            buffer: Vec::new(),
            peeks: 0,
            flushed: now,
            pulse: Pulse::new(now),
            status: Status::Success,
            notified: None,
            end_by: None,
            is_finished: false,
            is_output_broken: false,
            world,
            config,
            scheduler,
            input: Some(input),
            has_requests: false,
            output,
            messages,
            pages: Pages::new(&waker),
            adapter_notes: AdapterNotes::default(),
            report,
            waker,
            budget,
        }
    }

    /// Runs to the end: every process has ended and all that can be written is written.
    pub fn run(mut self) -> Status {
        let mut now = self.begin();
        loop {
            now = self.settle(now);
            if self.is_done(now) {
                return self.finish(now);
            }
            now = self.await_news(now);
        }
    }

    fn begin(&mut self) -> Instant {
        // Children of the program that became mtask may have exited before it listened.
        self.look_at_processes();
        self.world.now()
    }

    /// Does what is to be done by what is known, and writes what may be written.
    fn settle(&mut self, mut now: Instant) -> Instant {
        loop {
            self.act();
            match self.peek_again(now) {
                Some(answered) => now = answered,
                None => break,
            }
        }
        self.flush(now);
        // Only now is it known how much is held.
        self.scheduler.choose_read_from(now);
        (self.scheduler).reads_stderr(!self.messages.is_full(), now);
        self.act();
        now
    }

    /// Waits until something happens, and tells the scheduler of it. Gives when that was.
    fn await_news(&mut self, before: Instant) -> Instant {
        let is_draining = self.is_finished && !self.output.is_idle();
        self.report.observe(&self.scheduler, is_draining, before);
        self.rewrite_pages(before);
        let due = self.scheduler.wake_at();
        self.pulse.begin(self.scheduler.is_timed());
        let mut waited_from = self.wait();
        let mut now = self.world.now();
        if self.take_requests(now) == Paused::Yes {
            // Times from before lie before all clocks now.
            now = self.world.now();
            waited_from = None;
            self.pulse.excuse(now);
        }
        if let Some(pause) = self.pulse.end(now) {
            self.stood_still(pause, now);
            waited_from = None;
        }
        self.take_input(now);
        self.take_held(now);
        // A deadline that was found out only now is looked at after the next, short wait: clocks
        // that begin then are not to begin before this one.
        if let Some(waited_from) = waited_from
            && due.is_some_and(|at| at <= waited_from)
        {
            self.tick(waited_from);
        }
        now
    }

    fn is_done(&mut self, now: Instant) -> bool {
        if !self.is_finished {
            return false;
        }
        if self.end_by.is_some_and(|at| now >= at) {
            return true;
        }
        let is_written = self.scheduler.written().is_empty();
        self.is_output_broken
            || (is_written && self.output.is_idle() && !self.scheduler.is_backed_up())
    }

    /// Does what the scheduler asks for.
    fn act(&mut self) {
        while self.scheduler.has_actions() {
            let mut actions = self.scheduler.take_actions();
            for action in actions.drain(..) {
                self.perform(action);
            }
            self.scheduler.reuse(actions);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Start(worker, beginning) => self.start(worker, beginning),
            Action::Send(worker, block, attempt) => {
                let shown = self.config.attempts.shown(attempt);
                let bytes = protocol::write(block, shown, &self.config.shape, &self.budget);
                if let Some(process) = &mut self.processes[worker.0] {
                    process.child.push(bytes);
                    self.write(worker);
                }
            }
            Action::Cancel(worker, index) => {
                if let Some(process) = &mut self.processes[worker.0] {
                    process.child.push_note(protocol::write_cancel(index, &self.budget));
                    self.write(worker);
                }
            }
            Action::CloseStdin(worker) => {
                if let Some(process) = &mut self.processes[worker.0] {
                    process.child.close_stdin();
                }
            }
            Action::Terminate(worker) => self.end(worker, Signal::TERM),
            Action::Kill(worker) => self.end(worker, Signal::KILL),
            Action::Leave(worker) => self.leave(worker, "it has not died of SIGKILL"),
            Action::Tell(event) => {
                let world = &mut self.world;
                if let Some(notice) = self.report.hear(&event, || world.now()) {
                    self.messages.say(&notice);
                }
            }
            Action::Prepare(worker, beginning) => self.prepare(worker, beginning),
            Action::Finish => {
                self.is_finished = true;
                // Nobody needs them any more; what is dropped is killed.
                self.successors.iter_mut().for_each(|successor| *successor = None);
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        let processes = &self.processes;
        let framing = self.config.shape.framing();
        let unsent = |worker: WorkerId| {
            processes[worker.0].as_ref().map_or(usize::MAX, |process| process.child.unsent(framing))
        };
        for (number, process) in processes.iter().enumerate() {
            let worker = WorkerId(number);
            if let Some(process) = process
                && self.scheduler.asks_after_reading(worker, now)
            {
                let reading = match process.child.has_read_all() {
                    None => Reading::Unknown,
                    Some(false) => Reading::Behind,
                    Some(true) => Reading::All,
                };
                self.scheduler.note_reading(worker, reading, now);
            }
        }
        self.scheduler.tick(&unsent, now);
    }

    /// Writes what may be written.
    fn flush(&mut self, now: Instant) {
        self.flushed = now;
        if self.is_output_broken {
            return;
        }
        loop {
            if let Err(error) = self.write_out(now) {
                self.output_failed(&error);
                self.act();
                return;
            }
            // What found no room before may find it now.
            self.scheduler.set_output_room(self.output.room());
            if self.scheduler.written().is_out() || self.output.is_busy() {
                break;
            }
        }
        self.output.await_writer();
        if let Some(text) = self.output.remind(now) {
            self.messages.warning(&text);
        }
        let known = ends::known(&self.scheduler);
        if let Err(error) = self.output.keep_journal(known, now) {
            self.output_failed(&error);
            self.act();
        }
    }

    fn write_out(&mut self, now: Instant) -> Result<(), WriteError> {
        self.output.flush(self.scheduler.written(), now)?;
        match self.report.take_log(now) {
            Some(lines) => self.output.log(lines.into()),
            None => Ok(()),
        }
    }

    fn output_failed(&mut self, failure: &WriteError) {
        let was_broken = std::mem::replace(&mut self.is_output_broken, true);
        if failure.is_closed_pipe() {
            self.status = Status::Signal(libc::SIGPIPE);
        } else if !was_broken {
            self.messages.error(&format!("cannot write {}: {}", failure.file, failure.error));
            self.status = self.status.worst(Status::Fault);
        }
        let now = self.world.now();
        self.scheduler.output_failed(now);
    }

    fn has_news(&self) -> bool {
        let has_input = |input: &Receiver<Arrival>| !input.is_empty();
        (self.scheduler.wants_input() && self.input.as_ref().is_some_and(has_input))
            || (self.output.has_news() && !self.is_output_broken)
            // Only what is read then is waited for with a limit.
            || (self.scheduler.leaves_stderr() && !self.messages.is_full())
    }

    /// The next time at which something is to be done even if nothing happens.
    fn next_deadline(&self) -> Option<Instant> {
        // Before that, the scheduler has deadlines of its own.
        let end_by = self.end_by.filter(|_| self.is_finished);
        // One that is broken is not looked at any more.
        let output = (!self.is_output_broken).then_some(&self.output);
        let deadlines = [
            self.scheduler.wake_at(),
            self.start_by,
            end_by,
            output.and_then(Output::next_reminder),
            output.and_then(Output::journal_wake_at),
            self.report.wake_at(),
            self.report.pages_due(),
            self.pulse.due(),
        ];
        deadlines.into_iter().flatten().min()
    }
}

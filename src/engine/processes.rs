//! The running processes: what is written to them and read from them, and their end.

use std::time::Instant;

use rustix::io::Errno;
use rustix::process::Signal;

use super::world::World;
use super::{Engine, READ};
use crate::outcome::ExitStatus;
use crate::protocol::{self, Reader};
use crate::schedule::{Beginning, Death, Pipe, WorkerId};
use crate::sys;
use crate::visible::LONGEST_LINE;
use crate::worker::child::{Child, Sent};
use crate::worker::launcher::StartError;
use crate::worker::stderr::{StderrLines, StderrTags};

/// The most that is read of a worker that has exited: a pipe seldom holds more, and only a process
/// that has left the worker's group could go on filling it.
const LEFT_IN_PIPE: usize = 1024 * 1024;

/// Lines for people that are not whole yet are cut early where they take so much together,
const MOST_UNFINISHED: usize = 1024 * 1024;
/// but not before they have this length.
const SHORT_LINE: usize = 4 * 1024;

/// A running process and what is read from it.
#[derive(Debug)]
pub(super) struct RunningProcess<C> {
    pub(super) child: C,
    pub(super) stdout: Reader,
    pub(super) stderr: StderrLines,
    /// Its number.
    pub(super) number: u32,
}

impl<W: World> Engine<W> {
    pub(super) fn start(&mut self, worker: WorkerId, beginning: Beginning) {
        let started = match self.take_successor(worker) {
            Some(successor) => Ok(successor),
            None => self.begin_process(worker, beginning),
        };
        let now = self.world.now();
        match started {
            Ok(process) => {
                self.processes[worker.0] = Some(process);
                self.scheduler.started(worker, now);
            }
            Err(StartError::Record(why)) => self.scheduler.unfit(worker, why, now),
            Err(StartError::System(error)) => {
                let way_out = sys::limit(&error)
                    .map(|limit| format!("; raise {limit}, or use fewer workers (-j)"));
                let way_out = way_out.unwrap_or_default();
                self.scheduler.start_failed(worker, format!("{error}{way_out}"), now);
            }
        }
    }

    /// Starts a process, which is nowhere yet.
    pub(super) fn begin_process(
        &mut self,
        worker: WorkerId,
        mut beginning: Beginning,
    ) -> Result<RunningProcess<W::Child>, StartError> {
        if let Some(own) = &mut beginning.own {
            own.bytes = protocol::write_own(own, &self.config.shape, &self.budget);
        }
        let child = self.world.start(worker, &beginning)?;
        let number = beginning.number.0;
        let stdout = Reader::new(&self.config.shape, self.config.wanted, &self.budget);
        let tag = match self.config.stderr_tags {
            StderrTags::None => Vec::new(),
            StderrTags::Worker => format!("[{worker}] ").into_bytes(),
        };
        Ok(RunningProcess {
            child,
            stdout,
            stderr: StderrLines::new(tag),
            number,
        })
    }

    /// Ends a process with a signal. One that SIGKILL cannot reach is not waited for.
    pub(super) fn end(&mut self, worker: WorkerId, signal: Signal) {
        let Some(process) = &mut self.processes[worker.0] else {
            return;
        };
        if let Err(error) = process.child.end(signal)
            && signal == Signal::KILL
        {
            self.leave(worker, &format!("mtask may not signal it: {error}"));
        }
    }

    /// Goes on without a process that cannot be ended.
    pub(super) fn leave(&mut self, worker: WorkerId, why: &str) {
        let Some(mut process) = self.processes[worker.0].take() else {
            return;
        };
        if process.child.has_exited() {
            self.processes[worker.0] = Some(process);
            return self.reap(worker);
        }
        process.stderr.finish(self.messages.lines());
        self.messages.flush();
        self.messages.error(&format!(
            "{worker} (pid {}) cannot be ended, and is left behind: {why}",
            process.child.pid()
        ));
        process.child.leave();
        self.left_behind.push(process.child);
        let now = self.world.now();
        self.scheduler.left_behind(worker, now);
    }

    pub(super) fn write(&mut self, worker: WorkerId) {
        let Some(process) = &mut self.processes[worker.0] else {
            return;
        };
        if process.child.write() == Sent::Refused {
            let unsent = process.child.unsent(self.config.shape.framing());
            if process.child.is_amid_record(self.config.shape.framing()) {
                self.scheduler.record_partially_written(worker);
            }
            process.child.abandon_stdin();
            let now = self.world.now();
            self.scheduler.hung_up(worker, Pipe::Stdin, unsent, now);
        }
    }

    /// Reads what a worker has answered; gives whether there was anything, be it its end.
    pub(super) fn read_answers(&mut self, worker: WorkerId, now: Instant) -> bool {
        let Some(read) = self.read_stdout(worker) else {
            return false;
        };
        if read.is_ok() {
            // If it has closed its stdin, that is to be known before what it wrote after that.
            self.write(worker);
        }
        self.pass_answers(worker, now);
        if read == Ok(0)
            && let Some(process) = &self.processes[worker.0]
        {
            if process.child.has_exited() {
                self.reap(worker);
            } else {
                self.scheduler.hung_up(worker, Pipe::Stdout, 0, now);
                self.act();
            }
        }
        read.is_ok()
    }

    /// Reads into the emptied buffer what a worker has answered, behind what it has begun to
    /// answer. Gives what came of the read, if there is such a process.
    fn read_stdout(&mut self, worker: WorkerId) -> Option<Result<usize, Errno>> {
        let process = self.processes[worker.0].as_mut()?;
        let buffer = emptied(&mut self.buffer);
        process.stdout.lead(buffer);
        let read = process.child.read_stdout(buffer);
        if !matches!(read, Ok(1..)) {
            process.stdout.take_back(buffer);
        }
        Some(read)
    }

    pub(super) fn read_stderr(&mut self, worker: WorkerId) {
        let Some(process) = &mut self.processes[worker.0] else {
            return;
        };
        if let Ok(1..) = process.child.read_stderr(emptied(&mut self.buffer)) {
            process.stderr.pass(&self.buffer, &mut self.adapter_notes, self.messages.lines());
            let unfinished = process.stderr.unfinished();
            if unfinished > SHORT_LINE && unfinished >= longest_unfinished(&self.processes, 0) {
                let process = self.processes[worker.0].as_mut().expect("it is still there");
                process.stderr.finish(self.messages.lines());
            }
            self.messages.flush();
        }
    }

    /// Deals with all that have exited, also those that are left to mtask: as process 1 of a
    /// container it gets every process whose parent has ended.
    pub(super) fn look_at_processes(&mut self) {
        for number in 0..self.processes.len() {
            if self.processes[number].as_ref().is_some_and(|process| process.child.has_exited()) {
                self.reap(WorkerId(number));
            }
        }
        self.look_at_successors();
        self.left_behind.retain_mut(|process| {
            let has_exited = process.has_exited();
            if has_exited {
                process.reap();
            }
            !has_exited
        });
        while let Some(child) = self.world.exited_child() {
            let is_it = |process: &W::Child| process.leader() == child;
            let leads = |process: &Option<RunningProcess<W::Child>>| {
                (process.as_ref()).is_some_and(|process| is_it(&process.child))
            };
            if let Some(number) = self.processes.iter().position(leads) {
                self.reap(WorkerId(number));
            } else if let Some(place) = self.left_behind.iter().position(is_it) {
                self.left_behind.swap_remove(place).reap();
            } else if self.successors.iter().any(leads) {
                self.look_at_successors();
            } else {
                self.world.reap_adopted(child);
            }
        }
    }

    /// Passes on what processes were found to hold. One that has been replaced meanwhile is of no
    /// interest.
    pub(super) fn take_held(&mut self, now: Instant) {
        for held in self.world.take_held() {
            let process = self.processes[held.worker].as_ref();
            if process.is_some_and(|process| process.number == held.process) {
                let worker = WorkerId(held.worker);
                self.report.saw_memory(worker, held.bytes);
                self.scheduler.holds(worker, held.bytes, held.free, now);
                self.act();
            }
        }
    }

    /// Takes what is left of a process that has exited, and tells how it ended.
    fn reap(&mut self, worker: WorkerId) {
        let now = self.world.now();
        // Nobody but the leader's children can write any more, and those are killed with it.
        if let Some(process) = &self.processes[worker.0] {
            let _ = process.child.signal(Signal::KILL);
            if process.child.is_amid_record(self.config.shape.framing()) {
                self.scheduler.record_partially_written(worker);
            }
        }
        let mut left = LEFT_IN_PIPE;
        while let Some(read) = self.read_stdout(worker) {
            let count = read.unwrap_or(0);
            self.pass_answers(worker, now);
            if count == 0 || count > left {
                break;
            }
            left -= count;
        }
        let mut left = LEFT_IN_PIPE;
        while let Some(process) = &mut self.processes[worker.0] {
            let read = process.child.read_stderr(emptied(&mut self.buffer));
            let Ok(count @ 1..) = read else {
                break;
            };
            if count > left {
                break;
            }
            process.stderr.pass(&self.buffer, &mut self.adapter_notes, self.messages.lines());
            left -= count;
        }
        let tail = self.pass_tail(worker, now);
        let Some(mut process) = self.processes[worker.0].take() else {
            return;
        };
        process.stderr.finish(self.messages.lines());
        self.messages.flush();
        let mut reaped = process.child.reap();
        let is_killed = reaped.exit == ExitStatus::Signal(Signal::KILL.as_raw());
        if is_killed && self.world.explains_a_kill() {
            reaped.exit = ExitStatus::OutOfMemory;
        }
        let death = Death {
            pid: Some(process.child.pid()),
            exit: reaped.exit.into(),
            peak: reaped.peak,
            stderr: process.stderr.last_lines(),
            tail,
            unsent: process.child.unsent(self.config.shape.framing()),
        };
        self.scheduler.died(worker, death, now);
        self.act();
    }
}

/// How long a line for people may get before it is cut: where many workers have begun long ones,
/// of which `more` are not among these, no longer than what each may hold.
pub(super) fn longest_unfinished<'p, C: 'p>(
    processes: impl IntoIterator<Item = &'p Option<RunningProcess<C>>>,
    more: usize,
) -> usize {
    let processes = processes.into_iter().flatten();
    let others: usize =
        processes.map(|process| process.stderr.unfinished() + process.stdout.text()).sum();
    if others + more < MOST_UNFINISHED {
        LONGEST_LINE
    } else {
        SHORT_LINE
    }
}

/// The buffer, empty and with room for a read: another one where it has been moved on.
fn emptied(buffer: &mut Vec<u8>) -> &mut Vec<u8> {
    if buffer.capacity() < READ {
        *buffer = Vec::with_capacity(READ);
    }
    buffer.clear();
    buffer
}

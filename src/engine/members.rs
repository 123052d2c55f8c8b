//! The running lives: their processes, what is written to them and read from them, and their end.

use std::time::Instant;

use rustix::io::Errno;
use rustix::process::Signal;

use super::{Engine, READ};
use crate::config::StderrTags;
use crate::protocol::Protocol;
use crate::schedule::{Death, Pipe, WorkerId};
use crate::sys;
use crate::worker::process::{self, Process, Sent};
use crate::worker::stderr::StderrLines;
use crate::worker::stdout::StdoutLines;

/// The most that is read of a worker that has exited: a pipe seldom holds more, and only a process
/// that has left the worker's group could go on filling it.
const LEFT_IN_PIPE: usize = 1024 * 1024;

/// A running life's process and what is read from it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) process: Process,
    pub(super) stdout: StdoutLines,
    pub(super) stderr: StderrLines,
    /// The life's number.
    pub(super) life: u32,
}

impl Engine {
    pub(super) fn start(&mut self, worker: WorkerId, life: u32) {
        let command = &self.parts.commands[worker.0];
        let workers = self.parts.commands.len();
        let environment = command.environment(
            worker.0,
            workers,
            u64::from(life),
            self.parts.protocol,
            self.parts.python_unbuffered,
        );
        let started = Process::start(command, &environment);
        let now = Instant::now();
        match started {
            Ok(process) => {
                let stdout = match self.parts.protocol {
                    Protocol::Lines => StdoutLines::new,
                    Protocol::Json => StdoutLines::of_objects,
                };
                let stdout = stdout(self.parts.separator, self.parts.max_answer, &self.budget);
                let tag = match self.parts.stderr_tags {
                    StderrTags::None => Vec::new(),
                    StderrTags::Worker => format!("[{worker}] ").into_bytes(),
                };
                self.members[worker.0] = Some(Member {
                    process,
                    stdout,
                    stderr: StderrLines::new(tag),
                    life,
                });
                self.scheduler.started(worker, now);
            }
            Err(error) => {
                let way_out = sys::limit(&error)
                    .map(|limit| format!("; raise {limit}, or use fewer workers (-j)"));
                let way_out = way_out.unwrap_or_default();
                self.scheduler
                    .start_failed(worker, format!("{error}{way_out}"), now);
            }
        }
    }

    /// Signals a life's group; nothing more is sent to it or heard from it. One that SIGKILL cannot
    /// reach is not waited for.
    pub(super) fn end(&mut self, worker: WorkerId, signal: Signal) {
        let Some(member) = &mut self.members[worker.0] else {
            return;
        };
        let reached = member.process.signal(signal);
        // One that was stopped must run to see it.
        let _ = member.process.signal(Signal::CONT);
        member.process.drop_pipes();
        if signal == Signal::KILL
            && let Err(error) = reached
        {
            self.leave(worker, &format!("mtask may not signal it: {error}"));
        }
    }

    /// Goes on without a process that cannot be ended.
    pub(super) fn leave(&mut self, worker: WorkerId, why: &str) {
        let Some(mut member) = self.members[worker.0].take() else {
            return;
        };
        if member.process.has_exited() {
            self.members[worker.0] = Some(member);
            return self.bury(worker);
        }
        member.stderr.finish(self.messages.lines());
        self.messages.flush();
        self.messages.error(&format!(
            "{worker} (pid {}) cannot be ended, and is left behind: {why}",
            member.process.pid()
        ));
        member.process.leave();
        self.left_behind.push(member.process);
        self.scheduler.left_behind(worker, Instant::now());
    }

    pub(super) fn write(&mut self, worker: WorkerId) {
        let Some(member) = &mut self.members[worker.0] else {
            return;
        };
        if member.process.write() == Sent::Refused {
            let unsent = member.process.unsent(self.parts.separator);
            if member.process.is_amid_record(self.parts.separator) {
                self.scheduler.tore_record(worker);
            }
            member.process.abandon_stdin();
            self.scheduler
                .hung_up(worker, Pipe::Stdin, unsent, Instant::now());
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
            && let Some(member) = &self.members[worker.0]
        {
            if member.process.has_exited() {
                self.bury(worker);
            } else {
                self.scheduler.hung_up(worker, Pipe::Stdout, 0, now);
                self.act();
            }
        }
        read.is_ok()
    }

    /// Reads into the emptied buffer what a worker has answered, behind what it has begun to answer.
    /// Gives what came of the read, if there is such a life.
    fn read_stdout(&mut self, worker: WorkerId) -> Option<Result<usize, Errno>> {
        let member = self.members[worker.0].as_mut()?;
        let buffer = emptied(&mut self.buffer);
        member.stdout.lead(buffer);
        Some(member.process.read_stdout(buffer))
    }

    pub(super) fn read_stderr(&mut self, worker: WorkerId) {
        let Some(member) = &mut self.members[worker.0] else {
            return;
        };
        if let Ok(1..) = member.process.read_stderr(emptied(&mut self.buffer)) {
            member.stderr.pass(&self.buffer, self.messages.lines());
            self.messages.flush();
        }
    }

    /// Deals with all that have exited, also those that are left to mtask: as process 1 of a container
    /// it gets every process whose parent has ended.
    pub(super) fn look_at_processes(&mut self) {
        for number in 0..self.members.len() {
            if self.members[number]
                .as_ref()
                .is_some_and(|member| member.process.has_exited())
            {
                self.bury(WorkerId(number));
            }
        }
        self.left_behind.retain_mut(|process| {
            let has_exited = process.has_exited();
            if has_exited {
                process.reap();
            }
            !has_exited
        });
        while let Some(child) = sys::exited_child() {
            let is_it = |process: &Process| process.leader() == child;
            let leads = |member: &Option<Member>| {
                (member.as_ref()).is_some_and(|member| is_it(&member.process))
            };
            if let Some(number) = self.members.iter().position(leads) {
                self.bury(WorkerId(number));
            } else if let Some(place) = self.left_behind.iter().position(is_it) {
                self.left_behind.swap_remove(place).reap();
            } else {
                process::reap_adopted(child);
            }
        }
    }

    /// Takes what is left of a process that has exited, and tells how it ended.
    fn bury(&mut self, worker: WorkerId) {
        let now = Instant::now();
        // Nobody but the leader's children can write any more, and those are killed with it.
        if let Some(member) = &self.members[worker.0] {
            let _ = member.process.signal(Signal::KILL);
            if member.process.is_amid_record(self.parts.separator) {
                self.scheduler.tore_record(worker);
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
        while let Some(member) = &mut self.members[worker.0] {
            let read = member.process.read_stderr(emptied(&mut self.buffer));
            let Ok(count @ 1..) = read else {
                break;
            };
            if count > left {
                break;
            }
            member.stderr.pass(&self.buffer, self.messages.lines());
            left -= count;
        }
        let tail = self.pass_tail(worker, now);
        let Some(mut member) = self.members[worker.0].take() else {
            return;
        };
        member.stderr.finish(self.messages.lines());
        self.messages.flush();
        let exit = member.process.reap();
        let death = Death {
            pid: Some(member.process.pid()),
            exit,
            stderr: member.stderr.last_lines(),
            tail,
            unsent: member.process.unsent(self.parts.separator),
        };
        self.scheduler.died(worker, death, now);
        self.act();
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

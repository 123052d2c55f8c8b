//! A process and its three pipes. Passive: the engine says when to read, write and signal.
//!
//! Owns the process group, mtask's ends of the pipes, and the bytes that are not in stdin's pipe
//! yet. Always: the group is signalled before its leader is reaped, so that no other process can
//! have got its number; a process that is dropped is killed and reaped, if that can be done.
//! Nothing here waits for a process for long: one may be beyond all signals.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getpgid, kill_process,
    kill_process_group, test_kill_process, waitid, waitpid,
};

use super::command::WorkerCommand;
use crate::outcome::Exit;
use crate::record::{Separator, Slice};
use crate::sys::spawn::{Program, spawn};

/// A process that is dropped while it runs has so long to die of SIGKILL.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// A running process of COMMAND.
#[derive(Debug)]
pub struct Child {
    /// The leader of its group, unless it has left that.
    leader: Pid,
    /// Nothing more is to be done for it: it is reaped, or cannot be ended.
    is_settled: bool,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    unwritten: VecDeque<Slice>,
    /// How much of the first of `unwritten` is written.
    written: usize,
    /// stdin is to be closed once nothing is unwritten.
    closes: bool,
}

/// What came of writing to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Everything is in the pipe.
    All,
    /// The pipe is full.
    Some,
    /// The process has closed its stdin.
    Refused,
}

impl Child {
    /// Starts COMMAND in a process group of its own.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(
        command: &WorkerCommand,
        environment: &[(&'static str, OsString)],
    ) -> io::Result<Self> {
        let program = Program {
            name: &command.program,
            args: &command.args,
            variables: environment,
        };
        let (its_stdin, stdin) = io::pipe()?;
        let (stdout, its_stdout) = io::pipe()?;
        let (stderr, its_stderr) = io::pipe()?;
        let ours = [stdin.into(), stdout.into(), stderr.into()];
        for end in &ours {
            rustix::io::ioctl_fionbio(end, true)?;
        }
        let its = [its_stdin.into(), its_stdout.into(), its_stderr.into()];
        let leader = spawn(program, its)?;
        let [stdin, stdout, stderr] = ours.map(Some);
        Ok(Self {
            leader,
            is_settled: false,
            stdin,
            stdout,
            stderr,
            unwritten: VecDeque::new(),
            written: 0,
            closes: false,
        })
    }

    /// The leader of its group.
    pub fn leader(&self) -> Pid {
        self.leader
    }

    /// The process id, which is that of its group too.
    pub fn pid(&self) -> u32 {
        self.leader.as_raw_nonzero().get().unsigned_abs()
    }

    /// Where records go, as long as there are bytes to write.
    pub fn awaited_stdin(&self) -> Option<BorrowedFd<'_>> {
        self.stdin
            .as_ref()
            .filter(|_| !self.unwritten.is_empty())
            .map(AsFd::as_fd)
    }

    /// Where answers come from, until it has ended.
    pub fn stdout(&self) -> Option<BorrowedFd<'_>> {
        self.stdout.as_ref().map(AsFd::as_fd)
    }

    /// Where messages come from, until it has ended.
    pub fn stderr(&self) -> Option<BorrowedFd<'_>> {
        self.stderr.as_ref().map(AsFd::as_fd)
    }

    /// Adds records to be written.
    pub fn push(&mut self, bytes: Slice) {
        self.unwritten.push_back(bytes);
    }

    /// Writes what the pipe takes.
    pub fn write(&mut self) -> Sent {
        while let Some(slice) = self.unwritten.front() {
            let Some(stdin) = &self.stdin else {
                return Sent::Refused;
            };
            match rustix::io::write(stdin, &slice[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    if self.written == slice.len() {
                        self.unwritten.pop_front();
                        self.written = 0;
                    }
                }
                Err(Errno::AGAIN) => return Sent::Some,
                Err(Errno::INTR) => {}
                Err(_) => return Sent::Refused,
            }
        }
        if self.closes {
            self.stdin = None;
        }
        Sent::All
    }

    /// Whether the record that is being written is not wholly in the pipe.
    pub fn is_amid_record(&self, separator: Separator) -> bool {
        self.unwritten
            .front()
            .is_some_and(|first| self.written > 0 && first[self.written - 1] != separator.byte())
    }

    /// Gives up writing: stdin is closed, and what is not written yet is forgotten.
    pub fn abandon_stdin(&mut self) {
        self.unwritten.clear();
        self.written = 0;
        self.stdin = None;
    }

    /// Closes stdin once everything is written.
    pub fn close_stdin(&mut self) {
        self.closes = true;
        if self.unwritten.is_empty() {
            self.stdin = None;
        }
    }

    /// Whether it has read all that was sent to it, be it into a buffer of its own. `None` where
    /// nobody can tell.
    pub fn has_read_all(&self) -> Option<bool> {
        let stdin = self.stdin.as_ref()?;
        if !self.unwritten.is_empty() {
            return Some(false);
        }
        // What is in the pipe, as seen from its writing end. Not known of other systems.
        let is_known = cfg!(target_os = "linux");
        let unread = is_known.then(|| rustix::io::ioctl_fionread(stdin).ok());
        unread.flatten().map(|bytes| bytes == 0)
    }

    /// How many of the last records pushed are not begun to be written.
    pub fn unsent(&self, separator: Separator) -> usize {
        let mut count: usize = self
            .unwritten
            .iter()
            .map(|slice| separator.count(slice))
            .sum();
        if let Some(first) = self.unwritten.front()
            && self.written > 0
        {
            count -= separator.count(&first[..self.written]);
            if first[self.written - 1] != separator.byte() {
                count -= 1;
            }
        }
        count
    }

    /// Appends answers to `buffer`, as many as fit; 0 bytes at their end.
    ///
    /// # Errors
    /// `AGAIN` where nothing is there to be read.
    pub fn read_stdout(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
        read(&mut self.stdout, buffer)
    }

    /// Appends messages to `buffer`, as many as fit; 0 bytes at their end.
    ///
    /// # Errors
    /// `AGAIN` where nothing is there to be read.
    pub fn read_stderr(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
        read(&mut self.stderr, buffer)
    }

    /// Closes the pipes of records and answers: nothing more is sent, nothing more is of interest.
    pub fn drop_pipes(&mut self) {
        self.abandon_stdin();
        self.stdout = None;
    }

    /// Sends a signal to the group, and to the process itself where that has left the group. One
    /// that is gone is no error.
    ///
    /// # Errors
    /// Where mtask may not signal the process: it runs as another user.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        let is_in_group = getpgid(Some(self.leader)) == Ok(self.leader);
        // Others of the group are no sign that it has been reached itself.
        let _ = kill_process_group(self.leader, signal);
        let reached = match is_in_group {
            true => test_kill_process(self.leader),
            false => kill_process(self.leader, signal),
        };
        match reached {
            Err(Errno::PERM) => Err(Errno::PERM),
            _ => Ok(()),
        }
    }

    /// Gives up waiting for it. It is reaped by [`Child::reap`], should it ever exit.
    pub fn leave(&mut self) {
        self.drop_pipes();
        self.stderr = None;
        self.is_settled = true;
    }

    /// Whether the leader has exited. It stays a zombie until [`Child::reap`].
    pub fn has_exited(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        matches!(
            waitid(WaitId::Pid(self.leader), options),
            Ok(Some(_)) | Err(Errno::CHILD)
        )
    }

    /// Kills what is left of the group, and reaps the leader, which has exited.
    pub fn reap(&mut self) -> Exit {
        let _ = self.signal(Signal::KILL);
        self.is_settled = true;
        loop {
            match waitpid(Some(self.leader), WaitOptions::NOHANG) {
                Ok(Some((_, status))) => return exit(status),
                Ok(None) => return Exit::NotStarted("its exit status is not to be had".into()),
                Err(Errno::INTR) => {}
                Err(error) => {
                    return Exit::NotStarted(format!("its exit status is lost: {error}"));
                }
            }
        }
    }
}

/// Reaps a process that has exited and that mtask has not started.
pub fn reap_adopted(child: Pid) {
    let _ = waitpid(Some(child), WaitOptions::NOHANG);
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let _ = self.signal(Signal::KILL);
        let until = Instant::now() + LAST_MOMENT;
        while !self.has_exited() && Instant::now() < until {
            // Only where the engine ends before its processes do: nobody else waits.
            thread::sleep(Duration::from_millis(1));
        }
        self.reap();
    }
}

fn exit(status: WaitStatus) -> Exit {
    match status.exit_status() {
        Some(code) => Exit::Code(code),
        None => Exit::Signal(status.terminating_signal().unwrap_or_default()),
    }
}

fn read(pipe: &mut Option<OwnedFd>, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
    let Some(fd) = pipe else { return Ok(0) };
    let read = loop {
        match rustix::io::read(&*fd, spare_capacity(buffer)) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Err(Errno::AGAIN),
            other => break other.unwrap_or(0),
        }
    };
    if read == 0 {
        *pipe = None;
    }
    Ok(read)
}

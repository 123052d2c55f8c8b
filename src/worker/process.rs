//! A process and its three pipes: the [`Child`] that the system has.
//!
//! Owns the process group and mtask's ends of the pipes. Always: the group is signalled before its
//! leader is reaped, so that no other process can have got its number; a process that is dropped is
//! killed and reaped, if that can be done. Nothing here waits for a process for long: one may be
//! beyond all signals.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpgid, kill_process, kill_process_group,
    test_kill_process, waitid, waitpid,
};

use super::child::{Child, Reaped, Sent, Unwritten};
use crate::outcome::ExitStatus;
use crate::record::{Framing, Slice};
use crate::sys;
use crate::sys::spawn::{Program, spawn};

/// A process that is dropped while it runs has so long to die of SIGKILL.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// A running process of COMMAND.
#[derive(Debug)]
pub struct SystemProcess {
    /// The leader of its group, unless it has left that.
    leader: Pid,
    /// Nothing more is to be done for it: it is reaped, or cannot be ended.
    is_settled: bool,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    unwritten: Unwritten,
    /// stdin is to be closed once nothing is unwritten.
    closes: bool,
    /// What it makes of its stdin is its own affair: its exit alone counts.
    may_refuse: bool,
}

/// What a process finds on its stdin.
#[derive(Debug)]
pub enum Stdin {
    /// Records, as they are pushed.
    Open,
    /// Nothing.
    Nothing,
    /// This, and then the end.
    Record(Slice),
}

impl SystemProcess {
    /// Starts `program` in a process group of its own.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(program: Program, content: Stdin) -> io::Result<Self> {
        let (its_stdin, stdin) = match content {
            Stdin::Nothing => (File::open("/dev/null")?.into(), None),
            Stdin::Open | Stdin::Record(_) => {
                let (its_stdin, stdin) = io::pipe()?;
                (OwnedFd::from(its_stdin), Some(OwnedFd::from(stdin)))
            }
        };
        let (stdout, its_stdout) = io::pipe()?;
        let (stderr, its_stderr) = io::pipe()?;
        let ours = [stdin, Some(stdout.into()), Some(stderr.into())];
        for end in ours.iter().flatten() {
            rustix::io::ioctl_fionbio(end, true)?;
        }
        let its = [its_stdin, its_stdout.into(), its_stderr.into()];
        let leader = spawn(program, its)?;
        let [stdin, stdout, stderr] = ours;
        let mut process = Self {
            leader,
            is_settled: false,
            stdin,
            stdout,
            stderr,
            unwritten: Unwritten::default(),
            closes: false,
            may_refuse: !matches!(content, Stdin::Open),
        };
        if let Stdin::Record(record) = content {
            process.unwritten.push(record);
            process.closes = true;
            process.write();
        }
        Ok(process)
    }

    /// Where records go, as long as there are bytes to write.
    pub fn awaited_stdin(&self) -> Option<BorrowedFd<'_>> {
        self.stdin.as_ref().filter(|_| !self.unwritten.is_empty()).map(AsFd::as_fd)
    }

    /// Where answers come from, until it has ended.
    pub fn stdout(&self) -> Option<BorrowedFd<'_>> {
        self.stdout.as_ref().map(AsFd::as_fd)
    }

    /// Where messages come from, until it has ended.
    pub fn stderr(&self) -> Option<BorrowedFd<'_>> {
        self.stderr.as_ref().map(AsFd::as_fd)
    }
}

impl Child for SystemProcess {
    fn leader(&self) -> Pid {
        self.leader
    }

    fn awaits_stdin(&self) -> bool {
        self.awaited_stdin().is_some()
    }

    fn has_stdout(&self) -> bool {
        self.stdout.is_some()
    }

    fn has_stderr(&self) -> bool {
        self.stderr.is_some()
    }

    fn push(&mut self, bytes: Slice) {
        self.unwritten.push(bytes);
    }

    fn push_note(&mut self, bytes: Slice) {
        self.unwritten.push_note(bytes);
    }

    fn write(&mut self) -> Sent {
        let stdin = &self.stdin;
        let sent = self.unwritten.write(|bytes| match stdin {
            Some(stdin) => rustix::io::write(stdin, bytes),
            None => Err(Errno::PIPE),
        });
        if sent == Sent::Refused && self.may_refuse {
            self.abandon_stdin();
            return Sent::All;
        }
        if sent == Sent::All && self.closes {
            self.stdin = None;
        }
        sent
    }

    fn is_amid_record(&self, framing: Framing) -> bool {
        !self.may_refuse && self.unwritten.is_amid_record(framing)
    }

    fn abandon_stdin(&mut self) {
        self.unwritten = Unwritten::default();
        self.stdin = None;
    }

    fn close_stdin(&mut self) {
        self.closes = true;
        if self.unwritten.is_empty() {
            self.stdin = None;
        }
    }

    fn has_read_all(&self) -> Option<bool> {
        let stdin = self.stdin.as_ref()?;
        if !self.unwritten.is_empty() {
            return Some(false);
        }
        // What is in the pipe, as seen from its writing end. Not known of other systems.
        let is_known = cfg!(target_os = "linux");
        let unread = is_known.then(|| rustix::io::ioctl_fionread(stdin).ok());
        unread.flatten().map(|bytes| bytes == 0)
    }

    fn unsent(&self, framing: Framing) -> usize {
        match self.may_refuse {
            true => 0,
            false => self.unwritten.records(framing),
        }
    }

    fn read_stdout(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
        read(&mut self.stdout, buffer)
    }

    fn read_stderr(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
        read(&mut self.stderr, buffer)
    }

    fn drop_pipes(&mut self) {
        self.abandon_stdin();
        self.stdout = None;
    }

    fn signal(&self, signal: Signal) -> Result<(), Errno> {
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

    fn leave(&mut self) {
        self.drop_pipes();
        self.stderr = None;
        self.is_settled = true;
    }

    fn has_exited(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        matches!(
            waitid(WaitId::Pid(self.leader), options),
            Ok(Some(_)) | Err(Errno::CHILD)
        )
    }

    fn reap(&mut self) -> Reaped {
        let _ = self.signal(Signal::KILL);
        self.is_settled = true;
        let (exit, peak) = match sys::reap(self.leader) {
            Ok(Some((status, peak))) => (exit(status), Some(peak)),
            Ok(None) => {
                let lost = "its exit status is not to be had".into();
                (ExitStatus::NotStarted(lost), None)
            }
            Err(error) => {
                let lost = format!("its exit status is lost: {error}");
                (ExitStatus::NotStarted(lost), None)
            }
        };
        Reaped { exit, peak }
    }
}

/// Reaps a process that has exited and that mtask has not started.
pub fn reap_adopted(process: Pid) {
    let _ = waitpid(Some(process), WaitOptions::NOHANG);
}

impl Drop for SystemProcess {
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

fn exit(status: process::ExitStatus) -> ExitStatus {
    match status.code() {
        Some(code) => ExitStatus::Code(code),
        None => ExitStatus::Signal(status.signal().unwrap_or_default()),
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

//! The world as it is: the system that mtask runs on.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, getpid, kill_process};

use super::world::{Source, World};
use crate::output::Destination;
use crate::schedule::{Beginning, WorkerId};
use crate::signal::{self, Request, Requests};
use crate::sys;
use crate::waker::Waker;
use crate::worker::child::Child;
use crate::worker::launcher::{Launcher, StartError};
use crate::worker::memory::{Held, MemoryWatch};
use crate::worker::oom::OomKills;
use crate::worker::process::{self, SystemProcess};

/// The system, as far as a run has to do with it.
#[derive(Debug)]
pub struct System {
    /// How workers are started.
    pub launcher: Launcher,
    /// What signals ask for.
    pub requests: Requests,
    /// How the other threads wake the engine.
    pub waker: Waker,
    /// Who looks at what processes hold, if anybody does.
    pub memory: Option<MemoryWatch>,
    /// What the kernel kills.
    pub oom_kills: OomKills,
}

impl World for System {
    type Child = SystemProcess;
    type Sink = Destination;

    fn now(&mut self) -> Instant {
        Instant::now()
    }

    fn start(
        &mut self,
        worker: WorkerId,
        beginning: &Beginning,
    ) -> Result<SystemProcess, StartError> {
        let Beginning { number, crew, own } = beginning;
        let process = self.launcher.start(worker.0, number.0, crew.0, own.as_ref())?;
        if let Some(memory) = &self.memory {
            memory.began(worker.0, number.0, process.pid());
        }
        Ok(process)
    }

    fn take_held(&mut self) -> Vec<Held> {
        self.memory.as_ref().map(MemoryWatch::take).unwrap_or_default()
    }

    fn explains_a_kill(&mut self) -> bool {
        self.oom_kills.explains_a_kill()
    }

    fn wait<'c>(
        &mut self,
        sources: &mut Vec<Source>,
        child: impl Fn(WorkerId) -> &'c SystemProcess,
        until: Option<Instant>,
    ) {
        let watched = |source: &Source| match *source {
            Source::Waker => Some(watched(self.waker.fd())),
            Source::Requests => Some(watched(self.requests.as_fd())),
            Source::Stdin(worker) => (child(worker).awaited_stdin())
                .map(|stdin| PollFd::from_borrowed_fd(stdin, PollFlags::OUT)),
            Source::Stdout(worker) => child(worker).stdout().map(watched),
            Source::Stderr(worker) => child(worker).stderr().map(watched),
        };
        let mut fds = Vec::with_capacity(sources.len());
        sources.retain(|source| {
            let fd = watched(source);
            let is_there = fd.is_some();
            fds.extend(fd);
            is_there
        });
        let timeout = until.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        // An interrupted wait is a short wait.
        let _ = poll(&mut fds, timeout.as_ref());
        let mut polled = fds.iter();
        sources.retain(|_| polled.next().is_some_and(|fd| !fd.revents().is_empty()));
    }

    fn give_way(&mut self) {
        std::thread::yield_now();
    }

    fn take_requests(&mut self) -> Vec<Request> {
        self.requests.take()
    }

    fn has_continued(&mut self) -> bool {
        self.requests.has_continued()
    }

    fn stop(&mut self) {
        let _ = kill_process(getpid(), Signal::STOP);
    }

    fn ignore_terminal(&mut self) {
        signal::ignore_terminal();
    }

    fn exited_child(&mut self) -> Option<Pid> {
        sys::exited_child()
    }

    fn reap_adopted(&mut self, child: Pid) {
        process::reap_adopted(child);
    }
}

/// What is ready once there is something to be read.
fn watched(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}

//! The engine's readiness loop.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Engine;
use crate::schedule::WorkerId;

/// So many times in a row a worker's answer may be found without poll(2), before all else is
/// looked at.
const PEEKS: u32 = 31;
/// How long after a write results may go without another, while their worker answers as soon as it
/// is let run.
const GATHER: Duration = Duration::from_micros(100);

/// What became ready.
#[derive(Clone, Copy, Debug)]
enum Ready {
    Waker,
    Requests,
    Stdin(WorkerId),
    Stdout(WorkerId),
    Stderr(WorkerId),
}

/// What ended the wait for another thread.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waited<T> {
    Said(T),
    /// It has nothing more to say.
    Ended,
    /// Signals have come: the run may have to end earlier.
    Signalled,
    TooLong,
}

impl Engine {
    /// Waits until something happens or the next deadline has come, and deals with the pipes.
    /// Gives the time at which it began to wait: what workers had written by then has been read.
    /// `None` where a look at one worker was enough.
    pub(super) fn wait(&mut self) -> Option<Instant> {
        if self.peek().is_some() {
            return None;
        }
        self.peeks = 0;
        let from = Instant::now();
        let mut fds = Vec::with_capacity(2 + 3 * self.processes.len());
        let mut what = Vec::with_capacity(fds.capacity());
        let waker = self.waker.clone();
        waker.fall_asleep();
        let is_stderr_full = self.messages.is_full();
        fds.push(PollFd::from_borrowed_fd(waker.fd(), PollFlags::IN));
        what.push(Ready::Waker);
        fds.push(PollFd::new(&self.requests, PollFlags::IN));
        what.push(Ready::Requests);
        for (number, process) in self.processes.iter().enumerate() {
            let worker = WorkerId(number);
            let Some(process) = process else { continue };
            if let Some(stdin) = process.child.awaited_stdin() {
                fds.push(PollFd::from_borrowed_fd(stdin, PollFlags::OUT));
                what.push(Ready::Stdin(worker));
            }
            if self.scheduler.reads_from(worker)
                && let Some(stdout) = process.child.stdout()
            {
                fds.push(PollFd::from_borrowed_fd(stdout, PollFlags::IN));
                what.push(Ready::Stdout(worker));
            }
            if !is_stderr_full && let Some(stderr) = process.child.stderr() {
                fds.push(PollFd::from_borrowed_fd(stderr, PollFlags::IN));
                what.push(Ready::Stderr(worker));
            }
        }
        let until = if self.has_news() {
            Some(from)
        } else {
            self.next_deadline()
        };
        poll_until(&mut fds, until, from);
        waker.awake(!fds[0].revents().is_empty());
        let ready: Vec<_> = (fds.iter().zip(&what))
            .filter(|(fd, _)| !fd.revents().is_empty())
            .map(|(_, what)| *what)
            .collect();
        drop(fds);
        let now = Instant::now();
        for what in ready {
            match what {
                Ready::Waker => {}
                Ready::Requests => self.has_requests = true,
                Ready::Stdin(worker) => {
                    self.write(worker);
                    self.act();
                }
                Ready::Stdout(worker) => {
                    // What has just been read of others counts.
                    if self.budget.is_full() {
                        self.scheduler.choose_read_from(now);
                        self.act();
                    }
                    if self.scheduler.reads_from(worker) {
                        self.read_answers(worker, now);
                    }
                }
                Ready::Stderr(worker) => {
                    if !self.messages.is_full() {
                        self.read_stderr(worker);
                    }
                }
            }
        }
        Some(from)
    }

    /// Waits, where nothing else is left to do, for a thread that wakes the engine when it has said
    /// something and when it has ended.
    pub(super) fn wait_for<T>(
        &mut self,
        thread: &Receiver<T>,
        until: Option<Instant>,
    ) -> Waited<T> {
        loop {
            let now = Instant::now();
            self.waker.fall_asleep();
            let waited = match thread.try_recv() {
                Ok(said) => Some(Waited::Said(said)),
                Err(TryRecvError::Disconnected) => Some(Waited::Ended),
                Err(TryRecvError::Empty) => until.filter(|at| *at <= now).map(|_| Waited::TooLong),
            };
            if let Some(waited) = waited {
                self.waker.awake(false);
                return waited;
            }
            let mut fds = [
                PollFd::from_borrowed_fd(self.waker.fd(), PollFlags::IN),
                PollFd::new(&self.requests, PollFlags::IN),
            ];
            poll_until(&mut fds, until, now);
            let [is_woken, has_requests] = fds.map(|fd| !fd.revents().is_empty());
            self.waker.awake(is_woken);
            if has_requests {
                self.has_requests = true;
                self.take_requests(Instant::now());
                return Waited::Signalled;
            }
        }
    }

    /// Lets workers run, and looks whether the one that owes anything has answered: it most likely
    /// has, where records go one at a time, and poll(2) costs as much as the read. Gives when that
    /// was.
    fn peek(&mut self) -> Option<Instant> {
        // Lets answers gather: one read of many costs far less than many reads.
        std::thread::yield_now();
        let worker = self.debtor()?;
        let now = Instant::now();
        if !self.read_answers(worker, now) {
            return None;
        }
        self.peeks += 1;
        Some(now)
    }

    /// The one worker that owes anything, if it is worth a look.
    fn debtor(&self) -> Option<WorkerId> {
        let worker = self.scheduler.only_debtor()?;
        let stdout = (self.processes[worker.0].as_ref()).and_then(|process| process.child.stdout());
        let is_worth_it =
            self.peeks < PEEKS && self.scheduler.reads_from(worker) && stdout.is_some();
        is_worth_it.then_some(worker)
    }

    /// Looks again where the last look was worth it, for a moment: then results are written
    /// together.
    pub(super) fn peek_again(&mut self, now: Instant) -> Option<Instant> {
        if self.peeks == 0 || now >= self.flushed + GATHER {
            return None;
        }
        // Where nothing more is to come, nothing waits for it.
        self.debtor()?;
        self.peek()
    }
}

fn poll_until(fds: &mut [PollFd<'_>], until: Option<Instant>, now: Instant) {
    let timeout = until.map(|at| at.saturating_duration_since(now));
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    // An interrupted wait is a short wait.
    let _ = poll(fds, timeout.as_ref());
}

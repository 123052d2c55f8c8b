//! What signals ask for.

use std::mem;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Engine;
use super::world::World;
use crate::signal::Request;
use crate::worker::child::Child;

/// timeout(1) sends its signal twice, to mtask and to its group: what comes so soon is one notice.
const SAME_NOTICE: Duration = Duration::from_millis(100);

/// Whether mtask was stopped and has been continued.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Paused {
    Yes,
    No,
}

impl<W: World> Engine<W> {
    /// Does what signals ask for, and tells whether mtask was stopped in between.
    pub(super) fn take_requests(&mut self, mut now: Instant) -> Paused {
        let mut paused = Paused::No;
        let mut has_stopped = false;
        while mem::take(&mut self.has_requests) {
            for request in self.world.take_requests() {
                match request {
                    Request::End(signal) => self.interrupt(signal, now),
                    Request::Notice(signal) => self.notify(signal, now),
                    Request::Status(signal) => {
                        self.tell_status(now);
                        self.scheduler.signalled(signal, now);
                    }
                    Request::LookAtProcesses => self.look_at_processes(),
                    // The SIGCONT that ended the stop asks for nothing more, and what a terminal
                    // asks for it asks again.
                    Request::Stop | Request::StopForTerminal | Request::Continued
                        if has_stopped => {}
                    Request::StopForTerminal if self.end_by.is_some() => {}
                    Request::Stop | Request::StopForTerminal => {
                        now = self.stop();
                        has_stopped = true;
                        // What ended it has come.
                        self.has_requests = true;
                        paused = Paused::Yes;
                    }
                    Request::Continued => {
                        self.signal_all(Signal::CONT);
                        self.scheduler.was_stopped(now);
                        paused = Paused::Yes;
                    }
                }
            }
        }
        paused
    }

    /// A signal ends the run: within the grace period, output included, or at once if it is not the
    /// first.
    pub(super) fn interrupt(&mut self, signal: i32, now: Instant) {
        self.world.ignore_terminal();
        self.end_by = Some(match self.end_by {
            None => now + self.config.grace,
            Some(_) => now,
        });
        self.scheduler.interrupt(signal, now);
    }

    /// A signal ends the run once what was sent is done. A later one ends it within the grace
    /// period.
    fn notify(&mut self, signal: i32, now: Instant) {
        match self.notified {
            Some(at) if now < at + SAME_NOTICE => {}
            None if self.end_by.is_none() => {
                self.notified = Some(now);
                self.scheduler.notify(signal, now);
            }
            _ => self.interrupt(signal, now),
        }
    }

    /// Says where the run stands.
    fn tell_status(&mut self, now: Instant) {
        let is_draining = self.is_finished && !self.output.is_idle();
        let status = self.report.status(&self.scheduler, is_draining, now);
        self.messages.report(&format!("mtask: {status}\n"));
    }

    /// Stops the workers and mtask, until it is continued; gives when that was.
    fn stop(&mut self) -> Instant {
        self.messages.clear_progress();
        let from = self.world.now();
        self.signal_all(Signal::STOP);
        // Whoever continued mtask in between does not do it again.
        if !self.world.has_continued() {
            self.world.stop();
        }
        self.signal_all(Signal::CONT);
        let now = self.world.now();
        let pause = now - from;
        self.messages.go_on_with_progress(pause);
        self.stood_still(pause, now);
        now
    }

    /// Neither mtask nor its workers have run for so long: no clock has.
    pub(super) fn stood_still(&mut self, pause: Duration, now: Instant) {
        self.end_by = self.end_by.map(|at| at + pause);
        self.scheduler.was_suspended(pause, now);
        self.report.was_suspended(pause);
        self.output.was_suspended(pause);
    }

    fn signal_all(&self, signal: Signal) {
        for process in self.processes.iter().chain(&self.successors).flatten() {
            // One that cannot be stopped goes on.
            let _ = process.child.signal(signal);
        }
    }
}

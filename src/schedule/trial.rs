//! Which processes have to show that they stay up, before they are sent anything.
//!
//! A worker that can no longer start, and a record that kills, look alike: a process dies that was
//! never ready. But what cannot start dies whether or not it is sent a record. So once a process
//! has died early, and until one is ready again, processes are on trial as long as there are
//! suspects: they are sent nothing before they have stayed up clearly longer than the longest of
//! those that died early. How long a record takes to kill is no part of that: a death with a record
//! makes no trial longer than a start may take. One that has stood its trial is as good as a ready
//! one: it is sent a suspect, which is charged if that dies sooner than it stayed up without one,
//! or if it stayed up for as long as any start may take. One that dies before that charges nobody,
//! and counts for `--max-restarts`. So does the death that trials begin with, but no worker is
//! given up with that: it may have been the record's fault. A process that announces that it is
//! ready is told by that, and needs no trial.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::deadline::Deadline;
use super::event::Event;
use super::ids::WorkerId;
use super::policy::Window;
use super::process::{Process, Startup};
use super::suspects::may_open;

impl Scheduler {
    /// A process has died so long after its beginning, and was never ready. Gives whether trials
    /// begin with that.
    pub(super) fn note_early(&mut self, age: Duration, held_any: bool) -> bool {
        let is_first = !self.command.has_died_early();
        self.command.died_early(age, held_any);
        // What has stood a shorter trial stands on.
        for seat in &mut self.workers {
            if let Some(process) = seat.process_mut() {
                process.outlived_others();
            }
        }
        is_first && self.has_trials()
    }

    /// Tells for how long the next process is on trial, where the last one was not ready.
    pub(super) fn tell_trial(&mut self, worker: WorkerId) {
        if self.workers[worker.0].restarts.failed_starts() > 0
            && self.command.has_died_early()
            && self.has_trials()
        {
            let trial = self.command.trial();
            self.tell(Event::Trial { worker, trial });
        }
    }

    /// Whether processes that are not ready are to stay up before they are sent anything: one has
    /// died early, or nothing waits but what may open no process.
    fn has_trials(&self) -> bool {
        let is_called_for = match self.command.has_died_early() {
            true => self.has_suspects(),
            false => {
                let mut alone = self.queue.those_alone();
                self.queue.together() == 0 && self.queue.has_alone() && !alone.any(may_open)
            }
        };
        let is_ready = |process: &Process| process.is_ready() && self.may_serve(process);
        is_called_for
            && self.command.known_start().is_some()
            && !self.command.awaits_ready()
            && !self.processes().any(|(_, process)| is_ready(process))
    }

    fn has_suspects(&self) -> bool {
        self.queue.has_alone()
            || self.processes().any(|(_, process)| process.owed.holds_alone())
            || (self.policy.window == Window::Full && self.queue.has_again())
    }

    /// How far a process has come.
    pub(super) fn startup(&self, process: &Process, now: Instant) -> Startup {
        process.startup(self.command.proof(), now)
    }

    /// Until when a process is on trial.
    pub(super) fn trial_end(&self, process: &Process) -> Option<Instant> {
        let is_on_trial = process.is_unproven() && self.has_trials();
        is_on_trial.then(|| process.start.since() + self.command.trial())
    }

    /// Sets the deadlines of trials.
    pub(super) fn watch_trials(&mut self) {
        if self.has_trials() {
            for worker in (0..self.workers.len()).map(WorkerId) {
                self.watch_for(worker, Deadline::Trial);
            }
        }
    }

    /// A process on trial has stayed up.
    pub(super) fn end_trial(&mut self, worker: WorkerId) {
        self.process_mut(worker).expect("it runs").start.stood();
        self.workers[worker.0].restarts.stood();
        self.tell(Event::StayedUp { worker });
    }
}

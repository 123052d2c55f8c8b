//! How the driver lets time pass: until something is ready, as poll(2) would, or a deadline has
//! come.

use std::time::Duration;

use super::super::scenario::micros;
use super::{LONGEST, Member, Request, Simulation};
use crate::schedule::WorkerId;

impl Simulation {
    /// Waits for the next event, and deals with the pipes.
    pub(super) fn wait(&mut self) -> Duration {
        let from = self.now;
        self.ledger.begin_to_wait();
        let heard: Vec<bool> = (0..self.members.len())
            .map(|number| self.scheduler.reads_from(WorkerId(number)))
            .collect();
        self.run_world();
        // News that nobody is woken for is looked at before the wait alone.
        let has_news = self.output.has_news()
            || (self.scheduler.takes_input()
                && self.scheduler.wants_input()
                && self.input.has_arrivals());
        let is_busy = has_news || self.is_anything_ready(&heard);
        while !has_news && !self.is_anything_ready(&heard) {
            let deadline = [
                self.scheduler
                    .wake_at()
                    .map(|at| at.saturating_duration_since(self.base)),
                self.start_by,
            ];
            let deadline = deadline.into_iter().flatten().min();
            if deadline.is_some_and(|at| at <= self.now) {
                break;
            }
            let worlds = self.next_event();
            let next = [deadline, worlds].into_iter().flatten().min();
            let Some(next) = next else {
                trace!(self, "= {:#?}", self.scheduler);
                panic!("nothing can happen any more, and the run has not ended");
            };
            let limit = LONGEST
                + self
                    .scenario
                    .disturbances
                    .last()
                    .map_or(Duration::ZERO, |last| last.0);
            assert!(next < limit, "the run does not end in time");
            self.pass(next.saturating_sub(self.now));
            self.run_world();
        }
        // Failures are put down as the output takes them, which may be at once.
        let outcomes = self.scheduler.tally().outcomes();
        let has_outcomes = std::mem::replace(&mut self.outcomes, outcomes) != outcomes;
        self.spins = if is_busy || has_outcomes || self.now > from {
            0
        } else {
            self.spins + 1
        };
        assert!(self.spins < 10, "the engine turns without end");
        if self.rng.u32(..20) == 0 {
            let delay = self.scenario.longest_delay.mul_f64(self.rng.f64());
            self.pass(delay);
            self.run_world();
        }
        self.is_woken = false;
        let now = self.now;
        let ready: Vec<_> = self
            .members
            .iter()
            .map(|member| {
                member
                    .as_ref()
                    .map(|member| (member.actor.is_writable(), member.actor.is_readable()))
            })
            .collect();
        for (number, ready) in ready.into_iter().enumerate() {
            let worker = WorkerId(number);
            let Some((is_writable, is_readable)) = ready else {
                continue;
            };
            if is_writable {
                self.write(worker);
                self.act();
            }
            if is_readable && heard[number] {
                if self.budget.is_full() {
                    self.scheduler.choose_read_from(self.base + now);
                    self.act();
                }
                if self.scheduler.reads_from(worker) {
                    self.read_answers(worker, now);
                }
            }
        }
        from
    }

    pub(super) fn is_anything_ready(&self, heard: &[bool]) -> bool {
        self.is_woken
            || !self.requests.is_empty()
            || self.members.iter().zip(heard).any(|(member, heard)| {
                member.as_ref().is_some_and(|Member { actor, .. }| {
                    actor.is_writable() || (*heard && actor.is_readable())
                })
            })
    }

    pub(super) fn next_event(&self) -> Option<Duration> {
        let processes = self
            .members
            .iter()
            .flatten()
            .filter_map(|member| member.actor.next());
        let rest = [
            self.input.next(self.now),
            self.output.next(),
            self.disturbances.front().map(|(at, _)| *at),
        ];
        processes.chain(rest.into_iter().flatten()).min()
    }

    /// Lets everything outside of mtask do what it does until now.
    pub(super) fn run_world(&mut self) {
        for member in self.members.iter_mut().flatten() {
            let had_exited = member.actor.has_exited();
            member.actor.run(&mut self.scenario.records, self.now);
            if member.actor.has_exited() && !had_exited {
                self.requests.push_back(Request::LookAtProcesses);
            }
        }
        self.is_woken |= self
            .input
            .run(&self.scenario.records, &self.budget, self.now);
        self.is_woken |= self.output.run(&mut self.rng, self.now);
        while let Some((at, what)) = self.disturbances.front().copied()
            && at <= self.now
        {
            self.disturbances.pop_front();
            self.requests.push_back(Request::Outside(what));
        }
    }

    pub(super) fn cost(&mut self) -> Duration {
        micros(self.rng.u64(1..6))
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, by: Duration) {
        let scheduler = &self.scheduler;
        self.ledger.pass(by, |worker| scheduler.reads_from(worker));
        self.now += by;
    }
}

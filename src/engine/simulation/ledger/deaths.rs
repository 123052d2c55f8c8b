//! What the end of a process means for the records that it held.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::actor::{Actor, Blame};
use super::{Charge, HANG_UP, KILLED, Ledger, OwedRecord, Proof, SHORTEST_START, START_FACTOR};
use crate::outcome::ExitStatus;
use crate::schedule::WorkerId;
use crate::schedule::policy::{Delivery, OnError, Window};
use crate::shape::Protocol;

/// Why a process may be terminated while it holds records, as far as the clocks say.
#[derive(Clone, Copy)]
struct Grounds {
    /// How long it has been at its record.
    age: Duration,
    has_hung_up: bool,
    took_too_long: bool,
    is_not_ready: bool,
    has_not_given_up: bool,
}

impl Ledger {
    pub(in super::super) fn killed(&mut self, worker: WorkerId, now: Duration) {
        let grace = self.policy.limits.grace;
        // Interrupted twice, or ended by a failure.
        let may_be_at_once =
            self.interrupts.len() > 1 || self.policy.failures.on_error == OnError::Raise;
        let is_interrupted = !self.interrupts.is_empty();
        let Some(process) = &mut self.processes[worker.0] else {
            return;
        };
        if let Some(at) = process.terminated
            && !may_be_at_once
            && !is_interrupted
        {
            assert!(
                now + self.time_slack >= at + grace,
                "{worker} is killed before --grace is over"
            );
        } else {
            assert!(
                may_be_at_once || is_interrupted,
                "{worker} is killed without SIGTERM"
            );
        }
        process.is_killed = true;
        process.killed = Some(now);
        let owed = std::mem::take(&mut process.owed);
        self.drop_records(owed);
    }

    /// mtask goes on without a process that it could not end: SIGKILL did not reach it, or was in
    /// vain.
    pub(in super::super) fn left(&mut self, worker: WorkerId, was_reached: bool, now: Duration) {
        let process = self.processes[worker.0].take().expect("a process is left");
        let killed = process.killed.expect("what is left was killed");
        assert!(
            !was_reached || now + self.time_slack >= killed + KILLED,
            "{worker} is left behind before it can have died"
        );
        self.left[worker.0] += 1;
    }

    /// Of what a process holds, what may have ended it: what it has begun, where it says so and has
    /// begun anything, first of all what it may have been at for too long. The last `unsent` ones were
    /// not sent.
    fn suspects(&mut self, worker: WorkerId, unsent: usize) -> Vec<u64> {
        let is_sent_once = self.policy.delivery == Delivery::AtMostOnce;
        let process = self.processes[worker.0].as_ref().expect("a process");
        let (earliest, latest) = self.record_limit(process).unwrap_or_default();
        let process = self.processes[worker.0].as_mut().expect("a process");
        let (_, most) = process.counted((Duration::MAX, Duration::MAX));
        let is_at_call = process.is_at_call();
        if is_at_call {
            let lateness = |owed: &OwedRecord| match owed.call {
                Some(_) if owed.age_before.min(most) >= latest => 0,
                Some(_) if owed.age_before.min(most) >= earliest => 1,
                _ => 2,
            };
            process.owed.make_contiguous().sort_by_key(lateness);
        }
        let sent = process.owed.len() - unsent.min(process.owed.len());
        let may_be = |owed: &&OwedRecord| !is_at_call || is_sent_once || owed.call.is_some();
        process.owed.iter().take(sent).filter(may_be).map(|owed| owed.index).collect()
    }

    fn drop_records(&mut self, owed: VecDeque<OwedRecord>) {
        for owed in owed {
            self.pasts[owed.index as usize].holder = None;
        }
    }

    /// Takes what a process holds; records of which no byte was written were not sent.
    fn take_begun(&mut self, worker: WorkerId, unsent: usize) -> Vec<u64> {
        let process = self.processes[worker.0].as_mut().expect("a process");
        let owed = std::mem::take(&mut process.owed);
        let mut owed: Vec<u64> = owed.into_iter().map(|owed| owed.index).collect();
        let begun = owed.len() - unsent.min(owed.len());
        for (at, index) in owed.iter().enumerate() {
            let past = &mut self.pasts[*index as usize];
            past.holder = None;
            past.sends -= u32::from(at >= begun);
        }
        owed.truncate(begun);
        owed
    }

    pub(in super::super) fn terminated(&mut self, worker: WorkerId, actor: &Actor, now: Duration) {
        let process = self.processes[worker.0].as_mut().expect("a running process");
        assert!(process.is_working(), "{worker} is terminated twice");
        process.terminated = Some(now);
        let (holds, unasked, proof) = (
            process.owed.len(),
            process.unasked,
            process.proof(self.time_slack),
        );
        let is_outlived = !self.interrupts.is_empty();
        let (asked, _) = process.asked();
        let is_going = (process.goes_on, holds - actor.unsent().min(holds));
        // Else it can only be asked.
        let is_ended = !process.cancels || process.closed.is_some();
        self.failed_starts[worker.0] += u32::from(!process.is_ready);
        if process.is_stray {
            self.broken[worker.0] += 1;
            let owed = std::mem::take(&mut process.owed);
            owed.iter().for_each(|owed| self.pasts[owed.index as usize].may_be_missing = true);
            return self.drop_records(owed);
        }
        let mut grounds = self.grounds(worker, now);
        grounds.took_too_long &= is_ended;
        if grounds.has_not_given_up && !is_outlived && unasked.is_none() {
            let is_certain = !grounds.took_too_long && !grounds.has_hung_up && !self.is_ending(now);
            self.end_of_deaf(&asked, is_going, is_certain, actor);
        }
        let suspects = self.suspects(worker, actor.unsent());
        let expired = self.expired(worker, actor.unsent());
        let begun = self.take_begun(worker, actor.unsent());
        if is_outlived {
            return self.outlived(&begun);
        }
        if let Some((blame, charge)) = unasked {
            self.broken[worker.0] += 1;
            return self.hit(proof, &suspects, charge, blame, true);
        }
        match (holds, self.is_ending(now)) {
            (0, true) => {}
            (0, false) => assert!(
                grounds.has_hung_up
                    || self.is_late_to_exit(worker, now)
                    || self.is_never_ready(worker, actor, now),
                "{worker} holds nothing and is terminated"
            ),
            (_, true) => {
                // It may have been ended for another reason a moment before.
                if grounds.has_hung_up {
                    let blame = actor.spoilt.unwrap_or(Blame::Outside);
                    self.hit(proof, &suspects, Charge::Death, blame, false);
                }
                if grounds.took_too_long && !suspects.is_empty() {
                    self.took_too_long(&suspects, expired, actor, true);
                }
            }
            (_, false) => self.terminated_at_work(worker, actor, grounds, &suspects, expired),
        }
    }

    /// A process ended after mtask was told to end: nothing comes of it but that its records are
    /// sent alone.
    fn outlived(&mut self, begun: &[u64]) {
        for index in begun {
            self.pasts[*index as usize].suspect(false);
        }
    }

    /// A process that held records was terminated, and the run goes on.
    fn terminated_at_work(
        &mut self,
        worker: WorkerId,
        actor: &Actor,
        grounds: Grounds,
        begun: &[u64],
        expired: (usize, usize),
    ) {
        assert!(
            grounds.has_hung_up
                || grounds.took_too_long
                || grounds.is_not_ready
                || grounds.has_not_given_up,
            "{worker} is terminated after {:?} with {} records, for no reason",
            grounds.age,
            begun.len()
        );
        let blame = actor.spoilt;
        assert!(
            blame.is_some(),
            "{worker} works on its record and is terminated: {}",
            actor.describe()
        );
        if grounds.took_too_long && !begun.is_empty() {
            let process = self.processes[worker.0].as_ref().expect("a process");
            let has_hung_up = process.hung_up.is_some();
            self.took_too_long(begun, expired, actor, has_hung_up);
        }
        if grounds.has_hung_up || grounds.is_not_ready {
            let is_certain = !grounds.took_too_long && !grounds.has_not_given_up;
            let blame = blame.unwrap_or(Blame::Outside);
            let process = self.processes[worker.0].as_ref().expect("a process");
            self.hit(
                process.proof(self.time_slack),
                begun,
                Charge::Death,
                blame,
                is_certain,
            );
        }
    }

    /// The run is being ended, early or by a signal.
    fn is_ending(&self, now: Duration) -> bool {
        let grace = self.policy.limits.grace;
        let interrupt = self.interrupts.first();
        self.ended_early.is_some() || interrupt.is_some_and(|at| now >= *at + grace / 2)
    }

    fn grounds(&self, worker: WorkerId, now: Duration) -> Grounds {
        let process = self.processes[worker.0].as_ref().expect("a process");
        let (age, _) = process.clock();
        let waited = now - process.started;
        let start = self.longest_start();
        let is_over = |time: Duration, limit: Duration| time + self.time_slack >= limit;
        Grounds {
            age,
            has_not_given_up: self.has_not_given_up(process),
            has_hung_up: process.hung_up.is_some_and(|at| now >= at + HANG_UP),
            took_too_long: self.record_limit(process).is_some_and(|(least, _)| {
                let is_up =
                    process.is_ready || start.is_some_and(|start| is_over(waited, start + least));
                is_up && process.counted((age, age)).0 >= least
            }),
            is_not_ready: !process.is_ready
                && start.is_none()
                && (self.policy.limits.init_timeout).is_some_and(|limit| is_over(age, limit)),
        }
    }

    /// How long the start of a process may take once it is known how long one took.
    pub(super) fn longest_start(&self) -> Option<Duration> {
        self.startup_time.map(|learnt| (learnt * START_FACTOR).max(SHORTEST_START))
    }

    fn is_late_to_exit(&self, worker: WorkerId, now: Duration) -> bool {
        let process = self.processes[worker.0].as_ref().expect("a process");
        let limit = self.policy.limits.exit_timeout;
        process
            .closed
            .is_some_and(|at| now + self.time_slack >= at.max(process.last_answer) + limit)
    }

    fn is_never_ready(&self, worker: WorkerId, actor: &Actor, now: Duration) -> bool {
        let process = self.processes[worker.0].as_ref().expect("a process");
        let limit = match (self.longest_start(), self.policy.limits.timeout) {
            (Some(start), Some(timeout)) => Some(start + timeout),
            _ => self.policy.limits.init_timeout,
        };
        !process.is_ready
            && self.awaits_ready
            && actor.spoilt.is_some()
            && limit.is_some_and(|limit| now - process.started + self.time_slack >= limit)
    }

    /// How many of the records that a process holds, the first ones, may have taken it too long,
    /// and how many have for certain.
    fn expired(&self, worker: WorkerId, unsent: usize) -> (usize, usize) {
        let process = self.processes[worker.0].as_ref().expect("a process");
        let begun = process.owed.len() - unsent.min(process.owed.len());
        let (earliest, latest) = self.record_limit(process).unwrap_or_default();
        let (_, most) = process.counted((Duration::MAX, Duration::MAX));
        if self.policy.shape.protocol == Protocol::Lines {
            return (1, 1);
        }
        if process.tells_calls && !process.is_at_call() {
            return (1, 1);
        }
        let count = |limit: Duration| {
            let is_over = |owed: &&OwedRecord| owed.age_before.min(most) >= limit;
            process.owed.iter().take(begun).take_while(is_over).count()
        };
        (count(earliest), count(latest))
    }

    fn took_too_long(
        &mut self,
        begun: &[u64],
        (most, least): (usize, usize),
        actor: &Actor,
        has_hung_up: bool,
    ) {
        let is_alone = most <= 1;
        let is_certain = !has_hung_up && (is_alone || least > 1);
        if is_alone || least <= 1 {
            let past = &mut self.pasts[begun[0] as usize];
            past.charge(Charge::Timeout, is_alone && is_certain);
            assert!(
                has_hung_up
                    || actor.is_stuck_on(begun[0])
                    || !matches!(actor.spoilt, Some(Blame::Record(_))),
                "record {} is charged and would be answered",
                begun[0]
            );
        }
        for (place, index) in begun.iter().enumerate().take(most.max(1)) {
            let past = &mut self.pasts[*index as usize];
            past.timeouts += 1;
            past.suspect(is_certain && place < least.max(1));
        }
    }

    pub(in super::super) fn died(
        &mut self,
        worker: WorkerId,
        exit: Option<(&ExitStatus, Blame, bool)>,
        unsent: usize,
        now: Duration,
    ) {
        let Some(process) = &self.processes[worker.0] else {
            return;
        };
        let (is_working, proof) = (process.is_working(), process.proof(self.time_slack));
        let leaves_well = process.closed.is_some()
            && exit.is_some_and(|(exit, ..)| *exit == ExitStatus::Code(0))
            && unsent == 0
            && !process.has_refused;
        let was_closed = process.closed.is_some();
        if is_working && !process.is_ready {
            self.failed_starts[worker.0] += 1;
        }
        if is_working
            && leaves_well
            && exit.is_some_and(|(.., has_partial)| has_partial)
            && !process.owed.is_empty()
        {
            self.answered(worker, 1, now);
        }
        let held_any =
            (self.processes[worker.0].as_ref()).is_some_and(|process| !process.owed.is_empty());
        let suspects = self.suspects(worker, unsent);
        let begun = self.take_begun(worker, unsent);
        let is_for_groups = matches!(
            exit,
            Some((
                ExitStatus::Signal(
                    libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGUSR1 | libc::SIGUSR2
                ),
                ..
            ))
        );
        // Of one that could not be started the scheduler learns only after what it asked for
        // meanwhile.
        let is_certain = !self.is_to_be_interrupted;
        if is_working && exit.is_some() && !is_for_groups && is_certain && !leaves_well {
            self.note_early(worker, held_any);
        }
        self.processes[worker.0] = None;
        if !is_working || self.ended_early.is_some() {
            return;
        }
        // A signal to all ends processes that have failed in nothing: mtask gets it too, or has got
        // it.
        let is_by_signal = matches!(exit, Some((_, Blame::Signal, _)));
        if !self.interrupts.is_empty() || (is_by_signal && self.may_be_sent_again()) {
            return self.outlived(&begun);
        }
        if leaves_well {
            let has_partial = exit.is_some_and(|(.., has_partial)| has_partial);
            self.broken[worker.0] += u32::from(!begun.is_empty() || has_partial);
            begun.iter().for_each(|index| self.pasts[*index as usize].may_be_missing = true);
            return;
        }
        self.broken[worker.0] += u32::from(was_closed && !begun.is_empty());
        let blame = exit.map_or(Blame::Outside, |(_, blame, _)| blame);
        self.hit(proof, &suspects, Charge::Death, blame, is_certain);
    }

    /// Whether what a process held that has failed in nothing may be sent to another.
    fn may_be_sent_again(&self) -> bool {
        self.is_to_be_interrupted || self.policy.delivery == Delivery::AtLeastOnce
    }

    /// A process died and held these: it is judged now, soon, or never.
    fn hit(&mut self, proof: Proof, begun: &[u64], charge: Charge, blame: Blame, is_certain: bool) {
        let is_full = self.policy.window == Window::Full;
        let at_most_once = self.policy.delivery == Delivery::AtMostOnce;
        for index in begun {
            let past = &mut self.pasts[*index as usize];
            let is_outside = blame != Blame::Record(*index);
            past.hits += 1;
            past.outside_hits += u32::from(is_outside);
            past.unlucky_hits += u32::from(is_outside && proof != Proof::None);
            let is_alone = begun.len() == 1 && past.may_be_suspect;
            let is_charged = match is_full {
                _ if at_most_once => true,
                // It is known whose second answer that was.
                false if charge == Charge::SecondAnswer => false,
                true => proof != Proof::None && past.sends > 1,
                false => proof != Proof::None && (is_alone || !is_certain),
            };
            if is_charged {
                let must_be = is_certain && is_alone && past.is_suspect && proof == Proof::Certain;
                past.charge(charge, must_be && !is_full && !at_most_once);
            }
            if !is_full && !at_most_once {
                past.suspect(is_certain);
            }
        }
    }
}

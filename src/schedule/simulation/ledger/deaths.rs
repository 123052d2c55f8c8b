//! What the end of a life means for the records that it held.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::process::{Blame, Process};
use super::{Charge, HANG_UP, Ledger, Owed, SHORTEST_START, START_FACTOR};
use crate::outcome::Exit;
use crate::protocol::Protocol;
use crate::schedule::WorkerId;
use crate::schedule::policy::{Delivery, OnError, Window};

impl Ledger {
    pub(in super::super) fn killed(&mut self, worker: WorkerId, now: Duration) {
        let grace = self.policy.grace;
        // Interrupted twice, or ended by a failure.
        let may_be_at_once = self.interrupts.len() > 1 || self.policy.on_error == OnError::Raise;
        let is_interrupted = !self.interrupts.is_empty();
        let Some(life) = &mut self.lives[worker.0] else {
            return;
        };
        if let Some(at) = life.terminated
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
        life.is_killed = true;
        let owed = std::mem::take(&mut life.owed);
        self.drop_records(owed);
    }

    fn drop_records(&mut self, owed: VecDeque<Owed>) {
        for owed in owed {
            self.pasts[owed.index as usize].holder = None;
        }
    }

    /// Takes what a life holds; what was not begun to be written to it was not sent.
    fn take_begun(&mut self, worker: WorkerId, unsent: usize) -> Vec<u64> {
        let life = self.lives[worker.0].as_mut().expect("a life");
        let owed = std::mem::take(&mut life.owed);
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

    pub(in super::super) fn terminated(
        &mut self,
        worker: WorkerId,
        process: &Process,
        now: Duration,
    ) {
        let life = self.lives[worker.0].as_mut().expect("a running life");
        assert!(life.is_working(), "{worker} is terminated twice");
        life.terminated = Some(now);
        let (signed, started, closed) = (life.has_signed, life.started, life.closed);
        let (age, hung_up, is_stray) = (life.clock().1, life.hung_up, life.is_stray);
        let unasked = life.unasked;
        let last_answer = life.last_answer;
        let holds = life.owed.len();
        let ends = self.ended_early.is_some()
            || self
                .interrupts
                .first()
                .is_some_and(|at| now >= *at + self.policy.grace / 2);
        if !signed {
            self.signless[worker.0] += 1;
        }
        if is_stray {
            self.broken[worker.0] += 1;
            let owed = std::mem::take(&mut self.lives[worker.0].as_mut().expect("it runs").owed);
            owed.iter()
                .for_each(|owed| self.pasts[owed.index as usize].may_be_missing = true);
            return self.drop_records(owed);
        }
        let expired = self.expired(worker, process.unsent());
        let begun = self.take_begun(worker, process.unsent());
        if let Some((blame, charge)) = unasked {
            self.broken[worker.0] += 1;
            return self.hit(&begun, charge, blame, true, true);
        }
        let waited = now - started;
        let start = self
            .learnt_start
            .map(|learnt| (learnt * START_FACTOR).max(SHORTEST_START));
        let has_hung_up = hung_up.is_some_and(|at| now >= at + HANG_UP);
        if holds == 0 {
            if ends {
                return;
            }
            let limit = closed.map(|at| at.max(last_answer) + self.policy.exit_timeout);
            let is_late = limit.is_some_and(|at| now + self.time_slack >= at);
            let start_limit = match (start, self.policy.timeout) {
                (Some(start), Some(timeout)) => Some(start + timeout),
                _ => self.policy.init_timeout,
            };
            let is_never_ready = !signed
                && self.awaits_ready
                && process.spoilt.is_some()
                && start_limit.is_some_and(|limit| waited + self.time_slack >= limit);
            assert!(
                is_late || has_hung_up || is_never_ready,
                "{worker} holds nothing and is terminated"
            );
            return;
        }
        let took_too_long = self.policy.timeout.is_some_and(|limit| {
            age + self.time_slack >= limit
                && (signed || start.is_some_and(|start| waited + self.time_slack >= start + limit))
        });
        if ends {
            // It may have been ended for another reason a moment before.
            if has_hung_up {
                self.hit(&begun, Charge::Death, Blame::Outside, false, false);
            }
            if took_too_long && !begun.is_empty() {
                self.took_too_long(&begun, expired, process, true);
            }
            return;
        }
        let shows_no_sign = !signed
            && start.is_none()
            && self
                .policy
                .init_timeout
                .is_some_and(|limit| age + self.time_slack >= limit);
        assert!(
            has_hung_up || took_too_long || shows_no_sign,
            "{worker} is terminated after {age:?} with {holds} records, for no reason"
        );
        let blame = process.spoilt;
        assert!(
            blame.is_some(),
            "{worker} works on its record and is terminated: {}",
            process.describe()
        );
        if took_too_long && !begun.is_empty() {
            self.took_too_long(&begun, expired, process, hung_up.is_some());
        }
        if has_hung_up || shows_no_sign {
            let is_certain = !took_too_long;
            self.hit(
                &begun,
                Charge::Death,
                blame.unwrap_or(Blame::Outside),
                is_certain,
                is_certain,
            );
        }
    }

    /// How many of the records that a life holds, the first ones, may have taken it too long, and how
    /// many have for certain.
    fn expired(&self, worker: WorkerId, unsent: usize) -> (usize, usize) {
        let life = self.lives[worker.0].as_ref().expect("a life");
        let begun = life.owed.len() - unsent.min(life.owed.len());
        let limit = self.policy.timeout.unwrap_or_default();
        if self.policy.protocol == Protocol::Lines {
            return (1, 1);
        }
        if life.concurrency.is_none() {
            return (begun, begun);
        }
        let count = |slack: Duration, limit: Duration| {
            let is_over = |owed: &&Owed| owed.age_before + slack >= limit;
            life.owed.iter().take(begun).take_while(is_over).count()
        };
        let slack = self.time_slack;
        (count(slack, limit), count(Duration::ZERO, limit + slack))
    }

    fn took_too_long(
        &mut self,
        begun: &[u64],
        (most, least): (usize, usize),
        process: &Process,
        has_hung_up: bool,
    ) {
        let is_alone = most <= 1;
        let is_certain = !has_hung_up && (is_alone || least > 1);
        if is_alone || least <= 1 {
            let past = &mut self.pasts[begun[0] as usize];
            past.charge(Charge::Timeout, is_alone && is_certain);
            assert!(
                has_hung_up
                    || process.is_stuck_on(begun[0])
                    || !matches!(process.spoilt, Some(Blame::Record(_))),
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
        exit: Option<(&Exit, Blame, bool)>,
        unsent: usize,
        now: Duration,
    ) {
        let Some(life) = &self.lives[worker.0] else {
            return;
        };
        let (is_working, signed) = (life.is_working(), life.has_signed);
        let leaves_well = life.closed.is_some()
            && exit.is_some_and(|(exit, ..)| *exit == Exit::Code(0))
            && unsent == 0;
        if is_working && !signed {
            self.signless[worker.0] += 1;
        }
        if is_working
            && leaves_well
            && exit.is_some_and(|(.., has_partial)| has_partial)
            && !life.owed.is_empty()
        {
            self.answered(worker, 1, now);
        }
        let begun = self.take_begun(worker, unsent);
        self.lives[worker.0] = None;
        if !is_working || self.ended_early.is_some() {
            return;
        }
        if leaves_well {
            let has_partial = exit.is_some_and(|(.., has_partial)| has_partial);
            self.broken[worker.0] += u32::from(!begun.is_empty() || has_partial);
            begun
                .iter()
                .for_each(|index| self.pasts[*index as usize].may_be_missing = true);
            return;
        }
        let (blame, is_for_groups) = match exit {
            Some((exit, blame, _)) => (
                blame,
                matches!(
                    exit,
                    Exit::Signal(libc::SIGTERM | libc::SIGINT | libc::SIGHUP)
                ),
            ),
            None => (Blame::Outside, false),
        };
        let at_most_once = self.policy.delivery == Delivery::AtMostOnce;
        if is_for_groups && !self.interrupts.is_empty() && !at_most_once {
            return;
        }
        let is_certain = !is_for_groups || !self.is_to_be_interrupted;
        self.hit(&begun, Charge::Death, blame, is_certain, !is_for_groups);
    }

    /// A life died and held these. It is judged now, or maybe never.
    fn hit(&mut self, begun: &[u64], charge: Charge, blame: Blame, is_certain: bool, is_now: bool) {
        let may_charge = self.learnt_start.is_some();
        let is_full = self.policy.window == Window::Full;
        let at_most_once = self.policy.delivery == Delivery::AtMostOnce;
        for index in begun {
            let past = &mut self.pasts[*index as usize];
            past.hits += 1;
            past.outside_hits += u32::from(blame != Blame::Record(*index));
            let is_alone = begun.len() == 1 && past.may_be_suspect;
            let is_charged = match is_full {
                _ if at_most_once => true,
                // It is known whose second answer that was.
                false if charge == Charge::SecondAnswer => false,
                true => (may_charge || !is_now) && past.sends > 1,
                false => (may_charge || !is_now) && (is_alone || !is_certain),
            };
            if is_charged {
                let must_be = is_certain && may_charge && is_alone && past.is_suspect;
                past.charge(charge, must_be && !is_full && !at_most_once);
            }
            if !is_full && !at_most_once {
                past.suspect(is_certain);
            }
        }
    }
}

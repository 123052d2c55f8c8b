//! Where suspects go: each alone, to a process that holds nothing else and is ready.
//!
//! A process that was never ready may die of itself, whatever it is given, and a worker that can no
//! longer start has no other processes. So a suspect waits for one that is ready, as long as there is
//! one or one comes up without a record. Only where there is none it opens a process, after the
//! other records; and nothing is held against it before two workers have lost one in that way.

use std::time::Instant;

use super::action::WorkerId;
use super::audit::AuditState;
use super::life::{Life, Stage};
use super::queue::{Company, Shun, Work};
use super::{InputState, Scheduler};

impl Scheduler {
    /// A record is to be sent alone from now on.
    pub(super) fn suspect(&mut self, work: Work) {
        self.queue.put_back(Work {
            company: Company::Alone,
            behind: self.queue.end(),
            ..work
        });
    }

    /// Gives records that must be alone to lives that hold nothing else.
    pub(super) fn feed_alone(&mut self, now: Instant) {
        while self.queue.has_alone() {
            let free_and_ready = (self.lives())
                .filter(|(_, life)| self.is_ready(life) && is_free(life))
                .min_by_key(|(_, life)| life.errors)
                .map(|(worker, _)| worker);
            if let Some(worker) = free_and_ready {
                if let Some(work) = self.queue.pop_alone(|_| true) {
                    self.send(worker, work, now);
                }
                continue;
            }
            if self.lives().any(|(_, life)| self.is_ready(life)) {
                self.reserve_one(now);
                return;
            }
            if !self.open_one(now) {
                return;
            }
        }
        for worker in &mut self.workers {
            if let Some(life) = worker.life_mut() {
                life.is_reserved = false;
            }
        }
    }

    /// Has a suspect open a process, for none is ready. Gives whether one does.
    fn open_one(&mut self, now: Instant) -> bool {
        let opens = |life: &Life| {
            let serves = life.stage == Stage::Serving && !life.has_signed;
            serves && !life.owed.is_empty() && !life.holds_alone()
        };
        if self.awaits_ready || self.lives().any(|(_, life)| opens(life)) {
            return false;
        }
        let may_open =
            |life: &Life| self.may_serve(life) && is_free(life) && !self.awaits_ready_of(life);
        let free = self.lives().filter(|(_, life)| may_open(life));
        let pair = free.into_iter().find_map(|(worker, _)| {
            let suits = |work: &&Work| self.may_open(worker, work) && !self.is_behind(worker, work);
            let work = self.queue.those_alone().find(suits)?;
            Some((worker, work.block.first))
        });
        let Some((worker, first)) = pair else {
            return false;
        };
        if let Some(work) = self.queue.pop_alone(|work| work.block.first == first) {
            self.send(worker, work, now);
        }
        true
    }

    /// Whether others are to open a process of this worker before a suspect does: those that were
    /// there before it was one, and all before COMMAND has been ready anywhere. Where a process only
    /// stayed up, as it does in a run that goes on with records that kill, the others are no better
    /// judges. Nor are they where the worker has lost so many processes to them that it would be given
    /// up before two more had told of the suspect: there may be one record after another that kills.
    fn is_behind(&self, worker: WorkerId, work: &Work) -> bool {
        let fruitless = self.workers[worker.0].fruitless;
        let left = (self.policy.max_restarts.max(1)).saturating_sub(fruitless);
        match self.learnt_start {
            None => self.queue.together() > 0,
            Some(_) if self.has_only_stayed_up() => false,
            Some(_) => left > 2 && self.queue.has_before(work.behind),
        }
    }

    /// Whether all that tells that COMMAND works in this run is that a process has stayed up.
    fn has_only_stayed_up(&self) -> bool {
        self.learnt_start.is_some() && self.learnt_start == self.earlier_start
    }

    /// Whether a suspect may open a process of this worker: it is to show in two workers what it does.
    pub(super) fn may_open(&self, worker: WorkerId, work: &Work) -> bool {
        work.shuns != Some(Shun::Worker(worker)) || !self.has_other(worker)
    }

    /// Whether it is held against a suspect that a process of this worker has died of it before that
    /// was ready: once it was the second one in a row, of two workers where there are several. Where a
    /// process has only stayed up, that is all there is.
    pub(super) fn is_held_against(&self, worker: WorkerId, work: &Work) -> bool {
        match work.shuns {
            _ if self.has_only_stayed_up() => true,
            Some(Shun::Worker(first)) => first != worker || !self.has_other(worker),
            _ => false,
        }
    }

    /// Whether all that is held are suspects that wait for COMMAND to be ready for the first time, and
    /// the others, which could show that it can be, do not fit beside them. One more is read all the
    /// same: so there are never more of them than processes that died, and those have a limit.
    pub(super) fn starves(&self) -> bool {
        let has_others = || {
            let mut lives = self.lives();
            self.queue.together() > 0
                || lives.any(|(_, life)| !life.owed.is_empty() && !life.holds_alone())
        };
        self.learnt_start.is_none()
            && self.queue.has_alone()
            && self.takes_input()
            && self.input == InputState::Open
            && self.budget.has_waiter()
            && !has_others()
    }

    /// Leaves one life to run empty, for the records that must be alone.
    fn reserve_one(&mut self, now: Instant) {
        let ready = || self.lives().filter(|(_, life)| self.is_ready(life));
        if ready().any(|(_, life)| life.is_reserved || life.holds_alone()) {
            return;
        }
        let soonest = ready()
            .min_by(|(_, a), (_, b)| a.next_answer(now).total_cmp(&b.next_answer(now)))
            .map(|(worker, _)| worker);
        if let Some(life) = soonest.and_then(|worker| self.life_mut(worker)) {
            life.is_reserved = true;
        }
    }
}

/// Whether a life can take a record that must be alone.
fn is_free(life: &Life) -> bool {
    life.owed.is_empty() && !matches!(life.audit.state, AuditState::Watching(_))
}

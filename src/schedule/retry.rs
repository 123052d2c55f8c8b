//! A failed record is tried again: with whom, and where.
//!
//! Where a process died of it or was stopped for it, it is sent alone, as a suspect is. Where the
//! worker answered with an error it stands in line with the others; but it goes to another process
//! than the last one where that can be had soon, for that may be spoilt. With `--retry-delay` it
//! waits in the queue for its time first, and is with nobody. Always: whatever waits may be sent
//! somewhere, now or at a time that is known.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::event::{Event, Fate};
use super::ids::WorkerId;
use super::policy::Delivery;
use super::process::Process;
use super::queue::{Isolation, Work};
use super::worker::Worker;
use crate::outcome::{Cause, Retry};
use crate::record::Index;

/// A process whose last answers, so many, were errors is not asked again while another is on its
/// way.
const FAILING: u32 = 2;
/// A busy process is waited for by what another one refused until its record has taken as long as
/// its records take, but for at least so long.
const LEAST_WAIT: Duration = Duration::from_secs(1);

impl Scheduler {
    /// What comes of it that a record is charged with a failure of this cause.
    pub(super) fn fate(&self, work: &Work, cause: &Cause) -> Fate {
        match self.may_retry(work, cause.retry()) {
            _ if self.is_beyond_blame() => Fate::LeftOut,
            true => Fate::TriedAgain,
            false => Fate::Failed,
        }
    }

    fn may_retry(&self, work: &Work, retry: Retry) -> bool {
        retry != Retry::Never
            && self.policy.delivery == Delivery::AtLeastOnce
            && self.course.gives_out()
            && work.charged < self.policy.failures.retries
    }

    /// Charges a record with a failure: it is tried again, as its cause allows and as often as
    /// `--retries` says, or fails.
    pub(super) fn charge(
        &mut self,
        work: Work,
        cause: Cause,
        worker: WorkerId,
        took: Option<Duration>,
        now: Instant,
    ) {
        // Of anything else the end of the run may be the reason.
        let is_its_word = cause.is_its_word();
        if self.is_beyond_blame() && !is_its_word {
            return;
        }
        let retry = cause.retry();
        if retry == Retry::InLine && !matches!(cause, Cause::Timeout { .. }) {
            self.note_error(worker, work.first());
        }
        if let Some(work) = self.try_again(work, retry, worker, now) {
            self.fail_work(work, cause, worker, took, now);
        }
    }

    /// Has charged records tried again; gives them back where that may not be.
    pub(super) fn try_again(
        &mut self,
        mut work: Work,
        retry: Retry,
        worker: WorkerId,
        now: Instant,
    ) -> Option<Work> {
        if !self.may_retry(&work, retry) {
            return Some(work);
        }
        work.charged += 1;
        self.tell_again(worker, &work);
        // A process of its own is another one, and shares it with none.
        let retry = match self.policy.is_for_own_record() {
            true => Retry::Never,
            false => retry,
        };
        match retry {
            Retry::Alone => work.isolation = Isolation::Alone,
            Retry::Never => {}
            Retry::InLine => {
                work.isolation = Isolation::Together;
                work.shuns = Some(worker);
            }
        }
        match self.policy.pacing.retry_delay {
            Some(delay) => {
                let wait = delay.wait(work.first(), work.charged);
                self.put_off(work, now + wait);
            }
            None if retry == Retry::Alone => self.queue.put_back_alone(work),
            None => self.queue.put_back(work),
        }
        if retry == Retry::InLine {
            self.judge_errors(worker);
        }
        None
    }

    /// Has records sent again at that time, and no sooner.
    pub(super) fn put_off(&mut self, work: Work, until: Instant) {
        self.queue.put_off(work, until);
        self.wake_by(until);
    }

    /// Puts what has waited for its time in line.
    pub(super) fn call_due(&mut self, now: Instant) {
        if let Some(next) = self.queue.call_due(now) {
            self.wake_by(next);
        }
    }

    /// Puts down that a process answered a record with an error.
    fn note_error(&mut self, worker: WorkerId, index: Index) {
        if let Some(process) = self.process_mut(worker) {
            process.reputation.gave_error(index);
        }
    }

    /// Replaces a process that has come to answer with nothing but errors, once it owes nothing.
    fn judge_errors(&mut self, worker: WorkerId) {
        let enough = self.workers[worker.0].restarts.enough_errors();
        let Some(process) = self.process_mut(worker) else {
            return;
        };
        if !process.judge_errors(enough) {
            return;
        }
        let errors = process.reputation.errors();
        self.workers[worker.0].restarts.was_spoilt();
        self.tell(Event::Spoilt { worker, errors });
    }

    /// How many of the records that may be sent together with others may be sent to this worker.
    pub(super) fn waiting_for(&self, worker: WorkerId, now: Instant) -> usize {
        if !self.queue.has_shunning() {
            return self.queue.together();
        }
        let suits = |(last, _): &(WorkerId, usize)| self.may_take(worker, *last, now);
        let shunning = self.queue.shuns().filter(suits);
        self.queue.for_anybody() + shunning.map(|(_, records)| records).sum::<usize>()
    }

    /// Whose processes records that are given to this worker now may shun.
    pub(super) fn shuns_for(&self, worker: WorkerId, now: Instant) -> Vec<WorkerId> {
        let shuns = self.queue.shuns().map(|(last, _)| last);
        shuns.filter(|last| self.may_take(worker, *last, now)).collect()
    }

    /// Whether anything that waits may be given to this worker.
    pub(super) fn is_of_use(&self, worker: WorkerId, now: Instant) -> bool {
        self.waiting_for(worker, now) > 0 || self.queue.has_alone()
    }

    /// Whether this worker may have records that the process of `last` has just refused.
    fn may_take(&self, worker: WorkerId, last: WorkerId, now: Instant) -> bool {
        let errors = self.process(worker).map_or(0, |process| process.reputation.errors());
        if worker != last && errors == 0 {
            return true;
        }
        let is_better = |(other, process): (WorkerId, &Process)| {
            let is_other = other != worker && other != last;
            let is_soon_free = process.owed.is_empty() || process.age(now) < busy_for(process);
            let suits = is_soon_free && (worker == last || process.reputation.errors() == 0);
            let is_let = self.brakes.lets_one_through_to(other, now).is_ok();
            is_other && is_let && self.is_ready(process) && suits
        };
        let is_on_its_way = |(number, seat): (usize, &Worker)| {
            let is_coming = match seat.process() {
                None => !seat.is_given_up(),
                Some(process) => !self.is_ready(process) && now < self.comes_before(process),
            };
            number != worker.0 && is_coming
        };
        let waits = errors >= FAILING && self.workers.iter().enumerate().any(is_on_its_way);
        !waits && !self.processes().any(is_better)
    }

    /// When a process is not waited for any longer by what another one refused.
    pub(super) fn is_awaited_until(&self, process: &Process) -> Instant {
        match self.is_ready(process) {
            true => process.owed.clock() + busy_for(process),
            false => self.comes_before(process),
        }
    }

    /// The same for one that is not ready.
    pub(super) fn comes_before(&self, process: &Process) -> Instant {
        process.start.since() + self.command.start_in_this_run()
    }

    /// Whether a process is ready, or has stood its trial, and may be given more.
    pub(super) fn is_ready(&self, process: &Process) -> bool {
        (process.is_ready() || process.start.has_stood()) && self.may_serve(process)
    }
}

fn busy_for(process: &Process) -> Duration {
    process.pace.per_record().max(LEAST_WAIT)
}

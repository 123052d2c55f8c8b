//! What processes are sent, and whether they may be.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{LEAST_WAIT, Ledger, OwedRecord, ProcessLedger, Proof, SAME_MOMENT, SILENT};
use crate::engine::simulation::actor::Actor;
use crate::engine::simulation::scenario::Effect;
use crate::schedule::WorkerId;
use crate::schedule::policy::{Delivery, Window};

impl Ledger {
    pub(in super::super) fn sent(
        &mut self,
        worker: WorkerId,
        first: u64,
        count: usize,
        now: Duration,
    ) {
        self.note_first(worker, first);
        for index in first..first + count as u64 {
            self.check_place(worker, index);
        }
        self.check_rate(count, now);
        let group = self.policy.pacing.groups.get(worker.0).copied().unwrap_or_default();
        assert!(
            now + self.time_slack >= self.held_until[group],
            "{worker} is sent records though it is to wait"
        );
        let lifespan = self.policy.lifespan;
        let limit = self.window_limit(worker);
        let process = self.processes[worker.0].as_mut().expect("a running process");
        assert!(
            process.is_working(),
            "{worker} was stopped and is sent records"
        );
        assert!(
            process.closed.is_none(),
            "{worker}'s stdin is closed and it is sent records"
        );
        assert!(
            process.hung_up.is_none_or(|at| now - at < SAME_MOMENT),
            "{worker} has hung up and is sent records"
        );
        assert!(
            process.is_ready
                || !process.owed.is_empty()
                || !self.awaits_ready
                || self.first_announced.is_some_and(|at| now - at < SAME_MOMENT),
            "{worker} has not said that it is ready and is sent records"
        );
        let holds_suspect =
            process.owed.iter().any(|owed| self.pasts[owed.index as usize].is_suspect);
        assert!(!holds_suspect, "{worker} holds a suspect and is sent more");
        if process.owed.is_empty() {
            process.age = Duration::ZERO;
            process.age_before = Duration::ZERO;
        }
        for index in first..first + count as u64 {
            let past = &mut self.pasts[index as usize];
            assert!(
                past.has_arrived,
                "record {index} is sent before it has come"
            );
            let is_due = past.not_before.is_none_or(|at| now + self.time_slack >= at);
            assert!(is_due, "record {index} is sent before its time");
            self.has_waited |= past.not_before.take().is_some();
            assert_eq!(past.holder, None, "record {index} is sent to two processes");
            assert!(!past.is_answered, "record {index} is sent after its answer");
            assert!(
                past.effect != Some(Effect::Invalid),
                "record {index} is invalid and sent"
            );
            assert!(
                past.least_charges() <= self.policy.failures.retries,
                "record {index} is tried too often"
            );
            assert!(
                !past.is_suspect || (count == 1 && process.owed.is_empty()),
                "record {index} is suspect and sent in isolation"
            );
            if self.policy.delivery == Delivery::AtMostOnce {
                assert_eq!(past.sends, 0, "record {index} is sent a second time");
            }
            past.sends += 1;
            past.refused_by = None;
            past.holder = Some(worker);
            process.owed.push_back(OwedRecord {
                index,
                age: Duration::ZERO,
                age_before: Duration::ZERO,
                call: None,
                asked: None,
            });
        }
        process.sent += count;
        assert!(
            process.owed.len() <= limit,
            "{worker} holds {} records of {limit}",
            process.owed.len()
        );
        assert!(
            process.has_outgrown.is_none_or(|at| now - at < SAME_MOMENT),
            "{worker} holds too much and is sent records"
        );
        assert!(
            process.sent <= lifespan.most(),
            "{worker} serves longer than its lifespan"
        );
    }

    /// A suspect goes to an actor that is ready, and a retry not to the one that has just refused
    /// it, where there is another that is free, or has not been busy for long.
    fn check_place(&self, worker: WorkerId, index: u64) {
        let Some(process) = &self.processes[worker.0] else {
            return;
        };
        let past = &self.pasts[index as usize];
        let others = || {
            let processes = self.processes.iter().enumerate();
            processes
                .filter_map(|(number, process)| process.as_ref().filter(|_| number != worker.0))
        };
        let is_ready =
            |process: &ProcessLedger| process.is_ready && self.may_be_given_more(process);
        let is_full = self.policy.window == Window::Full;
        if past.is_suspect && process.proof(self.time_slack) == Proof::None && !is_full {
            assert!(
                !others().any(is_ready),
                "suspect {index} opens an actor though one is ready"
            );
            let is_neighbour = |owed: &OwedRecord| !self.pasts[owed.index as usize].may_be_suspect;
            let opens =
                |process: &ProcessLedger| !process.is_ready && self.may_be_given_more(process);
            assert!(
                !others().any(|process| opens(process) && process.owed.iter().any(is_neighbour)),
                "suspect {index} opens an actor though another record does"
            );
        }
        // One that is busy while stderr is not read may be stuck in that, for as long as that takes.
        if past.refused_by == Some((worker, self.begun_processes[worker.0])) && self.reads_stderr {
            // One that was asked to wait is not waited for.
            let none_waits = self.refusals.iter().all(|refusals| *refusals == 0);
            let is_soon_free =
                |process: &ProcessLedger| process.owed.is_empty() || process.clock().0 < LEAST_WAIT;
            assert!(
                !none_waits || !others().any(|process| is_ready(process) && is_soon_free(process)),
                "record {index} goes to the actor that refused it though another is ready"
            );
        }
    }

    /// No more are sent than the rate has let through by now.
    fn check_rate(&mut self, count: usize, now: Duration) {
        self.sends += count;
        let Some(rate) = self.policy.pacing.rate else {
            return;
        };
        let batch = self.policy.pacing.batch.map_or(1, NonZeroUsize::get) as f64;
        let burst = rate.per_second().max(1.0).max(batch);
        let most = burst + rate.per_second() * (now + self.time_slack).as_secs_f64() + 1e-3;
        let sends = self.sends as f64;
        assert!(
            sends <= most,
            "{sends} records are sent, of {most} at the most"
        );
        self.is_paced |= sends > burst + 1.0 && sends + 2.0 > most;
    }

    /// Whether a process serves, and is not about to be replaced.
    fn may_be_given_more(&self, process: &ProcessLedger) -> bool {
        let is_spent = process.sent >= self.policy.lifespan.most();
        let is_serving =
            process.is_working() && process.closed.is_none() && process.hung_up.is_none();
        let may_be_spoilt = self.policy.failures.retries > 0 && process.may_be_spoilt;
        is_serving && !is_spent && !may_be_spoilt && !process.is_large
    }

    fn window_limit(&self, worker: WorkerId) -> usize {
        let Some(process) = &self.processes[worker.0] else {
            return 0;
        };
        let asked = match (self.policy.window, process.concurrency) {
            _ if self.policy.delivery == Delivery::AtMostOnce => 1,
            (Window::Auto, None) if !process.is_ready => 1,
            // One more may tell of an answer that is long overdue.
            (Window::Auto, None) => process.window + 1,
            (Window::Auto | Window::Full, _) => usize::MAX,
            (Window::Records(records), _) => records.get(),
        };
        asked.min(process.concurrency.unwrap_or(usize::MAX))
    }

    pub(in super::super) fn hung_up(&mut self, worker: WorkerId, now: Duration) {
        if let Some(process) = &mut self.processes[worker.0] {
            process.hung_up.get_or_insert(now);
        }
    }

    /// A process has closed its stdin: records of which no byte was written to it are taken
    /// back.
    pub(in super::super) fn refused(&mut self, worker: WorkerId, actor: &Actor, now: Duration) {
        self.hung_up(worker, now);
        if let Some(process) = &mut self.processes[worker.0] {
            process.has_refused = true;
        }
        self.taken_back(worker, actor.unsent());
        self.tore(worker, actor);
    }

    /// What was begun to be written to a process will never be all written.
    pub(in super::super) fn tore(&mut self, worker: WorkerId, actor: &Actor) {
        if let Some(process) = &mut self.processes[worker.0] {
            process.is_partially_written |= actor.is_amid_record();
        }
    }

    /// The last records that a process holds were not begun to be written, and are taken back.
    fn taken_back(&mut self, worker: WorkerId, unsent: usize) {
        let Some(process) = &mut self.processes[worker.0] else {
            return;
        };
        let begun = process.owed.len() - unsent.min(process.owed.len());
        for owed in process.owed.drain(begun..) {
            let past = &mut self.pasts[owed.index as usize];
            past.holder = None;
            past.sends -= 1;
        }
    }

    pub(in super::super) fn closed(&mut self, worker: WorkerId, now: Duration) {
        let Some(process) = &mut self.processes[worker.0] else {
            return;
        };
        assert!(
            process.closed.is_none() && process.is_working(),
            "{worker}'s stdin is closed twice"
        );
        process.closed = Some(now);
        let is_silent = !process.owed.is_empty() && process.clock().0 + self.time_slack >= SILENT;
        self.silent[worker.0] += u32::from(is_silent);
    }
}

//! What the scheduler may and may not do, kept in a book of its own: who was sent what, what every
//! record has suffered, and hence what may be charged to it.

mod answers;
mod deaths;
mod limits;
mod past;
mod trials;

use std::collections::VecDeque;
use std::time::Duration;

use super::actor::Blame;
use super::outcomes::Outcomes;
use super::scenario::{Effect, Scenario, millis};
use crate::budget::BOOKKEEPING;
use crate::exit::Status;
use crate::input::Arrival;
use crate::schedule::policy::{Delivery, Policy, Readiness, Window};
use crate::schedule::{Tally, WorkerId};
pub(super) use answers::Said;
pub(super) use past::{Charge, Past};
use trials::Proof;

/// A process that has closed a pipe is given so long to exit.
const HANG_UP: Duration = millis(200);
/// Later processes may take so many times as long to be ready, and at least so long.
const START_FACTOR: u32 = 3;
const SHORTEST_START: Duration = millis(1_000);
/// After so many errors in a row a actor may be replaced.
const SPOILT: u32 = 4;

/// A record that a process holds.
#[derive(Debug)]
struct Owed {
    index: u64,
    /// For how long it has been held, while the process was listened to: now, and when the engine
    /// last began to wait. It begins anew when the process says that it is up.
    age: Duration,
    age_before: Duration,
}

#[derive(Debug, Default)]
struct Process {
    started: Duration,
    owed: VecDeque<Owed>,
    sent: usize,
    is_ready: bool,
    /// For how long it has been listened to.
    up: Duration,
    /// The same up to its first record, and what its death tells of that as long as it is not
    /// ready.
    unfed: Duration,
    proof: Proof,
    closed: Option<Duration>,
    last_answer: Duration,
    terminated: Option<Duration>,
    is_killed: bool,
    hung_up: Option<Duration>,
    is_stray: bool,
    /// It gave an answer that nothing was asked for: who is to blame, and what for.
    unasked: Option<(Blame, Charge)>,
    /// The record that it answered last, where answers have ids.
    last_answered: Option<u64>,
    /// How many of its answers since the last result were errors.
    errors: u32,
    /// How many records it takes at a time, where it has said so.
    concurrency: Option<usize>,
    /// The largest window that the speed of its answers can have led to.
    window: usize,
    /// For how long its oldest record has been that, while it was listened to: now, and when the
    /// engine last began to wait.
    age: Duration,
    age_before: Duration,
    /// For how long it has been listened to in vain, owing nothing, since its stdin was closed.
    idle: Duration,
}

impl Process {
    fn is_working(&self) -> bool {
        self.terminated.is_none() && !self.is_killed
    }

    fn holds(&self, index: u64) -> bool {
        self.owed.iter().any(|owed| owed.index == index)
    }

    fn oldest(&self) -> Option<u64> {
        self.owed.front().map(|owed| owed.index)
    }

    fn start_clocks(&mut self) {
        (self.age, self.age_before) = (Duration::ZERO, Duration::ZERO);
        for owed in &mut self.owed {
            (owed.age, owed.age_before) = (Duration::ZERO, Duration::ZERO);
        }
    }

    /// What the clock of its oldest record says, now and when the engine last began to wait.
    fn clock(&self) -> (Duration, Duration) {
        match (self.concurrency, self.owed.front()) {
            (Some(_), Some(owed)) => (owed.age, owed.age_before),
            _ => (self.age, self.age_before),
        }
    }
}

/// The book of a run.
pub(super) struct Ledger {
    policy: Policy,
    has_liars: bool,
    is_to_be_interrupted: bool,
    slack: usize,
    time_slack: Duration,
    pasts: Vec<Past>,
    processes: Vec<Option<Process>>,
    begun_processes: Vec<u32>,
    /// Processes in a row that were never ready, for each worker.
    failed_starts: Vec<u32>,
    /// How many processes of each worker were out of step, or left what they owed at the end of
    /// their stdin.
    broken: Vec<u32>,
    /// COMMAND has said that it is up, or is known to.
    awaits_ready: bool,
    log_lines: u64,
    exits: u64,
    startup_time: Option<Duration>,
    /// The longest that a process was up which died before it was ready, since one last became
    /// ready.
    died_early: Option<Duration>,
    interrupts: Vec<Duration>,
    ended_early: Option<Duration>,
    input_has_ended: bool,
    outcomes: Outcomes,
    finished: Option<Duration>,
}

impl Ledger {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let jobs = scenario.policy.jobs.get();
        let record = |record: &super::scenario::Record| Past {
            effect: Some(record.effect.clone()),
            ..Past::default()
        };
        Self {
            has_liars: scenario.has_liars(),
            is_to_be_interrupted: scenario.is_interrupted(),
            slack: slack(scenario),
            time_slack: scenario.longest_delay * 3 + millis(1),
            pasts: scenario.records.iter().map(record).collect(),
            processes: (0..jobs).map(|_| None).collect(),
            begun_processes: vec![0; jobs],
            failed_starts: vec![0; jobs],
            broken: vec![0; jobs],
            awaits_ready: scenario.policy.readiness == Readiness::Announced,
            log_lines: 0,
            exits: 0,
            startup_time: None,
            died_early: None,
            interrupts: Vec::new(),
            ended_early: None,
            input_has_ended: false,
            outcomes: Outcomes::new(scenario),
            finished: None,
            policy: scenario.policy.clone(),
        }
    }

    pub(super) fn slack(&self) -> usize {
        self.slack
    }

    pub(super) fn owed(&self, worker: WorkerId) -> usize {
        self.processes[worker.0]
            .as_ref()
            .map_or(0, |process| process.owed.len())
    }

    pub(super) fn arrived(&mut self, arrival: &Arrival) {
        match arrival {
            Arrival::Records(block) => {
                for index in block.first.0..block.end().0 {
                    self.pasts[index as usize].has_arrived = true;
                }
            }
            Arrival::Rejected(rejected) => {
                self.pasts[rejected.index.0 as usize].has_arrived = true;
            }
            Arrival::Awaited(_) => {}
            Arrival::End | Arrival::Failed(_) | Arrival::Changed(_) => self.input_has_ended = true,
        }
    }

    pub(super) fn started(&mut self, worker: WorkerId, process: u32, now: Duration) {
        assert!(
            worker.0 < self.policy.jobs.get(),
            "{worker} is one too many"
        );
        assert!(
            self.processes[worker.0].is_none(),
            "{worker} has two processes at a time"
        );
        assert_eq!(
            process, self.begun_processes[worker.0],
            "the number of {worker}'s next process"
        );
        self.begun_processes[worker.0] += 1;
        self.processes[worker.0] = Some(Process {
            started: now,
            window: 1,
            ..Process::default()
        });
    }

    pub(super) fn sent(
        &mut self,
        worker: WorkerId,
        first: u64,
        count: usize,
        has_actor: bool,
        now: Duration,
    ) {
        self.note_first(worker, first);
        for index in first..first + count as u64 {
            self.check_place(worker, index);
        }
        let lifespan = self.policy.lifespan;
        let limit = self.window_limit(worker);
        let Some(process) = &mut self.processes[worker.0] else {
            // It could not be started.
            assert!(!has_actor);
            return;
        };
        assert!(
            process.is_working(),
            "{worker} was stopped and is sent records"
        );
        assert!(
            process.closed.is_none(),
            "{worker}'s stdin is closed and it is sent records"
        );
        assert!(
            process.hung_up.is_none_or(|at| at == now),
            "{worker} has hung up and is sent records"
        );
        assert!(
            process.is_ready || !process.owed.is_empty() || !self.awaits_ready,
            "{worker} has not said that it is ready and is sent records"
        );
        let holds_suspect = process
            .owed
            .iter()
            .any(|owed| self.pasts[owed.index as usize].is_suspect);
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
            assert_eq!(past.holder, None, "record {index} is sent to two processes");
            assert!(!past.is_answered, "record {index} is sent after its answer");
            assert!(
                past.effect != Some(Effect::Invalid),
                "record {index} is invalid and sent"
            );
            assert!(
                past.least_charges() <= self.policy.retries,
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
            process.owed.push_back(Owed {
                index,
                age: Duration::ZERO,
                age_before: Duration::ZERO,
            });
        }
        process.sent += count;
        assert!(
            process.owed.len() <= limit,
            "{worker} holds {} records of {limit}",
            process.owed.len()
        );
        if let Some(lifespan) = lifespan {
            assert!(
                process.sent <= lifespan.get(),
                "{worker} serves longer than its lifespan"
            );
        }
    }

    /// A suspect goes to a actor that is ready, and a retry not to the one that has just refused
    /// it, where there is another.
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
        let is_ready = |process: &Process| process.is_ready && self.may_be_given_more(process);
        let is_full = self.policy.window == Window::Full;
        if past.is_suspect && process.proof(self.time_slack) == Proof::None && !is_full {
            assert!(
                !others().any(is_ready),
                "suspect {index} opens a actor though one is ready"
            );
            let is_neighbour = |owed: &Owed| !self.pasts[owed.index as usize].may_be_suspect;
            let opens = |process: &Process| !process.is_ready && self.may_be_given_more(process);
            assert!(
                !others().any(|process| opens(process) && process.owed.iter().any(is_neighbour)),
                "suspect {index} opens a actor though another record does"
            );
        }
        if past.refused_by == Some((worker, self.begun_processes[worker.0])) {
            assert!(
                !others().any(is_ready),
                "record {index} goes to the actor that refused it though another is ready"
            );
        }
    }

    /// Whether a process serves, and is not about to be replaced.
    fn may_be_given_more(&self, process: &Process) -> bool {
        let is_spent = (self.policy.lifespan).is_some_and(|records| process.sent >= records.get());
        let is_serving =
            process.is_working() && process.closed.is_none() && process.hung_up.is_none();
        let may_be_spoilt = self.policy.retries > 0 && process.errors >= SPOILT;
        is_serving && !is_spent && !may_be_spoilt
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

    pub(super) fn hung_up(&mut self, worker: WorkerId, now: Duration) {
        if let Some(process) = &mut self.processes[worker.0] {
            process.hung_up.get_or_insert(now);
        }
    }

    /// The last records that a process holds were not begun to be written, and are taken back.
    pub(super) fn taken_back(&mut self, worker: WorkerId, unsent: usize) {
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

    pub(super) fn closed(&mut self, worker: WorkerId, now: Duration) {
        let Some(process) = &mut self.processes[worker.0] else {
            return;
        };
        assert!(
            process.closed.is_none() && process.is_working(),
            "{worker}'s stdin is closed twice"
        );
        process.closed = Some(now);
    }

    pub(super) fn interrupted(&mut self, now: Duration) {
        self.interrupts.push(now);
    }

    /// The run is to end because of something that is no record and no worker.
    pub(super) fn ended_early(&mut self, now: Duration) {
        self.ended_early.get_or_insert(now);
    }

    pub(super) fn finished(&mut self, now: Duration) {
        self.finished = Some(now);
        let slack = self.time_slack + millis(20);
        let grace = self.policy.grace;
        if let Some(at) = self.ended_early {
            assert!(
                now <= at + grace + slack,
                "the end takes longer than --grace"
            );
        }
        match self.interrupts[..] {
            [] => {}
            [at] => assert!(
                now <= at + grace + slack,
                "the end takes longer than --grace"
            ),
            [_, at, ..] => assert!(now <= at + slack, "the second signal does not end the run"),
        }
    }

    pub(super) fn read_output(&mut self, results: &[u8], errors: &[u8]) {
        self.outcomes.read(results, errors, &self.pasts);
    }

    pub(super) fn check_end(
        mut self,
        scenario: &Scenario,
        status: Status,
        tally: &Tally,
        has_failed: bool,
    ) {
        let most = self.policy.max_restarts.max(1);
        if status == Status::NoWorker {
            let has_failed_enough =
                |(failed_starts, broken): (&u32, &u32)| *failed_starts >= most || *broken >= most;
            assert!(
                self.failed_starts
                    .iter()
                    .zip(&self.broken)
                    .all(has_failed_enough),
                "workers are given up that have not failed often enough: {:?} and {:?}",
                self.failed_starts,
                self.broken
            );
        }
        if let Status::Signal(_) = status {
            assert!(!self.interrupts.is_empty(), "nobody has sent a signal");
        }
        assert_eq!(
            (tally.log_lines, tally.unkept_exits),
            (self.log_lines, self.exits),
            "lines that are no answers, and exit values"
        );
        let is_cut_short = !self.interrupts.is_empty() || has_failed;
        if !self.interrupts.is_empty() && !has_failed {
            assert!(
                matches!(status, Status::Signal(_)),
                "the signal does not show: {status:?}"
            );
        }
        if let Some(end) = tally.early_end.filter(|_| !has_failed) {
            let total = scenario.records.len() as u64;
            self.outcomes.check_early_end(total, status, end);
        }
        self.outcomes
            .check_end(scenario, &self.pasts, status, tally, is_cut_short);
    }
}

/// What may be held beyond `--buffer`. Only the input ever waits for room, so all that happens in
/// one turn of the engine comes on top: a read from each process, whose answers may take twice
/// their bytes in a growing buffer, and the error records of what was rejected or lost at once.
fn slack(scenario: &Scenario) -> usize {
    let jobs = scenario.policy.jobs.get();
    let read = 2 * (scenario.command.stdout + super::scenario::MAX_ANSWER) + BOOKKEEPING;
    let burst = scenario
        .input
        .iter()
        .map(|burst| burst.records)
        .max()
        .unwrap_or(0);
    let longest = scenario
        .records
        .iter()
        .map(|record| record.len)
        .max()
        .unwrap_or(0);
    jobs * read + (2 * burst + 100) * (600 + longest)
}

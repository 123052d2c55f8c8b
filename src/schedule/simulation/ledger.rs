//! What the scheduler may and may not do, kept in a book of its own: who was sent what, what every
//! record has suffered, and hence what may be charged to it.

mod deaths;

use std::collections::VecDeque;
use std::time::Duration;

use super::outcomes::Outcomes;
use super::scenario::{Effect, Scenario, millis};
use crate::budget::BOOKKEEPING;
use crate::exit::Status;
use crate::input::Arrival;
use crate::schedule::policy::{Delivery, Policy, Window};
use crate::schedule::{Scheduler, Tally, WorkerId};

/// A life that has closed a pipe is given so long to exit.
const HANG_UP: Duration = millis(200);
/// Later lives may take so many times as long to their first sign, and at least so long.
const START_FACTOR: u32 = 3;
const SHORTEST_START: Duration = millis(1_000);

/// What a record has been through.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    pub(super) effect: Option<Effect>,
    pub(super) has_arrived: bool,
    /// To how many lives it was begun to be written.
    pub(super) sends: u32,
    pub(super) holder: Option<WorkerId>,
    /// Some life has answered it, as far as can be told from the number of lines.
    pub(super) is_answered: bool,
    /// How many lives died with it, and how many of those for reasons of their own.
    pub(super) hits: u32,
    pub(super) outside_hits: u32,
    /// How often it must have been charged, and how often it may have been.
    pub(super) least_charges: u32,
    pub(super) most_charges: u32,
    pub(super) timeouts: u32,
    /// It is to be sent alone from now on.
    pub(super) is_suspect: bool,
    pub(super) may_be_missing: bool,
}

#[derive(Debug, Default)]
struct Life {
    started: Duration,
    owed: VecDeque<u64>,
    sent: usize,
    has_signed: bool,
    closed: Option<Duration>,
    last_answer: Duration,
    terminated: Option<Duration>,
    is_killed: bool,
    hung_up: Option<Duration>,
    is_stray: bool,
    /// For how long its oldest record has been that, while it was listened to: now, and when the
    /// engine last began to wait.
    age: Duration,
    age_before: Duration,
    /// For how long it has been listened to in vain, owing nothing, since its stdin was closed.
    idle: Duration,
}

impl Life {
    fn is_working(&self) -> bool {
        self.terminated.is_none() && !self.is_killed
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
    lives: Vec<Option<Life>>,
    begun_lives: Vec<u32>,
    /// Lives in a row without a sign, for each worker.
    signless: Vec<u32>,
    /// How many lives of each worker were out of step.
    broken: Vec<u32>,
    learnt_start: Option<Duration>,
    interrupts: Vec<Duration>,
    ended_early: Option<Duration>,
    input_has_ended: bool,
    outcomes: Outcomes,
    /// Since when nothing has been owed although something is left to do.
    idle_since: Option<Duration>,
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
            lives: (0..jobs).map(|_| None).collect(),
            begun_lives: vec![0; jobs],
            signless: vec![0; jobs],
            broken: vec![0; jobs],
            learnt_start: None,
            interrupts: Vec::new(),
            ended_early: None,
            input_has_ended: false,
            outcomes: Outcomes::new(scenario),
            idle_since: None,
            finished: None,
            policy: scenario.policy.clone(),
        }
    }

    pub(super) fn slack(&self) -> usize {
        self.slack
    }

    pub(super) fn owed(&self, worker: WorkerId) -> usize {
        self.lives[worker.0]
            .as_ref()
            .map_or(0, |life| life.owed.len())
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
            Arrival::End | Arrival::Failed(_) => self.input_has_ended = true,
        }
    }

    pub(super) fn started(&mut self, worker: WorkerId, life: u32, now: Duration) {
        assert!(
            worker.0 < self.policy.jobs.get(),
            "{worker} is one too many"
        );
        assert!(
            self.lives[worker.0].is_none(),
            "{worker} has two lives at a time"
        );
        assert_eq!(
            life, self.begun_lives[worker.0],
            "the number of {worker}'s next life"
        );
        self.begun_lives[worker.0] += 1;
        self.lives[worker.0] = Some(Life {
            started: now,
            ..Life::default()
        });
    }

    pub(super) fn sent(
        &mut self,
        worker: WorkerId,
        first: u64,
        count: usize,
        has_process: bool,
        now: Duration,
    ) {
        let lifespan = self.policy.lifespan;
        let limit = self.window_limit(worker);
        let Some(life) = &mut self.lives[worker.0] else {
            // It could not be started.
            assert!(!has_process);
            return;
        };
        assert!(
            life.is_working(),
            "{worker} was stopped and is sent records"
        );
        assert!(
            life.closed.is_none(),
            "{worker}'s stdin is closed and it is sent records"
        );
        assert!(
            life.hung_up.is_none_or(|at| at == now),
            "{worker} has hung up and is sent records"
        );
        let holds_suspect = life
            .owed
            .iter()
            .any(|index| self.pasts[*index as usize].is_suspect);
        assert!(!holds_suspect, "{worker} holds a suspect and is sent more");
        if life.owed.is_empty() {
            life.age = Duration::ZERO;
            life.age_before = Duration::ZERO;
        }
        for index in first..first + count as u64 {
            let past = &mut self.pasts[index as usize];
            assert!(
                past.has_arrived,
                "record {index} is sent before it has come"
            );
            assert_eq!(past.holder, None, "record {index} is sent to two lives");
            assert!(!past.is_answered, "record {index} is sent after its answer");
            assert!(
                past.effect != Some(Effect::Invalid),
                "record {index} is invalid and sent"
            );
            assert!(
                past.least_charges <= self.policy.retries,
                "record {index} is tried too often"
            );
            assert!(
                !past.is_suspect || (count == 1 && life.owed.is_empty()),
                "record {index} is suspect and sent in company"
            );
            if self.policy.delivery == Delivery::AtMostOnce {
                assert_eq!(past.sends, 0, "record {index} is sent a second time");
            }
            past.sends += 1;
            past.holder = Some(worker);
            life.owed.push_back(index);
        }
        life.sent += count;
        assert!(
            life.owed.len() <= limit,
            "{worker} holds {} records of {limit}",
            life.owed.len()
        );
        if let Some(lifespan) = lifespan {
            assert!(
                life.sent <= lifespan.get(),
                "{worker} serves longer than its lifespan"
            );
        }
    }

    fn window_limit(&self, worker: WorkerId) -> usize {
        let has_signed = self.lives[worker.0]
            .as_ref()
            .is_some_and(|life| life.has_signed);
        match self.policy.window {
            _ if self.policy.delivery == Delivery::AtMostOnce => 1,
            Window::Auto if !has_signed => 1,
            Window::Auto => 1024,
            Window::Records(records) => records.get(),
            Window::Full => usize::MAX,
        }
    }

    pub(super) fn answered(&mut self, worker: WorkerId, count: usize, now: Duration) {
        let life = self.lives[worker.0].as_mut().expect("a life answers");
        for index in life.owed.drain(..count) {
            let past = &mut self.pasts[index as usize];
            past.is_answered = true;
            past.holder = None;
        }
        life.age = Duration::ZERO;
        life.age_before = Duration::ZERO;
        life.last_answer = now;
        life.idle = Duration::ZERO;
        self.signless[worker.0] = 0;
        if !std::mem::replace(&mut life.has_signed, true) {
            let took = now - life.started;
            self.learnt_start = Some(self.learnt_start.map_or(took, |learnt| learnt.max(took)));
        }
    }

    pub(super) fn stray(&mut self, worker: WorkerId) {
        assert!(self.has_liars, "{worker} has written no line too many");
        if let Some(life) = &mut self.lives[worker.0] {
            life.is_stray = true;
        }
    }

    pub(super) fn hung_up(&mut self, worker: WorkerId, now: Duration) {
        if let Some(life) = &mut self.lives[worker.0] {
            life.hung_up.get_or_insert(now);
        }
    }

    /// The last records that a life holds were not begun to be written, and are taken back.
    pub(super) fn taken_back(&mut self, worker: WorkerId, unsent: usize) {
        let Some(life) = &mut self.lives[worker.0] else {
            return;
        };
        let begun = life.owed.len() - unsent.min(life.owed.len());
        for index in life.owed.drain(begun..) {
            let past = &mut self.pasts[index as usize];
            past.holder = None;
            past.sends -= 1;
        }
    }

    pub(super) fn closed(&mut self, worker: WorkerId, now: Duration) {
        let Some(life) = &mut self.lives[worker.0] else {
            return;
        };
        assert!(
            life.closed.is_none() && life.is_working(),
            "{worker}'s stdin is closed twice"
        );
        life.closed = Some(now);
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

    /// mtask and all lives were stopped for so long.
    pub(super) fn suspended(&mut self, pause: Duration) {
        for at in &mut self.interrupts {
            *at += pause;
        }
        for life in self.lives.iter_mut().flatten() {
            life.started += pause;
            for at in [&mut life.closed, &mut life.terminated, &mut life.hung_up] {
                *at = at.map(|at| at + pause);
            }
        }
        self.idle_since = self.idle_since.map(|since| since + pause);
    }

    pub(super) fn begin_to_wait(&mut self) {
        for life in self.lives.iter_mut().flatten() {
            life.age_before = life.age;
        }
    }

    pub(super) fn pass(&mut self, by: Duration, is_heard: impl Fn(WorkerId) -> bool) {
        for (number, life) in self.lives.iter_mut().enumerate() {
            if let Some(life) = life
                && is_heard(WorkerId(number))
            {
                life.age += by;
                if life.closed.is_some() && life.owed.is_empty() {
                    life.idle += by;
                }
            }
        }
    }

    /// Documented limits end a wait.
    pub(super) fn check_limits(&mut self, scheduler: &Scheduler, now: Duration) {
        let slack = self.time_slack;
        for (number, life) in self.lives.iter().enumerate() {
            let Some(life) = life else { continue };
            let worker = WorkerId(number);
            if let Some(at) = life.terminated {
                let until = at + self.policy.grace + slack;
                assert!(
                    life.is_killed || now <= until,
                    "{worker} is not killed after --grace"
                );
            } else if let Some(limit) = self.policy.timeout
                && life.has_signed
                && !life.owed.is_empty()
                && scheduler.hears(worker)
            {
                assert!(
                    life.age <= limit + slack,
                    "{worker} may work longer than --timeout"
                );
            } else {
                let is_late = life.idle > self.policy.exit_timeout + slack;
                assert!(
                    !is_late,
                    "{worker} may take longer to exit than --exit-timeout"
                );
            }
        }
        let is_idle = self.lives.iter().flatten().all(|life| life.owed.is_empty())
            && self.finished.is_none()
            && self.interrupts.is_empty()
            && self.ended_early.is_none()
            && self
                .pasts
                .iter()
                .any(|past| past.has_arrived && !past.is_answered);
        match self.idle_since {
            None if is_idle => self.idle_since = Some(now),
            _ if !is_idle => self.idle_since = None,
            _ => {}
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
                |(signless, broken): (&u32, &u32)| *signless >= most || *broken >= most;
            assert!(
                self.signless
                    .iter()
                    .zip(&self.broken)
                    .all(has_failed_enough),
                "workers are given up that have not failed often enough: {:?} and {:?}",
                self.signless,
                self.broken
            );
        }
        if let Status::Signal(_) = status {
            assert!(!self.interrupts.is_empty(), "nobody has sent a signal");
        }
        let is_cut_short = !self.interrupts.is_empty() || has_failed;
        if !self.interrupts.is_empty() && !has_failed {
            assert!(
                matches!(status, Status::Signal(_)),
                "the signal does not show: {status:?}"
            );
        }
        self.outcomes
            .check_end(scenario, &self.pasts, status, tally, is_cut_short);
    }
}

/// What may be held beyond `--buffer`. Only the input ever waits for room, so all that happens in
/// one turn of the engine comes on top: a read from each life, whose answers may take twice their
/// bytes in a growing buffer, and the error records of what was rejected or lost at once.
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

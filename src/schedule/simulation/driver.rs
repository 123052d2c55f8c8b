//! The engine of the simulation: it drives the scheduler in the order in which `engine` does, with
//! simulated processes, pipes and time.

macro_rules! trace {
    ($this:expr, $($text:tt)*) => {
        if $this.traces {
            println!("{:>12.6} {}", $this.now.as_secs_f64(), format_args!($($text)*));
        }
    };
}

// After the macro, which they use.
mod dialogue;
mod processes;
mod time;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::actor::Actor;
use super::ledger::Ledger;
use super::pipes::{Input, Output};
use super::scenario::{Accident, Disturbance, MAX_ANSWER, Scenario, millis};
use crate::budget::{BOOKKEEPING, Budget};
use crate::input::Arrival;
use crate::outcome::Done;
use crate::protocol::json;
use crate::protocol::stdout::StdoutLines;
use crate::record::{Block, Slice};
use crate::report::Teller;
use crate::schedule::event::Event;
use crate::schedule::{Action, Doubts, Pipe, Scheduler, WorkerFaults, WorkerId};
use crate::shape::Protocol;

/// Until nothing has come from the input for so long, workers wait for it.
const FIRST_LOOK: Duration = millis(20);
/// A run that takes more steps than this does not end.
const MOST_STEPS: usize = 200_000;
/// The same in simulated time, from the last thing that happens from outside.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

struct Member {
    actor: Actor,
    stdout: StdoutLines,
}

enum Request {
    Outside(Disturbance),
    LookAtProcesses,
}

/// A run under way.
pub(super) struct Simulation {
    pub(super) scenario: Scenario,
    rng: Rng,
    base: Instant,
    now: Duration,
    budget: Budget,
    scheduler: Scheduler,
    members: Vec<Option<Member>>,
    input: Input,
    output: Output,
    ledger: Ledger,
    requests: VecDeque<Request>,
    disturbances: VecDeque<(Duration, Disturbance)>,
    start_by: Option<Duration>,
    is_woken: bool,
    is_finished: bool,
    has_failed: bool,
    accidents: u32,
    /// A process could not start, though COMMAND had been ready.
    has_fallen: bool,
    /// Turns in a row in which there was nothing to wait for and nothing to do.
    spins: u32,
    /// As many had an outcome at the last turn.
    outcomes: u64,
    /// How many outcomes were told.
    told: u64,
    /// How many processes were told to have begun and not to be gone.
    processes: u32,
    teller: Teller,
    traces: bool,
    buffer: Vec<u8>,
}

impl Simulation {
    pub(super) fn new(scenario: Scenario, rng: Rng, base: Instant, traces: bool) -> Self {
        let budget = Budget::new(scenario.budget);
        let mut scheduler =
            Scheduler::new(scenario.policy.clone(), scenario.rendering, &budget, base);
        scheduler.keep_slowest();
        scheduler.resume(
            Done::default(),
            WorkerFaults::default(),
            Doubts::default(),
            None,
        );
        let jobs = scenario.policy.jobs.get();
        Self {
            members: (0..jobs).map(|_| None).collect(),
            input: Input::new(&scenario.input),
            output: Output::new(&scenario.output, &budget),
            ledger: Ledger::new(&scenario),
            requests: VecDeque::new(),
            disturbances: scenario.disturbances.iter().copied().collect(),
            start_by: Some(FIRST_LOOK),
            is_woken: false,
            is_finished: false,
            has_failed: false,
            accidents: scenario.command.accidents,
            has_fallen: false,
            spins: 0,
            outcomes: 0,
            told: 0,
            processes: 0,
            teller: Teller::new(scenario.policy.clone()),
            buffer: Vec::with_capacity(4 * (scenario.command.stdout + MAX_ANSWER + 100)),
            now: Duration::ZERO,
            scenario,
            rng,
            base,
            budget,
            scheduler,
            traces,
        }
    }

    /// Runs to the end and checks what came of it. Gives whether a process could not start after
    /// COMMAND had been ready.
    pub(super) fn run(mut self) -> bool {
        let mut steps = 0;
        loop {
            self.act();
            self.flush();
            self.scheduler.choose_read_from(self.base + self.now);
            self.act();
            self.check_step();
            if self.is_done() {
                break;
            }
            steps += 1;
            if steps == MOST_STEPS {
                trace!(self, "= {:#?}", self.scheduler);
                panic!("the run does not end");
            }
            let due = self.scheduler.wake_at();
            let waited_from = self.wait();
            let cost = self.cost();
            self.pass(cost);
            let was_suspended = self.take_requests();
            self.take_input();
            self.scheduler.set_output_room(self.output.room());
            let is_due = due.is_some_and(|at| at <= self.base + waited_from);
            if is_due && !was_suspended {
                self.tick(waited_from);
            }
        }
        let has_fallen = self.has_fallen;
        self.finish();
        has_fallen
    }

    fn is_done(&mut self) -> bool {
        if !self.is_finished {
            return false;
        }
        let is_written = self.scheduler.written().is_empty();
        self.has_failed || (is_written && self.output.is_idle() && !self.scheduler.is_backed_up())
    }

    fn act(&mut self) {
        loop {
            let mut actions = self.scheduler.take_actions();
            if actions.is_empty() {
                self.scheduler.reuse(actions);
                return;
            }
            for action in actions.drain(..) {
                self.perform(action);
            }
            self.scheduler.reuse(actions);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Start(worker, process) => {
                trace!(self, "> start process {} of {worker}", process.0);
                self.start(worker, process.0);
            }
            Action::Send(worker, block) => {
                trace!(
                    self,
                    "> send {} from {} to {worker}", block.count, block.first
                );
                let has_actor = self.members[worker.0].is_some();
                self.ledger
                    .sent(worker, block.first.0, block.count, has_actor, self.now);
                let (bytes, cost) = self.lines(block);
                if let Some(member) = &mut self.members[worker.0] {
                    member.actor.push(bytes, cost);
                    self.write(worker);
                }
            }
            Action::CloseStdin(worker) => {
                trace!(self, "> close stdin of {worker}");
                self.ledger.closed(worker, self.now);
                if let Some(member) = &mut self.members[worker.0] {
                    member.actor.close_stdin();
                }
            }
            Action::Terminate(worker) => {
                trace!(self, "> terminate {worker}");
                if let Some(member) = &mut self.members[worker.0] {
                    self.ledger.terminated(worker, &member.actor, self.now);
                    member.actor.terminate(self.now, &mut self.rng);
                }
            }
            Action::Kill(worker) => {
                trace!(self, "> kill {worker}");
                self.ledger.killed(worker, self.now);
                if let Some(member) = &mut self.members[worker.0] {
                    member.actor.kill(self.now);
                }
            }
            Action::Leave(worker) => panic!("{worker} dies of SIGKILL at once"),
            Action::Tell(event) => {
                self.hear(&event);
            }
            Action::Finish => {
                trace!(self, "> finish");
                assert!(!self.is_finished, "the run ends twice");
                assert_eq!(self.processes, 0, "each process is told to have gone");
                self.is_finished = true;
                self.ledger.finished(self.now);
            }
        }
    }

    fn hear(&mut self, event: &Event) {
        match event {
            Event::Settled(settled) => self.told += settled.count as u64,
            Event::Started { .. } => self.processes += 1,
            Event::Gone { .. } => self.processes -= 1,
            Event::Lost { .. } => panic!("{event:?}"),
            _ => {}
        }
        if let Some(notice) = self.teller.tell(event) {
            trace!(self, "> {:?}: {}", notice.level, notice.text);
        }
    }

    /// The lines that carry records, and what they cost the budget beside those.
    fn lines(&self, block: Block) -> (Slice, usize) {
        match self.scenario.policy.shape.protocol {
            Protocol::Lines => (block.bytes, 0),
            Protocol::Json => {
                let bytes = json::write(&block, self.scenario.rendering.shape.format);
                let cost = bytes.capacity() + BOOKKEEPING;
                self.budget.add(cost);
                (Slice::new(bytes, &self.budget), cost)
            }
        }
    }

    fn start(&mut self, worker: WorkerId, process: u32) {
        assert!(
            self.members[worker.0].is_none(),
            "{worker} has two processes at a time"
        );
        let accident = self.accident(worker);
        self.has_fallen |= matches!(accident, Some(Accident::CannotStart(_)))
            && self.scheduler.startup_time().is_some();
        self.ledger.started(worker, process, self.now);
        let now = self.base + self.now;
        if accident == Some(Accident::NotStarted) {
            trace!(self, "< {worker} could not be started");
            self.ledger.died(worker, None, usize::MAX, self.now);
            self.scheduler.start_failed(worker, "no luck".into(), now);
            return;
        }
        let longest = self.scenario.records.iter().map(|record| record.work).max();
        let command = &self.scenario.command;
        let actor = Actor::new(
            command,
            accident,
            longest.unwrap_or_default(),
            self.now,
            &mut self.rng,
        );
        let stdout = StdoutLines::new(
            self.scenario.policy.shape.separator,
            MAX_ANSWER,
            &self.budget,
        );
        self.members[worker.0] = Some(Member { actor, stdout });
        self.scheduler.started(worker, now);
    }

    /// What goes wrong with the next process.
    fn accident(&mut self, worker: WorkerId) -> Option<Accident> {
        if let Some(fall) = &self.scenario.command.fall
            && fall.worker.is_none_or(|only| only == worker.0)
        {
            return Some(match self.now < fall.at {
                true => Accident::KilledAt(fall.at),
                false => Accident::CannotStart(fall.takes),
            });
        }
        if self.scenario.command.is_broken {
            let not_started = self.rng.u32(..4) == 0;
            return Some(if not_started {
                Accident::NotStarted
            } else {
                Accident::DiesAtStart
            });
        }
        if self.accidents == 0 || self.rng.f64() >= self.scenario.command.accident_chance {
            return None;
        }
        self.accidents -= 1;
        let kinds = &self.scenario.command.kinds;
        Some(kinds[self.rng.usize(..kinds.len())])
    }

    fn write(&mut self, worker: WorkerId) {
        if let Some(member) = &mut self.members[worker.0]
            && member.actor.write()
        {
            trace!(self, "< {worker} refuses records");
            let unsent = member.actor.unsent();
            member.actor.abandon_stdin();
            self.ledger.hung_up(worker, self.now);
            self.ledger.taken_back(worker, unsent);
            self.scheduler
                .hung_up(worker, Pipe::Stdin, unsent, self.base + self.now);
        }
    }

    /// Writes what may be written, as the engine does.
    fn flush(&mut self) {
        if self.has_failed {
            return;
        }
        loop {
            self.output
                .flush(self.scheduler.written(), &mut self.rng, self.now);
            self.scheduler.set_output_room(self.output.room());
            if self.scheduler.written().is_empty() {
                if !self.output.is_idle() {
                    self.output.await_writer();
                }
                break;
            }
            if self.output.is_busy() {
                self.output.await_writer();
                break;
            }
        }
        if self.is_finished {
            self.output.await_writer();
        }
    }

    /// Gives whether mtask was stopped in between: times from before are of no use then.
    fn take_requests(&mut self) -> bool {
        let mut was_suspended = false;
        while let Some(request) = self.requests.pop_front() {
            let now = self.base + self.now;
            match request {
                Request::LookAtProcesses => self.look_at_processes(),
                Request::Outside(Disturbance::Interrupt(signal)) => {
                    trace!(self, "< signal {signal}");
                    self.ledger.interrupted(self.now);
                    self.scheduler.interrupt(signal, now);
                }
                Request::Outside(Disturbance::OutputFails) => {
                    trace!(self, "< output fails");
                    self.has_failed = true;
                    self.ledger.ended_early(self.now);
                    self.scheduler.output_failed(now);
                    self.act();
                }
                Request::Outside(Disturbance::Suspend(pause)) => {
                    trace!(self, "< suspended for {pause:?}");
                    self.members
                        .iter_mut()
                        .flatten()
                        .for_each(|member| member.actor.suspend(pause));
                    self.now += pause;
                    self.ledger.suspended(pause);
                    self.scheduler.was_suspended(pause, self.base + self.now);
                    was_suspended = true;
                }
            }
        }
        was_suspended
    }

    fn take_input(&mut self) {
        let now = self.now;
        let at = self.base + now;
        if self.start_by.is_some_and(|by| now >= by) {
            self.start_by = None;
            self.scheduler.input_is_slow(at);
        }
        while self.scheduler.takes_input()
            && self.scheduler.wants_input()
            && let Some(arrival) = self.input.take()
        {
            self.start_by = None;
            self.ledger.arrived(&arrival);
            match arrival {
                Arrival::Records(block) => {
                    trace!(self, "< {} records from {}", block.count, block.first);
                    self.scheduler.records(block, at);
                }
                Arrival::Rejected(rejected) => {
                    trace!(self, "< rejected {}", rejected.index);
                    self.scheduler.rejected(rejected, at);
                }
                Arrival::Awaited(_) => {}
                Arrival::End | Arrival::Failed(_) | Arrival::Changed(_) => {
                    trace!(self, "< end of input");
                    self.scheduler.input_ended(at);
                }
            }
            self.act();
            self.input
                .run(&self.scenario.records, &self.budget, self.now);
        }
    }

    fn tick(&mut self, from: Duration) {
        let members = &self.members;
        let unsent = |worker: WorkerId| {
            members[worker.0]
                .as_ref()
                .map_or(usize::MAX, |member| member.actor.unsent())
        };
        self.scheduler.tick(&unsent, self.base + from);
    }

    /// What reports see of the run adds up.
    fn check_view(&self) {
        let scheduler = &self.scheduler;
        let outcomes = scheduler.tally().outcomes();
        let under_way = scheduler.under_way(self.base + self.now);
        let open = (under_way.in_flight + under_way.waiting) as u64;
        if scheduler.takes_input() {
            assert_eq!(
                outcomes + open,
                scheduler.seen,
                "{outcomes} records have an outcome and {open} have none"
            );
        }
        assert_eq!(self.told, outcomes, "all outcomes are told");
        let finished = scheduler.finished_bytes();
        assert!(finished.is_none_or(|finished| open > 0 || finished == scheduler.seen_bytes));
        let slowest = scheduler.slowest();
        assert!(slowest.is_sorted_by(|a, b| a.took >= b.took));
        assert!(slowest.iter().all(|slow| slow.index.0 < scheduler.seen));
        if scheduler.total_records() == Some(outcomes) {
            assert_eq!(open, 0, "all records have an outcome");
        }
    }

    fn check_step(&mut self) {
        if !self.has_failed {
            let is_held_up = self.output.room() > 0
                && self.scheduler.written().is_empty()
                && self.scheduler.is_backed_up();
            assert!(!is_held_up, "an outcome waits though it may be written");
        }
        let processes = self.members.iter().flatten();
        let unwritten: usize = processes.map(|member| member.actor.cost()).sum();
        let held = self.budget.held() - unwritten;
        let slack = self.ledger.slack();
        assert!(
            held <= self.budget.limit() + slack,
            "{held} bytes are held of {} and {slack}",
            self.budget.limit()
        );
        self.ledger.check_limits(&self.scheduler, self.now);
        self.check_view();
        self.ledger
            .read_output(&self.output.results, &self.output.errors);
    }

    fn finish(mut self) {
        trace!(
            self,
            "= {:?}, {:?}",
            self.scheduler.status(),
            self.scheduler.tally()
        );
        let (status, tally) = (self.scheduler.status(), self.scheduler.tally().clone());
        assert!(
            self.members.iter().all(Option::is_none),
            "a actor survives the run"
        );
        assert!(
            self.scheduler.wants_input(),
            "the reader of the input is left waiting"
        );
        let ledger = self.ledger;
        // What the reader still has, and what was not written because the output failed.
        self.input = Input::new(&self.scenario.input);
        if !self.has_failed {
            assert_eq!(self.budget.held(), 0, "bytes are held at the end");
        }
        ledger.check_end(&self.scenario, status, &tally, self.has_failed);
        let output = &self.output;
        if !self.has_failed {
            (output.promises).check(&output.results, &output.errors, &self.scenario.policy);
        }
    }
}

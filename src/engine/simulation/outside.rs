//! The world of a simulated run: processes, threads, signals and time, with the ledger that is told
//! of all that the engine does to them.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Pid;

use super::actor::Actor;
use super::child::SimulatedChild;
use super::ledger::Ledger;
use super::scenario::{Accident, Announcement, Disturbance, Fault, Scenario, micros};
use super::threads::{File, SimulatedInput, SimulatedKeeper, SimulatedWriter, Stderr};
use crate::budget::Budget;
use crate::engine::world::{Source, World};
use crate::schedule::{Beginning, WorkerId};
use crate::signal::Request;
use crate::waker::Waker;
use crate::worker::launcher::StartError;
use crate::worker::memory::Held;

/// In simulated time, from the last thing that happens from outside: a run that takes longer does
/// not end.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// So often in a row the engine may look around with nothing to wait for and nothing to do.
const MOST_SPINS: u32 = 50;

/// Everything outside of the engine.
pub(super) struct Outside {
    pub(super) scenario: Scenario,
    pub(super) ledger: Ledger,
    /// All that were ever started, until the engine forgets them.
    pub(super) processes: Vec<Option<Actor>>,
    pub(super) input: SimulatedInput,
    pub(super) writer: SimulatedWriter,
    pub(super) keeper: SimulatedKeeper,
    pub(super) stderr: Stderr,
    pub(super) results: File,
    pub(super) errors: File,
    pub(super) base: Instant,
    pub(super) now: Duration,
    pub(super) rng: Rng,
    pub(super) traces: bool,
    budget: Budget,
    waker: Waker,
    /// The actor that runs for each worker.
    running: Vec<Option<usize>>,
    /// What was started beside it, and its number among the worker's processes.
    successors: Vec<Option<(usize, u32)>>,
    requests: VecDeque<Request>,
    /// For how long mtask is stopped each time that it stops itself.
    pauses: VecDeque<Duration>,
    disturbances: VecDeque<(Duration, Disturbance)>,
    accidents: u32,
    /// How much has been done, by the engine or to it.
    deeds: usize,
    /// What has gone wrong that is to go wrong in many worlds.
    pub(super) faults: BTreeSet<Fault>,
    /// How many lines workers have written to stderr.
    pub(super) moans: u64,
    /// The same when the engine last waited, and how often in a row nothing had changed.
    spins: (usize, u32),
}

/// What the threads about the engine are played with.
pub(super) struct Threads {
    pub(super) input: SimulatedInput,
    pub(super) writer: SimulatedWriter,
    pub(super) keeper: SimulatedKeeper,
    pub(super) stderr: Stderr,
    pub(super) results: File,
    pub(super) errors: File,
}

impl Outside {
    pub(super) fn new(
        scenario: Scenario,
        threads: Threads,
        rng: Rng,
        base: Instant,
        budget: &Budget,
        waker: &Waker,
    ) -> Self {
        let Threads {
            input,
            writer,
            keeper,
            stderr,
            results,
            errors,
        } = threads;
        Self {
            ledger: Ledger::new(&scenario),
            processes: Vec::new(),
            input,
            writer,
            keeper,
            stderr,
            results,
            errors,
            base,
            now: Duration::ZERO,
            rng,
            traces: false,
            budget: budget.clone(),
            waker: waker.clone(),
            running: vec![None; scenario.policy.jobs.get()],
            successors: vec![None; scenario.policy.jobs.get()],
            requests: VecDeque::new(),
            pauses: VecDeque::new(),
            disturbances: scenario.disturbances.iter().copied().collect(),
            accidents: scenario.command.accidents,
            deeds: 0,
            faults: BTreeSet::new(),
            moans: 0,
            spins: (0, 0),
            scenario,
        }
    }

    /// The actor of this number, and the ledger that is told what is done to it. What the engine
    /// has learnt by now, the ledger has too.
    pub(super) fn process(&mut self, number: usize) -> (&mut Actor, &mut Ledger) {
        self.deeds += 1;
        self.tell_ledger();
        let actor = self.processes[number].as_mut().expect("it is not forgotten");
        (actor, &mut self.ledger)
    }

    /// Whether there is anything to be read of its stdout, be it the end. It is no deed to find
    /// nothing.
    pub(super) fn is_of_use_to_read(&self, number: usize) -> bool {
        let actor = self.processes[number].as_ref();
        actor.is_some_and(|actor| actor.is_readable() || !actor.stdout_is_open)
    }

    /// An actor is reaped: its worker may have another.
    pub(super) fn reaped(&mut self, worker: WorkerId, number: usize) {
        self.running[worker.0].take_if(|running| *running == number);
    }

    /// Whether this actor was started beside another, whose place it has not.
    pub(super) fn is_beside(&self, number: usize) -> bool {
        self.successors.iter().flatten().any(|(successor, _)| *successor == number)
    }

    /// One that was is no more.
    pub(super) fn forget_successor(&mut self, number: usize) {
        for successor in &mut self.successors {
            successor.take_if(|it| it.0 == number);
        }
    }

    pub(super) fn note(&mut self, fault: Fault) {
        self.faults.insert(fault);
    }

    /// Tells the ledger what has come from the input and of the output.
    pub(super) fn tell_ledger(&mut self) {
        for (first, count) in self.input.taken() {
            self.deeds += 1;
            self.ledger.arrived(first, count);
        }
        if self.results.has_refused() || self.errors.has_refused() {
            self.ledger.ended_early(self.now);
            self.note(Fault::OutputFailed);
        }
    }

    /// Lets time pass.
    fn pass(&mut self, by: Duration) {
        self.ledger.pass(by);
        self.now += by;
    }

    fn run_processes(&mut self) {
        let was_ready = self.ledger.was_ready();
        for actor in self.processes.iter_mut().flatten() {
            let had_exited = actor.has_exited();
            actor.run(&mut self.scenario.records, self.now);
            self.moans += actor.take_moans();
            if actor.has_exited() && !had_exited {
                self.requests.push_back(Request::LookAtProcesses);
                let is_known = |fault: &Fault| *fault != Fault::Fall || was_ready;
                self.faults.extend(actor.fault_of_end().filter(is_known));
            }
        }
    }

    /// Lets everything do what it does until now.
    fn run(&mut self) {
        self.run_processes();
        let now = self.now;
        (self.input).run(&self.scenario.records, &self.budget, &self.waker, now);
        while self.writer.run(&mut self.rng, now)
            || self.keeper.run(&self.waker, now)
            || self.stderr.run(now)
        {
            self.deeds += 1;
        }
        while let Some((at, what)) = self.disturbances.front().copied()
            && at <= now
        {
            self.disturbances.pop_front();
            self.disturb(what);
        }
    }

    fn disturb(&mut self, what: Disturbance) {
        trace!(self, "< {what:?}");
        match what {
            Disturbance::Interrupt(signal) => self.requests.push_back(Request::End(signal)),
            Disturbance::Status(signal) => self.requests.push_back(Request::Status(signal)),
            Disturbance::SignalWorkers(signal) => {
                for actor in self.processes.iter_mut().flatten() {
                    actor.signal_from_outside(signal, self.now);
                }
                self.run_processes();
            }
            Disturbance::OutputFails => {
                self.results.fail();
                self.errors.fail();
            }
            Disturbance::Suspend(pause) => {
                self.note(Fault::Suspended);
                self.requests.push_back(Request::Stop);
                self.pauses.push_back(pause);
            }
        }
    }

    fn next_event(&self) -> Option<Duration> {
        let processes = self.processes.iter().flatten();
        let rest = [
            self.input.next(self.now),
            self.writer.next(),
            self.keeper.next(),
            self.stderr.next(),
            self.disturbances.front().map(|(at, _)| *at),
        ];
        (processes.filter_map(Actor::next)).chain(rest.into_iter().flatten()).min()
    }

    fn is_ready(&self, source: Source) -> bool {
        let actor = |worker: WorkerId| {
            let number = self.running[worker.0];
            number.and_then(|number| self.processes[number].as_ref())
        };
        match source {
            Source::Waker => !self.waker.is_asleep(),
            Source::Requests => !self.requests.is_empty(),
            Source::Stdin(worker) => actor(worker).is_some_and(Actor::is_writable),
            Source::Stdout(worker) => actor(worker).is_some_and(Actor::is_readable),
            Source::Stderr(worker) => actor(worker).is_some_and(Actor::has_messages),
        }
    }

    fn wait(&mut self, sources: &mut Vec<Source>, until: Option<Duration>) {
        self.tell_ledger();
        self.ledger.begin_to_wait();
        if until.is_none() && !self.stderr.is_full() {
            self.ledger.check_that_none_owes();
        }
        let from = self.now;
        self.run();
        while !sources.iter().any(|source| self.is_ready(*source)) {
            if until.is_some_and(|at| at <= self.now) {
                break;
            }
            let next = [until, self.next_event()].into_iter().flatten().min();
            let next = next.expect("something can still happen while the run has not ended");
            let last = self.scenario.disturbances.last().map(|last| last.0);
            let limit = LONGEST + last.unwrap_or_default();
            assert!(next < limit, "the run does not end in time");
            self.pass(next.saturating_sub(self.now));
            self.run();
        }
        self.note_turn(from);
        if self.rng.u32(..20) == 0 {
            let delay = self.scenario.longest_delay.mul_f64(self.rng.f64());
            self.pass(delay);
            self.run();
        }
        sources.retain(|source| self.is_ready(*source));
    }

    /// The engine does not turn without end.
    fn note_turn(&mut self, from: Duration) {
        let written = [&self.results, &self.errors].map(|file| file.read(<[u8]>::len));
        let deeds = self.deeds + written.iter().sum::<usize>();
        let (before, spins) = self.spins;
        let has_changed = deeds != before || self.now > from;
        self.spins = (deeds, if has_changed { 0 } else { spins + 1 });
        assert!(self.spins.1 < MOST_SPINS, "the engine turns without end");
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

    /// What is found of an actor now and then: it holds as much as it may, or more.
    fn take_held(&mut self) -> Vec<Held> {
        let Some(limit) = self.scenario.policy.limits.max_memory else {
            return Vec::new();
        };
        let worker = self.rng.usize(..self.running.len());
        if self.rng.u32(..20) > 0 || self.running[worker].is_none() {
            return Vec::new();
        }
        let bytes = limit.get() as u64 + self.rng.u64(..2);
        let free = limit.get() as u64 - self.rng.u64(..2);
        let is_news = self.ledger.holds(WorkerId(worker), bytes, free, self.now);
        self.faults.extend(is_news.then_some(Fault::Outgrown));
        vec![Held {
            worker,
            process: self.ledger.last_process(WorkerId(worker)),
            bytes,
            free,
        }]
    }

    /// Gives the number of the actor, if it could be started.
    fn start(&mut self, worker: WorkerId, beginning: &Beginning) -> Option<usize> {
        let (number, crew) = (beginning.number.0, beginning.crew);
        self.deeds += 1;
        self.tell_ledger();
        self.ledger.mustered(crew);
        assert_eq!(
            self.successors[worker.0], None,
            "{worker} has three processes at a time"
        );
        let is_beside = self.running[worker.0].is_some();
        let may_be = self.scenario.policy.limits.max_memory.is_some();
        assert!(!is_beside || may_be, "{worker} has two processes at a time");
        trace!(self, "> start process {number} of {worker}");
        let accident = self.accident(worker);
        if !is_beside {
            self.ledger.started(worker, number, self.now);
        }
        if accident == Some(Accident::NotStarted) {
            trace!(self, "< {worker} could not be started");
            if !is_beside {
                self.ledger.died(worker, None, usize::MAX, self.now);
            }
            return None;
        }
        let process = number;
        let longest = self.scenario.records.iter().map(|record| record.work).max();
        let actor = Actor::new(
            worker,
            &self.scenario.command,
            accident,
            longest.unwrap_or_default(),
            self.now,
            &mut self.rng,
        );
        let number = self.processes.len();
        if self.scenario.command.ready == Announcement::NoNumber {
            self.note(Fault::NoNumber);
        }
        self.processes.push(Some(actor));
        match is_beside {
            true => self.successors[worker.0] = Some((number, process)),
            false => self.running[worker.0] = Some(number),
        }
        Some(number)
    }
}

/// The engine's side of it.
#[derive(Clone)]
pub(super) struct Simulated(pub(super) Rc<RefCell<Outside>>);

impl World for Simulated {
    type Child = SimulatedChild;
    type Sink = File;

    fn now(&mut self) -> Instant {
        let mut outside = self.0.borrow_mut();
        // Nothing is done in no time.
        outside.pass(micros(1));
        outside.base + outside.now
    }

    fn start(
        &mut self,
        worker: WorkerId,
        beginning: &Beginning,
    ) -> Result<SimulatedChild, StartError> {
        let number = self.0.borrow_mut().start(worker, beginning);
        match number {
            Some(number) => Ok(SimulatedChild::new(Rc::clone(&self.0), number)),
            None => Err(io::Error::other("no luck").into()),
        }
    }

    fn succeeds(&mut self, worker: WorkerId) {
        let outside = &mut *self.0.borrow_mut();
        let (number, process) = outside.successors[worker.0].take().expect("it was started");
        assert_eq!(
            outside.running[worker.0], None,
            "{worker} has its place taken"
        );
        trace!(outside, "> process {process} of {worker} takes its place");
        outside.running[worker.0] = Some(number);
        outside.ledger.started(worker, process, outside.now);
        outside.note(Fault::Succeeded);
    }

    fn take_held(&mut self) -> Vec<Held> {
        self.0.borrow_mut().take_held()
    }

    fn explains_a_kill(&mut self) -> bool {
        self.0.borrow_mut().rng.bool()
    }

    fn wait<'c>(
        &mut self,
        sources: &mut Vec<Source>,
        _: impl Fn(WorkerId) -> &'c SimulatedChild,
        until: Option<Instant>,
    ) {
        let mut outside = self.0.borrow_mut();
        let until = until.map(|at| at.saturating_duration_since(outside.base));
        outside.wait(sources, until);
    }

    fn give_way(&mut self) {
        let mut outside = self.0.borrow_mut();
        let by = micros(outside.rng.u64(1..6));
        outside.pass(by);
        outside.run();
    }

    fn take_requests(&mut self) -> Vec<Request> {
        let mut outside = self.0.borrow_mut();
        let outside = &mut *outside;
        outside.deeds += 1;
        for request in &outside.requests {
            if let Request::End(_) = request {
                outside.ledger.interrupted(outside.now);
            }
        }
        outside.requests.drain(..).collect()
    }

    fn has_continued(&mut self) -> bool {
        self.0.borrow().requests.contains(&Request::Continued)
    }

    fn stop(&mut self) {
        let mut outside = self.0.borrow_mut();
        let pause = outside.pauses.pop_front().expect("it is to be stopped");
        outside.now += pause;
        outside.ledger.suspended(pause);
        outside.requests.push_back(Request::Continued);
    }

    fn ignore_terminal(&mut self) {}

    fn exited_child(&mut self) -> Option<Pid> {
        None
    }

    fn reap_adopted(&mut self, child: Pid) {
        unreachable!("{child:?} was not left to mtask");
    }
}

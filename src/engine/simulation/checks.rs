//! A simulated run from its beginning to its end, with what must be so after each turn of the
//! engine.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use fastrand::Rng;

use super::actor::Actor;
use super::outside::{Outside, Simulated, Threads};
use super::scenario::{Fault, MAX_ANSWER, Scenario, micros, millis};
use super::threads::{File, SimulatedInput, SimulatedKeeper, SimulatedWriter, Stderr};
use crate::budget::Budget;
use crate::engine::{Channels, Engine, EngineConfig, Messages, Output};
use crate::exit::Status;
use crate::journal::Journal;
use crate::outcome::Done;
use crate::output::Destinations;
use crate::protocol::{Attempts, Wanted};
use crate::record::Separator;
use crate::report::{Report, Teller};
use crate::schedule::policy::{ErrorRecords, PlacesTold};
use crate::schedule::{Doubts, Scheduler, WorkerFaults, WorkerId};
use crate::shape::Shape;
use crate::waker::Waker;
use crate::worker::stderr::StderrTags;

/// Until nothing has come from the input for so long, workers wait for it.
const FIRST_LOOK: Duration = millis(20);
/// How many arrivals wait for the engine, as in `run`.
const ARRIVALS: usize = 2;
/// A run that takes more turns than this does not end.
const MOST_TURNS: usize = 200_000;

/// A run under way.
pub(super) struct Simulation {
    engine: Engine<Simulated>,
    outside: Rc<RefCell<Outside>>,
    budget: Budget,
    is_finished: bool,
}

impl Simulation {
    pub(super) fn new(scenario: Scenario, rng: Rng, base: Instant, traces: bool) -> Self {
        let budget = Budget::new(scenario.budget);
        let waker = Waker::new().expect("a descriptor");
        let (send, input) = bounded(ARRIVALS);
        let (journal, keeper) = Journal::played(base);
        let (messages, stderr) = Messages::played(&waker);
        let results = File::new("results", scenario.output.direct);
        let errors = File::new("errors", 0);
        let is_apart = scenario.policy.error_records == ErrorRecords::Apart;
        let files = Destinations {
            results: results.clone(),
            errors: is_apart.then(|| errors.clone()),
            exits: None,
            log: None,
        };
        let mut output = Output::new(files, Some(journal), &budget, &waker);
        let writer = output.play_writer(scenario.output.room);
        // What is much is read slowly.
        let takes = micros(10) + micros(2) * scenario.command.moans as u32;
        let threads = Threads {
            input: SimulatedInput::new(&scenario.input, send),
            writer: SimulatedWriter::new(&scenario.output, writer),
            keeper: SimulatedKeeper::new(micros(30), keeper),
            stderr: Stderr::new(takes, stderr),
            results,
            errors,
        };
        let mut scheduler =
            Scheduler::new(scenario.policy.clone(), scenario.rendering, &budget, base);
        scheduler.keep_slowest();
        scheduler.count_bytes();
        scheduler.resume(
            Done::default(),
            WorkerFaults::default(),
            Doubts::default(),
            None,
            PlacesTold::All,
        );
        let config = EngineConfig {
            attempts: Attempts::Untold,
            stderr_tags: StderrTags::None,
            shape: Shape {
                max_record: MAX_ANSWER,
                ..scenario.policy.shape
            },
            wanted: Wanted::Text(Separator::Newline),
            grace: scenario.policy.limits.grace,
            first_look: Some(FIRST_LOOK),
        };
        let report = Report::new(Teller::new(scenario.policy.clone()), base);
        let mut outside = Outside::new(scenario, threads, rng, base, &budget, &waker);
        outside.traces = traces;
        let outside = Rc::new(RefCell::new(outside));
        let channels = Channels {
            input,
            output,
            messages,
            report,
            waker,
            budget: budget.clone(),
        };
        let world = Simulated(Rc::clone(&outside));
        Self {
            engine: Engine::new(world, config, scheduler, channels),
            outside,
            budget,
            is_finished: false,
        }
    }

    /// Runs to the end, as `Engine::run` does, and checks what came of it.
    pub(super) fn run(mut self) -> BTreeSet<Fault> {
        let mut now = self.engine.begin();
        for _ in 0..MOST_TURNS {
            now = self.engine.settle(now);
            self.check_turn();
            if self.engine.is_done(now) {
                let status = self.engine.finish(now);
                return self.check_end(status);
            }
            now = self.engine.await_news(now);
        }
        panic!("the run does not end: {:#?}", self.engine.scheduler);
    }

    fn check_turn(&mut self) {
        let engine = &mut self.engine;
        let outside = &mut *self.outside.borrow_mut();
        outside.tell_ledger();
        if engine.is_finished && !self.is_finished {
            trace!(outside, "> finish");
            self.is_finished = true;
            outside.ledger.finished(outside.now);
        }
        if engine.messages.is_full() {
            outside.note(Fault::UnreadStderr);
        }
        let said = outside.stderr.take_said();
        assert!(!said.contains("internal fault"), "{said}");
        if !said.is_empty() {
            trace!(outside, "> {}", said.trim_end());
        }
        if !engine.is_output_broken {
            let is_held_up = engine.output.room() > 0
                && engine.scheduler.written().is_out()
                && engine.scheduler.is_backed_up();
            assert!(!is_held_up, "an outcome waits though it may be written");
        }
        let processes = outside.processes.iter().flatten();
        let unwritten: usize = processes.map(Actor::cost).sum();
        let held = self.budget.held() - unwritten;
        let (limit, slack) = (self.budget.limit(), outside.ledger.slack());
        assert!(
            held <= limit + slack,
            "{held} bytes are held of {limit} and {slack}"
        );
        let ledger = &mut outside.ledger;
        for number in 0..engine.scheduler.jobs() {
            let worker = WorkerId(number);
            if let Some(owed) = ledger.owed(worker) {
                assert_eq!(
                    engine.scheduler.owed(worker),
                    owed,
                    "{worker} owes what it was sent and has not answered"
                );
            }
        }
        let reads_stderr = !engine.messages.is_full();
        ledger.listen(|worker| engine.scheduler.reads_from(worker), reads_stderr);
        ledger.check_limits(outside.now);
        let errors = &outside.errors;
        (outside.results).read(|results| errors.read(|errors| ledger.read_output(results, errors)));
        check_view(&engine.scheduler, outside.base + outside.now);
        let (told, outcomes) = (
            engine.report.heard.outcomes,
            engine.scheduler.tally().outcomes(),
        );
        assert_eq!(told, outcomes, "each outcome is told once");
        let (seen, seen_bytes) = engine.scheduler.seen();
        let told_bytes = engine.report.heard.bytes_in as u64 + told;
        assert!(
            told < seen || told_bytes == seen_bytes,
            "{told_bytes} bytes are told of {seen_bytes}"
        );
    }

    fn check_end(mut self, status: Status) -> BTreeSet<Fault> {
        let engine = &mut self.engine;
        let outside = &mut *self.outside.borrow_mut();
        let scheduler = &engine.scheduler;
        trace!(outside, "= {status:?}, {:?}", scheduler.tally());
        assert!(
            engine.processes.iter().all(Option::is_none),
            "an actor survives the run"
        );
        assert_eq!(
            engine.report.heard.processes, 0,
            "each process is told to be gone"
        );
        assert!(
            scheduler.wants_input(),
            "the reader of the input is left waiting"
        );
        let has_failed = engine.is_output_broken;
        let own = match has_failed {
            true => Status::Fault,
            false => Status::Success,
        };
        assert_eq!(status, scheduler.status().worst(own));
        // What the reader still has, and what was not written because the output failed.
        engine.input = None;
        outside.input.stop();
        if !has_failed && engine.output.is_idle() {
            assert_eq!(self.budget.held(), 0, "bytes are held at the end");
        }
        let (status, tally) = (scheduler.status(), scheduler.tally());
        let Outside {
            ledger, scenario, ..
        } = outside;
        ledger.check_end(scenario, status, tally, has_failed);
        let (promises, errors) = (&outside.keeper.promises, &outside.errors);
        // Within --grace it may not all be kept.
        let is_whole = !has_failed && engine.output.is_idle() && outside.keeper.is_over();
        (outside.results).read(|results| {
            errors.read(|errors| {
                promises.check(results, errors, scenario, is_whole);
            });
        });
        let is_left = |fault| matches!(fault, &Fault::BeyondSignals | &Fault::BeyondDeath);
        let is_lost = engine.end_by.is_some() || outside.faults.iter().any(is_left);
        assert!(
            is_lost || outside.stderr.moans >= outside.moans,
            "of {} lines on stderr {} came out",
            outside.moans,
            outside.stderr.moans
        );
        outside.faults.extend(outside.ledger.faults(tally));
        outside.faults.extend(outside.results.fault());
        if outside.moans > 0 {
            outside.note(Fault::Moans);
        }
        let most = outside.scenario.largest();
        if most > self.budget.limit() {
            outside.note(Fault::LargeRecord);
        }
        std::mem::take(&mut outside.faults)
    }
}

/// What reports see of the run adds up.
fn check_view(scheduler: &Scheduler, now: Instant) {
    let (seen, seen_bytes) = scheduler.seen();
    let outcomes = scheduler.tally().outcomes();
    let under_way = scheduler.under_way(now);
    let open = (under_way.in_flight + under_way.waiting) as u64;
    if scheduler.takes_input() {
        assert_eq!(
            outcomes + open,
            seen,
            "{outcomes} records have an outcome and {open} have none"
        );
    }
    let finished = scheduler.finished_bytes();
    assert!(finished.is_none_or(|finished| open > 0 || finished == seen_bytes));
    let slowest = scheduler.slowest();
    assert!(slowest.is_sorted_by(|a, b| a.took >= b.took));
    assert!(slowest.iter().all(|slow| slow.index.0 < seen));
    if scheduler.total_records() == Some(outcomes) {
        assert_eq!(open, 0, "all records have an outcome");
    }
}

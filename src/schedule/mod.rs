//! Who gets which record, and what becomes of it: a state machine without I/O, threads or a clock.
//!
//! The engine tells it what happened and when (records came, a worker answered, a process died,
//! time has passed) and then does the [`Action`]s it asks for. Among these it tells, in their
//! order, what has happened ([`event::Event`]): as facts, for whoever listens. It owns every record
//! from the input to its outcome: those that wait (`queue`), those a process owes (`process`), and
//! the outcomes that wait for their turn (`order`).
//!
//! Always:
//! - each record is in exactly one of those places, and leaves the last one once (law 1);
//! - a record is charged with a death only if it was alone with the process that died, and that was
//!   ready or had stayed up without a record (`death`, `suspects`);
//! - while anything is left to do, a process runs, or a deadline is set ([`Scheduler::wake_at`]),
//!   or the engine waits for input or for room in the output.

mod action;
mod audit;
mod brakes;
mod clock;
mod command;
mod contract;
mod course;
mod deadline;
mod death;
mod doubts;
mod ending;
pub mod event;
mod feed;
mod fit;
mod heard;
mod held;
mod ids;
mod intake;
mod late;
mod memory;
mod order;
mod outcomes;
mod own;
mod pace;
mod pending;
pub mod policy;
mod process;
mod queue;
mod refusals;
mod replies;
mod resign;
mod restarts;
mod retry;
mod settle;
mod share;
mod silence;
mod slowest;
mod straggler;
mod suspects;
mod tally;
#[cfg(test)]
mod tests;
mod throttle;
mod trail;
mod trial;
mod view;
mod worker;

use std::time::{Duration, Instant};

pub use action::{Action, Beginning};
pub use brakes::Asked;
pub use doubts::Doubts;
pub use ids::{Crew, ProcessNumber, WorkerId};
pub use order::Written;
pub use process::{Death, Pipe, Reading};
pub use slowest::SlowRecord;
pub use tally::{Chatter, Earlier, EarlyEnd, Refusals, Tally, WorkerFaults};
pub use view::{Bottleneck, Oldest, Standing, UnderWay};

use crate::budget::Budget;
use crate::input::Rejected;
use crate::outcome::{Done, ExitStatus, Rendering};
use crate::record::Block;
use brakes::Brakes;
use command::Command;
use course::Course;
use event::Event;
use intake::Intake;
use outcomes::Outcomes;
use policy::{PlacesTold, Policy};
use process::Process;
use queue::Queue;
use throttle::Throttle;
use worker::Worker;

/// How many records of a process, the last ones it was sent, were not written to it, not even in
/// part.
pub type Unsent<'a> = &'a dyn Fn(WorkerId) -> usize;

/// The most bytes that wait for a worker before more input is taken.
const READ_AHEAD: usize = 256 * 1024;

/// The state of a run.
#[derive(Debug)]
pub struct Scheduler {
    policy: Policy,
    budget: Budget,
    intake: Intake,
    queue: Queue,
    workers: Vec<Worker>,
    command: Command,
    throttle: Throttle,
    brakes: Brakes,
    outcomes: Outcomes,
    course: Course,
    /// Nothing is due before this time.
    wake_at: Option<Instant>,
    actions: Vec<Action>,
}

impl Scheduler {
    /// A run in which nothing has happened yet.
    pub fn new(policy: Policy, rendering: Rendering, budget: &Budget, now: Instant) -> Self {
        let awaits_ready = policy.readiness == policy::Readiness::Announced;
        let worker = || Worker::new(policy.failures.max_restarts, now);
        Self {
            intake: Intake::new(now),
            queue: Queue::new(policy.shape.separator),
            workers: (0..policy.jobs.get()).map(|_| worker()).collect(),
            command: Command::new(awaits_ready),
            throttle: Throttle::new(now),
            outcomes: Outcomes::new(&policy, rendering, budget),
            brakes: Brakes::new(&policy, now),
            course: Course::new(),
            wake_at: None,
            actions: Vec::new(),
            budget: budget.clone(),
            policy,
        }
    }

    /// Goes on with a run in which `earlier` came to an outcome, and tells what is done now in
    /// [`Written`], and those places in the output. Where COMMAND was ready then, it had taken at most
    /// `start`. Nothing may have happened yet; none of those records may come from the input.
    pub fn resume(
        &mut self,
        earlier: Done,
        worker_faults: WorkerFaults,
        doubts: Doubts,
        start: Option<Duration>,
        places: PlacesTold,
    ) {
        self.command.resume(start);
        self.outcomes.order.tell(&earlier.ranges, places);
        self.outcomes.tally.earlier = earlier.into();
        self.outcomes.tally.earlier.worker_faults = worker_faults;
        self.outcomes.tally.doubts = doubts;
    }

    /// Records came from the input.
    pub fn records(&mut self, block: Block, now: Instant) {
        if !self.course.takes_input() {
            return;
        }
        self.intake.came(block.count, block.bytes.len());
        self.intake.may_begin(now);
        self.intake.moved(now);
        if self.queue.together() == 0 {
            self.brakes.gathers_from(now);
        }
        self.queue.push(block, now);
        if self
            .processes()
            .any(|(_, process)| process.audit.state() == process::AuditState::RunningEmpty)
        {
            self.wake_by(now);
        }
        self.feed(now);
    }

    /// A record came from the input that no worker will see.
    pub fn rejected(&mut self, rejected: Rejected, now: Instant) {
        if !self.course.takes_input() {
            return;
        }
        self.intake.came(1, rejected.bytes());
        self.queue.push_rejected(rejected, now);
        self.feed(now);
    }

    /// Whether what the input gives is still to come to an outcome.
    pub fn takes_input(&self) -> bool {
        self.course.takes_input()
    }

    /// Whether more input is of use now: enough is at hand to keep the workers busy, otherwise.
    pub fn wants_input(&self) -> bool {
        if self.is_mustering() {
            return true;
        }
        let waiting = self.queue.fresh_bytes();
        !self.throttle.is_far_ahead() && waiting < READ_AHEAD.min(self.budget.limit() / 8).max(1)
    }

    /// Nothing has come from the input for a moment: workers may start before their first record.
    pub fn input_is_slow(&mut self, now: Instant) {
        self.intake.may_begin(now);
        self.feed(now);
    }

    /// The input has ended.
    pub fn input_ended(&mut self, now: Instant) {
        self.intake.ended();
        self.feed(now);
    }

    /// A process of this worker runs: its time begins now, also for what it is given first.
    pub fn started(&mut self, worker: WorkerId, now: Instant) {
        if let Some(process) = self.process_mut(worker) {
            process.began(now);
            if self.policy.is_for_own_record() {
                self.began_with_record(worker);
            }
        }
    }

    /// No process of this worker could be started.
    pub fn start_failed(&mut self, worker: WorkerId, reason: String, now: Instant) {
        let death = Death {
            // Whatever it was given has been written to nobody.
            unsent: usize::MAX,
            ..Death::by(ExitStatus::NotStarted(reason))
        };
        self.died(worker, death, now);
    }

    /// The worker that owes answers, where there is but one.
    pub fn only_debtor(&self) -> Option<WorkerId> {
        let mut debtors = self.processes().filter(|(_, process)| !process.owed.is_empty());
        let (worker, _) = debtors.next()?;
        debtors.next().is_none().then_some(worker)
    }

    /// How many records a process may answer.
    pub fn owed(&self, worker: WorkerId) -> usize {
        self.process(worker).map_or(0, Process::answerable)
    }

    /// Whether anything is to be done now.
    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    /// What is to be done now.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Hands an emptied list of actions back, so that its memory is used again.
    pub fn reuse(&mut self, actions: Vec<Action>) {
        if self.actions.is_empty() {
            self.actions = actions;
        }
    }

    /// Tells how many bytes the output takes now.
    pub fn set_output_room(&mut self, bytes: usize) {
        self.outcomes.order.set_room(bytes);
    }

    /// What may be written now. The caller takes the bytes out.
    pub fn written(&mut self) -> &mut Written {
        self.outcomes.order.out()
    }

    /// Whether outcomes wait for nothing but room in the output.
    pub fn is_backed_up(&self) -> bool {
        self.outcomes.order.is_backed_up()
    }

    /// How long the slowest process took to be ready, if any has been.
    pub fn startup_time(&self) -> Option<Duration> {
        self.command.startup_time()
    }

    /// How many workers share the machine, once a process has begun.
    pub fn crew(&self) -> Option<Crew> {
        self.intake.crew()
    }

    /// The counts so far.
    pub fn tally(&self) -> &Tally {
        &self.outcomes.tally
    }

    fn process(&self, worker: WorkerId) -> Option<&Process> {
        self.workers[worker.0].process()
    }

    fn process_mut(&mut self, worker: WorkerId) -> Option<&mut Process> {
        self.workers[worker.0].process_mut()
    }

    /// The processes that can answer, with their workers.
    fn processes(&self) -> impl Iterator<Item = (WorkerId, &Process)> {
        self.workers
            .iter()
            .enumerate()
            .filter_map(|(i, worker)| Some((WorkerId(i), worker.process()?)))
            .filter(|(_, process)| process.is_working())
    }

    /// Tells all who listen.
    fn tell(&mut self, event: Event) {
        self.actions.push(Action::Tell(event));
    }

    /// Whether no record waits or will come any more.
    fn nothing_waits(&self) -> bool {
        self.queue.is_empty() && self.input_is_over()
    }

    /// Whether no record will come any more.
    pub(super) fn input_is_over(&self) -> bool {
        !self.intake.is_open() || !self.course.takes_input()
    }
}

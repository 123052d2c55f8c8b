//! What the scheduler may and may not do, kept in a book of its own: who was sent what, what every
//! record has suffered, and hence what may be charged to it.

mod answers;
mod cancels;
mod deaths;
mod end;
mod heard;
mod limits;
mod past;
mod sent;
mod trials;

use std::collections::VecDeque;
use std::time::Duration;

use super::actor::Blame;
use super::outcomes::OutcomeBook;
use super::scenario::{Fault, Scenario, micros, millis};
use crate::budget::BOOKKEEPING;
use crate::schedule::policy::{Policy, Readiness};
use crate::schedule::{Crew, Tally, WorkerId};
pub(super) use answers::{MOST_REFUSALS, Said};
pub(super) use past::{Charge, EarlierRun};
use trials::Proof;

/// A process that has closed a pipe is given so long to exit.
const HANG_UP: Duration = millis(200);
/// What was decided before the engine knew of something is done no later than this.
const SAME_MOMENT: Duration = micros(100);
/// A process that has not answered for so long may be shown the end of its stdin for that, at the
/// least.
const SILENT: Duration = millis(10_000);
/// An actor has so long to die of SIGKILL, at least.
const KILLED: Duration = millis(2_000);
/// Later processes may take so many times as long to be ready, and at least so long.
const START_FACTOR: u32 = 3;
const SHORTEST_START: Duration = millis(1_000);
/// After so many errors in a row an actor may be replaced.
const SPOILT: u32 = 4;
/// One that has been busy with a record for so long need not be waited for.
const LEAST_WAIT: Duration = millis(1_000);

/// The most bytes of an error record that come from its process's stderr.
const LAST_WORDS: usize = 4 * 1024;

/// A record that a process holds.
#[derive(Debug)]
struct OwedRecord {
    index: u64,
    /// For how long it has been held, while the process was listened to: now, and when the engine
    /// last began to wait. It begins anew when the process says that it is up.
    age: Duration,
    age_before: Duration,
    /// The call with which the process has begun it, where it says so. Its age begins with that.
    call: Option<u64>,
    /// For how long the process has been asked to give it up.
    asked: Option<Duration>,
}

#[derive(Debug, Default)]
struct ProcessLedger {
    started: Duration,
    owed: VecDeque<OwedRecord>,
    sent: usize,
    is_ready: bool,
    /// For how long it has been listened to.
    up: Duration,
    /// The same up to its first record, and what its death tells of that as long as it is not
    /// ready.
    unfed: Duration,
    proof: Proof,
    /// Whether that is, perhaps or for certain, as long as any start may take.
    has_stood_long: (bool, bool),
    closed: Option<Duration>,
    last_answer: Duration,
    terminated: Option<Duration>,
    is_killed: bool,
    hung_up: Option<Duration>,
    /// It has closed its stdin before its end.
    has_refused: bool,
    /// Its last record is not wholly written, and never will be.
    is_partially_written: bool,
    /// Whether it is listened to.
    is_read_from: bool,
    is_stray: bool,
    /// It gave an answer that nothing was asked for: who is to blame, and what for.
    unasked: Option<(Blame, Charge)>,
    /// The record that it answered last, where answers have ids.
    last_answered: Option<u64>,
    /// The records that it has answered on a line with something else.
    parted: Vec<u64>,
    /// When it was killed.
    killed: Option<Duration>,
    /// How many of its answers since the last result were errors.
    errors: u32,
    /// There were so many of them that it may be replaced, whatever it answers since.
    may_be_spoilt: bool,
    /// It was found to hold more than it may, once it had had a record and was ready; and to be sent
    /// nothing more for that, from then on.
    is_large: bool,
    has_outgrown: Option<Duration>,
    /// It began when COMMAND had given an answer.
    is_later: bool,
    /// How long ago it gave its first answer, listened to: now, and when the engine last began to
    /// wait.
    since_first: Option<(Duration, Duration)>,
    /// How long ago it began its first call, listened to, where it says so.
    since_call: Option<Duration>,
    /// For how long no clock has run though it did.
    uncounted: Duration,
    /// Whether mtask was stopped, or it refused a record or was asked to give one up, before its first
    /// answer.
    is_untold: bool,
    /// How many records it takes at a time, where it has said so.
    concurrency: Option<usize>,
    /// Whether it gives up what it is asked to, as it says, and whether it has answered anything since
    /// it was asked first.
    cancels: bool,
    goes_on: bool,
    /// Whether it says what it has begun, and how often it has.
    tells_calls: bool,
    calls: u64,
    /// The largest window that the speed of its answers can have led to.
    window: usize,
    /// For how long its oldest record has been that, while it was listened to: now, and when the
    /// engine last began to wait.
    age: Duration,
    age_before: Duration,
    /// What its clock said before the last answers that were read together.
    clock_before: Duration,
    /// For how long it has been listened to in vain, owing nothing, since its stdin was closed.
    idle: Duration,
}

impl ProcessLedger {
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
            owed.asked = owed.asked.map(|_| Duration::ZERO);
        }
    }

    /// Whether it has begun anything.
    fn is_at_call(&self) -> bool {
        self.owed.iter().any(|owed| owed.call.is_some())
    }

    /// As much of a clock as counts for a limit: what came before its first answer does not.
    fn counted(&self, (age, before): (Duration, Duration)) -> (Duration, Duration) {
        match self.since_first {
            Some((first_age, first_before)) => (age.min(first_age), before.min(first_before)),
            None => (age, before),
        }
    }

    /// What the clock of its oldest record says, or of what it has been at for longest, now and when
    /// the engine last began to wait.
    fn clock(&self) -> (Duration, Duration) {
        let begun = self.owed.iter().filter(|owed| owed.call.is_some());
        if let Some(owed) = begun.max_by_key(|owed| owed.age) {
            return (owed.age, owed.age_before);
        }
        match (
            self.concurrency,
            self.owed.iter().find(|owed| owed.asked.is_none()),
        ) {
            (Some(_), Some(owed)) if !self.tells_calls => (owed.age, owed.age_before),
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
    pasts: Vec<EarlierRun>,
    processes: Vec<Option<ProcessLedger>>,
    begun_processes: Vec<u32>,
    /// Processes in a row that were never ready, for each worker.
    failed_starts: Vec<u32>,
    /// How many processes of each worker were out of step, or left what they owed at the end of
    /// their stdin.
    broken: Vec<u32>,
    /// How many of each could not be ended.
    left: Vec<u32>,
    /// How many of each were silent for so long that the end of stdin was shown to them.
    silent: Vec<u32>,
    /// COMMAND has said that it is up, or is known to; and when that was news.
    awaits_ready: bool,
    first_announced: Option<Duration>,
    log_lines: u64,
    exits: u64,
    /// Lines that may be for people, or not, if what stood before them has ended the run.
    behind: u64,
    /// Lines that are for people because they repeat an answer, or nothing, if what stood before them
    /// has ended the run.
    repeated: u64,
    startup_time: Option<Duration>,
    /// How long the slowest took to its first answer, at least and at most, and whether that was
    /// longer than later ones may take.
    first_answer_time: Option<(Duration, Duration)>,
    has_lazy_first: bool,
    /// For how long processes are to stay up by what died before it was ready, since one last
    /// became ready.
    long_trial: Option<Duration>,
    /// Who shares the machine, since the first process began.
    crew: Option<Crew>,
    interrupts: Vec<Duration>,
    ended_early: Option<Duration>,
    outcomes: OutcomeBook,
    /// Whether what processes write to stderr is read.
    reads_stderr: bool,
    /// An answer has come on a line with something else.
    has_parted: bool,
    /// A process has begun a record once more.
    has_begun_again: bool,
    /// A record has waited for its time.
    has_waited: bool,
    /// Until when the workers of each group are to be sent nothing, and how often they refused.
    held_until: Vec<Duration>,
    refusals: Vec<u32>,
    /// How many records were sent, and whether that was as many as may be.
    sends: usize,
    is_paced: bool,
    /// A process has given up a record that it was asked to, and one has not.
    has_given_up: bool,
    has_not_given_up: bool,
    /// A process was replaced as it asked to be.
    has_resigned: bool,
    finished: Option<Duration>,
}

impl Ledger {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let jobs = scenario.policy.jobs.get();
        let record = |record: &super::scenario::Record| EarlierRun {
            effect: Some(record.effect.clone()),
            ..EarlierRun::default()
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
            left: vec![0; jobs],
            silent: vec![0; jobs],
            awaits_ready: scenario.policy.readiness == Readiness::Announced,
            first_announced: None,
            log_lines: 0,
            exits: 0,
            behind: 0,
            repeated: 0,
            startup_time: None,
            first_answer_time: None,
            has_lazy_first: false,
            long_trial: None,
            crew: None,
            interrupts: Vec::new(),
            ended_early: None,
            outcomes: OutcomeBook::new(scenario),
            reads_stderr: true,
            has_parted: false,
            has_begun_again: false,
            has_waited: false,
            held_until: vec![Duration::ZERO; jobs],
            refusals: vec![0; jobs],
            sends: 0,
            is_paced: false,
            has_given_up: false,
            has_not_given_up: false,
            has_resigned: false,
            finished: None,
            policy: scenario.policy.clone(),
        }
    }

    /// What has gone wrong that is to go wrong in many worlds.
    pub(super) fn faults(&self, tally: &Tally) -> impl Iterator<Item = Fault> {
        let is_retried = |past: &EarlierRun| past.sends > 1 && past.was_charged_with(Charge::Error);
        let has_refused = self.pasts.iter().any(|past| past.refusals > 0 && past.is_answered);
        let retried = self.pasts.iter().any(is_retried);
        [
            retried.then_some(Fault::RetriedError),
            self.has_parted.then_some(Fault::TextBeforeAnswer),
            self.has_begun_again.then_some(Fault::BegunAgain),
            self.has_waited.then_some(Fault::Waited),
            self.is_paced.then_some(Fault::Paced),
            has_refused.then_some(Fault::Refused),
            self.has_lazy_first.then_some(Fault::LazyFirst),
            self.has_given_up.then_some(Fault::GivenUp),
            self.has_not_given_up.then_some(Fault::NotGivenUp),
            self.has_resigned.then_some(Fault::Resigned),
        ]
        .into_iter()
        .flatten()
        .chain(self.outcomes.faults(tally))
    }

    pub(super) fn slack(&self) -> usize {
        self.slack
    }

    /// How many records a process may answer, if there is one.
    pub(super) fn owed(&self, worker: WorkerId) -> Option<usize> {
        let process = self.processes[worker.0].as_ref()?;
        Some(
            process.owed.len()
                - usize::from(process.is_partially_written && !process.owed.is_empty()),
        )
    }

    pub(super) fn arrived(&mut self, first: u64, count: usize) {
        for index in first..first + count as u64 {
            self.pasts[index as usize].has_arrived = true;
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
        self.processes[worker.0] = Some(ProcessLedger {
            started: now,
            window: 1,
            is_read_from: true,
            is_later: self.first_answer_time.is_some(),
            ..ProcessLedger::default()
        });
    }

    /// A process begins and is told how many share the machine: all workers, unless all records have
    /// come and are fewer.
    pub(super) fn mustered(&mut self, crew: Crew) {
        let jobs = self.policy.jobs.get();
        let is_whole = self.pasts.iter().all(|past| past.has_arrived);
        let few = self.pasts.len().clamp(1, jobs);
        let is_known = self.crew.is_none_or(|earlier| earlier == crew);
        assert!(is_known, "the machine is shared anew");
        let is_right = crew.0 == jobs || (crew.0 == few && is_whole);
        assert!(
            is_right,
            "{crew:?} of {jobs} for {} records",
            self.pasts.len()
        );
        self.crew = Some(crew);
    }

    /// An actor is found to hold so many bytes, and so many are free. Gives whether it is to be replaced for that, which is
    /// news.
    pub(super) fn holds(&mut self, worker: WorkerId, bytes: u64, free: u64, now: Duration) -> bool {
        let limit = self.policy.limits.max_memory.map_or(u64::MAX, |limit| limit.get() as u64);
        let process = self.processes[worker.0].as_mut();
        let is_of_use = |process: &&mut ProcessLedger| {
            let is_serving = process.is_working() && process.closed.is_none();
            is_serving && process.is_ready && process.sent > 0 && !process.is_large
        };
        let process = process.filter(is_of_use).filter(|_| bytes > limit);
        // Where there is room for its successor, it goes on until that is up.
        process.is_some_and(|process| {
            process.is_large = true;
            process.has_outgrown = (free < limit).then_some(now);
            true
        })
    }

    /// The number of the process that a worker had last.
    pub(super) fn last_process(&self, worker: WorkerId) -> u32 {
        self.begun_processes[worker.0] - 1
    }

    pub(super) fn read_output(&mut self, results: &[u8], errors: &[u8]) {
        self.outcomes.read(results, errors, &self.pasts);
    }
}

/// What may be held beyond `--buffer`. Only the input ever waits for room, so all that happens in
/// one turn of the engine comes on top: a read from each process, whose answers may take twice
/// their bytes in a growing buffer, and the error records of what was rejected or lost at once.
fn slack(scenario: &Scenario) -> usize {
    let jobs = scenario.policy.jobs.get();
    let read = 2 * (scenario.command.stdout + super::scenario::MAX_ANSWER) + BOOKKEEPING;
    let burst = scenario.input.iter().map(|burst| burst.records).max().unwrap_or(0);
    let longest = scenario.records.iter().map(|record| record.len).max().unwrap_or(0);
    // Records that fail together, each with the last words of its process, go as far as the output
    // takes them.
    let last_words = match scenario.command.moans {
        0 => 0,
        _ => scenario.output.room + LAST_WORDS,
    };
    jobs * read + (2 * burst + 100) * (600 + longest) + last_words
}

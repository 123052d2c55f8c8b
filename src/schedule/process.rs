//! A worker and its running process, as the scheduler knows them.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use super::audit::Audit;
use super::pace::Pace;
use super::queue::Work;
use super::silence::{Asked, Reading};
use crate::outcome::Exit;
use crate::protocol::stdout::Tail;
use crate::record::Index;

/// A record unanswered for so long is named, and again each time its age has doubled.
pub(super) const REMINDER: Duration = Duration::from_secs(60);
/// The first wait before a restart; it doubles with each process that is never ready.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// One of the N places where COMMAND runs.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) state: State,
    /// The number of the next process.
    pub(crate) next_process: u32,
    /// The next process replaces one that was not meant to end.
    pub(crate) replaces_failed: bool,
    /// Processes in a row that were never ready.
    pub(crate) failed_starts: u32,
    /// How its last process ended that counts.
    pub(crate) last_exit: Option<Exit>,
    /// Processes in a row that were never ready and charged nobody.
    pub(crate) unready_exits: u32,
    /// Processes in a row that did not give one answer for each record, and no more than one that
    /// is of use where answers have ids.
    pub(crate) protocol_violations: u32,
    /// Processes in a row that did nothing before the end of their stdin, which was shown to them
    /// for that.
    pub(crate) silent: u32,
    /// Processes that could not be ended.
    pub(crate) left_behind: u32,
    /// How many of its processes were replaced because they had come to answer with nothing but
    /// errors.
    pub(crate) spoilt: u32,
    /// The next process would end as the last one did.
    pub(crate) is_unrunnable: bool,
    backoff: Duration,
}

/// Where a worker stands.
#[derive(Debug)]
pub(crate) enum State {
    /// No process runs; one may be started from then on.
    Vacant(Instant),
    /// A process runs.
    Running(Box<Process>),
    /// The process was killed by a signal that mtask did not send. It is judged a little later, for
    /// mtask may be about to get the same signal.
    DeferredExit(Box<Process>, Death, Instant),
    /// Too many processes came to nothing.
    GivenUp,
}

impl Worker {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            state: State::Vacant(now),
            next_process: 0,
            replaces_failed: false,
            failed_starts: 0,
            last_exit: None,
            unready_exits: 0,
            protocol_violations: 0,
            silent: 0,
            left_behind: 0,
            spoilt: 0,
            is_unrunnable: false,
            backoff: FIRST_BACKOFF,
        }
    }

    pub(crate) fn process(&self) -> Option<&Process> {
        match &self.state {
            State::Running(process) => Some(process),
            _ => None,
        }
    }

    pub(crate) fn process_mut(&mut self) -> Option<&mut Process> {
        match &mut self.state {
            State::Running(process) => Some(process),
            _ => None,
        }
    }

    /// A process is ready.
    pub(crate) fn became_ready(&mut self) {
        self.failed_starts = 0;
        self.unready_exits = 0;
        self.stood();
    }

    /// A process has stayed up: the next one need not wait for longer.
    pub(crate) fn stood(&mut self) {
        self.backoff = FIRST_BACKOFF;
    }

    /// A process is over that was not meant to end: the next may begin after a while.
    pub(crate) fn vacate(&mut self, now: Instant) {
        self.state = State::Vacant(now + self.backoff);
        self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
    }
}

/// How a process ended.
#[derive(Clone, Debug)]
pub struct Death {
    /// The process, if one was started.
    pub pid: Option<u32>,
    /// What became of the process.
    pub exit: Exit,
    /// The last lines of its stderr.
    pub stderr: Vec<u8>,
    /// What it wrote after its last whole line, where that may be an answer.
    pub tail: Tail,
    /// How many of the records it holds, the last ones, were not even begun to be written to it.
    pub unsent: usize,
}

/// What a process is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It takes records and answers them.
    Serving,
    /// Its stdin has been closed at that time; it is to answer what it owes and exit.
    Closing(Instant),
    /// It was told to end by SIGTERM, and holds nothing any more; SIGKILL comes at that time.
    Stopping(Instant),
    /// It was killed. What has not died by that time, which nothing can end, is left behind.
    Killed(Instant),
}

/// How far a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Startup {
    /// It runs for so long, and whether it is able to is not known.
    Begun { ran: Duration, holds_any: bool },
    /// It has stayed up without a record for longer than those that could not, and for longer than
    /// with one, or for as long as a start may take.
    Stood,
    /// It has answered, or has said that it is up.
    Ready,
}

impl Startup {
    /// Whether its death says anything of what it held.
    pub(crate) fn is_proof(self) -> bool {
        !matches!(self, Self::Begun { .. })
    }
}

/// A pipe between mtask and a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipe {
    /// Records go to it.
    Stdin,
    /// Answers come from it.
    Stdout,
}

/// A running process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) started: Instant,
    pub(crate) stage: Stage,
    /// Whether it has answered.
    pub(crate) is_ready: bool,
    /// Whether it has shown that it stays up.
    pub(crate) has_stood: bool,
    /// When it died, where that is judged later.
    pub(crate) died_at: Option<Instant>,
    /// What it was sent and has not answered, oldest first.
    pub(crate) owed: VecDeque<Work>,
    pub(crate) owed_records: usize,
    /// The bytes of the blocks in `owed`, answered records of the first one included.
    pub(crate) owed_bytes: usize,
    /// How many records it was sent.
    pub(crate) served: usize,
    /// Since when its oldest unanswered record has been the oldest, time not listened to left out.
    pub(crate) clock: Instant,
    /// How long mtask has not listened to it, up to now or to `paused_since`.
    pub(crate) paused_for: Duration,
    /// Since when mtask does not listen to it.
    pub(crate) paused_since: Option<Instant>,
    /// How many bytes mtask holds of an answer that it has begun.
    pub(crate) begun: usize,
    /// When it last said anything, or was first heard again.
    pub(crate) said_at: Instant,
    /// It has said nothing for long amid an answer, though it was heard.
    pub(crate) has_stalled: bool,
    /// It is left to run empty so that it can take a record that must be alone.
    pub(crate) is_reserved: bool,
    /// Since when it has closed one of its pipes, and which.
    pub(crate) hung_up: Option<(Instant, Pipe)>,
    /// It has closed its stdin before all that it was sent was written.
    pub(crate) has_refused: bool,
    /// How many records it wants to be sent at a time, where it has said so.
    pub(crate) concurrency: Option<NonZeroUsize>,
    /// The last record that it owes has reached it in part only: no answer to that can be right.
    pub(crate) is_partially_written: bool,
    /// It has said what it has to say at its end.
    pub(crate) has_left: bool,
    /// The record that it answered last, where answers have ids.
    pub(crate) last_answered: Option<Index>,
    /// Whether it has given a result, where answers have ids, and how many records it has answered
    /// with errors since the last one, one after the other; the last of those.
    pub(crate) has_result: bool,
    pub(crate) errors: u32,
    pub(crate) refused: Option<Index>,
    /// It is to be replaced, for it has come to answer with nothing but errors.
    pub(crate) is_spoilt: bool,
    pub(crate) pace: Pace,
    pub(crate) audit: Audit,
    /// What it has read of what it was sent, when that was last of interest.
    pub(crate) reading: Reading,
    /// When it was last seen not to have read it all.
    pub(crate) behind_at: Option<Instant>,
    /// The end of its stdin was shown to it before its time.
    pub(crate) asked: Option<Asked>,
    /// It has answered so long after that that it cannot have waited for it.
    pub(crate) answered_late: bool,
    /// When the user is next told that it is waited for.
    pub(crate) next_reminder: Duration,
    pub(crate) was_hinted: bool,
}

impl Process {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            started: now,
            stage: Stage::Serving,
            is_ready: false,
            has_stood: false,
            died_at: None,
            owed: VecDeque::new(),
            owed_records: 0,
            owed_bytes: 0,
            served: 0,
            clock: now,
            paused_for: Duration::ZERO,
            paused_since: None,
            begun: 0,
            said_at: now,
            has_stalled: false,
            is_reserved: false,
            hung_up: None,
            has_refused: false,
            concurrency: None,
            is_partially_written: false,
            has_left: false,
            last_answered: None,
            has_result: false,
            errors: 0,
            refused: None,
            is_spoilt: false,
            pace: Pace::new(),
            audit: Audit::new(now),
            reading: Reading::Unknown,
            behind_at: None,
            asked: None,
            answered_late: false,
            next_reminder: Duration::ZERO,
            was_hinted: false,
        }
    }

    /// Whether it is of use: neither stopped nor killed.
    pub(crate) fn is_working(&self) -> bool {
        matches!(self.stage, Stage::Serving | Stage::Closing(_))
    }

    /// How far it has come, where to have stayed up for `enough` is proof in any case.
    pub(crate) fn startup(&self, enough: Duration, now: Instant) -> Startup {
        let since = self.started + self.paused_for;
        let ran = (self.died_at.unwrap_or(now)).saturating_duration_since(since);
        let unfed = self.clock.saturating_duration_since(since);
        match (self.is_ready, self.has_stood) {
            (true, _) => Startup::Ready,
            // Else it may have died of what the earlier ones died of, only later.
            (false, true) if unfed * 2 >= ran || unfed >= enough => Startup::Stood,
            _ => Startup::Begun {
                ran,
                holds_any: !self.owed.is_empty(),
            },
        }
    }

    /// Whether it has seen the end of its stdin, `unsent` records being not even begun to be
    /// written: it was to end, and has taken all that it was sent.
    pub(crate) fn has_seen_end(&self, unsent: usize) -> bool {
        matches!(self.stage, Stage::Closing(_)) && unsent == 0 && !self.has_refused
    }

    /// Whether it holds a record that must have no isolation.
    pub(crate) fn holds_alone(&self) -> bool {
        self.owed.front().is_some_and(|work| work.isolation == super::queue::Isolation::Alone)
    }

    /// The index of the record that it has owed for longest.
    pub(crate) fn oldest(&self) -> Option<Index> {
        self.owed.front().map(Work::first)
    }

    /// How long its oldest record has been the oldest.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        let until = self.paused_since.unwrap_or(now);
        until.saturating_duration_since(self.clock)
    }

    /// How long each of so many records took whose answers come together, where its first sign does
    /// not come with them: nobody knows how much of that time was its start.
    pub(crate) fn share(&self, answers: usize, now: Instant) -> Option<Duration> {
        let answers = u32::try_from(answers.max(1)).unwrap_or(u32::MAX);
        self.is_ready.then(|| self.age(now) / answers)
    }

    /// How long a record of it took, that being its share: where it takes several at a time, since
    /// it was sent.
    pub(crate) fn took(&self, work: &Work, share: Duration, now: Instant) -> Duration {
        let until = self.paused_since.unwrap_or(now);
        match (self.concurrency, work.since) {
            (Some(_), Some(since)) => until.saturating_duration_since(since),
            _ => share,
        }
    }

    /// How long an answer may take before it is asked whether it will come at all.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(1).max(self.pace.per_record() * 20)
    }

    /// How long its last answers may take before the end of its stdin is shown to it. A process
    /// that has answered does not need it, unless it has skipped a record; one that has not may
    /// collect its output until then.
    pub(crate) fn patience_at_the_end(&self) -> Duration {
        if self.is_ready {
            self.patience()
        } else {
            Duration::from_millis(100)
        }
    }

    /// Takes all that it owes.
    pub(crate) fn take_owed(&mut self) -> VecDeque<Work> {
        self.owed_records = 0;
        self.owed_bytes = 0;
        std::mem::take(&mut self.owed)
    }

    /// Owes these again, and nothing else.
    pub(crate) fn put_owed_back(&mut self, owed: VecDeque<Work>) {
        self.owed_records = owed.iter().map(Work::remaining).sum();
        self.owed_bytes = owed.iter().map(|work| work.block.bytes.len()).sum();
        self.owed = owed;
    }

    /// The lowest index that it owes.
    pub(crate) fn lowest(&self) -> Option<Index> {
        self.owed.iter().map(Work::first).min()
    }

    /// All clocks of its records stand still for `pause`.
    pub(crate) fn delay(&mut self, pause: Duration) {
        self.clock += pause;
        for work in &mut self.owed {
            work.since = work.since.map(|since| since + pause);
        }
    }

    /// Nothing has happened to it for `pause`, up to now.
    pub(crate) fn stand_still(&mut self, pause: Duration, now: Instant) {
        let later = |since: Instant| (since + pause).min(now);
        self.clock = later(self.clock);
        for work in &mut self.owed {
            work.since = work.since.map(later);
        }
        self.started = later(self.started);
        self.paused_since = self.paused_since.map(later);
        self.hung_up = self.hung_up.map(|(since, pipe)| (later(since), pipe));
        if let Stage::Closing(since) = &mut self.stage {
            *since = later(*since);
        }
        self.pace.busy_from(now);
    }

    /// All clocks of its records begin anew.
    pub(crate) fn start_clocks(&mut self, now: Instant) {
        self.clock = now;
        for work in &mut self.owed {
            work.since = Some(now);
        }
    }

    pub(crate) fn push_owed(&mut self, mut work: Work, now: Instant) {
        // Clocks that stand still go on from there once it is listened to.
        let clock = self.paused_since.unwrap_or(now);
        if self.owed.is_empty() {
            self.clock = clock;
            self.pace.busy_from(now);
        }
        work.since = Some(clock);
        self.served += work.block.count;
        self.owed_records += work.block.count;
        self.owed_bytes += work.block.bytes.len();
        self.owed.push_back(work);
    }

    /// In how many seconds it would have answered one record more, as far as can be told.
    pub(crate) fn next_answer(&self, now: Instant) -> f64 {
        self.expected(now) * (self.owed_records + 1) as f64
    }

    /// Seconds that a record is expected to take: one that is already under way for long counts as
    /// slow.
    pub(crate) fn expected(&self, now: Instant) -> f64 {
        let each = self.pace.seconds_per_record();
        if self.owed.is_empty() {
            each
        } else {
            each.max(self.age(now).as_secs_f64())
        }
    }
}

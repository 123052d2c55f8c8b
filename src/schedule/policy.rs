//! What the user asked of the scheduler, with all defaults resolved.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::record::Index;
use crate::shape::{Answers, Facts, Shape};

/// The rules of a run.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How many workers there are (`-j`).
    pub jobs: NonZeroUsize,
    /// What records and answers look like.
    pub shape: Shape,
    /// Whether COMMAND is known to say when it is up.
    pub readiness: Readiness,
    /// Whether results are written in input order or as they finish.
    pub order: Order,
    /// Where error records go.
    pub error_records: ErrorRecords,
    /// How many records a worker may have been sent and not yet answered.
    pub window: Window,
    /// How far outcomes may be ahead of the output while that moves on.
    pub lead: Lead,
    /// What a failure means.
    pub failures: FailureRules,
    /// How long things may take, and how much a process may hold.
    pub limits: Limits,
    /// How soon records may be sent.
    pub pacing: Pacing,
    /// Whether a record may be sent a second time.
    pub delivery: Delivery,
    /// How many records a process serves.
    pub lifespan: Lifespan,
}

/// What a failure means: for its record, for its worker and for the run.
#[derive(Clone, Copy, Debug)]
pub struct FailureRules {
    /// What a failed record means for the others.
    pub on_error: OnError,
    /// The failures after which nothing more is sent (`--max-errors`).
    pub max_errors: Option<MaxErrors>,
    /// How often a charged record is tried again.
    pub retries: u32,
    /// How many processes in a row may end without having been ready before the worker is given up.
    pub max_restarts: u32,
}

/// How many failures are one too many (`--max-errors`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxErrors {
    /// So many.
    Count(u64),
    /// More than this part of the outcomes, once there are [`ENOUGH_OUTCOMES`], and at the end.
    Part(Percentage),
}

/// Of fewer outcomes a part says little.
pub const ENOUGH_OUTCOMES: u64 = 100;

impl MaxErrors {
    /// Whether these are too many while the run goes on.
    pub fn is_reached(self, failures: u64, outcomes: u64) -> bool {
        match self {
            Self::Count(most) => failures >= most,
            Self::Part(most) => outcomes >= ENOUGH_OUTCOMES && most.is_exceeded(failures, outcomes),
        }
    }

    /// Whether so many failures show to be too many with results that follow them, as these make
    /// enough outcomes of `before`.
    pub fn is_reached_with_results(self, failures: u64, before: u64, outcomes: u64) -> bool {
        let makes_enough = before < ENOUGH_OUTCOMES && outcomes >= ENOUGH_OUTCOMES;
        makes_enough
            && matches!(self, Self::Part(most) if most.is_exceeded(failures, ENOUGH_OUTCOMES))
    }

    /// Whether these are too many at the end of a run.
    pub fn is_exceeded_at_the_end(self, failures: u64, outcomes: u64) -> bool {
        match self {
            Self::Count(most) => failures >= most,
            Self::Part(most) => most.is_exceeded(failures, outcomes),
        }
    }
}

/// A part of a whole, exact to a millionth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentage {
    /// So many millionths.
    pub millionths: u32,
}

impl Percentage {
    /// Whether `part` is more of `whole` than this.
    fn is_exceeded(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 1_000_000 > u128::from(whole) * u128::from(self.millionths)
    }
}

impl fmt::Display for Percentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.millionths) / 10_000.0)
    }
}

/// How long things may take, and how much a process may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A worker over one record.
    pub timeout: Option<Duration>,
    /// A process to be ready, before COMMAND has been ready anywhere.
    pub init_timeout: Option<Duration>,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// A process to exit, once its stdin has ended and it owes nothing.
    pub exit_timeout: Duration,
    /// For how long the first process may wait, once there are records, until it is known whether there
    /// are fewer than workers.
    pub muster: Duration,
    /// Bytes that a process and its group may hold before it is replaced.
    pub max_memory: Option<NonZeroUsize>,
}

impl Policy {
    /// Of a run of one worker without an option.
    #[cfg(test)]
    pub(crate) fn usual() -> Self {
        Self {
            shape: Shape::LINES,
            readiness: Readiness::Unknown,
            jobs: NonZeroUsize::MIN,
            order: Order::Input,
            error_records: ErrorRecords::InPlace,
            window: Window::Auto,
            lead: Lead::USUAL,
            failures: FailureRules {
                on_error: OnError::Defer,
                max_errors: None,
                retries: 0,
                max_restarts: 5,
            },
            limits: Limits {
                timeout: None,
                init_timeout: None,
                grace: Duration::from_secs(5),
                exit_timeout: Duration::from_secs(60),
                muster: Duration::ZERO,
                max_memory: None,
            },
            pacing: Pacing::default(),
            delivery: Delivery::AtLeastOnce,
            lifespan: Lifespan::Unlimited,
        }
    }

    /// What the protocol lets workers do, and lets be known of them.
    pub fn facts(&self) -> Facts {
        self.shape.protocol.facts()
    }

    /// Whether each process is started for one record.
    pub fn is_for_own_record(&self) -> bool {
        self.lifespan == Lifespan::OwnRecord
    }

    /// Whether each answer names its record.
    pub fn names_records(&self) -> bool {
        self.facts().answers == Answers::Named
    }
}

/// How soon records may be sent.
#[derive(Clone, Debug, Default)]
pub struct Pacing {
    /// No more records are sent than this (`--rate`).
    pub rate: Option<Rate>,
    /// So many records go together (`--batch`), as far as the rate decides that.
    pub batch: Option<NonZeroUsize>,
    /// Which of the groups with the same init argument each worker is in; all in one where it is
    /// empty.
    pub groups: Vec<usize>,
    /// A record that is tried again waits first (`--retry-delay`).
    pub retry_delay: Option<RetryDelay>,
}

/// So many records in so long a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// How many.
    pub records: f64,
    /// How long.
    pub time: Duration,
}

impl Rate {
    /// How many records a second.
    pub fn per_second(self) -> f64 {
        self.records / self.time.as_secs_f64()
    }
}

/// How long a record waits before it is tried again: twice as long each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryDelay {
    /// For the first time, but for chance.
    pub first: Duration,
    /// The most.
    pub longest: Duration,
    /// What chance begins with: two runs are not to try again at the same moments.
    pub seed: u64,
}

impl RetryDelay {
    /// The longest wait where none is given.
    pub const USUAL_LONGEST: Duration = Duration::from_secs(60);

    /// How long this record waits that has failed so often, give or take a quarter.
    pub fn wait(&self, index: Index, failures: u32) -> Duration {
        let part = chance(self.seed ^ chance(index.0) ^ u64::from(failures));
        self.mean(failures).mul_f64(0.75 + 0.5 * part as f64 / u64::MAX as f64)
    }

    fn mean(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }

    /// The least that a record waits that has failed so often.
    #[cfg(test)]
    pub(crate) fn shortest(&self, failures: u32) -> Duration {
        self.mean(failures).mul_f64(0.75)
    }
}

/// A number that looks like any other, the same for the same one (splitmix64's last steps).
fn chance(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Whether COMMAND says when it is up (`ready`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It may: the first process is sent a record at once.
    Unknown,
    /// It does: no process is sent anything before. One that exits with 126 or 127 instead, as a
    /// shell does for a command that it cannot run, tells that no other would come up either.
    Announced,
}

/// The order of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// That of the input.
    Input,
    /// As they finish (`-u`).
    Finish,
}

/// Where error records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorRecords {
    /// To the output, each in its record's place.
    InPlace,
    /// To a file of their own (`--errors`).
    Apart,
}

/// Whose places in the output are told, where a run can be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlacesTold {
    /// Those of records that failed.
    Failures,
    /// All.
    All,
}

/// How many records may be in flight at one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Follows measured time.
    Auto,
    /// As many as said.
    Records(NonZeroUsize),
    /// As much as fits, for filters that buffer their output.
    Full,
}

/// How many outcomes may wait, for each worker, before input is left waiting too: more than both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    /// So many records.
    pub records: usize,
    /// So many bytes.
    pub bytes: usize,
}

impl Lead {
    /// Enough for a worker that another one holds up for some milliseconds, at any speed of a pipe;
    /// and never a limit where records are large, which are few.
    pub const USUAL: Self = Self {
        records: 1024,
        bytes: 128 * 1024,
    };
}

/// What a failed record means for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// An error record in its place, the run goes on, status 123 at its end.
    Defer,
    /// The same, and failures do not count in the status.
    Ignore,
    /// The first failure ends the run.
    Raise,
    /// After the first failure nothing new is sent.
    Drain,
}

/// How many records a process serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifespan {
    /// As many as come.
    Unlimited,
    /// So many (`--lifespan`).
    Records(NonZeroUsize),
    /// The one that it is started for (`--each`).
    OwnRecord,
}

impl From<Option<NonZeroUsize>> for Lifespan {
    fn from(records: Option<NonZeroUsize>) -> Self {
        records.map_or(Self::Unlimited, Self::Records)
    }
}

impl Lifespan {
    /// How many that are at most.
    pub fn most(self) -> usize {
        match self {
            Self::Unlimited => usize::MAX,
            Self::Records(records) => records.get(),
            Self::OwnRecord => 1,
        }
    }
}

/// How often a record may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Again after a death.
    AtLeastOnce,
    /// Never twice (`--at-most-once`).
    AtMostOnce,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_looked_at_once_there_are_enough_outcomes_and_at_the_end() {
        let most = MaxErrors::Part(Percentage { millionths: 25_000 });
        assert!(!most.is_reached(99, 99));
        assert!(most.is_reached(3, 100) && !most.is_reached(2, 100));
        assert!(
            !most.is_reached(25, 1000) && most.is_reached(26, 1000),
            "more than 2.5%"
        );
        assert!(most.is_reached_with_results(3, 99, 100));
        assert!(
            most.is_reached_with_results(3, 10, 5000),
            "of the first 100"
        );
        assert!(!most.is_reached_with_results(2, 99, 100));
        assert!(!most.is_reached_with_results(3, 100, 101));
        assert!(most.is_exceeded_at_the_end(1, 1) && !most.is_exceeded_at_the_end(0, 0));
        assert!(!most.is_exceeded_at_the_end(1, 40));
        let count = MaxErrors::Count(2);
        assert!(!count.is_reached_with_results(5, 99, 100));
        assert!(!count.is_reached(1, 1) && count.is_reached(2, 2));
    }

    #[test]
    fn each_wait_is_twice_the_one_before_up_to_the_longest_give_or_take_a_quarter() {
        let delay = RetryDelay {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(60),
            seed: 7,
        };
        for (failures, seconds) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (u32::MAX, 60)] {
            let expected = Duration::from_secs(seconds);
            let waits: Vec<_> = (0..1000).map(|index| delay.wait(Index(index), failures)).collect();
            let (low, high) = (expected.mul_f64(0.75), expected.mul_f64(1.25));
            assert!(waits.iter().all(|wait| (low..=high).contains(wait)));
            let mean = waits.iter().sum::<Duration>() / 1000;
            assert!(
                (expected.mul_f64(0.98)..=expected.mul_f64(1.02)).contains(&mean),
                "{mean:?}"
            );
        }
    }

    #[test]
    fn a_percentage_is_shown_as_it_was_typed() {
        for (millionths, text) in [(50_000, "5%"), (1_000, "0.1%"), (125_001, "12.5001%")] {
            assert_eq!(Percentage { millionths }.to_string(), text);
        }
    }
}

//! A random world: what is asked of the run, what the input holds, and all that will go wrong.

mod command;
mod fault;
mod parts;
mod theme;

use std::time::Duration;

use fastrand::Rng;

use crate::outcome::{ErrorInput, ExitStatus, OutputFormat, Rendering};
use crate::schedule::policy::Policy;
use crate::shape::{Protocol, Shape};
use command::{collects, command};
pub(super) use fault::Fault;
use parts::{bursts, disturbances, enlarge_one, pick, policy, reader, records};
use theme::Theme;

/// The most bytes of an answer; a few records are answered with more.
pub(super) const MAX_ANSWER: usize = 300;
/// What stands before an answer on its line, where anything does.
pub(super) const PREFIX: &str = "50% ";
/// The line that ends an answer that may be several lines, and the one behind each record, where
/// there are such.
pub(super) const ANSWER_END: &[u8] = b"END";
pub(super) const RECORD_END: &[u8] = b"GO";
/// Ids from here on are those of no record.
pub(super) const UNKNOWN: u64 = 1_000_000;

/// What one seed stands for.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) policy: Policy,
    pub(super) rendering: Rendering,
    pub(super) budget: usize,
    pub(super) records: Vec<Record>,
    pub(super) input: Vec<Burst>,
    pub(super) command: CommandScenario,
    pub(super) output: OutputReader,
    pub(super) disturbances: Vec<(Duration, Disturbance)>,
    /// The engine is sometimes kept from running for up to so long.
    pub(super) longest_delay: Duration,
}

/// A record, and what it does to the worker that gets it.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) len: usize,
    pub(super) answer_len: usize,
    /// How many results it has, where its answer is a list of them.
    pub(super) outputs: Option<usize>,
    pub(super) work: Duration,
    pub(super) effect: Effect,
}

/// What a record does to the worker that gets it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    None,
    /// It is rejected by the input and reaches no worker.
    Invalid,
    /// The worker dies of it the first so many times, maybe after the beginning of an answer.
    Kills(u32, ExitStatus, Half),
    /// The worker closes its stdout on it, so many times.
    ClosesStdout(u32),
    /// The worker never answers it, the first so many times.
    Hangs(u32),
    /// The worker writes a line too many.
    AddsLine,
    /// The worker writes nothing.
    SkipsLine,
    /// With ids, the worker answers all but this one, the first so many times.
    Skips(u32),
    /// With ids, the worker says that instead of an output, the first so many times.
    Says(u32, Saying),
}

/// What a worker whose answers carry ids may say of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saying {
    Error,
    /// What is no JSON.
    Bad,
    /// The same, but the line does not begin with the id.
    BadBeforeId,
    /// The output, and then once more.
    Twice,
    UnknownId,
    NoId,
    /// An error, and that it is to be replaced.
    Resigns,
    /// Not before so many milliseconds have passed.
    Later(u32),
}

impl Saying {
    /// The line that says so of a record whose output is `output`.
    pub(super) fn line(self, index: u64, output: String) -> String {
        match self {
            Self::Error => format!("{{\"id\":{index},\"error\":{{\"message\":\"no luck\"}}}}\n"),
            Self::Bad => format!("{{\"id\":{index},\"output\":NaN}}\n"),
            Self::BadBeforeId => format!("{{\"output\":NaN,\"id\":{index}}}\n"),
            Self::Later(millis) => {
                let seconds = f64::from(millis) / 1000.0;
                format!("{{\"id\":{index},\"retry_after\":{seconds}}}\n")
            }
            Self::Twice => output.repeat(2),
            Self::UnknownId => format!("{{\"id\":{},\"output\":1}}\n", UNKNOWN + index),
            Self::Resigns => Self::Error.line(index, output) + "{\"restart\":true}\n",
            Self::NoId => format!("{{\"id\":\"{index}\",\"output\":1}}\n"),
        }
    }

    /// Whether it breaks the contract, so that the process is ended.
    pub(super) fn is_break(self) -> bool {
        matches!(self, Self::Twice | Self::UnknownId | Self::NoId)
    }
}

/// Whether a process says that it is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announcement {
    Never,
    Plain,
    /// And takes so many records at a time.
    Concurrency(usize),
    /// The same, but that is no number.
    NoNumber,
}

/// Whether a process says which records it has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallTimes {
    Untold,
    /// It does, but has not said that it would.
    Unannounced,
    /// It begins up to so many with one call, in place of what `slots` says.
    Told {
        most: usize,
        fate: CallFate,
    },
}

/// What becomes of calls with several records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallFate {
    Answered,
    /// Some fail, and their records are begun once more, one by one.
    SomeFail,
}

/// Whether a process gives up a record when it is asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CancelManner {
    /// It has not said that it would.
    Never,
    Always,
    /// It has said so, and does not with every third one.
    NotAll,
}

/// Whether a dying worker writes the beginning of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Half {
    Answer,
    Nothing,
}

/// Records that come together.
#[derive(Clone, Debug)]
pub(super) struct Burst {
    pub(super) after: Duration,
    pub(super) records: usize,
}

/// How processes of COMMAND behave.
#[derive(Clone, Debug)]
pub(super) struct CommandScenario {
    pub(super) shape: Shape,
    pub(super) ready: Announcement,
    /// How many records it works on at a time.
    pub(super) slots: usize,
    pub(super) calls: CallTimes,
    pub(super) cancels: CancelManner,
    /// It writes a line for people before each answer.
    pub(super) chats: bool,
    /// It writes a few words before an answer, on the same line.
    pub(super) prefixes: bool,
    /// So many bytes it writes to stderr with each answer.
    pub(super) moans: usize,
    /// It says once more that it is up, when it has answered.
    pub(super) repeats_ready: bool,
    /// It has something to say at its end.
    pub(super) says_exit: bool,
    pub(super) start: Duration,
    /// So much longer its first call takes.
    pub(super) lazy: Duration,
    pub(super) stdin: usize,
    pub(super) stdout: usize,
    /// How many answers it collects before it writes them; at the end of its stdin it writes all.
    pub(super) collects: usize,
    /// So many processes, from the first on, meet an accident with this probability.
    pub(super) accidents: u32,
    pub(super) accident_chance: f64,
    /// Which accidents there are.
    pub(super) kinds: Vec<Accident>,
    /// No process ever shows a sign.
    pub(super) is_broken: bool,
    pub(super) fall: Option<Fall>,
    pub(super) ignores_term: f64,
    /// How likely a process is one that cannot be ended, and how.
    pub(super) beyond: (f64, Beyond),
    pub(super) bad_end: f64,
    pub(super) late_end: f64,
    pub(super) half_last_line: f64,
}

/// From some time on a worker, or all of them, cannot start any more: what has answered by then is
/// killed, and each later process dies early, whether or not it is sent a record.
#[derive(Clone, Debug)]
pub(super) struct Fall {
    pub(super) at: Duration,
    pub(super) worker: Option<usize>,
    /// How long a process takes to die, at most.
    pub(super) takes: Duration,
}

/// What happens to a process, whatever records it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Accident {
    /// It cannot be started.
    NotStarted,
    /// It neither reads nor answers.
    NeverUp,
    /// It ends early, before it can have answered.
    DiesAtStart,
    /// It dies within so long, and does nothing before.
    CannotStart(Duration),
    /// It is killed at some time.
    Killed,
    /// It is killed then.
    KilledAt(Duration),
    /// It gets a SIGTERM from somebody else.
    Terminated,
    /// It exits with status 0 after a few answers.
    Leaves,
    /// It is killed right after an answer.
    DiesAfterAnswer,
    ClosesStdin,
    ClosesStdout,
}

/// Why an actor cannot be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beyond {
    /// mtask may not signal it.
    Signals,
    /// The system itself holds it.
    Death,
}

/// How the output is read.
#[derive(Clone, Debug)]
pub(super) struct OutputReader {
    pub(super) room: usize,
    /// What is written at once if nothing is under way.
    pub(super) direct: usize,
    pub(super) pause: Duration,
    pub(super) stall_chance: f64,
    pub(super) stall: Duration,
}

/// What happens to the run from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Disturbance {
    Interrupt(i32),
    OutputFails,
    /// mtask and the workers are stopped for so long.
    Suspend(Duration),
    /// The workers get this signal, as mtask does at about that time.
    SignalWorkers(i32),
    /// mtask gets a signal that asks where the run stands.
    Status(i32),
}

/// The bytes of a record, without the separator.
pub(super) fn record_text(index: u64, len: usize) -> String {
    format!("{index}:{}", "x".repeat(len))
}

/// The same as it is sent.
pub(super) fn input_text(protocol: Protocol, index: u64, len: usize) -> String {
    let text = record_text(index, len);
    match protocol {
        Protocol::Lines => text,
        Protocol::Json => format!("{{\"id\":{index},\"input\":\"{text}\"}}"),
    }
}

/// The right result of a record that has one, without the separator.
pub(super) fn answer_text(index: u64, len: usize) -> String {
    format!("a{index}:{}", "y".repeat(len))
}

impl Record {
    /// The results in its right answer, without separators.
    pub(super) fn results(&self, index: u64) -> Vec<String> {
        let text = answer_text(index, self.answer_len);
        match self.outputs {
            None => vec![text],
            Some(count) => (0..count).map(|number| format!("{text}/{number}")).collect(),
        }
    }

    /// That answer, with its separator.
    pub(super) fn answer(&self, index: u64, protocol: Protocol) -> String {
        let results = self.results(index);
        match (protocol, self.outputs) {
            (Protocol::Lines, None) => results.concat() + "\n",
            (Protocol::Lines, Some(_)) => {
                let lines = results.iter().map(|line| format!("{line}\n"));
                lines.collect::<String>() + "END\n"
            }
            (Protocol::Json, None) => {
                format!("{{\"id\":{index},\"output\":\"{}\"}}\n", results.concat())
            }
            (Protocol::Json, Some(_)) => {
                format!("{{\"id\":{index},\"outputs\":{results:?}}}\n")
            }
        }
    }
}

impl Scenario {
    /// The order in which chance is asked decides which world a seed stands for.
    pub(super) fn new(rng: &mut Rng) -> Self {
        let theme = Theme::new(rng);
        let scale = micros(*pick(rng, &[20, 300, 3_000, 60_000, 700_000]));
        let mut policy = policy(rng, &theme, scale);
        let collects = collects(rng, &theme, &policy);
        let mut records = records(rng, &theme, scale);
        let budget = match collects {
            // What it skips it owes, and nobody notices while no more input can be read.
            _ if theme.is_liar => 1 << 20,
            1 => *pick(rng, &[600, 1_500, 4_000, 20_000, 1 << 20]),
            _ => 1 << 20,
        };
        enlarge_one(rng, &mut records, budget);
        let command = command(rng, &theme, &mut policy, &records, collects, scale);
        let output = reader(rng, scale);
        let input = bursts(rng, scale, records.len());
        let disturbances = disturbances(rng, &theme, scale, records.len());
        Self {
            rendering: Rendering {
                shape: policy.shape,
                output_format: OutputFormat::Raw,
                error_input: if rng.bool() {
                    ErrorInput::Whole
                } else {
                    ErrorInput::Omitted
                },
            },
            longest_delay: *pick(rng, &[micros(1), micros(50), millis(2), millis(20)]),
            policy,
            budget,
            records,
            input,
            command,
            output,
            disturbances,
        }
    }

    /// The bytes of its largest record.
    pub(super) fn largest(&self) -> usize {
        (self.records.iter().map(|record| record.len)).max().unwrap_or(0)
    }

    /// Whether workers may give more or fewer lines than they should.
    pub(super) fn has_liars(&self) -> bool {
        let lies = [Effect::AddsLine, Effect::SkipsLine];
        self.records.iter().any(|record| lies.contains(&record.effect))
    }

    /// Whether workers do nothing wrong but to give lines too many, or nothing but too few, and
    /// none is ended before that can show.
    pub(super) fn lies_in_one_way(&self) -> bool {
        if !self.command.kinds.is_empty()
            || self.command.half_last_line > 0.0
            || self.policy.limits.timeout.is_some()
            || self.policy.limits.init_timeout.is_some()
        {
            return false;
        }
        [Effect::AddsLine, Effect::SkipsLine].iter().any(|lie| {
            let is_right = |effect: &Effect| *effect == Effect::None || effect == lie;
            self.records.iter().all(|record| is_right(&record.effect))
        })
    }

    /// Whether this record takes a worker much longer than one before it: its answer, behind one too
    /// many, may still come when the worker has been watched for long enough by what is known.
    pub(super) fn is_unsteady(&self, index: u64) -> bool {
        let records = &self.records[..=index as usize];
        let quickest = records.iter().map(|record| record.work).min();
        quickest.is_some_and(|quickest| records[index as usize].work > 2 * quickest)
    }

    pub(super) fn is_interrupted(&self) -> bool {
        let is_interrupt = |what: &Disturbance| matches!(what, Disturbance::Interrupt(_));
        self.disturbances.iter().any(|(_, what)| is_interrupt(what))
    }
}

pub(super) const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) const fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

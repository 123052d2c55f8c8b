//! A random world: what is asked of the run, what the input holds, and all that will go wrong.

mod parts;

use std::time::Duration;

use fastrand::Rng;

use crate::input::Format;
use crate::outcome::{ErrorInput, Exit, OutputFormat, Rendering};
use crate::protocol::Protocol;
use crate::record::Separator;
use crate::schedule::policy::{Policy, Readiness, Window};
use parts::{bursts, disturbances, killer, pick, policy, records, saying};

/// The most bytes of an answer; a few records are answered with more.
pub(super) const MAX_ANSWER: usize = 300;
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
    pub(super) command: Command,
    pub(super) output: Reader,
    pub(super) disturbances: Vec<(Duration, Disturbance)>,
    /// The engine is sometimes kept from running for up to so long.
    pub(super) longest_delay: Duration,
}

/// A record, and what it does to the worker that gets it.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) len: usize,
    pub(super) answer_len: usize,
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
    Kills(u32, Exit, Half),
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
}

impl Saying {
    /// The line that says so of a record whose output is `output`.
    pub(super) fn line(self, index: u64, output: String) -> String {
        match self {
            Self::Error => format!("{{\"id\":{index},\"error\":{{\"message\":\"no luck\"}}}}\n"),
            Self::Bad => format!("{{\"id\":{index},\"output\":NaN}}\n"),
            Self::BadBeforeId => format!("{{\"output\":NaN,\"id\":{index}}}\n"),
            Self::Twice => output.repeat(2),
            Self::UnknownId => format!("{{\"id\":{},\"output\":1}}\n", UNKNOWN + index),
            Self::NoId => format!("{{\"id\":\"{index}\",\"output\":1}}\n"),
        }
    }

    /// Whether it breaks the contract, so that the life is ended.
    pub(super) fn is_break(self) -> bool {
        matches!(self, Self::Twice | Self::UnknownId | Self::NoId)
    }
}

/// Whether a life says that it is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    Never,
    Plain,
    /// And takes so many records at a time.
    Concurrency(usize),
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
pub(super) struct Command {
    pub(super) protocol: Protocol,
    pub(super) ready: Ready,
    /// How many records it works on at a time.
    pub(super) slots: usize,
    /// It writes a line for people before each answer.
    pub(super) chats: bool,
    /// It says once more that it is up, when it has answered.
    pub(super) repeats_ready: bool,
    /// It has something to say at its end.
    pub(super) says_exit: bool,
    pub(super) start: Duration,
    pub(super) stdin: usize,
    pub(super) stdout: usize,
    /// How many answers it collects before it writes them; at the end of its stdin it writes all.
    pub(super) collects: usize,
    /// So many lives, from the first on, meet an accident with this probability.
    pub(super) accidents: u32,
    pub(super) accident_chance: f64,
    /// Which accidents there are.
    pub(super) kinds: Vec<Accident>,
    /// No life ever shows a sign.
    pub(super) is_doomed: bool,
    pub(super) ignores_term: f64,
    pub(super) bad_end: f64,
    pub(super) late_end: f64,
    pub(super) half_last_line: f64,
}

/// What happens to a life, whatever records it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Accident {
    /// It cannot be started.
    NotStarted,
    /// It neither reads nor answers.
    NeverUp,
    /// It ends early, before it can have answered.
    DiesAtStart,
    /// It is killed at some time.
    Killed,
    /// It gets a SIGTERM from somebody else.
    Terminated,
    /// It exits with status 0 after a few answers.
    Leaves,
    /// It is killed right after an answer.
    DiesAfterAnswer,
    ClosesStdin,
    ClosesStdout,
}

/// How the output is read.
#[derive(Clone, Debug)]
pub(super) struct Reader {
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

/// The right answer for a record, without the separator.
pub(super) fn answer_text(index: u64, len: usize) -> String {
    format!("a{index}:{}", "y".repeat(len))
}

impl Scenario {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let protocol = *pick(rng, &[Protocol::Lines, Protocol::Json]);
        let is_json = protocol == Protocol::Json;
        let theme = rng.u32(..100);
        let (is_plain, is_liar, is_doomed) = (
            theme < 15,
            (15..27).contains(&theme) && !is_json,
            (27..31).contains(&theme),
        );
        let has_accidents = !is_plain && !is_liar && rng.u32(..100) < 60;
        let has_killers = !is_plain && !is_liar && rng.u32(..100) < 50;
        let has_hangs = !is_plain && !is_liar && rng.u32(..100) < 30;
        let has_sayings = is_json && !is_plain && rng.u32(..100) < 60;
        let has_skips = is_json && !is_plain && rng.u32(..100) < 15;
        let calm = !has_accidents && !has_killers && !has_hangs && !has_skips && !is_doomed;
        let scale = micros(*pick(rng, &[20, 300, 3_000, 60_000, 700_000]));
        let mut policy = policy(rng, protocol, scale);
        // A life that skipped a record cannot be told from one that hangs.
        if has_hangs || (!is_liar && rng.u32(..100) < 25) {
            policy.timeout = Some(scale * 6 + millis(rng.u64(100..400)));
            policy.init_timeout = Some(scale * 6 + millis(rng.u64(1_000..4_000)));
            if policy.window == Window::Full {
                policy.window = Window::Auto;
            }
        }
        if is_liar && matches!(policy.window, Window::Records(n) if n.get() > 1) {
            policy.window = Window::Auto;
        }
        let collects = match policy.window {
            _ if !calm || is_liar || policy.timeout.is_some() || policy.lifespan.is_some() => 1,
            // What is tried again, alone, would be waited for.
            _ if has_sayings => 1,
            Window::Full => rng.usize(1..20),
            _ => 1,
        };
        let adds = rng.bool();
        let records = records(rng, scale, |rng| {
            if is_liar {
                return match rng.u32(..12) {
                    // A line too many makes up for one too few, and nobody can tell.
                    0 if adds => Effect::AddsLine,
                    0..2 if adds => Effect::None,
                    1 => Effect::SkipsLine,
                    _ => Effect::None,
                };
            }
            match rng.u32(..100) {
                0..8 if has_killers => killer(rng),
                8..12 if has_hangs => Effect::Hangs(*pick(rng, &[1, 2, u32::MAX])),
                12..15 => Effect::Invalid,
                15..25 if has_sayings => saying(rng),
                25..30 if has_skips => Effect::Skips(*pick(rng, &[1, 2, u32::MAX])),
                _ => Effect::None,
            }
        });
        let mut kinds = Vec::new();
        if has_accidents {
            use Accident::*;
            let all = [
                NotStarted,
                DiesAtStart,
                Killed,
                Terminated,
                Leaves,
                DiesAfterAnswer,
                ClosesStdin,
                ClosesStdout,
            ];
            kinds = all.into_iter().filter(|_| rng.u32(..3) == 0).collect();
            if policy.timeout.is_some() && rng.bool() {
                kinds.push(NeverUp);
            }
        }
        let ready = match rng.u32(..5) {
            _ if !is_json => Ready::Never,
            0..2 => Ready::Never,
            2 => Ready::Plain,
            _ => Ready::Concurrency(rng.usize(1..9)),
        };
        if ready != Ready::Never && rng.u32(..4) == 0 {
            policy.readiness = Readiness::Announced;
        }
        let slots = match ready {
            _ if !is_json => 1,
            // Each record's clock runs from its sending.
            Ready::Concurrency(count) if policy.timeout.is_some() => count + rng.usize(..2),
            _ => rng.usize(1..6),
        };
        let largest = records.iter().map(|record| record.len).max().unwrap_or(0) + 50;
        let rare = |rng: &mut Rng, chance| if rng.u32(..10) == 0 { chance } else { 0.0 };
        let command = Command {
            protocol,
            ready,
            slots,
            chats: is_json && rng.u32(..10) == 0,
            repeats_ready: is_json && rng.u32(..20) == 0,
            says_exit: is_json && rng.u32(..6) == 0,
            start: *pick(rng, &[micros(100), millis(5), millis(80), millis(250)]),
            stdin: match policy.timeout {
                Some(_) => largest + rng.usize(..1000),
                None => *pick(rng, &[20, 100, 1_000, 65_536]),
            },
            stdout: *pick(rng, &[20, 100, 1_000, 4_096]),
            collects,
            accidents: rng.u32(1..7),
            accident_chance: if kinds.is_empty() {
                0.0
            } else {
                0.2 + rng.f64() * 0.8
            },
            kinds,
            is_doomed,
            ignores_term: rare(rng, 0.5),
            bad_end: if is_liar { 0.0 } else { rare(rng, 0.4) },
            // A life that owes what it skipped, and stays, is waited for.
            late_end: if is_liar || has_skips {
                0.0
            } else {
                rare(rng, 0.3)
            },
            half_last_line: rare(rng, 1.0),
        };
        let is_slow_reader = rng.u32(..3) == 0;
        let output = Reader {
            room: *pick(rng, &[16, 200, 2_000, 100_000]),
            direct: *pick(rng, &[0, 100, 4_096]),
            pause: if is_slow_reader {
                scale * 2
            } else {
                micros(20)
            },
            stall_chance: if is_slow_reader { 0.1 } else { 0.0 },
            stall: scale * 20 + millis(2),
        };
        let budget = match collects {
            // What it skips it owes, and nobody notices while no more input can be read.
            _ if is_liar => 1 << 20,
            1 => *pick(rng, &[600, 1_500, 4_000, 20_000, 1 << 20]),
            _ => 1 << 20,
        };
        let input = bursts(rng, scale, records.len());
        let disturbances = disturbances(rng, scale, records.len());
        Self {
            rendering: Rendering {
                output_format: OutputFormat::Raw,
                format: Format::Lines,
                separator: Separator::Newline,
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

    /// Whether workers may give more or fewer lines than they should.
    pub(super) fn has_liars(&self) -> bool {
        let lies = [Effect::AddsLine, Effect::SkipsLine];
        self.records
            .iter()
            .any(|record| lies.contains(&record.effect))
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

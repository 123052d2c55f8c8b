//! A random world: what is asked of the run, what the input holds, and all that will go wrong.

use std::num::NonZeroUsize;
use std::time::Duration;

use fastrand::Rng;

use crate::input::Format;
use crate::outcome::{ErrorInput, Exit, OutputFormat, Rendering};
use crate::protocol::Protocol;
use crate::record::Separator;
use crate::schedule::policy::{Delivery, ErrorRecords, OnError, Order, Policy, Readiness, Window};

/// The most bytes of an answer; a few records are answered with more.
pub(super) const MAX_ANSWER: usize = 300;

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

/// The right answer for a record, without the separator.
pub(super) fn answer_text(index: u64, len: usize) -> String {
    format!("a{index}:{}", "y".repeat(len))
}

impl Scenario {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let theme = rng.u32(..100);
        let (is_plain, is_liar, is_doomed) = (
            theme < 15,
            (15..27).contains(&theme),
            (27..31).contains(&theme),
        );
        let has_accidents = !is_plain && !is_liar && rng.u32(..100) < 60;
        let has_killers = !is_plain && !is_liar && rng.u32(..100) < 50;
        let has_hangs = !is_plain && !is_liar && rng.u32(..100) < 30;
        let calm = !has_accidents && !has_killers && !has_hangs && !is_doomed;
        let scale = micros(*pick(rng, &[20, 300, 3_000, 60_000, 700_000]));
        let mut policy = policy(rng, scale);
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
        let largest = records.iter().map(|record| record.len).max().unwrap_or(0) + 10;
        let rare = |rng: &mut Rng, chance| if rng.u32(..10) == 0 { chance } else { 0.0 };
        let command = Command {
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
            late_end: if is_liar { 0.0 } else { rare(rng, 0.3) },
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

fn policy(rng: &mut Rng, scale: Duration) -> Policy {
    let delivery = match rng.u32(..8) {
        0 => Delivery::AtMostOnce,
        _ => Delivery::AtLeastOnce,
    };
    let window = match rng.u32(..10) {
        _ if delivery == Delivery::AtMostOnce => Window::Auto,
        0..5 => Window::Auto,
        5..6 => Window::Records(some(1)),
        6..8 => Window::Records(some(rng.usize(2..9))),
        _ => Window::Full,
    };
    Policy {
        protocol: Protocol::Lines,
        readiness: Readiness::Unknown,
        jobs: some(rng.usize(1..6)),
        separator: Separator::Newline,
        order: if rng.u32(..3) == 0 {
            Order::Finish
        } else {
            Order::Input
        },
        error_records: match rng.u32(..4) {
            0 => ErrorRecords::Apart,
            _ => ErrorRecords::InPlace,
        },
        window,
        on_error: *pick(
            rng,
            &[
                OnError::Defer,
                OnError::Defer,
                OnError::Defer,
                OnError::Ignore,
                OnError::Raise,
                OnError::Drain,
            ],
        ),
        max_errors: (rng.u32(..8) == 0).then(|| rng.u64(1..4)),
        timeout: None,
        init_timeout: None,
        retries: *pick(rng, &[0, 0, 0, 1, 2]),
        delivery,
        max_restarts: *pick(rng, &[1, 2, 5, 5]),
        lifespan: (rng.u32(..6) == 0).then(|| some(rng.usize(1..8))),
        grace: *pick(rng, &[millis(0), millis(60), millis(1_000)]),
        exit_timeout: scale + millis(rng.u64(300..2_000)),
    }
}

fn records(
    rng: &mut Rng,
    scale: Duration,
    mut effect: impl FnMut(&mut Rng) -> Effect,
) -> Vec<Record> {
    let count = match rng.u32(..10) {
        0 => rng.usize(..3),
        1..8 => rng.usize(1..25),
        _ => rng.usize(20..90),
    };
    let longest = *pick(rng, &[1, 8, 60, 400]);
    let longest_answer = *pick(rng, &[1, 8, 60, 200]);
    (0..count)
        .map(|_| Record {
            len: rng.usize(..longest),
            answer_len: match rng.u32(..60) {
                0 => MAX_ANSWER + 50,
                _ => rng.usize(..longest_answer),
            },
            work: match rng.u32(..12) {
                0 => scale * rng.u32(1..5),
                _ => scale.mul_f64(0.05 + rng.f64()),
            },
            effect: effect(rng),
        })
        .collect()
}

fn killer(rng: &mut Rng) -> Effect {
    let times = *pick(rng, &[1, 2, u32::MAX, u32::MAX]);
    if rng.u32(..8) == 0 {
        return Effect::ClosesStdout(times);
    }
    // With status 0, half a line may pass for an answer.
    let deaths = [
        (Exit::Code(0), Half::Nothing),
        (Exit::Code(3), Half::Answer),
        (Exit::Signal(9), Half::Answer),
        (Exit::Signal(9), Half::Nothing),
        (Exit::Signal(15), Half::Nothing),
    ];
    let (exit, half) = pick(rng, &deaths).clone();
    Effect::Kills(times, exit, half)
}

fn bursts(rng: &mut Rng, scale: Duration, mut records: usize) -> Vec<Burst> {
    let most = *pick(rng, &[1, 4, 30]);
    let longest_pause = *pick(rng, &[micros(1), scale * 3, millis(120)]);
    let mut bursts = Vec::new();
    while records > 0 {
        let count = rng.usize(1..=most).min(records);
        records -= count;
        let pause = if rng.u32(..3) == 0 {
            longest_pause.mul_f64(rng.f64())
        } else {
            micros(1)
        };
        bursts.push(Burst {
            after: pause,
            records: count,
        });
    }
    // The end comes with the last records or after a while.
    let pause = *pick(rng, &[micros(1), micros(1), longest_pause, millis(2_500)]);
    bursts.push(Burst {
        after: pause,
        records: 0,
    });
    bursts
}

fn disturbances(rng: &mut Rng, scale: Duration, records: usize) -> Vec<(Duration, Disturbance)> {
    let around = scale * records as u32 + millis(300);
    let mut all = Vec::new();
    let at = |rng: &mut Rng| around.mul_f64(rng.f64() * rng.f64());
    match rng.u32(..12) {
        0 => all.push((at(rng), Disturbance::Interrupt(libc::SIGTERM))),
        1 => {
            let first = at(rng);
            all.push((first, Disturbance::Interrupt(libc::SIGINT)));
            let pause = millis(rng.u64(..200));
            all.push((first + pause, Disturbance::Interrupt(libc::SIGINT)));
        }
        2 if rng.bool() => all.push((at(rng), Disturbance::OutputFails)),
        3 => {
            let pause = millis(rng.u64(1..3_000));
            all.push((at(rng), Disturbance::Suspend(pause)));
        }
        _ => {}
    }
    all
}

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}

fn some(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).expect("at least 1")
}

pub(super) const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) const fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

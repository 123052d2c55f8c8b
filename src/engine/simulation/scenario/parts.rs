//! What a world is put together from.

use std::num::NonZeroUsize;
use std::time::Duration;

use fastrand::Rng;

use super::theme::Theme;
use super::{
    ANSWER_END, Burst, Disturbance, Effect, Half, MAX_ANSWER, OutputReader, RECORD_END, Record,
    Saying, micros, millis,
};
use crate::outcome::ExitStatus;
use crate::schedule::policy::{
    Delivery, ErrorRecords, FailureRules, Lead, Limits, MaxErrors, OnError, Order, Pacing,
    Percentage, Policy, Rate, Readiness, RetryDelay, Window,
};
use crate::shape::{AnswerEnd, Protocol, Shape};

/// What is asked of the run, in a world where that can be kept.
pub(super) fn policy(rng: &mut Rng, theme: &Theme, scale: Duration) -> Policy {
    let mut policy = any_policy(rng, theme.protocol, scale);
    if theme.has_several_lines {
        policy.shape.answer_end = AnswerEnd::Line(ANSWER_END);
        policy.shape.record_end = rng.bool().then_some(RECORD_END);
        // It is no longer than that.
        policy.limits.exit_timeout = policy.limits.exit_timeout.min(millis(1_000));
    }
    // A process that skipped a record cannot be told from one that hangs.
    if theme.has_hangs || (!theme.is_liar && rng.u32(..100) < 25) {
        policy.limits.timeout = Some(scale * 6 + millis(rng.u64(100..400)));
        policy.limits.init_timeout = Some(scale * 6 + millis(rng.u64(1_000..4_000)));
        if policy.window == Window::Full {
            policy.window = Window::Auto;
        }
    }
    if theme.is_liar && matches!(policy.window, Window::Records(n) if n.get() > 1) {
        policy.window = Window::Auto;
    }
    policy
}

fn any_policy(rng: &mut Rng, protocol: Protocol, scale: Duration) -> Policy {
    let delivery = match rng.u32(..8) {
        0 => Delivery::AtMostOnce,
        _ => Delivery::AtLeastOnce,
    };
    let jobs = some(rng.usize(1..6));
    let window = match rng.u32(..10) {
        _ if delivery == Delivery::AtMostOnce => Window::Auto,
        0..5 => Window::Auto,
        5..6 => Window::Records(some(1)),
        6..8 => Window::Records(some(rng.usize(2..9))),
        _ => Window::Full,
    };
    Policy {
        shape: Shape {
            protocol,
            ..Shape::LINES
        },
        readiness: Readiness::Unknown,
        jobs,
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
        lead: *pick(
            rng,
            &[
                Lead::USUAL,
                Lead {
                    records: 0,
                    bytes: 0,
                },
                Lead {
                    records: 2,
                    bytes: 100,
                },
            ],
        ),
        failures: FailureRules {
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
            max_errors: match rng.u32(..16) {
                0 | 1 => Some(MaxErrors::Count(rng.u64(1..4))),
                2 => Some(MaxErrors::Part(Percentage {
                    millionths: rng.u32(10_000..400_000),
                })),
                _ => None,
            },
            retries: *pick(rng, &[0, 0, 0, 1, 2]),
            max_restarts: *pick(rng, &[1, 2, 5, 5]),
        },
        pacing: Pacing {
            groups: match rng.bool() {
                true => Vec::new(),
                false => (0..jobs.get()).map(|number| number % 2).collect(),
            },
            rate: (rng.u32(..6) == 0).then(|| rate(rng, scale)),
            batch: (rng.u32(..3) == 0).then(|| some(rng.usize(1..5))),
            retry_delay: (rng.u32(..5) < 2).then(|| retry_delay(rng, scale)),
        },
        delivery,
        lifespan: (rng.u32(..6) == 0).then(|| some(rng.usize(1..8))).into(),
        limits: Limits {
            max_memory: (rng.u32(..6) == 0).then(|| some(1 << 20)),
            timeout: None,
            init_timeout: None,
            grace: *pick(rng, &[millis(0), millis(60), millis(1_000)]),
            exit_timeout: scale + millis(rng.u64(300..2_000)),
            muster: *pick(rng, &[millis(0), millis(20), millis(1_000)]),
        },
    }
}

/// From far less to far more than a worker could do.
fn rate(rng: &mut Rng, scale: Duration) -> Rate {
    Rate {
        records: 0.2 + 4.0 * rng.f64(),
        time: scale + micros(rng.u64(1..200_000)),
    }
}

fn retry_delay(rng: &mut Rng, scale: Duration) -> RetryDelay {
    let first = scale.mul_f64(0.1 + 3.0 * rng.f64()) + micros(rng.u64(1..20_000));
    RetryDelay {
        first,
        longest: first * rng.u32(1..5),
        seed: rng.u64(..),
    }
}

pub(super) fn records(rng: &mut Rng, theme: &Theme, scale: Duration) -> Vec<Record> {
    let adds = rng.bool();
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
            outputs: match theme.gives_lists {
                _ if theme.has_several_lines => Some(rng.usize(..4)),
                true if rng.u32(..3) > 0 => Some(rng.usize(..4)),
                _ => None,
            },
            work: match rng.u32(..12) {
                0 => scale * rng.u32(1..5),
                _ => scale.mul_f64(0.05 + rng.f64()),
            },
            effect: if theme.is_liar {
                lie(rng, adds)
            } else {
                effect(rng, theme)
            },
        })
        .collect()
}

/// Makes one record larger than all that may be held, in some worlds.
pub(super) fn enlarge_one(rng: &mut Rng, records: &mut [Record], budget: usize) {
    if budget <= 20_000 && !records.is_empty() && rng.u32(..30) == 0 {
        let at = rng.usize(..records.len());
        records[at].len = budget + rng.usize(..1_000);
    }
}

fn lie(rng: &mut Rng, adds: bool) -> Effect {
    match rng.u32(..12) {
        // A line too many makes up for one too few, and nobody can tell.
        0 if adds => Effect::AddsLine,
        0..2 if adds => Effect::None,
        1 => Effect::SkipsLine,
        _ => Effect::None,
    }
}

fn effect(rng: &mut Rng, theme: &Theme) -> Effect {
    match rng.u32(..100) {
        0..8 if theme.has_killers => killer(rng),
        8..12 if theme.has_hangs => Effect::Hangs(*pick(rng, &[1, 2, u32::MAX])),
        12..15 => Effect::Invalid,
        15..25 if theme.has_sayings => saying(rng),
        25..30 if theme.has_skips => Effect::Skips(*pick(rng, &[1, 2, u32::MAX])),
        _ => Effect::None,
    }
}

fn killer(rng: &mut Rng) -> Effect {
    let times = *pick(rng, &[1, 2, u32::MAX, u32::MAX]);
    if rng.u32(..8) == 0 {
        return Effect::ClosesStdout(times);
    }
    // With status 0, half a line may pass for an answer.
    let deaths = [
        (ExitStatus::Code(0), Half::Nothing),
        (ExitStatus::Code(3), Half::Answer),
        (ExitStatus::Signal(9), Half::Answer),
        (ExitStatus::Signal(9), Half::Nothing),
        (ExitStatus::Signal(15), Half::Nothing),
    ];
    let (exit, half) = pick(rng, &deaths).clone();
    Effect::Kills(times, exit, half)
}

/// What a worker whose answers carry ids says instead of an output.
fn saying(rng: &mut Rng) -> Effect {
    let times = *pick(rng, &[1, 1, 2, u32::MAX]);
    let sayings = [
        Saying::Error,
        Saying::Error,
        Saying::Error,
        Saying::Bad,
        Saying::BadBeforeId,
        Saying::Twice,
        Saying::UnknownId,
        Saying::NoId,
        Saying::Resigns,
    ];
    if rng.u32(..5) == 0 {
        let times = *pick(rng, &[1, 1, 2, 5, u32::MAX]);
        return Effect::Says(times, Saying::Later(*pick(rng, &[0, 5, 60, 800])));
    }
    Effect::Says(times, *pick(rng, &sayings))
}

pub(super) fn reader(rng: &mut Rng, scale: Duration) -> OutputReader {
    let is_slow = rng.u32(..3) == 0;
    OutputReader {
        room: *pick(rng, &[16, 200, 2_000, 100_000]),
        direct: *pick(rng, &[0, 100, 4_096]),
        pause: if is_slow { scale * 2 } else { micros(20) },
        stall_chance: if is_slow { 0.1 } else { 0.0 },
        stall: scale * 20 + millis(2),
    }
}

pub(super) fn bursts(rng: &mut Rng, scale: Duration, mut records: usize) -> Vec<Burst> {
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

pub(super) fn disturbances(
    rng: &mut Rng,
    theme: &Theme,
    scale: Duration,
    records: usize,
) -> Vec<(Duration, Disturbance)> {
    let around = scale * records as u32 + millis(300);
    let mut all = Vec::new();
    let at = |rng: &mut Rng| around.mul_f64(rng.f64() * rng.f64());
    match rng.u32(..14) {
        // What is wrong with a process would have to show before its end.
        12 | 13 if theme.is_liar => {}
        12 => {
            // A batch system signals everything, in no order.
            let signal = *pick(rng, &[libc::SIGTERM, libc::SIGINT, libc::SIGHUP]);
            let first = at(rng);
            all.extend(to_all(rng, first, signal, Disturbance::Interrupt(signal)));
        }
        13 => {
            let signal = libc::SIGUSR1;
            let first = at(rng);
            all.extend(to_all(rng, first, signal, Disturbance::Status(signal)));
        }
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

/// The same signal to workers and mtask at about that time.
fn to_all(
    rng: &mut Rng,
    at: Duration,
    signal: i32,
    to_mtask: Disturbance,
) -> [(Duration, Disturbance); 2] {
    let to_workers = Disturbance::SignalWorkers(signal);
    let later = at + millis(rng.u64(..150));
    match rng.bool() {
        true => [(at, to_workers), (later, to_mtask)],
        false => [(at, to_mtask), (later, to_workers)],
    }
}

pub(super) fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}

pub(super) fn some(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).expect("at least 1")
}

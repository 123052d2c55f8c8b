//! How the processes of a world's COMMAND behave, whatever records they get.

use fastrand::Rng;

use super::parts::pick;
use super::theme::Theme;
use std::time::Duration;

use super::{
    Accident, Announcement, Beyond, CallFate, CallTimes, CancelManner, CommandScenario, Fall,
    Record, micros, millis,
};
use crate::schedule::policy::{Lifespan, Policy, Readiness, Window};

/// How many answers a worker collects before it writes them.
pub(super) fn collects(rng: &mut Rng, theme: &Theme, policy: &Policy) -> usize {
    match policy.window {
        _ if !theme.is_calm() || theme.is_liar => 1,
        _ if policy.limits.timeout.is_some() || policy.lifespan != Lifespan::Unlimited => 1,
        // What is tried again, alone, would be waited for.
        _ if theme.has_sayings => 1,
        Window::Full => rng.usize(1..20),
        _ => 1,
    }
}

/// The command, and what the policy knows of it.
pub(super) fn command(
    rng: &mut Rng,
    theme: &Theme,
    policy: &mut Policy,
    records: &[Record],
    collects: usize,
    scale: Duration,
) -> CommandScenario {
    let kinds = accidents(rng, theme, policy);
    // Of what hangs some can be given up.
    let may_hang = theme.has_hangs && policy.limits.timeout.is_some();
    let gives_up = theme.is_json() && may_hang && rng.u32(..20) > 0;
    let ready = match gives_up {
        true => Announcement::Concurrency(rng.usize(1..8)),
        false => ready(rng, theme),
    };
    if ready != Announcement::Never && rng.u32(..4) == 0 {
        policy.readiness = Readiness::Announced;
    }
    let is_json = theme.is_json();
    let calls = match ready {
        _ if !is_json || gives_up => CallTimes::Untold,
        _ if rng.u32(..10) == 0 => CallTimes::Unannounced,
        Announcement::Never => CallTimes::Untold,
        _ if rng.u32(..3) > 0 => CallTimes::Told {
            most: rng.usize(1..8),
            fate: *pick(rng, &[CallFate::Answered, CallFate::SomeFail]),
        },
        _ => CallTimes::Untold,
    };
    let may_cancel = is_json && calls == CallTimes::Untold && policy.limits.timeout.is_some();
    let cancels = match ready {
        _ if gives_up => *pick(rng, &[CancelManner::Always, CancelManner::NotAll]),
        Announcement::Concurrency(_) if may_cancel => *pick(
            rng,
            &[
                CancelManner::Never,
                CancelManner::Always,
                CancelManner::NotAll,
            ],
        ),
        _ => CancelManner::Never,
    };
    let slots = match ready {
        _ if !is_json => 1,
        // All that it is sent it begins.
        _ if cancels != CancelManner::Never => usize::MAX,
        // Each record's clock runs from its sending.
        Announcement::Concurrency(count) if policy.limits.timeout.is_some() => {
            count + rng.usize(..2)
        }
        _ => rng.usize(1..6),
    };
    let largest = records.iter().map(|record| record.len).max().unwrap_or(0) + 50;
    let rare = |rng: &mut Rng, chance| if rng.u32(..10) == 0 { chance } else { 0.0 };
    CommandScenario {
        shape: policy.shape,
        ready,
        slots,
        calls,
        cancels,
        prefixes: is_json && rng.u32(..12) == 0,
        moans: match rng.u32(..40) {
            0..3 => rng.usize(1..200),
            3 => 45_000,
            _ => 0,
        },
        chats: is_json && rng.u32(..10) == 0,
        repeats_ready: is_json && rng.u32(..20) == 0,
        says_exit: is_json && rng.u32(..6) == 0,
        lazy: match ready {
            Announcement::Never => micros(0),
            _ => millis(*pick(rng, &[0, 5, 600, 900])),
        },
        start: *pick(rng, &[micros(100), millis(5), millis(80), millis(250)]),
        stdin: match policy.limits.timeout {
            Some(_) => largest + rng.usize(..1000),
            // A large record in little bites takes the simulation long.
            None => (largest / 20).max(*pick(rng, &[20, 100, 1_000, 65_536])),
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
        is_broken: theme.is_broken,
        fall: theme.has_fall.then(|| fall(rng, theme, policy, records.len(), scale)),
        ignores_term: rare(rng, 0.5),
        beyond: (
            *pick(rng, &[0.0, 0.0, 0.0, 0.5]),
            *pick(rng, &[Beyond::Signals, Beyond::Death, Beyond::Death]),
        ),
        bad_end: if theme.is_liar { 0.0 } else { rare(rng, 0.4) },
        // A process that owes what it skipped, and stays, is waited for.
        late_end: if theme.is_liar || theme.has_skips {
            0.0
        } else {
            rare(rng, 0.3)
        },
        half_last_line: rare(rng, 1.0),
    }
}

/// From when on workers cannot start, and how that shows.
fn fall(rng: &mut Rng, theme: &Theme, policy: &Policy, records: usize, scale: Duration) -> Fall {
    let around = scale * records as u32 / policy.jobs.get() as u32 + millis(250);
    // A trial that others have made necessary takes no longer than a second.
    let is_slow = !theme.has_killers && policy.limits.timeout.is_none() && rng.bool();
    Fall {
        at: around.mul_f64(rng.f64()),
        worker: rng.bool().then(|| rng.usize(..policy.jobs.get())),
        takes: match is_slow {
            true => millis(4_000),
            false => *pick(rng, &[millis(5), millis(200), millis(900)]),
        },
    }
}

/// Which accidents there are.
fn accidents(rng: &mut Rng, theme: &Theme, policy: &Policy) -> Vec<Accident> {
    use Accident::*;

    if !theme.has_accidents {
        return Vec::new();
    }
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
    let mut kinds: Vec<_> = all.into_iter().filter(|_| rng.u32(..3) == 0).collect();
    if policy.limits.timeout.is_some() && rng.bool() {
        kinds.push(NeverUp);
    }
    kinds
}

/// What a process says when it is up.
fn ready(rng: &mut Rng, theme: &Theme) -> Announcement {
    match rng.u32(..5) {
        _ if !theme.is_json() => Announcement::Never,
        0..2 => Announcement::Never,
        2 => *pick(rng, &[Announcement::Plain, Announcement::NoNumber]),
        _ => Announcement::Concurrency(rng.usize(1..9)),
    }
}

//! All texts as they are, so that a change of wording is seen.

mod failures;
mod processes;
mod run;

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Notice, Teller};
use crate::outcome::{Exit, ExitStatus, Failure, Verdict};
use crate::record::Index;
use crate::schedule::event::{Event, Settled, Span, Trail};
use crate::schedule::policy::{ErrorRecords, OnError, Policy, Window};
use crate::schedule::{Doubts, WorkerId};
use crate::shape::Format;
use crate::shape::Protocol;

const WORKER: WorkerId = WorkerId(3);
const SECOND: Duration = Duration::from_secs(1);

/// Of a run of three workers without an option.
fn teller(change: impl FnOnce(&mut Policy)) -> Teller {
    let mut policy = Policy {
        jobs: NonZeroUsize::new(3).unwrap(),
        ..Policy::usual()
    };
    change(&mut policy);
    Teller::new(policy)
}

/// What is said of events, one after the other.
fn told(teller: &mut Teller, events: impl IntoIterator<Item = Event>) -> String {
    let lines = events.into_iter().map(|event| match teller.tell(&event) {
        None => "-".into(),
        Some(Notice {
            level,
            text,
            quoted,
        }) => match quoted {
            None => format!("{level:?}: {text}"),
            Some(quoted) => format!("{level:?}: {text}\n{quoted}"),
        },
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The same, with nothing said before.
fn told_alone(change: impl Fn(&mut Policy), events: impl IntoIterator<Item = Event>) -> String {
    let texts = events.into_iter().map(|event| told(&mut teller(&change), [event]));
    texts.collect::<Vec<_>>().join("\n")
}

fn usual(_: &mut Policy) {}

fn span(count: usize, low: u64, high: u64) -> Span {
    Span {
        count,
        low: Index(low),
        high: Index(high),
    }
}

fn doubts(ranges: &[(u64, u64)]) -> Doubts {
    let mut doubts = Doubts::default();
    for (first, last) in ranges {
        doubts.insert(Index(*first), Index(*last));
    }
    doubts
}

fn settled(outcome: Result<(), Box<Failure>>) -> Event {
    Event::Settled(Settled {
        first: Index(7),
        count: 1,
        worker: Some(WORKER),
        attempts: 1,
        took: None,
        trail: Trail::default(),
        outcome,
    })
}

/// All ways in which a process may end.
fn exits() -> [Exit; 10] {
    [
        ExitStatus::Code(3).into(),
        ExitStatus::Signal(9).into(),
        Verdict::StdoutClosed.into(),
        Verdict::StdinClosed.into(),
        Verdict::TimedOut.into(),
        Verdict::NotReady(3 * SECOND).into(),
        Verdict::OutOfStep.into(),
        Verdict::Unasked.into(),
        Verdict::AnsweredTwice.into(),
        ExitStatus::NotStarted("no luck".into()).into(),
    ]
}

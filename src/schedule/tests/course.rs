//! Whole runs in simulated time: workers that start, take their time over records and answer them,
//! and what comes of that.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use super::{Bench, WHOLE};
use crate::outcome::{ExitStatus, Lines};
use crate::protocol::message::{
    Answer, Base64Input, Begins, Cancels, Capabilities, Message, Reply,
};
use crate::protocol::stdout::Tail;
use crate::record::Index;
use crate::schedule::policy::{Policy, Readiness};
use crate::schedule::process::{Process, Stage};
use crate::schedule::{Action, Death, Scheduler, WorkerId};
use crate::shape::Protocol;

/// How a worker works.
pub(super) struct Seat<'a> {
    /// When its process is up, counted from its beginning. `None`: at once, and it does not say so.
    pub(super) ready_after: Option<Duration>,
    pub(super) manner: Manner,
    /// How long it takes over these records, after so many that it has answered.
    pub(super) cost: &'a dyn Fn(usize, &[u64]) -> Duration,
}

/// How many records a worker takes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    OneByOne,
    /// Up to so many in one call, all answered at its end. As many again may wait for the next.
    Batches(usize),
}

/// What came of a run.
#[derive(Debug)]
pub(super) struct Course {
    /// Until the last answer.
    pub(super) took: Duration,
    pub(super) sends: usize,
    /// How often workers took something up: a record, or a batch.
    pub(super) calls: usize,
    /// How many records each worker has answered.
    pub(super) shares: Vec<usize>,
    /// How long workers that were up had nothing to do though records waited.
    pub(super) idle: Duration,
}

/// A worker at work.
#[derive(Default)]
struct Hand {
    /// When its process says that it is up.
    ready_at: Option<Instant>,
    is_up: bool,
    holds: Vec<u64>,
    /// How many of those it is about, and when it answers them.
    call: Option<(Instant, usize)>,
    answered: usize,
    /// Its stdin has ended.
    is_told: bool,
}

impl Hand {
    /// Takes up what it holds, where it is free to.
    fn turn_to(&mut self, seat: &Seat<'_>, now: Instant) {
        if self.call.is_some() || !self.is_up || self.holds.is_empty() {
            return;
        }
        let most = match seat.manner {
            Manner::OneByOne => 1,
            Manner::Batches(records) => records,
        };
        let count = most.min(self.holds.len());
        let cost = (seat.cost)(self.answered, &self.holds[..count]);
        self.call = Some((now + cost, count));
    }

    /// At the end of its stdin its process exits once it has answered everything.
    fn exit_if_done(&mut self, scheduler: &mut Scheduler, worker: WorkerId, now: Instant) {
        if self.is_told && self.holds.is_empty() {
            *self = Self {
                answered: self.answered,
                ..Self::default()
            };
            exit(scheduler, worker, now);
        }
    }

    fn next(&self) -> Option<Instant> {
        [self.ready_at, self.call.map(|(at, _)| at)].into_iter().flatten().min()
    }
}

/// A run of so many records through these workers.
pub(super) fn run(records: usize, seats: &[Seat<'_>], change: impl FnOnce(&mut Policy)) -> Course {
    let announces = seats.iter().any(|seat| seat.ready_after.is_some());
    let mut bench = Bench::of_workers(seats.len(), |policy| {
        if announces {
            policy.shape.protocol = Protocol::Json;
            policy.readiness = Readiness::Announced;
        }
        change(policy);
    });
    let mut hands: Vec<_> = seats.iter().map(|_| Hand::default()).collect();
    let begin = bench.now;
    let mut course = Course {
        took: Duration::ZERO,
        sends: 0,
        calls: 0,
        shares: Vec::new(),
        idle: Duration::ZERO,
    };
    bench.hold_actions = true;
    bench.records(records);
    bench.end_input();
    let scheduler = &mut bench.scheduler;
    let mut now = begin;
    loop {
        while let actions = scheduler.take_actions()
            && !actions.is_empty()
        {
            for action in actions {
                match action {
                    Action::Start(worker, ..) => {
                        scheduler.started(worker, now);
                        let hand = &mut hands[worker.0];
                        hand.ready_at = seats[worker.0].ready_after.map(|after| now + after);
                        hand.is_up = hand.ready_at.is_none();
                    }
                    Action::Send(WorkerId(number), block, _) => {
                        course.sends += 1;
                        hands[number].holds.extend(block.first.0..block.end().0);
                        hands[number].turn_to(&seats[number], now);
                    }
                    Action::CloseStdin(worker) => {
                        hands[worker.0].is_told = true;
                        hands[worker.0].exit_if_done(scheduler, worker, now);
                    }
                    Action::Tell(_) => {}
                    Action::Finish => {
                        course.shares = hands.iter().map(|hand| hand.answered).collect();
                        return course;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        scheduler.written().results.take();
        scheduler.set_output_room(1 << 20);
        scheduler.choose_read_from(now);
        let first = (0..hands.len()).filter(|hand| hands[*hand].next().is_some());
        let first = first.min_by_key(|hand| hands[*hand].next());
        let acts_at = first.and_then(|hand| hands[hand].next());
        let before = now;
        now = (acts_at.into_iter().chain(scheduler.wake_at()))
            .min()
            .expect("something happens")
            .max(now);
        if scheduler.queue.together() > 0 {
            let idle = hands.iter().filter(|hand| hand.is_up && hand.holds.is_empty()).count();
            course.idle += (now - before) * idle as u32;
        }
        let Some(number) = first.filter(|_| acts_at == Some(now)) else {
            scheduler.tick(&|_| 0, now);
            continue;
        };
        let (worker, hand, seat) = (WorkerId(number), &mut hands[number], &seats[number]);
        if hand.ready_at == Some(now) {
            hand.ready_at = None;
            hand.is_up = true;
            let takes = match seat.manner {
                Manner::OneByOne => None,
                Manner::Batches(records) => NonZeroUsize::new(2 * records),
            };
            let said = Capabilities {
                concurrency: Ok(takes),
                begins: Begins::Untold,
                cancels: Cancels::Untold,
                base64: Base64Input::Untold,
            };
            scheduler.heard(worker, Message::Ready(said), now);
        } else if let Some((_, count)) = hand.call.take() {
            course.calls += 1;
            let answered: Vec<_> = hand.holds.drain(..count).collect();
            hand.answered += count;
            hand.turn_to(seat, now);
            course.took = now - begin;
            answer(scheduler, worker, &answered, now);
        }
        scheduler.heard(worker, WHOLE, now);
        hands[number].exit_if_done(scheduler, worker, now);
    }
}

/// A worker answers these records, all at once.
fn answer(scheduler: &mut Scheduler, worker: WorkerId, records: &[u64], now: Instant) {
    if scheduler.policy.names_records() {
        let answer = |record: &u64| Answer {
            index: Index(*record),
            reply: Reply::Output("y".into()),
        };
        let mut answers: Vec<_> = records.iter().map(answer).collect();
        scheduler.heard(worker, Message::Answers(&mut answers), now);
    } else {
        let lines = "y\n".repeat(records.len());
        let lines = Lines::Lent(lines.as_bytes());
        scheduler.heard(worker, Message::Results(records.len(), lines), now);
    }
}

fn exit(scheduler: &mut Scheduler, worker: WorkerId, now: Instant) {
    assert!(matches!(
        scheduler.process(worker).map(Process::stage),
        Some(Stage::Closing(_))
    ));
    let death = Death {
        peak: None,
        pid: Some(1),
        exit: ExitStatus::Code(0).into(),
        stderr: Vec::new(),
        tail: Tail::default(),
        unsent: 0,
    };
    scheduler.died(worker, death, now);
}

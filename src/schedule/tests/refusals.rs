//! Workers that say "not now": what is sent again when, and how many records a service that allows
//! so many gets.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use super::{Bench, MILLISECOND, OTHER, SECOND, WORKER};
use crate::protocol::message::Reply;
use crate::schedule::policy::{Delivery, Order, Policy, Rate, Window};
use crate::schedule::{Bottleneck, WorkerId};

fn workers(count: usize, change: impl FnOnce(&mut Policy)) -> Bench {
    Bench::json(|policy| {
        policy.jobs = NonZeroUsize::new(count).unwrap();
        change(policy);
    })
}

impl Bench {
    fn not_now(&mut self, worker: WorkerId, index: u64, wait: Duration) {
        self.reply_of(worker, index, Reply::Later(wait));
    }

    fn step(&mut self, time: Duration) {
        self.now += time;
        self.scheduler.choose_read_from(self.now);
        self.scheduler.tick(&|_| 0, self.now);
        self.act();
    }
}

#[test]
fn a_refused_record_is_sent_again_no_sooner_and_no_attempt_is_counted() {
    let mut bench = workers(2, |policy| policy.failures.retries = 0);
    bench.records(3);
    bench.not_now(WORKER, 0, 2 * SECOND);
    assert_eq!(bench.held_by(WORKER), [0; 0], "it begins nothing new");
    bench.reply_of(OTHER, 1, Reply::Output("y".into()));
    assert_eq!(bench.held_by(OTHER), [0; 0], "nor does the other");
    assert_eq!(
        bench.scheduler.waits_for(WORKER, bench.now),
        Bottleneck::Asked
    );
    let asked = bench.scheduler.asked_to_wait(bench.now).expect("a pause");
    assert_eq!((asked.by, asked.wait), (WORKER, 2 * SECOND));
    bench.wait(1990 * MILLISECOND);
    assert_eq!(bench.sent, [0, 1]);
    bench.wait(20 * MILLISECOND);
    assert_eq!(bench.sent, [0, 1, 0], "one at first");
    let text = "worker 0 asks to wait 2.00s (retry_after): no worker begins anything until then";
    assert_eq!(bench.notices_with(text), 1, "{:?}", bench.notices);
    bench.reply_of(
        WORKER,
        0,
        Reply::Error {
            json: "1".into(),
            message: "no".into(),
        },
    );
    let failed = bench.written();
    assert!(failed.contains("\"attempts\":1"), "{failed}");
}

#[test]
fn workers_with_another_init_argument_go_on() {
    let mut bench = workers(2, |policy| policy.pacing.groups = vec![0, 1]);
    bench.records(4);
    bench.not_now(WORKER, 0, 5 * SECOND);
    bench.reply_of(OTHER, 1, Reply::Output("y".into()));
    assert_eq!(
        (bench.held_by(WORKER), bench.held_by(OTHER)),
        (vec![], vec![2])
    );
    bench.wait(4 * SECOND);
    bench.reply_of(OTHER, 2, Reply::Output("y".into()));
    assert_eq!(bench.held_by(OTHER), [3]);
    bench.wait(2 * SECOND);
    assert_eq!(bench.held_by(WORKER), [0]);
}

#[test]
fn pauses_double_while_nothing_is_answered_and_then_the_workers_are_given_up() {
    let mut bench = workers(1, |_| {});
    bench.records(2);
    bench.end_input();
    let mut pauses = Vec::new();
    let mut began = bench.now;
    for _ in 0..200_000 {
        if let [index] = bench.held_by(WORKER)[..] {
            pauses.push((bench.now - began).as_millis());
            began = bench.now;
            bench.not_now(WORKER, index, Duration::ZERO);
        }
        if bench.ends.contains(&"end of stdin") {
            break;
        }
        bench.step(10 * MILLISECOND);
    }
    let expected = |place: usize| (100u128 << place.min(20)).min(60_000);
    let pauses = &pauses[1..];
    assert_eq!(pauses.len(), 19);
    for (place, pause) in pauses.iter().enumerate() {
        assert!(
            (expected(place)..expected(place) + 30).contains(pause),
            "{pauses:?}"
        );
    }
    bench.die(crate::outcome::ExitStatus::Code(0));
    bench.wait(SECOND);
    assert_eq!(bench.ends.last(), Some(&"finish"));
    assert_eq!(bench.scheduler.status(), crate::exit::Status::NoWorker);
    let text = "worker 0 is given up: it asked to wait (retry_after) 20 times in a row";
    assert_eq!(bench.notices_with(text), 1, "{:?}", bench.notices);
}

#[test]
fn a_record_that_is_refused_while_others_are_answered_fails_in_the_end() {
    let mut bench = workers(2, |policy| {
        policy.order = Order::Finish;
        policy.window = Window::Records(NonZeroUsize::MIN);
    });
    bench.records(1000);
    let (mut refusals, began) = (0, bench.now);
    while bench.scheduler.tally().failures() == 0 {
        assert!(
            bench.now < began + 1000 * SECOND,
            "{refusals} {:?} {:?}",
            bench.notices,
            bench.scheduler.tally()
        );
        for worker in [WORKER, OTHER] {
            match bench.held_by(worker)[..] {
                [0] => {
                    refusals += 1;
                    bench.not_now(worker, 0, Duration::ZERO);
                }
                [index] => bench.reply_of(worker, index, Reply::Output("y".into())),
                _ => {}
            }
        }
        bench.step(5 * MILLISECOND);
    }
    assert_eq!(refusals, 20);
    assert!(bench.written().contains("it was refused 20 times while others were answered"));
}

#[test]
fn with_at_most_once_a_refusal_fails_its_record() {
    let mut bench = workers(1, |policy| policy.delivery = Delivery::AtMostOnce);
    bench.records(2);
    bench.not_now(WORKER, 0, SECOND);
    assert_eq!(bench.scheduler.tally().failures(), 1);
    assert_eq!(bench.held_by(WORKER), [0; 0], "it waits all the same");
    bench.wait(1010 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER), [1]);
}

#[test]
fn a_refusal_says_nothing_of_how_long_a_record_takes() {
    let mut bench = workers(1, |_| {});
    bench.records(100);
    bench.not_now(WORKER, 0, Duration::ZERO);
    for _ in 0..50 {
        bench.wait(200 * MILLISECOND);
        assert!(bench.held_by(WORKER).len() <= 1);
        for index in bench.held_by(WORKER) {
            bench.reply_of(WORKER, index, Reply::Output("y".into()));
        }
    }
    assert!(bench.scheduler.tally().outcomes() > 40);
}

#[test]
fn a_rate_holds_beside_refusals() {
    let mut bench = workers(4, |policy| {
        policy.pacing.rate = Some(Rate {
            records: 5.0,
            time: SECOND,
        });
    });
    bench.records(100);
    bench.not_now(WORKER, 0, SECOND);
    for _ in 0..1000 {
        for worker in (0..4).map(WorkerId) {
            for index in bench.held_by(worker) {
                bench.reply_of(worker, index, Reply::Output("y".into()));
            }
        }
        bench.step(10 * MILLISECOND);
    }
    assert!(
        (25..=50).contains(&bench.sent.len()),
        "{}",
        bench.sent.len()
    );
}

/// What a service allows.
trait Service {
    /// Answers a request, or says how long to wait.
    fn ask(&mut self, now: Instant) -> Result<(), Duration>;
}

/// So many requests a second, and as many at once after a while without.
struct TokenBucket {
    per_second: f64,
    tokens: f64,
    at: Instant,
}

impl Service for TokenBucket {
    fn ask(&mut self, now: Instant) -> Result<(), Duration> {
        let time = (now - self.at).as_secs_f64();
        self.tokens = (self.tokens + time * self.per_second).min(self.per_second);
        self.at = now;
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64(
                (1.0 - self.tokens) / self.per_second,
            ));
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

/// So many requests in each second.
struct FixedWindow {
    most: u32,
    count: u32,
    from: Instant,
}

impl Service for FixedWindow {
    fn ask(&mut self, now: Instant) -> Result<(), Duration> {
        while now >= self.from + SECOND {
            self.from += SECOND;
            self.count = 0;
        }
        if self.count == self.most {
            return Err(self.from + SECOND - now);
        }
        self.count += 1;
        Ok(())
    }
}

/// How a service says how long to wait.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tells {
    Exactly,
    WholeSeconds,
    Nothing,
}

/// Has 16 workers, which are up one after another, ask for 300 records. Gives how long that takes, and how many of their requests
/// were refused after the first second.
fn ask(limit: Limit, takes: Duration, tells: Tells, apart: Duration) -> (f64, usize) {
    let mut bench = workers(16, |_| {});
    let began = bench.now;
    let mut service = limit.begin(began);
    bench.records(300);
    bench.end_input();
    let mut asked: HashMap<usize, (Instant, Result<(), Duration>)> = HashMap::new();
    let mut refused = 0;
    while bench.scheduler.tally().outcomes() < 300 {
        assert!(bench.now < began + 100 * SECOND, "it does not end");
        for number in 0..16 {
            let worker = WorkerId(number);
            if bench.now < began + number as u32 * apart {
                continue;
            }
            let [index] = bench.held_by(worker)[..] else {
                continue;
            };
            let now = bench.now;
            let (at, answer) = asked.entry(number).or_insert_with(|| (now, service.ask(now)));
            let answer = *answer;
            let is_done = match answer {
                Ok(()) => now >= *at + takes,
                Err(_) => now >= *at + takes.max(3 * MILLISECOND),
            };
            if !is_done {
                continue;
            }
            asked.remove(&number);
            match answer {
                Ok(()) => bench.reply_of(worker, index, Reply::Output("y".into())),
                Err(wait) => {
                    refused += usize::from(now >= began + SECOND);
                    let wait = match tells {
                        Tells::Exactly => wait,
                        Tells::WholeSeconds => Duration::from_secs_f64(wait.as_secs_f64().ceil()),
                        Tells::Nothing => Duration::ZERO,
                    };
                    bench.not_now(worker, index, wait);
                }
            }
        }
        bench.step(MILLISECOND);
    }
    assert_eq!(bench.scheduler.tally().failures(), 0);
    ((bench.now - began).as_secs_f64(), refused)
}

/// Which limit a service has: 20 a second.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Bucket,
    /// So long before the first request the first second began.
    Window(Duration),
}

impl Limit {
    fn begin(self, now: Instant) -> Box<dyn Service> {
        match self {
            Self::Bucket => Box::new(TokenBucket {
                per_second: 20.0,
                tokens: 20.0,
                at: now,
            }),
            Self::Window(before) => Box::new(FixedWindow {
                most: 20,
                count: 0,
                from: now - before,
            }),
        }
    }
}

#[test]
fn a_service_with_a_limit_is_asked_for_almost_all_that_it_allows() {
    let windows = [0, 300, 600, 900].map(|before| Limit::Window(before * MILLISECOND));
    for limit in [Limit::Bucket].into_iter().chain(windows) {
        for tells in [Tells::WholeSeconds, Tells::Exactly, Tells::Nothing] {
            for (takes, apart) in [(5, 0), (50, 30)] {
                let (takes, apart) = (takes * MILLISECOND, apart * MILLISECOND);
                let (took, refused) = ask(limit, takes, tells, apart);
                let part = 300.0 / 20.0 / took;
                // To wait for whole seconds may leave the rest of a service's second unused.
                let is_whole = matches!(limit, Limit::Window(_)) && tells == Tells::WholeSeconds;
                let least = if is_whole { 0.8 } else { 0.85 };
                let case = format!("{limit:?}, {takes:?}, {tells:?}, {apart:?} apart");
                assert!(part >= least, "{case}: {took} s");
                assert!(refused <= 30, "{case}: {refused} refused");
            }
        }
    }
}

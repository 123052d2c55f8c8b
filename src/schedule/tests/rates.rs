//! `--rate`: how many records are sent by when.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Bench, MILLISECOND, OTHER, SECOND, WORKER};
use crate::schedule::policy::{Policy, Rate, Readiness};
use crate::schedule::{Bottleneck, WorkerId};

fn rate(records: f64) -> Option<Rate> {
    Some(Rate {
        records,
        time: SECOND,
    })
}

/// Three workers that answer at once what they are sent.
fn run(time: Duration, change: impl FnOnce(&mut Policy)) -> Bench {
    let mut bench = Bench::of_workers(3, |policy| {
        policy.pacing.rate = rate(50.0);
        change(policy);
    });
    let began = bench.now;
    bench.records(2000);
    while bench.now < began + time {
        for worker in (0..3).map(WorkerId) {
            let held = bench.held_by(worker).len();
            assert!(held <= 1, "a lines worker is sent what it may begin");
            if held > 0 {
                bench.answer_of(worker, held);
            }
        }
        let most = 50.0 * (bench.now - began).as_secs_f64() + 50.0;
        assert!(
            bench.sent.len() as f64 <= most + 1e-3,
            "{} of {most}",
            bench.sent.len()
        );
        bench.wait(MILLISECOND);
    }
    bench
}

#[test]
fn no_more_is_sent_than_the_rate_and_a_second_s_worth_at_first() {
    let bench = run(10 * SECOND, |_| {});
    assert!(bench.sent.len() >= 548, "{}", bench.sent.len());
    assert!(bench.sent.is_sorted());
}

#[test]
fn what_is_sent_again_counts_again() {
    let mut bench = Bench::json(|policy| {
        policy.pacing.rate = rate(2.0);
        policy.failures.retries = 100;
    });
    bench.records(1);
    for _ in 0..40 {
        for index in bench.held_by(WORKER) {
            bench.refuse(WORKER, index);
        }
        let is_held = bench.held_by(WORKER).is_empty() && bench.sent.len() > 2;
        assert!(!is_held || bench.scheduler.bottleneck() == Bottleneck::Rate);
        bench.wait(99 * MILLISECOND);
    }
    assert_eq!(bench.sent.len(), 9, "2 at once, and 2 a second");
}

#[test]
fn a_worker_that_takes_several_gets_as_many_as_there_are_tokens() {
    let mut bench = Bench::json(|policy| {
        policy.pacing.rate = rate(3.0);
        policy.readiness = Readiness::Announced;
    });
    bench.records(10);
    bench.ready(8);
    assert_eq!(bench.held_by(WORKER), [0, 1, 2]);
    bench.wait(1010 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_batch_is_sent_together_and_a_part_of_one_after_a_second_or_at_the_end() {
    let mut bench = Bench::json(|policy| {
        policy.pacing.rate = rate(2.0);
        policy.pacing.batch = NonZeroUsize::new(4);
        policy.readiness = Readiness::Announced;
    });
    bench.records(3);
    bench.ready(8);
    assert_eq!(bench.held_by(WORKER), [0; 0], "it may become a batch");
    bench.records(3);
    assert_eq!(bench.held_by(WORKER), [0, 1, 2, 3], "the bucket holds one");
    bench.wait(900 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER).len(), 4);
    bench.wait(200 * MILLISECOND);
    assert_eq!(
        bench.held_by(WORKER).len(),
        6,
        "the rest has waited for long enough"
    );
    (0..6).for_each(|index| bench.result(WORKER, index));
    bench.records(4);
    bench.wait(1900 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER), [0; 0]);
    bench.wait(200 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER).len(), 4);
    bench.records(1);
    bench.end_input();
    bench.wait(600 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER).len(), 5);
}

#[test]
fn tokens_for_one_batch_and_a_part_of_another_let_one_through() {
    let mut bench = Bench::json(|policy| {
        policy.pacing.rate = rate(10.0);
        policy.pacing.batch = NonZeroUsize::new(4);
        policy.readiness = Readiness::Announced;
    });
    bench.records(20);
    bench.ready(20);
    assert_eq!(bench.held_by(WORKER).len(), 8, "of 10 tokens");
    bench.result(WORKER, 0);
    // Nothing was looked at while 9 tokens were made.
    bench.now += 700 * MILLISECOND;
    bench.wait(MILLISECOND);
    assert_eq!(bench.held_by(WORKER).len(), 15, "two batches more");
    bench.end_input();
    bench.wait(1000 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER).len(), 19);
}

#[test]
fn a_worker_that_is_held_back_by_the_rate_waits_for_that() {
    let mut bench = Bench::of_workers(2, |policy| policy.pacing.rate = rate(1.0));
    bench.records(4);
    assert_eq!(
        (bench.held_by(WORKER), bench.held_by(OTHER)),
        (vec![0], vec![])
    );
    bench.wait(100 * MILLISECOND);
    assert_eq!(
        bench.scheduler.waits_for(OTHER, bench.now),
        Bottleneck::Rate
    );
}

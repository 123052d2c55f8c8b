//! Records that wait for their time before they are tried again.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Bench, MILLISECOND, OTHER, SECOND, WORKER};
use crate::outcome::ExitStatus;
use crate::record::Index;
use crate::schedule::event::Trigger;
use crate::schedule::policy::{OnError, Order, Policy, Rate, RetryDelay, Window};
use crate::schedule::{Bottleneck, WorkerId};

/// Waits 4 s, 8 s and so on up to 20 s, each a quarter more or less.
const DELAY: RetryDelay = RetryDelay {
    first: Duration::from_secs(4),
    longest: Duration::from_secs(20),
    seed: 0,
};

/// Workers that hold a record each, the first ones.
fn at_work(workers: usize, change: impl FnOnce(&mut Policy)) -> Bench {
    Bench::json(|policy| {
        policy.jobs = NonZeroUsize::new(workers).unwrap();
        policy.window = Window::Records(NonZeroUsize::MIN);
        policy.failures.retries = 2;
        policy.pacing.retry_delay = Some(DELAY);
        change(policy);
    })
}

#[test]
fn a_record_that_waits_for_its_retry_holds_no_worker_and_keeps_its_place() {
    let mut bench = at_work(1, |_| {});
    bench.records(4);
    bench.refuse(WORKER, 0);
    assert_eq!(bench.held_by(WORKER), [1], "the worker goes on at once");
    bench.result(WORKER, 1);
    bench.result(WORKER, 2);
    bench.wait(2900 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER), [3]);
    bench.result(WORKER, 3);
    assert_eq!(bench.held_by(WORKER), [0; 0]);
    assert_eq!(bench.written(), "", "what is behind it waits");
    let under_way = bench.scheduler.under_way(bench.now);
    assert_eq!((under_way.in_flight, under_way.waiting), (0, 1));
    bench.wait(2200 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER), [0]);
    bench.result(WORKER, 0);
    assert_eq!(bench.written(), "y\n".repeat(4));
}

#[test]
fn each_wait_is_twice_as_long_up_to_the_longest() {
    let mut bench = at_work(1, |policy| policy.failures.retries = 5);
    bench.records(1);
    bench.end_input();
    for seconds in [4, 8, 16, 20, 20] {
        assert_eq!(bench.held_by(WORKER), [0]);
        bench.refuse(WORKER, 0);
        let began = bench.now;
        while bench.held_by(WORKER).is_empty() {
            assert_eq!(bench.scheduler.bottleneck(), Bottleneck::Retry);
            bench.wait(10 * MILLISECOND);
        }
        let (waited, mean) = (bench.now - began, SECOND * seconds);
        assert!(
            (mean * 3 / 4..=mean * 5 / 4 + SECOND / 10).contains(&waited),
            "{waited:?}"
        );
    }
    assert!(bench.ends.is_empty(), "its stdin stays open for it");
    bench.refuse(WORKER, 0);
    assert_eq!(bench.scheduler.tally().failures(), 1);
}

#[test]
fn what_a_process_died_of_waits_too_and_is_alone_then() {
    let mut bench = at_work(1, |policy| policy.window = Window::Auto);
    bench.records(1);
    bench.ready(1);
    assert_eq!(bench.held_by(WORKER), [0]);
    bench.die(ExitStatus::Code(3));
    bench.judge();
    bench.ready(1);
    assert_eq!(
        bench.held_by(WORKER),
        [0],
        "once more, for nobody is charged"
    );
    bench.die(ExitStatus::Code(3));
    bench.judge();
    bench.wait(2 * SECOND);
    bench.ready(1);
    assert_eq!(bench.held_by(WORKER), [0; 0]);
    assert_eq!(bench.scheduler.queue.later(), 1);
    bench.records(1);
    assert_eq!(bench.held_by(WORKER), [1], "it holds nobody up");
    bench.result(WORKER, 1);
    bench.wait(4 * SECOND);
    assert_eq!(bench.held_by(WORKER), [0]);
    assert!(bench.scheduler.process(WORKER).unwrap().owed.holds_alone());
}

#[test]
fn it_goes_to_another_worker_when_its_time_has_come() {
    let mut bench = at_work(2, |_| {});
    bench.records(6);
    for (worker, index) in [(WORKER, 0), (OTHER, 1), (WORKER, 2), (OTHER, 3)] {
        bench.result(worker, index);
    }
    bench.refuse(WORKER, 4);
    bench.result(OTHER, 5);
    bench.wait(6 * SECOND);
    assert_eq!(
        (bench.held_by(WORKER), bench.held_by(OTHER)),
        (vec![], vec![4])
    );
}

#[test]
fn a_full_buffer_behind_one_that_waits_stops_the_input_and_says_so() {
    for order in [Order::Input, Order::Finish] {
        let mut bench = at_work(1, |policy| policy.order = order);
        let record = format!("{}\n", "x".repeat(40 << 20));
        bench.bytes(&record);
        bench.bytes(&record);
        bench.refuse(WORKER, 0);
        if order == Order::Finish {
            bench.refuse(WORKER, 1);
        }
        assert_eq!(
            bench.held_by(WORKER),
            [0; 0],
            "there is no room for its outcome"
        );
        bench.wait(2 * SECOND);
        let text = "--buffer is full (67108864 bytes) while record 0 waits to be sent again";
        assert_eq!(bench.notices_with(text), 1, "{:?}", bench.notices);
        bench.wait(3100 * MILLISECOND);
        assert_eq!(bench.held_by(WORKER), [0]);
        bench.result(WORKER, 0);
        assert_eq!(bench.held_by(WORKER), [1]);
        assert_eq!(bench.notices_with("--buffer is full"), 1);
    }
}

#[test]
fn nobody_is_listened_to_while_the_lowest_waits_and_the_buffer_is_full() {
    let mut bench = at_work(2, |_| {});
    bench.records(2);
    assert_eq!(bench.held_by(OTHER), [1]);
    bench.budget.add(65 << 20);
    bench.refuse(WORKER, 0);
    bench.wait(SECOND);
    assert!(!bench.scheduler.reads_from(OTHER));
    bench.wait(5 * SECOND);
    assert_eq!(bench.held_by(WORKER), [0]);
    assert!(bench.scheduler.reads_from(WORKER), "it is the lowest");
    bench.result(WORKER, 0);
    bench.wait(MILLISECOND);
    assert!(bench.scheduler.reads_from(OTHER));
}

#[test]
fn a_drain_waits_for_it_and_a_signal_only_as_long_as_there_is_time() {
    let mut bench = at_work(1, |policy| policy.failures.on_error = OnError::Drain);
    bench.records(3);
    bench.refuse(WORKER, 0);
    bench.refuse(WORKER, 1);
    bench.wait(6 * SECOND);
    bench.refuse(WORKER, 2);
    assert_eq!(bench.held_by(WORKER), [0]);
    for _ in 0..2 {
        bench.refuse(WORKER, 0);
        bench.wait(30 * SECOND);
        let held = bench.held_by(WORKER);
        held.iter().filter(|index| **index != 0).for_each(|index| bench.result(WORKER, *index));
    }
    let failed = bench.scheduler.tally().failures();
    assert_eq!(failed, 1, "{:?}", bench.notices);
    // The run drains, and what still waits has its turn.
    bench.wait(60 * SECOND);
    for index in bench.held_by(WORKER) {
        bench.result(WORKER, index);
    }
    assert_eq!(bench.scheduler.tally().outcomes(), 3);

    for (grace, stays) in [(2, 0), (20, 1)] {
        let mut bench = at_work(1, |policy| policy.limits.grace = SECOND * grace);
        bench.records(1);
        bench.refuse(WORKER, 0);
        bench.scheduler.interrupt(libc::SIGINT, bench.now);
        bench.act();
        assert_eq!(bench.scheduler.queue.later(), stays);
        bench.wait(6 * SECOND);
        let held: &[u64] = if stays > 0 { &[0] } else { &[] };
        assert_eq!(bench.held_by(WORKER), held);
        assert!(bench.ends.contains(&"end of stdin"), "{:?}", bench.ends);
    }
}

#[test]
fn what_waits_when_a_drain_begins_has_its_turn() {
    let mut bench = at_work(2, |policy| {
        policy.failures.on_error = OnError::Drain;
        policy.failures.retries = 1;
    });
    bench.records(2);
    bench.refuse(WORKER, 0);
    bench.wait(6 * SECOND);
    assert_eq!(bench.held_by(WORKER), [0]);
    bench.refuse(OTHER, 1);
    bench.refuse(WORKER, 0);
    assert_eq!(bench.scheduler.tally().failures(), 1);
    assert_eq!(bench.scheduler.queue.later(), 1);
    bench.wait(6 * SECOND);
    for worker in [WORKER, OTHER] {
        let held = bench.held_by(worker);
        held.iter().for_each(|index| bench.result(worker, *index));
    }
    assert_eq!(bench.scheduler.tally().outcomes(), 2);
}

#[test]
fn none_is_left_behind_where_no_worker_is_left() {
    let mut bench = at_work(1, |policy| policy.failures.max_restarts = 1);
    bench.records(1);
    bench.end_input();
    bench.refuse(WORKER, 0);
    bench.die(ExitStatus::Code(1));
    bench.wait(6 * SECOND);
    (bench.scheduler).start_failed(WorkerId(0), "no luck".into(), bench.now);
    bench.act();
    bench.wait(10 * SECOND);
    assert_eq!(bench.ends.last(), Some(&"finish"));
    assert_eq!(bench.scheduler.status(), crate::exit::Status::NoWorker);
    assert_eq!(bench.scheduler.queue.lowest_put_off(), None::<Index>);
}

#[test]
fn who_is_told_to_end_says_what_waits_for_its_time_and_how_long() {
    for (is_notice, limit) in [(true, ""), (false, " within --grace 20s")] {
        let mut bench = at_work(2, |policy| policy.limits.grace = 20 * SECOND);
        bench.records(3);
        bench.refuse(WORKER, 0);
        match is_notice {
            true => bench.scheduler.notify(libc::SIGUSR2, bench.now),
            false => bench.scheduler.interrupt(libc::SIGINT, bench.now),
        }
        bench.act();
        let told = bench.notices.last().expect("a notice");
        assert!(
            told.contains(&format!("3 records that were sent may finish{limit}; ")),
            "{told}"
        );
        assert!(
            told.contains("; 1 record waits to be sent again, in "),
            "{told}"
        );
    }
}

#[test]
fn what_comes_to_wait_at_the_end_of_a_run_is_told_too() {
    let end: [fn(&mut Bench); 3] = [
        |bench| bench.end_input(),
        |bench| bench.scheduler.notify(libc::SIGUSR2, bench.now),
        |bench| bench.scheduler.drain(Trigger::Failure, bench.now),
    ];
    for end in end {
        let mut bench = at_work(2, |policy| {
            policy.pacing.retry_delay = Some(RetryDelay {
                first: 30 * SECOND,
                ..DELAY
            });
        });
        bench.records(2);
        end(&mut bench);
        bench.refuse(WORKER, 0);
        bench.wait(SECOND);
        let before = bench.notices.len();
        bench.refuse(OTHER, 1);
        bench.wait(SECOND);
        bench.wait(SECOND);
        let [told] = &bench.notices[before..] else {
            panic!("{:?}", &bench.notices[before..]);
        };
        let text = "nothing is under way: 2 records wait to be sent again, the first in ";
        assert!(told.contains(text), "{told}");
    }
}

#[test]
fn a_retry_that_the_rate_holds_back_at_the_end_is_told() {
    let mut bench = at_work(1, |policy| {
        policy.pacing.retry_delay = None;
        policy.pacing.rate = Some(Rate {
            records: 1.0,
            time: 60 * SECOND,
        });
    });
    bench.records(2);
    bench.refuse(WORKER, 0);
    bench.scheduler.notify(libc::SIGUSR2, bench.now);
    bench.act();
    let told = bench.notices.last().expect("a notice");
    assert!(
        told.ends_with("1 record waits to be sent again, in 60.0s"),
        "{told}"
    );
}

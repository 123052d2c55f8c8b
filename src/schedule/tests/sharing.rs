//! How records are shared among workers, in simulated time: how long a run takes against the best
//! that is possible, and in how many pieces records are sent.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::course::{self, Course, Manner, Seat};
use super::{Bench, MILLISECOND, OTHER, SECOND, WHOLE, WORKER};
use crate::outcome::{ExitStatus, Lines};
use crate::protocol::message::Message;
use crate::schedule::policy::{Order, Policy, Readiness, Window};
use crate::schedule::{Action, WorkerId};

/// A run of so many records through workers that take these times over them, each in turn.
fn run(records: usize, times: &[&[Duration]], change: impl FnOnce(&mut Policy)) -> Course {
    let costs: Vec<_> = (times.iter())
        .map(|times| |answered: usize, _: &[u64]| times[answered % times.len()])
        .collect();
    let seats: Vec<_> = (costs.iter())
        .map(|cost| Seat {
            ready_after: None,
            manner: Manner::OneByOne,
            cost,
        })
        .collect();
    course::run(records, &seats, change)
}

/// How long all workers need if none of them is ever idle.
fn ideal(records: usize, times: &[&[Duration]]) -> Duration {
    let mean =
        |times: &&[Duration]| times.iter().sum::<Duration>().as_secs_f64() / times.len() as f64;
    let rate: f64 = times.iter().map(|times| 1.0 / mean(times)).sum();
    Duration::from_secs_f64(records as f64 / rate)
}

fn assert_near_ideal(records: usize, times: &[&[Duration]], factor: f64) -> Course {
    let course = run(records, times, |_| ());
    let ideal = ideal(records, times);
    assert_eq!(course.shares.iter().sum::<usize>(), records);
    assert!(
        course.took <= ideal.mul_f64(factor),
        "{course:?}, and {ideal:?} is the least"
    );
    course
}

#[test]
fn equal_workers_end_together() {
    for each in [10 * MILLISECOND, MILLISECOND, MILLISECOND / 10] {
        let each = [each];
        let times = [&each[..]; 4];
        let course = assert_near_ideal(1000, &times, 1.02);
        assert!(
            course.shares.iter().all(|share| (230..=270).contains(share)),
            "{course:?}"
        );
    }
}

#[test]
fn a_worker_that_is_much_slower_than_the_others_holds_nothing_up() {
    let (quick, slow) = ([MILLISECOND], [25 * MILLISECOND]);
    for slow_at in 0..3 {
        let mut times = [&quick[..]; 3];
        times[slow_at] = &slow;
        assert_near_ideal(600, &times, 1.01);
    }
    // However slow: it keeps what it began with.
    let slow = [100 * MILLISECOND];
    let course = run(600, &[&quick, &quick, &slow], |_| ());
    assert!(course.took <= 320 * MILLISECOND, "{course:?}");
    assert!(course.shares[2] >= 1 && course.shares[2] <= 3, "{course:?}");
}

#[test]
fn a_worker_that_becomes_slow_towards_the_end_holds_few_of_the_last_records() {
    let (quick, slow) = (MILLISECOND / 10, 20 * MILLISECOND);
    for answered in (170..200).step_by(5) {
        let slows_down = [vec![quick; answered], vec![slow; 400]].concat();
        let course = run(400, &[&slows_down, &[quick]], |_| ());
        let held = course.shares[0].saturating_sub(answered);
        let left = 400 - 2 * answered;
        assert!(held <= left / 3, "{held} of {left}: {course:?}");
    }
}

#[test]
fn records_that_take_unequal_times_are_shared_as_they_are_done() {
    let times = [1, 7, 2, 1, 1, 9, 3, 1].map(|millis| millis * MILLISECOND);
    let rotated = |turn| {
        let mut times = times;
        times.rotate_left(turn);
        times
    };
    let seats: Vec<_> = (0..8).map(rotated).collect();
    let seats: Vec<&[Duration]> = seats.iter().map(|times| &times[..]).collect();
    assert_near_ideal(2000, &seats, 1.01);
}

#[test]
fn quick_records_travel_in_large_pieces() {
    let each = [Duration::from_micros(1)];
    let course = assert_near_ideal(100_000, &[&each, &each], 1.05);
    assert!(course.sends < 1000, "{} pieces", course.sends);
}

#[test]
fn slow_records_travel_one_at_a_time() {
    let each = [50 * MILLISECOND];
    let course = assert_near_ideal(100, &[&each, &each], 1.05);
    assert!(course.sends >= 90, "{} pieces", course.sends);
}

#[test]
fn the_order_of_the_output_changes_nothing_in_how_records_are_shared() {
    let times = [&[MILLISECOND][..], &[3 * MILLISECOND]];
    let ordered = run(400, &times, |_| ());
    let unordered = run(400, &times, |policy| policy.order = Order::Finish);
    assert_eq!(
        (ordered.took, ordered.shares),
        (unordered.took, unordered.shares)
    );
}

#[test]
fn a_window_is_filled_across_the_blocks_that_the_input_comes_in() {
    let mut bench = Bench::new(|policy| {
        policy.window = Window::Records(NonZeroUsize::new(10).unwrap());
    });
    bench.records(3);
    for _ in 0..5 {
        bench.records(4);
    }
    assert_eq!(bench.sent.len(), 10);
    bench.answer(9);
    assert_eq!(bench.sent.len(), 19);
}

#[test]
fn with_a_full_window_records_are_dealt_out_in_pieces_of_64_kib() {
    let mut bench = Bench::of_workers(2, |policy| policy.window = Window::Full);
    let record = "x".repeat(1023) + "\n";
    bench.bytes(&record.repeat(256));
    let pieces = |first: u64, second: u64| (first..first + 64).chain(second..second + 64);
    assert!(bench.held_by(WORKER).into_iter().eq(pieces(0, 128)));
    assert!(bench.held_by(OTHER).into_iter().eq(pieces(64, 192)));
}

#[test]
fn what_comes_is_shared_among_workers_that_could_each_take_all_of_it() {
    let mut bench = Bench::of_workers(2, |_| ());
    bench.records(2);
    bench.answer(1);
    bench.answer_of(OTHER, 1);
    // Each may hold two by now.
    bench.records(2);
    assert_eq!(
        (bench.held_by(WORKER), bench.held_by(OTHER)),
        (vec![2], vec![3])
    );
}

#[test]
fn a_process_that_begins_late_is_given_all_that_it_takes_and_told_the_end() {
    let mut bench = Bench::new(|policy| policy.window = Window::Full);
    bench.records(1);
    bench.answer(1);
    for _ in 0..5 {
        bench.records(4);
    }
    bench.end_input();
    bench.die(ExitStatus::Code(1));
    bench.ends.clear();
    bench.sent.clear();
    bench.wait(SECOND);
    assert_eq!(bench.starts, 2);
    assert_eq!(bench.sent.len(), 20);
    assert_eq!(bench.ends, ["end of stdin"]);
}

/// Two idle workers that have been measured, of which `slow` takes ten times as long. The test
/// looks at actions itself.
fn measured(slow: usize) -> Bench {
    let mut bench = Bench::of_workers(2, |_| ());
    bench.hold_actions = true;
    for _ in 0..7 {
        bench.records(2);
        bench.scheduler.input_is_slow(bench.now);
        holders(&mut bench);
        for (number, pause) in [(1 - slow, MILLISECOND), (slow, 9 * MILLISECOND)] {
            bench.now += pause;
            let worker = WorkerId(number);
            let owed = bench.scheduler.owed(worker);
            if owed > 0 {
                let answers = "y\n".repeat(owed);
                let answers = Lines::Lent(answers.as_bytes());
                bench.scheduler.heard(worker, Message::Results(owed, answers), bench.now);
                bench.scheduler.heard(worker, WHOLE, bench.now);
            }
        }
        bench.now += 100 * MILLISECOND;
        bench.scheduler.tick(&|_| 0, bench.now);
    }
    bench
}

/// Who has been sent records.
fn holders(bench: &mut Bench) -> Vec<WorkerId> {
    let mut holders = Vec::new();
    for action in bench.scheduler.take_actions() {
        match action {
            Action::Start(worker, ..) => bench.scheduler.started(worker, bench.now),
            Action::Send(worker, ..) => holders.push(worker),
            Action::Tell(_) => {}
            other => panic!("{other:?}"),
        }
    }
    holders
}

#[test]
fn a_record_that_comes_alone_goes_to_the_quicker_of_those_that_are_free() {
    for slow in [0, 1] {
        let mut bench = measured(slow);
        bench.records(1);
        assert_eq!(holders(&mut bench), [WorkerId(1 - slow)]);
    }
}

#[test]
fn while_more_may_come_no_record_waits_for_a_quick_worker_where_a_slow_one_is_free() {
    for slow in [0, 1] {
        let mut bench = measured(slow);
        let mut quick = 0;
        loop {
            bench.records(1);
            match holders(&mut bench)[..] {
                [WorkerId(holder)] if holder == slow => break,
                [_] => quick += 1,
                ref other => panic!("after {quick} records: {other:?}"),
            }
        }
        assert!(quick > 0);
    }
}

#[test]
fn the_last_record_does_not_wait_for_a_worker_that_is_not_up_yet() {
    let mut bench = Bench::json(|policy| {
        policy.jobs = NonZeroUsize::new(2).unwrap();
        policy.readiness = Readiness::Announced;
    });
    bench.records(4);
    assert_eq!(bench.starts, 2);
    bench.ready(0);
    for index in 0..2 {
        bench.wait(SECOND);
        bench.reply(index);
    }
    bench.end_input();
    bench.wait(SECOND);
    assert_eq!(bench.sent, [0, 1, 2]);
    bench.reply(2);
    assert_eq!(bench.sent, [0, 1, 2, 3]);
}

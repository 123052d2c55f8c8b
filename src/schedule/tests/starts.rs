//! How many processes begin, and when.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Bench, MILLISECOND, OTHER, SECOND, WORKER};
use crate::outcome::{Done, ExitStatus};
use crate::schedule::policy::{PlacesTold, Policy, Readiness, Window};
use crate::schedule::{Crew, Doubts, WorkerFaults};
use crate::shape::Protocol;

fn bench() -> Bench {
    Bench::of_workers(8, |_| ())
}

#[test]
fn what_has_killed_waits_for_another_record_for_a_while_before_command_has_been_ready() {
    let mut bench = Bench::new(|_| ());
    bench.records(1);
    bench.die(ExitStatus::Code(3));
    bench.wait(4900 * MILLISECOND);
    assert_eq!(bench.sent, [0], "another may come");
    bench.wait(200 * MILLISECOND);
    assert_eq!(bench.sent, [0, 0], "none has");
    bench.die(ExitStatus::Code(3));
    bench.wait(SECOND);
    assert_eq!(bench.sent, [0, 0, 0], "and none is waited for again");
    bench.records(1);
    bench.die(ExitStatus::Code(3));
    bench.wait(SECOND);
    assert_eq!(bench.sent, [0, 0, 0, 1]);
    bench.die(ExitStatus::Code(3));
    bench.wait(4 * SECOND);
    assert_eq!(bench.sent, [0, 0, 0, 1], "one has, so others may");
    bench.end_input();
    assert_eq!(bench.sent, [0, 0, 0, 1, 0]);
}

#[test]
fn where_few_records_have_come_as_many_processes_begin_and_the_others_a_little_later() {
    let mut bench = bench();
    bench.wait(SECOND);
    assert_eq!(bench.starts, 0, "nothing has been heard of the input");
    bench.records(3);
    assert_eq!(bench.starts, 3);
    bench.wait(40 * MILLISECOND);
    assert_eq!(bench.starts, 3);
    bench.wait(20 * MILLISECOND);
    assert_eq!(bench.starts, 8);
}

#[test]
fn a_process_that_was_sent_nothing_has_not_been_starting_for_so_long() {
    let mut bench = Bench::of_workers(2, |_| ());
    bench.records(1);
    bench.answer(1);
    bench.wait(300 * SECOND);
    assert_eq!(bench.starts, 2);
    bench.records(2);
    bench.wait(2 * SECOND);
    bench.answer(1);
    bench.answer_of(OTHER, 1);
    let learnt = bench.scheduler.startup_time().expect("it was ready");
    assert!(learnt < 3 * SECOND, "{learnt:?}");
}

#[test]
fn the_first_process_waits_for_a_moment_to_know_how_many_share_the_machine() {
    let bench = || Bench::of_workers(8, |policy| policy.limits.muster = 20 * MILLISECOND);
    let crew = |bench: &Bench| bench.scheduler.crew().map(|Crew(workers)| workers);
    let mut short = bench();
    short.records(3);
    assert_eq!((short.starts, crew(&short)), (0, None), "more may come");
    assert!(short.scheduler.wants_input());
    short.end_input();
    assert_eq!((short.starts, crew(&short)), (3, Some(3)), "none does");
    short.die(ExitStatus::Code(3));
    short.wait(SECOND);
    assert_eq!((short.starts, crew(&short)), (4, Some(3)));

    let mut long = bench();
    long.records(7);
    long.records(1);
    assert_eq!((long.starts, crew(&long)), (8, Some(8)), "there are enough");

    let mut slow = bench();
    slow.records(1);
    slow.wait(19 * MILLISECOND);
    assert_eq!(slow.starts, 0);
    slow.wait(2 * MILLISECOND);
    assert_eq!((slow.starts, crew(&slow)), (1, Some(8)), "nobody knows");
    slow.end_input();
    assert_eq!(crew(&slow), Some(8), "it is dealt out");
}

#[test]
fn what_finds_no_room_is_not_waited_for_at_the_start() {
    let mut bench = Bench::of_workers(8, |policy| policy.limits.muster = SECOND);
    bench.bytes(&("x".repeat(65 << 20) + "\n"));
    assert_eq!(bench.starts, 1);
}

#[test]
fn where_many_records_have_come_all_processes_begin_at_once() {
    for (records, starts) in [(8, 8), (9, 8), (7, 7)] {
        let mut bench = bench();
        bench.records(records);
        assert_eq!(bench.starts, starts, "{records} records");
    }
}

#[test]
fn no_more_processes_begin_than_there_are_records_left() {
    let mut bench = bench();
    bench.records(2);
    bench.end_input();
    bench.wait(SECOND);
    assert_eq!(bench.starts, 2);
}

#[test]
fn processes_that_are_not_up_yet_are_counted_on_for_the_records_left() {
    let mut bench = Bench::of_workers(8, |policy| {
        policy.shape.protocol = Protocol::Json;
        policy.readiness = Readiness::Announced;
    });
    bench.records(2);
    bench.end_input();
    bench.wait(SECOND);
    assert_eq!((bench.starts, bench.sent.len()), (2, 0));
}

#[test]
fn a_slow_input_lets_one_process_begin_and_then_the_others() {
    let mut bench = bench();
    bench.scheduler.input_is_slow(bench.now);
    bench.act();
    assert_eq!(bench.starts, 1);
    bench.wait(60 * MILLISECOND);
    assert_eq!(bench.starts, 8);
}

#[test]
fn a_process_that_ended_is_replaced_only_while_there_is_something_to_do() {
    let mut bench = Bench::new(|_| ());
    bench.records(2);
    bench.answer(1);
    bench.die(ExitStatus::Code(1));
    bench.wait(SECOND);
    assert_eq!(bench.starts, 2, "record 1 is sent again");
    bench.end_input();
    bench.answer(1);
    bench.die(ExitStatus::Code(0));
    bench.wait(SECOND);
    assert_eq!((bench.starts, bench.ends.last()), (2, Some(&"finish")));
}

#[test]
fn a_process_counts_as_a_restart_where_the_one_before_was_not_meant_to_end() {
    let mut bench = Bench::new(|policy| policy.lifespan = NonZeroUsize::new(1).into());
    bench.records(3);
    let restarts = |bench: &Bench| (bench.starts, bench.scheduler.tally().restarts);
    bench.answer(1);
    assert_eq!(bench.ends, ["end of stdin"]);
    bench.die(ExitStatus::Code(0));
    assert_eq!(restarts(&bench), (2, 0), "it had its one record");
    bench.die(ExitStatus::Code(1));
    bench.wait(SECOND);
    assert_eq!(restarts(&bench), (3, 1));
}

/// A run that goes on where COMMAND has once taken so long until it was ready.
fn resumed(took: Option<Duration>, change: impl FnOnce(&mut Policy)) -> Bench {
    let mut bench = Bench::new(change);
    (bench.scheduler).resume(
        Done::default(),
        WorkerFaults::default(),
        Doubts::default(),
        took,
        PlacesTold::Failures,
    );
    bench
}

#[test]
fn where_a_command_was_ready_in_an_earlier_run_a_process_that_stays_up_tells_of_a_record() {
    let mut bench = resumed(Some(2 * SECOND), |_| ());
    bench.records(2);
    bench.end_input();
    for death in 0..4 {
        assert_eq!(bench.scheduler.tally().failures(), death / 2);
        bench.die_of_a_record();
    }
    assert_eq!((bench.starts, &bench.sent[..]), (4, &[0, 0, 1, 1][..]));
    assert_eq!(bench.scheduler.tally().failures(), 2);
    assert_eq!(bench.scheduler.startup_time(), None);
}

#[test]
fn a_command_that_does_not_stay_up_is_given_up_and_no_record_is_charged() {
    let mut bench = resumed(Some(SECOND), |_| ());
    bench.records(2);
    bench.end_input();
    bench.wait(300 * MILLISECOND);
    for _ in 0..5 {
        bench.die(ExitStatus::Code(3));
        // The wait for the next one doubles.
        let starts = bench.starts;
        while bench.starts == starts && bench.ends.is_empty() {
            bench.wait(10 * MILLISECOND);
        }
        bench.wait(900 * MILLISECOND);
    }
    assert_eq!(bench.sent, [0]);
    assert_eq!(bench.notices_with("no worker could be kept running"), 1);
    assert_eq!(bench.scheduler.tally().failures(), 0);
}

#[test]
fn what_an_earlier_run_knows_is_forgotten_once_a_process_is_ready() {
    let mut bench = resumed(Some(100 * SECOND), |_| ());
    bench.records(2);
    bench.answer(1);
    assert_eq!(bench.scheduler.startup_time(), Some(Duration::ZERO));
    bench.die(ExitStatus::Code(3));
    bench.wait(SECOND);
    assert_eq!(bench.sent, [0, 1, 1]);
}

#[test]
fn a_command_that_announces_it_has_to_say_that_it_is_ready() {
    let mut bench = resumed(Some(SECOND), |policy| {
        policy.shape.protocol = Protocol::Json;
        policy.readiness = Readiness::Announced;
    });
    bench.records(2);
    bench.wait(10 * SECOND);
    bench.die(ExitStatus::Code(3));
    bench.wait(10 * SECOND);
    assert_eq!((bench.starts, bench.sent.len()), (2, 0));
    assert_eq!(bench.scheduler.startup_time(), None);
}

#[test]
fn a_process_that_holds_too_much_is_replaced_once_it_owes_nothing() {
    let limit = NonZeroUsize::new(100);
    let mut bench = Bench::new(|policy| {
        policy.limits.max_memory = limit;
        policy.window = Window::Records(NonZeroUsize::new(2).unwrap());
    });
    bench.records(5);
    assert_eq!(bench.sent, [0, 1]);
    bench.scheduler.holds(WORKER, 101, 0, bench.now);
    bench.act();
    assert_eq!(bench.notices_with("holds"), 0, "it is not ready");
    bench.answer(1);
    assert_eq!(bench.sent, [0, 1, 2]);
    bench.scheduler.holds(WORKER, 100, 0, bench.now);
    bench.answer(1);
    assert_eq!(bench.sent, [0, 1, 2, 3], "it may hold that much");
    bench.scheduler.holds(WORKER, 101, 99, bench.now);
    bench.scheduler.holds(WORKER, 102, 200, bench.now);
    bench.answer(1);
    assert_eq!((bench.sent.len(), bench.ends.len()), (4, 0));
    bench.answer(1);
    assert_eq!(
        (bench.sent.len(), &bench.ends[..]),
        (4, &["end of stdin"][..])
    );
    bench.die(ExitStatus::Code(0));
    assert_eq!((bench.sent.len(), bench.starts), (5, 2));
    assert_eq!(bench.notices_with("--max-worker-memory"), 1);
}

/// One that answers after a second holds too much, and there is room for another beside it.
fn with_successor() -> Bench {
    let mut bench = Bench::new(|policy| {
        policy.limits.max_memory = NonZeroUsize::new(100);
        policy.window = Window::Records(NonZeroUsize::MIN);
    });
    bench.records(5);
    bench.wait(SECOND);
    bench.answer(1);
    bench.scheduler.holds(WORKER, 101, 100, bench.now);
    bench.act();
    assert_eq!(bench.ends, ["successor"]);
    bench
}

#[test]
fn a_process_goes_on_until_its_successor_is_up() {
    let mut bench = with_successor();
    bench.wait(900 * MILLISECOND);
    bench.answer(1);
    assert_eq!(bench.sent, [0, 1, 2]);
    bench.wait(200 * MILLISECOND);
    bench.answer(1);
    assert_eq!((&bench.sent[..], bench.ends.len()), (&[0, 1, 2][..], 2));
    assert_eq!(bench.ends[1], "end of stdin");
    bench.die(ExitStatus::Code(0));
    assert_eq!((bench.sent.len(), bench.starts), (4, 2));
    bench.answer(1);
    bench.scheduler.holds(WORKER, 100, 100, bench.now);
    assert_eq!(bench.sent.len(), 5, "the next one may hold as much");
}

#[test]
fn a_successor_that_is_lost_is_not_waited_for() {
    let mut bench = with_successor();
    bench.scheduler.successor_lost(WORKER, bench.now);
    bench.answer(1);
    assert_eq!(bench.ends, ["successor", "end of stdin"]);
    bench.die(ExitStatus::Code(0));
    assert_eq!((bench.sent.len(), bench.starts), (3, 2));
}

#[test]
fn a_successor_takes_the_place_of_a_process_that_dies_at_once() {
    let mut bench = with_successor();
    bench.die(ExitStatus::Code(3));
    assert_eq!(bench.starts, 2, "there is no wait for a restart");
}

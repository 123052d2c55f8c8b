//! Workers that do not answer before the end of their stdin.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Bench, MILLISECOND, SECOND, WORKER};
use crate::exit::Status;
use crate::outcome::ExitStatus;
use crate::schedule::Reading;
use crate::schedule::policy::Window;

const LIMIT: Duration = Duration::from_secs(300);
const ASKED: &str = "its stdin is closed to see";

/// A worker that has read its first record, and has more before it.
fn silent() -> Bench {
    let mut bench = Bench::new(|_| {});
    bench.records(20);
    read(&mut bench, Reading::All);
    bench
}

fn read(bench: &mut Bench, reading: Reading) {
    (bench.scheduler).note_reading(WORKER, reading, bench.now);
}

/// Goes on until the end of its stdin is shown to the process, for so long at most.
fn wait_for_end_of_stdin(bench: &mut Bench, most: Duration) -> Duration {
    let from = bench.now;
    let count = bench.ends.len();
    while bench.ends.len() == count {
        assert!(bench.now < from + most, "{:?}", bench.notices);
        bench.wait(SECOND);
    }
    assert_eq!(bench.ends.last(), Some(&"end of stdin"));
    bench.now - from
}

#[test]
fn a_worker_that_answers_at_the_end_of_its_stdin_alone_is_given_up() {
    let mut bench = silent();
    for process in 0..5 {
        read(&mut bench, Reading::All);
        let waited = wait_for_end_of_stdin(&mut bench, LIMIT + 2 * SECOND);
        match process {
            0 => assert!(waited >= LIMIT),
            // It has shown what it is.
            _ => assert!(waited <= 11 * SECOND, "{waited:?}"),
        }
        bench.answer(1);
        bench.die(ExitStatus::Code(0));
        bench.wait(SECOND);
    }
    assert_eq!(bench.written(), "y\n".repeat(5), "no answer is lost");
    assert_eq!(bench.notices_with("a command in it reads the records"), 1);
    assert_eq!(bench.notices_with("worker 0 is given up after 5"), 1);
    assert_eq!(bench.scheduler.status(), Status::NoWorker);
}

#[test]
fn a_worker_that_leaves_its_records_at_the_end_of_its_stdin_is_given_up_soon() {
    let mut bench = silent();
    let begin = bench.now;
    while bench.scheduler.status() != Status::NoWorker {
        read(&mut bench, Reading::All);
        wait_for_end_of_stdin(&mut bench, LIMIT + 2 * SECOND);
        bench.die(ExitStatus::Code(0));
        bench.wait(11 * SECOND);
    }
    assert!(bench.now - begin < LIMIT * 2, "{:?}", bench.now - begin);
}

#[test]
fn one_that_dies_there_with_a_status_is_given_up_soon_too() {
    let mut bench = silent();
    let begin = bench.now;
    while bench.scheduler.status() != Status::NoWorker {
        read(&mut bench, Reading::All);
        wait_for_end_of_stdin(&mut bench, LIMIT + 2 * SECOND);
        bench.die(ExitStatus::Code(1));
        bench.wait(11 * SECOND);
    }
    assert!(bench.now - begin < LIMIT * 2, "{:?}", bench.now - begin);
}

#[test]
fn a_slow_worker_is_asked_once_and_loses_nothing() {
    let mut bench = silent();
    wait_for_end_of_stdin(&mut bench, LIMIT + 2 * SECOND);
    for _ in 0..12 {
        bench.wait(50 * SECOND);
    }
    bench.answer(1);
    bench.die(ExitStatus::Code(0));
    bench.wait(SECOND);
    // It takes a quarter of an hour to a first answer: that is known now.
    for _ in 0..5 {
        bench.ends.clear();
        read(&mut bench, Reading::All);
        bench.wait(900 * SECOND);
        assert!(bench.ends.is_empty(), "{:?}", bench.notices);
        bench.answer(1);
    }
    assert_eq!(bench.notices_with(ASKED), 1);
    assert_eq!(bench.notices_with("given up"), 0);
}

#[test]
fn one_that_seemed_to_wait_for_the_end_and_is_slow_is_not_given_up() {
    let mut bench = silent();
    // By chance, it answers then.
    wait_for_end_of_stdin(&mut bench, LIMIT + 2 * SECOND);
    bench.wait(10 * SECOND);
    bench.answer(1);
    bench.die(ExitStatus::Code(0));
    bench.wait(SECOND);
    // The next is asked soon, and takes as long.
    read(&mut bench, Reading::All);
    wait_for_end_of_stdin(&mut bench, 20 * SECOND);
    bench.wait(LIMIT);
    bench.answer(1);
    bench.die(ExitStatus::Code(0));
    bench.wait(SECOND);
    // So that is how long it takes.
    bench.ends.clear();
    read(&mut bench, Reading::All);
    bench.wait(LIMIT + 20 * SECOND);
    assert!(bench.ends.is_empty(), "{:?}", bench.notices);
    bench.answer(1);
    assert_eq!(bench.notices_with("given up"), 0);
}

#[test]
fn a_worker_that_has_not_read_its_record_may_be_starting_for_as_long_as_it_likes() {
    let mut bench = silent();
    for _ in 0..100 {
        read(&mut bench, Reading::Behind);
        bench.wait(100 * SECOND);
    }
    assert!(bench.ends.is_empty());
    assert_eq!(bench.notices_with("it has not read it"), 1);
    // It has begun; its time counts from then.
    read(&mut bench, Reading::All);
    bench.wait(LIMIT - 150 * SECOND);
    assert!(bench.ends.is_empty());
    read(&mut bench, Reading::All);
    wait_for_end_of_stdin(&mut bench, LIMIT);
}

/// A worker that collects records, and a buffer that is full.
fn hungry(window: Window) -> Bench {
    let mut bench = Bench::new(|policy| policy.window = window);
    fill(&mut bench);
    bench
}

/// Five records for the worker, which reads them, and no room for more.
fn fill(bench: &mut Bench) {
    bench.records(5);
    let limit = bench.budget.limit();
    assert!(!bench.budget.take_or_announce(limit, 0));
    read(bench, Reading::All);
}

#[test]
fn a_full_buffer_that_a_worker_waits_for_ends_by_name() {
    for window in [
        Window::Full,
        Window::Records(NonZeroUsize::new(6).expect("a number")),
    ] {
        let mut bench = hungry(window);
        bench.wait(29 * SECOND);
        assert!(bench.ends.is_empty());
        assert_eq!(bench.notices_with("--buffer, which is full: raise it"), 1);
        wait_for_end_of_stdin(&mut bench, 2 * SECOND);
        assert_eq!(bench.notices_with("Raise --buffer"), 1);
        bench.answer(5);
        bench.die(ExitStatus::Code(0));
        bench.wait(SECOND);
        // The next process goes on, and it is known what it is.
        fill(&mut bench);
        wait_for_end_of_stdin(&mut bench, 3 * SECOND);
        assert_eq!(bench.notices_with("Raise --buffer"), 1);
        bench.answer(5);
        assert_eq!(bench.scheduler.tally().failures(), 0);
    }
}

#[test]
fn a_worker_that_has_all_that_it_may_wait_for_is_not_disturbed_by_a_full_buffer() {
    let mut bench = hungry(Window::Records(NonZeroUsize::new(5).expect("a number")));
    bench.wait(200 * SECOND);
    assert!(bench.ends.is_empty());
    let mut bench = hungry(Window::Full);
    read(&mut bench, Reading::Behind);
    bench.wait(200 * SECOND);
    assert!(bench.ends.is_empty(), "it has still something to read");
}

#[test]
fn a_worker_that_cannot_be_ended_is_left_behind_and_its_record_fails() {
    let mut bench = Bench::new(|policy| {
        policy.limits.timeout = Some(10 * SECOND);
        policy.limits.exit_timeout = 30 * SECOND;
    });
    bench.records(3);
    bench.answer(1);
    bench.wait(11 * SECOND);
    bench.wait(6 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM", "SIGKILL"]);
    bench.wait(29 * SECOND);
    assert_eq!(bench.starts, 1, "the system may need a while");
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM", "SIGKILL", "left behind"]);
    bench.scheduler.left_behind(WORKER, bench.now);
    bench.wait(200 * MILLISECOND);
    assert_eq!((bench.starts, bench.sent.last()), (2, Some(&2)));
}

//! Processes that have to show that they stay up before they are sent a suspect.

use std::time::Duration;

use super::{Bench, MILLISECOND, OTHER, SECOND, WORKER};
use crate::exit::Status;
use crate::outcome::ExitStatus;
use crate::schedule::Death;

/// A worker that has answered, and died with record 1; its next process has died with it so late.
fn died_early(after: Duration) -> Bench {
    died_early_with(5, after)
}

fn died_early_with(max_restarts: u32, after: Duration) -> Bench {
    let mut bench = Bench::new(|policy| policy.failures.max_restarts = max_restarts);
    bench.records(2);
    bench.end_input();
    bench.answer(1);
    bench.die(ExitStatus::Code(3));
    bench.wait_for_process();
    bench.wait(after);
    assert_eq!(bench.held_by(WORKER), [1]);
    bench.die(ExitStatus::Code(3));
    bench
}

impl Bench {
    /// Waits until the worker's next process has begun.
    fn wait_for_process(&mut self) {
        let starts = self.starts;
        for _ in 0..2000 {
            if self.starts > starts {
                return;
            }
            self.wait(10 * MILLISECOND);
        }
        panic!("none begins: {:?}", self.notices);
    }
}

#[test]
fn what_dies_without_a_record_charges_nobody_and_is_given_up() {
    let mut bench = died_early(2 * SECOND);
    for _ in 0..4 {
        bench.wait_for_process();
        bench.wait(2900 * MILLISECOND);
        assert!(bench.held_by(WORKER).is_empty(), "3 s are not over");
        bench.die(ExitStatus::Code(3));
        assert_eq!(bench.notices_with("stayed up for 3s"), 1);
    }
    assert_eq!(bench.scheduler.tally().failures(), 0);
    assert_eq!(bench.scheduler.status(), Status::NoWorker);
    let text =
        "worker 0 is given up after 5 processes in a row without an answer (--max-restarts 5)";
    assert_eq!(bench.notices_with(text), 1, "{:?}", bench.notices);
}

#[test]
fn there_is_always_a_trial_and_none_is_told_that_does_not_come() {
    let mut bench = died_early_with(1, 2 * SECOND);
    assert_eq!(bench.notices_with("stayed up for 3s"), 1);
    bench.wait_for_process();
    bench.wait(SECOND);
    assert!(bench.held_by(WORKER).is_empty(), "3 s are not over");
    bench.notices.clear();
    // It has not stayed up, so the next one would have to for longer.
    bench.wait(SECOND);
    bench.die(ExitStatus::Code(3));
    assert_eq!(bench.scheduler.status(), Status::NoWorker);
    assert_eq!(bench.notices_with("stayed up"), 0, "{:?}", bench.notices);
    assert_eq!(bench.notices_with("after 2 processes"), 1);
}

#[test]
fn what_stays_up_tells_of_the_record_that_it_dies_of() {
    let mut bench = died_early(2 * SECOND);
    bench.wait_for_process();
    bench.wait(2900 * MILLISECOND);
    assert!(bench.held_by(WORKER).is_empty());
    bench.wait(200 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER), [1]);
    bench.wait(2 * SECOND);
    bench.die(ExitStatus::Code(3));
    bench.judge();
    assert_eq!(bench.scheduler.tally().failures(), 1);
}

#[test]
fn what_dies_later_than_it_stayed_up_may_have_died_of_itself() {
    let mut bench = died_early(10 * MILLISECOND);
    bench.wait_for_process();
    bench.wait(1100 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER), [1]);
    // It cannot start, and takes longer to find out than the one before.
    bench.wait(3 * SECOND);
    bench.die(ExitStatus::Code(3));
    bench.wait_for_process();
    bench.wait(4100 * MILLISECOND);
    assert!(
        bench.held_by(WORKER).is_empty(),
        "it has to stay up for longer now"
    );
    assert_eq!(bench.scheduler.tally().failures(), 0);
}

#[test]
fn a_record_that_takes_long_to_kill_makes_no_long_trial() {
    let mut bench = died_early(3600 * SECOND);
    assert_eq!(bench.notices_with("stayed up for 10s"), 1);
    bench.wait_for_process();
    bench.wait(9900 * MILLISECOND);
    assert!(bench.held_by(WORKER).is_empty(), "10 s are not over");
    bench.wait(200 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER), [1]);
    bench.wait(3600 * SECOND);
    bench.die(ExitStatus::Code(3));
    bench.judge();
    assert_eq!(bench.scheduler.tally().failures(), 1);
}

#[test]
fn a_trial_is_as_long_as_starts_are_known_to_take_and_as_failed_ones_took() {
    let mut bench = Bench::new(|_| ());
    bench.records(2);
    bench.end_input();
    bench.wait(20 * SECOND);
    bench.answer(1);
    bench.die(ExitStatus::Code(3));
    bench.wait_for_process();
    bench.wait(100 * SECOND);
    bench.die(ExitStatus::Code(3));
    assert_eq!(bench.notices_with("stayed up for 60s"), 1);
    bench.wait_for_process();
    bench.wait(50 * SECOND);
    assert!(bench.held_by(WORKER).is_empty(), "60 s are not over");
    bench.die(ExitStatus::Code(3));
    bench.wait_for_process();
    bench.wait(70 * SECOND);
    assert!(bench.held_by(WORKER).is_empty(), "nor are 75 s");
    bench.wait(6 * SECOND);
    assert_eq!(bench.held_by(WORKER), [1]);
    bench.wait(100 * SECOND);
    bench.die(ExitStatus::Code(3));
    bench.judge();
    assert_eq!(bench.scheduler.tally().failures(), 1);
}

#[test]
fn while_a_process_is_ready_others_start_as_ever() {
    let mut bench = Bench::of_workers(2, |_| ());
    bench.records(100);
    bench.answer(1);
    for _ in 0..3 {
        (bench.scheduler).died(OTHER, Death::by(ExitStatus::Code(3)), bench.now);
        bench.act();
        bench.wait_for_process();
        assert!(!bench.held_by(OTHER).is_empty(), "no trial");
    }
    assert_eq!(bench.notices_with("stayed up"), 0);
}

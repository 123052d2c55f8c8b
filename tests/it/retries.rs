//! `--retries` and `--at-most-once`: how often a record is sent.

use crate::done::{numbers, records};
use crate::env::{TestEnv, mtask};

#[test]
fn a_charged_record_is_tried_again_as_often_as_asked() {
    let env = TestEnv::new();
    let input = records((0..20).map(|i| match i {
        10 => format!("10 @note:{} @die:3", env.path("tries")),
        _ => i.to_string(),
    }));
    let done = env.mtask().words("-j2 --retries 2").echo().run_on(&input);
    done.assert_status(123).assert_results_but(10, &input);
    let error = done.assert_one_error(10, "worker_exit");
    // As a neighbour, as a suspect, and twice more; and once for nothing, where the other worker has
    // had no record by then, and so is not known to be able to start.
    let tries = env.lines("tries").len();
    assert_eq!(error["attempts"], tries);
    assert!((4..=5).contains(&tries), "{tries} tries");
}

#[test]
fn a_record_that_succeeds_when_it_is_tried_again_is_a_result() {
    let env = TestEnv::new();
    let input = records((0..20).map(|i| match i {
        10 => format!("10 @first:3:{} @die:3", env.path("tries")),
        _ => i.to_string(),
    }));
    env.mtask().words("-j2 --retries 2").echo().run_on(&input).assert_output(input);
}

#[test]
fn a_timeout_is_tried_again_as_often_as_asked() {
    let env = TestEnv::new();
    let input = records([
        "0".to_owned(),
        format!("1 @note:{} @hang", env.path("w.pids")),
        "2".to_owned(),
        format!("3 @once:{} @hang", env.path("once")),
    ]);
    let options = ["-j1", "--timeout", "2s", "--retries", "1", "--grace", "1s"];
    let done = env.mtask().args(options).echo().run_on(&input);
    done.assert_status(123).assert_results_but(1, &input);
    assert_eq!(done.assert_one_error(1, "timeout")["attempts"], 2);
    assert_eq!(env.lines("w.pids").len(), 2);
    env.assert_all_gone("w.pids");
}

#[test]
fn input_that_is_invalid_is_not_tried_again() {
    let options = ["-j1", "--format", "jsonl", "--retries", "3"];
    let done = TestEnv::new().mtask().args(options).echo().run_on("1\n[\n2\n");
    assert_eq!(
        done.assert_status(123).assert_one_error(1, "invalid_input")["attempts"],
        0
    );
}

#[test]
fn nothing_is_sent_twice_with_at_most_once() {
    let env = TestEnv::new();
    let input = records((0..30).map(|i| match i {
        10 => format!("10 @note:{} @die:3", env.path("tries")),
        _ => i.to_string(),
    }));
    let done = env.mtask().words("-j2 --at-most-once").echo().run_on(&input);
    done.assert_status(123).assert_results_but(10, &input);
    assert_eq!(done.assert_one_error(10, "worker_exit")["attempts"], 1);
    assert_eq!(env.lines("tries").len(), 1);
}

#[test]
fn a_record_held_by_a_process_that_never_came_up_fails_with_at_most_once() {
    let env = TestEnv::new();
    let words = format!("@once:{} @die:3", env.path("once"));
    let done =
        env.mtask().words("-j1 --at-most-once").worker(["--at", "1", &words]).run_on(numbers(10));
    done.assert_status(123).assert_results_but(0, &numbers(10));
    assert_eq!(done.assert_one_error(0, "worker_exit")["attempts"], 1);
}

#[test]
fn a_first_record_that_kills_and_fills_the_buffer_costs_itself_alone() {
    let big = "x".repeat(600_000);
    let input = records([
        format!("0 @die:3 {big}"),
        format!("1 {big}"),
        format!("2 {big}"),
    ]);
    mtask("-j1 --buffer 1M")
        .echo()
        .run_on(&input)
        .assert_status(123)
        .assert_results_but(0, &input);
}

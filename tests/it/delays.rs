//! `--retry-delay`: a record that is tried again waits for its time.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::done::records;
use crate::env::{Run, TestEnv, mtask};
use crate::live::Live;

/// Workers that speak JSON and answer each value with itself.
fn echo(env: &TestEnv, words: &str) -> Run {
    env.mtask().words("--protocol json").words(words).worker(["--json"])
}

/// Strings, the first of which is answered with an error so many times.
fn first_fails(env: &TestEnv, times: usize, count: usize) -> Vec<u8> {
    let directive = format!("@first:{times}:{} @error:busy", env.path("tries"));
    records((0..count).map(|number| {
        json!(match number {
            0 => directive.clone(),
            _ => number.to_string(),
        })
        .to_string()
    }))
}

/// Sends records, and keeps the input open.
fn send_all(live: &mut Live, records: &[u8]) {
    let lines = records.split(|byte| *byte == b'\n');
    lines.filter(|line| !line.is_empty()).for_each(|line| live.send(line));
}

#[test]
fn a_retry_comes_when_its_time_has_come_and_others_go_on_meanwhile() {
    let env = TestEnv::new();
    let input = first_fails(&env, 2, 50);
    let began = Instant::now();
    let done = echo(&env, "-j1 -u --retries 2 --retry-delay 200ms..1s").run_on(&input);
    done.assert_status(0);
    // 200 ms and 400 ms, a quarter less at the least.
    assert!(began.elapsed() >= Duration::from_millis(450));
    let lines = done.lines();
    let last = lines.last().expect("results");
    assert!(last.starts_with(b"\"@first"), "it holds nobody up");
    assert_eq!((lines.len(), env.lines("tries").len()), (50, 3));
}

#[test]
fn a_retry_keeps_its_place_in_order() {
    let env = TestEnv::new();
    let input = first_fails(&env, 1, 50);
    echo(&env, "-j3 --retries 1 --retry-delay 100ms").run_on(&input).assert_output(&input);
}

#[test]
fn a_killer_is_tried_again_alone_after_its_wait() {
    let env = TestEnv::new();
    let input = records((0..20).map(|i| match i {
        10 => format!("10 @first:2:{} @die:3", env.path("tries")),
        _ => i.to_string(),
    }));
    let done =
        env.mtask().words("-j1 --window 1 --retries 3 --retry-delay 300ms").echo().run_on(&input);
    done.assert_output(&input);
}

#[test]
fn a_signal_does_not_wait_for_a_retry_that_comes_too_late() {
    let env = TestEnv::new();
    let mut live = echo(&env, "-j1 --retries 1 --retry-delay 1000s").open();
    send_all(&mut live, &first_fails(&env, 1, 2));
    env.wait_for_lines("tries", 1);
    live.signal(Signal::INT);
    // Nothing is written behind the gap.
    live.wait_with_open_stdin().assert_signal(Signal::INT).assert_stdout("");
}

#[test]
fn a_run_that_only_waits_says_so_at_its_end_and_after_a_notice() {
    let env = TestEnv::new();
    let input = first_fails(&env, 1, 1);
    let mut live = echo(&env, "-j1 --retries 1 --retry-delay 1000s").stdin(input).start();
    live.wait_for_stderr("nothing is under way: 1 record waits to be sent again, in ");
    live.signal(Signal::USR2);
    live.wait_for_stderr(": 1 record that was sent may finish; ");
    live.wait_for_stderr("--grace; 1 record waits to be sent again, in ");
    live.signal_until_ended(Signal::TERM);
    live.wait().assert_signal(Signal::TERM).assert_stdout("");
}

#[test]
fn a_run_that_was_ended_while_a_record_waited_is_gone_on_with() {
    let env = TestEnv::new();
    let input = first_fails(&env, 1, 20);
    let files = ["--resume", &env.path("journal"), "-o", &env.path("out")].map(ToOwned::to_owned);
    let start = || {
        let run = env.mtask().words("--protocol json -j1 --retries 1 --retry-delay 1000s");
        run.args(&files).worker(["--json"])
    };
    let mut live = start().open();
    send_all(&mut live, &input);
    env.wait_for_lines("tries", 1);
    live.signal(Signal::TERM);
    live.wait_with_open_stdin().assert_signal(Signal::TERM);
    start().run_on(&input).assert_status(0);
    assert_eq!(env.read("out"), input);
}

#[test]
fn drain_and_raise_take_a_retry_for_no_failure_yet() {
    for action in ["drain", "raise"] {
        let env = TestEnv::new();
        let input = first_fails(&env, 1, 20);
        let options = format!("-j2 --retries 1 --retry-delay 200ms --on-error {action}");
        echo(&env, &options).run_on(&input).assert_output(&input);
        let env = TestEnv::new();
        let options = format!("-j2 --retries 1 --retry-delay 200ms --on-error {action}");
        let done = echo(&env, &options).run_on(first_fails(&env, 9, 20));
        done.assert_status(123);
        assert_eq!(done.error_records()[0]["attempts"], 2);
    }
}

#[test]
fn a_buffer_full_of_what_waits_stops_the_input_and_says_so() {
    let env = TestEnv::new();
    let directive = format!("@first:1:{} @error:busy", env.path("tries"));
    let long = "x".repeat(2000);
    let input = records((0..200).map(|number| match number {
        0 => json!(directive).to_string(),
        _ => json!(format!("{number} {long}")).to_string(),
    }));
    let done = echo(&env, "-j2 --buffer 32K --retries 1 --retry-delay 3s").run_on(&input);
    done.assert_output(&input)
        .assert_stderr_has("--buffer is full (32768 bytes) while record 0 waits to be sent again");
}

#[test]
fn it_needs_retries_and_two_durations_in_order() {
    mtask("--retry-delay 1s")
        .echo()
        .run_on("1\n")
        .assert_status(0)
        .assert_stderr_has("--retry-delay has no effect without --retries N");
    for value in ["0", "2s..1s", "x"] {
        let done = mtask("--retries 1").args(["--retry-delay", value]).echo().run_on("1\n");
        done.assert_status(2).assert_stderr_has("--retry-delay");
    }
}

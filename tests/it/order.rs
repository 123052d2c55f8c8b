//! Laws 1 and 3: every record has its result, in its place, as soon as that may be.

use crate::done::{answers, numbers, records};
use crate::env::{TestEnv, mtask};

#[test]
fn results_come_in_input_order_whatever_the_number_of_workers() {
    let input = numbers(10_000);
    for jobs in 1..=8 {
        TestEnv::new()
            .mtask()
            .args([format!("-j{jobs}")])
            .worker(["--suffix", " squared"])
            .run_on(&input)
            .assert_output(answers(&input, " squared"))
            .assert_stderr_empty();
    }
}

#[test]
fn results_of_a_longer_run_come_in_input_order() {
    let input = numbers(200_000);
    mtask("-j4")
        .worker(["--suffix", "!"])
        .run_on(&input)
        .assert_output(answers(&input, "!"))
        .assert_stderr_empty();
}

#[test]
fn results_of_uneven_records_come_in_input_order() {
    let input =
        records((0..200).map(|i| format!("{i} @sleep:{}", if i % 7 == 0 { 20 } else { i % 3 })));
    for window in ["auto", "1", "5", "1000"] {
        TestEnv::new()
            .mtask()
            .args(["-j4", "--window", window])
            .worker(["--suffix", "!"])
            .run_on(&input)
            .assert_output(answers(&input, "!"));
    }
}

#[test]
fn order_is_kept_with_the_option_that_asks_for_the_default() {
    let input = records((0..50).map(|i| format!("{i} @sleep:{}", i % 4)));
    mtask("-k -P3").echo().run_on(&input).assert_output(input);
}

#[test]
fn unordered_results_are_the_same_set() {
    let input = numbers(10_000);
    for jobs in ["-j1", "-j5"] {
        let done = TestEnv::new()
            .mtask()
            .args([jobs, "--unordered"])
            .worker(["--suffix", "!"])
            .run_on(&input);
        done.assert_status(0).assert_stderr_empty();
        let expected = answers(&input, "!");
        let mut expected: Vec<&[u8]> = expected.split(|byte| *byte == b'\n').collect();
        expected.pop();
        let mut found = done.lines();
        found.sort_unstable();
        expected.sort_unstable();
        done.check(found == expected, "the results are not the same set");
    }
}

#[test]
fn an_unordered_result_does_not_wait_for_an_earlier_record() {
    let env = TestEnv::new();
    let file = env.path("second-is-done");
    let mut live = env.mtask().words("-u -j2 --window 1").echo().open();
    live.send(format!("first @wait:{file}"));
    live.send("second");
    assert_eq!(live.line(), "second");
    env.write("second-is-done", "");
    assert_eq!(live.line(), format!("first @wait:{file}"));
    live.wait().assert_status(0);
}

#[test]
fn ordered_workers_go_on_behind_a_slow_record() {
    let env = TestEnv::new();
    let file = env.path("last-is-read");
    let mut lines = vec![format!("0 @wait:{file}")];
    lines.extend((1..500).map(|i| i.to_string()));
    lines.push(format!("500 @touch:{file}"));
    let input = records(lines);
    env.mtask().words("-j2 --window 1").echo().run_on(&input).assert_output(input);
}

#[test]
fn all_workers_work_at_the_same_time() {
    let env = TestEnv::new();
    // Each record waits until four are being worked on.
    let all: String =
        (0..4).map(|i| format!(" @wait:{}", env.path(&format!("begun-{i}")))).collect();
    let input =
        records((0..4).map(|i| format!("{i} @touch:{}{all}", env.path(&format!("begun-{i}")))));
    env.mtask().words("-j4 --window 1").echo().run_on(&input).assert_output(input);
}

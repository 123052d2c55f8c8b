//! What people see on stderr: a summary where there is something to say, and nothing else.

use crate::done::{numbers, records};
use crate::env::TestEnv;

#[test]
fn a_run_without_incident_says_nothing() {
    let done = TestEnv::new()
        .mtask()
        .args(["-j3"])
        .echo()
        .stdin(numbers(1000))
        .run();
    done.assert_status(0).assert_stderr_empty();
}

#[test]
fn a_summary_counts_failures_by_kind() {
    let env = TestEnv::new();
    let input = records((0..60).map(|i| match i {
        20 => "20 @hang".to_owned(),
        30 | 40 => format!("{i} @die:3"),
        _ => i.to_string(),
    }));
    let done = env
        .mtask()
        .args(["-j2", "--timeout", "2s"])
        .echo()
        .stdin(input)
        .run();
    done.assert_status(123)
        .assert_stderr_has("3 of 60 records failed")
        .assert_stderr_has("restarts");
    done.assert_stderr_has("2 worker_exit")
        .assert_stderr_has("1 timeout");
}

#[test]
fn a_summary_counts_restarts() {
    let env = TestEnv::new();
    let words = format!("@once:{} @die:3", env.path("once"));
    let done = env
        .mtask()
        .args(["-j1", "--window", "1"])
        .worker(["--at", "3", &words])
        .stdin(numbers(60))
        .run();
    done.assert_status(0)
        .assert_stdout(numbers(60))
        .assert_stderr_has("1 restart");
}

#[test]
fn quiet_leaves_out_warnings_and_the_summary() {
    let env = TestEnv::new();
    for option in ["-q", "--quiet"] {
        let words = format!("@once:{} @die:3", env.path(&format!("once{option}")));
        let done = env
            .mtask()
            .args(["-j2", "--window", "1", option])
            .worker(["--at", "3", &words])
            .stdin(numbers(60))
            .run();
        done.assert_status(0)
            .assert_stdout(numbers(60))
            .assert_stderr_empty();
    }
}

#[test]
fn quiet_does_not_silence_errors() {
    let done = TestEnv::new()
        .mtask()
        .args(["-q", "--", "mtask-no-such-command"])
        .run();
    done.assert_status(127)
        .assert_stderr_has("mtask-no-such-command");
}

#[test]
fn messages_have_no_colour_where_stderr_is_no_terminal() {
    let input = records(["0", "1 @die:3", "2"]);
    let done = TestEnv::new()
        .mtask()
        .args(["-j1"])
        .echo()
        .stdin(input)
        .run();
    done.assert_status(123).check(
        !done.stderr.contains('\u{1b}'),
        "there is an escape sequence",
    );
}

//! What workers do at the end of their stdin.

use std::time::{Duration, Instant};

use crate::done::numbers;
use crate::env::{TestEnv, mtask};

#[test]
fn a_worker_that_fails_after_its_last_answer_makes_the_status_123() {
    let input = numbers(20);
    for options in [&["-j2"][..], &["-j2", "--on-error", "ignore"]] {
        let done = TestEnv::new().mtask().args(options).worker(["--end-exit", "5"]).run_on(&input);
        done.assert_status(123).assert_stdout(&input);
        done.assert_stderr_has_any(&["worker 0", "worker 1"]).assert_stderr_has("(exit status 5)");
    }
}

#[test]
fn a_worker_that_hangs_at_its_end_is_killed() {
    let env = TestEnv::new();
    let input = numbers(20);
    let args = [
        "--pids",
        &env.path("w.pids"),
        "--child",
        &env.path("child.pids"),
        "--ignore-term",
        "--end-hang",
    ];
    let start = Instant::now();
    let done = env.mtask().words("-j2 --exit-timeout 1s --grace 500ms").worker(args).run_on(&input);
    done.assert_status(123).assert_stdout(input);
    done.assert_stderr_has_any(&["worker 0", "worker 1"]);
    done.check(
        start.elapsed() >= Duration::from_secs(1),
        "it was not given its time",
    );
    env.assert_all_gone("w.pids");
    env.assert_all_gone("child.pids");
}

#[test]
fn results_are_written_before_a_worker_that_hangs_at_its_end_is_killed() {
    let env = TestEnv::new();
    let mut live =
        env.mtask().words("-j1 --exit-timeout 2s --grace 500ms").worker(["--end-hang"]).open();
    for i in 0..10 {
        live.ask(&i.to_string(), &i.to_string());
    }
    live.wait().assert_status(123);
}

#[test]
fn a_worker_may_take_its_time_to_exit() {
    let env = TestEnv::new();
    // The end of stdin is not the end of the worker: it finishes its work, and mtask waits for it.
    // Only time shows whether it does.
    let script = format!(
        "while IFS= read -r x; do echo \"$x\"; done; sleep 1; : > {}",
        env.path("finished")
    );
    let done = env.mtask().args(["-j1", "--", "sh", "-c", &script]).run_on(numbers(5));
    done.assert_output(numbers(5)).assert_stderr_empty();
    assert!(env.exists("finished"), "mtask did not wait for its worker");
}

#[test]
fn a_worker_that_closes_its_stdout_at_the_end_may_go_on() {
    let env = TestEnv::new();
    // Time for mtask to leave it, which it must not do.
    let script = format!(
        "while IFS= read -r x; do echo \"$x\"; done; exec >&-; sleep 1; : > {}",
        env.path("finished")
    );
    let done = env.mtask().args(["-j1", "--", "sh", "-c", &script]).run_on(numbers(5));
    done.assert_output(numbers(5));
    assert!(env.exists("finished"), "mtask did not wait for its worker");
}

#[test]
fn a_worker_that_closes_its_stdin_still_answers() {
    // Time for mtask to see the closed pipe, which nothing tells of.
    mtask("-j1")
        .echo()
        .run_on("a @closein @sleep:100\n")
        .assert_output("a @closein @sleep:100\n");
}

//! `--timeout`, `--init-timeout` and `--grace`.
//!
//! The limits are longer than a busy machine delays a record that is answered at once.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::done::{answers, numbers, records};
use crate::env::{TestEnv, skip};

#[test]
fn a_record_that_hangs_fails_alone_and_nothing_of_its_worker_is_left() {
    let env = TestEnv::new();
    let hang = format!(
        "30 @child:{} @note:{} @hang",
        env.path("child.pids"),
        env.path("w.pids")
    );
    let input = records((0..60).map(|i| if i == 30 { hang.clone() } else { i.to_string() }));
    let start = Instant::now();
    let done = env
        .mtask()
        .args(["-j3", "--timeout", "2s", "--grace", "500ms"])
        .worker(["--suffix", "!", "--ignore-term"])
        .stdin(input.clone())
        .run();
    done.assert_status(123)
        .assert_results_but(30, &answers(&input, "!"));
    let error = done.assert_one_error(30, "timeout");
    assert_eq!(error["attempts"], 1);
    assert_eq!(error["input"], hang);
    done.check(
        start.elapsed() >= Duration::from_secs(2),
        "the record was not given its time",
    );
    env.assert_all_gone("w.pids");
    env.assert_all_gone("child.pids");
}

#[test]
fn records_behind_one_that_hangs_are_sent_again() {
    let input = records((0..40).map(|i| {
        if i == 20 {
            "20 @hang".to_owned()
        } else {
            i.to_string()
        }
    }));
    for window in ["1", "10", "1000"] {
        let options = ["-j1", "--timeout", "2s", "--window", window];
        let done = TestEnv::new()
            .mtask()
            .args(options)
            .echo()
            .stdin(input.clone())
            .run();
        done.assert_status(123)
            .assert_results_but(20, &input)
            .assert_one_error(20, "timeout");
    }
}

#[test]
fn every_worker_can_hang_at_once() {
    let env = TestEnv::new();
    let hangs = [10, 11, 12];
    let line = |i| {
        if hangs.contains(&i) {
            format!("{i} @note:{} @hang", env.path("w.pids"))
        } else {
            i.to_string()
        }
    };
    let input = records((0..30).map(line));
    let options = ["-j3", "--timeout", "2s", "--window", "1"];
    let done = env.mtask().args(options).echo().stdin(input).run();
    let errors = done.assert_status(123).error_records();
    done.check(done.lines().len() == 30, "there are not 30 outcomes");
    assert_eq!(
        errors
            .iter()
            .map(|error| error["index"].as_u64())
            .collect::<Vec<_>>(),
        hangs.map(Some)
    );
    done.check(
        errors.iter().all(|error| error["mtask_error"] == "timeout"),
        "a kind is wrong",
    );
    env.assert_all_gone("w.pids");
}

#[test]
fn a_slow_record_within_its_time_is_a_result() {
    // All wait at one worker, together for longer than the limit, but each one's time begins when it
    // is the oldest.
    let input = records((0..12).map(|i| format!("{i} @sleep:500")));
    let options = ["-j1", "--timeout", "5s", "--window", "12"];
    let done = TestEnv::new()
        .mtask()
        .args(options)
        .echo()
        .stdin(input.clone())
        .run();
    done.assert_status(0).assert_stdout(input);
}

#[test]
fn a_slow_start_is_not_a_records_time() {
    let env = TestEnv::new();
    let input = numbers(5);
    let done = env
        .mtask()
        .args(["-j1", "--timeout", "2s"])
        .worker(["--start-sleep", "4000"])
        .stdin(input.clone())
        .run();
    done.assert_status(0).assert_stdout(input);
}

#[test]
fn a_start_that_takes_too_long_is_a_death_that_charges_nobody() {
    let env = TestEnv::new();
    let input = numbers(20);
    let pids = env.path("w.pids");
    let once = env.path("once");
    let done = env
        .mtask()
        .args(["-j1", "--init-timeout", "3s", "--grace", "500ms"])
        .worker([
            "--pids",
            &pids,
            "--ignore-term",
            "--start-once",
            &once,
            "--start-hang",
        ])
        .stdin(input.clone())
        .run();
    done.assert_status(0)
        .assert_stdout(input)
        .assert_stderr_has("--init-timeout");
    env.assert_all_gone("w.pids");
}

#[test]
fn workers_that_never_come_up_end_the_run_with_125() {
    // The second does not fit into the pipe to a worker that never reads.
    for input in [numbers(20), records(["x".repeat(1 << 20), "1".into()])] {
        let env = TestEnv::new();
        let done = env
            .mtask()
            .args([
                "-j2",
                "--init-timeout",
                "500ms",
                "--max-restarts",
                "1",
                "--grace",
                "500ms",
            ])
            .worker(["--pids", &env.path("w.pids"), "--start-hang"])
            .stdin(input)
            .run();
        done.assert_status(125)
            .assert_stdout("")
            .assert_stderr_has("--init-timeout");
        env.assert_all_gone("w.pids");
    }
}

#[test]
fn a_worker_that_exits_on_sigterm_may_clean_up() {
    let env = TestEnv::new();
    let script = format!(
        "trap ': > {}; exit 0' TERM; IFS= read -r x; echo \"$x\"; IFS= read -r x; while :; do sleep 0.1; done",
        env.path("cleaned")
    );
    let options = [
        "-j1",
        "--timeout",
        "1s",
        "--grace",
        "60s",
        "--",
        "sh",
        "-c",
        &script,
    ];
    let done = env.mtask().args(options).stdin("a\nb\n").run();
    done.assert_status(123).assert_one_error(1, "timeout");
    assert!(env.exists("cleaned"), "it was not given SIGTERM first");
}

#[test]
fn the_clock_stands_still_while_mtask_is_stopped() {
    if !cfg!(target_os = "linux") {
        return skip("whether a process is stopped is looked up in /proc");
    }
    let env = TestEnv::new();
    let mut live = env.mtask().args(["-j1", "--timeout", "3s"]).echo().open();
    live.ask("first", "first");
    let record = format!(
        "second @touch:{} @wait:{}",
        env.path("begun"),
        env.path("go")
    );
    live.send(&record);
    env.wait_for("begun");
    live.signal(Signal::TSTP);
    crate::env::wait_until("mtask stops", || live.process().is_stopped());
    // Longer than the timeout, and nothing else is being waited for.
    std::thread::sleep(Duration::from_secs(4));
    env.write("go", "");
    live.signal(Signal::CONT);
    assert_eq!(live.line(), record);
    live.wait().assert_status(0);
}

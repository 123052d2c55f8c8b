//! `--timeout`, `--init-timeout` and `--grace`.
//!
//! A record that hangs is told from others by time alone, so here time must pass.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::done::{answers, numbers, records};
use crate::env::{TestEnv, let_pass};

/// Longer than any machine delays a record that is answered at once, and a process that starts at
/// once.
const AMPLE: Duration = Duration::from_secs(5);
const TIMEOUT: [&str; 2] = ["--timeout", "5s"];

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
        .args(TIMEOUT)
        .words("-j3 --grace 500ms")
        .worker(["--suffix", "!", "--ignore-term"])
        .run_on(&input);
    done.assert_status(123).assert_results_but(30, &answers(&input, "!"));
    let error = done.assert_one_error(30, "timeout");
    assert_eq!(error["attempts"], 1);
    assert_eq!(error["input"], hang);
    done.check(
        start.elapsed() >= AMPLE,
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
    let env = TestEnv::new();
    // All at once, for each takes as long as the limit.
    let runs = ["1", "10", "1000"].map(|window| {
        let run = env.mtask().args(TIMEOUT).args(["-j1", "--window", window]);
        run.echo().stdin(input.clone()).start()
    });
    for run in runs {
        run.wait()
            .assert_status(123)
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
    let run = env.mtask().args(TIMEOUT).words("-j3 --window 1");
    let done = run.echo().run_on(input);
    let errors = done.assert_status(123).error_records();
    done.check(done.lines().len() == 30, "there are not 30 outcomes");
    assert_eq!(
        errors.iter().map(|error| error["index"].as_u64()).collect::<Vec<_>>(),
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
    // All wait at one worker, together for longer than the limit, but each one's time begins when
    // it is the oldest.
    let input = records((0..12).map(|i| format!("{i} @sleep:500")));
    TestEnv::new()
        .mtask()
        .args(TIMEOUT)
        .words("-j1 --window 12")
        .echo()
        .run_on(&input)
        .assert_output(input);
}

#[test]
fn a_slow_start_is_not_a_records_time() {
    let env = TestEnv::new();
    let input = numbers(5);
    env.mtask()
        .args(TIMEOUT)
        .words("-j1")
        .worker(["--start-sleep", "6000"])
        .run_on(&input)
        .assert_output(input);
}

#[test]
fn a_start_that_takes_too_long_is_a_death_that_charges_nobody() {
    let env = TestEnv::new();
    let input = numbers(20);
    let pids = env.path("w.pids");
    let once = env.path("once");
    let done = env
        .mtask()
        .words("-j1 --init-timeout 5s --grace 500ms")
        .worker([
            "--pids",
            &pids,
            "--ignore-term",
            "--start-once",
            &once,
            "--start-hang",
        ])
        .run_on(&input);
    done.assert_output(input).assert_stderr_has("--init-timeout");
    env.assert_all_gone("w.pids");
}

#[test]
fn workers_that_never_come_up_end_the_run_with_125() {
    // The second does not fit into the pipe to a worker that never reads.
    for input in [numbers(20), records(["x".repeat(1 << 20), "1".into()])] {
        let env = TestEnv::new();
        let done = env
            .mtask()
            .words("-j2 --init-timeout 500ms --max-restarts 1 --grace 500ms")
            .worker(["--pids", &env.path("w.pids"), "--start-hang"])
            .run_on(input);
        done.assert_status(125).assert_stdout("").assert_stderr_has("--init-timeout");
        env.assert_all_gone("w.pids");
    }
}

#[test]
fn a_worker_that_exits_on_sigterm_may_clean_up() {
    let env = TestEnv::new();
    let _never = env.fifo("never");
    let script = format!(
        "trap ': > {}; exit 0' TERM; IFS= read -r x; echo \"$x\"; IFS= read -r x; cat <never & wait",
        env.path("cleaned")
    );
    let options = ["-j1", "--grace", "60s", "--", "sh", "-c", &script];
    let run = env.mtask().args(TIMEOUT).args(options);
    let done = run.run_on("a\nb\n");
    done.assert_status(123).assert_one_error(1, "timeout");
    assert!(env.exists("cleaned"), "it was not given SIGTERM first");
}

#[test]
fn the_clock_stands_still_while_mtask_is_stopped() {
    let env = TestEnv::new();
    let mut live = env.mtask().args(TIMEOUT).words("-j1").echo().open();
    live.ask("first", "first");
    let record = env.held("second");
    live.send(&record);
    env.wait_for("begun");
    live.stop();
    // The time that passes here is what must not count; nothing else is being waited for.
    let_pass(AMPLE + Duration::from_secs(1));
    env.write("go", "");
    live.signal(Signal::CONT);
    assert_eq!(live.line(), record);
    live.wait().assert_status(0);
}

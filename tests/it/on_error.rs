//! `--on-error` and `--max-errors`: what a failed record means for the others.

use crate::done::{ERROR_MARK, numbers, records};
use crate::env::{TestEnv, mtask};

/// Numbers, but for one record.
fn numbers_but(count: usize, index: usize, record: &str) -> Vec<u8> {
    records((0..count).map(|i| {
        if i == index {
            format!("{i} {record}")
        } else {
            i.to_string()
        }
    }))
}

#[test]
fn defer_goes_on_and_is_the_default() {
    let input = numbers_but(50, 20, "@die:3");
    for options in [&["-j2"][..], &["-j2", "--on-error", "defer"]] {
        TestEnv::new()
            .mtask()
            .args(options)
            .echo()
            .run_on(&input)
            .assert_status(123)
            .assert_results_but(20, &input)
            .assert_one_error(20, "worker_exit");
    }
}

#[test]
fn ignore_goes_on_and_does_not_count_in_the_status() {
    let input = numbers_but(50, 20, "@die:3");
    mtask("-j2 --on-error ignore")
        .echo()
        .run_on(&input)
        .assert_status(0)
        .assert_results_but(20, &input)
        .assert_one_error(20, "worker_exit");
}

#[test]
fn raise_writes_the_finished_prefix_and_the_error_record_last() {
    let input = numbers_but(100, 40, "@die:3");
    for jobs in ["-j1", "-j3"] {
        let options = [jobs, "--on-error", "raise"];
        let done = TestEnv::new().mtask().args(options).echo().run_on(&input);
        done.assert_status(123);
        let lines = done.lines();
        let (last, results) = lines.split_last().expect("an error record");
        assert_eq!(done.parse(last)["index"], 40);
        let expected = numbers(40);
        done.check(
            expected.starts_with(&records(results)),
            "the results are no prefix",
        );
        done.check(
            jobs != "-j1" || results.len() == 40,
            "a finished result is missing",
        );
    }
}

#[test]
fn raise_ends_the_run_though_others_hang_and_the_input_stays_open() {
    let env = TestEnv::new();
    let mut live = env
        .mtask()
        .words("-j2 --window 1 --on-error raise")
        .words("--max-record 64K")
        .echo()
        .open();
    live.ask("0", "0");
    let pids = env.path("w.pids");
    let hang = format!(
        "@note:{pids} @child:{} @touch:{} @hang",
        env.path("child.pids"),
        env.path("hangs")
    );
    live.send(&hang);
    env.wait_for("hangs");
    live.send("@note:{} @big:70K".replace("{}", &pids));
    let done = live.wait_with_open_stdin();
    done.assert_status(123);
    let lines = done.lines();
    done.check(
        lines.len() == 2 && lines[0] == b"0",
        "there is not one result and one error record",
    );
    assert_eq!(done.parse(lines[1])["index"], 2);
    env.assert_all_gone("w.pids");
    env.assert_all_gone("child.pids");
}

#[test]
fn raise_unordered_writes_all_that_is_finished_and_the_error_record_last() {
    let env = TestEnv::new();
    let mut live = env
        .mtask()
        .words("-u -j2 --window 1 --on-error raise")
        .words("--max-record 64K")
        .echo()
        .open();
    live.send(format!("0 @touch:{} @hang", env.path("hangs")));
    env.wait_for("hangs");
    for i in 1..10 {
        live.ask(&i.to_string(), &i.to_string());
    }
    live.send("10 @big:70K");
    let done = live.wait_with_open_stdin();
    let lines = done.assert_status(123).lines();
    done.check(
        lines.len() == 10,
        "there are not 9 results and one error record",
    );
    let error = done.parse(lines[9]);
    assert_eq!(
        (&error["mtask_error"], &error["index"]),
        (&"answer_too_large".into(), &10.into())
    );
}

/// A record that has died once fails only when a ready process has been free for it; there is one,
/// at work.
#[test]
fn raise_waits_for_what_a_ready_process_holds_before_a_death_is_charged() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j2 --window 1 --on-error raise").echo().open();
    let first = format!("0 @touch:{} @wait:{}", env.path("begun"), env.path("both"));
    live.send(&first);
    env.wait_for("begun");
    live.send("1");
    live.send(format!("2 @touch:{}", env.path("up")));
    env.wait_for("up");
    env.write("both", "");
    assert_eq!(live.line(), first);
    assert_eq!(live.line(), "1");
    live.line();
    let held = format!("3 @touch:{} @wait:{}", env.path("held"), env.path("go"));
    live.send(&held);
    env.wait_for("held");
    live.send(format!("4 @note:{} @die:3", env.path("tries")));
    live.wait_for_stderr("is sent again");
    assert_eq!(env.lines("tries").len(), 1);
    env.write("go", "");
    assert_eq!(live.line(), held);
    let done = live.wait_with_open_stdin();
    let error = done.assert_status(123).assert_one_error(4, "worker_exit");
    assert_eq!(
        (&error["attempts"], env.lines("tries").len()),
        (&2.into(), 2)
    );
}

#[test]
fn raise_stops_at_invalid_input() {
    let done = mtask("-j1 --format jsonl --on-error raise").echo().run_on("0\n1\n[\n3\n");
    done.assert_status(123);
    let lines = done.lines();
    let (last, results) = lines.split_last().expect("an error record");
    assert_eq!(done.parse(last)["mtask_error"], "invalid_input");
    done.check(
        b"0\n1\n".starts_with(&records(results)),
        "the results are no prefix",
    );
}

#[test]
fn raise_without_a_failure_is_like_defer() {
    let input = numbers(1000);
    mtask("-j3 --on-error raise").echo().run_on(&input).assert_output(input);
}

#[test]
fn drain_does_not_wait_for_more_input() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j1 --window 1 --on-error drain").echo().open();
    live.ask("0", "0");
    live.send("1 @die:3");
    let done = live.wait_with_open_stdin();
    let error = done.assert_status(123).assert_one_error(1, "worker_exit");
    // As a neighbour, and twice alone, for it had to open those processes.
    assert_eq!(error["attempts"], 3);
}

#[test]
fn drain_finishes_what_was_sent() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j2 --window 1 --on-error drain").echo().open();
    live.ask("0", "0");
    let slow = env.held("1");
    live.send(&slow);
    env.wait_for("begun");
    live.send(format!("2 @note:{} @die:3", env.path("tries")));
    // It is tried again once a process is ready for it alone.
    env.wait_for_lines("tries", 1);
    env.write("go", "");
    assert_eq!(live.line(), slow);
    env.wait_for_lines("tries", 2);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&live.line()).expect("JSON")["index"],
        2
    );
    live.wait_with_open_stdin().assert_status(123);
}

#[test]
fn drain_writes_a_prefix_of_what_an_undisturbed_run_writes() {
    let input = numbers_but(1000, 100, "@die:3");
    for jobs in ["-j1", "-j4"] {
        let options = [jobs, "--on-error", "drain"];
        let done = TestEnv::new().mtask().args(options).echo().run_on(&input);
        done.assert_status(123);
        let lines = done.lines();
        done.check(lines.len() > 100, "the error record is missing");
        for (i, line) in lines.iter().enumerate() {
            if i == 100 {
                assert_eq!(done.parse(line)["index"], 100);
            } else {
                done.check(
                    *line == i.to_string().as_bytes(),
                    &format!("outcome {i} is wrong"),
                );
            }
        }
    }
}

#[test]
fn max_errors_drains_at_that_many_failures() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j1 --window 1 --max-errors 3").echo().open();
    for i in 0..100 {
        live.send(if i % 10 == 5 {
            format!("{i} @die:3")
        } else {
            i.to_string()
        });
    }
    let done = live.wait_with_open_stdin();
    done.assert_status(123);
    for (i, line) in done.lines().iter().enumerate() {
        let failed = line.starts_with(ERROR_MARK);
        done.check(failed == (i % 10 == 5), &format!("outcome {i} is wrong"));
    }
    done.check(
        done.error_records().len() >= 3,
        "it stopped before the third failure",
    );
}

#[test]
fn fewer_failures_than_max_errors_stop_nothing() {
    let input = numbers_but(50, 20, "@die:3");
    mtask("-j2 --max-errors 2")
        .echo()
        .run_on(&input)
        .assert_status(123)
        .assert_results_but(20, &input);
}

/// Records of which each that `fails` is no JSON.
fn some_invalid(count: usize, fails: impl Fn(usize) -> bool) -> Vec<u8> {
    records((0..count).map(|i| match fails(i) {
        true => "{".to_owned(),
        false => i.to_string(),
    }))
}

#[test]
fn a_percentage_of_failures_drains_from_the_100th_outcome_on() {
    let env = TestEnv::new();
    let options = [
        "--format",
        "jsonl",
        "-j1",
        "--window",
        "1",
        "--max-errors",
        "10%",
    ];
    // A third fails, of which nobody knows before the 100th record.
    let mut live = env.mtask().args(options).echo().open();
    for i in 0..400 {
        live.send(match i % 3 {
            0 => "{".to_owned(),
            _ => i.to_string(),
        });
    }
    let done = live.wait_with_open_stdin();
    done.assert_status(123)
        .assert_stderr_has(" records failed, more than 10%: nothing more is sent (--max-errors)");
    // The 100th record is one of those, and is found to be one while the worker has that before it.
    let failed = done.error_records().len();
    done.check((34..=35).contains(&failed), "it did not end with the 100th");
}

#[test]
fn a_percentage_is_looked_at_with_the_100th_outcome_though_that_is_a_result() {
    let env = TestEnv::new();
    let options = "--format jsonl -j1 --window 1 --max-errors 10% --on-error ignore";
    let mut live = env.mtask().words(options).echo().open();
    for i in 0..100 {
        live.send(match i < 11 {
            true => "{".to_owned(),
            false => i.to_string(),
        });
    }
    let done = live.wait_with_open_stdin();
    done.assert_status(123).assert_stderr_has(
        "11 of 100 records failed, more than 10%: nothing more is sent (--max-errors)",
    );
}

#[test]
fn a_percentage_that_is_kept_to_stops_nothing_and_is_looked_at_again_at_the_end() {
    let run = |count, fails: fn(usize) -> bool| {
        mtask("--format jsonl -j1 --max-errors 10% --on-error ignore")
            .echo()
            .run_on(some_invalid(count, fails))
    };
    // The first 10 of the first 100 fail, and one late.
    let done = run(300, |i| i < 10 || i == 200);
    done.assert_status(0);
    assert!(!done.stderr.contains("--max-errors"), "{}", done.stderr);
    assert_eq!(done.lines().len(), 300);
    run(50, |i| i % 10 == 0).assert_status(0);
    run(50, |i| i % 10 == 0 || i == 49)
        .assert_status(123)
        .assert_stderr_has("6 of 50 records failed, more than 10% (--max-errors)");
}

#[test]
fn raise_ends_the_run_though_more_answers_came_with_the_failed_one() {
    // The first answer is too large, and three come at once.
    mtask("-j1 --window 3 --max-record 20 --on-error raise")
        .worker(["--collect", "3", "--at", "1", "@big:1K"])
        .run_on(numbers(30))
        .assert_status(123)
        .assert_one_error(0, "answer_too_large");
}

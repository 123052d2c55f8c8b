//! The lines protocol, kept and broken: a worker whose answers do not fit its records is found and
//! named, and never passed off as success.

use crate::done::{answers, numbers, records};
use crate::env::{TestEnv, mtask, skip};

#[test]
fn a_stray_line_before_an_answer_is_a_break() {
    for (jobs, window) in [
        ("-j1", "1"),
        ("-j1", "auto"),
        ("-j3", "auto"),
        ("-j2", "100"),
    ] {
        let env = TestEnv::new();
        let words = format!("@once:{} @stray:Loading", env.path("once"));
        let done = env
            .mtask()
            .args([jobs, "--window", window])
            .worker(["--at", "1", &words])
            .run_on(numbers(20));
        done.assert_status(122).check(!done.stderr.is_empty(), "nothing was said");
        done.check(done.lines().len() == 20, "there are not 20 outcomes");
    }
}

#[test]
fn a_banner_of_each_process_is_a_break() {
    // Found before or after the first record is sent: either way the run fails, and ends.
    let done = mtask("-j2").worker(["--banner", "Welcome"]).run_on(numbers(20));
    let failed = matches!(done.status.code(), Some(122 | 125));
    done.check(failed, "it did not fail").check(!done.stderr.is_empty(), "nothing was said");
}

#[test]
fn a_line_with_nothing_to_answer_is_named_with_its_bytes_and_the_record_in_doubt() {
    let mut live = mtask("-j1").echo().open();
    for i in 0..17 {
        live.ask(&i.to_string(), &i.to_string());
    }
    // Once this result is out, its worker has written one line too many.
    live.ask("last @after:SURPLUS", "last @after:SURPLUS");
    live.wait()
        .assert_status(122)
        .assert_stderr_has("SURPLUS")
        .assert_stderr_has_any(&["to 17 are in doubt", "record 17 is in doubt"]);
}

#[test]
fn two_lines_for_a_record_are_a_break() {
    let input = records((0..20).map(|i| {
        if i == 19 {
            "19 @double".to_owned()
        } else {
            i.to_string()
        }
    }));
    for window in ["1", "auto", "100"] {
        TestEnv::new()
            .mtask()
            .args(["-j1", "--window", window])
            .echo()
            .run_on(&input)
            .assert_status(122)
            .assert_stdout(&input)
            .assert_stderr_has("19 @double");
    }
}

#[test]
fn a_skipped_record_is_a_missing_answer() {
    let input = records((0..20).map(|i| {
        if i == 19 {
            "19 @skip".to_owned()
        } else {
            i.to_string()
        }
    }));
    for window in ["1", "auto", "100"] {
        let done = TestEnv::new().mtask().args(["-j1", "--window", window]).echo().run_on(&input);
        done.assert_status(122)
            .assert_results_but(19, &input)
            .assert_stderr_has("record 19 failed (missing_answer)");
        let error = done.assert_one_error(19, "missing_answer");
        assert_eq!(error["attempts"], 1);
        assert_eq!(error["input"], "19 @skip");
    }
}

#[test]
fn a_record_skipped_among_others_leaves_one_answer_missing() {
    let input = records((0..20).map(|i| {
        if i == 7 {
            "7 @skip".to_owned()
        } else {
            i.to_string()
        }
    }));
    let done = mtask("-j1 --window 100").echo().run_on(input);
    done.assert_status(122).check(done.lines().len() == 20, "there are not 20 outcomes");
    done.assert_one_error(19, "missing_answer");
}

#[test]
fn a_missing_answer_is_not_tried_again() {
    let env = TestEnv::new();
    let input = records([
        "0".to_owned(),
        "1".to_owned(),
        format!("2 @note:{} @skip", env.path("tries")),
    ]);
    let done = env.mtask().words("-j1 --retries 3").echo().run_on(input);
    assert_eq!(
        done.assert_status(122).assert_one_error(2, "missing_answer")["attempts"],
        1
    );
    assert_eq!(env.lines("tries").len(), 1);
}

#[test]
fn a_partial_line_is_an_answer_after_the_end_of_stdin_and_a_clean_exit() {
    let input = records(["0", "1", "2 @partial"]);
    mtask("-j1").echo().run_on(&input).assert_output(input);
}

#[test]
fn a_partial_line_is_no_answer_where_the_worker_fails() {
    let input = records(["0", "1", "2 @partial @die:3"]);
    let done = mtask("-j1").echo().run_on(&input);
    done.assert_status(123).assert_results_but(2, &input);
    done.check(
        done.error_records().len() == 1,
        "there is not one error record",
    );
}

#[test]
fn a_line_after_the_last_answer_is_a_break() {
    mtask("-j1")
        .worker(["--end-line", "GOODBYE"])
        .run_on(numbers(20))
        .assert_status(122)
        .assert_stdout(numbers(20))
        .assert_stderr_has("GOODBYE");
}

#[test]
fn a_worker_that_collects_records_needs_a_window_of_as_many() {
    // 96 of 100 records are answered in lots of eight, the last four at the end of stdin.
    let input = numbers(100);
    mtask("-j1 --window 8")
        .worker(["--collect", "8", "--suffix", "!"])
        .run_on(&input)
        .assert_output(answers(&input, "!"));
}

#[test]
fn a_worker_that_answers_at_the_end_of_stdin_works_with_a_full_window() {
    let input = numbers(20_000);
    for jobs in ["-j1", "-j3"] {
        TestEnv::new()
            .mtask()
            .args([jobs, "--window", "full"])
            .worker(["--buffered", "--suffix", "!"])
            .run_on(&input)
            .assert_output(answers(&input, "!"));
    }
}

#[test]
fn filters_that_buffer_their_output_work_with_a_full_window() {
    let input = numbers(20_000);
    for filter in [
        &["sed", "s/$/!/"][..],
        &["tr", "x", "y"],
        &["awk", "{print $0 \"!\"}"],
    ] {
        if std::process::Command::new(filter[0]).arg("--version").output().is_err() {
            skip(&format!("{} is not installed", filter[0]));
            continue;
        }
        mtask("-j3 --window full --")
            .args(filter)
            .run_on(&input)
            .assert_output(answers(&input, if filter[0] == "tr" { "" } else { "!" }));
    }
}

#[test]
fn a_death_with_a_full_window_costs_no_record_where_it_happens_once() {
    let env = TestEnv::new();
    let words = format!("@once:{} @die:3", env.path("once"));
    let input = numbers(1000);
    env.mtask()
        .words("-j2 --window full")
        .worker(["--buffered", "--at", "100", &words])
        .run_on(&input)
        .assert_output(input);
}

#[test]
fn a_worker_that_never_answers_is_given_a_hint_after_ten_seconds() {
    let mut live = mtask("-j1 --grace 1s").worker(["--buffered"]).open();
    live.send("a");
    live.wait_for_stderr("--window");
    live.signal(rustix::process::Signal::TERM);
    live.wait_with_open_stdin().assert_stderr_has("--window full");
}

#[test]
fn a_command_that_ends_after_one_record_is_told_what_runs_such_commands() {
    let env = TestEnv::new();
    let run = |options: &[&str], script: &str| {
        let run = env.mtask().args(["-j1", "--window", "1"]).args(options);
        run.args(["sh", "-c", script]).stdin(numbers(5)).run()
    };
    let done = run(&[], "IFS= read -r x; echo \"$x\"");
    done.assert_status(0).assert_stdout(numbers(5));
    let hint = "xited after one record: a worker is to go on until its stdin ends, as a loop does";
    let hints = done.stderr.matches(hint).count();
    done.check(hints == 1, "the hint is not there once");
    done.assert_stderr_has("--each starts a command anew for each record");
    // After two it has shown that it goes on.
    let done = run(&[], "for _ in 1 2; do IFS= read -r x; echo \"$x\"; done");
    done.check(!done.stderr.contains(hint), "there is a hint");
    // mtask itself has ended this one.
    let done = run(
        &["--lifespan", "1"],
        "while IFS= read -r x; do echo \"$x\"; done",
    );
    done.assert_status(0).assert_stderr_empty();
    let done = run(&[], "exit 0");
    done.assert_status(125)
        .assert_stderr_has("a worker is to answer one record after another");
}

#[test]
fn a_worker_of_the_json_protocol_is_told_the_option() {
    let worker = "echo '{ \"ready\": true, \"concurrency\": 2 }'; exec cat";
    let env = TestEnv::new();
    let done = env.mtask().args(["-j2", "sh", "-c", worker]).stdin(numbers(3)).run();
    let hint = "begins with {\"ready\":…}, which counts as the answer of a record here: is --protocol \
                json meant?";
    let hints = done.stderr.matches(hint).count();
    done.assert_status(122).check(hints == 1, "the hint is not there once");
    let records = "1\n{\"ready\":true}\n";
    env.mtask()
        .args(["-j1"])
        .echo()
        .stdin(records)
        .run()
        .assert_status(0)
        .assert_stderr_empty();
}

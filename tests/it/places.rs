//! Results that may stand in wrong places are never passed off as success: a worker of the lines
//! protocol that does not answer line by line has a status of its own, the records are named, and
//! `--on-error` and `--max-errors` take it for a failure.

use std::thread;

use serde_json::Value;

use crate::done::{Done, numbers, records};
use crate::env::{TestEnv, has, mtask, skip};

/// The ranges of `in_doubt` in the file of statistics.
fn in_doubt(env: &TestEnv) -> Vec<(u64, u64)> {
    let stats = env.json("stats");
    let ranges = stats["in_doubt"].as_array().expect("a list");
    let range = |range: &Value| Some((range.get(0)?.as_u64()?, range.get(1)?.as_u64()?));
    ranges.iter().map(|it| range(it).expect("a pair")).collect()
}

/// All envelopes, or lines in their places, that do not hold the number of their record stand in
/// one of the ranges in doubt. Gives how many there are.
fn assert_wrong_are_named(done: &Done, env: &TestEnv) -> usize {
    let ranges = in_doubt(env);
    let mut wrong = 0;
    for (place, line) in done.lines().into_iter().enumerate() {
        let value: Value = serde_json::from_slice(line).expect("JSON");
        let (index, output) = match value.get("index") {
            Some(_) if value.get("mtask_error").is_some() => continue,
            Some(index) => (index.as_u64(), value["output"].as_str().unwrap_or_default()),
            None => (Some(place as u64), str::from_utf8(line).expect("text")),
        };
        let index = index.expect("an index");
        if output != index.to_string() {
            wrong += 1;
            let is_named = |(first, last): &(u64, u64)| (*first..=*last).contains(&index);
            done.check(
                ranges.iter().any(is_named),
                &format!("the result of record {index} is {output}, and {ranges:?} are in doubt"),
            );
        }
    }
    wrong
}

#[test]
fn answers_behind_a_line_that_is_missing_are_in_doubt_however_they_are_written() {
    let all = [
        &["--output-format", "envelope"][..],
        &["--output-format", "envelope", "-u"],
        &[],
    ];
    let skip_some = |options| {
        skip_one(options, 0);
        skip_one(options, 19_999);
        // Where the worker was sent nothing behind it before it was found, no answer is in a wrong
        // place.
        let mut tries = 0..20;
        assert!(
            tries.any(|_| skip_one(options, 9_000) > 0),
            "{options:?}: no answer was ever in a wrong place"
        );
    };
    // All at once: most of the time mtask waits for the answer that is missing.
    thread::scope(|scope| all.map(|options| drop(scope.spawn(move || skip_some(options)))));
}

/// About this record of 20,000 gets no answer. Gives how many others are in wrong places.
fn skip_one(options: &[&str], skipped: usize) -> usize {
    let env = TestEnv::new();
    let words = format!("@once:{} @skip", env.path("once"));
    let done = env
        .mtask()
        .words("-j2 --stats-file stats")
        .args(options)
        .worker(["--at", &(skipped / 2 + 1).to_string(), &words])
        .run_on(numbers(20_000));
    done.assert_status(122)
        .assert_stderr_has("may stand in wrong places")
        .check(done.lines().len() == 20_000, "an outcome is missing");
    done.check(
        done.error_records().len() == 1,
        "there is not one record without an answer",
    );
    assert_wrong_are_named(&done, &env)
}

#[test]
fn an_error_of_jq_without_a_line_is_no_success_of_the_others() {
    if !has("jq") {
        return skip("jq is not installed");
    }
    let env = TestEnv::new();
    let input = records((0..50_000).map(|number| match number {
        20_000 => "{\"a\":1}".to_owned(),
        _ => (number - 1).to_string(),
    }));
    let done = env
        .mtask()
        .words("-j2 --stats-file stats --output-format")
        .args(["envelope", "--", "jq", "-c", "--unbuffered", ". + 1"])
        .run_on(input);
    done.assert_status(122).assert_stderr_has("does it skip records");
    done.check(!in_doubt(&env).is_empty(), "nothing is in doubt");
    done.check(
        assert_wrong_are_named(&done, &env) > 0,
        "the worker went on in step",
    );
}

#[test]
fn a_filter_that_drops_lines_is_no_worker() {
    let env = TestEnv::new();
    let done =
        env.mtask().words("-j1 --stats-file stats --").words("sed -u /7/d").run_on(numbers(8));
    done.assert_status(122);
    assert_eq!(done.error_records().len(), 1);
    assert!(!in_doubt(&env).is_empty());
}

#[test]
fn a_banner_of_each_worker_is_a_failure_of_the_run() {
    // Whether it is read before the first record is sent is chance: it counts either way. Where the
    // run goes on, workers whose processes all greet may be given up before it ends.
    for (options, statuses) in [
        (&["--on-error", "raise"][..], &[122][..]),
        (&["--on-error", "drain"], &[122]),
        (&["--max-errors", "1"], &[122]),
        (&["--on-error", "ignore"], &[122, 125]),
        (&[], &[122, 125]),
    ] {
        let done = mtask("-j2").args(options).worker(["--banner", "Welcome"]).run_on(numbers(20));
        let is_right = (done.status.code()).is_some_and(|code| statuses.contains(&code));
        done.check(is_right, "its status is another").assert_stderr_has("with nothing to answer");
    }
}

#[test]
fn a_banner_before_any_record_counts_though_no_answer_is_in_doubt() {
    let env = TestEnv::new();
    let mut live = env
        .mtask()
        .words("-j1 --on-error raise --stats-file stats")
        .worker(["--banner", "Welcome"])
        .open();
    let stdin = live.take_stdin();
    let done = live.wait();
    drop(stdin);
    done.assert_status(122)
        .assert_stdout("")
        .assert_stderr_has("none of its answers is in doubt")
        .assert_stderr_has("--on-error raise");
    assert_eq!(in_doubt(&env), []);
}

#[test]
fn a_line_too_many_ends_the_run_as_a_failure_does() {
    for options in [
        &["--on-error", "raise"][..],
        &["--on-error", "drain"],
        &["--max-errors", "1"],
    ] {
        let env = TestEnv::new();
        let mut live = env.mtask().words("-j1 --stats-file stats").args(options).echo().open();
        live.ask("0", "0");
        live.ask("1 @after:SURPLUS", "1 @after:SURPLUS");
        // Its input is open, and nothing else ends it.
        let done = live.wait_with_open_stdin();
        done.assert_status(122)
            .assert_stderr_has("SURPLUS")
            .assert_stderr_has("may stand in wrong places")
            .assert_stderr_has(options[0]);
        let ranges = in_doubt(&env);
        assert!(matches!(ranges[..], [(0 | 1, 1)]), "{ranges:?}");
    }
}

#[test]
fn lines_too_many_and_failed_records_are_counted_together() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j1 --max-errors 2 --errors errors").echo().open();
    live.ask("0 @after:SURPLUS", "0 @after:SURPLUS");
    live.wait_for_stderr("SURPLUS");
    live.ask("1", "1");
    live.send("2 @die:3");
    let done = live.wait_with_open_stdin();
    done.assert_status(122).assert_stderr_has("--max-errors");
    assert_eq!(env.lines("errors").len(), 1);
}

#[test]
fn bytes_after_the_last_answer_are_a_break_wherever_they_end() {
    let line = "while IFS= read -r x; do echo \"$x\"; done; echo bye";
    let partial = "while IFS= read -r x; do echo \"$x\"; done; printf bye";
    let early = "read -r x; echo \"$x\"; printf bye";
    let twice = "while IFS= read -r x; do echo \"$x\"; echo \"$x\"; done";
    for (script, said) in [
        (line, "bye"),
        (partial, "bye"),
        (early, "bye"),
        (twice, "0"),
    ] {
        for on_error in ["defer", "ignore", "raise"] {
            let env = TestEnv::new();
            let done = env
                .mtask()
                .args(["-j1", "--stats-file", "stats", "--on-error", on_error])
                .args(["sh", "-c", script])
                .run_on("0\n");
            done.assert_status(122)
                .assert_stdout("0\n")
                .assert_stderr_has(&format!("\"{said}\""))
                .assert_stderr_has("results of record 0 may stand in wrong places");
            assert_eq!(in_doubt(&env), [(0, 0)], "{script}");
        }
    }
}

#[test]
fn a_worker_whose_processes_all_greet_is_given_up_by_name() {
    let env = TestEnv::new();
    let mut live = env
        .mtask()
        .words("-j1 --max-restarts 2")
        .worker(["--banner", "Welcome", "--pids", &env.path("pids")])
        .open();
    let mut stdin = live.take_stdin();
    // As many records as it takes.
    while std::io::Write::write_all(&mut stdin, b"1\n").is_ok() {}
    let done = live.wait();
    done.assert_status(125)
        .assert_stderr_has("worker 0 is given up after 2 processes in a row")
        .assert_stderr_has("that did not give one answer for each record")
        .assert_stderr_has("--max-restarts 2");
    assert_eq!(env.lines("pids").len(), 2);
}

#[test]
fn worse_ends_win_and_failed_records_do_not() {
    // A record fails and a line is too many.
    let done = mtask("-j1").echo().run_on("0 @after:SURPLUS\n1 @die:3\n");
    done.assert_status(122).check(
        done.error_records().len() == 1,
        "there is not one failed record",
    );
    // The input cannot be read to its end.
    let env = TestEnv::new();
    std::fs::create_dir(env.path("folder")).expect("a folder");
    env.write("in", "0 @after:SURPLUS\n");
    env.mtask().words("-j1 -i in -i folder").echo().run().assert_status(1);
}

#[test]
fn a_run_that_is_gone_on_with_stays_in_doubt() {
    let env = TestEnv::new();
    let run = |count: usize, options: &[&str]| {
        let words = format!("@once:{} @after:SURPLUS", env.path("once"));
        let files = ["--resume", "journal", "-o", "out", "--stats-file", "stats"];
        env.mtask()
            .words("-j1 --window 1")
            .args(files)
            .args(options)
            .worker(["--at", "4", &words])
            .run_on(numbers(count))
    };
    let done = run(6, &[]);
    done.assert_status(122).assert_stderr_has("may stand in wrong places");
    let ranges = in_doubt(&env);
    assert!(!ranges.is_empty());
    for (count, options) in [(6, &[][..]), (8, &["--on-error", "ignore"])] {
        let done = run(count, options);
        done.assert_status(122)
            .assert_stderr_has("may stand in wrong places")
            .assert_stderr_has("before this run");
        assert_eq!(in_doubt(&env), ranges);
    }
}

#[test]
fn a_run_that_a_line_too_many_ended_can_be_gone_on_with() {
    let env = TestEnv::new();
    let run = |options: &[&str]| {
        let words = format!("@once:{} @stray:SURPLUS", env.path("once"));
        env.mtask()
            .words("-j1 --window 1 --resume journal -o out")
            .args(options)
            .worker(["--at", "4", &words])
            .run_on(numbers(8))
    };
    for options in [&["--on-error", "raise"][..], &[]] {
        run(options).assert_status(122);
    }
    assert_eq!(env.lines("out").len(), 8);
}

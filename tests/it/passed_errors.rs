//! `--pass-errors`: the error records of an earlier run come out as they are, in their places.

use serde_json::json;

use crate::done::{Done, records};
use crate::env::TestEnv;

/// How each third line begins.
const ERROR: &str = "{\"mtask_error\":";

/// Lines of which each third is the error record of an earlier run, or looks like one.
fn input(count: usize) -> Vec<u8> {
    records((0..count).map(|number| match number % 6 {
        2 => format!(
            "{ERROR}\"timeout\",\"index\":{},\"message\":\"m\"}}",
            number / 2
        ),
        5 => format!("{ERROR} no JSON {number}"),
        _ => json!(format!("{number}")).to_string(),
    }))
}

fn run(env: &TestEnv, options: &[&str], worker: &[&str]) -> Done {
    let run = env.mtask().args(["-j3", "--pass-errors"]).args(options).worker(worker);
    run.run_on(input(90))
}

#[test]
fn they_keep_their_places_and_are_not_sent_or_counted() {
    let json: &[&str] = &["--protocol", "json"];
    let cases: [(&[&str], &[&str]); 5] = [
        (&["--format", "lines"], &["--suffix", ""]),
        (&["--format", "jsonl", "--retries", "3"], &[]),
        (json, &["--json"]),
        (
            &[
                "--format",
                "lines",
                "--errors",
                "errors",
                "--timeout",
                "100s",
            ],
            &[],
        ),
        (
            &["--format", "lines", "--resume", "journal", "-o", "out"],
            &[],
        ),
    ];
    for (options, worker) in cases {
        let env = TestEnv::new();
        for _ in 0..2 {
            let options = [options, &["--stats-file", "stats", "--max-errors", "1"]].concat();
            let done = run(&env, &options, worker);
            done.assert_status(0);
            match env.exists("out") {
                true => assert_eq!(env.read("out"), input(90)),
                false => assert_eq!(done.stdout, input(90)),
            }
            let stats = env.json("stats");
            let records = if done.stderr.contains("done already") {
                0
            } else {
                60
            };
            assert_eq!(stats["records"], records);
            assert_eq!(stats["failed"], 0);
            if !env.exists("errors") {
                continue;
            }
            assert_eq!(env.read("errors"), b"");
        }
    }
}

#[test]
fn what_fails_besides_is_counted_alone() {
    let env = TestEnv::new();
    let input = records([
        format!("{ERROR}\"worker_exit\"}}"),
        "1".into(),
        "oops".into(),
        format!("[{ERROR}\"it does not begin so\"}}]"),
    ]);
    for options in [
        &["-u"][..],
        &["--output-format", "envelope"],
        &["--output-format", "pair"],
    ] {
        let run = env.mtask().args(["-j1", "--pass-errors", "--format", "jsonl"]).args(options);
        let done = run.args(["--progress", "always"]).echo().run_on(&input);
        done.assert_status(123).assert_stderr_has("1 of 3 records failed");
        done.assert_stderr_has("mtask: 3 of 3 done");
        assert_eq!(done.lines().len(), 4);
        assert_eq!(done.error_records().len(), 2);
        assert_eq!(
            done.lines()[0],
            format!("{ERROR}\"worker_exit\"}}").as_bytes()
        );
    }
}

#[test]
fn stages_are_chained() {
    let env = TestEnv::new();
    env.write(
        "first",
        records((0..40).map(|n| format!("{n} {}", if n % 7 == 3 { "@die:1" } else { "" }))),
    );
    let run = |options: &[&str], input: Vec<u8>| {
        env.mtask().args(["-j2"]).args(options).worker(["--suffix", "!"]).run_on(input)
    };
    let first = run(&["--on-error", "ignore"], env.read("first"));
    let second = run(&["--pass-errors"], first.stdout.clone());
    second.assert_status(0);
    let third = run(&["--pass-errors"], second.stdout.clone());
    third.assert_status(0);
    let lines = third.lines();
    assert_eq!(lines.len(), 40);
    for (number, (line, before)) in lines.iter().zip(first.lines()).enumerate() {
        match number % 7 {
            3 => assert_eq!(*line, before),
            _ => assert_eq!(*line, [before, b"!!"].concat()),
        }
    }
}

#[test]
fn without_it_they_are_records() {
    let env = TestEnv::new();
    let done = env.mtask().args(["-j1", "--format", "jsonl"]).worker(["--suffix", ""]);
    let done = done.run_on(format!("{ERROR}\"timeout\"}}\n"));
    done.assert_status(0).assert_stderr_empty();
    let done = env.mtask().args(["--pass-errors", "--format", "csv"]).echo().run();
    done.assert_status(2).assert_stderr_has("--pass-errors");
}

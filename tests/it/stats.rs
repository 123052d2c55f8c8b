//! Where the workers' time went: `--stats` and `--stats-file`.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::done::{numbers, records};
use crate::env::{TestEnv, let_pass, skip};
use crate::terminal::Terminal;

/// The document of a run that wrote it to `stats`.
fn document(env: &TestEnv) -> Value {
    env.json("stats")
}

fn numbers_in(value: &Value) -> f64 {
    let values = value.as_object().expect("an object").values();
    values.map(|number| number.as_f64().expect("a number")).sum()
}

#[test]
fn the_document_counts_every_record_and_every_second() {
    let env = TestEnv::new();
    let input = records((0..100).map(|i| match i {
        30 => "30 @die:3".to_owned(),
        _ => i.to_string(),
    }));
    let done = env.mtask().words("-j3 --window 1 --stats-file stats").echo().run_on(input);
    done.assert_status(123);
    let stats = document(&env);
    assert_eq!(stats["records"], 100);
    assert_eq!(stats["failed"], 1);
    assert_eq!(stats["failed_by_kind"]["worker_exit"], 1);
    let workers = stats["workers"].as_array().expect("a list");
    let sum = |field: &str| workers.iter().filter_map(|w| w[field].as_u64()).sum::<u64>();
    assert_eq!((workers.len(), sum("records"), sum("failed")), (3, 100, 1));
    // Two of them die; not all are replaced where little is left to do.
    assert!(
        (2..=5).contains(&sum("processes")),
        "{} processes",
        sum("processes")
    );
    let wall = stats["wall_seconds"].as_f64().expect("a number");
    for worker in workers {
        let spent = numbers_in(&worker["seconds"]);
        assert!((spent - wall).abs() < 1e-6, "{spent} of {wall} s");
    }
    assert!((numbers_in(&stats["total"]) - 3.0 * wall).abs() < 1e-6);
    assert!((numbers_in(&stats["share"]) - 1.0).abs() < 1e-6);
    let worked = stats["total"]["working"].as_f64().expect("a number");
    assert!((numbers_in(&stats["lost_seconds"]) + worked - 3.0 * wall).abs() < 1e-6);
}

#[test]
fn the_table_is_printed_quiet_or_not_and_changes_no_result() {
    let env = TestEnv::new();
    for options in [&["--stats"][..], &["--stats", "-q"]] {
        let run = env.mtask().words("-j2").args(options).echo();
        let done = run.run_on(numbers(1000));
        done.assert_output(numbers(1000));
        done.assert_stderr_has("mtask: 1000 records in ");
        let row = |name: &str| {
            let mut lines = done.stderr.lines();
            let line = lines.find(|line| line.split_whitespace().next() == Some(name));
            let line = line.unwrap_or_else(|| done.fail(&format!("there is no row {name}")));
            line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        let heads = "worker records failed processes starting waiting working exiting absent";
        assert_eq!(row("worker").join(" "), heads);
        assert_eq!(row("all")[..4], ["all", "1000", "0", "2"]);
        let count = |name: &str| row(name)[1].parse::<u64>().expect("a number");
        assert_eq!(count("0") + count("1"), 1000);
    }
}

#[test]
fn slow_records_are_named_on_one_line() {
    let env = TestEnv::new();
    let options = ["-j1", "--window", "1", "--stats", "--stats-file", "stats"];
    let mut live = env.mtask().args(options).echo().open();
    let begun = Instant::now();
    for i in 0..38 {
        live.ask(&i.to_string(), &i.to_string());
    }
    // What takes longer than all of these is slower than each.
    let slow = begun.elapsed().max(Duration::from_millis(60));
    let long = "y".repeat(500);
    let ten = format!("\u{1b}[2Jten\t@touch:held-ten @wait:go-ten {long}");
    let twenty = "twenty @touch:held-twenty @wait:go-twenty".to_owned();
    for (name, record) in [("ten", &ten), ("twenty", &twenty)] {
        live.send(record);
        env.wait_for(&format!("held-{name}"));
        // The time that a record takes is what is looked at.
        let_pass(slow);
        env.write(&format!("go-{name}"), "");
        assert_eq!(live.line(), *record);
    }
    let done = live.wait();
    done.assert_status(0).assert_stderr_has(&format!(" record 39: {twenty}\n"));
    done.assert_stderr_has(" record 38: \\u{1b}[2Jten\\t@touch:held-ten @wait:go-ten yyy");
    done.check(
        !done.stderr.contains('\u{1b}'),
        "there is an escape sequence",
    );
    let stats = document(&env);
    let slowest = stats["slowest"].as_array().expect("a list");
    assert!(slowest.len() <= 5);
    let mut places: Vec<_> = slowest[..2].iter().map(|slow| &slow["index"]).collect();
    places.sort_by_key(|index| index.as_u64());
    assert_eq!(places, [38, 39]);
    for record in &slowest[..2] {
        let seconds = record["seconds"].as_f64().expect("a number");
        assert!(seconds >= slow.as_secs_f64(), "{record}");
        assert!(record["input"].as_str().expect("a string").len() < 200);
        assert_eq!(record["worker"], 0);
    }
}

#[test]
fn answers_with_ids_are_timed_too() {
    let env = TestEnv::new();
    let answer = r#"read -r line; printf '{"ready":true}\n'; while :; do
        id=${line#'{"id":'}; id=${id%%,*}
        case $line in *slow*) sleep 0.1;; esac # which is to be counted
        printf '{"id":%s,"output":1}\n' "$id"
        read -r line || exit 0
    done"#;
    let input = records(["1", "2", "\"slow\"", "4"]);
    let done = env
        .mtask()
        .args([
            "-j1",
            "--window",
            "1",
            "--protocol",
            "json",
            "--stats-file",
            "stats",
            "--",
            "sh",
            "-c",
            answer,
        ])
        .run_on(input);
    done.assert_output("1\n1\n1\n1\n");
    let stats = document(&env);
    assert_eq!(stats["workers"][0]["records"], 4);
    let slowest = stats["slowest"].as_array().expect("a list");
    let slow = slowest.iter().find(|slow| slow["index"] == 2).expect("the slow record");
    assert_eq!(slow["input"], "\"slow\"");
    assert!(slow["seconds"].as_f64().expect("a number") >= 0.1);
}

#[test]
fn a_record_that_ran_into_its_time_limit_is_slow() {
    let env = TestEnv::new();
    let done = env
        .mtask()
        .words("-j1 --window 1 --timeout 5s --stats-file stats")
        .echo()
        .run_on(records(["0", "1", "@hang", "3"]));
    done.assert_status(123);
    let stats = document(&env);
    assert_eq!(stats["slowest"][0]["index"], 2);
    assert!(stats["slowest"][0]["seconds"].as_f64().expect("a number") >= 5.0);
}

#[test]
fn a_worker_that_waits_for_input_gives_a_hint() {
    let env = TestEnv::new();
    let run = env.mtask().words("-j2 --stats --stats-file stats");
    let mut live = run.worker(["--suffix", "!"]).open();
    live.ask("first", "first!");
    // The workers wait for the input at least while the test asks for nothing.
    let mut unasked = Duration::ZERO;
    for i in 0..10 {
        let answered = Instant::now();
        let_pass(Duration::from_millis(50));
        unasked += answered.elapsed();
        live.ask(&i.to_string(), &format!("{i}!"));
    }
    let done = live.wait();
    done.assert_status(0);
    let stats = document(&env);
    let lost = &stats["lost_seconds"];
    let waited = lost["input"].as_f64().expect("a number");
    assert!(waited >= unasked.as_secs_f64(), "{lost}, {unasked:?}");
    done.check(stats["advice"].is_string(), "there is no hint");
    done.assert_stderr_has("mtask: the workers worked ");
}

#[test]
fn quiet_leaves_out_the_hint_and_no_figure() {
    // Two of three workers have nothing to do.
    for (options, has_hint) in [(&[][..], true), (&["-q"], false)] {
        let env = TestEnv::new();
        let run = env.mtask().words("-j3 --stats").args(options);
        let done = run.echo().run_on("1\n");
        done.assert_status(0)
            .assert_stderr_has("mtask: 1 records in ")
            .assert_stderr_has("\n share ");
        let found = done.stderr.contains("mtask: the workers worked ");
        done.check(found == has_hint, "the hint is missing, or not wanted");
    }
}

#[test]
fn statistics_are_written_where_a_signal_ends_the_run() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j1 --stats-file stats").echo().open();
    live.ask("first", "first");
    live.signal(Signal::TERM);
    live.wait_with_open_stdin().assert_signal(Signal::TERM);
    assert_eq!(document(&env)["records"], 1);
}

#[test]
fn a_file_that_cannot_be_used_is_refused_before_anything_runs() {
    let env = TestEnv::new();
    let input = env.write("input", numbers(3));
    let refused = |options: &[&str], status: i32, named: &str| {
        let worker = ["--pids", &env.path("w.pids")];
        let run = env.mtask().args(options).worker(worker);
        run.run_on(numbers(3)).assert_status(status).assert_stderr_has(named);
        assert!(
            !env.exists("w.pids"),
            "a worker was started for {options:?}"
        );
    };
    refused(&["--stats-file", "none/stats"], 1, "none/stats");
    refused(&["--stats-file", "-"], 2, "--stats-file -");
    refused(&["--stats-file", &input, "-i", &input], 2, "--stats-file");
    refused(&["--stats-file", "out", "-o", "out"], 2, "--stats-file");
    refused(
        &["--stats-file", "errors", "--errors", "./errors"],
        2,
        "--stats-file",
    );
    assert_eq!(env.read("input"), numbers(3));
}

#[test]
fn a_full_disk_is_said() {
    if !Path::new("/dev/full").exists() {
        return skip("there is no /dev/full");
    }
    let run = TestEnv::new();
    run.mtask()
        .words("-j1 --stats-file /dev/full")
        .echo()
        .run_on(numbers(3))
        .assert_status(1)
        .assert_stdout(numbers(3))
        .assert_stderr_has("/dev/full");
}

#[test]
fn the_table_fits_into_a_narrow_terminal() {
    let long = "x".repeat(100);
    let done = TestEnv::new()
        .mtask()
        .terminal(Terminal::new(40))
        .args(["-j2", "--stats", "-q"])
        .echo()
        .stdin(records([&long, &long]))
        .run();
    done.assert_status(0).assert_stderr_has("worker  starting  waiting  working\r\n");
    let widest = done.stderr.lines().map(|line| line.chars().count()).max();
    done.check(widest <= Some(40), "a line is wider than the terminal");
}

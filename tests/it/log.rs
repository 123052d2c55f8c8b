//! `--log`: what happens to each record and each process, and what becomes of a run that cannot
//! write it.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::done::{numbers, records};
use crate::env::{TestEnv, has, skip};

/// The lines of `log`, each an object.
fn log(env: &TestEnv) -> Vec<Value> {
    let parse = |line: String| serde_json::from_str(&line).expect("each line is JSON");
    env.lines("log").into_iter().map(parse).collect()
}

fn events<'a>(log: &'a [Value], event: &str) -> Vec<&'a Value> {
    log.iter().filter(|line| line["event"] == event).collect()
}

fn count(line: &Value) -> u64 {
    line["count"].as_u64().unwrap_or(1)
}

/// The line of each record.
fn by_index(log: &[Value]) -> BTreeMap<u64, &Value> {
    let mut lines = BTreeMap::new();
    for line in events(log, "settled") {
        let first = line["index"].as_u64().expect("an index");
        for index in first..first + count(line) {
            let before = lines.insert(index, line);
            assert!(before.is_none(), "record {index} has two lines");
        }
    }
    lines
}

fn sum(lines: &[&Value], field: &str) -> u64 {
    lines.iter().filter_map(|line| line[field].as_u64()).sum()
}

#[test]
fn each_outcome_is_in_one_line_with_its_facts() {
    let env = TestEnv::new();
    let input = records((0..300).map(|index| match index {
        30 => "30 @die:3".to_owned(),
        _ => format!("{index:>5}"),
    }));
    let done = env.mtask().words("-j3 --window 4 --log log").echo().run_on(&input);
    done.assert_status(123);
    let log = log(&env);
    let begin = &log[0];
    assert_eq!(
        (&begin["event"], &begin["log"]),
        (&"begin".into(), &1.into())
    );
    assert_eq!(begin["mtask"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (&begin["workers"], &begin["resumed"]),
        (&3.into(), &0.into())
    );
    assert!(begin["command"].as_array().expect("words").contains(&"--log".into()));
    let end = log.last().expect("a line");
    assert_eq!(
        (&end["event"], &end["status"]),
        (&"end".into(), &123.into())
    );
    assert_eq!((&end["records"], &end["failed"]), (&300.into(), &1.into()));

    let lines = by_index(&log);
    assert!(lines.keys().copied().eq(0..300));
    let failure = lines[&30];
    assert_eq!(failure["outcome"], "worker_exit");
    let error = done.assert_one_error(30, "worker_exit");
    for field in ["message", "worker", "attempts"] {
        assert_eq!(failure[field], error[field], "{field}");
    }
    assert_eq!(
        (&failure["bytes_in"], &failure["bytes_out"]),
        (&9.into(), &0.into())
    );
    let others: Vec<&Value> =
        events(&log, "settled").into_iter().filter(|line| line["outcome"] == "result").collect();
    assert_eq!(others.iter().map(|line| count(line)).sum::<u64>(), 299);
    assert_eq!(sum(&others, "bytes_in"), 299 * 5);
    assert_eq!(sum(&others, "bytes_out"), 299 * 6);
    for line in events(&log, "settled") {
        let time = |field: &str| line[field].as_f64().unwrap_or_else(|| panic!("{field}: {line}"));
        assert!(time("queued") <= time("started"), "{line}");
        assert!(time("started") <= time("at"), "{line}");
        assert!(begin["at"].as_f64() <= Some(time("queued")), "{line}");
        assert!(line["attempts"].as_u64() >= Some(1), "{line}");
    }
}

#[test]
fn each_process_is_told_from_its_start_to_its_end() {
    let env = TestEnv::new();
    let input = records(["1", "2 @die:3", "3"]);
    env.mtask().words("-j1 --window 1 --log log").echo().run_on(input).assert_status(123);
    let log = log(&env);
    let started = events(&log, "started");
    let ended = events(&log, "ended");
    assert!(started.len() >= 2, "{log:?}");
    let name = |line: &&Value| (line["worker"].as_u64(), line["process"].as_u64());
    let names: Vec<_> = started.iter().map(name).collect();
    assert_eq!(names, ended.iter().map(name).collect::<Vec<_>>());
    let numbers: Vec<_> = names.iter().map(|name| name.1).collect();
    assert!(numbers.iter().copied().eq((0..numbers.len() as u64).map(Some)));
    assert_eq!(
        (&ended[0]["exit_code"], &ended[0]["how"]),
        (&3.into(), &"exit status 3".into())
    );
    assert!(
        ended.iter().all(|line| line["peak_bytes"].as_u64() > Some(100_000)),
        "{ended:?}"
    );
    assert!(events(&log, "ready").iter().all(|line| line["seconds"].is_number()));
    // The record that killed the first process was last with another one.
    let lines = by_index(&log);
    assert_eq!(lines[&0]["process"], 0);
    assert!(lines[&1]["process"].as_u64() > Some(0), "{:?}", lines[&1]);
}

#[test]
fn what_no_worker_has_seen_has_none() {
    let env = TestEnv::new();
    let run = env.mtask().words("-j1 --format jsonl --log log");
    run.echo().run_on("1\noops\n").assert_status(123);
    let log = log(&env);
    let line = by_index(&log)[&1];
    assert_eq!(
        (&line["outcome"], &line["attempts"]),
        (&"invalid_input".into(), &0.into())
    );
    assert_eq!(line["bytes_in"], 4);
    for field in ["worker", "process", "started", "seconds"] {
        assert!(line[field].is_null(), "{line}");
    }
}

#[test]
fn records_that_are_answered_together_share_a_line() {
    let env = TestEnv::new();
    // sort writes when it has read everything.
    let run = env.mtask().words("-j1 --window full --log log sort -n");
    let input = numbers(100_000);
    run.run_on(&input).assert_output(&input);
    let log = log(&env);
    let lines = events(&log, "settled");
    assert!(lines.len() < 10_000, "{} lines", lines.len());
    assert!(by_index(&log).keys().copied().eq(0..100_000));
    assert_eq!(sum(&lines, "bytes_in") + 100_000, input.len() as u64);
    assert_eq!(sum(&lines, "bytes_out"), input.len() as u64);
}

#[test]
fn answers_that_name_their_records_have_their_own_times() {
    let env = TestEnv::new();
    let input = records((0..20).map(|number| format!("{{\"n\":{number}}}")));
    let run = env.mtask().words("-j2 --protocol json --log log");
    run.worker(["--json", "--banner", "{\"ready\":true,\"concurrency\":3}"])
        .run_on(&input)
        .assert_status(0);
    let log = log(&env);
    let lines = by_index(&log);
    assert_eq!(lines.len(), 20);
    for line in lines.values() {
        let number = |field: &str| line[field].as_f64().unwrap_or_else(|| panic!("{line}"));
        assert!(
            number("started") + number("seconds") <= number("at") + 1e-5,
            "{line}"
        );
    }
    assert_eq!(
        sum(&events(&log, "settled"), "bytes_in") + 20,
        input.len() as u64
    );
}

#[test]
fn answers_in_doubt_are_named() {
    let env = TestEnv::new();
    let input = records(["a", "b @double", "c"]);
    env.mtask().words("-j1 --log log").echo().run_on(input).assert_status(122);
    let log = log(&env);
    let doubtful = events(&log, "in_doubt");
    assert!(!doubtful.is_empty(), "{log:?}");
    assert!(doubtful.iter().all(|line| !line["ranges"].as_array().expect("a list").is_empty()));
}

#[test]
fn a_resumed_run_adds_to_the_log_and_another_begins_it_anew() {
    let env = TestEnv::new();
    let go = env.path("go");
    let input = env.write(
        "in",
        records((0..20).map(|number| match number {
            9 => format!("9 @wait:{go}"),
            _ => number.to_string(),
        })),
    );
    let run = || {
        let options = [
            "-j1", "--log", "log", "--resume", "journal", "-o", "out", "-i", &input,
        ];
        env.mtask().args(options).echo()
    };
    let live = run().start();
    env.wait_for_lines("out", 9);
    env.wait_for_lines("log", 1);
    live.signal(Signal::KILL);
    live.wait();
    // As if it had been killed in the middle of a line.
    let mut killed = env.read("log");
    killed.extend_from_slice(b"{\"event\":\"settled\",\"at");
    env.write("log", killed);
    env.write("go", "");
    run().run().assert_status(0);
    let first = log(&env);
    assert_eq!(events(&first, "begin").len(), 2);
    assert_eq!(events(&first, "end").len(), 1);
    let mut indices: Vec<u64> = events(&first, "settled")
        .iter()
        .flat_map(|line| {
            let first = line["index"].as_u64().expect("an index");
            first..first + count(line)
        })
        .collect();
    indices.sort_unstable();
    indices.dedup();
    assert!(indices.into_iter().eq(0..20), "{first:?}");

    env.mtask().words("-j1 --log log").echo().run_on("1\n").assert_status(0);
    assert_eq!(events(&log(&env), "begin").len(), 1);
}

#[test]
fn what_is_no_log_is_not_added_to() {
    let env = TestEnv::new();
    env.write("log", "notes\n");
    let options = ["--log", "log", "--resume", "journal", "-o", "out"];
    let done = env.mtask().args(options).echo().run_on("1\n");
    done.assert_status(1).assert_stderr_has("--log log: it is not empty and no log of mtask");
    assert_eq!(env.read("log"), b"notes\n");
    assert!(!env.exists("journal"));
}

#[test]
fn a_file_of_another_use_is_refused() {
    let env = TestEnv::new();
    env.write("in", "1\n");
    for options in [
        ["--log", "in", "-i", "in"],
        ["--log", "f", "-o", "f"],
        ["--log", "f", "--errors", "f"],
        ["--log", "f", "--stats-file", "f"],
        ["--log", "-", "-i", "in"],
    ] {
        let done = env.mtask().args(options).echo().run_on("1\n");
        done.assert_status(2).assert_stderr_has("--");
        assert_eq!(env.read("in"), b"1\n");
    }
}

#[test]
fn each_shard_has_a_log_of_its_own() {
    let env = TestEnv::new();
    env.write("in", numbers(100));
    let shard = |log: &str| {
        let options = [
            "-i",
            "in",
            "-o",
            "o-{shard}",
            "--shard",
            "1/2",
            "--log",
            log,
        ];
        env.mtask().args(options).echo().run()
    };
    shard("log").assert_status(2).assert_stderr_has("--log log is the same for all 2 shards");
    shard("log-{shard}").assert_status(0);
    assert!(env.exists("log-1"));
}

#[test]
fn a_full_disk_ends_the_run() {
    if !Path::new("/dev/full").exists() {
        return skip("there is no /dev/full");
    }
    let env = TestEnv::new();
    for count in [1, 10, 10_000] {
        let run = env.mtask().words("-j2 --log /dev/full").worker(["--pids", &env.path("pids")]);
        let done = run.run_on(numbers(count));
        done.assert_status(1).assert_stderr_has("cannot write /dev/full: No space left");
        assert_eq!(done.stderr.matches("cannot write").count(), 1);
    }
    let mut live = env.mtask().words("-j2 --log /dev/full").echo().open();
    live.send("a");
    live.wait_with_open_stdin().assert_status(1);
    env.assert_all_gone("pids");
}

#[test]
fn a_disk_that_fills_up_ends_the_run() {
    if !has("unshare") {
        return skip("there is no unshare");
    }
    let env = TestEnv::new();
    let mounts = "unshare --mount sh -c 'mount -t tmpfs -o size=64k tmpfs small'";
    if !env.sh(&format!("mkdir small; {mounts}")).status.success() {
        return skip("no file system may be mounted");
    }
    env.write("in", numbers(20_000));
    let mtask = env!("CARGO_BIN_EXE_mtask");
    let done = env.sh(&format!(
        "unshare --mount sh -c 'mount -t tmpfs -o size=64k tmpfs small &&
         exec {mtask} -j2 --window 1 -i in -o out --log small/log cat'"
    ));
    done.assert_status(1).assert_stderr_has("cannot write small/log: No space left");
    assert!(env.lines("out").len() < 20_000);
}

#[test]
fn who_does_not_read_the_log_does_not_hold_up_results() {
    let env = TestEnv::new();
    let _pipe = env.fifo("log");
    let mut live = env.mtask().words("-j1 --log log").echo().open();
    for round in 0..10 {
        let record = round.to_string();
        live.ask(&record, &record);
    }
    live.wait().assert_status(0);
}

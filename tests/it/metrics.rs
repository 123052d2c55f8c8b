//! `--metrics-file`: the counts of a run in Prometheus' text format.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::done::{numbers, records};
use crate::env::{TestEnv, has, skip};

/// What each series is now, labels and all.
fn series(env: &TestEnv, name: &str) -> BTreeMap<String, f64> {
    let lines = env.lines(name).into_iter().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            (series.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

/// Has Prometheus' own tool look at a file.
fn check(text: &[u8]) {
    if !has("promtool") {
        return;
    }
    let mut command = Command::new("promtool");
    command
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped());
    let mut promtool = command.spawn().expect("promtool runs");
    promtool.stdin.take().expect("a pipe").write_all(text).expect("it is read");
    let output = promtool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_counts_are_those_of_the_run_and_keep_prometheus_rules() {
    let env = TestEnv::new();
    let input = records((0..100).map(|index| match index {
        30 => "30 @die:3".to_owned(),
        _ => index.to_string(),
    }));
    let options = [
        "-j3",
        "--window",
        "1",
        "--metrics-file",
        "m.prom",
        "--desc",
        "a \"b\" \\c",
    ];
    env.mtask().args(options).echo().run_on(input).assert_status(123);
    check(&env.read("m.prom"));
    let series = series(&env, "m.prom");
    let run = "run=\"a \\\"b\\\" \\\\c\"";
    let of = |name: &str, labels: &str| {
        let name = format!("mtask_{name}{{{run}{labels}}}");
        *series.get(&name).unwrap_or_else(|| panic!("{name} is not in {series:?}"))
    };
    assert_eq!(of("records_total", ",outcome=\"result\""), 99.0);
    assert_eq!(of("records_total", ",outcome=\"worker_exit\""), 1.0);
    assert_eq!(of("records_total", ",outcome=\"timeout\""), 0.0);
    assert_eq!((of("ended", ""), of("exit_status", "")), (1.0, 123.0));
    assert_eq!(of("input_records", ""), 100.0);
    assert_eq!(of("records_in_flight", "") + of("records_waiting", ""), 0.0);
    let workers =
        |name: &str| (0..3).map(|worker| of(name, &format!(",worker=\"{worker}\""))).sum::<f64>();
    assert_eq!(
        (
            workers("worker_records_total"),
            workers("worker_failures_total")
        ),
        (100.0, 1.0)
    );
    let count = of("record_duration_seconds_count", "");
    assert_eq!(of("record_duration_seconds_bucket", ",le=\"+Inf\""), count);
    assert!(count > 0.0 && of("record_duration_seconds_sum", "") >= 0.0);
    assert!(of("start_time_seconds", "") <= of("written_time_seconds", ""));
}

#[test]
fn many_workers_are_not_told_apart() {
    let env = TestEnv::new();
    // Empty input starts none of them.
    env.mtask().words("-j300 --metrics-file m.prom cat").run().assert_status(0);
    let text = String::from_utf8(env.read("m.prom")).expect("text");
    check(text.as_bytes());
    assert!(!text.contains("worker=\""), "{text}");
    assert!(
        text.contains("mtask_workers{run=\"m\",state=\"absent\"} 300\n"),
        "{text}"
    );
}

#[test]
fn the_file_is_there_from_the_beginning_and_replaced_as_it_was() {
    let env = TestEnv::new();
    env.write_with_mode("m.prom", "", 0o640);
    std::os::unix::fs::symlink("m.prom", env.path("link")).expect("a link");
    let mut live = env.mtask().words("-j1 --metrics-file link").echo().open();
    live.ask("a", "a");
    assert!(series(&env, "m.prom").contains_key("mtask_ended{run=\"link\"}"));
    assert_eq!(series(&env, "m.prom")["mtask_ended{run=\"link\"}"], 0.0);
    live.wait().assert_status(0);
    assert_eq!(series(&env, "m.prom")["mtask_ended{run=\"link\"}"], 1.0);
    let metadata = fs::symlink_metadata(env.path("link")).expect("it is there");
    assert!(metadata.is_symlink(), "the link stays one");
    let mode = fs::metadata(env.path("m.prom")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let names = fs::read_dir(env.path(""))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name());
    assert_eq!(
        names.filter(|name| name.to_string_lossy().ends_with(".new")).count(),
        0
    );
}

#[test]
fn what_cannot_be_replaced_is_refused_before_anything_runs() {
    let env = TestEnv::new();
    env.write("in", "1\n");
    for (options, status) in [
        (["--metrics-file", "/dev/null", "-i", "in"], 2),
        (["--metrics-file", "in", "-i", "in"], 2),
        (["--metrics-file", "f", "-o", "f"], 2),
        (["--metrics-file", "-", "-i", "in"], 2),
        (["--metrics-file", "none/f", "-i", "in"], 1),
    ] {
        let run = env.mtask().args(options).worker(["--pids", &env.path("w.pids")]);
        run.run_on("1\n").assert_status(status).assert_stderr_has("--metrics-file");
    }
    assert!(!env.exists("w.pids"), "a worker was started");
}

#[test]
fn each_shard_has_a_file_of_its_own() {
    let env = TestEnv::new();
    env.write("in", numbers(10));
    let options = [
        "-i",
        "in",
        "-o",
        "o-{shard}",
        "--shard",
        "1/2",
        "--metrics-file",
        "m-{shard}.prom",
    ];
    env.mtask().args(options).echo().run().assert_status(0);
    assert!(series(&env, "m-1.prom").contains_key("mtask_ended{run=\"m-1\"}"));
}

#[test]
fn a_folder_that_goes_away_is_named_and_the_results_are_there() {
    if rustix::process::geteuid().is_root() && !cfg!(target_os = "linux") {
        return skip("not known of this system");
    }
    let env = TestEnv::new();
    fs::create_dir(env.path("folder")).expect("a folder");
    let mut live = env.mtask().words("-j1 --metrics-file folder/m.prom").echo().open();
    live.ask("a", "a");
    fs::remove_dir_all(env.path("folder")).expect("it is removed");
    live.ask("b", "b");
    live.wait().assert_status(1).assert_stderr_has("cannot write folder/m.prom: No such file");
}

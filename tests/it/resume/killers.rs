//! Runs that are killed when nothing is left but records that kill or hang their worker: the runs
//! that follow know that COMMAND works, and so which of them is at fault.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::done::{ERROR_MARK, records};
use crate::env::TestEnv;

use super::mtask;
use super::refused::wait_for_done;

/// Records that are answered, and `killers` at the end that do `harm` once there is a file `go`.
fn input(env: &TestEnv, killers: usize, harm: &str) -> Vec<u8> {
    let (begun, go) = (env.path("begun"), env.path("go"));
    records((0..4 + killers).map(|number| match number {
        0..4 => format!("\"{number}\""),
        _ => format!("\"{number} @touch:{begun} @wait:{go} {harm}\""),
    }))
}

/// Kills a run that has written all that can be answered.
fn killed(env: &TestEnv, options: &[&str], worker: &[&str], input: &[u8]) {
    let live = mtask(env, options).worker(worker).stdin(input).start();
    env.wait_for("begun");
    wait_for_done(env, 4);
    live.signal(Signal::KILL);
    live.wait();
    env.write("go", "");
}

/// The kinds of the error records by their indices; the results are those of the first four
/// records.
fn failures(env: &TestEnv) -> Vec<(u64, String)> {
    let out = env.read("out");
    let lines = out.split_inclusive(|byte| *byte == b'\n');
    let (errors, results): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with(ERROR_MARK));
    assert_eq!(results.len(), 4, "{}", String::from_utf8_lossy(&out));
    let mut failures: Vec<_> = (errors.into_iter())
        .map(|line| {
            let record: Value = serde_json::from_slice(line).expect("an error record");
            let kind = record["mtask_error"].as_str().expect("a kind");
            (record["index"].as_u64().expect("an index"), kind.to_owned())
        })
        .collect();
    failures.sort();
    failures
}

fn expected(killers: usize, kind: &str) -> Vec<(u64, String)> {
    (4..4 + killers as u64).map(|index| (index, kind.to_owned())).collect()
}

#[test]
fn killers_that_are_left_fail_as_in_a_run_that_was_not_killed() {
    let json = ["--protocol", "json"];
    let ready = ["--json", "--banner", "{\"ready\":true}"];
    let cases: [(&[&str], &[&str], usize); 6] = [
        (&["-j1"], &[], 1),
        (&["-j1", "-u"], &[], 3),
        (&["-j2"], &[], 2),
        (&["-j2", "--window", "full"], &[], 1),
        (&[&["-j1"], &json[..]].concat(), &["--json"], 2),
        (&[&["-j2", "-u"], &json[..]].concat(), &ready, 2),
    ];
    for (options, worker, killers) in cases {
        let env = TestEnv::new();
        let input = input(&env, killers, "@die:7");
        killed(&env, options, worker, &input);
        for _ in 0..2 {
            let run = mtask(&env, options).worker(worker);
            run.run_on(&input).assert_status(123);
            assert_eq!(
                failures(&env),
                expected(killers, "worker_exit"),
                "{options:?}"
            );
        }
    }
}

/// Before a first record is charged, as many processes would have died as make a worker be given
/// up.
#[test]
fn there_may_be_more_killers_than_restarts() {
    let env = TestEnv::new();
    let input = input(&env, 4, "@die:7");
    let options = ["-j1", "--max-restarts", "2"];
    killed(&env, &options, &[], &input);
    let done = mtask(&env, &options).echo().run_on(input);
    done.assert_status(123);
    assert_eq!(failures(&env), expected(4, "worker_exit"));
}

#[test]
fn records_that_hang_are_timed_out_by_the_start_that_was_learnt() {
    for protocol in ["lines", "json"] {
        let env = TestEnv::new();
        let input = input(&env, 2, "@hang");
        let worker = if protocol == "json" {
            "--json"
        } else {
            "--lines"
        };
        let options = ["-j1", "--protocol", protocol];
        killed(&env, &options, &[worker], &input);
        // Without what the journal knows, --init-timeout would hold, which is 5 minutes then.
        let options = [&options[..], &["--timeout", "300ms"]].concat();
        let run = mtask(&env, &options).worker([worker]).stdin(input);
        run.run().assert_status(123);
        assert_eq!(failures(&env), expected(2, "timeout"));
    }
}

#[test]
fn a_run_may_be_killed_again_and_again_while_killers_are_left() {
    let env = TestEnv::new();
    let input = input(&env, 2, "@die:7");
    killed(&env, &["-j1"], &[], &input);
    for _ in 0..3 {
        let live = mtask(&env, &["-j1"]).echo().stdin(input.clone()).start();
        live.wait_for_stderr("before it has stayed up");
        live.signal(Signal::KILL);
        live.wait();
    }
    let done = mtask(&env, &["-j1"]).echo().run_on(input);
    done.assert_status(123);
    assert_eq!(failures(&env), expected(2, "worker_exit"));
}

/// A worker by sh; the last record kills it.
const SCRIPT: &str = "test -e broken && exit 9
while read -r x; do
  case $x in *killer*) touch begun; while ! test -e go; do sleep 0.01 </dev/null; done; exit 7; esac
  echo \"$x\"
done";

/// A run of a script that is killed when only its killers are left.
fn killed_script() -> (TestEnv, Vec<u8>) {
    let env = TestEnv::new();
    env.write("w.sh", SCRIPT);
    let input = records(["0", "1", "2", "3", "killer", "killer too"]);
    let run = mtask(&env, &["-j1", "--", "sh", "w.sh"]);
    let live = run.stdin(input.clone()).start();
    env.wait_for("begun");
    wait_for_done(&env, 4);
    live.signal(Signal::KILL);
    live.wait();
    env.write("go", "");
    (env, input)
}

#[test]
fn a_command_that_is_broken_now_is_not_held_against_the_records() {
    let (env, input) = killed_script();
    let run = |command: &[&str]| {
        let run = mtask(&env, &["-j1", "--max-restarts", "3", "--"]).args(command);
        let done = run.run_on(&input);
        done.assert_status(125);
        assert!(failures(&env).is_empty());
        done
    };
    // Other words.
    run(&["sh", "-c", "exit 3"]);
    run(&["sh", "-c", "read x; exit 3"]);
    run(&["sh", "./w.sh"]);
    // Another script.
    for broken in [
        "exit 3",
        "read x; exit 3",
        "while read x; do ech $x || exit 3; done",
        "fi",
    ] {
        env.write("w.sh", broken);
        run(&["sh", "w.sh"]);
    }
    // The same, and something else is not as it was.
    env.write("w.sh", SCRIPT);
    env.write("broken", "");
    run(&["sh", "w.sh"]);
    fs::remove_file(env.path("broken")).expect("removed");
    let done = mtask(&env, &["-j1", "--", "sh", "w.sh"]).run_on(input);
    done.assert_status(123);
    assert_eq!(failures(&env), expected(2, "worker_exit"));
}

#[test]
fn a_command_that_was_mended_does_what_is_left() {
    let (env, input) = killed_script();
    env.write("w.sh", "while read -r x; do echo \"$x\"; done");
    let done = mtask(&env, &["-j1", "--", "sh", "w.sh"]).run_on(&input);
    done.assert_status(0);
    assert_eq!(env.read("out"), input);
}

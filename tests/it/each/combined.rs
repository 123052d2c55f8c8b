//! `--each` together with what is asked of runs of all kinds.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::done::{ERROR_MARK, numbers};
use crate::env::{Run, TestEnv, mtask, wait_until};
use crate::property::{Random, seeds};

/// A record's number of lines, none among them; every fifth fails.
const SOME: &str = "[ $(($1 % 5)) != 4 ] || exit 3; seq $(($1 % 4)) | sed \"s/^/$1:/\"";

/// What that writes of a record that does not fail.
fn lines_of(index: u64) -> String {
    (1..=index % 4).map(|n| format!("{index}:{n}\n")).collect()
}

fn some(run: Run) -> Run {
    run.args(["--", "sh", "-c", SOME, "sh", "{}"])
}

#[test]
fn an_envelope_and_a_pair_hold_all_that_a_process_wrote() {
    let done = some(mtask(
        "--each -j3 --on-error ignore --output-format envelope",
    ))
    .run_on(numbers(4));
    done.assert_output(
        "{\"index\":0,\"output\":\"\"}\n{\"index\":1,\"output\":\"1:1\"}\n\
         {\"index\":2,\"output\":\"2:1\\n2:2\"}\n{\"index\":3,\"output\":\"3:1\\n3:2\\n3:3\"}\n",
    );
    let done = some(mtask("--each -j3 --output-format pair")).run_on("0\n2\n");
    done.assert_output(
        "{\"index\":0,\"input\":\"0\",\"output\":\"\"}\n\
         {\"index\":1,\"input\":\"2\",\"output\":\"2:1\\n2:2\"}\n",
    );
}

#[test]
fn errors_stand_apart_and_name_their_records() {
    let env = TestEnv::new();
    let run = some(env.mtask().words("--each -j3 --errors bad"));
    let expected: String = (0..10).filter(|n| n % 5 != 4).map(lines_of).collect();
    run.run_on(numbers(10)).assert_status(123).assert_stdout(expected);
    let of_line = |line: &String| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64();
    let failed: BTreeSet<_> = env.lines("bad").iter().map(of_line).collect();
    assert_eq!(failed, [Some(4), Some(9)].into());
}

#[test]
fn the_log_tells_of_each_record_and_each_process() {
    let env = TestEnv::new();
    some(env.mtask().words("--each -j3 --log log")).run_on(numbers(10)).assert_status(123);
    let events: Vec<Value> =
        env.lines("log").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| -> Vec<&Value> {
        events.iter().filter(|event| event["event"] == kind).collect()
    };
    assert_eq!((of("started").len(), of("ended").len()), (10, 10));
    let settled: BTreeSet<_> = of("settled")
        .iter()
        .map(|event| {
            (
                event["index"].as_u64().unwrap(),
                event["outcome"] == "result",
            )
        })
        .collect();
    assert_eq!(settled, (0..10).map(|n| (n, n % 5 != 4)).collect());
    // The statuses are those of the processes.
    let bad = of("ended").iter().filter(|event| event["exit_code"] == 3).count();
    assert_eq!(bad, 2);
}

#[test]
fn what_failed_is_run_again_in_its_place() {
    let env = TestEnv::new();
    let run = |script: &str, more: &str| {
        let run = env.mtask().words("--each -j2 --resume j -o out").words(more);
        run.args(["--", "sh", "-c", script, "sh", "{}"]).run_on(numbers(12))
    };
    run(SOME, "").assert_status(123);
    let mended = "echo $1 >> runs; seq $(($1 % 4)) | sed \"s/^/$1:/\"";
    run(mended, "--retry-failed").assert_status(0);
    let mut runs = env.lines("runs");
    runs.sort();
    assert_eq!(runs, ["4", "9"]);
    let expected: String = (0..12).map(lines_of).collect();
    assert_eq!(String::from_utf8(env.read("out")).unwrap(), expected);
}

#[test]
fn shards_are_parts_of_the_same_run() {
    let env = TestEnv::new();
    env.write("in", numbers(20));
    let mut all = Vec::new();
    for shard in ["0/3", "1/3", "2/3"] {
        let run = env.mtask().words("--each -j2 -i in --shard").args([shard]);
        all.extend(run.args(["--", "echo"]).run().assert_status(0).stdout.clone());
    }
    assert_eq!(all, numbers(20));
}

#[test]
fn each_process_has_the_gpu_of_its_worker_and_its_record() {
    let script = "echo $1 $CUDA_VISIBLE_DEVICES $2";
    let done = mtask("--each -u --gpus 3,5")
        .args(["--", "sh", "-c", script, "sh", "{gpu}"])
        .run_on(numbers(6));
    done.assert_status(0);
    let text = String::from_utf8(done.stdout.clone()).unwrap();
    let mut records = BTreeSet::new();
    for line in text.lines() {
        let [gpu, seen, record] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        assert!(gpu == seen && ["3", "5"].contains(&gpu), "{line}");
        records.insert(record.to_owned());
    }
    assert_eq!(records.len(), 6, "{text}");
}

#[test]
#[cfg(target_os = "linux")]
fn each_process_runs_on_the_cpus_of_its_worker() {
    let script = "echo $MTASK_WORKER $(grep Cpus_allowed_list: /proc/self/status)";
    let done = mtask("--each -u -j1 --pin -- sh -c").args([script]).run_on(numbers(3));
    done.assert_status(0);
    let text = String::from_utf8(done.stdout.clone()).unwrap();
    let seen: BTreeSet<_> = text.lines().collect();
    assert_eq!((text.lines().count(), seen.len()), (3, 1), "{text}");
}

#[test]
fn after_as_many_failures_as_are_allowed_no_process_begins() {
    let env = TestEnv::new();
    let script = "echo x >> runs; exit 1";
    let done =
        env.mtask().words("--each -j1 --max-errors 3 -- sh -c").args([script]).run_on(numbers(50));
    done.assert_status(123);
    assert_eq!(done.error_records().len(), env.lines("runs").len());
    assert_eq!(env.lines("runs").len(), 3);
}

/// Rows whose processes write many lines, one or none, or fail; the last one lets no run end before
/// one was killed.
const ROWS: u64 = 90;

/// Whenever mtask is killed, with its processes or alone, the files are in the end those of an
/// undisturbed run.
#[test]
fn rows_with_many_results_and_none_survive_whatever_is_killed() {
    let rows: String = (0..ROWS).map(|n| format!("{n},\"a, {n}\"\n")).collect();
    let script = format!(
        "[ $1 != {} ] || while ! [ -e killed ]; do sleep 0.01; done; {SOME}; \
         [ $(($1 % 4)) = 0 ] || echo \"$2\"",
        ROWS - 1
    );
    for (number, options) in ["", "-u --errors errors"].into_iter().enumerate() {
        let run = |env: &TestEnv, more: &str| {
            let run = env.mtask().words("--each --format csv -o out").words(options).words(more);
            let run = run.args(["--", "sh", "-c", &script, "sh", "{n}", "{text}"]);
            run.stdin(format!("n,text\n{rows}"))
        };
        let undisturbed = TestEnv::new();
        undisturbed.write("killed", "");
        run(&undisturbed, "-j2").run().assert_status(123);
        for seed in seeds().into_iter().take(2) {
            let env = TestEnv::new();
            let mut random = Random(seed.wrapping_add(number as u64));
            let size =
                |env: &TestEnv| fs::metadata(env.path("out")).map_or(0, |it| it.len() as usize);
            let mut killed = 0;
            let done = loop {
                let jobs = format!("--resume j -j{}", 1 + random.below(3));
                let mut live = run(&env, &jobs).start();
                let enough = size(&env) + 1 + random.below(size(&undisturbed) / 5);
                wait_until("the moment or the end", || {
                    live.has_ended() || killed < 8 && size(&env) >= enough
                });
                if !live.has_ended() {
                    match random.below(2) {
                        0 => live.signal(Signal::KILL),
                        _ => live.kill_group(),
                    }
                    killed += 1;
                    env.write("killed", "");
                }
                let done = live.wait();
                if done.status.code().is_some() {
                    break done;
                }
            };
            let what = format!("MTASK_TEST_SEED={seed} {options}, killed {killed} times");
            done.check(done.status.code() == Some(123), &what);
            assert!(killed > 0, "{what}");
            for name in ["out", "errors"] {
                let is_unordered = !options.is_empty();
                let (left, right) = (
                    comparable(&env, name, is_unordered),
                    comparable(&undisturbed, name, is_unordered),
                );
                done.check(left == right, &format!("{what}: {name}"));
            }
        }
    }
}

/// The lines of a file without what error records may tell differently.
fn comparable(env: &TestEnv, name: &str, is_unordered: bool) -> Vec<String> {
    let of_line = |line: String| {
        if !line.as_bytes().starts_with(ERROR_MARK) {
            return line;
        }
        let mut record: Value = serde_json::from_str(&line).expect("an error record");
        record.as_object_mut().expect("an object").remove("worker");
        record.to_string()
    };
    let mut lines: Vec<_> = env.lines(name).into_iter().map(of_line).collect();
    if is_unordered {
        lines.sort_unstable();
    }
    lines
}

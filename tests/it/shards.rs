//! `--shard` and `--join`: the shards of a run, each a run of its own, and their outputs as one.

mod files;

use std::fs::{self, OpenOptions};
use std::io::Write;

use rustix::process::Signal;

use crate::done::{Done, numbers};
use crate::env::TestEnv;

/// What the shards are run with.
const JOURNALS: [&str; 2] = ["--resume", "j-{shard}"];
const JOIN: [&str; 3] = ["--join", "--resume", "j-{shard}"];

/// Lines of which some are no JSON, so that their records fail.
fn mixed(count: usize) -> Vec<u8> {
    let line = |number: usize| match number % 7 {
        3 => format!("broken {number}\n"),
        5 => "\n".to_owned(),
        _ => format!("{{\"n\":{number}}}\n"),
    };
    (0..count).flat_map(|number| line(number).into_bytes()).collect()
}

/// Runs a shard of the file `in`.
fn run_shard(env: &TestEnv, shard: &str, options: &[&str]) -> Done {
    let run = env.mtask().args(["-j2", "-i", "in", "-o", "o-{shard}", "--shard", shard]);
    run.args(JOURNALS).args(options).args(["cat"]).run()
}

fn run_all(env: &TestEnv, of: usize, options: &[&str]) {
    for number in 0..of {
        run_shard(env, &format!("{number}/{of}"), options);
    }
}

fn join(env: &TestEnv, options: &[&str]) -> Done {
    env.mtask().args(JOIN).args(options).run()
}

#[test]
fn shards_joined_are_what_one_run_writes() {
    let forms: [&[&str]; 4] = [
        &[],
        &["--format", "jsonl"],
        &["--format", "jsonl", "--output-format", "envelope"],
        &["--format", "jsonl", "-u", "--error-input", "none"],
    ];
    for form in forms {
        for of in [1, 3, 12] {
            let env = TestEnv::new();
            env.write("in", mixed(500));
            let whole = env.mtask().args(["-j1", "-i", "in"]).args(form).echo().run();
            run_all(&env, of, form);
            let joined = join(&env, &["-o", "all", "o-{shard}"]);
            joined.assert_status(whole.status.code().unwrap());
            let (mut found, mut expected) = (outcomes(&env.read("all")), outcomes(&whole.stdout));
            if form.contains(&"-u") {
                found.sort_unstable();
                expected.sort_unstable();
            }
            joined.check(
                found == expected,
                &format!("{form:?}, {of} shards: not the same"),
            );
            joined.assert_stderr_has(&format!("{of} shard"));
        }
    }
}

/// The lines as they are, but for where in the input an invalid record stands: a shard counts lines
/// from where it begins.
fn outcomes(text: &[u8]) -> Vec<String> {
    let text = str::from_utf8(text).unwrap();
    let without_place = |line: &str| match line.split_once("not valid JSON") {
        Some((before, rest)) => {
            let (_, after) = rest.split_once("\",\"").expect("a message and more");
            format!("{before}{after}")
        }
        None => line.to_owned(),
    };
    text.split_inclusive('\n').map(without_place).collect()
}

#[test]
fn there_may_be_more_shards_than_records_and_records_that_end_with_nul() {
    let env = TestEnv::new();
    env.write("in", "a\0\nb\0c");
    run_all(&env, 9, &["-0"]);
    join(&env, &["-o", "all", "o-{shard}"]).assert_status(0);
    assert_eq!(env.read("all"), b"a\0\nb\0c\0");
}

#[test]
fn error_records_apart_are_joined_apart() {
    let env = TestEnv::new();
    env.write("in", mixed(300));
    let options = ["--format", "jsonl", "--errors", "e-{shard}"];
    let whole = env.mtask().args(["-i", "in", "--format", "jsonl", "--errors", "e"]).echo().run();
    run_all(&env, 4, &options);
    let joined = join(
        &env,
        &["-o", "all", "--errors", "errors", "o-{shard}", "e-{shard}"],
    );
    joined.assert_status(123).assert_stderr_has("43 failed, in shards 0-3");
    assert_eq!(env.read("all"), whole.stdout);
    assert_eq!(outcomes(&env.read("errors")), outcomes(&env.read("e")));
    join(&env, &["-o", "all", "o-{shard}"])
        .assert_status(1)
        .assert_stderr_has("with --errors");
}

#[test]
fn the_status_is_that_of_one_run() {
    let env = TestEnv::new();
    env.write("in", mixed(100));
    run_all(&env, 2, &["--format", "jsonl"]);
    join(&env, &["o-{shard}"]).assert_status(123);
    join(&env, &["--on-error", "ignore", "o-{shard}"]).assert_status(0);
    join(&env, &["-q", "--on-error", "ignore", "o-{shard}"]).assert_stderr_empty();
}

#[test]
fn nothing_is_joined_unless_all_is_there_and_each_fault_is_named() {
    let env = TestEnv::new();
    env.write("in", numbers(100));
    run_all(&env, 12, &[]);
    let refused = |fault: &str, way_out: &str| {
        let done = join(&env, &["-o", "all", "o-{shard}"]);
        done.assert_status(1).assert_stderr_has(fault).assert_stderr_has(way_out);
        done.check(!env.exists("all"), "something was written");
    };
    // Missing, and of another number of shards.
    fs::rename(env.path("j-03"), env.path("away")).unwrap();
    refused("shard 3 of 12 is missing", "--array=3 in Slurm");
    run_shard(&env, "3/5", &[]);
    refused(
        "j-3 is not of this run: it is of --shard 3/5",
        "11 of 12 shards are done",
    );
    fs::remove_file(env.path("j-3")).unwrap();
    fs::copy(env.path("j-04"), env.path("j-03")).unwrap();
    refused(
        "shard 3 of 12 is of another run: the journal is of --shard 4/12",
        "--array=3",
    );
    fs::rename(env.path("away"), env.path("j-03")).unwrap();
    // Not what the journal vouches for.
    let mut output = OpenOptions::new().append(true).open(env.path("o-07")).unwrap();
    output.write_all(b"more\n").unwrap();
    refused("o-07 is not what the journal vouches for", "--array=7");
    // That is mended by running it again.
    run_shard(&env, "7/12", &[]).assert_status(0);
    // Damaged.
    let journal = env.read("j-08");
    env.write("j-08", &journal[..journal.len() - 10]);
    refused("shard 8 of 12 is unfinished", "--array=8");
    run_shard(&env, "8/12", &[]).assert_status(0);
    // Of another input.
    env.write("in", numbers(101));
    fs::remove_file(env.path("j-10")).unwrap();
    fs::remove_file(env.path("o-10")).unwrap();
    run_shard(&env, "10/12", &[]).assert_status(0);
    refused("it has --input of ", "--array=10");
    env.write("in", numbers(100));
    run_shard(&env, "10/12", &[]).assert_status(2);
    fs::remove_file(env.path("j-10")).unwrap();
    fs::remove_file(env.path("o-10")).unwrap();
    run_shard(&env, "10/12", &[]).assert_status(0);
    join(&env, &["-o", "all", "o-{shard}"]).assert_status(0);
    assert_eq!(env.read("all"), numbers(100));
}

#[test]
fn a_shard_that_was_interrupted_or_killed_is_unfinished_until_it_is_run_again() {
    for signals in [&[Signal::INT, Signal::INT][..], &[Signal::KILL]] {
        let env = TestEnv::new();
        env.write("in", numbers(50));
        run_shard(&env, "0/2", &[]);
        env.fifo("gate");
        let run = env.mtask().args(["-j1", "-i", "in", "-o", "o-{shard}", "--shard", "1/2"]);
        let live = run.args(JOURNALS).args(["sh", "-c", "read a; echo $a; cat gate"]).start();
        env.wait_for_lines("o-1", 1);
        for signal in signals {
            live.signal(*signal);
        }
        live.wait().assert_signal(signals[0]);
        join(&env, &["-o", "all", "o-{shard}"])
            .assert_status(1)
            .assert_stderr_has("shard 1 of 2 is unfinished");
        run_shard(&env, "1/2", &[]).assert_status(0);
        join(&env, &["-o", "all", "o-{shard}"]).assert_status(0);
        assert_eq!(env.read("all"), numbers(50));
    }
}

#[test]
fn results_that_look_like_error_records_are_not_renumbered() {
    let env = TestEnv::new();
    let look = "{\"mtask_error\":\"worker_exit\",\"index\":2,\"message\":\"\"}\n";
    env.write("in", format!("1\n2\n{look}4\n5\n{look}7\n"));
    // Without a failure nothing is one.
    run_all(&env, 3, &[]);
    join(&env, &["-o", "all", "o-{shard}"]).assert_status(0);
    assert_eq!(env.read("all"), env.read("in"));
    // In order, an error record stands in the line of its index. The first shard is the first line.
    let long = "0".repeat(400);
    let env = TestEnv::new();
    let input = format!("\"{long}\"\n1\n2\n3\n{look}broken\n5\n{look}7\n");
    env.write("in", &input);
    run_all(&env, 2, &["--format", "jsonl"]);
    let whole = env.mtask().args(["-i", "in", "--format", "jsonl"]).echo().run();
    join(&env, &["-o", "all", "o-{shard}"]).assert_status(123);
    assert_eq!(outcomes(&env.read("all")), outcomes(&whole.stdout));
    // Unordered nobody can tell.
    let env = TestEnv::new();
    env.write("in", &input);
    run_all(&env, 2, &["--format", "jsonl", "-u"]);
    join(&env, &["-o", "all", "o-{shard}"])
        .assert_status(1)
        .assert_stderr_has("look like error records");
    assert!(!env.exists("all"));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let env = TestEnv::new();
    env.write("in", numbers(9));
    run_all(&env, 2, &[]);
    let refused = |args: &[&str], text: &str| {
        env.mtask().args(args).run().assert_status(2).assert_stderr_has(text);
    };
    refused(
        &["--shard", "2/2", "-i", "in", "cat"],
        "the last of 2 shards is 1/2",
    );
    refused(
        &["--shard", "0/2", "cat"],
        "standard input is read but once",
    );
    refused(
        &["--shard", "0/2", "-i", "/dev/null", "cat"],
        "no regular file",
    );
    refused(&["--join", "o-{shard}"], "--resume");
    refused(&["--join", "--resume", "j-{shard}", "o-1"], "{shard}");
    refused(&["--join", "--resume", "j-1", "o-{shard}"], "{shard}");
    refused(&["--join", "--resume", "j-{shard}"], "OUT-{shard}");
    refused(
        &[
            "--join",
            "--resume",
            "j-{shard}",
            "-o",
            "a-{shard}",
            "o-{shard}",
        ],
        "one file",
    );
    refused(
        &["--join", "--resume", "j-{shard}", "-o", "o-1", "o-{shard}"],
        "o-1",
    );
    refused(
        &["--join", "--resume", "j-{shard}", "-i", "in", "o-{shard}"],
        "--input",
    );
    let none = env.mtask().args(["--join", "--resume", "k-{shard}", "o-{shard}"]).run();
    none.assert_status(1).assert_stderr_has("no journal");
}

#[test]
fn a_shard_says_where_in_the_file_an_invalid_record_stands() {
    let env = TestEnv::new();
    env.write("in", "1\n2\n3\n4\n[\n6\n");
    let done = env.mtask().args(["--shard", "1/2", "-i", "in", "--format", "jsonl"]).echo().run();
    let record = done.assert_one_error(1, "invalid_input");
    let message = record["message"].as_str().unwrap();
    assert!(
        message.contains("in from byte 6 on at line 2 column 1"),
        "{message}"
    );
}

#[test]
fn envelopes_and_error_records_apart_are_joined() {
    let env = TestEnv::new();
    env.write("in", mixed(300));
    let form = ["--format", "jsonl", "--output-format", "envelope"];
    let whole = env.mtask().args(["-i", "in", "--errors", "e"]).args(form).echo().run();
    run_all(&env, 4, &[&form[..], &["--errors", "e-{shard}"]].concat());
    let names = ["-o", "all", "--errors", "errors", "o-{shard}", "e-{shard}"];
    join(&env, &names).assert_status(123);
    assert_eq!(env.read("all"), whole.stdout);
    assert_eq!(outcomes(&env.read("errors")), outcomes(&env.read("e")));
}

#[test]
fn results_longer_than_what_is_read_at_a_time_are_renumbered() {
    let env = TestEnv::new();
    let line = |number: usize| format!("{}\n", "x".repeat(number * 97_001 % 700_000));
    env.write("in", (0..30).map(line).collect::<String>());
    let form = ["--output-format", "envelope"];
    let whole = env.mtask().args(["-i", "in"]).args(form).echo().run();
    run_all(&env, 3, &form);
    join(&env, &["-o", "all", "o-{shard}"]).assert_status(0);
    assert!(env.read("all") == whole.stdout, "not the same");
}

#[test]
fn one_shard_among_many_others_is_of_another_run_whatever_its_number() {
    let env = TestEnv::new();
    env.write("in", numbers(30));
    run_shard(&env, "0/4", &["-u"]);
    for number in 1..4 {
        run_shard(&env, &format!("{number}/4"), &[]);
    }
    join(&env, &["-o", "all", "o-{shard}"])
        .assert_status(1)
        .assert_stderr_has("shard 0 of 4 is of another run: it has --unordered yes")
        .assert_stderr_has("move journals that are damaged or of another run away")
        .assert_stderr_has("--array=0 in");
}

#[test]
fn however_many_shards_there_are_those_that_are_missing_are_named() {
    let env = TestEnv::new();
    env.write("in", numbers(30));
    let of = u64::MAX;
    for number in [7, of - 2] {
        run_shard(&env, &format!("{number}/{of}"), &[]).assert_status(0);
    }
    let missing = format!("shards 0-6,8-{},{} of {of} are missing", of - 3, of - 1);
    join(&env, &["-o", "all", "o-{shard}"])
        .assert_status(1)
        .assert_stderr_has(&missing)
        .assert_stderr_has("2 of ");
    // A task that was killed before it began a journal.
    env.write(&format!("j-{:020}", 8), "");
    join(&env, &["-o", "all", "o-{shard}"])
        .assert_status(1)
        .assert_stderr_has("is unfinished: the journal has not been begun");
}

#[test]
fn files_that_all_shards_would_share_are_refused() {
    let env = TestEnv::new();
    env.write("in", numbers(9));
    let shard = |of: &str, files: &[&str]| {
        let run = env.mtask().args(["-i", "in", "--shard", of]).args(files);
        run.args(["cat"]).run()
    };
    for files in [
        &["-o", "out"][..],
        &["--errors", "e"],
        &["--resume", "j", "-o", "o-{shard}"],
    ] {
        shard("1/2", files).assert_status(2).assert_stderr_has("for all 2 shards");
    }
    for files in [
        &["-o", "out-1"][..],
        &["-o", "/dev/null"],
        &["-o", "-"],
        &[],
    ] {
        shard("1/2", files).assert_status(0);
    }
    shard("0/1", &["-o", "out"]).assert_status(0);
}

#[test]
fn a_journal_that_is_no_regular_file_is_named() {
    let env = TestEnv::new();
    env.write("in", numbers(9));
    run_all(&env, 2, &[]);
    fs::remove_file(env.path("j-1")).unwrap();
    let _pipe = env.fifo("j-1");
    join(&env, &["o-{shard}"]).assert_status(1).assert_stderr_has("no regular file");
}

//! What a retry refuses, and what it leaves as it was.

use std::fs;
use std::io::Write;

use super::*;

const JOB: Job = Job {
    options: &["--protocol", "json"],
    worker: &["--json"],
    input: values,
};

/// How many records there are.
const COUNT: usize = 30;

/// A run of which some records have failed; the worker is mended by now.
fn failed() -> TestEnv {
    let env = TestEnv::new();
    JOB.run(&env, COUNT, &[]).run().assert_status(123);
    env.write("mended", "");
    env
}

/// The files of a run, and those beside, of which that of the outcomes may be cut back.
fn all_files(env: &TestEnv) -> Vec<(&'static str, Vec<u8>)> {
    let names = ["journal", "out", "journal.retry", "out.retried"];
    let there = names.into_iter().filter(|name| env.exists(name));
    there.map(|name| (name, env.read(name))).collect()
}

/// Nothing has changed, and the retry goes on once it is as it should be.
#[track_caller]
fn assert_goes_on(env: &TestEnv) {
    let (expected, status) = JOB.mended(COUNT);
    let done = JOB.try_again(env, COUNT);
    done.assert_status(status);
    done.check(JOB.files(env) == expected, "it goes on");
    assert_nothing_is_left(env);
}

/// A retry that was cut short.
fn cut_short() -> TestEnv {
    let env = failed();
    let done = JOB.run(&env, COUNT, &["--retry-failed", "--on-error", "raise"]).run();
    done.assert_status(123).assert_stderr_has("the output is as it was");
    assert!(env.exists("journal.retry") && env.exists("out.retry"));
    env
}

#[test]
fn it_needs_a_journal_and_is_no_join() {
    let env = TestEnv::new();
    let refused = |options: &[&str]| env.mtask().args(options).run();
    let done = refused(&["--retry-failed", "-o", "out", "cat"]);
    done.assert_status(2).assert_stderr_has("--retry-failed needs --resume");
    let done = refused(&[
        "--join",
        "--retry-failed",
        "--resume",
        "j-{shard}",
        "o-{shard}",
    ]);
    done.assert_status(2).assert_stderr_has("--retry-failed with --shard");
}

#[test]
fn a_run_that_tries_nothing_again_keeps_off_until_that_has_ended() {
    let env = cut_short();
    let before = all_files(&env);
    let done = JOB.run(&env, COUNT, &[]).run();
    done.assert_status(2)
        .assert_stderr_has("add --retry-failed")
        .assert_stderr_has("journal.retry");
    assert!(all_files(&env) == before);
    assert_goes_on(&env);
}

#[test]
fn what_was_tried_may_be_left() {
    let env = cut_short();
    fs::remove_file(env.path("journal.retry")).expect("removed");
    // What nothing tells of is not written over.
    let done = JOB.try_again(&env, COUNT);
    done.assert_status(2).assert_stderr_has("out.retry is not empty");
    fs::remove_file(env.path("out.retry")).expect("removed");
    JOB.run(&env, COUNT, &[]).run().assert_status(123);
    assert_goes_on(&env);
}

#[test]
fn what_is_in_the_way_is_not_written_over() {
    let env = failed();
    env.write("out.retried", "precious\n");
    let before = all_files(&env);
    let done = JOB.try_again(&env, COUNT);
    done.assert_status(2).assert_stderr_has("out.retried is in the way");
    assert!(all_files(&env) == before);
    fs::remove_file(env.path("out.retried")).expect("removed");
    for name in ["out.retry", "journal.retry"] {
        env.write(name, "precious\n");
        let before = all_files(&env);
        let done = JOB.try_again(&env, COUNT);
        done.assert_status(2).assert_stderr_has(name);
        assert!(all_files(&env) == before);
        // That is nothing to a run that tries nothing again.
        JOB.run(&env, COUNT, &[]).run().assert_status(123);
        fs::remove_file(env.path(name)).expect("removed");
    }
    assert_goes_on(&env);
}

#[test]
fn a_file_that_was_changed_in_between_is_refused_by_name() {
    // The length and the end of the output are as they were, and an error record is not.
    let (env, count) = (TestEnv::new(), 100);
    JOB.run(&env, count, &[]).run().assert_status(123);
    env.write("mended", "");
    let out = env.read("out");
    let text = String::from_utf8(out.clone()).expect("UTF-8");
    env.write(
        "out",
        text.replacen("{\"mtask_error\"", "{\"mtask-error\"", 1),
    );
    let done = JOB.try_again(&env, count);
    done.assert_status(1).assert_stderr_has("out has no error record at byte 0");
    env.write("out", &out);
    JOB.try_again(&env, count).assert_status(123);
    assert!(JOB.files(&env) == JOB.mended(count).0);

    // So is what was tried again, and which run that was of.
    for (name, why) in [
        ("out.retry", "out.retry"),
        ("journal.retry", "journal.retry is damaged"),
        ("journal", "journal has changed"),
    ] {
        let env = cut_short();
        let kept = env.read(name);
        let changed = match name {
            // An earlier moment.
            "journal" => {
                kept.split_inclusive(|byte| *byte == b'\n').next().expect("a line").to_vec()
            }
            "out.retry" => Vec::new(),
            _ => {
                String::from_utf8_lossy(&kept).replacen("\"done\":[[0,", "\"done\":[[1,", 1).into()
            }
        };
        assert!(changed != kept, "{name}");
        env.write(name, changed);
        let before = all_files(&env);
        let done = JOB.try_again(&env, COUNT);
        done.assert_status(1).assert_stderr_has(why);
        assert!(all_files(&env) == before, "{name}");
        env.write(name, kept);
        assert_goes_on(&env);
    }
}

#[test]
fn a_file_that_is_replaced_meanwhile_is_not_written_over() {
    for name in ["out", "journal"] {
        let env = TestEnv::new();
        let input = records([
            "0",
            "\"1 @unless:mended @error:no\"",
            "\"2 @unless:mended @error:no\"",
        ]);
        env.write("in", input);
        let run = |more: &[&str]| {
            let run = env.mtask().args(["-j1", "--protocol", "json", "-i", "in"]).args(&AGAIN[..4]);
            run.args(more)
        };
        run(&[]).worker(["--json"]).run().assert_status(123);
        env.write("mended", "");
        let live = run(&["--retry-failed"])
            .worker(["--json", "--at", "2", "@touch:begun @wait:go"])
            .start();
        env.wait_for("begun");
        let kept = env.read(name);
        fs::rename(env.path(name), env.path("kept")).expect("renamed");
        env.write(name, "another\n");
        env.write("go", "");
        let done = live.wait();
        done.assert_status(1).assert_stderr_has(&format!("{name} is another file"));
        assert_eq!(env.read(name), b"another\n");
        env.write(name, kept);
        run(&["--retry-failed"]).worker(["--json"]).run().assert_status(0);
        assert_eq!(env.lines("out").len(), 3);
        assert!(!env.lines("out").iter().any(|line| line.contains("mtask_error")));
    }
}

#[test]
fn an_input_that_has_changed_is_refused() {
    let env = cut_short();
    let before = all_files(&env);
    let run = |input: &[u8]| {
        let input = env.write("changed", input);
        let run = env.mtask().args(AGAIN).args(["-i", &input]).args(JOB.options);
        run.worker(JOB.worker).run()
    };
    let mut changed = values(COUNT);
    let last = changed.len() - 3;
    changed[last] ^= 1;
    run(&changed).assert_status(1).assert_stderr_has("the input has changed");
    run(b"1\n").assert_status(1).assert_stderr_has("1 records now, and 30");
    assert!(all_files(&env) == before);
    assert_goes_on(&env);
}

#[test]
fn options_that_decide_what_is_written_must_be_the_same() {
    let env = failed();
    let before = all_files(&env);
    for option in ["-u", "--output-format=envelope", "--errors=errors"] {
        let done = JOB.run(&env, COUNT, &["--retry-failed", option]).run();
        done.assert_status(2).assert_stderr_has("was begun with");
    }
    assert!(all_files(&env) == before);
}

#[test]
fn while_it_runs_no_other_run_has_its_files() {
    let env = failed();
    let mut live = env.mtask().args(AGAIN).args(JOB.options).worker(JOB.worker).open();
    live.wait_for_stderr("are tried again");
    let refused = |done: Done, name: &str| {
        done.assert_status(1).assert_stderr_has(&format!("{name} is in use"));
    };
    refused(JOB.try_again(&env, COUNT), "journal");
    refused(JOB.run(&env, COUNT, &[]).run(), "journal");
    for name in ["out", "out.retry"] {
        let done = env.mtask().args(["-o", name, "cat"]).run();
        refused(done, name);
    }
    let mut stdin = live.take_stdin();
    stdin.write_all(&values(COUNT)).expect("written");
    drop(stdin);
    let (expected, status) = JOB.mended(COUNT);
    live.wait().assert_status(status);
    assert!(JOB.files(&env) == expected);
}

#[test]
fn where_there_is_no_room_to_write_the_output_anew_all_stays_and_no_record_is_sent_again() {
    let env = TestEnv::new();
    let large = |i: usize| format!("\"{i} {}\"", "x".repeat(200));
    let input = records((0..1000).map(|i| match i % 100 {
        50 => format!("\"{i} @note:noted @unless:mended @error:no\""),
        _ => large(i),
    }));
    env.write("in", &input);
    let run = |more: &[&str]| {
        let run = env.mtask().args(["-j1", "--protocol", "json", "-i", "in"]).args(&AGAIN[..4]);
        run.args(more).worker(["--json"])
    };
    run(&[]).run().assert_status(123);
    env.write("mended", "");
    let (journal, out) = (env.read("journal"), env.read("out"));
    let limited = run(&["--retry-failed"]);
    let limited = limited.shell("trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"").run();
    limited.assert_status(1).assert_stderr_has("cannot write out.retried");
    assert!(env.read("out") == out && env.read("journal") == journal && !env.exists("out.retried"));
    run(&["--retry-failed"]).run().assert_status(0);
    assert_eq!(env.read("out"), input);
    assert_eq!(env.lines("noted").len(), 20, "once by each worker");
    assert_nothing_is_left(&env);
}

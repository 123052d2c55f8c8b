//! What cannot be gone on with is refused, and nothing is changed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::done::{Done, numbers, records};
use crate::env::{TestEnv, wait_until};

use super::{mtask, resumable};

/// A finished run of 10 records, with error records in a file of their own.
fn finished() -> TestEnv {
    let env = TestEnv::new();
    let done = mtask(&env, &["-j1", "--errors", &env.path("errors")]).echo().run_on(input());
    done.assert_status(123);
    assert!(!env.read("errors").is_empty());
    env
}

fn input() -> Vec<u8> {
    records(["0", "1 @die:3", "2", "3", "4"])
}

/// Runs `options` and asserts that it is refused with these words, and that no file has changed.
#[track_caller]
pub(super) fn assert_refused(
    env: &TestEnv,
    options: &[&str],
    input: &[u8],
    status: i32,
    words: &[&str],
) {
    let files = || {
        let read = |name| env.exists(name).then(|| env.read(name));
        ["journal", "out", "errors"].map(read)
    };
    let before = files();
    let done: Done =
        env.mtask().args(options).worker(["--pids", &env.path("refused.pids")]).run_on(input);
    done.assert_status(status);
    for word in words {
        done.assert_stderr_has(word);
    }
    done.check(before == files(), "a file was changed");
    done.check(!env.exists("refused.pids"), "a worker was started");
}

/// The arguments of [`finished`] and `more`.
fn options<'a>(base: &'a [String], errors: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let base = base.iter().map(String::as_str);
    base.chain(["-j1", "--errors", errors]).chain(more.iter().copied()).collect()
}

/// Waits until the journal vouches for so many records.
pub(super) fn wait_for_done(env: &TestEnv, count: u64) {
    wait_until(&format!("entries for {count} records"), || {
        let entries = env.lines("journal").into_iter().skip(1);
        entries
            .flat_map(|line| {
                let (_, json) = line.split_once(' ').expect("a checksum");
                let entry: Value = serde_json::from_str(json).expect("an entry");
                let ranges = entry["done"].as_array().cloned().expect("ranges");
                ranges.into_iter().map(|range| range[1].as_u64())
            })
            .sum::<Option<u64>>()
            == Some(count)
    });
}

#[test]
fn options_that_decide_what_is_written_must_be_the_same() {
    let env = finished();
    let (base, errors) = (resumable(&env), env.path("errors"));
    let changes: &[(&[&str], &str)] = &[
        (
            &["--format", "jsonl"],
            "begun with --format lines, and is to go on with --format jsonl: give the same",
        ),
        (
            &["-0"],
            "begun without --null, and is to go on with --null: give the same",
        ),
        (
            &["-0", "-u"],
            "begun without --null and without --unordered, and is to go on with --null and with \
             --unordered: give",
        ),
        (&["--max-record", "1K"], "--max-record"),
        (&["--protocol", "json"], "--protocol"),
        (&["-u"], "--unordered"),
        (&["--output-format", "envelope"], "--output-format raw"),
        (&["--error-input", "none"], "--error-input whole"),
    ];
    for (change, named) in changes {
        let options = options(&base, &errors, change);
        assert_refused(&env, &options, &input(), 2, &["--resume", named]);
    }
    let base: Vec<_> = base.iter().map(String::as_str).chain(["-j1"]).collect();
    assert_refused(&env, &base, &input(), 2, &["is to go on without --errors:"]);
    env.mtask()
        .args(options(&resumable(&env), &errors, &[]))
        .echo()
        .run_on(input())
        .assert_status(123);
}

#[test]
fn it_needs_an_output_file() {
    let env = TestEnv::new();
    let journal = env.path("journal");
    for more in [&[][..], &["-o", "-"]] {
        let options = [&["--resume", &journal], more].concat();
        assert_refused(&env, &options, b"", 2, &["--resume", "--output"]);
    }
    let options = ["--resume", &journal, "-o", "/dev/null"];
    assert_refused(&env, &options, b"", 2, &["/dev/null", "no regular file"]);
    let out = env.path("out");
    let options = ["--resume", &journal, "-o", &out, "--at-most-once"];
    assert_refused(&env, &options, b"", 2, &["--at-most-once"]);
    let options = ["--resume", &out, "-o", &out];
    assert_refused(&env, &options, b"", 2, &["--resume", "where results go"]);
    assert!(!env.exists("out") && !env.exists("journal"));
}

#[test]
fn an_input_that_has_changed_is_refused() {
    let env = finished();
    let (base, errors) = (resumable(&env), env.path("errors"));
    let options = options(&base, &errors, &[]);
    for (changed, why) in [
        (&b"0\n1\n2\n3\n4\n"[..], "not the same"),
        (b"0\n1 @die:3\n2\n3", "4 records now, and 5"),
        (b"", "0 records now"),
        (b"0\n\n1 @die:3\n2\n3\n4\n", "not the same"),
        (b"0\n1 @die:3\n2\n3\n44\n", "not the same"),
    ] {
        assert_refused(&env, &options, changed, 1, &["the input has changed", why]);
    }
    // One that is longer than all buffers, and differs at its end.
    let env = TestEnv::new();
    let input = numbers(300_000);
    mtask(&env, &["-j1"]).echo().run_on(&input).assert_status(0);
    let mut changed = input;
    let last = changed.len() - 2;
    changed[last] ^= 1;
    let base = resumable(&env);
    let options: Vec<_> = base.iter().map(String::as_str).collect();
    assert_refused(&env, &options, &changed, 1, &["not the same"]);
}

#[test]
fn an_input_that_has_changed_after_its_last_good_record_is_refused() {
    let env = TestEnv::new();
    let mut live = mtask(&env, &["--format", "jsonl"]).echo().open();
    for record in ["1", "bad one", "bad two"] {
        live.send(record);
    }
    wait_for_done(&env, 3);
    live.signal(Signal::KILL);
    live.wait_with_open_stdin();
    let base = resumable(&env);
    let base = base.iter().map(String::as_str);
    let options: Vec<_> = base.chain(["--format", "jsonl"]).collect();
    let changed = b"1\n2\n3\n4\n";
    assert_refused(&env, &options, changed, 1, &["the input has changed"]);
    let done = env.mtask().args(&options).echo();
    let done = done.run_on("1\nbad one\nbad two\n4\n");
    done.assert_status(123);
    assert_eq!(env.lines("out").len(), 4);
}

#[test]
fn outputs_that_are_not_what_they_were_are_refused() {
    for name in ["out", "errors"] {
        let env = finished();
        let (base, errors) = (resumable(&env), env.path("errors"));
        let options = options(&base, &errors, &[]);
        let whole = env.read(name);
        let option = if name == "out" {
            "--output"
        } else {
            "--errors"
        };
        env.write(name, &whole[..whole.len() - 1]);
        assert_refused(&env, &options, &input(), 1, &[option, "bytes of it"]);
        let mut other = whole.clone();
        other[0] ^= 1;
        env.write(name, &other);
        assert_refused(&env, &options, &input(), 1, &[option, "something else"]);
        fs::remove_file(env.path(name)).expect("removed");
        assert_refused(&env, &options, &input(), 1, &[option, "is not there"]);
        env.write(name, &whole);
        env.mtask().args(&options).echo().run_on(input()).assert_status(123);
    }
}

#[test]
fn an_output_that_no_journal_tells_of_is_refused() {
    for journal in [None, Some(&b""[..]), Some(b"mtask-journal 3 torn")] {
        for name in ["out", "errors"] {
            let env = TestEnv::new();
            env.write(name, "precious\n");
            if let Some(journal) = journal {
                env.write("journal", journal);
            }
            let (base, errors) = (resumable(&env), env.path("errors"));
            let options = options(&base, &errors, &[]);
            // Which of the two is there before the run is of no interest.
            let before = env.read(name);
            let done = env.mtask().args(&options).echo().run_on(numbers(3));
            done.assert_status(2).assert_stderr_has("is not empty");
            assert_eq!(env.read(name), before);
            fs::remove_file(env.path(name)).expect("removed");
            let done = env.mtask().args(&options).echo().run_on(numbers(3));
            done.assert_status(0);
            assert_eq!(env.read("out"), numbers(3));
        }
    }
}

#[test]
fn another_output_is_refused_even_where_nothing_was_done() {
    let env = TestEnv::new();
    let mut names = vec![(&b"out"[..], &b"other"[..]), (b"o\\xff", b"o\\\\xff")];
    // Apple's systems have no file names that are not UTF-8.
    if cfg!(not(target_vendor = "apple")) {
        names.extend([(&b"o\xff"[..], &b"o\xfe"[..]), (b"p\xff", b"p\\xff")]);
    }
    for (place, (first, other)) in names.into_iter().enumerate() {
        let journal = env.path(&format!("journal{place}"));
        let [first, other] =
            [first, other].map(|name| Path::new(&env.path("")).join(OsStr::from_bytes(name)));
        let run = |output: &Path| {
            let run = env.mtask().args(["--resume", &journal, "-o"]);
            run.args([output]).echo().run()
        };
        run(&first).assert_status(0);
        fs::write(&other, "precious\n").expect("a file is written");
        run(&other).assert_status(2).assert_stderr_has("not the file");
        assert_eq!(fs::read(&other).expect("it is there"), b"precious\n");
        fs::rename(&other, &first).expect("renamed");
        run(&first).assert_status(0);
    }
}

#[test]
fn links_to_one_file_that_is_not_there_are_refused() {
    let options = [
        ("--resume", "journal"),
        ("-o", "out"),
        ("--errors", "errors"),
    ];
    for (apart, _) in options {
        let env = TestEnv::new();
        let mut run = env.mtask();
        for (option, name) in options {
            if option != apart {
                symlink("missing", env.path(name)).expect("a link");
            }
            run = run.args([option, &env.path(name)]);
        }
        run.echo().run_on(numbers(3)).assert_status(2).assert_stderr_has("another");
    }
}

#[test]
fn what_is_no_journal_is_refused() {
    let env = finished();
    let journal = env.read("journal");
    let (base, errors) = (resumable(&env), env.path("errors"));
    let options = options(&base, &errors, &[]);
    env.write("journal", "my thesis\n");
    assert_refused(&env, &options, &input(), 2, &["is no journal"]);
    env.write("journal", "mtask-journal 99 whatever\n");
    assert_refused(&env, &options, &input(), 2, &["version 99"]);
    let first_line = journal.iter().position(|byte| *byte == b'\n').expect("a line");
    let mut damaged = journal.clone();
    damaged[first_line - 3] ^= 1;
    env.write("journal", damaged);
    assert_refused(&env, &options, &input(), 1, &["damaged in line 1"]);
    env.write("journal", journal);
    env.mtask().args(&options).echo().run_on(input()).assert_status(123);
}

#[test]
fn two_runs_do_not_share_a_journal_or_an_output() {
    let env = TestEnv::new();
    let input = records([env.held("0")]);
    let live = mtask(&env, &["-j1"]).echo().stdin(input.clone()).start();
    env.wait_for("begun");
    let base = resumable(&env);
    let options: Vec<_> = base.iter().map(String::as_str).collect();
    assert_refused(&env, &options, &input, 1, &["--resume", "in use"]);
    let another = env.path("another");
    let out = env.path("out");
    let other = ["--resume", &another, "-o", &out];
    assert_refused(&env, &other, &input, 1, &["--output", "in use"]);
    env.write("go", "");
    live.wait().assert_status(0);
    assert_eq!(env.read("out"), input);
}

#[test]
fn a_run_without_a_journal_keeps_off_the_files_of_one_with_it() {
    let env = TestEnv::new();
    let (go, errors) = (env.path("go"), env.path("errors"));
    let waits = format!("2 @touch:{} @wait:{go}", env.path("begun"));
    let input = records(["0 @die:3", "1", &waits]);
    let options = ["-j1", "--window", "1", "--errors", &errors];
    let live = mtask(&env, &options).echo().stdin(input.clone()).start();
    env.wait_for("begun");
    wait_for_done(&env, 2);
    // A refusal takes a second, in which a run that was killed may let go of a file.
    for (option, name) in [("-o", "out"), ("-o", "journal"), ("--errors", "errors")] {
        let options = [option, &env.path(name)];
        assert_refused(&env, &options, &numbers(3), 1, &[name, "in use by another"]);
    }
    env.write("go", "");
    live.wait().assert_status(123);
    assert_eq!(env.read("out"), records(["1", &waits]));
    mtask(&env, &options).echo().run_on(input).assert_status(123);
}

#[test]
fn a_run_with_a_journal_keeps_off_the_files_of_one_without() {
    let env = TestEnv::new();
    let (out, go) = (env.path("out"), env.path("go"));
    let input = records([format!("0 @touch:{} @wait:{go}", env.path("begun"))]);
    let run = env.mtask().args(["-j1", "-o", &out]).echo();
    let live = run.stdin(input).start();
    env.wait_for("begun");
    let base = resumable(&env);
    let options: Vec<_> = base.iter().map(String::as_str).collect();
    assert_refused(&env, &options, &numbers(3), 1, &["--output", "in use"]);
    // Two that have none are nobody's business.
    let run = env.mtask().args(["-o", &out]).echo();
    run.run_on(numbers(3)).assert_status(0);
    env.write("go", "");
    live.wait().assert_status(0);
}

#[test]
fn a_command_that_cannot_be_run_leaves_all_as_it_was() {
    let env = finished();
    let before = ["journal", "out", "errors"].map(|name| env.read(name));
    let errors = env.path("errors");
    let done = mtask(&env, &["--errors", &errors]).words("-- /no/such/command").run_on(input());
    done.assert_status(127);
    assert_eq!(
        before,
        ["journal", "out", "errors"].map(|name| env.read(name))
    );
}

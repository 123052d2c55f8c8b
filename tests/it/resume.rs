//! `--resume`: a run that was killed goes on, and its files end up as if nothing had happened.

mod damaged;
mod killed;
mod killers;
mod refused;
mod retried;
mod worker_faults;

use std::fs;
use std::os::unix::fs::symlink;

use rustix::process::Signal;

use crate::done::{answers, numbers, records};
use crate::env::{Run, TestEnv};

/// The arguments of a run that can be resumed.
fn resumable(env: &TestEnv) -> [String; 4] {
    ["--resume", &env.path("journal"), "-o", &env.path("out")].map(ToOwned::to_owned)
}

fn mtask(env: &TestEnv, options: &[&str]) -> Run {
    env.mtask().args(resumable(env)).args(options)
}

/// Numbers, the processing of each of which is noted in `noted`.
fn noted_numbers(env: &TestEnv, count: usize) -> Vec<u8> {
    let noted = env.path("noted");
    records((0..count).map(|number| format!("{number} @note:{noted}")))
}

#[test]
fn what_is_done_is_not_done_again() {
    let env = TestEnv::new();
    let input = noted_numbers(&env, 50);
    for _ in 0..3 {
        let done = mtask(&env, &["-j2"]).worker(["--suffix", "!"]).run_on(&input);
        done.assert_status(0);
        assert_eq!(env.read("out"), answers(&input, "!"));
        assert_eq!(env.lines("noted").len(), 50);
    }
}

#[test]
fn a_run_that_has_nothing_left_to_do_starts_no_worker() {
    let env = TestEnv::new();
    let input = env.write("in", numbers(1000));
    let run = |pids: &str| {
        let done = mtask(&env, &["-j2", "-i", &input]).worker(["--pids", &env.path(pids)]).run();
        done.assert_status(0);
        assert_eq!(env.read("out"), numbers(1000));
    };
    run("first.pids");
    run("second.pids");
    assert!(env.exists("first.pids") && !env.exists("second.pids"));
}

#[test]
fn an_input_that_has_grown_is_gone_on_with() {
    let env = TestEnv::new();
    for count in [0, 10, 10, 25] {
        let done = mtask(&env, &["-j2"]).echo().run_on(numbers(count));
        done.assert_status(0);
        assert_eq!(env.read("out"), numbers(count));
    }
}

#[test]
fn the_same_records_from_other_files_are_the_same_input() {
    let env = TestEnv::new();
    let done = mtask(&env, &["-j1"]).echo().run_on(numbers(10));
    done.assert_status(0);
    let parts = [env.write("a", numbers(7)), env.write("b", "7\n8\n9\n10")];
    let done = mtask(&env, &["-j1", "-i", &parts[0], "-i", &parts[1]]).echo().run();
    done.assert_status(0);
    assert_eq!(env.read("out"), numbers(11));
}

#[test]
fn after_a_signal_the_journal_says_all_that_is_written() {
    let env = TestEnv::new();
    let go = env.path("go");
    let noted = env.path("noted");
    let input = records((0..200).map(|number| match number {
        100 => format!(
            "{number} @note:{noted} @touch:{} @wait:{go}",
            env.path("begun")
        ),
        _ => format!("{number} @note:{noted}"),
    }));
    let options = ["-j1", "--window", "1", "--grace", "100s"];
    let live = mtask(&env, &options).echo().stdin(input.clone()).start();
    env.wait_for("begun");
    live.signal(Signal::TERM);
    live.wait_for_stderr("told to end");
    env.write("go", "");
    live.wait().assert_signal(Signal::TERM);
    let first: Vec<_> = input.split_inclusive(|byte| *byte == b'\n').take(101).collect();
    assert_eq!(env.read("out"), first.concat());
    assert_eq!(env.lines("noted").len(), 101);
    let done = mtask(&env, &options).echo().run_on(&input);
    done.assert_status(0).assert_stderr_has("101 records are done");
    assert_eq!(env.read("out"), input);
    assert_eq!(env.lines("noted").len(), 200);
}

#[test]
fn the_output_of_a_signal_is_cut_at_the_first_gap_and_so_is_the_journal() {
    let env = TestEnv::new();
    let input = records((0..30).map(|number| match number {
        5 => format!("5 @once:{} @hang", env.path("once")),
        20 => format!("20 @touch:{}", env.path("begun")),
        _ => number.to_string(),
    }));
    let options = ["-j2", "--window", "1", "--grace", "300ms"];
    let live = mtask(&env, &options).echo().stdin(input.clone()).start();
    env.wait_for("begun");
    live.signal(Signal::INT);
    live.wait().assert_signal(Signal::INT);
    assert_eq!(env.read("out"), numbers(5));
    let done = mtask(&env, &options).echo().run_on(&input);
    done.assert_status(0).assert_stderr_has("5 records are done");
    assert_eq!(env.read("out"), input);
}

#[test]
fn error_records_stand_and_count_in_the_status() {
    let env = TestEnv::new();
    let input = records((0..20).map(|number| match number {
        3 | 8 => format!("{number} @die:4"),
        _ => number.to_string(),
    }));
    let run = |options: &[&str], status| {
        let done = mtask(&env, options).echo().run_on(&input);
        done.assert_status(status);
        (env.read("out"), done)
    };
    let (first, _) = run(&["-j2"], 123);
    let (second, done) = run(&["-j2"], 123);
    assert_eq!(first, second);
    done.assert_stderr_has("2 of 20 records failed (2 worker_exit), before this run");
    let (third, _) = run(&["-j2", "--on-error", "ignore"], 0);
    assert_eq!(first, third);
}

#[test]
fn the_failure_that_ended_a_run_is_tried_again() {
    for end in [
        &["--on-error", "raise"][..],
        &["--on-error", "drain"],
        &["--max-errors", "1"],
    ] {
        for order in ["-k", "-u"] {
            for errors in [false, true] {
                let env = TestEnv::new();
                let mut options = [&["-j2", "--window", "1", order], end].concat();
                let errors_file = env.path("errors");
                if errors {
                    options.extend(["--errors", &errors_file]);
                }
                let input = records((0..40).map(|number| match number {
                    20 => "20 @die:3".to_owned(),
                    _ => number.to_string(),
                }));
                let done = mtask(&env, &options).echo().run_on(&input);
                done.assert_status(123);
                let where_to = if errors { "errors" } else { "out" };
                assert!(String::from_utf8_lossy(&env.read(where_to)).contains("mtask_error"));
                // A worker that does not look into records.
                mtask(&env, &options)
                    .words("-- cat")
                    .run_on(&input)
                    .assert_status(0)
                    .assert_stderr_has("COMMAND is not the one");
                let mut out = env.read("out");
                if order == "-u" {
                    out = sorted(&out, b'\n').concat();
                }
                let expected = sorted(&input, b'\n').concat();
                let expected = if order == "-u" { expected } else { input };
                assert_eq!(out, expected, "{options:?}");
                assert!(!errors || env.read("errors").is_empty());
            }
        }
    }
}

#[test]
fn failures_before_count_towards_max_errors() {
    let env = TestEnv::new();
    let input = records((0..10).map(|number| match number {
        2 | 4 | 6 => format!("{number} @die:3"),
        _ => number.to_string(),
    }));
    let options = ["-j1", "--window", "1", "--max-errors", "2"];
    for _ in 0..2 {
        let done = mtask(&env, &options).echo().run_on(&input);
        done.assert_status(123).assert_stderr_has("2 records failed: nothing more is sent");
        let out = String::from_utf8(env.read("out")).expect("UTF-8");
        assert_eq!(out.matches("mtask_error").count(), 2);
    }
    let done = mtask(&env, &["-j1"]).echo().stdin(input).run();
    done.assert_status(123).assert_stderr_has("3 of 10 records failed (3 worker_exit: ");
    assert_eq!(env.lines("out").len(), 10);
}

#[test]
fn what_follows_the_last_entry_is_cut_off() {
    let env = TestEnv::new();
    mtask(&env, &["-j2"]).echo().run_on(numbers(100)).assert_status(0);
    let mut out = env.read("out");
    out.extend(b"half a li");
    env.write("out", out);
    let done = mtask(&env, &["-j2"]).echo().run_on(numbers(120));
    done.assert_status(0);
    assert_eq!(env.read("out"), numbers(120));
}

#[test]
fn a_journal_that_is_torn_anywhere_leads_to_the_same_output() {
    let env = TestEnv::new();
    let errors = env.path("errors");
    let options = ["-j2", "-u", "--window", "1", "--errors", &errors];
    let input = records((0..60).map(|number| match number {
        30 => "30 @die:3".to_owned(),
        _ => number.to_string(),
    }));
    // Each run adds an entry or more.
    let records: Vec<_> = input.split_inclusive(|byte| *byte == b'\n').collect();
    for (count, status) in [(12, 0), (24, 0), (36, 123), (48, 123), (60, 123)] {
        let first = records[..count].concat();
        mtask(&env, &options).echo().run_on(first).assert_status(status);
    }
    let journal = env.read("journal");
    let (out, error) = (env.read("out"), env.read("errors"));
    let lines: Vec<usize> = (1..=journal.len()).filter(|end| journal[end - 1] == b'\n').collect();
    assert!(lines.len() > 5, "{}", String::from_utf8_lossy(&journal));
    let lengths = lines[1..].iter().flat_map(|end| [end - 1, *end, end + 20]);
    for length in lengths.chain([lines[0], lines[0] + 1]) {
        env.write("journal", &journal[..length.min(journal.len())]);
        env.write("out", &out);
        env.write("errors", &error);
        let done = mtask(&env, &options).echo().run_on(&input);
        done.assert_status(123);
        assert_eq!(sorted(&env.read("out"), b'\n'), sorted(&out, b'\n'));
        assert_eq!(env.lines("errors").len(), 1);
    }
}

#[test]
fn a_disk_that_is_full_is_gone_on_with_when_there_is_room() {
    let env = TestEnv::new();
    let input = numbers(20_000);
    let done = mtask(&env, &["-j2"])
        .shell("trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"")
        .echo()
        .run_on(&input);
    done.assert_status(1).assert_stderr_has("cannot write");
    assert!(env.read("out").len() < input.len());
    let done = mtask(&env, &["-j2"]).echo().run_on(&input);
    done.assert_status(0).assert_stderr_has("are done already");
    assert_eq!(env.read("out"), input);
}

#[test]
fn a_disk_that_is_full_is_not_looked_at_again_and_again() {
    let env = TestEnv::new();
    let done = mtask(&env, &["-j1", "--grace", "3s"])
        .shell("trap '' XFSZ; ulimit -f 64; \"$0\" \"$@\"; echo status $?; times")
        // It ends only by SIGKILL, after the grace.
        .args(["--", "sh", "-c", "trap '' TERM; cat; sleep 1000"])
        .var("LC_ALL", "C")
        .run_on(numbers(20_000));
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    done.check(said.starts_with("status 1\n"), "the status");
    let times = said.lines().last().unwrap_or_default();
    let seconds = |time: &str| {
        let (minutes, seconds) = time.trim_end_matches('s').split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    let used: f64 = times.split(' ').map(|time| seconds(time).expect(times)).sum();
    done.check(used < 1.5, "it waits for 3 s, and uses that much of a CPU");
}

#[test]
fn fewer_workers_another_window_and_other_limits_may_be_given() {
    let env = TestEnv::new();
    let input = numbers(300);
    let first = records((0..100).map(|number| number.to_string()));
    let options = ["-j3", "--window", "7", "--timeout", "100s"];
    mtask(&env, &options).echo().run_on(first).assert_status(0);
    let options = ["-j1", "--window", "1", "--retries", "2", "--buffer", "4K"];
    let done = mtask(&env, &options).echo().run_on(&input);
    done.assert_status(0);
    assert_eq!(env.read("out"), input);
}

#[test]
fn links_to_files_that_are_not_there_are_followed() {
    let env = TestEnv::new();
    for name in ["journal", "out", "errors"] {
        symlink(format!("{name}.file"), env.path(name)).expect("a link");
    }
    let errors = env.path("errors");
    for count in [10, 20] {
        let done = mtask(&env, &["--errors", &errors]).echo();
        done.run_on(numbers(count)).assert_status(0);
        assert_eq!(env.read("out.file"), numbers(count));
        assert!(env.exists("journal.file") && env.exists("errors.file"));
    }
}

#[test]
fn outputs_that_were_renamed_may_be_named_again() {
    let env = TestEnv::new();
    symlink("e2.file", env.path("e2")).expect("a link");
    let run = |out: &str, errors: &str, count| {
        let [out, errors] = [out, errors].map(|name| env.path(name));
        let files = ["--resume", "journal", "-o", &out, "--errors", &errors];
        let input = records((0..count).map(|number| match number {
            3 => "3 @die:3".to_owned(),
            _ => number.to_string(),
        }));
        let run = env.mtask().words("-j1 --on-error raise").args(files);
        run.echo().run_on(input)
    };
    run("o1", "e1", 0).assert_status(0);
    // What a run wrote that ended like this, no entry tells of.
    for (out, count) in [("o1", 3), ("o1", 5), ("o2", 5), ("o2", 5)] {
        if out == "o2" && env.exists("o1") {
            fs::rename(env.path("o1"), env.path("o2")).expect("renamed");
        }
        let status = if count > 3 { 123 } else { 0 };
        run(out, "e2", count).assert_status(status);
        assert_eq!(env.read(out), numbers(3));
        assert_eq!(env.lines("e2").len(), usize::from(count > 3));
    }
    env.write("e3", "precious\n");
    run("o2", "e3", 5).assert_status(2).assert_stderr_has(&env.path("e2.file"));
}

#[test]
fn exits_are_those_of_the_last_run() {
    let env = TestEnv::new();
    let exits = env.path("exits");
    for process in ["one", "two"] {
        let said = format!("{{\"exit\":\"{process}\"}}");
        let args = ["--json", "--end-line", &said];
        let count = if process == "one" { 3 } else { 5 };
        let options = ["-j1", "--protocol", "json", "--exits", &exits];
        mtask(&env, &options).worker(args).run_on(numbers(count)).assert_status(0);
    }
    let exits = env.lines("exits");
    assert!(exits.len() == 1 && exits[0].contains("two"), "{exits:?}");
}

#[test]
fn the_journal_is_small() {
    let env = TestEnv::new();
    let done = mtask(&env, &["-j2"]).echo().run_on(numbers(100_000));
    done.assert_status(0);
    let journal = fs::metadata(env.path("journal")).expect("the journal");
    assert!(journal.len() < 20_000, "{} bytes", journal.len());
}

#[test]
fn a_journal_is_not_held_however_long_it_is() {
    let env = TestEnv::new();
    let done = mtask(&env, &["-j1"]).echo().run_on(numbers(10));
    done.assert_status(0);
    // What a loss of power may leave behind.
    let journal = fs::OpenOptions::new().write(true).open(env.path("journal"));
    let longer = journal.and_then(|file| file.set_len(1 << 29));
    longer.expect("a long journal");
    let mut live = mtask(&env, &["-j1"]).echo().open();
    live.wait_for_stderr("10 records are done");
    for number in 0..11 {
        live.send(number.to_string());
    }
    env.wait_for_lines("out", 11);
    if let Some(peak) = live.process().peak_memory() {
        assert!(peak < 100 << 20, "{peak} bytes");
    }
    live.wait().assert_status(0);
    assert_eq!(env.read("out"), numbers(11));
}

/// The lines in the order of their bytes.
fn sorted(bytes: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut lines: Vec<_> = bytes.split_inclusive(|byte| *byte == separator).collect();
    lines.sort_unstable();
    lines
}

//! Commands that cannot be started, or that never come up.

use crate::done::{answers, numbers};
use crate::env::{TestEnv, mtask};

#[test]
fn a_command_that_does_not_exist_counts_more_than_an_output_that_cannot_be_created() {
    let env = TestEnv::new();
    let missing = env.path("missing/out");
    let run = |command: &str| env.mtask().args(["-o", &missing, "--", command]).run();
    run("no-such-command").assert_status(127);
    run("cat").assert_status(1).assert_stderr_has("its directory is not there");
}

#[test]
fn a_command_that_does_not_exist_is_127_with_one_message() {
    let env = TestEnv::new();
    for command in [
        "mtask-no-such-command",
        "./no-such-file",
        "/no/such/folder/command",
    ] {
        let done = env.mtask().args(["-j3", "--", command]).run_on(numbers(10));
        done.assert_status(127).assert_stdout("").assert_stderr_has(command);
        done.check(done.stderr.lines().count() == 1, "there is not one message");
    }
}

#[test]
fn a_command_that_may_not_be_executed_is_126_with_one_message() {
    let env = TestEnv::new();
    let plain = env.write_with_mode("plain", "#!/bin/sh\n", 0o644);
    for command in [plain, env.path("")] {
        let done = env.mtask().args(["-j3", "--", &command]).run_on(numbers(10));
        done.assert_status(126).assert_stdout("").assert_stderr_has(&command);
        done.check(done.stderr.lines().count() == 1, "there is not one message");
    }
}

#[test]
fn the_command_is_looked_up_before_input_is_read() {
    let live = mtask("-- mtask-no-such-command").open();
    live.wait_with_open_stdin().assert_status(127);
}

#[test]
fn a_command_that_is_found_by_path_runs() {
    let env = TestEnv::new();
    env.write_with_mode(
        "here",
        "#!/bin/sh\nwhile IFS= read -r x; do echo \"<$x>\"; done\n",
        0o755,
    );
    env.mtask().words("-j2 ./here").run_on("a\nb\n").assert_output("<a>\n<b>\n");
}

#[test]
fn the_command_is_run_without_a_shell() {
    let env = TestEnv::new();
    let text = "$HOME `id` * ; > x";
    env.mtask().worker(["--suffix", text]).run_on("a\n").assert_output(format!("a{text}\n"));
}

#[test]
fn workers_that_never_start_end_the_run_with_125_and_their_last_words() {
    for jobs in ["-j1", "-j3"] {
        TestEnv::new()
            .mtask()
            .args([jobs])
            .worker(["--start-stderr", "no such device", "--start-exit", "7"])
            .run_on(numbers(10))
            .assert_status(125)
            .assert_stdout("")
            .assert_stderr_has("no such device")
            .assert_stderr_has("the last one died (exit status 7)");
    }
}

#[test]
fn a_command_that_fails_everywhere_is_told_once_and_counted() {
    let done = mtask("-j30").worker(["--start-exit", "7"]).run_on(numbers(60));
    done.assert_status(125).assert_stdout("");
    let lines: Vec<_> = done.stderr.lines().collect();
    let has = |number: usize, texts: &[&str]| texts.iter().all(|text| lines[number].contains(text));
    let is_told = lines.len() == 6
        && has(
            0,
            &[
                "died (exit status 7) while it held",
                "; later ones like it are counted",
            ],
        )
        && has(lines.len() - 2, &["no worker could be kept running"])
        && has(lines.len() - 1, &["120 restarts; 30 workers given up"]);
    done.check(is_told, "it is not told once, and at the end");
    // The order of these is that of the deaths.
    done.assert_stderr_has("; it is the 10th like it\n")
        .assert_stderr_has("; it is the 100th like it\n")
        .assert_stderr_has(
            " is given up after 5 processes in a row without an answer (--max-restarts 5); others \
             are counted until a first answer\n",
        );
}

#[test]
fn each_kind_of_death_is_told() {
    let script = "[ $MTASK_PROCESS = 0 ] && kill -9 $$; exit 7";
    TestEnv::new()
        .mtask()
        .args(["-j1", "--", "sh", "-c", script])
        .run_on(numbers(3))
        .assert_status(125)
        .assert_stderr_has("died (signal 9 (SIGKILL)) while it held")
        .assert_stderr_has("died (exit status 7) while it held");
}

#[test]
fn workers_that_never_start_end_the_run_though_the_input_stays_open() {
    let mut live = mtask("-j2").worker(["--start-exit", "7"]).open();
    live.send("1");
    live.wait_with_open_stdin().assert_status(125).assert_stdout("");
}

#[test]
fn restarts_are_bounded_by_max_restarts() {
    for (options, expected) in [
        (&["-j1", "--max-restarts", "1"][..], 1),
        (&["-j1", "--max-restarts", "3"], 3),
        (&["-j1"], 5),
    ] {
        let env = TestEnv::new();
        let done = env
            .mtask()
            .args(options)
            .worker(["--pids", &env.path("w.pids"), "--start-exit", "7"])
            .run_on(numbers(10));
        done.assert_status(125).assert_stdout("");
        let processes = env.lines("w.pids").len();
        done.check(
            processes == expected,
            &format!("there were {processes} processes and not {expected}"),
        );
    }
}

#[test]
fn a_death_at_the_start_charges_no_record() {
    let env = TestEnv::new();
    let input = numbers(20);
    for jobs in ["-j1", "-j3"] {
        let once = env.path(&format!("once{jobs}"));
        env.mtask()
            .args([jobs])
            .worker(["--suffix", "!", "--start-once", &once, "--start-exit", "7"])
            .run_on(&input)
            .assert_output(answers(&input, "!"));
    }
}

#[test]
fn a_death_on_the_first_record_before_any_answer_charges_no_record() {
    let env = TestEnv::new();
    let input = numbers(20);
    let words = format!("@once:{} @die:4", env.path("once"));
    env.mtask().words("-j1").worker(["--at", "1", &words]).run_on(&input).assert_output(input);
}

#[test]
fn what_was_finished_is_written_before_the_run_ends_with_125() {
    let env = TestEnv::new();
    let gone = env.path("gone");
    // The first process answers once and dies; no later one starts.
    let script =
        format!("[ -e {gone} ] && exit 9; : > {gone}; IFS= read -r x; echo \"$x\"; exit 8");
    let options = ["-j1", "--window", "1", "--max-restarts", "1"];
    let done = env.mtask().args(options).args(["--", "sh", "-c", &script]).run_on(numbers(5));
    done.assert_status(125);
    let lines = done.lines();
    done.check(
        lines.first() == Some(&&b"0"[..]),
        "the first result is not written",
    );
}

#[test]
fn the_hint_for_braces_says_where_records_come_from() {
    TestEnv::new()
        .mtask()
        .worker(["--suffix", "!", "{}"])
        .run_on("a\n")
        .assert_stdout("a!\n")
        .assert_stderr_has("stdin");
}

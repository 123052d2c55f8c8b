//! The command line: what is refused, and what is shown without running anything.

use std::path::Path;

use crate::done::numbers;
use crate::env::{TestEnv, mtask, skip, worker_path};

#[test]
fn usage_errors_are_2_and_start_nothing() {
    let lines: &[&[&str]] = &[
        &["-j0"],
        &["-j", "x"],
        &["-j", "-1"],
        &["--no-such-option"],
        &["--timeout", "soon"],
        &["--timeout", "-1s"],
        &["--grace", ""],
        &["--max-record", "1X"],
        &["--window", "0"],
        &["--window", "some"],
        &["--format", "xml"],
        &["--output-format", "xml"],
        &["--on-error", "panic"],
        &["--format", "jsonl", "-0"],
        &["-j3", "--worker-arg", "a=1", "--worker-arg", "a=2"],
    ];
    for options in lines {
        let env = TestEnv::new();
        let done =
            env.mtask().args(*options).worker(["--pids", &env.path("w.pids")]).run_on(numbers(3));
        done.assert_status(2).assert_stdout("").check(!done.stderr.is_empty(), "nothing was said");
        assert!(!env.exists("w.pids"), "{options:?}: a worker was started");
    }
}

#[test]
fn no_command_is_a_usage_error() {
    TestEnv::new().mtask().run().assert_status(2).assert_stdout("");
    mtask("-j2 --").run().assert_status(2).assert_stdout("");
}

#[test]
fn a_timeout_with_a_full_window_is_a_usage_error() {
    mtask("--timeout 5s --window full")
        .echo()
        .run()
        .assert_status(2)
        .assert_stderr_has("--timeout")
        .assert_stderr_has("--window");
}

#[test]
fn a_window_beside_at_most_once_is_a_usage_error() {
    mtask("--at-most-once --window 4")
        .echo()
        .run()
        .assert_status(2)
        .assert_stderr_has("--at-most-once")
        .assert_stderr_has("--window");
}

#[test]
fn options_end_at_the_command() {
    // -u and -j0 are the command's own.
    let env = TestEnv::new();
    env.mtask()
        .args(["-j2", &worker_path(), "-u", "-j0", "--suffix", "!"])
        .run_on("a\n")
        .assert_output("a!\n");
}

#[test]
fn a_double_dash_ends_the_options() {
    let env = TestEnv::new();
    env.mtask()
        .args(["--", &worker_path(), "--", "--suffix", "!"])
        .run_on("a @args\n")
        .assert_output("--|--suffix|!\n");
}

#[test]
fn durations_and_sizes_may_have_units() {
    for options in [
        ["--timeout", "90", "--grace", "500ms"],
        ["--timeout", "1.5h", "--grace", "2m"],
        ["--timeout", "1d", "--max-record", "1G"],
        ["--max-record", "100", "--grace", "3s"],
        ["--max-record", "64K", "--init-timeout", "10m"],
    ] {
        TestEnv::new().mtask().args(options).echo().run_on("a\n").assert_output("a\n");
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = mtask("--help").run();
    help.assert_status(0).assert_stderr_empty();
    for option in [
        "--jobs",
        "--worker-arg",
        "--timeout",
        "--on-error",
        "--window",
        "--input",
    ] {
        help.check(
            String::from_utf8_lossy(&help.stdout).contains(option),
            &format!("it lacks {option}"),
        );
    }
    let version = mtask("--version").run();
    version.assert_output(format!("mtask {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_cannot_be_printed_is_an_error() {
    if !Path::new("/dev/full").exists() {
        return skip("there is no /dev/full");
    }
    for args in [
        &["--help"][..],
        &["-h"],
        &["--version"],
        &["--generate", "man"],
        &["--dry-run", "cat"],
    ] {
        let env = TestEnv::new();
        let done = env.mtask().args(args).stdout_file("/dev/full").run();
        done.assert_status(1).assert_stderr_has("mtask: cannot write standard output: No space");
        let script = "exec \"$0\" \"$@\" >&-";
        env.mtask()
            .shell(script)
            .args(args)
            .run()
            .assert_status(1)
            .assert_stderr_has("mtask: standard output is closed; redirect it");
    }
}

#[test]
fn a_dry_run_shows_each_workers_command_and_environment_and_starts_nothing() {
    let env = TestEnv::new();
    let live = env
        .mtask()
        .words("--dry-run --worker-arg gpu=first --worker-arg gpu=second")
        .worker(["--pids", &env.path("w.pids"), "--suffix", "{gpu}"])
        .open();
    let done = live.wait_with_open_stdin();
    done.assert_status(0);
    let shown = String::from_utf8_lossy(&done.stdout);
    for text in [
        "MTASK_WORKER",
        "MTASK_WORKERS",
        "MTASK_ARG",
        "first",
        "second",
        "--suffix",
    ] {
        done.check(shown.contains(text), &format!("it does not show {text:?}"));
    }
    done.check(!shown.contains("{gpu}"), "a placeholder is left");
    assert!(!env.exists("w.pids"), "a worker was started");
}

#[test]
fn an_option_of_xargs_is_answered_with_what_mtask_has() {
    let done = TestEnv::new().mtask().args(["-I{}", "echo", "{}"]).run();
    done.assert_status(2).assert_stderr_has("unexpected argument '-I'");
    done.assert_stderr_has("records are not put into COMMAND");
    done.check(!done.stderr.contains("-- -I"), "-I is no command");
}

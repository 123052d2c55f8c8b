//! What people see on stderr: a summary where there is something to say, and nothing else.

use rustix::process::Signal;

use crate::done::{numbers, records};
use crate::env::{TestEnv, mtask};

#[test]
fn a_run_without_incident_says_nothing() {
    mtask("-j3").echo().run_on(numbers(1000)).assert_status(0).assert_stderr_empty();
}

#[test]
fn a_summary_counts_failures_by_kind() {
    let env = TestEnv::new();
    let input = records((0..60).map(|i| match i {
        20 => "20 @hang".to_owned(),
        30 | 40 => format!("{i} @die:3"),
        _ => i.to_string(),
    }));
    let done = env.mtask().words("-j2 --timeout 2s").echo().run_on(input);
    done.assert_status(123)
        .assert_stderr_has("3 of 60 records failed")
        .assert_stderr_has("restarts");
    done.assert_stderr_has("(2 worker_exit: exit status 3; 1 timeout)");
}

#[test]
fn a_summary_groups_failures_by_what_was_said_of_them() {
    let worker = r#"
        while IFS= read -r line; do
            id=${line#*:} id=${id%%,*}
            case $id in
            ?) error='500 Internal Server Error' ;;
            *) error="429 Too Many Requests\\nrequest $id" ;;
            esac
            printf '{"id":%s,"error":"%s"}\n' "$id" "$error"
        done"#;
    let env = TestEnv::new();
    let done = env
        .mtask()
        .args(["-j2", "--protocol", "json", "sh", "-c", worker])
        .stdin(numbers(240))
        .run();
    done.assert_status(123).assert_stderr_has(
        "240 of 240 records failed (240 worker_error: 429 Too Many Requests (230), 500 Internal Server \
         Error (10))",
    );
}

/// The lines on stderr that tell of a record's failure.
fn announced(stderr: &str) -> Vec<&str> {
    let tells = |line: &&str| line.starts_with("mtask: record ") && line.contains(" failed (");
    stderr.lines().filter(tells).collect()
}

#[test]
fn the_first_failed_record_is_named_and_later_ones_are_counted() {
    let input = records(["0", "{]", "2", "}", "4"]);
    let env = TestEnv::new();
    let jsonl = ["-j1", "--format", "jsonl"];
    for (options, where_to, what_follows) in [
        (&[][..], "in the output", "later failures are counted"),
        (
            &["--on-error", "ignore"],
            "in the output",
            "later failures are counted",
        ),
        (
            &["--errors", "e"],
            "in the file of --errors",
            "later failures are counted",
        ),
        (
            &["--max-errors", "1"],
            "in the output",
            "nothing more is sent (--max-errors 1)",
        ),
        (
            &["--on-error", "drain"],
            "in the output",
            "nothing more is sent (--on-error drain)",
        ),
        (
            &["--on-error", "raise"],
            "in the output",
            "the run ends (--on-error raise)",
        ),
    ] {
        let run = env.mtask().args(jsonl).args(options).echo();
        let done = run.run_on(&input);
        let line = format!(
            "mtask: record 1 failed (invalid_input): not valid JSON: key must be a string at line 2 \
             column 2; its error record is {where_to}, {what_follows}"
        );
        assert_eq!(announced(&done.stderr), [line], "{}", done.stderr);
    }
}

#[test]
fn the_failures_that_are_one_too_many_are_told() {
    mtask("-j1 --format jsonl --max-errors 2")
        .echo()
        .run_on(records(["0", "{", "2", "}", "4"]))
        .assert_status(123)
        .assert_stderr_has("2 records failed: nothing more is sent (--max-errors)");
}

#[test]
fn what_is_said_of_a_dead_worker_is_not_said_again_of_its_record() {
    let done = mtask("-j1 --retries 1").echo().run_on(records(["0", "1 @die:3", "2"]));
    done.assert_status(123)
        .assert_stderr_has("while it held 1 record (index 1); the record is tried again")
        .assert_stderr_has("while it held 1 record (index 1); the record fails");
    assert_eq!(
        announced(&done.stderr),
        [
            "mtask: record 1 failed (worker_exit); its error record is in the output, \
          later failures are counted"
        ]
    );
}

#[test]
fn a_signal_tells_what_is_still_waited_for() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j1 --grace 60s").echo().open();
    live.send(format!("0 @touch:{} @hang", env.path("begun")));
    env.wait_for("begun");
    live.signal(Signal::TERM);
    live.wait_for_stderr(
        "told to end by signal 15 (SIGTERM): 1 record that was sent may finish within --grace 60s; \
         a second signal ends at once",
    );
    live.signal(Signal::TERM);
    live.wait().assert_signal(Signal::TERM);
}

#[test]
fn a_summary_counts_restarts() {
    let env = TestEnv::new();
    let words = format!("@once:{} @die:3", env.path("once"));
    env.mtask()
        .words("-j1 --window 1")
        .worker(["--at", "3", &words])
        .run_on(numbers(60))
        .assert_output(numbers(60))
        .assert_stderr_has("1 restart");
}

#[test]
fn quiet_leaves_out_warnings_and_the_summary() {
    let env = TestEnv::new();
    let done = env.mtask().words("-q --format jsonl").echo().run_on("{\n");
    done.assert_status(123).assert_stderr_empty();
    for option in ["-q", "--quiet"] {
        let words = format!("@once:{} @die:3", env.path(&format!("once{option}")));
        env.mtask()
            .args(["-j2", "--window", "1", option])
            .worker(["--at", "3", &words])
            .run_on(numbers(60))
            .assert_output(numbers(60))
            .assert_stderr_empty();
    }
}

#[test]
fn quiet_does_not_silence_errors() {
    mtask("-q -- mtask-no-such-command")
        .run()
        .assert_status(127)
        .assert_stderr_has("mtask-no-such-command");
}

#[test]
fn messages_have_no_colour_where_stderr_is_no_terminal() {
    let input = records(["0", "1 @die:3", "2"]);
    let done = mtask("-j1").echo().run_on(input);
    done.assert_status(123).check(
        !done.stderr.contains('\u{1b}'),
        "there is an escape sequence",
    );
}

#[test]
fn a_run_that_ends_early_tells_what_has_no_outcome() {
    let env = TestEnv::new();
    for (options, status) in [
        (&["--on-error", "drain"][..], 123),
        (&["--on-error", "raise"], 123),
        (&["--max-errors", "1"], 123),
        (&["--max-errors", "1", "--on-error", "ignore"], 123),
        (&["--max-restarts", "1"], 125),
    ] {
        let command = match status {
            125 => env.mtask().args(options).words("-j1 false"),
            _ => env.mtask().args(options).words("-j1 --window 1").echo(),
        };
        // All of it is in the first read.
        let done = command.run_on(records(["0", "1 @die:3", "2", "3"]));
        let written = done.stdout.iter().filter(|byte| **byte == b'\n').count();
        done.assert_status(status).assert_stderr_has("the run ended early: ").assert_stderr_has(
            &match 4 - written {
                1 => "1 record that was read has no outcome".to_owned(),
                left => format!("{left} records that were read have no outcome"),
            },
        );
    }
}

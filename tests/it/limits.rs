//! `--max-record`: records and answers that are too large, and large ones that are not.

use crate::done::{answers, numbers, records};
use crate::env::{TestEnv, mtask};

#[test]
fn a_record_that_is_too_large_fails_in_its_place_without_reaching_a_worker() {
    let long = "x".repeat(1025);
    let input = records(["0", "1", &long, "3"]);
    for jobs in ["-j1", "-j3"] {
        let done = TestEnv::new()
            .mtask()
            .args([jobs, "--max-record", "1K"])
            .worker(["--suffix", "!"])
            .run_on(&input);
        done.assert_status(123).assert_results_but(2, &answers(&input, "!"));
        let error = done.assert_one_error(2, "record_too_large");
        done.check(
            error.get("input").is_none(),
            "the record is shown though it was skipped",
        );
        assert_eq!(error["attempts"], 0);
    }
}

#[test]
fn a_record_of_exactly_the_limit_passes() {
    let input = records(["0", &"x".repeat(1024), "2"]);
    mtask("--max-record 1K").echo().run_on(&input).assert_output(input);
}

#[test]
fn a_record_many_times_the_limit_is_skipped_over() {
    let long = vec![b'x'; 20 << 20];
    let input = records([&b"0"[..], &long, b"2"]);
    let done = mtask("--max-record 64K").echo().run_on(input);
    done.assert_status(123).assert_results_but(1, b"0\nx\n2\n");
    done.assert_one_error(1, "record_too_large");
}

#[test]
fn a_last_record_without_its_end_can_be_too_large() {
    let input = format!("0\n{}", "x".repeat(5000));
    mtask("--max-record 1K")
        .echo()
        .run_on(input)
        .assert_status(123)
        .assert_one_error(1, "record_too_large");
}

#[test]
fn an_answer_that_is_too_large_fails_its_record_alone() {
    let input = records(["0", "1 @big:1025", "2 @big:1024", "3", "4 @big:1M"]);
    let expected = records(["0", "1", &"x".repeat(1024), "3", "4"]);
    let done = mtask("-j1 --window 1 --max-record 1K --retries 3").echo().run_on(input);
    let errors = done.assert_status(123).error_records();
    let lines = done.lines();
    let mut places = expected.split(|byte| *byte == b'\n').enumerate().take(5);
    done.check(lines.len() == 5, "there are not 5 outcomes");
    done.check(
        places.all(|(i, line)| i == 1 || i == 4 || lines[i] == line),
        "another record than the two is not answered",
    );
    assert_eq!(errors.len(), 2);
    for (error, index) in errors.iter().zip([1, 4]) {
        assert_eq!(
            (&error["mtask_error"], &error["index"]),
            (&"answer_too_large".into(), &index.into())
        );
        assert_eq!(error["attempts"], 1, "it would be too large again");
    }
}

#[test]
fn a_line_of_100_megabytes_passes_where_it_may() {
    let line = vec![b'z'; 100_000_000];
    let input = records([&b"before"[..], &line, b"after"]);
    mtask("-j2 --max-record 200M")
        .worker(["--suffix", "!"])
        .run_on(&input)
        .assert_output(answers(&input, "!"));
}

#[test]
fn a_line_of_100_megabytes_fails_by_default() {
    let line = vec![b'z'; 100_000_000];
    let input = records([&b"before"[..], &line, b"after"]);
    mtask("-j2")
        .echo()
        .run_on(input)
        .assert_status(123)
        .assert_one_error(1, "record_too_large");
}

#[test]
fn mtask_may_open_more_files_than_it_was_given_and_workers_as_many() {
    // Three descriptors each; the answers tell the limit.
    let worker = "while read -r x; do ulimit -S -n; done";
    let done = TestEnv::new()
        .mtask()
        .args(["-j50", "--window", "1", "sh", "-c", worker])
        .shell("ulimit -S -n 40 && exec \"$0\" \"$@\"")
        .stdin(numbers(500))
        .run();
    done.assert_status(0).assert_stdout("40\n".repeat(500)).assert_stderr_empty();
}

#[test]
fn workers_that_cannot_be_started_leave_their_records_to_the_others() {
    let done = TestEnv::new()
        .mtask()
        .args(["-j50", "--max-restarts", "1"])
        .echo()
        .shell("ulimit -n 40 && exec \"$0\" \"$@\"")
        .stdin(numbers(1000))
        .run();
    done.assert_status(0).assert_stdout(numbers(1000)).assert_stderr_has("ulimit -n");
    done.assert_stderr_has(" of 50 workers go on");
}

#[test]
fn however_few_files_may_be_open_mtask_ends_and_names_the_limit() {
    let mut statuses = Vec::new();
    let mut results = 0;
    // How many are enough, and how few to open the libraries of a program, depends on what is open
    // when the tests begin.
    for most in 4..1000 {
        let done = mtask("-j1 --max-restarts 2")
            .echo()
            .shell(&format!("ulimit -n {most} && exec \"$0\" \"$@\""))
            .run_on(numbers(10));
        let status = done.status.code();
        match status {
            Some(0) => {
                done.assert_stdout(numbers(10));
                results += 1;
            }
            // The system, not mtask, could not open them.
            Some(127) if statuses.is_empty() => continue,
            Some(1 | 125) => {
                done.assert_stdout("").assert_stderr_has("ulimit -n");
            }
            _ => done.fail("it ended in another way"),
        }
        statuses.extend(status);
        if results == 4 {
            break;
        }
    }
    statuses.dedup();
    assert_eq!(statuses, [1, 125, 0]);
}

#[test]
fn one_record_needs_one_of_many_workers() {
    let env = TestEnv::new();
    let input = env.write("input", "0\n");
    let done = env.mtask().args(["-j64", "-i", &input]).worker(["--pids", &env.path("pids")]).run();
    done.assert_output("0\n");
    assert_eq!(env.lines("pids").len(), 1);
}

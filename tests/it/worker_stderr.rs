//! What workers write to stderr is passed on to mtask's, line by line.

use std::path::Path;

use crate::done::{numbers, records};
use crate::env::{TestEnv, mtask, skip};

#[test]
fn lines_of_several_workers_are_never_mixed() {
    let input = records((0..40).map(|_| "@errlines:200"));
    let done = mtask("-j4 --window 1").echo().run_on(input);
    done.assert_status(0);
    let lines: Vec<&str> = done.stderr.lines().collect();
    done.check(
        lines.len() == 40 * 200,
        "a line is missing or there are more",
    );
    done.check(
        lines.iter().all(|line| is_whole(line)),
        "a line is not as it was written",
    );
}

#[test]
fn tags_say_which_worker_wrote_a_line() {
    let input = records((0..20).map(|_| "@errlines:20"));
    let done = mtask("-j2 --tag-stderr --window 1").echo().run_on(input);
    done.assert_status(0);
    let tagged = |line: &str| {
        let rest = line.strip_prefix("[worker 0] ").or_else(|| line.strip_prefix("[worker 1] "));
        rest.is_some_and(is_whole)
    };
    done.check(
        done.stderr.lines().count() == 400,
        "a line is missing or there are more",
    );
    done.check(done.stderr.lines().all(tagged), "a line is not tagged");
}

#[test]
fn a_carriage_return_ends_a_line_too() {
    mtask("-j1 --tag-stderr")
        .echo()
        .run_on("@errcr\n")
        .assert_status(0)
        .assert_stderr_has("[worker 0] one")
        .assert_stderr_has("[worker 0] two");
}

#[test]
fn a_last_line_without_an_end_is_passed_on() {
    let script = "IFS= read -r x; printf 'last words' >&2; echo \"$x\"";
    TestEnv::new()
        .mtask()
        .args(["-j1", "--", "sh", "-c", script])
        .run_on("a\n")
        .assert_output("a\n")
        .assert_stderr_has("last words");
}

#[test]
fn a_flood_on_stderr_harms_nothing() {
    let input = records(["a", "b @errbytes:20M", "c @errlines:20000", "d"]);
    let done = mtask("-j2").echo().run_on(&input);
    done.assert_output(input);
    let longest = done.stderr.lines().map(str::len).max().unwrap_or_default();
    done.check(
        longest <= (64 << 10) + 100,
        "a line of more than 64 KiB is not cut",
    );
    done.check(
        done.stderr.lines().filter(|line| is_whole(line)).count() == 20_000,
        "a line is missing",
    );
}

#[test]
fn what_is_on_stderr_is_never_on_stdout() {
    let input = records((0..100).map(|i| format!("{i} @err:noise")));
    let done = mtask("-j3").echo().run_on(&input);
    done.assert_output(input);
    assert_eq!(done.stderr, "noise\n".repeat(100));
}

#[test]
fn a_closed_stderr_harms_nothing() {
    let env = TestEnv::new();
    let input = numbers(100);
    let words = "@err:noise";
    env.mtask()
        .words("-j2")
        .worker(["--at", "5", words])
        .shell("exec \"$0\" \"$@\" 2>&-")
        .run_on(&input)
        .assert_output(input);
}

#[test]
fn a_stderr_that_takes_nothing_changes_no_result_and_no_status() {
    if !Path::new("/dev/full").exists() {
        return skip("there is no /dev/full");
    }
    mtask("-j2")
        .echo()
        .shell("exec \"$0\" \"$@\" 2>/dev/full")
        .run_on(records(["0", "1 @errlines:5 @die:3", "2"]))
        .assert_status(123)
        .assert_one_error(1, "worker_exit");
}

fn is_whole(line: &str) -> bool {
    let middle = line.strip_prefix("begin ").and_then(|rest| rest.strip_suffix(" end"));
    middle.is_some_and(|pid| pid.parse::<u32>().is_ok())
}

//! What workers did wrong beside the failures of records stands in the status of the runs that
//! follow, as error records do.

use rustix::process::Signal;

use crate::done::{numbers, records};
use crate::env::{TestEnv, wait_until};

use super::mtask;

/// What the summary says of a process that broke the contract.
const BROKEN: &str = "1 process that did not give one answer for each record";

#[test]
fn answers_in_doubt_stay_in_doubt() {
    let env = TestEnv::new();
    let input = records((0..8).map(|number| match number {
        3 => format!("3 @once:{} @stray:x", env.path("once")),
        _ => number.to_string(),
    }));
    let run = |count: usize, options: &[&str]| {
        let first: Vec<_> = input.split_inclusive(|byte| *byte == b'\n').collect();
        let options = [&["-j1", "--window", "1"], options].concat();
        let run = mtask(&env, &options).echo();
        let done = run.run_on(first[..count].concat());
        done.assert_status(122);
        done
    };
    run(6, &[]).assert_stderr_has("are in doubt");
    for (count, options) in [(6, &[][..]), (8, &[]), (8, &["--on-error", "ignore"])] {
        run(count, options).assert_stderr_has(&format!("{BROKEN}, before this run"));
    }
}

#[test]
fn an_answer_to_nothing_leaves_no_doubt_where_answers_have_ids() {
    let env = TestEnv::new();
    let input = records((0..4).map(|number| format!("\"{number} @again\"")));
    let input = &input[..];
    let run = || {
        let options = ["-j1", "--window", "1", "--protocol", "json"];
        let run = mtask(&env, &options).worker(["--json"]);
        run.run_on(input)
    };
    let done = run();
    (done.assert_status(123)).assert_stderr_has("which it does not owe");
    run().assert_status(0);
}

#[test]
fn a_worker_that_failed_at_its_end_stands_though_all_records_were_done() {
    let env = TestEnv::new();
    let run = |count, status: &str| {
        let done = mtask(&env, &["-j1"]).worker(["--end-exit", status]).run_on(numbers(count));
        done.assert_status(123);
        assert_eq!(env.read("out"), numbers(count));
        done
    };
    run(5, "5").assert_stderr_has("1 worker failed at the end");
    run(5, "0").assert_stderr_has("1 worker failed at the end, before this run");
    run(7, "5").assert_stderr_has("2 workers failed at the end, 1 before this run");
    run(7, "0").assert_stderr_has("2 workers failed at the end, before this run");
}

#[test]
fn a_break_is_in_the_journal_before_the_run_ends() {
    let env = TestEnv::new();
    let mut live = mtask(&env, &["-j1"]).echo().open();
    live.send("0 @stray:x");
    live.wait_for_stderr("with nothing to answer");
    wait_until("an entry of the break", || {
        let last = env.lines("journal").pop();
        last.is_some_and(|line| line.contains("\"protocol_violations\":1"))
    });
    live.signal(Signal::KILL);
    live.wait_with_open_stdin();
    mtask(&env, &["-j1"])
        .echo()
        .run_on("0 @stray:x\n")
        .assert_status(122)
        .assert_stderr_has(&format!("{BROKEN}, before this run"));
}

#[test]
fn a_worker_that_was_told_to_end_with_mtask_is_not_held_against_the_next_run() {
    let env = TestEnv::new();
    let go = env.path("go");
    let input = records([format!("0 @touch:{} @wait:{go}", env.path("begun"))]);
    let live = mtask(&env, &["-j1", "--grace", "100s"])
        .worker(["--end-exit", "5"])
        .stdin(input.clone())
        .start();
    env.wait_for("begun");
    live.signal(Signal::TERM);
    live.wait_for_stderr("told to end");
    env.write("go", "");
    live.wait().assert_signal(Signal::TERM).assert_stderr_has("1 worker failed at the end");
    let done = mtask(&env, &["-j1"]).echo().run_on(&input);
    done.assert_status(0);
    assert_eq!(env.read("out"), input);
}

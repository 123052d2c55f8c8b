//! Calls that overlap and take longer than `--timeout`: each fails its own record alone.

use super::interpreters;
use crate::done::{numbers, records};
use crate::python::python;

#[test]
fn an_async_call_that_takes_too_long_is_cancelled_and_fails_alone() {
    let source = r#"
import asyncio, os
async def ask(x):
    if x == 5:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            open("cancelled", "a").write("5\n")
            return "no result of mine"
    open("pids", "a").write("%d\n" % os.getpid())
    return x
"#;
    let Some(env) = python(source) else { return };
    for interpreter in interpreters() {
        let done = env
            .mtask()
            .words("-j1 --concurrency 4 --timeout 3s --python work.py:ask --")
            .args([&interpreter])
            .run_on(numbers(300));
        done.assert_status(123);
        let failed = done.assert_one_error(5, "timeout");
        assert_eq!(failed["message"], "no answer within --timeout 3s");
        assert_eq!(failed["attempts"], 1);
        done.assert_results_but(5, &numbers(300));
    }
    let mut pids = env.lines("pids");
    pids.dedup();
    assert_eq!(pids.len(), interpreters().len(), "no process was replaced");
    assert_eq!(env.lines("cancelled").len(), pids.len());
}

#[test]
fn a_call_that_was_cancelled_is_tried_again_in_line() {
    let source = r#"
import asyncio, mtask
async def ask(x):
    if x % 10 == 3 and mtask.record.attempt < 3:
        await asyncio.sleep(3600)
    return [x, mtask.record.attempt]
"#;
    let Some(env) = python(source) else { return };
    let done = env
        .mtask()
        .words("-j1 --concurrency 20 --timeout 2s --retries 3 --python work.py:ask")
        .run_on(numbers(50));
    let attempts = |x| if x % 10 == 3 { 3 } else { 1 };
    done.assert_output(records((0..50).map(|x| format!("[{x},{}]", attempts(x)))));
    done.assert_stderr_empty();
}

#[test]
fn a_call_that_swallows_the_cancellation_costs_its_process_and_no_other_record() {
    let source = r#"
import asyncio
async def ask(x):
    if x == 2:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                open("swallowed", "a").write("once\n")
    if x == 3:
        # It is under way for as long, with pauses that are none to mtask.
        for _ in range(40):
            await asyncio.sleep(0.02)
    return x
"#;
    let Some(env) = python(source) else { return };
    let done = env
        .mtask()
        .words("-j1 --concurrency 3 --timeout 2s --grace 500ms --python work.py:ask")
        .run_on(numbers(200));
    done.assert_status(123);
    done.assert_one_error(2, "timeout");
    done.assert_results_but(2, &numbers(200));
    done.assert_stderr_has("nor ended the call within --grace 500ms when asked to");
    assert_eq!(
        env.lines("swallowed").first().map(String::as_str),
        Some("once")
    );
}

#[test]
fn a_call_in_a_thread_that_takes_too_long_costs_its_process_and_no_other_record() {
    let source = r#"
import time
def get(x):
    if x == 7:
        time.sleep(3600)
    return x
"#;
    let Some(env) = python(source) else { return };
    let done = env
        .mtask()
        .words("-j1 --concurrency 4 --timeout 2s --python work.py:get")
        .run_on(numbers(100));
    done.assert_status(123);
    done.assert_one_error(7, "timeout");
    done.assert_results_but(7, &numbers(100));
}

#[test]
fn one_that_keeps_the_loop_to_itself_is_found_among_those_it_holds_up() {
    let source = r#"
import asyncio, time
async def ask(x):
    if x == 6:
        time.sleep(3600)
    await asyncio.sleep(0)
    return x
"#;
    let Some(env) = python(source) else { return };
    let done = env
        .mtask()
        .words("-j1 --concurrency 4 --timeout 2s --grace 300ms --python work.py:ask")
        .run_on(numbers(30));
    done.assert_status(123);
    done.assert_one_error(6, "timeout");
    done.assert_results_but(6, &numbers(30));
}

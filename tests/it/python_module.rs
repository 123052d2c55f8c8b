//! `import mtask` in the code of a worker: which record and which worker it is.

use std::fs;

use crate::done::{Done, numbers, records};
use crate::env::TestEnv;
use crate::python::{error, python};

/// Where the package has the module's source.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python");

/// Runs the function `work` of `source`, first where nobody has installed the module, then where it is.
fn run_both(source: &str, args: &[&str], count: usize, check: impl Fn(&Done)) {
    let Some(env) = python(source) else { return };
    for path in [
        "PYTHONPATH=",
        concat!("PYTHONPATH=", env!("CARGO_MANIFEST_DIR"), "/python"),
    ] {
        let done = env
            .mtask()
            .args(args)
            .args(["--python", "work.py:work", "--", "env", path])
            .args(["PYTHONDONTWRITEBYTECODE=1", "python3"])
            .stdin(numbers(count))
            .run();
        check(&done);
    }
}

/// Runs Python code by itself, which finds the module.
fn run_alone(code: &str) -> Done {
    TestEnv::new().sh(&format!(
        "PYTHONDONTWRITEBYTECODE=1 PYTHONPATH='{INSTALLED}' python3 - <<'END'\n{code}\nEND\n"
    ))
}

#[test]
fn a_call_knows_its_record_and_which_attempt_at_it_this_is() {
    let source = r#"
from mtask import record
def work(x):
    if x % 4 == 1 and record.attempt == 1:
        raise ValueError("the first time")
    return [x, record.index, record.attempt]
"#;
    run_both(source, &["-j1", "--retries", "1"], 40, |done| {
        let expected = (0..40).map(|x| format!("[{x},{x},{}]", if x % 4 == 1 { 2 } else { 1 }));
        done.assert_status(0).assert_stdout(records(expected));
    });
}

#[test]
fn a_record_that_was_sent_again_because_its_process_died_knows_it() {
    let source = r#"
import mtask, os
def work(x):
    if x == 2 and mtask.record.attempt == 1:
        os._exit(3)
    return mtask.record.attempt
"#;
    run_both(source, &["-j1", "--window", "1"], 4, |done| {
        done.assert_status(0).assert_stdout("1\n1\n2\n1\n");
    });
}

#[test]
fn a_call_knows_its_worker_and_process() {
    let source = r#"
from mtask import worker
def work(_):
    return [worker.number, worker.count, worker.process]
"#;
    run_both(source, &["-j1", "--lifespan", "2"], 5, |done| {
        done.assert_status(0);
        done.assert_stdout("[0,1,0]\n[0,1,0]\n[0,1,1]\n[0,1,1]\n[0,1,2]\n");
    });
}

#[test]
fn coroutines_and_threads_with_its_context_know_the_record_of_their_call() {
    let source = r#"
import asyncio, contextvars, threading
from mtask import record

late = []

async def ask():
    await asyncio.sleep(0)
    return record.index

async def work(x):
    seen = []
    there = contextvars.copy_context()
    thread = threading.Thread(target=there.run, args=(lambda: seen.append(record.index),))
    thread.start()
    thread.join()
    # What was begun for one record is at it still when the next is called for.
    late.append(asyncio.ensure_future(ask()))
    before = [task.result() for task in late if task.done()]
    return [record.index, await ask(), *seen, before == list(range(len(before)))]
"#;
    run_both(source, &["-j1"], 5, |done| {
        done.assert_status(0);
        done.assert_stdout(records((0..5).map(|x| format!("[{x},{x},{x},true]"))));
    });
}

#[test]
fn where_it_is_no_call_for_one_record_the_record_is_an_error() {
    let source = r#"
import mtask, threading
def index():
    try:
        return mtask.record.index
    except RuntimeError as error:
        assert str(error).startswith("mtask.record is known only in a call of `mtask --python`")
        return "unknown"
class Work:
    def __init__(self):
        self.before = index()
    def __call__(self, _):
        seen = []
        thread = threading.Thread(target=lambda: seen.append(index()))
        thread.start()
        thread.join()
        return [self.before, *seen, index()]
    def close(self):
        return index()
class Batches(Work):
    def __call__(self, batch):
        return [index() for _ in batch]
"#;
    let Some(env) = python(source) else { return };
    // Python 3.14 may hand a thread the context of who starts it.
    let run = |args: &[&str]| {
        env.mtask().args(["-j1", "--exits", "exits"]).args(args).stdin("1\n2\n").run()
    };
    let done = run(&[
        "--python",
        "work.py:Work",
        "--",
        "python3",
        "-X",
        "thread_inherit_context=0",
    ]);
    done.assert_status(0)
        .assert_stdout("[\"unknown\",\"unknown\",0]\n[\"unknown\",\"unknown\",1]\n");
    assert_eq!(
        env.lines("exits"),
        [r#"{"worker":0,"process":0,"exit":"unknown"}"#]
    );
    let done = run(&["--batch", "2", "--python", "work.py:Batches"]);
    done.assert_status(0).assert_stdout("\"unknown\"\n\"unknown\"\n");
}

#[test]
fn a_module_of_the_users_that_is_called_mtask_is_the_users() {
    let Some(env) = python("import mtask\ndef work(_): return mtask.mine\n") else {
        return;
    };
    env.write("mtask.py", "mine = 1\n");
    let run = || env.mtask().args(["--python", "work.py:work"]).stdin("0\n").run();
    run().assert_status(0).assert_stdout("1\n");
    // A folder that is no package hides nothing.
    fs::remove_file(env.path("mtask.py")).expect("a file");
    fs::create_dir(env.path("mtask")).expect("a folder");
    let done = run();
    let message = error(&done, 0)["message"].to_string();
    done.check(
        message.contains("has no attribute 'mine'"),
        "another module",
    );
}

#[test]
fn outside_a_worker_the_module_says_so_when_it_is_asked() {
    if python("").is_none() {
        return;
    }
    let code = "
from mtask import record, worker
for ask in (lambda: worker.number, lambda: record.index, lambda: record.attempt):
    try:
        ask()
    except RuntimeError as error:
        print(error)";
    let record = "mtask.record is known only in a call of `mtask --python` for one record: not with \
                  --batch, and in a thread that the call starts only with contextvars.copy_context()\n";
    run_alone(code).assert_status(0).assert_stdout(format!(
        "mtask.worker is known only in a worker of mtask: MTASK_WORKER is not set\n{record}{record}"
    ));
}

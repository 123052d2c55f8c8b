//! `--python`: calls, one after another and in all that they may do.

mod odd;
mod results;
mod shadowed;
mod spoilt;

use std::io::Write;
use std::process::Command;

use serde_json::Value;

use crate::done::{Done, numbers, records};
use crate::env::{TestEnv, skip};

/// A folder with `work.py`; `None` where there is no Python, which is then said.
pub(crate) fn python(source: &str) -> Option<TestEnv> {
    if !has("") {
        skip("python3 is not installed");
        return None;
    }
    let env = TestEnv::new();
    env.write("work.py", source);
    Some(env)
}

/// Whether python3 runs this.
pub(crate) fn has(code: &str) -> bool {
    Command::new("python3")
        .args(["-c", code])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// The error of a `worker_error` record.
#[track_caller]
pub(crate) fn error(done: &Done, line: usize) -> Value {
    let lines = done.lines();
    let record = done.parse(lines[line]);
    done.check(
        record["mtask_error"] == "worker_error",
        &format!("line {line} is no worker_error"),
    );
    record["error"].clone()
}

#[track_caller]
fn assert_message_has(done: &Done, line: usize, text: &str) {
    let error = error(done, line);
    let found = error["message"].as_str().is_some_and(|message| message.contains(text));
    done.check(found, &format!("the message of line {line} lacks {text:?}"));
}

#[test]
fn a_function_is_called_with_each_record() {
    let Some(env) = python("def swap(pair): return pair[::-1]\n") else {
        return;
    };
    env.mtask()
        .words("-j2 --python work.py:swap")
        .run_on("[1,\"é\"]\n[true, null]\n[{\"b\":1.5,\"a\":[]},12345678901234567890]\n")
        .assert_status(0)
        .assert_stderr_empty()
        .assert_stdout("[\"é\",1]\n[null,true]\n[12345678901234567890,{\"b\":1.5,\"a\":[]}]\n");
}

#[test]
fn with_format_lines_strings_go_in_and_out_as_they_are() {
    let Some(env) = python("def shout(text): return text.upper()\n") else {
        return;
    };
    env.mtask()
        .words("--format lines --python work.py:shout")
        .run_on("a \"b\" \\\n\nß é\n")
        .assert_output("A \"B\" \\\n\nSS É\n");
}

#[test]
fn what_is_printed_goes_to_stderr_and_harms_nothing() {
    let source = r#"
import os, subprocess, sys
print("printed while loading")
def work(number):
    print("printed", number)
    print('{"id":%d,"output":"forged"}' % number)
    os.write(1, b"written to descriptor 1\n")
    subprocess.run(["echo", "echoed by a child"])
    sys.stdout.write("lone \udc80\n")
    return [sys.stdin.read(), os.read(0, 1).decode()]
"#;
    let Some(env) = python(source) else { return };
    let done = env
        .mtask()
        .words("-j2 --python work.py:work")
        .var("PYTHONUNBUFFERED", "")
        .run_on(numbers(50));
    done.assert_output("[\"\",\"\"]\n".repeat(50));
    for text in [
        "printed while loading",
        "printed 49",
        "\"forged\"",
        "written to descriptor 1",
        "echoed by a child",
        "lone \\udc80",
    ] {
        done.assert_stderr_has(text);
    }
}

#[test]
fn a_record_may_be_a_list_or_an_object_of_arguments() {
    let Some(env) = python("def work(a, b=2): return [a, b]\n") else {
        return;
    };
    let run = |argument_type: &str, input: &str| {
        env.mtask()
            .words("-j1 --python work.py:work")
            .args(["--argument-type", argument_type])
            .run_on(input)
    };
    let done = run("args", "[1]\n[1,3]\n{\"a\":1}\n[1,2,3]\n");
    done.assert_status(123);
    assert_eq!(done.lines()[..2], [b"[1,2]", b"[1,3]"]);
    assert_message_has(&done, 2, "--argument-type args: the record is of type dict");
    assert_message_has(&done, 3, "positional argument");

    let done = run("kwargs", "{\"a\":1}\n{\"b\":1,\"a\":3}\n[1]\n{\"z\":1}\n");
    done.assert_status(123);
    assert_eq!(done.lines()[..2], [b"[1,2]", b"[3,1]"]);
    assert_message_has(
        &done,
        2,
        "--argument-type kwargs: the record is of type list",
    );
    assert_message_has(&done, 3, "unexpected keyword argument 'z'");
}

#[test]
fn a_record_that_python_cannot_read_fails_alone() {
    let Some(env) = python("def work(x): return 0\n") else {
        return;
    };
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let done = env
        .mtask()
        .words("-j1 --window 9 --error-input none")
        .words("--python work.py:work")
        .run_on(records(["1", &deep, "2"]));
    // mtask's own limit on depth may be lower than Python's.
    let errors = done.error_records();
    done.check(errors.len() == 1, "not one error record");
    done.check(errors[0]["index"] == 1, "the wrong record failed");
}

#[test]
fn a_coroutine_function_runs_to_its_end_for_each_record() {
    let source = r#"
import asyncio
class Asks:
    def __init__(self):
        self.loop = asyncio.get_running_loop()
    async def __call__(self, x):
        turn = self.loop.create_future()
        self.loop.call_soon(turn.set_result, None)
        await turn
        if x == 1:
            raise ValueError("one")
        return [x, self.loop is asyncio.get_running_loop()]
    async def close(self):
        return "closed"
"#;
    let Some(env) = python(source) else { return };
    let done = env.mtask().words("-j1 --exits exits --python work.py:Asks").run_on(numbers(3));
    done.assert_status(123);
    assert_eq!(done.lines()[0], b"[0,true]");
    assert_eq!(done.lines()[2], b"[2,true]");
    let traceback = error(&done, 1)["traceback"].to_string();
    done.check(
        !traceback.contains("asyncio"),
        "the traceback shows frames that are not the user's",
    );
    assert_eq!(
        env.lines("exits"),
        [r#"{"worker":0,"process":0,"exit":"closed"}"#]
    );
}

#[test]
fn no_answer_waits_behind_a_slow_call() {
    let source = r#"
def work(file):
    if file:
        open(file).readline()
    return file
"#;
    let Some(env) = python(source) else { return };
    let mut live = env.mtask().words("-j1 --window 3 --python work.py:work").open();
    let mut stdin = live.take_stdin();
    // More than once: what looks after such answers must do so again.
    for round in 0..3 {
        let file = format!("go-on-{round}");
        let mut go_on = env.fifo(&file);
        let block = format!("\"\"\nnull\n\"{file}\"\n");
        stdin.write_all(block.as_bytes()).expect("a pipe");
        assert_eq!(live.line(), "\"\"");
        assert_eq!(live.line(), "null");
        go_on.write_all(b"\n").expect("a pipe");
        assert_eq!(live.line(), format!("\"{file}\""));
    }
    drop(stdin);
    live.wait().assert_status(0);
}

#[test]
fn a_forked_child_never_answers() {
    let source = r#"
import os, sys
def work(x):
    child = os.fork()
    if child == 0:
        if x % 4 == 0:
            sys.exit(7)
        if x % 4 == 1:
            os._exit(7)
        if x % 4 == 2:
            raise ValueError("in the child")
        return "a child's answer"
    return os.waitpid(child, 0)[1] >> 8
"#;
    let Some(env) = python(source) else { return };
    env.mtask()
        .words("-j1 --window 8 --python work.py:work")
        .run_on(numbers(8))
        .assert_output("7\n7\n1\n0\n".repeat(2))
        .assert_stderr_has("ValueError: in the child");
}

#[test]
fn pools_may_be_forked_and_spawned() {
    let source = r#"
import multiprocessing, sys
def double(x):
    print("a child prints")
    return 2 * x
class Pools:
    def __init__(self):
        self.pools = [multiprocessing.get_context(method).Pool(1) for method in ("fork", "spawn")]
    def __call__(self, x):
        return [pool.map(double, [x]) for pool in self.pools]
    def close(self):
        for pool in self.pools:
            pool.close()
            pool.join()
if __name__ == "__main__":
    sys.exit("this is no script")
"#;
    let Some(env) = python(source) else { return };
    let done = env.mtask().words("-j1 --window 6 --python work.py:Pools").run_on(numbers(6));
    done.assert_status(0);
    done.assert_stderr_has("a child prints");
    done.assert_stdout(records((0..6).map(|x| format!("[[{0}],[{0}]]", 2 * x))));
}

#[test]
fn a_worker_that_is_killed_costs_no_record_the_first_time() {
    let source = r#"
import os, signal
def work(x):
    if x == 30 and not os.path.exists("killed"):
        open("killed", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return x
"#;
    let Some(env) = python(source) else { return };
    let done = env.mtask().words("-j2 --python work.py:work").run_on(numbers(100));
    done.assert_output(numbers(100));
    done.assert_stderr_has("died (signal 9 (SIGKILL)) while it held");
}

#[test]
fn whatever_calls_do_every_record_has_one_outcome() {
    const COUNT: usize = 20_000;
    let source = r#"
import os, random
def work(x):
    chance = random.Random(x).random()
    if chance < 0.0005:
        try:
            os.close(os.open("crashed-%d" % x, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            os._exit(3)
    elif chance < 0.01:
        raise ValueError(x)
    elif chance < 0.011:
        sum(range(200_000))  # a few are to take longer than others
    return [x]
"#;
    let Some(env) = python(source) else { return };
    let done = env.mtask().words("-j2 --python work.py:work").run_on(numbers(COUNT));
    done.assert_status(123);
    let lines = done.lines();
    assert_eq!(lines.len(), COUNT);
    let mut failures = 0;
    for (index, line) in lines.into_iter().enumerate() {
        if line == format!("[{index}]").as_bytes() {
            continue;
        }
        failures += 1;
        let record = done.parse(line);
        let raised = record["mtask_error"] == "worker_error"
            && record["error"]["message"].as_str() == Some(&index.to_string());
        // One that crashes may do so alone: the second of two that a process held together.
        let crashed =
            record["mtask_error"] == "worker_exit" && env.exists(&format!("crashed-{index}"));
        done.check(
            record["index"] == index && (raised || crashed),
            &format!("line {index} is no outcome of its record"),
        );
    }
    done.check(
        (100..400).contains(&failures),
        &format!("{failures} failures are not about 1 %"),
    );
    done.assert_stderr_has("restarts");
}

//! `--python`: calls, what they return and what they raise.

use std::io::Write;
use std::process::Command;

use serde_json::{Value, json};

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
fn has(code: &str) -> bool {
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
    let found = error["message"]
        .as_str()
        .is_some_and(|message| message.contains(text));
    done.check(found, &format!("the message of line {line} lacks {text:?}"));
}

#[test]
fn a_function_is_called_with_each_record() {
    let Some(env) = python("def swap(pair): return pair[::-1]\n") else {
        return;
    };
    let done = env
        .mtask()
        .args(["-j2", "--python", "work.py:swap"])
        .stdin("[1,\"é\"]\n[true, null]\n[{\"b\":1.5,\"a\":[]},12345678901234567890]\n")
        .run();
    done.assert_status(0)
        .assert_stderr_empty()
        .assert_stdout("[\"é\",1]\n[null,true]\n[12345678901234567890,{\"b\":1.5,\"a\":[]}]\n");
}

#[test]
fn with_format_lines_strings_go_in_and_out_as_they_are() {
    let Some(env) = python("def shout(text): return text.upper()\n") else {
        return;
    };
    let done = env
        .mtask()
        .args(["--format", "lines", "--python", "work.py:shout"])
        .stdin("a \"b\" \\\n\nß é\n")
        .run();
    done.assert_status(0).assert_stdout("A \"B\" \\\n\nSS É\n");
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
        .args(["-j2", "--python", "work.py:work"])
        .var("PYTHONUNBUFFERED", "")
        .stdin(numbers(50))
        .run();
    done.assert_status(0)
        .assert_stdout("[\"\",\"\"]\n".repeat(50));
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
fn an_exception_fails_its_record_with_type_message_and_traceback() {
    let source = r#"
class Refused(Exception):
    pass
class Silent(Exception):
    def __str__(self):
        raise RuntimeError
def inner(x):
    raise KeyError("inner")
def work(x):
    if x == 1:
        raise ValueError("not 1 \ud800")
    if x == 2:
        try:
            inner(x)
        except KeyError as error:
            raise Refused("outer") from error
    if x == 3:
        raise Silent
    if x == 4:
        return work(x)
    if x == 5:
        raise SystemExit(7)
    if x == 6:
        raise KeyboardInterrupt
    return x
"#;
    let Some(env) = python(source) else { return };
    let done = env
        .mtask()
        .args(["-j1", "--python", "work.py:work"])
        .stdin(numbers(8))
        .run();
    done.assert_status(123);
    let lines = done.lines();
    assert_eq!((lines[0], lines[7]), (&b"0"[..], &b"7"[..]));

    let error_1 = error(&done, 1);
    assert_eq!(error_1["type"], "ValueError");
    assert_eq!(error_1["message"], "not 1 \\ud800");
    let traceback = error_1["traceback"].as_str().expect("a traceback");
    let begins = format!(
        "Traceback (most recent call last):\n  File \"{}\", line 11, in work\n    raise ValueError",
        std::fs::canonicalize(env.path("work.py"))
            .expect("a file")
            .display()
    );
    assert!(traceback.starts_with(&begins), "{traceback}");

    let error_2 = error(&done, 2);
    assert_eq!(
        (&error_2["type"], &error_2["message"]),
        (&json!("work.Refused"), &json!("outer"))
    );
    let traceback = error_2["traceback"].as_str().expect("a traceback");
    assert!(traceback.contains("KeyError: 'inner'") && traceback.contains("direct cause"));
    assert!(
        !traceback.contains("<string>"),
        "the adapter shows: {traceback}"
    );

    assert_eq!(error(&done, 3)["type"], "work.Silent");
    assert_eq!(error(&done, 4)["type"], "RecursionError");
    assert_message_has(&done, 5, "sys.exit(7) was called");
    assert_eq!(error(&done, 6)["type"], "KeyboardInterrupt");
}

#[test]
fn a_result_that_is_not_json_fails_its_record_and_says_so() {
    let source = r#"
import datetime, pathlib
async def later(): return 1
around = []
around.append(around)
RESULTS = [
    (lambda: float("nan"), "output is nan"),
    (lambda: [1, {"score": float("-inf")}], "output[1]['score'] is -inf"),
    (lambda: b"x", "of type bytes: decode it"),
    (lambda: (x for x in [1]), "generator: return a list"),
    (lambda: later(), "coroutine: await it"),
    (lambda: {1, 2}, "set, which has no order: return a list"),
    (lambda: datetime.date(2020, 1, 1), "datetime.date: return its isoformat()"),
    (lambda: pathlib.Path("x"), "return its str()"),
    (lambda: around, "Circular reference"),
    (lambda: {(1, 2): 3}, "key of type tuple"),
    (lambda: object, "of type type"),
]
def work(x):
    result, expected = RESULTS[x]
    print("EXPECTED", expected)
    return result()
"#;
    let Some(env) = python(source) else { return };
    let done = env
        .mtask()
        .args(["-j1", "--python", "work.py:work"])
        .stdin(numbers(11))
        .run();
    done.assert_status(123);
    let expected: Vec<&str> = done
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("EXPECTED "))
        .collect();
    assert_eq!(expected.len(), 11);
    for (line, expected) in expected.into_iter().enumerate() {
        assert_message_has(&done, line, "the output is not JSON");
        assert_message_has(&done, line, expected);
    }
}

#[test]
fn dataclasses_and_tuples_are_results() {
    let source = r#"
import collections, dataclasses, enum
@dataclasses.dataclass
class Point:
    x: int
    next: object = None
Pair = collections.namedtuple("Pair", "a b")
class Level(enum.IntEnum):
    LOW = 1
def work(x):
    return [Point(1, Point(2)), Pair(1, 2), (), {1: Level.LOW}, "\ud800"]
"#;
    let Some(env) = python(source) else { return };
    let done = env
        .mtask()
        .args(["--python", "work.py:work"])
        .stdin("0\n")
        .run();
    done.assert_status(0).assert_stdout(
        "[{\"x\":1,\"next\":{\"x\":2,\"next\":null}},[1,2],[],{\"1\":1},\"\\ud800\"]\n",
    );
}

#[test]
fn numbers_and_arrays_of_numpy_are_results() {
    let source = r#"
import numpy
RESULTS = [numpy.float32(1.5), numpy.arange(3), {"a": [numpy.int64(4), numpy.bool_(True)]},
           numpy.zeros((2, 1)), numpy.array([1, numpy.nan])]
def work(x): return RESULTS[x]
def double(batch): return numpy.array(batch) * 2.0
"#;
    let Some(env) = python(source) else { return };
    if !has("import numpy") {
        return skip("numpy is not installed");
    }
    let done = env
        .mtask()
        .args(["-j1", "--python", "work.py:work"])
        .stdin(numbers(5))
        .run();
    done.assert_status(123);
    let expected = ["1.5", "[0,1,2]", "{\"a\":[4,true]}", "[[0.0],[0.0]]"];
    let lines = done.lines();
    let results: Vec<_> = lines[..4]
        .iter()
        .map(|line| String::from_utf8_lossy(line))
        .collect();
    assert_eq!(results, expected);
    assert_message_has(&done, 4, "output[1] is nan");

    let done = env
        .mtask()
        .args(["--batch", "4", "--python", "work.py:double"])
        .stdin("1\n2\n")
        .run();
    done.assert_status(0).assert_stdout("2.0\n4.0\n");
}

#[test]
fn a_record_may_be_a_list_or_an_object_of_arguments() {
    let Some(env) = python("def work(a, b=2): return [a, b]\n") else {
        return;
    };
    let run = |argument_type: &str, input: &str| {
        env.mtask()
            .args(["-j1", "--python", "work.py:work"])
            .args(["--argument-type", argument_type])
            .stdin(input)
            .run()
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
        .args(["-j1", "--window", "9", "--error-input", "none"])
        .args(["--python", "work.py:work"])
        .stdin(records(["1", &deep, "2"]))
        .run();
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
        await asyncio.sleep(0)
        if x == 1:
            raise ValueError("one")
        return [x, self.loop is asyncio.get_running_loop()]
    async def close(self):
        return "closed"
"#;
    let Some(env) = python(source) else { return };
    let done = env
        .mtask()
        .args(["-j1", "--exits", "exits", "--python", "work.py:Asks"])
        .stdin(numbers(3))
        .run();
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
        [r#"{"worker":0,"life":0,"exit":"closed"}"#]
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
    let mut live = env
        .mtask()
        .args(["-j1", "--window", "3", "--python", "work.py:work"])
        .open();
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
    let done = env
        .mtask()
        .args(["-j1", "--window", "8", "--python", "work.py:work"])
        .stdin(numbers(8))
        .run();
    done.assert_status(0)
        .assert_stdout("7\n7\n1\n0\n".repeat(2))
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
    let done = env
        .mtask()
        .args(["-j1", "--window", "6", "--python", "work.py:Pools"])
        .stdin(numbers(6))
        .run();
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
    let done = env
        .mtask()
        .args(["-j2", "--python", "work.py:work"])
        .stdin(numbers(100))
        .run();
    done.assert_status(0).assert_stdout(numbers(100));
    done.assert_stderr_has("died (signal 9 (SIGKILL)) while it held");
}

#[test]
fn whatever_calls_do_every_record_has_one_outcome() {
    const COUNT: usize = 100_000;
    let source = r#"
import os, random, time
def work(x):
    chance = random.Random(x).random()
    if chance < 0.0002:
        try:
            os.close(os.open("crashed-%d" % x, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            os._exit(3)
    elif chance < 0.01:
        raise ValueError(x)
    elif chance < 0.011:
        time.sleep(0.003)  # a few are to take longer than others
    return [x]
"#;
    let Some(env) = python(source) else { return };
    let done = env
        .mtask()
        .args(["-j2", "--python", "work.py:work"])
        .stdin(numbers(COUNT))
        .run();
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
        done.check(
            record["index"] == index
                && record["mtask_error"] == "worker_error"
                && record["error"]["message"].as_str() == Some(&index.to_string()),
            &format!("line {index} is no outcome of its record"),
        );
    }
    done.check(
        (500..2000).contains(&failures),
        &format!("{failures} failures are not about 1 %"),
    );
    done.assert_stderr_has("restarts");
}

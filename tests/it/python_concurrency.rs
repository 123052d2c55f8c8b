//! `--concurrency`: calls that overlap, on one event loop or in threads.

mod kept;
mod too_long;

use std::process::Command;

use rustix::process::Signal;

use crate::done::{Done, numbers, records};
use crate::env::{mtask, skip};
use crate::python::{error, python};

/// The oldest and the newest Python from 3.8 on that are installed here.
pub(crate) fn interpreters() -> Vec<String> {
    let script = "for p in \"${PYENV_ROOT:-$HOME/.pyenv}\"/versions/*/bin/python3 \
                  python3.8 python3.9 python3.10 python3.11 python3.12 python3.13 python3.14 python3; do \
                  \"$p\" -c 'import sys
if sys.version_info >= (3, 8): print(*map(\"%03d\".__mod__, sys.version_info[:3]), sys.executable)' \
                  2>/dev/null; done | sort -u";
    let found = Command::new("sh").args(["-c", script]).output().expect("sh runs");
    let found = String::from_utf8(found.stdout).expect("paths are UTF-8");
    let mut found: Vec<String> = (found.lines())
        .filter_map(|line| line.splitn(4, ' ').nth(3).map(ToOwned::to_owned))
        .collect();
    let newest = found.pop();
    found.truncate(1);
    found.extend(newest);
    if found.is_empty() {
        skip("python3 is not installed");
    }
    found
}

const MEETING: &str = r#"
import asyncio, threading, mtask
WIDTH = 4
class Peak:
    def __init__(self):
        self.now = self.most = 0
        self.lock = threading.Lock()
    def __enter__(self):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
    def __exit__(self, *_):
        with self.lock:
            self.now -= 1
class Tasks:
    "Each four records meet: none is answered before all are under way."
    def __init__(self):
        self.peak, self.met = Peak(), {}
    async def __call__(self, x):
        assert mtask.record.index == x, (mtask.record.index, x)
        with self.peak:
            count, met = self.met.setdefault(x // WIDTH, [0, asyncio.Event()])
            self.met[x // WIDTH][0] += 1
            if self.met[x // WIDTH][0] == WIDTH:
                met.set()
            await met.wait()
            await asyncio.sleep(0)
            assert mtask.record.index == x
        return x
    async def close(self):
        return self.peak.most
class Threads:
    def __init__(self):
        self.peak, self.meeting = Peak(), threading.Barrier(WIDTH)
    def __call__(self, x):
        with self.peak:
            self.meeting.wait()
            assert mtask.record.index == x
        return x
    def close(self):
        return self.peak.most
"#;

#[test]
fn calls_overlap_and_never_are_more_under_way_than_asked_for() {
    let Some(env) = python(MEETING) else { return };
    for interpreter in interpreters() {
        for class in ["Tasks", "Threads"] {
            let done = env
                .mtask()
                .words("-j1 --concurrency 4 --exits exits")
                .args(["--python", &format!("work.py:{class}"), "--", &interpreter])
                .run_on(numbers(40));
            done.assert_output(numbers(40)).assert_stderr_empty();
            assert_eq!(
                env.lines("exits"),
                [r#"{"worker":0,"process":0,"exit":4}"#],
                "{interpreter} {class}"
            );
        }
    }
}

#[test]
fn each_call_has_its_own_name_and_context() {
    let source = r#"
import asyncio, contextvars, threading, mtask
seen = contextvars.ContextVar("seen", default=None)
seen.set("module")
async def inner():
    return mtask.record.index
async def task(x):
    before = seen.get()
    seen.set(x)
    await asyncio.sleep(0)
    later = await asyncio.gather(inner(), asyncio.create_task(inner()))
    return [before, seen.get(), later, asyncio.current_task().get_name()]
def thread(x):
    before = seen.get()
    seen.set(x)
    return [before, seen.get(), mtask.record.index, mtask.record.attempt]
"#;
    let Some(env) = python(source) else { return };
    for interpreter in interpreters() {
        let run = |name: &str| {
            let callable = format!("work.py:{name}");
            env.mtask()
                .words("-j1 --concurrency 3 --python")
                .args([&callable, "--", &interpreter])
                .run_on(numbers(9))
        };
        let expected = |x| format!("[\"module\",{x},[{x},{x}],\"mtask record {x}\"]");
        run("task").assert_output(records((0..9).map(expected)));
        run("thread").assert_output(records((0..9).map(|x| format!("[\"module\",{x},{x},1]"))));
    }
}

#[test]
fn results_are_in_input_order_or_as_they_finish() {
    let source = r#"
import asyncio
class Ask:
    def __init__(self):
        self.last = asyncio.Event()
    async def __call__(self, x):
        if x == 0:
            await self.last.wait()
        if x == 5:
            self.last.set()
        return x
"#;
    let Some(env) = python(source) else { return };
    let run = |option: &[&str]| {
        let run = env.mtask().words("-j1 --concurrency 6 --python work.py:Ask");
        run.args(option).run_on(numbers(6))
    };
    run(&[]).assert_output(numbers(6));
    let done = run(&["-u"]);
    done.assert_status(0);
    assert_ne!(done.lines()[0], b"0");
    assert_eq!(done.lines().len(), 6);
}

#[test]
fn exceptions_exits_and_bad_results_fail_their_own_record() {
    let source = r#"
import asyncio, sys
def bad(x):
    if x == 1: raise ValueError("one")
    if x == 2: sys.exit("two")
    if x == 3: return {3}
    if x == 4: raise KeyboardInterrupt
    return x
async def ask(x):
    await asyncio.sleep(0)
    return bad(x)
"#;
    let Some(env) = python(source) else { return };
    for interpreter in interpreters() {
        for name in ["ask", "bad"] {
            let done = env
                .mtask()
                .words("-j1 --concurrency 3")
                .args(["--python", &format!("work.py:{name}"), "--", &interpreter])
                .run_on(numbers(8));
            done.assert_status(123);
            let errors: Vec<_> = (1..5).map(|line| error(&done, line)).collect();
            assert_eq!(errors[0]["type"], "ValueError");
            assert_eq!(errors[1]["message"], "sys.exit(two) was called");
            assert_eq!(errors[3]["type"], "KeyboardInterrupt");
            let traceback = errors[0]["traceback"].as_str().expect("a traceback");
            let is_theirs = traceback.contains("in bad") && !traceback.contains("_mtask");
            done.check(is_theirs, traceback);
            done.check(errors[2].to_string().contains("of type set"), "no reason");
            assert_eq!(done.lines()[7], b"7");
        }
    }
}

#[test]
fn a_process_that_is_killed_costs_no_record_of_those_under_way() {
    let source = r#"
import asyncio, os, signal
async def ask(x):
    if x == 30 and not os.path.exists("killed"):
        open("killed", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(0)
    return x
def get(x):
    if x == 30 and not os.path.exists("killed"):
        open("killed", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return x
"#;
    let Some(env) = python(source) else { return };
    for name in ["work.py:ask", "work.py:get"] {
        let done =
            env.mtask().words("-j2 --concurrency 8 --python").args([name]).run_on(numbers(100));
        done.assert_output(numbers(100));
        std::fs::remove_file(env.path("killed")).expect("it was killed");
    }
}

#[test]
fn a_forked_child_that_comes_back_ends_and_answers_nothing() {
    let source = r#"
import asyncio, os, sys
def born(x):
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] >> 8
    if x % 3 == 0:
        sys.exit(7)
    if x % 3 == 1:
        raise ValueError("in the child")
    return "a child's answer"
async def ask(x):
    await asyncio.sleep(0)
    return born(x)
"#;
    let Some(env) = python(source) else { return };
    for name in ["work.py:ask", "work.py:born"] {
        env.mtask()
            .words("-j1 --concurrency 2 --python")
            .args([name])
            .run_on(numbers(6))
            .assert_output("7\n1\n0\n".repeat(2))
            .assert_stderr_has("ValueError: in the child");
    }
}

#[test]
fn calls_go_on_while_nobody_reads_their_answers() {
    let source = r#"
import asyncio
class Ask:
    def __init__(self):
        self.done = 0
    async def __call__(self, x):
        if x == 0:
            # All others end first, whose answers are more than a pipe and the buffer hold.
            while self.done < 7:
                await asyncio.sleep(0.001)
            return "first"
        await asyncio.sleep(0)
        self.done += 1
        return "x" * 300_000
"#;
    let Some(env) = python(source) else { return };
    let done = env
        .mtask()
        .words("-j1 --concurrency 8 --buffer 200K --python work.py:Ask")
        .run_on(numbers(8));
    done.assert_status(0);
    assert_eq!(done.lines()[0], b"\"first\"");
    assert_eq!(done.stdout.len(), 8 + 7 * 300_003);
}

#[test]
fn an_interrupt_lets_what_is_under_way_finish() {
    let source = r#"
import asyncio, os
class Ask:
    def __init__(self):
        self.go_on = asyncio.Event()
        asyncio.get_running_loop().add_reader(os.open("go-on", os.O_RDWR), self.go_on.set)
    async def __call__(self, x):
        open("begun", "a").write("%d\n" % x)
        await self.go_on.wait()
        return x
"#;
    let Some(env) = python(source) else { return };
    let mut go_on = env.fifo("go-on");
    let live = env
        .mtask()
        .words("-j1 --concurrency 3 --grace 1m --python work.py:Ask")
        .stdin(numbers(50))
        .start();
    env.wait_for_lines("begun", 3);
    live.signal(Signal::INT);
    live.wait_for_stderr("SIGINT");
    std::io::Write::write_all(&mut go_on, b"x").expect("a pipe");
    let done = live.wait();
    done.assert_signal(Signal::INT).assert_stdout(numbers(3));
}

#[test]
fn whatever_overlapping_calls_do_every_record_has_one_outcome() {
    const COUNT: usize = 5_000;
    let source = r#"
import asyncio, os, random, time
def odd(x):
    chance = random.Random(x).random()
    if chance < 0.001:
        try:
            os.close(os.open("crashed-%d" % x, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            os._exit(3)
    elif chance < 0.02:
        raise ValueError(x)
    return chance
async def ask(x):
    await asyncio.sleep(odd(x) / 100)
    return [x]
def get(x):
    time.sleep(odd(x) / 1000)
    return [x]
"#;
    let Some(env) = python(source) else { return };
    for name in ["work.py:ask", "work.py:get"] {
        let run = env.mtask().words("-j2 --concurrency 50 --python").args([name]);
        check_outcomes(&run.run_on(numbers(COUNT)), COUNT);
    }
}

fn check_outcomes(done: &Done, count: usize) {
    done.assert_status(123);
    let lines = done.lines();
    assert_eq!(lines.len(), count);
    for (index, line) in lines.into_iter().enumerate() {
        if line == format!("[{index}]").as_bytes() {
            continue;
        }
        let record = done.parse(line);
        let raised = record["mtask_error"] == "worker_error"
            && record["error"]["message"].as_str() == Some(&index.to_string());
        // One that crashes may do so alone: the second of two that a process held together.
        let is_outcome =
            record["index"] == index && (raised || record["mtask_error"] == "worker_exit");
        done.check(
            is_outcome,
            &format!("line {index} is no outcome of its record"),
        );
    }
}

#[test]
fn it_needs_a_function_and_no_batch() {
    for (words, text) in [
        ("--concurrency 2 cat", "--concurrency needs --python"),
        (
            "--concurrency 2 --batch 2 --python work.py:f",
            "many calls with one record each: leave one of them out",
        ),
        ("--concurrency 0 --python work.py:f", "--concurrency"),
    ] {
        mtask(words).run().assert_status(2).assert_stderr_has(text);
    }
}

#[test]
fn no_call_waits_for_records_that_have_not_come() {
    let Some(env) = python("async def ask(x): return x\ndef get(x): return x\n") else {
        return;
    };
    for name in ["work.py:ask", "work.py:get"] {
        let mut live = env.mtask().words("-j1 --concurrency 4 --python").args([name]).open();
        live.ask("7", "7");
        live.ask("8", "8");
        live.wait().assert_status(0);
    }
}

#[test]
fn a_call_that_overlaps_others_may_give_any_number_of_results() {
    let source = r#"
import asyncio, mtask
async def chunks(x):
    for part in range(x % 3):
        await asyncio.sleep(0)
        assert mtask.record.index == x
        yield [x, part]
    if x == 4:
        raise ValueError("in the middle")
def pieces(x):
    for part in range(x % 3):
        assert mtask.record.index == x
        yield [x, part]
    if x == 4:
        raise ValueError("in the middle")
"#;
    let Some(env) = python(source) else { return };
    for name in ["work.py:chunks", "work.py:pieces"] {
        let run = env.mtask().words("-j1 --concurrency 3 --python").args([name]);
        let done = run.run_on(numbers(6));
        done.assert_status(123);
        assert_eq!(error(&done, 3)["message"], "in the middle");
        let mut lines = done.lines();
        lines.remove(3);
        assert_eq!(
            lines,
            [&b"[1,0]"[..], b"[2,0]", b"[2,1]", b"[5,0]", b"[5,1]"]
        );
    }
}

#[test]
fn a_call_that_stops_the_loop_ends_no_other() {
    let source = r#"
import asyncio
async def work(x):
    if x == 3:
        asyncio.get_running_loop().stop()
    await asyncio.sleep(0.01)
    return x
"#;
    let Some(env) = python(source) else { return };
    env.mtask()
        .words("-j1 --concurrency 4 --python work.py:work")
        .run_on(numbers(8))
        .assert_status(0)
        .assert_stdout(numbers(8));
}

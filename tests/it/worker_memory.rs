//! `--max-worker-memory`: workers that hold too much; and those that the kernel kills for it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::done::{Done, records};
use crate::env::{Run, TestEnv, mtask, skip, wait_until};
use crate::live::Live;
use crate::python::python;

/// Asks until the worker's process is another one than the first, and ends the run. `process` has a
/// record answered with the number of the process.
fn assert_replaced(env: &TestEnv, mut live: Live, hold: &str, process: &str, names: [&str; 2]) {
    live.ask(hold, names[0]);
    wait_until("another process", || {
        live.send(process);
        let line = live.line();
        assert!(names.contains(&line.as_str()), "{line}");
        line == names[1]
    });
    let done = live.wait();
    done.assert_status(0).assert_stderr_has("worker 0 holds ");
    done.assert_stderr_has("more than --max-worker-memory 100M: its process is replaced");
    done.assert_stderr_has("replaced for memory: 1\n").assert_stderr_has("peak memory: ");
    let stats = env.json("stats");
    let worker = &stats["workers"][0];
    assert_eq!(
        (&worker["replaced_for_memory"], &worker["processes"]),
        (&1.into(), &2.into())
    );
    assert!(worker["peak_memory"].as_u64() > Some(140 << 20), "{worker}");
    assert_eq!(
        (&stats["failed"], &stats["restarts"]),
        (&0.into(), &0.into())
    );
}

fn limited(env: &TestEnv, options: &str) -> Run {
    let limit = "-j1 --max-worker-memory 100M --stats --stats-file stats";
    env.mtask().words(limit).words(options)
}

#[test]
fn a_worker_that_holds_too_much_is_replaced_and_no_record_is_lost() {
    let env = TestEnv::new();
    let live = limited(&env, "").echo().open();
    let (hold, ask) = ("@hold:150000K @env:MTASK_PROCESS", "@env:MTASK_PROCESS");
    assert_replaced(&env, live, hold, ask, ["0", "1"]);

    let live = limited(&env, "--protocol json").worker(["--json"]).open();
    let text = |words: &str| format!("{words:?}");
    assert_replaced(&env, live, &text(hold), &text(ask), ["\"0\"", "\"1\""]);
}

#[test]
fn what_children_hold_counts_too() {
    let source = r#"
import os
import subprocess
import sys

CHILD = "held = bytearray(b'x') * (150 << 20); print(flush=True); import time; time.sleep(1000)"

def call(what):
    if what == "hold":
        child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE)
        child.stdout.readline()
    return int(os.environ["MTASK_PROCESS"])
"#;
    let Some(env) = python(source) else { return };
    let live = limited(&env, "--python work.py:call").open();
    assert_replaced(&env, live, "\"hold\"", "\"ask\"", ["0", "1"]);
}

#[test]
fn the_next_process_starts_while_the_present_one_goes_on() {
    // The second process is not up before the first one has answered once more.
    let source = r#"
import os
import pathlib
import time

class Model:
    def __init__(self):
        self.held = None
        if os.environ["MTASK_PROCESS"] == "1":
            pathlib.Path("second-begun").touch()
            while not pathlib.Path("go-on").exists():
                time.sleep(0.01)

    def __call__(self, what):
        if what == "hold":
            self.held = bytearray(b"x") * (150 << 20)
        return int(os.environ["MTASK_PROCESS"])
"#;
    let Some(env) = python(source) else { return };
    let mut live = limited(&env, "--python work.py:Model").open();
    live.ask("\"hold\"", "0");
    if !may_hold_twice() {
        return skip("there is no memory for two processes");
    }
    env.wait_for("second-begun");
    env.write("go-on", "");
    wait_until("the next process", || {
        live.send("0");
        live.line() == "1"
    });
    let done = live.wait();
    done.assert_status(0).assert_stderr_has("replaced for memory: 1\n");
}

/// Whether there is room for another process beside one.
fn may_hold_twice() -> bool {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = available.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes > Some(1 << 20)
}

#[test]
fn a_worker_that_holds_too_much_from_the_start_still_serves_a_record_each_time() {
    let source = r#"
import os

class Large:
    def __init__(self):
        self.held = bytearray(b"x") * (150 << 20)

    def __call__(self, what):
        return int(os.environ["MTASK_PROCESS"])
"#;
    let Some(env) = python(source) else { return };
    let mut live = limited(&env, "--python work.py:Large").open();
    let mut last = 0;
    for process in 1..3 {
        wait_until("the next process", || {
            live.send("0");
            let answer: usize = live.line().parse().expect("a number");
            assert!(answer == last || answer == last + 1);
            last = answer;
            answer == process
        });
    }
    live.wait().assert_status(0);
}

#[test]
fn the_statistics_have_the_peak_without_a_limit() {
    let env = TestEnv::new();
    let run = env.mtask().words("-j1 --stats --stats-file stats").echo();
    let done = run.run_on("x @hold:150000K\n");
    done.assert_status(0).assert_stderr_has("peak memory: 1");
    let stats = env.json("stats");
    assert!(
        stats["workers"][0]["peak_memory"].as_u64() > Some(140 << 20),
        "{stats}"
    );
    assert!(!done.stderr.contains("replaced for memory"));
}

#[test]
fn workers_are_killed_before_mtask_where_memory_runs_out() {
    let own = || fs::read_to_string("/proc/self/oom_score_adj").ok()?.trim().parse::<i32>().ok();
    let Some(own) = own() else {
        return skip("there is no oom_score_adj");
    };
    let done =
        mtask("-j1 sh -c").args(["cat /proc/self/oom_score_adj; exec cat >&2"]).run_on("x\n");
    done.assert_output(format!("{}\n", (own + 100).min(1000)));
}

/// A control group of so many bytes; gone at the end.
struct Group {
    folder: PathBuf,
}

impl Group {
    fn new(bytes: u64) -> Option<Self> {
        let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = membership.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
        let name = format!("mtask-test-{}", std::process::id());
        // Version 1, and version 2.
        for (parent, files) in [
            (
                "/sys/fs/cgroup/memory".to_owned(),
                &["memory.limit_in_bytes"][..],
            ),
            (format!("/sys/fs/cgroup{own}"), &["memory.max"]),
            ("/sys/fs/cgroup".to_owned(), &["memory.max"]),
        ] {
            let group = Self {
                folder: Path::new(&parent).join(&name),
            };
            let is_made = fs::create_dir(&group.folder).is_ok();
            if is_made && files.iter().all(|file| group.set(file, bytes)) {
                // Where there is swap.
                group.set("memory.memsw.limit_in_bytes", bytes);
                group.set("memory.swap.max", 0);
                return Some(group);
            }
        }
        None
    }

    fn set(&self, file: &str, bytes: u64) -> bool {
        let path = self.folder.join(file);
        // Not made anew: in a folder of another kind that would be a plain file.
        path.exists() && fs::write(path, bytes.to_string()).is_ok()
    }

    /// Runs mtask in it.
    fn run(&self, run: Run) -> Run {
        let procs = self.folder.join("cgroup.procs");
        run.shell(&format!(
            "echo $$ > {} && exec \"$0\" \"$@\"",
            procs.display()
        ))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What was in it may be on its way out.
        for _ in 0..1000 {
            if fs::remove_dir(&self.folder).is_ok() || !self.folder.exists() {
                return;
            }
            crate::env::let_pass(std::time::Duration::from_millis(5));
        }
    }
}

#[test]
fn a_record_for_which_the_kernel_kills_is_named_so_and_mtask_lives() {
    let Some(group) = Group::new(200 << 20) else {
        return skip("no control group can be made");
    };
    let input = records(["0", "1 @hold:600M", "2", "3"]);
    let run = group.run(mtask("-j1")).echo();
    let done: Done = run.run_on(&*input);
    done.assert_status(123).assert_results_but(1, &input);
    let record = done.assert_one_error(1, "worker_exit");
    done.check(
        record["signal"] == 9 && record["oom"] == true,
        "it is not called so",
    );
    done.assert_stderr_has("by which the kernel kills for want of memory");
    // Another SIGKILL is none of the kernel's.
    let input = records(["0", "1 @kill:9"]);
    let done = group.run(mtask("-j1")).echo().run_on(&*input);
    let record = done.assert_one_error(1, "worker_exit");
    done.check(
        record["signal"] == 9 && record["oom"].is_null(),
        "it is called so",
    );
}

#[test]
fn a_limit_is_a_size() {
    for odd in ["0", "x", "-1"] {
        let done = mtask("--max-worker-memory").args([odd]).echo().run();
        done.assert_status(2).assert_stderr_has("--max-worker-memory");
    }
}

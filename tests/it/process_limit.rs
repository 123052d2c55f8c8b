//! `ulimit -u`: the user may have no more processes, of which every thread is one.
//!
//! Root may have as many as it likes, so where root runs these tests another user runs mtask: one
//! who has no other process, so that a limit means mtask and its workers alone. Linux only.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, geteuid, getpid};

use crate::done::{Done, numbers, records};
use crate::env::{Run, TestEnv, skip, wait_until, worker_path};
use crate::live::Live;

/// More than mtask's own threads, and less than those and [`WORKERS`] workers.
const FEW: u64 = 10;
const WORKERS: usize = 12;

/// A folder in which another user than root can run mtask and its workers.
struct LimitedEnv {
    env: TestEnv,
    /// Where root runs the tests: who runs mtask.
    user: Option<u32>,
}

impl LimitedEnv {
    /// None where the limit cannot be shown.
    fn new() -> Option<Self> {
        static USERS: AtomicU32 = AtomicU32::new(0);

        if !cfg!(target_os = "linux") {
            skip("which limit counts threads is known of Linux alone");
            return None;
        }
        let env = TestEnv::new();
        for (from, to) in [
            (env!("CARGO_BIN_EXE_mtask"), "mtask"),
            (&worker_path(), "test-worker"),
        ] {
            env.copy_program(from, to);
        }
        for (name, mode) in [("", 0o777), ("mtask", 0o755), ("test-worker", 0o755)] {
            fs::set_permissions(env.path(name), fs::Permissions::from_mode(mode))
                .expect("permissions are set");
        }
        let process = u32::try_from(getpid().as_raw_nonzero().get()).expect("a pid");
        let user = geteuid().is_root().then(|| {
            let number = USERS.fetch_add(1, Ordering::SeqCst);
            20_000 + process % 2_500 * 16 + number % 16
        });
        let limited = Self { env, user };
        let can_run = limited.mtask().words("--version").run();
        if !can_run.status.success() {
            skip("another user cannot run mtask in the temporary folder");
            return None;
        }
        // Without input no worker is started.
        let unlimited = limited.mtask().processes(1).words("-- cat").run();
        if unlimited.status.success() {
            skip("this system does not keep the limit on processes");
            return None;
        }
        Some(limited)
    }

    fn mtask(&self) -> Run {
        let run = self.env.mtask();
        match self.user {
            Some(user) => run.user(user, self.env.path("mtask")),
            None => run,
        }
    }

    /// A run with one worker, in which mtask may start nothing more, be it a thread.
    fn start_and_allow_no_more(&self) -> Live {
        let mut live = self.mtask().words("-j1").args(self.worker()).open();
        live.ask("@processes:1", "@processes:1");
        live
    }

    fn worker(&self) -> [String; 2] {
        ["--".into(), self.env.path("test-worker")]
    }
}

/// Runs mtask until it ends by itself or by the first answer, the input being held open: 123 means
/// that a worker has answered.
fn run_until_an_answer(limited: &LimitedEnv, most: u64) -> Done {
    let options = ["-j1", "--max-record", "1", "--on-error", "raise"];
    let mut live = limited
        .mtask()
        .processes(most)
        .args(options)
        .words("--max-restarts 2")
        .args(limited.worker())
        .args(["--suffix", "too long"])
        .open();
    let mut pipe = live.take_stdin();
    // It may have ended before it has read anything.
    let _ = pipe.write_all(b"x\n");
    let done = live.wait();
    drop(pipe);
    done
}

#[test]
fn each_record_has_its_process_where_fewer_may_run_than_workers() {
    let Some(limited) = LimitedEnv::new() else {
        return;
    };
    if limited.user.is_none() {
        return;
    }
    let done =
        limited.mtask().processes(FEW).words("--each -j40 -- /bin/echo").run_on(numbers(200));
    done.assert_stdout(numbers(200));
    done.check(matches!(done.status.code(), Some(0)), "it did not end well");
}

#[test]
fn however_few_processes_are_allowed_mtask_ends_and_names_the_limit() {
    let Some(limited) = LimitedEnv::new() else {
        return;
    };
    // Only of a user without other processes is it known how many more there may be.
    let limits = if limited.user.is_some() {
        1..=FEW
    } else {
        1..=1
    };
    let mut statuses = Vec::new();
    for most in limits.clone() {
        let done = run_until_an_answer(&limited, most);
        let status = done.status.code();
        match status {
            // Its own threads cannot be started.
            Some(1) => {
                done.assert_stderr_has("ulimit -u");
                done.check(done.stderr.lines().count() == 1, "there is not one message");
            }
            // No worker can be.
            Some(125) => {
                done.assert_stderr_has("worker 0 could not be started")
                    .assert_stderr_has("ulimit -u")
                    .assert_stderr_has("no worker could be kept running");
            }
            Some(123) => {
                done.assert_one_error(0, "answer_too_large");
            }
            _ => done.fail("it ended in another way"),
        }
        statuses.extend(status);
    }
    assert_eq!(statuses[0], 1, "for limits of {limits:?}");
    if limited.user.is_some() {
        statuses.dedup();
        assert_eq!(statuses, [1, 125, 123], "for limits of {limits:?}");
    }
}

/// The thread that writes is started when it is needed.
#[test]
fn a_result_for_which_no_thread_is_to_be_had_is_no_silent_loss() {
    let Some(limited) = LimitedEnv::new() else {
        return;
    };
    let mut live = limited.start_and_allow_no_more();
    live.send("x".repeat(100_000));
    live.wait_with_open_stdin()
        .assert_status(1)
        .assert_stdout("@processes:1\n")
        .assert_stderr_has("cannot write standard output")
        .assert_stderr_has("ulimit -u");
}

#[test]
fn messages_for_which_no_thread_is_to_be_had_are_written() {
    let Some(limited) = LimitedEnv::new() else {
        return;
    };
    let mut live = limited.start_and_allow_no_more();
    live.ask("@errlines:100", "@errlines:100");
    live.wait_until_stderr("100 lines", |stderr| stderr.matches('\n').count() == 100);
    live.wait().assert_status(0);
}

#[test]
fn an_exit_value_for_which_no_thread_is_to_be_had_is_no_silent_loss() {
    let Some(limited) = LimitedEnv::new() else {
        return;
    };
    let exits = limited.env.path("exits");
    let mut live = limited
        .mtask()
        .words("-j1 --protocol json --format lines")
        .args(["--exits", &exits])
        .args(limited.worker())
        .args(["--json", "--end-line", "{\"exit\":1}"])
        .open();
    live.ask("@processes:1", "@processes:1");
    live.wait()
        .assert_status(1)
        .assert_stderr_has(&format!("cannot write {exits}"))
        .assert_stderr_has("ulimit -u");
}

/// More workers than there may be processes: the thread that writes is there before them.
#[test]
fn workers_do_not_take_what_threads_need() {
    let Some(limited) = LimitedEnv::new() else {
        return;
    };
    if limited.user.is_none() {
        return skip("only of a user without other processes is the limit known");
    }
    let long = "x".repeat(100_000);
    let jobs = WORKERS.to_string();
    let mut live = limited
        .mtask()
        .processes(FEW)
        .args(["-j", &jobs, "--max-restarts", "1"])
        .args(limited.worker())
        .args(["--suffix", &long])
        .open();
    // All that could be started are there.
    live.wait_for_stderr("ulimit -u");
    for i in 0..2 * WORKERS {
        live.ask(&i.to_string(), &format!("{i}{long}"));
    }
    live.signal(Signal::INT);
    live.wait_with_open_stdin().assert_signal(Signal::INT);
}

/// Without its thread SIGINT comes as other signals do.
#[test]
fn an_interrupt_without_its_thread_lets_what_was_sent_finish() {
    let Some(limited) = LimitedEnv::new() else {
        return;
    };
    if limited.user.is_none() {
        return skip("only of a user without other processes is the limit known");
    }
    let (begun, go) = (limited.env.path("begun"), limited.env.path("go"));
    let record = format!("@touch:{begun} @wait:{go}");
    // mtask, the reader of its input and the worker, or on a very busy machine the thread instead.
    let mut live =
        limited.mtask().processes(3).words("-j1 --grace 100s").args(limited.worker()).open();
    let mut pipe = live.take_stdin();
    // It may have ended before it has read anything.
    let _ = pipe.write_all(b"first\n");
    if live.line_or_end().is_none() {
        live.wait().assert_status(125).assert_stderr_has("ulimit -u");
        return;
    }
    writeln!(pipe, "{record}").expect("mtask reads its input");
    limited.env.wait_for("begun");
    live.signal(Signal::INT);
    limited.env.write("go", "");
    let done = live.wait();
    drop(pipe);
    done.assert_signal(Signal::INT).assert_stdout(format!("first\n{record}\n"));
}

#[test]
fn workers_beyond_the_limit_leave_their_records_to_the_others() {
    let Some(limited) = LimitedEnv::new() else {
        return;
    };
    if limited.user.is_none() {
        // The next test shows the same to everybody.
        return skip("only of a user without other processes is the limit known");
    }
    let go = limited.env.path("go");
    let input = records((0..40).map(|i| format!("{i} @wait:{go}")));
    let jobs = WORKERS.to_string();
    let live = limited
        .mtask()
        .processes(FEW)
        .args(["-j", &jobs, "--window", "1", "--max-restarts", "1"])
        .args(limited.worker())
        .args(["--pids", &limited.env.path("w.pids")])
        .stdin(input.clone())
        .start();
    // Those that could be started hold a record each.
    live.wait_for_stderr("ulimit -u");
    limited.env.write("go", "");
    live.wait().assert_output(input);
    let processes = limited.env.lines("w.pids").len();
    assert!(
        (1..WORKERS).contains(&processes),
        "there were {processes} processes"
    );
}

#[test]
fn workers_that_cannot_be_replaced_leave_their_records_to_the_others() {
    let Some(limited) = LimitedEnv::new() else {
        return;
    };
    let pids = limited.env.path("w.pids");
    let mut live = limited
        .mtask()
        .words("-j3 --max-restarts 1")
        .args(limited.worker())
        .args(["--pids", &pids])
        .open();
    limited.env.wait_for_lines("w.pids", 3);
    live.ask("@processes:1", "@processes:1");
    let mut workers = limited.env.processes("w.pids");
    let last = workers.pop().expect("three workers");
    for worker in workers {
        worker.signal(Signal::KILL);
        // On a busy machine it would be given a record before it is dead.
        wait_until("the end of a worker", || !worker.is_live_worker());
    }
    for i in 0..20 {
        live.ask(&i.to_string(), &i.to_string());
    }
    // The last one too: none can be kept running.
    last.signal(Signal::KILL);
    let mut expected = b"@processes:1\n".to_vec();
    expected.extend(numbers(20));
    live.wait_with_open_stdin()
        .assert_status(125)
        .assert_stdout(expected)
        .assert_stderr_has("could not be started")
        .assert_stderr_has("ulimit -u");
}

//! Workers that no signal reaches: mtask names them and goes on without them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Signal, geteuid, getpid};

use crate::done::records;
use crate::env::{Run, TestEnv, let_pass, skip, wait_until, worker_path};
use crate::live::Live;

const LEFT_BEHIND: &str = "cannot be ended, and is left behind";

/// Three records; the worker is to do this at the first, and hangs at the second.
fn input(before: &str) -> Vec<u8> {
    records([format!("0 {before}"), "1 @hang".into(), "2".into()])
}

/// Has the worker begin a record that it never answers.
fn hang(env: &TestEnv, live: &mut Live) {
    live.send(format!("@touch:{} @hang", env.path("begun")));
    env.wait_for("begun");
}

#[test]
fn a_worker_that_has_left_its_group_is_stopped_at_its_time_limit() {
    let env = TestEnv::new();
    let done = env
        .mtask()
        .words("-j1 --timeout 1s --grace 1s")
        .worker(["--pids", &env.path("w.pids")])
        .run_on(input("@leavegroup"));
    done.assert_status(123).assert_one_error(1, "timeout");
    done.check(done.lines().len() == 3, "there are not three outcomes");
    env.assert_all_gone("w.pids");
}

#[test]
fn a_worker_that_has_left_its_group_ends_with_the_run() {
    for (signal, option) in [(Signal::TERM, "defer"), (Signal::INT, "raise")] {
        let env = TestEnv::new();
        let mut live = env
            .mtask()
            .args(["-j1", "--grace", "1s", "--on-error", option])
            .worker(["--pids", &env.path("w.pids"), "--ignore-term"])
            .open();
        live.ask("@leavegroup", "@leavegroup");
        hang(&env, &mut live);
        live.signal(signal);
        live.wait_with_open_stdin().assert_signal(signal);
        env.assert_all_gone("w.pids");
    }
}

#[test]
fn a_worker_that_has_left_its_group_is_killed_where_it_does_not_exit() {
    let env = TestEnv::new();
    let done = env
        .mtask()
        .words("-j1 --exit-timeout 1s --grace 500ms")
        .worker(["--pids", &env.path("w.pids"), "--end-hang", "--ignore-term"])
        .run_on(records(["@leavegroup"]));
    done.assert_status(123)
        .assert_stdout("@leavegroup\n")
        .assert_stderr_has("did not exit within --exit-timeout");
    env.assert_all_gone("w.pids");
}

/// Workers of root, which another user runs mtask with.
struct ForeignEnv {
    env: TestEnv,
    user: u32,
}

impl ForeignEnv {
    /// None where only root could set it up, or nobody.
    fn new() -> Option<Self> {
        if !geteuid().is_root() {
            skip("only root can make a worker that mtask may not signal");
            return None;
        }
        let env = TestEnv::new();
        for (from, to, mode) in [
            (env!("CARGO_BIN_EXE_mtask"), "mtask", 0o755),
            (&worker_path(), "test-worker", 0o4755),
        ] {
            env.copy_program(from, to);
            fs::set_permissions(env.path(to), fs::Permissions::from_mode(mode))
                .expect("permissions are set");
        }
        fs::set_permissions(env.path(""), fs::Permissions::from_mode(0o777))
            .expect("permissions are set");
        let process = getpid().as_raw_nonzero().get().unsigned_abs();
        let foreign = Self {
            env,
            user: 60_000 + process % 5_000,
        };
        let probe = foreign
            .mtask()
            .args(["-j1", &foreign.worker(), "--end-exit", "0"])
            .run_on(records(["@becomeroot"]));
        if !probe.status.success() {
            skip("no worker of another user can be had in the temporary folder");
            return None;
        }
        Some(foreign)
    }

    fn mtask(&self) -> Run {
        let mtask = PathBuf::from(self.env.path("mtask"));
        self.env.mtask().user(self.user, mtask)
    }

    fn worker(&self) -> String {
        self.env.path("test-worker")
    }

    /// Asserts that so many workers are left, and ends them.
    fn end_those_left(&self, count: usize) {
        let left: Vec<_> = (self.env.processes("w.pids").into_iter())
            .filter(|process| process.is_live_worker())
            .collect();
        left.iter().for_each(|process| process.kill());
        assert_eq!(left.len(), count, "workers that were left behind");
    }
}

#[test]
fn a_worker_that_may_not_be_signalled_fails_its_record_and_is_left_behind() {
    let Some(foreign) = ForeignEnv::new() else {
        return;
    };
    let pids = foreign.env.path("w.pids");
    let done = foreign
        .mtask()
        .words("-j1 --timeout 1s --grace 500ms")
        .args([&foreign.worker(), "--pids", &pids])
        .run_on(input("@becomeroot"));
    done.assert_status(123).assert_stderr_has(LEFT_BEHIND).assert_one_error(1, "timeout");
    done.check(done.lines().len() == 3, "there are not three outcomes");
    done.check(
        done.stderr.matches(LEFT_BEHIND).count() == 1,
        "it is not said once",
    );
    let pid = &foreign.env.lines("w.pids")[0];
    done.assert_stderr_has(&format!("worker 0 (pid {pid}) {LEFT_BEHIND}"));
    foreign.end_those_left(1);
}

#[test]
fn a_worker_that_may_not_be_signalled_holds_up_no_end() {
    let Some(foreign) = ForeignEnv::new() else {
        return;
    };
    let pids = foreign.env.path("w.pids");
    let mut live = foreign
        .mtask()
        .words("-j1 --grace 500ms")
        .args([&foreign.worker(), "--pids", &pids])
        .open();
    live.ask("@becomeroot", "@becomeroot");
    hang(&foreign.env, &mut live);
    live.signal(Signal::TERM);
    let done = live.wait_with_open_stdin();
    done.assert_signal(Signal::TERM).assert_stderr_has(LEFT_BEHIND);
    foreign.end_those_left(1);
}

#[test]
fn a_worker_is_given_up_that_leaves_process_after_process_behind() {
    let Some(foreign) = ForeignEnv::new() else {
        return;
    };
    let pids = foreign.env.path("w.pids");
    let done = foreign
        .mtask()
        .words("-j1 --timeout 1s --grace 100ms")
        .words("--max-restarts 2")
        .args([&foreign.worker(), "--pids", &pids])
        .run_on(records((0..9).map(|i| match i {
            0 => "@becomeroot".into(),
            _ => format!("{i} @becomeroot @hang"),
        })));
    done.assert_status(125).assert_stderr_has("that could not be ended").check(
        done.error_records().len() == 2,
        "not two records have failed",
    );
    foreign.end_those_left(2);
}

/// A cgroup whose processes die of nothing while it is frozen.
struct Freezer(PathBuf);

impl Freezer {
    fn new(name: &str) -> Option<Self> {
        let process = getpid().as_raw_nonzero();
        let folder = format!("/sys/fs/cgroup/freezer/mtask-test-{process}-{name}");
        let made = fs::create_dir(&folder).map(|()| Self(folder.into()));
        if made.is_err() {
            skip("no freezer cgroup can be made");
        }
        made.ok()
    }

    fn add(&self, pid: &str) {
        fs::write(self.0.join("cgroup.procs"), pid).expect("a process in the cgroup");
    }

    fn freeze(&self) {
        self.change("FROZEN");
    }

    fn thaw(&self) {
        self.change("THAWED");
    }

    fn change(&self, state: &str) {
        fs::write(self.0.join("freezer.state"), state).expect("the state of the cgroup");
        wait_until(state, || {
            let now = fs::read_to_string(self.0.join("freezer.state"));
            now.is_ok_and(|now| now.trim_end() == state)
        });
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("freezer.state"), "THAWED");
        wait_until("the end of a cgroup", || {
            fs::remove_dir(&self.0).is_ok() || !self.0.exists()
        });
    }
}

#[test]
fn a_worker_that_the_system_holds_is_not_waited_for_at_the_end() {
    let Some(freezer) = Freezer::new("held") else {
        return;
    };
    let env = TestEnv::new();
    let mut live =
        env.mtask().words("-j1 --grace 500ms").worker(["--pids", &env.path("w.pids")]).open();
    hang(&env, &mut live);
    let pid = env.lines("w.pids").remove(0);
    freezer.add(&pid);
    freezer.freeze();
    live.signal(Signal::TERM);
    live.wait_with_open_stdin()
        .assert_signal(Signal::TERM)
        .assert_stderr_has(&format!("worker 0 (pid {pid}) {LEFT_BEHIND}"));
    drop(freezer);
    env.assert_all_gone("w.pids");
}

#[test]
fn no_time_limit_runs_while_mtask_and_its_workers_are_frozen() {
    let Some(freezer) = Freezer::new("paused") else {
        return;
    };
    let env = TestEnv::new();
    let mut live = env
        .mtask()
        .words("-j2 --window 1 --timeout 5s")
        .worker(["--pids", &env.path("w.pids")])
        .open();
    for i in 0..2 {
        // Both run, and both have answered.
        let other = env.path(&(1 - i).to_string());
        live.send(format!("@touch:{} @wait:{other}", env.path(&i.to_string())));
    }
    let (first, second) = (live.line(), live.line());
    assert_ne!(first, second);
    for i in 2..4 {
        live.send(format!(
            "{i} @touch:{} @wait:{}",
            env.path(&i.to_string()),
            env.path("go")
        ));
        env.wait_for(&i.to_string());
    }
    for pid in env.lines("w.pids") {
        freezer.add(&pid);
    }
    freezer.add(&live.process().to_string());
    freezer.freeze();
    let_pass(Duration::from_secs(6));
    freezer.thaw();
    // Time for mtask to look at its clocks.
    let_pass(Duration::from_secs(1));
    env.write("go", "");
    let done = live.wait();
    done.assert_status(0);
    assert_eq!(done.lines().len(), 4);
}

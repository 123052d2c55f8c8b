//! Ends that come from outside: a batch system or a container runtime signals mtask and its
//! workers, in any order. No outcome is made up because of that, and nothing survives.

use std::process::Command;

use rustix::process::Signal;

use crate::env::{Run, TestEnv, has, skip, wait_until};
use crate::live::Live;

/// A run that can be gone on with, one record at a time.
fn resumable(env: &TestEnv, options: &[&str]) -> Run {
    let out = env.path("out");
    env.mtask()
        .args(["--resume", "journal", "-o", &out, "-j1", "--window", "1"])
        .args(options)
}

/// Ends mtask and waits until it has heard of it.
fn tell_to_end(live: &mut Live, signal: Signal) {
    live.signal(signal);
    live.wait_for_stderr("told to end by");
}

/// Goes on with the run to its end: what the run before has left must be what is true.
fn assert_resumed_well(env: &TestEnv, options: &[&str], worker: &[&str], input: &str) {
    let done = resumable(env, options).worker(worker).run_on(input);
    done.assert_status(0);
    assert_eq!(String::from_utf8_lossy(&env.read("out")), input);
}

/// mtask sees in one and the same moment what is done meanwhile.
fn in_one_moment(live: &Live, happen: impl FnOnce()) {
    live.signal(Signal::STOP);
    wait_until("mtask stops", || live.process().is_stopped());
    happen();
    live.signal(Signal::CONT);
}

/// Kills the worker that has noted itself last, and waits until it has ended.
fn kill_last(env: &TestEnv, signal: Signal) {
    let worker = *env.processes("held.pids").last().expect("a worker");
    worker.signal(signal);
    wait_until("a worker dies", || !worker.is_live_worker());
}

#[test]
fn a_worker_that_exits_in_its_own_way_after_the_signal_leaves_no_outcome() {
    for status in [0, 1, 143] {
        let env = TestEnv::new();
        let input = format!(
            "first\nsecond @first:2:{} @touch:{} @wait:{} @die:{status}\n",
            env.path("held.pids"),
            env.path("begun"),
            env.path("go")
        );
        let options = ["--grace", "100s"];
        let mut live = resumable(&env, &options).echo().stdin(&*input).start();
        env.wait_for("begun");
        tell_to_end(&mut live, Signal::TERM);
        env.write("go", "");
        live.wait().assert_signal(Signal::TERM);
        assert_eq!(String::from_utf8_lossy(&env.read("out")), "first\n");
        assert_resumed_well(&env, &options, &[], &input);
    }
}

const DEATHS: [(Signal, Signal); 3] = [
    (Signal::KILL, Signal::TERM),
    (Signal::FPE, Signal::HUP),
    (Signal::USR2, Signal::USR2),
];

#[test]
fn a_death_that_is_seen_just_before_the_signal_leaves_no_outcome() {
    for (death, end) in DEATHS {
        let env = TestEnv::new();
        let input = format!("first\nsecond @first:3:{} @hang\n", env.path("held.pids"));
        let options = ["--grace", "100s"];
        let live = resumable(&env, &options).echo().stdin(&*input).start();
        // Alone with its record after it has stayed up without, the third one would be the proof.
        for processes in 1..=2 {
            env.wait_for_lines("held.pids", processes);
            kill_last(&env, Signal::KILL);
        }
        env.wait_for_lines("held.pids", 3);
        in_one_moment(&live, || {
            kill_last(&env, death);
            live.signal(end);
        });
        live.wait().assert_signal(end);
        assert_eq!(String::from_utf8_lossy(&env.read("out")), "first\n");
        assert_resumed_well(&env, &options, &[], &input);
    }
}

#[test]
fn the_same_holds_for_records_that_are_sent_once() {
    for (death, end) in DEATHS {
        let env = TestEnv::new();
        let input = format!("first\nsecond @note:{} @hang\n", env.path("held.pids"));
        let options = ["-j1", "--at-most-once", "--grace", "100s"];
        let live = env.mtask().args(options).echo().stdin(input).start();
        env.wait_for_lines("held.pids", 1);
        in_one_moment(&live, || {
            kill_last(&env, death);
            live.signal(end);
        });
        live.wait().assert_signal(end).assert_stdout("first\n");
    }
}

#[test]
fn a_failure_at_a_workers_end_just_before_the_signal_is_not_remembered() {
    let env = TestEnv::new();
    let input = "first\n";
    let held = env.path("held.pids");
    let prefix = env.path("of-");
    let worker = ["--pids", &held, "--end-wait", &prefix];
    let live = resumable(&env, &[]).worker(worker).stdin(input).start();
    env.wait_for("of-end");
    in_one_moment(&live, || {
        kill_last(&env, Signal::KILL);
        live.signal(Signal::TERM);
    });
    live.wait().assert_signal(Signal::TERM);
    assert_resumed_well(&env, &[], &[], input);
}

#[test]
fn a_limit_that_runs_out_after_the_signal_leaves_no_outcome() {
    let env = TestEnv::new();
    let held = env.path("held.pids");
    let input = format!("first\nsecond @first:1:{held} @hang\n");
    let options = ["--timeout", "5s", "--grace", "100s"];
    let mut live = resumable(&env, &options).echo().stdin(&*input).start();
    env.wait_for_lines("held.pids", 1);
    tell_to_end(&mut live, Signal::TERM);
    live.wait().assert_signal(Signal::TERM);
    assert_eq!(String::from_utf8_lossy(&env.read("out")), "first\n");
    assert_resumed_well(&env, &options, &[], &input);
}

#[test]
fn a_worker_that_leaves_well_after_the_signal_has_skipped_nothing() {
    let env = TestEnv::new();
    let (held, prefix) = (env.path("held.pids"), env.path("of-"));
    let input = format!("first\nsecond @first:2:{held} @skip\n");
    let options = ["--grace", "100s"];
    let worker = ["--end-wait", &prefix];
    let mut live = resumable(&env, &options).worker(worker).stdin(&*input).start();
    env.wait_for("of-end");
    tell_to_end(&mut live, Signal::TERM);
    env.write("of-go", "");
    live.wait().assert_signal(Signal::TERM);
    assert_eq!(String::from_utf8_lossy(&env.read("out")), "first\n");
    assert_resumed_well(&env, &options, &[], &input);
}

#[test]
fn an_answer_that_is_torn_by_the_signal_leaves_no_outcome() {
    let env = TestEnv::new();
    let (held, begun, go) = (env.path("held.pids"), env.path("begun"), env.path("go"));
    let input = format!("\"first\"\n\"@first:1:{held} @touch:{begun} @wait:{go} @nan\"\n");
    let options = ["--protocol", "json", "--grace", "100s"];
    let mut live = resumable(&env, &options).worker(["--json"]).stdin(&*input).start();
    env.wait_for("begun");
    tell_to_end(&mut live, Signal::TERM);
    env.write("go", "");
    live.wait().assert_signal(Signal::TERM);
    assert_eq!(String::from_utf8_lossy(&env.read("out")), "\"first\"\n");
    assert_resumed_well(&env, &options, &["--json"], &input);
}

/// What it says of a record is no end.
#[test]
fn an_error_that_a_worker_answers_after_the_signal_counts() {
    let env = TestEnv::new();
    let (begun, go) = (env.path("begun"), env.path("go"));
    let mut live = env
        .mtask()
        .words("--protocol json -j1 --grace 100s")
        .worker(["--json"])
        .stdin(format!("\"@touch:{begun} @wait:{go} @error:bad\"\n"))
        .start();
    env.wait_for("begun");
    tell_to_end(&mut live, Signal::TERM);
    env.write("go", "");
    let done = live.wait();
    done.assert_signal(Signal::TERM);
    assert!(done.lines()[0].starts_with(b"{\"mtask_error\":\"worker_error\""));
}

#[test]
fn a_worker_that_dies_of_a_signal_that_mtask_heeds_otherwise_is_no_failure() {
    let env = TestEnv::new();
    let held = env.path("held.pids");
    let input = format!("first\nsecond @first:2:{held} @hang\n");
    let live = resumable(&env, &[]).echo().stdin(&*input).start();
    for time in 1..3 {
        env.wait_for_lines("held.pids", time);
        in_one_moment(&live, || {
            kill_last(&env, Signal::USR1);
            live.signal(Signal::USR1);
        });
    }
    live.wait().assert_status(0);
    assert_eq!(String::from_utf8_lossy(&env.read("out")), input);
}

#[test]
fn a_notice_lets_what_was_sent_finish_however_long_that_takes() {
    let env = TestEnv::new();
    let (begun, go) = (env.path("begun"), env.path("go"));
    let input = format!("first\nsecond @touch:{begun} @wait:{go}\nthird\n");
    // No time at all, were it SIGTERM.
    let options = ["--grace", "0"];
    let mut live = resumable(&env, &options).echo().stdin(&*input).start();
    env.wait_for("begun");
    tell_to_end(&mut live, Signal::USR2);
    env.write("go", "");
    live.wait().assert_signal(Signal::USR2);
    let (sent, _) = input.split_at(input.len() - "third\n".len());
    assert_eq!(String::from_utf8_lossy(&env.read("out")), sent);
    assert_resumed_well(&env, &options, &[], &input);
}

#[test]
fn a_worker_that_gets_the_notice_too_is_no_failure() {
    let env = TestEnv::new();
    let held = env.path("held.pids");
    let input = format!("first\nsecond @first:1:{held} @hang\nthird\n");
    let mut live = resumable(&env, &[]).echo().stdin(&*input).start();
    env.wait_for_lines("held.pids", 1);
    tell_to_end(&mut live, Signal::USR2);
    kill_last(&env, Signal::USR2);
    live.wait().assert_signal(Signal::USR2);
    let (sent, _) = input.split_at(input.len() - "third\n".len());
    assert_eq!(String::from_utf8_lossy(&env.read("out")), sent);
    assert_resumed_well(&env, &[], &[], &input);
}

/// There is no time limit that would end it.
#[test]
fn a_notice_ends_a_run_whose_workers_do_not_start_any_more() {
    for (protocol, ready) in [("lines", ""), ("json", "echo '{\"ready\":true}'; ")] {
        let env = TestEnv::new();
        let script = format!(
            "[ -e once ] && exit 3; : >once; {ready}read -r x; : >begun; \
             until [ -e go ]; do sleep 0.02; done; exit 3"
        );
        let options = ["-j1", "--max-restarts", "2", "--protocol", protocol];
        let run = env.mtask().args(options).args(["sh", "-c", &script]);
        let mut live = run.open();
        live.send("1");
        env.wait_for("begun");
        tell_to_end(&mut live, Signal::USR2);
        env.write("go", "");
        live.wait_with_open_stdin().assert_signal(Signal::USR2).assert_stdout("");
    }
}

#[test]
fn a_later_signal_ends_a_run_that_had_its_notice() {
    for later in [Signal::TERM, Signal::INT, Signal::USR2] {
        let env = TestEnv::new();
        let args = ["--pids", &env.path("w.pids"), "--ignore-term"];
        let options = ["-j1", "--grace", "1s"];
        let mut live = env.mtask().args(options).worker(args).open();
        live.ask("first", "first");
        live.send(format!("@touch:{} @hang", env.path("begun")));
        env.wait_for("begun");
        tell_to_end(&mut live, Signal::USR2);
        live.signal_until_ended(later);
        live.wait().assert_signal(later).assert_stdout("first\n");
        env.assert_all_gone("w.pids");
    }
}

/// It sends the signal twice: to mtask, and to its group.
#[test]
fn timeout_can_give_the_notice() {
    if !has("timeout") {
        return;
    }
    let env = TestEnv::new();
    let (held, go) = (env.path("held.pids"), env.path("go"));
    let input = format!("first\nsecond @note:{held} @wait:{go}\nthird\n");
    let live = resumable(&env, &["--grace", "0"])
        .shell("exec timeout --preserve-status -s USR2 2 \"$0\" \"$@\"")
        .echo()
        .stdin(&*input)
        .start();
    live.wait_for_stderr("told to end by");
    env.write("go", "");
    let done = live.wait();
    // timeout(1) dies of the signal or exits with its status.
    assert!(!done.status.success());
    assert!(env.read("out").ends_with(b"go\n"), "{}", done.stderr);
    assert_resumed_well(&env, &["--grace", "0"], &[], &input);
}

/// All that end a process by default and can be caught.
#[test]
fn whatever_signal_ends_mtask_its_workers_and_their_children_end() {
    if !cfg!(target_os = "linux") {
        return skip("which signals there are is known of Linux alone");
    }
    // HUP, INT, QUIT, TRAP, ABRT, ALRM, TERM, STKFLT, XCPU, VTALRM, PROF, IO, PWR, SYS, some that
    // have no name.
    for number in [
        1, 2, 3, 5, 6, 14, 15, 16, 24, 26, 27, 29, 30, 31, 34, 35, 50, 64,
    ] {
        let env = TestEnv::new();
        let args = [
            "--pids",
            &env.path("w.pids"),
            "--child",
            &env.path("c.pids"),
        ];
        let mut live = env.mtask().words("-j2").worker(args).open();
        live.ask("first", "first");
        env.wait_for_lines("c.pids", 1);
        live.signal_number(number);
        let done = live.wait_with_open_stdin();
        done.assert_signal_number(number).assert_stdout("first\n");
        env.assert_all_gone("w.pids");
        env.assert_all_gone("c.pids");
    }
}

#[test]
fn what_was_ignored_at_the_start_stays_ignored_whichever_it_is() {
    for number in [3, 12, 14, 64] {
        let env = TestEnv::new();
        let script = "import os, signal, sys\n\
             signal.signal(int(sys.argv[1]), signal.SIG_IGN)\n\
             os.execv(sys.argv[2], sys.argv[2:])\n";
        env.write("ignoring.py", script);
        if !has("python3") {
            return;
        }
        let run = env.mtask().words("-j2").echo();
        let mut live =
            run.shell(&format!("exec python3 ignoring.py {number} \"$0\" \"$@\"")).open();
        live.ask("first", "first");
        for _ in 0..3 {
            live.signal_number(number);
            live.ask("more", "more");
        }
        live.wait().assert_status(0);
    }
}

impl Live {
    /// A signal that may have no name.
    fn signal_number(&self, number: i32) {
        let pid = self.process().number();
        let script = format!("kill -{number} {pid}");
        let sent = Command::new("sh").args(["-c", &script]).status();
        assert!(sent.expect("sh").success(), "{script}");
    }
}

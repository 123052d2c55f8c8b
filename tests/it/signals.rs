//! Signals to mtask: a first one drains, a second one kills, and nothing survives.

use std::io::Write;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::env::{Run, TestEnv, has, let_pass, mtask, skip, wait_until};

const ENDING: [Signal; 3] = [Signal::TERM, Signal::HUP, Signal::INT];

#[test]
fn a_first_signal_lets_what_was_sent_finish() {
    for signal in ENDING {
        let env = TestEnv::new();
        let options = ["-j1", "--window", "1", "--grace", "100s"];
        let mut live = env.mtask().args(options).worker(["--suffix", "!"]).open();
        live.ask("first", "first!");
        let record = env.held("second");
        live.send(&record);
        env.wait_for("begun");
        live.signal(signal);
        env.write("go", "");
        // The input stays open: the signal ends the run.
        live.wait_with_open_stdin()
            .assert_signal(signal)
            .assert_stdout(format!("first!\n{record}!\n"));
    }
}

#[test]
fn a_first_signal_ends_a_run_that_waits_for_input() {
    for signal in ENDING {
        let env = TestEnv::new();
        let mut live = env.mtask().words("-j3").worker(["--pids", &env.path("w.pids")]).open();
        live.ask("first", "first");
        live.signal(signal);
        live.wait_with_open_stdin().assert_signal(signal).assert_stdout("first\n");
        env.assert_all_gone("w.pids");
    }
}

#[test]
fn a_first_signal_ends_a_run_whose_input_never_ends() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j2").worker(["--pids", &env.path("w.pids")]).open();
    let mut pipe = live.take_stdin();
    let endless = thread::spawn(move || {
        let mut number: u64 = 0;
        while writeln!(pipe, "{number}").is_ok() {
            number += 1;
        }
    });
    for i in 0..1000 {
        assert_eq!(live.line(), i.to_string());
    }
    live.signal(Signal::TERM);
    let done = live.wait();
    done.assert_signal(Signal::TERM);
    for (i, line) in done.lines().into_iter().enumerate() {
        assert_eq!(line, i.to_string().as_bytes());
    }
    env.assert_all_gone("w.pids");
    endless.join().expect("the writer of the input");
}

#[test]
fn a_first_signal_waits_no_longer_than_the_grace() {
    let env = TestEnv::new();
    let options = ["-j2", "--window", "1", "--grace", "1s"];
    let mut live =
        env.mtask().args(options).worker(["--pids", &env.path("w.pids"), "--ignore-term"]).open();
    live.ask("first", "first");
    live.send(format!(
        "@child:{} @touch:{} @hang",
        env.path("child.pids"),
        env.path("begun")
    ));
    env.wait_for("begun");
    live.send("third");
    live.signal(Signal::TERM);
    // Ordered, so that nothing behind the record that hangs is written.
    live.wait_with_open_stdin().assert_signal(Signal::TERM).assert_stdout("first\n");
    env.assert_all_gone("w.pids");
    env.assert_all_gone("child.pids");
}

#[test]
fn a_second_signal_ends_everything_at_once() {
    for signal in ENDING {
        let env = TestEnv::new();
        // Longer than the test may take.
        let options = ["-j2", "--grace", "1h"];
        let args = ["--pids", &env.path("w.pids"), "--ignore-term"];
        let mut live = env.mtask().args(options).worker(args).open();
        live.ask("first", "first");
        live.send(format!(
            "@child:{} @touch:{} @hang",
            env.path("child.pids"),
            env.path("begun")
        ));
        env.wait_for("begun");
        live.signal_until_ended(signal);
        live.wait().assert_signal(signal).assert_stdout("first\n");
        env.assert_all_gone("w.pids");
        env.assert_all_gone("child.pids");
    }
}

#[test]
fn a_signal_while_the_reader_stalls_ends_the_run() {
    let env = TestEnv::new();
    let input = crate::done::records((0..20_000).map(|i| format!("{i} {}", "x".repeat(1000))));
    let args = ["--pids", &env.path("w.pids")];
    let mut live = env.mtask().words("-j2 --grace 1s").worker(args).stdin(input).start();
    env.wait_for_lines("w.pids", 1);
    // Nobody reads the results: there is no room for the output that a drain would write.
    live.signal_until_ended(Signal::TERM);
    live.wait().assert_signal(Signal::TERM);
    env.assert_all_gone("w.pids");
}

#[test]
fn one_signal_ends_a_run_that_waits_for_nothing_but_its_reader() {
    let env = TestEnv::new();
    let mut live = env
        .mtask()
        .words("-j2 --grace 1s")
        .worker(["--pids", &env.path("w.pids")])
        .stdin("0\n@big:3M\n")
        .start();
    assert_eq!(live.line(), "0");
    // All is answered, and every worker has ended; nobody reads the long result.
    env.assert_all_gone("w.pids");
    live.signal(Signal::TERM);
    live.wait_unread().assert_signal(Signal::TERM);
}

#[test]
fn a_signal_before_the_first_record_starts_leaves_nothing() {
    let env = TestEnv::new();
    let args = [
        "--pids",
        &env.path("w.pids"),
        "--start-hang",
        "--ignore-term",
    ];
    let mut live = env.mtask().words("-j3 --grace 1s").worker(args).open();
    live.send("a");
    env.wait_for_lines("w.pids", 3);
    live.signal(Signal::TERM);
    live.wait_with_open_stdin().assert_signal(Signal::TERM).assert_stdout("");
    env.assert_all_gone("w.pids");
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    for (signal, script) in [
        (Signal::HUP, "trap '' HUP; exec \"$0\" \"$@\""),
        (Signal::INT, "trap '' INT; exec \"$0\" \"$@\""),
        (Signal::TERM, "trap '' TERM; exec \"$0\" \"$@\""),
    ] {
        let mut live = mtask("-j2").echo().shell(script).open();
        live.ask("first", "first");
        for _ in 0..5 {
            live.signal(signal);
            live.ask("more", "more");
        }
        live.wait().assert_status(0);
    }
}

/// An mtask that begins with a SIGINT under way.
fn interrupted(env: &TestEnv) -> Run {
    env.write(
        "interrupted.py",
        "import os, signal, sys\n\
         signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n\
         os.kill(os.getpid(), signal.SIGINT)\n\
         os.execv(sys.argv[1], sys.argv[1:])\n",
    );
    env.mtask().shell("exec python3 interrupted.py \"$0\" \"$@\"")
}

#[test]
fn an_interrupt_that_came_before_mtask_listened_is_heeded() {
    if !has("python3") {
        return;
    }
    let env = TestEnv::new();
    let live = interrupted(&env).echo().open();
    live.wait_with_open_stdin().assert_signal(Signal::INT).assert_stdout("");
}

/// Whether mtask has listened to it by then or not.
#[test]
fn an_interrupt_of_a_run_that_is_over_in_an_instant_is_seen_by_its_caller() {
    if !has("python3") {
        return;
    }
    let env = TestEnv::new();
    for options in [&["--quiet", "-j1"][..], &["--stats", "-j1"]] {
        for milliseconds in 0..20 {
            interrupted(&env)
                .args(options)
                .echo()
                .run_on(format!("@sleep:{milliseconds}\n"))
                .assert_signal(Signal::INT);
        }
    }
}

#[test]
fn no_worker_survives_when_mtask_is_killed() {
    let env = TestEnv::new();
    let mut live =
        env.mtask().words("-j3").worker(["--pids", &env.path("w.pids"), "--ignore-term"]).open();
    live.ask("first", "first");
    env.wait_for_lines("w.pids", 3);
    if cfg!(target_os = "linux") {
        // It would not notice the end of its stdin.
        live.send(format!("@touch:{} @hang", env.path("begun")));
        env.wait_for("begun");
    }
    live.signal(Signal::KILL);
    live.wait_with_open_stdin().assert_signal(Signal::KILL);
    env.assert_all_gone("w.pids");
}

#[test]
fn a_worker_that_was_signalled_along_with_mtask_is_no_failure() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j1 --window 1").echo().open();
    live.ask("first", "first");
    live.send(format!("second @note:{} @hang", env.path("w.pids")));
    env.wait_for_lines("w.pids", 1);
    live.signal(Signal::TERM);
    env.processes("w.pids")[0].signal(Signal::TERM);
    live.wait_with_open_stdin().assert_signal(Signal::TERM).assert_stdout("first\n");
    env.assert_all_gone("w.pids");
}

#[test]
fn workers_stop_and_go_on_with_mtask() {
    if !cfg!(target_os = "linux") {
        return skip("whether a process is stopped is looked up in /proc");
    }
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j2").worker(["--pids", &env.path("w.pids")]).open();
    let workers = env.wait_for_lines("w.pids", 2);
    assert_eq!(workers.len(), 2);
    live.ask("first", "first");
    live.stop();
    for worker in env.processes("w.pids") {
        wait_until("a worker stops", || worker.is_stopped());
    }
    live.signal(Signal::CONT);
    live.ask("second", "second");
    for worker in env.processes("w.pids") {
        wait_until("a worker goes on", || !worker.is_stopped());
    }
    live.wait().assert_output("first\nsecond\n");
}

#[test]
fn a_signal_that_comes_while_the_last_messages_wait_for_their_reader_counts() {
    let env = TestEnv::new();
    let _reader_who_never_reads = env.fifo("stderr");
    // More than the pipe holds, less than mtask does.
    let run = env
        .mtask()
        .words("-j1 --grace 1s")
        .worker(["--pids", &env.path("w.pids")])
        .shell("exec \"$0\" \"$@\" 2>stderr");
    let mut live = run.stdin("@errlines:6000\n").start();
    assert_eq!(live.line(), "@errlines:6000");
    env.wait_for_lines("w.pids", 1);
    env.assert_all_gone("w.pids");
    live.signal(Signal::TERM);
    live.wait().assert_signal(Signal::TERM);
}

#[test]
fn a_job_that_is_stopped_for_its_terminal_can_be_ended() {
    for signal in [Signal::TTIN, Signal::TTOU] {
        let env = TestEnv::new();
        let worker = ["--pids", &env.path("w.pids")];
        let mut live = env.mtask().words("-j1").worker(worker).open();
        live.ask("first", "first");
        live.signal(signal);
        live.wait_for_stop();
        // What `kill %1` does, and then what a reader in the background comes to again.
        live.signal(Signal::TERM);
        live.signal(Signal::CONT);
        live.signal(signal);
        live.wait_with_open_stdin().assert_signal(Signal::TERM).assert_stdout("first\n");
        env.assert_all_gone("w.pids");
    }
}

/// A terminal stops its whole foreground group. A worker of that moment may not have left it yet.
#[test]
fn a_stop_in_the_midst_of_a_start_stops_no_worker_for_good() {
    let env = TestEnv::new();
    // A start for each record.
    let run = env.mtask().words("-j1 --lifespan 1").echo();
    let mut live = run.open();
    for round in 0..200 {
        live.ask("record", "record");
        // One of many moments, near and far from a start.
        let_pass(Duration::from_micros(round * 37 % 4000));
        live.stop_group();
        live.signal_group(Signal::CONT);
    }
    live.wait().assert_status(0);
}

#[test]
fn the_grace_stands_still_for_the_output_too() {
    let grace = Duration::from_secs(8);
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j1 --grace 8s").echo().open();
    let (begun, go) = (env.path("begun"), env.path("go"));
    live.send(format!("@touch:{begun} @wait:{go} @big:2000000"));
    env.wait_for("begun");
    live.signal(Signal::TERM);
    live.wait_for_stderr("told to end by");
    live.stop();
    // The time that passes here is what must not count; nothing else is being waited for.
    let_pass(grace + Duration::from_secs(1));
    env.write("go", "");
    live.signal(Signal::CONT);
    assert_eq!(live.line().len(), 2_000_000);
    let done = live.wait_with_open_stdin();
    done.assert_signal(Signal::TERM);
    assert!(!done.stderr.contains("nobody has taken it"));
}

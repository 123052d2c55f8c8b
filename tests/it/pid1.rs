//! mtask as process 1 of a container: signals that have no handler do nothing there, and every
//! process whose parent has ended is left to it.

use std::process::Command;

use rustix::process::Signal;

use crate::env::{Run, TestEnv, has, skip, wait_until};
use crate::live::Live;
use crate::processes::Process;

/// How a program becomes process 1; none where that is not allowed here.
fn container() -> Option<&'static str> {
    const WAYS: [&str; 2] = [
        "unshare --pid --fork --mount-proc",
        "unshare --user --map-root-user --pid --fork --mount-proc",
    ];
    if !cfg!(target_os = "linux") {
        skip("containers are Linux's");
        return None;
    }
    if !has("unshare") {
        return None;
    }
    let works = |way: &&&str| {
        let script = format!("exec {way} true");
        let done = Command::new("sh").args(["-c", &script]).output();
        done.is_ok_and(|done| done.status.success())
    };
    let way = WAYS.iter().find(works).copied();
    if way.is_none() {
        skip("no process may have a namespace of its own here");
    }
    way
}

/// A run of mtask as process 1.
fn contained(env: &TestEnv, way: &str) -> Run {
    env.mtask().shell(&format!("exec {way} \"$0\" \"$@\""))
}

/// mtask, which unshare has started and waits for.
fn first_process(live: &Live) -> Process {
    live.process().children()[0]
}

#[test]
fn a_signal_that_ends_the_run_is_the_status() {
    let Some(way) = container() else { return };
    for signal in [
        Signal::TERM,
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
        Signal::ALARM,
        Signal::USR2,
    ] {
        let env = TestEnv::new();
        let mut live = contained(&env, way).words("-j2").echo().open();
        live.ask("first", "first");
        first_process(&live).signal(signal);
        live.wait_with_open_stdin().assert_status(128 + signal.as_raw()).assert_stdout("first\n");
    }
}

#[test]
fn a_second_signal_ends_everything_at_once() {
    let Some(way) = container() else { return };
    let env = TestEnv::new();
    let options = ["-j1", "--grace", "1h"];
    let mut live = contained(&env, way).args(options).echo().open();
    live.ask("first", "first");
    live.send(format!("@touch:{} @hang", env.path("begun")));
    env.wait_for("begun");
    let mtask = first_process(&live);
    mtask.signal(Signal::TERM);
    live.wait_for_stderr("told to end by");
    mtask.signal(Signal::TERM);
    live.wait_with_open_stdin().assert_status(143);
}

#[test]
fn a_closed_output_is_the_status() {
    let Some(way) = container() else { return };
    let env = TestEnv::new();
    let input = "x\n".repeat(1_000_000);
    let mut live = contained(&env, way).words("-j2").echo().stdin(input).start();
    assert_eq!(live.line(), "x");
    live.close_stdout();
    live.wait().assert_status(141);
    // Where nothing is run, too.
    let script = format!("{{ {way} \"$0\" \"$@\"; echo $? >status; }} | true");
    for what in ["--help", "--generate=man"] {
        // `true` may be slow to end: the status is 0 until it has.
        wait_until("a closed pipe", || {
            env.mtask().shell(&script).args([what]).run();
            env.lines("status") == ["141"]
        });
    }
}

/// A worker that leaves a process behind with each record, and tells how many there are that nobody
/// has waited for: as soon as there are none, or after a while.
const LEAVES_ORPHANS: &str = r#"
while read -r x; do
    ( ( : ) & ) </dev/null >/dev/null 2>&1
    tries=0
    while
        zombies=$(cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ')
        [ "$zombies" -gt 0 ] && [ $tries -lt 300 ]
    do
        tries=$((tries + 1))
        sleep 0.02
    done
    echo "$x $zombies"
done
"#;

#[test]
fn every_process_that_is_left_to_it_is_waited_for() {
    let Some(way) = container() else { return };
    let env = TestEnv::new();
    let worker = ["-j2", "sh", "-c", LEAVES_ORPHANS];
    contained(&env, way).args(worker).run_on("a\nb\nc\n").assert_output("a 0\nb 0\nc 0\n");
}

/// Those of the program that it was before, too, and those of a worker that has ended.
#[test]
fn orphans_from_before_and_of_dead_workers_are_waited_for() {
    let Some(way) = container() else { return };
    let env = TestEnv::new();
    let before = "sh -c ': & exec \"$0\" \"$@\"'";
    let shell = format!("exec {way} {before} \"$0\" \"$@\"");
    let script = format!(
        "if mkdir once 2>/dev/null; then read -r x; ( : & ) ; exit 1; fi\n{LEAVES_ORPHANS}"
    );
    let run = env.mtask().shell(&shell).args(["-j1", "sh", "-c", &script]);
    run.run_on("a\nb\n").assert_output("a 0\nb 0\n");
}

#[test]
fn a_workers_own_end_is_not_lost_among_those_of_others() {
    let Some(way) = container() else { return };
    let env = TestEnv::new();
    let script = "i=0; while read -r x; do \
         while [ $i -lt 50 ]; do ( ( : ) & ) </dev/null >/dev/null 2>&1; i=$((i + 1)); done; \
         [ \"$x\" = bad ] && exit 7; echo \"$x\"; done";
    let worker = ["-j1", "--window", "1", "sh", "-c", script];
    let done = contained(&env, way).args(worker).run_on("a\nbad\nb\n");
    done.assert_status(123);
    let lines = done.lines();
    assert_eq!((lines[0], lines[2]), (&b"a"[..], &b"b"[..]));
    let record: serde_json::Value = serde_json::from_slice(lines[1]).expect("an error record");
    assert_eq!(record["mtask_error"], "worker_exit");
    assert_eq!(record["exit_code"], 7);
}

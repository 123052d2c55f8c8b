//! Where a run stands, when SIGUSR1 asks.

use rustix::process::Signal;

use crate::done::numbers;
use crate::env::TestEnv;
use crate::live::Live;
use crate::terminal::{Screen, Terminal};

/// Asks until the answer holds all of these: a moment may pass before mtask has heard of
/// everything.
fn ask_until(live: &Live, texts: &[&str]) {
    crate::env::wait_until(&format!("a status line with {texts:?}"), || {
        let before = live.stderr().len();
        live.signal(Signal::USR1);
        live.wait_until_stderr("a status line", |stderr| {
            stderr[before..].contains(" elapsed\n")
        });
        let stderr = live.stderr();
        let line = stderr[before..].lines().find(|line| line.contains("status: "));
        line.is_some_and(|line| texts.iter().all(|text| line.contains(text)))
    });
}

#[test]
fn a_record_under_way_is_named_with_its_worker_and_the_run_goes_on() {
    let env = TestEnv::new();
    // Errors only, but this line was asked for.
    let mut live = env.mtask().words("-j1 --window 1 -q").echo().open();
    live.ask("first", "first");
    ask_until(
        &live,
        &[
            "mtask: status: 1 done, 0 failed, 0 in flight, 0 waiting",
            "input is awaited",
        ],
    );
    let record = format!("@touch:{} @wait:{}", env.path("begun"), env.path("go"));
    live.send(&record);
    live.send("third");
    env.wait_for("begun");
    ask_until(
        &live,
        &[
            "1 done, 0 failed, 1 in flight, 1 waiting",
            "record 1 at worker 0 for ",
        ],
    );
    env.write("go", "");
    live.wait().assert_output(format!("first\n{record}\nthird\n"));
}

#[test]
fn failures_and_the_total_are_told() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j1 --window 1 --errors errors").echo().open();
    live.ask("first", "first");
    live.send("@die:3");
    live.ask("third", "third");
    live.send(format!("@wait:{}", env.path("go")));
    let stdin = live.take_stdin();
    drop(stdin);
    ask_until(
        &live,
        &["status: 3 of 4 done, 1 failed, 1 in flight, 0 waiting"],
    );
    env.write("go", "");
    live.wait().assert_status(123);
}

#[test]
fn a_worker_that_has_not_answered_yet_is_told_apart() {
    let env = TestEnv::new();
    let mut live = env
        .mtask()
        .words("-j1")
        .worker([
            "--pids",
            &env.path("w.pids"),
            "--start-wait",
            &env.path("go"),
        ])
        .open();
    live.send("first");
    // Where there is a worker, mtask listens to signals.
    env.wait_for("w.pids");
    ask_until(
        &live,
        &["record 0 at worker 0 for ", "has not answered yet"],
    );
    env.write("go", "");
    live.wait().assert_output("first\n");
}

#[test]
fn an_output_that_nobody_reads_is_named() {
    let env = TestEnv::new();
    // More than pipes and mtask's output take, and less than the buffer.
    let input: Vec<u8> = numbers(400_000);
    let live = env
        .mtask()
        .words("-j1")
        .worker(["--pids", &env.path("w.pids")])
        .stdin(input.clone())
        .start();
    env.wait_for("w.pids");
    ask_until(&live, &["results wait for the reader of the output"]);
    live.wait().assert_output(input);
}

#[test]
fn the_line_stands_above_the_bar() {
    let env = TestEnv::new();
    let run = env
        .mtask()
        .terminal(Terminal::new(120))
        .var("NO_COLOR", "1")
        .args(["--progress", "always"]);
    let mut live = run.args(["-j1", "--total", "3"]).echo().open();
    live.ask("first", "first");
    live.wait_for_stderr(" 1/3");
    live.signal(Signal::USR1);
    live.wait_for_stderr(" elapsed\r\n");
    live.ask("second", "second");
    let done = live.wait();
    let screen = Screen::after(&done.stderr, 120);
    done.check(
        screen.rows.len() == 2,
        "there is more than the status and the bar",
    );
    let status = "mtask: status: 1 done, 0 failed, 0 in flight, 0 waiting";
    done.check(screen.rows[0].starts_with(status), "the status is wrong");
    done.check(screen.last().contains("] 2/2, "), "the bar is wrong");
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let env = TestEnv::new();
    let script = "trap '' USR1; exec \"$0\" \"$@\"";
    let mut live = env.mtask().words("-j1").echo().shell(script).open();
    live.ask("first", "first");
    live.signal(Signal::USR1);
    live.ask("second", "second");
    live.wait().assert_status(0).assert_stderr_empty();
}

#[test]
fn many_requests_disturb_nothing() {
    let env = TestEnv::new();
    let input = numbers(20_000);
    let mut live = env.mtask().words("-j3").echo().open();
    // Once there is an answer, mtask listens to signals.
    live.ask("begin", "begin");
    let mut pipe = live.take_stdin();
    let bytes = input.clone();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut pipe, &bytes));
    for _ in 0..50 {
        live.signal(Signal::USR1);
        std::thread::yield_now();
    }
    writer.join().expect("the writer").expect("mtask reads everything");
    live.wait().assert_output([b"begin\n".to_vec(), input].concat());
}

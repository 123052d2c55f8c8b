//! Law 2: what mtask holds is bounded by its options, and sizes never lead to a deadlock.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::done::{answers, numbers, records};
use crate::env::{LIMIT, TestEnv};
use crate::live::Live;

/// What mtask may hold in these tests, and how much more would show that nothing bounds it.
const BUFFER: usize = 8 << 20;
const TOO_MUCH: usize = 8 * BUFFER;
/// What mtask is in memory beside what it holds.
const ITSELF: usize = 8 << 20;

/// Writes records without end and asserts that mtask stops to read them. On a slow machine that is
/// believed too early, and shows less; it is never denied wrongly.
fn assert_reading_stops(live: &mut Live) {
    let mut pipe = live.take_stdin();
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    thread::spawn(move || {
        let block = records((0..64).map(|_| "x".repeat(1023)));
        while pipe.write_all(&block).is_ok() {
            counter.fetch_add(block.len(), Ordering::SeqCst);
        }
    });
    let start = Instant::now();
    let (mut before, mut since) = (0, Instant::now());
    while before == 0 || since.elapsed() < Duration::from_secs(2) {
        let now = taken.load(Ordering::SeqCst);
        assert!(
            now < TOO_MUCH,
            "mtask took {now} bytes and holds {BUFFER} at most"
        );
        assert!(start.elapsed() < LIMIT, "mtask goes on to read");
        if now != before {
            (before, since) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(20));
    }
    if let Some(peak) = live.process().peak_memory() {
        assert!(
            peak <= BUFFER + ITSELF,
            "mtask used {peak} bytes of memory with --buffer {BUFFER}"
        );
    }
}

#[test]
fn a_slow_first_record_stops_the_reading() {
    let env = TestEnv::new();
    let mut live = env
        .mtask()
        .args(["-j2", "--buffer", "8M", "--grace", "1s"])
        .echo()
        .open();
    live.send("@hang");
    assert_reading_stops(&mut live);
    live.signal_until_ended(Signal::TERM);
    live.wait().assert_signal(Signal::TERM).assert_stdout("");
}

#[test]
fn a_reader_that_stalls_stops_the_reading() {
    for order in ["-k", "--unordered"] {
        let env = TestEnv::new();
        let mut live = env
            .mtask()
            .args(["-j2", "--buffer", "8M", "--grace", "1s", order])
            .echo()
            .open();
        assert_reading_stops(&mut live);
        live.close_stdout();
        let done = live.wait();
        done.check(
            closed_pipe(done.status),
            "it did not end by the closed pipe",
        );
    }
}

#[test]
fn workers_that_stall_stop_the_reading() {
    let env = TestEnv::new();
    let options = ["-j2", "--buffer", "8M", "--unordered", "--grace", "1s"];
    let mut live = env
        .mtask()
        .args(options)
        .worker(["--at", "2", "@hang"])
        .open();
    assert_reading_stops(&mut live);
    live.signal_until_ended(Signal::TERM);
    live.wait().assert_signal(Signal::TERM);
}

#[test]
fn large_records_are_answered_while_they_are_sent() {
    // `cat` answers the beginning of a line before it has read its end.
    let line = "y".repeat(10 << 20);
    let input = records([&line, "short", &line, &line]);
    for options in [
        &["-j1"][..],
        &["-j2", "--buffer", "1M"],
        &["-j2", "--window", "4"],
    ] {
        let done = TestEnv::new()
            .mtask()
            .args(options)
            .args(["--", "cat"])
            .stdin(input.clone())
            .run();
        done.assert_status(0).assert_stdout(&input);
    }
}

#[test]
fn a_record_larger_than_the_buffer_passes_alone() {
    let large = "y".repeat(5 << 20);
    let input = records(["0", &large, "2", &large, &large, "5"]);
    for jobs in ["-j1", "-j3"] {
        let options = [jobs, "--buffer", "1M"];
        let done = TestEnv::new()
            .mtask()
            .args(options)
            .worker(["--suffix", "!"])
            .stdin(input.clone())
            .run();
        done.assert_status(0).assert_stdout(answers(&input, "!"));
    }
}

#[test]
fn answers_many_times_their_records_fit_through_a_small_buffer() {
    let input = records((0..60).map(|i| {
        if i % 3 == 0 {
            "@big:1M".to_owned()
        } else {
            format!("@big:{i}")
        }
    }));
    let expected = records((0..60).map(|i| "x".repeat(if i % 3 == 0 { 1 << 20 } else { i })));
    for options in [
        ["-j1", "--buffer=1M"],
        ["-j4", "--buffer=2M"],
        ["-j4", "--window=20"],
    ] {
        let done = TestEnv::new()
            .mtask()
            .args(options)
            .echo()
            .stdin(input.clone())
            .run();
        done.assert_status(0).assert_stdout(&expected);
    }
}

#[test]
fn the_smallest_buffer_lets_one_record_after_the_other_pass() {
    for buffer in ["1", "100", "5000"] {
        let done = TestEnv::new()
            .mtask()
            .args(["-j3", "--buffer", buffer])
            .echo()
            .stdin(numbers(300))
            .run();
        done.assert_status(0).assert_stdout(numbers(300));
    }
}

#[test]
fn a_reader_that_comes_late_gets_everything_through_a_small_buffer() {
    let env = TestEnv::new();
    let input = numbers(200_000);
    let file = env.write("input", &input);
    // The pipe holds little: mtask waits until the worker behind it lets the reader begin.
    let done = env.sh(&format!(
        "\"$0\" -j2 --buffer 256K -i {file} cat | (sleep 1; cat)"
    ));
    done.assert_status(0).assert_stdout(&input);
}

#[test]
fn a_slow_first_record_and_a_small_buffer_end_well() {
    let env = TestEnv::new();
    let mut lines = vec![format!("@wait:{}", env.path("go"))];
    lines.extend((0..4000).map(|i| format!("{i} {}", "x".repeat(1000))));
    let input = records(lines);
    let live = env
        .mtask()
        .args(["-j3", "--buffer", "1M"])
        .echo()
        .stdin(input.clone())
        .start();
    // Whether the buffer is full by now or not, all must pass.
    env.write("go", "");
    live.wait().assert_status(0).assert_stdout(input);
}

fn closed_pipe(status: std::process::ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.code() == Some(141) || status.signal() == Some(Signal::PIPE.as_raw())
}

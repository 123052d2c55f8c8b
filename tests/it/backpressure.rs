//! Law 2: what mtask holds is bounded by its options, and sizes never lead to a deadlock.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::done::{answers, numbers, records};
use crate::env::{TestEnv, wait_until};
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
    let (mut before, mut since) = (0, Instant::now());
    wait_until("the end of mtask's reading", || {
        let now = taken.load(Ordering::SeqCst);
        assert!(
            now < TOO_MUCH,
            "mtask took {now} bytes and holds {BUFFER} at most"
        );
        if now != before {
            (before, since) = (now, Instant::now());
        }
        // That it stops is seen by time alone.
        before > 0 && since.elapsed() >= Duration::from_secs(2)
    });
    assert_small(live);
}

/// Asserts that mtask, which runs, has never held much more than [`BUFFER`].
fn assert_small(live: &Live) {
    if let Some(peak) = live.process().peak_memory() {
        assert!(
            peak <= BUFFER + ITSELF,
            "mtask used {peak} bytes of memory with --buffer {BUFFER}"
        );
    }
}

/// One worker, which gets one record at a time and may answer with a megabyte.
const ONE_BY_ONE: [&str; 7] = [
    "-j1",
    "--window",
    "1",
    "--max-record",
    "1M",
    "--buffer",
    "8M",
];

#[test]
fn an_answer_of_40_megabytes_fails_its_record_and_is_not_held() {
    let env = TestEnv::new();
    let mut live = env.mtask().args(ONE_BY_ONE).echo().open();
    live.ask("0", "0");
    live.send("1 @big:40M");
    assert!(live.line().contains("answer_too_large"));
    live.ask("2", "2");
    live.ask("3", "3");
    assert_small(&live);
    live.wait().assert_status(123).assert_one_error(1, "answer_too_large");
}

#[test]
fn a_death_after_40_megabytes_of_an_answer_costs_no_record_and_no_memory() {
    for death in ["@die:0", "@die:3", "@kill:9"] {
        let env = TestEnv::new();
        let mut live = env.mtask().args(ONE_BY_ONE).echo().open();
        live.ask("0", "0");
        let record = format!("1 @once:{} @big:40M @partial {death}", env.path("once"));
        live.ask(&record, &record);
        live.ask("2", "2");
        assert_small(&live);
        live.wait().assert_status(0);
    }
}

#[test]
fn a_last_answer_of_40_megabytes_without_its_end_is_no_result_and_not_held() {
    let env = TestEnv::new();
    let mut live = env.mtask().args(ONE_BY_ONE).worker(["--end-wait", &env.path("")]).open();
    live.ask("0", "0");
    live.send("1 @big:40M @partial");
    drop(live.take_stdin());
    // By then the worker has written it all.
    env.wait_for("end");
    assert_small(&live);
    env.write("go", "");
    let done = live.wait();
    done.assert_status(123);
    done.check(done.lines().len() == 2, "there are not two outcomes");
    done.check(
        done.error_records().len() == 1 && done.stdout.len() < 1000,
        "the second outcome is no error record",
    );
}

#[test]
fn a_flood_of_40_megabytes_that_answers_nothing_is_said_and_not_held() {
    let env = TestEnv::new();
    let mut live = env.mtask().args(ONE_BY_ONE).echo().open();
    live.ask("0 @flood:40M", "0 @flood:40M");
    // It owes nothing now. What it writes next is not told from the end of the flood.
    live.send("1");
    assert!(live.line().contains("mtask_error"));
    live.ask("2", "2");
    assert_small(&live);
    let done = live.wait();
    done.assert_status(123).check(!done.stderr.is_empty(), "nothing was said");
}

#[test]
fn a_flood_of_40_megabytes_on_stderr_is_not_held() {
    let env = TestEnv::new();
    let mut live = env.mtask().args(ONE_BY_ONE).echo().open();
    let record = "0 @errbytes:40M @errlines:1000";
    live.ask(record, record);
    live.ask("1", "1");
    assert_small(&live);
    live.wait().assert_status(0);
}

#[test]
fn a_stderr_that_nobody_reads_stops_only_the_worker_that_floods_it() {
    let env = TestEnv::new();
    let _reader_who_never_reads = env.fifo("stderr");
    let options = ["-j2", "--window", "1", "--unordered", "--buffer", "8M"];
    let mut live = env
        .mtask()
        .args(options)
        .words("--grace 1s")
        .worker(["--pids", &env.path("w.pids")])
        .shell("exec \"$0\" \"$@\" 2>stderr")
        .open();
    env.wait_for_lines("w.pids", 2);
    live.send(format!("@touch:{} @errlines:4000000", env.path("begun")));
    env.wait_for("begun");
    for i in 0..1000 {
        live.ask(&i.to_string(), &i.to_string());
    }
    assert_small(&live);
    live.signal_until_ended(Signal::TERM);
    live.wait().assert_signal(Signal::TERM);
    env.assert_all_gone("w.pids");
}

#[test]
fn a_slow_first_record_stops_the_reading() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j2 --buffer 8M --grace 1s").echo().open();
    live.send("@hang");
    assert_reading_stops(&mut live);
    live.signal_until_ended(Signal::TERM);
    live.wait().assert_signal(Signal::TERM).assert_stdout("");
}

#[test]
fn a_reader_that_stalls_stops_the_reading() {
    for order in ["-k", "--unordered"] {
        let env = TestEnv::new();
        let mut live =
            env.mtask().args(["-j2", "--buffer", "8M", "--grace", "1s", order]).echo().open();
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
    let mut live = env.mtask().args(options).worker(["--at", "2", "@hang"]).open();
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
        TestEnv::new().mtask().args(options).words("-- cat").run_on(&input).assert_output(&input);
    }
}

#[test]
fn a_record_larger_than_the_buffer_passes_alone() {
    let large = "y".repeat(5 << 20);
    let input = records(["0", &large, "2", &large, &large, "5"]);
    for jobs in ["-j1", "-j3"] {
        let options = [jobs, "--buffer", "1M"];
        TestEnv::new()
            .mtask()
            .args(options)
            .worker(["--suffix", "!"])
            .run_on(&input)
            .assert_output(answers(&input, "!"));
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
        TestEnv::new().mtask().args(options).echo().run_on(&input).assert_output(&expected);
    }
}

#[test]
fn the_smallest_buffer_lets_one_record_after_the_other_pass() {
    for buffer in ["1", "100", "5000"] {
        TestEnv::new()
            .mtask()
            .args(["-j3", "--buffer", buffer])
            .echo()
            .run_on(numbers(300))
            .assert_output(numbers(300));
    }
}

#[test]
fn a_full_buffer_that_a_worker_waits_for_is_named_and_ends() {
    let env = TestEnv::new();
    let input = numbers(10_000);
    // More than fit, and as many as there ever are.
    let runs = [("1", "full"), ("2", "full"), ("1", "9999")].map(|(jobs, window)| {
        env.mtask()
            .args(["--buffer", "32K", "-j", jobs, "--window", window])
            .worker(["--buffered"])
            .stdin(input.clone())
            .start()
    });
    for live in runs {
        let done = live.wait();
        done.assert_output(&input).assert_stderr_has("--buffer is full (32768 bytes)");
        done.check(
            done.stderr.matches("--buffer is full (").count() <= 2,
            "it is said again and again",
        );
    }
}

#[test]
fn a_reader_that_comes_late_gets_everything_through_a_small_buffer() {
    let env = TestEnv::new();
    let input = numbers(200_000);
    let file = env.write("input", &input);
    // The pipe holds little. That mtask waits shows in nothing but time.
    env.sh(&format!(
        "\"$0\" -j2 --buffer 256K -i {file} cat | (sleep 1; cat)"
    ))
    .assert_output(&input);
}

#[test]
fn a_slow_first_record_and_a_small_buffer_end_well() {
    let env = TestEnv::new();
    let mut lines = vec![format!("@wait:{}", env.path("go"))];
    lines.extend((0..4000).map(|i| format!("{i} {}", "x".repeat(1000))));
    let input = records(lines);
    let live = env.mtask().words("-j3 --buffer 1M").echo().stdin(input.clone()).start();
    // Whether the buffer is full by now or not, all must pass.
    env.write("go", "");
    live.wait().assert_output(input);
}

fn closed_pipe(status: std::process::ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.code() == Some(141) || status.signal() == Some(Signal::PIPE.as_raw())
}

#[test]
fn who_says_nothing_amid_an_answer_stops_nobody_whatever_wakes_mtask() {
    let env = TestEnv::new();
    let (up, begun) = (env.path("up"), env.path("begun"));
    // The other one owes nothing, is up once the first is believed to be heard alone, and wakes
    // mtask.
    let script = format!(
        r#"if [ $MTASK_WORKER = 1 ]; then
            test $MTASK_PROCESS = 0 && sleep 0.6 && exit 1
            touch {up}
            while sleep 1; do echo x >&2 || exit; done &
            until test -e {begun}; do sleep 0.1; done
            sleep 1
        fi
        echo '{{"ready":true}}'
        while read -r line; do
            id=${{line#*:}}; id=${{id%%,*}}
            if [ $MTASK_WORKER = 0 ] && [ $id -gt 2 ]; then
                until test -e {up}; do sleep 0.1; done
                printf '{{"id":%s,"output":"' $id; head -c 5000 /dev/zero | tr '\0' x
                touch {begun}
                exec sleep 1000
            fi
            sleep 0.02
            echo "{{\"id\":$id,\"output\":$id}}"
        done"#
    );
    let file = env.write("input", numbers(4000));
    let mut live = env
        .mtask()
        .words("-u -j2 --buffer 1K --window 1")
        .args(["--protocol", "json", "-i", &file])
        .args(["--", "sh", "-c", &script])
        .open();
    for _ in 0..20 {
        assert!(!live.line().is_empty());
    }
    live.signal_until_ended(Signal::TERM);
    live.wait().assert_signal(Signal::TERM);
}

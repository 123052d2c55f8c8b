//! Law 2 for whatever workers write: mtask holds no more than `--buffer`, 8 MB and 16 KiB for each
//! worker beside what it may hold anyway, a single answer or message that is larger than the
//! buffer.

use rustix::process::Signal;

use crate::done::records;
use crate::env::{TestEnv, wait_until, worker_path};
use crate::live::Live;

/// What is large in these tests, many times what may be held beside it.
const LARGE: usize = 32 << 20;
const BUFFER: usize = 1 << 20;
const ITSELF: usize = 8 << 20;
const EACH_WORKER: usize = 16 << 10;

/// A run with little room and so many workers that run this script.
fn open(env: &TestEnv, workers: usize, options: &[&str], script: &str) -> Live {
    let jobs = format!("-j{workers}");
    let script = format!("large() {{ head -c {LARGE} /dev/zero | tr '\\0' x; }}; {script}");
    env.mtask()
        .args([&*jobs, "--buffer", "1M", "--grace", "1s"])
        .args(options)
        .args(["--", "sh", "-c", &script])
        .open()
}

/// Asserts that mtask, which runs, has never held more than it may, with this answer beside it.
fn assert_small(live: &Live, workers: usize, answer: usize) {
    if let Some(peak) = live.process().peak_memory() {
        let most = BUFFER + ITSELF + workers * EACH_WORKER + answer;
        assert!(
            peak <= most,
            "mtask used {peak} bytes of memory and not {most} at most"
        );
    }
}

fn end(mut live: Live) {
    live.signal_until_ended(Signal::TERM);
    live.wait().assert_signal(Signal::TERM);
}

const JSON: &[&str] = &["--protocol", "json"];
/// Reads a record and answers it so.
const ANSWERS: &str = "while read -r line; do id=${line#*:}; id=${id%%,*}; ";

#[test]
fn of_answers_that_grow_side_by_side_one_alone_may_be_larger_than_the_buffer() {
    for order in ["-k", "-u"] {
        let env = TestEnv::new();
        let script = "while read -r x; do large; echo; done";
        let mut live = open(&env, 6, &[order], script);
        (0..6).for_each(|_| live.send("x"));
        for _ in 0..6 {
            assert_eq!(live.line().len(), LARGE);
        }
        assert_small(&live, 6, LARGE);
        live.wait().assert_status(0);
    }
}

#[test]
fn an_answer_does_not_grow_beside_one_that_is_not_written_yet() {
    let env = TestEnv::new();
    let script = format!(
        "echo $$ >{}; while read -r x; do large; echo; touch {}; done",
        env.path("pid"),
        env.path("$x")
    );
    let mut live = open(&env, 1, &[], &script);
    live.send("one");
    live.send("two");
    env.wait_for("one");
    if cfg!(target_os = "linux") {
        // It would not sleep if it listened: the second is as far as it gets while nobody reads the
        // first.
        let worker = env.processes("pid")[0];
        wait_until("mtask asleep beside an answer that it could read", || {
            let before = worker.unread();
            before > 0 && live.process().is_asleep() && worker.unread() == before
        });
    }
    assert!(!env.exists("two"));
    assert_eq!(live.line().len(), LARGE);
    assert_eq!(live.line().len(), LARGE);
    assert_small(&live, 1, LARGE);
    live.wait().assert_status(0);
}

#[test]
fn what_workers_write_that_owe_nothing_is_not_held() {
    for (protocol, begin) in [("lines", ""), ("json", ""), ("json", "{\"a\":\"")] {
        let env = TestEnv::new();
        let script = format!(
            "printf '%s' '{begin}'; large; touch {}; exec cat >/dev/null",
            env.path("w$MTASK_WORKER")
        );
        let live = open(&env, 3, &["--protocol", protocol], &script);
        (0..3).for_each(|worker| env.wait_for(&format!("w{worker}")));
        assert_small(&live, 3, 0);
        end(live);
    }
}

#[test]
fn a_line_that_began_before_its_record_was_sent_is_no_answer() {
    let env = TestEnv::new();
    let script = format!("large; touch {}; sed -u 's/^/:/'", env.path("begun"));
    let mut live = open(&env, 1, &[], &script);
    env.wait_for("begun");
    live.send("0");
    assert!(live.line().contains("answer_too_large"));
    live.ask("1", ":1");
    live.wait().assert_status(123);
}

#[test]
fn an_error_is_held_once_and_passed_on_whole() {
    let env = TestEnv::new();
    let script = ANSWERS.to_owned()
        + r#"printf '{"id":%s,"error":{"type":"E","message":"' $id; large; printf '"}}\n'; done"#;
    let mut live = open(&env, 1, JSON, &script);
    for index in 0..2 {
        live.send("1");
        let line = live.line();
        let begin =
            format!("{{\"mtask_error\":\"worker_error\",\"index\":{index},\"message\":\"E: xxx");
        assert!(line.starts_with(&begin));
        assert!(line.ends_with("xxx\"},\"input\":1}"));
        // The message is the beginning of what stands in the error.
        assert!((LARGE..LARGE + (100 << 10)).contains(&line.len()));
    }
    assert_small(&live, 1, LARGE);
    live.wait().assert_status(123);
}

#[test]
fn a_json_output_is_held_once() {
    for format in ["raw", "envelope", "text"] {
        let env = TestEnv::new();
        let script =
            ANSWERS.to_owned() + r#"printf '{"id":%s,"output":"' $id; large; printf '"}\n'; done"#;
        let mut live = open(
            &env,
            1,
            &["--protocol", "json", "--output-format", format],
            &script,
        );
        for index in 0..2 {
            live.send("1");
            let line = live.line();
            let (before, after) = match format {
                "raw" => ("\"".to_owned(), "\""),
                "text" => (String::new(), ""),
                _ => (format!("{{\"index\":{index},\"output\":\""), "\"}"),
            };
            assert_eq!(line.len(), before.len() + LARGE + after.len());
            assert!(line.starts_with(&(before + "xxx")) && line.ends_with(&format!("xxx{after}")));
        }
        assert_small(&live, 1, LARGE);
        live.wait().assert_status(0);
    }
}

#[test]
fn a_log_line_is_passed_on_in_pieces() {
    let env = TestEnv::new();
    let script = ANSWERS.to_owned() + r#"large; printf '\n{"id":%s,"output":%s}\n' $id $id; done"#;
    let mut live = open(&env, 1, JSON, &script);
    for index in 0..2 {
        live.ask("1", &index.to_string());
    }
    assert_small(&live, 1, 0);
    let done = live.wait();
    done.assert_status(0);
    let longest = done.stderr.lines().map(str::len).max();
    assert_eq!(longest, Some(64 << 10));
    done.assert_stderr_has("2 lines");
}

#[test]
fn an_answer_behind_much_text_is_found() {
    for text in ["", "{", "{\"a\": it {"] {
        let env = TestEnv::new();
        let script = ANSWERS.to_owned()
            + &format!("large; printf '%s' '{text}'; ")
            + r#"printf '{"id":%s,"output":"%s"}' $id $id; echo; done"#;
        let mut live = open(&env, 1, JSON, &script);
        for index in 0..2 {
            live.ask("1", &format!("\"{index}\""));
        }
        live.wait().assert_status(0);
    }
}

#[test]
fn an_answer_that_comes_again_after_it_stood_behind_much_text_is_a_log_line() {
    let env = TestEnv::new();
    let script = ANSWERS.to_owned()
        + r#"a="{\"id\":$id,\"output\":$id}"; large; echo "$a"; echo "$a"; done"#;
    let mut live = open(&env, 1, JSON, &script);
    for index in 0..2 {
        live.ask("1", &index.to_string());
    }
    assert_small(&live, 1, 0);
    live.wait().assert_status(0);
}

#[test]
fn a_message_that_is_no_answer_is_held_once_at_most() {
    let env = TestEnv::new();
    let script = ANSWERS.to_owned()
        + r#"printf '{"level":"'; large; printf '"}\n{"id":%s,"output":%s}\n' $id $id; done"#;
    let mut live = open(&env, 1, JSON, &script);
    for index in 0..2 {
        live.ask("1", &index.to_string());
    }
    assert_small(&live, 1, LARGE);
    live.wait().assert_status(0);
}

#[test]
fn an_answer_without_an_id_is_held_once() {
    let env = TestEnv::new();
    let script = "if [ $MTASK_PROCESS = 0 ]; then
            read -r line; printf '{\"id\":\"'; large; printf '\",\"output\":1}\\n'; exec cat >/dev/null
        fi; "
        .to_owned()
        + ANSWERS
        + r#"printf '{"id":%s,"output":%s}\n' $id $id; done"#;
    let mut live = open(&env, 1, JSON, &script);
    live.ask("1", "0");
    assert_small(&live, 1, LARGE);
    live.wait().assert_status(123).assert_stderr_has("no whole number");
}

#[test]
fn a_last_word_is_held_once() {
    for options in [&[][..], &["--exits", "exits"]] {
        let env = TestEnv::new();
        let script = format!(
            "read -r line; echo '{{\"id\":0,\"output\":1}}'; cat >/dev/null; printf '{{\"exit\":\"'; large; printf '\"}}\\n'; touch {}; cat {}",
            env.path("said"),
            env.path("go")
        );
        let _go = env.fifo("go");
        let mut live = open(&env, 1, &[JSON, options].concat(), &script);
        live.ask("1", "1");
        drop(live.take_stdin());
        env.wait_for("said");
        assert_small(&live, 1, LARGE);
        end(live);
    }
}

#[test]
fn unfinished_lines_on_stderr_are_passed_on_where_there_are_many() {
    const WORKERS: usize = 300;
    let env = TestEnv::new();
    // More than a pipe holds, so that most of it has been read by then.
    let script = format!(
        "head -c 110000 /dev/zero | tr '\\0' x >&2; echo x >>{}; exec sleep 1000",
        env.path("begun")
    );
    let live = open(&env, WORKERS, &[], &script);
    env.wait_for_lines("begun", WORKERS);
    assert_small(&live, WORKERS, 0);
    end(live);
}

#[test]
fn unfinished_lines_on_stdout_are_passed_on_where_there_are_many() {
    const WORKERS: usize = 400;
    let env = TestEnv::new();
    // Little is left of it, whatever it is cut into; and more than a pipe holds.
    let script = format!(
        "head -c 196708 /dev/zero | tr '\\0' x; echo x >>{}; exec sleep 1000",
        env.path("begun")
    );
    let live = open(&env, WORKERS, JSON, &script);
    env.wait_for_lines("begun", WORKERS);
    assert_small(&live, WORKERS, 0);
    end(live);
}

#[test]
fn a_run_goes_on_with_less_memory_than_the_one_before_had() {
    let env = TestEnv::new();
    let input = records((0..400).map(|number| format!("{number} {}", "z".repeat(100_000))));
    let args = ["-q", "-u", "-j2", "--window", "full"];
    let file = env.write("input", &input);
    let args = [&args[..], &["-i", &file]].concat();
    let files = ["-o", &env.path("output"), "--resume", &env.path("journal")];
    // One worker never answers its half.
    let script = format!(
        "test $MTASK_WORKER = 0 && exec sleep 1000; until test -e {}; do sleep 0.1; done; exec {}",
        env.path("half"),
        worker_path()
    );
    let first = env
        .mtask()
        .args(&args)
        .words("--buffer 1G")
        .args(files)
        .args(["--", "sh", "-c", &script])
        .start();
    wait_until("all that is read", || {
        (first.process().peak_memory()).is_none_or(|peak| peak > input.len())
    });
    env.write("half", "");
    // Which of them the last ones are is not known.
    let reaches_far = |line: &String| {
        let records = line.split("\"records\":").nth(1).and_then(|rest| rest.split(',').next());
        records
            .and_then(|records| records.parse().ok())
            .is_some_and(|records: usize| records > 300)
    };
    wait_until("the other half in the journal", || {
        env.lines("journal").iter().any(reaches_far)
    });
    first.kill_group();
    drop(first);
    let live = env
        .mtask()
        .args(&args)
        .words("--buffer 1M")
        .args(files)
        .worker(["--end-wait", &env.path("")])
        .start();
    env.wait_for("end");
    assert_small(&live, 2, 0);
    env.write("go", "");
    live.wait().assert_status(0);
}

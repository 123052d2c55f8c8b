//! `--each`: a process for each record.

mod combined;

use std::fs;
use std::os::unix::process::ExitStatusExt;

use crate::done::{Done, numbers, records};
use crate::env::{TestEnv, mtask, skip, wait_until};
use crate::examples::is_installed;

/// Asserts that this record alone has failed, as that.
fn assert_failed(done: &Done, index: u64, kind: &str) {
    let errors = done.error_records();
    done.check(errors.len() == 1, "there is not one error record");
    assert_eq!(
        (
            errors[0]["index"].as_u64(),
            errors[0]["mtask_error"].as_str()
        ),
        (Some(index), Some(kind))
    );
}

fn text(done: &Done) -> String {
    String::from_utf8(done.stdout.clone()).expect("text")
}

#[test]
fn a_record_is_the_last_argument_where_no_placeholder_stands() {
    mtask("--each -j3 -- echo -n x")
        .run_on("a b\n\n$HOME `x` *\n")
        .assert_output("x a b\nx \nx $HOME `x` *\n");
}

#[test]
fn placeholders_are_replaced_in_any_word_and_never_looked_at_again() {
    mtask("--each -j1 -- printf %s|")
        .args(["{}", "<{/}>", "{//}", "{.}", "{/.}", "{index}", "{worker}", "{other}", "{"])
        .run_on("a/b.c.d\n{index}\n")
        .assert_output(
            "a/b.c.d|<b.c.d>|a|a/b.c|b.c|0|0|{other}|{|\n{index}|<{index}>|.|{index}|{index}|1|0|{other}|{|\n",
        );
}

#[test]
fn fields_of_rows_and_objects_are_put_in() {
    mtask("--each --format csv -j2 -- echo {lr}:{First name}")
        .args(["{First name}"])
        .run_on("First name,lr\n\"a, b\",0.1\nc,2\n")
        .assert_output("0.1:{First name} a, b\n2:{First name} c\n");
    mtask("--each --format jsonl -j2 -- echo {n}|{s}|{l}")
        .run_on("{\"n\":1.50,\"s\":\"a \\\"b\\\"\",\"l\":[1, {}]}\n")
        .assert_output("1.50|a \"b\"|[1, {}]\n");
}

#[test]
fn a_field_that_a_record_lacks_fails_it_alone() {
    let done =
        mtask("--each --format jsonl -j2 -- echo {n}").run_on("{\"n\":1}\n{}\n[1]\n{\"n\":2}\n");
    done.assert_status(123);
    let lines = text(&done);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!((lines[0], lines[3]), ("1", "2"));
    assert!(lines[1].starts_with(
        "{\"mtask_error\":\"invalid_input\",\"index\":1,\"message\":\"it has no key `n`"
    ));
    assert!(
        lines[1].ends_with("\"attempts\":0,\"input\":{}}"),
        "{}",
        lines[1]
    );
    assert!(lines[2].contains("it is no JSON object"), "{}", lines[2]);
}

#[test]
fn a_workers_argument_is_put_in_too_and_its_key_wins() {
    let done = mtask("--each --format jsonl -u -j2 --worker-arg gpu=a --worker-arg gpu=b")
        .args(["--", "sh", "-c", "echo $0 $1 $MTASK_ARG", "{gpu}", "{n}"])
        .run_on("{\"gpu\":9,\"n\":1}\n{\"n\":2}\n");
    done.assert_status(0);
    let lines = text(&done);
    for line in lines.lines() {
        let [gpu, _, arg] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        assert_eq!(format!("gpu={gpu}"), arg);
    }
}

#[test]
fn as_stdin_a_record_is_all_that_the_process_reads() {
    mtask("--each=stdin -j2 -- od -An -c")
        .run_on("a b\n\n")
        .assert_output("   a       b  \\n\n  \\n\n");
    // With NUL it may be several lines, and ends as it ends.
    mtask("--each=stdin -0 -j2 -- sed s/^/x/")
        .run_on("a\nb\0c\0")
        .assert_stdout("xa\nxb\0xc\0");
}

#[test]
fn a_large_record_goes_through_stdin_and_a_process_need_not_read_it() {
    let large = "x".repeat(1 << 20);
    mtask("--each=stdin -j2 -- wc -c").run_on(format!("{large}\n")).assert_output("1048577\n");
    mtask("--each=stdin -j2 -- head -c 2").run_on(format!("{large}\n")).assert_output("xx\n");
    mtask("--each=stdin -j2 -- echo y").run_on(format!("{large}\n")).assert_output("y\n");
}

#[test]
fn without_each_stdin_a_process_has_nothing_to_read() {
    mtask("--each -j2 -- cat - /dev/null").args(["--"]).run_on("").assert_output("");
    mtask("--each -j2 -- sh -c")
        .args(["cat; echo $0"])
        .run_on("a\nb\n")
        .assert_output("a\nb\n");
}

#[test]
fn stdout_is_the_result_without_its_last_newline() {
    for (prints, raw, envelope) in [
        ("a", "a\n", "a"),
        ("a\\n", "a\n", "a"),
        ("a\\n\\n", "a\n\n", "a\\n"),
        ("a\\nb\\n", "a\nb\n", "a\\nb"),
        ("\\n", "\n", ""),
        ("", "", ""),
    ] {
        mtask("--each -j1 -- printf").args([prints, "{index}"]).run_on("r\n").assert_output(raw);
        mtask("--each -j1 --output-format envelope -- printf")
            .args([prints, "{index}"])
            .run_on("r\n")
            .assert_output(format!("{{\"index\":0,\"output\":\"{envelope}\"}}\n"));
    }
}

#[test]
fn processes_never_mix_and_results_are_in_input_order() {
    let script = "for i in 1 2 3 4 5; do echo $0; done; sleep 0.0$((9 - $0 % 10))";
    let expected: String = (0..40).map(|n| format!("{n}\n").repeat(5)).collect();
    mtask("--each -j8 -- sh -c").args([script]).run_on(numbers(40)).assert_output(expected);
    let done = mtask("--each -j8 -u -- sh -c").args([script]).run_on(numbers(40));
    done.assert_status(0);
    let lines = text(&done);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 200);
    assert!(lines.chunks(5).all(|chunk| chunk.iter().all(|line| *line == chunk[0])));
}

#[test]
fn a_status_other_than_0_fails_the_record_with_what_was_written() {
    let script = "echo out $0; echo err $0 >&2; exit $(($0 % 2 * 3))";
    let done = mtask("--each -j2 -- sh -c").args([script]).run_on("0\n1\n2\n");
    done.assert_status(123);
    let error = &done.error_records()[0];
    for (key, value) in [
        ("mtask_error", "worker_exit"),
        ("stdout", "out 1\n"),
        ("stderr", "err 1\n"),
    ] {
        assert_eq!(error[key], value);
    }
    assert_eq!(
        (error["exit_code"].as_u64(), error["attempts"].as_u64()),
        (Some(3), Some(1))
    );
    assert!(text(&done).starts_with("out 0\n{") && text(&done).ends_with("}\nout 2\n"));
}

#[test]
fn nothing_is_run_twice_without_retries() {
    let env = TestEnv::new();
    let script = format!(
        "echo $MTASK_INDEX $MTASK_ATTEMPT >> {}; [ $0 != 2 ] || kill -9 $$",
        env.path("runs")
    );
    let done = env.mtask().words("--each -j2 -- sh -c").args([&script]).run_on(numbers(4));
    assert_failed(done.assert_status(123), 2, "worker_exit");
    let mut runs = env.lines("runs");
    runs.sort();
    assert_eq!(runs, ["0 1", "1 1", "2 1", "3 1"]);
}

#[test]
fn retries_run_a_command_again_and_tell_it_so() {
    let script = "[ $MTASK_ATTEMPT = 3 ] && echo $0 || exit 1";
    mtask("--each -j2 --retries 2 -- sh -c")
        .args([script])
        .run_on(numbers(4))
        .assert_status(0)
        .assert_stdout(numbers(4));
    let done = mtask("--each -j2 --retries 1 -- sh -c").args([script]).run_on("a\n");
    assert_eq!(done.error_records()[0]["attempts"], 2);
}

#[test]
fn a_time_limit_ends_the_process_and_what_it_has_started() {
    let env = TestEnv::new();
    let script = format!(
        "[ $0 = 1 ] || exit 0; sh -c 'echo $$ >> {0}; sleep 1000' & echo $$ >> {0}; wait",
        env.path("all.pids")
    );
    let done = env
        .mtask()
        .words("--each -j2 --timeout 500ms -- sh -c")
        .args([&script])
        .run_on(numbers(3));
    assert_failed(done.assert_status(123), 1, "timeout");
    for pid in env.lines("all.pids") {
        wait_until("its end", || !fs::exists(format!("/proc/{pid}")).unwrap());
    }
}

#[test]
fn more_output_than_max_record_fails_the_record_and_ends_the_process() {
    let script = "[ $0 = 1 ] && exec yes; echo $0";
    let done = mtask("--each -j2 --max-record 10K -- sh -c").args([script]).run_on(numbers(3));
    assert_failed(done.assert_status(123), 1, "answer_too_large");
    // It need not write any more of it to be ended.
    let done = mtask("--each -j2 --max-record 10 --grace 100ms -- sh -c")
        .args(["trap '' TERM; seq 100; while :; do sleep 1; done"])
        .run_on("a\n");
    assert_failed(done.assert_status(123), 0, "answer_too_large");
}

#[test]
fn a_process_may_close_its_stdout_and_go_on() {
    mtask("--each -j2 -- sh -c")
        .args(["echo $0; exec >&-; sleep 0.5"])
        .run_on("a\nb\n")
        .assert_output("a\nb\n");
    let done =
        mtask("--each -j1 -- sh -c").args(["echo $0; exec >&-; sleep 0.5; exit 3"]).run_on("a\n");
    assert_eq!(done.error_records()[0]["exit_code"], 3);
}

#[test]
fn what_no_argument_can_be_fails_its_record_alone() {
    let long = "x".repeat(200_000);
    let done = mtask("--each -j2 -- echo").run_on(records(["a", &long, "b\0c", "d"]));
    done.assert_status(123);
    let errors = done.error_records();
    assert_eq!(errors.len(), 2);
    for (error, index) in errors.iter().zip([1, 2]) {
        assert_eq!(
            (error["mtask_error"].as_str(), error["index"].as_u64()),
            (Some("invalid_input"), Some(index))
        );
    }
    assert!(text(&done).starts_with("a\n{") && text(&done).ends_with("}\nd\n"));
}

#[test]
fn on_error_and_errors_hold_for_each() {
    let env = TestEnv::new();
    let script = "[ $0 != 3 ] && echo $0";
    let run = |words: &str| {
        env.mtask()
            .words("--each -j1")
            .words(words)
            .args(["--", "sh", "-c", script])
            .run_on(numbers(6))
    };
    run("--on-error ignore --errors bad").assert_status(0).assert_stdout("0\n1\n2\n4\n5\n");
    assert_eq!(env.lines("bad").len(), 1);
    for action in ["raise", "drain"] {
        let done = run(&format!("--on-error {action}"));
        done.assert_status(123);
        assert!(text(&done).starts_with("0\n1\n2\n{\"mtask_error\""));
        assert_eq!(text(&done).lines().count(), 4);
    }
    let done = env.mtask().words("--each -j1 --max-errors 2 -- false").run_on(numbers(9));
    assert_eq!(done.error_records().len(), 2);
}

#[test]
fn it_goes_on_after_it_was_killed_and_runs_what_is_done_no_more() {
    let env = TestEnv::new();
    // The eighth record kills mtask, once.
    let script = format!(
        "if [ $0 = 7 ] && mkdir {0} 2>/dev/null; then kill -9 $PPID; fi; \
         i=0; while [ $i -lt $(($0 % 3)) ]; do echo $0; i=$((i+1)); done",
        env.path("once")
    );
    for words in ["", "-u"] {
        let _ = fs::remove_dir(env.path("once"));
        let run = |script: &str| {
            let files = format!("--resume j{words} -o out{words}");
            env.mtask()
                .words("--each -j2")
                .words(words)
                .words(&files)
                .args(["--", "sh", "-c", script])
                .run_on(numbers(30))
        };
        assert_eq!(run(&script).status.signal(), Some(9));
        run(&script).assert_status(0);
        let expected: String = (0..30).map(|n| format!("{n}\n").repeat(n % 3)).collect();
        let mut lines = env.lines(&format!("out{words}"));
        if !words.is_empty() {
            lines.sort_by_key(|line| line.parse::<u32>().unwrap());
        }
        assert_eq!(lines.join("\n") + "\n", expected);
        run("exit 1").assert_status(0);
    }
}

#[test]
fn a_signal_to_mtask_ends_all_and_leaves_no_outcome_of_what_it_ended() {
    let env = TestEnv::new();
    let script = format!("echo $$ >> {0}; exec sleep 1000", env.path("w.pids"));
    let live = env
        .mtask()
        .words("--each -j3 --grace 200ms -- sh -c")
        .args([&script])
        .stdin(numbers(9))
        .start();
    env.wait_for_lines("w.pids", 3);
    live.signal(rustix::process::Signal::TERM);
    let done = live.wait();
    done.assert_signal_number(15);
    assert_eq!(done.stdout, b"");
    for pid in env.lines("w.pids") {
        wait_until("its end", || !fs::exists(format!("/proc/{pid}")).unwrap());
    }
}

#[test]
fn a_process_is_told_its_place() {
    let script = "echo $MTASK_INDEX $MTASK_ATTEMPT $MTASK_WORKER $MTASK_WORKERS $MTASK_PROCESS $MTASK_PROTOCOL";
    mtask("--each -j1 -- sh -c")
        .args([script, "sh"])
        .run_on("a\nb\n")
        .assert_output("0 1 0 1 0 each/1\n1 1 0 1 1 each/1\n");
}

#[test]
fn a_dry_run_shows_the_command_of_each_record() {
    let done = mtask("--each -j2 --dry-run --threads keep -- convert {} out/{/.}.png")
        .run_on("a b.jpg\nc/d.jpg\n");
    done.assert_status(0);
    let lines = text(&done);
    let commands: Vec<&str> =
        lines.lines().filter_map(|line| Some(line.split_once("convert ")?.1)).collect();
    assert_eq!(commands, ["'a b.jpg' 'out/a b.png'", "c/d.jpg out/d.png"]);
    assert!(lines.contains("MTASK_INDEX=1"));
    let done = mtask("--each --format jsonl --dry-run -- echo {n}").run_on("{\"n\":1}\n{}\n{\n");
    assert_eq!(text(&done).lines().count(), 1);
    done.assert_stderr_has("record 1 cannot be run")
        .assert_stderr_has("record 2 cannot be run");
}

#[test]
fn a_record_is_never_a_part_of_a_script() {
    for words in [
        &["sh", "-c", "echo {}"][..],
        &["/bin/bash", "-ec", "cp {} {.}"],
        &["env", "python3", "-c", "print('{/}')"],
    ] {
        mtask("--each --")
            .args(words)
            .run_on("$(touch /tmp/x)\n")
            .assert_status(2)
            .assert_stderr_has("as an argument");
    }
    mtask("--each -- sh -c")
        .args(["echo \"$1\"", "sh", "{}"])
        .run_on("$(false) `x`;\n")
        .assert_output("$(false) `x`;\n");
}

#[test]
fn what_is_of_workers_that_stay_is_refused_with_the_way_out() {
    for (words, way_out) in [
        ("--python f.py:f", "python3 FILE.py"),
        ("--protocol json", "--format jsonl"),
        ("--answer-end x", "leave out --answer-end"),
        ("--lifespan 3", "leave out --lifespan"),
        ("--window 3", "leave out --window"),
        ("--init-timeout 3", "--timeout holds"),
    ] {
        mtask("--each")
            .words(words)
            .args(["--", "true"])
            .run()
            .assert_status(2)
            .assert_stderr_has(way_out);
    }
}

#[test]
fn a_command_that_is_not_there_is_found_out_before_anything_runs() {
    mtask("--each -- no-such-command").run_on("a\n").assert_status(127).assert_stdout("");
    // Which one it is may be the record's to say.
    let done = mtask("--each -- {}").run_on("true\nno-such-command\ntrue\n");
    assert_failed(done.assert_status(123), 1, "invalid_input");
}

#[test]
fn no_process_begins_without_a_record() {
    let env = TestEnv::new();
    let script = format!("echo $$ >> {}; echo $0", env.path("begun"));
    let mut live = env.mtask().words("--each -j3 -- sh -c").args([&script]).open();
    live.ask("a", "a");
    live.ask("b", "b");
    assert_eq!(env.lines("begun").len(), 2);
    live.wait();
    let done = env.mtask().words("--each -j3 -- sh -c").args([&script]).run_on("");
    done.assert_output("");
    assert_eq!(env.lines("begun").len(), 2);
}

#[test]
fn counts_and_statistics_hold_for_each() {
    let env = TestEnv::new();
    let done = env
        .mtask()
        .words("--each -j2 --stats --stats-file s.json -- sh -c")
        .args(["exit $(($0 % 3 == 0))"])
        .run_on(numbers(7));
    done.assert_status(123)
        .assert_stderr_has("3 of 7 records failed (3 worker_exit: exit status 1)");
    let stats = env.json("s.json");
    let processes: u64 = stats["workers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["processes"].as_u64().unwrap())
        .sum();
    assert_eq!(processes, 7);
    assert!(!done.stderr.contains("restart"), "an end is no restart");
}

#[test]
fn hundreds_of_processes_leave_nothing_behind() {
    let env = TestEnv::new();
    // What it has open and its children, after few and after many.
    let script = format!(
        "case $0 in 50|550) {{ ls /proc/$PPID/fd | wc -l; cat /proc/$PPID/task/*/children | wc -w; }} > {}$0;; esac",
        env.path("seen-")
    );
    env.mtask()
        .words("--each -j4 -- sh -c")
        .args([&script])
        .run_on(numbers(600))
        .assert_output("");
    let seen = |at: &str| -> Vec<u64> {
        env.lines(at).iter().map(|line| line.trim().parse().unwrap()).collect()
    };
    let (few, many) = (seen("seen-50"), seen("seen-550"));
    // Two pipes for each, and ends that are about to be closed.
    assert!(many[0] <= few[0] + 24, "descriptors: {few:?}, {many:?}");
    assert!(many[1] <= 4 + 4, "children: {many:?}");
}

#[test]
fn an_image_tool_runs_for_each_file() {
    if !is_installed("pamscale") {
        skip("pamscale is not installed: it is in netpbm");
        return;
    }
    let env = TestEnv::new();
    fs::create_dir(env.path("out")).unwrap();
    for name in ["a+b.ppm", "c.ppm"] {
        env.write(name, b"P6 2 2 255\n000000000000");
    }
    // stdout of an image tool is the image: a file of its own is the tool's affair.
    env.mtask()
        .words("-0 --each -j2 -- sh -c")
        .args(["pamscale -quiet 0.5 \"$1\" > \"$2\"", "sh", "{}", "out/{/}"])
        .run_on("a+b.ppm\0c.ppm\0")
        .assert_output("");
    for name in ["out/a+b.ppm", "out/c.ppm"] {
        assert!(env.read(name).starts_with(b"P6\n1 1\n255\n"));
    }
}

#[test]
fn a_field_is_the_record_and_a_result_is_merged_where_that_is_asked_for() {
    mtask("--each --format jsonl -j2 --field n --merge m -- sh -c")
        .args(["test $1 = 1 && echo \"$1$1\" || true", "sh", "{}"])
        .run_on("{\"n\":1,\"x\":0}\n")
        .assert_output("{\"n\":1,\"x\":0,\"m\":\"11\"}\n");
}

#[test]
fn a_rate_holds_for_each() {
    let env = TestEnv::new();
    let started = std::time::Instant::now();
    env.mtask().words("--each -j4 --rate 2/s -- true").run_on(numbers(5)).assert_output("");
    // Two at once, and the others one by one each half second.
    assert!(started.elapsed() >= std::time::Duration::from_millis(1_400));
}

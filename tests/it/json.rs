//! `--protocol json`: answers carry the record's id, errors are values, other lines are for people.

mod lines;
mod processes;

use serde_json::json;

use crate::done::{Done, numbers, records};
use crate::env::{Run, TestEnv};
use crate::property::first_seed;

/// Workers that speak JSON and answer each value with itself.
fn echo(env: &TestEnv, options: &[&str], worker: &[&str]) -> Run {
    env.mtask().words("--protocol json").args(options).worker(["--json"]).args(worker)
}

/// JSON strings, one of which holds a directive.
fn strings_with(place: usize, count: usize, directive: &str) -> Vec<u8> {
    records((0..count).map(|number| {
        let words = if number == place { directive } else { "" };
        json!(format!("{number} {words}")).to_string()
    }))
}

/// Only the record at `place` failed, as `kind`; it gives the error record.
#[track_caller]
fn assert_only_failed(done: &Done, input: &[u8], place: usize, kind: &str) -> serde_json::Value {
    done.assert_status(123).assert_results_but(place, input);
    done.assert_one_error(place, kind)
}

#[test]
fn values_pass_byte_for_byte() {
    let values = [
        "12345678901234567890",
        "1e400",
        "1.0",
        "-0",
        "null",
        r#"{"b":1,"a":[ 1 , 2 ],"b":3}"#,
        r#""\u00e9\ud800 \/ é""#,
        r#"{"id":3,"output":4}"#,
        "[]",
    ];
    let input = records(values);
    echo(&TestEnv::new(), &["-j3"], &[])
        .run_on(&*input)
        .assert_output(input)
        .assert_stderr_empty();
}

#[test]
fn deep_values_pass() {
    let deep = records([["[".repeat(20_000), "]".repeat(20_000)].concat()]);
    echo(&TestEnv::new(), &["-j1"], &[]).run_on(&*deep).assert_output(deep);
}

#[test]
fn answers_in_any_order_come_out_in_input_order() {
    let ready = r#"{"ready":true,"concurrency":8}"#;
    let worker = ["--banner", ready, "--collect", "8", "--reverse"];
    let input = numbers(800);
    echo(&TestEnv::new(), &["-j2"], &worker).run_on(&*input).assert_output(input);
}

#[test]
fn unordered_they_come_out_as_they_came() {
    let ready = r#"{"ready":true,"concurrency":4}"#;
    let worker = ["--banner", ready, "--collect", "4", "--reverse"];
    let done = echo(&TestEnv::new(), &["-j1", "-u"], &worker).run_on(numbers(4));
    done.assert_status(0);
    let mut found = done.lines();
    // The first record is sent before the worker can say how many it takes.
    found.sort_unstable();
    assert_eq!(found, [b"0", b"1", b"2", b"3"]);
    assert_eq!(done.stdout, b"3\n2\n1\n0\n");
}

#[test]
fn an_answer_out_of_order_is_known_by_its_id_without_concurrency_too() {
    let worker = ["--collect", "5", "--reverse"];
    let input = numbers(500);
    echo(&TestEnv::new(), &["-j2", "--window", "5"], &worker)
        .run_on(&*input)
        .assert_output(input);
}

#[test]
fn an_error_is_the_outcome_of_its_record_with_all_that_the_worker_said() {
    let env = TestEnv::new();
    let input = strings_with(3, 8, "@error:no_luck");
    let done = echo(&env, &["-j2"], &[]).run_on(&*input);
    let error = assert_only_failed(&done, &input, 3, "worker_error");
    assert_eq!(error["message"], "no_luck");
    assert_eq!(error["error"], json!({"message": "no_luck"}));
    assert_eq!(error["input"], "3 @error:no_luck");
    assert_eq!(error["attempts"], 1);
}

#[test]
fn an_error_is_tried_again_as_often_as_asked() {
    let env = TestEnv::new();
    let once = format!("@once:{} @error:early", env.path("once"));
    let input = strings_with(2, 6, &once);
    echo(&env, &["-j2", "--retries", "1"], &[]).run_on(&*input).assert_output(&*input);
    let done =
        echo(&env, &["-j2", "--retries", "2"], &[]).run_on(strings_with(2, 6, "@error:always"));
    let error = done.assert_status(123).assert_one_error(2, "worker_error");
    assert_eq!(error["attempts"], 3);
}

#[test]
fn what_is_no_valid_answer_fails_its_record_alone() {
    for (directive, why) in [
        ("@result", "neither an output nor an error: {\"id\":4,"),
        (
            "@nan",
            "JSON has no NaN, answer null or an error: {\"id\":4,",
        ),
    ] {
        let input = strings_with(4, 9, directive);
        let done = echo(&TestEnv::new(), &["-j2"], &[]).run_on(&*input);
        let error = assert_only_failed(&done, &input, 4, "bad_answer");
        done.check(
            error["message"]
                .as_str()
                .is_some_and(|text| text.contains("no valid answer") && text.contains(why)),
            "the message does not say why",
        );
        done.assert_stderr_has(why);
    }
}

#[test]
fn other_lines_go_to_stderr_and_are_counted() {
    let input = strings_with(1, 4, "@stray:hello @after:{\"level\":1}");
    let done = echo(
        &TestEnv::new(),
        &["-j1", "--tag-stderr"],
        &["--banner", "loading"],
    )
    .run_on(&*input);
    done.assert_output(&*input);
    done.assert_stderr_has("[worker 0] loading\n");
    done.assert_stderr_has("[worker 0] hello\n");
    done.assert_stderr_has("3 lines on stdout without an answer (worker 0)");
}

#[test]
fn a_flood_of_other_lines_harms_nothing() {
    let env = TestEnv::new();
    let line = "x".repeat(1000);
    let script = format!(
        "i=0; while [ $i -lt 3000 ]; do echo {line}; i=$((i+1)); done; \
         while IFS= read -r x; do printf '%s\\n' \"$x\" | sed 's/input/output/'; done"
    );
    env.mtask()
        .args(["--protocol", "json", "-j2", "--", "sh", "-c", &script])
        .run_on(numbers(50))
        .assert_output(numbers(50));
}

#[test]
fn a_worker_takes_as_many_records_as_it_says() {
    // It answers nothing before it has eight.
    let ready = r#"{"ready":true,"concurrency":8}"#;
    echo(
        &TestEnv::new(),
        &["-j1"],
        &["--banner", ready, "--collect", "8"],
    )
    .run_on(numbers(64))
    .assert_output(numbers(64));
}

#[test]
fn a_concurrency_that_is_no_number_is_ignored_and_said_once() {
    let env = TestEnv::new();
    for (given, shown) in [("0", "0"), ("\"8\"", "\"8\""), ("[ 8]", "[ 8]")] {
        let banner = format!("{{\"ready\":true,\"concurrency\":{given}}}");
        let done =
            echo(&env, &["-j3", "--lifespan", "10"], &["--banner", &banner]).run_on(numbers(100));
        done.assert_output(numbers(100));
        let says = format!("says \"concurrency\":{shown}, which is ignored: a whole number of at");
        let warnings: Vec<_> = (done.stderr.lines()).filter(|line| line.contains(&says)).collect();
        let is_one = warnings.len() == 1 && warnings[0].starts_with("mtask: worker ");
        done.check(is_one, "there is not one warning that names a worker");
    }
}

#[test]
fn a_line_is_a_json_string_and_comes_back_as_text() {
    let input = b"plain\n \"quoted\" \\ \t\r\n\n\xc3\xa9\n@env:MTASK_PROTOCOL\n";
    let done = echo(&TestEnv::new(), &["--format", "lines", "-j2"], &[]).run_on(&input[..]);
    done.assert_status(0);
    done.assert_stdout(b"plain\n \"quoted\" \\ \t\r\n\n\xc3\xa9\njson/1\n");
}

#[test]
fn a_line_that_is_not_utf8_is_sent_in_base64_to_a_worker_that_takes_that() {
    for (can, fails) in [("\"base64\"", false), ("\"start\"", true)] {
        let ready = format!("{{\"ready\":true,\"can\":[{can}]}}");
        // It answers with all that stands behind the id.
        let worker = format!(
            "printf '%s\\n' '{ready}'
            while IFS= read -r line; do
                id=${{line#*:}}; rest=${{line#*,}}
                printf '{{\"id\":%s,\"output\":{{%s\\n' \"${{id%%,*}}\" \"$rest}}\"
            done"
        );
        for options in ["-j1", "-j2 -u", "-j1 --window 1"] {
            let run = TestEnv::new().mtask().words("--protocol json --format lines").words(options);
            let done = run.args(["--", "sh", "-c", &worker]).run_on(&b"a\nb\xff\n\xfe\nc\n"[..]);
            let mut lines: Vec<_> = done.lines().into_iter().map(<[u8]>::to_vec).collect();
            lines.sort();
            if fails {
                done.assert_status(123);
                let errors = done.error_records();
                done.check(errors.len() == 2, "two lines are no text");
                done.check(
                    errors.iter().all(|it| it["mtask_error"] == "invalid_input"),
                    "a kind",
                );
                done.check(lines.len() == 4, "each has an outcome");
            } else {
                let sent = [
                    "\"input\":\"a\"",
                    "\"input\":\"c\"",
                    "\"input_base64\":\"/g==\"",
                    "\"input_base64\":\"Yv8=\"",
                ];
                done.assert_status(0);
                let expected: Vec<_> = sent.map(|it| format!("{{{it}}}").into_bytes()).into();
                done.check(lines == expected, "the others as they are");
            }
        }
    }
}

#[test]
fn what_ends_a_run_at_a_line_that_is_not_utf8_ends_it_there() {
    for action in ["raise", "drain"] {
        let env = TestEnv::new();
        let options = [
            "--format",
            "lines",
            "-j1",
            "--window",
            "1",
            "--on-error",
            action,
        ];
        let done = echo(&env, &options, &[]).run_on(&b"a\nb\xff\nc\n"[..]);
        done.assert_status(123).assert_one_error(1, "invalid_input");
        done.check(
            done.lines().len() <= 3 && done.lines()[0] == b"a",
            "in its place",
        );
    }
}

#[test]
fn of_two_lines_that_are_not_utf8_the_first_ends_the_run() {
    for action in ["raise", "drain"] {
        let env = TestEnv::new();
        let options = ["--format", "lines", "-j1", "--on-error", action];
        let mut live = echo(&env, &options, &[]).open();
        live.ask("a", "a");
        live.send(&b"\xff\n\xfe"[..]);
        let done = live.wait_with_open_stdin();
        done.assert_status(123);
        done.check(done.error_records().len() == 1, "the second is never sent");
    }
}

#[test]
fn records_that_end_with_nul_are_a_string_each() {
    let env = TestEnv::new();
    let done = echo(&env, &["--format", "lines", "-0"], &[]).run_on(&b"a\0b\nc\0\0"[..]);
    done.assert_output(b"a\0b\nc\0\0");
    let done = echo(
        &env,
        &["--format", "lines", "-0", "--output-format", "envelope"],
        &[],
    )
    .run_on(&b"b\nc\0"[..]);
    done.assert_output(b"{\"index\":0,\"output\":\"b\\nc\"}\0");
}

#[test]
fn a_line_that_is_not_utf8_never_reaches_a_worker_that_does_not_say_that_it_takes_it() {
    let done =
        echo(&TestEnv::new(), &["--format", "lines", "-j1"], &[]).run_on(&b"a\nb\xff\nc\n"[..]);
    let error = done.assert_status(123).assert_one_error(1, "invalid_input");
    assert_eq!(error["input_base64"], "Yv8=");
    assert_eq!(error["attempts"], 0);
    assert_eq!(
        error["message"],
        "not valid text: invalid UTF-8 at byte 2, and the worker does not say that it takes base64 \
         (\"can\":[\"base64\"])"
    );
    done.assert_results_but(1, b"a\nb\nc\n");
}

#[test]
fn text_that_would_be_two_lines_is_no_valid_answer() {
    let input = b"[1]\n\"a\\nb\"\n\"c\"\n";
    let done = echo(&TestEnv::new(), &["--output-format", "text", "-j1"], &[]).run_on(&input[..]);
    done.assert_status(123).assert_one_error(1, "bad_answer");
    done.assert_results_but(1, b"[1]\n?\nc\n");
}

#[test]
fn an_envelope_holds_the_value() {
    let done = echo(
        &TestEnv::new(),
        &["--output-format", "envelope", "-j1"],
        &[],
    )
    .run_on(&b"{\"a\":1.0}\n\"x\"\n"[..]);
    done.assert_status(0);
    done.assert_stdout("{\"index\":0,\"output\":{\"a\":1.0}}\n{\"index\":1,\"output\":\"x\"}\n");
}

#[test]
fn an_answer_that_is_too_long_fails_its_record_alone() {
    let input = strings_with(2, 6, "@big:2M");
    let options = ["-j1", "--max-record", "1M", "--retries", "3"];
    let done = echo(&TestEnv::new(), &options, &[]).run_on(&*input);
    let error = assert_only_failed(&done, &input, 2, "answer_too_large");
    assert_eq!(error["attempts"], 1, "it would be too long again");
}

#[test]
fn the_first_error_can_end_the_run() {
    let input = strings_with(3, 2000, "@error:first");
    let done = echo(&TestEnv::new(), &["-j1", "--on-error", "raise"], &[]).run_on(&*input);
    done.assert_status(123).assert_one_error(3, "worker_error");
    assert_eq!(done.lines().len(), 4);
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let env = TestEnv::new();
    let json = ["--protocol", "json"];
    for (options, named) in [
        (&["--protocol", "json", "--null"][..], "--null"),
        (&["--exits", "x"], "--exits needs --protocol json"),
        (&["--output-format", "text"], "--output-format text"),
        (&[json[0], json[1], "--exits", "-"], "--exits -"),
        (
            &[json[0], json[1], "--exits", "e", "--errors", "e"],
            "is the file of --errors",
        ),
        (
            &[json[0], json[1], "--exits", "in", "-i", "in"],
            "is an input file",
        ),
    ] {
        env.write("in", "1\n");
        env.mtask().args(options).echo().run().assert_status(2).assert_stderr_has(named);
    }
}

#[test]
fn every_record_has_one_outcome_whatever_json_workers_do() {
    let kinds = [
        ("", "ok"),
        ("@error:e", "worker_error"),
        ("@result", "bad_answer"),
        ("@stray:log", "ok"),
        ("@die:3", "worker_exit"),
        ("@skip", "missing_answer"),
        ("@big:70K", "answer_too_large"),
        ("@sleep:5", "ok"),
    ];
    let seed = first_seed();
    let mut rng = fastrand::Rng::with_seed(seed);
    for round in 0..8 {
        let env = TestEnv::new();
        let mut expected = Vec::new();
        let input = records((0..300).map(|number| {
            let rare = rng.u32(..10) == 0;
            let (words, kind) = if rare {
                kinds[rng.usize(..kinds.len())]
            } else {
                kinds[0]
            };
            // A skipped record is found out soon only where no other waits for it.
            let (words, kind) = if words == "@skip" && number < 299 {
                kinds[0]
            } else {
                (words, kind)
            };
            expected.push(kind);
            json!(format!("{number} {words}")).to_string()
        }));
        let jobs = format!("-j{}", rng.usize(1..5));
        let concurrency = rng.usize(1..20);
        let banner = format!("{{\"ready\":true,\"concurrency\":{concurrency}}}");
        let mut worker = vec!["--banner", if rng.bool() { &banner } else { "log" }];
        if rng.bool() {
            worker.push("--reverse");
        }
        let done = echo(&env, &[&jobs, "--max-record", "64K"], &worker).run_on(&*input);
        let what = format!("seed {seed}, round {round}");
        let lines = done.lines();
        assert_eq!(lines.len(), expected.len(), "{what}");
        for (number, (line, kind)) in lines.iter().zip(&expected).enumerate() {
            let value = done.parse(line);
            let found = value["mtask_error"].as_str().unwrap_or("ok");
            // Those that a dying process held with a skipped one are sent again.
            assert_eq!(found, *kind, "{what}, record {number}");
            if found == "ok" {
                assert!(value.as_str().is_some_and(|text| text.starts_with(&format!("{number} "))));
            } else {
                assert_eq!(value["index"], number, "{what}");
            }
        }
    }
}

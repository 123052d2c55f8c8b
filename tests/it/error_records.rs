//! Error records: one line of JSON that says what happened and holds the record.

use serde_json::{Value, json};

use crate::done::{Done, ERROR_MARK, numbers, records};
use crate::env::{TestEnv, mtask};

/// A run in which the second of three records fails.
fn run_with_failure(env: &TestEnv, options: &[&str], record: &[u8]) -> Done {
    let input = records([b"0", record, b"2"]);
    let done = env.mtask().words("-j1").args(options).echo().run_on(input);
    done.assert_status(123);
    done
}

#[test]
fn an_error_record_is_one_line_that_begins_with_its_key() {
    for options in [&[][..], &["--output-format", "envelope"]] {
        let done = run_with_failure(&TestEnv::new(), options, b"1 \"quoted\" \\ \t @die:3");
        let error = done.assert_one_error(1, "worker_exit");
        assert_eq!(error["input"], "1 \"quoted\" \\ \t @die:3");
        assert_eq!(error["exit_code"], 3);
        assert_eq!(error["worker"], 0);
        assert!(error["message"].is_string());
    }
}

#[test]
fn a_record_that_is_not_utf8_is_shown_as_base64() {
    let done = run_with_failure(&TestEnv::new(), &[], b"\xff\xfe @die:3");
    let error = done.assert_one_error(1, "worker_exit");
    assert_eq!(error["input_base64"], "//4gQGRpZToz");
    done.check(error.get("input").is_none(), "it has both forms");
}

#[test]
fn a_json_record_is_shown_as_the_value_itself() {
    let record = r#"{"big":12345678901234567890.10,"z":1,"a":"@die:3"}"#;
    let done = run_with_failure(&TestEnv::new(), &["--format", "jsonl"], record.as_bytes());
    let error = done.assert_one_error(1, "worker_exit");
    assert_eq!(error["input"]["a"], "@die:3");
    let text = String::from_utf8_lossy(&done.stdout);
    done.check(
        text.contains(&format!("\"input\":{record}")),
        "the value is not as it was written",
    );
}

#[test]
fn the_record_can_be_left_out() {
    let done = run_with_failure(&TestEnv::new(), &["--error-input", "none"], b"1 @die:3");
    let error = done.assert_one_error(1, "worker_exit");
    done.check(
        error.get("input").is_none() && error.get("input_base64").is_none(),
        "it is shown",
    );
}

#[test]
fn error_records_go_to_a_file_where_one_is_named() {
    for order in ["-k", "--unordered"] {
        let env = TestEnv::new();
        let errors = env.path("errors");
        let input = records((0..20).map(|i| {
            if i % 10 == 5 {
                format!("{i} @die:3")
            } else {
                i.to_string()
            }
        }));
        let done = env.mtask().args(["-j1", "--errors", &errors, order]).echo().run_on(input);
        done.assert_status(123);
        let mut results = done.lines();
        results
            .sort_by_key(|line| String::from_utf8_lossy(line).parse::<u32>().unwrap_or(u32::MAX));
        let expected: Vec<String> =
            (0..20).filter(|i| i % 10 != 5).map(|i| i.to_string()).collect();
        done.check(
            records(results) == records(expected),
            "the results are wrong",
        );
        let mut indices: Vec<u64> = env
            .lines("errors")
            .iter()
            .map(|line| {
                assert!(line.as_bytes().starts_with(ERROR_MARK));
                let error: Value = serde_json::from_str(line).expect("an error record");
                error["index"].as_u64().expect("an index")
            })
            .collect();
        indices.sort_unstable();
        assert_eq!(indices, [5, 15]);
    }
}

#[test]
fn a_file_for_error_records_that_cannot_be_written_is_an_error() {
    let env = TestEnv::new();
    let done = env.mtask().words("--errors /no/such/folder/errors").echo().run_on(numbers(3));
    done.assert_stderr_has("/no/such/folder/errors")
        .check(!done.status.success(), "it did not fail");
}

#[test]
fn failed_records_can_be_run_again_from_their_error_records() {
    let env = TestEnv::new();
    let input = records((0..20).map(|i| match i {
        7 => json!({"n": i, "do": format!("@first:2:{} @die:3", env.path("tries"))}).to_string(),
        _ => json!({"n": i}).to_string(),
    }));
    let first = env.mtask().words("-j1 --format jsonl").echo().run_on(input);
    let error = first.assert_status(123).assert_one_error(7, "worker_exit");
    let again = records([error["input"].to_string()]);
    let second = env.mtask().words("-j2 --format jsonl").echo().run_on(again);
    second.assert_status(0);
    assert_eq!(second.parse(second.lines()[0])["n"], 7);
}

#[test]
fn envelopes_hold_the_index_and_the_answer() {
    let done = mtask("-j2 --output-format envelope")
        .worker(["--suffix", "!"])
        .run_on(*b"a\n\"q\\\n\nbad \xff\n");
    let lines = done.assert_status(0).lines();
    let expected = [
        json!({"index": 0, "output": "a!"}),
        json!({"index": 1, "output": "\"q\\!"}),
        json!({"index": 2, "output": "!"}),
        json!({"index": 3, "output_base64": "YmFkIP8h"}),
    ];
    assert_eq!(
        lines.iter().map(|line| done.parse(line)).collect::<Vec<_>>(),
        expected
    );
    done.check(
        lines.iter().all(|line| line.starts_with(b"{\"index\":")),
        "the index is not first",
    );
}

#[test]
fn unordered_envelopes_tell_which_record_they_belong_to() {
    let input = records((0..300).map(|i| format!("{i} @sleep:{}", i % 3)));
    let options = ["-u", "-j4", "--output-format", "envelope"];
    let done = TestEnv::new().mtask().args(options).echo().run_on(input);
    let mut seen = vec![false; 300];
    for line in done.assert_status(0).lines() {
        let envelope = done.parse(line);
        let index = envelope["index"].as_u64().expect("an index") as usize;
        assert_eq!(envelope["output"], format!("{index} @sleep:{}", index % 3));
        assert!(
            !std::mem::replace(&mut seen[index], true),
            "{index} has two results"
        );
    }
    done.check(seen.iter().all(|seen| *seen), "a record has no result");
}

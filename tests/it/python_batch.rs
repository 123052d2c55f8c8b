//! `--batch`: calls with several records at once.

use serde_json::{Value, json};

use crate::done::{numbers, records};
use crate::env::TestEnv;
use crate::python::{error, python};

/// COMMAND, of which the file `said` keeps what the adapter writes.
const OVERHEARD: [&str; 5] = ["--", "sh", "-c", "python3 \"$@\" | tee said", "sh"];

/// What the adapter has said in turn: with `started` and with `id` as keys.
fn said(env: &TestEnv) -> Vec<Value> {
    let lines = env.lines("said").into_iter();
    lines.map(|line| serde_json::from_str(&line).expect("JSON")).collect()
}

/// The records of each call.
fn calls(env: &TestEnv) -> Vec<Vec<u64>> {
    let said = said(env);
    let calls = said.iter().filter_map(|line| line["started"].as_array());
    calls.map(|call| call.iter().filter_map(Value::as_u64).collect()).collect()
}

#[test]
fn a_call_gets_as_many_records_as_are_waiting_and_no_more_than_it_may() {
    let source = r#"
sizes = []
def work(batch):
    sizes.append(len(batch))
    return [[x, len(batch)] for x in batch]
class Work:
    def __call__(self, batch):
        return work(batch)
    def close(self):
        return max(sizes)
"#;
    let Some(env) = python(source) else { return };
    let done = env
        .mtask()
        .words("-j1 --batch 8 --exits exits")
        .words("--python work.py:Work")
        .run_on(numbers(1000));
    done.assert_status(0).assert_stderr_empty();
    for (index, line) in done.lines().into_iter().enumerate() {
        let result = done.parse(line);
        done.check(result[0] == index, "a result is in the wrong place");
        let size = result[1].as_u64().expect("a number");
        done.check((1..=8).contains(&size), "a batch has a wrong size");
    }
    let exits = env.lines("exits");
    assert_eq!(exits, [r#"{"worker":0,"process":0,"exit":8}"#]);

    // None waits for more than there are.
    let mut live = env.mtask().words("-j1 --batch 8 --python work.py:work").open();
    live.ask("7", "[7,1]");
    live.ask("8", "[8,1]");
    live.wait().assert_status(0);
}

#[test]
fn one_bad_record_of_a_batch_fails_alone_with_its_own_traceback() {
    let source = r#"
def check(x):
    if x == 20:
        raise ValueError("20 is bad")
def work(batch):
    for record in batch:
        check(record.pop())  # the call may change what it gets
    return [record for record in batch]
"#;
    let Some(env) = python(source) else { return };
    let done = env
        .mtask()
        .words("-j1 --batch 32 --python work.py:work")
        .run_on(records((0..32).map(|x| format!("[5,{x}]"))));
    done.assert_status(123);
    let failed = done.assert_one_error(20, "worker_error");
    assert_eq!(failed["error"]["message"], "20 is bad");
    assert_eq!(failed["input"], json!([5, 20]));
    let traceback = error(&done, 20)["traceback"].to_string();
    done.check(
        traceback.contains("in check") && !traceback.contains("During handling"),
        "the traceback is not the record's own",
    );
    done.assert_results_but(20, &b"[5]\n".repeat(32));
}

#[test]
fn a_wrong_number_of_results_is_said_and_tried_one_by_one() {
    let source = r#"
def short(batch): return batch[:3]
def text(batch): return "abc"
def none(batch): return []
"#;
    let Some(env) = python(source) else { return };
    let run = |name: &str| {
        env.mtask()
            .words("-j1 --window 8 --batch 8")
            .args(["--python", &format!("work.py:{name}")])
            .run_on(numbers(8))
    };
    run("short").assert_output(numbers(8));
    for (name, expected) in [
        ("text", "returns a list of outputs, and not str"),
        ("none", "was given 1 inputs and returned 0 outputs"),
    ] {
        let done = run(name);
        done.assert_status(123);
        for line in 0..8 {
            let message = error(&done, line)["message"].to_string();
            done.check(message.contains(expected), &message);
        }
    }
}

#[test]
fn a_result_that_is_not_json_fails_alone_in_its_batch() {
    let source = "def work(batch): return [float('nan') if x == 3 else x for x in batch]\n";
    let Some(env) = python(source) else { return };
    let done = env.mtask().words("-j1 --batch 8 --python work.py:work").run_on(numbers(8));
    done.assert_status(123);
    done.assert_one_error(3, "worker_error");
    done.assert_results_but(3, &numbers(8));
}

#[test]
fn each_call_is_announced_before_its_answers_and_has_nothing_else() {
    let source = r#"
def work(batch):
    if len(batch) > 1 and 5 in batch:
        raise ValueError("5 is bad in company")
    return batch
"#;
    let Some(env) = python(source) else { return };
    let done = env
        .mtask()
        .args(["-j1", "--batch", "4", "--python", "work.py:work"])
        .args(OVERHEARD)
        .stdin(numbers(40))
        .run();
    done.assert_status(0).assert_stdout(numbers(40));
    done.check(
        !done.stderr.contains("started"),
        "what was announced was no news",
    );
    let mut begun = Vec::new();
    let mut is_called = 0;
    for line in said(&env) {
        if let Some(call) = line["started"].as_array() {
            begun = call.iter().filter_map(Value::as_u64).collect();
            is_called += usize::from(begun.contains(&5));
        } else if let Some(id) = line["id"].as_u64() {
            done.check(begun.contains(&id), "an answer is not of the last call");
        } else {
            assert_eq!(
                line,
                json!({"ready": true, "concurrency": 8, "can": ["start", "base64"]})
            );
        }
    }
    let together = calls(&env).iter().any(|call| call.len() > 1 && call.contains(&5));
    assert_eq!(is_called > 1, together, "it is announced once more");
}

/// How many calls there are beside those with which batches begin: each has records that were in an
/// earlier one.
fn later_calls(env: &TestEnv) -> Vec<Vec<u64>> {
    let mut seen = 0;
    let mut later = calls(env);
    later.retain(|call| {
        let is_later = call[0] < seen;
        seen = seen.max(call[call.len() - 1] + 1);
        is_later
    });
    later
}

#[test]
fn a_batch_that_fails_is_halved_until_its_bad_records_are_found() {
    let source = r#"
def work(batch, bad=()):
    if any(x in bad for x in batch):
        raise ValueError("bad")
    return batch
def one(batch): return work(batch, [37])
def two(batch): return work(batch, [3, 61])
"#;
    let Some(env) = python(source) else { return };
    for (name, bad, most) in [("one", vec![37], 2 * 6), ("two", vec![3, 61], 2 * 2 * 6)] {
        let done = env
            .mtask()
            .args(["-j1", "--batch", "64", "--errors", "errors"])
            .args(["--python", &format!("work.py:{name}")])
            .args(OVERHEARD)
            .stdin(numbers(64))
            .run();
        let good = (0..64).filter(|x| !bad.contains(x)).map(|x| x.to_string());
        done.assert_status(123).assert_stdout(records(good));
        let failed = env.lines("errors");
        assert_eq!(failed.len(), bad.len());
        for (line, index) in failed.iter().zip(bad) {
            done.check(line.contains(&format!("\"index\":{index},")), line);
        }
        let later = later_calls(&env).len();
        done.check(later <= most, &format!("{later} calls to find what is bad"));
    }
}

#[test]
fn where_a_third_half_fails_the_rest_of_the_batch_is_tried_one_by_one() {
    let source = r#"
def work(batch): raise ValueError("no luck")
def alone(batch): return batch if len(batch) == 1 else []
"#;
    let Some(env) = python(source) else { return };
    for (name, status) in [("work", 123), ("alone", 0)] {
        let done = env
            .mtask()
            .args([
                "-j1",
                "--batch",
                "64",
                "--python",
                &format!("work.py:{name}"),
            ])
            .args(OVERHEARD)
            .stdin(numbers(64))
            .run();
        done.assert_status(status);
        done.check(done.lines().len() == 64, "there are not 64 outcomes");
        let failed = later_calls(&env).iter().filter(|call| call.len() > 1).count();
        // A whole batch that fails has so many halves of halves in a row.
        let batches = calls(&env).len() - later_calls(&env).len();
        done.check(failed <= 8 * batches, &format!("{failed} halves"));
    }
}

#[test]
fn a_record_that_python_cannot_read_is_no_part_of_a_batch_that_fails() {
    let source = r#"
def work(batch):
    if 3 in batch:
        raise ValueError("3 is bad")
    return batch
"#;
    let Some(env) = python(source) else { return };
    let digits = "7".repeat(5000);
    let input = ["0", "1", &digits, "3", &digits, "5"];
    let done = env
        .mtask()
        .args(["-j1", "--batch", "6", "--error-input", "none"])
        .args(["--python", "work.py:work"])
        .args(OVERHEARD)
        .stdin(records(input))
        .run();
    done.assert_status(123);
    done.check(done.lines().len() == 6, "there are not 6 outcomes");
    // Before Python 3.11 it may read as many digits as there are.
    if !done.lines()[2].starts_with(b"7") {
        for bad in [2, 3, 4] {
            error(&done, bad);
        }
        done.check(
            calls(&env).iter().flatten().all(|index| ![2, 4].contains(index)),
            "what cannot be read is in a call",
        );
    }
    done.check(!done.stderr.contains("started"), "a call has nothing in it");
}

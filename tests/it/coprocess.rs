//! Law 3: mtask can be driven record by record, because no result waits for anything but its turn.

use serde_json::Value;

use crate::done::ERROR_MARK;
use crate::env::TestEnv;

fn assert_each_result_comes_before_the_next_record(options: &[&str]) {
    let env = TestEnv::new();
    let mut live = env.mtask().args(options).worker(["--suffix", "!"]).open();
    for i in 0..200 {
        live.ask(&format!("record {i}"), &format!("record {i}!"));
    }
    live.wait().assert_status(0).assert_stderr_empty();
}

#[test]
fn a_result_comes_before_the_next_record_is_written_with_one_worker() {
    assert_each_result_comes_before_the_next_record(&["-j1"]);
}

#[test]
fn a_result_comes_before_the_next_record_is_written_with_four_workers() {
    assert_each_result_comes_before_the_next_record(&["-j4"]);
}

#[test]
fn a_result_comes_before_the_next_record_is_written_unordered() {
    assert_each_result_comes_before_the_next_record(&["-j4", "--unordered"]);
}

#[test]
fn a_result_comes_before_the_next_record_is_written_whatever_the_window() {
    assert_each_result_comes_before_the_next_record(&["-j2", "--window", "1"]);
    assert_each_result_comes_before_the_next_record(&["-j2", "--window", "100"]);
}

#[test]
fn an_envelope_comes_before_the_next_record_is_written() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j2 --output-format envelope").echo().open();
    for i in 0..20 {
        live.send(format!("record {i}"));
        let envelope: Value = serde_json::from_str(&live.line()).expect("an envelope");
        assert_eq!(envelope["index"], i);
        assert_eq!(envelope["output"], format!("record {i}"));
    }
    live.wait().assert_status(0);
}

#[test]
fn a_record_is_passed_on_before_its_block_is_full() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j2").echo().open();
    // A few at once, then silence: all of them have results.
    live.send("a\nb\nc\nd\ne");
    for expected in ["a", "b", "c", "d", "e"] {
        assert_eq!(live.line(), expected);
    }
    live.wait().assert_status(0);
}

#[test]
fn an_error_record_comes_before_the_next_record_is_written() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j2").echo().open();
    live.ask("first", "first");
    live.send("second @die:3");
    let error = live.line();
    assert!(
        error.as_bytes().starts_with(ERROR_MARK),
        "{error} is no error record"
    );
    live.ask("third", "third");
    live.wait().assert_status(123);
}

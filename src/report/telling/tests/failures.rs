//! Records that failed.

use insta::assert_snapshot;

use super::*;
use crate::budget::{BOOKKEEPING, Budget};
use crate::input::{Flaw, Rejected, Rejection, Requirement};
use crate::outcome::{BadAnswer, BadLine, Cause, TimeLimit};
use crate::record::Slice;
use crate::schedule::event::LimitFound;
use crate::schedule::policy::{MaxErrors, Percentage};

fn failure(cause: Cause) -> Box<Failure> {
    Box::new(Failure {
        index: Index(7),
        cause,
        worker: Some(WORKER.0),
        attempts: 1,
        record: None,
    })
}

fn causes() -> Vec<Cause> {
    vec![
        Cause::WorkerExit {
            stdout: None,
            exit: ExitStatus::Code(3).into(),
            stderr: b"oh\n".to_vec(),
        },
        Cause::WorkerError {
            error: "\"no such city\"".into(),
            message: "no such city".into(),
        },
        Cause::Timeout {
            limit: TimeLimit::Usual(5 * SECOND),
            ended: crate::outcome::Ended::Process,
        },
        Cause::MissingAnswer,
        Cause::BadAnswer(BadAnswer::Invalid("it has neither".into())),
        Cause::BadAnswer(BadAnswer::Unasked(Verdict::AnsweredTwice)),
        invalid(),
        Cause::RecordTooLarge { max: 64 },
        Cause::AnswerTooLarge,
    ]
}

fn invalid() -> Cause {
    Cause::InvalidInput {
        flaw: flaw(),
        line: BadLine::Mistake,
    }
}

fn flaw() -> Flaw {
    Flaw {
        expected: Requirement::Json,
        line: 8,
        column: 1,
        message: "expected value".into(),
    }
}

#[test]
fn each_cause_has_its_text_in_the_error_record() {
    let texts = causes().into_iter().map(|cause| {
        let failure = failure(cause);
        format!("{}: {}", failure.cause.kind(), failure.message())
    });
    assert_snapshot!(texts.collect::<Vec<_>>().join("\n"), @"
    worker_exit: worker 3 died while it held the record (exit status 3)
    worker_error: no such city
    timeout: no answer within --timeout 5s
    missing_answer: worker 3 left it without an answer
    bad_answer: worker 3 gave no valid answer: it has neither
    bad_answer: worker 3 died while it held the record (it answered a record twice)
    invalid_input: not valid JSON: expected value at line 8 column 1
    record_too_large: the record is longer than 64 bytes (--max-record)
    answer_too_large: the line of its answer is longer than --max-record allows, or was begun before the record was sent; worker 3 goes on
    ");
}

#[test]
fn the_first_failure_is_told_with_its_cause() {
    let events = causes().into_iter().map(|cause| settled(Err(failure(cause))));
    assert_snapshot!(told_alone(usual, events), @"
    Warning: record 7 failed (worker_exit); its error record is in the output, later failures are counted
    Warning: record 7 failed (worker_error): no such city; its error record is in the output, later failures are counted
    Warning: record 7 failed (timeout); its error record is in the output, later failures are counted
    Warning: record 7 failed (missing_answer): worker 3 left it without an answer; its error record is in the output, later failures are counted
    Warning: record 7 failed (bad_answer): worker 3 gave no valid answer: it has neither; its error record is in the output, later failures are counted
    Warning: record 7 failed (bad_answer): worker 3 died while it held the record (it answered a record twice); its error record is in the output, later failures are counted
    Warning: record 7 failed (invalid_input): not valid JSON: expected value at line 8 column 1; its error record is in the output, later failures are counted
    Warning: record 7 failed (record_too_large): the record is longer than 64 bytes (--max-record); its error record is in the output, later failures are counted
    Warning: record 7 failed (answer_too_large): the line of its answer is longer than --max-record allows, or was begun before the record was sent; worker 3 goes on; its error record is in the output, later failures are counted
    ");
    let events = [
        settled(Ok(())),
        settled(Err(failure(Cause::MissingAnswer))),
        settled(Err(failure(Cause::AnswerTooLarge))),
    ];
    assert_snapshot!(told(&mut teller(usual), events), @"
    -
    Warning: record 7 failed (missing_answer): worker 3 left it without an answer; its error record is in the output, later failures are counted
    -
    ");
}

#[test]
fn it_is_told_where_more_is_to_be_found_and_what_follows() {
    let told =
        |change: fn(&mut Policy)| told_alone(change, [settled(Err(failure(Cause::MissingAnswer)))]);
    let texts = [
        told(|policy| policy.error_records = ErrorRecords::Apart),
        told(|policy| policy.failures.on_error = OnError::Ignore),
        told(|policy| policy.failures.on_error = OnError::Raise),
        told(|policy| policy.failures.on_error = OnError::Drain),
        told(|policy| policy.failures.max_errors = Some(MaxErrors::Count(1))),
        told(|policy| policy.failures.max_errors = Some(MaxErrors::Count(2))),
    ];
    assert_snapshot!(texts.join("\n"), @"
    Warning: record 7 failed (missing_answer): worker 3 left it without an answer; its error record is in the file of --errors, later failures are counted
    Warning: record 7 failed (missing_answer): worker 3 left it without an answer; its error record is in the output, later failures are counted
    Warning: record 7 failed (missing_answer): worker 3 left it without an answer; its error record is in the output, the run ends (--on-error raise)
    Warning: record 7 failed (missing_answer): worker 3 left it without an answer; its error record is in the output, nothing more is sent (--on-error drain)
    Warning: record 7 failed (missing_answer): worker 3 left it without an answer; its error record is in the output, nothing more is sent (--max-errors 1)
    Warning: record 7 failed (missing_answer): worker 3 left it without an answer; its error record is in the output, later failures are counted
    ");
}

#[test]
fn lines_of_text_that_are_no_json_are_told_from_json_with_a_mistake() {
    let budget = Budget::new(1 << 20);
    let text = |line: &[u8]| {
        let line = line.to_vec();
        budget.add(line.capacity() + BOOKKEEPING);
        let reason = Rejection::Invalid {
            flaw: flaw(),
            record: Slice::new(line, &budget),
        };
        let rejected = Rejected {
            index: Index(7),
            reason,
        };
        let mut teller = teller(usual);
        teller.policy.shape.format = Format::Jsonl;
        told(&mut teller, [settled(Err(Box::new(rejected.into())))])
    };
    let lines = [&b"Berlin"[..], b" {\"a\":}", b" {\"a\":", b"Bern \xff"];
    let texts = lines.map(text);
    assert_snapshot!(texts.join("\n"), @"
    Warning: record 7 failed (invalid_input): not valid JSON: expected value at line 8 column 1; for lines of text use --format lines; its error record is in the output, later failures are counted
    Warning: record 7 failed (invalid_input): not valid JSON: expected value at line 8 column 1; its error record is in the output, later failures are counted
    Warning: record 7 failed (invalid_input): not valid JSON: expected value at line 8 column 1; is it a value over several lines? jq -c . writes each value on one line, jq -c '.[]' each element of an array; its error record is in the output, later failures are counted
    Warning: record 7 failed (invalid_input): not valid JSON: expected value at line 8 column 1; its error record is in the output, later failures are counted
    ");
}

#[test]
fn too_many_failures_are_told_with_their_limit() {
    let told = |most| {
        told_alone(
            |policy| policy.failures.max_errors = most,
            [(1, LimitFound::UnderWay), (2, LimitFound::AtTheEnd)].map(|(failures, found)| {
                Event::TooManyFailures {
                    failures,
                    outcomes: 10,
                    found,
                }
            }),
        )
    };
    assert_snapshot!([
        told(None),
        told(Some(MaxErrors::Count(1))),
        told(Some(MaxErrors::Count(2))),
        told(Some(MaxErrors::Part(Percentage { millionths: 5_000 }))),
    ].join("\n"), @"
    -
    -
    -
    -
    -
    Warning: 2 records failed (--max-errors)
    Warning: 1 of 10 records failed, more than 0.5%: nothing more is sent (--max-errors)
    Warning: 2 of 10 records failed, more than 0.5% (--max-errors)
    ");
}

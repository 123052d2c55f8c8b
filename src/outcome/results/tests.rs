use super::super::ErrorInput;
use super::*;
use crate::record::Separator;
use crate::shape::Shape;

const LINES: Rendering = Rendering {
    shape: Shape::LINES,
    output_format: OutputFormat::Raw,
    error_input: ErrorInput::Whole,
};
const ENVELOPE: Rendering = Rendering {
    output_format: OutputFormat::Envelope,
    ..LINES
};
const PAIR: Rendering = Rendering {
    output_format: OutputFormat::Pair,
    ..LINES
};

fn jsonl(rendering: Rendering) -> Rendering {
    let format = Format::Jsonl;
    Rendering {
        shape: Shape {
            format,
            ..rendering.shape
        },
        ..rendering
    }
}

fn merge(key: &str) -> Rendering {
    let merge = Some(Key::new(key));
    let json = jsonl(LINES);
    Rendering {
        shape: Shape {
            merge,
            ..json.shape
        },
        ..json
    }
}

fn results(rendering: Rendering, count: usize, answers: &[u8], records: &[u8]) -> Vec<u8> {
    let mut out = Chunks::default();
    let mut lines = Lines::Lent(answers);
    rendering.results(
        Index(9),
        count,
        &mut lines,
        answers.len(),
        records,
        &mut out,
    );
    assert!(lines.is_empty());
    out.take_bytes()
}

/// The same result of a record however it lies there.
#[track_caller]
fn assert_value(rendering: Rendering, value: &str, record: &str, expected: &str) {
    for given in [Cow::Borrowed(value), Cow::Owned(value.to_owned())] {
        let mut out = Chunks::default();
        rendering.value(Index(3), given, record.as_bytes(), &mut out);
        assert_eq!(
            String::from_utf8(out.take_bytes()).unwrap(),
            expected.to_owned() + "\n"
        );
    }
}

#[test]
fn with_nul_everything_ends_with_nul() {
    let rendering = Rendering {
        shape: Shape {
            separator: Separator::Nul,
            ..Shape::LINES
        },
        ..ENVELOPE
    };
    assert_eq!(
        results(rendering, 2, b"a\nb\0\0", b""),
        b"{\"index\":9,\"output\":\"a\\nb\"}\0{\"index\":10,\"output\":\"\"}\0"
    );
}

#[test]
fn answers_by_themselves_stay_as_they_are() {
    assert_eq!(results(LINES, 2, b"a\n\n", b""), b"a\n\n");
}

#[test]
fn envelopes_hold_text_or_base64() {
    assert_eq!(
        results(ENVELOPE, 2, b"\"x\"\r\n\xff\n", b""),
        b"{\"index\":9,\"output\":\"\\\"x\\\"\\r\"}\n{\"index\":10,\"output_base64\":\"/w==\"}\n"
    );
}

#[test]
fn pairs_hold_the_record_as_it_is() {
    assert_eq!(
        results(PAIR, 2, b"1\n\xff\n", b"\"a\n\xff\n"),
        b"{\"index\":9,\"input\":\"\\\"a\",\"output\":\"1\"}\n\
          {\"index\":10,\"input_base64\":\"/w==\",\"output_base64\":\"/w==\"}\n"
    );
    let record = "{\"a\": 1.00}";
    let expected = "{\"index\":3,\"input\":{\"a\": 1.00},\"output\":1e400}";
    assert_value(jsonl(PAIR), "1e400", record, expected);
}

#[test]
fn a_result_takes_the_place_of_a_value_or_the_last_one() {
    for (record, expected) in [
        (r#"{"a": 1.00 ,"b":[ ]}"#, r#"{"a": [2] ,"b":[ ]}"#),
        (r#"{"b":"\u00e9"}"#, r#"{"b":"\u00e9","a":[2]}"#),
        (r#"{"b":1 }"#, r#"{"b":1,"a":[2] }"#),
        ("{ }", r#"{"a":[2] }"#),
        (r#"{"a":1,"a":{"a":3},"c":0}"#, r#"{"a":1,"a":[2],"c":0}"#),
        (r#"{"\u0061" : null}"#, r#"{"\u0061" : [2]}"#),
    ] {
        assert_value(merge("a"), "[2]", record, expected);
    }
    assert_value(merge("é\""), "7", "{}", r#"{"é\"":7}"#);
}

#[test]
fn a_line_is_put_in_as_a_string_or_base64_under_another_name() {
    let records = b"{\"a\":1}\n{\"b\":2}\n{\"a\" :3}\n{}\n";
    assert_eq!(
        results(merge("a"), 4, b"x\"\n\n\xff\n\xff\n", records),
        b"{\"a\":\"x\\\"\"}\n{\"b\":2,\"a\":\"\"}\n{\"a_base64\" :\"/w==\"}\n{\"a_base64\":\"/w==\"}\n"
    );
}

#[test]
fn each_part_has_its_frame() {
    let parts = || Parts {
        count: 2,
        lines: "1\n[]\n".into(),
    };
    let written = |rendering: Rendering| {
        let mut out = Chunks::default();
        rendering.parts(Index(3), parts(), b"{\"a\":0}", &mut out);
        String::from_utf8(out.take_bytes()).unwrap()
    };
    assert_eq!(written(LINES), "1\n[]\n");
    assert_eq!(
        written(ENVELOPE),
        "{\"index\":3,\"part\":0,\"output\":1}\n{\"index\":3,\"part\":1,\"output\":[]}\n"
    );
    assert_eq!(
        written(jsonl(PAIR)),
        "{\"index\":3,\"part\":0,\"input\":{\"a\":0},\"output\":1}\n\
         {\"index\":3,\"part\":1,\"input\":{\"a\":0},\"output\":[]}\n"
    );
    assert_eq!(written(merge("a")), "{\"a\":1}\n{\"a\":[]}\n");
}

#[test]
fn an_answer_of_several_lines_is_one_text_and_one_of_none_is_empty() {
    let rendering = |rendering: Rendering| Rendering {
        shape: Shape {
            answer_end: AnswerEnd::Line(b"END"),
            ..rendering.shape
        },
        ..rendering
    };
    for (answer, text) in [("a\n\nb\n", "a\\n\\nb"), ("\n", ""), ("", "")] {
        let envelope = format!("{{\"index\":9,\"output\":\"{text}\"}}\n");
        let found = |of: Rendering, record: &[u8]| {
            String::from_utf8(results(rendering(of), 1, answer.as_bytes(), record)).unwrap()
        };
        assert_eq!(found(ENVELOPE, b""), envelope);
        assert_eq!(found(LINES, b""), answer);
        assert_eq!(found(merge("a"), b"{}"), format!("{{\"a\":\"{text}\"}}\n"));
    }
}

use std::num::NonZeroUsize;

use super::*;
use crate::budget::{BOOKKEEPING, Budget};
use crate::record::Slice;

const JSON: Wanted = Wanted::Json(Separator::Newline);
const TEXT: Wanted = Wanted::Text(Separator::Newline);

fn output(line: &str, wanted: Wanted) -> String {
    match read(line.as_bytes(), wanted) {
        Statement::Answer(Answer {
            index: Index(7),
            reply: Reply::Output(output),
        }) => output.into_owned(),
        other => panic!("{line} is {other:?}"),
    }
}

fn why_bad(line: &[u8]) -> String {
    match read(line, JSON) {
        Statement::Answer(Answer {
            index: Index(7),
            reply: Reply::Bad(why),
        }) => why,
        other => panic!("{} is {other:?}", line.escape_ascii()),
    }
}

fn error(line: &str) -> (String, String) {
    match read(line.as_bytes(), JSON) {
        Statement::Answer(Answer {
            index: Index(7),
            reply: Reply::Error { json, message },
        }) => (json.into(), message),
        other => panic!("{line} is {other:?}"),
    }
}

#[test]
fn outputs_keep_their_bytes() {
    for value in [
        "12345678901234567890",
        "1e400",
        "1.0",
        "null",
        r#"{"b":1,"a":2,"b":3}"#,
        r#""\u00e9\ud800 \/""#,
        r#"[ 1 , 2 ]"#,
        r#"{"id":9,"output":1}"#,
        "\"é\"",
    ] {
        for line in [
            format!("{{\"id\":7,\"output\":{value}}}"),
            format!("{{\"id\":7,\"output\": {value} }}\r"),
            format!(" {{ \"output\" : {value} , \"error\":null, \"more\":[1], \"id\" : 7 }}"),
        ] {
            assert_eq!(output(&line, JSON), value, "{line}");
        }
    }
}

#[test]
fn nesting_has_no_limit() {
    let deep = ["[".repeat(100_000), "]".repeat(100_000)].concat();
    assert_eq!(
        output(&format!("{{\"id\":7,\"output\":{deep}}}"), JSON),
        deep
    );
}

#[test]
fn text_is_a_string_without_quotes_and_any_other_value_as_it_is() {
    for (value, text) in [
        (r#""plain é""#, "plain é"),
        (r#""a\tb\"c\u00e9""#, "a\tb\"cé"),
        ("12", "12"),
        (r#"["a"]"#, r#"["a"]"#),
        ("null", "null"),
    ] {
        let line = format!("{{\"id\":7,\"output\":{value}}}");
        assert_eq!(output(&line, TEXT), text);
    }
    for value in [r#""a\nb""#, r#""\ud800""#] {
        let line = format!("{{\"id\":7,\"output\":{value}}}");
        let read = read(line.as_bytes(), TEXT);
        let is_bad =
            matches!(&read, Statement::Answer(answer) if matches!(answer.reply, Reply::Bad(_)));
        assert!(is_bad, "{read:?}");
    }
}

#[test]
fn errors_are_strings_or_objects() {
    let said = |value: &str| error(&format!("{{\"id\":7,\"error\":{value}}}")).1;
    assert_eq!(said(r#""no \"luck\"""#), "no \"luck\"");
    assert_eq!(
        said(r#"{"type":"ValueError","message":"x","traceback":"…"}"#),
        "ValueError: x"
    );
    assert_eq!(
        said(r#"{"type":"KeyboardInterrupt","message":""}"#),
        "KeyboardInterrupt"
    );
    assert_eq!(said(r#"{"message":"m","code":3}"#), "m");
    assert_eq!(said("{}"), "the worker gave an error without a message");
    let (json, _) = error(r#"{"id":7,"error":{"code": 1.50}}"#);
    assert_eq!(json, r#"{"code": 1.50}"#);
}

#[test]
fn what_is_no_valid_answer_says_why() {
    for (line, why) in [
        (&br#"{"id":7,"output":NaN}"#[..], "it is not a JSON object"),
        (b"{\"id\":7,\"output\":\"\xff\"}", "UTF-8"),
        (br#"{"id":7,"result":1}"#, "neither"),
        (br#"{"id":7,"error":null}"#, "neither"),
        (br#"{"id":7,"output":1,"error":"e"}"#, "both"),
        (br#"{"id":7,"error":3}"#, "neither a string nor an object"),
        (br#"{"id":7,"output":1,"output":2}"#, "duplicate"),
        (br#"{"id":7,"output":1} more"#, "it is not a JSON object"),
        (br#"{"id":7,"output":1"#, "it is not a JSON object"),
    ] {
        let said = why_bad(line);
        assert!(
            said.contains(why),
            "{}: {said}, not {why}",
            line.escape_ascii()
        );
    }
}

#[test]
fn what_is_no_valid_answer_is_shown_and_numbers_without_json_are_named() {
    assert_eq!(
        why_bad(br#"{"id":7,"output":x}"#),
        r#"it is not a JSON object: expected value at column 18 of {"id":7,"output":x}"#
    );
    for number in ["NaN", "Infinity", "-Infinity", "nan", "-inf"] {
        for output in [number.to_owned(), format!("[1, {number}]")] {
            let line = format!("{{\"id\":7,\"output\":{output}}}");
            let said = why_bad(line.as_bytes());
            let named = format!("JSON has no {}", number.trim_start_matches('-'));
            assert!(said.contains(&named) && said.ends_with(&line), "{said}");
        }
    }
    assert_eq!(
        why_bad(b"{\"id\":7,\"\x1b[31m\":1}"),
        "it is not a JSON object: control character (\\u0000-\\u001F) found while parsing a string \
         at column 10 of {\"id\":7,\"\\u{1b}[31m\":1}"
    );
    let long = format!("{{\"id\":7,\"result\":\"{}\"}}", "é".repeat(500));
    let said = why_bad(long.as_bytes());
    assert!(said.starts_with("it has neither an output nor an error: {\"id\":7,\"result\""));
    assert!(said.ends_with("é…") && said.len() < 300, "{said}");
    let torn = [&b"{\"id\":7,\"output\":\"\xff"[..], &[b'x'; 5000], b"\"}"].concat();
    let said = why_bad(&torn);
    assert!(said.starts_with("it is not valid UTF-8: {\"id\":7,\"output\":\"\\xffxxx"));
    assert!(said.ends_with('…') && said.len() < 200, "{said}");
}

#[test]
fn an_object_that_mentions_an_id_may_be_an_answer() {
    for line in [
        r#"{"level":"info","id":7}"#,
        r#"{"output":NaN,"id":7}"#,
        r#"{"output": Infinity, "id": 7 }"#,
        r#"{"output":NaN,"id":7,"ms":3}"#,
        r#"{"output":1,"id":7} more"#,
    ] {
        let read = read(line.as_bytes(), JSON);
        let Statement::Mention(answer) = &read else {
            panic!("{line} is {read:?}");
        };
        assert_eq!(answer.index, Index(7));
    }
}

#[test]
fn what_begins_like_an_answer_and_names_no_record_is_none() {
    for line in [
        r#"{"id":"7","output":1}"#,
        r#"{"id":-7,"output":1}"#,
        r#"{"id":7.0,"output":1}"#,
        r#"{"id":"#,
        r#"{"id":12"#,
        r#"{"id":07,"output":1}"#,
        r#"{"id":99999999999999999999,"output":1}"#,
    ] {
        assert_eq!(read(line.as_bytes(), JSON), Statement::Nameless, "{line}");
    }
}

#[test]
fn other_lines_are_for_people() {
    for line in [
        &b""[..],
        b"loading model",
        b"[1,2]",
        b"{'id': 7}",
        b"{}",
        br#"{"ready":false}"#,
        br#"{"level":"info","id":"x"}"#,
        b"\xff\xfe",
    ] {
        assert_eq!(read(line, JSON), Statement::Log, "{}", line.escape_ascii());
    }
}

#[test]
fn a_worker_says_that_it_is_ready_and_what_it_has_to_say_at_its_end() {
    let ready = |concurrency: &str| {
        let line = format!("{{\"ready\":true{concurrency}}}");
        match read(line.as_bytes(), JSON) {
            Statement::Ready(said) => match said.concurrency {
                Ok(concurrency) => Ok(concurrency.map_or(0, NonZeroUsize::get)),
                Err(given) => Err(given.to_owned()),
            },
            other => panic!("{line} is {other:?}"),
        }
    };
    assert_eq!(ready(""), Ok(0));
    assert_eq!(ready(r#","concurrency":8"#), Ok(8));
    assert_eq!(ready(r#","concurrency":null"#), Ok(0));
    for given in ["0", "\"8\"", "-1", "8.0", "[8]"] {
        let ready = ready(&format!(",\"concurrency\": {given}"));
        assert_eq!(ready, Err(given.to_owned()));
    }
    assert_eq!(
        read(br#"{"exit":{"seen": 3}}"#, JSON),
        Statement::Exit(r#"{"seen": 3}"#)
    );
    assert_eq!(read(br#"{"exit":null}"#, JSON), Statement::Exit("null"));
}

#[test]
fn a_worker_says_what_it_can_and_what_it_has_begun() {
    let begins = |can: &str| {
        let line = format!("{{\"ready\":true,\"can\":{can}}}");
        match read(line.as_bytes(), JSON) {
            Statement::Ready(said) => said.begins,
            other => panic!("{line} is {other:?}"),
        }
    };
    assert_eq!(begins(r#"["cancel", "start"]"#), Begins::Told);
    assert_eq!(begins(r#"[1,"start"]"#), Begins::Told);
    for other in [r#"["stop"]"#, "[]", r#""start""#, "true", "null"] {
        assert_eq!(begins(other), Begins::Untold);
    }
    let begun = |line: &str| match read(line.as_bytes(), JSON) {
        Statement::Begun(indices) => Some(indices),
        Statement::Log => None,
        other => panic!("{line} is {other:?}"),
    };
    let expected = Some(vec![Index(3), Index(17)]);
    assert_eq!(begun(r#" { "started" : [ 3, 17 ], "more": 1 }"#), expected);
    assert_eq!(begun(r#"{"started":[]}"#), Some(vec![]));
    for other in ["3", r#"["3"]"#, "[-1]", "[3.0]", "[3,null]", "{}", "null"] {
        assert_eq!(begun(&format!("{{\"started\":{other}}}")), None, "{other}");
    }
}

#[test]
fn white_space_inside_counts_as_none() {
    for line in [
        "{ \"id\" : 7 , \"output\" : NaN }",
        "\t{\t\"id\"\r:7\t,\"result\":1}",
        "  {\"id\":7,\"output\":1} more",
        "{\"id\" :7 ",
    ] {
        why_bad(line.as_bytes());
    }
    let line = br#" { "id" : "7" , "output" : 1 }"#;
    assert_eq!(read(line, JSON), Statement::Nameless);
}

#[test]
fn a_long_line_is_known_by_its_beginning_or_by_an_id_that_is_owed() {
    let read = |line: &[u8]| read_head(&line[..line.len().min(20)], &named(line), |id| id.0 > 9);
    let too_large = Statement::Answer(Answer {
        index: Index(12),
        reply: Reply::TooLarge,
    });
    for line in [
        r#"{"id":12,"output":"xxxxxxxxxxx"}"#,
        r#"{ "id" : 12, "result":"xxxxxxxxxxx"}"#,
        r#"{"output":"xxxxxxxxxxxxxxxxxxxx","id":12}"#,
        r#"{"result":"xxxxxxxxxxxxxxxxxxxx","id":12,"ms":3}"#,
        r#"{"error":{"message":"xxxxx","id":3},"id":12,"ms":3}"#,
        r#"Loading {"id":12,"output":"xxxxxxxxxxx"}"#,
        r#"{"output":"x","id":8}{"output":"xxxx","id":12}"#,
    ] {
        assert_eq!(read(line.as_bytes()), too_large, "{line}");
    }
    assert_eq!(read(br#"{"id":12"#), Statement::Nameless);
    for line in [
        "xxxx",
        r#"{"output":"xxxxxxxxxxxxxxxxxxxx","id":8}"#,
        r#"{"output":{"xxxxxxxxxxxxx":"","id":12}}"#,
        r#"INFO {"xxxxxxxxxx":"","id":12}"#,
    ] {
        assert_eq!(read(line.as_bytes()), Statement::Log, "{line}");
    }
}

fn written(records: &str, format: Format) -> String {
    written_again(records, None, format)
}

fn written_again(records: &str, attempt: Option<Attempt>, format: Format) -> String {
    let budget = Budget::new(1 << 20);
    let bytes = records.as_bytes().to_vec();
    budget.add(bytes.capacity() + BOOKKEEPING);
    let block = Block {
        first: Index(9),
        count: records.matches('\n').count(),
        bytes: Slice::new(bytes, &budget),
    };
    let shape = Shape {
        format,
        ..Shape::LINES
    };
    String::from_utf8(write(&block, attempt, &shape)).unwrap()
}

#[test]
fn a_worker_that_is_told_finds_the_attempt_behind_the_id() {
    assert_eq!(
        written_again("1\n2\n", Some(Attempt(3)), Format::Jsonl),
        "{\"id\":9,\"attempt\":3,\"input\":1}\n{\"id\":10,\"attempt\":3,\"input\":2}\n"
    );
}

#[test]
fn records_are_sent_with_their_index_as_id() {
    assert_eq!(
        written("{\"b\":1.0}\n[ 2]\n", Format::Jsonl),
        "{\"id\":9,\"input\":{\"b\":1.0}}\n{\"id\":10,\"input\":[ 2]}\n"
    );
    assert_eq!(
        written("a \"b\"\t\\\r\n\n", Format::Lines),
        "{\"id\":9,\"input\":\"a \\\"b\\\"\\t\\\\\\r\"}\n{\"id\":10,\"input\":\"\"}\n"
    );
}

use super::*;

/// The ids and the texts of the objects, in brackets where they are no replies.
fn found(line: &str) -> Vec<String> {
    found_by(line, 1..9)
}

/// The same, and they are those that are found where the line comes in pieces of these lengths:
/// what has gone by is not looked at again.
fn found_by(line: &str, pieces: std::ops::Range<usize>) -> Vec<String> {
    let whole = named(line.as_bytes());
    for piece in pieces {
        let mut scanner = Scanner::default();
        for bytes in line.as_bytes().chunks(piece) {
            scanner.feed(bytes);
        }
        let ids = |found: &[NamedRecord]| {
            let id = |named: &NamedRecord| (named.index, named.is_followed);
            found.iter().map(id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&scanner.into_found()), ids(&whole), "{line} by {piece}");
    }
    let show = |named: &NamedRecord| {
        let text = &line[named.start..named.end];
        assert_eq!(named.is_first, line[..named.start].trim().is_empty());
        match named.is_reply {
            true => format!("{} {text}", named.index),
            false => format!("({}) {text}", named.index),
        }
    };
    whole.iter().map(show).collect()
}

#[test]
fn the_id_may_stand_anywhere_among_the_keys() {
    for object in [
        r#"{"id":7,"output":1}"#,
        r#"{ "id" : 7 , "output" : { "id" : 8 } }"#,
        r#"{"output":"a \" { } , \\","id":7}"#,
        r#"{"error":{"id":8,"output":[{"id":9}]},"x":[],"id":7,"y":{}}"#,
        r#"{"\u0069d":7,"ou\u0074put":-1.5e3}"#,
        r#"{"output":NaN,"id":7}"#,
        r#"{"output":[1, Infinity],"id":7}"#,
    ] {
        assert_eq!(found(object), [format!("7 {object}")]);
        let line = format!("don't {{x}} {{\"a\":1}} {object} done");
        assert_eq!(found(&line), [format!("7 {object}")], "{line}");
    }
}

#[test]
fn an_object_that_says_nothing_of_its_record_counts_only_where_the_line_begins_with_it() {
    assert_eq!(
        found(r#"INFO {"id":3,"event":{"id":3,"output":1}}"#),
        [""; 0]
    );
    let line = r#"{"level":"info","id":3}"#;
    assert_eq!(found(line), [format!("(3) {line}")]);
    for line in [
        "",
        "{}",
        "{{{",
        r#"{"output":1}"#,
        r#"{"id":"7","output":1}"#,
        r#"{"id":07,"output":1}"#,
        r#"{"id":-7,"output":1}"#,
        r#"[{"ids":7,"output":1}]"#,
        r#"{'id':7,"output":1}"#,
    ] {
        assert_eq!(found(line), [""; 0], "{line}");
    }
}

#[test]
fn text_before_an_object_may_look_like_the_beginning_of_one() {
    let object = r#"{"id":7,"output":1}"#;
    for text in [
        "{",
        "{\"",
        "{\"a\":",
        "{\"a\":[1,",
        "{\"a\":{",
        "{\"a\": it {",
        "\u{1b}[0m",
    ] {
        let line = format!("{text}{object}");
        assert_eq!(found_by(&line, 0..0), [format!("7 {object}")], "{line}");
    }
}

#[test]
fn there_may_be_several_and_what_follows_a_broken_one_belongs_to_it() {
    let line = r#"{"id":1,"output":2}{"id":3,"error":"e"} {"output":4,"id":5}"#;
    let each = [
        r#"1 {"id":1,"output":2}"#,
        r#"3 {"id":3,"error":"e"}"#,
        r#"5 {"output":4,"id":5}"#,
    ];
    assert_eq!(found(line), each);
    let line = r#"{"id":1,"output":'it {"id":3,"output":2}'}"#;
    assert_eq!(found(line), [format!("1 {line}")]);
    let torn = r#"{"id":1,"output":"x"#;
    assert_eq!(found(torn), [format!("1 {torn}")]);
    let many = r#"{"id":1,"output":2}"#.repeat(MOST + 5);
    assert_eq!(found(&many).len(), MOST);
}

#[test]
fn answers_reach_to_the_end_of_the_line() {
    let answers = |line: &str| {
        found(line);
        let owes = |index| index != Index(9);
        let found = named(line.as_bytes());
        let ids = NamedRecord::answers(&found, owes).iter().map(|named| named.index.0);
        ids.collect::<Vec<_>>()
    };
    let [a, b, other] = [1, 2, 9].map(|id| format!(r#"{{"id":{id},"output":"x"}}"#));
    for (line, expected) in [
        (a.clone(), &[1][..]),
        (format!("go: {a}{b} , {a},{b} \r"), &[1, 2, 1, 2]),
        (format!("{other}{a}"), &[1]),
        (format!("{{}}{{\"a\":1}}{a}"), &[1]),
        (format!("{a} {b} | {a}"), &[1]),
        (format!("{a},,{b}"), &[2]),
        (format!("{a}{{}}{b}"), &[2]),
        (format!("{a}{other}"), &[]),
        (format!("{a}{b},"), &[]),
        (format!("{a}{b}."), &[]),
        (format!("{a}{b}{{"), &[]),
        (format!("{a}{b} {{\"a"), &[]),
        (format!("{a}{b}{{}}"), &[]),
        (format!("{a}{b} {{\"a\":1}}"), &[]),
        (format!("'{a}{b}'"), &[]),
        (format!(r#"{a}{{"id":2,"output":"#), &[]),
        (a.repeat(MOST), &[1; MOST]),
        (a.repeat(MOST + 1), &[]),
    ] {
        assert_eq!(answers(&line), expected, "{line}");
    }
}

#[test]
fn what_is_looked_at_again_has_a_limit() {
    // The time would be the square of the length.
    let line = "{\"a\":[".repeat(200_000);
    assert_eq!(found(&line[..2000]), [""; 0]);
    assert_eq!(named(line.as_bytes()), []);
}

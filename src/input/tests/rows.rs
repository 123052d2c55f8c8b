//! Rows of CSV and TSV, whatever stands in them and however they are read.

use serde_json::{Map, Value};

use super::*;
use crate::shard::Shard;

const CSV: Shape = Shape {
    format: Format::Csv,
    ..LINES
};

/// What `read_all` makes of files with these contents, but for the end, which is given apart.
fn read_rows(contents: &[&[u8]], shape: Shape) -> (Vec<Seen>, Arrival) {
    let mut arrivals = read_files(contents, shape);
    let end = arrivals.pop().expect("an end");
    let mut seen = Vec::new();
    arrivals.iter().for_each(|arrival| note(arrival, Separator::Newline, &mut seen));
    (seen, end)
}

fn objects(text: &str) -> Vec<String> {
    let (seen, end) = read_rows(&[text.as_bytes()], CSV);
    assert!(matches!(end, Arrival::End), "{end:?}");
    let shown = |seen| match seen {
        Seen::Record(record) => String::from_utf8(record).unwrap(),
        other => format!("{other:?}"),
    };
    seen.into_iter().map(shown).collect()
}

#[test]
fn a_row_is_an_object_of_strings() {
    assert_eq!(
        objects("\u{feff}a,\"b\"\"c\"\r\n1,x\r\n\r\n\"2, \n\",\n"),
        [r#"{"a":"1","b\"c":"x"}"#, r#"{"a":"2, \n","b\"c":""}"#]
    );
    assert_eq!(objects(""), [""; 0]);
    assert_eq!(objects("a,b\n"), [""; 0]);
    assert_eq!(objects("a\nlast"), [r#"{"a":"last"}"#]);
    assert_eq!(objects("a\n\"last\""), [r#"{"a":"last"}"#]);
    let (seen, _) = read_rows(
        &[b"a\tb\n1,2\t3\n"],
        Shape {
            format: Format::Tsv,
            ..LINES
        },
    );
    assert_eq!(seen, [Seen::Record(br#"{"a":"1,2","b":"3"}"#.to_vec())]);
}

#[test]
fn a_row_that_is_no_record_fails_with_its_line() {
    let text = b"a,b\n1,2\n\"x\ny\",1,2\n3\n\xff,1\n4,5\n";
    let (seen, _) = read_rows(&[text], CSV);
    let invalid = |line, record: &[u8]| Seen::Invalid {
        line,
        record: record.to_vec(),
    };
    let record = |text: &str| Seen::Record(text.into());
    assert_eq!(
        seen,
        [
            record(r#"{"a":"1","b":"2"}"#),
            invalid(3, b"\"x\ny\",1,2"),
            invalid(5, b"3"),
            invalid(6, b"\xff,1"),
            record(r#"{"a":"4","b":"5"}"#),
        ]
    );
}

#[test]
fn a_row_that_is_no_record_keeps_its_fields_and_its_line_wherever_it_stands() {
    let tsv = Shape {
        format: Format::Tsv,
        ..LINES
    };
    let text = b"a\tb\r\n1\t2\r\n\t\t3\t\r\n\r\n\n 4 \r\n\t\t";
    let invalid = |line, record: &[u8]| Seen::Invalid {
        line,
        record: record.to_vec(),
    };
    let (seen, _) = read_rows(&[text], tsv);
    assert_eq!(
        seen[1..],
        [
            invalid(3, b"\t\t3\t"),
            invalid(6, b" 4 "),
            invalid(7, b"\t\t")
        ]
    );
}

#[track_caller]
fn assert_failed(contents: &[&[u8]], fault: &str) {
    let (_, end) = read_rows(contents, CSV);
    let Arrival::Failed(error) = end else {
        panic!("{end:?}");
    };
    let message = error.to_string();
    assert!(message.contains(fault), "{message}");
}

#[test]
fn a_file_that_cannot_be_rows_ends_the_input() {
    assert_failed(
        &[b"a\n1\n\"2\n3\n"],
        "never closed in the row that begins on line 3",
    );
    assert_failed(
        &[b"a\r\n1\r\n\r\n\"2\r\n3\r\n"],
        "never closed in the row that begins on line 4",
    );
    assert_failed(&[b"a\n\""], "never closed in the row that begins on line 2");
    assert_failed(&[b"a,a\n1,2\n"], "names \"a\" twice");
    assert_failed(
        &[b"a,b\n1,2\n", b"", b"b,a\n"],
        "its first row names [\"b\",\"a\"]",
    );
}

#[test]
fn a_row_that_is_too_large_fails_alone() {
    let long = "x".repeat(100);
    let fields = "\"\",".repeat(30);
    let text = format!("a,b\n1,{long}\n2,2\n\"{long}\n{long}\",\n3,3\n{fields}\n4,4\n");
    let shape = Shape {
        max_record: 60,
        ..CSV
    };
    let (seen, _) = read_rows(&[text.as_bytes()], shape);
    let record = |text: &str| Seen::Record(text.into());
    assert_eq!(
        seen,
        [
            Seen::TooLarge,
            record(r#"{"a":"2","b":"2"}"#),
            Seen::TooLarge,
            record(r#"{"a":"3","b":"3"}"#),
            // It is no record, and its bytes could not be kept.
            Seen::TooLarge,
            record(r#"{"a":"4","b":"4"}"#),
        ]
    );
}

/// Random rows as a file, and the objects they are.
fn random(rng: &mut fastrand::Rng) -> (Vec<u8>, Vec<Seen>) {
    let names: Vec<String> = (0..rng.usize(1..4)).map(|number| format!("n{number}")).collect();
    let mut text = names.join(",") + "\n";
    let mut seen = Vec::new();
    for _ in 0..rng.usize(0..40) {
        let mut object = Map::new();
        let mut fields = Vec::new();
        for name in &names {
            let words = ["a", "\"", ",", "\n", "\r\n", "é", " "];
            let value: String =
                (0..rng.usize(0..5)).map(|_| words[rng.usize(0..words.len())]).collect();
            // A row of one empty field would be a blank line.
            fields.push(format!("\"{}\"", value.replace('"', "\"\"")));
            object.insert(name.clone(), Value::from(value));
        }
        text += &fields.join(",");
        text += ["\n", "\r\n"][rng.usize(0..2)];
        let in_order = names.iter().map(|name| {
            let (key, value) = (Value::from(&**name), &object[name]);
            format!("{key}:{value}")
        });
        let object = format!("{{{}}}", in_order.collect::<Vec<_>>().join(","));
        seen.push(Seen::Record(object.into()));
    }
    if rng.bool() && !seen.is_empty() {
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
    }
    (text.into(), seen)
}

#[test]
fn whatever_stands_in_rows_all_shards_together_are_the_whole_input() {
    let mut rng = fastrand::Rng::with_seed(3);
    for case in 0..200 {
        let (text, expected) = random(&mut rng);
        let (seen, end) = read_rows(&[&text], CSV);
        assert!(matches!(end, Arrival::End), "{end:?}");
        assert_eq!(seen, expected, "case {case}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in");
        std::fs::write(&path, &text).unwrap();
        let of = rng.u64(1..12);
        let mut all = Vec::new();
        for number in 0..of {
            let range = Shard::new(number, of).unwrap().range(text.len() as u64);
            let path = path.clone();
            let mut arrivals = read_sources(vec![InputSource::Part(FilePart { path, range })], CSV);
            let end = arrivals.pop();
            assert!(matches!(end, Some(Arrival::End)), "{end:?}");
            let mut seen = Vec::new();
            arrivals.iter().for_each(|arrival| note(arrival, Separator::Newline, &mut seen));
            all.append(&mut seen);
        }
        assert_eq!(all, expected, "case {case}, {of} shards");
    }
}

#[test]
fn rows_are_the_same_however_they_are_read() {
    let mut rng = fastrand::Rng::with_seed(5);
    for case in 0..100 {
        let (text, expected) = random(&mut rng);
        let mut seen = Vec::new();
        let mut note_it = |arrival: Arrival| {
            note(&arrival, Separator::Newline, &mut seen);
            Ok(())
        };
        let mut cutter = Cutter::new(CSV, Budget::new(64 << 20), &mut note_it);
        let mut left = &*text;
        let mut names = None;
        let reader = super::super::rows::RowReader::new(&mut cutter, b',', &mut names, None, 4096);
        reader
            .read(|bytes, max| {
                let count = rng.usize(1..9).min(left.len()).min(max);
                bytes.extend_from_slice(&left[..count]);
                left = &left[count..];
                Ok(count)
            })
            .unwrap();
        drop(cutter);
        assert_eq!(seen, expected, "case {case}");
    }
}

//! What a reader says of what was read, with a listener that writes it down.

use super::*;
use crate::record::Separator;
use message::Answer;

/// A process that owes these records, and what was heard of it.
struct Notes {
    owed: Vec<u64>,
    heard: Vec<String>,
}

impl Notes {
    fn owing(owed: &[u64]) -> Self {
        Self {
            owed: owed.to_vec(),
            heard: Vec::new(),
        }
    }
}

impl Listener for Notes {
    fn owed(&self) -> usize {
        self.owed.len()
    }

    fn owes(&self, index: Index) -> bool {
        self.owed.contains(&index.0)
    }

    fn awaits_words(&self) -> bool {
        !self.owed.is_empty()
    }

    fn unsent(&self) -> usize {
        7
    }

    fn longest_text(&self, _: usize) -> usize {
        1024
    }

    fn heard(&mut self, message: Message<'_, '_>) -> Reception {
        let mut reception = Reception::Taken;
        self.heard.push(match &message {
            Message::Results(count, lines) => {
                self.owed.drain(..count);
                format!("{count} results of {} bytes", lines.len())
            }
            Message::Answers(answers) => {
                let unowed = |answer: &&Answer<'_>| !self.owes(answer.index);
                if let Some(answer) = answers.iter().find(unowed) {
                    reception = Reception::Unasked(answer.index);
                }
                let indices = answers.iter().map(|answer| answer.index.to_string());
                format!("answers to {}", indices.collect::<Vec<_>>().join(" "))
            }
            other => format!("{other:?}"),
        });
        reception
    }
}

fn reader(protocol: Protocol) -> Reader {
    let shape = Shape {
        protocol,
        separator: Separator::Newline,
        ..Shape::LINES
    };
    Reader::new(
        &shape,
        Wanted::Text(Separator::Newline),
        &Budget::new(1 << 20),
    )
}

/// Reads these bytes, or finds that there are none.
fn read(reader: &mut Reader, bytes: &str, notes: &mut Notes) {
    let mut buffer = Vec::with_capacity(1 << 16);
    reader.lead(&mut buffer);
    if bytes.is_empty() {
        reader.take_back(&mut buffer);
        return;
    }
    buffer.extend_from_slice(bytes.as_bytes());
    reader.read(&mut buffer, notes);
}

/// What is said of these reads of a process that owes two records, and of its end.
fn said(protocol: Protocol, reads: &[&str]) -> Vec<String> {
    let mut reader = reader(protocol);
    let mut notes = Notes::owing(&[0, 1]);
    for bytes in reads {
        read(&mut reader, bytes, &mut notes);
    }
    let (tail, _) = reader.read_tail(&mut notes);
    let tail = String::from_utf8(tail.bytes).unwrap();
    notes.heard.push(format!("left: {tail:?}"));
    notes.heard
}

#[test]
fn lines_are_results_in_turn_and_the_end_of_each_read_is_said() {
    assert_eq!(
        said(Protocol::Lines, &["a\nb", "c\nd\ne"]),
        [
            "1 results of 2 bytes",
            "End { end: Whole, begun: 0 }",
            "1 results of 3 bytes",
            "Stray([100])",
            "End { end: Whole, begun: 0 }",
            "End { end: Partial, begun: 0 }",
            "left: \"e\"",
        ]
    );
    assert_eq!(
        said(Protocol::Lines, &["a"])[0],
        "End { end: Partial, begun: 0 }"
    );
}

#[test]
fn objects_are_answers_by_name_and_nothing_counts_behind_one_that_is_unasked() {
    let answers = "{\"id\":1,\"output\":1}\n{\"id\":0,\"output\":1}\n";
    assert_eq!(
        said(
            Protocol::Json,
            &[answers, "text\n{\"id\":0", ",\"output\":1}"]
        ),
        [
            "answers to 1 0",
            "End { end: Whole, begun: 0 }",
            "Log(1)",
            "End { end: Whole, begun: 0 }",
            "End { end: Whole, begun: 0 }",
            "answers to 0",
            "End { end: Whole, begun: 0 }",
            "left: \"\"",
        ]
    );
    let unasked = "{\"id\":8,\"output\":1}\n{\"ready\":true}\n";
    assert_eq!(
        said(Protocol::Json, &[unasked])[..2],
        [
            "answers to 8",
            "End { end: Unasked { unasked: Record(Index(8)), unsent: 7 }, begun: 0 }",
        ]
    );
}

/// How many bytes of an answer have been begun, where so many come of a line that begins so.
fn begun(protocol: Protocol, owed: &[u64], begin: &str, len: usize) -> String {
    let mut notes = Notes::owing(owed);
    let line = begin.to_owned() + &"x".repeat(len - begin.len());
    read(&mut reader(protocol), &line, &mut notes);
    notes.heard.pop().unwrap()
}

#[test]
fn an_answer_is_begun_where_one_is_owed_and_it_begins_as_one_and_is_counted() {
    let answer = r#"{"id":0,"output":""#;
    for (protocol, owed, begin, len, is_begun) in [
        (Protocol::Lines, &[0][..], "", 5000, true),
        (Protocol::Lines, &[0], "", 1000, false),
        (Protocol::Lines, &[], "", 5000, false),
        (Protocol::Lines, &[], "", 1000, false),
        (Protocol::Json, &[0], answer, 5000, true),
        (Protocol::Json, &[0], answer, 1000, false),
        (Protocol::Json, &[0], "", 5000, false),
        (Protocol::Json, &[0], "", 1000, false),
        (Protocol::Json, &[], answer, 5000, false),
        (Protocol::Json, &[], answer, 1000, false),
        (Protocol::Json, &[], "", 1000, false),
    ] {
        let bytes = if is_begun { len } else { 0 };
        let said = begun(protocol, owed, begin, len);
        assert!(
            said.ends_with(&format!("begun: {bytes} }}")),
            "{said} of {protocol:?} {owed:?} {begin:?} {len}"
        );
    }
}

#[test]
fn a_read_of_nothing_says_nothing_and_loses_nothing() {
    for (protocol, a, b) in [
        (Protocol::Lines, "an", "swer\n"),
        (Protocol::Json, "{\"id\":0", ",\"output\":1}\n"),
    ] {
        for more in [0, 5000] {
            let a = a.to_owned() + &" ".repeat(more);
            let without = said(protocol, &[&a, b]);
            assert_eq!(said(protocol, &["", &a, "", "", b, ""]), without);
        }
    }
}

/// How a read ends of which this much is the value of an answer.
fn end_of_unowed(owed: &[u64], before: &str, len: usize) -> Vec<String> {
    let mut reader = reader(Protocol::Json);
    let mut notes = Notes::owing(owed);
    let answer = format!("{{\"id\":8,\"output\":\"{}\"}}\n", "x".repeat(len));
    for text in [before.to_owned() + &answer, answer] {
        for piece in text.as_bytes().chunks(50_000) {
            read(&mut reader, str::from_utf8(piece).unwrap(), &mut notes);
        }
        notes.owed.clear();
    }
    notes.heard.retain(|message| !message.contains("Whole"));
    notes.heard
}

#[test]
fn an_answer_that_is_not_owed_is_one_whatever_its_size() {
    let unasked = "End { end: Unasked { unasked: Record(Index(8)), unsent: 7 }, begun: 0 }";
    for len in [10, 5000, 300_000] {
        let (unowed, twice) = (end_of_unowed(&[], "", len), end_of_unowed(&[8], "", len));
        assert_eq!(unowed, ["answers to 8", unasked, "answers to 8", unasked]);
        assert_eq!(twice, ["answers to 8", "answers to 8", unasked]);
        let repeated = end_of_unowed(&[8], "text ", len);
        assert_eq!(repeated, ["answers to 8", "Log(1)", "Log(1)"]);
    }
}

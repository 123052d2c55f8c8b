//! What a reader says of what was read, with a listener that writes it down.

use super::*;
use crate::record::Separator;
use message::Answer;

/// A process that owes these records, and what was heard of it.
struct Notes {
    owed: Vec<u64>,
    heard: Vec<String>,
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

/// What is said of these reads of a process that owes two records, and of its end.
fn said(protocol: Protocol, reads: &[&str]) -> Vec<String> {
    let shape = Shape {
        protocol,
        separator: Separator::Newline,
        ..Shape::LINES
    };
    let mut reader = Reader::new(&shape, Wanted::Text, &Budget::new(1 << 20));
    let mut notes = Notes {
        owed: vec![0, 1],
        heard: Vec::new(),
    };
    for read in reads {
        let mut buffer = Vec::with_capacity(1024);
        reader.lead(&mut buffer);
        buffer.extend_from_slice(read.as_bytes());
        reader.read(&mut buffer, &mut notes);
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
            "End { end: Whole, begun: 1 }",
            "1 results of 3 bytes",
            "Stray([100])",
            "End { end: Whole, begun: 1 }",
            "End { end: Partial, begun: 0 }",
            "left: \"e\"",
        ]
    );
    assert_eq!(
        said(Protocol::Lines, &["a"])[0],
        "End { end: Partial, begun: 1 }"
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
            "End { end: Whole, begun: 7 }",
            "End { end: Whole, begun: 19 }",
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

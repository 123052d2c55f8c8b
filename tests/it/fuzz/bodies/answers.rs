use mtask::budget::{BOOKKEEPING, Budget};
use mtask::protocol::json::{self, Statement, Wanted};
use mtask::protocol::lines;
use mtask::protocol::message::{Answer, Message, Reply};
use mtask::protocol::stdout::{Part, StdoutLines};
use mtask::record::{Block, Index, Separator, Slice};
use mtask::shape::{AnswerEnd, EarlierErrors, Format, Protocol, Shape};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Reads the bytes as what a worker writes, piece by piece, with both protocols.
pub(crate) fn answers(mut data: &[u8]) {
    let max = [5, 60, 1 << 20][super::take(&mut data) % 3];
    let piece = super::take(&mut data) % 40 + 1;
    let mut owed = super::take(&mut data) % 10;
    let budget = Budget::new(1 << 30);
    let mut stdout = StdoutLines::new(Separator::Newline, max, &budget);
    let (mut parts, mut buffer) = (Vec::new(), Vec::with_capacity(256));
    let (asked, mut settled, mut has_stray) = (owed, Vec::new(), false);
    for read in data.chunks(piece) {
        buffer.clear();
        stdout.lead(&mut buffer);
        buffer.extend_from_slice(read);
        stdout.cut(&mut buffer, |part| {
            match &part {
                Part::Lines(lines) => {
                    for line in
                        lines.strip_suffix(b"\n").expect("whole lines").split(|b| *b == b'\n')
                    {
                        assert!(line.len() <= max);
                        read_json(line);
                        parts.push(Some(line.to_vec()));
                    }
                }
                Part::Rest(_) => panic!("nothing is let go"),
                Part::TooLong(head, found) => {
                    let _ = json::read_head(head, found, |index| index.0 % 2 == 0);
                    parts.push(None);
                }
            }
            lines::read(part, &mut owed, Separator::Newline, |answer| match answer {
                Message::Results(count, bytes) => {
                    let lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
                    assert_eq!(count, lines.len());
                    settled.extend(lines.iter().map(|line| Some(line[..line.len() - 1].to_vec())));
                }
                Message::TooLarge => settled.push(None),
                Message::Stray(_) => has_stray = true,
                other => panic!("{other:?}"),
            });
        });
    }
    let end = data.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let whole = &data[..end];
    let lines = whole.split_inclusive(|byte| *byte == b'\n').map(|line| &line[..line.len() - 1]);
    let expected: Vec<_> = lines.map(|line| (line.len() <= max).then(|| line.to_vec())).collect();
    assert_eq!(parts, expected);
    assert_eq!(settled, expected[..asked.min(expected.len())]);
    assert_eq!(has_stray, expected.len() > asked);
    let tail = stdout.take_tail();
    assert_eq!(tail.is_too_long, data.len() - end > max);
    assert!(data[end..].starts_with(&tail.bytes));
    assert!(tail.is_too_long || tail.bytes.len() == data.len() - end);
    assert_eq!(budget.held(), 0);
    write_json(whole);
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    outputs: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    exit: Option<&'a RawValue>,
}

/// What is no JSON object is no output, no error and no exit value; and what is passes byte for
/// byte.
fn read_json(line: &[u8]) {
    let is_json = serde_json::from_slice::<IgnoredAny>(line).is_ok();
    let fields: Option<Line<'_>> = serde_json::from_slice(line).ok();
    let id = fields.as_ref().and_then(|fields| fields.id);
    let fields = || fields.as_ref().expect("an object with these keys, each once");
    for wanted in [
        Wanted::Json(Separator::Newline),
        Wanted::Text(Separator::Newline),
    ] {
        match json::read(line, wanted) {
            Statement::Answer(Answer { index, reply })
            | Statement::Mention(Answer { index, reply }) => match reply {
                Reply::Output(output) => {
                    assert!(is_json);
                    assert_eq!(fields().id.map(RawValue::get), Some(&*index.to_string()));
                    let value = fields().output.map_or("null", RawValue::get);
                    if wanted == Wanted::Json(Separator::Newline) || !value.starts_with('"') {
                        assert_eq!(output, value);
                    } else {
                        let text: String = serde_json::from_str(value).expect("text");
                        assert_eq!(output, text);
                        assert!(!output.contains('\n'));
                    }
                }
                Reply::Later(wait) => {
                    assert!(is_json);
                    assert_eq!(fields().id.map(RawValue::get), Some(&*index.to_string()));
                    assert!(fields().output.is_none() && wait.as_secs() <= 1_000_000_000);
                }
                Reply::Outputs(parts) => {
                    assert!(is_json);
                    assert_eq!(fields().id.map(RawValue::get), Some(&*index.to_string()));
                    let list = fields().outputs.map_or("null", RawValue::get);
                    let values: Vec<&RawValue> = serde_json::from_str(list).expect("a list");
                    let text = |value: &&RawValue| match serde_json::from_str(value.get()) {
                        Ok(text) if wanted == Wanted::Text(Separator::Newline) => text,
                        _ => value.get().to_owned(),
                    };
                    assert_eq!(parts.count, values.len());
                    let lines: Vec<String> = values.iter().map(text).collect();
                    assert!(parts.lines.split_terminator('\n').eq(lines.iter()));
                    assert!(parts.lines.is_empty() || parts.lines.ends_with('\n'));
                }
                Reply::Error { json, .. } => {
                    assert!(is_json);
                    assert_eq!(fields().id.map(RawValue::get), Some(&*index.to_string()));
                    assert_eq!(fields().error.map(RawValue::get), Some(&*json));
                }
                Reply::Bad(why) => assert!(!why.is_empty()),
                Reply::TooLarge => panic!("it is not too large"),
            },
            Statement::Exit(exit) => {
                assert!(is_json && fields().id.is_none());
                assert_eq!(fields().exit.map_or("null", RawValue::get), exit);
            }
            Statement::Ready(_) | Statement::Begun(_) | Statement::Restart => assert!(is_json),
            Statement::Nameless => assert!(begins_with_id(line)),
            Statement::Log => assert!(!line.starts_with(b"{\"id\":")),
        }
    }
    let found = json::named(line);
    let mut from = 0;
    for named in &found {
        assert!(from <= named.start && named.start < named.end && named.end <= line.len());
        assert_eq!(line[named.start], b'{');
        from = named.end;
    }
    // Wherever the id of an object stands among its keys, it is found.
    if let Some(index) = id.and_then(|id| id.get().parse().ok().map(Index)) {
        assert!(found[0].is_first && found[0].index == index);
        assert_eq!(found[0].end, line.trim_ascii_end().len());
    }
}

fn begins_with_id(line: &[u8]) -> bool {
    let dense: Vec<u8> =
        (line.iter().copied()).filter(|byte| !byte.is_ascii_whitespace()).collect();
    dense.starts_with(b"{\"id\":")
}

/// The lines, sent to a worker as text, come back from it as they were.
fn write_json(lines: &[u8]) {
    if lines.is_empty() || str::from_utf8(lines).is_err() {
        return;
    }
    let budget = Budget::new(1 << 30);
    let bytes = lines.to_vec();
    budget.add(bytes.capacity() + BOOKKEEPING);
    let block = Block {
        first: Index(9),
        count: lines.iter().filter(|byte| **byte == b'\n').count(),
        bytes: Slice::new(bytes, &budget),
    };
    let shape = Shape {
        format: Format::Lines,
        protocol: Protocol::Json,
        separator: Separator::Newline,
        max_record: usize::MAX,
        record_end: None,
        answer_end: AnswerEnd::Separator,
        earlier_errors: EarlierErrors::Sent,
        field: None,
        merge: None,
    };
    let written = json::write(&block, None, &shape);
    let written = String::from_utf8(written).expect("JSON is UTF-8");
    let mut came_back = Vec::new();
    for (number, line) in written.split_terminator('\n').enumerate() {
        let answer = line.replacen("\"input\"", "\"output\"", 1);
        match json::read(answer.as_bytes(), Wanted::Text(Separator::Newline)) {
            Statement::Answer(Answer {
                index,
                reply: Reply::Output(text),
            }) => {
                assert_eq!(index, Index(9).plus(number));
                came_back.extend(text.bytes());
                came_back.push(b'\n');
            }
            other => panic!("{line} is {other:?}"),
        }
    }
    assert_eq!(came_back, lines);
}

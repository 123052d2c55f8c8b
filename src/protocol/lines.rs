//! The lines protocol: each line answers the oldest record that is owed.

use memchr::{memchr, memchr_iter};

use super::message::{End, Message};
use super::stdout::{Part, StdoutLines, Tail};
use super::{Aside, Listener, Reads, json, let_go};
use crate::budget::Budget;
use crate::object::Key;
use crate::outcome::Lines;
use crate::record::{Block, Separator};
use crate::shape::{EndLine, Protocol, Shape};

/// The records, or what stands under a key in each, with a line behind each, if any.
pub(super) fn write(
    block: &Block,
    field: Option<Key>,
    end: Option<EndLine>,
    separator: Separator,
) -> Vec<u8> {
    let more = end.map_or(0, |line| block.count * (line.len() + 1));
    let mut lines = Vec::with_capacity(block.bytes.len() + more);
    let mut start = 0;
    for at in memchr_iter(separator.byte(), &block.bytes) {
        let record = &block.bytes[start..at];
        start = at + 1;
        lines.extend_from_slice(field.map_or(record, |key| key.value_in(record)));
        lines.push(separator.byte());
        if let Some(line) = end {
            lines.extend_from_slice(line);
            lines.push(separator.byte());
        }
    }
    lines
}

/// The stdout of a process of the lines protocol.
#[derive(Debug)]
pub(super) struct LinesReader {
    stdout: StdoutLines,
    separator: Separator,
    /// Nothing has been said yet.
    is_new: bool,
}

impl LinesReader {
    /// Of a process that has written nothing yet.
    pub(super) fn new(shape: &Shape, budget: &Budget) -> Self {
        Self {
            stdout: StdoutLines::new(shape.separator, shape.max_record, budget),
            separator: shape.separator,
            is_new: true,
        }
    }
}

impl Reads for LinesReader {
    fn lead(&mut self, buffer: &mut Vec<u8>) {
        self.stdout.lead(buffer);
    }

    fn take_back(&mut self, buffer: &mut Vec<u8>) {
        self.stdout.take_back(buffer);
    }

    fn begun(&self) -> usize {
        self.stdout.begun()
    }

    fn text(&self) -> usize {
        self.stdout.text()
    }

    fn read(
        &mut self,
        buffer: &mut Vec<u8>,
        listener: &mut dyn Listener,
        aside: &mut Aside,
    ) -> End {
        let before = listener.owed();
        let mut owed = before;
        self.stdout.cut(buffer, |part| {
            if std::mem::take(&mut self.is_new) && begins_like_json(&part) {
                aside.foreign = Some(Protocol::Json);
            }
            read(part, &mut owed, self.separator, |message| {
                listener.heard(message);
            });
        });
        let_go(&mut self.stdout, listener, |_| {
            unreachable!("lines that cannot tell are skipped")
        });
        match owed == before {
            true => End::Partial,
            false => End::Whole,
        }
    }

    /// Whether it is an answer, the exit must tell.
    fn read_tail(&mut self, _: &mut dyn Listener, _: &mut Aside) -> (Tail, End) {
        (self.stdout.take_tail(), End::Partial)
    }
}

/// Whether a process has begun as those of the json protocol do that say when they are up.
fn begins_like_json(part: &Part<'_>) -> bool {
    match part {
        Part::Lines(lines) => json::says_ready(lines),
        Part::Rest(lines) => json::says_ready(lines),
        Part::TooLong(..) => false,
    }
}

/// Reads `part` as answers of a process that owed `owed` of them when it wrote it, and takes them
/// off.
///
/// What it is sent from now on it cannot have answered yet.
pub fn read<'a>(
    part: Part<'a>,
    owed: &mut usize,
    separator: Separator,
    mut take: impl FnMut(Message<'a, 'a>),
) {
    let lines = match part {
        Part::Lines(lines) => lines,
        Part::Rest(lines) => Lines::Lent(lines),
        Part::TooLong(head, _) if *owed == 0 => return take(Message::Stray(head)),
        Part::TooLong(..) => {
            *owed -= 1;
            return take(Message::TooLarge);
        }
    };
    let count = separator.count(&lines);
    if count <= *owed {
        *owed -= count;
        return take(Message::Results(count, lines));
    }
    let asked = std::mem::take(owed);
    let lines = lines.into_bytes();
    let mut stray = lines;
    if asked > 0 {
        let answered = separator.end_of(asked, lines).expect("more lines than owed");
        take(Message::Results(asked, Lines::Lent(&lines[..answered])));
        stray = &lines[answered..];
    }
    let end = memchr(separator.byte(), stray).expect("more lines than owed");
    take(Message::Stray(&stray[..end]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(part: Part<'_>, mut owed: usize) -> Vec<Message<'_, '_>> {
        let mut answers = Vec::new();
        read(part, &mut owed, Separator::Newline, |answer| {
            answers.push(answer);
        });
        answers
    }

    #[test]
    fn lines_are_counted() {
        assert_eq!(
            read_all(Part::Lines(Lines::Lent(b"a\n\nb\n")), 3),
            [Message::Results(3, Lines::Lent(b"a\n\nb\n"))]
        );
    }

    #[test]
    fn a_line_more_than_owed_is_stray() {
        assert_eq!(
            read_all(Part::Lines(Lines::Lent(b"a\nb\nc\nd\n")), 2),
            [
                Message::Results(2, Lines::Lent(b"a\nb\n")),
                Message::Stray(b"c")
            ]
        );
        assert_eq!(
            read_all(Part::Lines(Lines::Lent(b"ab\n")), 0),
            [Message::Stray(b"ab")]
        );
    }

    #[test]
    fn a_long_line_is_an_answer_too_large_where_one_is_owed() {
        assert_eq!(read_all(Part::TooLong(b"xx", &[]), 1), [Message::TooLarge]);
        assert_eq!(
            read_all(Part::TooLong(b"xx", &[]), 0),
            [Message::Stray(b"xx")]
        );
    }
}

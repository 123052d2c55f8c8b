//! What a process writes to stdout, in whole lines, without copies where it can be.
//!
//! Owns the line that is not whole yet. Always: it is held back, for the process may die in the
//! middle of it, and its bytes are counted in the budget once they are many. What can be no part of
//! an answer is let go: a process that owes none cannot fill the memory, and neither can text for
//! people.

use memchr::{memchr, memrchr};

use super::json::{NamedRecord, Scanner, begins_like_an_answer, named};
use crate::budget::Budget;
use crate::outcome::Lines;
use crate::record::{Index, Separator};

/// A part of what a process wrote.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Whole lines, at least one, each followed by the separator.
    Lines(Lines<'a>),
    /// The last of a line, with the separator, of which the rest has been let go.
    Rest(&'a [u8]),
    /// A line longer than it may be: how it begins, and which objects that name a record it holds,
    /// if they are looked for. The rest is not kept.
    TooLong(&'a [u8], &'a [NamedRecord]),
}

/// What a process wrote after its last whole line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// The bytes, or how they begin.
    pub bytes: Vec<u8>,
    /// They were more than a line may have.
    pub is_too_long: bool,
    /// What stood before them has been let go.
    pub is_rest: bool,
}

/// What a line that is not whole yet may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// An answer, or a message.
    Something,
    /// Nothing: the process owes no answer.
    Nothing,
}

/// A partial line is counted in the budget beyond this length. Up to here, one that can be no
/// answer is held.
const COUNTED_FROM: usize = 4 * 1024;
/// How much is kept of a line that is too long.
const HEAD: usize = 256;

/// The stdout of one process.
#[derive(Debug)]
pub struct StdoutLines {
    separator: Separator,
    max: usize,
    budget: Budget,
    partial: Vec<u8>,
    counted: usize,
    /// The partial line is too long: only its beginning is kept, the rest is being skipped.
    is_skipping: bool,
    /// Looks for objects that name a record, where answers are such.
    scanner: Option<Scanner>,
    /// How much of the partial line it has looked at.
    looked_at: usize,
    /// How much of the line has been let go.
    gone: usize,
    /// The partial line is text for people as far as it is known.
    is_text: bool,
}

impl StdoutLines {
    /// Nothing written yet. No line may be longer than `max` bytes.
    pub fn new(separator: Separator, max: usize, budget: &Budget) -> Self {
        Self {
            separator,
            max,
            budget: budget.clone(),
            partial: Vec::new(),
            counted: 0,
            is_skipping: false,
            scanner: None,
            looked_at: 0,
            gone: 0,
            is_text: false,
        }
    }

    /// The same, where answers are objects that name their record.
    pub fn of_objects(separator: Separator, max: usize, budget: &Budget) -> Self {
        let mut lines = Self::new(separator, max, budget);
        lines.scanner = Some(Scanner::default());
        lines
    }

    /// Puts the line that is not whole yet into the empty `buffer`, if it is short: then what is
    /// about to be read lies behind it, and the two need not be joined.
    pub fn lead(&mut self, buffer: &mut Vec<u8>) {
        debug_assert!(buffer.is_empty());
        let is_whole = !self.is_skipping && self.gone == 0 && self.looked_at == 0;
        if is_whole && self.partial.len() <= buffer.capacity() / 4 {
            buffer.append(&mut self.partial);
            if self.counted > 0 {
                // What is counted must be of use: a record may wait until nothing else is.
                self.partial = Vec::new();
                self.recount();
            }
        }
    }

    /// Takes back what [`StdoutLines::lead`] put there, where nothing was read behind it.
    pub fn take_back(&mut self, buffer: &mut Vec<u8>) {
        self.hold(buffer);
        buffer.clear();
    }

    /// Cuts up what was read into `buffer`, behind what [`StdoutLines::lead`] put there.
    pub fn cut(&mut self, buffer: &mut Vec<u8>, mut take: impl FnMut(Part<'_>)) {
        let sep = self.separator.byte();
        let mut from = 0;
        if self.is_skipping || self.gone > 0 || !self.partial.is_empty() {
            let Some(end) = memchr(sep, buffer) else {
                self.hold(buffer);
                return;
            };
            self.hold(&buffer[..end]);
            let found = self.take_found();
            let Tail {
                bytes: mut line,
                is_too_long,
                is_rest,
            } = self.take_tail();
            line.push(sep);
            if is_too_long {
                take(Part::TooLong(&line[..line.len() - 1], &found));
            } else if is_rest {
                take(Part::Rest(&line));
            } else {
                take(Part::Lines(Lines::Given {
                    buffer: &mut line,
                    from: 0,
                }));
            }
            from = end + 1;
        }
        let Some(last) = memrchr(sep, &buffer[from..]) else {
            self.hold(&buffer[from..]);
            return;
        };
        let end = from + last + 1;
        self.hold(&buffer[end..]);
        buffer.truncate(end);
        if end - from <= self.max {
            take(Part::Lines(Lines::Given { buffer, from }));
        } else {
            self.cut_each(&buffer[from..], &mut take);
        }
    }

    /// The slow way, where some of the lines may be too long.
    fn cut_each(&self, mut whole: &[u8], take: &mut impl FnMut(Part<'_>)) {
        let sep = self.separator.byte();
        while !whole.is_empty() {
            let mut end = 0;
            let mut too_long = None;
            while let Some(len) = memchr(sep, &whole[end..]) {
                if len > self.max {
                    too_long = Some(len);
                    break;
                }
                end += len + 1;
            }
            if end > 0 {
                take(Part::Lines(Lines::Lent(&whole[..end])));
            }
            if let Some(len) = too_long {
                let line = &whole[end..end + len];
                let found = self.scanner.as_ref().map(|_| named(line));
                take(Part::TooLong(
                    &line[..len.min(HEAD)],
                    &found.unwrap_or_default(),
                ));
                end += len + 1;
            }
            whole = &whole[end..];
        }
    }

    /// How many bytes are held of a line that is not whole yet and may be an answer, where they are
    /// counted in the budget: what does not fill it is no reason to wait for the line's end.
    pub fn begun(&self) -> usize {
        let is_counted = self.counted > 0;
        if is_counted { self.partial.len() } else { 0 }
    }

    /// How many bytes are taken by a line that is not whole yet and not counted in the budget, as
    /// text for people.
    pub fn text(&self) -> usize {
        let takes = self.partial.capacity();
        if self.is_text { takes } else { 0 }
    }

    /// Whether so much has come of a line that is no answer, or may be none, that it need not all
    /// be held.
    pub fn may_let_go(&self, awaited: Awaited) -> bool {
        let is_long = self.partial.len() > COUNTED_FROM && !self.is_skipping;
        is_long && (awaited == Awaited::Nothing || !self.begins_as_answer())
    }

    fn begins_as_answer(&self) -> bool {
        let is_whole = self.gone == 0 && !self.is_text;
        self.scanner.is_none() || is_whole && self.partial.trim_ascii_start().starts_with(b"{")
    }

    /// Lets go of what is not whole yet and can be no answer, now that the lines before it have
    /// been taken. Text for people goes to `take`, in pieces of `longest` bytes, where answers are
    /// objects, up to the first that is open or that names a record which `is_owed`; lines that
    /// cannot tell, and those that begin as an answer to a record, are skipped.
    pub fn let_go(
        &mut self,
        awaited: Awaited,
        longest: usize,
        is_owed: impl Fn(Index) -> bool,
        mut take: impl FnMut(&[u8]),
    ) {
        if !self.may_let_go(awaited) {
            return;
        }
        let names_record = self.begins_as_answer() && begins_like_an_answer(&self.partial);
        let is_answer = awaited == Awaited::Nothing && names_record;
        let Some(scanner) = self.scanner.as_mut().filter(|_| !is_answer) else {
            self.skip();
            self.recount();
            return;
        };
        let len = self.partial.len();
        let text = if awaited == Awaited::Nothing {
            *scanner = Scanner::behind(self.gone + len);
            len
        } else {
            scanner.look(&self.partial, self.looked_at);
            scanner.first(is_owed).map_or(len, |at| at - self.gone)
        };
        let whole = text - text % longest;
        self.partial[..whole].chunks(longest).for_each(&mut take);
        if whole > 0 {
            self.partial.drain(..whole);
            self.partial.shrink_to(COUNTED_FROM);
            self.gone += whole;
        }
        self.looked_at = len - whole;
        self.is_text = text == len;
        self.recount();
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.is_skipping {
            self.scan(bytes);
            return;
        }
        if bytes.is_empty() {
            return;
        }
        if self.partial.len() + bytes.len() > self.max {
            let more = HEAD.saturating_sub(self.partial.len()).min(bytes.len());
            self.skip();
            self.scan(bytes);
            self.partial.extend_from_slice(&bytes[..more]);
        } else {
            self.partial.extend_from_slice(bytes);
        }
        self.recount();
    }

    /// Keeps but the beginning of the line, whatever follows.
    fn skip(&mut self) {
        if let Some(scanner) = &mut self.scanner {
            scanner.look(&self.partial, self.looked_at);
        }
        self.partial.truncate(HEAD);
        self.partial.shrink_to_fit();
        self.is_skipping = true;
    }

    fn scan(&mut self, bytes: &[u8]) {
        if let Some(scanner) = &mut self.scanner {
            scanner.feed(bytes);
        }
    }

    fn take_found(&mut self) -> Vec<NamedRecord> {
        let scanner = self.scanner.as_mut().map(std::mem::take);
        scanner.map(Scanner::into_found).unwrap_or_default()
    }

    fn recount(&mut self) {
        let holds = self.partial.capacity();
        let is_counted = self.partial.len() > COUNTED_FROM && !self.is_text;
        let holds = if is_counted { holds } else { 0 };
        if holds != self.counted {
            self.budget.add(holds);
            self.budget.free(self.counted);
            self.counted = holds;
        }
    }

    /// What came after the last whole line.
    pub fn take_tail(&mut self) -> Tail {
        self.scanner = self.scanner.take().map(|_| Scanner::default());
        self.looked_at = 0;
        self.is_text = false;
        let tail = Tail {
            bytes: std::mem::take(&mut self.partial),
            is_too_long: std::mem::take(&mut self.is_skipping),
            is_rest: std::mem::take(&mut self.gone) > 0,
        };
        self.recount();
        tail
    }
}

impl Drop for StdoutLines {
    fn drop(&mut self) {
        self.budget.free(self.counted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(reads: &[&str], max: usize) -> Vec<String> {
        let budget = Budget::new(1 << 20);
        let mut lines = StdoutLines::new(Separator::Newline, max, &budget);
        let mut parts = Vec::new();
        let mut buffer = Vec::with_capacity(1024);
        for read in reads {
            buffer.clear();
            lines.lead(&mut buffer);
            buffer.extend_from_slice(read.as_bytes());
            lines.cut(&mut buffer, |part| {
                parts.push(match part {
                    Part::Lines(lines) => String::from_utf8_lossy(&lines).into_owned(),
                    Part::Rest(rest) => format!("rest: {}", rest.escape_ascii()),
                    Part::TooLong(head, _) => format!("too long: {}", head.escape_ascii()),
                });
            });
        }
        parts
    }

    #[test]
    fn a_partial_line_is_held_back() {
        assert_eq!(cut(&["a\nb\nc"], 99), ["a\nb\n"]);
        assert_eq!(cut(&["a\nb", "b\n", "\n"], 99), ["a\n", "bb\n", "\n"]);
    }

    #[test]
    fn a_long_line_is_skipped_and_the_next_one_is_not() {
        assert_eq!(cut(&["1234567\nok\n"], 4), ["too long: 1234567", "ok\n"]);
        assert_eq!(
            cut(&["1234", "567", "8\nok\n"], 4),
            ["too long: 1234567", "ok\n"]
        );
        assert_eq!(
            cut(&["ab\n12345\nc\n"], 4),
            ["ab\n", "too long: 12345", "c\n"]
        );
        assert_eq!(cut(&["1234\n"], 4), ["1234\n"]);
    }

    #[test]
    fn of_a_long_line_the_beginning_is_kept() {
        let long = "x".repeat(700);
        let head = format!("too long: {}", "x".repeat(HEAD));
        assert_eq!(cut(&[&long, &long, "\n"], 800), [head.as_str()]);
        assert_eq!(cut(&[&format!("{long}\n")], 600), [head.as_str()]);
    }

    #[test]
    fn the_tail_tells_whether_it_is_all() {
        let budget = Budget::new(1 << 20);
        let mut lines = StdoutLines::new(Separator::Newline, 4, &budget);
        lines.cut(&mut b"ok\nrest".to_vec(), |_| ());
        let tail = Tail {
            bytes: b"rest".to_vec(),
            ..Tail::default()
        };
        assert_eq!(lines.take_tail(), tail);
        lines.cut(&mut b"more than 4".to_vec(), |_| panic!("no line yet"));
        assert!(lines.take_tail().is_too_long);
        assert_eq!(lines.take_tail(), Tail::default());
    }

    /// Reads these pieces as what a process writes that owes answers to the records named, and lets
    /// go in pieces of 10,000 bytes. Gives what was let go, and the parts, each with its beginning.
    fn cut_objects(pieces: &[&str], owed: Option<u64>) -> (usize, Vec<String>) {
        let budget = Budget::new(1 << 20);
        let mut lines = StdoutLines::of_objects(Separator::Newline, 1 << 20, &budget);
        let (mut gone, mut parts) = (0, Vec::new());
        for piece in pieces {
            let mut buffer = Vec::with_capacity(1 << 16);
            lines.lead(&mut buffer);
            buffer.extend_from_slice(piece.as_bytes());
            lines.cut(&mut buffer, |part| {
                parts.push(match part {
                    Part::Lines(lines) => String::from_utf8_lossy(&lines).into_owned(),
                    Part::Rest(rest) => format!("rest {}", String::from_utf8_lossy(rest)),
                    Part::TooLong(..) => "too long".into(),
                });
            });
            let awaited = match owed {
                Some(_) => Awaited::Something,
                None => Awaited::Nothing,
            };
            let is_owed = |index: Index| Some(index.0) == owed;
            lines.let_go(awaited, 10_000, is_owed, |text| gone += text.len());
        }
        drop(lines);
        assert_eq!(budget.held(), 0);
        (gone, parts)
    }

    #[test]
    fn text_is_let_go_up_to_an_answer_however_it_is_read() {
        let text = "x".repeat(50_000);
        let answer = r#"{"id":7,"output":"y"}"#;
        for begun in 0..answer.len() {
            let (a, b) = answer.split_at(begun);
            let (gone, parts) = cut_objects(&[&text, a, b, " \r\n", answer, "\n"], Some(7));
            assert_eq!(gone, 50_000);
            assert_eq!(
                parts,
                [format!("rest {answer} \r\n"), format!("{answer}\n")]
            );
            // Where that record is not owed, or the line goes on, it is a part of the text.
            for (more, owed) in [("", 7), ("", 8), (" ", 8)] {
                let line = [&text, a, b, more, &text, "\n", answer, "\n"];
                let (gone, parts) = cut_objects(&line, Some(owed));
                assert_eq!(gone, 100_000);
                let rest = "x".repeat(answer.len() + more.len());
                assert_eq!(parts, [format!("rest {rest}\n"), format!("{answer}\n")]);
            }
        }
    }

    #[test]
    fn what_looked_like_an_object_and_is_none_is_looked_at_again() {
        let text = "x".repeat(50_000) + "{\"a {";
        let answer = r#""id":7,"output":1}"#;
        let (gone, parts) = cut_objects(&[&text, answer, "\n"], Some(7));
        assert_eq!(gone, 50_000);
        assert_eq!(parts, [format!("rest {{\"a {{{answer}\n")]);
    }

    #[test]
    fn an_object_is_let_go_only_where_nothing_is_owed() {
        let begin = format!("{{\"a\":\"{}", "x".repeat(49_994));
        let line = [&*begin, "\"}\n"];
        assert_eq!(cut_objects(&line, Some(7)), (0, vec![line.concat()]));
        assert_eq!(
            cut_objects(&line, None),
            (50_000, vec!["rest \"}\n".into()])
        );
    }

    #[test]
    fn nothing_is_counted_of_a_process_that_has_answered_all() {
        let budget = Budget::new(1 << 20);
        let mut lines = StdoutLines::new(Separator::Newline, 1 << 20, &budget);
        let mut buffer = Vec::with_capacity(1 << 16);
        let long = [b'x'; 6000];
        for read in [&long[..], b"\n", &long[..4000], &long[4000..], b"\n"] {
            buffer.clear();
            lines.lead(&mut buffer);
            buffer.extend_from_slice(read);
            lines.cut(&mut buffer, |_| ());
        }
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn a_long_partial_line_is_counted_until_it_is_over() {
        let budget = Budget::new(1 << 20);
        let mut lines = StdoutLines::new(Separator::Newline, 1 << 20, &budget);
        lines.cut(&mut vec![b'x'; 100_000], |_| panic!("no line yet"));
        assert!(budget.held() >= 100_000);
        let mut len = 0;
        lines.cut(&mut b"y\n".to_vec(), |part| match part {
            Part::Lines(line) => len = line.len(),
            other => panic!("{other:?}"),
        });
        assert_eq!((len, budget.held()), (100_002, 0));
    }
}

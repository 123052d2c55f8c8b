//! Which objects on a line name a record, wherever they stand and whatever else the line holds.
//!
//! Looks at a line piece by piece, and holds no more of it than a short key, so that it can also
//! read a line that is too long to be held. It is lenient with values, for those are read once more
//! where they count, and strict with keys: text with braces in it is no object.

use memchr::{memchr, memchr2};

use super::number;
use crate::record::Index;

/// An object with an `id` of its own that may be that of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The id.
    pub index: Index,
    /// Where it begins on the line.
    pub start: usize,
    /// Where it ends. What is broken goes on to the end of the line.
    pub end: usize,
    /// It has an `output` or an `error`.
    pub is_reply: bool,
    /// Nothing but white space stands before it.
    pub is_first: bool,
}

/// The objects of a line that say something of a record or stand at its beginning, in turn, as many
/// as are looked for at a time.
pub fn named(line: &[u8]) -> Vec<Named> {
    let mut scanner = Scanner {
        again: line.len() * 2 + AGAIN,
        ..Scanner::default()
    };
    scanner.feed(line);
    while let Some(next) = scanner.end() {
        scanner.feed(&line[next..]);
    }
    if let (Place::Over, Some(last)) = (scanner.place, scanner.found.last_mut()) {
        last.end = line.len();
    }
    scanner.found
}

/// How many objects are looked for at a time.
const MOST: usize = 100;
/// Keys and ids are not longer, escapes included.
const LONGEST: usize = 40;
/// How many bytes are looked at again, as the brace before them began no object.
const AGAIN: usize = 64 * 1024;

/// Looks at one line, piece by piece.
#[derive(Debug)]
pub struct Scanner {
    place: Place,
    /// How much has been looked at.
    seen: usize,
    /// How many objects and arrays are open.
    depth: usize,
    is_escaped: bool,
    /// Only white space has been seen.
    is_blank: bool,
    /// How many bytes may be looked at again.
    again: usize,
    /// The outermost object that is open.
    start: usize,
    is_first: bool,
    index: Option<Index>,
    is_reply: bool,
    /// The key in it, and its value where that is a word.
    key: Vec<u8>,
    word: Vec<u8>,
    found: Vec<Named>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Text,
    /// What may stand next in the outermost object.
    FirstKey,
    NextKey,
    Colon,
    Value,
    Comma,
    /// What it is in the middle of.
    Key,
    Word,
    String,
    /// An object or array in it.
    Nested,
    NestedString,
    /// What is broken.
    Over,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            place: Place::Text,
            seen: 0,
            depth: 0,
            is_escaped: false,
            is_blank: true,
            again: AGAIN,
            start: 0,
            is_first: false,
            index: None,
            is_reply: false,
            key: Vec::new(),
            word: Vec::new(),
            found: Vec::new(),
        }
    }
}

impl Scanner {
    /// Nothing of a line is of interest up to `seen`.
    pub fn behind(seen: usize) -> Self {
        Self {
            seen,
            is_blank: false,
            ..Self::default()
        }
    }

    /// More of the line.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.look(bytes, 0);
    }

    /// More of the line, of which the first `looked_at` bytes have been looked at before. They are
    /// looked at again where the brace before them began no object.
    pub fn look(&mut self, bytes: &[u8], looked_at: usize) {
        let base = self.seen - looked_at;
        let mut next = looked_at;
        while let Some(skipped) = self.skip(&bytes[next..]) {
            next += skipped;
            let Some(&byte) = bytes.get(next) else { break };
            self.seen = base + next;
            if self.take(byte) {
                next += 1;
            } else if let Some(start) = self.give_up() {
                // Part of it may stand in an earlier piece, which is gone.
                next = (start + 1).max(base) - base;
            }
        }
        self.seen = base + bytes.len();
    }

    /// Where the first object begins that is open, or that names a record which `is_awaited`. What
    /// stands before it is of no interest any more.
    pub fn first(&mut self, is_awaited: impl Fn(Index) -> bool) -> Option<usize> {
        (self.found).retain(|named| named.is_reply && is_awaited(named.index));
        let open = (!matches!(self.place, Place::Text | Place::Over)).then_some(self.start);
        self.found.first().map(|named| named.start).or(open)
    }

    /// The line is over. Gives from where on it is to be looked at again, if it is.
    fn end(&mut self) -> Option<usize> {
        if matches!(self.place, Place::Text | Place::Over) {
            return None;
        }
        let next = self.give_up()? + 1;
        self.seen = next;
        Some(next)
    }

    /// The line is over: what it held.
    pub fn into_found(mut self) -> Vec<Named> {
        self.end();
        self.found
    }

    /// How many bytes are of no interest; `None` where nothing is looked for any more.
    fn skip(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.place {
            Place::Over => None,
            Place::Text if self.found.len() >= MOST => None,
            Place::Text => {
                let len = memchr(b'{', bytes).unwrap_or(bytes.len());
                self.is_blank = self.is_blank && bytes[..len].trim_ascii().is_empty();
                Some(len)
            }
            Place::String | Place::NestedString if !self.is_escaped => {
                Some(memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len()))
            }
            _ => Some(0),
        }
    }

    /// Takes the next byte; not where it cannot stand there.
    fn take(&mut self, byte: u8) -> bool {
        let is_space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let is_word = byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        self.place = match (self.place, byte) {
            (Place::Text, _) => {
                self.open();
                Place::FirstKey
            }
            (Place::Key | Place::String | Place::NestedString, _) => return self.take_quoted(byte),
            (Place::Word, _) if is_word => {
                keep(&mut self.word, byte);
                Place::Word
            }
            (Place::Word, _) if is_space => Place::Comma,
            (Place::Nested, b'"') => Place::NestedString,
            (Place::Nested, b'{' | b'[') => {
                self.depth += 1;
                Place::Nested
            }
            (Place::Nested, b'}' | b']') => {
                self.depth -= 1;
                match self.depth {
                    1 => Place::Comma,
                    _ => Place::Nested,
                }
            }
            (Place::Nested, b',' | b':') => Place::Nested,
            (Place::Nested, _) if is_word || is_space => Place::Nested,
            (place, _) if is_space => place,
            (Place::FirstKey | Place::NextKey, b'"') => {
                self.key.clear();
                self.word.clear();
                Place::Key
            }
            (Place::Colon, b':') => {
                self.is_reply |= matches!(&*self.key, b"output" | b"error");
                Place::Value
            }
            (Place::Value, b'"') => Place::String,
            (Place::Value, b'{' | b'[') => {
                self.depth += 1;
                Place::Nested
            }
            (Place::Value, _) if is_word => {
                keep(&mut self.word, byte);
                Place::Word
            }
            (Place::Comma | Place::Word, b',') => {
                self.note_id();
                Place::NextKey
            }
            (Place::Comma | Place::Word, b'}') => {
                self.note_id();
                self.seen += 1;
                self.close();
                Place::Text
            }
            (Place::FirstKey, b'}') => Place::Text,
            _ => return false,
        };
        true
    }

    /// The next byte of a key or a string.
    fn take_quoted(&mut self, byte: u8) -> bool {
        let is_over = byte == b'"' && !self.is_escaped;
        self.is_escaped = byte == b'\\' && !self.is_escaped;
        match self.place {
            Place::Key if is_over => {
                self.spell_key();
                self.place = Place::Colon;
            }
            // A key that goes on for long or has a line's end in it is text between quotes.
            Place::Key if byte < b' ' => return false,
            Place::Key => keep(&mut self.key, byte),
            Place::String if is_over => self.place = Place::Comma,
            Place::NestedString if is_over => self.place = Place::Nested,
            _ => {}
        }
        true
    }

    fn open(&mut self) {
        self.start = self.seen;
        self.is_first = std::mem::take(&mut self.is_blank);
        self.depth = 1;
        self.index = None;
        self.is_reply = false;
    }

    /// The key as it is meant: a letter may be written as an escape.
    fn spell_key(&mut self) {
        if memchr(b'\\', &self.key).is_some() {
            let quoted = [b"\"", &*self.key, b"\""].concat();
            if let Ok(key) = serde_json::from_slice::<String>(&quoted) {
                self.key = key.into_bytes();
            }
        }
    }

    /// The value of a key is over; what it was may be the id.
    fn note_id(&mut self) {
        if self.index.is_none() && self.key == b"id" {
            self.index = str::from_utf8(&self.word).ok().and_then(number);
        }
    }

    fn close(&mut self) {
        if let Some(index) = self.index
            && (self.is_reply || self.is_first)
        {
            self.found.push(Named {
                index,
                start: self.start,
                end: self.seen,
                is_reply: self.is_reply,
                is_first: self.is_first,
            });
        }
    }

    /// What was open is no object after all. If it says something of a record, that is broken, and
    /// what follows is a part of it: nobody can tell where it ends. Otherwise gives where it began,
    /// for others may stand in it.
    fn give_up(&mut self) -> Option<usize> {
        self.is_escaped = false;
        if self.index.is_some() && (self.is_reply || self.is_first) {
            self.close();
            self.place = Place::Over;
            return None;
        }
        self.place = Place::Text;
        let len = self.seen - self.start;
        self.again = self.again.checked_sub(len)?;
        Some(self.start)
    }
}

/// Keeps a byte of what is looked at if it is short, and enough of what is longer to tell it.
fn keep(kept: &mut Vec<u8>, byte: u8) {
    if kept.len() <= LONGEST {
        kept.push(byte);
    }
}

#[cfg(test)]
mod tests {
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
            let ids = |found: &[Named]| found.iter().map(|named| named.index).collect::<Vec<_>>();
            assert_eq!(ids(&scanner.into_found()), ids(&whole), "{line} by {piece}");
        }
        let show = |named: &Named| {
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
    fn what_is_looked_at_again_has_a_limit() {
        // The time would be the square of the length.
        let line = "{\"a\":[".repeat(200_000);
        assert_eq!(found(&line[..2000]), [""; 0]);
        assert_eq!(named(line.as_bytes()), []);
    }
}

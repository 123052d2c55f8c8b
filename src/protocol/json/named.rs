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
pub struct NamedRecord {
    /// The id.
    pub index: Index,
    /// Where it begins on the line.
    pub start: usize,
    /// Where it ends. What is broken goes on to the end of the line.
    pub end: usize,
    /// It has an `output`, `outputs` or an `error`.
    pub is_reply: bool,
    /// Nothing but white space stands before it.
    pub is_first: bool,
    /// It is broken, or something else follows than white space, or a comma and the next of these.
    pub is_followed: bool,
}

impl NamedRecord {
    /// Which of the objects on a line answer records that are owed: the last ones, up to its end.
    /// What something else follows is quoted there.
    pub fn answers(found: &[Self], owes: impl Fn(Index) -> bool) -> &[Self] {
        let is_answer = |named: &Self| named.is_reply && !named.is_followed && owes(named.index);
        let last = found.iter().rposition(|named| !is_answer(named));
        &found[last.map_or(0, |last| last + 1)..]
    }
}

/// The objects of a line that say something of a record or stand at its beginning, in turn, as many
/// as are looked for at a time.
pub fn named(line: &[u8]) -> Vec<NamedRecord> {
    let mut scanner = Scanner {
        again: line.len() * 2 + AGAIN,
        ..Scanner::default()
    };
    scanner.feed(line);
    while let Some(next) = scanner.end() {
        scanner.feed(&line[next..]);
    }
    if let (MemberPlace::Over, Some(last)) = (scanner.place, scanner.found.last_mut()) {
        last.end = line.len();
    }
    scanner.into_found()
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
    place: MemberPlace,
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
    /// A comma has been seen behind the last one that was found.
    is_comma: bool,
    /// The key in it, and its value where that is a word.
    key: Vec<u8>,
    word: Vec<u8>,
    found: Vec<NamedRecord>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberPlace {
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
            place: MemberPlace::Text,
            seen: 0,
            depth: 0,
            is_escaped: false,
            is_blank: true,
            again: AGAIN,
            start: 0,
            is_first: false,
            index: None,
            is_reply: false,
            is_comma: false,
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
        let answers = NamedRecord::answers(&self.found, is_awaited).len();
        self.found.drain(..self.found.len() - answers);
        let open =
            (!matches!(self.place, MemberPlace::Text | MemberPlace::Over)).then_some(self.start);
        self.found.first().map(|named| named.start).or(open)
    }

    /// The line is over. Gives from where on it is to be looked at again, if it is.
    fn end(&mut self) -> Option<usize> {
        if matches!(self.place, MemberPlace::Text | MemberPlace::Over) {
            return None;
        }
        let next = self.give_up()? + 1;
        self.seen = next;
        Some(next)
    }

    /// The line is over: what it held.
    pub fn into_found(mut self) -> Vec<NamedRecord> {
        self.end();
        if self.is_comma {
            self.follow();
        }
        self.found
    }

    /// How many bytes are of no interest; `None` where nothing is looked for any more.
    fn skip(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.place {
            MemberPlace::Over => None,
            MemberPlace::Text => {
                let is_enough = self.found.len() >= MOST;
                let next = memchr(b'{', bytes).filter(|_| !is_enough);
                let len = next.unwrap_or(bytes.len());
                match bytes[..len].trim_ascii() {
                    b"" => {}
                    b"," if !self.is_comma => self.is_comma = true,
                    _ => self.follow(),
                }
                self.is_blank = self.is_blank && bytes[..len].trim_ascii().is_empty();
                Some(len)
            }
            MemberPlace::String | MemberPlace::NestedString if !self.is_escaped => {
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
            (MemberPlace::Text, _) => {
                self.open();
                MemberPlace::FirstKey
            }
            (MemberPlace::Key | MemberPlace::String | MemberPlace::NestedString, _) => {
                return self.take_quoted(byte);
            }
            (MemberPlace::Word, _) if is_word => {
                keep(&mut self.word, byte);
                MemberPlace::Word
            }
            (MemberPlace::Word, _) if is_space => MemberPlace::Comma,
            (MemberPlace::Nested, b'"') => MemberPlace::NestedString,
            (MemberPlace::Nested, b'{' | b'[') => {
                self.depth += 1;
                MemberPlace::Nested
            }
            (MemberPlace::Nested, b'}' | b']') => {
                self.depth -= 1;
                match self.depth {
                    1 => MemberPlace::Comma,
                    _ => MemberPlace::Nested,
                }
            }
            (MemberPlace::Nested, b',' | b':') => MemberPlace::Nested,
            (MemberPlace::Nested, _) if is_word || is_space => MemberPlace::Nested,
            (place, _) if is_space => place,
            (MemberPlace::FirstKey | MemberPlace::NextKey, b'"') => {
                self.key.clear();
                self.word.clear();
                MemberPlace::Key
            }
            (MemberPlace::Colon, b':') => {
                self.is_reply |= matches!(
                    &*self.key,
                    b"output" | b"outputs" | b"error" | b"retry_after"
                );
                MemberPlace::Value
            }
            (MemberPlace::Value, b'"') => MemberPlace::String,
            (MemberPlace::Value, b'{' | b'[') => {
                self.depth += 1;
                MemberPlace::Nested
            }
            (MemberPlace::Value, _) if is_word => {
                keep(&mut self.word, byte);
                MemberPlace::Word
            }
            (MemberPlace::Comma | MemberPlace::Word, b',') => {
                self.note_id();
                MemberPlace::NextKey
            }
            (MemberPlace::Comma | MemberPlace::Word, b'}') => {
                self.note_id();
                self.seen += 1;
                self.close();
                MemberPlace::Text
            }
            (MemberPlace::FirstKey, b'}') => {
                self.follow();
                MemberPlace::Text
            }
            _ => return false,
        };
        true
    }

    /// The next byte of a key or a string.
    fn take_quoted(&mut self, byte: u8) -> bool {
        let is_over = byte == b'"' && !self.is_escaped;
        self.is_escaped = byte == b'\\' && !self.is_escaped;
        match self.place {
            MemberPlace::Key if is_over => {
                self.spell_key();
                self.place = MemberPlace::Colon;
            }
            // A key that goes on for long or has a line's end in it is text between quotes.
            MemberPlace::Key if byte < b' ' => return false,
            MemberPlace::Key => keep(&mut self.key, byte),
            MemberPlace::String if is_over => self.place = MemberPlace::Comma,
            MemberPlace::NestedString if is_over => self.place = MemberPlace::Nested,
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
            self.found.push(NamedRecord {
                index,
                start: self.start,
                end: self.seen,
                is_reply: self.is_reply,
                is_first: self.is_first,
                is_followed: false,
            });
            self.is_comma = false;
        } else {
            self.follow();
        }
    }

    /// Something else follows the last object that was found.
    fn follow(&mut self) {
        self.is_comma = false;
        if let Some(last) = self.found.last_mut() {
            last.is_followed = true;
        }
    }

    /// What was open is no object after all. If it says something of a record, that is broken, and
    /// what follows is a part of it: nobody can tell where it ends. Otherwise gives where it began,
    /// for others may stand in it.
    fn give_up(&mut self) -> Option<usize> {
        self.is_escaped = false;
        if self.index.is_some() && (self.is_reply || self.is_first) {
            self.close();
            self.follow();
            self.place = MemberPlace::Over;
            return None;
        }
        self.follow();
        self.place = MemberPlace::Text;
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
mod tests;

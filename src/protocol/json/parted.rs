//! Answers that a process gave on a line with something else, so that it may repeat them: a program
//! whose log shows what it answers prints each answer once more, on a line of its own.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::protocol::message::{Answer, Reply};
use crate::record::Index;

/// How many of them are known: enough for a process that shows all its answers first and gives them
/// then.
const MOST: usize = 1000;

/// The last ones that it has not repeated, each with what it was.
#[derive(Debug, Default)]
pub(super) struct Parted(VecDeque<(Index, u64)>);

impl Parted {
    /// A process is about to give this answer on a line with something else.
    pub(super) fn note(&mut self, answer: &Answer<'_>) {
        let parted = &mut self.0;
        if parted.len() == MOST {
            parted.pop_front();
        }
        parted.push_back((answer.index, gist(&answer.reply)));
    }

    /// Whether a process has given any answer on a line with something else and not repeated it.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it has given this one so and not repeated it yet: then this is the repetition. The
    /// record may be owed once more by then, as one is that is tried again.
    pub(super) fn takes_for_repeated(&mut self, answer: &Answer<'_>) -> bool {
        let known = &mut self.0;
        if known.iter().all(|(index, _)| *index != answer.index) {
            return false;
        }
        let given = (answer.index, gist(&answer.reply));
        // Of one that is too large nothing else is known.
        let is_it = |known: &(Index, u64)| match answer.reply {
            Reply::TooLarge => known.0 == given.0,
            _ => *known == given,
        };
        let place = known.iter().position(is_it);
        place.and_then(|place| known.remove(place)).is_some()
    }
}

/// The same for answers that differ in the white space between their values alone.
fn gist(reply: &Reply<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    std::mem::discriminant(reply).hash(&mut hasher);
    let text = match reply {
        Reply::Output(output) => output,
        Reply::Outputs(parts) => &*parts.lines,
        Reply::Error { json, .. } => json,
        Reply::Later(_) | Reply::Bad(_) | Reply::TooLarge => "",
    };
    let (mut is_quoted, mut is_escaped) = (false, false);
    for byte in text.bytes() {
        if is_quoted || !byte.is_ascii_whitespace() {
            hasher.write_u8(byte);
        }
        is_quoted ^= byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
    }
    hasher.finish()
}

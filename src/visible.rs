//! The one door for text of others on its way to people: names of files, words of commands and
//! journals, what workers say of themselves.
//!
//! Whoever looks at a terminal is to see what is there. What would move a cursor, colour or hide
//! what follows, turn the direction of writing, or not be seen at all is shown as an escape: `\n`,
//! `\u{1b}`, `\u{202e}`, and `\xNN` for a byte that is no part of UTF-8. All other text stays as it
//! is, letters of all scripts and emoji included, and what joins these. `engine/messages` and
//! `main`, through which everything on stderr goes but workers' own stderr, let nothing through
//! that has not passed here. Pure; owns no state.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Lines that workers write for people are cut at this length.
pub const LONGEST_LINE: usize = 64 * 1024;

/// Text on one line.
pub fn line(text: &str) -> String {
    escaped(text, |_| false)
}

/// Text of several lines, which stay apart.
pub fn lines(text: &str) -> String {
    escaped(text, |c| c == '\n')
}

/// The beginning of a text, of at most so many characters, on one line.
pub fn excerpt(text: &str, most: usize) -> String {
    let end = text.char_indices().nth(most);
    match end {
        Some((end, _)) => line(&text[..end]) + "…",
        None => line(text),
    }
}

/// The same of bytes, of which at most so many are shown.
pub fn excerpt_of_bytes(bytes: &[u8], most: usize) -> String {
    if bytes.len() <= most {
        return line_of_bytes(bytes);
    }
    // Not in the middle of a character.
    let is_begun = |end: &usize| bytes[*end] & 0xc0 != 0x80;
    let end = (most.saturating_sub(3)..=most).rev().find(is_begun);
    line_of_bytes(&bytes[..end.unwrap_or(most)]) + "…"
}

/// A name of a file, or a word of a command line.
pub fn name(name: impl AsRef<OsStr>) -> String {
    line_of_bytes(name.as_ref().as_bytes())
}

/// Whether a word of a command line is shown as it is.
pub fn is_plain(word: &OsStr) -> bool {
    word.to_str().is_some_and(|word| line(word) == word)
}

fn line_of_bytes(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        shown.push_str(&line(chunk.valid()));
        shown.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    shown
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in letters(text) {
        match letter {
            Letter::Seen(letter) => shown.push(letter),
            Letter::Hidden(letter) if stays(letter) => shown.push(letter),
            Letter::Hidden(letter) => shown.extend(letter.escape_default()),
        }
    }
    shown
}

/// A character, and whether people see it where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letter {
    /// They do, or what it does to its neighbours.
    Seen(char),
    /// They do not.
    Hidden(char),
}

/// The characters of a text.
pub fn letters(text: &str) -> impl Iterator<Item = Letter> {
    let mut letters = text.chars().peekable();
    let mut before = None;
    std::iter::from_fn(move || {
        let letter = letters.next()?;
        let is_hidden = is_hidden(letter, before, letters.peek().copied());
        before = (!is_hidden).then_some(letter);
        Some(if is_hidden {
            Letter::Hidden(letter)
        } else {
            Letter::Seen(letter)
        })
    })
}

/// Whether a character is not to be seen between these two.
fn is_hidden(letter: char, before: Option<char>, after: Option<char>) -> bool {
    // Letters of scripts that need it and emoji, not ASCII.
    let is_seen = |c: Option<char>| c.is_some_and(|c| !c.is_ascii() && !is_invisible(c));
    match letter {
        ZERO_WIDTH_NON_JOINER | ZERO_WIDTH_JOINER => {
            let varies = before.is_some_and(is_variation);
            !(varies || is_seen(before)) || !is_seen(after)
        }
        // A keycap is made of a digit, this and the frame.
        EMOJI if after == Some(KEYCAP) => false,
        c if is_variation(c) => !is_seen(before),
        c => is_invisible(c),
    }
}

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';
const EMOJI: char = '\u{fe0f}';
const KEYCAP: char = '\u{20e3}';

/// Says which form of the character before it is meant.
fn is_variation(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Whether a character shows nothing of its own but blank: control characters, ends of lines, those
/// of Unicode's category Cf that have no form, and what it has as ignored by default.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || is_variation(c)
        || matches!(c,
            '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e00ff}'
            | '\u{e01f0}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_stays_as_it_is() {
        for text in [
            "",
            "naïve größe e\u{301} \\ \"x\" '$' \u{a0}…",
            "日本語　ひらがな 한국어 العربية עברית",
            // Joiners that Persian, Hindi and emoji are written with.
            "می\u{200c}خواهم क\u{94d}\u{200d}ष",
            "👍🏽 👩\u{200d}👩\u{200d}👧 ❤\u{fe0f}\u{200d}🔥 1\u{fe0f}\u{20e3} ☂\u{fe0e} 葛\u{e0100}",
        ] {
            assert_eq!(line(text), text);
            assert_eq!(lines(text), text);
            assert!(is_plain(text.as_ref()));
        }
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(
            line("a\tb\x1b[31mc\r\nd\u{9b}e\u{7f}\0"),
            "a\\tb\\u{1b}[31mc\\r\\nd\\u{9b}e\\u{7f}\\u{0}"
        );
        assert_eq!(lines("a\n\x1b\r\nb\n"), "a\n\\u{1b}\\r\nb\n");
        for hidden in [
            '\u{ad}',
            '\u{61c}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{fe0f}',
            '\u{fff9}',
            '\u{3164}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e01ef}',
            '\u{1d173}',
            '\u{85}',
        ] {
            let text = format!("a{hidden}b");
            assert_eq!(line(&text), format!("a{}b", hidden.escape_unicode()));
            assert!(!is_plain(text.as_ref()));
        }
        // Joiners and variations of nothing, and more than one.
        for (text, shown) in [
            ("é\u{200d}b", "é\\u{200d}b"),
            ("é\u{200d}", "é\\u{200d}"),
            (
                "👍\u{fe0f}\u{fe0f}\u{e0120}",
                "👍\u{fe0f}\\u{fe0f}\\u{e0120}",
            ),
            ("👍\u{200d}\u{200d}👍", "👍\\u{200d}\\u{200d}👍"),
            ("\u{fe0f}\u{200d}\u{202e}", "\\u{fe0f}\\u{200d}\\u{202e}"),
        ] {
            assert_eq!(line(text), shown);
        }
    }

    #[test]
    fn what_has_passed_passes_again_as_it_is() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2000 {
            let text: String = (0..8)
                .map(|_| match random.u8(..4) {
                    0 => random.char(..'\u{a0}'),
                    1 => random.char('\u{2000}'..'\u{2070}'),
                    2 => random.char('\u{fe00}'..'\u{fe10}'),
                    _ => random.char(..),
                })
                .collect();
            let shown = line(&text);
            assert_eq!(line(&shown), shown, "{text:?}");
            assert!(!shown.contains(char::is_control));
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_shown() {
        let word = OsStr::from_bytes(b"gr\xc3\xb6\xc3\x9fe\xff\n\xe2\x80");
        assert_eq!(name(word), "größe\\xff\\n\\xe2\\x80");
        assert!(!is_plain(word));
    }

    #[test]
    fn the_beginning_ends_with_a_whole_character() {
        assert_eq!(excerpt("a\nb\u{1b}[2Jé", 300), "a\\nb\\u{1b}[2Jé");
        assert_eq!(excerpt(&"x".repeat(300), 300), "x".repeat(300));
        assert_eq!(
            excerpt(&"é".repeat(301), 300),
            format!("{}…", "é".repeat(300))
        );
        assert_eq!(excerpt_of_bytes("日本語".as_bytes(), 9), "日本語");
        for most in 3..6 {
            assert_eq!(excerpt_of_bytes("日本語".as_bytes(), most), "日…");
        }
        assert_eq!(excerpt_of_bytes(&[0xbf; 4], 3), "\\xbf\\xbf\\xbf…");
    }
}

//! The members of JSON objects as they stand in their text.
//!
//! Always: nothing is parsed into values and written anew, so that all bytes but those that are put
//! in stay as they were: big numbers, escapes, white space, keys that stand there twice.

use std::fmt;
use std::ops::Range;

use memchr::{memchr, memchr2, memchr3};
use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// A key that the user has named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(&'static str);

/// What is known of an object under one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPlace {
    /// Where the key, with its quotes, and its value stand. Of several the last one, as parsers have
    /// it.
    pub member: Option<(Range<usize>, Range<usize>)>,
    /// Where its last value ends, or its opening brace, where it has none.
    pub end: usize,
    /// Whether it has any member.
    pub has_members: bool,
}

impl Key {
    /// It is kept for as long as mtask runs: it is made of the command line, once.
    pub fn new(name: &str) -> Self {
        Self(Box::leak(name.into()))
    }

    /// The key itself.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// Looks for it in what is to be one JSON object.
    ///
    /// # Errors
    /// Where that is no object, or no JSON.
    pub fn find(self, object: &[u8]) -> Result<KeyPlace, serde_json::Error> {
        let mut text = serde_json::Deserializer::from_slice(object);
        let place = text.deserialize_map(KeyFinder { key: self, object })?;
        text.end()?;
        Ok(place)
    }

    /// Looks for it in an object that is known to be valid JSON: values are passed over, not parsed.
    ///
    /// # Panics
    /// Maybe, where it is none.
    pub fn find_in_valid(self, object: &[u8]) -> KeyPlace {
        let mut at = memchr(b'{', object).expect("an object") + 1;
        let mut place = KeyPlace {
            end: at,
            ..KeyPlace::default()
        };
        loop {
            let name = skip_space(object, at);
            match object[name] {
                b'"' => {}
                b',' => {
                    at = name + 1;
                    continue;
                }
                _ => return place,
            }
            let name = name..string_end(object, name);
            let colon = skip_space(object, name.end);
            let start = skip_space(object, colon + 1);
            at = value_end(object, start);
            place.end = at;
            place.has_members = true;
            if str::from_utf8(&object[name.clone()]).is_ok_and(|quoted| self.is(quoted)) {
                place.member = Some((name, start..at));
            }
        }
    }

    /// What stands under it in a valid object that is known to have it.
    ///
    /// # Panics
    /// Where it has not.
    pub fn value_in(self, object: &[u8]) -> &[u8] {
        let place = self.find_in_valid(object);
        let (_, value) = place.member.expect("it was found when it was read");
        &object[value]
    }

    /// Whether a key as it stands in an object, with its quotes, is this one.
    fn is(self, quoted: &str) -> bool {
        let inside = &quoted[1..quoted.len() - 1];
        match memchr(b'\\', inside.as_bytes()) {
            None => inside == self.0,
            // A lone surrogate is no text, and so no key that could be named.
            Some(_) => serde_json::from_str::<String>(quoted).is_ok_and(|key| key == self.0),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The first byte from `at` on that is no white space of JSON.
fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text[at], b' ' | b'\t' | b'\r' | b'\n') {
        at += 1;
    }
    at
}

/// Where the string ends whose quote stands at `start`.
fn string_end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        at += memchr2(b'"', b'\\', &text[at..]).expect("strings end");
        if text[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
}

/// Where the valid value ends that stands at `start`.
fn value_end(text: &[u8], start: usize) -> usize {
    match text[start] {
        b'"' => string_end(text, start),
        b'{' => nested_end(text, start, b'}'),
        b'[' => nested_end(text, start, b']'),
        _ => {
            let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
            start + text[start..].iter().position(is_end).expect("the object ends")
        }
    }
}

/// Where the object or array ends that begins at `start`. Brackets of the other kind close within
/// it, and need not be counted.
fn nested_end(text: &[u8], start: usize, close: u8) -> usize {
    let open = text[start];
    let mut depth = 1;
    let mut at = start + 1;
    while depth > 0 {
        at += memchr3(b'"', open, close, &text[at..]).expect("what is open is closed");
        if text[at] == b'"' {
            at = string_end(text, at);
            continue;
        }
        depth = if text[at] == open {
            depth + 1
        } else {
            depth - 1
        };
        at += 1;
    }
    at
}

/// Goes through the members of an object.
struct KeyFinder<'t> {
    key: Key,
    object: &'t [u8],
}

impl<'de> Visitor<'de> for KeyFinder<'de> {
    type Value = KeyPlace;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<KeyPlace, A::Error> {
        let place_of = |text: &RawValue| {
            let start = text.get().as_ptr().addr() - self.object.as_ptr().addr();
            start..start + text.get().len()
        };
        let mut place = KeyPlace::default();
        while let Some((key, value)) = members.next_entry::<&RawValue, &RawValue>()? {
            let at = place_of(value);
            place.end = at.end;
            place.has_members = true;
            if self.key.is(key.get()) {
                place.member = Some((place_of(key), at));
            }
        }
        if !place.has_members {
            place.end = memchr(b'{', self.object).map_or(0, |brace| brace + 1);
        }
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    #[test]
    fn passing_over_values_finds_what_parsing_them_finds() {
        let mut rng = Rng::with_seed(11);
        let keys = ["a", "é\"\\", ""].map(Key::new);
        for _ in 0..20_000 {
            let text = space(&mut rng).to_owned() + &object(&mut rng, 3) + space(&mut rng);
            for key in keys {
                let parsed = key.find(text.as_bytes()).expect(&text);
                assert_eq!(key.find_in_valid(text.as_bytes()), parsed, "{text}");
            }
        }
    }

    fn space(rng: &mut Rng) -> &'static str {
        rng.choice(["", "", "", " ", "\t\r\n "]).expect("one")
    }

    fn string(rng: &mut Rng) -> String {
        let parts = [
            "a", "\\u0061", "é", "\\\"", "\\\\", "{", "}", "[", "]", ",", ":", "\\ud800",
        ];
        let inside: String = (0..rng.usize(..4)).filter_map(|_| rng.choice(parts)).collect();
        format!("\"{inside}\"")
    }

    fn object(rng: &mut Rng, depth: u32) -> String {
        let member = |rng: &mut Rng| {
            let name = [space(rng), &string(rng), space(rng)].concat();
            format!("{name}:{}", spaced(rng, depth))
        };
        let members: Vec<_> = (0..rng.usize(..4)).map(|_| member(rng)).collect();
        format!("{{{}{}}}", space(rng), members.join(","))
    }

    fn spaced(rng: &mut Rng, depth: u32) -> String {
        let value = match rng.u32(..if depth == 0 { 2 } else { 4 }) {
            0 => string(rng),
            1 => (*rng.choice(&["-1.5e+400", "0", "true", "null"]).expect("one")).to_owned(),
            2 => object(rng, depth - 1),
            _ => {
                let values: Vec<_> = (0..rng.usize(..4)).map(|_| spaced(rng, depth - 1)).collect();
                format!("[{}{}]", space(rng), values.join(","))
            }
        };
        [space(rng), &value, space(rng)].concat()
    }

    fn value(key: &str, object: &str) -> Option<String> {
        let place = Key::new(key).find(object.as_bytes()).unwrap();
        place.member.map(|(_, value)| object[value].to_owned())
    }

    #[test]
    fn a_value_is_found_wherever_and_however_it_stands() {
        for (object, found) in [
            (r#"{"a":1}"#, Some("1")),
            (
                r#" { "b" : [ {"a":2} ] , "a" : { "c" : 1.00 } } "#,
                Some(r#"{ "c" : 1.00 }"#),
            ),
            (r#"{"a":1,"b":2,"a":"x"}"#, Some(r#""x""#)),
            (r#"{"\u0061":1e400}"#, Some("1e400")),
            (r#"{"\ud800":1,"a":"\ud800"}"#, Some(r#""\ud800""#)),
            (r#"{"b":{"a":1},"c":"\"a\":2"}"#, None),
            ("{}", None),
        ] {
            assert_eq!(value("a", object).as_deref(), found, "{object}");
        }
        assert_eq!(value("é\"\n", r#"{"é\"\n":null}"#).as_deref(), Some("null"));
        assert_eq!(value("", r#"{"":[]}"#).as_deref(), Some("[]"));
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in [
            "[1]",
            "\"a\"",
            "3",
            "null",
            "{\"a\":1",
            "{\"a\":1} 2",
            "{\"a\":NaN}",
            "",
        ] {
            assert!(Key::new("a").find(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn an_object_may_be_deep() {
        let deep = format!(
            "{{\"b\":{}{},\"a\":7}}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(value("a", &deep).as_deref(), Some("7"));
    }

    #[test]
    fn the_end_is_that_of_the_last_value() {
        for (object, end, has_members) in [
            ("{\"a\":1 }", 6, true),
            (" { }", 2, false),
            ("{\"b\":[]}", 7, true),
        ] {
            let place = Key::new("x").find(object.as_bytes()).unwrap();
            assert_eq!(
                (place.end, place.has_members),
                (end, has_members),
                "{object}"
            );
        }
    }
}

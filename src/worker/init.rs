//! Init arguments: what `--worker-arg` and `--shared-arg` tell a worker.
//!
//! An INIT is read in one of three ways: `KEY=VALUE`, a JSON object, or else plain text. JSON
//! values keep their text: big numbers, key order and inner white space reach the worker as typed.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::exit::Unusable;

/// A worker's init argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// The whole of it: `{arg}` and `MTASK_ARG`.
    pub text: String,
    entries: Entries,
}

/// What is known of an INIT beside its text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entries {
    /// Plain text has no keys.
    None,
    /// Those of `KEY=VALUE` or of a JSON object, in the order typed.
    Keys(Vec<InitEntry>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct InitEntry {
    key: String,
    value: Value,
}

/// A key's value in its two shapes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    /// What `{KEY}` stands for: a string as it is, else JSON.
    plain: String,
    /// As it stands in a JSON object.
    json: String,
    /// As a Python constructor gets it, in JSON: what was typed without quotes is no string where
    /// it can be read as something else.
    guessed: String,
}

/// One `--shared-arg KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedArg(InitEntry);

impl SharedArg {
    /// Reads `KEY=VALUE`; the error is a fragment that says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        InitEntry::parse(text).map(Self).ok_or_else(|| {
            "expected KEY=VALUE, KEY being a letter or _, then letters, digits, _".into()
        })
    }
}

/// The init arguments to be dealt out: one for each of `worker_args`, every one with `shared` added
/// to it; a single one where only `shared` is given; none where nothing is.
///
/// # Errors
/// A key given twice, and plain text beside `shared`, which has no key to go under.
pub fn inits(worker_args: &[String], shared: &[SharedArg]) -> Result<Vec<Init>, Unusable> {
    let shared: Vec<InitEntry> = shared.iter().map(|SharedArg(entry)| entry.clone()).collect();
    if let Some(key) = repeated_key(&shared) {
        return Err(Unusable::usage(format!(
            "--shared-arg gives the key `{key}` twice: leave one out"
        )));
    }
    let inits: Vec<Init> =
        worker_args.iter().map(|text| Init::parse(text)).collect::<Result<_, _>>()?;
    if shared.is_empty() {
        return Ok(inits);
    }
    if inits.is_empty() {
        return Ok(vec![Init::of_entries(shared)]);
    }
    inits.into_iter().map(|init| init.with_shared(&shared)).collect()
}

impl Init {
    /// Reads one `--worker-arg`.
    ///
    /// # Errors
    /// A JSON object that has a key twice: which one was meant cannot be told.
    pub fn parse(text: &str) -> Result<Self, Unusable> {
        let entries = if let Some(entry) = InitEntry::parse(text) {
            Entries::Keys(vec![entry])
        } else if let Ok(Object(entries)) = serde_json::from_str(text) {
            if let Some(key) = repeated_key(&entries) {
                return Err(Unusable::usage(format!(
                    "--worker-arg {text} has the key `{key}` twice: leave one out"
                )));
            }
            Entries::Keys(entries)
        } else {
            Entries::None
        };
        Ok(Self {
            text: text.into(),
            entries,
        })
    }

    /// What `{key}` stands for.
    pub fn value(&self, key: &str) -> Option<&str> {
        let Entries::Keys(entries) = &self.entries else {
            return None;
        };
        entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.plain.as_str())
    }

    /// What a Python constructor is called with, as JSON: a list of positional arguments, which is
    /// the plain text alone, and an object of keyword arguments.
    pub fn call(&self) -> (String, String) {
        match &self.entries {
            Entries::None => (format!("[{}]", json_string(&self.text)), "{}".into()),
            Entries::Keys(entries) => (
                "[]".into(),
                object(entries.iter().map(|entry| (&entry.key, &entry.value.guessed))),
            ),
        }
    }

    /// The keys, in the order typed.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let entries = match &self.entries {
            Entries::None => &[],
            Entries::Keys(entries) => entries.as_slice(),
        };
        entries.iter().map(|entry| entry.key.as_str())
    }

    /// Whether this is plain text that begins like the JSON object it was perhaps meant to be.
    pub fn is_broken_object(&self) -> bool {
        self.entries == Entries::None && self.text.trim_start().starts_with('{')
    }

    /// One JSON object: the own keys as they were typed, then the shared ones it lacks.
    fn with_shared(self, shared: &[InitEntry]) -> Result<Self, Unusable> {
        let Entries::Keys(mut entries) = self.entries else {
            return Err(Unusable::usage(format!(
                "--worker-arg {} is plain text, which --shared-arg cannot be added to: \
                 write it as KEY=VALUE or as a JSON object",
                self.text
            )));
        };
        for entry in shared {
            if !entries.iter().any(|own| own.key == entry.key) {
                entries.push(entry.clone());
            }
        }
        Ok(Self::of_entries(entries))
    }

    fn of_entries(entries: Vec<InitEntry>) -> Self {
        Self {
            text: object(entries.iter().map(|entry| (&entry.key, &entry.value.json))),
            entries: Entries::Keys(entries),
        }
    }
}

impl InitEntry {
    /// Reads `KEY=VALUE`.
    fn parse(text: &str) -> Option<Self> {
        let (key, value) = text.split_once('=')?;
        let begins = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let goes_on = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        (begins && goes_on).then(|| Self {
            key: key.into(),
            value: Value {
                plain: value.into(),
                json: json_string(value),
                guessed: match serde_json::from_str::<&RawValue>(value) {
                    Ok(json) => json.get().into(),
                    Err(_) => json_string(value),
                },
            },
        })
    }
}

/// A JSON object with its members in the order typed, repeated keys included.
struct Object(Vec<InitEntry>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, json)) = map.next_entry::<String, Box<RawValue>>()? {
                    let json = String::from(Box::<str>::from(json));
                    let plain = if json.starts_with('"') {
                        serde_json::from_str(&json).map_err(serde::de::Error::custom)?
                    } else {
                        json.clone()
                    };
                    entries.push(InitEntry {
                        key,
                        value: Value {
                            plain,
                            guessed: json.clone(),
                            json,
                        },
                    });
                }
                Ok(Object(entries))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

fn repeated_key(entries: &[InitEntry]) -> Option<&str> {
    let keys = entries.iter().map(|entry| entry.key.as_str());
    keys.enumerate()
        .find(|(place, key)| entries[..*place].iter().any(|earlier| earlier.key == *key))
        .map(|(_, key)| key)
}

fn object<'a>(members: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let members: Vec<String> =
        members.map(|(key, json)| format!("{}:{json}", json_string(key))).collect();
    format!("{{{}}}", members.join(","))
}

pub(super) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init(text: &str) -> Init {
        Init::parse(text).unwrap()
    }

    fn texts(worker_args: &[&str], shared: &[&str]) -> Result<Vec<String>, String> {
        let worker_args: Vec<String> = worker_args.iter().map(ToString::to_string).collect();
        let shared: Vec<SharedArg> = shared.iter().map(|s| SharedArg::parse(s).unwrap()).collect();
        let inits = inits(&worker_args, &shared).map_err(|unusable| unusable.message)?;
        Ok(inits.into_iter().map(|init| init.text).collect())
    }

    #[test]
    fn key_and_value_are_split_at_the_first_equals_sign() {
        assert_eq!(init("_k1=a=b").value("_k1"), Some("a=b"));
        assert_eq!(init("k=").value("k"), Some(""));
    }

    #[test]
    fn what_is_neither_key_and_value_nor_an_object_is_plain_text() {
        for text in [
            "cuda:0", "1k=v", "a-b=c", "=v", "", "[1]", "7", "{broken", "é=1",
        ] {
            assert_eq!(init(text).entries, Entries::None, "{text}");
        }
    }

    #[test]
    fn an_object_gives_several_keys_strings_as_they_are_else_json() {
        let init = init(r#" {"s":"a\"b","n":12345678901234567890.0,"o":{"x": [1, 2]},"z":null} "#);
        assert_eq!(init.value("s"), Some("a\"b"));
        assert_eq!(init.value("n"), Some("12345678901234567890.0"));
        assert_eq!(init.value("o"), Some(r#"{"x": [1, 2]}"#));
        assert_eq!(init.value("z"), Some("null"));
        assert_eq!(init.value("x"), None);
    }

    #[test]
    fn without_shared_keys_an_argument_stays_as_it_was_typed() {
        assert_eq!(
            texts(&["a=1", r#"{"b": 2}"#, "x y"], &[]).unwrap(),
            ["a=1", r#"{"b": 2}"#, "x y"]
        );
        assert!(texts(&[], &[]).unwrap().is_empty());
    }

    #[test]
    fn shared_keys_come_after_the_workers_own_which_win() {
        let merged = texts(
            &["gpu=0", r#"{"lr": 0.10, "b":1}"#],
            &["lr=0.5", "name=\"x"],
        )
        .unwrap();
        assert_eq!(merged[0], r#"{"gpu":"0","lr":"0.5","name":"\"x"}"#);
        assert_eq!(merged[1], r#"{"lr":0.10,"b":1,"name":"\"x"}"#);
    }

    #[test]
    fn shared_keys_alone_make_one_object() {
        assert_eq!(
            texts(&[], &["a=1", "b=2"]).unwrap(),
            [r#"{"a":"1","b":"2"}"#]
        );
    }

    #[test]
    fn a_constructor_gets_values_typed_where_they_can_be_and_text_as_it_is() {
        let call = |text| init(text).call();
        let keys = |object: &str| ("[]".to_owned(), object.to_owned());
        assert_eq!(call("gpu=0"), keys(r#"{"gpu":0}"#));
        assert_eq!(call("name=a b"), keys(r#"{"name":"a b"}"#));
        assert_eq!(call("name="), keys(r#"{"name":""}"#));
        assert_eq!(call("x=[1, 2]"), keys(r#"{"x":[1, 2]}"#));
        assert_eq!(call("x=007"), keys(r#"{"x":"007"}"#));
        assert_eq!(call("x=NaN"), keys(r#"{"x":"NaN"}"#));
        assert_eq!(call(r#"x="7""#), keys(r#"{"x":"7"}"#));
        assert_eq!(call(r#"{"a": "7", "b": 7}"#), keys(r#"{"a":"7","b":7}"#));
        assert_eq!(
            call("cuda:\"0"),
            (r#"["cuda:\"0"]"#.to_owned(), "{}".to_owned())
        );
        let shared = [SharedArg::parse("lr=0.5").unwrap()];
        let merged = inits(&["gpu=0".to_owned()], &shared).unwrap();
        assert_eq!(merged[0].call(), keys(r#"{"gpu":0,"lr":0.5}"#));
    }

    #[test]
    fn plain_text_beside_shared_keys_is_refused() {
        let message = texts(&["cuda:0"], &["a=1"]).unwrap_err();
        assert!(
            message.contains("cuda:0") && message.contains("--shared-arg"),
            "{message}"
        );
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        assert!(texts(&[r#"{"a":1,"a":2}"#], &[]).unwrap_err().contains("`a` twice"));
        assert!(texts(&[], &["a=1", "a=1"]).unwrap_err().contains("`a` twice"));
    }

    #[test]
    fn a_shared_argument_must_be_key_and_value() {
        for text in ["a", "1=2", "=x", r#"{"a":1}"#] {
            assert!(SharedArg::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_object_with_a_mistake_in_it_is_recognised() {
        assert!(init(r#"{"a":1,}"#).is_broken_object());
        assert!(!init(r#"{"a":1}"#).is_broken_object() && !init("text").is_broken_object());
    }
}

//! What is started for a record each (`--each`): the command line of a worker's processes, with the
//! record put in.
//!
//! Placeholders are found once, before anything runs; what is put in is never looked at again, and no
//! shell ever sees it.

use std::borrow::Cow;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::ValueEnum;
use memchr::{memchr, memrchr};
use serde_json::value::RawValue;

use super::command::{
    Dealt, Hand, Placed, TemplatePart, WorkerCommand, init_unless_placed, placeholder, split, text,
};
use crate::exit::Unusable;
use crate::record::Index;
use crate::shape::Format;

/// How a record reaches the process that is started for it (`--each`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RecordPlace {
    /// In its command line, in place of the placeholders there, or as the last argument
    Argument,
    /// As its stdin
    Stdin,
}

/// A part of a record that a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordPart<'a> {
    /// `{}`
    Whole,
    /// `{/}`: what is behind the last slash.
    Name,
    /// `{//}`: what is before it.
    Folder,
    /// `{.}`: without the extension.
    Stem,
    /// `{/.}`: both.
    NameStem,
    /// `{index}`
    Index,
    /// `{KEY}`, of a record that is a JSON object.
    Field(&'a str),
}

impl<'a> RecordPart<'a> {
    fn of(name: &'a str, format: Format) -> Option<Self> {
        Some(match name {
            "" => Self::Whole,
            "/" => Self::Name,
            "//" => Self::Folder,
            "." => Self::Stem,
            "/." => Self::NameStem,
            "index" => Self::Index,
            key if format.is_json() && may_be_key(key) => Self::Field(key),
            _ => return None,
        })
    }

    /// Whether it holds what may be anything, as opposed to a number of mtask's.
    fn is_foreign(self) -> bool {
        self != Self::Index
    }
}

/// What stands between the braces of a script has other signs too.
fn may_be_key(name: &str) -> bool {
    let is_sign = |c: char| c.is_alphanumeric() || "_-. ".contains(c);
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.ends_with(|c: char| c != ' ')
        && name.chars().all(is_sign)
}

/// A part of a word, as it is known before there is a record.
#[derive(Clone, Debug, PartialEq, Eq)]
enum WordPart {
    Text(Vec<u8>),
    /// A part of the record, which is any but a field.
    Record(RecordPart<'static>),
    Field(String),
}

/// The command line of a worker's processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EachCommand {
    words: Vec<Vec<WordPart>>,
    /// The worker's whole init argument.
    arg: Option<String>,
}

/// The command line of each of `workers`, in the order of their numbers.
///
/// # Errors
/// A placeholder that cannot be meant, or whose value cannot stand in a command line.
pub fn each_commands(
    command: &[OsString],
    dealt: Dealt<'_>,
    workers: NonZeroUsize,
    format: Format,
    place: RecordPlace,
) -> Result<Vec<EachCommand>, Unusable> {
    let find = |name| {
        let of_record = || Some(TemplatePart::Record(RecordPart::of(name, format)?));
        placeholder(name, dealt).or_else(of_record)
    };
    let pieces: Vec<Vec<TemplatePart<'_>>> =
        command.iter().map(|word| split(word, &find)).collect();
    refuse_scripts(command, &pieces)?;
    let placed = Placed::of(pieces.iter().flatten());
    let has_any = pieces.iter().flatten().any(|piece| !matches!(piece, TemplatePart::Literal(_)));
    let has_record = pieces.iter().flatten().any(|piece| matches!(piece, TemplatePart::Record(_)));
    let deals_nothing = dealt.inits.is_empty() && dealt.gpus.is_empty();
    let of_worker = |worker: usize| {
        let hand = dealt.to(worker);
        let bound = |word: &Vec<TemplatePart<'_>>| bind(word, hand);
        let mut words = pieces.iter().map(bound).collect::<Result<Vec<_>, _>>()?;
        let added = init_unless_placed(hand.init, &placed);
        words.extend(added.into_iter().map(|word| vec![WordPart::Text(word.into_vec())]));
        // A number of the worker's own says nothing of the record where it is dealt something.
        let is_placed = has_record || (has_any && deals_nothing);
        if place == RecordPlace::Argument && !is_placed {
            words.push(vec![WordPart::Record(RecordPart::Whole)]);
        }
        Ok(EachCommand {
            words,
            arg: hand.init.map(|init| init.text.clone()),
        })
    };
    (0..workers.get()).map(of_worker).collect()
}

fn bind(word: &[TemplatePart<'_>], hand: Hand<'_>) -> Result<Vec<WordPart>, Unusable> {
    let part = |piece: &TemplatePart<'_>| {
        Ok(match *piece {
            TemplatePart::Record(RecordPart::Field(key)) => WordPart::Field(key.to_owned()),
            TemplatePart::Record(RecordPart::Whole) => WordPart::Record(RecordPart::Whole),
            TemplatePart::Record(RecordPart::Name) => WordPart::Record(RecordPart::Name),
            TemplatePart::Record(RecordPart::Folder) => WordPart::Record(RecordPart::Folder),
            TemplatePart::Record(RecordPart::Stem) => WordPart::Record(RecordPart::Stem),
            TemplatePart::Record(RecordPart::NameStem) => WordPart::Record(RecordPart::NameStem),
            TemplatePart::Record(RecordPart::Index) => WordPart::Record(RecordPart::Index),
            _ => WordPart::Text(text(piece, hand)?),
        })
    };
    word.iter().map(part).collect()
}

/// Programs that take the word behind `-c` as a script.
const SCRIPTED: [&str; 9] = [
    "sh", "bash", "dash", "ash", "ksh", "zsh", "python", "python3", "busybox",
];

/// A record in a script would be run.
fn refuse_scripts(command: &[OsString], pieces: &[Vec<TemplatePart<'_>>]) -> Result<(), Unusable> {
    let is_scripted = |word: &OsString| {
        let name = word.as_bytes();
        let name = memrchr(b'/', name).map_or(name, |slash| &name[slash + 1..]);
        SCRIPTED.iter().any(|known| known.as_bytes() == name)
    };
    let takes_script = |word: &OsString| {
        let word = word.as_bytes();
        word.len() > 1 && word[0] == b'-' && word[1] != b'-' && word.ends_with(b"c")
    };
    for at in 2..command.len() {
        // Between the two there may be other options.
        let before = &command[..at - 1];
        let program = before.iter().rev().find(|word| !word.as_bytes().starts_with(b"-"));
        let Some(program) = program.filter(|word| is_scripted(word)) else {
            continue;
        };
        let is_foreign = |piece: &TemplatePart<'_>| matches!(piece, TemplatePart::Record(part) if part.is_foreign());
        if takes_script(&command[at - 1]) && pieces[at].iter().any(is_foreign) {
            let program = program.to_string_lossy();
            let (argument, name) = match program.contains("python") {
                true => ("… sys.argv[1] …", ""),
                false => ("… \"$1\" …", " sh"),
            };
            return Err(Unusable::usage(format!(
                "a placeholder inside the script of {program} -c would have the record run as a part of \
                 it: pass it as an argument, {program} -c '{argument}'{name} {{}}"
            )));
        }
    }
    Ok(())
}

impl EachCommand {
    /// What stands in it as it was typed, for what must be known before there is a record; nothing
    /// for a word that holds any of that.
    pub(super) fn known(&self) -> WorkerCommand {
        let mut words = self.words.iter().map(|word| match &word[..] {
            [] => OsString::new(),
            parts => {
                let texts = parts.iter().map(|part| match part {
                    WordPart::Text(text) => Some(&text[..]),
                    _ => None,
                });
                let whole: Option<Vec<&[u8]>> = texts.collect();
                OsString::from_vec(whole.unwrap_or_default().concat())
            }
        });
        WorkerCommand {
            program: words.next().unwrap_or_default(),
            args: Vec::new(),
            arg: self.arg.clone(),
        }
    }

    /// The words for this record, which stands here without its separator.
    ///
    /// # Errors
    /// Why it cannot be put in.
    pub fn words(&self, record: &[u8], index: Index) -> Result<Vec<OsString>, String> {
        let word = |parts: &Vec<WordPart>| {
            let mut word = Vec::new();
            for part in parts {
                let bytes: Cow<'_, [u8]> = match part {
                    WordPart::Text(text) => text.into(),
                    WordPart::Record(RecordPart::Index) => index.to_string().into_bytes().into(),
                    WordPart::Record(part) => of_path(*part, record).into(),
                    WordPart::Field(key) => field(record, key)?.into_bytes().into(),
                };
                if memchr(0, &bytes).is_some() {
                    return Err(
                        "it holds a NUL, which no argument can: --each=stdin passes it".into(),
                    );
                }
                word.extend_from_slice(&bytes);
            }
            Ok(OsString::from_vec(word))
        };
        self.words.iter().map(word).collect()
    }
}

/// A part of a record that is the name of a file, or all of it.
fn of_path<'r>(part: RecordPart<'_>, record: &'r [u8]) -> &'r [u8] {
    // As basename(1) and dirname(1) have it.
    let end = record.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let path = &record[..end];
    let slash = memrchr(b'/', path);
    let name = match (path.is_empty(), slash) {
        (true, _) => &record[..record.len().min(1)],
        (false, Some(at)) => &path[at + 1..],
        (false, None) => path,
    };
    let stem_of = |name: &[u8]| memrchr(b'.', name).filter(|dot| *dot > 0).unwrap_or(name.len());
    match part {
        RecordPart::Name => name,
        RecordPart::NameStem => &name[..stem_of(name)],
        RecordPart::Stem => {
            let before = path.len() - name.len().min(path.len());
            match path.is_empty() {
                true => record,
                false => &path[..before + stem_of(name)],
            }
        }
        RecordPart::Folder => match slash {
            _ if path.is_empty() && !record.is_empty() => b"/",
            None => b".",
            Some(at) => {
                let end = path[..at].iter().rposition(|byte| *byte != b'/');
                end.map_or(b"/", |last| &path[..=last])
            }
        },
        RecordPart::Whole | RecordPart::Index | RecordPart::Field(_) => record,
    }
}

/// The value of a key: a string as it is, else JSON.
fn field(record: &[u8], key: &str) -> Result<String, String> {
    let object: Object<'_> = serde_json::from_slice(record)
        .map_err(|_| format!("it is no JSON object, and COMMAND asks for {{{key}}}"))?;
    let value = object.0.into_iter().rfind(|(name, _)| name == key);
    let Some((_, value)) = value else {
        return Err(format!(
            "it has no key `{key}`, and COMMAND asks for {{{key}}}"
        ));
    };
    Ok(serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned()))
}

/// The keys and values of a JSON object, all of them.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Object<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> serde::de::Visitor<'de> for Keys {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }

        deserializer.deserialize_map(Keys)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::super::init::{Init, inits};
    use super::*;

    fn command(words: &[&str], format: Format, inits: &[Init]) -> Result<Vec<EachCommand>, String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let two = NonZeroUsize::new(2).unwrap();
        let dealt = Dealt { inits, gpus: &[] };
        each_commands(&words, dealt, two, format, RecordPlace::Argument)
            .map_err(|unusable| unusable.message)
    }

    /// The words of the first worker for this record, joined with `|`.
    fn line(words: &[&str], record: &str) -> Result<String, String> {
        let format = match record.starts_with('{') {
            true => Format::Jsonl,
            false => Format::Lines,
        };
        let words = command(words, format, &[])?[0].words(record.as_bytes(), Index(7))?;
        Ok(words.join(OsStr::new("|")).into_string().unwrap())
    }

    #[test]
    fn a_record_is_put_in_wherever_it_is_asked_for_or_added() {
        assert_eq!(
            line(&["x", "-o", "{}.o", "{index}"], "a b").unwrap(),
            "x|-o|a b.o|7"
        );
        assert_eq!(line(&["x", "-v"], "{a").unwrap(), "x|-v|{a");
    }

    #[test]
    fn parts_of_a_path_are_those_that_other_tools_know() {
        let parts = ["{/}", "{//}", "{.}", "{/.}"];
        for (record, expected) in [
            ("a/b/c.tar.gz", "c.tar.gz|a/b|a/b/c.tar|c.tar"),
            ("c.gz", "c.gz|.|c|c"),
            ("/c", "c|/|/c|c"),
            ("a.d/c", "c|a.d|a.d/c|c"),
            ("a/.rc", ".rc|a|a/.rc|.rc"),
            ("a//b/", "b|a|a//b|b"),
            ("/", "/|/|/|/"),
            ("", "|.||"),
        ] {
            let words = [&["x"][..], &parts].concat();
            assert_eq!(
                line(&words, record).unwrap(),
                format!("x|{expected}"),
                "{record:?}"
            );
        }
    }

    #[test]
    fn fields_of_an_object_are_strings_as_they_are_and_else_json() {
        let record = r#"{"a":"x \"y\"","b":[1, 2],"First name":"Ada","a":"last"}"#;
        let words = ["x", "{a}", "{b}", "{First name}", "{print $1}", "{ a}"];
        assert_eq!(
            line(&words, record).unwrap(),
            "x|last|[1, 2]|Ada|{print $1}|{ a}"
        );
        assert!(line(&["x", "{none}"], record).unwrap_err().contains("no key `none`"));
    }

    #[test]
    fn a_workers_key_wins_over_a_field_and_its_argument_comes_first() {
        let args: Vec<String> = ["gpu=0", "gpu=1"].map(String::from).into();
        let inits = inits(&args, &[]).unwrap();
        let commands = command(&["x", "{gpu}", "{lr}"], Format::Jsonl, &inits).unwrap();
        let words = commands[1].words(br#"{"gpu":9,"lr":0.1}"#, Index(0)).unwrap();
        assert_eq!(words, ["x", "1", "0.1"]);
        let commands = command(&["x", "{worker}"], Format::Lines, &inits).unwrap();
        assert_eq!(
            commands[1].words(b"r", Index(0)).unwrap(),
            ["x", "1", "gpu=1", "r"]
        );
    }

    #[test]
    fn a_gpu_says_nothing_of_the_record_which_is_the_last_argument() {
        let words: Vec<OsString> = ["train", "{gpu}"].map(OsString::from).into();
        let two = NonZeroUsize::new(2).unwrap();
        let gpus = &["3".into(), "5".into()];
        let dealt = Dealt { inits: &[], gpus };
        let place = RecordPlace::Argument;
        let commands = each_commands(&words, dealt, two, Format::Lines, place).unwrap();
        assert_eq!(
            commands[1].words(b"r", Index(0)).unwrap(),
            ["train", "5", "r"]
        );
    }

    #[test]
    fn a_record_is_never_a_part_of_a_script() {
        for words in [
            &["sh", "-c", "echo {}"][..],
            &["env", "A=1", "/bin/bash", "-e", "-c", "x {/.}"],
            &["bash", "-ec", "{//}"],
            &["python3", "-c", "print('{}')"],
        ] {
            let refusal = command(words, Format::Lines, &[]).unwrap_err();
            assert!(refusal.contains("{}"), "{refusal}");
        }
        for words in [
            &["sh", "-c", "echo $1", "sh", "{}"][..],
            &["sh", "-c", "echo {index} {worker}"],
            &["sh", "-c", "f() { echo; }; f"],
            &["tar", "-c", "{}"],
        ] {
            assert!(command(words, Format::Lines, &[]).is_ok(), "{words:?}");
        }
    }

    #[test]
    fn no_argument_holds_a_nul() {
        let command = &command(&["x"], Format::Lines, &[]).unwrap()[0];
        assert!(command.words(b"a\0b", Index(0)).unwrap_err().contains("NUL"));
    }
}

//! What a run is, as far as the same files can only come of the same: its terms.
//!
//! Pure but for paths, which are looked up so that they mean the same in every directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::format::{Files, Header, SHARD, UNORDERED};
use super::open::Paths;
use crate::config::Config;
use crate::config::files::directory_of;
use crate::exit::Unusable;
use crate::object::Key;
use crate::record::Separator;
use crate::schedule::policy::Order;
use crate::shape::{AnswerEnd, EarlierErrors, EndLine};
use crate::worker::dry_run::quote;

/// The way out where a journal is of no use.
pub(super) const ANEW: &str = "begin anew with another journal and output";

/// The first line of a journal of this run.
pub(super) fn header(config: &Config, paths: &Paths) -> Header {
    Header {
        id: new_id(),
        terms: terms(config),
        files: files(paths),
        command: (config.command.iter()).map(|word| word.to_string_lossy().into_owned()).collect(),
        made_from: None,
    }
}

/// A number that no other journal has.
pub(super) fn new_id() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The outputs of this run.
pub(super) fn files(paths: &Paths) -> Files {
    Files {
        output: whole_path(&paths.output),
        errors: paths.errors.as_deref().map(whole_path),
    }
}

/// Whether the run is the one that the journal is of.
pub(super) fn compare(now: &Header, before: &Header, name: &str) -> Result<(), Unusable> {
    let mut changed = Vec::new();
    let options: BTreeSet<_> = before.terms.keys().chain(now.terms.keys()).collect();
    for option in options {
        let value = |of: &Header| of.terms.get(option).cloned().unwrap_or_default();
        let (before, now) = (&*value(before), &*value(now));
        if now != before {
            changed.push((shown(option, before), shown(option, now)));
        }
    }
    if now.files.errors.is_some() != before.files.errors.is_some() {
        let shown = |errors: &Option<String>| {
            let path = errors.as_deref();
            path.map_or_else(
                || "without --errors".into(),
                |path| format!("with --errors {path}"),
            )
        };
        changed.push((shown(&before.files.errors), shown(&now.files.errors)));
    }
    if !changed.is_empty() {
        let (before, now): (Vec<_>, Vec<_>) = changed.into_iter().unzip();
        return Err(Unusable::usage(format!(
            "--resume {name} was begun {}, and is to go on {}: give the same, or {ANEW}",
            before.join(" and "),
            now.join(" and ")
        )));
    }
    Ok(())
}

/// What to say where COMMAND has changed.
pub(super) fn of_another_command(now: &Header, before: &Header, name: &str) -> Option<String> {
    (now.command != before.command).then(|| {
        format!(
            "COMMAND is not the one that --resume {name} was begun with, {}; what is done stands",
            shown_command(&before.command)
        )
    })
}

/// A command as a shell reads it.
fn shown_command(words: &[String]) -> String {
    let quoted = words.iter().map(|word| quote(word.as_ref()));
    let quoted: Result<Vec<_>, _> = quoted.collect();
    let quoted = quoted.map(|words| String::from_utf8_lossy(&words.join(&b' ')).into_owned());
    quoted.unwrap_or_else(|_| words.join(" "))
}

/// That an option has this value, for a message.
fn shown(option: &str, value: &str) -> String {
    match value {
        "no" | "" => format!("without {option}"),
        "yes" => format!("with {option}"),
        value => format!("with {option} {value}"),
    }
}

/// A key, which may be any text.
fn quoted(key: Key) -> String {
    serde_json::Value::from(key.name()).to_string()
}

/// The options that decide what is written.
fn terms(config: &Config) -> BTreeMap<String, String> {
    fn value(choice: &impl ValueEnum) -> String {
        let value = choice.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
    let yes = |holds: bool| if holds { "yes" } else { "no" }.to_owned();
    let order = config.policy.order;
    let mut terms: BTreeMap<String, String> = [
        ("--format", value(&config.shape.format)),
        ("--null", yes(config.shape.separator == Separator::Nul)),
        ("--max-record", config.shape.max_record.to_string()),
        ("--protocol", value(&config.shape.protocol)),
        (UNORDERED, yes(order == Order::Finish)),
        ("--output-format", value(&config.rendering.output_format)),
        ("--error-input", value(&config.rendering.error_input)),
    ]
    .map(|(option, value)| (option.to_owned(), value))
    .into();
    let mut insert_end = |option: &str, line: EndLine| {
        terms.insert(option.into(), format!("'{}'", line.escape_ascii()));
    };
    if let AnswerEnd::Line(line) = config.shape.answer_end {
        insert_end("--answer-end", line);
    }
    if let Some(line) = config.shape.record_end {
        insert_end("--record-end", line);
    }
    if config.shape.earlier_errors == EarlierErrors::Passed {
        terms.insert("--pass-errors".into(), yes(true));
    }
    if config.shape.answer_end == AnswerEnd::Exit {
        terms.insert("--each".into(), "yes".into());
    }
    for (option, key) in [
        ("--field", config.shape.field),
        ("--merge", config.shape.merge),
    ] {
        terms.extend(key.map(|key| (option.to_owned(), quoted(key))));
    }
    if let Some(shard) = config.shard {
        let sizes: Vec<_> = config.input_sizes.iter().map(u64::to_string).collect();
        terms.insert(SHARD.into(), shard.to_string());
        terms.insert("--input".into(), format!("of {} bytes", sizes.join(", ")));
    }
    terms
}

/// A path that means the same in every directory, as text that stands for no other path: bytes that
/// are not UTF-8 are `\xNN`, and so that nothing else is, a backslash is two.
pub(super) fn whole_path(path: &Path) -> String {
    let found = fs::canonicalize(path).or_else(|_| {
        let directory = directory_of(path).canonicalize()?;
        Ok::<_, io::Error>(directory.join(path.file_name().unwrap_or_default()))
    });
    let whole: PathBuf = found.unwrap_or_else(|_| path.to_owned());
    let mut text = String::new();
    for chunk in whole.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        text.push_str(&chunk.invalid().escape_ascii().to_string());
    }
    text
}

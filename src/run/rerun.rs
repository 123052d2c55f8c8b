//! The command lines that try again what failed, as the page of a run shows them.

use std::collections::BTreeMap;
use std::env;

use crate::cli::again;
use crate::config::Config;
use crate::outcome::{Cause, ErrorInput};
use crate::record::Separator;
use crate::shape::Format;

/// The commands that run failed records again, by what they failed of: those whose error records hold
/// them, in a file.
pub(super) fn run_again(config: &Config) -> BTreeMap<&'static str, String> {
    let (Some(file), ErrorInput::Whole) = (
        config.errors.as_ref().or(config.output.as_ref()),
        config.rendering.error_input,
    ) else {
        return BTreeMap::new();
    };
    let mut dropped = vec![
        "input",
        "output",
        "errors",
        "exits",
        "resume",
        "retry-failed",
        "shard",
        "stats-file",
        "log",
        "metrics-file",
        "report",
        "total",
    ];
    let (jq, format) = match (config.shape.format, config.shape.separator) {
        (Format::Lines, Separator::Newline) => ("-r .input", None),
        (Format::Lines, Separator::Nul) => ("-j '.input + \"\\u0000\"'", None),
        (Format::Jsonl, _) => ("-c .input", None),
        (Format::Csv | Format::Tsv, _) => ("-c .input", Some("--format jsonl ")),
    };
    if format.is_some() {
        dropped.push("format");
    }
    let words = again::quoted(&again::without(env::args_os().skip(1), &dropped));
    let file = again::quoted(&[file]);
    let command = |kind: &'static str| {
        let jq = if kind == "invalid_input" {
            "-r .input"
        } else {
            jq
        };
        let format = format.unwrap_or_default();
        let select = format!("grep -a '^{{\"mtask_error\":\"{kind}\"' {file} | jq {jq}");
        (kind, format!("{select} | mtask {format}{words}"))
    };
    Cause::KINDS.into_iter().filter(|kind| *kind != "record_too_large").map(command).collect()
}

/// The command that tries all that failed again, in its place.
pub(super) fn retry(config: &Config) -> Option<String> {
    config.resume.as_ref()?;
    let words = again::quoted(&again::without(env::args_os().skip(1), &["retry-failed"]));
    Some(format!("mtask --retry-failed {words}"))
}

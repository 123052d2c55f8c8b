//! What records and answers look like, as it was typed.

use std::ffi::OsString;

use crate::cli::Arguments;
use crate::exit::Unusable;
use crate::object::Key;
use crate::outcome::OutputFormat;
use crate::record::Separator;
use crate::shape::{AnswerEnd, EarlierErrors, EndLine, Format, Protocol, Shape};

/// What records and answers look like.
pub(super) fn shape(arguments: &Arguments) -> Result<Shape, Unusable> {
    let protocol = protocol(arguments)?;
    let format = format(arguments, protocol);
    let separator = separator(arguments, format)?;
    let end_line = |option, text| end_line(option, text, protocol, separator);
    let answer_end = end_line("--answer-end", &arguments.workers.answer_end)?;
    let answer_end = match arguments.workers.each {
        Some(_) => AnswerEnd::Exit,
        None => answer_end.map_or(AnswerEnd::Separator, AnswerEnd::Line),
    };
    Ok(Shape {
        format,
        protocol,
        separator,
        max_record: arguments.input.max_record.get(),
        record_end: end_line("--record-end", &arguments.workers.record_end)?,
        answer_end,
        earlier_errors: earlier_errors(arguments, format)?,
        field: key("--field", arguments.input.field.as_deref(), format)?,
        merge: key("--merge", arguments.output.merge.as_deref(), format)?,
    })
}

/// A line that ends records or answers, where the protocol has lines.
fn end_line(
    option: &str,
    text: &Option<OsString>,
    protocol: Protocol,
    separator: Separator,
) -> Result<Option<EndLine>, Unusable> {
    let Some(text) = text else {
        return Ok(None);
    };
    if !protocol.facts().takes_end_lines {
        return Err(Unusable::usage(format!(
            "{option} is of use with --protocol lines alone: with json, each record and each answer is an \
             object on a line of its own: leave it out"
        )));
    }
    let line = text.as_encoded_bytes();
    if line.contains(&separator.byte()) {
        return Err(Unusable::usage(format!(
            "{option} TEXT is one line, and holds no line end"
        )));
    }
    Ok(Some(line.to_vec().leak()))
}

fn protocol(arguments: &Arguments) -> Result<Protocol, Unusable> {
    match (arguments.workers.protocol, &arguments.workers.python) {
        (Some(Protocol::Lines), Some(_)) => Err(Unusable::usage(
            "--python workers speak the json protocol: leave out --protocol lines; for lines of \
             text use --format lines",
        )),
        (Some(given), _) => Ok(given),
        (None, Some(_)) => Ok(Protocol::Json),
        (None, None) => Ok(Protocol::Lines),
    }
}

fn format(arguments: &Arguments, protocol: Protocol) -> Format {
    (arguments.input.format).unwrap_or(protocol.facts().format)
}

pub(super) fn output_format(arguments: &Arguments, shape: Shape) -> Result<OutputFormat, Unusable> {
    let gives_json = shape.protocol.facts().gives_json;
    match arguments.output.output_format {
        Some(OutputFormat::Envelope | OutputFormat::Pair | OutputFormat::Text)
            if shape.merge.is_some() =>
        {
            Err(Unusable::usage(
                "--merge puts the result into the input object, and that is what is written: leave out \
                 --output-format",
            ))
        }
        Some(OutputFormat::Text) if !gives_json => Err(Unusable::usage(
            "--output-format text takes the quotes off JSON strings, which only --protocol json \
             answers with: add it, or use --output-format raw",
        )),
        Some(given) => Ok(given),
        None if gives_json && shape.format == Format::Lines => Ok(OutputFormat::Text),
        None => Ok(OutputFormat::Raw),
    }
}

fn separator(arguments: &Arguments, format: Format) -> Result<Separator, Unusable> {
    match (arguments.input.null, format) {
        (false, _) => Ok(Separator::Newline),
        (true, Format::Lines) => Ok(Separator::Nul),
        (true, Format::Jsonl | Format::Csv | Format::Tsv) => Err(Unusable::usage(
            "--null is of use with --format lines alone, for other records end with a line or a row: \
             leave one of them out",
        )),
    }
}

fn earlier_errors(arguments: &Arguments, format: Format) -> Result<EarlierErrors, Unusable> {
    match arguments.input.pass_errors {
        true if format.delimiter().is_some() => Err(Unusable::usage(
            "--pass-errors finds error records among lines, and rows are none: leave it out, or use \
             --format jsonl",
        )),
        true => Ok(EarlierErrors::Passed),
        false => Ok(EarlierErrors::Sent),
    }
}

/// What this option names: a key of records that are objects.
fn key(option: &str, name: Option<&str>, format: Format) -> Result<Option<Key>, Unusable> {
    match name {
        Some(_) if !format.is_json() => Err(Unusable::usage(format!(
            "{option} names a key of records that are JSON objects: add --format jsonl, csv or tsv"
        ))),
        name => Ok(name.map(Key::new)),
    }
}

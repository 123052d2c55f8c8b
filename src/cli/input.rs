//! Options: where records come from and what one is.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::value;
use crate::shape::Format;
use crate::shard::Shard;

/// The options under "Input".
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct InputOptions {
    /// Read records from FILE, not stdin; again for more
    ///
    /// Several files are read one after another, no record spans two; `-` is stdin. `-a` is
    /// accepted too, as in xargs.
    #[arg(
        short,
        long,
        short_alias = 'a',
        value_name = "FILE",
        value_hint = ValueHint::FilePath
    )]
    pub input: Vec<PathBuf>,

    /// Take the Kth of N shards of the input files
    ///
    /// K counts from 0. A shard is the records whose first byte lies in the Kth of N equal parts of
    /// all the files of `--input` together; all N together are the whole input, each record once.
    /// Regular files only, rows of CSV too, but those must be read from the beginning of their file
    /// to find where one begins. `{shard}` in the name of an output or a journal is K, with as many
    /// digits as N has. `mtask --join` puts the outputs together.
    #[arg(long, value_name = "K/N", value_parser = value::shard, hide_short_help = true)]
    pub shard: Option<Shard>,

    /// What a record is: lines, jsonl, csv or tsv
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        long_help = value::described::<Format>("What a record is")
            + "\n\nRows are sent as JSON objects on a line each, whatever the protocol. Fields may be \
               quoted, and hold separators and line ends then. All files name the same fields; a row \
               with another number of them fails, a quote that is never closed ends the run."
            + "\n\n[default: lines with --protocol lines, jsonl with --protocol json]"
    )]
    pub format: Option<Format>,

    /// Pass error records in the input on as they are
    ///
    /// A line that begins with `{"mtask_error":` is not sent, counted or tried again: it comes out in its
    /// place. So stages can be chained with pipes, and an error keeps its place through all of them.
    #[arg(long, hide_short_help = true)]
    pub pass_errors: bool,

    /// Send only the value of KEY in each record
    ///
    /// Each record must be a JSON object that has it, or a row with such a field; another one fails with
    /// `invalid_input`. Where an object has KEY several times, the last one counts. Error records hold
    /// the whole record all the same.
    #[arg(long, value_name = "KEY", hide_short_help = true)]
    pub field: Option<String>,

    /// Records end with NUL instead of newline
    ///
    /// In all output, too, and towards workers of `--protocol lines`; others get a line of JSON for each.
    /// Only with `--format lines`.
    #[arg(short = '0', long)]
    pub null: bool,

    /// The longest record and the longest answer
    ///
    /// What is longer fails its record, with `record_too_large` or `answer_too_large`.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64M",
        value_parser = value::size,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    pub max_record: NonZeroUsize,
}

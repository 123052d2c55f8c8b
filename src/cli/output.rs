//! Options: where outcomes go and in which form.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::value;
use crate::outcome::{ErrorInput, OutputFormat};

/// The options under "Output".
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Write results to FILE instead of stdout
    ///
    /// `-` is stdout. Refused where FILE is an input file.
    #[arg(
        short,
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath
    )]
    pub output: Option<PathBuf>,

    /// Results in input order, the default
    #[arg(short = 'k', overrides_with = "unordered", hide_short_help = true)]
    pub ordered: bool,

    /// Results as they finish, not in input order
    ///
    /// Of `-k` and `-u` the last one wins.
    #[arg(short, long, overrides_with = "ordered")]
    pub unordered: bool,

    /// Results as raw, envelope, pair or text
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        hide_possible_values = true,
        long_help = value::described::<OutputFormat>("How results are written")
            + "\n\n[default: raw; text with --protocol json and --format lines]"
    )]
    pub output_format: Option<OutputFormat>,

    /// Write each input object with KEY set to its result
    ///
    /// Each record must be a JSON object, or a row; what is none fails with `invalid_input`. The value
    /// of KEY is replaced, of several the last, or KEY is added at the end; all other bytes stay as
    /// they were. A result of the lines protocol is a string, under KEY_base64 where it is not UTF-8.
    #[arg(long, value_name = "KEY", hide_short_help = true)]
    pub merge: Option<String>,

    /// Write error records to FILE, not among results
    ///
    /// Refused where FILE is an input file or where results go.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath
    )]
    pub errors: Option<PathBuf>,

    /// Join the outputs of all shards
    ///
    /// With `--resume 'JOURNAL-{shard}'` and, instead of COMMAND, the name of the outputs,
    /// `'OUT-{shard}'`, and behind it that of the files of `--errors`, if the shards have them (then
    /// `--errors FILE` is where they go). Where a shard is unfinished, missing or of another run, that
    /// is said and nothing is written. Indices are those that one run over all of the input would
    /// have given. The status is that of such a run, with `--on-error` as here.
    #[arg(long, hide_short_help = true)]
    pub join: bool,

    /// Write what workers say at their ends to FILE
    ///
    /// With `--protocol json`: a line `{"worker":1,"process":0,"exit":...}` for each, as they come.
    /// Refused where FILE is an input file or another output.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        hide_short_help = true
    )]
    pub exits: Option<PathBuf>,

    /// What an error record holds of its record: whole or none
    #[arg(
        long,
        value_enum,
        default_value = "whole",
        value_name = "PART",
        hide_possible_values = true,
        hide_short_help = true,
        long_help = value::described::<ErrorInput>("What an error record holds of its record")
    )]
    pub error_input: ErrorInput,

    /// Keep a journal, or go on from it
    ///
    /// With `--output FILE`. The journal says what is safely in the output and in the file of
    /// `--errors`. Where it exists, these are cut back to that, and what is done is passed over:
    /// run again after it was killed, the same command line ends with the same files. Not allowed
    /// with `--at-most-once`.
    #[arg(
        long,
        value_name = "JOURNAL",
        value_hint = ValueHint::FilePath
    )]
    pub resume: Option<PathBuf>,

    /// Try again what failed, and put it in its place
    ///
    /// With `--resume JOURNAL`. What failed in the run that is gone on with is sent again, by the
    /// records of the input, and its outcomes take the places of the error records: once all is tried,
    /// the output is written anew beside itself and renamed. Until then the outcomes are in FILE.retry,
    /// with a journal of their own, and the same command line goes on after it was stopped. Where
    /// nothing failed it is a run with `--resume` alone.
    #[arg(long, hide_short_help = true)]
    pub retry_failed: bool,
}

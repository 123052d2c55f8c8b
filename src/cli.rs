//! What was typed.
//!
//! Parsing looks at the words of the command line alone, never at files, the terminal or the
//! environment, so `--help` cannot fail and tests need no process. What the words mean is in
//! [`crate::config`]. Defaults that depend on nothing else stand here, where the help shows them.

pub mod value;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::config::{ErrorInput, Format, OutputFormat};
use crate::protocol::Protocol;
use crate::schedule::policy::{OnError, Window};
use crate::worker::init::SharedArg;

const INPUT: &str = "Input";
const WORKERS: &str = "Workers";
const OUTPUT: &str = "Output";
const BACKPRESSURE: &str = "Backpressure";
const FAILURES: &str = "Failures";
const SEEN: &str = "What you see";

const EXAMPLES: &str = "\
Examples:
  seq 100000 | mtask sed -u 's/$/!/'
      Any filter that flushes line by line is a worker, one for each CPU.
  mtask -i urls.txt -j 8 --timeout 30s --errors failed.jsonl -- python3 fetch.py
      Eight workers, 30 s for each record, failed records in a file of their own.
  mtask -u --worker-arg gpu=0 --worker-arg gpu=1 ./infer --device {gpu} < prompts.txt
      Two workers, each with a device of its own; results as they finish.";

const EXIT_STATUSES: &str = "\
Exit status:
  0      every record gave a result (or --on-error ignore)
  1      input could not be read, output could not be written, or an internal fault
  2      usage
  123    a record failed, or a worker failed at its end
  125    no worker could be kept running
  126    COMMAND is not executable
  127    COMMAND was not found
  128+n  ended by signal n

DURATION is a number with ms, s, m, h or d; without one it is seconds. SIZE is a number of bytes, \
or a number with K, M or G, powers of 1024.";

/// Stream records through persistent worker processes
///
/// Starts N copies of COMMAND once, keeps them running, streams records from the input to them
/// over stdio and writes their answers to the output, in input order or as they finish. A worker
/// reads one record on each line of its stdin and writes one answer line for each, flushed. One
/// that needs half a minute to start does so once, not once per record.
///
/// Options end at COMMAND: what follows it is passed to it.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "mtask",
    version,
    override_usage = "mtask [OPTIONS] [--] COMMAND [ARG]...",
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_STATUSES}"),
    args_override_self = true,
    max_term_width = 100
)]
pub struct Arguments {
    /// What each worker runs, executed directly, never through a shell
    ///
    /// Looked up in PATH. Records come on its stdin and are never put into its command line.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,

    /// Read records from FILE instead of stdin; may be given again
    ///
    /// Several files are read one after another, no record spans two; `-` is stdin. `-a` is
    /// accepted too, as in xargs.
    #[arg(short, long, short_alias = 'a', value_name = "FILE", help_heading = INPUT)]
    pub input: Vec<PathBuf>,

    /// What a record is
    ///
    /// [default: lines with --protocol lines, jsonl with --protocol json]
    #[arg(long, value_enum, help_heading = INPUT)]
    pub format: Option<Format>,

    /// Records end with NUL instead of newline, towards workers and in all output
    ///
    /// Only with `--format lines` and `--protocol lines`.
    #[arg(short = '0', long, help_heading = INPUT)]
    pub null: bool,

    /// The longest record and the longest answer; what is longer fails its record
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64M",
        value_parser = value::size,
        allow_negative_numbers = true,
        help_heading = INPUT
    )]
    pub max_record: NonZeroUsize,

    /// How many workers [default: one for each --worker-arg, else for each usable CPU]
    ///
    /// CPUs this process may use are counted: affinity and cgroup limits are respected. `-P` is
    /// accepted too, as in xargs.
    #[arg(
        short,
        long,
        short_alias = 'P',
        value_name = "N",
        value_parser = value::jobs,
        allow_negative_numbers = true,
        help_heading = WORKERS
    )]
    pub jobs: Option<NonZeroUsize>,

    /// How records and answers travel
    #[arg(long, value_enum, default_value = "lines", help_heading = WORKERS)]
    pub protocol: Protocol,

    /// One worker's own argument: KEY=VALUE, a JSON object or plain text; give one for each worker
    ///
    /// The number of workers must be a multiple of how many are given: they are dealt out in turn.
    /// In COMMAND and its arguments, {KEY} stands for the key's value, {arg} for the whole INIT
    /// and {worker} for the worker's number; other braces are left alone. Where neither {KEY}
    /// nor {arg} occurs, INIT is added as the last argument. Workers also find it in MTASK_ARG.
    #[arg(long, value_name = "INIT", allow_hyphen_values = true, help_heading = WORKERS)]
    pub worker_arg: Vec<String>,

    /// Added to every worker's argument; may be given again
    ///
    /// The worker's own value wins. With this option {arg}, MTASK_ARG and an added last argument
    /// are one JSON object: the worker's own keys, then the shared ones it lacks.
    #[arg(
        long,
        value_name = "KEY=VALUE",
        value_parser = SharedArg::parse,
        help_heading = WORKERS
    )]
    pub shared_arg: Vec<SharedArg>,

    /// Put `[worker 2] ` before each line of a worker's stderr
    #[arg(long, help_heading = WORKERS)]
    pub tag_stderr: bool,

    /// Replace a worker's process after N records
    #[arg(
        long,
        value_name = "N",
        value_parser = value::count,
        allow_negative_numbers = true,
        help_heading = WORKERS
    )]
    pub lifespan: Option<NonZeroUsize>,

    /// Write results to FILE instead of stdout; `-` is stdout
    ///
    /// Refused where FILE is an input file.
    #[arg(short, long, value_name = "FILE", help_heading = OUTPUT)]
    pub output: Option<PathBuf>,

    /// Results in input order, the default
    #[arg(short = 'k', overrides_with = "unordered", help_heading = OUTPUT)]
    pub ordered: bool,

    /// Results as they finish; of -k and -u the last one wins
    #[arg(short, long, overrides_with = "ordered", help_heading = OUTPUT)]
    pub unordered: bool,

    /// How results are written
    ///
    /// [default: raw; text with --protocol json and --format lines]
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = OUTPUT)]
    pub output_format: Option<OutputFormat>,

    /// Write error records to FILE instead of their places in the output
    ///
    /// Refused where FILE is an input file or where results go.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub errors: Option<PathBuf>,

    /// Write what workers say at their ends to FILE, with --protocol json
    ///
    /// A line `{"worker":1,"life":0,"exit":…}` for each, as they come. Refused where FILE is an
    /// input file or another output.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub exits: Option<PathBuf>,

    /// What an error record holds of the record that failed
    #[arg(long, value_enum, default_value = "whole", value_name = "PART", help_heading = OUTPUT)]
    pub error_input: ErrorInput,

    /// How many records a worker may have been sent and not yet answered: auto, N or full
    ///
    /// `auto` keeps about 5 ms of work in flight, by measured time. `full` sends as much as fits,
    /// for filters that buffer their output and cannot be told to flush.
    #[arg(
        long,
        value_name = "auto|N|full",
        default_value = "auto",
        value_parser = value::window,
        allow_negative_numbers = true,
        help_heading = BACKPRESSURE
    )]
    pub window: Window,

    /// The most bytes held at any time; when they are used up, no input is read
    ///
    /// Counted are records that wait for a worker or are at one, and answers that wait for their
    /// turn. A single record larger than that still passes, alone.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64M",
        value_parser = value::size,
        allow_negative_numbers = true,
        help_heading = BACKPRESSURE
    )]
    pub buffer: NonZeroUsize,

    /// What follows when a record fails
    #[arg(
        long,
        value_enum,
        default_value = "defer",
        value_name = "ACTION",
        help_heading = FAILURES
    )]
    pub on_error: OnError,

    /// Send nothing new after the Nth failure
    #[arg(
        long,
        value_name = "N",
        value_parser = value::count,
        allow_negative_numbers = true,
        help_heading = FAILURES
    )]
    pub max_errors: Option<NonZeroUsize>,

    /// How long a worker may take over one record [default: no limit]
    ///
    /// Then its process is stopped and replaced, and the record fails or is tried again
    /// (`--retries`). 0 is no limit, as for timeout(1). Not allowed with `--window full`, where
    /// nobody can tell which record is late.
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = value::duration,
        allow_negative_numbers = true,
        help_heading = FAILURES
    )]
    pub timeout: Option<Duration>,

    /// How long a worker may take to its first answer [default: 5m with --timeout, else no limit]
    ///
    /// 0 is no limit.
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = value::duration,
        allow_negative_numbers = true,
        help_heading = FAILURES
    )]
    pub init_timeout: Option<Duration>,

    /// How often a failed record is tried again
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        value_parser = value::times,
        allow_negative_numbers = true,
        help_heading = FAILURES
    )]
    pub retries: u32,

    /// Never send a record twice, not even after its worker died
    ///
    /// A worker is sent one record at a time, and what a dying one held fails.
    #[arg(long, conflicts_with = "window", help_heading = FAILURES)]
    pub at_most_once: bool,

    /// Give a worker up after N processes in a row that ended without an answer
    #[arg(
        long,
        value_name = "N",
        default_value = "5",
        value_parser = value::times,
        allow_negative_numbers = true,
        help_heading = FAILURES
    )]
    pub max_restarts: u32,

    /// How long a worker may take to exit after the end of its input; then it is killed
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        value_parser = value::duration_above_zero,
        allow_negative_numbers = true,
        help_heading = FAILURES
    )]
    pub exit_timeout: Duration,

    /// How long a worker may take to exit after SIGTERM; then SIGKILL follows
    ///
    /// Where mtask itself is told to end by a signal, everything is over within this time.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5s",
        value_parser = value::duration,
        allow_negative_numbers = true,
        help_heading = FAILURES
    )]
    pub grace: Duration,

    /// Report errors only: no hints, warnings or summary
    #[arg(short, long, help_heading = SEEN)]
    pub quiet: bool,

    /// Print each worker's command line and environment, and start nothing
    #[arg(long, help_heading = SEEN)]
    pub dry_run: bool,
}

#[cfg(test)]
mod tests;

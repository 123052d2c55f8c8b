//! What was typed.
//!
//! Parsing looks at the words of the command line alone, never at files, the terminal or the
//! environment, so `--help` cannot fail and tests need no process. What the words mean is in
//! [`crate::config`]. Defaults that depend on nothing else stand here, where the help shows them.

mod after_help;
pub mod value;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, ValueHint};

use crate::config::{ErrorInput, Format, OutputFormat};
use crate::generate::Artifact;
use crate::protocol::Protocol;
use crate::report::When;
use crate::schedule::policy::{OnError, Window};
use crate::worker::init::SharedArg;
use crate::worker::python::{ArgumentType, Callable};

const INPUT: &str = "Input";
const WORKERS: &str = "Workers";
const OUTPUT: &str = "Output";
const BACKPRESSURE: &str = "Backpressure";
const FAILURES: &str = "Failures";
const SEEN: &str = "What you see";

const PROGRESS: &str = "\
How far the run is, on stderr

Records done (failed ones included), failed ones, the rate of late and the time since the start; where \
the number of records (`--total`) or the size of the input (regular files) is known, also a percentage \
and the time left. It is shown";

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
    override_usage = "mtask [OPTIONS] [--] COMMAND [ARG]...\n       \
                      mtask [OPTIONS] --python FILE.py:NAME [-- COMMAND [ARG]...]",
    after_help = after_help::SHORT,
    after_long_help = after_help::long(),
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true,
    max_term_width = 100
)]
pub struct Arguments {
    /// What each worker runs, directly, never through a shell
    ///
    /// Looked up in PATH. Records come on its stdin and are never put into its command line. All
    /// that follows it is passed to it. With `--python` it is how the interpreter is started.
    #[arg(
        required_unless_present_any = ["generate", "python"],
        trailing_var_arg = true,
        value_name = "COMMAND",
        hide_short_help = true,
        value_hint = ValueHint::CommandWithArguments
    )]
    pub command: Vec<OsString>,

    /// Read records from FILE, not stdin; again for more
    ///
    /// Several files are read one after another, no record spans two; `-` is stdin. `-a` is
    /// accepted too, as in xargs.
    #[arg(
        short,
        long,
        short_alias = 'a',
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        help_heading = INPUT
    )]
    pub input: Vec<PathBuf>,

    /// What a record is: lines or jsonl
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        long_help = value::described::<Format>("What a record is")
            + "\n\n[default: lines with --protocol lines, jsonl with --protocol json]",
        help_heading = INPUT
    )]
    pub format: Option<Format>,

    /// Records end with NUL instead of newline
    ///
    /// Towards workers and in all output, too. Only with `--format lines` and `--protocol lines`.
    #[arg(short = '0', long, help_heading = INPUT)]
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
        hide_short_help = true,
        help_heading = INPUT
    )]
    pub max_record: NonZeroUsize,

    /// How many [default: one for each usable CPU]
    ///
    /// With `--worker-arg`, one for each of them unless said otherwise. Usable CPUs are those this
    /// process may use: affinity and cgroup limits are respected. `-P` is accepted too, as in
    /// xargs.
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

    /// Their protocol: lines or json
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        long_help = value::described::<Protocol>("How records and answers travel")
            + "\n\n[default: lines; json with --python]",
        help_heading = WORKERS
    )]
    pub protocol: Option<Protocol>,

    /// An argument of one worker's own; again for each
    ///
    /// INIT is KEY=VALUE, a JSON object or plain text. The number of workers must be a multiple of
    /// how many are given: they are dealt out in turn. In COMMAND and its arguments, {KEY} stands
    /// for the key's value, {arg} for the whole INIT and {worker} for the worker's number; other
    /// braces are left alone. Where neither {KEY} nor {arg} occurs, INIT is added as the last
    /// argument. Workers also find it in MTASK_ARG.
    #[arg(
        long,
        value_name = "INIT",
        allow_hyphen_values = true,
        help_heading = WORKERS
    )]
    pub worker_arg: Vec<String>,

    /// Added to every worker's argument; again for more
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

    /// Put `[worker 2] ` before lines of their stderr
    #[arg(long, help_heading = WORKERS)]
    pub tag_stderr: bool,

    /// Replace a worker's process after N records [default: never]
    #[arg(
        long,
        value_name = "N",
        value_parser = value::count,
        allow_negative_numbers = true,
        hide_short_help = true,
        help_heading = WORKERS
    )]
    pub lifespan: Option<NonZeroUsize>,

    /// Call a Python function or class with each record
    ///
    /// FILE.py:NAME or package.module:NAME. A class is constructed once in each process of a worker:
    /// the keys of `--worker-arg` and `--shared-arg` are keyword arguments, their values JSON where
    /// they can be read as such; plain text is the one positional argument. Its instance is called
    /// with each record. Records and results are JSON values, strings with `--format lines`. COMMAND
    /// is how the interpreter is started, python3 without one: Python 3.8 or newer.
    #[arg(
        long,
        value_name = "FILE.py:NAME",
        value_parser = Callable::parse,
        value_hint = ValueHint::FilePath,
        help_heading = WORKERS
    )]
    pub python: Option<Callable>,

    /// A record as single argument, args or kwargs
    #[arg(
        long,
        value_enum,
        default_value = "single",
        value_name = "TYPE",
        requires = "python",
        hide_possible_values = true,
        hide_short_help = true,
        long_help = value::described::<ArgumentType>("How a record is passed with `--python`"),
        help_heading = WORKERS
    )]
    pub argument_type: ArgumentType,

    /// Call with lists of up to N records
    ///
    /// With `--python`: as many as are waiting; the call returns a list of as many results. Where it
    /// raises, or returns another number, its records are tried one by one, as lists of one. A
    /// worker has up to 2N records at a time.
    #[arg(
        long,
        value_name = "N",
        value_parser = value::count,
        allow_negative_numbers = true,
        requires = "python",
        hide_short_help = true,
        help_heading = WORKERS
    )]
    pub batch: Option<NonZeroUsize>,

    /// Write results to FILE instead of stdout
    ///
    /// `-` is stdout. Refused where FILE is an input file.
    #[arg(
        short,
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        help_heading = OUTPUT
    )]
    pub output: Option<PathBuf>,

    /// Results in input order, the default
    #[arg(
        short = 'k',
        overrides_with = "unordered",
        hide_short_help = true,
        help_heading = OUTPUT
    )]
    pub ordered: bool,

    /// Results as they finish, not in input order
    ///
    /// Of `-k` and `-u` the last one wins.
    #[arg(short, long, overrides_with = "ordered", help_heading = OUTPUT)]
    pub unordered: bool,

    /// Results as raw, envelope or text
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        hide_possible_values = true,
        long_help = value::described::<OutputFormat>("How results are written")
            + "\n\n[default: raw; text with --protocol json and --format lines]",
        help_heading = OUTPUT
    )]
    pub output_format: Option<OutputFormat>,

    /// Write error records to FILE, not among results
    ///
    /// Refused where FILE is an input file or where results go.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        help_heading = OUTPUT
    )]
    pub errors: Option<PathBuf>,

    /// Write what workers say at their ends to FILE
    ///
    /// With `--protocol json`: a line `{"worker":1,"life":0,"exit":...}` for each, as they come.
    /// Refused where FILE is an input file or another output.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        hide_short_help = true,
        help_heading = OUTPUT
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
        long_help = value::described::<ErrorInput>("What an error record holds of its record"),
        help_heading = OUTPUT
    )]
    pub error_input: ErrorInput,

    /// Keep a journal, or go on from it
    ///
    /// With `--output FILE`. The journal says what is safely in the output and in the file of
    /// `--errors`. Where it exists, these are cut back to that, and what is done is passed over: run
    /// again after it was killed, the same command line ends with the same files. Not allowed with
    /// `--at-most-once`.
    #[arg(
        long,
        value_name = "JOURNAL",
        value_hint = ValueHint::FilePath,
        help_heading = OUTPUT
    )]
    pub resume: Option<PathBuf>,

    /// Records at a worker: auto, N or full
    ///
    /// How many records a worker may have been sent and not yet answered. `auto` keeps about 5 ms
    /// of work in flight, by measured time. `full` sends as much as fits, for filters that buffer
    /// their output and cannot be told to flush.
    #[arg(
        long,
        value_name = "WINDOW",
        default_value = "auto",
        value_parser = value::window,
        allow_negative_numbers = true,
        help_heading = BACKPRESSURE
    )]
    pub window: Window,

    /// Hold at most so many bytes
    ///
    /// When they are used up, no input is read. Counted are records that wait for a worker or are at one, and answers that wait for their
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

    /// When a record fails: defer, ignore, raise or drain
    #[arg(
        long,
        value_enum,
        default_value = "defer",
        value_name = "ACTION",
        hide_possible_values = true,
        long_help = value::described::<OnError>("What follows when a record fails"),
        help_heading = FAILURES
    )]
    pub on_error: OnError,

    /// Send nothing new after the Nth failure
    ///
    /// What was sent is finished, as with `--on-error drain`. The default is to go on.
    #[arg(
        long,
        value_name = "N",
        value_parser = value::count,
        allow_negative_numbers = true,
        help_heading = FAILURES
    )]
    pub max_errors: Option<NonZeroUsize>,

    /// The limit for one record [default: none]
    ///
    /// A worker that takes longer is stopped and replaced, and the record fails or is tried again
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

    /// The limit for a worker's first answer
    ///
    /// The default is 5m with `--timeout`, else none. 0 is no limit.
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = value::duration,
        allow_negative_numbers = true,
        hide_short_help = true,
        help_heading = FAILURES
    )]
    pub init_timeout: Option<Duration>,

    /// How often to try a failed record again
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        value_parser = value::times,
        allow_negative_numbers = true,
        help_heading = FAILURES
    )]
    pub retries: u32,

    /// Never send a record twice, even if its worker died
    ///
    /// A worker is sent one record at a time, and what a dying one held fails. Not allowed with
    /// `--window`.
    #[arg(long, conflicts_with = "window", help_heading = FAILURES)]
    pub at_most_once: bool,

    /// Give a worker up after N deaths without an answer
    ///
    /// Counted are processes in a row that ended without an answer and without a record to blame.
    /// 4 times as many that ended without an answer are too many whatever the reason.
    #[arg(
        long,
        value_name = "N",
        default_value = "5",
        value_parser = value::times,
        allow_negative_numbers = true,
        hide_short_help = true,
        help_heading = FAILURES
    )]
    pub max_restarts: u32,

    /// How long a worker may take to exit at its end
    ///
    /// Counted from the end of its stdin, or from its last answer where that came later. Then it
    /// is killed, and the status is 123.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        value_parser = value::duration_above_zero,
        allow_negative_numbers = true,
        hide_short_help = true,
        help_heading = FAILURES
    )]
    pub exit_timeout: Duration,

    /// The time between SIGTERM and SIGKILL
    ///
    /// For a worker that is stopped. Where mtask itself is told to end by a signal, everything is
    /// over within this time.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5s",
        value_parser = value::duration,
        allow_negative_numbers = true,
        hide_short_help = true,
        help_heading = FAILURES
    )]
    pub grace: Duration,

    /// Show progress: auto, always or never
    #[arg(
        long,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        hide_possible_values = true,
        long_help = value::described::<When>(PROGRESS),
        help_heading = SEEN
    )]
    pub progress: When,

    /// What the progress calls this run
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        hide_short_help = true,
        help_heading = SEEN
    )]
    pub desc: Option<String>,

    /// How many records there will be
    ///
    /// For the percentage and the time left of the progress; changes nothing else.
    #[arg(
        long,
        value_name = "N",
        value_parser = value::records,
        allow_negative_numbers = true,
        hide_short_help = true,
        help_heading = SEEN
    )]
    pub total: Option<u64>,

    /// Where the workers' time went, on stderr at the end
    ///
    /// For each worker its records, failures and processes, and the time that these were starting up
    /// (until the first answer), waiting (with nothing to do, or held back), working, exiting or not
    /// there. Then the five slowest records, those of less than a millisecond and the first one of
    /// each process left out, for it includes the start. And a hint where less than 80 % of the time
    /// was spent working.
    #[arg(long, help_heading = SEEN)]
    pub stats: bool,

    /// Write statistics to FILE, as JSON
    ///
    /// What `--stats` shows; docs/statistics.md tells what each field means. FILE is opened before
    /// anything runs, and refused where it is an input or an output file.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        hide_short_help = true,
        help_heading = SEEN
    )]
    pub stats_file: Option<PathBuf>,

    /// Errors only: no hints, warnings or summary
    #[arg(short, long, help_heading = SEEN)]
    pub quiet: bool,

    /// Print the workers' command lines, start nothing
    ///
    /// Each with its environment, in a form that a shell can run.
    #[arg(long, help_heading = SEEN)]
    pub dry_run: bool,

    /// Print the man page or a shell's completions
    ///
    /// COMMAND is not needed then, and nothing is started.
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        hide_possible_values = true,
        hide_short_help = true,
        long_help = value::described::<Artifact>("Print the man page or a shell's completions"),
        help_heading = SEEN
    )]
    pub generate: Option<Artifact>,

    /// Print help; --help tells more
    ///
    /// `-h` the usual options on one screen, `--help` all of them.
    #[arg(short, long, action = ArgAction::Help, help_heading = SEEN)]
    help: Option<bool>,

    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = SEEN)]
    version: Option<bool>,
}

#[cfg(test)]
mod tests;

//! Options: how many workers there are, what each is told and how they are spoken to.

use std::ffi::OsString;
use std::num::NonZeroUsize;

use clap::builder::TypedValueParser;
use clap::{Args, ValueHint};

use super::value::{self, Jobs};
use crate::shape::Protocol;
use crate::worker::each::RecordPlace;
use crate::worker::init::SharedArg;
use crate::worker::machine::Threads;
use crate::worker::machine::gpus::GpuChoice;
use crate::worker::python::{ArgumentType, Callable};

/// The options under "Workers".
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Workers")]
pub struct Workers {
    /// How many [default: one for each usable CPU]
    ///
    /// A percentage is one of the usable CPUs: `-j50%` is half of them, but at least 1. With
    /// `--worker-arg`, one for each of them unless said otherwise. Usable CPUs are those this
    /// process may use: affinity and cgroup limits are respected. `-P` is accepted too, as in
    /// xargs.
    #[arg(
        short,
        long,
        short_alias = 'P',
        value_name = "N",
        value_parser = value::jobs,
        allow_negative_numbers = true
    )]
    pub jobs: Option<Jobs>,

    /// Their protocol: lines or json
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        long_help = value::described::<Protocol>("How records and answers travel")
            + "\n\n[default: lines; json with --python]"
    )]
    pub protocol: Option<Protocol>,

    /// An answer is all lines up to one that is TEXT
    ///
    /// With `--protocol lines`, for tools that answer in several lines or in none: exiftool, sqlite3,
    /// bc, a REPL. The answer is one result, with all its lines but the last, in an envelope a string;
    /// one of no line writes nothing. A process that has answered everything and not exited 1 s after
    /// the end of its stdin is ended.
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    pub answer_end: Option<OsString>,

    /// Send a line that is TEXT after each record
    ///
    /// With `--protocol lines`: what a tool takes as the end of a request, or what has it print the
    /// line of `--answer-end`.
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    pub record_end: Option<OsString>,

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
        value_parser = value::text(),
        allow_hyphen_values = true
    )]
    pub worker_arg: Vec<String>,

    /// Added to every worker's argument; again for more
    ///
    /// The worker's own value wins. With this option {arg}, MTASK_ARG and an added last argument
    /// are one JSON object: the worker's own keys, then the shared ones it lacks.
    #[arg(
        long,
        value_name = "KEY=VALUE",
        value_parser = value::text().try_map(|text| SharedArg::parse(&text))
    )]
    pub shared_arg: Vec<SharedArg>,

    /// A GPU for each worker: all, or a list as 0,2
    ///
    /// One worker for each, or with `--jobs` a multiple of that: they are dealt out in turn, and {gpu} in
    /// COMMAND and its arguments stands for the worker's own. Workers find it in CUDA_VISIBLE_DEVICES and
    /// HIP_VISIBLE_DEVICES, with CUDA_DEVICE_ORDER=PCI_BUS_ID unless you have set that; so to CUDA it is
    /// the only one. `all` are those of CUDA_VISIBLE_DEVICES where that is set, as batch systems do, else
    /// those that nvidia-smi names, parts of a GPU (MIG) included, else those of /proc/driver/nvidia.
    #[arg(
        long,
        value_name = "GPUS",
        value_parser = value::gpus,
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    pub gpus: Option<GpuChoice>,

    /// Run each worker on CPUs of its own
    ///
    /// Those that mtask may use are dealt out, neighbours to the same worker, where the worker's
    /// processes stay. With `--threads auto` there is a thread for each. More workers than CPUs are an
    /// error. Linux only.
    #[arg(long, hide_short_help = true)]
    pub pin: bool,

    /// Threads that numeric libraries start: auto, N or keep
    ///
    /// Most of them start a thread for each CPU in each worker, and then slow each other down. `auto`
    /// sets the variables by which they choose to each worker's part of the usable CPUs, at least 1:
    /// OMP_NUM_THREADS, OPENBLAS_NUM_THREADS, MKL_NUM_THREADS, BLIS_NUM_THREADS,
    /// VECLIB_MAXIMUM_THREADS, NUMEXPR_NUM_THREADS, NUMBA_NUM_THREADS and RAYON_NUM_THREADS. Where
    /// there are known to be fewer records than workers, those share the CPUs. N sets them to N,
    /// `keep` sets none. If you set OMP_NUM_THREADS, all are left alone, another one if you set that:
    /// in mtask's environment or by env(1) in COMMAND.
    #[arg(
        long,
        value_name = "THREADS",
        default_value = "auto",
        value_parser = value::threads,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    pub threads: Threads,

    /// Replace a worker that holds more memory [default: never]
    ///
    /// What counts are the private bytes of its process and all of its group, looked at once a second. A
    /// process that holds more than SIZE ends, its window run empty, as with `--lifespan`. Where SIZE is
    /// free, the next process starts first, beside it, but not with `--gpus`: nobody knows what a GPU has
    /// free. One that holds more before its first record serves one. Linux only.
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = value::size,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    pub max_worker_memory: Option<NonZeroUsize>,

    /// Put `[worker 2] ` before lines of their stderr
    #[arg(long)]
    pub tag_stderr: bool,

    /// Replace a worker's process after N records [default: never]
    #[arg(
        long,
        value_name = "N",
        value_parser = value::count,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    pub lifespan: Option<NonZeroUsize>,

    /// Call a Python function or class with each record
    ///
    /// FILE.py:NAME, package.module:NAME or an expression, `lambda x: math.sqrt(x)`: modules that it names
    /// are imported. A class is constructed once in each process of a
    /// worker: the keys of `--worker-arg` and `--shared-arg` are keyword arguments, their values
    /// JSON where they can be read as such; plain text is the one positional argument. Its instance
    /// is called with each record. Records and results are JSON values, strings with `--format
    /// lines`. COMMAND is how the interpreter is started, python3 without one: Python 3.8 or newer.
    #[arg(
        long,
        value_name = "FILE.py:NAME",
        value_parser = value::text().try_map(|text| Callable::parse(&text)),
        value_hint = ValueHint::FilePath
    )]
    pub python: Option<Callable>,

    /// Start COMMAND anew for each record, in its arguments
    #[arg(
        long,
        value_enum,
        value_name = "PLACE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "argument",
        hide_possible_values = true,
        hide_short_help = true,
        long_help = value::described::<RecordPlace>(
            "Start COMMAND anew for each record, which reaches it so"
        ) + "\n\nIn COMMAND and its arguments {} stands for the record, {/} for its file name, {//} for \
             its folder, {.} and {/.} for the same without extension, {index} and {worker} for numbers, \
             and with --format jsonl, csv and tsv {KEY} for a field. What the process writes to standard \
             output is the result, the last newline left off; nothing is a result of no line. A status \
             other than 0 fails the record. Nothing is run twice without --retries, and nothing by a \
             shell."
            + "\n\n[--each alone: argument]"
    )]
    pub each: Option<RecordPlace>,

    /// A record as single argument, args or kwargs
    #[arg(
        long,
        value_enum,
        value_name = "TYPE",
        hide_possible_values = true,
        hide_short_help = true,
        long_help = value::described::<ArgumentType>("How a record is passed with `--python`")
            + "\n\n[default: single]"
    )]
    pub argument_type: Option<ArgumentType>,

    /// Call with lists of up to N records
    ///
    /// With `--python`: as many as are waiting; the call returns a list of as many results. Where
    /// it raises, or returns another number, its records are tried again in halves, down to lists of
    /// one. A worker has up to 2N records at a time.
    #[arg(
        long,
        value_name = "N",
        value_parser = value::count,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    pub batch: Option<NonZeroUsize>,

    /// Have up to N calls under way in each worker
    ///
    /// With `--python`: the calls of an `async def` overlap on one event loop, those of a plain function
    /// or class run in N threads. Everything else holds for each record as ever. A call of an `async def`
    /// that takes longer than `--timeout` is cancelled, and only its record fails; one that does not end
    /// within `--grace` of that costs its process, as does a call in a thread at once.
    #[arg(
        long,
        value_name = "N",
        value_parser = value::count,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    pub concurrency: Option<NonZeroUsize>,
}

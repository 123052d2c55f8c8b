//! What the arguments mean: every default resolved, every contradiction refused.
//!
//! [`Config::resolve`] is pure: what it must know of the machine is handed in as
//! [`Surroundings`]. Whether the named files can be used is asked apart, in [`files`].

mod each;
pub mod files;
mod hints;
mod machine;
mod resumed;
mod shape;

use std::env;
use std::ffi::OsString;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::cli::Arguments;
use crate::exit::Unusable;
use crate::input::InputSource;
use crate::outcome::Rendering;
use crate::protocol::Attempts;
use crate::report::{Verbosity, When};
use crate::schedule::policy::{
    Delivery, ErrorRecords, FailureRules, Lead, Lifespan, Limits, Order, Pacing, Policy, Readiness,
    RetryDelay, Window,
};
use crate::shape::{Protocol, Shape};
use crate::shard::{PLACEHOLDER, Shard, has_place};
use crate::visible;
use crate::worker::command::{Dealt, init_unless_placed, worker_commands};
use crate::worker::each::each_commands;
use crate::worker::init::{Init, inits};
use crate::worker::launcher::{Each, Launcher, PythonUnbuffered};
use crate::worker::machine::{cpus, gpus};
use crate::worker::python::{self, ArgumentType, Callable, Calls, PythonWorker};
use crate::worker::stderr::StderrTags;
pub use resumed::EarlierFailures;

/// How long a process may take until it is ready where only `--timeout` is given.
const DEFAULT_INIT_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// What a run is to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where records come from, one after another; at least one.
    pub inputs: Vec<InputSource>,
    /// Which shard of the input is taken, where not all of it is.
    pub shard: Option<Shard>,
    /// How many bytes the input files have, where a shard of them is taken; known once the files
    /// are looked up.
    pub input_sizes: Vec<u64>,
    /// What records and answers look like.
    pub shape: Shape,
    /// Where results go; stdout without one.
    pub output: Option<PathBuf>,
    /// Where error records go; to their places in the output without one.
    pub errors: Option<PathBuf>,
    /// Where goes what workers say at their ends, if it is kept.
    pub exits: Option<PathBuf>,
    /// The journal of a run that can be resumed; with [`Config::output`] alone.
    pub resume: Option<PathBuf>,
    /// What becomes of failures of earlier runs that are gone on with.
    pub earlier_failures: EarlierFailures,
    /// How outcomes are written.
    pub rendering: Rendering,
    /// The bytes held at any time.
    pub buffer: usize,
    /// The rules of the schedule.
    pub policy: Policy,
    /// Whether workers are told which attempt at a record they are sent.
    pub attempts: Attempts,
    /// The file that holds what `--python` names, if it can be looked up here.
    pub python_file: Option<Callable>,
    /// COMMAND as it was typed, what `--python` names before it.
    pub command: Vec<OsString>,
    /// How workers are started.
    pub launcher: Launcher,
    /// What stands before each line of a worker's stderr.
    pub stderr_tags: StderrTags,
    /// What is said on stderr beside errors.
    pub verbosity: Verbosity,
    /// Whether statistics are printed at the end.
    pub stats: StatsOutput,
    /// The file that statistics are written to.
    pub stats_file: Option<PathBuf>,
    /// The file that is told what happens to each record.
    pub log: Option<PathBuf>,
    /// The page that shows the run.
    pub report: Option<PathBuf>,
    /// The file that counts are written to for Prometheus.
    pub metrics_file: Option<PathBuf>,
    /// When progress is shown.
    pub progress: When,
    /// What the progress calls the run.
    pub name: Option<String>,
    /// How many records there will be, as the user says.
    pub total: Option<u64>,
    /// Whether anything is run.
    pub mode: Mode,
    /// Likely mistakes that are no errors, for stderr.
    pub hints: Vec<String>,
}

/// Whether statistics are printed at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsOutput {
    /// They are not.
    None,
    /// They are, on stderr.
    Printed,
}

/// Whether anything is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The workers are.
    Run,
    /// Their command lines are shown instead.
    DryRun,
}

/// What mtask must know of where it runs.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Counts the CPUs this process may use; several files are read for that.
    pub cpus: fn() -> NonZeroUsize,
    /// Finds the CPUs this process may use, neighbours beside each other.
    pub places: fn() -> io::Result<Vec<usize>>,
    /// Finds the GPUs this process may use, or says where it has looked.
    pub gpus: fn() -> Result<Vec<String>, String>,
    /// Whether workers inherit PYTHONUNBUFFERED.
    pub python_unbuffered: PythonUnbuffered,
    /// Whether this variable stands in mtask's environment, which workers inherit.
    pub is_set: fn(&str) -> bool,
    /// PATH, where it is set.
    pub path: Option<OsString>,
}

impl Surroundings {
    /// Asks the machine and the environment.
    pub fn look_up() -> Self {
        let python_unbuffered = match env::var_os("PYTHONUNBUFFERED") {
            Some(_) => PythonUnbuffered::Inherited,
            None => PythonUnbuffered::Absent,
        };
        Self {
            // Heeds affinity and cgroup limits; where it cannot tell, one worker is safe.
            cpus: || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            places: cpus::find,
            gpus: gpus::find,
            python_unbuffered,
            is_set: |name| env::var_os(name).is_some(),
            path: env::var_os("PATH"),
        }
    }
}

impl Config {
    /// What `arguments` mean.
    ///
    /// # Errors
    /// Arguments that contradict each other.
    pub fn resolve(arguments: Arguments, surroundings: &Surroundings) -> Result<Self, Unusable> {
        each::refuse_contradictions(&arguments)?;
        let inits = inits(&arguments.workers.worker_arg, &arguments.workers.shared_arg)?;
        let gpus = machine::gpus(&arguments, surroundings)?;
        let jobs = machine::jobs(&arguments, &gpus, surroundings)?;
        let machine = machine::machine(&arguments, gpus, jobs, surroundings)?;
        let dealt = Dealt {
            inits: &inits,
            gpus: &machine.gpus.names,
        };
        let hints = hints::hints(&arguments, &inits);
        let shape = shape::shape(&arguments)?;
        let rendering = Rendering {
            shape,
            output_format: shape::output_format(&arguments, shape)?,
            error_input: arguments.output.error_input,
        };
        let policy = policy(&arguments, &inits, jobs, shape)?;
        let python = python_worker(&arguments)?;
        let words = &arguments.command;
        let unbuffered = surroundings.python_unbuffered;
        let launcher = match (&python, arguments.workers.each) {
            (_, Some(place)) => {
                let each = Each {
                    commands: each_commands(words, dealt, jobs, shape.format, place)?,
                    place,
                    separator: shape.separator,
                };
                Launcher::each(each, machine)
            }
            (Some(python), None) => {
                let commands = python.commands(words, dealt, jobs)?;
                Launcher::local(commands, shape.protocol, unbuffered, machine)
            }
            (None, None) => {
                let commands = worker_commands(words, dealt, jobs, init_unless_placed)?;
                Launcher::local(commands, shape.protocol, unbuffered, machine)
            }
        };
        let resume = resumed::journal(&arguments)?;
        let earlier_failures = resumed::earlier_failures(&arguments)?;
        let command = typed(&arguments);
        let shard = shard(&arguments)?;
        let placed = |file: Option<PathBuf>| match shard {
            Some(shard) => file.map(|file| shard.place(&file)),
            None => file,
        };
        Ok(Self {
            inputs: sources(arguments.input.input),
            shard,
            input_sizes: Vec::new(),
            shape,
            output: placed(arguments.output.output.filter(|path| path.as_os_str() != "-")),
            errors: placed(apart("--errors", arguments.output.errors)?),
            exits: placed(exits(arguments.output.exits, shape.protocol)?),
            resume: placed(resume),
            earlier_failures,
            rendering,
            buffer: arguments.backpressure.buffer.get(),
            policy,
            attempts: match python {
                Some(_) => Attempts::Told,
                None => Attempts::Untold,
            },
            python_file: python
                .map(|python| python.callable)
                .filter(|_| python::is_run_here(&arguments.command)),
            command,
            launcher,
            stderr_tags: if arguments.workers.tag_stderr {
                StderrTags::Worker
            } else {
                StderrTags::None
            },
            verbosity: if arguments.seen.quiet {
                Verbosity::Quiet
            } else {
                Verbosity::Normal
            },
            stats: if arguments.seen.stats {
                StatsOutput::Printed
            } else {
                StatsOutput::None
            },
            stats_file: placed(apart("--stats-file", arguments.seen.stats_file)?),
            report: placed(apart("--report", arguments.seen.report)?),
            metrics_file: placed(apart("--metrics-file", arguments.seen.metrics_file)?),
            log: placed(apart("--log", arguments.seen.log)?),
            progress: arguments.seen.progress,
            name: arguments.seen.desc,
            total: arguments.seen.total,
            mode: if arguments.seen.dry_run {
                Mode::DryRun
            } else {
                Mode::Run
            },
            hints,
        })
    }
}

fn python_worker(arguments: &Arguments) -> Result<Option<PythonWorker>, Unusable> {
    let argument_type = (arguments.workers.argument_type).unwrap_or(ArgumentType::Single);
    if arguments.workers.python.is_none() {
        let typed = [
            ("--batch", arguments.workers.batch.is_some()),
            ("--concurrency", arguments.workers.concurrency.is_some()),
            ("--argument-type", arguments.workers.argument_type.is_some()),
        ];
        return match typed.into_iter().find(|(_, is_typed)| *is_typed) {
            None => Ok(None),
            Some((option, _)) => Err(Unusable::usage(format!(
                "{option} needs --python: it says how that calls its function or class; leave it out, or \
                 add that"
            ))),
        };
    }
    if arguments.workers.batch.is_some() && argument_type != ArgumentType::Single {
        return Err(Unusable::usage(
            "--batch passes a list of records: leave out --argument-type",
        ));
    }
    let calls = match (arguments.workers.batch, arguments.workers.concurrency) {
        (Some(_), Some(_)) => {
            return Err(Unusable::usage(
                "--batch has one call at a time, with many records, and --concurrency many calls with one \
                 record each: leave one of them out",
            ));
        }
        (Some(most), None) => Calls::Batches(most),
        (None, Some(most)) => Calls::Overlapping(most),
        (None, None) => Calls::OneByOne,
    };
    Ok(
        arguments.workers.python.clone().map(|callable| PythonWorker {
            callable,
            argument_type,
            calls,
        }),
    )
}

fn policy(
    arguments: &Arguments,
    inits: &[Init],
    jobs: NonZeroUsize,
    shape: Shape,
) -> Result<Policy, Unusable> {
    let given = |limit: Option<Duration>| limit.filter(|limit| !limit.is_zero());
    let timeout = given(arguments.failures.timeout);
    if timeout.is_some() && arguments.backpressure.window == Window::Full {
        return Err(Unusable::usage(
            "--timeout with --window full cannot tell which record is late: give --window a \
             number, or leave one of them out",
        ));
    }
    let init_timeout = match arguments.failures.init_timeout {
        Some(_) => given(arguments.failures.init_timeout),
        None => timeout.map(|_| DEFAULT_INIT_TIMEOUT),
    };
    let (delivery, window, retries) = if arguments.failures.at_most_once {
        (Delivery::AtMostOnce, Window::Records(NonZeroUsize::MIN), 0)
    } else {
        (
            Delivery::AtLeastOnce,
            arguments.backpressure.window,
            arguments.failures.retries,
        )
    };
    Ok(Policy {
        jobs,
        shape,
        readiness: match arguments.workers.python {
            Some(_) => Readiness::Announced,
            None => Readiness::Unknown,
        },
        order: if arguments.output.unordered {
            Order::Finish
        } else {
            Order::Input
        },
        error_records: match arguments.output.errors {
            Some(_) => ErrorRecords::Apart,
            None => ErrorRecords::InPlace,
        },
        window,
        lead: Lead::USUAL,
        failures: FailureRules {
            on_error: arguments.failures.on_error,
            max_errors: arguments.failures.max_errors,
            retries,
            max_restarts: arguments.failures.max_restarts,
        },
        limits: Limits {
            timeout,
            init_timeout,
            grace: arguments.failures.grace,
            exit_timeout: arguments.failures.exit_timeout,
            muster: Duration::ZERO,
            max_memory: machine::max_memory(arguments)?,
        },
        pacing: pacing(arguments, inits, jobs),
        delivery,
        lifespan: match (arguments.workers.each, arguments.workers.lifespan) {
            (Some(_), _) => Lifespan::OwnRecord,
            (None, records) => records.into(),
        },
    })
}

/// Which workers have the same init argument, of those that are dealt out in turn; empty where all
/// have.
fn groups(inits: &[Init], jobs: NonZeroUsize) -> Vec<usize> {
    let first = |init: &Init| inits.iter().position(|other| other.text == init.text);
    let groups: Vec<_> = inits.iter().filter_map(first).collect();
    match groups.iter().all(|group| *group == 0) {
        true => Vec::new(),
        false => groups.into_iter().cycle().take(jobs.get()).collect(),
    }
}

fn pacing(arguments: &Arguments, inits: &[Init], jobs: NonZeroUsize) -> Pacing {
    let retry_delay = arguments.failures.retry_delay.map(|(first, longest)| RetryDelay {
        first,
        longest: longest.unwrap_or(RetryDelay::USUAL_LONGEST.max(first)),
        // Shards that began together are not to try again together.
        seed: u64::from(std::process::id()),
    });
    Pacing {
        rate: arguments.backpressure.rate,
        batch: arguments.workers.batch,
        groups: groups(inits, jobs),
        retry_delay,
    }
}

/// Which shard is taken: of regular files, for any other input can be read but once.
fn shard(arguments: &Arguments) -> Result<Option<Shard>, Unusable> {
    let inputs = &arguments.input.input;
    let is_stdin = inputs.is_empty() || inputs.iter().any(|path| path.as_os_str() == "-");
    match arguments.input.shard {
        Some(shard) if is_stdin => Err(Unusable::usage(format!(
            "--shard {shard} takes a part of files, and standard input is read but once: name the files \
             by --input"
        ))),
        Some(shard) => {
            refuse_shared_files(arguments, shard)?;
            Ok(Some(shard))
        }
        None => Ok(None),
    }
}

/// Each shard is a run of its own: what all of them write to one file, they write over.
fn refuse_shared_files(arguments: &Arguments, shard: Shard) -> Result<(), Unusable> {
    let number = shard.number().to_string();
    let is_own = |file: &Path| {
        let name = file.to_string_lossy();
        has_place(file.as_os_str()) || name.contains(&number) || name.starts_with("/dev/")
    };
    let files = [
        ("--output", &arguments.output.output),
        ("--errors", &arguments.output.errors),
        ("--exits", &arguments.output.exits),
        ("--resume", &arguments.output.resume),
        ("--stats-file", &arguments.seen.stats_file),
        ("--log", &arguments.seen.log),
        ("--metrics-file", &arguments.seen.metrics_file),
        ("--report", &arguments.seen.report),
    ];
    for (option, file) in files {
        let Some(file) = file.as_deref().filter(|file| shard.of() > 1 && !is_own(file)) else {
            continue;
        };
        if file.as_os_str() != "-" {
            return Err(Unusable::usage(format!(
                "{option} {} is the same for all {} shards, which would write over each other: write \
                 {PLACEHOLDER} where the number of the shard is to stand",
                visible::name(file),
                shard.of()
            )));
        }
    }
    Ok(())
}

fn sources(inputs: Vec<PathBuf>) -> Vec<InputSource> {
    if inputs.is_empty() {
        return vec![InputSource::Stdin];
    }
    let source = |path: PathBuf| {
        if path.as_os_str() == "-" {
            InputSource::Stdin
        } else {
            InputSource::File(path)
        }
    };
    inputs.into_iter().map(source).collect()
}

/// A file that must not be `-`, which would be the output.
fn apart(option: &str, file: Option<PathBuf>) -> Result<Option<PathBuf>, Unusable> {
    if file.as_ref().is_some_and(|file| file.as_os_str() == "-") {
        return Err(Unusable::usage(format!(
            "{option} - is ambiguous, for the output holds results and error records only: name a \
             file, /dev/stdout or /dev/stderr"
        )));
    }
    Ok(file)
}

fn exits(file: Option<PathBuf>, protocol: Protocol) -> Result<Option<PathBuf>, Unusable> {
    if file.is_some() && !protocol.facts().has_last_word {
        return Err(Unusable::usage(
            "--exits needs --protocol json: with lines, workers cannot say anything at their ends; leave it \
             out, or add that",
        ));
    }
    apart("--exits", file)
}

/// What workers run, as it was typed.
fn typed(arguments: &Arguments) -> Vec<OsString> {
    let python = arguments.workers.python.iter();
    let python = python.flat_map(|callable| ["--python".into(), callable.typed().into()]);
    python.chain(arguments.command.iter().cloned()).collect()
}

#[cfg(test)]
mod tests;

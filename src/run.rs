//! Puts a run together from its configuration.

mod printing;
mod rerun;

use std::collections::BTreeMap;
use std::env;
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use crossbeam_channel::{Receiver, bounded, unbounded};
use rustix::fs::FileType;

use crate::budget::Budget;
use crate::cli::again;
use crate::config::files::Taken;
use crate::config::{Config, StatsOutput};
use crate::engine::{Channels, Engine, EngineConfig, Messages, Output, System};
use crate::exit::{Status, Unusable};
use crate::input::InputSource;
use crate::journal::Journal;
use crate::journal::format::Prefix;
use crate::journal::open::Opened;
use crate::journal::resume_filter::ResumeFilter;
use crate::journal::retried::{self, Retried, RetriedRun};
use crate::output::files::{OutputFile, Outputs};
use crate::output::rewrite;
use crate::output::{Destination, Destinations};
use crate::protocol::Wanted;
use crate::report::log::RunFacts;
use crate::report::{
    Counts, Display, Expected, Form, PageFiles, Progress, Report, ResultsTarget, Targets, Teller,
    Terminals, Verbosity,
};
use crate::schedule::policy::PlacesTold;
use crate::schedule::{Earlier, Scheduler};
use crate::signal::{self, Requests};
use crate::waker::Waker;
use crate::worker::memory::{MemoryWatch, Room};
use crate::worker::oom::OomKills;
use crate::{input, sys, visible};
pub use printing::{print, print_help, printed, refuse};
use rerun::{retry, run_again};

/// A pipe that shows nothing for so long may stay silent: workers start before their first record.
const FIRST_LOOK: Duration = Duration::from_millis(20);
/// A regular file shows its first records or its end soon, even on a busy machine.
const FIRST_LOOK_AT_FILE: Duration = Duration::from_secs(1);

/// How many blocks of input may wait for the engine, which takes them as it needs them.
const ARRIVALS: usize = 2;

/// More workers than this might be all the processes that the system allows: the threads that a run
/// may need are there before them.
const FEW_WORKERS: usize = 2;

const NO_THREAD: &str = "cannot start a thread";

/// Runs to the end, and gives the status to exit with.
///
/// # Errors
/// Where the run cannot begin.
pub fn run(mut config: Config) -> anyhow::Result<Status> {
    check_standard_descriptors(&config)?;
    if config.launcher.machine().is_divided() {
        config.policy.limits.muster = first_look(&config.inputs);
    }
    let verbosity = config.verbosity;
    let (engine, retried) = assemble(config).map_err(name_limit)?;
    let status = engine.run();
    match retried {
        Some(retried) => end_retry(retried, status, verbosity),
        None => Ok(status),
    }
}

/// Puts what was tried again into its place, where all of it was.
fn end_retry(retried: RetriedRun, status: Status, verbosity: Verbosity) -> anyhow::Result<Status> {
    let ended = match status {
        Status::Signal(_) | Status::Fault => Retried::Unfinished,
        _ => {
            // A signal may end it at any time: either all is done or nothing.
            signal::end_at_once();
            let tell = |text: &str| {
                if verbosity == Verbosity::Normal {
                    say(text);
                }
            };
            retried.end(tell)?
        }
    };
    let is_told = verbosity == Verbosity::Normal && status != Status::Fault;
    if ended == Retried::Unfinished && is_told {
        say(
            "not all that failed is tried again: the output is as it was, and the same command line goes on",
        );
    }
    Ok(status)
}

/// Says something on stderr, where nothing runs that would.
pub fn say(text: &str) {
    // Nothing can be said about a stderr that takes nothing.
    let _ = writeln!(io::stderr(), "mtask: {}", visible::line(text));
}

/// Starts the threads around the engine, and makes the engine itself.
fn assemble(config: Config) -> anyhow::Result<(Engine<System>, Option<RetriedRun>)> {
    sys::close_inherited_on_exec();
    sys::descriptors::raise_limit();
    let waker = Waker::new().context("cannot make an event descriptor")?;
    let mut messages = Messages::new(config.verbosity, &waker);
    config.hints.iter().for_each(|hint| messages.warning(hint));
    announce_terminal(&config, &mut messages);

    let budget = Budget::new(config.buffer);
    let mut taken = Taken::default();
    signal::disarm().context("cannot listen to signals")?;
    let mut outputs = Outputs::open(&config, &mut taken, |text| messages.warning(text))?;
    let resumed = match &config.resume {
        Some(journal) => Some(retried::open(&config, journal, &mut taken)?),
        None => None,
    };
    let places = match &resumed {
        Some(resumed) => resumed.places_told(config.policy.order),
        None => PlacesTold::Failures,
    };
    let (opened, retried) = match resumed {
        Some(resumed) => {
            resumed.warnings.iter().for_each(|text| messages.warning(text));
            (Some(resumed.opened), resumed.retried)
        }
        None => (None, None),
    };
    let past = opened.as_ref().map(|opened| (opened.past.clone(), opened.was_ready()));
    let (past, was_ready) = past.unzip();
    // Not before: until the outputs are open, which a named pipe may put off, any signal to end
    // just ends mtask.
    let requests = Requests::listen()?;
    outputs.empty()?;
    let stats_file = outputs.stats.take().map(|stats| (stats.path, stats.file));
    let (send_marks, marks) = unbounded();
    let mut output = prepare_output(outputs, opened, marks, &budget, &waker)?;
    if config.launcher.workers() > FEW_WORKERS {
        messages.start_writer().context(NO_THREAD)?;
        output.start_writer().context(NO_THREAD)?;
    }
    let first_look = match &past {
        // Workers wait for a record that is still to be done: perhaps there is none.
        Some(past) if !past.done.is_empty() => None,
        _ => Some(first_look(&config.inputs)),
    };
    let (failed_again, retry) = match &config.report {
        Some(_) => (run_again(&config), retry(&config)),
        None => (BTreeMap::new(), None),
    };
    let left_out = input::LeftOut::default();
    let earlier = past.as_ref().map(|past| past.done.clone().into());
    let earlier: Earlier = earlier.unwrap_or_default();
    let resumed = earlier.outcomes();
    let logged = config.log.is_some().then(|| RunFacts {
        mtask: env!("CARGO_PKG_VERSION"),
        command: env::args_os().map(visible::name).collect(),
        workers: config.launcher.workers(),
        resumed,
    });
    let mut report = show_progress(&config, earlier, &output, &left_out, &mut messages);
    let filter = past.as_ref().map(|past| {
        let (done, before) = (past.done.ranges.clone(), past.input);
        ResumeFilter::new(done, before, config.shape, &budget, &left_out, send_marks)
    });
    let input = start_input(&config, filter, &budget, left_out, &waker)?;

    let engine_config = EngineConfig {
        stderr_tags: config.stderr_tags,
        shape: config.shape,
        wanted: Wanted::of(config.rendering.output_format, config.shape.separator),
        attempts: config.attempts,
        grace: config.policy.limits.grace,
        first_look,
    };
    let limit = config.policy.limits.max_memory;
    let room = match config.launcher.machine().gpus.names.is_empty() {
        true => Room::Looked,
        false => Room::None,
    };
    let memory = limit.map(|limit| MemoryWatch::start(limit, room, &waker)).transpose();
    let memory = memory.context(NO_THREAD)?;
    let machine = config.launcher.machine().clone();
    let system = System {
        launcher: config.launcher,
        requests,
        waker: waker.clone(),
        memory,
        oom_kills: OomKills::find(),
    };
    let (stats, verbosity) = (config.stats, config.verbosity);
    let mut scheduler = Scheduler::new(config.policy, config.rendering, &budget, Instant::now());
    if let Some(past) = past {
        scheduler.resume(
            past.done,
            past.worker_faults,
            past.doubts,
            was_ready.flatten(),
            places,
        );
    }
    let targets = Targets {
        stderr: (stats == StatsOutput::Printed).then_some(verbosity),
        file: stats_file,
    };
    let files = PageFiles {
        metrics: config.metrics_file,
        report: config.report,
        command: again::quoted(&env::args_os().collect::<Vec<_>>()),
        again: failed_again,
        retry,
        resumed,
        total: config.total,
        name: config.name,
        budget: budget.clone(),
    };
    report.keep_pages(files, Instant::now());
    report.keep_stats(targets, &machine, &mut scheduler, Instant::now());
    if let Some(facts) = logged {
        report.keep_log(&facts, &mut scheduler, Instant::now());
    }
    for page in report.take_pages(&scheduler, Instant::now()) {
        let name = visible::name(&page.path);
        rewrite::replace(&page.path, &page.bytes)
            .with_context(|| format!("cannot write {name}"))?;
    }
    let channels = Channels {
        input,
        output,
        messages,
        report,
        waker,
        budget,
    };
    let engine = Engine::new(system, engine_config, scheduler, channels);
    Ok((engine, retried))
}

/// Says which limit was reached, where one was.
fn name_limit(error: anyhow::Error) -> anyhow::Error {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    match cause.and_then(sys::limit) {
        Some(limit) => anyhow!("{error:#}; raise {limit}"),
        None => error,
    }
}

/// Says on stderr what is likely to be a mistake, where nothing runs that would.
pub fn hint(config: &Config) {
    if config.verbosity == Verbosity::Normal {
        config.hints.iter().for_each(|hint| say(hint));
    }
}

fn check_standard_descriptors(config: &Config) -> Result<(), Unusable> {
    if config.output.is_none() && sys::was_closed_at_start(1) {
        let message = "standard output is closed; redirect it or use --output FILE";
        return Err(Unusable::new(Status::Fault, message));
    }
    if config.inputs.contains(&InputSource::Stdin) && sys::was_closed_at_start(0) {
        let message = "standard input is closed; redirect it or use --input FILE";
        return Err(Unusable::new(Status::Fault, message));
    }
    Ok(())
}

fn announce_terminal(config: &Config, messages: &mut Messages) {
    if config.inputs.contains(&InputSource::Stdin)
        && rustix::termios::isatty(rustix::stdio::stdin())
    {
        messages.warning("records are awaited from the terminal, one a line; Ctrl-D ends them");
    }
}

/// How long to wait for news of the input before workers are started without one.
fn first_look(inputs: &[InputSource]) -> Duration {
    let kind = match inputs.first() {
        Some(InputSource::File(path)) => rustix::fs::stat(path),
        _ => rustix::fs::fstat(rustix::stdio::stdin()),
    };
    match kind.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Fifo | FileType::Socket) => FIRST_LOOK,
        // A terminal is a character device, as /dev/null is.
        Ok(FileType::CharacterDevice) if rustix::termios::isatty(rustix::stdio::stdin()) => {
            FIRST_LOOK
        }
        _ => FIRST_LOOK_AT_FILE,
    }
}

fn prepare_output(
    outputs: Outputs,
    resumed: Option<Opened>,
    marks: Receiver<Prefix>,
    budget: &Budget,
    waker: &Waker,
) -> anyhow::Result<Output<Destination>> {
    let destination = |named: OutputFile| {
        let name = visible::name(&named.path);
        Destination::file(name, named.file)
    };
    let exits = outputs.exits.map(destination);
    let log = outputs.log.map(destination);
    let Some(mut opened) = resumed else {
        let results = match outputs.results {
            Some(results) => destination(results),
            None => Destination::stdout().context("cannot use standard output")?,
        };
        let files = Destinations {
            results,
            errors: outputs.errors.map(destination),
            exits,
            log,
        };
        return Ok(Output::new(files, None, budget, waker));
    };
    let (results, errors) = opened.take_destinations();
    let files = Destinations {
        results,
        errors,
        exits,
        log,
    };
    let journal = Journal::start(opened, marks, waker).context(NO_THREAD)?;
    Ok(Output::new(files, Some(journal), budget, waker))
}

/// Begins to show how far the run is, where that is wanted.
fn show_progress(
    config: &Config,
    earlier: Earlier,
    output: &Output<Destination>,
    left_out: &input::LeftOut,
    messages: &mut Messages,
) -> Report {
    let gpus = config.launcher.machine().gpus.clone();
    let teller = Teller::new(config.policy.clone()).naming(gpus);
    let mut report = Report::new(teller, Instant::now());
    let types_records = config.inputs.contains(&InputSource::Stdin)
        && rustix::termios::isatty(rustix::stdio::stdin());
    let terminals = Terminals::look_up(types_records, ResultsTarget::look_up(output.results()));
    let form = Form::choose(config.progress, config.verbosity, terminals);
    if form == Form::None {
        return report;
    }
    let expected = Expected {
        name: config.name.clone(),
        records: config.total,
        bytes: input_bytes(&config.inputs),
        earlier,
    };
    let (counts, now) = (Counts::default(), Instant::now());
    let progress = Progress::new(counts.clone(), expected, now);
    messages.show(match form {
        Form::Bar(drawing) => Display::bar(progress, drawing, now),
        Form::Lines | Form::None => Display::lines(progress, now),
    });
    report.sample_into(counts, left_out.clone());
    report
}

/// The bytes that are to be read, if all of them lie in regular files.
fn input_bytes(inputs: &[InputSource]) -> Option<u64> {
    let size = |source: &InputSource| {
        let (stat, read) = match source {
            InputSource::File(path) => (rustix::fs::stat(path).ok()?, 0),
            InputSource::Part(part) => return Some(part.range.end - part.range.start),
            InputSource::Stdin => {
                let stdin = rustix::stdio::stdin();
                let read = rustix::fs::tell(stdin).unwrap_or(0);
                (rustix::fs::fstat(stdin).ok()?, read)
            }
        };
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let size = u64::try_from(stat.st_size).ok()?;
        is_file.then(|| size.saturating_sub(read))
    };
    inputs.iter().map(size).sum()
}

fn start_input(
    config: &Config,
    filter: Option<ResumeFilter>,
    budget: &Budget,
    left_out: input::LeftOut,
    waker: &Waker,
) -> anyhow::Result<Receiver<input::Arrival>> {
    let (send, arrivals) = bounded(ARRIVALS);
    let shape = config.shape;
    let (sources, budget, waker) = (config.inputs.clone(), budget.clone(), waker.clone());
    let read = move || {
        let mut pass_on = |arrival| {
            send.send(arrival).map_err(|_| input::Gone)?;
            waker.wake();
            Ok(())
        };
        match filter {
            None => input::read_all(sources, shape, budget, left_out, pass_on),
            Some(mut filter) => input::read_all(sources, shape, budget, left_out, |arrival| {
                filter.take(arrival, &mut pass_on)
            }),
        }
    };
    thread::Builder::new().name("input".into()).spawn(read).context(NO_THREAD)?;
    Ok(arrivals)
}

//! What of the machine is given to workers: how many there are, and what each gets.

use std::num::NonZeroUsize;

use super::Surroundings;
use crate::cli::Arguments;
use crate::exit::Unusable;
use crate::worker::machine::cpus::Pins;
use crate::worker::machine::gpus::{DeviceOrder, GpuChoice, Gpus, ORDER};
use crate::worker::machine::{Machine, ThreadVariables};

/// How the machine is dealt out.
///
/// # Errors
/// More workers than CPUs that each is to have of its own.
pub(super) fn machine(
    arguments: &Arguments,
    gpus: Gpus,
    jobs: NonZeroUsize,
    surroundings: &Surroundings,
) -> Result<Machine, Unusable> {
    Ok(Machine {
        threads: ThreadVariables::new(
            arguments.workers.threads,
            &arguments.command,
            surroundings.is_set,
            surroundings.cpus,
        ),
        gpus,
        pins: pins(arguments, jobs, surroundings)?,
    })
}

/// The GPUs that are dealt out.
///
/// # Errors
/// There is none.
pub(super) fn gpus(arguments: &Arguments, surroundings: &Surroundings) -> Result<Gpus, Unusable> {
    let names = match &arguments.workers.gpus {
        None => return Ok(Gpus::default()),
        Some(GpuChoice::Listed(names)) => names.clone(),
        Some(GpuChoice::All) => (surroundings.gpus)().map_err(|places| {
            Unusable::usage(format!(
                "--gpus all finds no GPU: {places}; name them, as --gpus 0,1"
            ))
        })?,
    };
    Ok(Gpus {
        names,
        order: match (surroundings.is_set)(ORDER) {
            true => DeviceOrder::Inherited,
            false => DeviceOrder::Absent,
        },
    })
}

fn pins(
    arguments: &Arguments,
    jobs: NonZeroUsize,
    surroundings: &Surroundings,
) -> Result<Pins, Unusable> {
    if !arguments.workers.pin {
        return Ok(Pins::default());
    }
    let cpus = (surroundings.places)().map_err(|error| {
        Unusable::usage(format!(
            "--pin: the CPUs that mtask may use are not to be had: {error}; leave it out"
        ))
    })?;
    if jobs.get() > cpus.len() {
        return Err(Unusable::usage(format!(
            "--pin gives each of {jobs} workers CPUs of its own, and there are {}: try --jobs {0}, or \
             leave it out",
            cpus.len()
        )));
    }
    Ok(Pins::new(cpus))
}

/// How many bytes a worker may hold.
///
/// # Errors
/// Where nobody tells how many it does.
pub(super) fn max_memory(arguments: &Arguments) -> Result<Option<NonZeroUsize>, Unusable> {
    match arguments.workers.max_worker_memory {
        Some(_) if !cfg!(target_os = "linux") => Err(Unusable::usage(
            "--max-worker-memory looks at /proc, which Linux alone has: leave it out, or use --lifespan",
        )),
        limit => Ok(limit),
    }
}

/// How many workers there are.
///
/// # Errors
/// What is dealt out to them does not come out even.
pub(super) fn jobs(
    arguments: &Arguments,
    gpus: &Gpus,
    surroundings: &Surroundings,
) -> Result<NonZeroUsize, Unusable> {
    let asked = arguments.workers.jobs.map(|jobs| jobs.on(surroundings.cpus));
    let given = [
        (arguments.workers.worker_arg.len(), "--worker-arg given"),
        (gpus.names.len(), "GPUs of --gpus"),
    ];
    let dealt = || given.into_iter().filter_map(|(count, _)| NonZeroUsize::new(count));
    let Some(fewest) = dealt().reduce(least_common_multiple) else {
        return Ok(asked.unwrap_or_else(surroundings.cpus));
    };
    let jobs = asked.unwrap_or(fewest);
    let uneven =
        given.into_iter().find(|(count, _)| *count > 0 && !jobs.get().is_multiple_of(*count));
    match uneven {
        None => Ok(jobs),
        Some((count, what)) => Err(Unusable::usage(format!(
            "--jobs {jobs} is not a multiple of the {count} {what}, which are dealt out in turn: try \
             --jobs {}",
            jobs.get().next_multiple_of(fewest.get())
        ))),
    }
}

fn least_common_multiple(a: NonZeroUsize, b: NonZeroUsize) -> NonZeroUsize {
    let (mut divisor, mut rest) = (a.get(), b.get());
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    NonZeroUsize::new(a.get() / divisor).map_or(a, |part| b.saturating_mul(part))
}

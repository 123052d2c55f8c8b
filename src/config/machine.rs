//! What of the machine is given to workers: how many there are, and what each gets.

use std::num::NonZeroUsize;

use super::Surroundings;
use crate::cli::Arguments;
use crate::exit::Unusable;
use crate::worker::machine::{Machine, ThreadVariables};

/// How the machine is dealt out.
pub(super) fn machine(arguments: &Arguments, surroundings: &Surroundings) -> Machine {
    Machine {
        threads: ThreadVariables::new(
            arguments.workers.threads,
            &arguments.command,
            surroundings.is_set,
            surroundings.cpus,
        ),
    }
}

/// How many workers there are.
pub(super) fn jobs(
    arguments: &Arguments,
    surroundings: &Surroundings,
) -> Result<NonZeroUsize, Unusable> {
    let asked = arguments.workers.jobs.map(|jobs| jobs.on(surroundings.cpus));
    let Some(given) = NonZeroUsize::new(arguments.workers.worker_arg.len()) else {
        return Ok(asked.unwrap_or_else(surroundings.cpus));
    };
    let jobs = asked.unwrap_or(given);
    if jobs.get() % given != 0 {
        return Err(Unusable::usage(format!(
            "--jobs {jobs} is not a multiple of the {given} --worker-arg given, which are dealt \
             out in turn: try --jobs {}",
            jobs.get().next_multiple_of(given.get())
        )));
    }
    Ok(jobs)
}

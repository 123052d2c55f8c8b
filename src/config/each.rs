//! What cannot be asked for together with a process for each record.

use crate::cli::Arguments;
use crate::exit::Unusable;
use crate::schedule::policy::Window;
use crate::shape::Protocol;

/// Refuses what is of workers that stay, with `--each`.
pub(super) fn refuse_contradictions(arguments: &Arguments) -> Result<(), Unusable> {
    let workers = &arguments.workers;
    if workers.each.is_none() {
        return Ok(());
    }
    let contradictions = [
        (
            workers.python.is_some(),
            "--each starts a process for each record, and --python keeps one: leave --each out, or run the \
             file as a command, --each -- python3 FILE.py",
        ),
        (
            workers.protocol == Some(Protocol::Json),
            "--each takes the stdout and the exit status of each process as the answer: leave out \
             --protocol json; for records that are JSON use --format jsonl",
        ),
        (
            workers.answer_end.is_some() || workers.record_end.is_some(),
            "--each takes all that a process writes as the answer: leave out --answer-end and --record-end",
        ),
        (
            workers.lifespan.is_some(),
            "--each gives each process one record: leave out --lifespan",
        ),
        (
            workers.max_worker_memory.is_some(),
            "--each gives each process one record, and ends none for what it holds: leave out \
             --max-worker-memory; ulimit -v bounds it",
        ),
        (
            arguments.backpressure.window != Window::Auto,
            "--each gives each process one record: leave out --window",
        ),
        (
            arguments.failures.init_timeout.is_some(),
            "--each has no start that is timed apart: --timeout holds from the start of a process",
        ),
    ];
    match contradictions.into_iter().find(|(holds, _)| *holds) {
        Some((_, why)) => Err(Unusable::usage(why)),
        None => Ok(()),
    }
}

//! What a run that can be resumed needs, and what becomes of what failed.

use std::path::PathBuf;

use crate::cli::Arguments;
use crate::exit::Unusable;

/// What becomes of failures of earlier runs that are gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlierFailures {
    /// They stand.
    Stand,
    /// They are tried again (`--retry-failed`).
    TriedAgain,
}

/// The journal, which must not be `-`.
pub(super) fn journal(arguments: &Arguments) -> Result<Option<PathBuf>, Unusable> {
    let Some(journal) = &arguments.output.resume else {
        return Ok(None);
    };
    let is_file = |path: &PathBuf| path.as_os_str() != "-";
    if !arguments.output.output.as_ref().is_some_and(is_file) {
        return Err(Unusable::usage(
            "--resume needs --output FILE: what was written to a pipe cannot be cut back to what is \
             done",
        ));
    }
    if arguments.failures.at_most_once {
        return Err(Unusable::usage(
            "--resume with --at-most-once: what was sent when a run was killed would be sent \
             again: leave one of them out",
        ));
    }
    if !is_file(journal) {
        return Err(Unusable::usage("--resume - is ambiguous: name a file"));
    }
    Ok(Some(journal.clone()))
}

/// What becomes of what the journal says to have failed.
pub(super) fn earlier_failures(arguments: &Arguments) -> Result<EarlierFailures, Unusable> {
    match (arguments.output.retry_failed, &arguments.output.resume) {
        (false, _) => Ok(EarlierFailures::Stand),
        (true, Some(_)) => Ok(EarlierFailures::TriedAgain),
        (true, None) => Err(Unusable::usage(
            "--retry-failed needs --resume JOURNAL, which says what failed and where: without one, give the              inputs in the error records to another run",
        )),
    }
}

//! What is no run: help, a version, what would run, and why the arguments are of no use.

use std::env;
use std::io::{self, Write};

use anyhow::Context;

use crate::cli::Arguments;
use crate::exit::{Status, Unusable};
use crate::{sys, visible};

/// Says why the arguments are of no use. What was typed is shown as it is elsewhere, in colour
/// where stderr is one that shows it.
pub fn refuse(error: &clap::Error) -> Status {
    let is_shown = if env::args_os().all(|word| visible::is_plain(&word)) {
        error.print().is_ok()
    } else {
        // The same fault of words that can be seen.
        let words = env::args_os().map(visible::name);
        match Arguments::read(words) {
            Err(error) if error.use_stderr() => error.print().is_ok(),
            _ => false,
        }
    };
    if !is_shown {
        // Nothing can be said about a stderr that takes nothing.
        let _ = write!(io::stderr(), "{}", visible::lines(&error.to_string()));
    }
    Status::Usage
}

/// Writes the help or the version to stdout, as [`fn@print`] does, but in colour where that is one
/// that shows it.
///
/// # Errors
/// Where it cannot be written.
pub fn print_help(help: &clap::Error) -> anyhow::Result<Status> {
    check_printable()?;
    printed(help.print().and_then(|()| io::stdout().flush()))
}

/// Writes something that is no run to stdout. A reader that has gone ends it quietly, as in a run.
///
/// # Errors
/// Where it cannot be written.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<Status> {
    check_printable()?;
    let mut text = Vec::new();
    write(&mut text).context("cannot be printed")?;
    let mut stdout = io::stdout().lock();
    printed(stdout.write_all(&text).and_then(|()| stdout.flush()))
}

fn check_printable() -> Result<(), Unusable> {
    if sys::was_closed_at_start(1) {
        return Err(Unusable::new(
            Status::Fault,
            "standard output is closed; redirect it",
        ));
    }
    Ok(())
}

/// The status of what was printed.
///
/// # Errors
/// Where it could not be, but for a reader that has gone.
pub fn printed(result: io::Result<()>) -> anyhow::Result<Status> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(Status::Signal(libc::SIGPIPE))
        }
        written => {
            written.context("cannot write standard output")?;
            Ok(Status::Success)
        }
    }
}

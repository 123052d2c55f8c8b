//! `--generate`: the man page and the completions, made from the definition of the command line.
//!
//! What it prints is committed under `man/` and `completions/`, and a test compares the two.
//! Always: the same for the same source, whatever the machine, the environment and the day.

mod completions;
mod man;

use std::io::{self, Write};

use clap::{Command, CommandFactory};

use crate::cli::Arguments;
use crate::cli::seen::Artifact;

/// Writes `artifact`, whole.
///
/// # Errors
/// Where `to` cannot be written.
pub fn write(artifact: Artifact, to: &mut dyn Write) -> io::Result<()> {
    let command = definition();
    let text = match artifact {
        Artifact::Man => man::page(&command),
        Artifact::Bash => completions::bash(&command),
        Artifact::Zsh => completions::zsh(&command),
        Artifact::Fish => completions::fish(&command),
        Artifact::Elvish => completions::elvish(&command),
        Artifact::Powershell => completions::powershell(&command),
    };
    to.write_all(text.as_bytes())
}

/// The command line, with `-h` and `-V`.
fn definition() -> Command {
    let mut command = Arguments::command();
    command.build();
    command
}

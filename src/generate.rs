//! `--generate`: the man page and the completions, made from the definition of the command line.
//!
//! What it prints is committed under `man/` and `completions/`, and a test compares the two.
//! Always: the same for the same source, whatever the machine, the environment and the day.

mod completions;
mod man;

use std::io::{self, Write};

use clap::{Command, CommandFactory, ValueEnum};

use crate::cli::Arguments;

/// What can be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Artifact {
    /// The man page
    Man,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
    /// Completions for elvish
    Elvish,
    /// Completions for PowerShell
    Powershell,
}

impl Artifact {
    /// Writes it, whole.
    ///
    /// # Errors
    /// Where `to` cannot be written.
    pub fn write(self, to: &mut dyn Write) -> io::Result<()> {
        let command = definition();
        let text = match self {
            Self::Man => man::page(&command),
            Self::Bash => completions::bash(&command),
            Self::Zsh => completions::zsh(&command),
            Self::Fish => completions::fish(&command),
            Self::Elvish => completions::elvish(&command),
            Self::Powershell => completions::powershell(&command),
        };
        to.write_all(text.as_bytes())
    }
}

/// The command line, with `-h` and `-V`.
fn definition() -> Command {
    let mut command = Arguments::command();
    command.build();
    command
}

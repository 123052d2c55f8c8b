//! What was typed.
//!
//! Parsing looks at the words of the command line alone, never at files, the terminal or the
//! environment, so `--help` cannot fail and tests need no process. What the words mean is in
//! [`crate::config`]. Defaults that depend on nothing else stand here, where the help shows them.

mod after_help;
pub mod again;
pub mod backpressure;
pub mod failures;
mod foreign;
pub mod input;
pub mod output;
pub mod seen;
pub mod value;
pub mod workers;

use std::ffi::OsString;

use clap::{ArgAction, Parser, ValueHint};

use backpressure::Backpressure;
use failures::Failures;
use input::InputOptions;
use output::OutputOptions;
use seen::Seen;
use workers::Workers;

/// Stream records through persistent worker processes
///
/// Starts N copies of COMMAND once, keeps them running, streams records from the input to them
/// over stdio and writes their answers to the output, in input order or as they finish. A worker
/// reads one record on each line of its stdin and writes one answer line for each, flushed. One
/// that needs half a minute to start does so once, not once per record.
///
/// Options end at COMMAND: what follows it is passed to it.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "mtask",
    version,
    override_usage = "mtask [OPTIONS] [--] COMMAND [ARG]...\n       \
                      mtask [OPTIONS] --python FILE.py:NAME [-- COMMAND [ARG]...]",
    after_help = after_help::SHORT,
    after_long_help = after_help::long(),
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true,
    max_term_width = 100
)]
pub struct Arguments {
    /// What each worker runs, directly, never through a shell
    ///
    /// Looked up in PATH. Records come on its stdin, and are put into its command line with `--each`
    /// alone. All that follows it is passed to it. With `--python` it is how the interpreter is started.
    #[arg(
        required_unless_present_any = ["generate", "python", "join"],
        trailing_var_arg = true,
        value_name = "COMMAND",
        hide_short_help = true,
        value_hint = ValueHint::CommandWithArguments
    )]
    pub command: Vec<OsString>,

    /// The options under "Input".
    #[command(flatten)]
    pub input: InputOptions,

    /// The options under "Workers".
    #[command(flatten)]
    pub workers: Workers,

    /// The options under "Output".
    #[command(flatten)]
    pub output: OutputOptions,

    /// The options under "Backpressure".
    #[command(flatten)]
    pub backpressure: Backpressure,

    /// The options under "Failures".
    #[command(flatten)]
    pub failures: Failures,

    /// The options under "What you see".
    #[command(flatten)]
    pub seen: Seen,

    /// Print help; --help tells more
    ///
    /// `-h` the usual options on one screen, `--help` all of them.
    #[arg(short, long, action = ArgAction::Help, help_heading = seen::HEADING)]
    help: Option<bool>,

    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = seen::HEADING)]
    version: Option<bool>,
}

impl Arguments {
    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    /// What is refused, and, as clap has it, the help and the version.
    pub fn read(
        words: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        Self::try_parse_from(words).map_err(foreign::advise)
    }
}

#[cfg(test)]
mod tests;

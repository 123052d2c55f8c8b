//! Options: what is on the terminal beside results.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::value;
use crate::report::When;

/// The heading.
pub(super) const HEADING: &str = "What you see";

const PROGRESS: &str = "\
How far the run is, on stderr

Records done (failed ones included), failed ones, the rate of late and the time since the start; where \
the number of records (`--total`) or the size of the input (regular files) is known, also a percentage \
and the time left. Where nothing is done for a second: whether the first worker is not ready yet, the \
input is awaited or the output is not read. It is shown";

/// The options under "What you see".
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = HEADING)]
pub struct Seen {
    /// Show progress: auto, always or never
    #[arg(
        long,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        hide_possible_values = true,
        long_help = value::described::<When>(PROGRESS)
    )]
    pub progress: When,

    /// What the progress calls this run
    #[arg(
        long,
        value_name = "TEXT",
        value_parser = value::text(),
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    pub desc: Option<String>,

    /// How many records there will be
    ///
    /// For the percentage and the time left of the progress; changes nothing else.
    #[arg(
        long,
        value_name = "N",
        value_parser = value::records,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    pub total: Option<u64>,

    /// Where the workers' time went, on stderr at the end
    ///
    /// For each worker its records, failures and processes, and the time that these were starting
    /// up (until the first answer), waiting (with nothing to do, or held back), working, exiting or
    /// not there. Then the five slowest records, those of less than a millisecond and the first one
    /// of each process left out, for it includes the start. And a hint where less than 80 % of the
    /// time was spent working.
    #[arg(long)]
    pub stats: bool,

    /// Write statistics to FILE, as JSON
    ///
    /// What `--stats` shows; docs/statistics.md tells what each field means. FILE is opened before
    /// anything runs, and refused where it is an input or an output file.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        hide_short_help = true
    )]
    pub stats_file: Option<PathBuf>,

    /// Write what happens to each record to FILE
    ///
    /// A line of JSON for each record that comes to its outcome, or for several that do so together,
    /// and for each process that begins, is ready or ends; docs/log.md tells what each field means.
    /// With `--resume` lines are added to what is there. Where FILE cannot be written, the run ends.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        hide_short_help = true
    )]
    pub log: Option<PathBuf>,

    /// Write counts to FILE every 15 s, for Prometheus
    ///
    /// In its text format, for the textfile collector of node_exporter for example; docs/metrics.md
    /// lists them. FILE is written beside itself and renamed: who reads it sees a whole one. `--desc`
    /// is the label `run`, the name of FILE without one.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        hide_short_help = true
    )]
    pub metrics_file: Option<PathBuf>,

    /// Show the run in FILE, a page for a browser
    ///
    /// One HTML file with all that it needs: how the run has ended or goes on, records and failures
    /// over time, what each worker was about, how long records took, and failures in groups with the
    /// command that runs them again. While the run goes on FILE is replaced every few seconds, and an
    /// open page follows. It asks for nothing else, so that it may lie anywhere.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        hide_short_help = true
    )]
    pub report: Option<PathBuf>,

    /// Errors only: no hints, warnings or summary
    #[arg(short, long)]
    pub quiet: bool,

    /// Print the workers' command lines, start nothing
    ///
    /// Each with its environment, in a form that a shell can run; what could not be seen is escaped
    /// as bash, zsh and ksh read it: $'\033'. Of `--python` the adapter's own text is left out.
    #[arg(long)]
    pub dry_run: bool,

    /// Print the man page or a shell's completions
    ///
    /// COMMAND is not needed then, and nothing is started.
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        hide_possible_values = true,
        hide_short_help = true,
        long_help = value::described::<Artifact>("Print the man page or a shell's completions")
    )]
    pub generate: Option<Artifact>,
}

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

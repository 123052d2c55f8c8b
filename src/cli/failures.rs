//! Options: what a failure means, and how long anything may take.

use std::time::Duration;

use clap::Args;

use super::value;
use crate::schedule::policy::{MaxErrors, OnError};

/// The options under "Failures".
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Failures")]
pub struct Failures {
    /// When a record fails: defer, ignore, raise or drain
    #[arg(
        long,
        value_enum,
        default_value = "defer",
        value_name = "ACTION",
        hide_possible_values = true,
        long_help = value::described::<OnError>("What follows when a record fails")
    )]
    pub on_error: OnError,

    /// Send nothing new after N failures, or N%
    ///
    /// What was sent is finished, as with `--on-error drain`. `N%` is a part of the outcomes: more
    /// than that ends the run, looked at from the 100th outcome on, and at the end; with `--on-error
    /// ignore` the status is 0 up to there and 123 above. The default is to go on.
    #[arg(
        long,
        value_name = "N",
        value_parser = value::max_errors,
        allow_negative_numbers = true
    )]
    pub max_errors: Option<MaxErrors>,

    /// The limit for one record [default: none]
    ///
    /// A worker that takes longer is stopped and replaced, and the record fails or is tried again
    /// (`--retries`). With `--batch` it is the limit for a call. 0 is no limit, as for timeout(1). Not allowed with `--window full`, where
    /// nobody can tell which record is late.
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = value::duration,
        allow_negative_numbers = true
    )]
    pub timeout: Option<Duration>,

    /// The limit for a worker's first answer
    ///
    /// Where a worker says that it is ready, as `--python` does, that comes in time too, and then its
    /// first answer, with `--timeout` where that is more. The default is 5m with `--timeout`, else none. 0
    /// is no limit.
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = value::duration,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    pub init_timeout: Option<Duration>,

    /// How often to try a failed record again
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        value_parser = value::times,
        allow_negative_numbers = true
    )]
    pub retries: u32,

    /// How long a failed record waits before that
    ///
    /// `MIN`, then twice as long each time, up to `MAX`, give or take a quarter at random. It waits
    /// in the queue and holds no worker. `MAX` is 60s where it is left out. The default is not to
    /// wait.
    #[arg(
        long,
        value_name = "MIN[..MAX]",
        value_parser = value::durations,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    pub retry_delay: Option<(Duration, Option<Duration>)>,

    /// Never send a record twice, even if its worker died
    ///
    /// A worker is sent one record at a time, and what a dying one held fails. Not allowed with
    /// `--window`.
    #[arg(long, conflicts_with = "window")]
    pub at_most_once: bool,

    /// Give a worker up after N deaths without an answer
    ///
    /// Counted are processes in a row that ended without an answer and without a record to blame.
    /// 4 times as many that ended without an answer are too many whatever the reason.
    #[arg(
        long,
        value_name = "N",
        default_value = "5",
        value_parser = value::times,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    pub max_restarts: u32,

    /// How long a worker may take to exit at its end
    ///
    /// Counted from the end of its stdin, or from its last answer where that came later. Then it
    /// is killed, and the status is 123.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        value_parser = value::duration_above_zero,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    pub exit_timeout: Duration,

    /// The time between SIGTERM and SIGKILL
    ///
    /// For a worker that is stopped. Where mtask itself is told to end by a signal, everything is
    /// over within this time.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5s",
        value_parser = value::duration,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    pub grace: Duration,
}

//! Options: how much is under way at a time.

use std::num::NonZeroUsize;

use clap::Args;

use super::value;
use crate::schedule::policy::{Rate, Window};

/// The options under "Backpressure".
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Backpressure")]
pub struct Backpressure {
    /// Records at a worker: auto, N or full
    ///
    /// How many records a worker may have been sent and not yet answered. `auto` keeps about 5 ms
    /// of work in flight, by measured time. `full` sends as much as fits, for filters that buffer
    /// their output and cannot be told to flush.
    #[arg(
        long,
        value_name = "WINDOW",
        default_value = "auto",
        value_parser = value::window,
        allow_negative_numbers = true
    )]
    pub window: Window,

    /// Send at most N records a second, minute or hour
    ///
    /// `N/s`, `N/m` or `N/h`, over all workers; a record that is sent again counts again. Up to one
    /// second's worth, and at least one, may be sent at once, as at the beginning. A worker that does
    /// not say how many records it takes at a time is sent one when it may begin it, and not before.
    /// With `--batch N`, N are sent together.
    #[arg(
        long,
        value_name = "N/s|N/m|N/h",
        value_parser = value::rate,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    pub rate: Option<Rate>,

    /// Hold at most so many bytes
    ///
    /// When they are used up, no input is read. Counted are records that wait for a worker or are
    /// at one, and answers that wait for their turn. A single record larger than that still passes,
    /// alone: every size will do.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64M",
        value_parser = value::size,
        allow_negative_numbers = true
    )]
    pub buffer: NonZeroUsize,
}

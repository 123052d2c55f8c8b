//! What people see of a run: its progress.
//!
//! Reads samples of the scheduler's counts. Always: nothing that decides anything reads from here, and
//! no record is reported one by one.

mod bar;
pub mod choice;
mod counts;
mod display;
mod line;
mod progress;
mod recent;
mod text;

pub use choice::{Form, Terminals, When};
pub use counts::Counts;
pub use display::{Display, Place};
pub use progress::{Expected, Progress};

use std::time::{Duration, Instant};

use crate::input::LeftOut;
use crate::schedule::Scheduler;

/// How often the scheduler's counts are looked at while they change.
const SAMPLE: Duration = Duration::from_millis(100);

/// The engine's side of all reports: takes samples of the scheduler.
#[derive(Debug, Default)]
pub struct Report {
    progress: Option<Sampler>,
}

/// Where samples for the progress go.
#[derive(Debug)]
struct Sampler {
    counts: Counts,
    left_out: LeftOut,
    next: Instant,
    /// The counts have changed since the last sample.
    is_behind: bool,
}

impl Report {
    /// Puts samples of the run's progress into `counts` from now on.
    pub fn sample_into(&mut self, counts: Counts, left_out: LeftOut) {
        self.progress = Some(Sampler {
            counts,
            left_out,
            next: Instant::now(),
            is_behind: true,
        });
    }

    /// Looks at the scheduler. To be called once in each round of the engine.
    pub fn observe(&mut self, scheduler: &Scheduler, now: Instant) {
        if let Some(sampler) = &mut self.progress {
            if now < sampler.next {
                sampler.is_behind = sampler.counts.done() != scheduler.tally().outcomes();
            } else {
                sampler.take(scheduler, now);
            }
        }
    }

    /// Looks at the scheduler for the last time.
    pub fn finish(&mut self, scheduler: &Scheduler, now: Instant) {
        if let Some(sampler) = &mut self.progress {
            sampler.take(scheduler, now);
        }
    }

    /// When [`Report::observe`] is to be called even if nothing happens.
    pub fn wake_at(&self) -> Option<Instant> {
        self.progress
            .as_ref()
            .filter(|sampler| sampler.is_behind)
            .map(|sampler| sampler.next)
    }
}

impl Sampler {
    fn take(&mut self, scheduler: &Scheduler, now: Instant) {
        let tally = scheduler.tally();
        let bytes = scheduler.finished_bytes();
        self.counts.set(
            tally.outcomes(),
            tally.failures(),
            bytes.map(|bytes| bytes + self.left_out.bytes()),
            scheduler.total_records(),
        );
        self.next = now + SAMPLE;
        self.is_behind = false;
    }
}

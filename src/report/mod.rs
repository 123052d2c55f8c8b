//! What people see of a run: what has happened, its progress, its statistics, where it stands when
//! asked.
//!
//! Looks at the scheduler from outside, and listens to its events. Always: nothing that decides
//! anything reads from here, and no record that gave a result is reported one by one.

mod advice;
mod bar;
pub mod choice;
mod counts;
mod display;
mod line;
mod progress;
mod recent;
mod stats;
mod status;
mod summary;
mod table;
mod telling;
mod text;

pub use bar::Place;
pub use choice::{Form, Terminals, Verbosity, When};
pub use counts::Counts;
pub use display::Display;
pub use progress::{Expected, Progress};
pub use summary::summary;
pub use telling::{Level, Notice, Teller};

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::input::LeftOut;
use crate::schedule::event::Event;
use crate::schedule::{Bottleneck, Scheduler};
use stats::Stats;
use status::Wait;

/// How often the scheduler's counts are looked at while they change.
const SAMPLE: Duration = Duration::from_millis(100);

/// The engine's side of all reports: hears of events and takes samples of the scheduler.
#[derive(Debug)]
pub struct Report {
    teller: Teller,
    /// What the simulation is to find told.
    #[cfg(test)]
    pub(crate) heard: Heard,
    began: Instant,
    progress: Option<Sampler>,
    stats: Option<Stats>,
    /// Where the statistics go.
    targets: Targets,
}

/// Where statistics go.
#[derive(Debug, Default)]
pub struct Targets {
    /// To stderr, as a table; with a hint unless that is quiet.
    pub stderr: Option<Verbosity>,
    /// To this file, as JSON.
    pub file: Option<(PathBuf, File)>,
}

/// What is left to be said of a run that is over.
#[derive(Debug, Default)]
pub struct Closing {
    /// For stderr, whole lines.
    pub text: String,
    /// The file of `--stats-file` could not be written.
    pub failure: Option<(PathBuf, io::Error)>,
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

/// How much was told.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Records that came to an outcome.
    pub(crate) outcomes: u64,
    /// Processes that have begun and are not gone.
    pub(crate) processes: u32,
}

#[cfg(test)]
impl Heard {
    fn count(&mut self, event: &Event) {
        match event {
            Event::Settled(settled) => self.outcomes += settled.count as u64,
            Event::Started { .. } => self.processes += 1,
            Event::Gone { .. } => self.processes -= 1,
            _ => {}
        }
    }
}

impl Report {
    /// Of a run that begins now.
    pub fn new(teller: Teller, now: Instant) -> Self {
        Self {
            teller,
            #[cfg(test)]
            heard: Heard::default(),
            began: now,
            progress: None,
            stats: None,
            targets: Targets::default(),
        }
    }

    /// Puts samples of the run's progress into `counts` from now on.
    pub fn sample_into(&mut self, counts: Counts, left_out: LeftOut) {
        self.progress = Some(Sampler {
            counts,
            left_out,
            next: Instant::now(),
            is_behind: true,
        });
    }

    /// Keeps statistics from now on, if they are to go anywhere.
    pub fn keep_stats(&mut self, targets: Targets, scheduler: &mut Scheduler, now: Instant) {
        if targets.stderr.is_some() || targets.file.is_some() {
            scheduler.keep_slowest();
            self.stats = Some(Stats::new(scheduler.jobs(), now));
            self.targets = targets;
        }
    }

    /// Takes note of what has happened. Gives what is to be said of it, if anything.
    pub fn hear(&mut self, event: &Event) -> Option<Notice> {
        #[cfg(test)]
        self.heard.count(event);
        if let Some(stats) = &mut self.stats {
            stats.hear(event);
        }
        self.teller.tell(event)
    }

    /// Looks at the scheduler. To be called once in each round of the engine; `is_draining` tells
    /// that only the output is still waited for.
    pub fn observe(&mut self, scheduler: &Scheduler, is_draining: bool, now: Instant) {
        if let Some(stats) = &mut self.stats {
            stats.observe(scheduler, is_draining, now);
        }
        if let Some(sampler) = &mut self.progress {
            if now < sampler.next {
                sampler.is_behind = sampler.counts.done() != scheduler.tally().outcomes();
            } else {
                sampler.take(scheduler, now);
            }
        }
    }

    /// Where the run stands, for a message; `is_draining` tells that only the output is still
    /// waited for.
    pub fn status(&self, scheduler: &Scheduler, is_draining: bool, now: Instant) -> String {
        let under_way = scheduler.under_way(now);
        let is_idle = under_way.in_flight + under_way.waiting == 0;
        let wait = match scheduler.bottleneck() {
            _ if is_draining => Wait::Output,
            Bottleneck::Output => Wait::Output,
            Bottleneck::Input if is_idle => Wait::Input,
            _ => Wait::None,
        };
        let elapsed = now.saturating_duration_since(self.began);
        let total = scheduler.total_records();
        status::status(scheduler.tally(), total, &under_way, wait, elapsed)
    }

    /// mtask and its workers stood still for so long.
    pub fn was_suspended(&mut self, pause: Duration) {
        self.began += pause;
        if let Some(stats) = &mut self.stats {
            stats.shift(pause);
        }
    }

    /// Looks at the scheduler for the last time, and says what is left to be said.
    pub fn finish(&mut self, scheduler: &Scheduler, now: Instant) -> Closing {
        if let Some(sampler) = &mut self.progress {
            sampler.take(scheduler, now);
        }
        let mut closing = Closing::default();
        let Some(stats) = &mut self.stats else {
            return closing;
        };
        let account = stats.close(scheduler, now);
        if let Some(verbosity) = self.targets.stderr {
            closing.text = table::table(&account);
            if verbosity == Verbosity::Normal {
                closing.text += &table::hint(&account);
            }
        }
        if let Some((path, file)) = &mut self.targets.file
            && let Err(error) = file.write_all(&table::document(&account))
        {
            closing.failure = Some((path.clone(), error));
        }
        closing
    }

    /// When [`Report::observe`] is to be called even if nothing happens.
    pub fn wake_at(&self) -> Option<Instant> {
        self.progress.as_ref().filter(|sampler| sampler.is_behind).map(|sampler| sampler.next)
    }
}

impl Sampler {
    fn take(&mut self, scheduler: &Scheduler, now: Instant) {
        let tally = scheduler.tally();
        let bytes = scheduler.finished_bytes();
        self.counts.set(
            tally.outcomes(),
            tally.failures(),
            bytes.map(|bytes| bytes.saturating_add_signed(self.left_out.bytes())),
            scheduler.total_records(),
        );
        self.next = now + SAMPLE;
        self.is_behind = false;
    }
}

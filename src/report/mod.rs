//! What people see of a run: what has happened, its progress, its statistics, where it stands when
//! asked.
//!
//! Looks at the scheduler from outside, and listens to its events. Always: nothing that decides
//! anything reads from here, and no record that gave a result is reported one by one.

mod account;
mod advice;
mod bar;
pub mod choice;
mod counts;
mod display;
mod given;
mod grouped;
mod latencies;
mod line;
pub mod log;
mod metrics;
mod page;
mod paged;
mod progress;
mod reasons;
mod recent;
mod stats;
mod status;
mod summary;
mod table;
mod telling;
mod text;
mod timeline;

pub use bar::Place;
pub use choice::{Form, ResultsTarget, Terminals, Verbosity, When};
pub use counts::Counts;
pub use display::Display;
pub use paged::{Page, PageFiles};
pub use progress::{Expected, Progress};
pub use telling::{Level, Notice, Teller};

use std::fs::File;
use std::io::{self, Write};
use std::mem::discriminant;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::exit::Status;
use crate::input::LeftOut;
#[cfg(test)]
use crate::schedule::event::Trail;
use crate::schedule::event::{Event, Settled};
use crate::schedule::{Bottleneck, Scheduler, Standing, Tally, WorkerId};
use crate::worker::machine::Machine;
use counts::Counted;
use log::{Log, RunFacts};
use paged::Paged;
use reasons::Reasons;
use stats::Stats;
use status::Wait;

/// How often the scheduler's counts are looked at while they change.
const SAMPLE: Duration = Duration::from_millis(100);
/// For how long nothing is done before the progress says what is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The engine's side of all reports: hears of events and takes samples of the scheduler.
#[derive(Debug)]
pub struct Report {
    teller: Teller,
    /// What the simulation is to find told.
    #[cfg(test)]
    pub(crate) heard: Heard,
    began: Instant,
    progress: Option<Sampler>,
    reasons: Reasons,
    stats: Option<Stats>,
    log: Option<Log>,
    pages: Option<Paged>,
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
    /// When a sample is to be taken even if nothing happens.
    due: Option<Instant>,
    standstill: Standstill,
}

/// What everything has waited for, and since when.
#[derive(Debug)]
struct Standstill {
    wait: Wait,
    /// How many records had an outcome by then.
    done: u64,
    since: Instant,
}

/// How much was told.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Records that came to an outcome.
    pub(crate) outcomes: u64,
    /// The bytes of these records.
    pub(crate) bytes_in: usize,
    /// Processes that have begun and are not gone.
    pub(crate) processes: u32,
}

#[cfg(test)]
impl Heard {
    fn count(&mut self, event: &Event) {
        match event {
            Event::Settled(settled) => {
                self.outcomes += settled.count as u64;
                self.bytes_in += settled.trail.bytes_in;
                let Trail {
                    queued, started, ..
                } = settled.trail;
                assert!(queued.is_some(), "all records come from the input");
                assert!(
                    started.is_none() || queued <= started,
                    "it was sent before it came"
                );
                let was_sent = settled.attempts > 0;
                assert_eq!(
                    settled.trail.process.is_some(),
                    was_sent,
                    "it was sent to a process"
                );
            }
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
            reasons: Reasons::default(),
            stats: None,
            log: None,
            pages: None,
            targets: Targets::default(),
        }
    }

    /// Puts samples of the run's progress into `counts` from now on.
    pub fn sample_into(&mut self, counts: Counts, left_out: LeftOut) {
        let now = Instant::now();
        self.progress = Some(Sampler {
            counts,
            left_out,
            next: now,
            due: Some(now),
            standstill: Standstill {
                wait: Wait::None,
                done: 0,
                since: now,
            },
        });
    }

    /// Keeps statistics from now on, if they are to go anywhere.
    pub fn keep_stats(
        &mut self,
        targets: Targets,
        machine: &Machine,
        scheduler: &mut Scheduler,
        now: Instant,
    ) {
        if targets.stderr.is_some() || targets.file.is_some() || self.pages.is_some() {
            scheduler.keep_slowest();
            let mut stats = Stats::new(scheduler.jobs(), machine.clone(), now);
            if self.pages.as_ref().is_some_and(Paged::shows_time) {
                stats.keep_timeline();
            }
            self.stats = Some(stats);
            self.targets = targets;
        }
    }

    /// Has these files rewritten from now on. To be said before statistics are kept.
    pub fn keep_pages(&mut self, files: PageFiles, now: Instant) {
        self.pages = Paged::new(files, now);
    }

    /// The files that are to be rewritten by now.
    pub fn take_pages(&mut self, scheduler: &Scheduler, now: Instant) -> Vec<Page> {
        let (Some(pages), Some(stats)) = (&mut self.pages, &self.stats) else {
            return Vec::new();
        };
        pages.take_due(stats, scheduler, || running(scheduler, now), now)
    }

    /// When a file is to be rewritten next.
    pub fn pages_due(&self) -> Option<Instant> {
        self.pages.as_ref().map(Paged::due)
    }

    /// The last versions of these files, of a run that ends with this status.
    pub fn end_pages(&mut self, scheduler: &Scheduler, status: Status, now: Instant) -> Vec<Page> {
        let (Some(pages), Some(stats)) = (&mut self.pages, &self.stats) else {
            return Vec::new();
        };
        let said = summary::summary(scheduler.tally(), &self.reasons);
        pages.end(stats, scheduler, status.code(), said, now)
    }

    /// Puts down what happens to each record from now on.
    pub fn keep_log(&mut self, facts: &RunFacts, scheduler: &mut Scheduler, now: Instant) {
        scheduler.count_bytes();
        self.log = Some(Log::new(facts, now));
    }

    /// Takes note of what has happened, at the time that `clock` gives. Gives what is to be said of
    /// it, if anything.
    pub fn hear(&mut self, event: &Event, clock: impl FnOnce() -> Instant) -> Option<Notice> {
        #[cfg(test)]
        self.heard.count(event);
        if let Some(log) = &mut self.log {
            log.hear(event, clock());
        }
        if let Event::Settled(Settled {
            outcome: Err(failure),
            ..
        }) = event
        {
            self.reasons.count(failure);
            if let Some(pages) = &mut self.pages {
                pages.failed(failure);
            }
        }
        if let Some(stats) = &mut self.stats {
            stats.hear(event);
        }
        self.teller.tell(event)
    }

    /// A worker's process was found to hold so many bytes, or to have held them.
    pub fn saw_memory(&mut self, worker: WorkerId, bytes: u64) {
        if let Some(stats) = &mut self.stats {
            stats.saw_memory(worker, bytes);
        }
    }

    /// Looks at the scheduler. To be called once in each round of the engine; `is_draining` tells
    /// that only the output is still waited for.
    pub fn observe(&mut self, scheduler: &Scheduler, is_draining: bool, now: Instant) {
        if let Some(stats) = &mut self.stats {
            stats.observe(scheduler, is_draining, now);
            if let Some(pages) = &self.pages {
                stats.held(pages.held());
            }
        }
        if let Some(sampler) = &mut self.progress {
            if now < sampler.next {
                sampler.due = Some(sampler.next);
            } else {
                sampler.take(scheduler, wait(scheduler, is_draining, now), now);
            }
        }
    }

    /// The lines of the log that are to be written by now, if there are any.
    pub fn take_log(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.log.as_mut()?.take_due(now)
    }

    /// The last lines of the log of a run that ends with this status.
    pub fn end_log(&mut self, tally: &Tally, status: Status, now: Instant) -> Option<Vec<u8>> {
        let log = self.log.as_mut()?;
        log.end(tally, status.code(), now);
        Some(log.take())
    }

    /// Where the run stands, for a message; `is_draining` tells that only the output is still
    /// waited for.
    pub fn status(&self, scheduler: &Scheduler, is_draining: bool, now: Instant) -> String {
        let under_way = scheduler.under_way(now);
        let wait = wait(scheduler, is_draining, now);
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

    /// The last line of the run, if anything was out of the ordinary.
    pub fn summary(&self, tally: &Tally) -> Option<String> {
        summary::summary(tally, &self.reasons)
    }

    /// Looks at the scheduler for the last time, and says what is left to be said.
    pub fn finish(&mut self, scheduler: &Scheduler, now: Instant) -> Closing {
        if let Some(sampler) = &mut self.progress {
            sampler.take(scheduler, Wait::None, now);
        }
        let mut closing = Closing::default();
        let Some(stats) = &mut self.stats else {
            return closing;
        };
        let account = stats.close(scheduler, now);
        if let Some(verbosity) = self.targets.stderr {
            closing.text = table::table(&account, columns());
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

    /// When [`Report::observe`] and [`Report::take_log`] are to be called even if nothing happens.
    pub fn wake_at(&self) -> Option<Instant> {
        let sample = self.progress.as_ref().and_then(|sampler| sampler.due);
        let log = self.log.as_ref().and_then(Log::due);
        [sample, log].into_iter().flatten().min()
    }
}

/// The columns of stderr: those of a terminal, or as many as fit into most of them.
fn columns() -> usize {
    match rustix::termios::isatty(rustix::stdio::stderr()) {
        true => Place::look().columns,
        false => 80,
    }
}

/// What a run that goes on is about.
fn running(scheduler: &Scheduler, now: Instant) -> String {
    match wait(scheduler, false, now).words() {
        Some(words) => words.to_owned(),
        None => "records are being worked on".to_owned(),
    }
}

/// What everything waits for, where that is plain.
fn wait(scheduler: &Scheduler, is_draining: bool, now: Instant) -> Wait {
    let under_way = scheduler.under_way(now);
    let is_idle = under_way.in_flight + under_way.waiting == 0;
    let asked = scheduler.asked_to_wait(now).filter(|_| under_way.in_flight == 0);
    if let Some(asked) = asked {
        return Wait::Asked(asked);
    }
    match scheduler.bottleneck() {
        _ if is_draining => Wait::Output,
        Bottleneck::Output => Wait::Output,
        Bottleneck::Input if is_idle => Wait::Input,
        Bottleneck::Rate if under_way.in_flight == 0 => Wait::Rate,
        Bottleneck::Retry if under_way.in_flight == 0 => Wait::Retry,
        _ => match starting_alone(scheduler) {
            0 => Wait::None,
            workers => Wait::Starting(workers),
        },
    }
}

/// How many workers start up, where no other is up.
fn starting_alone(scheduler: &Scheduler) -> u32 {
    let standings = (0..scheduler.jobs()).map(|number| scheduler.standing(WorkerId(number)));
    let mut starting = 0;
    for standing in standings {
        match standing {
            Standing::Starting => starting += 1,
            Standing::Idle | Standing::Paused | Standing::Working => return 0,
            Standing::Unstarted
            | Standing::Between
            | Standing::Gone
            | Standing::Unready
            | Standing::Exiting => {}
        }
    }
    starting
}

impl Sampler {
    fn take(&mut self, scheduler: &Scheduler, wait: Wait, now: Instant) {
        let tally = scheduler.tally();
        let bytes = scheduler.finished_bytes();
        let wait = self.standstill.look(wait, tally.outcomes(), now);
        self.due = wait.err();
        self.counts.set(Counted {
            done: tally.outcomes(),
            failed: tally.failures(),
            bytes: bytes.map(|bytes| bytes.saturating_add_signed(self.left_out.bytes())),
            total: scheduler.total_records(),
            wait: wait.unwrap_or(Wait::None),
        });
        self.next = now + SAMPLE;
    }
}

impl Standstill {
    /// What is to be said of a wait: the error is when there will be something, if it lasts.
    fn look(&mut self, wait: Wait, done: u64, now: Instant) -> Result<Wait, Instant> {
        // How long is left of it is no news.
        let is_same = discriminant(&wait) == discriminant(&self.wait);
        if !is_same || done != self.done {
            *self = Self {
                wait,
                done,
                since: now,
            };
        }
        let tells = self.since + PATIENCE;
        if wait == Wait::None || now >= tells {
            Ok(wait)
        } else {
            Err(tells)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_once_it_has_lasted() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut standstill = Standstill {
            wait: Wait::None,
            done: 0,
            since: now,
        };
        assert_eq!(standstill.look(Wait::None, 0, now), Ok(Wait::None));
        let began = now + second;
        assert_eq!(
            standstill.look(Wait::Input, 5, began),
            Err(began + PATIENCE)
        );
        let told = began + PATIENCE;
        assert_eq!(standstill.look(Wait::Input, 5, told), Ok(Wait::Input));
        // Something was done meanwhile.
        assert_eq!(standstill.look(Wait::Input, 6, told), Err(told + PATIENCE));
        assert_eq!(standstill.look(Wait::Output, 6, told), Err(told + PATIENCE));
    }
}

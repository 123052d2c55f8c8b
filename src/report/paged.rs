//! The files that show a run while it goes on, and when each is to be written again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::log::WallClock;
use super::metrics::{Snapshot, metrics};
use super::stats::Stats;
use crate::budget::Budget;
use crate::schedule::{Scheduler, Standing, WorkerId};

/// How often the metrics are written.
const METRICS: Duration = Duration::from_secs(15);

/// The files, and what they say of the run as a whole.
#[derive(Clone, Debug)]
pub struct PageFiles {
    /// That of `--metrics-file`.
    pub metrics: Option<PathBuf>,
    /// What the run is called (`--desc`).
    pub name: Option<String>,
    /// What holds records and answers.
    pub budget: Budget,
}

/// A version of a file that is rewritten.
#[derive(Debug)]
pub struct Page {
    /// Where it is to be.
    pub path: PathBuf,
    /// What it is to hold.
    pub bytes: Vec<u8>,
}

/// The same in a run.
#[derive(Debug)]
pub(super) struct Paged {
    files: PageFiles,
    clock: WallClock,
    began: Instant,
    metrics_due: Instant,
}

impl Paged {
    /// Of a run that begins now, if there is any file.
    pub(super) fn new(files: PageFiles, now: Instant) -> Option<Self> {
        files.metrics.as_ref()?;
        Some(Self {
            files,
            clock: WallClock::new(now),
            began: now,
            metrics_due: now,
        })
    }

    pub(super) fn due(&self) -> Instant {
        self.metrics_due
    }

    /// Those that are to be rewritten by now.
    pub(super) fn take_due(
        &mut self,
        stats: &Stats,
        scheduler: &Scheduler,
        now: Instant,
    ) -> Vec<Page> {
        let mut pages = Vec::new();
        if now >= self.metrics_due {
            self.metrics_due = now + METRICS;
            pages.extend(self.metrics(stats, scheduler, None, now));
        }
        pages
    }

    /// All of them, for the last time.
    pub(super) fn end(
        &mut self,
        stats: &Stats,
        scheduler: &Scheduler,
        status: i32,
        now: Instant,
    ) -> Vec<Page> {
        self.metrics(stats, scheduler, Some(status), now).into_iter().collect()
    }

    fn metrics(
        &self,
        stats: &Stats,
        scheduler: &Scheduler,
        status: Option<i32>,
        now: Instant,
    ) -> Option<Page> {
        let path = self.files.metrics.clone()?;
        let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let run = self.files.name.clone().unwrap_or_else(stem);
        let under_way = scheduler.under_way(now);
        let bytes = metrics(&Snapshot {
            run: &run,
            version: env!("CARGO_PKG_VERSION"),
            began: self.clock.seconds(self.began),
            written: self.clock.seconds(now),
            status,
            total: scheduler.total_records(),
            in_flight: under_way.in_flight,
            waiting: under_way.waiting,
            held: self.files.budget.held(),
            limit: self.files.budget.limit(),
            standings: standings(scheduler),
            account: &stats.account(scheduler, now),
        });
        Some(Page { path, bytes })
    }
}

fn standings(scheduler: &Scheduler) -> [(&'static str, usize); 6] {
    let mut counts = [
        "starting", "waiting", "held", "working", "exiting", "absent",
    ]
    .map(|state| (state, 0));
    for number in 0..scheduler.jobs() {
        let place = match scheduler.standing(WorkerId(number)) {
            Standing::Starting | Standing::Unready => 0,
            Standing::Idle => 1,
            Standing::Paused => 2,
            Standing::Working => 3,
            Standing::Exiting => 4,
            Standing::Unstarted | Standing::Between | Standing::Gone => 5,
        };
        counts[place].1 += 1;
    }
    counts
}

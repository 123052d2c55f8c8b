//! The files that show a run while it goes on, and when each is to be written again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::grouped::GroupedFailures;
use super::log::WallClock;
use super::metrics::{Snapshot, metrics};
use super::page::{Facts, Numbers, page};
use super::stats::Stats;
use crate::budget::Budget;
use crate::outcome::Failure;
use crate::schedule::{Scheduler, Standing, WorkerId};

/// How often the metrics are written.
const METRICS: Duration = Duration::from_secs(15);
/// And the page.
const REPORT: Duration = Duration::from_secs(3);

/// The files, and what they say of the run as a whole.
#[derive(Clone, Debug)]
pub struct PageFiles {
    /// That of `--metrics-file`.
    pub metrics: Option<PathBuf>,
    /// That of `--report`.
    pub report: Option<PathBuf>,
    /// The command line, as it was typed.
    pub command: String,
    /// What runs those again that failed of a kind.
    pub again: BTreeMap<&'static str, String>,
    /// What tries all that failed again, in its place.
    pub retry: Option<String>,
    /// How many records came to an outcome in earlier runs that this one goes on with.
    pub resumed: u64,
    /// How many records there will be, as the user says.
    pub total: Option<u64>,
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
    report_due: Instant,
    failures: GroupedFailures,
}

impl Paged {
    /// Of a run that begins now, if there is any file.
    pub(super) fn new(files: PageFiles, now: Instant) -> Option<Self> {
        files.metrics.as_ref().or(files.report.as_ref())?;
        Some(Self {
            files,
            clock: WallClock::new(now),
            began: now,
            metrics_due: now,
            report_due: now,
            failures: GroupedFailures::default(),
        })
    }

    pub(super) fn due(&self) -> Instant {
        match (&self.files.metrics, &self.files.report) {
            (Some(_), Some(_)) => self.metrics_due.min(self.report_due),
            (None, Some(_)) => self.report_due,
            _ => self.metrics_due,
        }
    }

    /// Whether it shows the run over time.
    pub(super) fn shows_time(&self) -> bool {
        self.files.report.is_some()
    }

    /// The bytes of records and answers that are held.
    pub(super) fn held(&self) -> usize {
        self.files.budget.held()
    }

    /// A record has failed.
    pub(super) fn failed(&mut self, failure: &Failure) {
        if self.shows_time() {
            self.failures.count(failure);
        }
    }

    /// Those that are to be rewritten by now.
    pub(super) fn take_due(
        &mut self,
        stats: &Stats,
        scheduler: &Scheduler,
        verdict: impl FnOnce() -> String,
        now: Instant,
    ) -> Vec<Page> {
        let mut pages = Vec::new();
        if now >= self.metrics_due {
            self.metrics_due = now + METRICS;
            pages.extend(self.metrics(stats, scheduler, None, now));
        }
        if now >= self.report_due {
            self.report_due = now + REPORT;
            pages.extend(self.page(stats, scheduler, None, &verdict(), now));
        }
        pages
    }

    /// All of them, for the last time.
    pub(super) fn end(
        &mut self,
        stats: &Stats,
        scheduler: &Scheduler,
        status: i32,
        said: Option<String>,
        now: Instant,
    ) -> Vec<Page> {
        let verdict = match (status, said) {
            (0, None) => "every record gave a result".to_owned(),
            (0, Some(said)) => said,
            (_, None) => format!("status {status}"),
            (_, Some(said)) => format!("status {status}: {said}"),
        };
        let metrics = self.metrics(stats, scheduler, Some(status), now);
        let page = self.page(stats, scheduler, Some(status), &verdict, now);
        metrics.into_iter().chain(page).collect()
    }

    fn page(
        &self,
        stats: &Stats,
        scheduler: &Scheduler,
        status: Option<i32>,
        verdict: &str,
        now: Instant,
    ) -> Option<Page> {
        let path = self.files.report.clone()?;
        let timeline = stats.timeline()?;
        let under_way = scheduler.under_way(now);
        let facts = Facts {
            name: self.files.name.as_deref(),
            command: &self.files.command,
            again: &self.files.again,
            retry: self.files.retry.as_deref(),
            began: self.clock.seconds(self.began),
            written: self.clock.seconds(now),
            every: REPORT.as_secs(),
            status,
            verdict,
            resumed: self.files.resumed,
            total: scheduler.total_records().or(self.files.total),
            in_flight: under_way.in_flight,
            waiting: under_way.waiting,
            held: self.files.budget.held(),
            limit: self.files.budget.limit(),
            own: own_peak(),
        };
        let numbers = Numbers {
            account: &stats.account(scheduler, now),
            timeline,
            failures: &self.failures,
            last: timeline.last(now),
        };
        let bytes = page(&facts, &numbers);
        Some(Page { path, bytes })
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

/// The most memory that mtask has had, where the system tells.
fn own_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
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

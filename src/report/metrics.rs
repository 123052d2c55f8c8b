//! The counts of a run in Prometheus' text format (`--metrics-file`).
//!
//! docs/metrics.md lists them. Always: a counter never falls while the run goes on.

use std::fmt::{Display, Write};

use super::account::{Account, Times};

/// With more workers than this, those are not told apart.
const MOST_WORKERS: usize = 256;

/// What is counted beside what the statistics have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Snapshot<'a> {
    /// What tells this run from others.
    pub(super) run: &'a str,
    pub(super) version: &'a str,
    /// When it began and when this is written, in seconds since 1970.
    pub(super) began: f64,
    pub(super) written: f64,
    /// The exit status, once the run has ended.
    pub(super) status: Option<i32>,
    /// Records that are known to be there in all.
    pub(super) total: Option<u64>,
    /// Records with a worker, and those that wait.
    pub(super) in_flight: usize,
    pub(super) waiting: usize,
    /// The bytes of records and answers that are held, and how many may be.
    pub(super) held: usize,
    pub(super) limit: usize,
    /// How many workers stand in each way.
    pub(super) standings: [(&'static str, usize); 6],
    pub(super) account: &'a Account,
}

/// The text, under construction.
struct Text<'a> {
    text: String,
    run: &'a str,
}

impl Text<'_> {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(
            self.text,
            "# HELP mtask_{name} {help}\n# TYPE mtask_{name} {kind}\n"
        );
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        let _ = write!(self.text, "mtask_{name}{{run=\"{}\"", self.run);
        for (label, of) in labels {
            let _ = write!(self.text, ",{label}=\"{of}\"");
        }
        let _ = writeln!(self.text, "}} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }
}

/// The whole file.
pub(super) fn metrics(of: &Snapshot<'_>) -> Vec<u8> {
    let run = escaped(of.run);
    let mut to = Text {
        text: String::new(),
        run: &run,
    };
    let account = of.account;
    to.family("build_info", "gauge", "The version of mtask.");
    to.sample("build_info", &[("version", &of.version)], 1);
    let began = "When the run began, in seconds since 1970.";
    to.single("start_time_seconds", "gauge", began, of.began);
    let written = "When this was written, in seconds since 1970.";
    to.single("written_time_seconds", "gauge", written, of.written);
    let ended = "Whether the run has ended.";
    to.single("ended", "gauge", ended, u8::from(of.status.is_some()));
    if let Some(status) = of.status {
        let help = "The exit status of a run that has ended, as a shell shows it.";
        to.single("exit_status", "gauge", help, status);
    }
    let done = "Records that have come to an outcome in this run, by what that is.";
    to.family("records_total", "counter", done);
    let failed: u64 = account.failed.values().sum();
    to.sample(
        "records_total",
        &[("outcome", &"result")],
        account.records - failed,
    );
    for kind in crate::outcome::Cause::KINDS {
        let count = account.failed.get(kind).copied().unwrap_or(0);
        to.sample("records_total", &[("outcome", &kind)], count);
    }
    let results = "Results that those records gave that did not fail.";
    to.single("results_total", "counter", results, account.results);
    if let Some(total) = of.total {
        let help = "Records that the input has given this run in all, once it has ended.";
        to.single("input_records", "gauge", help, total);
    }
    let in_flight = "Records that workers owe an answer to.";
    to.single("records_in_flight", "gauge", in_flight, of.in_flight);
    let waiting =
        "Records that were read and wait for a worker or for their outcome to be written.";
    to.single("records_waiting", "gauge", waiting, of.waiting);
    let restarts = "Processes begun to replace one that was not meant to end.";
    to.single("restarts_total", "counter", restarts, account.restarts);
    let held = "Bytes of records and answers that are held.";
    to.single("buffer_bytes", "gauge", held, of.held);
    let limit = "Bytes of records and answers that may be held (--buffer).";
    to.single("buffer_limit_bytes", "gauge", limit, of.limit);
    to.family("workers", "gauge", "Workers by what they are about.");
    for (state, count) in of.standings {
        to.sample("workers", &[("state", &state)], count);
    }
    let spent = "Time that all workers have spent, by what on.";
    to.family("worker_time_seconds_total", "counter", spent);
    for (state, seconds) in states(account.total()) {
        to.sample("worker_time_seconds_total", &[("state", &state)], seconds);
    }
    latencies(&mut to, account);
    if account.workers.len() <= MOST_WORKERS {
        workers(&mut to, account);
    }
    to.text.into_bytes()
}

fn latencies(to: &mut Text<'_>, account: &Account) {
    let help = "How long records took, where that is known.";
    to.family("record_duration_seconds", "histogram", help);
    for (edge, count) in account.latencies.up_to() {
        to.sample("record_duration_seconds_bucket", &[("le", &edge)], count);
    }
    let (count, sum) = (account.latencies.count, account.latencies.seconds);
    to.sample("record_duration_seconds_bucket", &[("le", &"+Inf")], count);
    to.sample("record_duration_seconds_sum", &[], sum);
    to.sample("record_duration_seconds_count", &[], count);
}

fn workers(to: &mut Text<'_>, account: &Account) {
    let workers = || account.workers.iter().enumerate();
    let records = "Records with an outcome that the worker had last.";
    to.family("worker_records_total", "counter", records);
    for (number, worker) in workers() {
        to.sample(
            "worker_records_total",
            &[("worker", &number)],
            worker.records,
        );
    }
    let failed = "Those of them that failed.";
    to.family("worker_failures_total", "counter", failed);
    for (number, worker) in workers() {
        to.sample(
            "worker_failures_total",
            &[("worker", &number)],
            worker.failed,
        );
    }
    let processes = "Processes that the worker has had.";
    to.family("worker_processes_total", "counter", processes);
    for (number, worker) in workers() {
        to.sample(
            "worker_processes_total",
            &[("worker", &number)],
            worker.processes,
        );
    }
    let busy = "Time that the worker has owed answers.";
    to.family("worker_busy_seconds_total", "counter", busy);
    for (number, worker) in workers() {
        let seconds = worker.times.working.as_secs_f64();
        to.sample("worker_busy_seconds_total", &[("worker", &number)], seconds);
    }
    let peak = "The most memory that a process of the worker has had that has ended.";
    if account.workers.iter().any(|worker| worker.peak.is_some()) {
        to.family("worker_peak_memory_bytes", "gauge", peak);
    }
    for (number, worker) in workers() {
        if let Some(peak) = worker.peak {
            to.sample("worker_peak_memory_bytes", &[("worker", &number)], peak);
        }
    }
}

fn states(times: Times) -> [(&'static str, f64); 5] {
    [
        ("starting", times.starting.as_secs_f64()),
        ("waiting", times.waiting.as_secs_f64()),
        ("working", times.working.as_secs_f64()),
        ("exiting", times.exiting.as_secs_f64()),
        ("absent", times.absent.as_secs_f64()),
    ]
}

/// A label's value.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

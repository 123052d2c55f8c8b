//! The page of a run (`--report`): one HTML file with all that it needs, made of bounded statistics.
//!
//! `page/` has the template, its script and its style, and the library that draws. Always: what
//! records and workers have said is in the page as JSON alone, in which nothing ends the element that
//! holds it, and the script puts it there as text; the page asks for nothing but itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::account::{Account, Share};
use super::advice::advice;
use super::grouped::{FailureGroup, GroupedFailures, cut};
use super::table::shown;
use super::timeline::{Cell, Timeline};

const TEMPLATE: &str = include_str!("page/page.html");
const NUMBERS: &str = include_str!("page/numbers.js");
const SCRIPT: &str = include_str!("page/page.js");
const STYLE: &str = include_str!("page/page.css");
const UPLOT: &str = include_str!("page/uplot/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("page/uplot/uPlot.min.css");
const UPLOT_LICENCE: &str = include_str!("page/uplot/LICENSE");
const UPLOT_VERSION: &str = "1.6.32";

/// The most bytes of a command line that are shown.
const MOST_OF_COMMAND: usize = 3000;

/// What the page says of a run beside its statistics.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) command: &'a str,
    /// What runs failures of a kind again.
    pub(super) again: &'a BTreeMap<&'static str, String>,
    /// What tries all that failed again.
    pub(super) retry: Option<&'a str>,
    pub(super) began: f64,
    pub(super) written: f64,
    pub(super) every: u64,
    pub(super) status: Option<i32>,
    pub(super) verdict: &'a str,
    pub(super) resumed: u64,
    pub(super) total: Option<u64>,
    pub(super) in_flight: usize,
    pub(super) waiting: usize,
    pub(super) held: usize,
    pub(super) limit: usize,
    pub(super) own: Option<u64>,
}

/// The statistics that it is made of.
#[derive(Debug)]
pub(super) struct Numbers<'a> {
    pub(super) account: &'a Account,
    pub(super) timeline: &'a Timeline,
    pub(super) failures: &'a GroupedFailures,
    /// How much of the last interval is over.
    pub(super) last: Duration,
}

#[derive(Serialize)]
struct Page<'a> {
    version: &'a str,
    uplot: &'a str,
    system: String,
    name: Option<&'a str>,
    command: String,
    again: BTreeMap<&'static str, &'a str>,
    retry: Option<&'a str>,
    began: f64,
    written: f64,
    every: u64,
    ended: Option<f64>,
    status: Option<i32>,
    verdict: String,
    hint: Option<String>,
    resumed: u64,
    workers: usize,
    records: Records,
    rate: Option<f64>,
    elapsed: f64,
    left: Option<f64>,
    latency: Latency,
    first: f64,
    step: f64,
    last: f64,
    done: Vec<u64>,
    failed: Vec<u64>,
    held: Vec<usize>,
    p50: Vec<Option<f64>>,
    p95: Vec<Option<f64>>,
    p99: Vec<Option<f64>>,
    grouped: bool,
    lanes: Vec<Lane>,
    rows: Vec<Row>,
    slowest: Vec<Slow>,
    failures: Vec<&'a FailureGroup>,
    failures_more: u64,
    memory: Memory,
}

#[derive(Serialize)]
struct Records {
    done: u64,
    failed: u64,
    results: u64,
    total: Option<u64>,
    in_flight: usize,
    waiting: usize,
    restarts: u64,
}

#[derive(Serialize)]
struct Latency {
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

#[derive(Serialize)]
struct Lane {
    name: String,
    title: String,
    share: String,
    state: String,
    restarts: Vec<usize>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    records: u64,
    failed: u64,
    processes: u32,
    seconds: [f64; 5],
    peak: Option<u64>,
}

#[derive(Serialize)]
struct Slow {
    index: u64,
    seconds: f64,
    worker: usize,
    bytes: usize,
    input: String,
}

#[derive(Serialize)]
struct Memory {
    worker: Option<u64>,
    own: Option<u64>,
    held: usize,
    limit: usize,
}

/// The whole page.
pub(super) fn page(facts: &Facts<'_>, numbers: &Numbers<'_>) -> Vec<u8> {
    let data =
        serde_json::to_string(&content(facts, numbers)).expect("numbers and strings are JSON");
    // Nothing in it ends a script element, or begins a comment.
    let data = data.replace('<', "\\u003c");
    let plain = facts.verdict.replace('&', "&amp;").replace('<', "&lt;");
    let parts = [
        ("{uplot.css}", UPLOT_STYLE),
        ("{page.css}", STYLE),
        ("{plain}", &plain),
        ("{data}", &data),
        ("{uplot.version}", UPLOT_VERSION),
        ("{uplot.license}", UPLOT_LICENCE.trim()),
        ("{uplot.js}", UPLOT),
        ("{numbers.js}", NUMBERS),
        ("{page.js}", SCRIPT),
    ];
    let mut page = String::with_capacity(
        TEMPLATE.len() + parts.iter().map(|part| part.1.len()).sum::<usize>(),
    );
    let mut rest = TEMPLATE;
    for (place, text) in parts {
        let (before, after) =
            rest.split_once(place).expect("the template has each place, in this order");
        page.push_str(before);
        page.push_str(text);
        rest = after;
    }
    page.push_str(rest);
    page.into_bytes()
}

fn content<'a>(facts: &Facts<'a>, numbers: &Numbers<'a>) -> Page<'a> {
    let account = numbers.account;
    let timeline = numbers.timeline;
    let intervals = timeline.intervals();
    let failed: u64 = account.failed.values().sum();
    let rate = match facts.status {
        None => recent(numbers),
        Some(_) => (account.records > 0).then(|| account.rate()),
    };
    let left = facts.total.filter(|_| facts.status.is_none()).and_then(|total| {
        let left = (total as f64 - account.records as f64) / rate?;
        left.is_finite().then_some(left.max(0.0))
    });
    let quantile =
        |share: f64| intervals.iter().map(|interval| rounded(interval.times.at(share))).collect();
    Page {
        version: env!("CARGO_PKG_VERSION"),
        uplot: UPLOT_VERSION,
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        name: facts.name,
        command: cut(facts.command, MOST_OF_COMMAND),
        again: facts.again.iter().map(|(kind, command)| (*kind, command.as_str())).collect(),
        retry: facts.retry,
        began: facts.began,
        written: facts.written,
        every: facts.every,
        ended: facts.status.map(|_| facts.written),
        status: facts.status,
        verdict: cut(facts.verdict, MOST_OF_COMMAND),
        hint: advice(account).filter(|_| facts.status.is_some()),
        resumed: facts.resumed,
        workers: account.workers.len(),
        records: Records {
            done: account.records,
            failed,
            results: account.results,
            total: facts.total,
            in_flight: facts.in_flight,
            waiting: facts.waiting,
            restarts: account.restarts,
        },
        rate,
        elapsed: account.wall.as_secs_f64(),
        left,
        latency: Latency {
            p50: rounded(timeline.times().at(0.5)),
            p95: rounded(timeline.times().at(0.95)),
            p99: rounded(timeline.times().at(0.99)),
        },
        first: facts.began,
        step: timeline.step().as_secs_f64(),
        last: numbers.last.as_secs_f64(),
        done: intervals.iter().map(|interval| interval.done).collect(),
        failed: intervals.iter().map(|interval| interval.failed).collect(),
        held: intervals.iter().map(|interval| interval.held).collect(),
        p50: quantile(0.5),
        p95: quantile(0.95),
        p99: quantile(0.99),
        grouped: timeline.workers_per_lane() > 1,
        lanes: lanes(timeline, account.workers.len()),
        rows: rows(account, timeline.workers_per_lane()),
        slowest: (account.slowest.iter())
            .map(|slow| Slow {
                index: slow.index.0,
                seconds: slow.took.as_secs_f64(),
                worker: slow.worker.0,
                bytes: slow.bytes,
                input: shown(slow),
            })
            .collect(),
        failures: numbers.failures.groups(),
        failures_more: numbers.failures.more,
        memory: Memory {
            worker: account.workers.iter().filter_map(|worker| worker.peak).max(),
            own: facts.own,
            held: intervals.iter().map(|interval| interval.held).max().unwrap_or(facts.held),
            limit: facts.limit,
        },
    }
}

/// Records per second in the last intervals.
fn recent(numbers: &Numbers<'_>) -> Option<f64> {
    const INTERVALS: usize = 10;
    let intervals = numbers.timeline.intervals();
    let from = intervals.len().saturating_sub(INTERVALS);
    let done: u64 = intervals[from..].iter().map(|interval| interval.done).sum();
    let whole = intervals.len().saturating_sub(from + 1) as u32;
    let seconds = (numbers.timeline.step() * whole + numbers.last).as_secs_f64();
    (done > 0 && seconds > 0.0).then(|| done as f64 / seconds)
}

fn lanes(timeline: &Timeline, workers: usize) -> Vec<Lane> {
    let lane = |(number, cells): (usize, &Vec<Cell>)| {
        let name = named(number, timeline.workers_per_lane(), workers);
        let shown = cells.iter().map(Cell::shown);
        let is_restart = |(at, cell): (usize, &Cell)| (cell.restarts > 0).then_some(at);
        Lane {
            title: match timeline.workers_per_lane() {
                1 => format!("worker {name}"),
                _ => format!("workers {name}"),
            },
            name,
            share: shown.clone().map(|(share, _)| char::from(b'0' + share)).collect(),
            state: shown.map(|(_, state)| state).collect(),
            restarts: cells.iter().enumerate().filter_map(is_restart).collect(),
        }
    };
    timeline.lanes().iter().enumerate().map(lane).collect()
}

fn named(lane: usize, each: usize, workers: usize) -> String {
    let (first, end) = (lane * each, (lane * each + each).min(workers));
    match end - first {
        1 => first.to_string(),
        _ => format!("{first}–{}", end - 1),
    }
}

/// A row for each lane's workers.
fn rows(account: &Account, each: usize) -> Vec<Row> {
    let row = |(number, workers): (usize, &[Share])| {
        let sum = |of: fn(&Share) -> u64| workers.iter().map(of).sum();
        let seconds = |of: fn(&Share) -> Duration| {
            let seconds: f64 = workers.iter().map(|worker| of(worker).as_secs_f64()).sum();
            rounded(Some(seconds)).unwrap_or_default()
        };
        Row {
            name: named(number, each, account.workers.len()),
            records: sum(|worker| worker.records),
            failed: sum(|worker| worker.failed),
            processes: workers.iter().map(|worker| worker.processes).sum(),
            seconds: [
                seconds(|worker| worker.times.starting),
                seconds(|worker| worker.times.waiting),
                seconds(|worker| worker.times.working),
                seconds(|worker| worker.times.exiting),
                seconds(|worker| worker.times.absent),
            ],
            peak: workers.iter().filter_map(|worker| worker.peak).max(),
        }
    };
    account.workers.chunks(each).enumerate().map(row).collect()
}

/// To three digits: more would say nothing, and take room.
fn rounded(seconds: Option<f64>) -> Option<f64> {
    let seconds = seconds?;
    Some(format!("{seconds:.2e}").parse().unwrap_or(seconds))
}

//! The statistics of a run as people (`--stats`) and programs (`--stats-file`) read them.

use std::iter;
use std::time::Duration;

use serde::Serialize;

use super::account::{Account, Reason, Times};
use super::advice::advice;
use super::given::{memory, threads};
use super::text::{cut, rate, span};
use crate::schedule::SlowRecord;
use crate::visible;

/// The most columns of a record, and the fewest beside what is said of it.
const RECORD: usize = 48;
const SHORTEST_RECORD: usize = 8;
/// What is between two columns.
const GAP: &str = "  ";
/// What stands before a record on a line of its own.
const INDENT: &str = "    ";

/// The table for stderr, whole lines of at most so many columns, where they can be cut at all.
pub(super) fn table(account: &Account, most: usize) -> String {
    let heads = [
        "worker",
        "records",
        "failed",
        "processes",
        "starting",
        "waiting",
        "working",
        "exiting",
        "absent",
    ];
    let mut rows = vec![heads.map(str::to_owned)];
    for (number, worker) in account.workers.iter().enumerate() {
        let counts = [
            number as u64,
            worker.records,
            worker.failed,
            worker.processes.into(),
        ];
        rows.push(row(
            counts.map(|count| count.to_string()),
            worker.times.map(span),
        ));
    }
    let total = account.total();
    let failures: u64 = account.failed.values().sum();
    let processes: u64 = account.workers.iter().map(|worker| u64::from(worker.processes)).sum();
    let counts = [account.records, failures, processes].map(|count| count.to_string());
    let [records, failed, processes] = counts;
    rows.push(row(
        ["all".into(), records, failed, processes],
        total.map(span),
    ));
    let share = |time| format!("{:.1}%", account.share(time) * 100.0);
    let none = || String::new();
    rows.push(row(
        ["share".into(), none(), none(), none()],
        total.map(share),
    ));

    let widths: Vec<usize> = (0..heads.len())
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
        .collect();
    let results = match account.results + failures {
        expected if expected == account.records => String::new(),
        _ => format!(" gave {} results", account.results),
    };
    let mut text = format!(
        "mtask: {} records{results} in {}",
        account.records,
        span(account.wall)
    );
    if account.records > 0 {
        text += &format!(", {}", rate(account.rate()));
    }
    text.push('\n');
    for columns in blocks(&widths, most) {
        let says =
            |row: &&[String; 9]| columns.clone().skip(1).any(|column| !row[column].is_empty());
        for row in rows.iter().filter(says) {
            let cells =
                columns.clone().map(|column| format!("{:>1$}", row[column], widths[column]));
            text += &(cells.collect::<Vec<_>>().join(GAP) + "\n");
        }
    }
    let had: u64 = account.workers.iter().map(|worker| worker.records).sum();
    if had < account.records {
        text += &format!("{} records never reached a worker\n", account.records - had);
    }
    text += &threads(account, most);
    text += &memory(account, most);
    text += &held_back(account);
    if !account.slowest.is_empty() {
        text += "slowest records:\n";
    }
    for slow in &account.slowest {
        let what = format!(
            "{:>9}  {}  record {}:",
            precise(slow.took),
            slow.worker,
            slow.index
        );
        let (before, left) = match most.saturating_sub(what.len() + 1) {
            left if left >= SHORTEST_RECORD => (" ".to_owned(), left),
            _ => (format!("\n{INDENT}"), most.saturating_sub(INDENT.len())),
        };
        text += &format!("{what}{before}{}\n", cut(&shown(slow), left.min(RECORD)));
    }
    text
}

/// What kept the workers from work though they and records were there; empty where nothing did.
fn held_back(account: &Account) -> String {
    let share = |reason| {
        let time = account.lost.get(&reason).copied().unwrap_or_default();
        (!time.is_zero()).then(|| format!("{:.1}%", account.share(time) * 100.0))
    };
    let rate = share(Reason::Rate).map(|share| format!("rate {share}"));
    let asked = (account.refusals.records > 0).then(|| {
        format!(
            "asked to wait {} ({} records refused)",
            span(account.refusals.wait),
            account.refusals.records
        )
    });
    let parts: Vec<_> = [rate, asked].into_iter().flatten().collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!("held back: {}\n", parts.join(", ")),
    }
}

/// Which columns stand beside each other so that a row fits, the first one always: in a narrow terminal
/// there are several tables, one below the other.
fn blocks(widths: &[usize], most: usize) -> Vec<impl Iterator<Item = usize> + Clone + use<>> {
    let mut blocks = Vec::new();
    let (mut from, mut used) = (1, widths[0]);
    for column in 1..widths.len() {
        let width = GAP.len() + widths[column];
        if used + width > most && column > from {
            blocks.push(iter::once(0).chain(from..column));
            (from, used) = (column, widths[0]);
        }
        used += width;
    }
    blocks.push(iter::once(0).chain(from..widths.len()));
    blocks
}

/// What would have kept the workers busy, a line for stderr; empty where they were.
pub(super) fn hint(account: &Account) -> String {
    advice(account).map_or_else(String::new, |advice| format!("mtask: {advice}\n"))
}

/// Milliseconds tell quick records apart.
fn precise(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{seconds:.3}s"),
        _ => span(time),
    }
}

fn row(counts: [String; 4], times: [String; 5]) -> [String; 9] {
    let mut cells = counts.into_iter().chain(times);
    std::array::from_fn(|_| cells.next().unwrap_or_default())
}

impl Times {
    /// The times in the order of the table's columns.
    fn map<T>(&self, show: impl Fn(Duration) -> T) -> [T; 5] {
        [
            self.starting,
            self.waiting,
            self.working,
            self.exiting,
            self.absent,
        ]
        .map(show)
    }
}

/// The record on one line, its beginning if it is long.
pub(super) fn shown(slow: &SlowRecord) -> String {
    let text = visible::line(&String::from_utf8_lossy(&slow.start));
    if slow.start.len() < slow.bytes {
        text + "…"
    } else {
        text
    }
}

/// The same for programs. docs/statistics.md says what each field means.
#[derive(Serialize)]
struct Document<'a> {
    wall_seconds: f64,
    records: u64,
    results: u64,
    records_per_second: f64,
    failed: u64,
    failed_by_kind: &'a std::collections::BTreeMap<&'static str, u64>,
    restarts: u64,
    in_doubt: &'a [(u64, u64)],
    workers: Vec<WorkerEntry>,
    total: TimesEntry,
    share: TimesEntry,
    lost_seconds: LostEntry,
    slowest: Vec<SlowEntry>,
    advice: Option<String>,
}

#[derive(Serialize)]
struct WorkerEntry {
    worker: usize,
    records: u64,
    failed: u64,
    processes: u32,
    replaced_for_memory: u32,
    peak_memory: Option<u64>,
    threads: Option<usize>,
    seconds: TimesEntry,
}

#[derive(Serialize)]
struct TimesEntry {
    starting: f64,
    waiting: f64,
    working: f64,
    exiting: f64,
    absent: f64,
}

#[derive(Serialize)]
struct LostEntry {
    starting: f64,
    input: f64,
    output: f64,
    order: f64,
    end: f64,
    quicker: f64,
    check: f64,
    restart: f64,
    retry: f64,
    rate: f64,
    asked: f64,
    exiting: f64,
}

#[derive(Serialize)]
struct SlowEntry {
    index: u64,
    seconds: f64,
    worker: usize,
    input: String,
    bytes: usize,
}

/// The JSON document of `--stats-file`, one line.
pub(super) fn document(account: &Account) -> Vec<u8> {
    let seconds = |time: Duration| time.as_secs_f64();
    let lost = |reason| account.lost.get(&reason).copied().unwrap_or_default().as_secs_f64();
    let total = account.total();
    let document = Document {
        wall_seconds: seconds(account.wall),
        records: account.records,
        results: account.results,
        records_per_second: account.rate(),
        failed: account.failed.values().sum(),
        failed_by_kind: &account.failed,
        restarts: account.restarts,
        in_doubt: account.doubts.ranges(),
        workers: (account.workers.iter().enumerate())
            .map(|(worker, share)| WorkerEntry {
                worker,
                records: share.records,
                failed: share.failed,
                processes: share.processes,
                replaced_for_memory: share.outgrown,
                peak_memory: share.peak,
                threads: share.threads,
                seconds: entry(share.times, seconds),
            })
            .collect(),
        total: entry(total, seconds),
        share: entry(total, |time| account.share(time)),
        lost_seconds: LostEntry {
            starting: lost(Reason::Starting),
            input: lost(Reason::Input),
            output: lost(Reason::Output),
            order: lost(Reason::Order),
            end: lost(Reason::End),
            quicker: lost(Reason::Quicker),
            check: lost(Reason::Check),
            restart: lost(Reason::Restart),
            retry: lost(Reason::Retry),
            rate: lost(Reason::Rate),
            asked: lost(Reason::Asked),
            exiting: lost(Reason::Exiting),
        },
        slowest: (account.slowest.iter())
            .map(|slow| SlowEntry {
                index: slow.index.0,
                seconds: seconds(slow.took),
                worker: slow.worker.0,
                input: shown(slow),
                bytes: slow.bytes,
            })
            .collect(),
        advice: advice(account),
    };
    let mut text = serde_json::to_vec(&document).expect("numbers and strings are JSON");
    text.push(b'\n');
    text
}

fn entry(times: Times, number: impl Fn(Duration) -> f64) -> TimesEntry {
    let [starting, waiting, working, exiting, absent] = times.map(number);
    TimesEntry {
        starting,
        waiting,
        working,
        exiting,
        absent,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::account::Share;
    use super::*;
    use crate::record::Index;
    use crate::schedule::{Doubts, Refusals, WorkerId};

    fn account() -> Account {
        let times = |working| Times {
            starting: Duration::from_millis(1500),
            waiting: Duration::from_secs(60 - working),
            working: Duration::from_secs(working),
            exiting: Duration::from_millis(40),
            absent: Duration::ZERO,
        };
        let share = |records, working| Share {
            records,
            failed: 1,
            processes: 2,
            peak: None,
            outgrown: 0,
            threads: None,
            times: times(working),
        };
        Account {
            latencies: Default::default(),
            wall: Duration::from_millis(61_540),
            records: 1001,
            results: 998,
            failed: BTreeMap::from([("timeout", 2), ("invalid_input", 1)]),
            restarts: 2,
            refusals: Refusals::default(),
            doubts: Doubts::default(),
            workers: vec![share(900, 59), share(100, 7)],
            lost: BTreeMap::from([(Reason::Input, Duration::from_secs(54))]),
            slowest: vec![SlowRecord {
                index: Index(17),
                took: Duration::from_millis(2346),
                worker: WorkerId(1),
                start: b"a\tb\x1b[2J".to_vec(),
                bytes: 500,
            }],
        }
    }

    #[test]
    fn the_table_is_aligned_and_safe() {
        let expected = "\
mtask: 1001 records in 61.5s, 16/s
worker  records  failed  processes  starting  waiting  working  exiting  absent
     0      900       1          2     1.50s    1.00s    59.0s    0.04s   0.00s
     1      100       1          2     1.50s    53.0s    7.00s    0.04s   0.00s
   all     1001       3          4     3.00s    54.0s    66.0s    0.08s   0.00s
 share                                  2.4%    43.9%    53.6%     0.1%    0.0%
1 records never reached a worker
slowest records:
    2.35s  worker 1  record 17: a\\tb\\u{1b}[2J…
";
        assert_eq!(table(&account(), 80), expected);
        let expected =
            "mtask: the workers worked 54% of the time: for 44% of it the input gave nothing\n";
        assert_eq!(hint(&account()), expected);
        assert_eq!(hint(&Account::default()), "");
    }

    #[test]
    fn a_narrow_terminal_has_tables_below_each_other() {
        let mut account = account();
        account.slowest[0].index = Index(1_234_567);
        account.slowest[0].start = vec![b'x'; 100];
        let expected = "\
mtask: 1001 records in 61.5s, 16/s
worker  records  failed  processes
     0      900       1          2
     1      100       1          2
   all     1001       3          4
worker  starting  waiting  working
     0     1.50s    1.00s    59.0s
     1     1.50s    53.0s    7.00s
   all     3.00s    54.0s    66.0s
 share      2.4%    43.9%    53.6%
worker  exiting  absent
     0    0.04s   0.00s
     1    0.04s   0.00s
   all    0.08s   0.00s
 share     0.1%    0.0%
1 records never reached a worker
slowest records:
    2.35s  worker 1  record 1234567:
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
";
        assert_eq!(table(&account, 40), expected);
        for most in [40, 60, 80, 100] {
            let table = table(&account, most);
            assert!(
                table.lines().all(|line| line.chars().count() <= most),
                "{table}"
            );
        }
        assert!(table(&account, 80).contains("record 1234567: xxx"));
        assert!(!table(&account, 1).is_empty());
    }

    #[test]
    fn the_document_has_the_same_numbers() {
        let document = document(&account());
        assert_eq!(document.iter().filter(|byte| **byte == b'\n').count(), 1);
        let value: serde_json::Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(value["records"], 1001);
        assert_eq!(value["failed"], 3);
        assert_eq!(value["failed_by_kind"]["timeout"], 2);
        assert_eq!(value["workers"][1]["seconds"]["waiting"], 53.0);
        assert_eq!(value["total"]["working"], 66.0);
        assert_eq!(value["lost_seconds"]["input"], 54.0);
        assert_eq!(value["slowest"][0]["input"], "a\\tb\\u{1b}[2J…");
        let shares: f64 = value["share"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(serde_json::Value::as_f64)
            .sum();
        assert!((shares - 1.0).abs() < 1e-9);
    }
}

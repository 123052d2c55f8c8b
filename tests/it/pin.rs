//! `--pin`: each worker runs on CPUs of its own.

use std::collections::BTreeSet;

use crate::done::{Done, records};
use crate::env::{TestEnv, mtask};

/// The CPUs that this line of /proc/self/status allows, as `0-2,5`.
fn listed(list: &str) -> BTreeSet<usize> {
    let number = |text: &str| text.trim().parse::<usize>().expect("a CPU");
    let ranges = list.split(',').map(|range| match range.split_once('-') {
        Some((first, last)) => number(first)..=number(last),
        None => number(range)..=number(range),
    });
    ranges.flatten().collect()
}

/// Those that mtask may use, as this test may.
fn usable() -> BTreeSet<usize> {
    let status = std::fs::read_to_string("/proc/self/status").expect("it is there");
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    listed(list.expect("a list of CPUs"))
}

/// A worker that waits until all have a record, and then tells on which CPUs its children run.
const TELL: &str = r#"read -r all
: > "here-$MTASK_WORKER"
until [ "$(ls here-* | wc -l)" = "$all" ]; do sleep 0.01; done
cpus=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
echo "$cpus $OMP_NUM_THREADS"
"#;

/// What each of so many workers tells: its CPUs, and its threads.
fn told(jobs: usize) -> Vec<(BTreeSet<usize>, usize)> {
    let env = TestEnv::new();
    let options = [format!("-j{jobs}"), "--pin".into(), "--window=1".into()];
    let run = env.mtask().args(options).args(["sh", "-c", TELL]);
    let done = run.run_on(records((0..jobs).map(|_| jobs.to_string())));
    done.assert_status(0);
    let lines = done.lines().into_iter().map(String::from_utf8_lossy);
    lines
        .map(|line| {
            let (cpus, threads) = line.split_once(' ').expect("two words");
            (listed(cpus), threads.parse().expect("a number"))
        })
        .collect()
}

#[test]
fn all_cpus_are_dealt_out_and_none_twice() {
    let usable = usable();
    for jobs in [1, usable.len().min(2), usable.len().min(16)] {
        let told = told(jobs);
        assert_eq!(told.len(), jobs);
        let all: Vec<usize> = told.iter().flat_map(|(cpus, _)| cpus.iter().copied()).collect();
        assert_eq!(all.len(), usable.len(), "{told:?}");
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), usable);
        let most = std::thread::available_parallelism().expect("a number").get();
        for (cpus, threads) in told {
            // A quota may leave less than there are CPUs.
            let expected = if most == usable.len() {
                cpus.len()
            } else {
                (most / jobs).max(1)
            };
            assert_eq!(threads, expected);
        }
    }
}

#[test]
fn more_workers_than_cpus_are_a_usage_error() {
    let most = usable().len();
    let run = mtask(&format!("-j{} --pin", most + 1));
    let done = run.echo().run();
    done.assert_status(2)
        .assert_stderr_has("--pin")
        .assert_stderr_has(&format!("--jobs {most}"));
}

#[test]
fn a_dry_run_shows_the_cpus() {
    let done: Done = mtask("--dry-run -j1 --pin cat").run();
    let shown = String::from_utf8_lossy(&done.stdout).into_owned();
    let list = shown.split_once("taskset -c ").and_then(|(_, rest)| rest.split(' ').next());
    assert_eq!(list.map(listed), Some(usable()));
}

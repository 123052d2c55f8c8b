//! A journal that is not what mtask wrote is refused, and nothing is changed; whatever stands in
//! it, mtask says so.

use mtask::journal::format::{Entry, Prefix, Ready, read};

use crate::done::numbers;
use crate::env::TestEnv;

use super::refused::assert_refused;
use super::{mtask, resumable, sorted};

/// A journal of several entries and what it vouches for.
struct Kept {
    env: TestEnv,
    options: Vec<String>,
    lines: Vec<Vec<u8>>,
    count: usize,
}

/// Runs, one after the other, each of which adds a few records and entries.
fn kept(options: &[&str]) -> Kept {
    let env = TestEnv::new();
    let options = [&["-j1"], options].concat();
    let mut count = 0;
    for _ in 0..4 {
        count += 10;
        mtask(&env, &options).echo().run_on(numbers(count)).assert_status(0);
    }
    let journal = env.read("journal");
    let lines = journal.split_inclusive(|byte| *byte == b'\n');
    let lines: Vec<_> = lines.map(<[u8]>::to_vec).collect();
    assert!(lines.len() > 4, "{}", String::from_utf8_lossy(&journal));
    let options = resumable(&env).into_iter();
    Kept {
        options: options
            .chain(["-j1".to_owned()])
            .chain((options_of(&lines)).map(ToOwned::to_owned))
            .collect(),
        env,
        lines,
        count,
    }
}

/// Whether the journal is of an unordered run.
fn options_of(lines: &[Vec<u8>]) -> Option<&'static str> {
    let first = String::from_utf8_lossy(&lines[0]).into_owned();
    first.contains("\"--unordered\":\"yes\"").then_some("-u")
}

impl Kept {
    #[track_caller]
    fn assert_refused(&self, lines: &[Vec<u8>], words: &[&str]) {
        self.env.write("journal", lines.concat());
        let options: Vec<_> = self.options.iter().map(String::as_str).collect();
        assert_refused(&self.env, &options, &numbers(self.count), 1, words);
    }

    #[track_caller]
    fn assert_gone_on_with(&self, lines: &[Vec<u8>]) {
        self.env.write("journal", lines.concat());
        let run = self.env.mtask().args(&self.options).echo();
        run.run_on(numbers(self.count)).assert_status(0);
        let (out, expected) = (self.env.read("out"), numbers(self.count));
        assert_eq!(sorted(&out, b'\n'), sorted(&expected, b'\n'));
    }
}

const OUT_OF_PLACE: &[&str] = &["does not follow", "restore it, or begin anew"];

#[test]
fn a_line_that_is_lost_is_noticed() {
    for order in [&[][..], &["-u"]] {
        let kept = kept(order);
        for number in 0..kept.lines.len() - 1 {
            let mut lines = kept.lines.clone();
            lines.remove(number);
            kept.assert_refused(&lines, OUT_OF_PLACE);
        }
        let mut lines = kept.lines.clone();
        lines.drain(1..3);
        kept.assert_refused(&lines, OUT_OF_PLACE);
        kept.assert_gone_on_with(&kept.lines);
    }
}

#[test]
fn lines_that_are_doubled_or_swapped_are_noticed() {
    for order in [&[][..], &["-u"]] {
        let kept = kept(order);
        for number in 0..kept.lines.len() {
            let mut lines = kept.lines.clone();
            lines.insert(number, kept.lines[number].clone());
            kept.assert_refused(&lines, OUT_OF_PLACE);
            let mut lines = kept.lines.clone();
            lines.push(kept.lines[number].clone());
            kept.assert_refused(&lines, OUT_OF_PLACE);
            if number + 1 < kept.lines.len() {
                let mut lines = kept.lines.clone();
                lines.swap(number, number + 1);
                kept.assert_refused(&lines, OUT_OF_PLACE);
            }
        }
    }
}

#[test]
fn a_line_of_another_journal_is_noticed() {
    for order in [&[][..], &["-u"]] {
        let (kept, other) = (kept(order), kept(order));
        for number in 1..kept.lines.len().min(other.lines.len()) {
            let mut lines = kept.lines.clone();
            lines[number].clone_from(&other.lines[number]);
            kept.assert_refused(&lines, OUT_OF_PLACE);
        }
        let both = [&kept.lines[..], &other.lines].concat();
        kept.assert_refused(&both, OUT_OF_PLACE);
    }
}

/// The same files, the same command line: what was there before is another journal all the same.
#[test]
fn a_line_of_an_earlier_journal_of_the_same_run_is_noticed() {
    let kept = kept(&[]);
    for name in ["journal", "out"] {
        std::fs::remove_file(kept.env.path(name)).expect("removed");
    }
    let run = kept.env.mtask().args(&kept.options).echo();
    run.run_on(numbers(kept.count)).assert_status(0);
    let journal = kept.env.read("journal");
    let first = journal.split_inclusive(|byte| *byte == b'\n').next();
    let first = first.expect("a line").to_vec();
    let lines = [&[first], &kept.lines[1..]].concat();
    kept.assert_refused(&lines, OUT_OF_PLACE);
}

#[test]
fn a_journal_cut_off_anywhere_is_that_of_an_earlier_moment() {
    let kept = kept(&["-u"]);
    let out = kept.env.read("out");
    for count in 2..=kept.lines.len() {
        for cut in [0, 1, 30] {
            let mut lines = kept.lines[..count].to_vec();
            let last = lines.last_mut().expect("a line");
            last.truncate(last.len() - cut);
            kept.env.write("out", &out);
            kept.assert_gone_on_with(&lines);
        }
    }
}

/// Lines that are whole and follow each other, and yet no run can have written them: mtask says so,
/// or goes on, and is never at fault itself.
#[test]
fn whatever_a_journal_says_mtask_is_not_at_fault() {
    const MAX: u64 = u64::MAX;
    for order in [&[][..], &["-u"]] {
        let kept = kept(order);
        let first = read(&kept.lines[0][..]).expect("a journal").expect("a line");
        let whole = read(&kept.lines.concat()[..]).expect("a journal").expect("a line");
        let entry = |done: &[(u64, u64)], records, change: &dyn Fn(&mut Entry)| {
            let mut entry = Entry {
                done: done.to_vec(),
                output: whole.output,
                input: Prefix {
                    records,
                    ..whole.input
                },
                ..Entry::default()
            };
            change(&mut entry);
            entry
        };
        let took = |took| Ready { command: 1, took };
        let cases = [
            entry(&[(0, 40)], 40, &|_| ()),
            entry(&[(0, 10), (20, 20)], 40, &|_| ()),
            entry(&[(20, 20)], 40, &|_| ()),
            entry(&[(0, 1_000_000)], 1_000_000, &|_| ()),
            entry(&[(0, MAX)], MAX, &|_| ()),
            entry(&[(MAX - 1, 1)], MAX, &|_| ()),
            entry(&[(MAX, 1)], MAX, &|_| ()),
            entry(&[(0, 40)], MAX, &|_| ()),
            entry(&[(0, 0)], 40, &|_| ()),
            entry(&[(0, 20), (10, 20)], 40, &|_| ()),
            entry(&[(0, 40)], 40, &|entry| entry.output.bytes = MAX),
            entry(&[(0, 40)], 40, &|entry| entry.output.bytes = 1 << 63),
            entry(&[(0, 40)], 40, &|entry| entry.errors = Some(whole.output)),
            entry(&[(0, 40)], 40, &|entry| entry.protocol_violations = MAX),
            entry(&[(0, 40)], 40, &|entry| entry.bad_ends = MAX),
            entry(&[(0, 40)], 40, &|entry| {
                entry.failed = [("timeout".into(), MAX)].into();
            }),
            entry(&[(0, 40)], 40, &|entry| entry.ready = Some(took(MAX))),
            entry(&[], 0, &|entry| entry.ready = Some(took(0))),
        ];
        for case in cases {
            let shown = format!("{case:?}");
            let line = first.chain.clone().entry(case);
            let out = kept.env.read("out");
            kept.env.write("journal", [&kept.lines[0][..], &line].concat());
            let run = kept.env.mtask().args(&kept.options).echo();
            let done = run.run_on(numbers(kept.count));
            let is_told = matches!(done.status.code(), Some(0 | 1 | 2 | 123));
            done.check(is_told, &shown);
            done.check(!done.stderr.contains("internal fault"), &shown);
            kept.env.write("out", out);
        }
    }
}

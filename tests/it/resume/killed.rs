//! Runs that are killed with SIGKILL again and again, at moments that come from a seed.
//!
//! A moment is a number of bytes by which an output has grown. Which seed it was, a failure shows;
//! `MTASK_TEST_SEED=N` runs that one alone.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::done::{ERROR_MARK, records};
use crate::env::{Run, TestEnv, wait_until};
use crate::property::{Random, seeds};

/// How many runs are killed at most, before one is let be.
const KILLS: usize = 12;
/// How many seeds there are for each job.
const SEEDS: usize = 2;

/// What is run, undisturbed and disturbed.
struct Job {
    options: &'static [&'static str],
    worker: &'static [&'static str],
    input: fn(&TestEnv) -> Input,
    order: Order,
    separator: u8,
    status: i32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Input,
    Finish,
}

enum Input {
    Stdin(Vec<u8>),
    Files(Vec<String>),
}

#[test]
fn lines_of_several_files() {
    survive(&Job {
        options: &[],
        worker: &["--suffix", "!"],
        input: |env| {
            let text = lines(900);
            let third = text.len() / 3;
            let parts = [&text[..third], &text[third..third + 5], &text[third + 5..]];
            // Three files, none of which need end with a newline.
            let files = parts.iter().enumerate();
            let files = files.map(|(i, part)| env.write(&format!("in{i}"), part));
            Input::Files(files.collect())
        },
        order: Order::Input,
        separator: b'\n',
        status: 123,
    });
}

#[test]
fn lines_from_stdin_unordered_with_errors_apart() {
    survive(&Job {
        options: &["-u", "--errors", "errors", "--output-format", "envelope"],
        worker: &[],
        input: |_| Input::Stdin(lines(900)),
        order: Order::Finish,
        separator: b'\n',
        status: 123,
    });
}

#[test]
fn lines_in_order_with_errors_apart_and_ignored() {
    survive(&Job {
        options: &[
            "--errors",
            "errors",
            "--on-error",
            "ignore",
            "--retries",
            "1",
        ],
        worker: &[],
        input: |_| Input::Stdin(lines(900)),
        order: Order::Input,
        separator: b'\n',
        status: 0,
    });
}

#[test]
fn strings_that_end_with_nul() {
    survive(&Job {
        options: &["-0", "-u"],
        worker: &["--null"],
        input: |_| {
            let lines = lines(700).into_iter();
            let text = lines.map(|byte| if byte == b'\n' { 0 } else { byte });
            Input::Stdin(text.collect())
        },
        order: Order::Finish,
        separator: 0,
        status: 123,
    });
}

#[test]
fn json_values_in_order() {
    survive(&Job {
        options: &[
            "--protocol",
            "json",
            "--max-record",
            "200",
            "--errors",
            "errors",
        ],
        worker: &["--json"],
        input: |_| Input::Stdin(values(900)),
        order: Order::Input,
        separator: b'\n',
        status: 123,
    });
}

#[test]
fn json_values_unordered() {
    survive(&Job {
        options: &[
            "--protocol",
            "json",
            "--max-record",
            "200",
            "-u",
            "--retries",
            "1",
        ],
        worker: &["--json"],
        input: |env| Input::Files(vec![env.write("in", values(900))]),
        order: Order::Finish,
        separator: b'\n',
        status: 123,
    });
}

#[test]
fn many_results_and_none_in_order() {
    survive(&Job {
        options: &["--protocol", "json", "--output-format", "envelope"],
        worker: &["--json"],
        input: |_| Input::Stdin(lists(900)),
        order: Order::Input,
        separator: b'\n',
        status: 123,
    });
}

#[test]
fn many_results_and_none_unordered_with_errors_apart() {
    survive(&Job {
        options: &["--protocol", "json", "-u", "--errors", "errors"],
        worker: &["--json"],
        input: |_| Input::Stdin(lists(900)),
        order: Order::Finish,
        separator: b'\n',
        status: 123,
    });
}

#[test]
fn results_that_are_put_into_their_records() {
    survive(&Job {
        options: &[
            "--protocol",
            "json",
            "--format",
            "csv",
            "--field",
            "say",
            "--merge",
            "say",
        ],
        worker: &["--json"],
        input: |_| {
            let rows = lists(900);
            let rows = rows.split_inclusive(|byte| *byte == b'\n').enumerate();
            let rows = rows.flat_map(|(n, row)| [format!("{n},").as_bytes(), row].concat());
            Input::Stdin(b"n,say\n".iter().copied().chain(rows).collect())
        },
        order: Order::Input,
        separator: b'\n',
        status: 123,
    });
}

/// Lines; some take a while, so that there is time for entries, a few kill their worker, always or
/// the first one that gets them, and the last lets no run end before one was killed.
fn lines(count: usize) -> Vec<u8> {
    records((0..count).map(|i| match i % 300 {
        _ if i + 1 == count => format!("{i} @wait:killed"),
        150 => format!("{i} @die:3"),
        200 => format!("{i} @once:once{i} @die:1"),
        _ if i % 7 == 0 => format!("{i} @sleep:6"),
        _ => format!("{i} {}", "x".repeat(i % 40)),
    }))
}

/// The same as JSON, some of it malformed or too large, with answers that are errors, bad or too
/// large.
fn values(count: usize) -> Vec<u8> {
    records((0..count).map(|i| match i % 100 {
        _ if i + 1 == count => format!("\"{i} @wait:killed\""),
        10 => format!("\"{i} @error:no\""),
        20 => format!("\"{i} @nan\""),
        30 => format!("{{\"broken\":{i}"),
        40 => format!("\"{i} {}\"", "long".repeat(100)),
        50 => format!("\"{i} @big:1K\""),
        60 => "  ".to_owned(),
        70 if i < 300 => format!("\"{i} @once:once{i} @die:1\""),
        80 if i < 100 => format!("\"{i} @die:9\""),
        _ if i % 7 == 0 => format!("\"{i} @sleep:6\""),
        _ => format!(" {{\"i\":{i}}}"),
    }))
}

/// JSON with up to three results for each; long runs of it have none.
fn lists(count: usize) -> Vec<u8> {
    records((0..count).map(|i| match i % 300 {
        _ if i + 1 == count => format!("\"{i} @wait:killed @outputs:2\""),
        150 => format!("\"{i} @die:3\""),
        160 => format!("\"{i} @error:no\""),
        200 => format!("\"{i} @once:once{i} @die:1\""),
        220..260 => format!("\"{i} @sleep:1 @outputs:0\""),
        _ if i % 7 == 0 => format!("\"{i} @sleep:6 @outputs:{}\"", i % 4),
        _ => format!("\"{i} {} @outputs:{}\"", "x".repeat(i % 40), i % 4),
    }))
}

/// The files of a job are those of an undisturbed run, whatever is killed.
fn survive(job: &Job) {
    let undisturbed = {
        let env = TestEnv::new();
        env.write("killed", "");
        let done = job.run(&env, &["-j2"]).run();
        done.assert_status(job.status);
        job.files(&env)
    };
    for seed in seeds().into_iter().take(SEEDS) {
        let env = TestEnv::new();
        let mut random = Random(seed);
        let mut killed = 0;
        let done = loop {
            let may_change = match random.below(3) {
                0 => ["-j1", "--window", "auto", "--buffer", "1M"],
                1 => ["-j2", "--window", "5", "--buffer", "8K"],
                _ => ["-j3", "--window", "1", "--buffer", "64M"],
            };
            let options = [&["--resume", "journal"], &may_change[..]].concat();
            let mut live = job.run(&env, &options).start();
            let grows = 1 + random.below(undisturbed.bytes / 6);
            let begin = job.bytes(&env);
            let is_let_be = killed >= KILLS;
            // What is cut back at the start makes it smaller first.
            let has_grown = || job.bytes(&env) >= begin + grows;
            wait_until("the moment or the end", || {
                live.has_ended() || !is_let_be && has_grown()
            });
            if !live.has_ended() {
                match random.below(2) {
                    0 => live.signal(Signal::KILL),
                    _ => live.kill_group(),
                }
                killed += 1;
                env.write("killed", "");
            }
            let done = live.wait();
            if done.status.code().is_some() {
                break done;
            }
        };
        let seed = format!("MTASK_TEST_SEED={seed}, killed {killed} times");
        done.check(
            done.status.code() == Some(job.status),
            &format!("{seed}: the status"),
        );
        let files = job.files(&env);
        done.check(
            files.errors == undisturbed.errors,
            &format!("{seed}: --errors"),
        );
        done.check(
            files.output == undisturbed.output,
            &format!("{seed}: the output"),
        );
        assert!(killed > 0, "{seed}");
    }
}

/// What is compared.
struct Files {
    bytes: usize,
    output: Vec<Vec<u8>>,
    errors: Vec<Vec<u8>>,
}

impl Job {
    fn run(&self, env: &TestEnv, more: &[&str]) -> Run {
        let mut run = env.mtask().words("-o out").args(more);
        run = run.args(self.options);
        match (self.input)(env) {
            Input::Stdin(bytes) => run.stdin(bytes),
            Input::Files(files) => {
                let inputs = files.into_iter().flat_map(|file| ["-i".to_owned(), file]);
                run.args(inputs)
            }
        }
        .worker(self.worker)
    }

    fn bytes(&self, env: &TestEnv) -> usize {
        let length = |name| fs::metadata(env.path(name)).map_or(0, |file| file.len() as usize);
        length("out") + length("errors")
    }

    fn files(&self, env: &TestEnv) -> Files {
        Files {
            bytes: self.bytes(env),
            output: self.lines(&env.read("out")),
            errors: if env.exists("errors") {
                self.lines(&env.read("errors"))
            } else {
                Vec::new()
            },
        }
    }

    /// The lines as they are compared: without what error records may tell differently.
    fn lines(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let lines = bytes.split_inclusive(|byte| *byte == self.separator);
        let whole = lines.map(|line| {
            if !line.starts_with(ERROR_MARK) {
                return line.to_vec();
            }
            let end = line.strip_suffix(&[self.separator]).expect("a whole line");
            let mut record: Value = serde_json::from_slice(end).expect("an error record");
            let fields = record.as_object_mut().expect("an object");
            for field in ["worker", "attempts", "message", "stderr"] {
                fields.remove(field);
            }
            [record.to_string().as_bytes(), &[self.separator]].concat()
        });
        let mut lines: Vec<_> = whole.collect();
        if self.order == Order::Finish {
            lines.sort_unstable();
        }
        lines
    }
}

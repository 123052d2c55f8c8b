//! `--retry-failed`: what failed is tried again, and the files end up as those of a run in which the
//! mended worker ran from the start.
//!
//! `@unless:mended` in a record: where there is a file of that name, the worker does not do what follows.

mod files;
mod killed;
mod refused;

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::Signal;
use serde_json::Value;

use crate::done::{Done, ERROR_MARK, records};
use crate::env::{Run, TestEnv};

const AGAIN: [&str; 5] = ["--resume", "journal", "-o", "out", "--retry-failed"];

/// What is run by a worker that fails, and tried again by one that is mended.
#[derive(Clone, Copy)]
struct Job {
    options: &'static [&'static str],
    worker: &'static [&'static str],
    input: fn(usize) -> Vec<u8>,
}

impl Job {
    fn is_in_order(self) -> bool {
        !self.options.contains(&"-u")
    }

    fn separator(self) -> u8 {
        if self.options.contains(&"-0") {
            0
        } else {
            b'\n'
        }
    }

    /// A run of the first `count` records.
    fn run(self, env: &TestEnv, count: usize, more: &[&str]) -> Run {
        let input = env.write("in", (self.input)(count));
        let run = env.mtask().args(["-j2", "--resume", "journal", "-o", "out", "-i", &input]);
        run.args(self.options).args(more).worker(self.worker)
    }

    fn try_again(self, env: &TestEnv, count: usize) -> Done {
        self.run(env, count, &["--retry-failed"]).run()
    }

    /// What one run by a worker that is mended writes of as many records, and its status.
    fn mended(self, count: usize) -> (Files, i32) {
        let env = TestEnv::new();
        env.write("mended", "");
        let done = self.run(&env, count, &[]).run();
        (self.files(&env), done.status.code().expect("a status"))
    }

    fn files(self, env: &TestEnv) -> Files {
        let lines = |name| {
            if !env.exists(name) {
                return Vec::new();
            }
            let bytes = env.read(name);
            let lines = bytes.split_inclusive(|byte| *byte == self.separator());
            let mut lines: Vec<_> = lines.map(|line| comparable(line, self.separator())).collect();
            if !self.is_in_order() {
                lines.sort_unstable();
            }
            lines
        };
        Files {
            output: lines("out"),
            errors: lines("errors"),
        }
    }
}

/// The lines of the outputs, as they are compared.
#[derive(PartialEq, Eq)]
struct Files {
    output: Vec<String>,
    errors: Vec<String>,
}

/// A line without what error records may tell differently.
fn comparable(line: &[u8], separator: u8) -> String {
    let text = || String::from_utf8_lossy(line).into_owned();
    if !line.starts_with(ERROR_MARK) {
        return text();
    }
    let end = line.strip_suffix(&[separator]).expect("a whole line");
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(end) else {
        // A result that looks like one.
        return text();
    };
    for field in ["worker", "attempts", "message", "stderr"] {
        fields.remove(field);
    }
    Value::Object(fields).to_string()
}

/// Lines of which some fail until the worker is mended, alone and side by side, at both ends, and some
/// always.
fn lines(count: usize) -> Vec<u8> {
    records((0..count).map(|i| match i % 20 {
        1 | 7 | 8 | 9 | 19 => format!("{i} @unless:mended @die:3"),
        12 => format!("{i} @die:4"),
        _ => format!("{i} {}", "x".repeat(i % 40)),
    }))
}

fn strings(count: usize) -> Vec<u8> {
    let bytes = lines(count).into_iter();
    bytes.map(|byte| if byte == b'\n' { 0 } else { byte }).collect()
}

/// Values of which some fail until the worker is mended; results that look like error records; and
/// what never will be a record.
fn values(count: usize) -> Vec<u8> {
    records((0..count).map(|i| match i % 20 {
        0 | 7 | 8 | 9 | 19 => format!("\"{i} @unless:mended @error:no\""),
        4 => format!("\"{i} @unless:mended @nan\""),
        // Several results, or none.
        1 | 11 => format!("\"{i} @outputs:{}\"", i % 4),
        2 | 16 | 17 => format!("\"{i} @outputs:{} @unless:mended @error:no\"", i % 4),
        12 => format!("\"{i} @error:never\""),
        14 => format!("{{\"broken\":{i}"),
        3 | 10 => format!(
            "{{\"mtask_error\":\"timeout\",\"index\":{i},\"message\":\"is a result\",\"attempts\":1}}"
        ),
        _ => format!("{{\"i\":{i}}}"),
    }))
}

fn rows(count: usize) -> Vec<u8> {
    let rows = (0..count).map(|i| match i % 10 {
        1 | 7 | 8 | 9 => format!("{i},@unless:mended @die:3"),
        3 => format!("{i},\"two\nlines, {i}\""),
        5 => format!("{i},one,too many"),
        _ => format!("{i},plain"),
    });
    records(std::iter::once("n,text".to_owned()).chain(rows))
}

/// Objects of which one member is sent.
fn objects(count: usize) -> Vec<u8> {
    records((0..count).map(|i| match i % 10 {
        1 | 7 | 8 | 9 => format!("{{\"text\":\"{i} @unless:mended @error:no\",\"i\":{i}}}"),
        3 => format!("{{ \"i\": {i} }}"),
        5 => format!("{{\"i\":{i},\"text\":\"@error:never\"}}"),
        _ => format!("{{\"i\":{i},\"text\":\"{i}\",\"got\":null}}"),
    }))
}

const JOBS: [Job; 15] = [
    Job {
        options: &[],
        worker: &["--suffix", "!"],
        input: lines,
    },
    Job {
        options: &["-u"],
        worker: &[],
        input: lines,
    },
    Job {
        options: &["--errors", "errors"],
        worker: &[],
        input: lines,
    },
    Job {
        options: &["-u", "--errors", "errors", "--error-input", "none"],
        worker: &[],
        input: lines,
    },
    Job {
        options: &["--output-format", "envelope", "--error-input", "none"],
        worker: &[],
        input: lines,
    },
    Job {
        options: &["-0"],
        worker: &["--null"],
        input: strings,
    },
    Job {
        options: &["--protocol", "json"],
        worker: &["--json"],
        input: values,
    },
    Job {
        options: &["--protocol", "json", "-u"],
        worker: &["--json"],
        input: values,
    },
    Job {
        options: &["--protocol", "json", "--errors", "errors"],
        worker: &["--json"],
        input: values,
    },
    Job {
        options: &["--protocol", "json", "--output-format", "envelope", "-u"],
        worker: &["--json"],
        input: values,
    },
    Job {
        options: &["--format", "csv"],
        worker: &[],
        input: rows,
    },
    Job {
        options: &["--protocol", "json", "--output-format", "pair"],
        worker: &["--json"],
        input: values,
    },
    Job {
        options: &["--protocol", "json", "--field", "text", "--merge", "got"],
        worker: &["--json"],
        input: objects,
    },
    Job {
        options: &["--each=stdin"],
        worker: &[],
        input: lines,
    },
    Job {
        options: &["--each=stdin", "-u", "--output-format", "envelope"],
        worker: &[],
        input: lines,
    },
];

/// Nothing is left beside the files.
#[track_caller]
fn assert_nothing_is_left(env: &TestEnv) {
    let names = fs::read_dir(env.path(".")).expect("the folder");
    let names = names.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.into_string().expect("UTF-8"));
    let mut names: Vec<_> = names.filter(|name| name.contains(".retr")).collect();
    names.sort();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn the_files_are_those_of_a_run_in_which_the_mended_worker_ran_from_the_start() {
    for job in JOBS {
        let env = TestEnv::new();
        job.run(&env, 23, &[]).run().assert_status(123);
        env.write("mended", "");
        let done = job.try_again(&env, 23);
        let (expected, status) = job.mended(23);
        done.assert_status(status).assert_stderr_has("are tried again");
        let options = job.options;
        done.check(job.files(&env) == expected, &format!("{options:?}"));
        assert_nothing_is_left(&env);
        // What failed again stands, as in any run that is gone on with, and may be tried once more.
        for more in [&[][..], &["--retry-failed"]] {
            job.run(&env, 23, more).run().assert_status(status);
            done.check(
                job.files(&env) == expected,
                &format!("{options:?} {more:?}"),
            );
        }
    }
}

#[test]
fn an_input_that_has_grown_is_gone_on_with() {
    for job in JOBS {
        let env = TestEnv::new();
        job.run(&env, 10, &[]).run().assert_status(123);
        env.write("mended", "");
        let done = job.try_again(&env, 21);
        let (expected, status) = job.mended(21);
        done.assert_status(status);
        done.check(job.files(&env) == expected, &format!("{:?}", job.options));
        // And after it too.
        job.run(&env, 30, &[]).run();
        let files = job.files(&env);
        done.check(files == job.mended(30).0, &format!("{:?}", job.options));
    }
}

#[test]
fn where_nothing_failed_it_does_nothing() {
    let env = TestEnv::new();
    let input = env.write("in", records((0..50).map(|number| number.to_string())));
    let run = |pids: &str| {
        let run = env.mtask().args(AGAIN).args(["-j2", "-i", &input]);
        let done = run.worker(["--pids", &env.path(pids)]).run();
        done.assert_status(0);
        assert_eq!(env.lines("out").len(), 50);
        assert_nothing_is_left(&env);
        let found = fs::metadata(env.path("out")).expect("the output");
        (
            found.ino(),
            found.mtime(),
            found.mtime_nsec(),
            env.read("journal"),
        )
    };
    // It may be given from the start.
    let first = run("first.pids");
    assert!(first == run("second.pids"));
    assert!(env.exists("first.pids") && !env.exists("second.pids"));
}

#[test]
fn a_run_that_was_not_at_its_end_goes_on_too() {
    for options in [&[][..], &["-u"], &["--errors", "errors"]] {
        let env = TestEnv::new();
        let input = records((0..60).map(|i| match i % 10 {
            3 => format!("{i} @unless:mended @die:3"),
            5 if i > 30 => format!("{i} @unless:mended @touch:begun @hang"),
            _ => i.to_string(),
        }));
        env.write("in", &input);
        let run = |options: &[&str]| env.mtask().args(["-j2", "-i", "in"]).args(options).echo();
        let first = [&["--resume", "journal", "-o", "out"], options].concat();
        let live = run(&[&first[..], &["--grace", "0"]].concat()).start();
        env.wait_for("begun");
        live.signal(Signal::TERM);
        live.wait().assert_signal(Signal::TERM);
        env.write("mended", "");
        run(&[&AGAIN[..], options].concat()).run().assert_status(0);
        let mut lines = env.lines("out");
        if options == ["-u"] {
            lines.sort_by_key(|line| line.split(' ').next().unwrap().parse::<u64>().unwrap());
        }
        assert_eq!(records(lines), input, "{options:?}");
        assert!(options.len() < 2 || env.read("errors").is_empty());
    }
}

#[test]
fn a_retry_that_a_signal_ends_goes_on_and_tries_nothing_twice() {
    for options in [&[][..], &["-u"]] {
        let env = TestEnv::new();
        let bad = "case $x in *bad) exit 3 ;; esac; echo \"$x\"";
        let input = records(["0", "1 bad", "2", "3 bad", "4 bad", "5", "6"]);
        env.write("in", &input);
        let run = |worker: &str, more: &[&str]| {
            let worker = format!("while read -r x; do {worker}; done");
            let run = env.mtask().args(["-j1", "-i", "in", "--window", "1", "--grace", "1s"]);
            let run = run.args(["--resume", "journal", "-o", "out"]).args(options).args(more);
            run.args(["--", "sh", "-c", &worker])
        };
        run(bad, &[]).run().assert_status(123);
        let before = env.read("out");
        let hangs =
            "echo \"$x\" >> tried; case $x in 4*) touch begun; while :; do sleep 1; done ;; esac
            echo \"$x\"";
        let live = run(hangs, &["--retry-failed"]).start();
        env.wait_for("begun");
        live.signal(Signal::TERM);
        let done = live.wait();
        done.assert_signal(Signal::TERM).assert_stderr_has("not all that failed is tried again");
        assert_eq!(env.read("out"), before);
        let mended = "echo \"$x\" >> tried; echo \"$x\"";
        let done = run(mended, &["--retry-failed"]).run();
        done.assert_status(0);
        done.assert_stderr_has(
            "3 records failed, as journal says, and are tried again, 2 of them have been",
        );
        let mut lines = env.lines("out");
        lines.sort();
        assert_eq!(records(lines), input);
        assert!(options == ["-u"] || env.read("out") == input);
        assert_eq!(env.lines("tried"), ["1 bad", "3 bad", "4 bad", "4 bad"]);
        assert_nothing_is_left(&env);
    }
}

#[test]
fn what_ends_the_run_is_tried_again_once_more_and_the_output_stands_until_then() {
    for options in [&["--on-error", "raise"][..], &["--max-errors", "1"]] {
        let env = TestEnv::new();
        let job = Job {
            // One at a time: no other fails beside the one that ends the run.
            options: &["--protocol", "json", "-j1", "--window", "1"],
            worker: &["--json"],
            input: values,
        };
        job.run(&env, 40, &[]).run().assert_status(123);
        let before = env.read("out");
        let again = |more: &[&str]| job.run(&env, 40, &[&["--retry-failed"], more].concat()).run();
        again(options).assert_status(123).assert_stderr_has("goes on");
        assert_eq!(env.read("out"), before);
        env.write("mended", "");
        let (expected, status) = job.mended(40);
        again(&[]).assert_status(status);
        assert!(job.files(&env) == expected, "{options:?}");
    }
}

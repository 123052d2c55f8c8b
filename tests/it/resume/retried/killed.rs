//! Retries that are killed with SIGKILL: at each step of their end, and again and again at moments that
//! come from a seed, as in `resume::killed`.

use std::fs;

use rustix::process::Signal;

use super::{Files, Job, assert_nothing_is_left, values};
use crate::done::{Done, records};
use crate::env::{Run, TestEnv, skip, wait_until};
use crate::property::{Random, seeds};

/// How many runs are killed at most, before one is let be.
const KILLS: usize = 12;
/// How many seeds there are for each job.
const SEEDS: usize = 1;

const IN_ORDER: Job = Job {
    options: &["--protocol", "json"],
    worker: &["--json"],
    input: slow_values,
};
const UNORDERED: Job = Job {
    options: &["--protocol", "json", "-u"],
    ..IN_ORDER
};
const APART: Job = Job {
    options: &["--protocol", "json", "--errors", "errors"],
    ..IN_ORDER
};
const UNORDERED_APART: Job = Job {
    options: &["--protocol", "json", "--errors", "errors", "-u"],
    ..IN_ORDER
};

/// How many records there are at first, and then.
const FEWER: usize = 260;
const ALL: usize = 330;
const LAST: [usize; 2] = [FEWER - 1, ALL - 1];

/// What fails here and there until the worker is mended; some take a while, and the last lets no run
/// end before one was killed.
fn slow_values(count: usize) -> Vec<u8> {
    records((0..count).map(|i| match i % 50 {
        _ if LAST.contains(&i) => format!("\"{i} @wait:killed @unless:mended @error:no\""),
        5 => format!("{{\"broken\":{i}"),
        15 => format!("\"{i} @error:never\""),
        25 => format!("\"{i} @unless:mended @nan\""),
        26 | 27 => format!("\"{i} @outputs:{} @unless:mended @error:no\"", i % 4),
        _ if i % 3 == 0 => format!(
            "\"{i} @sleep:4 @unless:mended @error:{}\"",
            "no".repeat(i % 9)
        ),
        _ => format!(" {{\"i\":{i}}}"),
    }))
}

#[test]
fn in_order() {
    survive(IN_ORDER);
}

#[test]
fn unordered() {
    survive(UNORDERED);
}

#[test]
fn with_errors_apart() {
    survive(APART);
}

#[test]
fn unordered_with_errors_apart() {
    survive(UNORDERED_APART);
}

/// First a run is killed and goes on, some of it by a worker that fails; then what failed is tried
/// again, killed and goes on, while the input grows.
fn survive(job: Job) {
    let (expected, status) = {
        let env = TestEnv::new();
        env.write("killed", "");
        env.write("mended", "");
        let done = job.run(&env, ALL, &[]).run();
        (job.files(&env), done.status.code().expect("a status"))
    };
    for seed in seeds().into_iter().take(SEEDS) {
        let env = TestEnv::new();
        let mut random = Random(seed);
        let first = until_it_ends(&env, &mut random, KILLS / 4, |options| {
            job.run(&env, FEWER, options)
        });
        first.done.assert_status(123);
        env.write("mended", "");
        fs::remove_file(env.path("killed")).expect("removed");
        let mut begun = 0;
        let again = until_it_ends(&env, &mut random, KILLS, |options| {
            begun += 1;
            let count = if begun == 1 { FEWER } else { ALL };
            job.run(&env, count, &[options, &["--retry-failed"]].concat())
        });
        let seed = format!(
            "MTASK_TEST_SEED={seed}, killed {} and {} times",
            first.killed, again.killed
        );
        let done = again.done;
        done.check(
            done.status.code() == Some(status),
            &format!("{seed}: status {status}"),
        );
        done.check(job.files(&env) == expected, &seed);
        assert_nothing_is_left(&env);
        assert!(again.killed > 0, "{seed}");
    }
}

struct Survived {
    done: Done,
    killed: usize,
}

/// Runs it again and again, killed up to so many times.
fn until_it_ends(
    env: &TestEnv,
    random: &mut Random,
    kills: usize,
    mut run: impl FnMut(&[&str]) -> Run,
) -> Survived {
    const FILES: [&str; 7] = [
        "journal",
        "out",
        "errors",
        "journal.retry",
        "out.retry",
        "errors.retry",
        "out.retried",
    ];
    let bytes = || {
        let length = |name: &&str| fs::metadata(env.path(name)).map_or(0, |file| file.len());
        FILES.iter().map(length).collect::<Vec<_>>()
    };
    let mut killed = 0;
    loop {
        let options = match random.below(3) {
            0 => ["--window", "auto", "--buffer", "1M"],
            1 => ["--window", "5", "--buffer", "8K"],
            _ => ["--window", "1", "--buffer", "64M"],
        };
        let mut live = run(&options).start();
        let begin = bytes();
        let changes = 1 + random.below(if killed == 0 { 10 } else { 40 });
        let is_let_be = killed >= kills;
        let (mut last, mut seen) = (begin, 0);
        // A moment is so many changes of sizes that are seen.
        wait_until("the moment or the end", || {
            let now = bytes();
            seen += usize::from(now != last);
            last = now;
            live.has_ended() || !is_let_be && seen >= changes
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
            return Survived { done, killed };
        }
    }
}

/// At each call that makes something safe, or names or removes a file.
#[test]
fn at_each_step_of_the_end_the_files_are_whole_and_what_is_left_is_done() {
    if !TestEnv::new().sh("strace -o /dev/null -e trace=fsync true").status.success() {
        skip("strace cannot be used");
        return;
    }
    let job = Job {
        options: &["--protocol", "json", "--errors", "errors"],
        worker: &["--json"],
        input: values,
    };
    // It has grown meanwhile.
    let (before, count) = (30, 36);
    let (expected, status) = job.mended(count);
    let failed = TestEnv::new();
    job.run(&failed, before, &[]).run().assert_status(123);
    let names = ["journal", "out", "errors"];
    let (mut was_old, mut was_new, mut was_both) = (0, 0, 0);
    for step in 1.. {
        let env = TestEnv::new();
        for name in names {
            env.write(name, failed.read(name));
        }
        env.write("mended", "");
        let calls = "fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat";
        let script = format!(
            "exec strace -qq -o /dev/null -e trace={calls} -e inject={calls}:signal=KILL:when={step} \"$0\" \"$@\""
        );
        let retry = || job.run(&env, count, &["--retry-failed"]);
        let killed = retry().shell(&script).run();
        if killed.status.code() == Some(status) {
            assert!(step > 8, "not all steps are seen");
            break;
        }
        assert!(step < 60, "{step}");
        let files = job.files(&env);
        let is_old = |name: &str| env.read(name) == failed.read(name);
        let (is_output_old, are_errors_old) = (is_old("out"), is_old("errors"));
        killed.check(
            is_output_old || files.output == expected.output,
            "the output is whole",
        );
        killed.check(
            are_errors_old || files.errors == expected.errors,
            "so are the errors",
        );
        match (is_output_old, are_errors_old) {
            (true, true) => was_old += 1,
            (false, false) => was_new += 1,
            _ => was_both += 1,
        }
        // A run that tries nothing again ends what is decided, and keeps off what is not.
        let plain = job.run(&env, count, &[]).run();
        if plain.status.code() == Some(2) {
            plain.assert_stderr_has("add --retry-failed");
            assert!(is_old("journal"), "step {step}");
            retry().run().assert_status(status);
        } else if is_old("journal") {
            plain.assert_status(123);
            retry().run().assert_status(status);
        } else {
            plain.assert_status(status);
        }
        let files: Files = job.files(&env);
        plain.check(files == expected, &format!("step {step}"));
        assert_nothing_is_left(&env);
    }
    assert!(
        was_old > 0 && was_new > 0 && was_both > 0,
        "{was_old} {was_new} {was_both}"
    );
}

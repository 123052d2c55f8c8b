//! `--threads`: how many threads numeric libraries start in a worker.

use std::thread;

use crate::done::{numbers, records};
use crate::env::{Run, THREADS, TestEnv, mtask};
use crate::python::{has, python};

/// The CPUs that mtask may use, as this test may.
fn cpus() -> usize {
    thread::available_parallelism().expect("a number of CPUs").get()
}

/// What the test worker answers of a variable that is not there.
fn unset() -> String {
    "(unset)".to_owned()
}

/// What it answers where `value` gives each.
fn answer(value: impl Fn(&str) -> String) -> String {
    THREADS.map(value).join(" ")
}

/// Asserts that all records of so many are answered by workers with these values.
#[track_caller]
fn assert_told(run: Run, asked: usize, value: impl Fn(&str) -> String) {
    let question = THREADS.map(|name| format!("@env:{name}")).join(" ");
    let input = records((0..asked).map(|_| &question));
    let expected = records((0..asked).map(|_| answer(&value)));
    run.echo().run_on(input).assert_status(0).assert_stdout(expected);
}

#[test]
fn each_worker_is_told_its_part_of_the_cpus() {
    let cpus = cpus();
    for (jobs, part) in [(1, cpus), (cpus, 1), (cpus * 2, 1)] {
        let run = mtask(&format!("-j{jobs}"));
        assert_told(run, jobs * 3, |_| part.to_string());
    }
}

#[test]
fn one_heavy_record_keeps_all_cpus_whatever_the_number_of_workers() {
    let env = TestEnv::new();
    let input = env.write("input", "@env:OMP_NUM_THREADS\n");
    for options in [
        &["-i", &input][..],
        &["-i", &input, "-u", "--protocol", "lines"],
    ] {
        let done = env.mtask().words("-j8").args(options).echo().run();
        done.assert_output(format!("{}\n", cpus()));
    }
}

#[test]
fn what_the_user_has_set_stays() {
    // OpenMP's is heeded by all.
    let value = |name: &str| match name {
        "OMP_NUM_THREADS" => "7".to_owned(),
        _ => unset(),
    };
    for options in ["-j2", "-j2 --threads auto", "-j2 --threads 3"] {
        assert_told(mtask(options).var("OMP_NUM_THREADS", "7"), 4, value);
    }
    // Another one only by its own library.
    let part = cpus().div_euclid(2).max(1).to_string();
    let value = |name: &str| match name {
        "MKL_NUM_THREADS" => "5".to_owned(),
        _ => part.clone(),
    };
    assert_told(mtask("-j2").var("MKL_NUM_THREADS", "5"), 4, value);
}

#[test]
fn what_env_sets_in_command_stays() {
    let env = TestEnv::new();
    let ask = |assignment: &str| {
        let script = "read -r x; echo \"$OMP_NUM_THREADS,$MKL_NUM_THREADS,$RAYON_NUM_THREADS\"";
        let run = env.mtask().words("-j1 --threads 3");
        run.args(["env", assignment, "sh", "-c", script]).run_on("x\n")
    };
    ask("OMP_NUM_THREADS=7").assert_output("7,,\n");
    ask("MKL_NUM_THREADS=7").assert_output("3,7,3\n");
    ask("OTHER=7").assert_output("3,3,3\n");
}

#[test]
fn a_number_is_for_all_workers_and_keep_leaves_them_alone() {
    assert_told(mtask("-j2 --threads 3"), 4, |_| "3".to_owned());
    assert_told(mtask("-j2 --threads keep"), 4, |_| unset());
    for odd in ["0", "some", "-1"] {
        mtask("--threads")
            .args([odd])
            .echo()
            .run()
            .assert_status(2)
            .assert_stderr_has("--threads");
    }
}

#[test]
fn a_dry_run_shows_the_variables() {
    let done = mtask("--dry-run -j2 --threads 3 cat").run();
    for name in THREADS {
        let shown = String::from_utf8_lossy(&done.stdout);
        done.check(shown.matches(&format!(" {name}=3 ")).count() == 2, name);
    }
    let done = mtask("--dry-run -j2 --threads keep cat").run();
    done.check(
        !String::from_utf8_lossy(&done.stdout).contains("OMP_"),
        "it is set",
    );
}

#[test]
fn the_statistics_say_what_was_told_and_how_to_be_left_alone() {
    let env = TestEnv::new();
    let run = |options: &str| {
        let options = format!("-j2 --stats --stats-file stats {options}");
        let done = env.mtask().words(&options).echo().run_on(numbers(4));
        done.assert_output(numbers(4));
        let stats = env.json("stats");
        (done, stats["workers"][0]["threads"].clone())
    };
    let (done, threads) = run("--threads 3");
    done.assert_stderr_has(
        "numeric libraries: 3 threads a worker (--threads keep: as they choose)",
    );
    assert_eq!(threads, 3);
    let (done, threads) = run("--threads keep");
    done.check(
        !done.stderr.contains("numeric libraries"),
        "nothing was told",
    );
    assert!(threads.is_null());
}

#[test]
fn numpy_starts_as_many_threads_as_it_is_told() {
    // Without the adapter of --python, which may have threads of its own.
    let source = r#"
import os
import sys
import numpy

for line in sys.stdin:
    numpy.linalg.eigvals(numpy.eye(300) * int(line) + 1)
    print(len(os.listdir("/proc/self/task")), flush=True)
"#;
    let Some(env) = python(source) else { return };
    if !has("import numpy") {
        return crate::env::skip("numpy is not installed");
    }
    let ask = |options: &str| {
        let run = env.mtask().words(&format!("{options} python3 work.py"));
        let done = run.run_on(numbers(8));
        done.assert_status(0);
        let answers = done.lines().into_iter().map(String::from_utf8_lossy);
        answers.map(|line| line.parse::<usize>().expect("a number")).max()
    };
    assert_eq!(ask(&format!("-j{}", cpus())), Some(1));
    assert_eq!(ask("-j1 --threads 1"), Some(1));
    if cpus() > 1 {
        assert!(ask("-j1") > Some(1), "numpy does not heed the variables");
    }
}

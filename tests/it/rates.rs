//! `--rate`: no more records are sent than that.
//!
//! What a run takes at the least is looked at, which no slow machine can make less.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::done::{Done, numbers, records};
use crate::env::{Run, TestEnv, mtask};
use crate::python::python;

/// The run, which must not take less than that.
#[track_caller]
fn run_for(least: Duration, run: Run, input: &[u8]) -> Done {
    let began = Instant::now();
    let done = run.run_on(input);
    let took = began.elapsed();
    done.check(
        took >= least,
        &format!("it took {took:?}, and not {least:?}"),
    );
    done
}

#[test]
fn records_are_sent_no_sooner_than_the_rate_lets_them() {
    // 20 at once, and 20 a second.
    let least = Duration::from_secs(1);
    for options in [
        "-j3",
        "-j3 -u",
        "-j1 --window 5",
        "-j2 --lifespan 7",
        "-j2 --at-most-once",
    ] {
        let run = mtask("--rate 20/s").words(options).echo();
        let done = run_for(least, run, &numbers(40));
        done.assert_status(0);
        let mut lines: Vec<_> = done.lines().into_iter().map(<[u8]>::to_owned).collect();
        lines.sort_by_key(|line| (line.len(), line.clone()));
        done.check(records(lines) == numbers(40), "each once");
    }
}

#[test]
fn a_rate_may_be_for_a_minute_or_an_hour() {
    for rate in ["600/m", "36000/h", "10.0/s"] {
        let run = mtask("-j1").args(["--rate", rate]).echo();
        run_for(Duration::from_millis(500), run, &numbers(15)).assert_output(numbers(15));
    }
}

#[test]
fn retries_count_and_so_do_workers_that_take_several_at_a_time() {
    let env = TestEnv::new();
    let directive = format!("@first:9:{} @error:busy", env.path("tries"));
    let input = records([json!(directive).to_string()]);
    let ready = r#"{"ready":true,"concurrency":8}"#;
    let run = env.mtask().words("-j1 --protocol json --rate 5/s --retries 9");
    let run = run.worker(["--json", "--banner", ready]);
    run_for(Duration::from_secs(1), run, &input).assert_output(&input);
}

#[test]
fn batches_stay_whole() {
    let source = "
def sizes(batch):
    with open('sizes', 'a') as file:
        file.write(f'{len(batch)}\\n')
    return batch
";
    let Some(env) = python(source) else {
        return;
    };
    let run = env.mtask().words("-j1 --rate 10/s --batch 5 --python work.py:sizes");
    run_for(Duration::from_millis(1200), run, &numbers(22)).assert_output(numbers(22));
    assert_eq!(env.lines("sizes"), ["5", "5", "5", "5", "2"]);
}

#[test]
fn what_was_held_back_is_told_in_the_statistics() {
    let done = mtask("-j2 --stats --rate 10/s").echo().run_on(numbers(20));
    done.assert_status(0)
        .assert_stderr_has("held back: rate ")
        .assert_stderr_has("--rate let no more");
}

#[test]
fn what_is_no_rate_is_refused() {
    for rate in ["0/s", "10", "10/d", "x/s"] {
        let done = TestEnv::new().mtask().args(["--rate", rate]).echo().run_on("1\n");
        done.assert_status(2).assert_stderr_has("--rate");
    }
}

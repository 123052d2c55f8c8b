//! A record fails for its own fault only: whom a death or an error is held against, and who gets
//! what is sent again.

use std::time::Duration;

use crate::done::{Done, numbers, records};
use crate::env::{TestEnv, let_pass, mtask};

/// A json worker: `answer KEY VALUE` answers the record in `$line`.
const ANSWER: &str =
    "answer() { id=${line#*:}; id=${id%%,*}; echo \"{\\\"id\\\":$id,\\\"$1\\\":$2}\"; }\n";

/// Asserts that the 40 records of [`numbers`] have their results, in order where that is asked for.
fn assert_each_has_its_result(done: &Done, options: &[&str]) {
    let mut lines = done.lines();
    if options.contains(&"-u") {
        lines.sort_by_key(|line| (line.len(), line.to_vec()));
    }
    let expected = numbers(40);
    done.check(
        lines.join(&b"\n"[..]) == expected.trim_ascii_end(),
        "a record has no result, or another's",
    );
}

#[test]
fn a_worker_that_can_no_longer_start_costs_no_record_whatever_it_held() {
    // Worker 1 answers once; later processes of it end at once, and it is given up.
    let script = r#"if [ "$MTASK_WORKER" = 1 ]; then
        [ -e once ] && { echo x >> deaths; exit 255; }
        read -r l; : > once; echo "$l"; exit 255
    fi
    while read -r l; do
        until [ "$(wc -l < deaths)" -ge 5 ]; do sleep 0.05; done 2>/dev/null
        echo "$l"
    done"#;
    let all = [
        &["--window", "1"][..],
        &["--window", "4"],
        &["-u"],
        &["--retries", "2"],
    ];
    // All at once: each waits before it starts a process again.
    let runs = all.map(|options| {
        let run = mtask("-j2").args(options).args(["--", "sh", "-c", script]);
        run.stdin(numbers(40)).start()
    });
    for (options, run) in all.into_iter().zip(runs) {
        let done = run.wait();
        done.assert_status(0).assert_stderr_has("worker 1 is given up");
        assert_each_has_its_result(&done, options);
    }
}

/// Each worker answers once, dies at its next record, when the others are at theirs, and can never
/// start again.
const FALLS: &str = r#"[ "$MTASK_PROCESS" = 0 ] || { sleep 0.2; exit 255; }
    IFS= read -r l; echo "$l"; IFS= read -r l; echo x >> falls
    until [ "$(wc -l < falls)" -ge "$MTASK_WORKERS" ]; do sleep 0.05; done
    exit 255"#;

#[test]
fn where_no_worker_can_start_any_more_no_record_is_charged() {
    let cases: [(&[&str], &str, usize); 7] = [
        (&["-j1"], FALLS, 1),
        (&["-j1", "--window", "4"], FALLS, 1),
        (&["-j1", "--retries", "2"], FALLS, 1),
        (&["-j1", "--window", "full"], FALLS, 1),
        (&["-j2", "--window", "1"], FALLS, 2),
        (&["-j2", "-u"], FALLS, 2),
        // The later ones take a record before they die.
        (
            &["-j1", "--window", "1"],
            r#"[ "$MTASK_PROCESS" = 0 ] || { read -r l & sleep 0.2; exit 255; }
            IFS= read -r l; echo "$l"; IFS= read -r l; exit 255"#,
            1,
        ),
    ];
    // All at once, as above.
    let runs = cases.map(|(options, script, results)| {
        let run = mtask("--max-restarts 4").args(options).args(["--", "sh", "-c", script]);
        (run.stdin(numbers(6)).start(), results)
    });
    for (run, results) in runs {
        let done = run.wait();
        done.assert_status(125)
            .assert_stderr_has("worker 0 is given up")
            .assert_stderr_has("(--max-restarts 4)");
        done.check(done.error_records().is_empty(), "a record is charged");
        let lines = done.lines().len();
        done.check(
            (1..=results).contains(&lines),
            "what was answered is not written",
        );
    }
}

#[test]
fn killers_in_a_row_cost_themselves_alone() {
    let input = records((0..8).map(|i| match i {
        2..=6 => format!("{i} @die:3"),
        _ => i.to_string(),
    }));
    let runs = ["-j1", "-j2"].map(|jobs| {
        let run = mtask(jobs).words("--window 1").echo();
        (jobs, run.stdin(&*input).start())
    });
    for (jobs, run) in runs {
        let done = run.wait();
        done.assert_status(123);
        done.check(done.lines().len() == 8, "there are not 8 outcomes");
        let failed: Vec<_> =
            (done.error_records().iter()).map(|error| error["index"].as_u64()).collect();
        let killers: Vec<_> = (2..=6).map(Some).collect();
        assert_eq!(failed, killers, "{jobs}");
    }
}

#[test]
fn a_killer_costs_itself_alone_however_few_processes_may_end_without_an_answer() {
    for most in ["0", "1", "2"] {
        let done = TestEnv::new()
            .mtask()
            .args(["-j1", "--max-restarts", most])
            .echo()
            .run_on(records(["a", "b", "k @die:3"]));
        done.assert_status(123);
        let failed = done.error_records().len();
        assert_eq!((failed, done.lines().len()), (1, 3), "{most}");
    }
}

#[test]
fn a_retry_goes_to_another_worker_that_is_ready() {
    // Worker 0 fails its second record, how often it may get it, once worker 1 is at its second:
    // then its first answer has been read. Worker 1 stays there until an error has been written.
    let script = format!(
        "{ANSWER}n=0 bad=
        while IFS= read -r line; do
            n=$((n + 1))
            if [ \"$MTASK_WORKER\" = 1 ] && [ $n = 2 ]; then
                : > up; until [ -e failed ]; do sleep 0.05; done
            fi
            if [ \"$MTASK_WORKER\" = 0 ] && [ $n = 2 ]; then bad=$line; fi
            if [ \"$line\" != \"$bad\" ]; then
                input=${{line##*:}}; answer output ${{input%\\}}}}; continue
            fi
            until [ -e up ]; do sleep 0.05; done
            answer error '\"spoilt\"'
            : > failed
        done"
    );
    // Where worker 1 is kept from its answer for a second, the record may go to worker 0 once more.
    for options in [&["--window", "1"][..], &["--window", "1", "-u"]] {
        let done = mtask("-j2 --retries 3 --protocol json")
            .args(options)
            .args(["--", "sh", "-c", &script])
            .run_on(numbers(40));
        done.assert_status(0);
        assert_each_has_its_result(&done, options);
    }
}

#[test]
fn a_record_that_was_answered_with_an_error_is_tried_again_beside_others() {
    // The worker answers its second record only when it has got the first one again.
    let script = format!(
        "{ANSWER}echo '{{\"ready\":true,\"concurrency\":2}}'
        IFS= read -r first; IFS= read -r second
        line=$first; answer error '\"not yet\"'
        IFS= read -r line; answer output 1
        line=$second; answer output 2"
    );
    mtask("-j1 --retries 1 --protocol json")
        .args(["--", "sh", "-c", &script])
        .run_on("\"a\"\n\"b\"\n")
        .assert_output("1\n2\n");
}

#[test]
fn records_that_kill_come_first_and_wait_for_one_that_is_slow_to_come() {
    let mut live = mtask("-j1").echo().open();
    live.send("0 @die:3");
    live.wait_for_stderr("died");
    // Five of its processes in a row are gone by then, if they do not wait.
    let_pass(Duration::from_millis(2500));
    live.send("1");
    let done = live.wait();
    done.assert_status(123);
    assert_eq!((done.error_records().len(), done.lines().len()), (1, 2));
}

#[test]
fn large_records_that_kill_come_first_and_cost_themselves_alone() {
    let big = "x".repeat(400_000);
    let input = records([
        format!("0 @die:3 {big}"),
        format!("1 @die:3 {big}"),
        format!("2 @die:3 {big}"),
        format!("3 {big}"),
    ]);
    let runs = ["-k", "-u"].map(|order| {
        let run = mtask("-j1 --buffer 500K").words(order).echo();
        (order, run.stdin(&*input).start())
    });
    for (order, run) in runs {
        let done = run.wait();
        done.assert_status(123);
        let failed = done.error_records().len();
        assert_eq!((failed, done.lines().len()), (3, 4), "{order}");
    }
}

//! Processes of workers that speak JSON: how they come up, break the rules, die and end.

use serde_json::json;

use super::{assert_only_failed, echo, strings_with};
use crate::done::{numbers, records};
use crate::env::TestEnv;

#[test]
fn an_answer_to_what_was_not_asked_ends_the_process_and_costs_no_other_record() {
    for directive in ["@double", "@id:7000", "@id:\"x\"", "@id:-1"] {
        let env = TestEnv::new();
        let once = format!("@once:{} {directive}", env.path("once"));
        let input = strings_with(5, 40, &once);
        let done = echo(&env, &["-j2"], &[]).run_on(&*input);
        done.assert_status(123).assert_stdout(&*input);
        done.assert_stderr_has("each record is to be answered once");
    }
}

#[test]
fn what_a_process_was_not_sent_yet_when_it_broke_the_rules_is_not_charged() {
    let doubled = |number| {
        if (2..6).contains(&number) {
            "@after:log @again"
        } else {
            ""
        }
    };
    let input =
        records((0..10).map(|number| json!(format!("{number} {}", doubled(number))).to_string()));
    let ready = r#"{"ready":true,"concurrency":4}"#;
    for options in [&["-j1"][..], &["-j1", "--at-most-once"]] {
        echo(&TestEnv::new(), options, &["--banner", ready])
            .run_on(&*input)
            .assert_status(123)
            .assert_stdout(&*input);
    }
}

#[test]
fn a_record_whose_answer_always_names_another_fails_alone() {
    let input = strings_with(5, 12, "@id:7000");
    let done = echo(&TestEnv::new(), &["-j1"], &[]).run_on(&*input);
    let error = assert_only_failed(&done, &input, 5, "bad_answer");
    assert_eq!(error["attempts"], 2, "once as a suspect");
}

#[test]
fn a_record_waits_until_a_later_process_is_ready() {
    let env = TestEnv::new();
    let (starts, sent) = (env.path("starts.pids"), env.path("sent.pids"));
    // The first process says that it is up, and dies of a record; the second one never says so.
    let script = format!(
        "echo x >> {starts}; \
         if [ $(wc -l < {starts}) = 2 ]; then read -r x; echo \"$x\" >> {sent}; exit 1; fi; \
         echo '{{\"ready\":true}}'; \
         while IFS= read -r x; do \
           case $x in *1}}) [ -e {starts}.died ] || {{ : > {starts}.died; exit 3; }};; esac; \
           printf '%s\\n' \"$x\" | sed 's/input/output/'; done"
    );
    let done = env
        .mtask()
        .words("--protocol json -j1 --init-timeout 1s")
        .args(["--grace", "100ms", "--", "sh", "-c", &script])
        .run_on(numbers(3));
    done.assert_output(numbers(3));
    assert!(!env.exists("sent.pids"), "the second process got a record");
    done.assert_stderr_has("--init-timeout");
}

#[test]
fn what_a_worker_says_at_its_end_is_kept_where_asked_for() {
    let env = TestEnv::new();
    let end = r#"{"exit":{"seen": 3,"z":1e400}}"#;
    let done = echo(&env, &["-j1", "--exits", "exits"], &["--end-line", end]).run_on(numbers(3));
    done.assert_output(numbers(3)).assert_stderr_empty();
    let kept = r#"{"worker":0,"process":0,"exit":{"seen": 3,"z":1e400}}"#;
    assert_eq!(env.lines("exits"), [kept]);

    echo(&env, &["-j1"], &["--end-line", end])
        .run_on(numbers(3))
        .assert_status(0)
        .assert_stderr_has("1 exit value not kept (--exits FILE keeps them)");
}

#[test]
fn an_exit_value_before_the_end_is_a_line_for_people() {
    let env = TestEnv::new();
    let done = echo(
        &env,
        &["-j1", "--exits", "exits"],
        &["--banner", r#"{"exit":1}"#],
    )
    .run_on(numbers(3));
    done.assert_output(numbers(3));
    done.assert_stderr_has("{\"exit\":1}\n");
    assert!(env.lines("exits").is_empty());
}

#[test]
fn an_exits_file_that_cannot_be_written_is_named() {
    let env = TestEnv::new();
    let end = ["--end-line", r#"{"exit":1}"#];
    echo(&env, &["-j1", "--exits", "/dev/full"], &end)
        .run_on(numbers(1))
        .assert_status(1)
        .assert_stderr_has("cannot write /dev/full");
}

#[test]
fn a_record_left_without_an_answer_is_missing() {
    let input = strings_with(2, 6, "@skip");
    let done = echo(&TestEnv::new(), &["-j1"], &[]).run_on(&*input);
    assert_only_failed(&done, &input, 2, "missing_answer");
    done.assert_stderr_has("exited without an answer for 1 record (index 2)");
}

#[test]
fn a_worker_that_is_killed_costs_no_record_and_a_killer_costs_itself() {
    let env = TestEnv::new();
    let ready = r#"{"ready":true,"concurrency":16}"#;
    let once = format!("@once:{} @kill:9", env.path("once"));
    let input = strings_with(20, 100, &once);
    let worker = ["--banner", ready];
    let done = echo(&env, &["-j2"], &worker).run_on(&*input);
    done.assert_output(&*input);

    let input = strings_with(20, 100, "@die:3");
    let done = echo(&env, &["-j2"], &worker).run_on(&*input);
    let error = assert_only_failed(&done, &input, 20, "worker_exit");
    assert_eq!(error["exit_code"], 3);
}

#[test]
fn a_record_that_takes_too_long_fails_alone() {
    for banner in [r#"{"ready":true}"#, r#"{"ready":true,"concurrency":6}"#] {
        let input = strings_with(7, 30, "@hang");
        let options = ["-j2", "--timeout", "700ms", "--grace", "100ms"];
        let done = echo(&TestEnv::new(), &options, &["--banner", banner]).run_on(&*input);
        // Others may be late on a busy machine; all have one outcome, in their places.
        let failed: Vec<_> = done.error_records();
        done.assert_status(123);
        assert_eq!(done.lines().len(), 30);
        assert!(failed.iter().any(|error| error["index"] == 7));
        for error in &failed {
            assert_eq!(error["mtask_error"], "timeout");
        }
    }
}

#[test]
fn a_last_line_without_its_end_is_an_answer_if_it_is_whole() {
    echo(&TestEnv::new(), &["-j1"], &[])
        .run_on(strings_with(2, 3, "@partial"))
        .assert_output(strings_with(2, 3, "@partial"));
}

#[test]
fn a_torn_answer_of_a_dying_worker_is_none() {
    let env = TestEnv::new();
    let script = format!(
        "echo '{{\"ready\":true}}'; read -r x; \
         if [ -e {died} ]; then echo '{{\"id\":0,\"output\":\"second\"}}'; \
         else : > {died}; printf '{{\"id\":0,\"output\":\"fir'; exit 1; fi",
        died = env.path("died")
    );
    env.mtask()
        .args(["--protocol", "json", "-j1", "--", "sh", "-c", &script])
        .run_on(&b"1\n"[..])
        .assert_output("\"second\"\n");
}

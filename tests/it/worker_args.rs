//! `--worker-arg`: each worker's own argument, in its command line and its environment.

use serde_json::{Value, json};

use crate::done::{Done, records};
use crate::env::TestEnv;

/// Runs `jobs` workers, each of which answers one record: record i tells worker i's answer to
/// `words` after its number, the answers being sorted.
fn ask_each_worker(
    env: &TestEnv,
    jobs: usize,
    options: &[&str],
    args: &[&str],
    words: &str,
) -> Done {
    // No record is answered before all workers have one.
    let begun: Vec<String> = (0..jobs).map(|i| env.path(&format!("begun-{i}"))).collect();
    let all: String = begun.iter().map(|file| format!(" @wait:{file}")).collect();
    let input =
        records(begun.iter().map(|file| format!("@touch:{file}{all} @env:MTASK_WORKER {words}")));
    let mut done = env
        .mtask()
        .args([format!("-j{jobs}"), "--window=1".into()])
        .args(options)
        .worker(args)
        .run_on(input);
    done.assert_status(0);
    let mut lines: Vec<Vec<u8>> = done.lines().into_iter().map(<[u8]>::to_vec).collect();
    lines.sort();
    done.stdout = records(lines);
    done
}

#[test]
fn placeholders_are_replaced_by_the_workers_values() {
    let options = ["--worker-arg", "gpu=7", "--worker-arg", "gpu=8"];
    let args = ["{gpu}", "x{gpu}y{gpu}", "{worker}", "{arg}"];
    ask_each_worker(&TestEnv::new(), 2, &options, &args, "@args")
        .assert_stdout("0 7|x7y7|0|gpu=7\n1 8|x8y8|1|gpu=8\n");
}

#[test]
fn arguments_are_dealt_out_in_turn() {
    let options = ["--worker-arg", "a=first", "--worker-arg", "a=second"];
    ask_each_worker(
        &TestEnv::new(),
        4,
        &options,
        &["{a}"],
        "@args @env:MTASK_ARG",
    )
    .assert_stdout(records([
        "0 first a=first",
        "1 second a=second",
        "2 first a=first",
        "3 second a=second",
    ]));
}

#[test]
fn there_are_as_many_workers_as_arguments_by_default() {
    let env = TestEnv::new();
    env.mtask()
        .words("--worker-arg a --worker-arg b --worker-arg c")
        .echo()
        .run_on("@env:MTASK_WORKERS\n")
        .assert_output("3\n");
}

#[test]
fn a_json_object_gives_several_keys() {
    let options = [
        "--worker-arg",
        r#"{"name":"a b","n":[1,2],"big":12345678901234567890123,"t":true}"#,
    ];
    ask_each_worker(
        &TestEnv::new(),
        1,
        &options,
        &["{name}", "{n}", "{big}", "{t}"],
        "@args",
    )
    .assert_stdout("0 a b|[1,2]|12345678901234567890123|true\n");
}

#[test]
fn plain_text_is_the_whole_argument() {
    for init in ["plain text", "1=x", "a-b=c", "[1,2]", ""] {
        ask_each_worker(
            &TestEnv::new(),
            1,
            &["--worker-arg", init],
            &["<{arg}>"],
            "@args",
        )
        .assert_stdout(format!("0 <{init}>\n"));
    }
}

#[test]
fn a_value_may_hold_equals_signs() {
    ask_each_worker(
        &TestEnv::new(),
        1,
        &["--worker-arg", "k_1=a=b="],
        &["{k_1}"],
        "@args",
    )
    .assert_stdout("0 a=b=\n");
}

#[test]
fn an_argument_that_stands_nowhere_is_added_as_the_last() {
    let done = ask_each_worker(
        &TestEnv::new(),
        1,
        &["--worker-arg", "gpu=7"],
        &["x", "y"],
        "@args",
    );
    done.assert_stdout("0 x|y|gpu=7\n");
    ask_each_worker(
        &TestEnv::new(),
        1,
        &["--worker-arg", "gpu=7"],
        &["{worker}"],
        "@args",
    )
    .assert_stdout("0 0|gpu=7\n");
}

#[test]
fn other_braces_are_left_alone() {
    let args = ["{gpu}", "{other}", "{ gpu }", "${gpu", "{1}"];
    ask_each_worker(
        &TestEnv::new(),
        1,
        &["--worker-arg", "gpu=7"],
        &args,
        "@args",
    )
    .assert_stdout("0 7|{other}|{ gpu }|${gpu|{1}\n");
}

#[test]
fn an_object_with_a_mistake_in_it_is_warned_of() {
    let env = TestEnv::new();
    let warning = "mtask: --worker-arg {\"a\": is taken as plain text: it is not a JSON object";
    for mode in [&[][..], &["--dry-run"]] {
        let run = |options: &[&str]| {
            let run = env.mtask().args(mode).args(options);
            let done = run.args(["--worker-arg", "{\"a\":"]).echo().run();
            done.assert_status(0);
            done
        };
        run(&[]).assert_stderr_has(warning);
        run(&["-q"]).assert_stderr_empty();
    }
}

#[test]
fn nothing_is_replaced_without_the_option() {
    ask_each_worker(
        &TestEnv::new(),
        1,
        &[],
        &["{worker}", "{arg}", "{gpu}"],
        "@args",
    )
    .assert_stdout("0 {worker}|{arg}|{gpu}\n");
}

#[test]
fn a_value_is_not_looked_at_for_placeholders() {
    let options = ["--worker-arg", r#"{"a":"{b}","b":"{a}"}"#];
    ask_each_worker(&TestEnv::new(), 1, &options, &["{a}{b}"], "@args").assert_stdout("0 {b}{a}\n");
}

#[test]
fn a_key_that_some_workers_lack_is_a_usage_error_that_names_it() {
    let env = TestEnv::new();
    let done = env
        .mtask()
        .words("--worker-arg gpu=1 --worker-arg cpu=1")
        .worker(["--pids", &env.path("w.pids"), "{gpu}"])
        .run_on("a\n");
    done.assert_status(2).assert_stdout("").assert_stderr_has("gpu");
    assert!(!env.exists("w.pids"), "a worker was started");
}

#[test]
fn shared_arguments_are_added_and_the_workers_own_win() {
    let options = [
        "--shared-arg",
        "model=big",
        "--shared-arg",
        "gpu=none",
        "--worker-arg",
        "gpu=7",
    ];
    let done = ask_each_worker(
        &TestEnv::new(),
        1,
        &options,
        &["{model}", "{gpu}"],
        "@args @env:MTASK_ARG",
    );
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let Some(arg) = text.trim_end().strip_prefix("0 big|7 ") else {
        done.fail("the placeholders are not replaced by the values")
    };
    let arg: Value = serde_json::from_str(arg).expect("MTASK_ARG is JSON");
    assert_eq!(arg, json!({"model": "big", "gpu": "7"}));
}

#[test]
fn a_shared_argument_alone_is_an_argument() {
    ask_each_worker(
        &TestEnv::new(),
        2,
        &["--shared-arg", "model=big"],
        &["{model}"],
        "@args",
    )
    .assert_stdout("0 big\n1 big\n");
}

#[test]
fn the_environment_names_worker_process_argument_and_protocol() {
    let words = "@env:MTASK_WORKERS @env:MTASK_PROCESS @env:MTASK_ARG @env:MTASK_PROTOCOL @env:PYTHONUNBUFFERED";
    let options = ["--worker-arg", "x=1", "--worker-arg", "x=2"];
    ask_each_worker(&TestEnv::new(), 2, &options, &["{x}"], words)
        .assert_stdout("0 2 0 x=1 lines/1 1\n1 2 0 x=2 lines/1 1\n");
}

#[test]
fn the_argument_is_empty_where_there_is_none() {
    ask_each_worker(
        &TestEnv::new(),
        1,
        &[],
        &[],
        "@env:MTASK_ARG @env:MTASK_PROTOCOL",
    )
    .assert_stdout("0  lines/1\n");
}

#[test]
fn pythonunbuffered_is_left_as_it_was_set() {
    let env = TestEnv::new();
    env.mtask()
        .var("PYTHONUNBUFFERED", "x")
        .echo()
        .run_on("@env:PYTHONUNBUFFERED\n")
        .assert_output("x\n");
}

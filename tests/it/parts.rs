//! Records that give any number of results, or none: as lines of their own in the record's place,
//! counted apart.

use std::fs;

use serde_json::json;

use crate::done::{numbers, records};
use crate::env::{TestEnv, has};

/// What is asked of each of these runs beside what its test looks at.
const JSON: [&str; 3] = ["-j3", "--protocol", "json"];

/// JSON strings: number 3 fails, and each other one has as many results as the rest of its number
/// by 4 says.
fn input(count: usize) -> Vec<u8> {
    records((0..count).map(|number| match number {
        3 => json!("3 @error:no").to_string(),
        _ => json!(format!("{number} @outputs:{}", number % 4)).to_string(),
    }))
}

/// The results of record `number` of that input.
fn results(number: usize) -> Vec<String> {
    match number {
        3 => Vec::new(),
        _ => vec![format!("\"{number} @outputs:{}\"", number % 4); number % 4],
    }
}

#[test]
fn the_results_of_a_record_stand_together_in_its_place() {
    let env = TestEnv::new();
    let done = env.mtask().args(JSON).worker(["--json"]).run_on(input(100));
    done.assert_status(123).assert_one_error(3, "worker_error");
    let expected: Vec<_> = (0..100).flat_map(results).collect();
    let lines: Vec<_> = done.lines().into_iter().map(String::from_utf8_lossy).collect();
    assert!(lines.iter().filter(|line| !line.starts_with('{')).eq(expected.iter()));
    // Before the error there are those of records 1 and 2.
    assert!(lines[3].starts_with('{'));
    done.assert_stderr_has("mtask: 99 records gave 147 results; 1 of 100 records failed");
}

#[test]
fn a_run_with_as_many_results_as_records_says_nothing() {
    let env = TestEnv::new();
    let words = |_| json!("@outputs:1").to_string();
    let done = env.mtask().args(JSON).worker(["--json"]).run_on(records((0..9).map(words)));
    done.assert_status(0).assert_stderr_empty();
    assert_eq!(done.lines().len(), 9);
}

#[test]
fn an_envelope_names_each_part() {
    let env = TestEnv::new();
    let input = records([r#""a @outputs:2""#, r#""b""#, r#""c @outputs:0""#, "4"]);
    let options = ["-j1", "--protocol", "json", "--output-format", "envelope"];
    let done = env.mtask().args(options).worker(["--json"]).run_on(&input);
    done.assert_status(0).assert_stdout(concat!(
        "{\"index\":0,\"part\":0,\"output\":\"a @outputs:2\"}\n",
        "{\"index\":0,\"part\":1,\"output\":\"a @outputs:2\"}\n",
        "{\"index\":1,\"output\":\"b\"}\n",
        "{\"index\":3,\"output\":4}\n",
    ));
    done.assert_stderr_empty();
}

#[test]
fn as_text_each_result_is_a_line() {
    let worker = r#"while read -r line; do
        line=${line#*:}; echo "{\"id\":${line%%,*},\"outputs\":[\"a \\\"b\\\"\", 1 , \"é\\u00e9\", [ 2 ]]}"
    done"#;
    let env = TestEnv::new();
    let options = ["-j1", "--protocol", "json", "--output-format"];
    let run = |form: &str| env.mtask().args(options).args([form, "sh", "-c", worker]).run_on("7\n");
    run("text").assert_status(0).assert_stdout("a \"b\"\n1\néé\n[ 2 ]\n");
    run("raw").assert_stdout("\"a \\\"b\\\"\"\n1\n\"é\\u00e9\"\n[ 2 ]\n");
}

#[test]
fn what_is_no_list_of_results_fails_the_record() {
    let env = TestEnv::new();
    for (fields, why) in [
        (r#""outputs":7"#, "its outputs are no list: 7"),
        (r#""outputs":null"#, "its outputs are no list: null"),
        (r#""outputs":[],"output":1"#, "both an output and outputs"),
        (r#""outputs":[],"error":1"#, "both an output and an error"),
        (r#""outputs":[NaN]"#, "JSON has no NaN"),
        (r#""outputs":["\ud800"]"#, "its output is no text"),
        (r#""outputs":[1,"a\nb"]"#, "its output holds a newline"),
    ] {
        let worker = r#"while read -r line; do
            line=${line#*:}; printf '%s\n' "{\"id\":${line%%,*},$0}"
        done"#;
        let options = ["-j1", "--protocol", "json", "--output-format", "text"];
        let run = env.mtask().args(options).args(["sh", "-c", worker, fields]);
        let error = run.run_on("1\n").assert_status(123).assert_one_error(0, "bad_answer");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(why), "{fields}: {message}");
    }
}

#[test]
fn a_list_that_is_longer_than_an_answer_may_be_fails_its_record() {
    let env = TestEnv::new();
    let input = records([r#""@outputs:9000""#, r#""@outputs:2""#]);
    let done = env.mtask().args(JSON).args(["--max-record", "9K"]).worker(["--json"]).run_on(input);
    done.assert_status(123).assert_one_error(0, "answer_too_large");
    assert_eq!(done.lines().len(), 3);
}

#[test]
fn progress_and_statistics_count_records() {
    let env = TestEnv::new();
    let options = [
        "--stats",
        "--stats-file",
        "stats",
        "--progress",
        "always",
        "--total",
        "100",
    ];
    let done = env.mtask().args(JSON).args(options).worker(["--json"]).run_on(input(100));
    done.assert_status(123).assert_stderr_has("100 records gave 147 results in ");
    done.assert_stderr_has("100 of 100 done");
    let stats = env.json("stats");
    assert_eq!(
        (&stats["records"], &stats["results"]),
        (&json!(100), &json!(147))
    );
    assert_eq!(stats["failed"], 1);
}

#[test]
fn a_resumed_run_knows_of_records_without_a_result() {
    let env = TestEnv::new();
    let noted = env.path("noted");
    let record = |number| json!(format!("{number} @note:{noted} @outputs:0")).to_string();
    let input = records((0..50).map(record));
    let options = ["--resume", "journal", "-o", "out"];
    for _ in 0..2 {
        let done = env.mtask().args(JSON).args(options).worker(["--json"]).run_on(&input);
        done.assert_status(0).assert_stderr_has("50 records gave 0 results");
        assert_eq!(env.lines("noted").len(), 50);
        assert_eq!(env.read("out"), b"");
    }
}

#[test]
fn what_ends_a_run_stands_behind_records_without_a_result() {
    let env = TestEnv::new();
    let record = |number| match number {
        30 => json!(format!("30 @once:{} @error:x", env.path("once"))).to_string(),
        _ => json!(format!("{number} @outputs:0")).to_string(),
    };
    let input = records((0..60).map(record));
    for on_error in ["raise", "drain"] {
        let options = ["--resume", "journal", "-o", "out", "--on-error", on_error];
        let run = || env.mtask().args(JSON).args(options).worker(["--json"]).run_on(&input);
        let done = run();
        done.assert_status(123);
        assert_eq!(env.lines("out").len(), 1);
        run().assert_status(0);
        assert_eq!(
            env.read("out"),
            input.split_inclusive(|b| *b == b'\n').nth(30).unwrap()
        );
        for file in ["journal", "out", "once"] {
            fs::remove_file(env.path(file)).unwrap();
        }
    }
}

#[test]
fn shards_with_any_number_of_results_are_joined() {
    let options: [&[&str]; 4] = [
        &[],
        &["-u"],
        &["--output-format", "envelope"],
        &["--errors", "e-{shard}"],
    ];
    for options in options {
        let env = TestEnv::new();
        env.write("in", input(90));
        let is_apart = options.contains(&"--errors");
        let mut whole = env.mtask().args(JSON).args(["-i", "in"]);
        whole = match is_apart {
            true => whole.args(["--errors", "e"]),
            false => whole.args(options),
        };
        let whole = whole.worker(["--json"]).run();
        for shard in ["0/3", "1/3", "2/3"] {
            let files = [
                "-i",
                "in",
                "-o",
                "o-{shard}",
                "--resume",
                "j-{shard}",
                "--shard",
                shard,
            ];
            env.mtask().args(JSON).args(files).args(options).worker(["--json"]).run();
        }
        let mut join = env.mtask().args(["--join", "--resume", "j-{shard}", "-o", "all"]);
        join = match is_apart {
            true => join.args(["--errors", "errors", "o-{shard}", "e-{shard}"]),
            false => join.args(["o-{shard}"]),
        };
        let joined = join.run();
        joined.assert_status(123).assert_stderr_has("90 records, 130 results, of which 1 failed");
        let sorted = |text: &[u8]| {
            // Which worker had it is chance.
            let text = String::from_utf8(text.to_vec()).unwrap();
            let mut lines: Vec<_> = text.lines().map(without_worker).collect();
            if options.contains(&"-u") {
                lines.sort_unstable();
            }
            lines
        };
        assert_eq!(sorted(&env.read("all")), sorted(&whole.stdout));
        if is_apart {
            assert_eq!(sorted(&env.read("errors")), sorted(&env.read("e")));
        }
    }
}

fn without_worker(line: &str) -> String {
    match line.split_once(",\"worker\":") {
        Some((before, after)) => [before, &after[1..]].concat(),
        None => line.to_owned(),
    }
}

const CHUNKS: &str = r#"
import asyncio
def chunks(text):
    for word in text.split():
        if word == "bad": raise ValueError("no " + text)
        if word == "set": yield {1}
        if word == "raised": yield KeyError(word)
        if word == "twice": yield [word, [word]]
        else: yield word
class Chunker:
    def __init__(self, mark="!"): self.mark = mark
    def __call__(self, text):
        yield from (word + self.mark for word in text.split())
async def later(text):
    for word in text.split():
        await asyncio.sleep(0)
        yield word
def returned(text): return (word for word in text.split())
def batch(texts): return [chunks(text) for text in texts]
def batch_yields(texts):
    for text in texts: yield returned(text)
async def batch_later(texts):
    for text in texts: yield returned(text)
"#;

fn chunker() -> Option<TestEnv> {
    if !has("python3") {
        return None;
    }
    let env = TestEnv::new();
    env.write("work.py", CHUNKS);
    Some(env)
}

#[test]
fn what_a_generator_yields_are_the_results() {
    let Some(env) = chunker() else { return };
    let run = |options: &[&str], name: &str| {
        let run = env.mtask().args(["-j2", "--format", "lines"]).args(options);
        run.args(["--python", &format!("work.py:{name}")]).run_on("a b\n\nc\nd e f\n")
    };
    for name in ["chunks", "later", "returned"] {
        let done = run(&[], name);
        done.assert_status(0).assert_stdout("a\nb\nc\nd\ne\nf\n");
        done.assert_stderr_has("4 records gave 6 results");
    }
    run(&["--worker-arg", "mark=?"], "Chunker").assert_stdout("a?\nb?\nc?\nd?\ne?\nf?\n");
    for name in ["batch", "batch_yields", "batch_later"] {
        run(&["--batch", "3"], name).assert_status(0).assert_stdout("a\nb\nc\nd\ne\nf\n");
    }
}

#[test]
fn a_generator_that_fails_fails_its_record_whole() {
    let Some(env) = chunker() else { return };
    for options in [
        &["--python", "work.py:chunks"][..],
        &["--batch", "8", "--python", "work.py:batch"],
    ] {
        let run = env.mtask().args(["-j1", "--format", "lines"]).args(options);
        let done = run.run_on("a b\nc bad d\ne set\nf raised\ntwice\n");
        done.assert_status(123).assert_stderr_has("2 records gave 3 results");
        let errors = done.error_records();
        let said = |number: usize| &errors[number]["error"];
        assert_eq!(said(0)["type"], "ValueError");
        assert_eq!(said(0)["message"], "no c bad d");
        assert!(said(0)["traceback"].as_str().unwrap().contains("in chunks"));
        assert_eq!(
            said(1)["message"].as_str().unwrap().split(':').next(),
            Some("the output 1 is not JSON")
        );
        assert_eq!(said(2)["type"], "KeyError");
        assert_eq!(errors.len(), 3);
        assert!(done.lines().ends_with(&[b"[\"twice\",[\"twice\"]]"]));
    }
}

#[test]
fn a_record_that_gave_results_and_failed_is_tried_again_whole() {
    let Some(env) = chunker() else { return };
    let source = "import os\ndef work(x):\n    yield x\n    if x == 2 and not os.path.exists('once'):\n        open('once', 'w')\n        raise OSError\n    yield x\n";
    env.write("again.py", source);
    let run = env.mtask().args(["-j2", "--retries", "1", "--python", "again.py:work"]);
    run.run_on(numbers(4)).assert_status(0).assert_stdout("0\n0\n1\n1\n2\n2\n3\n3\n");
}

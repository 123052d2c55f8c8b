//! `--field`, `--merge` and `--output-format pair`: records that are objects, and their results.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::done::{Done, records};
use crate::env::{TestEnv, has};
use crate::property::{Random, seeds};

/// A run of two workers that answer JSON lines with themselves.
fn echo(env: &TestEnv, options: &[&str]) -> crate::env::Run {
    env.mtask().args(["-j2", "--format", "jsonl"]).args(options).echo()
}

#[test]
fn a_worker_is_sent_the_value_of_a_key_alone() {
    let env = TestEnv::new();
    let input =
        "{\"a\":1.00,\"b\":2}\n {\"\\u0061\" : [ {} ] , \"c\":3}\n{\"a\":1,\"a\":\"é\\u00e9\"}\n";
    let expected = "1.00\n[ {} ]\n\"é\\u00e9\"\n";
    echo(&env, &["--field", "a"]).run_on(input).assert_status(0).assert_stdout(expected);
    let json = env.mtask().args(["-j2", "--protocol", "json", "--field", "a"]).worker(["--json"]);
    json.run_on(input).assert_status(0).assert_stdout(expected);
    let rows = env.mtask().args(["-j1", "--format", "csv", "--field", "a b"]).echo();
    rows.run_on("x,a b\n1,2\n,\"\"\n").assert_status(0).assert_stdout("\"2\"\n\"\"\n");
}

#[test]
fn a_record_without_the_key_fails_and_reaches_no_worker() {
    let env = TestEnv::new();
    let input = "{\"a\":1}\n {\"b\":{\"a\":2}}\n[{\"a\":3}]\n\"a\"\n{\"a\":NaN}\n{}\n";
    let done = echo(&env, &["--field", "a"]).run_on(input);
    done.assert_status(123);
    assert_eq!(done.lines()[0], b"1");
    let failed = done.error_records();
    let found: Vec<_> = failed.iter().map(|it| it["message"].as_str().unwrap()).collect();
    let no = "not valid input for --field: ";
    assert_eq!(
        found,
        [
            format!("{no}the object has no \"a\" at line 2 column 1"),
            format!("{no}it is no object at line 3 column 1"),
            format!("{no}it is no object at line 4 column 1"),
            "not valid JSON: JSON has no NaN at line 5 column 6".into(),
            format!("{no}the object has no \"a\" at line 6 column 1"),
        ]
    );
    assert!(failed.iter().all(|it| it["mtask_error"] == "invalid_input" && it["attempts"] == 0));
    assert_eq!(failed[0]["input"], " {\"b\":{\"a\":2}}");
    done.assert_stderr_has("the object has no \"a\"");
    done.check(
        !done.stderr.contains("--format lines"),
        "that is no way out",
    );
}

#[test]
fn rows_without_such_a_field_are_refused_before_anything_runs() {
    let env = TestEnv::new();
    let options = ["--format", "csv", "--field", "lr"];
    let name = env.write("in", "name\nx\n");
    let done = env.mtask().args(options).args(["-i", &name]).worker(["--pids", "pids"]).run();
    done.assert_status(2).assert_stderr_has("--field").assert_stderr_has("no field \"lr\"");
    assert!(!env.exists("pids"));
    let done = env.mtask().args(options).echo().run_on("name\nx\n");
    done.assert_status(1).assert_stdout("").assert_stderr_has("no field \"lr\"");
}

#[test]
fn a_result_is_put_into_the_record_and_all_else_stays() {
    let env = TestEnv::new();
    let input = concat!(
        "{\"big\":12345678901234567890, \"e\":\"\\u00e9\\/\",\"a\":1}\n",
        "  { \"a\" : {\"a\":0} , \"x\":1.0 }\t\n",
        "{\"a\":1,\"a\":2,\"a\":3}\n",
        "{}\n",
    );
    let expected = concat!(
        "{\"big\":12345678901234567890, \"e\":\"\\u00e9\\/\",\"a\":1,\"got\":1}\n",
        "{ \"a\" : {\"a\":0} , \"x\":1.0,\"got\":{\"a\":0} }\n",
        "{\"a\":1,\"a\":2,\"a\":3,\"got\":3}\n",
    );
    let json = |merge: &str| {
        let run = env.mtask().args([
            "-j2",
            "--protocol",
            "json",
            "--field",
            "a",
            "--merge",
            merge,
        ]);
        run.worker(["--json"]).run_on(input)
    };
    let done = json("got");
    done.assert_status(123).assert_one_error(3, "invalid_input");
    assert!(done.stdout.starts_with(expected.as_bytes()));
    let done = json("a");
    assert_eq!(
        done.lines()[..3].concat(),
        input.lines().take(3).map(str::trim).collect::<String>().into_bytes()
    );
    let done = echo(&env, &["--merge", "a"]).run_on("{\"a\":1}\n[]\n{ }\n");
    done.assert_status(123).assert_one_error(1, "invalid_input");
    assert_eq!(done.lines()[0], br#"{"a":"{\"a\":1}"}"#);
    assert_eq!(done.lines()[2], br#"{"a":"{ }" }"#);
}

#[test]
fn a_line_that_is_no_text_is_put_in_as_base64() {
    let env = TestEnv::new();
    let worker = "while read -r line; do printf '\\377\\n'; done";
    let run = |options: &[&str]| {
        let run = env.mtask().args(["-j1", "--format", "jsonl"]).args(options);
        run.args(["sh", "-c", worker]).run_on("{\"a\":1}\n")
    };
    run(&["--merge", "a"]).assert_stdout("{\"a_base64\":\"/w==\"}\n");
    run(&["--merge", "b"]).assert_stdout("{\"a\":1,\"b_base64\":\"/w==\"}\n");
    run(&["--output-format", "pair"])
        .assert_stdout("{\"index\":0,\"input\":{\"a\":1},\"output_base64\":\"/w==\"}\n");
}

#[test]
fn pairs_show_lines_that_are_no_text_too() {
    let env = TestEnv::new();
    let run = env.mtask().args(["-j1", "--output-format", "pair"]).echo();
    run.run_on(b"a \"b\"\n\xff\n").assert_stdout(
        "{\"index\":0,\"input\":\"a \\\"b\\\"\",\"output\":\"a \\\"b\\\"\"}\n\
         {\"index\":1,\"input_base64\":\"/w==\",\"output_base64\":\"/w==\"}\n",
    );
    let run = env.mtask().args(["-j1", "-0", "--output-format", "pair"]).worker(["--null"]);
    run.run_on("a\nb\0")
        .assert_stdout("{\"index\":0,\"input\":\"a\\nb\",\"output\":\"a\\nb\"}\0");
}

#[test]
fn what_contradicts_itself_is_a_usage_error() {
    let env = TestEnv::new();
    for (options, why) in [
        (&["--field", "a"][..], "--format jsonl, csv or tsv"),
        (
            &["--merge", "a", "--format", "lines"],
            "--format jsonl, csv or tsv",
        ),
        (
            &["--merge", "a", "--format", "csv", "--output-format", "pair"],
            "leave out --output-format",
        ),
    ] {
        let done = env.mtask().args(options).echo().run();
        done.assert_status(2).assert_stderr_has(why);
    }
}

#[test]
fn a_python_function_gets_the_value_and_its_result_is_put_in() {
    if !has("python3") {
        return;
    }
    let env = TestEnv::new();
    env.write(
        "work.py",
        "def half(x): return int(x) / 2\ndef split(text): yield from text.split()\n",
    );
    let run = |name: &str| {
        let options = ["-j2", "--format", "csv", "--field", "n", "--merge", "n"];
        env.mtask().args(options).args(["--python", &format!("work.py:{name}")])
    };
    let done = run("half").run_on("n,m\n1,x\nno,y\n3,z\n");
    done.assert_status(123).assert_one_error(1, "worker_error");
    assert_eq!(done.lines()[0], br#"{"n":0.5,"m":"x"}"#);
    assert_eq!(done.lines()[2], br#"{"n":1.5,"m":"z"}"#);
    run("split")
        .run_on("n,m\na b,1\n,2\n")
        .assert_status(0)
        .assert_stdout("{\"n\":\"a\",\"m\":\"1\"}\n{\"n\":\"b\",\"m\":\"1\"}\n");
}

/// How results are written, and what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Raw,
    Envelope,
    Pair,
    Merge,
}

/// What a record comes to.
enum Outcome {
    Results(Vec<String>),
    Failure(&'static str),
}

/// A run with random options over random objects.
struct Case {
    is_json: bool,
    is_rows: bool,
    has_field: bool,
    form: Form,
    is_unordered: bool,
    is_apart: bool,
    options: Vec<String>,
    /// The records as they are sent where all of them is, and the words of each.
    records: Vec<(String, String)>,
}

impl Case {
    fn new(random: &mut Random) -> Self {
        let mut one_in = |count: usize| random.below(count) == 0;
        let (is_json, is_rows, has_field) = (one_in(2), one_in(3), one_in(2));
        let (is_unordered, is_apart) = (one_in(3), one_in(3));
        let form = [Form::Raw, Form::Envelope, Form::Pair, Form::Merge][random.below(4)];
        let mut options = vec![format!("-j{}", 1 + random.below(3))];
        let mut add = |text: &str| options.extend(text.split(' ').map(ToOwned::to_owned));
        for (chance, text) in [
            (3, "--retries 2"),
            (3, "--on-error ignore"),
            (2, "--timeout 100s"),
            (3, "--window 3"),
            (3, "--buffer 6K"),
            (2, "--stats-file stats"),
            (3, "--progress always"),
            (3, "--max-errors 1000"),
        ] {
            if random.below(chance) == 0 {
                add(text);
            }
        }
        let retries = options.iter().any(|option| option == "--retries");
        let records = (0..random.below(60)).map(|number| {
            let words = match random.below(16) {
                0 | 1 if is_json => format!("{number} @outputs:0"),
                2 | 3 if is_json => format!("{number} @outputs:{}", random.below(5)),
                4 if is_json => format!("{number} @error:no"),
                // One that is alone with a process that dies is charged at once.
                5 if retries => format!("{number} @once:once{number} @die:3"),
                6 if is_json => format!("{number} @once:once{number} @error:early"),
                _ => format!("{number} {}", "é".repeat(random.below(30))),
            };
            let text = json!(words);
            let record = match random.below(12) {
                _ if is_rows => format!("{{\"id\":\"{number}\",\"say\":{text}}}"),
                0 => format!("{{\"id\":{number}}}"),
                1 => format!("[{text}]"),
                2 => format!("{{ \"say\" : 1 , \"say\" : {text} , \"z\":1.00 }}"),
                _ => format!("{{\"id\":{number},\"say\":{text}}}"),
            };
            (record, words)
        });
        Self {
            is_json,
            is_rows,
            has_field,
            form,
            is_unordered,
            is_apart,
            records: records.collect(),
            options,
        }
    }

    fn input(&self) -> Vec<u8> {
        if !self.is_rows {
            return records(self.records.iter().map(|(record, _)| record));
        }
        let rows = self.records.iter().enumerate();
        let rows = rows.map(|(number, (_, words))| format!("{number},\"{words}\""));
        records(["id,say".to_owned()].into_iter().chain(rows))
    }

    fn run(&self, env: &TestEnv, more: &[&str]) -> Done {
        let mut run = env.mtask().args(&self.options).args(more);
        run = run.args(["--format", if self.is_rows { "csv" } else { "jsonl" }]);
        if self.is_json {
            run = run.args(["--protocol", "json"]);
        }
        if self.has_field {
            run = run.args(["--field", "say"]);
        }
        run = match self.form {
            Form::Raw => run,
            Form::Envelope => run.args(["--output-format", "envelope"]),
            Form::Pair => run.args(["--output-format", "pair"]),
            Form::Merge => run.args(["--merge", "got"]),
        };
        if self.is_unordered {
            run = run.args(["-u"]);
        }
        if self.is_apart {
            run = run.args(["--errors", "errors"]);
        }
        let worker: &[&str] = if self.is_json { &["--json"] } else { &[] };
        run.worker(worker).run_on(self.input())
    }

    /// What record `number` comes to, however often it was tried.
    fn outcome(&self, number: usize) -> Outcome {
        let (record, words) = &self.records[number];
        let is_object = record.starts_with('{');
        let has_words = record.contains("\"say\"") || record.starts_with('[');
        if !is_object && (self.has_field || self.form == Form::Merge)
            || self.has_field && !record.contains("\"say\"")
        {
            return Outcome::Failure("invalid_input");
        }
        let value = match self.has_field {
            true => json!(words).to_string(),
            false => record.clone(),
        };
        let retries = self.options.iter().any(|option| option == "--retries");
        if has_words && (words.contains("@error:no") || words.contains("@error:early") && !retries)
        {
            return Outcome::Failure("worker_error");
        }
        let parts = match words.split_once("@outputs:") {
            Some((_, count)) if has_words => Some(count.parse().unwrap()),
            _ => None,
        };
        let output = match self.is_json || self.form == Form::Raw {
            true => value,
            false => json!(value).to_string(),
        };
        let part = |part: Option<usize>| {
            let part = part.map_or(String::new(), |part| format!("\"part\":{part},"));
            match self.form {
                Form::Raw => output.clone(),
                Form::Envelope => format!("{{\"index\":{number},{part}\"output\":{output}}}"),
                Form::Pair => {
                    format!("{{\"index\":{number},{part}\"input\":{record},\"output\":{output}}}")
                }
                Form::Merge => {
                    let end = record.trim_end_matches([' ', '}']).len();
                    format!("{},\"got\":{output}{}", &record[..end], &record[end..])
                }
            }
        };
        Outcome::Results(match parts {
            None => vec![part(None)],
            Some(count) => (0..count).map(|number| part(Some(number))).collect(),
        })
    }

    fn check(&self, done: &Done, results: &[u8], errors: &[u8]) {
        let mut expected = Vec::new();
        let mut failures = BTreeMap::new();
        let mut succeeded = 0;
        for number in 0..self.records.len() {
            match self.outcome(number) {
                Outcome::Results(results) => {
                    expected.extend(results);
                    succeeded += 1;
                }
                Outcome::Failure(kind) => {
                    if !self.is_apart {
                        expected.push(format!("error {number}"));
                    }
                    failures.insert(number as u64, kind);
                }
            }
        }
        let is_ignored = self.options.iter().any(|option| option == "ignore");
        done.assert_status(if failures.is_empty() || is_ignored {
            0
        } else {
            123
        });
        let mut found_failures = BTreeMap::new();
        let mut look = |line: &str| {
            let error: Value = serde_json::from_str(line).expect("an error record");
            let index = error["index"].as_u64().expect("an index");
            let kind = error["mtask_error"].as_str().expect("a kind").to_owned();
            let record = &self.records[index as usize].0;
            match &error["input"] {
                Value::String(text) if kind == "invalid_input" => assert_eq!(text, record),
                value => assert_eq!(*value, serde_json::from_str::<Value>(record).unwrap()),
            }
            assert!(
                found_failures.insert(index, kind).is_none(),
                "{line} is the second"
            );
            format!("error {index}")
        };
        let results = str::from_utf8(results).expect("text");
        let mut found: Vec<String> = Vec::new();
        for line in results.lines() {
            found.push(match line.starts_with("{\"mtask_error\":") {
                true => look(line),
                false => line.to_owned(),
            });
        }
        let errors = str::from_utf8(errors).expect("text");
        errors.lines().for_each(|line| drop(look(line)));
        let kinds: BTreeMap<_, _> = found_failures.iter().map(|(a, b)| (*a, &**b)).collect();
        assert_eq!(kinds, failures);
        let gave = expected.len()
            - if self.is_apart {
                0
            } else {
                found_failures.len()
            };
        let counted = format!(
            "{succeeded} record{} gave {gave} result",
            if succeeded == 1 { "" } else { "s" }
        );
        done.check(
            done.stderr.contains(&counted) == (succeeded != gave),
            &counted,
        );
        if self.is_unordered {
            found.sort();
            expected.sort();
        }
        assert_eq!(found, expected);
    }

    fn describe(&self, seed: u64) {
        eprintln!(
            "MTASK_TEST_SEED={seed}: {:?}, json {}, rows {}, field {}, -u {}, --errors {}, {:?}",
            self.form,
            self.is_json,
            self.is_rows,
            self.has_field,
            self.is_unordered,
            self.is_apart,
            self.options
        );
    }
}

#[test]
fn every_form_goes_with_every_other_option() {
    for seed in seeds() {
        let case = Case::new(&mut Random(seed));
        case.describe(seed);
        let env = TestEnv::new();
        let done = case.run(&env, &[]);
        let errors = if env.exists("errors") {
            env.read("errors")
        } else {
            Vec::new()
        };
        case.check(&done, &done.stdout, &errors);
        // The same once more, into files and with a journal, and again when all is done.
        let env = TestEnv::new();
        for _ in 0..2 {
            let done = case.run(&env, &["--resume", "journal", "-o", "out"]);
            let errors = if env.exists("errors") {
                env.read("errors")
            } else {
                Vec::new()
            };
            case.check(&done, &env.read("out"), &errors);
        }
    }
}

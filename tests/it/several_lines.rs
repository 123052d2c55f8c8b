//! Answers of several lines and of none: `--answer-end`, `--record-end`, and the tools they are for.

use std::fs;

use crate::done::{Done, numbers};
use crate::env::{Run, TestEnv, mtask, skip};
use crate::examples::is_installed;

/// Answers a record N with N lines, and then END.
const COUNTS: &str = "while IFS= read -r n; do i=0; while [ $i -lt $n ]; do echo $n; i=$((i+1)); done; echo END; done";

/// What was written to stdout, line by line.
fn lines(done: &Done) -> Vec<String> {
    let text = String::from_utf8(done.stdout.clone()).expect("text");
    text.lines().map(ToOwned::to_owned).collect()
}

fn counting(words: &str) -> Run {
    mtask(words).args(["--answer-end", "END", "--", "sh", "-c", COUNTS])
}

/// What the first numbers are answered with.
fn counted(records: usize) -> String {
    (0..records).map(|n| format!("{n}\n").repeat(n)).collect()
}

#[test]
fn an_answer_is_all_lines_up_to_its_end_be_it_none() {
    for words in [
        "-j1",
        "-j3",
        "-j2 --window 1",
        "-j2 --window 7",
        "-j2 --window full",
    ] {
        counting(words).run_on(numbers(12)).assert_output(counted(12));
    }
}

#[test]
fn an_envelope_holds_an_answer_as_one_string() {
    counting("--output-format envelope").run_on("2\n0\n1\n").assert_output(
        "{\"index\":0,\"output\":\"2\\n2\"}\n{\"index\":1,\"output\":\"\"}\n{\"index\":2,\"output\":\"1\"}\n",
    );
}

#[test]
fn unordered_answers_stay_whole() {
    let done = counting("-u -j3").run_on(numbers(12));
    done.assert_status(0);
    let lines = lines(&done);
    let runs: Vec<&[String]> = lines.chunk_by(|a, b| a == b).collect();
    for run in &runs {
        assert_eq!(run.len().to_string(), run[0]);
    }
    done.check(runs.len() == 11, "an answer is missing");
}

#[test]
fn with_null_the_lines_of_an_answer_end_with_nul_too() {
    let worker = "while IFS= read -r -d '' x; do printf '%s\\0two\\0END\\0' \"$x\"; done";
    mtask("-0 --answer-end END")
        .args(["--", "bash", "-c", worker])
        .run_on("a\nb\0c\0")
        .assert_output("a\nb\0two\0c\0two\0");
}

#[test]
fn a_line_follows_each_record_where_one_is_asked_for() {
    let worker = "while IFS= read -r x && IFS= read -r end; do echo \"$x $end\"; done";
    for words in ["-j1", "-j2 --window 5", "-j2 --window full"] {
        mtask(words)
            .args(["--record-end", "-execute", "--", "sh", "-c", worker])
            .run_on("a\nb\n")
            .assert_output("a -execute\nb -execute\n");
    }
}

#[test]
fn a_record_that_is_sent_again_has_its_line_behind_it() {
    let env = TestEnv::new();
    let worker = format!(
        "while IFS= read -r x && IFS= read -r end; do \
         if [ $x = 3 ] && mkdir {} 2>/dev/null; then kill -9 $$; fi; echo $x; echo $end; echo END; done",
        env.path("once")
    );
    let expected: String = (0..9).map(|n| format!("{n}\ngo\n")).collect();
    env.mtask()
        .words("-j2 --record-end go --answer-end END")
        .args(["--", "sh", "-c", &worker])
        .run_on(numbers(9))
        .assert_status(0)
        .assert_stdout(expected);
}

#[test]
fn a_worker_that_dies_in_mid_answer_gives_no_part_of_one() {
    let worker = "while IFS= read -r x; do echo $x; [ $x = 3 ] && exit 7; echo END; done";
    let done = mtask("-j2 --answer-end END").args(["--", "sh", "-c", worker]).run_on(numbers(6));
    done.assert_status(123);
    let lines = lines(&done);
    assert_eq!(
        [&lines[..3], &lines[4..]].concat(),
        ["0", "1", "2", "4", "5"]
    );
    done.check(
        lines[3].starts_with("{\"mtask_error\":\"worker_exit\",\"index\":3,"),
        "3 is missing",
    );
}

#[test]
fn an_answer_that_is_not_ended_at_the_end_is_missing() {
    let worker = "while IFS= read -r x; do echo $x; done";
    let done = mtask("-j1 --answer-end END").args(["--", "sh", "-c", worker]).run_on("a\n");
    done.assert_status(122);
    done.check(
        lines(&done)[0].contains("\"missing_answer\""),
        "it is no missing answer",
    );
}

#[test]
fn the_end_of_the_last_answer_may_lack_its_newline() {
    let worker = "read -r x; echo $x; printf END";
    mtask("-j1 --answer-end END")
        .args(["--", "sh", "-c", worker])
        .run_on("a\n")
        .assert_output("a\n");
}

#[test]
fn an_answer_longer_than_max_record_fails_its_record_alone() {
    let worker = "while IFS= read -r n; do seq $n; echo END; done";
    let done = mtask("-j1 --max-record 30 --answer-end END")
        .args(["--", "sh", "-c", worker])
        .run_on("3\n5000\n2\n");
    done.assert_status(123);
    let lines = lines(&done);
    assert_eq!(
        [&lines[..3], &lines[4..]].concat(),
        ["1", "2", "3", "1", "2"]
    );
    done.check(
        lines[3].contains("\"answer_too_large\""),
        "it is not too large",
    );
}

#[test]
fn a_line_too_many_is_a_break() {
    let worker = "while IFS= read -r x; do echo $x; echo END; echo stray; done";
    let done = mtask("-j1 --answer-end END").args(["--", "sh", "-c", worker]).run_on("a\n");
    done.assert_status(122).assert_stderr_has("stray");
}

#[test]
fn it_goes_on_after_it_was_killed() {
    let env = TestEnv::new();
    // The seventh record kills mtask, once.
    let worker = format!(
        "while IFS= read -r n; do if [ $n = 7 ] && mkdir {} 2>/dev/null; then kill -9 $PPID; fi; \
         i=0; while [ $i -lt $((n % 3)) ]; do echo $n; i=$((i+1)); done; echo END; done",
        env.path("once")
    );
    let run = || {
        env.mtask()
            .words("-j2 --answer-end END --resume j -o out")
            .args(["--", "sh", "-c", &worker])
            .run_on(numbers(30))
    };
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&run().status),
        Some(9)
    );
    run().assert_status(0);
    let expected: String = (0..30).map(|n| format!("{n}\n").repeat(n % 3)).collect();
    assert_eq!(String::from_utf8(env.read("out")).unwrap(), expected);
    // All is done, those without a line too.
    let done = env.mtask().words("--answer-end END --resume j -o out false").run_on(numbers(30));
    done.assert_status(0);
}

#[test]
fn records_without_a_line_are_journalled() {
    let env = TestEnv::new();
    let run = |command: &str| {
        env.mtask()
            .words("--answer-end END --resume j -o out -- sh -c")
            .args([command])
            .run_on(numbers(30))
            .assert_status(0);
    };
    run("sed -u 's/.*/END/'");
    assert!(env.read("out").is_empty());
    run("exit 1");
}

#[test]
fn the_end_of_answers_is_a_term_of_the_run() {
    let env = TestEnv::new();
    let run = |words: &str| {
        env.mtask().words(words).words("--resume j -o out -- sed -u p").run_on("END\n")
    };
    run("--answer-end END");
    run("").assert_status(2).assert_stderr_has("--answer-end 'END'");
}

#[test]
fn an_end_that_cannot_be_meant_is_refused() {
    for (words, why) in [
        (
            &["--answer-end", "x", "--protocol", "json"][..],
            "--protocol lines alone",
        ),
        (
            &["--record-end", "x", "--python", "f.py:f"],
            "--protocol lines alone",
        ),
        (&["--answer-end", "a\nb"], "holds no line end"),
    ] {
        mtask("").args(words).args(["--", "cat"]).run().assert_status(2).assert_stderr_has(why);
    }
}

#[test]
fn a_tool_that_reads_on_at_the_end_of_its_input_is_ended_without_a_word() {
    let worker = "while IFS= read -r x; do echo $x; echo END; done; while :; do sleep 1; done";
    let done = mtask("-j2 --answer-end END").args(["--", "sh", "-c", worker]).run_on("a\nb\n");
    done.assert_output("a\nb\n");
}

fn is_there(tool: &str, package: &str) -> bool {
    let found = is_installed(tool);
    if !found {
        skip(&format!("{tool} is not installed: it is in {package}"));
    }
    found
}

#[test]
fn sqlite3_is_a_worker_and_tells_of_errors_on_stderr() {
    if !is_there("sqlite3", "sqlite3") {
        return;
    }
    let done = mtask("-j1 --answer-end END")
        .args(["--record-end", ".print END", "--", "sqlite3", "-json"])
        .run_on("select 1 as a union select 2;\nselec;\nselect 3 as b where 0;\nselect 4 as c;\n");
    // Its status tells of an error at the end, and stderr at once.
    done.assert_status(123).assert_stderr_has("selec");
    done.assert_stdout("[{\"a\":1},\n{\"a\":2}]\n[{\"c\":4}]\n");
}

#[test]
fn bc_is_a_worker() {
    if !is_there("bc", "bc") {
        return;
    }
    mtask("-j2 --answer-end END")
        .args(["--record-end", "print \"END\\n\"", "--", "bc"])
        .run_on("1+2\nx=3\n2^70; 5/2\n")
        .assert_output("3\n1180591620717411303424\n2\n");
}

fn jpegs(env: &TestEnv) -> [String; 2] {
    // The smallest file that exiftool takes for a JPEG, and one with a comment.
    let plain = b"\xff\xd8\xff\xd9";
    let comment = b"\xff\xd8\xff\xfe\x00\x07hello\xff\xd9";
    [env.write("a.jpg", plain), env.write("b.jpg", comment)]
}

fn exiftool(env: &TestEnv, input: &str) -> Done {
    env.mtask()
        .words("-j2 --record-end -execute --answer-end {ready} -- exiftool -stay_open True -@ -")
        .words("-common_args -s3 -Comment -FileType")
        .run_on(input)
}

#[test]
fn exiftool_is_a_worker_and_tells_of_errors_on_stderr() {
    if !is_there("exiftool", "libimage-exiftool-perl") {
        return;
    }
    let env = TestEnv::new();
    let [plain, comment] = jpegs(&env);
    let none = env.path("none.jpg");
    assert!(!fs::exists(&none).unwrap());
    let done = exiftool(&env, &format!("{plain}\n{none}\n{comment}\n"));
    done.assert_status(0).assert_stderr_has("none.jpg");
    done.assert_stdout("JPEG\nhello\nJPEG\n");
}

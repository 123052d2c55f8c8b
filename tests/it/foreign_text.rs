//! Text of others on its way to a terminal: nothing in it moves a cursor, hides something or turns
//! the direction of writing, wherever it comes from.

use crate::done::Done;
use crate::env::{Run, TestEnv, has};

/// What a terminal obeys, and what cannot be seen.
const HIDDEN: &str = "x\x1b]0;owned\x07\x1b[31m\u{9b}1m\u{202e}\u{2066}\u{200b}\ny";
/// As it is shown.
const SHOWN: &str = "x\\u{1b}]0;owned\\u{7}\\u{1b}[31m\\u{9b}1m\\u{202e}\\u{2066}\\u{200b}\\ny";
/// What stays as it is.
const PLAIN: &str = "größe 日本語 e\u{301} 👩\u{200d}👧 ❤\u{fe0f}";

/// Asserts that stderr shows both, and nothing that is not to be seen.
#[track_caller]
fn assert_shown(done: &Done) {
    for text in [SHOWN, PLAIN] {
        done.assert_stderr_has(text);
    }
    assert_harmless(done);
}

#[track_caller]
fn assert_harmless(done: &Done) {
    let text = &done.stderr;
    let is_harmful =
        |c: char| c.is_control() && c != '\n' || "\u{202e}\u{2066}\u{200b}".contains(c);
    done.check(
        !text.contains(is_harmful),
        "it holds what is not to be seen",
    );
    done.check(!text.contains("\ny"), "a newline of others is left");
}

fn both() -> String {
    format!("{HIDDEN} {PLAIN}")
}

#[test]
fn names_of_files_are_shown() {
    let (env, name) = (TestEnv::new(), both());
    std::fs::create_dir(env.path("").to_owned() + &name).expect("a folder");
    let missing = format!("missing/{name}");
    let python = format!("{name}.py:f");
    let runs: [&[&str]; 12] = [
        &["-i", &name, "cat"],
        &["-i", &missing, "cat"],
        &["-o", &name, "cat"],
        &["-o", &missing, "cat"],
        &["--errors", &missing, "cat"],
        &["--stats-file", &missing, "cat"],
        &["--resume", &name, "-o", "out", "cat"],
        &["--resume", &missing, "-o", "out", "cat"],
        &["--resume", "journal", "-o", &missing, "cat"],
        &["--python", &python],
        &[&format!("./{name}")],
        &[&missing],
    ];
    for args in runs {
        let done = env.mtask().args(args).run_on("1\n");
        done.check(!done.status.success(), "it is refused");
        assert_shown(&done);
    }
}

#[test]
fn what_was_typed_is_shown() {
    let (env, text) = (TestEnv::new(), both());
    let option = format!("--{text}");
    let object = format!("{{\"a\":\"{PLAIN}\",\"a\":\"x\\u001b\"}}\x1b");
    let runs: [&[&str]; 6] = [
        &[&option, "cat"],
        &["--jobs", &text, "cat"],
        &["--timeout", &text, "cat"],
        &["--protocol", &text, "cat"],
        &["--shared-arg", &text, "cat"],
        &["--python", &format!("{text}:f")],
    ];
    for args in runs {
        let done = env.mtask().args(args).run();
        done.assert_status(2);
        assert_shown(&done);
    }
    let done = env.mtask().args(["--worker-arg", &object, "cat"]).run();
    assert_harmless(&done);
}

#[test]
fn a_command_that_a_journal_tells_of_is_shown() {
    let (env, text) = (TestEnv::new(), both());
    let run = |words: &[&str]| {
        let run = env.mtask().words("-j1 --resume journal -o out");
        run.args(words).run_on("1\n")
    };
    run(&["sh", "-c", "cat", &text]).assert_status(0);
    let done = run(&["cat"]);
    done.assert_status(0)
        .assert_stderr_has(PLAIN)
        .assert_stderr_has("$'x\\033]0;owned\\007\\033[31m\\302\\2331m\\342\\200\\256");
    let text = &done.stderr;
    let is_harmful = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    done.check(
        !text.contains(is_harmful),
        "it holds what is not to be seen",
    );
}

#[test]
fn what_workers_say_of_themselves_is_shown() {
    let env = TestEnv::new();
    env.write("text", both());
    let said = |script: &str, options: &[&str]| -> Done {
        let run = env.mtask().words("-j1").args(options);
        run.args(["--", "sh", "-c", script]).run_on("1\n")
    };
    // The last words of a worker: its lines stay apart.
    let done = said("cat text >&2; exit 3", &["--max-restarts", "1"]);
    done.assert_status(125).assert_stderr_has("its last words on stderr:\n");
    let shown = SHOWN.replace("\\n", "\n") + " " + PLAIN;
    done.assert_stderr_has(&format!(
        "on stderr:
{shown}
"
    ));
    // An error of a worker, which stands in the message of its record.
    let message = serde_json::to_string(&both()).expect("JSON");
    env.write("answer", format!("{{\"id\":0,\"error\":{message}}}\n"));
    let json: &[&str] = &["--protocol", "json"];
    assert_shown(&said("read x; cat answer; read x", json));
    // An answer that is none.
    env.write(
        "answer",
        format!("{{\"id\":0,\"{}\":1}}\n", both().replace('\n', "\\n")),
    );
    let done = said("read x; cat answer; read x", json);
    done.assert_stderr_has("x\\u{1b}]0;owned");
    assert_harmless(&done);
    // A line too many.
    env.write("answer", format!("ok\n{}\n", both().replace('\n', " ")));
    let done = said("read x; cat answer; read x", &[]);
    done.assert_stderr_has("x\\u{1b}]0;owned");
    assert_harmless(&done);
}

#[test]
fn what_workers_write_to_stderr_is_passed_on_as_it_is() {
    let env = TestEnv::new();
    let text = both() + "\n\u{ad}\x1b[0m\n";
    env.write("text", &text);
    let run = env.mtask().args(["-j1", "--", "sh", "-c", "cat text >&2; cat"]);
    let done = run.run_on("1\n");
    done.assert_output("1\n");
    done.check(done.stderr == text, "it was changed");
}

#[test]
fn what_the_progress_and_the_statistics_show_is_shown() {
    let env = TestEnv::new();
    let text = both();
    let options = ["-j1", "--progress", "always", "--desc", &text];
    let done = env.mtask().args(options).words("cat").run_on("1\n");
    done.assert_status(0);
    assert_shown(&done);
    // A record that takes time is one of the slowest, but for the first.
    let record = format!("1\n@sleep:200 {}\n", both().replace('\n', "\t"));
    let run = env.mtask().words("-j1 --window 1 --stats").echo();
    let done = run.run_on(record);
    done.assert_stderr_has("x\\u{1b}]0;owned");
    assert_harmless(&done);
}

fn dry_run(env: &TestEnv, words: &[&str]) -> Run {
    env.mtask().words("-j1 --dry-run --").args(words)
}

#[test]
fn a_dry_run_shows_what_it_would_run_and_can_be_pasted() {
    let env = TestEnv::new();
    let (text, backslash) = (both(), format!("it's \\ {HIDDEN}"));
    let words = ["printf", "%s|", PLAIN, &text, &backslash, "a\nb\tc"];
    let done = dry_run(&env, &words).run();
    done.assert_status(0);
    let shown = String::from_utf8_lossy(&done.stdout).into_owned();
    let is_harmful =
        |c: char| c.is_control() && !"\n\t".contains(c) || "\u{202e}\u{2066}\u{200b}".contains(c);
    done.check(
        !shown.contains(is_harmful),
        "it holds what is not to be seen",
    );
    done.check(shown.contains(PLAIN), "what can be seen is not shown");
    if !has("bash") {
        return;
    }
    env.write("pasted", &done.stdout);
    let pasted = env.sh("bash pasted");
    let expected: String = words[2..].iter().map(|word| format!("{word}|")).collect();
    pasted.assert_output(expected);
}

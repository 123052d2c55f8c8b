//! `--python`: modules of the user that have the names of Python's own.

use super::{error, python};
use crate::done::{Done, numbers};
use crate::env::TestEnv;

/// Names of modules of Python that its tracebacks, asyncio and the adapter use, each at another
/// time.
const NAMES: &str = "token tokenize traceback linecache ast dis opcode inspect random string textwrap \
    difflib dataclasses copy keyword asyncio concurrent queue heapq logging socket \
    selectors ssl subprocess contextvars weakref warnings unicodedata contextlib \
    collections types enum re json codeop bisect tempfile shutil pathlib base64 struct \
    datetime platform numbers";

/// What is installed may load modules at the start of each Python, which are not the user's then.
const AS_FEW_MODULES_AS_CAN_BE: [&str; 3] = ["--", "python3", "-S"];

/// A call for each way in which a record can fail.
const FAILURES: &str = r#"
def fail(x):
    if x == 1: raise ValueError("boom")
    if x == 2: eval("1 +")
    if x == 3: raise SystemExit(3)
    if x == 4: raise KeyboardInterrupt
    if x == 5: return fail(x)
    if x == 6: b"\xff".decode()
    if x == 7: failz
    if x == 8: "".strp()
    if x == 9:
        try:
            1 / 0
        except ZeroDivisionError as error:
            raise KeyError("chained") from error
    if x == 10: return {1, 2}
    if x == 11: import nonsense
    if x == 12: return ValueError("returned")
    return x
"#;

const TYPES: [&str; 12] = [
    "ValueError",
    "SyntaxError",
    "SystemExit",
    "KeyboardInterrupt",
    "RecursionError",
    "UnicodeDecodeError",
    "NameError",
    "AttributeError",
    "KeyError",
    "TypeError",
    "ModuleNotFoundError",
    "ValueError",
];

/// Each record failed as it does where no module shadows another, all in one process.
#[track_caller]
fn assert_failed_each_as_ever(done: &Done) {
    done.assert_status(123);
    assert_eq!(done.lines()[0], b"0");
    for (line, kind) in (1..).zip(TYPES) {
        let error = error(done, line);
        assert_eq!(error["type"], kind);
        let traceback = error["traceback"].as_str().unwrap_or_default();
        done.check(
            kind == "TypeError" || kind == "ValueError" || traceback.contains("line "),
            "there is no traceback",
        );
    }
    let summary = done.stderr.lines().last().unwrap_or_default();
    assert!(
        summary.contains("12 of 13 records failed (12 worker_error: "),
        "{}",
        done.stderr
    );
}

/// A folder with the code of a worker and a module of each of the names.
fn shadow_all(env: &TestEnv, folder: &str, source: &str) {
    std::fs::create_dir_all(env.path(folder)).expect("a folder");
    env.write(&format!("{folder}/work.py"), source);
    for name in NAMES.split(' ') {
        env.write(
            &format!("{folder}/{name}.py"),
            "raise SystemExit('a module of the user was imported')\n",
        );
    }
}

#[test]
fn modules_with_the_names_of_pythons_own_harm_nobody() {
    let source = format!(
        "{FAILURES}\n\
         work = fail\n\
         async def later(x): return fail(x)\n\
         def batch(xs): return [fail(x) for x in xs]\n\
         class Closes:\n    \
             def __call__(self, x): return fail(x)\n    \
             async def close(self): return 'closed'\n"
    );
    let Some(env) = python(&source) else { return };
    shadow_all(&env, "apart", &source);
    shadow_all(&env, ".", &source);
    // Python 3.13 imports it before it looks at what `-c` says, from the working directory.
    std::fs::remove_file(env.path("linecache.py")).expect("a file");
    for (options, name) in [
        (&[][..], "apart/work.py:work"),
        (&[], "apart/work.py:later"),
        (&[], "work:work"),
        (&["--batch", "4"], "apart/work.py:batch"),
        (&["--exits", "exits"], "apart/work.py:Closes"),
    ] {
        let done =
            env.mtask().words("-j1").args(options).args(["--python", name]).run_on(numbers(13));
        if name.ends_with("batch") {
            // A call that fails is tried again, which is said.
            done.assert_status(123);
            assert_eq!(error(&done, 1)["type"], "ValueError");
            continue;
        }
        assert_failed_each_as_ever(&done);
    }
    assert_eq!(
        env.lines("exits"),
        [r#"{"worker":0,"process":0,"exit":"closed"}"#]
    );
}

#[test]
fn such_modules_are_found_by_the_code_that_they_belong_to() {
    let source = format!(
        "import token\n{FAILURES}\n\
         def work(x):\n    \
             import random, ast\n    \
             assert token.WORDS == random.WORDS == ast.WORDS == 1\n    \
             return fail(x)\n"
    );
    let Some(env) = python(&source) else { return };
    for name in ["token", "ast", "random"] {
        env.write(&format!("{name}.py"), "from work import *\nWORDS = 1\n");
    }
    for name in ["work.py:work", "token.py:fail"] {
        let done = env
            .mtask()
            .args(["-j1", "--python", name])
            .args(AS_FEW_MODULES_AS_CAN_BE)
            .run_on(numbers(13));
        assert_failed_each_as_ever(&done);
    }
}

#[test]
fn what_the_adapter_uses_hides_none_of_them() {
    // Python 3.13 imports linecache before it looks at what `-c` says.
    let names = NAMES.replace("linecache ", "")
        + " signal select threading functools itertools time reprlib operator";
    let source = format!(
        "NAMES = '{names}'.split()\n\
         def work(x):\n    \
             if x == 1: raise ValueError('boom')\n    \
             return ' '.join(name for name in NAMES if hasattr(__import__(name), 'WORDS'))\n\
         if __name__ == '__main__': print(work(0))\n"
    );
    let Some(env) = python(&source) else { return };
    std::fs::create_dir(env.path("apart")).expect("a folder");
    for folder in [".", "apart"] {
        env.write(&format!("{folder}/work.py"), &source);
        for name in names.split_whitespace() {
            env.write(&format!("{folder}/{name}.py"), "WORDS = 1\n");
        }
    }
    for (alone, name) in [
        ("apart/work.py", "apart/work.py:work"),
        ("-c 'import work; print(work.work(0))'", "work:work"),
    ] {
        let alone = env.sh(&format!("python3 -S {alone}"));
        let alone = String::from_utf8_lossy(&alone.stdout).into_owned();
        assert!(
            alone.contains("json") && alone.contains("signal"),
            "{alone}"
        );
        let done = env
            .mtask()
            .args(["-j1", "--python", name])
            .args(AS_FEW_MODULES_AS_CAN_BE)
            .run_on(numbers(3));
        done.assert_status(123);
        for line in [0, 2] {
            assert_eq!(done.parse(done.lines()[line]), alone.trim_end());
        }
        let traceback = error(&done, 1)["traceback"].to_string();
        done.check(traceback.contains("work.py"), "it has no traceback");
    }
}

#[test]
fn modules_on_pythonpath_harm_the_adapter_as_little() {
    let Some(env) = python(&format!("{FAILURES}\nwork = fail\n")) else {
        return;
    };
    for name in ["traceback", "token", "ast", "select", "signal", "random"] {
        env.write(
            &format!("{name}.py"),
            "raise SystemExit('a module of the user was imported')\n",
        );
    }
    let done = env
        .mtask()
        .var("PYTHONPATH", ".")
        .words("-j1 --python work.py:work")
        .args(AS_FEW_MODULES_AS_CAN_BE)
        .run_on(numbers(13));
    assert_failed_each_as_ever(&done);
}

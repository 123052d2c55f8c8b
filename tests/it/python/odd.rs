//! `--python`: modules of the user that have the names of Python's own, and objects that raise
//! where nobody expects it.

use super::{assert_message_has, error, python};
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

#[test]
fn a_result_that_raises_where_it_is_looked_at_fails_its_record_alone() {
    let source = r#"
import dataclasses
class Raises:
    def __init__(self, error): self.error = error
    def tolist(self): raise self.error
class Deep:
    def tolist(self): return [Deep()]
class Keys(dict):
    def items(self): raise SystemExit("items")
    keys = __iter__ = items
class Shy:
    @property
    def __class__(self): raise KeyboardInterrupt("class")
class Attributes:
    def __getattribute__(self, name): raise SystemExit("attribute " + name)
@dataclasses.dataclass
class Point:
    x: int
    def __getattribute__(self, name):
        if name == "x": raise GeneratorExit("x")
        return super().__getattribute__(name)
class Whole(int):
    def __repr__(self): raise SystemExit
    __str__ = __repr__
class Text(str):
    def __str__(self): raise SystemExit
    __repr__ = encode = __format__ = __str__
RESULTS = [
    (lambda: Raises(SystemExit(5)), "SystemExit", "not JSON: sys.exit(5) was called"),
    (lambda: [1, Raises(KeyboardInterrupt("stop"))], "KeyboardInterrupt", "not JSON: stop"),
    (lambda: {"a": Raises(RuntimeError("lost"))}, "RuntimeError", "not JSON: lost"),
    # What it says depends on the interpreter's version.
    (Deep, "RecursionError", "not JSON: "),
    (lambda: Keys(a=1), "SystemExit", "items"),
    (Shy, "", ""),
    (Attributes, "SystemExit", "attribute"),
    (lambda: Point(1), "GeneratorExit", "x"),
    (lambda: {(1, Raises(1)): Text()}, "TypeError", "keys"),
    (lambda: 0, None, None),
    (lambda: [Whole(7), Text("t")], None, None),
]
def work(x):
    result, kind, message = RESULTS[x]
    print("EXPECTED", kind, message, sep="|")
    return result()
def batch(xs): return [RESULTS[x][0]() for x in xs]
"#;
    let Some(env) = python(source) else { return };
    let one_by_one = env.mtask().words("-j1 --python work.py:work").run_on(numbers(11));
    let together = env.mtask().words("-j1 --batch 11 --python work.py:batch").run_on(numbers(11));
    let expected: Vec<Vec<&str>> = (one_by_one.stderr.lines())
        .filter_map(|line| line.strip_prefix("EXPECTED|"))
        .map(|line| line.split('|').collect())
        .collect();
    assert_eq!(expected.len(), 11, "each is called once");
    for done in [&one_by_one, &together] {
        done.assert_status(123).assert_stderr_has("9 of 11 records failed (9 worker_error: ");
        for (line, expected) in expected.iter().enumerate().take(9) {
            assert_message_has(done, line, expected[1]);
            let kind = error(done, line)["type"].clone();
            done.check(
                kind.as_str().is_some_and(|kind| kind.ends_with(expected[0])),
                "it is of another type",
            );
        }
        assert_eq!(done.lines()[9], b"0");
        assert_eq!(done.lines()[10], b"[7,\"t\"]");
    }
    let traceback = error(&one_by_one, 2)["traceback"].to_string();
    one_by_one.check(traceback.contains("in tolist"), "it has no traceback");
}

#[test]
fn an_exception_that_raises_where_it_is_looked_at_fails_its_record_alone() {
    let source = r#"
class Meta(type):
    def __getattribute__(cls, name): raise SystemExit(name)
class Named(Exception, metaclass=Meta): pass
class Placed(Exception):
    @property
    def __module__(self): raise SystemExit("module")
    __class__ = __traceback__ = __cause__ = __context__ = __dict__ = __notes__ = __module__
class Said(Exception):
    def __str__(self): raise KeyboardInterrupt
    __repr__ = __str__
class Text(str):
    def encode(self, *_): raise SystemExit
    __format__ = __str__ = encode
class Wordy(Exception):
    def __str__(self): return Text("wordy")
class Around(Exception):
    def __str__(self): return str(self)
class Group(Exception):
    def __getattribute__(self, name): raise SystemExit(name)
ERRORS = [Named("a"), Placed("b"), Said("c"), Wordy("d"), Around("e"), Group("f"), SystemExit(Said("g"))]
def work(x):
    if x < len(ERRORS): raise ERRORS[x]
    return x
def batch(xs): return [ERRORS[x] if x < len(ERRORS) else x for x in xs]
"#;
    let Some(env) = python(source) else { return };
    for options in [
        &["--python", "work.py:work"][..],
        &["--batch", "8", "--python", "work.py:batch"],
    ] {
        let done = env.mtask().args(["-j1"]).args(options).stdin(numbers(8)).run();
        done.assert_status(123).assert_stderr_has("7 of 8 records failed (7 worker_error: ");
        let kinds = [
            "Named",
            "Placed",
            "Said",
            "Wordy",
            "Around",
            "Group",
            "SystemExit",
        ];
        for (line, kind) in kinds.iter().enumerate() {
            let error = error(&done, line);
            let found = error["type"].as_str().unwrap_or_default();
            done.check(
                found.rsplit('.').next() == Some(kind),
                "it is of another type",
            );
        }
        assert_message_has(&done, 0, "a");
        assert_message_has(&done, 2, "<Said.__str__ failed>");
        assert_message_has(&done, 3, "wordy");
        assert_eq!(done.lines()[7], b"7");
    }
}

#[test]
fn an_exit_value_that_raises_where_it_is_looked_at_is_said() {
    let source = r#"
class Raises:
    def tolist(self): raise SystemExit(0)
class Work:
    def __call__(self, x): return x
    def close(self): return Raises()
"#;
    let Some(env) = python(source) else { return };
    env.mtask()
        .words("-j1 --python work.py:Work")
        .run_on("1\n")
        .assert_status(123)
        .assert_stdout("1\n")
        .assert_stderr_has("the exit value is not JSON: sys.exit(0) was called");
}

#[test]
fn an_exception_that_is_returned_fails_its_record_as_if_it_had_been_raised() {
    let source = r#"
import asyncio, dataclasses
async def one(x):
    open("calls", "a").write("x\n")
    if x == 2:
        try:
            raise OSError("first")
        except OSError as error:
            raise ValueError("404 for this url") from error
    return x
async def gathered(xs): return await asyncio.gather(*map(one, xs), return_exceptions=True)
async def apart(x): return (await gathered([x]))[0]
@dataclasses.dataclass
class Failed(Exception):
    code: int
def dataclass(x): return Failed(404) if x == 2 else x
def bare(x): return ValueError("404") if x == 2 else x
def kind(x): return ValueError if x == 2 else x
def inside(x): return {"error": ValueError("404")} if x == 2 else x
"#;
    let Some(env) = python(source) else { return };
    let run = |options: &[&str], name: &str| {
        let done = env
            .mtask()
            .words("-j1")
            .args(options)
            .args(["--python", &format!("work.py:{name}")])
            .run_on(numbers(4));
        done.assert_status(123).assert_one_error(2, "worker_error");
        done.assert_results_but(2, &numbers(4));
        error(&done, 2)
    };
    for options in [&["--batch", "4"][..], &[]] {
        let before = env.lines("calls").len();
        let failed = run(
            options,
            if options.is_empty() {
                "apart"
            } else {
                "gathered"
            },
        );
        assert_eq!(env.lines("calls").len() - before, 4, "each is called once");
        assert_eq!(failed["type"], "ValueError");
        assert_eq!(failed["message"], "404 for this url");
        let traceback = failed["traceback"].as_str().unwrap_or_default();
        assert!(
            traceback.contains("in one") && traceback.contains("OSError: first"),
            "{traceback}"
        );
    }
    assert_eq!(run(&[], "dataclass")["type"], "work.Failed");
    let failed = run(&[], "bare");
    assert_eq!(
        (&failed["type"], &failed["message"]),
        (&"ValueError".into(), &"404".into())
    );
    let said = |name| run(&[], name)["message"].as_str().unwrap_or_default().to_owned();
    assert!(said("kind").contains("of type type (ValueError): raise it, or return one"));
    assert!(said("inside").contains("output['error'] is of type ValueError: raise it"));
}

#[test]
fn a_batch_may_come_back_as_a_tuple_or_an_iterator_and_not_as_less() {
    let source = r#"
import itertools
def tuples(xs): return (*xs,)
def maps(xs): return map(int, xs)
def generators(xs): return (x for x in xs)
def endless(xs): return itertools.count()
def breaks(xs): return (1 // (x - 2) and x for x in xs)
def raised(xs): return ValueError("all of it")
class Rows(list):
    def __iter__(self): raise SystemExit("rows")
def rows(xs): return Rows(xs)
"#;
    let Some(env) = python(source) else { return };
    let run = |name: &str| {
        env.mtask()
            .args([
                "-j1",
                "--batch",
                "4",
                "--python",
                &format!("work.py:{name}"),
            ])
            .run_on(numbers(4))
    };
    for name in ["tuples", "maps", "generators"] {
        run(name).assert_output(numbers(4));
    }
    let done = run("breaks");
    done.assert_status(123).assert_one_error(2, "worker_error");
    assert_eq!(error(&done, 2)["type"], "ZeroDivisionError");
    for (name, message) in [
        (
            "endless",
            "the call was given 1 inputs and returned 2 outputs",
        ),
        ("raised", "all of it"),
        ("rows", "sys.exit(rows) was called"),
    ] {
        let done = run(name);
        done.assert_status(123);
        for line in 0..4 {
            assert_message_has(&done, line, message);
        }
    }
}

#[test]
fn a_python_without_its_whole_library_is_named_once() {
    let Some(env) = python("def double(x): return 2 * x\n") else {
        return;
    };
    // As the python3-minimal of Debian has it.
    env.write(
        "minimal.py",
        "import sys\nsys.modules['json'] = None\ndel sys.argv[:2]\ncode, sys.argv[0] = sys.argv[0], '-c'\nexec(code)\n",
    );
    let done = env
        .mtask()
        .args([
            "-j4",
            "--python",
            "work.py:double",
            "--",
            "python3",
            "minimal.py",
        ])
        .stdin(numbers(4))
        .run();
    done.assert_status(126).assert_stderr_has("lacks json, a module of Python's own library");
    done.check(!done.stderr.contains("Traceback"), "there is a traceback");
}

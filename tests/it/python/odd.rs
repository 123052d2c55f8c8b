//! `--python`: objects that raise where nobody expects it.

use super::{assert_message_has, error, python};
use crate::done::numbers;

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
        .words("-j4 --python work.py:double -- python3 minimal.py")
        .stdin(numbers(4))
        .run();
    done.assert_status(126).assert_stderr_has("lacks json, a module of Python's own library");
    done.check(!done.stderr.contains("Traceback"), "there is a traceback");
}

#[test]
fn names_of_files_are_what_python_makes_of_them() {
    let source = "
import os
def work(name): return os.fsencode(name).hex()
def both(names): return [work(name) for name in names]
async def later(name): return work(name)
";
    let Some(env) = python(source) else { return };
    let input = b"a\0b\nc\0\xff\xfe\0\0";
    for options in [
        "--python work.py:work",
        "--batch 3 --python work.py:both",
        "--concurrency 2 --python work.py:later",
        "--concurrency 2 --python work.py:work",
    ] {
        let run = env.mtask().words("-j1 -0 --format lines").words(options);
        run.run_on(&input[..]).assert_output(b"61\x00620a63\x00fffe\0\0");
    }
}

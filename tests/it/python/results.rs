//! `--python`: what a call returns or raises, as the outcome of its record.

use serde_json::json;

use super::{assert_message_has, error, has, python};
use crate::done::numbers;
use crate::env::skip;

#[test]
fn an_exception_fails_its_record_with_type_message_and_traceback() {
    let source = r#"
class Refused(Exception):
    pass
class Silent(Exception):
    def __str__(self):
        raise RuntimeError
def inner(x):
    raise KeyError("inner")
def work(x):
    if x == 1:
        raise ValueError("not 1 \ud800")
    if x == 2:
        try:
            inner(x)
        except KeyError as error:
            raise Refused("outer") from error
    if x == 3:
        raise Silent
    if x == 4:
        return work(x)
    if x == 5:
        raise SystemExit(7)
    if x == 6:
        raise KeyboardInterrupt
    return x
"#;
    let Some(env) = python(source) else { return };
    let done = env.mtask().words("-j1 --python work.py:work").run_on(numbers(8));
    done.assert_status(123);
    let lines = done.lines();
    assert_eq!((lines[0], lines[7]), (&b"0"[..], &b"7"[..]));

    let error_1 = error(&done, 1);
    assert_eq!(error_1["type"], "ValueError");
    assert_eq!(error_1["message"], "not 1 \\ud800");
    let traceback = error_1["traceback"].as_str().expect("a traceback");
    let begins = format!(
        "Traceback (most recent call last):\n  File \"{}\", line 11, in work\n    raise ValueError",
        std::fs::canonicalize(env.path("work.py")).expect("a file").display()
    );
    assert!(traceback.starts_with(&begins), "{traceback}");

    let error_2 = error(&done, 2);
    assert_eq!(
        (&error_2["type"], &error_2["message"]),
        (&json!("work.Refused"), &json!("outer"))
    );
    let traceback = error_2["traceback"].as_str().expect("a traceback");
    assert!(traceback.contains("KeyError: 'inner'") && traceback.contains("direct cause"));
    assert!(
        !traceback.contains("<string>"),
        "the adapter shows: {traceback}"
    );

    assert_eq!(error(&done, 3)["type"], "work.Silent");
    assert_eq!(error(&done, 4)["type"], "RecursionError");
    assert_message_has(&done, 5, "sys.exit(7) was called");
    assert_eq!(error(&done, 6)["type"], "KeyboardInterrupt");
}

#[test]
fn a_result_that_is_not_json_fails_its_record_and_says_so() {
    let source = r#"
import datetime, pathlib
async def later(): return 1
around = []
around.append(around)
RESULTS = [
    (lambda: float("nan"), "output is nan"),
    (lambda: [1, {"score": float("-inf")}], "output[1]['score'] is -inf"),
    (lambda: b"x", "of type bytes: decode it"),
    (lambda: map(int, []), "map: return a list, or yield from it"),
    (lambda: [x for x in (1,)] + [(x for x in [1])], "output[1] is of type generator"),
    (lambda: later(), "coroutine: await it"),
    (lambda: {1, 2}, "set, which has no order: return a list"),
    (lambda: datetime.date(2020, 1, 1), "datetime.date: return its isoformat()"),
    (lambda: pathlib.Path("x"), "return its str()"),
    (lambda: around, "Circular reference"),
    (lambda: {(1, 2): 3}, "key of type tuple"),
    (lambda: object, "of type type"),
]
def work(x):
    result, expected = RESULTS[x]
    print("EXPECTED", expected)
    return result()
"#;
    let Some(env) = python(source) else { return };
    let done = env.mtask().words("-j1 --python work.py:work").run_on(numbers(12));
    done.assert_status(123);
    let expected: Vec<&str> =
        done.stderr.lines().filter_map(|line| line.strip_prefix("EXPECTED ")).collect();
    assert_eq!(expected.len(), 12);
    for (line, expected) in expected.into_iter().enumerate() {
        assert_message_has(&done, line, "the output is not JSON");
        assert_message_has(&done, line, expected);
    }
}

#[test]
fn dataclasses_and_tuples_are_results() {
    let source = r#"
import collections, dataclasses, enum
@dataclasses.dataclass
class Point:
    x: int
    next: object = None
Pair = collections.namedtuple("Pair", "a b")
class Level(enum.IntEnum):
    LOW = 1
def work(x):
    return [Point(1, Point(2)), Pair(1, 2), (), {1: Level.LOW}, "\ud800"]
"#;
    let Some(env) = python(source) else { return };
    env.mtask().words("--python work.py:work").run_on("0\n").assert_output(
        "[{\"x\":1,\"next\":{\"x\":2,\"next\":null}},[1,2],[],{\"1\":1},\"\\ud800\"]\n",
    );
}

#[test]
fn numbers_and_arrays_of_numpy_are_results() {
    let source = r#"
import numpy
RESULTS = [numpy.float32(1.5), numpy.arange(3), {"a": [numpy.int64(4), numpy.bool_(True)]},
           numpy.zeros((2, 1)), numpy.array([1, numpy.nan])]
def work(x): return RESULTS[x]
def double(batch): return numpy.array(batch) * 2.0
"#;
    let Some(env) = python(source) else { return };
    if !has("import numpy") {
        return skip("numpy is not installed");
    }
    let done = env.mtask().words("-j1 --python work.py:work").run_on(numbers(5));
    done.assert_status(123);
    let expected = ["1.5", "[0,1,2]", "{\"a\":[4,true]}", "[[0.0],[0.0]]"];
    let lines = done.lines();
    let results: Vec<_> = lines[..4].iter().map(|line| String::from_utf8_lossy(line)).collect();
    assert_eq!(results, expected);
    assert_message_has(&done, 4, "output[1] is nan");

    env.mtask()
        .words("--batch 4 --python work.py:double")
        .run_on("1\n2\n")
        .assert_output("2.0\n4.0\n");
}

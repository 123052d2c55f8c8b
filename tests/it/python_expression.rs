//! `--python 'lambda …'`: an expression in place of a function.

use crate::done::Done;
use crate::env::TestEnv;
use crate::python::{error, python};
use crate::python_concurrency::interpreters;

/// Runs an expression on these records, by the oldest and by the newest Python.
fn run(env: &TestEnv, options: &str, expression: &str, input: &str) -> Vec<Done> {
    let of = |interpreter: &String| {
        let run = env.mtask().words("-j1").words(options);
        run.args(["--python", expression, "--", interpreter]).run_on(input)
    };
    interpreters().iter().map(of).collect()
}

#[test]
fn an_expression_is_called_and_modules_that_it_names_are_imported() {
    let Some(env) = python("") else { return };
    env.write("mine.py", "def twice(x): return 2 * x\n");
    for (options, expression, input, expected) in [
        ("", "lambda r: math.sqrt(r[\"n\"])", "{\"n\":4}\n", "2.0\n"),
        (
            "--format lines",
            "lambda s: unicodedata.normalize('NFC', s)",
            "u\u{308}\n",
            "ü\n",
        ),
        (
            "",
            "lambda r: [xml.etree.ElementTree.fromstring(r).text, os.path.basename('/a/b')]",
            "\"<a>x</a>\"\n",
            "[\"x\",\"b\"]\n",
        ),
        // What it binds itself is its own.
        (
            "",
            "lambda json: [math for math in json]",
            "[3,1]\n",
            "[3,1]\n",
        ),
        ("", "lambda x, *, by=operator.neg: by(x)", "3\n", "-3\n"),
        ("", "lambda x: mine.twice(x)", "3\n", "6\n"),
        ("", "lambda x: (y for y in range(x))", "3\n", "0\n1\n2\n"),
        ("--batch 4", "lambda xs: [x + 1 for x in xs]", "3\n", "4\n"),
        ("--concurrency 4", "lambda x: -x", "3\n", "-3\n"),
        (
            "--argument-type args",
            "lambda a, b: a + b",
            "[1,2]\n",
            "3\n",
        ),
    ] {
        for done in run(&env, options, expression, input) {
            done.assert_output(expected);
        }
    }
}

#[test]
fn an_error_points_into_the_expression() {
    let Some(env) = python("") else { return };
    for done in run(&env, "", "lambda r: [r, 1 / (r - 3)]", "3\n") {
        done.assert_status(123);
        let traceback = error(&done, 0)["traceback"].to_string();
        let is_shown = traceback.contains("in <lambda>\\n    lambda r: [r, 1 / (r - 3)]\\n");
        done.check(is_shown, &traceback);
    }
    for done in run(&env, "", "lambda r: r +", "3\n") {
        done.assert_status(126)
            .assert_stderr_has("    lambda r: r +\n")
            .assert_stderr_has("the expression cannot be loaded: SyntaxError");
        done.check(
            !done.stderr.contains("ast.py"),
            "frames that are not theirs",
        );
    }
}

#[test]
fn a_name_that_is_nowhere_is_said_before_any_record() {
    let Some(env) = python("") else { return };
    for done in run(&env, "", "lambda r: mathh.sqrt(r)", "3\n") {
        done.assert_status(127).assert_stderr_has("there is no name mathh in Python, and ");
        done.assert_stderr_has("finds no module of that name: did you mean math?");
    }
    env.write("broken.py", "1 / 0\n");
    for done in run(&env, "--max-restarts 0", "lambda r: broken.f(r)", "3\n") {
        done.assert_status(125)
            .assert_stderr_has("broken cannot be loaded: ZeroDivisionError")
            .assert_stderr_has("broken.py");
    }
}

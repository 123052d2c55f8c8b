//! `--python`: how a callable is found, made and ended, and what is said where it cannot be.

use std::fs;
use std::io::Write;

use crate::done::{Done, numbers, records};
use crate::env::TestEnv;
use crate::python::python;

fn run(env: &TestEnv, options: &[&str], callable: &str) -> Done {
    env.mtask().words("-j2").args(options).args(["--python", callable]).run_on("1\n2\n3\n")
}

/// The run ends with 125 before any record is charged, and stderr holds all of `texts`.
#[track_caller]
fn assert_no_worker(done: &Done, texts: &[&str]) {
    done.assert_status(125).assert_stdout("");
    for text in texts {
        done.assert_stderr_has(text);
    }
}

#[test]
fn a_class_is_constructed_once_for_each_worker_with_its_own_arguments() {
    let source = r#"
import os
class Model:
    def __init__(self, gpu, names, size=3):
        self.gpu, self.names, self.size, self.calls = gpu, names, size, 0
        with open("constructed", "a") as file:
            file.write("%s\n" % gpu)
    def __call__(self, x):
        if self.calls == 0:  # both are to have records
            os.read(os.open("go", os.O_RDONLY), 1)
        self.calls += 1
        return [x, type(self.gpu).__name__, self.names, self.size]
    def close(self):
        return {"gpu": self.gpu, "calls": self.calls}
"#;
    let Some(env) = python(source) else { return };
    let mut go = env.fifo("go");
    let live = env
        .mtask()
        .words("--worker-arg gpu=0 --worker-arg gpu=1")
        .args(["--shared-arg", "names=[\"a\", 7]", "--exits", "exits"])
        .words("--python work.py:Model")
        .stdin(numbers(100))
        .start();
    env.wait_for_lines("constructed", 2);
    go.write_all(b"01").expect("a pipe");
    let done = live.wait();
    done.assert_status(0).assert_stderr_empty().assert_stdout(records(
        (0..100).map(|x| format!("[{x},\"int\",[\"a\",7],3]")),
    ));
    let mut constructed = env.lines("constructed");
    constructed.sort();
    assert_eq!(constructed, ["0", "1"]);
    let exits = env.lines("exits");
    assert_eq!(exits.len(), 2);
    let calls: u64 = exits
        .iter()
        .map(|line| {
            let exit = done.parse(line.as_bytes());
            assert_eq!(exit["exit"]["gpu"], exit["worker"], "{exit}");
            exit["exit"]["calls"].as_u64().expect("a number")
        })
        .sum();
    assert_eq!(calls, 100);
}

#[test]
fn plain_text_is_the_one_positional_argument() {
    let source = "class Model:\n def __init__(self, *args, **kwargs): self.a = [args, kwargs]\n \
                  def __call__(self, x): return self.a\n";
    let Some(env) = python(source) else { return };
    let done = run(&env, &["--worker-arg", "cuda:0"], "work.py:Model");
    done.assert_output("[[\"cuda:0\"],{}]\n".repeat(3));
    run(&env, &["--worker-arg", "{\"a\": \"7\"}"], "work.py:Model")
        .assert_stdout("[[],{\"a\":\"7\"}]\n".repeat(3));
}

#[test]
fn a_key_that_the_command_uses_up_is_passed_only_where_it_is_known() {
    let source = r#"
import os
class Knows:
    def __init__(self, gpu): self.gpu = gpu
    def __call__(self, x): return [os.environ["GPU"], self.gpu]
class Ignores:
    def __call__(self, x): return os.environ["GPU"]
def function(x): return os.environ["GPU"]
"#;
    let Some(env) = python(source) else { return };
    for (name, expected) in [
        ("Knows", "[\"7\",7]\n"),
        ("Ignores", "\"7\"\n"),
        ("function", "\"7\"\n"),
    ] {
        env.mtask()
            .words("--worker-arg gpu=7")
            .args(["--python", &format!("work.py:{name}")])
            .words("-- env GPU={gpu} python3")
            .run_on("1\n")
            .assert_output(expected);
    }
}

#[test]
fn a_file_is_a_module_of_its_name_with_its_folder_first_on_the_path() {
    let Some(env) = python("") else { return };
    fs::create_dir(env.path("lib")).expect("a folder");
    env.write("json.py", "raise SystemExit('not the standard module')\n");
    env.write("lib/sibling.py", "name = 'sibling'\n");
    env.write(
        "lib/main-work.py",
        r#"
import os, pickle, sys
import json, sibling
class Point:
    pass
if __name__ == "__main__":
    sys.exit("this is no script")
def work(x):
    return [__name__, sibling.name, type(pickle.loads(pickle.dumps(Point()))) is Point, sys.argv]
"#,
    );
    run(&env, &["-j1"], "lib/main-work.py:work")
        .assert_output("[\"main-work\",\"sibling\",true,[\"lib/main-work.py\"]]\n".repeat(3));
}

#[test]
fn a_module_is_found_from_the_working_directory_and_may_import_relatively() {
    let Some(env) = python("") else { return };
    fs::create_dir_all(env.path("package/inner")).expect("folders");
    for file in ["package/__init__.py", "package/inner/__init__.py"] {
        env.write(file, "");
    }
    env.write("package/names.py", "name = 'package'\n");
    let source = "from ..names import name\nclass A:\n  def f(x): return [name, __name__]\n";
    env.write("package/inner/work.py", source);
    run(&env, &[], "package.inner.work:A.f")
        .assert_output("[\"package\",\"package.inner.work\"]\n".repeat(3));

    let done = run(&env, &[], "package/inner/work.py:A.f");
    done.assert_status(126)
        .assert_stderr_has("use --python package.inner.work:A.f in the folder /");
}

#[test]
fn a_constructor_that_raises_ends_the_run_and_is_shown() {
    let source = "class Model:\n def __init__(self):\n  raise RuntimeError('no such device')\n \
                  def __call__(self, x): return x\n";
    let Some(env) = python(source) else { return };
    let done = run(&env, &[], "work.py:Model");
    assert_no_worker(
        &done,
        &[
            "work.py\", line 3, in __init__",
            "its constructor raised RuntimeError: no such device",
        ],
    );
    let tracebacks = done.stderr.matches("Traceback").count();
    done.check(
        (1..=4).contains(&tracebacks),
        "the traceback is not shown, or too often",
    );
    done.check(!done.stderr.contains("<string>"), "the adapter shows");
}

#[test]
fn what_cannot_be_used_is_said_with_a_way_out() {
    let source = r#"
class Model:
    def __init__(self, gpu): pass
    def __call__(self, x): return x
class Silent: pass
def function(x): return x
number = 3
"#;
    let Some(env) = python(source) else { return };
    env.write("syntax.py", "def work(x)\n    return x\n");
    env.write("missing.py", "import no_such_module\n");
    env.write("exits.py", "import sys\nsys.exit('bye')\n");
    env.write("json.py", "def work(x): return x\n");
    for (options, callable, text) in [
        (
            &[][..],
            "work.py:functoin",
            "work.py has no functoin: did you mean function?",
        ),
        (
            &[],
            "work.py:number",
            "of type int, and no function or class",
        ),
        (&[], "work.py:Silent", "give the class a method __call__"),
        (
            &[],
            "work.py:Model",
            "missing 1 required positional argument: 'gpu'",
        ),
        (&["--worker-arg", "gpus=1"], "work.py:Model", "(gpus=1)"),
        (
            &["--worker-arg", "a=1"],
            "work.py:function",
            "takes no init argument",
        ),
        (&[], "no.such.module:f", "finds no module no"),
        (&[], "syntax.py:work", "cannot be loaded: SyntaxError"),
        (
            &[],
            "missing.py:work",
            "another Python can be named after --",
        ),
        (&[], "exits.py:work", "SystemExit: bye"),
        (&[], "json.py:work", "rename json.py"),
    ] {
        let options = [options, &["--max-restarts", "0"]].concat();
        let done = run(&env, &options, callable);
        done.assert_stdout("").assert_stderr_has(&format!("mtask: --python {callable}: "));
        done.assert_stderr_has(text);
        let status = done.status.code();
        done.check(matches!(status, Some(125..=127)), "the run has another end");
        done.check(!done.stderr.contains("<string>"), "the adapter shows");
    }
}

#[test]
fn a_constructor_that_raises_in_all_workers_is_shown_once() {
    let source = "class A:\n    def __init__(self): raise OSError('no GPU')\n    def __call__(self, x): pass\n";
    let Some(env) = python(source) else { return };
    let done = run(&env, &["-j8", "--max-restarts", "2"], "work.py:A");
    assert_no_worker(&done, &["Traceback", "8 workers given up"]);
    let said = done.stderr.matches("OSError: no GPU").count();
    // In the traceback, in the adapter's words, and in the last words.
    done.check(said == 3, &format!("it is said {said} times"));
    let lines = done.stderr.lines().count();
    done.check(lines < 15, &format!("{lines} lines are said"));
}

#[test]
fn what_cannot_heal_is_tried_once_in_each_worker_and_told_once() {
    let work = "class A: pass\nnumber = 1\n";
    let Some(env) = python(work) else {
        return;
    };
    env.write("json.py", "class A: pass\n");
    env.write("imports.py", "import nowhere\n");
    env.write("syntax.py", "def work(x)\n    return x\n");
    env.write(
        "fails.py",
        "open('tried', 'a').write('x\\n')\nraise OSError('busy')\n",
    );
    for (callable, status) in [
        ("work.py:A.b", 127),
        ("work:B", 127),
        ("syntax.py:work", 126),
        ("syntax:work", 126),
        ("nowhere:work", 127),
        ("imports.py:work", 126),
        ("work.py:A", 126),
        ("work.py:number", 126),
        ("json.py:A", 126),
    ] {
        let done = run(&env, &["-j8"], callable);
        done.assert_status(status).assert_stdout("");
        let said = format!("mtask: --python {callable}: ");
        let times = done.stderr.matches(&said).count();
        // By one of the workers, and by nobody else.
        done.check(times == 1, &format!("it is said {times} times"));
        let lines = done.stderr.lines().filter(|line| line.starts_with("mtask: ")).count();
        done.check(lines == 1, "more is said");
    }
    let done = run(&env, &["--max-restarts", "3"], "fails.py:work");
    assert_no_worker(&done, &["OSError: busy", "2 workers given up"]);
    assert_eq!(env.lines("tried").len(), 6);
}

#[test]
fn a_file_that_is_not_there_is_found_before_anything_runs() {
    let env = TestEnv::new();
    run(&env, &[], "none.py:Model")
        .assert_status(127)
        .assert_stderr_has("--python none.py:Model: there is no file none.py");
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let env = TestEnv::new();
    env.write("work.py", "");
    for (args, text) in [
        (&["--python", "work.py"][..], "FILE.py:NAME"),
        (&["--python", "work:"], "FILE.py:NAME"),
        (&["--python", "my-work:f"], "my-work.py"),
        (&["--batch", "2", "cat"], "--batch needs --python"),
        (
            &["--argument-type", "single", "cat"],
            "--argument-type needs --python",
        ),
        (
            &["--protocol", "lines", "--python", "work.py:f"],
            "json protocol",
        ),
        (
            &["-0", "--format", "jsonl", "--python", "work.py:f"],
            "--null",
        ),
        (
            &[
                "--batch",
                "2",
                "--argument-type",
                "args",
                "--python",
                "work.py:f",
            ],
            "--argument-type",
        ),
    ] {
        env.mtask().args(args).run().assert_status(2).assert_stderr_has(text);
    }
}

#[test]
fn close_that_raises_is_a_failure_at_the_end() {
    let source = r#"
class Raises:
    def __call__(self, x): return x
    def close(self): raise OSError("disk full")
class Quiet:
    def __call__(self, x): return x
    def close(self): print("closed")
class Odd(Quiet):
    def close(self): return {"seen": {1, 2}}
"#;
    let Some(env) = python(source) else { return };
    run(&env, &["-j1"], "work.py:Raises")
        .assert_status(123)
        .assert_stdout("1\n2\n3\n")
        .assert_stderr_has("in close")
        .assert_stderr_has("its close() raised OSError: disk full");
    let done = run(&env, &["-j1", "--exits", "exits"], "work.py:Quiet");
    done.assert_status(0).assert_stderr_has("closed");
    assert!(env.read("exits").is_empty());
    run(&env, &["-j1"], "work.py:Odd")
        .assert_status(123)
        .assert_stdout("1\n2\n3\n")
        .assert_stderr_has("the exit value is not JSON: exit value['seen'] is of type set");
}

#[test]
fn the_interpreter_ends_as_it_does_elsewhere() {
    let source = r#"
import atexit, threading
atexit.register(lambda: print("atexit ran"))
def late():
    threading.main_thread().join()
    print("the thread has ended")
def work(x):
    threading.Thread(target=late).start()
    return x
"#;
    let Some(env) = python(source) else { return };
    run(&env, &["-j1"], "work.py:work")
        .assert_status(0)
        .assert_stderr_has("atexit ran")
        .assert_stderr_has("the thread has ended");
}

#[test]
fn a_dry_run_leaves_the_adapter_out() {
    let env = TestEnv::new();
    env.write("work.py", "");
    let done = run(&env, &["--dry-run", "--worker-arg", "gpu=0"], "work.py:A");
    let shown = String::from_utf8_lossy(&done.stdout).into_owned();
    done.assert_status(0).check(
        shown.lines().count() == 2,
        "there is not a line for each worker",
    );
    let words = " python3 -c '…' '{\"callable\":\"work.py:A\",\"args\":[],\"kwargs\":{\"gpu\":0},";
    done.check(
        shown.lines().all(|line| line.contains(words)),
        "the command line is wrong",
    );
}

#[test]
fn the_adapter_is_python_3_8() {
    let Some(env) = python("") else { return };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/worker/python/adapter");
    let script = format!(
        "python3 -c \"import ast, glob
for file in glob.glob('{folder}/*.py'):
    print(ast.parse(open(file).read(), file, feature_version=(3, 8)))\""
    );
    let done = env.sh(&script);
    let count = done.assert_status(0).lines().len();
    assert!(count > 5, "{count} files");
}

#[test]
fn init_arguments_are_the_same_in_every_locale() {
    let source = "class C:\n def __init__(self, *args, **keys): self.given = [args, keys]\n \
                  def __call__(self, x): return self.given\n\
                  class Größe(C): pass\n";
    let Some(env) = python(source) else { return };
    env.write("grün.py", source);
    let locales = [
        &[][..],
        &[
            ("LC_ALL", "C"),
            ("PYTHONCOERCECLOCALE", "0"),
            ("PYTHONUTF8", "0"),
        ],
        &[
            ("LC_ALL", "POSIX"),
            ("PYTHONCOERCECLOCALE", "0"),
            ("PYTHONUTF8", "0"),
        ],
        &[("LC_ALL", "C"), ("PYTHONUTF8", "1")],
    ];
    for locale in locales {
        for (args, callable, expected) in [
            (
                &["--worker-arg", "name=größe"][..],
                "work.py:C",
                "[[],{\"name\":\"größe\"}]",
            ),
            (
                &["--worker-arg", "日本 👍"],
                "work.py:C",
                "[[\"日本 👍\"],{}]",
            ),
            (
                &[
                    "--worker-arg",
                    "{\"größe\":[\"é\"]}",
                    "--shared-arg",
                    "b=\"ü\"",
                ],
                "grün.py:Größe",
                "[[],{\"größe\":[\"é\"],\"b\":\"ü\"}]",
            ),
        ] {
            let mut run = env.mtask().words("-j1").args(args);
            for (name, value) in locale {
                run = run.var(name, value);
            }
            run.args(["--python", callable])
                .run_on("1\n")
                .assert_status(0)
                .assert_stderr_empty()
                .assert_stdout(format!("{expected}\n"));
        }
    }
}

#[test]
fn the_environment_has_the_init_argument_as_it_was_given() {
    let source = "import os\ndef work(x): return list(os.environb[b'MTASK_ARG'])\n\
                  class C:\n def __init__(self, a): pass\n def __call__(self, x): return work(x)\n";
    let Some(env) = python(source) else { return };
    let run = env.mtask().words("-j1 --worker-arg a=größe").var("LC_ALL", "C");
    let done = run.words("--python work.py:C").run_on("1\n");
    let bytes: Vec<_> = "a=größe".bytes().map(|byte| byte.to_string()).collect();
    done.assert_output(format!("[{}]\n", bytes.join(",")));
}

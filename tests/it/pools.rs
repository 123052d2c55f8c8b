//! docs/from-pools.md: what pools of Python do, and mtask, side by side. An HTML comment before each
//! block says what it is: `pool: MODULE` begins a section with its imports, `call` is what the library
//! is told, and `command` is mtask's way to the same.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::env::{TestEnv, skip};
use crate::examples::blocks;

const PAGE: &str = include_str!("../../docs/from-pools.md");

/// What a library is told, and the command in its place.
struct Pair {
    call: String,
    command: String,
}

/// The imports of a section, and its pairs.
fn section(name: &str, env: &TestEnv) -> (String, Vec<Pair>) {
    let (mut imports, mut pairs) = (None, Vec::<Pair>::new());
    let mut is_in = false;
    for block in blocks(PAGE) {
        if let Some(file) = block.comment.strip_prefix("file: ") {
            env.write(file, &block.text);
        } else if let Some(pool) = block.comment.strip_prefix("pool: ") {
            is_in = pool == name;
            if is_in {
                imports = Some(block.text);
            }
        } else if is_in && block.comment == "call" {
            pairs.push(Pair {
                call: block.text,
                command: String::new(),
            });
        } else if is_in && block.comment == "command" {
            pairs.last_mut().expect("a call before its command").command = block.text;
        } else {
            assert!(
                matches!(block.comment, "call" | "command"),
                "{}",
                block.comment
            );
        }
    }
    (imports.expect("a section of that name"), pairs)
}

/// All calls of a section as one script, which prints a line before each.
fn script(imports: &str, pairs: &[Pair]) -> String {
    let mut script = format!(
        "import json, sys\n{imports}from work import *\n\
         numbers, pairs, rows = ([json.loads(line) for line in open(name)] \
         for name in ('numbers', 'pairs', 'rows'))\n\
         def plain(value):\n    \
             if isinstance(value, TimeoutError): return {{'error': 'timeout'}}\n    \
             if isinstance(value, Exception): \
                 return {{'error': f'{{type(value).__name__}}: {{value}}'}}\n    \
             return value\n\
         def show(values):\n    \
             for value in values: print(json.dumps(plain(value)), flush=True)\n"
    );
    for Pair { call, .. } in pairs {
        // Functions are defined where processes that are forked find them; pools, where only the
        // script itself begins them.
        script.push_str("if __name__ == '__main__':\n    print('---', flush=True)\n");
        for line in call.lines() {
            script.push_str(&format!("    {line}\n"));
        }
    }
    script
}

/// The results on these lines. Of an error, what it says.
fn results(lines: &str) -> Vec<Value> {
    let result = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        match value["mtask_error"].as_str() {
            Some("worker_error") => json!({ "error": value["message"] }),
            Some(kind) => json!({ "error": kind }),
            None => value,
        }
    };
    lines.lines().map(result).collect()
}

fn compare(name: &str) {
    let env = TestEnv::new();
    let (imports, pairs) = section(name, &env);
    let imported = |module: &str| {
        let code = format!("import {module}");
        Command::new("python3").args(["-c", &code]).output().is_ok_and(|it| it.status.success())
    };
    if !imported(name) {
        return skip(&format!("docs/from-pools.md: {name} is not installed"));
    }
    assert_eq!(pairs.len(), 10, "{name}");
    env.write("pool.py", script(&imports, &pairs));
    let done = env.sh("python3 pool.py");
    done.assert_status(0);
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let expected: Vec<_> = text.split("---\n").skip(1).map(results).collect();
    assert_eq!(expected.len(), 10, "{name}: {text}");
    fs::create_dir(env.path("bin")).expect("a folder");
    let mtask = format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_mtask"));
    env.write_with_mode("bin/mtask", mtask, 0o755);
    for (pair, expected) in pairs.iter().zip(expected) {
        let done = env.sh(&format!("PATH={}:$PATH\n{}", env.path("bin"), pair.command));
        let found = results(&String::from_utf8_lossy(&done.stdout));
        done.check(!found.is_empty(), "it gives nothing");
        done.check(
            found == expected,
            &format!("\n{}\ngives {expected:?}", pair.call),
        );
    }
}

#[test]
fn what_multiprocessing_does_is_done() {
    compare("multiprocessing");
}

#[test]
fn what_concurrent_futures_does_is_done() {
    compare("concurrent.futures");
}

#[test]
fn what_joblib_does_is_done() {
    compare("joblib");
}

#[test]
fn what_mpire_does_is_done() {
    compare("mpire");
}

#[test]
fn what_pqdm_does_is_done() {
    compare("pqdm");
}

#[test]
fn what_mtasklite_does_is_done() {
    compare("mtasklite");
}

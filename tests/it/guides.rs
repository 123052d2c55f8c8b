//! The guides under docs are true: their examples are run, and the tests that they name exist.

use std::fs;
use std::path::PathBuf;

use crate::env::{TestEnv, mtask, skip};
use crate::examples::{blocks, install, is_installed, run_all};

const GUIDE: &str = include_str!("../../docs/guide.md");
const OPTIONS: &str = include_str!("../../docs/options.md");

#[test]
fn every_example_of_the_guide_does_what_it_says() {
    run_all("docs/guide.md", GUIDE);
}

#[test]
fn every_question_to_the_log_has_its_answer() {
    run_all("docs/log.md", include_str!("../../docs/log.md"));
}

#[test]
fn every_example_of_an_option_does_what_it_says() {
    run_all("docs/options.md", OPTIONS);
}

#[test]
fn every_option_has_an_example() {
    let done = mtask("--help").run();
    let help = String::from_utf8_lossy(&done.stdout).into_owned();
    let options: Vec<&str> = help
        .lines()
        .filter(|line| line.trim_start().starts_with('-'))
        .flat_map(|line| line.split([' ', ',', '[']))
        .filter(|word| word.starts_with('-'))
        .filter(|word| word.trim_start_matches('-').starts_with(char::is_alphanumeric))
        .collect();
    assert!(options.len() > 50, "--help has {options:?}");
    for option in options {
        let quoted = format!("`{option}`");
        let has_section = OPTIONS
            .lines()
            .filter(|line| line.starts_with("### "))
            .any(|line| line.contains(&quoted));
        assert!(has_section, "docs/options.md has no example of {option}");
    }
}

#[test]
fn the_guide_names_every_status_that_the_help_does() {
    let done = mtask("--help").run();
    let help = String::from_utf8_lossy(&done.stdout).into_owned();
    let (_, statuses) = help.split_once("Exit status:\n").expect("a list of statuses");
    for line in statuses.lines().take_while(|line| !line.is_empty()) {
        let status = line.split_whitespace().next().expect("a status");
        let is_there = GUIDE
            .lines()
            .filter_map(|line| line.strip_prefix("| "))
            .filter_map(|row| row.split(" |").next())
            .any(|cell| cell.split(", ").any(|each| each == status));
        assert!(is_there, "docs/guide.md has no row for status {status}");
    }
}

#[test]
fn every_worker_in_docs_workers_does_what_it_says() {
    run_all("docs/workers.md", include_str!("../../docs/workers.md"));
}

#[test]
fn every_job_in_docs_python_is_done_as_it_says() {
    run_all("docs/python.md", include_str!("../../docs/python.md"));
}

#[test]
fn every_way_to_live_with_limits_does_what_it_says() {
    run_all("docs/limits.md", include_str!("../../docs/limits.md"));
}

#[test]
fn every_way_beyond_one_machine_does_what_it_says() {
    run_all("docs/far.md", include_str!("../../docs/far.md"));
}

/// Each pair of command lines prints the same: theirs, and ours.
#[test]
fn every_command_line_of_xargs_and_parallel_does_the_same_here() {
    let env = TestEnv::new();
    install(&env);
    let mut theirs = None;
    let mut pairs = 0;
    for block in blocks(include_str!("../../docs/from-xargs-and-parallel.md")) {
        if let Some(name) = block.comment.strip_prefix("file: ") {
            fs::write(format!("{}{name}", env.path("")), &block.text).expect("a file");
            continue;
        }
        if let Some(of_them) = block.comment.strip_prefix("theirs: ") {
            if of_them.contains("needs: parallel") && !is_installed("parallel") {
                skip(&format!("{of_them}: parallel is not installed"));
                theirs = None;
                continue;
            }
            theirs = Some((of_them, output(&env, &block.text)));
            continue;
        }
        assert_eq!(block.comment, "ours");
        pairs += 1;
        let Some((title, mut theirs)) = theirs.take() else {
            continue;
        };
        let mut ours = output(&env, &block.text);
        if title.ends_with("sorted") {
            theirs.sort();
            ours.sort();
        }
        assert_eq!(ours, theirs, "{title}");
        assert!(
            !ours.is_empty() || title.starts_with("Nothing"),
            "{title} prints nothing"
        );
    }
    assert!(pairs >= 18, "{pairs} pairs");
}

/// What a command line prints, line by line.
fn output(env: &TestEnv, script: &str) -> Vec<String> {
    let done = env.sh(&format!("PATH={}:$PATH\n{script}", env.path("bin")));
    let text = String::from_utf8(done.stdout.clone()).expect("text");
    text.lines().map(ToOwned::to_owned).collect()
}

#[test]
fn every_test_that_docs_promises_names_exists() {
    let promises = include_str!("../../docs/promises.md");
    let named: Vec<&str> = promises
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.contains("::") && !code.ends_with("::"))
        .collect();
    assert!(named.len() > 20, "docs/promises.md names {named:?}");
    for name in named {
        let (module, test) = name.rsplit_once("::").expect("a module and a test");
        let is_of_the_library =
            ["schedule", "engine", "input::tests"].iter().any(|it| module.starts_with(it));
        let root = if is_of_the_library { "src" } else { "tests/it" };
        let path: PathBuf =
            [env!("CARGO_MANIFEST_DIR"), root].into_iter().chain(module.split("::")).collect();
        let path = path.with_extension("rs");
        let source = fs::read_to_string(&path).unwrap_or_default();
        let is_there = source.contains(&format!("#[test]\nfn {test}()"));
        assert!(is_there, "{} has no test {test}", path.display());
    }
}

//! The README is true: its examples are run, and it names what the help names.

use std::fs;
use std::path::Path;

use crate::env::{TestEnv, skip};
use crate::examples::{blocks, run_all};

const README: &str = include_str!("../../README.md");

#[test]
fn every_example_of_the_readme_does_what_it_says() {
    run_all("README.md", README);
}

#[test]
fn the_readme_names_every_status_that_the_help_does() {
    let done = TestEnv::new().mtask().args(["--help"]).run();
    let help = String::from_utf8_lossy(&done.stdout).into_owned();
    let (_, statuses) = help
        .split_once("Exit status:\n")
        .expect("a list of statuses");
    for line in statuses.lines().take_while(|line| !line.is_empty()) {
        let status = line.split_whitespace().next().expect("a status");
        let is_there = README
            .lines()
            .filter_map(|line| line.strip_prefix("| "))
            .filter_map(|row| row.split(" |").next())
            .any(|cell| cell.split(", ").any(|each| each == status));
        assert!(is_there, "README.md has no row for status {status}");
    }
}

#[test]
fn the_first_two_commands_of_the_readme_are_run_by_ci() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/run");
    let Ok(ci) = fs::read_to_string(&path) else {
        return skip(&format!("{} is not part of a package", path.display()));
    };
    let commands: Vec<_> = ci.lines().filter(|line| !line.starts_with('#')).collect();
    let mut blocks = blocks(README).into_iter();
    let run = blocks.next().expect("the command that builds and runs");
    assert!(
        commands.contains(&run.text.trim_end()),
        "not in .ci/run: {}",
        run.text
    );
    let test = blocks.next().expect("the test command");
    assert_eq!(test.comment, "not an example: the test command");
    assert_eq!(
        commands.iter().rfind(|line| !line.is_empty()),
        Some(&test.text.trim_end())
    );
}

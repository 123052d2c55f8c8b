//! The README is true: its examples are run, and CI runs what it begins with.

use std::fs;
use std::path::Path;

use crate::env::skip;
use crate::examples::{blocks, run_all};

const README: &str = include_str!("../../README.md");

#[test]
fn every_example_of_the_readme_does_what_it_says() {
    run_all("README.md", README);
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

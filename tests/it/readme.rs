//! The README cannot drift: its code blocks are taken from it and run, from top to bottom, in one
//! folder, as a reader would who tries them all.
//!
//! An HTML comment before a block says what it is:
//! - `<!-- file: NAME -->`: the block is a file, which every example finds;
//! - `<!-- example: TITLE -->`: the block is run by sh. After the title may follow
//!   `; needs: PROGRAM, PROGRAM` (else it is skipped), `; status: N` (else 0) and `; in: repository`.
//!   A `text` block right after it is its output, to the byte;
//! - `<!-- not an example: REASON -->`: the block is not run here.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::done::Done;
use crate::env::{TestEnv, skip};

const README: &str = include_str!("../../README.md");

/// A block of code, with what its comment says.
struct Block {
    comment: &'static str,
    language: &'static str,
    text: String,
    /// The block that follows without anything in between.
    output: Option<String>,
}

/// An example and what is expected of it.
struct Example {
    title: &'static str,
    needs: Vec<&'static str>,
    status: i32,
    is_in_repository: bool,
    script: String,
    output: Option<String>,
}

fn blocks(text: &'static str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = text.lines().peekable();
    let mut before = "";
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            before = line;
            continue;
        };
        let mut body = String::new();
        for line in lines.by_ref().take_while(|line| *line != "```") {
            body.push_str(line);
            body.push('\n');
        }
        if before == "```" && language == "text" {
            blocks.last_mut().expect("a block before its output").output = Some(body);
        } else {
            let comment = before
                .strip_prefix("<!-- ")
                .and_then(|rest| rest.strip_suffix(" -->"));
            let comment = comment
                .unwrap_or_else(|| panic!("no comment says what this block is for:\n{body}"));
            blocks.push(Block {
                comment,
                language,
                text: body,
                output: None,
            });
        }
        before = "```";
    }
    blocks
}

impl Example {
    fn of(block: Block) -> Option<Self> {
        let mut parts = block.comment.strip_prefix("example: ")?.split("; ");
        let title = parts.next()?;
        assert_eq!(block.language, "sh", "{title}");
        let mut example = Self {
            title,
            needs: Vec::new(),
            status: 0,
            is_in_repository: false,
            script: block.text,
            output: block.output,
        };
        for part in parts {
            match part.split_once(": ") {
                Some(("needs", programs)) => example.needs = programs.split(", ").collect(),
                Some(("status", status)) => example.status = status.parse().expect("a number"),
                Some(("in", "repository")) => example.is_in_repository = true,
                _ => panic!("{title}: what does {part:?} mean?"),
            }
        }
        Some(example)
    }

    fn run(&self, env: &TestEnv) -> Done {
        let mut script = format!("PATH={}:$PATH\n", env.path("bin"));
        if self.is_in_repository {
            script.push_str(concat!("cd '", env!("CARGO_MANIFEST_DIR"), "'\n"));
        }
        script.push_str(&self.script);
        // As a reader would see them: by hand, with the standard input empty.
        env.sh(&script)
    }
}

fn is_installed(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Programs that an example finds on its PATH: mtask, and a cargo that does not build but runs the
/// mtask under test. The real `cargo run` is part of .ci/run.
fn install(env: &TestEnv) {
    let mtask = env!("CARGO_BIN_EXE_mtask");
    fs::create_dir(env.path("bin")).expect("a folder");
    env.write_with_mode(
        "bin/mtask",
        format!("#!/bin/sh\nexec '{mtask}' \"$@\"\n"),
        0o755,
    );
    let cargo = format!(
        "#!/bin/sh\n[ \"$1 $2 $3\" = 'run --release --' ] || exit 64\nshift 3\nexec '{mtask}' \"$@\"\n"
    );
    env.write_with_mode("bin/cargo", cargo, 0o755);
}

#[test]
fn every_example_of_the_readme_does_what_it_says() {
    let env = TestEnv::new();
    install(&env);
    let mut count = 0;
    for block in blocks(README) {
        if let Some(name) = block.comment.strip_prefix("file: ") {
            env.write(name, &block.text);
            continue;
        }
        let comment = block.comment;
        let Some(example) = Example::of(block) else {
            assert!(comment.starts_with("not an example: "), "{comment:?}");
            continue;
        };
        count += 1;
        if let Some(missing) = example.needs.iter().find(|name| !is_installed(name)) {
            skip(&format!(
                "README, {}: {missing} is not installed",
                example.title
            ));
            continue;
        }
        let done = example.run(&env);
        eprintln!("README, {}:\n{}", example.title, example.script);
        done.assert_status(example.status);
        match &example.output {
            Some(output) => done.assert_stdout(output),
            None => done.check(!done.stdout.is_empty(), "it prints nothing"),
        };
    }
    assert!(count > 0, "no example was found in README.md");
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

//! Examples in a text cannot drift: its code blocks are taken from it and run, from top to bottom,
//! in one folder, as a reader would who tries them all.
//!
//! An HTML comment before a block says what it is:
//! - `<!-- file: NAME -->`: the block is a file, which every example finds;
//! - `<!-- example: TITLE -->`: the block is run by sh. After the title may follow `; needs:
//!   PROGRAM, PROGRAM` (else it is skipped), `; status: N` (else 0) and `; in: repository`. A
//!   `text` block right after it is its output, to the byte;
//! - `<!-- not an example: REASON -->`: the block is not run here.

use std::fs;
use std::process::Command;

use crate::done::Done;
use crate::env::{TestEnv, skip};

/// A block of code, with what its comment says.
pub(crate) struct Block {
    pub(crate) comment: &'static str,
    language: &'static str,
    pub(crate) text: String,
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

pub(crate) fn blocks(text: &'static str) -> Vec<Block> {
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
            let comment = before.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
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

pub(crate) fn is_installed(program: &str) -> bool {
    // Not every program knows --version. Some machines have another `convert` than ImageMagick's.
    let script = match program {
        "convert" => "convert -version | grep -q ImageMagick",
        _ => "command -v \"$0\"",
    };
    Command::new("sh")
        .args(["-c", script, program])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Programs that an example finds on its PATH: mtask, and a cargo that does not build but runs the
/// mtask under test. The real `cargo run` is part of .ci/run.
pub(crate) fn install(env: &TestEnv) {
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

/// Runs the examples of a text, called `name`.
pub(crate) fn run_all(name: &str, text: &'static str) {
    let env = TestEnv::new();
    install(&env);
    let mut count = 0;
    for block in blocks(text) {
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
            let title = example.title;
            skip(&format!("{name}, {title}: {missing} is not installed"));
            continue;
        }
        let done = example.run(&env);
        eprintln!("{name}, {}:\n{}", example.title, example.script);
        done.assert_status(example.status);
        match &example.output {
            Some(output) => done.assert_stdout(output),
            None => done.check(!done.stdout.is_empty(), "it prints nothing"),
        };
    }
    assert!(count > 0, "no example was found in {name}");
}

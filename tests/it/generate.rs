//! `--generate`: what is committed is what mtask generates, and the man page is one.

use std::fs;
use std::path::Path;

use crate::env::{TestEnv, mtask, skip};
use crate::examples::{is_installed, run_all};

/// What can be generated, and where it is committed.
const COMMITTED: &[(&str, &str)] = &[
    ("man", "man/mtask.1"),
    ("bash", "completions/mtask.bash"),
    ("zsh", "completions/_mtask"),
    ("fish", "completions/mtask.fish"),
    ("elvish", "completions/mtask.elv"),
    ("powershell", "completions/_mtask.ps1"),
];

/// Set, it has the first test write the files instead of comparing them.
const UPDATE: &str = "MTASK_TEST_UPDATE";

#[test]
fn what_is_committed_is_what_is_generated() {
    for (what, file) in COMMITTED {
        let done = TestEnv::new().mtask().args(["--generate", what]).run();
        done.assert_status(0).assert_stderr_empty();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        if std::env::var_os(UPDATE).is_some() {
            let folder = path.parent().expect("a folder of the repository");
            fs::create_dir_all(folder).expect("the folder is made");
            fs::write(&path, &done.stdout).expect("the file is written");
        }
        let committed = fs::read(&path).unwrap_or_default();
        assert!(
            committed == done.stdout,
            "{file} is not what `mtask --generate {what}` prints. This writes it anew:\n\
             {UPDATE}=1 cargo test --test it committed"
        );
    }
}

#[test]
fn the_surroundings_do_not_show_in_what_is_generated() {
    let plain = mtask("--generate man").run();
    let elsewhere = mtask("-j3 --generate man cat")
        .var("COLUMNS", "40")
        .var("LC_ALL", "C")
        .var("SOURCE_DATE_EPOCH", "1")
        .run();
    elsewhere.assert_output(&plain.stdout);
}

#[test]
fn a_reader_of_what_is_printed_may_leave() {
    let script = r#"mkfifo gone
        { read -r line < gone; "$0" "$@"; echo "status $?" >&2; } | { exec <&-; echo > gone; }"#;
    for args in [
        &["--generate", "bash"][..],
        &["--dry-run", "cat"],
        &["--help"],
    ] {
        let env = TestEnv::new();
        let done = env.mtask().shell(script).args(args).run();
        done.assert_stderr_has("status 141\n");
        done.check(!done.stderr.contains("mtask:"), "it complains");
    }
}

#[test]
fn the_man_page_is_well_formed() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/mtask.1");
    let page = page.to_str().expect("a UTF-8 path");
    for (tool, script) in [
        ("mandoc", r#"mandoc -Tlint -W warning "$0""#),
        (
            "man",
            r#"export MANROFFSEQ= MANWIDTH=80 LC_ALL=C.UTF-8; man --warnings -l "$0" 2>&1 >/dev/null"#,
        ),
    ] {
        if !is_installed(tool) {
            skip(&format!(
                "the man page is not checked: {tool} is not installed"
            ));
            continue;
        }
        let script = format!("set -- '{page}'; {}", script.replace("$0", "$1"));
        TestEnv::new().sh(&script).assert_output("").assert_stderr_empty();
    }
}

#[test]
fn every_example_of_the_man_page_does_what_it_says() {
    run_all(
        "the man page",
        include_str!("../../src/generate/manual/examples.md"),
    );
}

#[test]
fn the_man_page_names_every_status_that_the_help_does() {
    let help = mtask("--help").run();
    let page = mtask("--generate man").run();
    let (help, page) =
        [help, page].map(|done| String::from_utf8(done.stdout.clone()).expect("UTF-8")).into();
    let (_, statuses) = help.split_once("Exit status:\n").expect("statuses");
    for line in statuses.lines().take_while(|line| !line.is_empty()) {
        let status = line.split_whitespace().next().expect("a status");
        assert!(
            page.contains(&format!(".TP\n\\fB\\%{status}\\fR\n")),
            "the man page lacks status {status}"
        );
    }
}

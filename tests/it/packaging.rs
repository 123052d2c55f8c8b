//! What is packaged around the program: the Python module, and what the packages are made from.

use std::fs;
use std::path::Path;

use crate::env::{TestEnv, skip};

/// The repository, unless this is a package of it, which has none of these files.
fn repository() -> Option<&'static Path> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if root.join("packaging/build").is_file() {
        return Some(root);
    }
    skip("packaging is not part of a package");
    None
}

#[test]
fn the_python_module_finds_the_program_that_came_with_it() {
    let Some(root) = repository() else { return };
    let env = TestEnv::new();
    fs::create_dir(env.path("there")).expect("a folder");
    fs::create_dir(env.path("there/bin")).expect("a folder");
    std::os::unix::fs::symlink(root.join("python/mtask"), env.path("there/mtask")).expect("a link");
    // As pip install --target lays it, first without the program.
    let script = "export PYTHONDONTWRITEBYTECODE=1
        touch empty; PYTHONPATH=there python3 -m mtask --version || echo \"status $?\"
        ln -s \"$1\" there/bin/mtask; PYTHONPATH=there python3 -m mtask --version";
    let script = format!("set -- '{}'\n{script}", env!("CARGO_BIN_EXE_mtask"));
    env.sh(&script)
        .assert_output(format!("status 1\nmtask {}\n", env!("CARGO_PKG_VERSION")))
        .assert_stderr_has("mtask: the mtask program is not there: looked for /");
}

#[test]
fn the_packages_are_made_of_what_is_committed() {
    let Some(root) = repository() else { return };
    let read = |path: &str| fs::read_to_string(root.join(path)).expect(path);
    let share = "packaging/wheel/data/share";
    for (packaged, committed) in [
        ("man/man1/mtask.1", "man/mtask.1"),
        (
            "bash-completion/completions/mtask",
            "completions/mtask.bash",
        ),
        ("zsh/site-functions/_mtask", "completions/_mtask"),
        (
            "fish/vendor_completions.d/mtask.fish",
            "completions/mtask.fish",
        ),
    ] {
        assert_eq!(read(&format!("{share}/{packaged}")), read(committed));
    }
    let copyright = read("packaging/deb/copyright").replace("\n .\n", "\n\n");
    for line in read("LICENSE-MIT").lines().skip(3) {
        assert!(copyright.contains(line), "packaging/deb/copyright: {line}");
    }
    TestEnv::new()
        .sh(&format!("'{}/packaging/version'", root.display()))
        .assert_stdout(format!("{}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn each_page_of_the_documentation_is_in_the_site() {
    let Some(root) = repository() else { return };
    let summary = fs::read_to_string(root.join("packaging/site-summary.md")).expect("a summary");
    for entry in fs::read_dir(root.join("docs")).expect("docs") {
        let name = entry.expect("a page").file_name();
        let name = name.to_str().expect("UTF-8");
        let is_there = !name.ends_with(".md") || summary.contains(&format!("(docs/{name})"));
        assert!(is_there, "packaging/site-summary.md lacks docs/{name}");
    }
}

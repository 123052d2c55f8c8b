//! Where the files of a run that is tried again are, and whose: links, permissions, shards.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::env::skip;

#[test]
fn who_may_read_the_files_stays_who_may_and_links_stay_links() {
    let env = TestEnv::new();
    for name in ["journal", "out", "errors"] {
        fs::create_dir_all(env.path("far")).expect("a folder");
        symlink(format!("far/{name}"), env.path(name)).expect("a link");
    }
    let job = Job {
        options: &["--errors", "errors", "--protocol", "json"],
        worker: &["--json"],
        input: |_| {
            let bad = "\"1 @unless:mended @error:no\"\n\"2 @unless:mended @error:no\"";
            format!("0\n{bad}\n3\n").into()
        },
    };
    job.run(&env, 0, &[]).run().assert_status(123);
    for name in ["journal", "out", "errors"] {
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(env.path(name), private).expect("set");
    }
    let all_private = || {
        for entry in fs::read_dir(env.path("far")).expect("the folder") {
            let entry = entry.expect("an entry");
            let mode = entry.metadata().expect("it is there").mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        }
    };
    // Where it is cut short, the files beside are there.
    let done = job.run(&env, 0, &["--retry-failed", "--on-error", "raise"]).run();
    done.assert_status(123);
    assert!(env.exists("far/journal.retry") && env.exists("far/out.retry"));
    all_private();
    env.write("mended", "");
    job.try_again(&env, 0).assert_status(0);
    all_private();
    for name in ["journal", "out", "errors"] {
        let link = fs::symlink_metadata(env.path(name)).expect("a link");
        assert!(link.is_symlink(), "{name}");
    }
    assert_eq!(env.lines("out").len(), 4);
    assert!(env.read("errors").is_empty());
}

#[test]
fn shards_are_joined_once_what_failed_in_each_is_tried_again() {
    for options in [
        &["--protocol", "json"][..],
        &["--protocol", "json", "-u", "--errors", "e-{shard}"],
    ] {
        let env = TestEnv::new();
        // Results that look like error records are not joined.
        let input = values(90);
        let lines = input.split_inclusive(|byte| *byte == b'\n');
        let plain: Vec<_> = lines.filter(|line| !line.starts_with(ERROR_MARK)).collect();
        env.write("in", plain.concat());
        let shard = |number: usize, more: &[&str]| {
            let shard = format!("{number}/3");
            let run = env.mtask().words("-j2 -i in --resume j-{shard} -o o-{shard}");
            run.args(["--shard", &shard]).args(options).args(more).worker(["--json"]).run()
        };
        let join = || {
            let run = env.mtask().args(["--join", "--resume", "j-{shard}", "-o", "all"]);
            match options.contains(&"-u") {
                true => run.args(["--errors", "errors", "o-{shard}", "e-{shard}"]).run(),
                false => run.args(["o-{shard}"]).run(),
            }
        };
        (0..3).for_each(|number| drop(shard(number, &[])));
        env.write("mended", "");
        shard(0, &["--retry-failed"]).assert_status(123);
        shard(1, &["--retry-failed", "--on-error", "raise"]).assert_status(123);
        shard(2, &["--retry-failed"]).assert_status(123);
        join().assert_status(1).assert_stderr_has("shard 1 of 3 is unfinished");
        shard(1, &["--retry-failed"]).assert_status(123);
        join().assert_status(123);
        let whole = ["-j2", "-i", "in", "-o", "whole", "--protocol", "json"];
        let whole = env.mtask().args(whole);
        let (whole, files) = match options.contains(&"-u") {
            true => (
                whole.args(["--errors", "whole.errors"]),
                &[("all", "whole"), ("errors", "whole.errors")][..],
            ),
            false => (whole, &[("all", "whole")][..]),
        };
        whole.worker(["--json"]).run().assert_status(123);
        for (joined, whole) in files {
            let (joined, whole) = (env.read(joined), env.read(whole));
            let lines = |bytes: &[u8]| {
                let lines = bytes.split_inclusive(|byte| *byte == b'\n');
                let mut lines: Vec<_> = lines.map(|line| comparable(line, b'\n')).collect();
                if options.contains(&"-u") {
                    lines.sort();
                }
                lines
            };
            assert_eq!(lines(&joined), lines(&whole));
        }
    }
}

#[test]
fn the_output_may_be_on_another_file_system_than_the_journal() {
    let Ok(far) = tempfile::TempDir::with_prefix_in("mtask-test-", "/dev/shm") else {
        skip("there is no /dev/shm");
        return;
    };
    let job = Job {
        options: &["--protocol", "json", "--errors", "errors"],
        worker: &["--json"],
        input: values,
    };
    let env = TestEnv::new();
    symlink(far.path().join("out"), env.path("out")).expect("a link");
    job.run(&env, 30, &[]).run().assert_status(123);
    env.write("mended", "");
    let done = job.try_again(&env, 30);
    let (expected, status) = job.mended(30);
    done.assert_status(status);
    done.check(job.files(&env) == expected, "the files");
    assert_nothing_is_left(&env);
    assert_eq!(fs::read_dir(far.path()).expect("the folder").count(), 1);
}

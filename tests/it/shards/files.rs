//! What `--join` does with files: it replaces what it writes as a whole, and touches nothing else.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::process::Signal;

use super::{JOIN, join, mixed, run_all};
use crate::done::numbers;
use crate::env::TestEnv;

#[test]
fn a_join_that_is_killed_or_finds_no_room_leaves_no_half_file() {
    let env = TestEnv::new();
    env.write("in", numbers(200_000));
    env.write("all", "before\n");
    run_all(&env, 2, &[]);
    let here = |env: &TestEnv| {
        let names = fs::read_dir(env.path(".")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    let names = here(&env);
    let output = env.read("o-1");
    let full = env.mtask().args(JOIN).args(["-o", "/dev/full", "o-{shard}"]).run();
    full.assert_status(1)
        .assert_stderr_has("/dev/full")
        .assert_stderr_has("nothing is joined");
    let limited = env.mtask().args(JOIN).args(["-o", "all", "o-{shard}"]);
    let limited = limited.shell("trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"").run();
    limited.assert_status(1).assert_stderr_has("cannot write all");
    assert_eq!(env.read("all"), b"before\n");
    assert_eq!(here(&env), names);
    for delay in 0..20 {
        let live = env.mtask().args(JOIN).args(["-o", "all", "o-{shard}"]).start();
        std::thread::sleep(std::time::Duration::from_micros(200 * delay));
        live.signal(Signal::KILL);
        live.wait();
        let found = env.read("all");
        assert!(
            found == b"before\n" || found == numbers(200_000),
            "{} bytes",
            found.len()
        );
        assert_eq!(here(&env).len(), names.len(), "killed after {delay}");
    }
    assert_eq!(env.read("o-1"), output);
}

#[test]
fn what_a_shard_has_written_is_never_written_to() {
    let env = TestEnv::new();
    env.write("in", numbers(9));
    run_all(&env, 2, &[]);
    let journal = env.read("j-1");
    let output = env.read("o-1");
    join(&env, &["-o", "j-1", "o-{shard}"]).assert_status(2).assert_stderr_has("j-1");
    let appended =
        env.mtask().args(JOIN).args(["o-{shard}"]).shell("exec \"$0\" \"$@\" >> o-1").run();
    appended.assert_status(2).assert_stderr_has("standard output is o-1");
    assert_eq!((env.read("j-1"), env.read("o-1")), (journal, output));
}

#[test]
fn an_output_that_changes_while_it_is_joined_is_noticed() {
    let env = TestEnv::new();
    env.write("in", numbers(100_000));
    run_all(&env, 2, &[]);
    let mut pipe = env.fifo("all");
    let live = env.mtask().args(JOIN).args(["-o", "all", "o-{shard}"]).start();
    // It has looked at all of them, and is amid the first.
    pipe.read_exact(&mut [0]).unwrap();
    let other = vec![b'x'; env.read("o-1").len()];
    let rest = env.read("o-0").len() - 1 + other.len();
    env.write("o-1", other);
    pipe.read_exact(&mut vec![0; rest]).unwrap();
    live.wait().assert_status(1).assert_stderr_has("o-1, of shard 1/2, has changed meanwhile");
}

#[test]
fn a_link_to_what_is_not_there_yet_stays_a_link() {
    let env = TestEnv::new();
    env.write("in", numbers(9));
    run_all(&env, 2, &[]);
    fs::create_dir(env.path("far")).unwrap();
    symlink("far/one", env.path("all")).unwrap();
    symlink("two", env.path("far/one")).unwrap();
    join(&env, &["-o", "all", "o-{shard}"]).assert_status(0);
    assert!(fs::symlink_metadata(env.path("all")).unwrap().is_symlink());
    assert_eq!(env.read("far/two"), numbers(9));
}

#[test]
fn outputs_may_be_links_and_the_number_the_name_of_a_folder() {
    let env = TestEnv::new();
    env.write("in", numbers(90));
    fs::create_dir(env.path("far")).unwrap();
    for number in 0..10 {
        let folder = format!("run-{number:02}");
        fs::create_dir(env.path(&folder)).unwrap();
        symlink(
            format!("../far/{number}"),
            env.path(&format!("{folder}/out")),
        )
        .unwrap();
        let shard = format!("{number}/10");
        let run = env.mtask().args(["-i", "in", "-o", "run-{shard}/out", "--shard", &shard]);
        run.args(["--resume", "run-{shard}/journal"]).echo().run().assert_status(0);
    }
    let join = env.mtask().args(["--join", "--resume", "run-{shard}/journal", "-o", "all"]);
    join.args(["run-{shard}/out"]).run().assert_status(0);
    assert_eq!(env.read("all"), numbers(90));
}

#[test]
fn a_joined_file_may_be_read_by_those_alone_who_might_before() {
    let env = TestEnv::new();
    env.write("in", mixed(10));
    run_all(&env, 2, &[]);
    env.write("all", "");
    fs::set_permissions(env.path("all"), fs::Permissions::from_mode(0o600)).unwrap();
    join(&env, &["-o", "all", "o-{shard}"]).assert_status(0);
    let mode = fs::metadata(env.path("all")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
}

#[test]
fn joined_error_records_are_not_written_over_results() {
    let env = TestEnv::new();
    env.write("in", mixed(20));
    run_all(&env, 2, &["--format", "jsonl", "--errors", "e-{shard}"]);
    let names = ["o-{shard}", "e-{shard}"];
    let run = env.mtask().args(JOIN).args(["--errors", "/dev/stdout"]).args(names);
    let done = run.shell("exec \"$0\" \"$@\" > all").run();
    done.assert_status(2).assert_stderr_has("--errors /dev/stdout is where results go");
    for to in ["new", "o-0"] {
        let done = env.mtask().args(JOIN).args(["-o", to, "--errors", to]).args(names).run();
        done.assert_status(2);
    }
}

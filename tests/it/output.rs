//! Where results go, and what happens where they cannot.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::Signal;

use crate::done::{Done, numbers, records};
use crate::env::{TestEnv, mtask, skip};

#[test]
fn results_go_to_a_file_where_one_is_named() {
    let env = TestEnv::new();
    let out = env.write(
        "out",
        "what was there before, and is longer than the results\n".repeat(100),
    );
    for option in ["-o", "--output"] {
        let done = env.mtask().args(["-j2", option, &out]).echo().run_on(numbers(10));
        done.assert_output("");
        assert_eq!(env.read("out"), numbers(10));
    }
}

#[test]
fn an_output_file_that_is_an_input_file_is_refused_and_left_alone() {
    let env = TestEnv::new();
    let file = env.write("file", numbers(10));
    let another_name = env.path("another-name");
    std::os::unix::fs::symlink(&file, &another_name).expect("a link");
    for output in [&file, &another_name] {
        let by_option = env.mtask().args(["-i", &file, "-o", output]).echo().run();
        by_option
            .check(!by_option.status.success(), "it was not refused")
            .assert_stderr_has(output);
        let by_stdin = env.mtask().args(["-o", output]).echo().stdin_file(&file).run();
        by_stdin.check(!by_stdin.status.success(), "it was not refused").assert_stderr_has(output);
        assert_eq!(env.read("file"), numbers(10));
    }
}

#[test]
fn an_output_that_is_an_input_of_its_own_is_refused() {
    let env = TestEnv::new();
    let file = env.write("file", numbers(10));
    for script in [
        r#"exec "$0" -i file "$@" >>file"#,
        r#"exec "$0" "$@" <file >>file"#,
    ] {
        let script = format!("cd {} && {script}", env.path(""));
        let done = env.mtask().shell(&script).echo().run();
        done.assert_status(2).assert_stderr_has("standard output is an input file");
        assert_eq!(env.read("file"), numbers(10), "{file}");
    }
}

#[test]
fn a_file_that_is_stdout_or_stderr_by_another_name_keeps_what_goes_there_besides() {
    if !cfg!(target_os = "linux") {
        return skip("elsewhere /dev/stdout is the same descriptor anyway");
    }
    let env = TestEnv::new();
    let log = env.write("log", "what was there before\n");
    let script = format!(r#"exec "$0" "$@" 2>>{log}"#);
    let options = ["-j1", "--window", "1", "--errors", "/dev/stderr"];
    let run = env.mtask().shell(&script).args(options);
    let worker = r#"while read -r record; do
        echo "log of $record" >&2; if [ "$record" != bad ]; then echo "$record"; else exit 1; fi
    done"#;
    let run = run.args(["--retries", "0", "--", "sh", "-c", worker]);
    run.run_on("1\nbad\n2\n").assert_status(123);
    let log = String::from_utf8(env.read("log")).expect("text");
    let whole = [
        "what was there before",
        "log of ",
        "{\"mtask_error\":\"worker_exit\"",
        "mtask: ",
    ];
    for line in log.lines() {
        assert!(
            whole.iter().any(|start| line.starts_with(start)),
            "{line} in:\n{log}"
        );
    }
    for start in whole.iter().chain(&["log of 1", "log of bad", "log of 2", "mtask: 1 of 3"]) {
        assert!(
            log.lines().any(|line| line.starts_with(start)),
            "no {start} in:\n{log}"
        );
    }

    let out = env.write("out", "before\n");
    let script = format!(r#"exec "$0" "$@" >>{out}"#);
    let run = env.mtask().shell(&script).words("-o /dev/stdout");
    run.echo().run_on("1\n2\n").assert_status(0);
    assert_eq!(env.read("out"), b"before\n1\n2\n");
}

#[test]
fn a_file_that_may_not_grow_is_named() {
    let env = TestEnv::new();
    let out = env.path("out");
    let run = env.mtask().shell(r#"ulimit -f 16 && exec "$0" "$@""#);
    run.args(["-o", &out])
        .echo()
        .run_on(numbers(100_000))
        .assert_status(1)
        .assert_stderr_has(&format!("cannot write {out}: File too large"));
}

#[test]
fn outputs_that_are_links_to_one_missing_file_are_refused() {
    let options = ["-o", "--errors", "--exits", "--stats-file"];
    for (place, first) in options.iter().enumerate() {
        for second in &options[place + 1..] {
            let env = TestEnv::new();
            let channels = ["one", "two"].map(|link| env.path(link));
            for link in &channels {
                std::os::unix::fs::symlink("missing", link).expect("a link");
            }
            let precious = env.write("precious", "precious\n");
            let mut run = env.mtask().words("--protocol json");
            run = run.args([first, channels[0].as_str(), second, &channels[1]]);
            // A file is emptied only where nothing is refused.
            if ![first, second].contains(&&"--exits") {
                run = run.args(["--exits", precious.as_str()]);
            }
            let done = run.echo().run();
            done.assert_status(2).assert_stderr_has(second);
            done.assert_stderr_has(&channels[1]);
            assert_eq!(env.read("precious"), b"precious\n");
        }
    }
}

#[test]
fn a_named_pipe_that_nobody_reads_is_named_and_waited_for_until_a_signal() {
    for option in ["-o", "--errors", "--exits", "--stats-file"] {
        let env = TestEnv::new();
        let pipe = env.path("pipe");
        env.sh("mkfifo pipe").assert_status(0);
        let start = || {
            let run = env.mtask().args(["--protocol", "json", option, &pipe]);
            let live = run.worker(["--json"]).stdin("1\n").start();
            live.wait_for_stderr("is a named pipe that nobody reads");
            live
        };
        for signal in [Signal::TERM, Signal::INT] {
            let live = start();
            live.signal(signal);
            live.wait().assert_signal(signal);
        }
        let live = start();
        let found = std::fs::read(&pipe).expect("what is written");
        live.wait().assert_status(0);
        if option == "-o" {
            assert_eq!(found, b"1\n");
        }
    }
}

#[test]
fn an_output_file_that_cannot_be_created_is_an_error_before_anything_runs() {
    let env = TestEnv::new();
    let out = "/no/such/folder/out";
    let done =
        env.mtask().args(["-o", out]).worker(["--pids", &env.path("w.pids")]).run_on(numbers(10));
    done.assert_status(1).assert_stderr_has(out);
    assert!(!env.exists("w.pids"), "a worker was started");
}

#[test]
fn an_output_that_is_a_directory_or_in_none_is_refused_before_a_file_is_created() {
    let env = TestEnv::new();
    for option in ["-o", "--errors", "--exits", "--stats-file", "--resume"] {
        for (path, fault) in [
            (env.path(""), "is a directory: name a file in it"),
            (env.path("none/f"), "its directory is not there"),
            (env.path("none/d/f"), "its directory is not there"),
        ] {
            let mut run = env.mtask().args(["--protocol", "json", option, &path]);
            if option != "-o" {
                run = run.args(["-o", &env.path("out")]);
            }
            let done = run.worker(["--json"]).run_on("1\n");
            done.assert_status(1).assert_stderr_has(&path);
            done.assert_stderr_has(fault);
            assert!(!env.exists("out"), "{option} {path}");
        }
    }
}

#[test]
fn a_full_disk_is_an_error_that_ends_the_run() {
    if !Path::new("/dev/full").exists() {
        return skip("there is no /dev/full");
    }
    let env = TestEnv::new();
    for count in [1, 10, 100_000] {
        let args = ["--pids", &env.path("w.pids")];
        let done = env
            .mtask()
            .words("-j2")
            .worker(args)
            .stdin(numbers(count))
            .stdout_file("/dev/full")
            .run();
        done.assert_status(1).assert_stderr_has("No space left");
        env.mtask()
            .words("-j2 -o /dev/full")
            .worker(args)
            .run_on(numbers(count))
            .assert_status(1)
            .assert_stderr_has("No space left")
            .assert_stderr_has("/dev/full");
    }
    env.assert_all_gone("w.pids");
}

#[test]
fn a_full_disk_is_named_though_the_input_has_failed_before() {
    if !Path::new("/dev/full").exists() {
        return skip("there is no /dev/full");
    }
    let env = TestEnv::new();
    let input = env.write("in", format!("0 @wait:{}\n", env.path("go")));
    let live = env
        .mtask()
        .args(["-j1", "-i", &input, "-i", "/proc/self/mem"])
        .words("-o /dev/full")
        .echo()
        .start();
    live.wait_for_stderr("/proc/self/mem");
    env.write("go", "");
    live.wait().assert_status(1).assert_stderr_has("cannot write /dev/full: No space left");
}

#[test]
fn a_full_disk_ends_the_run_though_the_input_stays_open() {
    if !Path::new("/dev/full").exists() {
        return skip("there is no /dev/full");
    }
    let mut live = mtask("-j2").echo().stdout_file("/dev/full").open();
    live.send("a");
    live.wait_with_open_stdin().assert_status(1);
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let env = TestEnv::new();
    let mut live = env
        .mtask()
        .words("-j3")
        .worker(["--pids", &env.path("w.pids")])
        .stdin(numbers(1_000_000))
        .start();
    assert_eq!(live.line(), "0");
    live.close_stdout();
    let done = live.wait();
    assert_closed_pipe(&done);
    done.assert_stderr_empty();
    env.assert_all_gone("w.pids");
}

#[test]
fn a_reader_that_goes_away_ends_a_run_whose_workers_are_busy() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-u -j2 --window 1 --grace 1s").echo().open();
    live.send(format!("@note:{} @hang", env.path("w.pids")));
    env.wait_for_lines("w.pids", 1);
    live.close_stdout();
    live.send("a");
    let done = live.wait_with_open_stdin();
    assert_closed_pipe(&done);
    done.assert_stderr_empty();
    env.assert_all_gone("w.pids");
}

#[test]
fn a_closed_stdout_is_an_error_before_anything_runs() {
    let env = TestEnv::new();
    let done = env
        .mtask()
        .worker(["--pids", &env.path("w.pids")])
        .shell("exec \"$0\" \"$@\" >&-")
        .run_on(numbers(10));
    done.assert_status(1).assert_stdout("").check(!done.stderr.is_empty(), "nothing was said");
    assert!(!env.exists("w.pids"), "a worker was started");
}

#[test]
fn dev_null_is_an_output_like_any_other() {
    TestEnv::new()
        .mtask()
        .echo()
        .stdin(numbers(10))
        .stdout_file("/dev/null")
        .run()
        .assert_status(0)
        .assert_stderr_empty();
}

#[test]
fn a_stdout_that_does_not_block_is_coped_with_and_left_as_it_was() {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let writer = OwnedFd::from(writer);
    fcntl_setfl(&writer, OFlags::NONBLOCK).expect("flags");
    let copy = writer.try_clone().expect("a descriptor");
    let input = records((0..3000).map(|i| format!("{i} {}", "x".repeat(1000))));
    let env = TestEnv::new();
    let live = env.mtask().words("-j2").echo().stdin(input.clone()).stdout_descriptor(copy).start();
    let mut found = vec![0; input.len()];
    reader.read_exact(&mut found).expect("all results");
    let done = live.wait();
    done.assert_status(0).check(found == input, "the results are wrong");
    assert!(fcntl_getfl(&writer).expect("flags").contains(OFlags::NONBLOCK));
}

#[test]
fn a_stdout_that_blocks_is_left_as_it_was() {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let writer = OwnedFd::from(writer);
    let copy = writer.try_clone().expect("a descriptor");
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j2").echo().stdout_descriptor(copy).open();
    live.send("a");
    let mut found = [0; 2];
    reader.read_exact(&mut found).expect("a result");
    // While it runs too: others may write there.
    assert!(!fcntl_getfl(&writer).expect("flags").contains(OFlags::NONBLOCK));
    live.wait().assert_status(0);
    assert!(!fcntl_getfl(&writer).expect("flags").contains(OFlags::NONBLOCK));
}

fn assert_closed_pipe(done: &Done) {
    let by_signal = done.status.signal() == Some(Signal::PIPE.as_raw());
    done.check(
        by_signal || done.status.code() == Some(141),
        "it did not end by the closed pipe",
    );
}

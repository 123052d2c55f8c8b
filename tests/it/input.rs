//! What a record is in the lines format, and where records come from.

use std::io::Write;
use std::path::Path;

use crate::done::{answers, numbers, records};
use crate::env::{TestEnv, mtask, skip};

#[test]
fn bytes_pass_through_untouched() {
    // CR, NUL, invalid UTF-8, white space, blank lines, a BOM.
    let input =
        b"\xef\xbb\xbfbom\ncr\r\n\r\nnul\0nul\n\n\xff\xfe\xc3(\n \t \n\n\\n \"{}' $HOME `x`\n";
    for jobs in ["-j1", "-j3"] {
        TestEnv::new()
            .mtask()
            .args([jobs])
            .worker(["--suffix", "|"])
            .run_on(*input)
            .assert_output(answers(input, "|"))
            .assert_stderr_empty();
    }
}

#[test]
fn blank_lines_are_records() {
    mtask("-j2").worker(["--suffix", "x"]).run_on("\n\n\n").assert_output("x\nx\nx\n");
}

#[test]
fn a_last_line_without_a_newline_is_a_record() {
    mtask("-j2").worker(["--suffix", "!"]).run_on("a\nb\nc").assert_output("a!\nb!\nc!\n");
}

#[test]
fn one_byte_is_a_record() {
    TestEnv::new().mtask().worker(["--suffix", "!"]).run_on("a").assert_output("a!\n");
}

#[test]
fn null_records_may_hold_newlines() {
    let env = TestEnv::new();
    env.mtask()
        .words("-0 -j2")
        .worker(["--null", "--suffix", "!"])
        .run_on("a\nb\0\0c")
        .assert_output("a\nb!\0!\0c!\0");
}

#[test]
fn null_ends_error_records_too() {
    let env = TestEnv::new();
    let done = env
        .mtask()
        .words("--null -j1 --max-record 10")
        .worker(["--null"])
        .run_on("a\0longer than ten bytes\0b\0");
    let parts: Vec<&[u8]> = done.stdout.split(|byte| *byte == 0).collect();
    done.assert_status(123).check(
        parts.len() == 4,
        "there are not three records that end with NUL",
    );
    assert_eq!(
        (parts[0], parts[2], parts[3]),
        (&b"a"[..], &b"b"[..], &b""[..])
    );
    assert_eq!(done.parse(parts[1])["mtask_error"], "record_too_large");
}

#[test]
fn empty_input_gives_nothing_and_starts_no_worker() {
    let env = TestEnv::new();
    let empty = env.write("empty", "");
    let done =
        env.mtask().words("-j3").worker(["--pids", &env.path("w.pids")]).stdin_file(empty).run();
    done.assert_output("").assert_stderr_empty();
    assert!(!env.exists("w.pids"), "a worker was started");
}

#[test]
fn files_are_read_one_after_another_and_no_record_spans_two() {
    let env = TestEnv::new();
    let first = env.write("first", "1\n2");
    let second = env.write("second", "3\n");
    let empty = env.write("empty", "");
    env.mtask()
        .args([
            "-j2", "-i", &first, "--input", &empty, "-i", "-", "-a", &second,
        ])
        .worker(["--suffix", "!"])
        .run_on("stdin\nlast")
        .assert_output("1!\n2!\nstdin!\nlast!\n3!\n");
}

#[test]
fn stdin_is_not_read_where_input_files_are_given() {
    let env = TestEnv::new();
    let file = env.write("file", "1\n");
    let live = env.mtask().args(["-i", &file]).echo().open();
    live.wait_with_open_stdin().assert_output("1\n");
}

#[test]
fn a_large_file_and_a_pipe_are_read_alike() {
    let env = TestEnv::new();
    let input = numbers(50_000);
    let file = env.write("file", &input);
    let from_option = env.mtask().args(["-j2", "-i", &file]).echo().run();
    from_option.assert_output(&input);
    let from_stdin = env.mtask().words("-j2").echo().stdin_file(file).run();
    from_stdin.assert_output(&input);
}

#[test]
fn all_inputs_are_looked_up_before_anything_runs() {
    let env = TestEnv::new();
    let present = env.write("present", "1\n2\n");
    let absent = env.path("absent");
    let done = env
        .mtask()
        .args(["-i", &present, "-i", &absent])
        .worker(["--pids", &env.path("w.pids")])
        .run();
    done.assert_status(1).assert_stdout("").assert_stderr_has(&absent);
    assert!(!env.exists("w.pids"), "a worker was started");
}

#[test]
fn a_directory_as_stdin_is_an_error_before_anything_runs() {
    let env = TestEnv::new();
    let done = env.mtask().worker(["--pids", &env.path("w.pids")]).stdin_file(env.path("")).run();
    done.assert_status(1)
        .assert_stdout("")
        .assert_stderr_has("standard input is a directory: redirect it from a file");
    assert!(!env.exists("w.pids"), "a worker was started");
}

#[test]
fn a_directory_as_an_input_file_is_an_error_that_names_it() {
    let env = TestEnv::new();
    let folder = env.path("");
    env.mtask()
        .args(["-i", &folder])
        .echo()
        .run()
        .assert_status(1)
        .assert_stdout("")
        .assert_stderr_has(&format!("--input {folder} is a directory: name the files"));
}

// Elsewhere it is waited for without a word.
#[cfg(target_os = "linux")]
#[test]
fn a_named_pipe_that_nobody_writes_to_is_named_and_waited_for() {
    let env = TestEnv::new();
    let pipe = env.path("pipe");
    env.sh("mkfifo pipe").assert_status(0);
    let before = env.write("before", "0\n");
    for text in ["1\n2", ""] {
        let mut live = env.mtask().args(["-i", &before, "-i", &pipe]).echo().start();
        live.wait_for_stderr("is a named pipe that nobody writes to");
        assert_eq!(live.line(), "0");
        // The writer does not wait: there is a reader.
        std::fs::write(&pipe, text).expect("it is written to");
        let rest = if text.is_empty() { "" } else { "1\n2\n" };
        live.wait().assert_output(format!("0\n{rest}"));
    }
    let live = env.mtask().args(["-i", &pipe]).echo().start();
    live.wait_for_stderr("is a named pipe that nobody writes to");
    live.signal(rustix::process::Signal::TERM);
    live.wait().assert_signal(rustix::process::Signal::TERM);
}

#[test]
fn a_named_pipe_that_has_a_writer_is_read_without_a_word() {
    let env = TestEnv::new();
    let mut writer = env.fifo("pipe");
    let mut live = env.mtask().args(["-i", &env.path("pipe")]).echo().start();
    for record in ["1", "2"] {
        writeln!(writer, "{record}").expect("it is written to");
        assert_eq!(live.line(), record);
    }
    drop(writer);
    live.wait().assert_status(0).assert_stderr_empty();
}

#[test]
fn a_closed_stdin_is_not_taken_for_an_empty_one() {
    let env = TestEnv::new();
    let done =
        env.mtask().worker(["--pids", &env.path("w.pids")]).shell("exec \"$0\" \"$@\" <&-").run();
    done.assert_status(1).assert_stdout("").check(!done.stderr.is_empty(), "nothing was said");
    assert!(!env.exists("w.pids"), "a worker was started");
}

#[test]
fn a_line_of_many_blocks_passes() {
    let line: String = (0..300_000).map(|i| i.to_string()).collect();
    let input = records(["before", &line, "after"]);
    mtask("-j2").worker(["--suffix", "!"]).run_on(&input).assert_output(answers(&input, "!"));
}

#[test]
fn a_read_error_ends_the_run_after_everything_read_before_has_its_result() {
    if !Path::new("/proc/self/mem").exists() {
        return skip("there is no /proc/self/mem");
    }
    let env = TestEnv::new();
    let input = numbers(30_000);
    let file = env.write("input", &input);
    // Its first page is never mapped: to read it is an error.
    env.mtask()
        .args(["-j2", "-i", &file, "-i", "/proc/self/mem"])
        .echo()
        .run()
        .assert_status(1)
        .assert_stdout(&input)
        .assert_stderr_has("/proc/self/mem");
}

//! Law 5: no wait without an end, and none in silence.
//!
//! Rules of minutes are shown in `schedule::tests::silence`, where time is simulated.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use rustix::process::Signal;

use crate::done::{numbers, records};
use crate::env::{TestEnv, mtask, skip, wait_until};
use crate::processes::Process;

/// A worker that answers at the end of its stdin: each record in turn.
const COLLECTS: [&str; 1] = ["--buffered"];

#[test]
fn the_end_of_the_input_is_seen_however_full_the_buffer_is() {
    let env = TestEnv::new();
    let empty = env.write("empty", "");
    for length in [60_000, 64 << 10, 100_000] {
        for end in ["\n", ""] {
            let record = "x".repeat(length);
            let input = env.write("input", format!("{record}{end}"));
            // One that knows its end by itself, a pipe, and several.
            let piped = env.mtask().stdin(format!("{record}{end}"));
            let whole = env.mtask().args(["-i", &input]);
            let several = env.mtask().args(["-i", &empty, "-i", &input, "-i", &empty]);
            for run in [piped, whole, several] {
                run.words("--buffer 64K -j1")
                    .worker(COLLECTS)
                    .run()
                    .assert_output(format!("{record}\n"));
            }
        }
    }
}

#[test]
fn the_same_with_other_separators_and_formats() {
    let env = TestEnv::new();
    let text = "x".repeat(60_000);
    let buffer = ["--buffer", "64K", "-j1"];
    let done = (env.mtask().args(buffer).words("-0"))
        .worker(["--buffered", "--null"])
        .run_on(format!("{text}\0"));
    done.assert_output(format!("{text}\0"));
    let json = format!("\"{text}\"\n");
    let done = (env.mtask().args(buffer).words("--format jsonl")).worker(COLLECTS).run_on(&json);
    done.assert_output(&json);
    (env.mtask().args(buffer).words("--protocol json"))
        .worker(["--buffered", "--json"])
        .run_on(&json)
        .assert_output(&json);
}

#[test]
fn a_small_record_behind_a_large_one_waits_for_no_room_at_the_end() {
    let env = TestEnv::new();
    for end in ["\n", ""] {
        let input = format!("{}\nlast{end}", "x".repeat(60_000));
        env.mtask()
            .words("--buffer 64K -j1 --window 2")
            .worker(["--collect", "2"])
            .run_on(&input)
            .assert_output(format!("{}\n", input.trim_end()));
    }
}

#[test]
fn every_size_of_the_buffer_will_do() {
    // A skipped record may have moved what was answered.
    let faults = [("1 @die:3", 123), ("1 @skip", 122)];
    let mut runs = Vec::new();
    for size in ["1", "7", "8", "100"] {
        for (record, status) in faults {
            for order in ["-k", "-u"] {
                let run = mtask("-j1 --buffer").words(size).words(order).echo();
                runs.push((run.stdin(records(["0", record, "2", "3"])).start(), status));
            }
        }
    }
    // All at once: each waits before it finds what is missing, or starts a process again.
    for (run, status) in runs {
        let done = run.wait();
        done.assert_status(status);
        done.check(done.error_records().len() == 1, "one is to fail");
        done.check(done.lines().len() == 4, "there are not four outcomes");
    }
}

#[test]
fn the_hint_fits_what_a_worker_has_read() {
    let env = TestEnv::new();
    let read = "it has read it; if it is not still at it";
    let seen = [
        // The loop reads one, and its command the rest.
        (
            "while IFS= read -r x; do cat >/dev/null; echo \"$x\"; done",
            read,
        ),
        ("sed -n /nothing/p", read),
        ("sleep 600", "it has not read it: it is still starting"),
    ];
    let runs = seen.map(|(script, text)| {
        let run = env.mtask().args(["-j1", "--", "sh", "-c", script]);
        let mut live = run.open();
        live.send("a record");
        (live, text)
    });
    for (live, text) in runs {
        live.wait_for_stderr("has not answered its first record");
        let stderr = live.stderr();
        if cfg!(target_os = "linux") {
            assert!(stderr.contains(text), "{stderr}");
            assert_eq!(stderr.contains("</dev/null"), text == read, "{stderr}");
            assert_eq!(stderr.contains("filter drops it"), text == read, "{stderr}");
        }
        live.signal(Signal::TERM);
        live.signal(Signal::TERM);
        live.wait_with_open_stdin();
    }
}

/// A pipe for mtask's stdout, and another description of its writing end that never waits.
fn shared_pipe() -> Option<(File, OwnedFd, File)> {
    use std::os::unix::fs::OpenOptionsExt;

    let (reader, writer) = std::io::pipe().expect("a pipe");
    let writer = OwnedFd::from(writer);
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
    let other = (File::options().write(true).custom_flags(libc::O_NONBLOCK)).open(path);
    match other {
        Ok(other) => Some((OwnedFd::from(reader).into(), writer, other)),
        Err(error) => {
            skip(&format!("a pipe cannot be opened again: {error}"));
            None
        }
    }
}

/// Whether the main thread of a process is held up by strace right before it writes to this pipe;
/// nothing where that cannot be seen.
#[cfg(target_os = "linux")]
fn is_about_to_write(process: Process, pipe: &File) -> Option<bool> {
    let folder = format!("/proc/{}", process.number());
    let call = std::fs::read_to_string(format!("{folder}/syscall")).ok()?;
    let stat = std::fs::read_to_string(format!("{folder}/stat")).ok()?;
    let is_held_up = stat.rsplit(") ").next()?.starts_with('t');
    let mut call = call.split_whitespace();
    let is_write = call.next() == Some(&libc::SYS_write.to_string());
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let Some(file) = call.next().and_then(number) else {
        return Some(false); // it runs
    };
    let same =
        |a: String, b: String| Some(std::fs::read_link(a).ok()? == std::fs::read_link(b).ok()?);
    let own = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(pipe));
    let is_there = same(format!("{folder}/fd/{file}"), own).unwrap_or(false);
    Some(is_held_up && is_write && is_there)
}

#[cfg(not(target_os = "linux"))]
fn is_about_to_write(_: Process, _: &File) -> Option<bool> {
    None
}

#[test]
fn a_pipe_that_another_process_fills_keeps_no_signal_waiting() {
    let traces = TestEnv::new().sh("strace -o /dev/null -e trace=write true");
    if !traces.status.success() {
        skip("strace cannot be used");
        return;
    }
    // Each write of mtask's engine is held up for so many seconds after it has made up its mind to
    // it. On a busy machine that may be over before the pipe is full, which shows nothing.
    for held_up in [1, 4, 16] {
        let Some((reader, writer, other)) = shared_pipe() else {
            return;
        };
        let env = TestEnv::new();
        let script = format!(
            "exec strace -qq -o /dev/null -e trace=write -e inject=write:delay_enter={held_up}000000 \
             sh -c 'echo $$ >mtask.pid; exec \"$0\" \"$@\"' \"$0\" \"$@\""
        );
        let mut live = env
            .mtask()
            .words("-j1 --grace 500ms")
            .stdout_descriptor(writer)
            .echo()
            .shell(&script)
            .open();
        live.send("0");
        env.wait_for_lines("mtask.pid", 1);
        let mtask = env.processes("mtask.pid").remove(0);
        let is_about_to_write = || is_about_to_write(mtask, &other);
        let has_written = || rustix::io::ioctl_fionread(&reader).expect("a pipe") > 0;
        if is_about_to_write().is_none() {
            return skip("what a process is about to do cannot be seen");
        }
        wait_until("an answer about to be written", || {
            is_about_to_write() == Some(true) || has_written()
        });
        while (&other).write(&[b'n'; 4096]).is_ok() {}
        if is_about_to_write() != Some(true) {
            continue;
        }
        mtask.signal(Signal::TERM);
        live.wait_unread().assert_signal(Signal::TERM);
        return;
    }
    panic!("the pipe was never full in time");
}

#[test]
fn a_shell_loop_that_gives_its_commands_no_records_is_a_worker() {
    let env = TestEnv::new();
    let script = "while IFS= read -r x; do cat </dev/null; echo \"$x\"; done";
    env.mtask()
        .args(["-j1", "--", "sh", "-c", script])
        .run_on(numbers(50))
        .assert_output(numbers(50));
}

//! A worker that does as it is told, for the tests alone.
//!
//! It answers each record with the record and a suffix. Its arguments say how a process starts and
//! ends (see [`options`]), and words in the records that begin with `@` say what happens to them
//! (see [`directive`]), so that a test shows in one place what its worker does.
//!
//! `test-worker --launch [--user UID] [--processes N] COMMAND...` becomes COMMAND with every signal
//! back at its default, whatever the tests themselves were started with (a background job of a
//! shell ignores SIGINT), run by that user, who may have so many processes and threads.

mod directive;
mod options;
#[path = "../wait.rs"]
mod wait;

use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, exit};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use directive::{Group, Reply};
use options::Options;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGUSR1};
use wait::{let_pass, wait_until};

fn main() {
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "--launch") {
        launch(args.split_off(1));
    }
    let options = Options::parse(&args);
    start(&options);
    if let Err(error) = answer_all(&options) {
        // mtask has gone, or has closed this worker's stdout.
        eprintln!("test-worker: {error}");
        exit(1);
    }
    end(&options);
}

/// Becomes the command. A handler, unlike "ignored", does not outlive exec.
fn launch(args: Vec<OsString>) -> ! {
    let mut args = args.into_iter();
    let mut next = || args.next().expect("--launch needs a command");
    let mut user = None;
    let program = loop {
        let arg = next();
        let mut number = || options::number(&next().to_string_lossy());
        match arg.to_str() {
            Some("--user") => user = Some(number()),
            Some("--processes") => limit_processes(None, number()),
            _ => break arg,
        }
    };
    for signal in [SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGUSR1] {
        ignore(signal);
    }
    let mut command = Command::new(&program);
    command.args(args);
    if let Some(user) = user {
        command.uid(u32::try_from(user).expect("a user id"));
    }
    // A process of this user that has just ended may count for a moment longer.
    let mut tries = 0;
    loop {
        let error = command.exec();
        let is_limit = error.kind() == io::ErrorKind::WouldBlock;
        assert!(is_limit && tries < 1000, "{}: {error}", program.display());
        tries += 1;
        let_pass(Duration::from_millis(5));
    }
}

/// From now on the user of this process, or of the one given, may have `count` processes and
/// threads where that process wants one more.
fn limit_processes(pid: Option<Pid>, count: u64) {
    let limit = Rlimit {
        current: Some(count),
        maximum: getrlimit(Resource::Nproc).maximum,
    };
    prlimit(pid, Resource::Nproc, limit).expect("a limit on processes");
}

fn start(options: &Options) {
    if options.ignore_term {
        ignore(SIGTERM);
    }
    for file in &options.pids {
        directive::note_pid(file);
    }
    for file in &options.children {
        directive::start_child(file, Group::Same);
    }
    for text in &options.start_stderr {
        eprintln!("{text}");
    }
    if let Some(file) = &options.start_once
        && !directive::first_time(file)
    {
        return;
    }
    let_pass(options.start_sleep);
    if let Some(file) = &options.start_wait {
        wait_for(file);
    }
    if let Some(status) = options.start_exit {
        exit(status);
    }
    if options.start_hang {
        hang();
    }
    if let Some(text) = &options.banner {
        println!("{text}");
    }
}

fn answer_all(options: &Options) -> io::Result<()> {
    let mut input = io::BufReader::new(io::stdin());
    let mut output = io::stdout();
    let mut record = Vec::new();
    let mut held = Vec::new();
    let mut count = 0;
    loop {
        record.clear();
        if input.read_until(options.separator, &mut record)? == 0 {
            break;
        }
        if record.last() == Some(&options.separator) {
            record.pop();
        }
        count += 1;
        let mut reply = if options.json {
            Reply::echo_json(&record)
        } else {
            Reply::echo(&record, &options.suffix, options.separator)
        };
        reply.obey(&record);
        if let Some((_, words)) = options.at.iter().find(|(at, _)| *at == count) {
            reply.obey(words.as_bytes());
        }
        held.push(reply.bytes());
        if let Some(end) = reply.end {
            write_all(&mut output, &mut held, options)?;
            end.come();
        }
        if !options.buffered && count % options.collect == 0 {
            write_all(&mut output, &mut held, options)?;
        }
        if options.quit_after == Some(count) {
            exit(0);
        }
    }
    write_all(&mut output, &mut held, options)
}

fn write_all(
    output: &mut io::Stdout,
    held: &mut Vec<Vec<u8>>,
    options: &Options,
) -> io::Result<()> {
    if options.reverse {
        held.reverse();
    }
    output.write_all(&held.concat())?;
    held.clear();
    output.flush()
}

fn end(options: &Options) {
    let worker = std::env::var("MTASK_WORKER").unwrap_or_default();
    if let Some(prefix) = &options.end_meet {
        let workers: u32 =
            std::env::var("MTASK_WORKERS").map_or(1, |n| n.parse().expect("a number"));
        directive::touch(&format!("{prefix}{worker}"));
        for other in 0..workers {
            wait_for(&format!("{prefix}{other}"));
        }
    }
    if let Some(prefix) = &options.end_wait {
        directive::touch(&format!("{prefix}end"));
        wait_for(&format!("{prefix}go"));
    }
    if let Some(text) = &options.end_line {
        println!("{text}");
    }
    if options.end_hang {
        hang();
    }
    exit(options.end_exit);
}

/// Survives `signal` from now on.
fn ignore(signal: i32) {
    signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))
        .expect("a signal handler");
}

fn hang() -> ! {
    loop {
        thread::park();
    }
}

/// Waits until `file` exists.
fn wait_for(file: &str) {
    wait_until(file, || Path::new(file).exists());
}

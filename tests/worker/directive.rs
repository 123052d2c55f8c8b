//! What a record tells the test worker to do.
//!
//! A directive is a word that begins with `@`, words being set apart by white space or double
//! quotes (so that a JSON string can hold some). They are done from left to right, before the
//! answer is written; without one the answer is the record and the suffix.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio, exit};
use std::time::Duration;

use rustix::process::{Signal, getpgid, getpgrp, getpid, getppid, kill_process, setpgid};

/// What is to be written for one record.
pub(crate) struct Reply {
    /// With the json protocol: the record's id, and the key that goes with the answer.
    name: Option<(String, &'static str)>,
    before: Vec<u8>,
    answer: Vec<u8>,
    values: Vec<String>,
    copies: usize,
    after: Vec<u8>,
    separator: Option<u8>,
    /// How the process ends once all that has been said is written.
    pub(crate) end: Option<End>,
}

/// How a process ends by itself.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Exit(i32),
    Kill(i32),
}

impl End {
    pub(crate) fn come(self) -> ! {
        match self {
            Self::Exit(status) => exit(status),
            Self::Kill(signal) => kill(signal),
        }
    }
}

impl Reply {
    /// The record with the suffix behind it.
    pub(crate) fn echo(record: &[u8], suffix: &str, separator: u8) -> Self {
        Self {
            name: None,
            before: Vec::new(),
            answer: [record, suffix.as_bytes()].concat(),
            values: Vec::new(),
            copies: 1,
            after: Vec::new(),
            separator: Some(separator),
            end: None,
        }
    }

    /// The input of a line of the json protocol, under its id.
    pub(crate) fn echo_json(line: &[u8]) -> Self {
        let line = str::from_utf8(line).expect("JSON is UTF-8");
        let (id, input) = line
            .strip_prefix("{\"id\":")
            .and_then(|rest| rest.strip_suffix('}'))
            .and_then(|rest| rest.split_once(",\"input\":"))
            .unwrap_or_else(|| panic!("{line} is no record"));
        Self {
            name: Some((id.to_owned(), "output")),
            ..Self::echo(input.as_bytes(), "", b'\n')
        }
    }

    /// Does what the directives among `words` say.
    pub(crate) fn obey(&mut self, words: &[u8]) {
        let text = String::from_utf8_lossy(words);
        let words = text.split(|c: char| c.is_whitespace() || c == '"');
        for word in words.filter_map(|word| word.strip_prefix('@')) {
            let (name, value) = word.split_once(':').unwrap_or((word, ""));
            match name {
                // Only the first process that creates the file goes on to the directives behind
                // this one.
                "once" => {
                    if !first_time(value) {
                        return;
                    }
                }
                // The same for as many processes: `@first:N:FILE`.
                "first" => {
                    let (count, file) = value.split_once(':').expect("@first:N:FILE");
                    note_pid(file);
                    let noted = std::fs::read_to_string(file).expect("the file of pids");
                    if noted.lines().count() > count.parse().expect("@first:N:FILE") {
                        return;
                    }
                }
                // No process goes on where the file exists: it makes all workers mended.
                "unless" => {
                    if std::path::Path::new(value).exists() {
                        return;
                    }
                }
                "die" => {
                    self.write_part();
                    exit(value.parse().expect("@die:STATUS"))
                }
                "kill" => {
                    self.write_part();
                    kill(value.parse().expect("@kill:SIGNAL"))
                }
                // The same after the answer.
                "thendie" => {
                    self.end = Some(End::Exit(value.parse().expect("@thendie:STATUS")));
                }
                "thenkill" => {
                    self.end = Some(End::Kill(value.parse().expect("@thenkill:SIGNAL")));
                }
                // It keeps so many bytes for good.
                "hold" => std::mem::forget(std::hint::black_box(vec![1_u8; size(value)])),
                "hang" => crate::hang(),
                // Where time itself is looked at, or what comes first is to be open.
                "sleep" => {
                    crate::wait::let_pass(Duration::from_millis(value.parse().expect("@sleep:MS")));
                }
                "wait" => crate::wait_for(value),
                "touch" => touch(value),
                "note" => note_pid(value),
                "child" => start_child(value, Group::Same),
                "childapart" => start_child(value, Group::Own),
                "leavegroup" => join_mtask(),
                "becomeroot" => become_root(),
                "processes" => limit_mtask(value.parse().expect("@processes:N")),
                "err" => eprintln!("{value}"),
                "errcr" => eprint!("one\rtwo\n"),
                "errlines" => error_lines(value.parse().expect("@errlines:N")),
                "errbytes" => error_bytes(size(value)),
                "closeout" => rustix::stdio::dup2_stdout(nowhere()).expect("dup2"),
                "closein" => rustix::stdio::dup2_stdin(nowhere()).expect("dup2"),
                // What becomes of the answer.
                "skip" => self.copies = 0,
                "double" => self.copies = 2,
                "partial" => self.separator = None,
                "big" if self.name.is_some() => {
                    self.answer = format!("\"{}\"", "x".repeat(size(value))).into_bytes();
                }
                "big" => self.answer = vec![b'x'; size(value)],
                "stray" => self.before.extend(format!("{value}\n").bytes()),
                "flood" => self.after = vec![b'x'; size(value)],
                "after" => self.after.extend(format!("{value}\n").bytes()),
                "again" => self.after.extend([&*self.line(), b"\n"].concat()),
                // The same with the json protocol.
                "id" => self.name = self.name.take().map(|(_, key)| (value.into(), key)),
                // As many results as that: the record each time.
                "outputs" => {
                    let count = value.parse().expect("@outputs:N");
                    let output = String::from_utf8_lossy(&self.answer).into_owned();
                    self.answer_under("outputs", &format!("[{}]", vec![output; count].join(", ")));
                }
                "error" => self.answer_under("error", &format!("{{\"message\":\"{value}\"}}")),
                "result" => self.answer_under("result", "1"),
                "nan" => self.answer_under("output", "NaN"),
                // What the answer tells; several are set apart by a blank.
                "env" => {
                    self.values.push(std::env::var(value).unwrap_or_else(|_| "(unset)".into()));
                }
                "args" => self.values.push(std::env::args().skip(1).collect::<Vec<_>>().join("|")),
                "fds" => self.values.push(descriptors()),
                "pid" => self.values.push(getpid().to_string()),
                "group" => self.values.push(getpgrp().to_string()),
                _ => panic!("test-worker knows no directive @{name}"),
            }
        }
    }

    /// The bytes for stdout.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.before.clone();
        for _ in 0..self.copies {
            bytes.extend(self.line());
            bytes.extend(self.separator);
        }
        bytes.extend(&self.after);
        bytes
    }

    fn line(&self) -> Vec<u8> {
        let told = self.values.join(" ");
        let Some((id, key)) = &self.name else {
            return if self.values.is_empty() {
                self.answer.clone()
            } else {
                told.into_bytes()
            };
        };
        let value = if self.values.is_empty() {
            self.answer.clone()
        } else {
            format!("\"{told}\"").into_bytes()
        };
        let begin = format!("{{\"id\":{id},\"{key}\":");
        [begin.as_bytes(), &value, b"}"].concat()
    }

    fn answer_under(&mut self, key: &'static str, value: &str) {
        self.name = self.name.take().map(|(id, _)| (id, key));
        self.answer = value.into();
    }

    /// Writes the part of an answer that `@partial` asks for.
    fn write_part(&self) {
        if self.separator.is_none() {
            let mut stdout = io::stdout();
            stdout.write_all(&self.line()).expect("stdout");
            stdout.flush().expect("stdout");
        }
    }
}

/// The process group of a child.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// That of its parent.
    Same,
    /// One that mtask does not know.
    Own,
}

/// True for the one process that creates `file`.
pub(crate) fn first_time(file: &str) -> bool {
    OpenOptions::new().write(true).create_new(true).open(file).is_ok()
}

/// Makes sure that `file` exists.
pub(crate) fn touch(file: &str) {
    append(file, "");
}

/// Appends this process's pid to `file`.
pub(crate) fn note_pid(file: &str) {
    append(file, &format!("{}\n", getpid()));
}

/// Starts a process that holds this one's stdout and stderr, and appends its pid to `file`. Nobody
/// may be left to end it: time does, after every test has given up.
#[expect(clippy::zombie_processes, reason = "it is to be left behind")]
pub(crate) fn start_child(file: &str, group: Group) {
    let this = std::env::current_exe().expect("the test worker");
    let mut child = Command::new(this);
    child.args(["--start-sleep", "600000"]).stdin(Stdio::null());
    if group == Group::Own {
        child.process_group(0);
    }
    let child = child.spawn().expect("a child");
    append(file, &format!("{}\n", child.id()));
}

/// Leaves the group that mtask has made for this process.
fn join_mtask() {
    let group = getpgid(Some(getppid().expect("mtask"))).expect("mtask's group");
    setpgid(None, Some(group)).expect("another group");
}

/// A process of root's alone, as one of sudo's is, whoever started it.
fn become_root() {
    #[cfg(target_os = "linux")]
    {
        let root = rustix::process::Uid::ROOT;
        rustix::thread::set_thread_res_uid(root, root, root).expect("root's rights");
    }
}

/// From now on mtask starts no process or thread where its user has this many.
fn limit_mtask(count: u64) {
    crate::limit_processes(getppid(), count);
}

fn append(file: &str, text: &str) {
    let mut file =
        OpenOptions::new().append(true).create(true).open(file).expect("a file to append to");
    file.write_all(text.as_bytes()).expect("a file to append to");
}

fn kill(signal: i32) -> ! {
    let signal = Signal::from_named_raw(signal).expect("a signal");
    kill_process(getpid(), signal).expect("kill");
    // The signal may be delivered a moment later.
    crate::hang()
}

/// Writes each line in three pieces, so that only a reader that puts lines together keeps them
/// whole.
fn error_lines(count: usize) {
    let pid = getpid().to_string();
    for _ in 0..count {
        let mut stderr = io::stderr();
        for piece in ["begin ", &pid, " end\n"] {
            stderr.write_all(piece.as_bytes()).expect("stderr");
        }
    }
}

fn error_bytes(mut bytes: usize) {
    let chunk = [b'e'; 65536];
    while bytes > 0 {
        let part = bytes.min(chunk.len());
        io::stderr().write_all(&chunk[..part]).expect("stderr");
        bytes -= part;
    }
    eprintln!();
}

fn nowhere() -> File {
    OpenOptions::new().read(true).write(true).open("/dev/null").expect("/dev/null")
}

/// The numbers of the open descriptors, the one that lists them left out.
fn descriptors() -> String {
    let folder = if cfg!(target_os = "linux") {
        "/proc/self/fd"
    } else {
        "/dev/fd"
    };
    let open = std::fs::read_dir(folder).expect("the list of descriptors");
    let mut numbers: Vec<u32> =
        open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    // Reading the folder took the lowest free number; it is closed by now.
    numbers.retain(|number| std::fs::metadata(format!("{folder}/{number}")).is_ok());
    numbers.sort_unstable();
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// `10M`, `4K` or a number of bytes.
fn size(text: &str) -> usize {
    let (number, factor) = match text.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M') => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    number.parse::<usize>().expect("a size") * factor
}

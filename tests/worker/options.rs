//! What a process of the test worker does as a whole.

use std::ffi::OsString;
use std::time::Duration;

/// The worker's arguments. Those that it does not know are left alone, so that a test can look at
/// them.
pub(crate) struct Options {
    /// `--suffix TEXT`: what is added to each record.
    pub(crate) suffix: String,
    /// `--null`: records end with NUL.
    pub(crate) separator: u8,
    /// `--json`: speaks the json protocol.
    pub(crate) json: bool,
    /// `--at N WORDS`: the process's Nth record, from 1, is treated as if it held these words too.
    pub(crate) at: Vec<(u64, String)>,
    /// `--buffered`: nothing is written before the end of stdin.
    pub(crate) buffered: bool,
    /// `--collect N`: answers are written N at a time.
    pub(crate) collect: u64,
    /// `--reverse`: what is written together is written in reverse order.
    pub(crate) reverse: bool,
    /// `--quit-after N`: exits 0 after N answers.
    pub(crate) quit_after: Option<u64>,

    /// `--pids FILE`: the pid is appended to FILE, a line.
    pub(crate) pids: Vec<String>,
    /// `--child FILE`: starts a process that holds stdout and stderr, and appends its pid to FILE.
    pub(crate) children: Vec<String>,
    /// `--ignore-term`: SIGTERM does nothing.
    pub(crate) ignore_term: bool,
    /// `--start-stderr TEXT`: a line for stderr.
    pub(crate) start_stderr: Vec<String>,
    /// `--start-once FILE`: what follows in this list happens only to the process that creates
    /// FILE.
    pub(crate) start_once: Option<String>,
    /// `--start-sleep MS`: a start that takes its time, which is what the test looks at.
    pub(crate) start_sleep: Duration,
    /// `--start-wait FILE`: waits until FILE exists.
    pub(crate) start_wait: Option<String>,
    /// `--start-exit STATUS`.
    pub(crate) start_exit: Option<i32>,
    /// `--start-hang`: never reads stdin.
    pub(crate) start_hang: bool,
    /// `--banner TEXT`: a line for stdout before any record is read.
    pub(crate) banner: Option<String>,

    /// `--end-meet PREFIX`: creates PREFIX and its worker's number, then waits for every other
    /// worker's.
    pub(crate) end_meet: Option<String>,
    /// `--end-wait PREFIX`: creates PREFIX`end` after the end of stdin, then waits until PREFIX`go`
    /// exists.
    pub(crate) end_wait: Option<String>,
    /// `--end-line TEXT`: a line for stdout after the end of stdin.
    pub(crate) end_line: Option<String>,
    /// `--end-hang`: does not exit at the end of stdin.
    pub(crate) end_hang: bool,
    /// `--end-exit STATUS`.
    pub(crate) end_exit: i32,
}

impl Options {
    /// Reads the arguments; of an option that is given twice the last counts, files are added up.
    pub(crate) fn parse(args: &[OsString]) -> Self {
        let mut options = Self {
            suffix: String::new(),
            separator: b'\n',
            json: false,
            at: Vec::new(),
            buffered: false,
            collect: 1,
            reverse: false,
            quit_after: None,
            pids: Vec::new(),
            children: Vec::new(),
            ignore_term: false,
            start_stderr: Vec::new(),
            start_once: None,
            start_sleep: Duration::ZERO,
            start_wait: None,
            start_exit: None,
            start_hang: false,
            banner: None,
            end_meet: None,
            end_wait: None,
            end_line: None,
            end_hang: false,
            end_exit: 0,
        };
        let mut args = args.iter().map(|arg| arg.to_string_lossy().into_owned());
        while let Some(arg) = args.next() {
            let mut value = || args.next().unwrap_or_else(|| panic!("{arg} needs a value"));
            match arg.as_str() {
                "--suffix" => options.suffix = value(),
                "--null" => options.separator = 0,
                "--json" => options.json = true,
                "--at" => options.at.push((number(&value()), value())),
                "--buffered" => options.buffered = true,
                "--collect" => options.collect = number(&value()),
                "--reverse" => options.reverse = true,
                "--quit-after" => options.quit_after = Some(number(&value())),
                "--pids" => options.pids.push(value()),
                "--child" => options.children.push(value()),
                "--ignore-term" => options.ignore_term = true,
                "--start-stderr" => options.start_stderr.push(value()),
                "--start-once" => options.start_once = Some(value()),
                "--start-sleep" => options.start_sleep = Duration::from_millis(number(&value())),
                "--start-wait" => options.start_wait = Some(value()),
                "--start-exit" => options.start_exit = Some(status(&value())),
                "--start-hang" => options.start_hang = true,
                "--banner" => options.banner = Some(value()),
                "--end-meet" => options.end_meet = Some(value()),
                "--end-wait" => options.end_wait = Some(value()),
                "--end-line" => options.end_line = Some(value()),
                "--end-hang" => options.end_hang = true,
                "--end-exit" => options.end_exit = status(&value()),
                _ => {}
            }
        }
        options
    }
}

pub(crate) fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

fn status(text: &str) -> i32 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no status"))
}

//! Processes that a test knows by their pid.

use std::fmt;
use std::fs::{self, File};

use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// A process, dead or alive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(Pid);

impl Process {
    pub(crate) fn new(pid: u32) -> Self {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        Self(pid.expect("a pid"))
    }

    pub(crate) fn number(self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    /// The processes that it has started and not waited for; Linux only.
    pub(crate) fn children(self) -> Vec<Self> {
        let is_child = |process: &Self| {
            let stat = fs::read_to_string(format!("/proc/{}/stat", process.0)).unwrap_or_default();
            // The name before it is in parentheses and may hold anything.
            let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
            parent == Some(&self.number().to_string())
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.map(Self::new).filter(is_child).collect()
    }

    pub(crate) fn parse(text: &str) -> Self {
        Self::new(text.trim().parse().unwrap_or_else(|_| panic!("{text:?} is no pid")))
    }

    /// Whether it is a test worker that runs. One that has ended and that nobody has waited for
    /// (where an orphan's new parent does not care) does not; nor does another process with its
    /// pid.
    pub(crate) fn is_live_worker(self) -> bool {
        if !cfg!(target_os = "linux") {
            return test_kill_process(self.0).is_ok();
        }
        let name = fs::read_to_string(format!("/proc/{}/comm", self.0)).unwrap_or_default();
        name.trim_end() == "test-worker" && !matches!(self.state(), None | Some('Z' | 'X'))
    }

    /// Whether it is stopped; Linux only.
    pub(crate) fn is_stopped(self) -> bool {
        self.state() == Some('T')
    }

    /// Whether it waits for something; Linux only.
    pub(crate) fn is_asleep(self) -> bool {
        self.state() == Some('S')
    }

    /// How many bytes lie in the pipe of its stdout; Linux only.
    pub(crate) fn unread(self) -> u64 {
        let pipe = File::open(format!("/proc/{}/fd/1", self.0)).ok();
        pipe.and_then(|pipe| ioctl_fionread(pipe).ok()).unwrap_or(0)
    }

    /// The most memory it has used, in bytes, but for the pages of its program and libraries, of
    /// which a debug build has many; Linux only.
    pub(crate) fn peak_memory(self) -> Option<usize> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kilobytes: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
            Some(kilobytes << 10)
        };
        Some(bytes("VmHWM:")?.saturating_sub(bytes("RssFile:")?))
    }

    pub(crate) fn signal(self, signal: Signal) {
        kill_process(self.0, signal)
            .unwrap_or_else(|error| panic!("{signal:?} to {self:?}: {error}"));
    }

    pub(crate) fn kill(self) {
        // It may be gone.
        let _ = kill_process(self.0, Signal::KILL);
    }

    /// The letter from /proc, where there is one.
    fn state(self) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        // The name before it is in parentheses and may hold anything.
        stat.rsplit_once(") ")?.1.chars().next()
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.0)
    }
}

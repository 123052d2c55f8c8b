//! Whether the kernel has killed a process for want of memory.
//!
//! It does so by SIGKILL, which says nothing of who has sent it; but it counts how often. Owns the
//! count that is attributed to processes.

use std::fs;
use std::path::PathBuf;

/// How often the kernel has killed a process of mtask's part of the system.
#[derive(Debug)]
pub struct OomKills {
    /// Where it counts, where it does.
    counter: Option<PathBuf>,
    /// So many are attributed to a process, or were there before.
    known: u64,
}

impl OomKills {
    /// Of which none has happened yet that matters.
    pub fn find() -> Self {
        let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::counted_in(counters(&membership))
    }

    fn counted_in(counters: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut counters = counters.into_iter();
        let found = counters.find_map(|path| Some((count(&path)?, path)));
        let (known, counter) = found.map_or((0, None), |(known, path)| (known, Some(path)));
        Self { counter, known }
    }

    /// A process was killed by a SIGKILL that mtask has not sent. Gives whether the kernel has sent it,
    /// as far as its count tells: one more has been killed than is known.
    pub fn explains_a_kill(&mut self) -> bool {
        let count = self.counter.as_ref().and_then(count);
        let is_news = count.is_some_and(|count| count > self.known);
        self.known += u64::from(is_news);
        is_news
    }
}

/// Where kills may be counted, by what /proc/self/cgroup says: in version 2 of control groups, in version
/// 1, in a container that shows its own as the root, and for the whole system.
fn counters(membership: &str) -> Vec<PathBuf> {
    let mut counters = Vec::new();
    for line in membership.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(kinds), Some(path)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if kinds.is_empty() {
            counters.push(format!("/sys/fs/cgroup{path}/memory.events"));
        } else if kinds.split(',').any(|kind| kind == "memory") {
            counters.push(format!("/sys/fs/cgroup/memory{path}/memory.oom_control"));
            counters.push("/sys/fs/cgroup/memory/memory.oom_control".into());
        }
    }
    counters.extend(["/sys/fs/cgroup/memory.events", "/proc/vmstat"].map(String::from));
    counters.into_iter().map(PathBuf::from).collect()
}

/// The number behind `oom_kill`.
fn count(path: &PathBuf) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let mut numbers = text.lines().filter_map(|line| line.strip_prefix("oom_kill "));
    numbers.next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_looked_for_in_the_own_group_first() {
        let counters = counters("4:memory:/a/b\n1:cpu,cpuacct:/c\n0::/d\n");
        let counters: Vec<_> = counters.iter().map(|path| path.to_str().unwrap()).collect();
        let expected = [
            "/sys/fs/cgroup/memory/a/b/memory.oom_control",
            "/sys/fs/cgroup/memory/memory.oom_control",
            "/sys/fs/cgroup/d/memory.events",
            "/sys/fs/cgroup/memory.events",
            "/proc/vmstat",
        ];
        assert_eq!(counters, expected);
    }

    #[test]
    fn each_kill_that_is_counted_explains_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory.events");
        let write = |kills: u64| {
            fs::write(
                &path,
                format!("low 0\noom 9\noom_kill {kills}\noom_group_kill 7\n"),
            )
            .unwrap();
        };
        write(5);
        let mut kills = OomKills::counted_in([folder.path().join("none"), path.clone()]);
        assert!(!kills.explains_a_kill(), "those were before");
        write(7);
        assert!(kills.explains_a_kill() && kills.explains_a_kill());
        assert!(!kills.explains_a_kill());
        let mut nobody = OomKills::counted_in([folder.path().join("none")]);
        assert!(!nobody.explains_a_kill());
    }
}

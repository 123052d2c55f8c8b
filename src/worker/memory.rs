//! How much memory workers hold, looked at by a thread of its own once a second.
//!
//! A worker holds what all processes of its group do. Counted are their private pages, which nobody else
//! would have if the group were gone. To count them costs the system 9 to 18 ms a gigabyte, and keeps
//! the process from getting more meanwhile: so it is done only where what they have in memory at all,
//! shared pages included, is above the limit. Always: the thread waits for nobody, and ends with the
//! last of those who listen to it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use crate::waker::Waker;

/// How often is looked.
const PERIOD: Duration = Duration::from_secs(1);
/// Looks take at most one part in so many of the time.
const REST: u32 = 20;

/// What a worker's process and its group held at a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Whose.
    pub worker: usize,
    /// Which of its processes.
    pub process: u32,
    /// So many bytes.
    pub bytes: u64,
    /// So many were free for others, as far as is known.
    pub free: u64,
}

/// A process that has begun, the leader of its group.
#[derive(Clone, Copy, Debug)]
struct Begun {
    worker: usize,
    process: u32,
    leader: u32,
}

/// Whether it matters how much is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// The next process may start beside the present one where there is room for both.
    Looked,
    /// It may not: what it needs besides, as memory of a GPU, nobody knows.
    None,
}

impl Room {
    fn free(self) -> u64 {
        match self {
            Self::Looked => {
                let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
                available_in(&text).min(left_in_group())
            }
            Self::None => 0,
        }
    }
}

/// The engine's side of the thread.
#[derive(Debug)]
pub struct MemoryWatch {
    begun: Sender<Begun>,
    looks: Receiver<Vec<Held>>,
}

impl MemoryWatch {
    /// Starts the thread, for a limit of so many bytes. It wakes the engine after each look.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(limit: NonZeroUsize, room: Room, waker: &Waker) -> io::Result<Self> {
        let (begun, beginnings) = unbounded();
        let (send, looks) = unbounded();
        let waker = waker.clone();
        let watch = move || {
            watch(&beginnings, limit.get() as u64, room, |held| {
                let is_heard = send.send(held).is_ok();
                waker.wake();
                is_heard
            });
        };
        thread::Builder::new().name("memory".into()).spawn(watch)?;
        Ok(Self { begun, looks })
    }

    /// A worker's process has begun, and leads its group.
    pub fn began(&self, worker: usize, process: u32, leader: u32) {
        let begun = Begun {
            worker,
            process,
            leader,
        };
        // Without the thread nobody looks any more.
        let _ = self.begun.send(begun);
    }

    /// What was found since the last time.
    pub fn take(&self) -> Vec<Held> {
        self.looks.try_iter().flatten().collect()
    }
}

/// Looks at the processes that have begun, until nobody listens.
fn watch(
    beginnings: &Receiver<Begun>,
    limit: u64,
    room: Room,
    mut tell: impl FnMut(Vec<Held>) -> bool,
) {
    let mut watched: Vec<Begun> = Vec::new();
    let mut next = Instant::now() + PERIOD;
    loop {
        match beginnings.recv_deadline(next) {
            Ok(begun) => {
                // It is in the place of what its worker had before.
                watched.retain(|earlier| earlier.worker != begun.worker);
                watched.push(begun);
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let began = Instant::now();
                let groups = groups();
                let free = room.free();
                let held = watched.iter().filter_map(|it| {
                    let group = groups.get(&it.leader)?;
                    Some(Held {
                        worker: it.worker,
                        process: it.process,
                        bytes: held_by(group, limit),
                        free,
                    })
                });
                if !tell(held.collect()) {
                    return;
                }
                let took = began.elapsed();
                next = Instant::now() + PERIOD.max(took * REST);
            }
        }
    }
}

/// What these processes hold: their private bytes where all that they have in memory is above the limit,
/// and else that.
fn held_by(processes: &[u32], limit: u64) -> u64 {
    let sum = |bytes: fn(u32) -> Option<u64>| -> u64 {
        // One that is gone holds nothing.
        processes.iter().filter_map(|process| bytes(*process)).sum()
    };
    match sum(resident) {
        all if all > limit => sum(private),
        all => all,
    }
}

/// The processes of each group, by its leader.
fn groups() -> BTreeMap<u32, Vec<u32>> {
    let mut groups: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let process = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(process) = process
            && let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat"))
            && let Some(group) = group_in(&stat)
        {
            groups.entry(group).or_default().push(process);
        }
    }
    groups
}

/// The group in a process's `stat`. Its name, in brackets, may hold anything.
fn group_in(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(2)?.parse().ok()
}

/// All bytes of a process that are in memory.
fn resident(process: u32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The bytes of a process that no other has.
fn private(process: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    Some(private_in(&rollup))
}

fn private_in(rollup: &str) -> u64 {
    let kilobytes = rollup.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_private = matches!(name, "Private_Clean" | "Private_Dirty" | "Private_Hugetlb");
        let number = value.trim().strip_suffix(" kB").filter(|_| is_private)?;
        number.parse::<u64>().ok()
    });
    kilobytes.sum::<u64>() * 1024
}

/// What /proc/meminfo says is to be had without swapping.
fn available_in(text: &str) -> u64 {
    let number = text.lines().find_map(|line| {
        line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    number.unwrap_or(0) * 1024
}

/// What the control group of mtask leaves, where that has a limit.
fn left_in_group() -> u64 {
    let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (kinds, path) = (fields.next()?, fields.next()?);
        match kinds {
            "" => Some((
                format!("/sys/fs/cgroup{path}"),
                "memory.max",
                "memory.current",
            )),
            "memory" => Some((
                format!("/sys/fs/cgroup/memory{path}"),
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
            )),
            _ => None,
        }
    };
    let left = membership.lines().filter_map(own).filter_map(|(folder, limit, used)| {
        let number = |file: &str| {
            let text = fs::read_to_string(format!("{folder}/{file}")).ok()?;
            text.trim().parse::<u64>().ok()
        };
        Some(number(limit)?.saturating_sub(number(used)?))
    });
    left.min().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_found_whatever_the_name_of_the_process() {
        assert_eq!(group_in("17 (cat) S 3 12 12 0 -1"), Some(12));
        assert_eq!(group_in("17 (a) R 1 (b) c) S 3 12 12 0 -1"), Some(12));
        assert_eq!(group_in(""), None);
    }

    #[test]
    fn private_pages_alone_count() {
        let rollup = "55e0-7ffd ---p 00000000 00:00 0    [rollup]\n\
                      Rss:              900 kB\nPss:              500 kB\nShared_Clean:     300 kB\n\
                      Private_Clean:     40 kB\nPrivate_Dirty:    60 kB\nPrivate_Hugetlb:   0 kB\n";
        assert_eq!(private_in(rollup), 100 * 1024);
    }

    #[test]
    fn what_shared_pages_alone_put_above_the_limit_is_not_held() {
        let me = std::process::id();
        if !fs::exists("/proc/self/smaps_rollup").unwrap_or(false) {
            return;
        }
        let all = held_by(&[me], u64::MAX);
        assert!(held_by(&[me], 0) < all, "a program has pages of libraries");
        assert!(all > 1 << 20 && held_by(&[], 0) == 0);
    }

    #[test]
    fn a_process_is_looked_at_until_nobody_listens() {
        let (begin, beginnings) = unbounded();
        let (worker, process, leader) = (3, 1, {
            let stat = fs::read_to_string("/proc/self/stat").unwrap();
            group_in(&stat).unwrap()
        });
        begin
            .send(Begun {
                worker,
                process,
                leader,
            })
            .unwrap();
        let mut looks = 0;
        watch(&beginnings, u64::MAX, Room::Looked, |held| {
            assert!(held[0].free > 0);
            assert_eq!((held[0].worker, held[0].process), (3, 1));
            assert!(held[0].bytes > 1 << 20);
            looks += 1;
            looks < 2
        });
        assert_eq!(looks, 2);
    }
}

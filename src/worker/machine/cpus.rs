//! Which CPUs mtask may use, neighbours beside each other, and which of them a worker runs on.

use std::fs;
use std::io;

/// The CPUs of a run with `--pin`, dealt out to workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// Their numbers, neighbours beside each other; none where workers run on any.
    cpus: Vec<usize>,
}

impl Pins {
    /// Of these CPUs.
    pub fn new(cpus: Vec<usize>) -> Self {
        Self { cpus }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.cpus.len()
    }

    /// Those of a worker, where so many share them, at most one for each. None where it runs on any.
    pub fn of(&self, worker: usize, crew: usize) -> &[usize] {
        let crew = crew.max(1);
        let turn = worker % crew;
        let from = |turn: usize| turn * self.cpus.len() / crew;
        &self.cpus[from(turn)..from(turn + 1)]
    }
}

/// The CPUs that mtask may use, in the order of their places in the machine: those that share a core
/// stand beside each other, then those that share a cache, a part of the memory, a socket.
///
/// # Errors
/// Where the system does not say.
pub fn find() -> io::Result<Vec<usize>> {
    let mut cpus = usable()?;
    cpus.sort_by_cached_key(|cpu| place(*cpu));
    Ok(cpus)
}

#[cfg(target_os = "linux")]
fn usable() -> io::Result<Vec<usize>> {
    let set = rustix::thread::sched_getaffinity(None)?;
    let cpus = 0..rustix::thread::CpuSet::MAX_CPU;
    Ok(cpus.filter(|cpu| set.is_set(*cpu)).collect())
}

#[cfg(not(target_os = "linux"))]
fn usable() -> io::Result<Vec<usize>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Where a CPU is: its socket, part of the memory, shared cache and core, as far as /sys says.
fn place(cpu: usize) -> [u64; 5] {
    let folder = format!("/sys/devices/system/cpu/cpu{cpu}");
    let number = |file: &str| {
        let text = fs::read_to_string(format!("{folder}/{file}")).ok();
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    };
    let node = fs::read_dir(&folder).into_iter().flatten().flatten().find_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.strip_prefix("node")?.parse().ok()
    });
    [
        number("topology/physical_package_id"),
        node.unwrap_or(0),
        number("cache/index3/id"),
        number("topology/core_id"),
        cpu as u64,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_has_neighbours_of_its_own() {
        let pins = Pins::new(vec![0, 4, 1, 5, 2, 6, 3, 7]);
        for (crew, expected) in [
            (2, &[&[0, 4, 1, 5][..], &[2, 6, 3, 7]][..]),
            (3, &[&[0, 4], &[1, 5, 2], &[6, 3, 7]]),
            (1, &[&[0, 4, 1, 5, 2, 6, 3, 7]]),
        ] {
            let dealt: Vec<_> = (0..crew).map(|worker| pins.of(worker, crew)).collect();
            assert_eq!(dealt, expected);
            assert_eq!(
                pins.of(crew, crew),
                expected[0],
                "those of one that is no more"
            );
        }
        assert!(Pins::default().of(1, 2).is_empty());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_may_be_used_is_found_once() {
        let mut cpus = find().expect("Linux says so");
        assert!(!cpus.is_empty());
        let count = cpus.len();
        cpus.sort_unstable();
        cpus.dedup();
        assert_eq!(cpus.len(), count);
    }
}

//! How many threads numeric libraries start.
//!
//! Most of them start one for each CPU, in each process. With a worker for each CPU that is the square
//! of the CPUs, and threads that wait for each other busily take the time of those they wait for. Each
//! library has a variable for the number; most look at that of OpenMP too. Always: what the user has
//! set stays, and with `OMP_NUM_THREADS`, by which all are told, so do the others.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use memchr::memchr;

use super::cpus::Pins;
use crate::sys::spawn::Variable;

/// What is asked for (`--threads`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// A worker's part of the usable CPUs.
    Auto,
    /// So many.
    Count(NonZeroUsize),
    /// What the libraries choose.
    Keep,
}

/// The variable that most libraries heed.
const OPENMP: &str = "OMP_NUM_THREADS";

const VARIABLES: [&str; 8] = [
    OPENMP,
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
];

/// The variables that are set in workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadVariables {
    names: Vec<&'static str>,
    number: Number,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Fixed(usize),
    /// An equal part of so many.
    PartOf(usize),
}

impl ThreadVariables {
    /// Those that are set in COMMAND's processes. `is_set` says which stand in mtask's environment;
    /// `cpus` counts the usable ones.
    pub fn new(
        asked: Threads,
        command: &[OsString],
        is_set: impl Fn(&str) -> bool,
        cpus: impl FnOnce() -> NonZeroUsize,
    ) -> Self {
        let assigned = assigned_by_env(command);
        let is_set = |name: &str| is_set(name) || assigned.contains(&name.as_bytes());
        if asked == Threads::Keep || is_set(OPENMP) {
            return Self::default();
        }
        Self {
            names: VARIABLES.into_iter().filter(|name| !is_set(name)).collect(),
            number: match asked {
                Threads::Count(count) => Number::Fixed(count.get()),
                Threads::Auto | Threads::Keep => Number::PartOf(cpus().get()),
            },
        }
    }

    /// Whether the number depends on how many workers share the machine.
    pub fn are_divided(&self) -> bool {
        !self.names.is_empty() && matches!(self.number, Number::PartOf(_))
    }

    /// What they are set to in a worker, so many of which share the machine; `None` where none is. One
    /// that has CPUs of its own has a thread for each, unless a quota allows for less.
    pub fn number(&self, worker: usize, crew: usize, pins: &Pins) -> Option<usize> {
        let number = match self.number {
            Number::Fixed(count) => count,
            Number::PartOf(cpus) if (1..=cpus).contains(&pins.count()) => {
                pins.of(worker, crew).len()
            }
            Number::PartOf(cpus) => (cpus / crew.max(1)).max(1),
        };
        (!self.names.is_empty()).then_some(number)
    }

    /// The variables and their values.
    pub fn variables(&self, worker: usize, crew: usize, pins: &Pins) -> Vec<Variable> {
        let Some(number) = self.number(worker, crew, pins) else {
            return Vec::new();
        };
        let value = OsString::from(number.to_string());
        let set = |name: &&'static str| Variable {
            name,
            value: value.clone(),
        };
        self.names.iter().map(set).collect()
    }
}

impl Default for ThreadVariables {
    /// None.
    fn default() -> Self {
        Self {
            names: Vec::new(),
            number: Number::Fixed(1),
        }
    }
}

/// The names that env(1) sets, where COMMAND begins with that.
fn assigned_by_env(command: &[OsString]) -> Vec<&[u8]> {
    let Some((program, words)) = command.split_first() else {
        return Vec::new();
    };
    if Path::new(program).file_name().is_none_or(|name| name != "env") {
        return Vec::new();
    }
    let mut names = Vec::new();
    let mut words = words.iter().map(|word| word.as_bytes());
    while let Some(word) = words.next() {
        match (word, memchr(b'=', word)) {
            // Their value is a word of its own.
            (b"-u" | b"--unset" | b"-C" | b"--chdir", _) => drop(words.next()),
            ([b'-', ..], _) => {}
            (_, Some(end)) => names.push(&word[..end]),
            (_, None) => break,
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names and the number, of 8 CPUs and so many workers.
    fn variables(
        asked: Threads,
        command: &str,
        set: &[&str],
        crew: usize,
    ) -> (Vec<&'static str>, Option<usize>) {
        let command: Vec<OsString> = command.split(' ').map(Into::into).collect();
        let cpus = || NonZeroUsize::new(8).unwrap();
        let made = ThreadVariables::new(asked, &command, |name| set.contains(&name), cpus);
        let number = made.number(0, crew, &Pins::default());
        let set = made.variables(0, crew, &Pins::default());
        assert!(set.iter().all(|it| Some(it.value.to_str().unwrap().parse().unwrap()) == number));
        (set.iter().map(|it| it.name).collect(), number)
    }

    #[test]
    fn each_worker_has_its_part_of_the_cpus() {
        for (crew, expected) in [(1, 8), (2, 4), (3, 2), (8, 1), (9, 1), (0, 8)] {
            let (names, number) = variables(Threads::Auto, "cat", &[], crew);
            assert_eq!((names, number), (VARIABLES.to_vec(), Some(expected)));
        }
        let four = Threads::Count(NonZeroUsize::new(4).unwrap());
        assert_eq!(variables(four, "cat", &[], 8).1, Some(4));
        assert_eq!(variables(Threads::Keep, "cat", &[], 8), (vec![], None));
    }

    #[test]
    fn a_worker_with_cpus_of_its_own_has_a_thread_for_each() {
        let threads = |usable: usize, pinned: usize| {
            let cpus = || NonZeroUsize::new(usable).unwrap();
            let made = ThreadVariables::new(Threads::Auto, &[], |_| false, cpus);
            let pins = Pins::new((0..pinned).collect());
            [0, 1, 2].map(|worker| made.number(worker, 3, &pins).unwrap())
        };
        assert_eq!(threads(8, 8), [2, 3, 3]);
        assert_eq!(threads(3, 8), [1, 1, 1], "there is a quota");
    }

    #[test]
    fn what_the_user_has_set_stays() {
        let nothing = (vec![], None);
        for asked in [Threads::Auto, Threads::Count(NonZeroUsize::MIN)] {
            assert_eq!(variables(asked, "cat", &[OPENMP], 8), nothing);
            assert_eq!(
                variables(asked, "env OMP_NUM_THREADS=3 cat", &[], 8),
                nothing
            );
        }
        let others: Vec<_> =
            VARIABLES.into_iter().filter(|name| *name != "MKL_NUM_THREADS").collect();
        let expected = (others, Some(1));
        assert_eq!(
            variables(Threads::Auto, "cat", &["MKL_NUM_THREADS"], 8),
            expected
        );
        for command in [
            "env MKL_NUM_THREADS=3 cat",
            "/usr/bin/env -u OMP_NUM_THREADS A=1 MKL_NUM_THREADS= cat OMP_NUM_THREADS=4",
        ] {
            assert_eq!(
                variables(Threads::Auto, command, &[], 8),
                expected,
                "{command}"
            );
        }
        let all = (VARIABLES.to_vec(), Some(1));
        for command in [
            "cat OMP_NUM_THREADS=3",
            "env cat OMP_NUM_THREADS=3",
            "environ A=1",
        ] {
            assert_eq!(variables(Threads::Auto, command, &[], 8), all, "{command}");
        }
    }
}

//! Whatever the records, the delays, the deaths and the options: every record has one outcome, in
//! its place. Each run comes from a seed, which a failure shows; `MTASK_TEST_SEED=N` runs that one
//! alone, and `MTASK_TEST_SEED=random` runs new ones.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use crate::done::{Done, ERROR_MARK, records};
use crate::env::TestEnv;

/// How many runs `cargo test` makes of each kind.
const RUNS: usize = 12;

#[test]
fn every_record_has_its_one_outcome_in_order() {
    for seed in seeds() {
        let case = Case::from_seed(seed);
        let done = case.run("-k");
        let lines = done.lines();
        done.check(
            lines.len() == case.records.len(),
            &format!("{case}: the number of outcomes is wrong"),
        );
        for (i, line) in lines.iter().enumerate() {
            case.assert_outcome(&done, i, line);
        }
        case.assert_status(&done);
    }
}

#[test]
fn every_record_has_its_one_outcome_unordered() {
    for seed in seeds() {
        let case = Case::from_seed(seed);
        let done = case.run("--unordered");
        let lines = done.lines();
        done.check(
            lines.len() == case.records.len(),
            &format!("{case}: the number of outcomes is wrong"),
        );
        let mut seen = vec![false; case.records.len()];
        for line in lines {
            let index = case.index_of(&done, line);
            done.check(
                !seen[index],
                &format!("{case}: record {index} has two outcomes"),
            );
            seen[index] = true;
            case.assert_outcome(&done, index, line);
        }
        case.assert_status(&done);
    }
}

/// A run made of a seed.
struct Case {
    env: TestEnv,
    seed: u64,
    options: Vec<String>,
    suffix: &'static str,
    /// Each begins with its index and a blank.
    records: Vec<String>,
    /// How each may end.
    fates: Vec<Fate>,
}

/// How a record may end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is answered.
    Result,
    /// It kills every process that gets it.
    Error,
    /// It kills one process. Held by a process that another record killed, it is a suspect by then.
    Either,
}

impl Case {
    fn from_seed(seed: u64) -> Self {
        let mut random = Random(seed);
        let env = TestEnv::new();
        let count = [1, 5, 40, 150, 600][random.below(5)];
        let jobs = 1 + random.below(6);
        let window = ["auto", "auto", "1", "2", "7", "50", "1000"][random.below(7)];
        let mut options = vec![format!("-j{jobs}"), format!("--window={window}")];
        if random.below(4) == 0 {
            options.push("--buffer=256K".to_owned());
        }
        let (mut records, mut fates) = (Vec::new(), Vec::new());
        // The first come when workers can have been ready, and so few and so far from each other
        // that no worker is given up.
        let (mut faults, mut next_fault) = (8, 20);
        for i in 0..count {
            let kind = random.below(if i < next_fault { 60 } else { 100 });
            let mut fate = Fate::Result;
            let words = match kind {
                0..30 => String::new(),
                30..40 => format!("@sleep:{}", random.below(8)),
                40..55 => "y".repeat(random.below(3000)),
                55..58 => "z".repeat(random.below(300_000)),
                58..60 => format!("@sleep:{} {}", random.below(4), "w".repeat(70_000)),
                60..66 if faults > 0 => {
                    let fault = ["@die:3", "@kill:9", "@partial @die:1", "@closeout @die:2"]
                        [random.below(4)];
                    (faults, next_fault) = (faults - 1, i + jobs + 3);
                    // A process that holds one record at a time takes no other with it.
                    fate = if window == "1" {
                        Fate::Result
                    } else {
                        Fate::Either
                    };
                    format!("@once:{} {fault}", env.path(&format!("once-{i}")))
                }
                66..70 if faults > 0 => {
                    (faults, next_fault) = (faults - 1, i + jobs + 3);
                    fate = Fate::Error;
                    ["@die:3", "@kill:9", "@partial @die:1"][random.below(3)].to_owned()
                }
                _ => "plain".to_owned(),
            };
            records.push(format!("{i} {words}"));
            fates.push(fate);
        }
        let suffix = ["", "!", " squared"][random.below(3)];
        Self {
            env,
            seed,
            options,
            suffix,
            records,
            fates,
        }
    }

    fn run(&self, order: &str) -> Done {
        eprintln!("{self} {order}");
        let input = records(&self.records);
        let run = self.env.mtask().args(&self.options).args([order]);
        run.worker(["--suffix", self.suffix]).run_on(input)
    }

    /// The record that a line of the output belongs to.
    fn index_of(&self, done: &Done, line: &[u8]) -> usize {
        if line.starts_with(ERROR_MARK) {
            return done.parse(line)["index"].as_u64().expect("an index") as usize;
        }
        let number = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        let index = String::from_utf8_lossy(number)
            .parse()
            .ok()
            .filter(|index| *index < self.records.len());
        index.unwrap_or_else(|| done.fail(&format!("{self}: a line belongs to no record")))
    }

    fn assert_outcome(&self, done: &Done, index: usize, line: &[u8]) {
        let failed = line.starts_with(ERROR_MARK);
        let fate = self.fates[index];
        if fate == Fate::Error || (fate == Fate::Either && failed) {
            done.check(
                line.starts_with(ERROR_MARK),
                &format!("{self}: record {index} has a result"),
            );
            let error = done.parse(line);
            let right = error["index"] == index
                && error["mtask_error"] == "worker_exit"
                && error["input"] == self.records[index];
            done.check(
                right,
                &format!("{self}: the error record of {index} is wrong"),
            );
        } else {
            let expected = format!("{}{}", self.records[index], self.suffix);
            done.check(
                line == expected.as_bytes(),
                &format!("{self}: the outcome of {index} is wrong"),
            );
        }
    }

    fn assert_status(&self, done: &Done) {
        done.assert_status(if done.error_records().is_empty() {
            0
        } else {
            123
        });
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "MTASK_TEST_SEED={} {}",
            self.seed,
            self.options.join(" ")
        )
    }
}

/// The seeds of this run: always the same ones, unless `MTASK_TEST_SEED` asks for others.
pub(crate) fn seeds() -> Vec<u64> {
    if let Some(seed) = seed_asked_for() {
        return vec![seed];
    }
    let mut random = Random(first_seed());
    (0..RUNS).map(|_| random.next() >> 32).collect()
}

/// What a test begins its random numbers with. It is the same in each run, so that a change is to
/// blame for what fails; `MTASK_TEST_SEED=random` looks further, and `MTASK_TEST_SEED=17` looks
/// again.
pub(crate) fn first_seed() -> u64 {
    const USUAL: u64 = 1;
    seed_asked_for().unwrap_or_else(|| match std::env::var_os("MTASK_TEST_SEED") {
        // The standard library's own source of chance.
        Some(_) => RandomState::new().build_hasher().finish(),
        None => USUAL,
    })
}

fn seed_asked_for() -> Option<u64> {
    let seed = std::env::var("MTASK_TEST_SEED").ok()?;
    (seed != "random").then(|| {
        let number = seed.parse();
        number.expect("MTASK_TEST_SEED is a number, or \"random\"")
    })
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

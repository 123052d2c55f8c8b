//! Random worlds in which the engine runs, under a simulated clock.
//!
//! One seed is one world ([`scenario`]): records that kill or hang workers, processes that fail by
//! themselves, a slow output, signals. The engine is the one that mtask runs, in a [`World`] of
//! simulated processes ([`outside`], [`child`], [`process`]); the threads that it has about it are
//! played ([`threads`]). Two books are kept apart from the scheduler's own state: what may be done
//! to whom ([`ledger`]), and what comes out ([`outcomes`], and [`promises`] of what the journal
//! vouches for). Both are looked at after each turn of the engine ([`checks`]).
//!
//! `MTASK_SIMULATIONS=1000000` runs more worlds, `MTASK_SIMULATIONS_FROM=1000` others,
//! `MTASK_SEED=17` one of them, with a trace.
//!
//! [`World`]: super::world::World

macro_rules! trace {
    ($this:expr, $($text:tt)*) => {
        if $this.traces {
            println!("{:>12.6} {}", $this.now.as_secs_f64(), format_args!($($text)*));
        }
    };
}

// After the macro, which they use.
mod actor;
mod checks;
mod child;
mod ledger;
mod outcomes;
mod outside;
mod promises;
mod scenario;
mod threads;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use checks::Simulation;
use fastrand::Rng;
use scenario::{Fault, Scenario};

const SEEDS: u64 = 10_000;
/// So many broken worlds tell enough.
const ENOUGH: usize = 10;

fn run(seed: u64, traces: bool) -> BTreeSet<Fault> {
    let mut rng = Rng::with_seed(seed);
    let scenario = Scenario::new(&mut rng);
    if traces {
        println!("{scenario:#?}");
    }
    Simulation::new(scenario, rng, Instant::now(), traces).run()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn the_laws_hold_in_random_worlds() {
    if let Some(seed) = number("MTASK_SEED") {
        println!("{:?}", run(seed, true));
        return;
    }
    let from = number("MTASK_SIMULATIONS_FROM").unwrap_or(0);
    let seeds = number("MTASK_SIMULATIONS").unwrap_or(SEEDS);
    let next = AtomicU64::new(from);
    let failed = Mutex::new(Vec::new());
    let met = Mutex::new([0; Fault::ALL.len()]);
    let work = || {
        loop {
            let seed = next.fetch_add(1, SeqCst);
            if seed >= from + seeds || failed.lock().expect("nobody panics here").len() >= ENOUGH {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| run(seed, false))) {
                Ok(faults) => {
                    let mut met = met.lock().expect("nobody panics here");
                    faults.iter().for_each(|fault| met[*fault as usize] += 1);
                }
                Err(_) => {
                    eprintln!("that was the world of MTASK_SEED={seed}");
                    failed.lock().expect("nobody panics here").push(seed);
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let mut failed = failed.into_inner().expect("nobody panics here");
    failed.sort_unstable();
    let tried = (next.into_inner() - from).min(seeds);
    assert!(
        failed.is_empty(),
        "{} of {tried} worlds break a law; MTASK_SEED=… replays one of {failed:?}",
        failed.len()
    );
    let met = met.into_inner().expect("nobody panics here");
    for (fault, worlds) in Fault::ALL.iter().zip(met) {
        println!("{fault:?}: in {worlds} of {tried} worlds");
        // Of few worlds, chance may leave out a fault.
        let is_often = worlds * 100 >= tried || tried < SEEDS;
        assert!(
            is_often,
            "{fault:?} in {worlds} of {tried} worlds is too seldom"
        );
    }
}

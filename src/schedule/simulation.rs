//! Random worlds in which the scheduler is driven through whole runs, under a simulated clock.
//!
//! One seed is one world ([`scenario`]): records that kill or hang workers, processes that fail by
//! themselves, a slow output, signals. It is driven ([`driver`]) as the engine drives it, with
//! simulated processes ([`process`]) and pipes ([`pipes`]). Two books are kept apart from the
//! scheduler's own state: what may be done to whom ([`ledger`]), and what comes out ([`outcomes`],
//! and [`promises`] of what a journal would vouch for).
//!
//! `MTASK_SIMULATIONS=1000000` runs more worlds, `MTASK_SEED=17` one of them, with a trace.

mod actor;
mod driver;
mod ledger;
mod outcomes;
mod pipes;
mod promises;
mod scenario;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use driver::Simulation;
use fastrand::Rng;
use scenario::Scenario;

const SEEDS: u64 = 10_000;
/// So many broken worlds tell enough.
const ENOUGH: usize = 10;

/// Gives whether workers could not start any more.
fn run(seed: u64, traces: bool) -> bool {
    let mut rng = Rng::with_seed(seed);
    let scenario = Scenario::new(&mut rng);
    if traces {
        println!("{scenario:#?}");
    }
    Simulation::new(scenario, rng, Instant::now(), traces).run()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

#[test]
fn the_laws_hold_in_random_worlds() {
    if let Some(seed) = number("MTASK_SEED") {
        run(seed, true);
        return;
    }
    let seeds = number("MTASK_SIMULATIONS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let fallen = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, SeqCst);
            if seed >= seeds || failed.lock().expect("nobody panics here").len() >= ENOUGH {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| run(seed, false))) {
                Ok(has_fallen) => {
                    fallen.fetch_add(u64::from(has_fallen), SeqCst);
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
    let tried = next.into_inner().min(seeds);
    assert!(
        failed.is_empty(),
        "{} of {tried} worlds break a law; MTASK_SEED=… replays one of {failed:?}",
        failed.len()
    );
    let fallen = fallen.into_inner();
    println!("in {fallen} of {tried} worlds workers cannot start any more");
    assert!(
        fallen * 100 >= tried,
        "too few to tell: {fallen} of {tried}"
    );
}

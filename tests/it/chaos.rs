//! Whatever workers do and whatever is asked of the run: each record has its one outcome, of the
//! right kind and in the right place, nothing is left running, and memory stays within its bounds.
//!
//! A seed makes a run ([`world`]): a theme of misbehaviour, options, and what each record may come
//! to. The seeds of `cargo test` are always the same; `MTASK_CHAOS=5000` makes so many other runs,
//! and `MTASK_SEED=17` makes one again.
//!
//! No run fails because the machine is slow. Time limits are set only where a worker truly hangs;
//! what load can then bring about beside is in the world's [`Expected`], record by record.

mod world;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use crate::done::{Done, ERROR_MARK};
use crate::env::TestEnv;
use crate::live::Live;
use world::{Cut, Expected, World};

/// How many runs `cargo test` makes.
const RUNS: u64 = 80;
/// So many at a time: most of a run's time is waited for.
const AT_A_TIME: usize = 4;
/// What mtask is in memory beside what it holds, and what comes on top of `--buffer`: the reads of
/// one turn and the error records, each of which may hold a record of a megabyte.
const ITSELF: usize = 24 << 20;

#[test]
fn whatever_workers_do_each_record_has_its_outcome() {
    let number = |name| {
        let value = std::env::var(name).ok()?;
        Some(value.parse::<u64>().expect("a number"))
    };
    if let Some(seed) = number("MTASK_SEED") {
        return run(seed);
    }
    // The same runs each time; who asks for a number of runs looks for new ones.
    let seeds = match number("MTASK_CHAOS") {
        Some(runs) => {
            let first = fastrand::u64(..1 << 40);
            first..first + runs
        }
        None => 0..RUNS,
    };
    let (next, failed) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, SeqCst);
            if seed >= seeds.end {
                return;
            }
            if catch_unwind(AssertUnwindSafe(|| run(seed))).is_err() {
                eprintln!("that was MTASK_SEED={seed}");
                failed.lock().expect("nobody panics here").push(seed);
            }
        }
    };
    thread::scope(|scope| (0..AT_A_TIME).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().expect("nobody panics here");
    assert!(failed.is_empty(), "MTASK_SEED=… replays one of {failed:?}");
}

fn run(seed: u64) {
    let env = TestEnv::new();
    let world = World::new(seed, &env);
    let live = env.mtask().args(&world.options).worker(&world.worker).open();
    let done = feed(live, &world);
    judge(&done, &world);
    // A run that is cut short may have begun no process.
    let must_begin = world.cut == Cut::Never && !world.records.is_empty();
    if must_begin || env.exists("workers.pids") {
        env.assert_all_gone("workers.pids");
    }
    // A worker may have been killed before it had noted its child.
    if !env.lines("children.pids").is_empty() {
        env.assert_all_gone("children.pids");
    }
}

/// Writes the records, and reads what comes of them.
fn feed(mut live: Live, world: &World) -> Done {
    let mut pipe = live.take_stdin();
    let input = world.input();
    let is_whole = matches!(world.cut, Cut::Never);
    let ends_early = world.ends_early;
    let writer = thread::spawn(move || {
        let written = pipe.write_all(&input);
        assert!(written.is_ok() || !is_whole, "mtask reads its input");
        (!ends_early).then_some(pipe)
    });
    if world.ends_early {
        let done = live.wait();
        writer.join().expect("the input has been written");
        return done;
    }
    // Each outcome comes though the input has not ended.
    let awaited = match world.cut {
        Cut::Signal { after, .. } => after,
        _ => world.records.len(),
    };
    for _ in 0..awaited {
        if live.line_or_end().is_none() {
            break;
        }
    }
    if let Some(peak) = live.process().peak_memory() {
        let most = world.buffer + ITSELF;
        assert!(
            peak <= most,
            "mtask used {peak} bytes of memory and not {most} at most"
        );
    }
    if let Cut::Signal { signal, twice, .. } = world.cut {
        live.signal(signal);
        if twice {
            live.signal(signal);
        }
        let done = live.wait();
        let pipe = writer.join().expect("the input has been written");
        drop(pipe);
        return done;
    }
    let pipe = writer.join().expect("the input has been written");
    drop(pipe);
    live.wait()
}

fn judge(done: &Done, world: &World) {
    let lines = done.lines();
    let count = world.records.len();
    let errors = lines.iter().filter(|line| line.starts_with(ERROR_MARK));
    let is_cut = world.is_cut(errors.count());
    done.check(
        lines.len() == count || (is_cut && lines.len() < count),
        "there is not one outcome for each record",
    );
    let last = lines.len().wrapping_sub(1);
    let mut found = vec![false; count];
    let mut has_failed = false;
    for (place, line) in lines.into_iter().enumerate() {
        let error = line.starts_with(ERROR_MARK).then(|| done.parse(line));
        let index = match &error {
            Some(error) => error["index"].as_u64().expect("an index") as usize,
            None if world.is_ordered => place,
            None => world.index_of(line),
        };
        done.check(!found[index], "a record has two outcomes");
        // What a failure raises stands after all that could still be written.
        let is_raised = world.cut == Cut::Raise && error.is_some();
        done.check(
            !world.is_ordered || index == place || (is_raised && index > place),
            "an outcome is out of place",
        );
        done.check(
            !is_raised || place == last,
            "something follows the failure that ended the run",
        );
        found[index] = true;
        has_failed |= error.is_some();
        let kind = error.as_ref().map(|error| error["mtask_error"].as_str().expect("a kind"));
        let Expected { kinds, .. } = &world.records[index].expected;
        if !kinds.contains(&kind) {
            done.fail(&format!(
                "record {index} came to {kind:?} and not to one of {kinds:?}"
            ));
        }
        match &error {
            None => done.check(
                line == world.result(index),
                &format!(
                    "the result of record {index} is wrong, {} bytes and not {}: …{} and not …{}",
                    line.len(),
                    world.result(index).len(),
                    line[line.len().saturating_sub(8)..].escape_ascii(),
                    world.records[index].text.chars().take(60).collect::<String>(),
                ),
            ),
            Some(error) => {
                let is_whole = error["input"] == world.records[index].text.as_str();
                done.check(is_whole, &format!("the input of record {index} is wrong"));
                let attempts = error["attempts"].as_u64().expect("a number");
                done.check(
                    world.attempts(index).contains(&attempts),
                    &format!("record {index} was tried {attempts} times"),
                )
            }
        };
    }
    if let Cut::Signal { signal, .. } = world.cut {
        done.assert_signal(signal);
        return;
    }
    // A process that leaves after its last answer fails at its end, if it is told to end before.
    let fails_at_end = world.may_end_badly && done.stderr.contains("failed at the end");
    let counts = !world.ignores || is_cut;
    let is_failed = (has_failed && counts) || world.breaks || fails_at_end;
    done.assert_status(if is_failed { 123 } else { 0 });
}

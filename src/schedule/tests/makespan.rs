//! How long runs take against the best schedule there is, in simulated time: for many numbers of
//! records, workers, sizes of batches, starts and times.

use std::time::Duration;

use super::course::{self, Course, Manner, Seat};
use super::{MILLISECOND, SECOND};

/// Numbers that look random, always the same ones for a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / f64::from(1u32 << 31)
    }

    /// A time between these, in seconds.
    fn time(&mut self, from: f64, to: f64) -> Duration {
        Duration::from_secs_f64(from + (to - from) * self.roll())
    }

    fn times(&mut self, count: usize, from: f64, to: f64) -> Vec<Duration> {
        (0..count).map(|_| self.time(from, to)).collect()
    }
}

/// The soonest end of calls that each take `call` over up to `batch` records, given when workers
/// are up.
fn best_of_calls(records: usize, starts: &[Duration], batch: usize, call: Duration) -> Duration {
    let done_by = |end: Duration| {
        let calls =
            |start: &Duration| (end.saturating_sub(*start).as_nanos() / call.as_nanos()) as usize;
        starts.iter().map(calls).sum::<usize>() * batch
    };
    let ends =
        starts.iter().flat_map(|start| (1..=records as u32).map(|calls| *start + call * calls));
    ends.filter(|end| done_by(*end) >= records).min().expect("any number of calls will do")
}

/// The end where whoever is free first takes the next record, as `xargs -P` has it.
fn greedy(starts: &[Duration], times: &[Duration]) -> Duration {
    let mut free = starts.to_vec();
    for time in times {
        let next = free.iter_mut().min().expect("there are workers");
        *next += *time;
    }
    free.into_iter().max().expect("there are workers")
}

/// The numbers up to `most`: all small ones, then one of every few.
fn numbers(most: usize) -> impl Iterator<Item = usize> {
    (1..=most).filter(move |number| *number < 20 || number % 11 == 0 || most - number < 3)
}

#[track_caller]
fn assert_within(course: &Course, best: Duration, factor: f64, what: &str) {
    let took = course.took;
    assert!(
        took <= best.mul_f64(factor),
        "{what}: {took:?}, {:.2} of the best, {best:?}: {course:?}",
        took.as_secs_f64() / best.as_secs_f64()
    );
}

/// Workers that are up after these times, and take `times` over the records, by index.
fn one_by_one(starts: &[Duration], times: &[Duration], announces: bool) -> Course {
    let cost = |_: usize, records: &[u64]| times[records[0] as usize];
    let seats: Vec<_> = (starts.iter())
        .map(|start| Seat {
            ready_after: announces.then_some(*start),
            manner: Manner::OneByOne,
            cost: &cost,
        })
        .collect();
    course::run(times.len(), &seats, |_| ())
}

#[test]
fn no_worker_is_idle_while_equal_records_wait() {
    for (jobs, records) in [(4, 8), (4, 9), (4, 11), (2, 7), (8, 40), (3, 30)] {
        for call in [100 * MILLISECOND, SECOND, 5 * SECOND] {
            for seed in 0..6 {
                let mut dice = Dice(seed);
                let times: Vec<_> =
                    (0..records).map(|_| call.mul_f64(1.0 + 0.02 * dice.roll())).collect();
                let starts = dice.times(jobs, 0.2, 0.25);
                let course = one_by_one(&starts, &times, true);
                let what = format!("{records} records of {call:?}, -j{jobs}, seed {seed}");
                assert_within(&course, greedy(&starts, &times), 1.05, &what);
                assert_eq!(course.idle, Duration::ZERO, "{what}: {course:?}");
                let course = one_by_one(&vec![Duration::ZERO; jobs], &times, false);
                let best = greedy(&vec![Duration::ZERO; jobs], &times);
                assert_within(&course, best, 1.05, &format!("{what}, lines"));
                assert_eq!(course.idle, Duration::ZERO, "{what}: {course:?}");
            }
        }
    }
}

#[test]
fn uneven_records_are_done_as_if_each_free_worker_took_the_next() {
    for (jobs, records) in [(8, 24), (8, 40), (8, 100), (4, 9), (2, 10)] {
        for seed in 0..8 {
            for scale in [0.01, 1.0, 10.0] {
                let mut dice = Dice(seed);
                let times = dice.times(records, 0.5 * scale, 3.0 * scale);
                for announces in [true, false] {
                    let starts = match announces {
                        true => dice.times(jobs, 0.2, 0.3),
                        false => vec![Duration::ZERO; jobs],
                    };
                    let course = one_by_one(&starts, &times, announces);
                    let what = format!(
                        "{records} records, -j{jobs}, seed {seed}, scale {scale}, ready {announces}"
                    );
                    assert_within(&course, greedy(&starts, &times), 1.1, &what);
                }
            }
        }
    }
}

#[test]
fn batches_are_dealt_out_to_all_who_will_be_up() {
    let call = SECOND;
    for (jobs, batch) in [(4, 32), (2, 10), (3, 1), (5, 7), (8, 4)] {
        for spread in [0.0, 0.1, 0.3] {
            for records in numbers(4 * jobs * batch) {
                let mut dice = Dice(records as u64);
                let starts = dice.times(jobs, 0.3, 0.3 + spread);
                let cost = |_: usize, records: &[u64]| call + MILLISECOND * (records[0] % 7) as u32;
                let seats: Vec<_> = (starts.iter())
                    .map(|start| Seat {
                        ready_after: Some(*start),
                        manner: Manner::Batches(batch),
                        cost: &cost,
                    })
                    .collect();
                let course = course::run(records, &seats, |_| ());
                let running = &starts[..jobs.min(records)];
                // Nobody knows when the others will be up.
                let best =
                    best_of_calls(records, running, batch, call) + Duration::from_secs_f64(spread);
                let what = format!("{records} records, -j{jobs} --batch {batch}, spread {spread}");
                assert_within(&course, best, 1.15, &what);
                if records % (jobs * batch) == 0 {
                    assert_eq!(course.calls, records / batch, "{what}: {course:?}");
                }
                if records >= jobs {
                    assert!(
                        course.shares.iter().all(|share| *share > 0),
                        "{what}: {course:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn batches_whose_time_follows_from_their_size_end_together() {
    let each = 30 * MILLISECOND;
    for (jobs, batch) in [(4, 32), (2, 10), (5, 7), (8, 4)] {
        for records in numbers(4 * jobs * batch) {
            let mut dice = Dice(records as u64);
            let starts = dice.times(jobs, 0.3, 0.32);
            let cost = |_: usize, records: &[u64]| each * records.len() as u32;
            let seats: Vec<_> = (starts.iter())
                .map(|start| Seat {
                    ready_after: Some(*start),
                    manner: Manner::Batches(batch),
                    cost: &cost,
                })
                .collect();
            let course = course::run(records, &seats, |_| ());
            let running = &starts[..jobs.min(records)];
            let best = best_of_calls(records, running, 1, each);
            let what = format!("{records} records, -j{jobs} --batch {batch}");
            assert_within(&course, best, 1.15, &what);
        }
    }
}

#[test]
fn a_worker_that_does_not_come_up_is_waited_for_no_longer_than_others_took() {
    let (start, call) = (300 * MILLISECOND, SECOND);
    let cost = |_: usize, _: &[u64]| call;
    let seat = |ready_after| Seat {
        ready_after: Some(ready_after),
        manner: Manner::Batches(32),
        cost: &cost,
    };
    let seats = [seat(start), seat(start), seat(start), seat(20 * SECOND)];
    for records in [2, 4, 50, 96, 128] {
        let course = course::run(records, &seats, |_| ());
        assert!(course.took <= start + 2 * call, "{records}: {course:?}");
        assert_eq!(course.shares[3], 0);
    }
}

#[test]
fn a_worker_that_is_25_times_slower_holds_nothing_up() {
    for each in [MILLISECOND, 20 * MILLISECOND, SECOND] {
        for (jobs, records) in [(3, 600), (2, 200), (8, 1000)] {
            let (quick, slow) = (|_: usize, _: &[u64]| each, |_: usize, _: &[u64]| 25 * each);
            let seats: Vec<_> = (0..jobs)
                .map(|number| Seat {
                    ready_after: Some(Duration::ZERO),
                    manner: Manner::OneByOne,
                    cost: if number == 1 { &slow } else { &quick },
                })
                .collect();
            let course = course::run(records, &seats, |_| ());
            let rate = (jobs as f64 - 1.0 + 1.0 / 25.0) / each.as_secs_f64();
            let best = Duration::from_secs_f64(records as f64 / rate);
            assert_within(
                &course,
                best,
                1.05,
                &format!("{records} of {each:?}, -j{jobs}"),
            );
        }
    }
}

#[test]
fn a_record_that_takes_long_makes_no_worker_a_slow_one_and_lets_no_other_wait_behind_it() {
    let starts = [300 * MILLISECOND; 2];
    for long in [20, 40, 100] {
        let times = [vec![long * SECOND], vec![2 * SECOND; 30]].concat();
        let course = one_by_one(&starts, &times, true);
        let what = format!("a first record that takes {long} s");
        assert_within(&course, greedy(&starts, &times), 1.05, &what);
    }
}

//! What failures add up to: workers that are given up, runs that end, and what is said of it.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Bench, MILLISECOND, SECOND, WHOLE, WORKER};
use crate::exit::Status;
use crate::outcome::{Done, ExitStatus, Lines};
use crate::protocol::message::Message;
use crate::schedule::policy::{Delivery, MaxErrors, OnError, PlacesTold, Policy, Window};
use crate::schedule::{Death, Doubts, WorkerFaults, WorkerId};

#[test]
fn a_worker_is_given_up_after_so_many_processes_without_use() {
    let given_up = |most: u32, delivery, exit: &ExitStatus| {
        let mut bench = Bench::new(|policy| {
            policy.failures.max_restarts = most;
            policy.delivery = delivery;
        });
        bench.records(100);
        let mut processes = 0;
        while bench.ends.is_empty() {
            processes += 1;
            bench.die(exit.clone());
            bench.wait(20 * SECOND);
        }
        (processes, bench)
    };
    let (processes, bench) = given_up(3, Delivery::AtLeastOnce, &ExitStatus::Code(1));
    assert_eq!(processes, 3);
    assert_eq!(bench.scheduler.status(), Status::NoWorker);
    // A process that costs a record is of some use, four times as often.
    let (processes, bench) = given_up(3, Delivery::AtMostOnce, &ExitStatus::Code(1));
    assert_eq!((processes, bench.scheduler.tally().failures()), (12, 12));
}

#[test]
fn where_no_worker_is_left_the_last_words_of_the_last_one_are_told() {
    let told = |stderr: &str| {
        let mut bench = Bench::new(|policy| policy.failures.max_restarts = 1);
        bench.records(1);
        let death = Death {
            stderr: stderr.into(),
            ..Death::by(ExitStatus::Code(1))
        };
        bench.scheduler.died(WORKER, death, bench.now);
        bench.act();
        let began = bench.notices.iter().position(|notice| notice.starts_with("no worker"));
        bench.notices.split_off(began.unwrap())
    };
    let begins = "no worker could be kept running: the last one died (exit status 1); it";
    assert_eq!(
        told("oh\nno\n"),
        [&format!("{begins}s last words on stderr:"), "oh\nno"]
    );
    let nothing = format!(
        "{begins} said nothing on stderr: try COMMAND by itself, with a record on its stdin"
    );
    assert_eq!(told(" \n"), [nothing]);
}

#[test]
fn giving_up_tells_after_how_many_processes() {
    for (most, processes) in [(1, "1 process"), (2, "2 processes in a row")] {
        let mut bench = Bench::new(|policy| policy.failures.max_restarts = most);
        bench.records(1);
        for _ in 0..most {
            bench.die(ExitStatus::Code(1));
            bench.wait(SECOND);
        }
        let text = format!(
            "worker 0 is given up after {processes} without an answer (--max-restarts {most})"
        );
        let is_it = |notice: &&String| **notice == text;
        let count = bench.notices.iter().filter(is_it).count();
        assert_eq!(count, 1, "{:?}", bench.notices);
    }
}

#[test]
fn of_processes_that_come_to_nothing_the_first_and_then_a_few_are_named() {
    let mut bench = Bench::new(|policy| policy.failures.max_restarts = 200);
    bench.records(1);
    for _ in 0..120 {
        bench.die(ExitStatus::Code(1));
        bench.wait(20 * SECOND);
    }
    assert_eq!(bench.notices_with("later ones like it are counted"), 1);
    for (text, count) in [("the 10th like", 1), ("the 100th like", 1), ("like it", 3)] {
        assert_eq!(bench.notices_with(text), count, "{:?}", bench.notices);
    }
}

#[test]
fn processes_that_answer_too_much_are_given_up_too() {
    let mut bench = Bench::new(|policy| policy.failures.max_restarts = 2);
    bench.records(50);
    for processes in 1..=2 {
        assert_eq!(bench.starts, processes);
        let owed = bench.scheduler.owed(WORKER);
        bench.answer(owed);
        // More records may have been sent by now, so it is asked about those too.
        while bench.scheduler.owed(WORKER) > 0 {
            bench.answer(bench.scheduler.owed(WORKER));
        }
        bench.scheduler.heard(WORKER, Message::Stray(b"one more"), bench.now);
        bench.act();
        bench.die(ExitStatus::Signal(15));
        bench.records(5);
        bench.wait(SECOND);
    }
    assert_eq!(bench.starts, 2);
    let text = "worker 0 is given up after 2 processes in a row that did not give one answer for \
                each record (--max-restarts 2)";
    assert_eq!(bench.notices_with(text), 1, "{:?}", bench.notices);
}

#[test]
fn a_run_ends_at_the_failures_that_are_allowed_and_not_before() {
    let run = |on_error, max_errors: Option<u64>| {
        let mut bench = Bench::new(|policy| {
            policy.failures.on_error = on_error;
            policy.failures.max_errors = max_errors.map(MaxErrors::Count);
            policy.delivery = Delivery::AtMostOnce;
        });
        bench.records(5);
        bench.answer(1);
        for _ in 0..3 {
            bench.die(ExitStatus::Code(1));
            bench.wait(60 * SECOND);
        }
        bench
    };
    let bench = run(OnError::Defer, None);
    assert_eq!(
        (&bench.sent[..], bench.ends.len()),
        (&[0, 1, 2, 3, 4][..], 0)
    );
    assert_eq!(bench.notices_with("nothing more is sent"), 0);
    let bench = run(OnError::Defer, Some(2));
    assert_eq!(
        (&bench.sent[..], &bench.ends[..]),
        (&[0, 1, 2][..], &["finish"][..])
    );
    assert_eq!(
        bench.notices_with("2 records failed: nothing more is sent (--max-errors)"),
        1
    );
    assert_eq!(bench.notices_with("later failures are counted"), 1);
    let bench = run(OnError::Ignore, Some(1));
    assert_eq!(
        (&bench.sent[..], &bench.ends[..]),
        (&[0, 1][..], &["finish"][..])
    );
    assert_eq!(
        bench.notices_with("nothing more is sent"),
        1,
        "said of the record"
    );
    assert_eq!(bench.scheduler.status(), Status::RecordFailed);
    let bench = run(OnError::Drain, None);
    assert_eq!(
        (&bench.sent[..], &bench.ends[..]),
        (&[0, 1][..], &["finish"][..])
    );
}

#[test]
fn each_failure_but_the_first_is_only_counted() {
    let mut bench = Bench::new(|policy| policy.delivery = Delivery::AtMostOnce);
    bench.records(4);
    bench.answer(1);
    for _ in 0..2 {
        bench.die(ExitStatus::Code(1));
        bench.wait(Duration::from_secs(60));
    }
    assert_eq!(bench.notices_with("its error record is in the output"), 1);
    let told = "record 1 failed (worker_exit); its error record";
    assert_eq!(bench.notices_with(told), 1, "why has just been said");
    assert_eq!(bench.scheduler.tally().failures(), 2);
}

/// A run whose output takes nothing, with as much waiting for it as lets failures wait too.
fn held_up(change: impl FnOnce(&mut Policy)) -> Bench {
    held_up_by(2 << 20, change)
}

fn held_up_by(bytes: usize, change: impl FnOnce(&mut Policy)) -> Bench {
    let mut bench = Bench::new(change);
    bench.scheduler.set_output_room(0);
    bench.records(1);
    let answer = [vec![b'y'; bytes], vec![b'\n']].concat();
    bench.scheduler.heard(WORKER, Message::Results(1, Lines::Lent(&answer)), bench.now);
    bench.scheduler.heard(WORKER, WHOLE, bench.now);
    bench.act();
    bench.records(4);
    bench
}

#[test]
fn what_a_failure_means_does_not_wait_for_the_output() {
    let run = |change: fn(&mut Policy)| {
        let mut bench = held_up(change);
        for _ in 0..6 {
            bench.die(ExitStatus::Code(1));
            bench.wait(20 * SECOND);
        }
        bench
    };
    let bench = run(|policy| {
        policy.delivery = Delivery::AtMostOnce;
        policy.failures.on_error = OnError::Drain;
    });
    assert_eq!((&bench.sent[..], bench.ends.len()), (&[0, 1][..], 0));
    let bench = run(|policy| {
        policy.delivery = Delivery::AtMostOnce;
        policy.failures.max_errors = Some(MaxErrors::Count(2));
    });
    assert_eq!((&bench.sent[..], bench.ends.len()), (&[0, 1, 2][..], 0));
    let bench = run(|policy| {
        policy.delivery = Delivery::AtMostOnce;
        policy.failures.on_error = OnError::Raise;
    });
    assert_eq!(
        (&bench.sent[..], &bench.ends[..]),
        (&[0, 1][..], &["finish"][..])
    );
    let mut bench = held_up(|policy| policy.failures.retries = 2);
    for _ in 0..5 {
        bench.die_of_a_record();
    }
    let tried = bench.sent.iter().filter(|index| **index == 1).count();
    assert!(tried > 2, "record 1 is tried again: {:?}", bench.sent);
}

#[test]
fn failures_that_wait_for_the_output_are_counted_as_waiting() {
    let mut bench = held_up(|policy| policy.delivery = Delivery::AtMostOnce);
    for _ in 0..4 {
        bench.die(ExitStatus::Code(1));
        bench.wait(20 * SECOND);
    }
    let waits = |bench: &Bench| bench.scheduler.under_way(bench.now).waiting;
    assert_eq!((waits(&bench), bench.scheduler.tally().failures()), (4, 0));
    assert_eq!(bench.scheduler.finished_bytes(), Some(2));
    bench.scheduler.set_output_room(64 << 20);
    bench.wait(SECOND);
    assert_eq!((waits(&bench), bench.scheduler.tally().failures()), (0, 4));
    assert_eq!(bench.scheduler.finished_bytes(), Some(10));
}

#[test]
fn few_failures_do_not_wait_for_the_output() {
    let mut bench = held_up_by(900_000, |policy| policy.delivery = Delivery::AtMostOnce);
    bench.die(ExitStatus::Code(1));
    bench.judge();
    assert_eq!(bench.scheduler.tally().failures(), 1);
}

#[test]
fn failures_that_wait_for_the_output_are_written_though_no_worker_is_left() {
    let mut bench = held_up(|policy| {
        policy.delivery = Delivery::AtMostOnce;
        policy.failures.max_restarts = 1;
    });
    bench.records(1);
    for _ in 0..5 {
        bench.die(ExitStatus::Code(1));
        bench.wait(20 * SECOND);
    }
    assert_eq!(bench.notices_with("is given up"), 1, "{:?}", bench.notices);
    assert!(
        bench.ends.is_empty(),
        "the failures are still to be written"
    );
    bench.scheduler.set_output_room(64 << 20);
    bench.wait(SECOND);
    assert_eq!(bench.scheduler.tally().failures(), 5);
    assert_eq!(bench.written().lines().count(), 6);
    assert_eq!(bench.ends, ["finish"]);
}

#[test]
fn of_records_that_fail_together_the_last_that_is_allowed_ends_the_run() {
    let mut bench = Bench::new(|policy| {
        policy.window = Window::Full;
        policy.failures.max_errors = Some(MaxErrors::Count(5));
    });
    (bench.scheduler).resume(
        Done::default(),
        WorkerFaults::default(),
        Doubts::default(),
        None,
        PlacesTold::Failures,
    );
    bench.records(10);
    bench.end_input();
    bench.answer(2);
    bench.die(ExitStatus::Code(0));
    bench.judge();
    let told = bench.scheduler.written().done.ranges.end();
    assert_eq!(
        told, 6,
        "the fifth failure is tried again when the run goes on"
    );
    assert_eq!(
        bench.notices_with("5 records failed: nothing more is sent"),
        1
    );
}

#[test]
fn a_suspect_is_not_kept_waiting_by_all_that_follows() {
    let mut bench = Bench::of_workers(2, |policy| policy.failures.max_restarts = 1);
    bench.records(100_000);
    assert_eq!(bench.sent, [0, 1]);
    for _ in 0..20 {
        bench.wait(MILLISECOND);
        bench.answer(bench.scheduler.owed(WORKER));
    }
    // The other worker is given up, and this one always has more to do.
    let other = WorkerId(1);
    (bench.scheduler).died(other, Death::by(ExitStatus::Code(1)), bench.now);
    bench.act();
    for _ in 0..50 {
        let owed = bench.scheduler.owed(WORKER);
        bench.wait(MILLISECOND);
        if owed > 0 {
            bench.answer(owed.div_ceil(2));
        }
    }
    let again = bench.sent.iter().filter(|index| **index == 1).count();
    assert_eq!(again, 2, "{:?}", bench.notices);
}

#[test]
fn a_signal_tells_how_much_it_leaves_to_finish() {
    let told = |records: usize| {
        let mut bench = Bench::new(|policy| policy.window = Window::Full);
        bench.records(1);
        bench.answer(1);
        bench.notices.clear();
        if records > 0 {
            bench.records(records);
        }
        bench.scheduler.interrupt(15, bench.now);
        bench.act();
        bench.notices.concat()
    };
    assert_eq!(told(0), "");
    assert!(told(1).contains("(SIGTERM): 1 record that was sent may finish within --grace 5s"));
    assert!(told(7).contains("(SIGTERM): 7 records that were sent may finish"));
}

#[test]
fn a_run_that_is_cut_short_tells_what_it_has_left() {
    let left = |end_input: bool, on_error| {
        let mut bench = Bench::new(|policy| policy.failures.on_error = on_error);
        bench.records(5);
        bench.answer(1);
        if end_input {
            bench.end_input();
        }
        match on_error {
            OnError::Raise => {
                let now = bench.now;
                bench.scheduler.heard(WORKER, Message::TooLarge, now);
            }
            _ => {
                bench.scheduler.interrupt(15, bench.now);
                bench.scheduler.interrupt(15, bench.now);
            }
        }
        bench.act();
        bench.die(ExitStatus::Signal(9));
        bench.wait(20 * SECOND);
        let end = bench.scheduler.tally().early_end.expect("it ended early");
        (end.records, end.is_input_left)
    };
    assert_eq!(
        left(false, OnError::Defer),
        (4, false),
        "who sends a signal knows"
    );
    assert_eq!(left(false, OnError::Raise), (3, true));
    assert_eq!(left(true, OnError::Raise), (3, false));
}

#[test]
fn a_run_that_sends_nothing_more_tells_what_it_has_left_and_a_whole_one_has_nothing() {
    let left = |on_error, output_fails: bool| {
        let mut bench = Bench::new(|policy| {
            policy.failures.on_error = on_error;
            policy.window = Window::Records(NonZeroUsize::MIN);
        });
        bench.records(5);
        bench.end_input();
        let now = bench.now;
        bench.scheduler.heard(WORKER, Message::TooLarge, now);
        bench.scheduler.heard(WORKER, WHOLE, now);
        bench.act();
        while bench.scheduler.owed(WORKER) > 0 {
            bench.answer(1);
        }
        if output_fails {
            bench.scheduler.output_failed(bench.now);
        }
        bench.act();
        bench.die(ExitStatus::Code(0));
        assert_eq!(bench.ends.last(), Some(&"finish"));
        (bench.scheduler.tally().early_end).map(|end| (end.records, end.is_input_left))
    };
    assert_eq!(left(OnError::Defer, false), None);
    assert_eq!(left(OnError::Drain, false), Some((4, false)));
    assert_eq!(
        left(OnError::Drain, true),
        None,
        "who knows what is written"
    );
}

//! Limits and clocks: what runs on, what stands still, and what is said of it.

use std::num::NonZeroUsize;
use std::time::Instant;

use super::{Bench, MILLISECOND, OTHER, SECOND, WORKER};
use crate::budget::{BOOKKEEPING, Budget};
use crate::exit::Status;
use crate::input::{Flaw, Rejected, Rejection, Requirement};
use crate::outcome::{Done, ExitStatus};
use crate::protocol::message::{Base64Input, Begins, Cancels, Capabilities};
use crate::record::{Block, Index, Separator, Slice};
use crate::schedule::policy::{Delivery, MaxErrors, PlacesTold, Window};
use crate::schedule::process::{Generation, Process};
use crate::schedule::queue::Queue;
use crate::schedule::{Doubts, WorkerFaults, WorkerId};

/// A worker that has answered record 0 and holds record 1, the last one.
fn at_its_last(change: impl FnOnce(&mut super::Policy)) -> Bench {
    let mut bench = Bench::new(change);
    bench.records(2);
    bench.answer(1);
    bench
}

#[test]
fn nobody_is_charged_where_a_worker_takes_no_records() {
    let mut bench = at_its_last(|policy| policy.limits.timeout = Some(10 * SECOND));
    bench.unsent = 1;
    bench.wait(11 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
    assert_eq!(bench.scheduler.tally().failures(), 0);
    assert_eq!(
        bench.notices_with("is ended (it closed its stdin"),
        1,
        "{:?}",
        bench.notices
    );
}

#[test]
fn a_worker_that_does_not_exit_is_killed_and_shows_in_the_status() {
    let mut bench = at_its_last(|policy| policy.limits.exit_timeout = 10 * SECOND);
    bench.end_input();
    bench.answer(1);
    assert!(
        bench.scheduler.wake_at() > Some(bench.now),
        "no turn in vain"
    );
    bench.wait(9 * SECOND);
    assert_eq!(bench.ends, ["end of stdin"]);
    // mtask and its workers are stopped for a while.
    bench.now += 60 * SECOND;
    bench.scheduler.was_suspended(60 * SECOND, bench.now);
    bench.wait(SECOND / 2);
    assert_eq!(bench.ends, ["end of stdin"]);
    bench.wait(SECOND);
    assert_eq!(bench.ends, ["end of stdin", "SIGTERM"]);
    assert_eq!(
        bench.notices_with("did not exit within --exit-timeout 10s"),
        1
    );
    bench.now += 60 * SECOND;
    bench.scheduler.was_suspended(60 * SECOND, bench.now);
    bench.wait(4 * SECOND);
    assert_eq!(bench.ends.len(), 2, "the grace of 5 s stood still");
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["end of stdin", "SIGTERM", "SIGKILL"]);
    bench.die(ExitStatus::Signal(9));
    assert_eq!(bench.scheduler.tally().faults.bad_ends, 1);
    assert_eq!(bench.scheduler.status(), Status::RecordFailed);
}

#[test]
fn a_process_that_answers_after_the_end_of_its_stdin_has_its_time_to_exit_from_then_on() {
    let mut bench = Bench::new(|policy| {
        policy.window = Window::Full;
        policy.limits.exit_timeout = 10 * SECOND;
    });
    bench.records(3);
    bench.answer(1);
    bench.end_input();
    assert_eq!(bench.ends, ["end of stdin"]);
    bench.wait(20 * SECOND);
    bench.answer(2);
    assert!(
        bench.scheduler.wake_at() > Some(bench.now),
        "no turn in vain"
    );
    bench.wait(9 * SECOND);
    assert_eq!(bench.ends, ["end of stdin"]);
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["end of stdin", "SIGTERM"]);
}

#[test]
fn the_grace_of_a_signal_stands_still_with_mtask() {
    let mut bench = at_its_last(|policy| policy.limits.grace = 10 * SECOND);
    bench.scheduler.interrupt(15, bench.now);
    bench.act();
    bench.now += 60 * SECOND;
    bench.scheduler.was_suspended(60 * SECOND, bench.now);
    bench.wait(4 * SECOND);
    assert!(!bench.ends.contains(&"SIGTERM"));
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends.last(), Some(&"SIGTERM"));
    bench.wait(3 * SECOND);
    assert_eq!(bench.ends.last(), Some(&"SIGTERM"));
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends.last(), Some(&"SIGKILL"));
}

#[test]
fn after_a_stop_of_unknown_length_all_clocks_begin_anew() {
    let mut bench = at_its_last(|policy| {
        policy.limits.timeout = Some(10 * SECOND);
        policy.limits.grace = 5 * SECOND;
    });
    bench.wait(9 * SECOND);
    bench.scheduler.was_stopped(bench.now);
    bench.wait(9 * SECOND);
    assert!(bench.ends.is_empty());
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
    bench.wait(3 * SECOND);
    bench.scheduler.was_stopped(bench.now);
    bench.wait(4 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM", "SIGKILL"]);
}

#[test]
fn a_reminder_tells_what_ends_the_wait() {
    let mut bench = at_its_last(|_| ());
    bench.wait(61 * SECOND);
    let text = "worker 0 has not answered record 1 for 60 s; --timeout DURATION would end the wait";
    assert_eq!(bench.notices_with(text), 1, "{:?}", bench.notices);
    let mut bench = at_its_last(|policy| policy.limits.timeout = Some(90 * SECOND));
    bench.wait(61 * SECOND);
    assert_eq!(
        bench.notices_with("for 60 s; --timeout 90s ends the wait"),
        1
    );
}

#[test]
fn a_reminder_before_any_answer_tells_what_ends_that_wait() {
    let mut bench = Bench::new(|policy| {
        policy.limits.timeout = Some(2 * SECOND);
        policy.limits.init_timeout = Some(300 * SECOND);
    });
    bench.records(1);
    bench.wait(61 * SECOND);
    assert_eq!(
        bench.notices_with("record 0 for 60 s; --init-timeout 300s ends the wait"),
        1,
        "{:?}",
        bench.notices
    );
}

#[test]
fn a_reminder_of_a_later_process_tells_of_the_timeout_that_it_has() {
    let mut bench = at_its_last(|policy| {
        policy.limits.timeout = Some(90 * SECOND);
        policy.limits.init_timeout = Some(300 * SECOND);
    });
    bench.die(ExitStatus::Code(1));
    bench.wait(62 * SECOND);
    let text = "record 1 for 60 s; --timeout 90s ends the wait";
    assert_eq!(bench.notices_with(text), 1, "{:?}", bench.notices);
}

#[test]
fn failures_of_earlier_runs_count_towards_max_errors() {
    let mut bench = Bench::new(|policy| {
        policy.failures.max_errors = Some(MaxErrors::Count(3));
        policy.delivery = Delivery::AtMostOnce;
    });
    let mut earlier = Done::default();
    assert!(earlier.ranges.insert(0..2));
    earlier.failed.insert("timeout", 1);
    (bench.scheduler).resume(
        earlier,
        WorkerFaults::default(),
        Doubts::default(),
        None,
        PlacesTold::Failures,
    );
    bench.next = 2;
    bench.records(5);
    bench.answer(1);
    for failures in 1..=2 {
        assert!(bench.ends.is_empty());
        bench.die(ExitStatus::Code(1));
        bench.wait(SECOND);
        assert_eq!(bench.scheduler.tally().failures(), failures);
    }
    assert_eq!(bench.ends, ["finish"]);
}

#[test]
fn a_ready_process_forgives_those_before() {
    let mut bench = Bench::new(|policy| policy.failures.max_restarts = 3);
    bench.records(10);
    let fail = |bench: &mut Bench, processes: usize| {
        for _ in 0..processes {
            bench.die(ExitStatus::Code(1));
            bench.wait(10 * SECOND);
        }
    };
    fail(&mut bench, 2);
    bench.answer(1);
    let starts = bench.starts;
    bench.die(ExitStatus::Code(1));
    bench.wait(250 * MILLISECOND);
    assert_eq!(bench.starts, starts + 1, "as soon as the death is judged");
    fail(&mut bench, 2);
    assert!(bench.ends.is_empty(), "{:?}", bench.notices);
}

#[test]
fn a_limit_on_bytes_in_flight_follows_what_is_answered() {
    let mut bench = Bench::new(|_| ());
    let record = format!("{}\n", "x".repeat(40_000));
    for _ in 0..60 {
        bench.bytes(&record.repeat(3));
        for _ in 0..3 {
            bench.wait(MILLISECOND / 10);
            let owed = bench.scheduler.owed(WORKER);
            assert!(owed <= 4, "{owed} records of 40 kB");
            bench.answer(1);
        }
    }
    bench.bytes(&record.repeat(10));
    assert_eq!(
        bench.scheduler.owed(WORKER),
        4,
        "three are less than 128 KiB"
    );
}

#[test]
fn a_process_with_more_to_do_answers_one_record_more_later() {
    let now = Instant::now();
    let budget = Budget::new(1 << 20);
    let mut process = Process::new(Generation::First, now);
    let said = Capabilities {
        concurrency: Ok(None),
        begins: Begins::Untold,
        cancels: Cancels::Untold,
        base64: Base64Input::Untold,
    };
    process.announced(said, now);
    process.answered(10, now + 10 * MILLISECOND);
    let near = |seconds: f64, expected: f64| (seconds - expected).abs() < 1e-9;
    assert!(near(process.expected(now), 0.001));
    assert!(near(process.next_answer(now), 0.001));
    assert_eq!(process.owed.lowest(), None);
    let mut queue = Queue::new(Separator::Newline);
    budget.add(8 + BOOKKEEPING);
    let block = Block {
        first: Index(7),
        count: 4,
        bytes: Slice::new(b"1\n2\n3\n4\n".to_vec(), &budget),
    };
    queue.push(block, now);
    process.sent(queue.pop(3, usize::MAX, &[]).unwrap(), None, now);
    assert!(near(process.next_answer(now), 0.004));
    assert_eq!(process.owed.lowest(), Some(Index(7)));
    let later = now + 50 * MILLISECOND;
    assert!(
        near(process.expected(later), 0.05),
        "its oldest is under way for so long"
    );
    assert!(near(process.next_answer(later), 0.2));
}

#[test]
fn so_much_input_is_wanted_as_keeps_workers_busy() {
    let mut bench = Bench::new(|policy| policy.window = Window::Records(NonZeroUsize::MIN));
    let record = "x".repeat(1023) + "\n";
    bench.bytes(&record.repeat(256));
    assert!(bench.scheduler.wants_input(), "one has been sent");
    bench.bytes(&record);
    assert!(!bench.scheduler.wants_input(), "256 KiB wait");
    bench.answer(1);
    assert!(bench.scheduler.wants_input());
    assert_eq!(bench.scheduler.finished_bytes(), Some(1024));
    bench.budget.add(4 + BOOKKEEPING);
    bench.scheduler.rejected(
        Rejected {
            index: Index(257),
            reason: Rejection::Invalid {
                flaw: Flaw {
                    expected: Requirement::Json,
                    line: 258,
                    column: 1,
                    message: String::new(),
                },
                record: Slice::new(b"four".to_vec(), &bench.budget),
            },
        },
        bench.now,
    );
    for _ in 0..256 {
        bench.answer(1);
    }
    let all = 257 * 1024 + "four\n".len() as u64;
    assert_eq!(bench.scheduler.finished_bytes(), Some(all));
}

#[test]
fn while_the_buffer_is_full_only_the_lowest_record_is_waited_for() {
    let mut bench = Bench::of_workers(2, |policy| {
        policy.window = Window::Records(NonZeroUsize::MIN);
        policy.limits.timeout = Some(10 * SECOND);
    });
    let other = WorkerId(1);
    bench.scheduler.input_is_slow(bench.now);
    bench.records(2);
    bench.answer(1);
    bench.answer_of(other, 1);
    bench.records(4);
    assert_eq!(bench.sent, [0, 1, 2, 3]);
    let limit = bench.budget.limit();
    bench.budget.add(limit);
    bench.scheduler.choose_read_from(bench.now);
    let heard = |bench: &Bench| {
        (
            bench.scheduler.reads_from(WORKER),
            bench.scheduler.reads_from(other),
        )
    };
    assert_eq!(heard(&bench), (true, false));
    bench.wait(5 * SECOND);
    bench.answer(1);
    bench.scheduler.choose_read_from(bench.now);
    assert_eq!(
        heard(&bench),
        (false, true),
        "the other one owes nothing any more"
    );
    assert_eq!(
        bench.sent.len(),
        4,
        "nothing is sent past what is waited for"
    );
    bench.wait(9 * SECOND);
    assert!(
        bench.ends.is_empty(),
        "it had its time only when it was heard"
    );
    bench.budget.free(limit);
    bench.wait(SECOND / 2);
    assert_eq!(bench.sent, [0, 1, 2, 3, 4]);
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
}

#[test]
fn outcomes_that_wait_for_nothing_but_room_are_known() {
    let mut bench = Bench::new(|policy| policy.window = Window::Full);
    bench.scheduler.set_output_room(1);
    bench.records(2);
    bench.answer(1);
    assert!(!bench.scheduler.is_backed_up(), "it may be written");
    bench.answer(1);
    assert!(bench.scheduler.is_backed_up());
    assert_eq!(bench.written(), "y\n");
    bench.scheduler.set_output_room(1);
    assert!(!bench.scheduler.is_backed_up());
    assert_eq!(bench.written(), "y\n");
}

#[test]
fn the_time_to_start_a_process_is_none_of_its_own() {
    let mut bench = Bench::new(|policy| policy.limits.init_timeout = Some(SECOND));
    bench.hold_actions = true;
    bench.records(1);
    bench.scheduler.take_actions();
    bench.now += 900 * MILLISECOND;
    bench.scheduler.started(WORKER, bench.now);
    bench.hold_actions = false;
    bench.wait(950 * MILLISECOND);
    assert!(bench.ends.is_empty());
    bench.wait(100 * MILLISECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
}

#[test]
fn while_the_buffer_is_full_only_the_lowest_record_is_sent() {
    let mut bench = Bench::of_workers(2, |policy| {
        policy.window = Window::Records(NonZeroUsize::MIN);
    });
    bench.records(6);
    assert_eq!(bench.sent, [0, 1]);
    let limit = bench.budget.limit();
    bench.budget.add(limit);
    bench.answer_of(OTHER, 1);
    assert_eq!(bench.sent, [0, 1], "nothing goes past record 0");
    bench.answer(1);
    assert_eq!(bench.sent, [0, 1, 2], "which is waited for now");
    bench.scheduler.choose_read_from(bench.now);
    bench.budget.free(limit);
    bench.scheduler.choose_read_from(bench.now);
    bench.act();
    assert_eq!(bench.sent, [0, 1, 2, 3]);
}

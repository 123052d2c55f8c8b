//! The check that a worker answers line by line, and what is in doubt when it does not.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Bench, MILLISECOND, OTHER, SECOND, WORKER};
use crate::exit::Status;
use crate::outcome::{ExitStatus, Lines};
use crate::protocol::message::Message;
use crate::schedule::policy::{Delivery, MaxErrors, OnError, Policy, Window};

impl Bench {
    /// Answers a record each millisecond, for so long. Gives in which of the tenths of a second the
    /// process has owed nothing though records waited.
    fn serve(&mut self, time: Duration) -> Vec<u128> {
        let begin = self.now;
        let mut empty = Vec::new();
        while self.now < begin + time {
            self.wait(MILLISECOND);
            if self.scheduler.owed(WORKER) > 0 {
                self.answer(1);
            } else {
                empty.push((self.now - begin).as_millis() / 100);
            }
        }
        empty.dedup();
        empty
    }

    /// A line more than is owed; gives what is said of it.
    fn write_too_much(&mut self) -> String {
        let owed = self.scheduler.owed(WORKER);
        if owed > 0 {
            let answers = "y\n".repeat(owed);
            self.scheduler.heard(
                WORKER,
                Message::Results(owed, Lines::Lent(answers.as_bytes())),
                self.now,
            );
        }
        self.scheduler.heard(WORKER, Message::Stray(b"more"), self.now);
        self.act();
        let says = |notice: &&String| notice.contains("with nothing to answer");
        self.notices.iter().find(says).expect("a notice").clone()
    }
}

#[test]
fn all_answers_since_the_last_check_are_in_doubt() {
    let mut bench = Bench::new(|_| ());
    bench.records(1);
    bench.answer(1);
    assert!(bench.write_too_much().contains("the answer of record 0 is in doubt"));

    let mut bench = Bench::new(|_| ());
    bench.records(10_000);
    bench.serve(SECOND / 4);
    let said = bench.write_too_much();
    let last = bench.sent.last().expect("it was sent some");
    let range = format!("its answers of records 0 to {last} are in doubt");
    assert!(said.contains(&range), "{said}");

    // Later it has been let run empty, watched and found in step.
    let mut bench = Bench::new(|_| ());
    bench.records(10_000);
    bench.serve(3 * SECOND);
    let said = bench.write_too_much();
    let low = said.split("records ").nth(1).expect("a range");
    let low: u64 = low.split(' ').next().unwrap().parse().unwrap();
    let answered = bench.scheduler.tally().results;
    assert!(
        (answered / 2..answered).contains(&low),
        "{said}, of {answered}"
    );
}

#[test]
fn a_process_that_was_idle_for_longer_than_an_answer_takes_is_in_step() {
    let doubt = |pause: Duration| {
        let mut bench = Bench::new(|_| ());
        for _ in 0..20 {
            bench.records(1);
            bench.wait(10 * MILLISECOND);
            bench.answer(1);
        }
        bench.wait(pause);
        bench.records(1);
        bench.wait(10 * MILLISECOND);
        bench.answer(1);
        bench.write_too_much()
    };
    // Twice what a record takes, and 1 ms.
    let said = doubt(20 * MILLISECOND);
    assert!(said.contains("records 0 to 20 are in doubt"), "{said}");
    let said = doubt(22 * MILLISECOND);
    assert!(
        said.contains("the answer of record 20 is in doubt"),
        "{said}"
    );
}

#[test]
fn a_process_whose_answers_may_take_longer_than_it_was_idle_is_not_known_to_be_in_step() {
    // What it answered first may have been a greeting, and nobody knows how long an answer takes.
    let mut bench = Bench::new(|_| ());
    bench.records(1);
    bench.answer(1);
    bench.wait(10 * SECOND);
    bench.records(1);
    let said = bench.write_too_much();
    assert!(said.contains("records 0 to 1 are in doubt"), "{said}");

    // A slow one is not watched for a part of that time only.
    let mut bench = Bench::new(|_| ());
    for _ in 0..5 {
        bench.records(1);
        bench.wait(SECOND);
        bench.answer(1);
    }
    bench.wait(SECOND);
    bench.records(1);
    let said = bench.write_too_much();
    assert!(said.contains("records 0 to 5 are in doubt"), "{said}");
}

#[test]
fn a_line_too_many_that_comes_with_an_answer_makes_no_worker_look_quick() {
    let mut bench = Bench::new(|_| ());
    bench.records(1);
    bench.answer(1);
    bench.records(2);
    bench.wait(80 * MILLISECOND);
    // The second line is one too many, and passes for the answer of record 2.
    bench.answer(2);
    bench.wait(100 * MILLISECOND);
    bench.records(1);
    bench.wait(50 * MILLISECOND);
    let said = bench.write_too_much();
    assert!(said.contains("records 0 to 3 are in doubt"), "{said}");
}

#[test]
fn where_a_line_is_missing_little_is_in_doubt() {
    for skipped in [20, 300, 3000] {
        let mut bench = Bench::new(|_| ());
        bench.records(100_000);
        let mut answered = 0;
        // A record each millisecond; one of them gives no line, and the others go on.
        for _ in 0..10_000 {
            bench.wait(MILLISECOND);
            let is_behind = answered >= skipped;
            if bench.scheduler.owed(WORKER) > usize::from(is_behind) {
                bench.answer(1);
                answered += 1;
            }
            if !bench.ends.is_empty() {
                break;
            }
        }
        assert_eq!(bench.ends, ["end of stdin"]);
        bench.die(ExitStatus::Code(0));
        bench.judge();
        let tally = bench.scheduler.tally();
        let (first, last) = tally.doubts.ranges()[0];
        assert!(first <= skipped && last >= skipped, "{:?}", tally.doubts);
        // What it is let answer in 20 ms, and what is sent ahead.
        assert!(last - first <= 40, "{skipped}: {:?}", tally.doubts);
        assert_eq!(bench.scheduler.status(), Status::InDoubt);
    }
}

#[test]
fn a_record_that_shows_a_missing_line_is_told_apart_from_what_lies_between() {
    let mut bench = Bench::of_workers(2, |_| ());
    bench.records(2);
    bench.answer_of(WORKER, 1);
    bench.answer_of(OTHER, 1);
    bench.records(100_000);
    // The one skips all that it is sent, until the other has gone far ahead; then it answers.
    let held = bench.scheduler.owed(WORKER);
    for _ in 0..20_000 {
        bench.wait(MILLISECOND);
        if bench.scheduler.owed(WORKER) > held {
            bench.answer_of(WORKER, 1);
        }
        if bench.scheduler.owed(OTHER) > 0 {
            bench.answer_of(OTHER, 1);
        }
        if !bench.ends.is_empty() {
            break;
        }
    }
    assert_eq!(bench.ends, ["end of stdin"]);
    bench.die(ExitStatus::Code(0));
    bench.judge();
    let doubts = &bench.scheduler.tally().doubts;
    let ranges = doubts.ranges();
    assert_eq!(ranges.len(), 2, "{doubts:?}");
    assert!(ranges[0].1 < 100 && ranges[1].0 > 100, "{doubts:?}");
    assert_eq!(ranges[1].0, ranges[1].1, "{doubts:?}");
}

#[test]
fn a_line_too_many_ends_the_run_as_a_failed_record_would() {
    let run = |change: fn(&mut Policy)| {
        let mut bench = Bench::new(change);
        bench.records(1);
        bench.answer(1);
        bench.write_too_much();
        bench.die(ExitStatus::Signal(15));
        bench.wait(SECOND);
        bench.records(1);
        bench
    };
    let bench = run(|_| ());
    assert_eq!(bench.sent, [0, 1], "the run goes on");
    let bench = run(|policy| policy.failures.on_error = OnError::Raise);
    assert_eq!((&bench.sent[..], bench.starts), (&[0][..], 1));
    assert_eq!(bench.notices_with("(--on-error raise)"), 1);
    let bench = run(|policy| policy.failures.on_error = OnError::Drain);
    assert_eq!((&bench.sent[..], bench.starts), (&[0][..], 1));
    assert_eq!(bench.notices_with("(--on-error drain)"), 1);
    let bench = run(|policy| policy.failures.max_errors = Some(MaxErrors::Count(1)));
    assert_eq!((&bench.sent[..], bench.starts), (&[0][..], 1));
    assert_eq!(bench.notices_with("(--max-errors)"), 1);
    let mut bench = run(|policy| policy.failures.max_errors = Some(MaxErrors::Count(2)));
    assert_eq!(bench.sent, [0, 1], "one more is allowed");
    bench.answer(1);
    bench.write_too_much();
    bench.records(1);
    assert_eq!(bench.sent, [0, 1]);
    assert_eq!(bench.notices_with("(--max-errors)"), 1);
    assert_eq!(bench.scheduler.status(), Status::InDoubt);
}

#[test]
fn a_process_that_was_silent_while_it_owed_a_record_is_not_known_to_be_in_step() {
    let mut bench = Bench::new(|policy| {
        policy.window = Window::Records(NonZeroUsize::new(2).unwrap());
    });
    bench.records(1);
    bench.answer(1);
    bench.records(1);
    bench.wait(5 * SECOND);
    bench.records(1);
    let said = bench.write_too_much();
    assert!(said.contains("records 0 to 2 are in doubt"), "{said}");
}

#[test]
fn a_process_is_watched_soon_and_then_once_a_second_where_its_answers_can_be_counted() {
    let runs_empty = |change: fn(&mut Policy)| {
        let mut bench = Bench::new(change);
        bench.records(10_000);
        bench.serve(4 * SECOND + SECOND / 2)
    };
    let auto: fn(&mut Policy) = |_| ();
    let one: fn(&mut Policy) = |policy| policy.window = Window::Records(NonZeroUsize::MIN);
    for change in [auto, one] {
        // The first time when the 3 ms that it takes are little; then after twice as long each
        // time.
        let times = runs_empty(change);
        let expected: [u128; 6] = [3, 5, 9, 17, 27, 37];
        let is_near = |(time, expected): (&u128, &u128)| time.abs_diff(*expected) <= 1;
        let are_near = times.iter().zip(&expected).all(is_near);
        assert!(times.len() == expected.len() && are_near, "{times:?}");
    }
    let two: fn(&mut Policy) =
        |policy| policy.window = Window::Records(NonZeroUsize::new(2).unwrap());
    for change in [two, |policy| policy.window = Window::Full] {
        assert_eq!(runs_empty(change), []);
    }
}

#[test]
fn a_silent_process_that_may_wait_for_more_is_not_asked() {
    let is_asked = |change: fn(&mut Policy), records: usize| {
        let mut bench = Bench::new(change);
        bench.records(1);
        bench.answer(1);
        bench.records(records);
        bench.wait(299 * SECOND);
        assert!(bench.ends.is_empty(), "{:?}", bench.notices);
        bench.wait(2 * SECOND);
        !bench.ends.is_empty()
    };
    let two: fn(&mut Policy) =
        |policy| policy.window = Window::Records(NonZeroUsize::new(2).unwrap());
    assert!(!is_asked(two, 1), "it collects two");
    assert!(is_asked(two, 2));
    assert!(!is_asked(|policy| policy.window = Window::Full, 5));
    assert!(is_asked(|policy| policy.delivery = Delivery::AtMostOnce, 5));
    assert!(is_asked(|_| (), 1), "no other record is there to show it");
}

#[test]
fn a_slow_process_is_asked_after_20_times_what_its_records_take() {
    let mut bench = Bench::new(|policy| policy.delivery = Delivery::AtMostOnce);
    for _ in 0..5 {
        bench.records(1);
        bench.wait(30 * SECOND);
        bench.answer(1);
    }
    bench.records(1);
    bench.wait(580 * SECOND);
    assert!(bench.ends.is_empty(), "{:?}", bench.notices);
    bench.wait(30 * SECOND);
    assert_eq!(bench.ends, ["end of stdin"]);
}

#[test]
fn what_a_worker_writes_after_its_last_answer_is_shown_and_shows_in_the_status() {
    for (written, shown) in [(60, "x".repeat(60)), (61, "x".repeat(60) + "…")] {
        let mut bench = Bench::new(|_| ());
        bench.records(1);
        bench.answer(1);
        bench.end_input();
        bench.die_with(ExitStatus::Code(0), &"x".repeat(written));
        bench.judge();
        let text =
            format!("wrote \"{shown}\" after its last answer; the answer of record 0 is in doubt");
        assert_eq!(bench.notices_with(&text), 1, "{:?}", bench.notices);
        assert_eq!(bench.scheduler.tally().faults.protocol_violations, 1);
        assert_eq!(bench.scheduler.status(), Status::InDoubt);
    }
}

#[test]
fn a_run_that_is_resumed_is_told_of_each_process_whose_answers_are_in_doubt() {
    let mut bench = Bench::new(|_| ());
    bench.scheduler.input_is_slow(bench.now);
    bench.act();
    let in_doubt = |bench: &Bench| bench.scheduler.tally().worker_faults().protocol_violations;
    let said = bench.write_too_much();
    assert!(said.contains("none of its answers is in doubt"), "{said}");
    assert_eq!(in_doubt(&bench), 0);
    for processes in 1..=2 {
        bench.die(ExitStatus::Signal(15));
        bench.wait(SECOND);
        bench.records(1);
        bench.answer(1);
        bench.write_too_much();
        assert_eq!(in_doubt(&bench), processes);
    }
    assert_eq!(bench.scheduler.tally().faults.protocol_violations, 3);
}

#[test]
fn no_check_keeps_records_back_while_no_clock_runs() {
    for before in [0, 1, 95, 101, 102, 103, 104, 105] {
        let mut bench = Bench::new(|_| ());
        bench.records(5000);
        bench.serve(before * MILLISECOND);
        // Nobody reads what mtask writes to stderr.
        bench.scheduler.reads_stderr(false, bench.now);
        let empty = bench.serve(3 * SECOND);
        assert!(bench.sent.len() > 1000, "{before} ms: {empty:?}");
        bench.scheduler.reads_stderr(true, bench.now);
        bench.serve(SECOND);
        assert!(bench.write_too_much().contains("in doubt"));
    }
}

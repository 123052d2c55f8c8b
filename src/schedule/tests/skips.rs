//! Records that a worker skips, and workers that only seem to.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Bench, MILLISECOND, SECOND, WORKER};
use crate::exit::Status;
use crate::outcome::Exit;
use crate::schedule::policy::{Delivery, Window};

#[test]
fn a_slow_worker_is_not_taken_for_one_that_skips_records() {
    let mut bench = Bench::new(|_| ());
    bench.records(500);
    for _ in 0..300 {
        bench.wait(Duration::from_millis(10));
        bench.answer(1);
    }
    for _ in 0..20 {
        bench.wait(Duration::from_millis(2500));
        bench.answer(1);
    }
    assert_eq!(
        (bench.starts, bench.ends.len()),
        (1, 0),
        "{:?}",
        bench.notices
    );
}

#[test]
fn a_worker_that_skips_a_record_is_found_before_the_input_ends() {
    let mut bench = Bench::new(|_| ());
    bench.records(30_000);
    // It skips the record after the first one, and answers each further one when the next has come.
    bench.answer(1);
    let mut answered = 1;
    for _ in 0..20_000 {
        bench.wait(Duration::from_millis(1));
        if bench.sent.len() > answered + 1 {
            answered += 1;
            bench.answer(1);
        }
        if !bench.ends.is_empty() {
            break;
        }
    }
    assert_eq!(bench.ends, ["end of stdin"]);
    bench.die(Exit::Code(0));
    bench.end_input();
    assert!(bench.written().contains("missing_answer"));
    assert_eq!(bench.scheduler.status(), Status::RecordFailed);
}

#[test]
fn a_skipped_record_is_found_even_where_no_further_one_may_be_sent() {
    for delivery in [Delivery::AtLeastOnce, Delivery::AtMostOnce] {
        let mut bench = Bench::new(|policy| {
            policy.window = Window::Records(NonZeroUsize::MIN);
            policy.delivery = delivery;
        });
        bench.records(3);
        bench.answer(1);
        bench.wait(299 * SECOND);
        assert!(bench.ends.is_empty());
        bench.wait(2 * SECOND);
        assert_eq!(bench.ends, ["end of stdin"]);
        bench.die(Exit::Code(0));
        assert!(bench.written().contains("missing_answer"));
        bench.wait(SECOND);
        bench.answer(1);
        bench.end_input();
        assert_eq!(bench.scheduler.tally().results, 2, "the others go on");
    }
}

#[test]
fn a_life_that_may_have_skipped_a_record_is_tried_with_the_next_as_soon_as_that_comes() {
    let mut bench = Bench::new(|_| ());
    bench.records(1);
    bench.wait(10 * MILLISECOND);
    bench.answer(1);
    bench.records(1);
    bench.wait(20 * SECOND);
    assert_eq!(bench.sent, [0, 1], "there is nothing to try it with");
    bench.records(1);
    bench.wait(MILLISECOND);
    assert_eq!(bench.sent, [0, 1, 2]);
}

#[test]
fn a_life_that_answers_a_trial_late_is_tried_again_in_its_time() {
    let mut bench = Bench::new(|_| ());
    bench.records(1000);
    for _ in 0..20 {
        bench.wait(10 * MILLISECOND);
        bench.answer(1);
    }
    // It skips the next one, and answers what it is tried with after a while.
    let tried = bench.sent.len() + 1;
    while bench.sent.len() < tried {
        bench.wait(100 * MILLISECOND);
    }
    bench.wait(300 * MILLISECOND);
    bench.answer(1);
    assert_eq!(bench.sent.len(), tried, "it still owes one");
    let usual = bench.scheduler.life(WORKER).unwrap().pace.per_record();
    assert!(usual < 2 * SECOND, "{usual:?}");
    bench.wait(usual * 20 + SECOND);
    assert_eq!(bench.sent.len(), tried + 1);
}

#[test]
fn a_life_that_is_let_run_empty_has_a_second_before_it_is_tried() {
    let mut bench = Bench::new(|_| ());
    bench.records(1000);
    // Longer than a second, so that it is let run empty when it falls silent.
    for _ in 0..101 {
        bench.wait(10 * MILLISECOND);
        if bench.scheduler.owed(WORKER) > 0 {
            bench.answer(1);
        }
    }
    while bench.scheduler.owed(WORKER) == 0 {
        bench.wait(MILLISECOND);
    }
    let sent = bench.sent.len();
    bench.wait(900 * MILLISECOND);
    assert_eq!(bench.sent.len(), sent);
    bench.wait(200 * MILLISECOND);
    assert_eq!(bench.sent.len(), sent + 1);
}

#[test]
fn a_life_that_collects_records_is_told_soon_that_it_has_had_its_last() {
    let mut bench = Bench::new(|policy| {
        policy.window = Window::Records(NonZeroUsize::new(3).unwrap());
        policy.lifespan = NonZeroUsize::new(4);
    });
    bench.records(20);
    bench.wait(SECOND);
    bench.answer(3);
    assert_eq!(bench.sent, [0, 1, 2, 3], "one life serves four");
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["end of stdin"]);
}

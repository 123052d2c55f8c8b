//! Records that a worker skips, and workers that only seem to.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Bench, MILLISECOND, OTHER, SECOND, WHOLE, WORKER};
use crate::exit::Status;
use crate::outcome::ExitStatus;
use crate::protocol::message::{Base64Input, Begins, Cancels, Capabilities, Message};
use crate::schedule::policy::{Delivery, Window};
use crate::schedule::{Death, Pipe, WorkerId};

impl Bench {
    /// So many answers, each so long after its record was sent.
    fn answers_after(&mut self, time: Duration, answers: usize) {
        for _ in 0..answers {
            while self.scheduler.owed(WORKER) == 0 {
                self.wait(MILLISECOND);
            }
            self.wait(time);
            self.answer(1);
        }
    }

    /// The process is silent until it is tried with a further record.
    fn wait_for_trial(&mut self) {
        while self.scheduler.owed(WORKER) == 0 {
            self.wait(MILLISECOND);
        }
        let sent = self.sent.len();
        while self.sent.len() == sent {
            self.wait(10 * MILLISECOND);
            assert!(self.ends.is_empty(), "{:?}", self.notices);
        }
    }

    /// The reader of the input waits until something has its outcome.
    fn fill_budget(&self) {
        let takes = self.budget.take_or_announce(self.budget.limit(), 0);
        assert!(!takes, "something is held");
    }
}

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
    bench.die(ExitStatus::Code(0));
    bench.end_input();
    bench.judge();
    assert!(bench.written().contains("missing_answer"));
    assert_eq!(bench.scheduler.status(), Status::InDoubt);
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
        bench.die(ExitStatus::Code(0));
        bench.judge();
        assert!(bench.written().contains("missing_answer"));
        bench.wait(SECOND);
        bench.answer(1);
        bench.end_input();
        assert_eq!(bench.scheduler.tally().results, 2, "the others go on");
    }
}

#[test]
fn a_process_that_may_have_skipped_a_record_is_tried_with_the_next_as_soon_as_that_comes() {
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
fn a_process_that_answers_a_trial_late_is_tried_again_in_its_time() {
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
    let usual = bench.scheduler.process(WORKER).unwrap().pace.per_record();
    assert!(usual < 2 * SECOND, "{usual:?}");
    bench.wait(usual * 20 + SECOND);
    assert_eq!(bench.sent.len(), tried + 1);
}

#[test]
fn a_process_that_is_let_run_empty_has_a_second_before_it_is_tried() {
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
fn a_process_that_collects_records_is_told_soon_that_it_has_had_its_last() {
    let mut bench = Bench::new(|policy| {
        policy.window = Window::Records(NonZeroUsize::new(3).unwrap());
        policy.lifespan = NonZeroUsize::new(4).into();
    });
    bench.records(20);
    bench.wait(SECOND);
    bench.answer(3);
    assert_eq!(bench.sent, [0, 1, 2, 3], "one process serves four");
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["end of stdin"]);
}

/// A process that has answered so often, each time after so long, and is tried since it is silent.
fn on_trial(each: Duration, answers: usize) -> Bench {
    let mut bench = Bench::new(|_| ());
    bench.records(1000);
    bench.answers_after(each, answers);
    bench.wait_for_trial();
    bench
}

#[test]
fn a_process_that_has_answered_a_trial_late_goes_on_as_before() {
    let mut bench = on_trial(10 * MILLISECOND, 20);
    bench.wait(300 * MILLISECOND);
    bench.answer(1);
    let sent = bench.sent.len();
    bench.answer(bench.scheduler.owed(WORKER));
    assert!(bench.sent.len() > sent, "it is not let run empty yet");
}

#[test]
fn a_process_that_answers_a_trial_at_once_has_20_times_as_long_for_what_it_owes() {
    let mut bench = on_trial(900 * MILLISECOND, 5);
    bench.wait(SECOND * 3 / 2);
    bench.answer(1);
    bench.wait(SECOND);
    // Something else calls for attention.
    bench.scheduler.was_suspended(Duration::ZERO, bench.now);
    bench.wait(28 * SECOND);
    assert!(bench.ends.is_empty(), "{:?}", bench.notices);
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["end of stdin"]);
    assert_eq!(bench.notices_with("may have skipped record"), 1);
}

#[test]
fn a_process_that_has_closed_its_stdin_is_tried_with_nothing() {
    let mut bench = Bench::new(|_| ());
    bench.records(1);
    bench.answer(1);
    bench.records(1);
    bench.scheduler.hung_up(WORKER, Pipe::Stdin, 0, bench.now);
    bench.records(1);
    bench.wait(30 * SECOND);
    assert_eq!(bench.sent, [0, 1]);
}

#[test]
fn a_process_that_has_had_all_its_records_is_tried_with_no_other() {
    let mut bench = Bench::new(|policy| policy.lifespan = NonZeroUsize::new(2).into());
    bench.records(3);
    bench.answer(1);
    bench.wait(2 * SECOND);
    assert_eq!(bench.sent, [0, 1]);
    assert_eq!(bench.ends, ["end of stdin"]);
}

#[test]
fn a_process_that_runs_empty_for_a_suspect_is_tried_with_no_other_record() {
    let mut bench = Bench::of_workers(2, |policy| policy.failures.max_restarts = 1);
    bench.records(10);
    bench.answer(1);
    let sent = bench.sent.clone();
    let death = Death::by(ExitStatus::Code(1));
    bench.scheduler.died(WorkerId(1), death, bench.now);
    bench.wait(10 * SECOND);
    assert_eq!(bench.sent, sent, "the other worker is given up");
    bench.answer(bench.scheduler.owed(WORKER));
    bench.wait(SECOND);
    assert_eq!(bench.sent[sent.len()..], [1]);
}

#[test]
fn a_process_that_everything_waits_for_is_asked_after_60_s() {
    for is_full in [true, false] {
        let mut bench = Bench::new(|_| ());
        bench.records(1);
        bench.answer(1);
        bench.records(1);
        if is_full {
            bench.fill_budget();
        }
        bench.wait(59 * SECOND);
        assert!(bench.ends.is_empty(), "{:?}", bench.notices);
        bench.wait(2 * SECOND);
        assert_eq!(!bench.ends.is_empty(), is_full);
        assert_eq!(
            bench.notices_with("may have skipped record 1"),
            usize::from(is_full)
        );
    }
}

#[test]
fn a_process_that_holds_a_suspect_is_not_checked() {
    let mut bench = Bench::new(|_| ());
    bench.records(3);
    bench.answer(1);
    assert_eq!(bench.sent, [0, 1, 2]);
    bench.die(ExitStatus::Code(1));
    bench.wait(SECOND);
    bench.answer(1);
    assert_eq!(bench.sent[3..], [1, 2], "one at a time");
    bench.wait(2 * SECOND);
    bench.records(1);
    bench.fill_budget();
    bench.wait(70 * SECOND);
    assert_eq!(bench.sent[3..], [1, 2], "nor is it tried with another");
    assert!(bench.ends.is_empty(), "{:?}", bench.notices);
}

#[test]
fn answers_in_the_middle_of_a_check_call_for_nothing_before_its_next_deadline() {
    let mut bench = Bench::new(|_| ());
    bench.records(10_000);
    let answer = |bench: &mut Bench| {
        bench.wait(MILLISECOND);
        // What was due by now has been dealt with.
        bench.scheduler.tick(&|_| 0, bench.now);
        bench.act();
        if bench.scheduler.owed(WORKER) > 0 {
            bench.answer(1);
        }
        let at = bench.scheduler.wake_at();
        assert!(at.is_none_or(|at| at > bench.now));
    };
    // It is let run empty, and found in step.
    for _ in 0..1100 {
        answer(&mut bench);
    }
    while bench.scheduler.owed(WORKER) < 3 {
        answer(&mut bench);
    }
    bench.wait_for_trial();
    for _ in 0..10 {
        answer(&mut bench);
    }
}

#[test]
fn input_that_comes_while_a_process_runs_empty_is_no_reason_to_try_it_sooner() {
    let mut bench = Bench::new(|_| ());
    bench.records(10_000);
    while !bench.scheduler.process(WORKER).unwrap().audit.holds_back() {
        bench.wait(MILLISECOND);
        bench.answer(1);
    }
    assert!(bench.scheduler.owed(WORKER) > 0, "it is not empty yet");
    let sent = bench.sent.len();
    bench.records(1);
    bench.wait(900 * MILLISECOND);
    assert_eq!(bench.sent.len(), sent);
    bench.wait(200 * MILLISECOND);
    assert_eq!(bench.sent.len(), sent + 1);
}

#[test]
fn a_first_record_that_the_only_worker_skips_holds_no_other_up() {
    let mut bench = Bench::json(|_| ());
    bench.records(3);
    bench.ready(0);
    bench.wait(900 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER), [0]);
    bench.wait(200 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER), [0, 1], "nobody else could take it");
    bench.reply(1);
    bench.wait(2 * SECOND);
    assert_eq!(bench.held_by(WORKER), [0, 2]);
}

/// A process says that it is up, and not how many records it takes at a time.
fn say_ready(bench: &mut Bench, worker: WorkerId) {
    let said = Capabilities {
        concurrency: Ok(None),
        begins: Begins::Untold,
        cancels: Cancels::Untold,
        base64: Base64Input::Untold,
    };
    bench.scheduler.heard(worker, Message::Ready(said), bench.now);
    bench.scheduler.heard(worker, WHOLE, bench.now);
    bench.act();
}

#[test]
fn where_all_workers_skip_their_first_record_one_is_tried_after_a_minute_and_tells_for_all() {
    let mut bench = Bench::json(|policy| policy.jobs = NonZeroUsize::new(2).unwrap());
    bench.records(6);
    bench.ready(0);
    say_ready(&mut bench, OTHER);
    bench.wait(58 * SECOND);
    let held = |bench: &Bench| (bench.held_by(WORKER), bench.held_by(OTHER));
    assert_eq!(held(&bench), (vec![0], vec![1]), "they may be slow");
    bench.wait(4 * SECOND);
    assert_eq!(held(&bench), (vec![0, 2], vec![1]));
    bench.reply(2);
    let (mut first, mut second) = held(&bench);
    assert_eq!((first.remove(0), second.remove(0)), (0, 1));
    let tried = [first, second].concat();
    assert_eq!(
        tried.iter().sum::<u64>(),
        3 + 4,
        "each has one more: {tried:?}"
    );
}

#[test]
fn a_worker_that_is_tried_in_vain_is_sent_no_more() {
    let mut bench = Bench::json(|policy| policy.jobs = NonZeroUsize::new(2).unwrap());
    bench.records(6);
    bench.ready(0);
    bench.wait(4 * 60 * SECOND);
    assert_eq!(bench.held_by(WORKER), [0, 2]);
    assert_eq!(bench.held_by(OTHER), [1]);
}

#[test]
fn a_worker_that_skips_its_first_record_is_tried_though_another_has_yet_to_start() {
    let mut bench = Bench::json(|policy| policy.jobs = NonZeroUsize::new(2).unwrap());
    bench.records(6);
    say_ready(&mut bench, OTHER);
    bench.wait(4 * 60 * SECOND);
    assert_eq!(bench.held_by(WORKER), [0], "it may be starting");
    assert_eq!(bench.held_by(OTHER), [1, 2]);
}

//! Who is listened to while the buffer is full, what goes on when it is not any more, and input
//! that waits.

use std::num::NonZeroUsize;

use super::{Bench, MILLISECOND, OTHER, SECOND, WORKER};
use crate::outcome::ExitStatus;
use crate::schedule::WorkerId;
use crate::schedule::policy::{Lead, Order, Policy, Window};

const THIRD: WorkerId = WorkerId(2);

impl Bench {
    /// So many workers that have answered a record each, and take one at a time.
    fn of_equals(count: usize, change: impl FnOnce(&mut Policy)) -> Self {
        let mut bench = Self::of_workers(count, |policy| {
            policy.window = Window::Records(NonZeroUsize::MIN);
            change(policy);
        });
        bench.records(count);
        (0..count).for_each(|worker| bench.answer_of(WorkerId(worker), 1));
        bench.written();
        bench
    }

    fn fill_buffer(&mut self) {
        self.budget.add(self.budget.limit());
        self.scheduler.choose_read_from(self.now);
        self.act();
    }

    fn empty_buffer(&mut self) {
        self.budget.free(self.budget.limit());
        self.scheduler.choose_read_from(self.now);
        self.act();
    }

    fn begun(&mut self, worker: WorkerId, bytes: usize) {
        self.scheduler.note_begun(worker, bytes, self.now);
    }

    fn heard(&self) -> Vec<usize> {
        (0..self.scheduler.jobs())
            .filter(|worker| self.scheduler.reads_from(WorkerId(*worker)))
            .collect()
    }
}

#[test]
fn records_that_a_full_buffer_held_back_are_sent_as_soon_as_it_is_not_full() {
    let mut bench = Bench::new(|policy| {
        policy.window = Window::Records(NonZeroUsize::new(2).unwrap());
    });
    bench.records(1);
    bench.fill_buffer();
    bench.records(1);
    assert_eq!(bench.sent, [0]);
    bench.empty_buffer();
    assert_eq!(bench.sent, [0, 1], "a worker may collect two for an answer");
}

#[test]
fn who_is_to_take_a_suspect_that_all_else_waits_for_is_read_from_until_it_is_free() {
    let mut bench = Bench::of_equals(3, |_| ());
    bench.records(3);
    bench.answer_of(OTHER, 1);
    bench.records(1);
    // Record 3 becomes a suspect; the others owe 6 and 5.
    bench.die(ExitStatus::Code(1));
    bench.fill_buffer();
    assert_eq!(bench.heard(), [OTHER.0]);
    assert_eq!(bench.sent[3..], [3, 4, 5, 6]);
    bench.answer_of(OTHER, 1);
    assert_eq!(bench.sent.last(), Some(&3));
    bench.answer_of(OTHER, 1);
    assert_eq!(bench.written(), "y\ny\n", "3, and 4 that waited for it");
    bench.empty_buffer();
}

#[test]
fn who_owes_the_lowest_record_is_read_from_before_who_is_to_take_a_suspect() {
    let mut bench = Bench::of_equals(3, |_| ());
    bench.records(3);
    bench.answer(1);
    bench.answer_of(OTHER, 1);
    bench.records(2);
    // Record 6 becomes a suspect; the others owe 7 and 5.
    bench.die(ExitStatus::Code(1));
    bench.fill_buffer();
    assert_eq!(bench.heard(), [THIRD.0]);
    bench.answer_of(THIRD, 1);
    assert_eq!(bench.written(), "y\ny\ny\n");
    assert_eq!(bench.sent.last(), Some(&6), "it is the first that is free");
    bench.empty_buffer();
}

/// Three workers at work whose results are written as they finish.
fn unordered() -> Bench {
    let mut bench = Bench::of_equals(3, |policy| policy.order = Order::Finish);
    bench.records(3);
    bench
}

#[test]
fn unordered_one_that_is_amid_an_answer_is_read_from_alone_until_that_is_whole() {
    let mut bench = unordered();
    bench.begun(OTHER, 700_000);
    bench.begun(THIRD, 600_000);
    bench.fill_buffer();
    assert_eq!(bench.heard(), [OTHER.0], "it has begun most");
    bench.begun(WORKER, 800_000);
    bench.scheduler.choose_read_from(bench.now);
    assert_eq!(bench.heard(), [OTHER.0], "it goes on");
    bench.begun(OTHER, 0);
    bench.answer_of(OTHER, 1);
    bench.scheduler.choose_read_from(bench.now);
    assert_eq!(bench.heard(), [WORKER.0]);
    bench.die(ExitStatus::Code(1));
    bench.scheduler.choose_read_from(bench.now);
    assert!(bench.heard().contains(&THIRD.0), "its process is gone");
    bench.empty_buffer();
    assert!(bench.heard().contains(&OTHER.0));
}

#[test]
fn unordered_one_that_says_nothing_amid_an_answer_keeps_nobody_waiting() {
    let mut bench = unordered();
    bench.begun(OTHER, 2_000_000);
    bench.fill_buffer();
    assert_eq!(bench.heard(), [OTHER.0]);
    bench.wait(9 * SECOND);
    bench.scheduler.choose_read_from(bench.now);
    assert_eq!(bench.heard(), [OTHER.0]);
    bench.wait(2 * SECOND);
    bench.scheduler.choose_read_from(bench.now);
    assert_eq!(bench.heard(), [0, 1, 2]);
    bench.begun(THIRD, 2_000_000);
    bench.scheduler.choose_read_from(bench.now);
    assert_eq!(
        bench.heard(),
        [OTHER.0, THIRD.0],
        "its answer makes room as well"
    );
    bench.empty_buffer();
}

#[test]
fn unordered_those_that_say_nothing_amid_answers_are_waited_for_once() {
    let mut bench = Bench::of_equals(4, |policy| policy.order = Order::Finish);
    bench.records(4);
    for worker in [WORKER, OTHER, THIRD] {
        bench.begun(worker, 2_000_000);
    }
    bench.fill_buffer();
    assert_eq!(bench.heard().len(), 1);
    bench.wait(9 * SECOND);
    bench.scheduler.choose_read_from(bench.now);
    assert_eq!(bench.heard().len(), 1);
    bench.wait(2 * SECOND);
    bench.scheduler.choose_read_from(bench.now);
    assert_eq!(bench.heard(), [0, 1, 2, 3]);
    // One has more to say after all, and is waited for a little.
    bench.begun(OTHER, 3_000_000);
    bench.scheduler.choose_read_from(bench.now);
    assert_eq!(bench.heard(), [0, 1, 2]);
    bench.wait(2 * SECOND);
    bench.scheduler.choose_read_from(bench.now);
    assert_eq!(bench.heard(), [0, 1, 2, 3]);
    bench.empty_buffer();
}

#[test]
fn unordered_all_are_heard_while_little_of_answers_is_begun() {
    let mut bench = unordered();
    bench.begun(WORKER, 100_000);
    bench.fill_buffer();
    assert_eq!(bench.heard(), [0, 1, 2], "the one may never go on");
    bench.empty_buffer();
}

#[test]
fn nobody_is_read_from_while_the_buffer_is_full_and_the_output_takes_nothing() {
    for order in [Order::Input, Order::Finish] {
        let mut bench = Bench::of_equals(3, |policy| policy.order = order);
        bench.records(3);
        bench.scheduler.set_output_room(0);
        bench.fill_buffer();
        assert_eq!(bench.heard(), [0; 0]);
        bench.scheduler.set_output_room(1 << 20);
        bench.scheduler.choose_read_from(bench.now);
        assert!(!bench.heard().is_empty());
        bench.empty_buffer();
    }
}

#[test]
fn a_process_that_is_not_listened_to_has_its_time_to_exit_afterwards() {
    let mut bench = Bench::of_equals(2, |policy| policy.limits.exit_timeout = 10 * SECOND);
    bench.records(1);
    bench.wait(5 * SECOND);
    bench.end_input();
    assert_eq!(bench.ends, ["end of stdin"], "the other one's");
    bench.fill_buffer();
    assert_eq!(bench.heard(), [WORKER.0]);
    bench.wait(20 * SECOND);
    bench.empty_buffer();
    bench.wait(9 * SECOND);
    assert!(!bench.ends.contains(&"SIGTERM"));
    bench.wait(2 * SECOND);
    assert!(bench.ends.contains(&"SIGTERM"));
}

/// A hundred records at work, of whose outcomes ten may wait for an output that takes none yet.
fn with_a_lead_of_ten() -> Bench {
    let mut bench = Bench::new(|policy| {
        policy.window = Window::Full;
        policy.lead = Lead {
            records: 10,
            bytes: 10,
        };
    });
    bench.scheduler.set_output_room(0);
    bench.records(100);
    bench
}

#[test]
fn input_waits_while_outcomes_are_far_ahead_of_an_output_that_moves_on() {
    let mut bench = with_a_lead_of_ten();
    bench.answer(10);
    bench.wait(MILLISECOND / 4);
    assert!(bench.scheduler.wants_input(), "ten may wait");
    bench.answer(10);
    bench.wait(MILLISECOND / 4);
    assert!(!bench.scheduler.wants_input());
    bench.wait(MILLISECOND);
    assert!(bench.scheduler.wants_input(), "the output stands still");
    bench.scheduler.set_output_room(1);
    bench.answer(80);
    bench.wait(MILLISECOND / 4);
    assert!(!bench.scheduler.wants_input(), "it has moved on");
    bench.scheduler.written().results.take();
    bench.scheduler.set_output_room(1 << 20);
    bench.wait(MILLISECOND / 4);
    assert!(bench.scheduler.wants_input(), "nothing waits any more");
}

#[test]
fn input_that_waits_for_the_output_is_wanted_again_when_the_deadline_has_come() {
    let mut bench = with_a_lead_of_ten();
    bench.answer(20);
    bench.now += MILLISECOND / 4;
    bench.scheduler.choose_read_from(bench.now);
    assert!(!bench.scheduler.wants_input());
    bench.now = bench.scheduler.wake_at().expect("a deadline is set");
    bench.scheduler.choose_read_from(bench.now);
    assert!(bench.scheduler.wants_input());
}

#[test]
fn a_time_that_is_paused_for_and_has_unread_messages_counts_once() {
    let mut bench = Bench::of_equals(2, |policy| policy.limits.timeout = Some(SECOND));
    bench.records(2);
    bench.wait(500 * MILLISECOND);
    bench.fill_buffer();
    assert_eq!(bench.heard(), [0]);
    bench.wait(100 * MILLISECOND);
    bench.scheduler.reads_stderr(false, bench.now);
    bench.wait(600 * MILLISECOND);
    bench.empty_buffer();
    bench.wait(100 * MILLISECOND);
    bench.scheduler.reads_stderr(true, bench.now);
    bench.wait(600 * MILLISECOND);
    assert_eq!(bench.ends, ["SIGTERM", "SIGTERM"], "after a second each");
}

#[test]
fn a_pause_of_mtask_while_messages_are_unread_counts_once() {
    let mut bench = Bench::new(|policy| policy.limits.timeout = Some(10 * SECOND));
    bench.records(1);
    bench.answer(1);
    bench.records(1);
    bench.wait(5 * SECOND);
    bench.scheduler.reads_stderr(false, bench.now);
    bench.now += 3 * SECOND;
    bench.scheduler.was_suspended(3 * SECOND, bench.now);
    bench.scheduler.reads_stderr(true, bench.now);
    bench.wait(4900 * MILLISECOND);
    assert!(bench.ends.is_empty(), "{:?}", bench.ends);
    bench.wait(200 * MILLISECOND);
    assert_eq!(bench.ends, ["SIGTERM"], "10 s of its time are over");
}

#[test]
fn time_in_which_a_process_is_not_listened_to_is_none_of_its_record() {
    let mut bench = Bench::of_equals(2, |policy| policy.limits.timeout = Some(10 * SECOND));
    bench.records(2);
    bench.fill_buffer();
    assert_eq!(bench.heard(), [WORKER.0]);
    bench.wait(6 * SECOND);
    bench.answer(1);
    bench.scheduler.choose_read_from(bench.now);
    assert_eq!(bench.heard(), [OTHER.0]);
    bench.wait(9 * SECOND);
    assert!(bench.ends.is_empty(), "{:?}", bench.notices);
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
}

#[test]
fn a_first_answer_that_was_not_listened_to_makes_no_other_long() {
    let mut bench = Bench::json(|policy| {
        policy.limits.timeout = Some(10 * SECOND);
        policy.limits.init_timeout = Some(10 * SECOND);
    });
    bench.records(3);
    bench.ready(0);
    bench.wait(SECOND);
    bench.reply(0);
    bench.die(ExitStatus::Code(1));
    bench.wait(SECOND);
    let limit = |bench: &Bench| {
        let process = bench.scheduler.process(WORKER).expect("it runs");
        bench.scheduler.time_limit(process).expect("there is one").duration()
    };
    bench.ready(0);
    let before = limit(&bench);
    bench.scheduler.reads_stderr(false, bench.now);
    bench.wait(300 * SECOND);
    bench.scheduler.reads_stderr(true, bench.now);
    bench.reply(1);
    bench.die(ExitStatus::Code(1));
    bench.wait(SECOND);
    bench.ready(0);
    assert_eq!(limit(&bench), before);
}

#[test]
fn a_start_that_was_not_listened_to_makes_no_other_long() {
    let mut bench = Bench::of_equals(2, |_| ());
    bench.die(ExitStatus::Code(1));
    bench.records(2);
    bench.wait(2 * SECOND);
    assert_eq!(
        [WORKER, OTHER].map(|worker| bench.held_by(worker)),
        [[3], [2]]
    );
    bench.fill_buffer();
    assert_eq!(bench.heard(), [OTHER.0]);
    bench.wait(300 * SECOND);
    bench.empty_buffer();
    bench.answer(1);
    let learnt = bench.scheduler.startup_time().expect("it was ready");
    assert!(learnt < 3 * SECOND, "{learnt:?}");
}

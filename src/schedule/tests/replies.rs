//! Rules of time for workers whose answers carry ids.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Bench, SECOND, WHOLE, WORKER};
use crate::outcome::ExitStatus;
use crate::protocol::message::{
    Answer, Base64Input, Begins, Cancels, Capabilities, End, Message, Reception, Reply, Unasked,
};
use crate::record::Index;
use crate::schedule::policy::{Delivery, Order, Policy, Readiness, Window};
use crate::shape::Protocol;

impl Bench {
    pub(super) fn json(change: impl FnOnce(&mut Policy)) -> Self {
        Self::new(|policy| {
            policy.shape.protocol = Protocol::Json;
            change(policy);
        })
    }

    pub(super) fn ready(&mut self, concurrency: usize) {
        let concurrency = NonZeroUsize::new(concurrency);
        let said = Capabilities {
            concurrency: Ok(concurrency),
            begins: Begins::Untold,
            cancels: Cancels::Untold,
            base64: Base64Input::Untold,
        };
        self.scheduler.heard(WORKER, Message::Ready(said), self.now);
        self.scheduler.heard(WORKER, WHOLE, self.now);
        self.act();
    }

    pub(super) fn reply(&mut self, index: u64) {
        let index = Index(index);
        let reply = Reply::Output("y".into());
        let message = Message::Answers(&mut [Answer { index, reply }]);
        let reception = self.scheduler.heard(WORKER, message, self.now);
        assert_ne!(reception, Reception::Unasked(index));
        self.scheduler.heard(WORKER, WHOLE, self.now);
        self.act();
    }

    pub(super) fn reply_unasked(&mut self, index: u64) {
        let unasked = Unasked::Record(Index(index));
        let end = End::Unasked { unasked, unsent: 0 };
        let message = Message::End { end, begun: 0 };
        self.scheduler.heard(WORKER, message, self.now);
        self.act();
    }

    /// Lets time pass, and checks that each deadline lies ahead once the time before has been dealt
    /// with.
    fn watch_for_spinning(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.wait(SECOND);
            let at = self.scheduler.wake_at();
            assert!(at.is_none_or(|at| at > self.now), "awake at once, for ever");
        }
    }

    /// What was sent since the last look.
    pub(super) fn take_sent(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.sent)
    }
}

#[test]
fn nothing_is_sent_before_ready_where_command_is_known_to_say_so() {
    let mut bench = Bench::json(|policy| policy.readiness = Readiness::Announced);
    bench.records(3);
    bench.wait(59 * SECOND);
    assert_eq!((bench.starts, bench.take_sent()), (1, vec![]));
    assert_eq!(bench.notices_with("has not said that it is ready"), 0);
    bench.wait(2 * SECOND);
    assert_eq!(bench.notices_with("has not said that it is ready"), 1);
    bench.ready(0);
    assert_eq!(bench.take_sent(), [0]);
}

#[test]
fn a_later_process_gets_nothing_before_it_is_ready() {
    let mut bench = Bench::json(|policy| policy.limits.timeout = Some(10 * SECOND));
    bench.records(3);
    assert_eq!(bench.take_sent(), [0], "the first process may never say so");
    bench.wait(2 * SECOND);
    bench.ready(0);
    bench.reply(0);
    bench.die(ExitStatus::Code(1));
    bench.take_sent();
    bench.wait(SECOND);
    assert_eq!((bench.starts, bench.take_sent()), (2, vec![]));
    // Three times as long as the first one took, and the timeout.
    bench.wait(14 * SECOND);
    assert!(bench.ends.is_empty());
    bench.wait(3 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
    assert_eq!(bench.scheduler.tally().failures(), 0, "nobody is charged");
}

#[test]
fn with_concurrency_each_record_has_a_clock_of_its_own() {
    let mut bench = Bench::json(|policy| policy.limits.timeout = Some(10 * SECOND));
    bench.records(5);
    bench.ready(2);
    bench.reply(0);
    assert_eq!(bench.take_sent(), [0, 1, 2]);
    bench.wait(6 * SECOND);
    bench.reply(2);
    assert_eq!(bench.take_sent(), [3]);
    bench.wait(3 * SECOND);
    assert!(bench.ends.is_empty());
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
    assert_eq!(bench.scheduler.tally().failed.get("timeout"), Some(&1));
    bench.die(ExitStatus::Signal(15));
    bench.wait(SECOND);
    bench.ready(2);
    assert_eq!(bench.take_sent(), [3, 4], "not suspect: together");
}

#[test]
fn records_that_expire_together_are_suspects() {
    for concurrency in [0, 3] {
        let mut bench = Bench::json(|policy| {
            policy.limits.timeout = Some(10 * SECOND);
            policy.limits.init_timeout = policy.limits.timeout;
            policy.window = Window::Records(NonZeroUsize::new(3).unwrap());
        });
        bench.records(3);
        bench.ready(concurrency);
        assert_eq!(bench.take_sent(), [0, 1, 2]);
        bench.wait(11 * SECOND);
        assert_eq!(bench.ends, ["SIGTERM"]);
        assert_eq!(bench.scheduler.tally().failures(), 0);
        bench.die(ExitStatus::Signal(15));
        bench.wait(SECOND);
        bench.ready(concurrency);
        assert_eq!(bench.take_sent(), [0], "alone");
        bench.reply(0);
        assert_eq!(bench.take_sent(), [1]);
        bench.wait(11 * SECOND);
        assert_eq!(bench.scheduler.tally().failed.get("timeout"), Some(&1));
    }
}

#[test]
fn an_answer_to_another_record_gives_the_oldest_no_more_time() {
    let mut bench = Bench::json(|policy| {
        policy.limits.timeout = Some(10 * SECOND);
        policy.window = Window::Records(NonZeroUsize::new(2).unwrap());
    });
    bench.records(9);
    bench.ready(0);
    bench.reply(1);
    for index in 2..6 {
        bench.wait(2 * SECOND);
        bench.reply(index);
    }
    bench.wait(SECOND);
    assert!(bench.ends.is_empty());
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
}

#[test]
fn records_do_not_wait_behind_one_that_is_perhaps_never_answered() {
    let mut bench = Bench::json(|_| ());
    bench.records(5);
    bench.ready(0);
    bench.wait(Duration::from_millis(10));
    bench.reply(0);
    bench.end_input();
    bench.wait(Duration::from_millis(900));
    assert_eq!(bench.sent, [0, 1], "it has a second");
    for index in 2..5 {
        let limit = bench.now + 2 * SECOND;
        while !bench.sent.contains(&index) && bench.now < limit {
            bench.wait(Duration::from_millis(50));
        }
        bench.reply(index);
    }
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["end of stdin"]);
    bench.die(ExitStatus::Code(0));
    bench.judge();
    assert!(bench.written().contains("missing_answer"));
}

#[test]
fn a_process_that_answers_nothing_is_sent_one_record_more_and_makes_nobody_spin() {
    let mut bench = Bench::json(|_| ());
    bench.records(5);
    bench.ready(0);
    bench.wait(Duration::from_millis(10));
    bench.reply(0);
    bench.watch_for_spinning(30 * SECOND);
    assert_eq!(bench.sent, [0, 1, 2]);
}

#[test]
fn a_second_answer_is_not_charged_to_the_record_that_came_after_it() {
    let mut bench = Bench::json(|_| ());
    bench.records(4);
    bench.ready(4);
    bench.reply(0);
    bench.reply_unasked(7);
    for index in 1..4 {
        bench.die(ExitStatus::Signal(15));
        bench.wait(SECOND);
        bench.take_sent();
        bench.ready(4);
        assert_eq!(bench.take_sent(), [index], "alone");
        bench.reply(index);
        bench.reply_unasked(index);
    }
    assert_eq!(bench.scheduler.tally().failures(), 0);
    assert_eq!(bench.written(), "y\ny\ny\ny\n");
}

#[test]
fn with_at_most_once_what_is_held_at_a_second_answer_fails() {
    let mut bench = Bench::json(|policy| policy.delivery = Delivery::AtMostOnce);
    bench.records(2);
    bench.ready(4);
    bench.reply(0);
    bench.reply_unasked(0);
    assert_eq!(bench.scheduler.tally().failed.get("bad_answer"), Some(&1));
}

#[test]
fn a_worker_is_not_given_up_while_its_processes_are_of_use() {
    for (answers, given_up) in [(1, 1), (2, 0)] {
        let mut bench = Bench::json(|policy| policy.window = Window::Records(NonZeroUsize::MIN));
        bench.records(100);
        for process in 0..20 {
            bench.ready(0);
            for _ in 0..answers {
                if let [index] = bench.take_sent()[..] {
                    bench.reply(index);
                }
            }
            bench.reply_unasked(1000 + process);
            bench.die(ExitStatus::Signal(15));
            bench.wait(SECOND);
        }
        assert_eq!(bench.scheduler.tally().given_up, given_up, "{answers}");
    }
}

#[test]
fn a_worker_is_never_sent_more_than_it_says_it_takes() {
    let mut bench = Bench::json(|_| ());
    bench.records(5);
    bench.ready(1);
    bench.wait(Duration::from_millis(10));
    bench.reply(0);
    assert_eq!(bench.take_sent(), [0, 1]);
    // Perhaps 1 will never be answered; but a worker that is slow could not begin with 2.
    bench.wait(200 * SECOND);
    assert!(bench.take_sent().is_empty());
}

#[test]
fn a_start_is_no_time_of_the_oldest_record_whatever_is_answered_first() {
    let mut bench = Bench::json(|policy| {
        policy.limits.timeout = Some(10 * SECOND);
        policy.window = Window::Records(NonZeroUsize::new(2).unwrap());
    });
    bench.records(2);
    bench.wait(30 * SECOND);
    bench.reply(1);
    bench.wait(9 * SECOND);
    assert!(bench.ends.is_empty());
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
}

#[test]
fn records_sent_before_a_worker_said_how_many_it_takes_wait_without_a_clock() {
    let mut bench = Bench::json(|policy| {
        policy.limits.timeout = Some(10 * SECOND);
        policy.window = Window::Records(NonZeroUsize::new(3).unwrap());
    });
    bench.records(3);
    bench.ready(1);
    for index in 0..3 {
        bench.wait(9 * SECOND);
        assert!(bench.ends.is_empty(), "at record {index}");
        bench.reply(index);
    }
}

#[test]
fn being_ready_late_gives_no_more_time_to_exit() {
    let mut bench = Bench::json(|policy| policy.limits.exit_timeout = 20 * SECOND);
    bench.scheduler.input_is_slow(bench.now);
    bench.act();
    bench.end_input();
    assert_eq!(bench.ends, ["end of stdin"]);
    bench.wait(15 * SECOND);
    bench.ready(0);
    bench.wait(6 * SECOND);
    assert_eq!(bench.ends, ["end of stdin", "SIGTERM"]);
}

#[test]
fn a_record_that_was_not_written_yet_is_no_suspect_of_having_taken_too_long() {
    let mut bench = Bench::json(|policy| policy.limits.timeout = Some(10 * SECOND));
    bench.records(9);
    bench.ready(3);
    bench.reply(0);
    assert_eq!(bench.take_sent(), [0, 1, 2, 3]);
    bench.unsent = 2;
    bench.wait(11 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
    assert_eq!(bench.scheduler.tally().failed.get("timeout"), Some(&1));
}

/// The budget is full and the output takes nothing.
fn nobody_is_read_from(bench: &mut Bench) {
    bench.budget.add(64 << 20);
    bench.scheduler.set_output_room(0);
    bench.reply(0);
    bench.wait(Duration::from_millis(1));
    assert!(!bench.scheduler.reads_from(WORKER));
}

fn all_are_heard(bench: &mut Bench) {
    bench.budget.free(64 << 20);
    bench.scheduler.set_output_room(1 << 20);
    bench.wait(Duration::from_millis(1));
    assert!(bench.scheduler.reads_from(WORKER));
}

#[test]
fn a_process_that_is_not_listened_to_cannot_say_that_it_is_ready_and_has_no_deadline_for_it() {
    let mut bench = Bench::json(|policy| policy.limits.init_timeout = Some(5 * SECOND));
    bench.records(2);
    bench.ready(0);
    nobody_is_read_from(&mut bench);
    bench.die(ExitStatus::Code(1));
    bench.wait(SECOND);
    assert_eq!(bench.starts, 2);
    bench.wait(100 * SECOND);
    assert!(bench.ends.is_empty());
    let wake_at = bench.scheduler.wake_at();
    assert!(wake_at.is_none_or(|at| at > bench.now), "no turn in vain");
    all_are_heard(&mut bench);
    bench.wait(4 * SECOND);
    assert!(bench.ends.is_empty());
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
}

#[test]
fn the_clock_of_a_record_begins_when_its_worker_is_listened_to() {
    let mut bench = Bench::json(|policy| {
        policy.limits.timeout = Some(10 * SECOND);
        policy.order = Order::Finish;
    });
    bench.records(2);
    bench.ready(3);
    nobody_is_read_from(&mut bench);
    bench.wait(50 * SECOND);
    bench.records(1);
    assert_eq!(bench.take_sent(), [0, 1, 2]);
    bench.wait(50 * SECOND);
    all_are_heard(&mut bench);
    bench.wait(5 * SECOND);
    bench.reply(1);
    bench.wait(4 * SECOND);
    assert!(bench.ends.is_empty());
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"], "and no later");
}

#[test]
fn a_worker_that_is_not_listened_to_may_take_its_time_to_exit() {
    let mut bench = Bench::json(|policy| policy.lifespan = NonZeroUsize::new(1).into());
    bench.records(2);
    bench.ready(0);
    nobody_is_read_from(&mut bench);
    assert_eq!(bench.ends, ["end of stdin"]);
    bench.wait(100 * SECOND);
    assert_eq!(bench.ends, ["end of stdin"]);
    all_are_heard(&mut bench);
    bench.wait(59 * SECOND);
    assert_eq!(bench.ends, ["end of stdin"]);
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["end of stdin", "SIGTERM"]);
}

#[test]
fn a_process_that_is_not_ready_makes_nobody_spin_after_it_was_not_listened_to() {
    let mut bench = Bench::json(|policy| policy.limits.init_timeout = Some(200 * SECOND));
    bench.records(3);
    bench.ready(1);
    bench.scheduler.set_output_room(0);
    bench.reply(0);
    bench.die(ExitStatus::Signal(9));
    bench.wait(SECOND);
    assert_eq!(bench.starts, 2);
    // Nobody reads the output: nobody is listened to.
    let limit = bench.budget.limit();
    bench.budget.add(limit);
    bench.watch_for_spinning(100 * SECOND);
    bench.budget.free(limit);
    bench.scheduler.set_output_room(1 << 20);
    bench.watch_for_spinning(190 * SECOND);
    assert_eq!(bench.notices_with("has not said that it is ready"), 2);
    assert!(bench.ends.is_empty(), "the limit leaves that time out");
    bench.wait(20 * SECOND);
    assert_eq!(bench.ends.first(), Some(&"SIGTERM"));
}

#[test]
fn a_process_that_was_stopped_gets_its_time_to_be_ready_anew() {
    let mut bench = Bench::json(|policy| {
        policy.readiness = Readiness::Announced;
        policy.limits.init_timeout = Some(20 * SECOND);
    });
    bench.records(1);
    bench.wait(10 * SECOND);
    bench.now += 100 * SECOND;
    bench.scheduler.was_stopped(bench.now);
    bench.wait(19 * SECOND);
    assert!(bench.ends.is_empty(), "{:?}", bench.notices);
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
}

#[test]
fn a_record_is_named_60_s_after_a_late_ready() {
    let mut bench = Bench::json(|policy| policy.readiness = Readiness::Announced);
    bench.records(1);
    bench.wait(100 * SECOND);
    bench.ready(0);
    bench.wait(62 * SECOND);
    assert_eq!(bench.notices_with("has not answered record 0"), 1);
}

#[test]
fn a_record_that_is_sent_while_stderr_is_not_read_has_its_time_from_then_on() {
    let mut bench = Bench::json(|policy| policy.limits.timeout = Some(10 * SECOND));
    bench.records(1);
    bench.ready(2);
    bench.scheduler.reads_stderr(false, bench.now);
    bench.wait(600 * SECOND);
    bench.records(1);
    assert_eq!(bench.take_sent(), [0, 1]);
    bench.scheduler.reads_stderr(true, bench.now);
    bench.reply(0);
    bench.wait(9 * SECOND);
    assert!(bench.ends.is_empty(), "{:?}", bench.notices);
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
}

#[test]
fn of_several_records_only_those_that_are_late_are_suspect() {
    let mut bench = Bench::json(|policy| policy.limits.timeout = Some(10 * SECOND));
    bench.records(1);
    bench.ready(4);
    bench.reply(0);
    bench.records(2);
    bench.wait(5 * SECOND);
    bench.records(2);
    assert_eq!(bench.take_sent(), [0, 1, 2, 3, 4]);
    bench.wait(6 * SECOND);
    assert_eq!(bench.notices_with("may be at any of 2 records"), 1);
    bench.die(ExitStatus::Signal(15));
    bench.wait(SECOND);
    bench.ready(4);
    assert_eq!(bench.take_sent(), [1]);
    bench.reply(1);
    assert_eq!(bench.take_sent(), [2]);
    bench.reply(2);
    assert_eq!(bench.take_sent(), [3, 4]);
}

#[test]
fn a_silent_process_whose_answers_have_ids_is_asked_whatever_its_window() {
    for window in [Window::Records(NonZeroUsize::new(5).unwrap()), Window::Full] {
        let mut bench = Bench::json(|policy| policy.window = window);
        bench.records(1);
        bench.reply(0);
        bench.records(1);
        bench.wait(299 * SECOND);
        assert!(bench.ends.is_empty(), "{:?}", bench.notices);
        bench.wait(2 * SECOND);
        assert_eq!(bench.ends, ["end of stdin"], "it collects nothing");
    }
}

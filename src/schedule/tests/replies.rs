//! Rules of time for workers whose answers carry ids.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Bench, SECOND, WORKER};
use crate::outcome::Exit;
use crate::protocol::Protocol;
use crate::protocol::json::{Answer, Reply};
use crate::record::Index;
use crate::schedule::Unasked;
use crate::schedule::policy::{Delivery, Policy, Readiness, Window};

impl Bench {
    fn json(change: impl FnOnce(&mut Policy)) -> Self {
        Self::new(|policy| {
            policy.protocol = Protocol::Json;
            change(policy);
        })
    }

    fn ready(&mut self, concurrency: usize) {
        let concurrency = NonZeroUsize::new(concurrency);
        self.scheduler.ready(WORKER, concurrency, self.now);
        self.scheduler.heard_out(WORKER, self.now);
        self.act();
    }

    fn reply(&mut self, index: u64) {
        let answer = Answer {
            index: Index(index),
            reply: Reply::Output("y".into()),
        };
        let is_owed = self.scheduler.replied(WORKER, &[answer], self.now);
        assert_eq!(is_owed, Ok(()));
        self.scheduler.heard_out(WORKER, self.now);
        self.act();
    }

    fn reply_unasked(&mut self, index: u64) {
        let unasked = Unasked::Record(Index(index));
        (self.scheduler).answered_unasked(WORKER, &unasked, 0, self.now);
        self.act();
    }

    /// What was sent since the last look.
    fn take_sent(&mut self) -> Vec<u64> {
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
fn a_later_life_gets_nothing_before_it_is_ready() {
    let mut bench = Bench::json(|policy| policy.timeout = Some(10 * SECOND));
    bench.records(3);
    assert_eq!(bench.take_sent(), [0], "the first life may never say so");
    bench.wait(2 * SECOND);
    bench.ready(0);
    bench.reply(0);
    bench.die(Exit::Code(1));
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
    let mut bench = Bench::json(|policy| policy.timeout = Some(10 * SECOND));
    bench.records(4);
    bench.ready(2);
    assert_eq!(bench.take_sent(), [0, 1]);
    bench.wait(6 * SECOND);
    bench.reply(1);
    assert_eq!(bench.take_sent(), [2]);
    bench.wait(3 * SECOND);
    assert!(bench.ends.is_empty());
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
    assert_eq!(bench.scheduler.tally().failed.get("timeout"), Some(&1));
    bench.die(Exit::Signal(15));
    bench.wait(SECOND);
    bench.ready(2);
    assert_eq!(bench.take_sent(), [2, 3], "not suspect: together");
}

#[test]
fn a_clock_runs_from_ready_where_that_came_later() {
    let mut bench = Bench::json(|policy| policy.timeout = Some(10 * SECOND));
    bench.records(1);
    bench.wait(100 * SECOND);
    bench.ready(4);
    bench.wait(9 * SECOND);
    assert!(bench.ends.is_empty());
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
}

#[test]
fn records_that_expire_together_are_suspects() {
    for concurrency in [0, 3] {
        let mut bench = Bench::json(|policy| {
            policy.timeout = Some(10 * SECOND);
            policy.window = Window::Records(NonZeroUsize::new(3).unwrap());
        });
        bench.records(3);
        bench.ready(concurrency);
        assert_eq!(bench.take_sent(), [0, 1, 2]);
        bench.wait(11 * SECOND);
        assert_eq!(bench.ends, ["SIGTERM"]);
        assert_eq!(bench.scheduler.tally().failures(), 0);
        bench.die(Exit::Signal(15));
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
        policy.timeout = Some(10 * SECOND);
        policy.window = Window::Records(NonZeroUsize::new(2).unwrap());
    });
    bench.records(9);
    bench.ready(0);
    for index in 1..5 {
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
    for index in 2..5 {
        let limit = bench.now + 2 * SECOND;
        while !bench.sent.contains(&index) && bench.now < limit {
            bench.wait(Duration::from_millis(50));
        }
        bench.reply(index);
    }
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["end of stdin"]);
    bench.die(Exit::Code(0));
    assert!(bench.written().contains("missing_answer"));
}

#[test]
fn a_second_answer_is_not_charged_to_the_record_that_came_after_it() {
    let mut bench = Bench::json(|_| ());
    bench.records(4);
    bench.ready(4);
    bench.reply(0);
    bench.reply_unasked(7);
    for index in 1..4 {
        bench.die(Exit::Signal(15));
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
fn a_worker_is_not_given_up_while_its_lives_are_of_use() {
    for (answers, given_up) in [(1, 1), (2, 0)] {
        let mut bench = Bench::json(|policy| policy.window = Window::Records(NonZeroUsize::MIN));
        bench.records(100);
        for life in 0..20 {
            bench.ready(0);
            for _ in 0..answers {
                if let [index] = bench.take_sent()[..] {
                    bench.reply(index);
                }
            }
            bench.reply_unasked(1000 + life);
            bench.die(Exit::Signal(15));
            bench.wait(SECOND);
        }
        assert_eq!(bench.scheduler.tally().given_up, given_up, "{answers}");
    }
}

//! Which records took longest, as reports show them.

use std::time::Duration;

use super::{Bench, MILLISECOND, SECOND, WHOLE, WORKER};
use crate::outcome::ExitStatus;
use crate::protocol::message::{Answer, Message, Reception, Reply};
use crate::schedule::policy::{Delivery, Window};

impl Bench {
    fn reply_both(&mut self, indices: [u64; 2]) {
        let mut answers = indices.map(|index| Answer {
            index: crate::record::Index(index),
            reply: Reply::Output("y".into()),
        });
        let message = Message::Answers(&mut answers);
        let reception = self.scheduler.heard(WORKER, message, self.now);
        assert_eq!(reception, Reception::Taken);
        self.scheduler.heard(WORKER, WHOLE, self.now);
        self.act();
    }

    /// The slowest records: index, milliseconds, text and length.
    fn slowest(&self) -> Vec<(u64, u128, String, usize)> {
        let slowest = self.scheduler.slowest().iter();
        slowest
            .map(|slow| {
                assert_eq!(slow.worker, WORKER);
                let text = String::from_utf8(slow.start.clone()).unwrap();
                (slow.index.0, slow.took.as_millis(), text, slow.bytes)
            })
            .collect()
    }
}

fn seen(index: u64, took: Duration, text: &str) -> (u64, u128, String, usize) {
    (index, took.as_millis(), text.into(), text.len())
}

#[test]
fn the_start_of_a_process_is_no_records_time_and_quick_records_are_left_out() {
    let mut bench = Bench::new(|policy| policy.window = Window::Full);
    bench.bytes("zero\none\ntwo\n");
    bench.scheduler.keep_slowest();
    bench.wait(20 * SECOND);
    bench.answer(1);
    assert_eq!(bench.slowest(), [], "it may have been starting");
    bench.wait(MILLISECOND / 2);
    bench.answer(1);
    assert_eq!(bench.slowest(), []);
    bench.wait(3 * SECOND);
    bench.answer(1);
    assert_eq!(bench.slowest(), [seen(2, 3 * SECOND, "two")]);
    let long = "x".repeat(200);
    bench.bytes(&format!("{long}\nfour\n"));
    bench.wait(8 * SECOND);
    bench.answer(2);
    let slowest = bench.slowest();
    let (index, took, text, bytes) = &slowest[0];
    assert_eq!(
        (*index, *took, *bytes),
        (3, 4000, 200),
        "two read together share the time"
    );
    assert_eq!(*text, "x".repeat(120));
    assert_eq!(slowest[1..], [seen(2, 3 * SECOND, "two")]);
}

#[test]
fn a_record_that_its_process_did_not_survive_counts_too() {
    let mut bench = Bench::new(|policy| policy.delivery = Delivery::AtMostOnce);
    bench.scheduler.keep_slowest();
    bench.bytes("zero\none\n");
    bench.answer(1);
    bench.wait(5 * SECOND);
    bench.die(ExitStatus::Code(1));
    assert_eq!(bench.slowest(), [seen(1, 5 * SECOND, "one")]);
}

/// A worker with ids that is up, and has answered record 0.
fn ready(concurrency: usize) -> Bench {
    let mut bench = Bench::json(|_| ());
    bench.scheduler.keep_slowest();
    bench.bytes("zero\n");
    bench.ready(concurrency);
    bench.reply(0);
    bench
}

#[test]
fn where_answers_have_ids_each_has_its_own_time_once_that_is_known() {
    let mut bench = ready(2);
    bench.bytes("one\n");
    bench.wait(4 * SECOND);
    bench.bytes("two\n");
    bench.wait(2 * SECOND);
    bench.reply_both([2, 1]);
    let expected = [seen(1, 6 * SECOND, "one"), seen(2, 2 * SECOND, "two")];
    assert_eq!(bench.slowest(), expected);
    // How many it takes at a time is not known: what is read together shares the time.
    let mut bench = Bench::json(|policy| policy.window = Window::Full);
    bench.scheduler.keep_slowest();
    bench.bytes("zero\none\ntwo\n");
    bench.wait(SECOND);
    bench.reply(0);
    bench.wait(6 * SECOND);
    bench.reply_both([2, 1]);
    let expected = [seen(2, 3 * SECOND, "two"), seen(1, 3 * SECOND, "one")];
    assert_eq!(bench.slowest(), expected);
}

#[test]
fn a_record_that_is_answered_right_after_an_older_one_has_its_own_time() {
    let mut bench = ready(2);
    bench.bytes("one\ntwo\n");
    bench.wait(5 * SECOND);
    bench.reply(1);
    bench.reply(2);
    let expected = [seen(1, 5 * SECOND, "one"), seen(2, 5 * SECOND, "two")];
    assert_eq!(bench.slowest(), expected);
}

#[test]
fn of_a_record_that_is_sent_again_the_longest_time_counts() {
    for (first, again) in [(5, 2), (2, 5)] {
        let mut bench = ready(1);
        bench.bytes("one\n");
        bench.wait(first * SECOND);
        bench.die(ExitStatus::Code(1));
        bench.wait(SECOND);
        bench.ready(1);
        bench.wait(again * SECOND);
        bench.reply(1);
        assert_eq!(bench.slowest(), [seen(1, 5 * SECOND, "one")]);
    }
}

//! Rules of time for workers that say which records they have begun.

use std::num::NonZeroUsize;

use super::{Bench, SECOND, WHOLE, WORKER};
use crate::outcome::ExitStatus;
use crate::protocol::message::{Base64Input, Begins, Cancels, Capabilities, Message, Reception};
use crate::record::Index;
use crate::schedule::policy::{Delivery, Policy};

impl Bench {
    /// A worker that has said that it takes so many records at a time, and that it will say which
    /// it has begun.
    fn telling(concurrency: usize, change: impl FnOnce(&mut Policy)) -> Self {
        let mut bench = Self::json(|policy| {
            policy.limits.timeout = Some(10 * SECOND);
            policy.limits.init_timeout = Some(SECOND);
            change(policy);
        });
        bench.records(8);
        bench.tell_ready(concurrency);
        bench
    }

    pub(super) fn tell_ready(&mut self, concurrency: usize) {
        let said = Capabilities {
            concurrency: Ok(NonZeroUsize::new(concurrency)),
            begins: Begins::Told,
            cancels: Cancels::Untold,
            base64: Base64Input::Untold,
        };
        self.scheduler.heard(WORKER, Message::Ready(said), self.now);
        self.scheduler.heard(WORKER, WHOLE, self.now);
        self.act();
    }

    pub(super) fn begin(&mut self, indices: &[u64]) -> Reception {
        let indices: Vec<_> = indices.iter().copied().map(Index).collect();
        let reception = self.scheduler.heard(WORKER, Message::Begun(&indices), self.now);
        self.scheduler.heard(WORKER, WHOLE, self.now);
        self.act();
        reception
    }

    fn timeouts(&self) -> u64 {
        self.scheduler.tally().failed.get("timeout").copied().unwrap_or(0)
    }

    /// Ends the process that was stopped, and has the next one say that it is ready.
    fn go_on(&mut self, concurrency: usize) {
        assert_eq!(self.ends, ["SIGTERM"]);
        self.die(ExitStatus::Signal(15));
        self.wait(SECOND);
        self.take_sent();
        self.tell_ready(concurrency);
    }
}

#[test]
fn the_clock_of_a_record_runs_from_when_it_is_begun() {
    let mut bench = Bench::telling(4, |_| ());
    for call in [[0, 1], [2, 3], [4, 5], [6, 7]] {
        assert_eq!(bench.begin(&call), Reception::Taken);
        bench.wait(9 * SECOND);
        call.into_iter().for_each(|index| bench.reply(index));
    }
    assert!(bench.ends.is_empty(), "{:?}", bench.notices);
}

#[test]
fn only_what_has_been_begun_is_late() {
    let mut bench = Bench::telling(4, |_| ());
    bench.begin(&[1]);
    bench.wait(11 * SECOND);
    assert_eq!(bench.timeouts(), 1);
    assert_eq!(bench.notices_with("record 1 within --timeout 10s"), 1);
    bench.go_on(4);
    assert_eq!(bench.take_sent(), [0, 2, 3, 4], "together");
}

#[test]
fn records_of_one_call_are_suspects_together_and_no_other_is() {
    let mut bench = Bench::telling(4, |_| ());
    bench.begin(&[2]);
    bench.wait(5 * SECOND);
    bench.begin(&[0, 1]);
    bench.reply(2);
    bench.wait(9 * SECOND);
    assert!(bench.ends.is_empty());
    bench.wait(2 * SECOND);
    assert_eq!(bench.notices_with("may be at any of 2 records"), 1);
    bench.go_on(4);
    assert_eq!(bench.take_sent(), [0], "alone");
    bench.begin(&[0]);
    bench.reply(0);
    assert_eq!(bench.take_sent(), [1], "alone");
    bench.begin(&[1]);
    bench.wait(11 * SECOND);
    assert_eq!(bench.timeouts(), 1, "it was alone");
}

#[test]
fn what_is_begun_once_more_has_its_time_anew_and_the_rest_of_its_call_waits() {
    let mut bench = Bench::telling(4, |_| ());
    bench.begin(&[0, 1, 2, 3]);
    bench.wait(9 * SECOND);
    bench.begin(&[0, 1]);
    bench.wait(9 * SECOND);
    bench.reply(0);
    bench.reply(1);
    bench.wait(9 * SECOND);
    bench.begin(&[2]);
    bench.wait(9 * SECOND);
    bench.reply(2);
    bench.wait(9 * SECOND);
    bench.begin(&[3]);
    bench.wait(9 * SECOND);
    assert!(bench.ends.is_empty(), "{:?}", bench.notices);
    bench.wait(2 * SECOND);
    assert_eq!(bench.notices_with("record 3 within"), 1);
}

#[test]
fn a_process_that_begins_nothing_is_charged_with_the_oldest_record_at_most() {
    let mut bench = Bench::telling(4, |_| ());
    bench.wait(9 * SECOND);
    assert!(bench.ends.is_empty());
    bench.wait(2 * SECOND);
    assert_eq!(bench.notices_with("record 0 within"), 1);
    bench.go_on(4);
    bench.ends.clear();
    assert_eq!(bench.take_sent(), [1, 2, 3, 4]);
    // Each answer gives it as long once more.
    bench.begin(&[2]);
    bench.wait(9 * SECOND);
    bench.reply(2);
    bench.wait(9 * SECOND);
    assert!(bench.ends.is_empty());
    bench.wait(2 * SECOND);
    assert_eq!(bench.notices_with("record 1 within"), 1);
}

#[test]
fn only_what_a_dead_process_had_begun_is_suspect() {
    let mut bench = Bench::telling(4, |_| ());
    bench.begin(&[1, 2]);
    bench.die(ExitStatus::Code(1));
    bench.judge();
    bench.wait(SECOND);
    bench.take_sent();
    bench.tell_ready(4);
    // Suspects go first, one at a time.
    for suspect in [1, 2] {
        assert_eq!(bench.take_sent(), [suspect]);
        bench.begin(&[suspect]);
        bench.reply(suspect);
    }
    assert_eq!(bench.take_sent(), [0, 3, 4, 5]);
}

#[test]
fn where_a_dead_process_had_begun_nothing_all_are_suspect() {
    let mut bench = Bench::telling(2, |_| ());
    bench.die(ExitStatus::Code(1));
    bench.judge();
    bench.wait(SECOND);
    bench.take_sent();
    bench.tell_ready(2);
    assert_eq!(bench.take_sent(), [0]);
    bench.die(ExitStatus::Code(1));
    bench.judge();
    assert_eq!(bench.scheduler.tally().failed.get("worker_exit"), Some(&1));
}

#[test]
fn what_is_sent_once_fails_with_its_process_begun_or_not() {
    let mut bench = Bench::telling(4, |policy| policy.delivery = Delivery::AtMostOnce);
    bench.die(ExitStatus::Code(1));
    bench.judge();
    assert_eq!(bench.scheduler.tally().failed.get("worker_exit"), Some(&1));
}

#[test]
fn what_is_not_owed_or_not_announced_is_no_news() {
    let mut bench = Bench::telling(4, |_| ());
    assert_eq!(bench.begin(&[]), Reception::Ignored);
    assert_eq!(bench.begin(&[4, 700, u64::MAX]), Reception::Ignored);
    assert_eq!(bench.begin(&[0, 0, 9, 2, 1]), Reception::Taken);
    bench.reply(0);
    assert_eq!(bench.begin(&[0]), Reception::Ignored, "it is answered");
    // Nothing of that has moved a clock.
    bench.wait(9 * SECOND);
    assert!(bench.ends.is_empty());
    bench.wait(2 * SECOND);
    assert_eq!(bench.notices_with("may be at any of 2 records"), 1);
    assert_eq!(bench.begin(&[1]), Reception::Ignored, "it is stopped");

    let mut bench = Bench::json(|policy| policy.limits.timeout = Some(10 * SECOND));
    bench.records(4);
    assert_eq!(bench.begin(&[0]), Reception::Ignored, "it is not ready");
    bench.ready(4);
    assert_eq!(bench.begin(&[0]), Reception::Ignored);
}

#[test]
fn a_begun_record_has_its_time_where_it_is_paused_or_named() {
    let mut bench = Bench::telling(2, |policy| policy.limits.timeout = None);
    bench.scheduler.keep_slowest();
    bench.wait(30 * SECOND);
    bench.begin(&[1]);
    bench.wait(50 * SECOND);
    bench.scheduler.reads_stderr(false, bench.now);
    bench.wait(100 * SECOND);
    bench.scheduler.reads_stderr(true, bench.now);
    assert_eq!(bench.notices_with("has not answered"), 0);
    bench.wait(15 * SECOND);
    assert_eq!(bench.notices_with("has not answered record 1 for 60 s"), 1);
    let oldest = bench.scheduler.under_way(bench.now).oldest.map(|it| it.index);
    assert_eq!(oldest, Some(Index(1)));
    bench.reply(1);
    let slowest = &bench.scheduler.slowest()[0];
    assert_eq!((slowest.index, slowest.took), (Index(1), 65 * SECOND));
}

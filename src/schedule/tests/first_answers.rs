//! Rules of time for the first answer of a process that has said that it is up.

use std::num::NonZeroUsize;

use super::{Bench, MILLISECOND, OTHER, SECOND, WHOLE, WORKER};
use crate::outcome::ExitStatus;
use crate::protocol::message::{
    Answer, Base64Input, Begins, Cancels, Capabilities, Message, Reception, Reply,
};
use crate::record::Index;
use crate::schedule::policy::Policy;

impl Bench {
    /// Of a worker whose first answer may take 30 s, and later ones a second.
    fn lazy(change: impl FnOnce(&mut Policy)) -> Self {
        Self::json(|policy| {
            policy.limits.timeout = Some(SECOND);
            policy.limits.init_timeout = Some(30 * SECOND);
            change(policy);
        })
    }

    pub(super) fn failed(&self, kind: &str) -> u64 {
        self.scheduler.tally().failed.get(kind).copied().unwrap_or(0)
    }
}

#[test]
fn until_there_is_an_answer_the_larger_limit_holds_for_the_first() {
    let mut bench = Bench::lazy(|_| ());
    bench.records(3);
    bench.ready(0);
    bench.wait(29 * SECOND);
    bench.reply(0);
    bench.wait(900 * MILLISECOND);
    assert!(bench.ends.is_empty());
    bench.wait(200 * MILLISECOND);
    assert_eq!(bench.notices_with("record 1 within --timeout 1s"), 1);

    let mut bench = Bench::lazy(|_| ());
    bench.records(1);
    bench.ready(0);
    bench.wait(31 * SECOND);
    assert_eq!(bench.notices_with("record 0 within --init-timeout 30s"), 1);
    assert_eq!(bench.failed("timeout"), 1);
    bench.die(ExitStatus::Signal(15));
    bench.wait(SECOND);
    bench.ready(0);
    bench.ends.clear();
    bench.wait(29 * SECOND);
    assert!(bench.ends.is_empty(), "there was none yet");

    let mut bench = Bench::lazy(|policy| policy.limits.init_timeout = Some(MILLISECOND));
    bench.records(1);
    bench.ready(0);
    bench.wait(900 * MILLISECOND);
    assert!(bench.ends.is_empty());
    bench.wait(200 * MILLISECOND);
    assert_eq!(bench.notices_with("record 0 within --timeout 1s"), 1);
}

#[test]
fn without_a_limit_for_the_start_there_is_none_for_the_first_answer() {
    let mut bench = Bench::lazy(|policy| policy.limits.init_timeout = None);
    bench.records(2);
    bench.ready(0);
    bench.wait(100 * SECOND);
    assert!(bench.ends.is_empty());
    assert_eq!(bench.notices_with("--init-timeout DURATION would end"), 1);
    bench.reply(0);
    bench.wait(1100 * MILLISECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
}

#[test]
fn later_processes_have_three_times_as_long_as_the_first_answer_took_and_the_timeout() {
    let mut bench = Bench::lazy(|_| ());
    bench.records(3);
    bench.wait(20 * SECOND);
    bench.ready(0);
    bench.wait(4 * SECOND);
    bench.reply(0);
    bench.die(ExitStatus::Code(1));
    bench.judge();
    bench.wait(SECOND);
    bench.ready(0);
    bench.wait(12_900 * MILLISECOND);
    assert!(bench.ends.is_empty());
    bench.wait(200 * MILLISECOND);
    let why = "within 13s (--timeout 1s, and three times as long as a first answer took)";
    assert_eq!(bench.notices_with(why), 1);
    assert_eq!(bench.failed("timeout"), 1);
    // It has answered nothing: the next one is given no more.
    bench.die(ExitStatus::Signal(15));
    bench.wait(SECOND);
    bench.ready(0);
    bench.wait(13_100 * MILLISECOND);
    assert_eq!(bench.failed("timeout"), 2);
}

#[test]
fn an_answer_that_nothing_was_asked_for_is_no_first_one() {
    let mut bench = Bench::lazy(|policy| policy.failures.retries = 1);
    bench.records(1);
    bench.ready(0);
    bench.wait(4 * SECOND);
    let (index, reply) = (Index(99), Reply::Output("y".into()));
    let message = Message::Answers(&mut [Answer { index, reply }]);
    let reception = bench.scheduler.heard(WORKER, message, bench.now);
    assert_eq!(reception, Reception::Unasked(index));
    bench.reply_unasked(99);
    bench.die(ExitStatus::Signal(15));
    bench.wait(SECOND);
    bench.ready(0);
    bench.ends.clear();
    bench.wait(29 * SECOND);
    assert!(bench.ends.is_empty(), "{:?}", bench.notices);
}

#[test]
fn what_began_before_the_first_answer_keeps_its_limit() {
    let mut bench = Bench::lazy(|policy| policy.jobs = 2.try_into().unwrap());
    bench.records(4);
    bench.ready(0);
    let said = Capabilities {
        concurrency: Ok(NonZeroUsize::new(1)),
        begins: Begins::Untold,
        cancels: Cancels::Untold,
        base64: Base64Input::Untold,
    };
    bench.scheduler.heard(OTHER, Message::Ready(said), bench.now);
    bench.scheduler.heard(OTHER, WHOLE, bench.now);
    bench.act();
    assert_eq!(bench.take_sent(), [0, 1]);
    bench.wait(SECOND);
    bench.reply(0);
    for next in [2, 3] {
        bench.wait(500 * MILLISECOND);
        bench.reply(next);
    }
    bench.wait(25 * SECOND);
    assert!(bench.ends.is_empty(), "three times a second, and one");
    bench.wait(4 * SECOND);
    assert_eq!(bench.notices_with("record 1 within --init-timeout 30s"), 1);
}

#[test]
fn what_waits_for_the_first_answer_has_its_time_from_there() {
    for paused in [0, 100] {
        let mut bench = Bench::lazy(|_| ());
        bench.records(3);
        bench.ready(3);
        bench.wait(20 * SECOND);
        bench.reply(1);
        bench.wait(500 * MILLISECOND);
        bench.scheduler.reads_stderr(false, bench.now);
        bench.wait(paused * SECOND);
        bench.scheduler.reads_stderr(true, bench.now);
        bench.wait(400 * MILLISECOND);
        assert!(bench.ends.is_empty());
        bench.reply(0);
        bench.wait(200 * MILLISECOND);
        assert_eq!(bench.notices_with("record 2 within --timeout 1s"), 1);
    }
}

#[test]
fn a_time_that_does_not_count_may_be_that_of_a_first_answer() {
    let mut bench = Bench::lazy(|_| ());
    bench.records(3);
    bench.ready(0);
    bench.wait(SECOND);
    bench.scheduler.reads_stderr(false, bench.now);
    bench.wait(4 * SECOND);
    bench.scheduler.reads_stderr(true, bench.now);
    bench.reply(0);
    bench.die(ExitStatus::Code(1));
    bench.judge();
    bench.wait(SECOND);
    bench.ready(0);
    bench.wait(15_900 * MILLISECOND);
    assert!(bench.ends.is_empty(), "{:?}", bench.notices);
    bench.wait(200 * MILLISECOND);
    assert_eq!(bench.notices_with("within 16s (--timeout 1s"), 1);
}

#[test]
fn a_first_call_has_the_larger_limit_from_when_it_is_begun() {
    let mut bench = Bench::lazy(|_| ());
    bench.records(6);
    bench.tell_ready(4);
    bench.wait(20 * SECOND);
    bench.begin(&[0, 1]);
    bench.wait(25 * SECOND);
    bench.begin(&[0]);
    bench.wait(25 * SECOND);
    bench.reply(0);
    bench.begin(&[1]);
    bench.wait(900 * MILLISECOND);
    assert!(bench.ends.is_empty());
    bench.wait(200 * MILLISECOND);
    assert_eq!(bench.notices_with("record 1 within --timeout 1s"), 1);
    // It is the first of the two calls that tells what others may take.
    bench.die(ExitStatus::Signal(15));
    bench.wait(SECOND);
    bench.tell_ready(4);
    bench.begin(&[2]);
    bench.ends.clear();
    bench.wait(150 * SECOND);
    assert!(bench.ends.is_empty());
    bench.wait(2 * SECOND);
    assert_eq!(bench.notices_with("record 2 within 151s"), 1);
}

#[test]
fn an_error_is_an_answer() {
    let mut bench = Bench::lazy(|_| ());
    bench.records(2);
    bench.ready(0);
    bench.wait(2 * SECOND);
    let reply = Reply::Error {
        json: "\"no\"".into(),
        message: "no".into(),
    };
    let index = Index(0);
    let mut answers = [Answer { index, reply }];
    bench.scheduler.heard(WORKER, Message::Answers(&mut answers), bench.now);
    bench.scheduler.heard(WORKER, WHOLE, bench.now);
    bench.act();
    bench.wait(1100 * MILLISECOND);
    assert_eq!(bench.notices_with("record 1 within --timeout 1s"), 1);
}

#[test]
fn a_clock_runs_from_ready_where_that_came_later() {
    let mut bench = Bench::json(|policy| {
        policy.limits.timeout = Some(10 * SECOND);
        policy.limits.init_timeout = Some(110 * SECOND);
    });
    bench.records(1);
    bench.wait(100 * SECOND);
    bench.ready(4);
    bench.wait(109 * SECOND);
    assert!(bench.ends.is_empty());
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
}

#[test]
fn a_first_record_that_hangs_fails_once_its_limit_is_over_though_another_was_tried() {
    let mut bench = Bench::lazy(|_| ());
    bench.records(3);
    bench.ready(0);
    bench.wait(2 * SECOND);
    assert_eq!(
        bench.held_by(WORKER),
        [0, 1],
        "it may have skipped the first"
    );
    bench.wait(29 * SECOND);
    assert_eq!(bench.notices_with("record 0 within --init-timeout 30s"), 1);
    assert_eq!(bench.failed("timeout"), 1);
}

#[test]
fn a_first_answer_during_which_mtask_was_stopped_teaches_nothing() {
    let mut bench = Bench::lazy(|_| ());
    bench.records(2);
    bench.ready(0);
    bench.now += 20 * SECOND;
    bench.scheduler.was_suspended(20 * SECOND, bench.now);
    bench.reply(0);
    bench.die(ExitStatus::Signal(9));
    bench.wait(SECOND);
    bench.ready(0);
    // What it waits for elsewhere has gone on meanwhile.
    bench.wait(29 * SECOND);
    assert!(bench.ends.is_empty());
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
}

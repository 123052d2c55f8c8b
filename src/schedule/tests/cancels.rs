//! Records that take too long, at workers that can give up one and go on with the others.

use std::num::NonZeroUsize;

use super::{Bench, SECOND, WHOLE, WORKER};
use crate::outcome::ExitStatus;
use crate::protocol::message::{
    Answer, Base64Input, Begins, Cancels, Capabilities, Message, Reply,
};
use crate::record::Index;
use crate::schedule::policy::Policy;

impl Bench {
    /// A worker that can give up a record. It has answered one, and holds four.
    fn cancelling(change: impl FnOnce(&mut Policy)) -> Self {
        let mut bench = Self::json(|policy| {
            policy.limits.timeout = Some(10 * SECOND);
            policy.limits.init_timeout = Some(SECOND);
            change(policy);
        });
        bench.records(6);
        bench.can_cancel();
        bench.reply(0);
        assert_eq!(bench.take_sent(), [0, 1, 2, 3, 4]);
        bench
    }

    fn can_cancel(&mut self) {
        let said = Capabilities {
            concurrency: Ok(NonZeroUsize::new(4)),
            begins: Begins::Untold,
            cancels: Cancels::WhenAsked,
            base64: Base64Input::Untold,
        };
        self.scheduler.heard(WORKER, Message::Ready(said), self.now);
        self.scheduler.heard(WORKER, WHOLE, self.now);
        self.act();
    }

    fn err(&mut self, index: u64) {
        let reply = Reply::Error {
            json: "\"cancelled\"".into(),
            message: "cancelled".into(),
        };
        let index = Index(index);
        let message = Message::Answers(&mut [Answer { index, reply }]);
        self.scheduler.heard(WORKER, message, self.now);
        self.scheduler.heard(WORKER, WHOLE, self.now);
        self.act();
    }
}

#[test]
fn a_record_that_takes_too_long_is_given_up_alone() {
    let mut bench = Bench::cancelling(|_| ());
    bench.wait(6 * SECOND);
    bench.reply(1);
    assert_eq!(bench.take_sent(), [5]);
    bench.reply(3);
    bench.reply(4);
    bench.wait(5 * SECOND);
    assert_eq!(bench.cancelled, [2], "5 was sent later");
    bench.err(2);
    bench.wait(2 * SECOND);
    bench.reply(5);
    assert_eq!(
        (bench.failed("timeout"), bench.failed("worker_error")),
        (1, 0)
    );
    assert_eq!(bench.notices_with("process"), 0, "{:?}", bench.notices);
    bench.scheduler.input_ended(bench.now);
    bench.act();
    assert_eq!(bench.ends, ["end of stdin"]);
}

#[test]
fn each_that_takes_too_long_is_charged_for_itself() {
    let mut bench = Bench::cancelling(|policy| policy.failures.retries = 1);
    bench.wait(11 * SECOND);
    assert_eq!(bench.cancelled, [1, 2, 3, 4]);
    bench.reply(3);
    bench.err(1);
    bench.err(4);
    bench.wait(SECOND);
    bench.err(2);
    assert_eq!(bench.failed("timeout"), 0, "they are tried again");
    let mut sent = bench.take_sent();
    sent.sort_unstable();
    assert_eq!(sent, [1, 2, 4, 5], "in line with the others");
    assert!(bench.ends.is_empty());
}

#[test]
fn one_that_does_not_end_costs_its_process_and_no_other_record() {
    let mut bench = Bench::cancelling(|_| ());
    bench.wait(6 * SECOND);
    [1, 3, 4].into_iter().for_each(|index| bench.reply(index));
    bench.records(2);
    assert_eq!(bench.take_sent(), [5, 6, 7]);
    bench.wait(5 * SECOND);
    assert_eq!(bench.cancelled, [2]);
    bench.reply(6);
    bench.wait(4 * SECOND);
    bench.wait(SECOND);
    assert_eq!(bench.ends, ["SIGTERM"], "after --grace");
    assert_eq!(bench.failed("timeout"), 1);
    assert_eq!(
        bench.notices[..1],
        [
            "worker 0 gave no answer for record 2 within --timeout 10s, nor ended the call within \
          --grace 5s when asked to; its process is replaced, and the record fails"
        ]
    );
    bench.die(ExitStatus::Signal(15));
    bench.wait(SECOND);
    bench.can_cancel();
    assert_eq!(bench.take_sent(), [5, 7], "together");
}

#[test]
fn where_nothing_goes_on_the_one_that_was_asked_need_not_be_it() {
    let mut bench = Bench::cancelling(|_| ());
    bench.wait(6 * SECOND);
    [1, 3, 4].into_iter().for_each(|index| bench.reply(index));
    assert_eq!(bench.take_sent(), [5]);
    bench.wait(5 * SECOND);
    assert_eq!(bench.cancelled, [2]);
    bench.wait(4 * SECOND);
    bench.wait(SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
    assert_eq!(bench.failed("timeout"), 0, "5 may keep it from ending 2");
    bench.die(ExitStatus::Signal(15));
    bench.wait(SECOND);
    bench.take_sent();
    bench.can_cancel();
    assert_eq!(bench.take_sent(), [2], "alone");
    bench.wait(11 * SECOND);
    bench.wait(SECOND);
    bench.wait(60 * SECOND);
    assert_eq!(bench.failed("timeout"), 1, "it held nothing else");
}

#[test]
fn what_is_sent_beside_one_that_is_to_end_has_its_own_time() {
    let mut bench = Bench::cancelling(|policy| policy.limits.grace = 100 * SECOND);
    bench.wait(6 * SECOND);
    [1, 3, 4].into_iter().for_each(|index| bench.reply(index));
    bench.reply(5);
    bench.wait(5 * SECOND);
    assert_eq!(bench.cancelled, [2]);
    bench.wait(3 * SECOND);
    bench.records(1);
    bench.wait(9 * SECOND);
    assert_eq!(bench.cancelled, [2], "no earlier");
    bench.wait(2 * SECOND);
    assert_eq!(bench.cancelled, [2, 6], "and no later");
    assert!(bench.ends.is_empty(), "{:?}", bench.ends);
}

#[test]
fn beside_one_that_is_to_end_the_clock_goes_on_from_each_answer() {
    let mut bench = Bench::cancelling(|policy| policy.limits.grace = 100 * SECOND);
    bench.wait(6 * SECOND);
    [1, 3, 4].into_iter().for_each(|index| bench.reply(index));
    bench.reply(5);
    bench.wait(5 * SECOND);
    assert_eq!(bench.cancelled, [2]);
    bench.records(1);
    bench.wait(3 * SECOND);
    bench.records(1);
    bench.wait(SECOND);
    bench.reply(6);
    bench.wait(8 * SECOND);
    assert_eq!(bench.cancelled, [2], "7 was sent later than 6");
    assert!(bench.ends.is_empty(), "{:?}", bench.ends);
    bench.wait(2 * SECOND);
    assert_eq!(bench.cancelled, [2, 7]);
    assert!(bench.ends.is_empty(), "{:?}", bench.ends);
}

#[test]
fn a_result_that_comes_all_the_same_counts() {
    let mut bench = Bench::cancelling(|_| ());
    bench.wait(11 * SECOND);
    assert_eq!(bench.cancelled, [1, 2, 3, 4]);
    [1, 2, 3, 4, 5].into_iter().for_each(|index| bench.reply(index));
    bench.wait(60 * SECOND);
    assert_eq!(bench.failed("timeout"), 0);
    assert!(bench.ends.is_empty());
}

#[test]
fn a_first_call_that_is_given_up_is_no_measure_of_first_answers() {
    let mut bench = Bench::json(|policy| {
        policy.limits.timeout = Some(10 * SECOND);
        policy.limits.init_timeout = Some(300 * SECOND);
    });
    bench.records(6);
    bench.can_cancel();
    bench.wait(299 * SECOND);
    assert!(bench.cancelled.is_empty());
    bench.wait(2 * SECOND);
    assert_eq!(bench.cancelled, [0, 1, 2, 3]);
    bench.err(0);
    [1, 2, 3].into_iter().for_each(|index| bench.reply(index));
    bench.wait(11 * SECOND);
    assert_eq!(
        bench.cancelled,
        [0, 1, 2, 3, 4, 5],
        "--timeout holds from the first answer on"
    );
}

#[test]
fn nor_is_the_answer_that_follows_in_the_same_process() {
    let mut bench = Bench::json(|policy| {
        policy.limits.timeout = Some(10 * SECOND);
        policy.limits.init_timeout = Some(300 * SECOND);
    });
    bench.records(6);
    bench.can_cancel();
    bench.wait(302 * SECOND);
    assert_eq!(bench.cancelled, [0, 1, 2, 3]);
    (0..4).for_each(|index| bench.err(index));
    [4, 5].into_iter().for_each(|index| bench.reply(index));
    bench.records(1);
    bench.die(ExitStatus::Code(1));
    bench.wait(SECOND);
    bench.can_cancel();
    bench.wait(295 * SECOND);
    assert_eq!(
        bench.cancelled,
        [0, 1, 2, 3],
        "the next process has as long"
    );
}

//! Where a record is tried again that a worker answered with an error.

use std::num::NonZeroUsize;

use super::{Bench, MILLISECOND, OTHER, SECOND, WHOLE, WORKER};
use crate::protocol::message::{Answer, Message, Reception, Reply};
use crate::record::Index;
use crate::schedule::WorkerId;
use crate::schedule::policy::Window;

impl Bench {
    pub(super) fn reply_of(&mut self, worker: WorkerId, index: u64, reply: Reply<'_>) {
        let index = Index(index);
        let answers = &mut [Answer { index, reply }];
        let message = Message::Answers(answers);
        let reception = self.scheduler.heard(worker, message, self.now);
        assert_ne!(reception, Reception::Unasked(index));
        self.scheduler.heard(worker, WHOLE, self.now);
        self.act();
    }

    pub(super) fn refuse(&mut self, worker: WorkerId, index: u64) {
        let reply = Reply::Error {
            json: "\"busy\"".into(),
            message: "busy".into(),
        };
        self.reply_of(worker, index, reply);
    }

    pub(super) fn result(&mut self, worker: WorkerId, index: u64) {
        self.reply_of(worker, index, Reply::Output("y".into()));
    }
}

/// Two workers that are ready and hold a record each, 4 and 5 of so many.
fn two_at_work(records: usize) -> Bench {
    let mut bench = Bench::json(|policy| {
        policy.jobs = NonZeroUsize::new(2).unwrap();
        policy.window = Window::Records(NonZeroUsize::MIN);
        policy.failures.retries = 1;
    });
    bench.records(records);
    for (worker, index) in [(WORKER, 0), (OTHER, 1), (WORKER, 2), (OTHER, 3)] {
        assert_eq!(bench.held_by(worker), [index]);
        bench.result(worker, index);
    }
    assert_eq!(
        (bench.held_by(WORKER), bench.held_by(OTHER)),
        (vec![4], vec![5])
    );
    bench
}

#[test]
fn what_was_refused_goes_to_a_worker_that_is_soon_free() {
    let mut bench = two_at_work(6);
    bench.wait(500 * MILLISECOND);
    bench.refuse(WORKER, 4);
    bench.wait(400 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER), [0; 0]);
    bench.result(OTHER, 5);
    assert_eq!(bench.held_by(OTHER), [4]);
}

#[test]
fn what_was_refused_does_not_wait_for_a_worker_that_stays_busy() {
    let mut bench = two_at_work(6);
    bench.refuse(WORKER, 4);
    bench.wait(900 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER), [0; 0]);
    bench.wait(200 * MILLISECOND);
    assert_eq!(bench.held_by(WORKER), [4]);
    // Nor for one that has been busy for long by then.
    let mut bench = two_at_work(6);
    bench.wait(2 * SECOND);
    bench.refuse(WORKER, 4);
    assert_eq!(bench.held_by(WORKER), [4]);
}

#[test]
fn a_worker_that_takes_long_over_each_record_is_waited_for_as_long() {
    let mut bench = two_at_work(8);
    bench.wait(10 * SECOND);
    bench.result(OTHER, 5);
    bench.result(WORKER, 4);
    bench.refuse(WORKER, 7);
    bench.wait(9 * SECOND);
    assert_eq!(bench.held_by(WORKER), [0; 0]);
    bench.wait(2 * SECOND);
    assert_eq!(bench.held_by(WORKER), [7]);
}

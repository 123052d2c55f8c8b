//! Processes that are started for a record each.

use super::{Bench, MILLISECOND, OTHER, SECOND, WORKER};
use crate::outcome::ExitStatus;
use crate::protocol::message::Message;
use crate::schedule::policy::{Lifespan, OnError, Policy};
use crate::schedule::{Death, WorkerId};
use crate::shape::AnswerEnd;

/// So many workers, each of whose processes is started for a record.
fn each(workers: usize, change: impl FnOnce(&mut Policy)) -> Bench {
    Bench::of_workers(workers, |policy| {
        policy.lifespan = Lifespan::OwnRecord;
        policy.shape.answer_end = AnswerEnd::Exit;
        change(policy);
    })
}

impl Bench {
    /// The process of a worker exits, and has written that.
    fn exits(&mut self, worker: WorkerId, exit: ExitStatus, written: &str) {
        let mut death = Death::by(exit);
        death.pid = Some(1);
        death.tail.bytes = written.into();
        self.scheduler.died(worker, death, self.now);
        self.act();
    }

    fn ends_well(&mut self, worker: WorkerId, written: &str) {
        self.exits(worker, ExitStatus::Code(0), written);
    }
}

#[test]
fn a_process_begins_with_a_record_and_its_output_is_the_answer() {
    let mut bench = each(2, |_| ());
    assert_eq!(bench.starts, 0);
    bench.records(3);
    assert_eq!((bench.starts, bench.held_by(OTHER)), (2, vec![1]));
    // The next one begins where one has ended, and results are in turn.
    bench.ends_well(OTHER, "b");
    assert_eq!((bench.starts, bench.held_by(OTHER)), (3, vec![2]));
    assert_eq!(bench.written(), "");
    bench.ends_well(WORKER, "a\na\n");
    bench.ends_well(OTHER, "");
    assert_eq!(bench.written(), "a\na\nb\n");
    bench.end_input();
    assert_eq!((bench.starts, &bench.ends[..]), (3, &["finish"][..]));
}

#[test]
fn how_it_ends_is_the_failure_of_its_record_alone_and_nothing_is_run_again() {
    let mut bench = each(2, |_| ());
    bench.records(2);
    bench.exits(WORKER, ExitStatus::Code(3), "half");
    bench.exits(OTHER, ExitStatus::Signal(9), "");
    bench.end_input();
    let written = bench.written();
    assert_eq!(
        written.matches(r#""mtask_error":"worker_exit""#).count(),
        2,
        "{written}"
    );
    assert!(written.contains(r#""stdout":"half""#), "{written}");
    assert_eq!((bench.starts, &bench.ends[..]), (2, &["finish"][..]));
}

#[test]
fn a_record_that_failed_gets_another_process_where_retries_are_allowed() {
    let mut bench = each(1, |policy| policy.failures.retries = 1);
    bench.records(1);
    bench.end_input();
    bench.exits(WORKER, ExitStatus::Code(1), "");
    bench.wait(SECOND);
    assert_eq!((bench.starts, bench.held_by(WORKER)), (2, vec![0]));
    bench.ends_well(WORKER, "a");
    assert_eq!(
        (bench.written().as_str(), &bench.ends[..]),
        ("a\n", &["finish"][..])
    );
}

#[test]
fn a_record_whose_process_could_not_be_started_is_not_charged_and_begins_later() {
    let mut bench = each(2, |_| ());
    bench.hold_actions = true;
    bench.records(2);
    let refused = "no process is left".to_owned();
    bench.scheduler.started(WORKER, bench.now);
    bench.scheduler.start_failed(OTHER, refused, bench.now);
    bench.scheduler.take_actions();
    bench.hold_actions = false;
    // Whoever is free first takes it.
    bench.ends_well(WORKER, "a");
    bench.wait(SECOND);
    let (worker, other) = (bench.held_by(WORKER), bench.held_by(OTHER));
    assert_eq!([worker, other].concat(), [1]);
}

#[test]
fn where_none_can_be_started_no_record_fails_and_the_run_ends() {
    let mut bench = each(1, |policy| policy.failures.max_restarts = 3);
    bench.hold_actions = true;
    bench.records(2);
    bench.end_input();
    for _ in 0..3 {
        assert_eq!(bench.scheduler.owed(WORKER), 1);
        bench.scheduler.take_actions();
        bench.scheduler.start_failed(WORKER, "no process is left".into(), bench.now);
        bench.wait(10 * SECOND);
    }
    bench.hold_actions = false;
    bench.act();
    assert!(bench.ends.contains(&"finish"), "{:?}", bench.ends);
    assert_eq!(bench.written(), "");
}

#[test]
fn a_time_limit_fails_the_record_and_ends_the_process_whatever_its_status() {
    let mut bench = each(1, |policy| policy.limits.timeout = Some(2 * SECOND));
    bench.records(2);
    bench.wait(3 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
    assert_eq!(
        bench.starts, 1,
        "the next one begins when this one has ended"
    );
    // It caught the signal, and says that all is well.
    bench.ends_well(WORKER, "late");
    assert_eq!((bench.starts, bench.held_by(WORKER)), (2, vec![1]));
    let written = bench.written();
    assert!(written.starts_with(r#"{"mtask_error":"timeout","index":0"#));
    assert!(!written.contains("late"), "{written}");
}

#[test]
fn one_that_writes_too_much_fails_its_record_at_once_and_is_ended() {
    let mut bench = each(1, |_| ());
    bench.records(1);
    bench.scheduler.heard(WORKER, Message::TooLarge, bench.now);
    bench.act();
    assert!(bench.written().contains(r#""mtask_error":"answer_too_large""#));
    bench.wait(60 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM", "SIGKILL"]);
    bench.exits(WORKER, ExitStatus::Signal(9), "");
    bench.end_input();
    assert_eq!(
        (bench.written().as_str(), bench.ends.last()),
        ("", Some(&"finish"))
    );
}

#[test]
fn a_process_that_is_waited_for_is_named_though_it_has_closed_its_stdout() {
    let mut bench = each(1, |_| ());
    bench.records(1);
    bench.scheduler.hung_up(WORKER, crate::schedule::Pipe::Stdout, 0, bench.now);
    bench.act();
    bench.wait(61 * SECOND);
    assert_eq!(bench.ends, [""; 0], "it may go on");
    assert_eq!(bench.notices_with("record 0"), 1, "{:?}", bench.notices);
    bench.ends_well(WORKER, "a");
    assert_eq!(bench.written(), "a\n");
}

#[test]
fn after_drain_and_raise_no_process_begins() {
    for on_error in [OnError::Drain, OnError::Raise] {
        let mut bench = each(2, |policy| policy.failures.on_error = on_error);
        bench.records(5);
        bench.exits(WORKER, ExitStatus::Code(1), "");
        bench.ends_well(OTHER, "b");
        bench.wait(60 * SECOND);
        assert_eq!(bench.starts, 2, "{on_error:?}");
        let written = bench.written();
        assert!(written.starts_with(r#"{"mtask_error":"worker_exit","index":0"#));
        assert_eq!(
            written.ends_with("b\n"),
            on_error == OnError::Drain,
            "{written}"
        );
        assert_eq!(bench.ends.last(), Some(&"finish"));
    }
}

#[test]
fn what_a_signal_to_all_has_ended_has_no_outcome() {
    let mut bench = each(2, |_| ());
    bench.records(5);
    bench.exits(WORKER, ExitStatus::Signal(15), "");
    // mtask is told a little later, and the other one by mtask.
    bench.wait(100 * MILLISECOND);
    bench.scheduler.interrupt(libc::SIGTERM, bench.now);
    bench.act();
    bench.exits(OTHER, ExitStatus::Code(143), "");
    bench.wait(SECOND);
    assert_eq!((bench.written().as_str(), bench.starts), ("", 2));
    assert_eq!(bench.ends.last(), Some(&"finish"));
}

#[test]
fn one_that_a_signal_has_ended_fails_its_record_where_mtask_gets_none() {
    let mut bench = each(1, |_| ());
    bench.records(2);
    bench.exits(WORKER, ExitStatus::Signal(15), "");
    bench.judge();
    assert!(bench.written().contains(r#""mtask_error":"worker_exit","index":0"#));
    assert_eq!((bench.starts, bench.held_by(WORKER)), (2, vec![1]));
}

#[test]
fn a_record_that_no_argument_can_hold_fails_alone_and_its_worker_goes_on() {
    let mut bench = each(1, |_| ());
    bench.hold_actions = true;
    bench.records(2);
    bench.scheduler.take_actions();
    bench.scheduler.unfit(WORKER, "too long".into(), bench.now);
    bench.hold_actions = false;
    bench.act();
    assert!(bench.written().contains(r#""mtask_error":"invalid_input","index":0"#));
    assert_eq!((bench.starts, bench.held_by(WORKER)), (1, vec![1]));
}

#[test]
fn a_process_that_fails_leaves_its_record_one_outcome_and_makes_room_for_the_next() {
    let mut bench = Bench::new(|policy| {
        policy.lifespan = Lifespan::OwnRecord;
        policy.shape.answer_end = AnswerEnd::Exit;
    });
    bench.records(2);
    assert_eq!(bench.held_by(WORKER), [0]);
    bench.die(ExitStatus::Code(3));
    assert_eq!(bench.failed("worker_exit"), 1);
    assert_eq!(bench.held_by(WORKER), [1]);
    bench.die_with(ExitStatus::Code(0), "one\n");
    bench.end_input();
    assert_eq!(bench.scheduler.tally().outcomes(), 2);
    assert_eq!(bench.ends.last(), Some(&"finish"));
}

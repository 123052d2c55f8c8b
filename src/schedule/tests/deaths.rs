//! What the end of a process means: for the records it held, for its worker, and what is said of
//! it.

use std::num::NonZeroUsize;

use super::{Bench, MILLISECOND, OTHER, SECOND, WORKER};
use crate::exit::Status;
use crate::outcome::ExitStatus;
use crate::protocol::message::Message;
use crate::schedule::policy::{Delivery, Policy, Window};
use crate::schedule::{Death, Pipe, WorkerId};

/// A worker that has answered record 0, holds records up to `held` and has been sent nothing else.
fn holding(held: usize, change: impl FnOnce(&mut Policy)) -> Bench {
    let mut bench = Bench::new(|policy| {
        policy.window = Window::Records(NonZeroUsize::new(held).unwrap());
        change(policy);
    });
    bench.records(1);
    bench.answer(1);
    bench.sent.clear();
    bench.records(held);
    bench
}

impl Bench {
    fn hang_up(&mut self, pipe: Pipe, unsent: usize) {
        self.unsent = unsent;
        (self.scheduler).hung_up(WORKER, pipe, unsent, self.now);
        self.act();
    }

    /// All that has been said since the last look.
    pub(super) fn said(&mut self) -> String {
        std::mem::take(&mut self.notices).join("\n")
    }
}

#[test]
fn it_is_said_what_becomes_of_what_a_dead_worker_held() {
    let died = "worker 0 (pid 1) died (exit status 3) while it held";
    let mut bench = holding(3, |_| ());
    bench.die(ExitStatus::Code(3));
    let what = "; what it held is sent again, one record at a time";
    assert_eq!(
        bench.said(),
        format!("{died} 3 records (of indices 1 to 3){what}")
    );
    bench.wait(150 * MILLISECOND);
    assert_eq!(bench.sent, [1, 2, 3, 1], "alone");
    bench.die(ExitStatus::Code(3));
    let what = "; the record is sent again\nworker 0 was not ready when it died, and no other is: the \
                next process is sent nothing before it has stayed up for 1s";
    assert_eq!(bench.said(), format!("{died} 1 record (index 1){what}"));
    bench.wait(SECOND);
    assert_eq!(bench.sent, [1, 2, 3, 1], "the next one is on trial");
    bench.wait(SECOND);
    bench.die(ExitStatus::Code(3));
    bench.judge();
    let said = bench.said();
    assert!(
        said.starts_with(&format!("{died} 1 record (index 1); the record fails")),
        "it had stayed up: {said}"
    );
    bench.wait(2 * SECOND);
    assert_eq!(bench.sent, [1, 2, 3, 1, 1, 2]);

    let mut bench = holding(1, |policy| policy.failures.retries = 1);
    bench.die(ExitStatus::Code(3));
    let said = bench.said();
    assert_eq!(
        said,
        format!("{died} 1 record (index 1); the record is sent again")
    );
    bench.wait(150 * MILLISECOND);
    bench.die(ExitStatus::Code(3));
    bench.said();
    bench.wait(2 * SECOND);
    bench.die(ExitStatus::Code(3));
    bench.judge();
    assert_eq!(
        bench.said(),
        format!("{died} 1 record (index 1); the record is tried again")
    );

    let mut bench = holding(2, |_| ());
    bench.answer(2);
    bench.die(ExitStatus::Code(3));
    assert_eq!(
        bench.said(),
        "worker 0 (pid 1) died (exit status 3) while it held no record"
    );
    bench.wait(SECOND);
    bench.die(ExitStatus::Code(0));
    assert_eq!(bench.said(), "", "nothing was asked of it");
}

#[test]
fn before_command_has_answered_what_was_held_waits_until_every_other_record_was_tried() {
    let mut bench = Bench::new(|_| ());
    bench.records(3);
    bench.end_input();
    for _ in 0..3 {
        bench.die(ExitStatus::Code(1));
        bench.wait(SECOND);
    }
    assert_eq!(bench.sent, [0, 1, 2, 0]);
}

#[test]
fn of_idle_processes_one_that_has_answered_gets_the_suspect() {
    let third = WorkerId(2);
    let mut bench = Bench::of_workers(3, |_| ());
    bench.scheduler.input_is_slow(bench.now);
    bench.wait(60 * MILLISECOND);
    bench.die(ExitStatus::Code(1));
    bench.records(2);
    assert_eq!(
        (bench.held_by(OTHER), bench.held_by(third)),
        (vec![0], vec![1])
    );
    bench.answer_of(OTHER, 1);
    bench.wait(200 * MILLISECOND);
    assert_eq!(bench.starts, 4, "the first one runs again and is idle");
    (bench.scheduler).died(third, Death::by(ExitStatus::Code(1)), bench.now);
    assert_eq!(
        (bench.held_by(WORKER), bench.held_by(OTHER)),
        (vec![], vec![1])
    );
}

#[test]
fn while_one_process_is_at_a_suspect_the_others_go_on() {
    let third = WorkerId(2);
    let mut bench = Bench::of_workers(3, |policy| {
        policy.window = Window::Records(NonZeroUsize::new(2).unwrap());
    });
    bench.records(6);
    bench.answer_of(OTHER, 1);
    bench.wait(10 * MILLISECOND);
    bench.answer_of(OTHER, 1);
    bench.answer_of(third, 1);
    bench.die(ExitStatus::Code(1));
    assert_eq!(bench.held_by(OTHER), [0], "alone; record 1 is suspect too");
    bench.records(4);
    assert_eq!(bench.held_by(third), [5, 6]);
}

#[test]
fn with_a_full_window_what_was_held_is_sent_again_once_and_together() {
    let mut bench = Bench::new(|policy| policy.window = Window::Full);
    bench.records(4);
    bench.answer(1);
    bench.die(ExitStatus::Code(3));
    assert!(bench.said().ends_with("; what it held is sent again"));
    bench.sent.clear();
    bench.wait(150 * MILLISECOND);
    assert_eq!(bench.sent, [1, 2, 3]);
    bench.die(ExitStatus::Code(3));
    assert!(bench.said().contains("; what it held is sent again"));
    bench.wait(SECOND);
    assert_eq!(bench.sent, [1, 2, 3], "the next one is on trial");
    bench.wait(SECOND);
    assert_eq!(bench.sent, [1, 2, 3, 1, 2, 3]);
    bench.records(1);
    assert_eq!(bench.held_by(WORKER), [1, 2, 3, 4]);
    bench.sent.clear();
    bench.die(ExitStatus::Code(3));
    bench.judge();
    let said = bench.said();
    let first = said.lines().next().unwrap();
    assert!(
        first.ends_with("while it held 4 records (of indices 1 to 4)"),
        "{said}"
    );
    assert_eq!(
        bench.scheduler.tally().failures(),
        3,
        "not that which was sent once only"
    );
    bench.wait(SECOND);
    assert_eq!(bench.sent, [4]);
}

#[test]
fn with_a_full_window_nobody_is_charged_before_command_has_answered() {
    let mut bench = Bench::new(|policy| policy.window = Window::Full);
    bench.records(3);
    let told = "; what it held is sent again; later ones like it are counted";
    bench.die(ExitStatus::Code(3));
    assert!(bench.said().ends_with(told));
    bench.wait(SECOND);
    bench.die(ExitStatus::Code(4));
    assert!(bench.said().ends_with(told));
    bench.wait(SECOND);
    assert_eq!(bench.sent, [0, 1, 2, 0, 1, 2, 0, 1, 2], "together");
}

#[test]
fn a_process_that_cannot_be_started_is_told_with_the_reason() {
    let mut bench = Bench::new(|_| ());
    bench.records(1);
    (bench.scheduler).start_failed(WORKER, "no luck".into(), bench.now);
    bench.act();
    assert_eq!(
        bench.said(),
        "worker 0 could not be started: no luck; later ones like it are counted"
    );
}

#[test]
fn a_failure_at_the_end_costs_no_record_and_shows_in_the_status() {
    let mut bench = holding(1, |_| ());
    bench.end_input();
    bench.answer(1);
    assert_eq!(bench.ends, ["end of stdin"]);
    bench.die(ExitStatus::Code(3));
    bench.judge();
    assert_eq!(
        bench.said(),
        "worker 0 (pid 1) died (exit status 3) after its last answer: no record is lost, but the \
         status is 123"
    );
    assert_eq!(bench.scheduler.tally().faults.bad_ends, 1);
    assert_eq!(bench.scheduler.status(), Status::RecordFailed);
    assert_eq!(bench.written(), "y\ny\n");
}

#[test]
fn a_death_by_a_signal_for_groups_is_judged_later() {
    let mut bench = holding(1, |_| ());
    bench.die(ExitStatus::Signal(15));
    bench.wait(190 * MILLISECOND);
    assert_eq!((bench.starts, bench.said()), (1, String::new()));
    bench.wait(20 * MILLISECOND);
    assert!(bench.said().contains("died (signal 15 (SIGTERM))"));
    bench.wait(SECOND);
    assert_eq!((bench.starts, &bench.sent[..]), (2, &[1, 1][..]));
}

#[test]
fn what_a_worker_held_that_was_killed_with_mtask_is_sent_again_where_it_may_be() {
    for (delivery, sent) in [
        (Delivery::AtLeastOnce, &[1, 1][..]),
        (Delivery::AtMostOnce, &[1]),
    ] {
        // Whichever is seen first.
        for is_worker_first in [true, false] {
            let mut bench = holding(1, |policy| {
                policy.delivery = delivery;
                policy.limits.grace = 60 * SECOND;
            });
            if is_worker_first {
                bench.die(ExitStatus::Signal(15));
                bench.wait(150 * MILLISECOND);
            }
            bench.scheduler.interrupt(15, bench.now);
            bench.act();
            if !is_worker_first {
                bench.die(ExitStatus::Signal(15));
            }
            bench.wait(SECOND);
            assert_eq!(bench.sent, sent);
            assert_eq!(bench.notices_with("died"), 0, "{:?}", bench.notices);
            assert_eq!(bench.scheduler.tally().failures(), 0);
        }
    }
}

#[test]
fn a_process_that_has_closed_its_stdout_has_200_ms_to_exit() {
    let mut bench = holding(3, |_| ());
    bench.hang_up(Pipe::Stdout, 0);
    bench.wait(190 * MILLISECOND);
    assert!(bench.ends.is_empty());
    bench.wait(20 * MILLISECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
    assert!(bench.said().contains("worker 0 is ended (it closed its stdout)"));
}

#[test]
fn a_process_that_has_closed_its_stdin_may_answer_what_it_has_read() {
    let mut bench = holding(3, |policy| policy.limits.exit_timeout = 10 * SECOND);
    // Record 3 has not been begun to be written.
    bench.hang_up(Pipe::Stdin, 1);
    bench.unsent = 0;
    bench.wait(9 * SECOND);
    bench.answer(1);
    bench.wait(9 * SECOND);
    assert!(
        bench.ends.is_empty(),
        "its time begins again with each answer"
    );
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
    assert_eq!(bench.scheduler.tally().results, 2);
    assert_eq!(bench.notices_with("while it held 1 record (index 2)"), 1);
    bench.die(ExitStatus::Signal(15));
    bench.wait(SECOND);
    assert_eq!(
        bench.sent,
        [1, 2, 3, 3],
        "what was never written is no suspect, and opens the process"
    );
    bench.answer(1);
    assert_eq!(bench.sent, [1, 2, 3, 3, 2]);
}

#[test]
fn a_process_that_has_closed_its_stdin_and_owes_nothing_has_200_ms_to_exit() {
    let mut bench = holding(2, |_| ());
    bench.answer(2);
    bench.hang_up(Pipe::Stdin, 0);
    bench.wait(190 * MILLISECOND);
    assert!(bench.ends.is_empty());
    bench.wait(20 * MILLISECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
}

#[test]
fn a_process_that_was_told_to_end_and_closes_its_pipes_has_the_exit_timeout() {
    let mut bench = holding(1, |policy| policy.limits.exit_timeout = 10 * SECOND);
    bench.answer(1);
    bench.end_input();
    bench.hang_up(Pipe::Stdout, 0);
    bench.wait(9 * SECOND);
    assert_eq!(bench.ends, ["end of stdin"]);
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["end of stdin", "SIGTERM"]);
}

#[test]
fn an_answer_to_a_part_of_a_record_is_none() {
    let mut bench = holding(2, |_| ());
    assert_eq!(bench.scheduler.owed(WORKER), 2);
    bench.scheduler.record_partially_written(WORKER);
    bench.hang_up(Pipe::Stdin, 0);
    assert_eq!(bench.scheduler.owed(WORKER), 1);
    bench.answer(1);
    bench.scheduler.heard(WORKER, Message::Stray(b"y"), bench.now);
    bench.act();
    assert_eq!(bench.ends, ["SIGTERM"]);
    assert_eq!(bench.scheduler.tally().results, 2);
    assert_eq!(bench.scheduler.tally().faults.protocol_violations, 0);
    bench.die(ExitStatus::Signal(15));
    bench.wait(SECOND);
    assert_eq!(bench.sent, [1, 2, 2]);
}

#[test]
fn a_line_without_its_end_is_no_answer_of_a_process_that_has_refused_its_records() {
    for closes_stdout in [false, true] {
        let mut bench = Bench::new(|policy| policy.window = Window::Full);
        bench.records(1);
        bench.answer(1);
        bench.records(4);
        bench.end_input();
        assert_eq!(
            bench.ends,
            ["end of stdin"],
            "which comes after what is not written yet"
        );
        // The last two do not reach it.
        bench.hang_up(Pipe::Stdin, 2);
        bench.unsent = 0;
        bench.answer(1);
        if closes_stdout {
            bench.hang_up(Pipe::Stdout, 0);
        }
        bench.die_with(ExitStatus::Code(0), "tor");
        assert_eq!(bench.scheduler.tally().results, 2);
        assert_eq!(bench.scheduler.tally().failures(), 0, "{:?}", bench.notices);
        bench.wait(SECOND);
        assert_eq!(bench.sent[5..], [2, 3, 4]);
        bench.answer(2);
        bench.die_with(ExitStatus::Code(0), "y");
        assert_eq!(bench.written(), "y\n".repeat(5), "here it is one");
    }
}

#[test]
fn suspects_of_a_worker_that_collects_records_are_answered_at_the_end_of_its_stdin() {
    for timeout in [None, Some(2 * SECOND)] {
        let mut bench = holding(3, |policy| policy.limits.timeout = timeout);
        bench.records(10);
        bench.die(ExitStatus::Code(1));
        for suspect in 1..=3 {
            bench.wait(SECOND);
            let others = 1 + 3 * suspect..=3 + 3 * suspect;
            assert!(
                bench.sent.ends_with(&others.collect::<Vec<_>>()),
                "those open the process, together: {:?}",
                bench.sent
            );
            bench.answer(3);
            bench.ends.clear();
            bench.wait(1500 * MILLISECOND);
            assert_eq!(bench.sent.last(), Some(&suspect));
            assert_eq!(bench.ends, ["end of stdin"], "timeout: {timeout:?}");
            bench.answer(1);
            bench.die(ExitStatus::Code(0));
        }
        assert_eq!(bench.scheduler.tally().failures(), 0);
    }
}

#[test]
fn a_signal_shows_in_the_status_though_the_output_fails_after_it() {
    let mut bench = holding(1, |_| ());
    bench.scheduler.interrupt(15, bench.now);
    bench.scheduler.output_failed(bench.now);
    bench.act();
    bench.die(ExitStatus::Signal(15));
    assert_eq!(bench.scheduler.status(), Status::Signal(15));
}

#[test]
fn many_failures_at_once_wait_for_the_output() {
    let mut bench = Bench::new(|policy| policy.window = Window::Full);
    bench.records(1);
    bench.answer(1);
    bench.records(50_000);
    bench.die(ExitStatus::Code(1));
    bench.wait(150 * MILLISECOND);
    bench.die(ExitStatus::Code(1));
    bench.wait(2 * SECOND);
    bench.scheduler.set_output_room(0);
    bench.die(ExitStatus::Code(1));
    bench.end_input();
    let mut written = 0;
    for _ in 0..1000 {
        let held = bench.scheduler.outcomes.order.held().bytes;
        assert!(held < 2 << 20, "{held} bytes wait");
        written += bench.written().lines().count();
        bench.scheduler.set_output_room(256 << 10);
        bench.wait(MILLISECOND);
    }
    assert_eq!(written, 50_001);
    assert_eq!(bench.ends, ["finish"]);
}

#[test]
fn nobody_waits_for_the_judgement_of_a_process_once_the_run_is_over() {
    let mut bench = holding(1, |_| ());
    bench.die(ExitStatus::Signal(15));
    bench.scheduler.output_failed(bench.now);
    bench.act();
    assert_eq!(bench.ends, ["finish"]);
    bench.wait(SECOND);
    assert_eq!((bench.said(), bench.starts), (String::new(), 1));
}

#[test]
fn an_idle_worker_that_dies_of_a_signal_that_mtask_got_too_has_not_failed() {
    for delivery in [Delivery::AtLeastOnce, Delivery::AtMostOnce] {
        let mut bench = Bench::new(|policy| policy.delivery = delivery);
        bench.records(1);
        bench.answer(1);
        bench.end_input();
        bench.die(ExitStatus::Signal(libc::SIGUSR1));
        bench.scheduler.signalled(libc::SIGUSR1, bench.now);
        bench.wait(SECOND);
        assert_eq!(bench.scheduler.status(), Status::Success, "{delivery:?}");
    }
}

#[test]
fn a_record_that_was_not_begun_to_be_written_is_not_its_workers() {
    for (unsent, sent) in [(0, vec![0]), (1, vec![0, 0])] {
        let mut bench = Bench::new(|policy| policy.delivery = Delivery::AtMostOnce);
        bench.records(1);
        bench.hang_up(Pipe::Stdout, 0);
        bench.unsent = unsent;
        bench.wait(SECOND);
        bench.die(ExitStatus::Signal(15));
        bench.wait(SECOND);
        assert_eq!(bench.sent, sent, "{unsent} not begun");
    }
}

#[test]
fn a_process_to_which_nothing_was_written_held_no_record() {
    let mut bench = holding(2, |_| ());
    let death = Death {
        unsent: 2,
        ..Death::by(ExitStatus::Code(3))
    };
    bench.scheduler.died(WORKER, death, bench.now);
    bench.act();
    assert!(bench.said().contains("while it held no record"));
    bench.wait(SECOND);
    assert_eq!(bench.sent, [1, 2, 1, 2]);
}

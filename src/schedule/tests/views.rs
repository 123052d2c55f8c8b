//! What reports see of a run.

use std::num::NonZeroUsize;

use super::{Bench, MILLISECOND, SECOND, WHOLE, WORKER};
use crate::outcome::{ExitStatus, Lines};
use crate::protocol::message::Message;
use crate::schedule::WorkerId;
use crate::schedule::policy::{Readiness, Window};
use crate::schedule::view::{Bottleneck, Standing};

fn standing(bench: &Bench) -> Standing {
    bench.scheduler.standing(WORKER)
}

#[test]
fn how_many_records_there_are_is_known_once_all_of_them_will_have_an_outcome() {
    let mut bench = Bench::new(|_| ());
    let total = |bench: &Bench| bench.scheduler.total_records();
    bench.records(3);
    assert_eq!(total(&bench), None, "more may come");
    bench.end_input();
    assert_eq!(total(&bench), Some(3));
    for _ in 0..3 {
        bench.answer(1);
    }
    bench.die(ExitStatus::Code(0));
    assert_eq!(
        (&bench.ends[..], total(&bench)),
        (&["end of stdin", "finish"][..], Some(3))
    );

    // Two are sent after the first answer, and nothing more once a signal has come.
    for (records, left, in_all) in [(3, 0, Some(3)), (9, 6, None)] {
        let mut bench = Bench::new(|_| ());
        bench.records(records);
        bench.end_input();
        bench.answer(1);
        bench.scheduler.interrupt(15, bench.now);
        assert_eq!(total(&bench), None);
        bench.act();
        bench.answer(2);
        bench.die(ExitStatus::Code(0));
        assert_eq!(bench.ends.last(), Some(&"finish"));
        let end = bench.scheduler.tally().early_end;
        assert_eq!(end.map(|end| end.records), Some(left));
        assert_eq!(total(&bench), in_all);
    }
}

#[test]
fn what_a_worker_is_about_can_be_seen() {
    let mut bench = Bench::of_workers(2, |_| ());
    assert_eq!(bench.scheduler.jobs(), 2);
    assert_eq!(standing(&bench), Standing::Unstarted);
    bench.records(1);
    assert_eq!(standing(&bench), Standing::Starting);
    assert_eq!(bench.scheduler.standing(WorkerId(1)), Standing::Unstarted);
    bench.answer(1);
    assert_eq!(standing(&bench), Standing::Idle);
    assert_eq!(bench.scheduler.bottleneck(), Bottleneck::Input);
    bench.wait(10 * MILLISECOND);
    bench.records(1);
    assert_eq!(standing(&bench), Standing::Working);
    bench.scheduler.set_output_room(0);
    bench.answer(1);
    assert_eq!(bench.scheduler.bottleneck(), Bottleneck::Output);
    bench.die(ExitStatus::Code(1));
    assert_eq!(standing(&bench), Standing::Between);
    bench.wait(SECOND);
    assert_eq!(standing(&bench), Standing::Unready);
}

#[test]
fn a_process_exits_from_when_it_was_told_to_and_owes_nothing() {
    let mut bench = Bench::new(|policy| policy.window = Window::Full);
    bench.records(2);
    bench.answer(1);
    bench.end_input();
    assert_eq!(bench.ends, ["end of stdin"]);
    assert_eq!(standing(&bench), Standing::Working, "it owes an answer");
    bench.answer(1);
    assert_eq!(standing(&bench), Standing::Exiting);

    let mut bench = Bench::new(|policy| policy.limits.timeout = Some(SECOND));
    bench.records(2);
    bench.answer(1);
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
    assert_eq!(standing(&bench), Standing::Exiting);
    bench.wait(5 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM", "SIGKILL"]);
    assert_eq!(standing(&bench), Standing::Exiting);
    bench.die(ExitStatus::Signal(9));
    assert_eq!(standing(&bench), Standing::Between, "more may come");
}

#[test]
fn a_worker_is_gone_once_its_process_has_ended_and_no_record_is_left_for_another() {
    let mut bench = Bench::of_workers(2, |_| ());
    bench.records(2);
    bench.answer(1);
    bench.end_input();
    assert_eq!(bench.ends, ["end of stdin"]);
    bench.die(ExitStatus::Code(0));
    assert_eq!(standing(&bench), Standing::Gone);
    assert_eq!(bench.scheduler.bottleneck(), Bottleneck::End);
    assert_eq!(
        bench.scheduler.standing(WorkerId(1)),
        Standing::Starting,
        "it owes an answer"
    );
}

#[test]
fn a_process_without_a_record_starts_up_where_it_is_to_say_that_it_is_up() {
    for (readiness, before) in [
        (Readiness::Announced, Standing::Starting),
        (Readiness::Unknown, Standing::Unready),
    ] {
        let mut bench = Bench::json(|policy| policy.readiness = readiness);
        bench.scheduler.input_is_slow(bench.now);
        bench.act();
        assert_eq!(standing(&bench), before);
        bench.ready(1);
        assert_eq!(standing(&bench), Standing::Idle);
    }
}

#[test]
fn a_process_that_owes_answers_and_is_not_listened_to_does_not_count_as_working() {
    let mut bench = Bench::of_workers(2, |policy| {
        policy.window = Window::Records(NonZeroUsize::MIN);
    });
    let other = WorkerId(1);
    bench.records(2);
    bench.answer(1);
    bench.answer_of(other, 1);
    bench.records(2);
    let standings = |bench: &Bench| [WORKER, other].map(|worker| bench.scheduler.standing(worker));
    let limit = bench.budget.limit();
    bench.budget.add(limit);
    bench.scheduler.choose_read_from(bench.now);
    assert_eq!(standings(&bench), [Standing::Working, Standing::Paused]);
    bench.budget.free(limit);
    bench.scheduler.choose_read_from(bench.now);
    assert_eq!(standings(&bench), [Standing::Working; 2]);
}

#[test]
fn results_that_wait_for_their_turn_hold_the_run_up_once_they_take_all_the_room() {
    let bottleneck = |bench: &Bench| bench.scheduler.bottleneck();
    // Two workers with a record each; `first` is the one that answers.
    let after_answer_of = |first: WorkerId| {
        let mut bench = Bench::of_workers(2, |_| ());
        bench.records(2);
        bench.scheduler.heard(first, Message::Results(1, Lines::Lent(b"y\n")), bench.now);
        bench.scheduler.heard(first, WHOLE, bench.now);
        bench
    };
    let bench = after_answer_of(WorkerId(1));
    let limit = bench.budget.limit();
    assert_eq!(bottleneck(&bench), Bottleneck::Input, "there is room");
    bench.budget.add(limit);
    assert_eq!(bottleneck(&bench), Bottleneck::Order);
    bench.budget.free(limit);
    assert!(!bench.budget.take_or_announce(limit, 0));
    assert!(!bench.budget.is_full());
    assert_eq!(
        bottleneck(&bench),
        Bottleneck::Order,
        "what comes next finds no room"
    );

    let bench = after_answer_of(WORKER);
    bench.budget.add(limit);
    assert_eq!(bottleneck(&bench), Bottleneck::Input, "no result waits");
    bench.budget.free(limit);
}

#[test]
fn a_worker_that_is_passed_over_waits_for_nothing_but_quicker_ones() {
    let mut bench = Bench::of_workers(2, |_| ());
    let slow = WorkerId(1);
    bench.records(1060);
    bench.end_input();
    let mut idle = 0;
    for step in 1.. {
        bench.wait(10 * MILLISECOND);
        let owed = |worker: WorkerId| bench.scheduler.owed(worker);
        let (quick_owes, slow_owes) = (owed(WORKER), owed(slow));
        if quick_owes > 0 {
            bench.answer(1);
        }
        if step % 100 == 0 && slow_owes > 0 {
            bench.answer_of(slow, 1);
        }
        if bench.scheduler.queue.together() == 0 {
            break;
        }
        if bench.scheduler.standing(slow) == Standing::Idle {
            idle += 1;
            let waits_for = bench.scheduler.waits_for(slow, bench.now);
            assert!(
                matches!(waits_for, Bottleneck::Quicker | Bottleneck::Check),
                "{waits_for:?}"
            );
        }
    }
    assert!(idle > 10, "{idle}");
    let waits_for = bench.scheduler.waits_for(slow, bench.now);
    assert_eq!(waits_for, Bottleneck::End);
}

#[test]
fn a_process_that_is_watched_for_a_line_too_many_waits_for_that() {
    let mut bench = Bench::new(|_| ());
    bench.records(10_000);
    while bench.scheduler.owed(WORKER) > 0 {
        bench.wait(MILLISECOND);
        bench.answer(1);
    }
    assert_eq!(standing(&bench), Standing::Idle);
    assert_eq!(
        bench.scheduler.waits_for(WORKER, bench.now),
        Bottleneck::Check
    );
}

#[test]
fn a_process_is_being_replaced_until_the_next_one_may_begin() {
    let mut bench = Bench::of_workers(2, |_| ());
    let waits_for = |bench: &Bench, worker| bench.scheduler.waits_for(worker, bench.now);
    bench.records(2);
    bench.end_input();
    bench.answer(1);
    assert_eq!(waits_for(&bench, WORKER), Bottleneck::End, "it exits");
    bench.die(ExitStatus::Code(0));
    assert_eq!(waits_for(&bench, WORKER), Bottleneck::End);
    bench.answer_of(WorkerId(1), 1);
    assert_eq!(waits_for(&bench, WorkerId(1)), Bottleneck::End);

    let mut bench = Bench::new(|_| ());
    bench.records(9);
    bench.answer(1);
    bench.die(ExitStatus::Code(1));
    assert_eq!(waits_for(&bench, WORKER), Bottleneck::Restart);
}

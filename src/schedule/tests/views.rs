//! What reports see of a run.

use super::{Bench, MILLISECOND, SECOND, WORKER};
use crate::outcome::Exit;
use crate::schedule::WorkerId;
use crate::schedule::view::{Bottleneck, Standing};

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
    bench.die(Exit::Code(0));
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
        bench.die(Exit::Code(0));
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
    let standing = |bench: &Bench| bench.scheduler.standing(WORKER);
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
    bench.die(Exit::Code(1));
    assert_eq!(standing(&bench), Standing::Between);
    bench.wait(SECOND);
    assert_eq!(standing(&bench), Standing::Unsigned);
    assert_eq!(bench.scheduler.served(WORKER), (2, 0, 2));
}

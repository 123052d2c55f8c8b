//! Processes that end because they should, and workers that do not come back.

use crate::done::{numbers, records};
use crate::env::{TestEnv, mtask};

#[test]
fn a_process_ends_after_as_many_records_as_its_lifespan() {
    let input = records((0..10).map(|_| "@env:MTASK_PROCESS"));
    mtask("-j1 --lifespan 3")
        .echo()
        .run_on(input)
        .assert_output("0\n0\n0\n1\n1\n1\n2\n2\n2\n3\n");
}

#[test]
fn a_lifespan_loses_no_record_whatever_the_window() {
    let input = numbers(100);
    for window in ["1", "5", "auto"] {
        let env = TestEnv::new();
        let done = env
            .mtask()
            .args(["-j3", "--lifespan", "7", "--window", window])
            .worker(["--pids", &env.path("w.pids")])
            .run_on(&input);
        done.assert_output(&input);
        let processes = env.lines("w.pids").len();
        done.check(
            processes >= 100_usize.div_ceil(7),
            &format!("there were only {processes} processes"),
        );
    }
}

#[test]
fn a_lifespan_ends_by_the_end_of_stdin_and_not_by_a_signal() {
    let env = TestEnv::new();
    let done = env
        .mtask()
        .words("-j1 --lifespan 5")
        .worker(["--end-meet", &env.path("ended-")])
        .run_on(numbers(10));
    done.assert_output(numbers(10));
    assert!(env.exists("ended-0"));
}

#[test]
fn a_worker_that_is_given_up_leaves_its_records_to_the_others() {
    let env = TestEnv::new();
    let input = numbers(500);
    let _tried = env.fifo("tried");
    // Worker 1 never starts; worker 0 waits until it has tried.
    let script = format!(
        "if [ $MTASK_WORKER = 1 ]; then echo tried >{0}; echo no luck >&2; exit 9; fi; \
         read -r tried <{0}; \
         while IFS= read -r x; do echo \"$x\"; done",
        env.path("tried")
    );
    let mut live =
        env.mtask().args(["-j2", "--max-restarts", "1", "--", "sh", "-c", &script]).open();
    for i in 0..500 {
        live.send(i.to_string());
    }
    for i in 0..500 {
        assert_eq!(live.line(), i.to_string());
    }
    live.wait_for_stderr("worker 1");
    live.wait().assert_stdout(input).assert_stderr_has("no luck");
}

#[test]
fn processes_that_answer_and_die_are_no_failed_starts() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j1").worker(["--pids", &env.path("w.pids")]).open();
    // More than --max-restarts allows for processes that are never ready.
    for i in 0..12 {
        live.ask(&i.to_string(), &i.to_string());
        env.processes("w.pids")[i].kill();
        env.wait_for_lines("w.pids", i + 2);
    }
    live.ask("last", "last");
    live.wait().assert_status(0);
}

#[test]
fn a_worker_that_quits_after_a_few_records_loses_none() {
    // Like `head -n 3`: it reads more than it answers. A record may have bad luck twice; none is
    // lost.
    let input = numbers(30);
    let done = mtask("-j2").worker(["--quit-after", "3"]).run_on(input);
    let lines = done.lines();
    done.check(lines.len() == 30, "there are not 30 outcomes");
    for (i, line) in lines.iter().enumerate() {
        if *line != i.to_string().as_bytes() {
            assert_eq!(done.parse(line)["index"], i);
        }
    }
    done.assert_status(if done.error_records().is_empty() {
        0
    } else {
        123
    });
}

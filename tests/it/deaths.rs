//! Workers that die: nobody is charged at first, and the one that kills costs itself and nobody
//! else.

use rustix::process::Signal;

use crate::done::{Done, answers, numbers, records};
use crate::env::{TestEnv, mtask, worker_path};

/// How a worker dies, and what a warning may call it.
const CAUSES: [(&str, &[&str]); 3] = [
    (
        "@die:3",
        &["status 3", "code 3", "exit 3", "exited 3", "with 3"],
    ),
    (
        "@die:0",
        &["status 0", "code 0", "exit 0", "exited 0", "with 0"],
    ),
    ("@kill:9", &["SIGKILL", "signal 9"]),
];

/// Sends all records, reads as many outcomes, and only then closes the input: a worker that exits
/// before has not been asked to.
fn run_with_input_held_open(env: &TestEnv, options: &[&str], args: &[&str], input: &[u8]) -> Done {
    let mut live = env.mtask().args(options).worker(args).open();
    for record in input.strip_suffix(b"\n").unwrap_or(input).split(|byte| *byte == b'\n') {
        live.send(record);
    }
    for _ in input.iter().filter(|byte| **byte == b'\n') {
        live.line();
    }
    live.wait()
}

#[test]
fn a_worker_that_dies_once_costs_no_record() {
    let input = numbers(60);
    for (cause, names) in CAUSES {
        for window in ["1", "auto", "7"] {
            let env = TestEnv::new();
            let words = format!("@once:{} {cause}", env.path("once"));
            let args = ["--suffix", "!", "--at", "3", &words];
            let done = run_with_input_held_open(&env, &["-j3", "--window", window], &args, &input);
            assert!(env.exists("once"), "no worker died");
            done.assert_output(answers(&input, "!"));
            done.assert_stderr_has_any(&["worker 0", "worker 1", "worker 2"])
                .assert_stderr_has_any(names);
        }
    }
}

#[test]
fn a_worker_that_dies_once_in_a_run_from_a_file_costs_no_record() {
    let input = numbers(60);
    for (cause, _) in CAUSES {
        let env = TestEnv::new();
        let words = format!("@once:{} {cause}", env.path("once"));
        let file = env.write("input", &input);
        // With a window of 1 no worker's stdin can have ended at its third record.
        let options = ["-j3", "--window", "1", "-i", &file];
        let done = env.mtask().args(options).worker(["--at", "3", &words]).run();
        assert!(env.exists("once"), "no worker died");
        done.assert_output(&input);
    }
}

#[test]
fn a_record_that_kills_twice_fails_in_its_place_and_no_other_does() {
    for (cause, _) in CAUSES {
        for window in ["1", "auto", "20"] {
            let env = TestEnv::new();
            let record = format!("30 @err:last-words @note:{} {cause}", env.path("tries"));
            let input = records((0..60).map(|i| {
                if i == 30 {
                    record.clone()
                } else {
                    i.to_string()
                }
            }));
            let options = ["-j3", "--window", window];
            let done = run_with_input_held_open(&env, &options, &["--suffix", "!"], &input);
            done.assert_status(123).assert_results_but(30, &answers(&input, "!"));
            let error = done.assert_one_error(30, "worker_exit");
            // As a neighbour and as a suspect; and once for nothing, where no other worker has been
            // ready by then.
            let tries = env.lines("tries").len();
            assert_eq!(error["attempts"], tries);
            assert!((2..=3).contains(&tries), "{tries} tries");
            assert_eq!(error["input"], record);
            done.check(error["worker"].is_u64(), "the error record names no worker");
            done.check(
                !error["message"].as_str().unwrap_or_default().is_empty(),
                "it has no message",
            );
            let words = error["stderr"].as_str().unwrap_or_default();
            done.check(
                words.contains("last-words"),
                "it lacks the last words of the worker",
            );
            match cause {
                "@die:3" => assert_eq!(error["exit_code"], 3),
                "@die:0" => assert_eq!(error["exit_code"], 0),
                _ => {
                    let named = error["signal"] == 9 || error["signal"] == "SIGKILL";
                    done.check(named, "the error record does not name the signal");
                    done.check(error.get("exit_code").is_none(), "it has an exit code too");
                }
            }
        }
    }
}

#[test]
fn a_killer_costs_its_neighbours_nothing_whatever_the_window() {
    let input = records((0..40).map(|i| {
        if i == 20 {
            "20 @die:3".to_owned()
        } else {
            i.to_string()
        }
    }));
    for window in ["1", "2", "10", "1000", "auto"] {
        let options = ["-j1", "--window", window];
        TestEnv::new()
            .mtask()
            .args(options)
            .echo()
            .run_on(&input)
            .assert_status(123)
            .assert_results_but(20, &input)
            .assert_one_error(20, "worker_exit");
    }
}

#[test]
fn several_killers_in_one_window_are_each_found() {
    let killers = [5, 6, 11];
    let line = |i: usize| {
        if killers.contains(&i) {
            format!("{i} @kill:9")
        } else {
            i.to_string()
        }
    };
    let input = records((0..20).map(line));
    let options = ["-j2", "--window", "20"];
    let done = TestEnv::new().mtask().args(options).echo().run_on(&input);
    let failed: Vec<u64> =
        done.error_records().iter().filter_map(|error| error["index"].as_u64()).collect();
    done.assert_status(123).check(failed == [5, 6, 11], "the wrong records failed");
    done.check(done.lines().len() == 20, "there are not 20 outcomes");
}

#[test]
fn a_worker_killed_from_outside_costs_no_record() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j2").worker(["--suffix", "!"]).open();
    live.ask("first", "first!");
    let record = format!(
        "second @note:{} @wait:{}",
        env.path("w.pids"),
        env.path("go")
    );
    live.send(&record);
    env.wait_for_lines("w.pids", 1);
    env.processes("w.pids")[0].signal(Signal::KILL);
    env.wait_for_lines("w.pids", 2);
    env.write("go", "");
    assert_eq!(live.line(), format!("{record}!"));
    live.wait().assert_status(0).assert_stderr_has_any(&["SIGKILL", "signal 9"]);
}

#[test]
fn a_worker_that_dies_while_it_holds_nothing_is_replaced() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j1").worker(["--pids", &env.path("w.pids")]).open();
    live.ask("first", "first");
    env.processes("w.pids")[0].signal(Signal::KILL);
    env.wait_for_lines("w.pids", 2);
    live.ask("second", "second");
    live.wait()
        .assert_status(0)
        .assert_stderr_has("worker 0")
        .assert_stderr_has_any(&["SIGKILL", "signal 9"]);
}

#[test]
fn the_next_process_keeps_the_workers_number_and_argument() {
    let env = TestEnv::new();
    let asks = "@env:MTASK_WORKER @env:MTASK_PROCESS @env:MTASK_ARG";
    let options = ["-j1", "--worker-arg", "gpu=7"];
    let mut live = env.mtask().args(options).echo().open();
    live.ask(asks, "0 0 gpu=7");
    for process in 1..4 {
        let fault = format!("@once:{} @die:3", env.path(&format!("once-{process}")));
        live.ask(&fault, &fault);
        live.ask(asks, &format!("0 {process} gpu=7"));
    }
    live.wait().assert_status(0);
}

#[test]
fn a_death_in_the_middle_of_an_answer_leaves_no_trace_of_it() {
    let env = TestEnv::new();
    let input = records([
        "0".to_owned(),
        format!("1 @once:{} @partial @die:3", env.path("once")),
        "2".into(),
    ]);
    let options = ["-j1", "--window", "1"];
    env.mtask().args(options).echo().run_on(&input).assert_output(input);
}

#[test]
fn a_worker_that_closes_its_stdout_while_it_owes_an_answer_counts_as_dead() {
    let env = TestEnv::new();
    let words = format!(
        "@once:{} @note:{} @closeout @hang",
        env.path("once"),
        env.path("w.pids")
    );
    let input = records((0..10).map(|i| {
        if i == 5 {
            format!("5 {words}")
        } else {
            i.to_string()
        }
    }));
    let options = ["-j2", "--window", "1", "--grace", "1s"];
    let done = env.mtask().args(options).echo().run_on(&input);
    done.assert_output(input);
    env.assert_all_gone("w.pids");
}

#[test]
fn a_dead_workers_child_that_holds_its_stdout_delays_nothing_and_does_not_survive() {
    let env = TestEnv::new();
    let words = format!(
        "@once:{} @child:{} @die:3",
        env.path("once"),
        env.path("child.pids")
    );
    let input = records((0..10).map(|i| {
        if i == 5 {
            format!("5 {words}")
        } else {
            i.to_string()
        }
    }));
    let done = env.mtask().words("-j2 --window 1").echo().run_on(&input);
    done.assert_output(input);
    env.assert_all_gone("child.pids");
}

#[test]
fn a_worker_that_stops_reading_is_replaced_without_loss() {
    let input = records((0..10).map(|i| {
        if i == 5 {
            "5 @closein".to_owned()
        } else {
            i.to_string()
        }
    }));
    mtask("-j1 --window 1").echo().run_on(&input).assert_output(input);
}

/// Process 0 leaves all its work to a child in its group and exits with `status` once `left`, a
/// pipe, says so.
fn leader_that_leaves(env: &TestEnv, status: i32) -> String {
    format!(
        "[ $MTASK_PROCESS = 0 ] || {{ : >{next}; exec {worker}; }}; exec 3<&0; {worker} --pids {pids} <&3 3<&- & \
         exec 3<&-; read -r child <{left}; exit {status}",
        worker = worker_path(),
        pids = env.path("child.pids"),
        left = env.path("left"),
        next = env.path("next"),
    )
}

#[test]
fn a_worker_whose_process_exits_is_dead_though_a_child_holds_its_pipes_and_answers() {
    for status in [0, 3] {
        for words in ["@note", "@hang"] {
            let env = TestEnv::new();
            let script = leader_that_leaves(&env, status);
            let _left = env.fifo("left");
            let left = env.path("left");
            let record = match words {
                // The child would go on to answer this record and all that follow.
                "@note" => format!("5 @note:{left}"),
                _ => format!("5 @once:{} @note:{left} @hang", env.path("once")),
            };
            let line = |i: usize| {
                if i == 5 {
                    record.clone()
                } else {
                    i.to_string()
                }
            };
            let input = records((0..10).map(line));
            let mut live =
                env.mtask().args(["-j1", "--window", "1", "--", "sh", "-c", &script]).open();
            for i in 0..5 {
                live.ask(&i.to_string(), &i.to_string());
            }
            for i in 5..10 {
                live.send(line(i));
            }
            // The input stays open until the next process has come.
            env.wait_for("next");
            live.wait().assert_output(&input);
            env.assert_all_gone("child.pids");
        }
    }
}

#[test]
fn workers_that_all_leave_a_child_behind_leave_no_process_and_no_record_without_outcome() {
    for status in [0, 3] {
        let env = TestEnv::new();
        let script = format!(
            "exec 3<&0; {} --pids {} <&3 3<&- & exit {status}",
            worker_path(),
            env.path("child.pids")
        );
        let done = env
            .mtask()
            .args(["-j2", "--max-restarts", "1", "--", "sh", "-c", &script])
            .run_on(numbers(30));
        // Whether a child answers before it is killed is its luck.
        match done.status.code() {
            Some(0 | 123) => {
                let lines = done.lines();
                done.check(lines.len() == 30, "there are not 30 outcomes");
                for (i, line) in lines.iter().enumerate() {
                    if *line != i.to_string().as_bytes() {
                        assert_eq!(done.parse(line)["index"], i);
                    }
                }
            }
            Some(125) => {
                done.assert_stderr_has("no worker could be kept running");
            }
            _ => done.fail("it ended in another way"),
        }
        // A child may have been killed before it had noted its pid.
        if !env.lines("child.pids").is_empty() {
            env.assert_all_gone("child.pids");
        }
    }
}

#[test]
fn a_dead_workers_child_in_a_group_of_its_own_delays_nothing() {
    let env = TestEnv::new();
    let words = format!(
        "5 @once:{} @childapart:{} @die:3",
        env.path("once"),
        env.path("child.pids")
    );
    let input = records((0..10).map(|i| if i == 5 { words.clone() } else { i.to_string() }));
    let done = env.mtask().words("-j1 --window 1 --exit-timeout 1h").echo().run_on(&input);
    // It is out of reach, as a daemon is.
    env.processes("child.pids").iter().for_each(|child| child.kill());
    done.assert_output(input);
}

#[test]
fn a_worker_that_closes_its_stdout_while_it_owes_nothing_is_replaced() {
    let env = TestEnv::new();
    let script = format!(
        "[ $MTASK_PROCESS = 0 ] || exec {0}; IFS= read -r x; echo \"$x\"; echo $$ >>{1}; exec {0} --start-hang >&-",
        worker_path(),
        env.path("w.pids")
    );
    let mut live =
        env.mtask().args(["-j1", "--exit-timeout", "1h", "--", "sh", "-c", &script]).open();
    live.ask("first", "first");
    env.wait_for("w.pids");
    live.ask("second", "second");
    live.ask("third", "third");
    live.wait().assert_status(0).assert_stderr_has("worker 0");
    env.assert_all_gone("w.pids");
}

#[test]
fn an_answer_to_a_part_of_a_record_is_none() {
    // The worker closes its stdin with the beginning of the next record at hand, and answers that.
    let input = records(["a @closein".to_owned(), "b".repeat(1_000_000), "c".into()]);
    mtask("-j1 --window 2").echo().run_on(&*input).assert_output(input);
}

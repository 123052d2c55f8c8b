//! When workers start, how many there are, and what they get of mtask.

use crate::done::{numbers, records};
use crate::env::{TestEnv, has, mtask};

#[test]
fn workers_start_before_the_first_record_comes() {
    let env = TestEnv::new();
    let live = env.mtask().words("-j3").worker(["--pids", &env.path("w.pids")]).open();
    env.wait_for_lines("w.pids", 3);
    live.wait().assert_output("");
}

#[test]
fn a_short_input_starts_no_more_workers_than_it_has_records() {
    let env = TestEnv::new();
    let input = env.write("input", "a\nb\n");
    // A machine so busy that mtask needs 50 ms to see the end of a file may start the others: such
    // a run shows nothing, but five of them would.
    let processes: Vec<usize> = (0..5)
        .map(|run| {
            let name = format!("{run}.pids");
            let done = env
                .mtask()
                .words("-j8")
                .worker(["--pids", &env.path(&name)])
                .stdin_file(&input)
                .run();
            done.assert_output("a\nb\n");
            env.lines(&name).len()
        })
        .collect();
    assert!(
        processes.iter().any(|count| (1..=2).contains(count)),
        "processes in each run: {processes:?}"
    );
}

#[test]
fn each_worker_processes_once_where_nothing_goes_wrong() {
    let env = TestEnv::new();
    let input = numbers(5000);
    let done = env.mtask().words("-j3").worker(["--pids", &env.path("w.pids")]).run_on(&input);
    done.assert_output(input);
    assert!((1..=3).contains(&env.lines("w.pids").len()));
}

#[test]
fn a_worker_gets_stdin_stdout_and_stderr_and_no_other_descriptor() {
    let env = TestEnv::new();
    let begun: Vec<String> = (0..4).map(|i| env.path(&format!("begun-{i}"))).collect();
    let all: String = begun.iter().map(|file| format!(" @wait:{file}")).collect();
    // All four live when each lists its descriptors; mtask itself has inherited two more.
    let input = records(begun.iter().map(|file| format!("@touch:{file}{all} @fds")));
    env.mtask()
        .words("-j4 --window 1")
        .echo()
        .shell("exec \"$0\" \"$@\" 7</dev/null 9>&1")
        .run_on(input)
        .assert_output("0 1 2\n".repeat(4));
}

#[test]
fn a_later_process_gets_no_other_descriptor_either() {
    let env = TestEnv::new();
    let input = records([
        "first".to_owned(),
        format!("@once:{} @die:3", env.path("once")),
        "@fds".to_owned(),
    ]);
    let done = env.mtask().words("-j1 --window 1").echo().run_on(input);
    let lines = done.assert_status(0).lines();
    done.check(
        lines.get(2) == Some(&&b"0 1 2"[..]),
        "it has other descriptors",
    );
}

#[test]
fn a_worker_sees_the_end_of_its_stdin_while_the_others_live() {
    let env = TestEnv::new();
    let args = [
        "--pids",
        &env.path("w.pids"),
        "--end-meet",
        &env.path("ended-"),
    ];
    let mut live = env.mtask().words("-j4").worker(args).open();
    env.wait_for_lines("w.pids", 4);
    live.ask("a", "a");
    // Each waits until all have seen the end; where one's pipe has leaked into another, none exits.
    live.wait().assert_status(0).assert_stderr_empty();
}

#[test]
fn each_worker_leads_a_process_group_of_its_own() {
    let mut live = mtask("-j2").echo().open();
    live.send("@pid @group");
    let line = live.line();
    let (pid, group) = line.split_once(' ').expect("two numbers");
    assert_eq!(pid, group);
    live.wait().assert_status(0);
}

#[test]
fn children_that_hold_a_workers_stdout_do_not_delay_the_end() {
    let env = TestEnv::new();
    let done =
        env.mtask().words("-j2").worker(["--child", &env.path("child.pids")]).run_on(numbers(10));
    done.assert_output(numbers(10));
    env.assert_all_gone("child.pids");
}

#[test]
fn line_filters_of_the_shell_are_workers() {
    let env = TestEnv::new();
    let script = "while IFS= read -r x; do echo \"<$x>\"; done";
    let done = env.mtask().args(["-j2", "--", "sh", "-c", script]).run_on(numbers(500));
    let expected = records((0..500).map(|i| format!("<{i}>")));
    done.assert_output(expected);
}

#[test]
fn python_with_u_is_a_worker() {
    if !has("python3") {
        return;
    }
    let script = "import sys\nfor line in sys.stdin: print(int(line) ** 2)";
    TestEnv::new()
        .mtask()
        .args(["-j2", "--", "python3", "-c", script])
        .run_on(numbers(500))
        .assert_output(records((0..500).map(|i| (i * i).to_string())));
}

#[test]
fn jq_unbuffered_is_a_worker() {
    if !has("jq") {
        return;
    }
    TestEnv::new()
        .mtask()
        .args([
            "-j2",
            "--format",
            "jsonl",
            "--",
            "jq",
            "-c",
            "--unbuffered",
            "{a: .}",
        ])
        .run_on(numbers(500))
        .assert_output(records((0..500).map(|i| format!("{{\"a\":{i}}}"))));
}

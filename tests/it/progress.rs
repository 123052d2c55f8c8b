//! How far a run is, on a terminal and in a log.

use rustix::process::Signal;

use crate::done::{Done, numbers, records};
use crate::env::{Run, TestEnv};
use crate::terminal::{Screen, Terminal};

/// Input of which four workers say something, and one record fails.
fn eventful() -> Vec<u8> {
    records((0..200).map(|i| match i {
        20 => "20 @err:twenty".to_owned(),
        50 | 120 => format!("{i} @errlines:30"),
        90 => "90 @die:3".to_owned(),
        _ => i.to_string(),
    }))
}

/// Asserts that the bar is there once, at the end of the screen, below whole lines of text.
#[track_caller]
fn assert_one_bar(done: &Done, columns: u16) -> String {
    let screen = Screen::after(&done.stderr, columns);
    let bars = screen.rows.iter().filter(|row| row.contains("200/200")).count();
    done.check(bars == 1, "the bar is not on the screen once");
    let lines = screen.rows.iter().filter(|row| row.starts_with("begin ")).count();
    done.check(lines == 60, "lines of workers are not whole");
    let whole = |row: &&String| row.ends_with(" end");
    let ends = screen.rows.iter().filter(whole).count();
    done.check(ends == 60, "lines of workers are not whole");
    let bar = screen.rows.iter().find(|row| row.contains("200/200"));
    bar.expect("the bar").clone()
}

fn on_terminal(env: &TestEnv, columns: u16) -> Run {
    let run = env.mtask().terminal(Terminal::new(columns)).args(["--progress", "always"]);
    run.var("NO_COLOR", "1")
}

#[test]
fn the_bar_stands_below_all_messages_and_ends_with_the_truth() {
    let env = TestEnv::new();
    let done =
        on_terminal(&env, 80).words("-j4 --errors errors --desc test").echo().run_on(eventful());
    done.assert_status(123).check(done.lines().len() == 199, "results are missing");
    let bar = assert_one_bar(&done, 80);
    let start = "test: 100% [===";
    done.check(bar.starts_with(start), "the bar is not full");
    done.check(
        bar.contains("] 200/200, 1 failed, "),
        "the counts are wrong",
    );
    let screen = Screen::after(&done.stderr, 80);
    done.check(
        screen.rows.iter().any(|row| row == "twenty"),
        "a message is torn",
    );
    // What is said about the whole run stands below.
    done.check(
        screen.last().contains("1 of 200 records failed"),
        "the summary is missing",
    );
}

#[test]
fn a_narrow_terminal_has_the_counts() {
    let env = TestEnv::new();
    let done = on_terminal(&env, 40)
        .words("-j4 --errors errors --desc 日本語の説明")
        .echo()
        .run_on(eventful());
    done.assert_status(123);
    let bar = assert_one_bar(&done, 40);
    done.check(
        bar.starts_with("日本語の説明: 100% 200/200, 1 failed"),
        "the bar is wrong",
    );
}

#[test]
fn nothing_in_a_description_reaches_the_terminal_but_text() {
    let env = TestEnv::new();
    let done = on_terminal(&env, 160)
        .args(["-j1", "--desc", "a\u{1b}[2Jb\nc\td\u{202e}e {bar}"])
        .echo()
        .run_on(numbers(3));
    done.assert_output(numbers(3));
    let screen = Screen::after(&done.stderr, 160);
    done.check(screen.rows.len() == 1, "there is more than one row");
    let start = "a\\u{1b}[2Jb\\nc\\td\\u{202e}e {bar}: 100% [";
    done.check(done.stderr.contains(start), "the text is wrong");
}

#[test]
fn colour_is_used_unless_no_color_is_set() {
    let env = TestEnv::new();
    let options = ["-j1", "--progress", "always"];
    let run = || env.mtask().terminal(Terminal::new(80)).args(options).echo().stdin(numbers(3));
    let coloured = run().run();
    coloured.check(coloured.stderr.contains("\u{1b}[36m"), "there is no colour");
    let plain = run().var("NO_COLOR", "1").run();
    plain.check(!plain.stderr.contains("\u{1b}[3"), "there is colour");
    plain.check(plain.stderr.contains("100% ["), "there is no bar");
}

#[test]
fn auto_shows_nothing_where_it_would_be_in_the_way() {
    let env = TestEnv::new();
    let run = |terminal: Terminal| {
        let run = env.mtask().terminal(terminal).args(["-j1"]).stdin(numbers(3));
        run.stdout_file("/dev/null")
    };
    // The reader of a pipe is likely to write to the same terminal.
    let pipe = env.mtask().terminal(Terminal::new(80)).args(["-j1"]);
    let pipe = pipe.echo().stdin(numbers(3)).run();
    pipe.assert_stderr_empty().assert_stdout(numbers(3));
    let results = Terminal::new(80);
    let writer = results.writer();
    let beside_results = run(results).echo().stdout_descriptor(writer).run();
    // The terminal puts a carriage return before each newline.
    beside_results.check(
        beside_results.stderr == "0\r\n1\r\n2\r\n",
        "there is more than results",
    );
    run(Terminal::new(80)).echo().var("TERM", "dumb").run().assert_stderr_empty();
    run(Terminal::new(80)).words("-q").echo().run().assert_stderr_empty();
    run(Terminal::new(80)).words("--progress never").echo().run().assert_stderr_empty();
    let no_terminal = env.mtask().words("-j1").echo().run_on(numbers(3));
    no_terminal.assert_stderr_empty();
}

#[test]
fn auto_shows_progress_where_results_go_to_a_file() {
    let env = TestEnv::new();
    let terminal = Terminal::new(80);
    let writer = terminal.writer();
    let done = env
        .mtask()
        .terminal(terminal)
        .words("-j1 -o results")
        .echo()
        .stdin(numbers(3))
        .stdout_descriptor(writer)
        .run();
    let screen = Screen::after(&done.stderr, 80);
    done.check(screen.last().contains("] 3/3, "), "there is no bar");
    assert_eq!(env.read("results"), numbers(3));
}

#[test]
fn a_log_gets_plain_lines_and_a_last_true_one() {
    let env = TestEnv::new();
    let run = |options: &[&str]| {
        let run = env.mtask().words("-j1 --progress always").args(options);
        run.echo().run_on(numbers(3))
    };
    let done = run(&["-q"]);
    done.assert_stdout(numbers(3));
    let is_right = |line: &str| line.starts_with("mtask: 3 of 3 done (100%), ");
    done.check(
        done.stderr.lines().next_back().is_some_and(is_right),
        "the last line is wrong",
    );
    done.check(
        !done.stderr.contains(['\r', '\u{1b}']),
        "there are control characters",
    );
    run(&["--desc", "all"]).assert_stderr_has("mtask: all: 3 of 3 done (100%), ");
    let dumb = env
        .mtask()
        .terminal(Terminal::new(80))
        .var("TERM", "dumb")
        .words("-j1 --progress always")
        .echo()
        .run_on(numbers(3));
    dumb.assert_stderr_has("mtask: 3 of 3 done (100%), ");
}

#[test]
fn results_on_the_terminal_are_kept_apart_from_the_progress() {
    let env = TestEnv::new();
    let terminal = Terminal::new(80);
    let writer = terminal.writer();
    let run = env.mtask().terminal(terminal).stdout_descriptor(writer);
    let run = run.words("-j1 --progress always").echo();
    let done = run.run_on(numbers(3));
    let screen = Screen::after(&done.stderr, 80);
    done.check(screen.rows[..3] == ["0", "1", "2"], "results are torn");
    let last = screen.last();
    done.check(
        last.starts_with("mtask: 3 of 3 done (100%), "),
        "the last line is wrong",
    );
}

#[test]
fn a_log_gets_a_line_while_the_run_goes_on() {
    let env = TestEnv::new();
    let options = ["-j1", "--progress", "always", "--total", "4"];
    let mut live = env.mtask().args(options).echo().open();
    live.ask("first", "first");
    live.wait_for_stderr("mtask: 1 of 4 done (25%), 0:0");
    live.wait().assert_stderr_has("mtask: 1 of 1 done (100%), ");
}

#[test]
fn the_bar_follows_the_records() {
    let env = TestEnv::new();
    let run = on_terminal(&env, 80).words("-j1 --total 8");
    let mut live = run.echo().open();
    live.wait_for_stderr("  0% [");
    for done in 1..=3 {
        live.ask("record", "record");
        live.wait_for_stderr(&format!(" {done}/8"));
    }
    live.wait_for_stderr(" 37% [");
    // The total was wrong: the end of the input tells the true one.
    let done = live.wait();
    let screen = Screen::after(&done.stderr, 80);
    done.check(screen.last().contains("] 3/3, "), "the last state is wrong");
}

#[test]
fn the_size_of_all_files_tells_the_percentage() {
    let env = TestEnv::new();
    // More than is read ahead, so that the end of the input is not known.
    let filler = "x".repeat(100_000);
    let record = |i: usize| match i {
        20 => format!("@wait:{} {filler}", env.path("go")),
        _ => filler.clone(),
    };
    let input = |from, to| records((from..to).map(record));
    let first = env.write("first", input(0, 20));
    let second = env.write("second", input(20, 40));
    let live = on_terminal(&env, 80)
        .args(["-j1", "--window", "1", "-i", &first, "-i", &second])
        .echo()
        .start();
    live.wait_for_stderr(" 49% [");
    live.wait_for_stderr("] 20 done");
    env.write("go", "");
    let done = live.wait();
    let screen = Screen::after(&done.stderr, 80);
    done.check(screen.last().contains("100% ["), "the bar is not full");
    done.check(screen.last().contains("] 40/40, "), "the counts are wrong");
}

#[test]
fn a_signal_leaves_a_whole_line() {
    let env = TestEnv::new();
    let run = on_terminal(&env, 80).words("-j1 --total 9");
    let mut live = run.echo().open();
    live.ask("first", "first");
    live.wait_for_stderr(" 1/9");
    live.signal(Signal::INT);
    let done = live.wait_with_open_stdin();
    done.assert_signal(Signal::INT);
    let screen = Screen::after(&done.stderr, 80);
    done.check(screen.last().contains("] 1/9, "), "the last state is wrong");
}

#[test]
fn a_stopped_run_leaves_the_terminal_to_the_shell() {
    let env = TestEnv::new();
    let run = on_terminal(&env, 80).words("-j1 --total 9");
    let mut live = run.echo().open();
    live.ask("first", "first");
    live.wait_for_stderr(" 1/9");
    live.stop();
    live.wait_until_stderr("an empty screen", |stderr| {
        Screen::after(stderr, 80).rows.is_empty()
    });
    live.signal(Signal::CONT);
    live.ask("second", "second");
    live.wait_for_stderr(" 2/9");
    let done = live.wait();
    let screen = Screen::after(&done.stderr, 80);
    done.check(screen.rows.len() == 1, "there is more than the bar");
    done.check(screen.last().contains("] 2/2, "), "the last state is wrong");
}

#[test]
fn a_terminal_that_changes_its_width_has_a_bar_that_fits() {
    let env = TestEnv::new();
    let terminal = Terminal::new(100);
    let resize = terminal.resizer();
    let run = env.mtask().terminal(terminal).var("NO_COLOR", "1").args([
        "-j1",
        "--total",
        "9",
        "--desc",
        "resized",
        "--progress",
        "always",
    ]);
    let mut live = run.echo().open();
    live.wait_for_stderr("resized:   0% [");
    resize(30);
    // As wide as it was, the bar wraps: it takes up four rows.
    live.wait_for_stderr("\r\u{1b}[2A\u{1b}[J");
    live.ask("first", "first");
    let done = live.wait();
    let narrow = done.stderr.split("\u{1b}[2A\u{1b}[J").nth(1).expect("a narrow bar");
    let screen = Screen::after(narrow, 30);
    done.check(screen.rows.len() == 1, "there is more than the bar");
    done.check(
        screen.last().contains("100% 1/1"),
        "the last state is wrong",
    );
}

#[test]
fn a_stuck_terminal_stops_no_record() {
    let env = TestEnv::new();
    let terminal = Terminal::new(80).stuck_until(env.path("go"));
    let run = env.mtask().terminal(terminal).var("NO_COLOR", "1").args([
        "-j1",
        "--total",
        "100",
        "--progress",
        "always",
    ]);
    let mut live = run.worker(["--suffix", "!"]).open();
    // More than a terminal takes that nobody reads.
    let noisy = "@errlines:4000";
    live.ask(noisy, &format!("{noisy}!"));
    for i in 0..99 {
        live.ask(&i.to_string(), &format!("{i}!"));
    }
    env.write("go", "");
    let done = live.wait();
    done.assert_status(0);
    let whole = done.stderr.lines().filter(|line| line.ends_with(" end")).count();
    done.check(whole == 4000, "lines of workers are missing");
    done.check(done.stderr.ends_with('\n'), "the bar has no end");
    done.assert_stderr_has("100% [").assert_stderr_has("] 100/100, ");
}

#[test]
fn the_bar_says_what_is_waited_for() {
    let env = TestEnv::new();
    let mut live = on_terminal(&env, 80).args(["-j1"]).echo().open();
    live.wait_for_stderr(", input is awaited");
    live.send(format!("@wait:{}", env.path("go")));
    live.wait_for_stderr(", no worker is ready yet, 1 starting");
    env.write("go", "");
    assert_eq!(live.line(), format!("@wait:{}", env.path("go")));
    let done = live.wait();
    let screen = Screen::after(&done.stderr, 80);
    done.check(screen.last().contains("] 1/1, "), "the last state is wrong");
    done.check(!screen.last().contains("awaited"), "nothing is waited for");
}

#[test]
fn the_bar_says_that_the_output_is_not_read() {
    let env = TestEnv::new();
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    let run = on_terminal(&env, 80).args(["-j1"]).echo().stdout_descriptor(writer);
    // More than a pipe holds, and less than is read ahead.
    let live = run.stdin(numbers(50_000)).start();
    live.wait_for_stderr(", output is not read");
    let mut results = Vec::new();
    std::io::Read::read_to_end(&mut std::fs::File::from(reader), &mut results).expect("results");
    live.wait().assert_status(0);
    assert_eq!(results, numbers(50_000));
}

//! `--report`: the page of a run, as a browser shows it.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::done::{numbers, records};
use crate::env::{TestEnv, has};

/// What no page may exceed.
const MOST_BYTES: usize = 200_000;

#[test]
fn a_run_that_has_ended_is_shown_whole() {
    let env = TestEnv::new();
    let input = records((0..200).map(|index| match index {
        30 => "30 @die:3".to_owned(),
        _ => index.to_string(),
    }));
    let options = [
        "-j3", "--report", "run.html", "--desc", "tags <b>", "--errors", "e.jsonl",
    ];
    env.mtask().args(options).echo().run_on(input).assert_status(123);
    assert!(env.read("run.html").len() <= MOST_BYTES);
    let Some(mut browser) = Browser::start(&env) else {
        return;
    };
    let path = env.path("run.html");
    browser.open(&path);
    let verdict = browser.text("#verdict");
    assert!(
        verdict.contains("✗ ended") && verdict.contains("status 123: 1 of 200"),
        "{verdict}"
    );
    assert_eq!(browser.text("h1"), "tags <b>");
    assert!(browser.text("#tiles").contains("of 200, 100\u{202f}%"));
    let sum = "window.charts[0].data[0].length > 0 && JSON.parse(document.getElementById('data').textContent).done.reduce((a, b) => a + b)";
    assert_eq!(browser.value(sum), 200);
    assert!(browser.value("window.charts[0].data[1].some((rate) => rate > 0)").as_bool().unwrap());
    assert!(
        browser
            .value("window.charts.every((chart) => chart.root.querySelector('canvas').width > 100)")
            .as_bool()
            .unwrap()
    );
    // Its first failure, with the command that runs it again.
    let failures = browser.text("#failures");
    assert!(failures.contains("1 × worker_exit: worker"), "{failures}");
    let commands = browser.value(
        "[...document.querySelectorAll('#failures pre')].map((it) => it.textContent).join('\\n')",
    );
    let commands = commands.as_str().unwrap().to_owned();
    let again = "grep -a '^{\"mtask_error\":\"worker_exit\"' e.jsonl | jq -r .input | mtask -j3 --desc 'tags <b>' ";
    assert!(commands.contains(again), "{commands}");
    assert_eq!(
        browser.value("document.querySelectorAll('#workers tbody tr').length"),
        3
    );
    browser.assert_quiet(&path);
}

#[test]
fn the_command_of_a_page_runs_what_failed_again() {
    if !has("jq") {
        return;
    }
    let died = "2 @unless:mended @die:3";
    let refused = "\"2 @unless:mended @error:no\"";
    let row = "{\"n\":\"2\",\"do\":\"@unless:mended @die:3\"}";
    let jobs = [
        ("-j2", "", format!("1\n{died}\n3\n"), "worker_exit", died),
        (
            "--protocol json",
            "--json",
            format!("1\n{refused}\n3\n"),
            "worker_error",
            refused,
        ),
        (
            "--format csv",
            "",
            "n,do\n1,\n2,@unless:mended @die:3\n".into(),
            "worker_exit",
            row,
        ),
        (
            "--each=stdin",
            "",
            format!("1\n{died}\n"),
            "worker_exit",
            died,
        ),
    ];
    for (options, worker, input, kind, failed) in jobs {
        let env = TestEnv::new();
        let run = env.mtask().words("--report run.html -o out --errors e.jsonl").words(options);
        run.worker(worker.split_whitespace()).run_on(input).assert_status(123);
        let page = String::from_utf8(env.read("run.html")).expect("UTF-8");
        let (_, data) = page.split_once("id=\"data\">").expect("the data");
        let (data, _) = data.split_once("</script>").expect("the end of the data");
        let data: Value = serde_json::from_str(data).expect("JSON");
        let command = data["again"][kind].as_str().expect("a command");
        env.write("mended", "");
        let mtask = format!("mtask() {{ '{}' \"$@\"; }}", env!("CARGO_BIN_EXE_mtask"));
        let done = env.sh(&format!("{mtask}\n{command}"));
        done.assert_output(format!("{failed}\n"));
    }
}

#[test]
fn an_open_page_follows_the_run_to_its_end_and_stays_where_it_is() {
    let env = TestEnv::new();
    let mut live = env.mtask().words("-j1 --format jsonl --report run.html").echo().open();
    live.send("oops");
    live.line();
    live.ask("1", "1");
    let Some(mut browser) = Browser::start(&env) else {
        return;
    };
    let path = env.path("run.html");
    browser.show(360, "light");
    browser.open(&path);
    browser.wait_for("document.querySelector('#verdict').innerText.includes('▶ running')");
    browser.wait_for("document.querySelector('#failures details') !== null");
    browser.value("window.same = true; document.querySelector('#failures details').open = true; scrollTo(0, 700); document.querySelector('#failures summary').focus({ preventScroll: true })");
    let place = "document.querySelector('#failures summary').getBoundingClientRect().top";
    let before = browser.value(place);
    live.ask("2", "2");
    browser.wait_for("document.querySelector('#tiles dd').innerText.startsWith('3')");
    // What is above it may have changed; it stays under the eye.
    let now = browser.value(place);
    let moved = before.as_f64().unwrap() - now.as_f64().unwrap();
    assert!(moved.abs() < 2.0, "it has moved by {moved} pixels");
    let open = "window.same && document.querySelector('#failures details').open";
    assert_eq!(browser.value(open), true);
    assert!(browser.value("document.activeElement.tagName === 'SUMMARY'").as_bool().unwrap());
    live.wait().assert_status(123);
    browser.wait_for("document.querySelector('#verdict').innerText.includes('✗ ended')");
    assert!(
        browser
            .value("window.same && document.querySelector('iframe') === null")
            .as_bool()
            .unwrap()
    );
    browser.assert_quiet(&path);
}

#[test]
fn a_page_that_is_not_rewritten_any_more_says_so() {
    let env = TestEnv::new();
    let mut live =
        env.mtask().words("-j1 --report run.html").worker(["--pids", &env.path("w.pids")]).open();
    live.ask("1", "1");
    let Some(mut browser) = Browser::start(&env) else {
        return;
    };
    browser.open(&env.path("run.html"));
    live.signal(Signal::KILL);
    live.wait();
    browser.value("(() => { const now = Date.now; Date.now = () => now() + 31000; })()");
    browser
        .wait_for("document.querySelector('#verdict').innerText.includes('not rewritten for 30')");
    assert!(browser.text("#verdict").contains("? gone"));
}

#[test]
fn what_others_have_written_is_text_and_the_page_stays_small() {
    let env = TestEnv::new();
    let evil = "</script><script>window.injected = 1</script><img src=x onerror=window.injected=1>\\u001b[31m\\\"'&amp;";
    let record = |number: usize| {
        // Letters tell groups apart that numbers do not.
        let name: String =
            (0..3).map(|at| char::from(b'a' + ((number >> (4 * at)) % 16) as u8)).collect();
        let size = if number == 0 { 1_000_000 } else { 2_000 };
        format!("{{\"say\":\"{name}{evil}{}\"}}", "<".repeat(size))
    };
    let script = "import json, sys\nfor line in sys.stdin:\n    r = json.loads(line)\n    print(json.dumps({'id': r['id'], 'error': r['input']['say']}), flush=True)\n";
    env.write("worker.py", script);
    let options = [
        "-j64",
        "--protocol",
        "json",
        "--report",
        "run.html",
        "--errors",
        "e",
        "--desc",
        "</title><script>window.injected=1</script>",
        "python3",
        "worker.py",
    ];
    if !has("python3") {
        return;
    }
    let done = env.mtask().args(options).run_on(records((0..300).map(record)));
    done.assert_status(123);
    let size = env.read("run.html").len();
    assert!(size <= MOST_BYTES, "{size} bytes");
    let Some(mut browser) = Browser::start(&env) else {
        return;
    };
    let path = env.path("run.html");
    browser.open(&path);
    assert!(
        browser
            .value("window.injected === undefined && document.images.length === 0")
            .as_bool()
            .unwrap()
    );
    assert_eq!(browser.value("document.scripts.length"), 3);
    let failures = browser.text("#failures");
    assert!(
        failures.contains("</script><script>window.injected = 1</script>"),
        "{failures}"
    );
    assert!(!failures.contains('\u{1b}'), "{failures}");
    browser.assert_quiet(&path);
}

#[test]
fn it_can_be_read_on_a_phone_in_the_dark_and_by_keyboard() {
    let env = TestEnv::new();
    env.mtask().words("-j8 --report run.html").echo().run_on(numbers(1000)).assert_status(0);
    let Some(mut browser) = Browser::start(&env) else {
        return;
    };
    let path = env.path("run.html");
    for (width, scheme) in [(360, "light"), (360, "dark"), (1200, "dark")] {
        browser.show(width, scheme);
        browser.open(&path);
        let fits = browser.value("document.documentElement.scrollWidth <= innerWidth");
        assert_eq!(fits, true, "{width} {scheme}");
    }
    let dark = browser.value("getComputedStyle(document.body).backgroundColor");
    assert_eq!(dark, "rgb(19, 22, 27)");
    browser.value("document.getElementById('throughput').focus()");
    browser.press("ArrowRight");
    browser.wait_for("document.querySelector('#throughput .u-value').innerText !== '–'");
    browser.value("document.getElementById('lanes').focus()");
    browser.press("ArrowRight");
    browser.wait_for("document.getElementById('lane-says').innerText.startsWith('worker 0')");
    browser.assert_quiet(&path);
}

#[test]
fn numbers_are_shown_as_they_are() {
    let env = TestEnv::new();
    env.mtask().words("-j1 --report run.html").echo().run_on("1\n").assert_status(0);
    let page = String::from_utf8(env.read("run.html")).expect("UTF-8");
    let (before, rest) = page.split_once("id=\"data\">").expect("the data");
    let (data, after) = rest.split_once("</script>").expect("the end of the data");
    let mut data: Value = serde_json::from_str(data).expect("JSON");
    let times = [0.230_088, 0.999_6, 0.100_4, 0.000_76, 0.021_04, 10.02];
    let slow = |seconds: &f64| json!({"index": 0, "seconds": seconds, "worker": 0, "bytes": 1, "input": "1"});
    data["slowest"] = times.iter().map(slow).collect();
    env.write(
        "run.html",
        format!("{before}id=\"data\">{data}</script>{after}"),
    );
    let Some(mut browser) = Browser::start(&env) else {
        return;
    };
    browser.open(&env.path("run.html"));
    let cells = "[...document.querySelectorAll('#slowest tbody tr')].map((row) => row.cells[0].innerText.replace(/\\s/g, ' '))";
    assert_eq!(
        browser.value(cells),
        json!(["230 ms", "1 000 ms", "100 ms", "760 µs", "21 ms", "10 s"])
    );
}

#[test]
fn what_cannot_be_replaced_is_refused() {
    let env = TestEnv::new();
    for file in ["/dev/null", "-"] {
        let done = env.mtask().args(["--report", file]).echo().run_on("1\n");
        done.assert_status(2).assert_stderr_has("--report");
    }
}

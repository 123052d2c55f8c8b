//! Workers that say "not now", by `retry_after` or by what their HTTP client raises, against servers
//! that allow so many requests.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::done::{numbers, records};
use crate::env::{TestEnv, skip, wait_until};
use crate::python::python;

/// Answers a POST with its body, and notes each answer in `log`; 20 requests a second, by a bucket
/// of tokens or in each second, for each key; or all but the first.
const SERVER: &str = r#"
import http.server, sys, threading, time
kind, unit = sys.argv[1:]
lock, buckets = threading.Lock(), {}
log = open("log", "a", buffering=1)
def refused(key):
    now = time.monotonic()
    if kind == "all but the first":
        is_first = not buckets
        buckets[key] = now
        return 0.1 if is_first else None
    if kind == "window":
        second, count = buckets.get(key, (int(now), 0))
        if second != int(now):
            second, count = int(now), 0
        buckets[key] = second, count + 1
        return max(0.0, second + 1 - now) if count >= 20 else None
    tokens, at = buckets.get(key, (20.0, now))
    tokens = min(20.0, tokens + 20 * (now - at))
    buckets[key] = tokens - (tokens >= 1), now
    return None if tokens >= 1 else (1 - tokens) / 20
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with lock:
            wait = refused(self.headers["Authorization"])
            log.write(f"{200 if wait is None else 429}\n")
        self.send_response(200 if wait is None else 429)
        if wait is not None:
            self.send_header("Retry-After", str(-int(-wait // 1)) if unit == "whole" else str(wait))
            body = b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 100
server = Server(("127.0.0.1", 0), Handler)
with open("url.new", "w") as file:
    file.write(f"http://127.0.0.1:{server.server_port}/\n")
import os
os.rename("url.new", "url")
server.serve_forever()
"#;

struct Server(Child);

impl Server {
    fn start(env: &TestEnv, kind: &str, unit: &str) -> Self {
        env.write("server.py", SERVER);
        let child = Command::new("python3")
            .args([&env.path("server.py"), kind, unit])
            .current_dir(env.path("."))
            .stdin(Stdio::null())
            .spawn()
            .expect("python3 starts");
        let server = Self(child);
        wait_until("the server listens", || env.exists("url"));
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A worker that asks the server with the client of Python's own library.
const URLLIB: &str = r#"
import urllib.request
class Ask:
    def __init__(self, key="a"):
        self.key = key
    def __call__(self, record):
        with open("url") as file:
            url = file.read().strip()
        request = urllib.request.Request(url, str(record).encode(), {"Authorization": self.key})
        with urllib.request.urlopen(request) as response:
            return int(response.read())
"#;

#[test]
fn all_records_succeed_at_a_service_that_allows_so_many_and_few_are_refused() {
    for (kind, unit) in [("bucket", "whole"), ("window", "exact")] {
        let Some(env) = python(URLLIB) else {
            return;
        };
        let _server = Server::start(&env, kind, unit);
        let done = env.mtask().words("-j16 --stats --python work.py:Ask").run_on(numbers(60));
        done.assert_output(numbers(60));
        let log = env.lines("log");
        let refused = log.iter().filter(|line| *line == "429").count();
        assert_eq!(log.len() - refused, 60, "each is asked for once");
        // All that was under way when the first was refused, and a tenth.
        assert!(refused <= 16 + 10, "{refused} are refused by the {kind}");
        if refused > 0 {
            done.assert_stderr_has("asks to wait").assert_stderr_has("asked to wait");
        }
    }
}

#[test]
fn what_httpx_and_requests_raise_is_understood_without_either() {
    for (client, call) in [
        ("httpx", "httpx.post(url, content=body, headers=headers)"),
        ("requests", "requests.post(url, data=body, headers=headers)"),
    ] {
        let source = format!(
            "
import {client}
def ask(record):
    with open('url') as file:
        url = file.read().strip()
    body, headers = str(record), {{'Authorization': 'a'}}
    response = {call}
    response.raise_for_status()
    return int(response.text)
"
        );
        let Some(env) = python(&source) else {
            return;
        };
        let has = Command::new("python3").args(["-c", &format!("import {client}")]).output();
        if !has.is_ok_and(|output| output.status.success()) {
            skip(&format!("the Python package {client} is not installed"));
            continue;
        }
        let _server = Server::start(&env, "all but the first", "exact");
        let done = env.mtask().words("-j4 --python work.py:ask").run_on(numbers(60));
        done.assert_output(numbers(60));
        assert!(
            env.lines("log").contains(&"429".to_owned()),
            "one is refused"
        );
    }
}

#[test]
fn a_retry_after_in_all_its_forms() {
    let source = r#"
import datetime, email.utils, time
waits = [0.05, "0.05", 0, datetime.timedelta(seconds=0.05), b"0", email.utils.formatdate(time.time())]
class Later(Exception):
    def __init__(self, wait): self.retry_after = wait
class Response:
    def __init__(self, wait): self.headers = {"Retry-After": wait}
class HttpError(Exception):
    def __init__(self, wait): self.response = Response(wait)
asked = set()
def ask(n):
    if n in asked:
        return n
    asked.add(n)
    raise (Later if n % 2 else HttpError)(waits[n // 2])
def fails(n):
    raise Later([-1, "soon", None, True, []][n])
"#;
    let Some(env) = python(source) else {
        return;
    };
    let count = 12;
    env.mtask()
        .words("-j1 --python work.py:ask")
        .run_on(numbers(count))
        .assert_output(numbers(count));
    let done = env.mtask().words("-j1 --python work.py:fails").run_on(numbers(5));
    done.assert_status(123);
    assert_eq!(done.error_records().len(), 5, "what is no time is an error");
    let done = env.mtask().words("-j1 --batch 4 --python work.py:batch");
    env.write(
        "work.py",
        "
calls = []
class Later(Exception):
    retry_after = 0.05
def batch(records):
    calls.append(len(records))
    if len(calls) == 1:
        raise Later
    return records
",
    );
    done.run_on(numbers(10))
        .assert_output(numbers(10))
        .assert_stderr_has("asks to wait 0.05s");
}

#[test]
fn two_keys_do_not_hold_each_other_up() {
    let source = r#"
import os, time
class Later(Exception):
    retry_after = 1000
class Ask:
    def __init__(self, key):
        self.key = key
    def __call__(self, record):
        if self.key == "spent":
            open("refused", "w").close()
            raise Later
        while not os.path.exists("refused"):
            time.sleep(0.01)
        return record
"#;
    let Some(env) = python(source) else {
        return;
    };
    let words = "-j4 -u --worker-arg key=good --worker-arg key=spent";
    let mut live = env.mtask().words(words).words("--python work.py:Ask").open();
    for number in 0..100 {
        live.send(number.to_string());
    }
    // What the other key has refused waits for its time; all else is answered by this one.
    for _ in 0..96 {
        live.line();
    }
    live.wait_for_stderr("none with its init argument begins anything until then");
    live.signal_until_ended(rustix::process::Signal::TERM);
}

#[test]
fn the_example_is_a_client_of_such_a_service() {
    let Some(env) = python("") else {
        return;
    };
    let example = include_str!("../../examples/call.py");
    assert!(example.lines().count() < 40, "it is short");
    env.write("call.py", example);
    for (callable, options) in [
        ("ask", ""),
        ("Client", "--worker-arg key=A --worker-arg key=B"),
    ] {
        let _server = Server::start(&env, "bucket", "exact");
        let url = String::from_utf8(env.read("url")).expect("text");
        let words = format!("-j4 --retries 5 --retry-delay 1s..60s {options}");
        let run = env.mtask().words(&words).args(["--python", &format!("call.py:{callable}")]);
        let run = run.args(["--", "env", &format!("URL={}", url.trim()), "python3"]);
        let questions = records((0..50).map(|number| format!("{{\"q\":{number}}}")));
        run.run_on(&questions).assert_output(&questions);
        let log = env.lines("log");
        let answered = log.iter().filter(|line| *line == "200").count();
        assert_eq!(answered, 50, "each is asked for once");
        env.write("log", "");
        std::fs::remove_file(env.path("url")).expect("it was there");
    }
}

/// One line in Python that answers in JSON.
fn json_worker(env: &TestEnv, reply: &str) -> [String; 3] {
    let source = format!(
        "
import json, sys
count = 0
for line in sys.stdin:
    record, count = json.loads(line), count + 1
    reply = {reply}
    print(json.dumps({{'id': record['id'], **reply}}), flush=True)
"
    );
    [
        "python3".into(),
        "-u".into(),
        env.write("answer.py", source),
    ]
}

#[test]
fn a_worker_of_the_json_protocol_says_it_with_retry_after() {
    let Some(env) = python("") else {
        return;
    };
    let reply = "{'retry_after': 0.05} if count == 1 else {'output': record['input']}";
    let done = env.mtask().words("-j1 --protocol json --output-format envelope --");
    let done = done.args(json_worker(&env, reply)).run_on("1\n2\n");
    done.assert_status(0).assert_stderr_has("worker 0 asks to wait 0.05s (retry_after)");
    let done = env.mtask().words("-j1 --protocol json --at-most-once --");
    let done = done.args(json_worker(&env, reply)).run_on("1\n2\n");
    let error = done.assert_status(123).assert_one_error(0, "worker_error");
    assert_eq!(error["attempts"], 1);
}

#[test]
fn a_retry_after_that_means_nothing_is_a_bad_answer() {
    let Some(env) = python("") else {
        return;
    };
    for reply in [
        "{'retry_after': None}",
        "{'retry_after': -1}",
        "{'retry_after': '1'}",
        "{'retry_after': 1, 'output': 1}",
        "{'retry_after': 1, 'error': 'e'}",
    ] {
        let done = env.mtask().words("-j1 --protocol json --");
        let done = done.args(json_worker(&env, reply)).run_on(records(["1"]));
        done.assert_status(123);
        let error: Value = done.assert_one_error(0, "bad_answer");
        let says = error["message"].as_str().is_some_and(|text| text.contains("retry_after"));
        done.check(says, &json!(reply).to_string());
    }
}

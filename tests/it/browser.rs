//! A real browser without a window, for pages: Debian's chromium, spoken to over two pipes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;

use crossbeam_channel::{Receiver, unbounded};
use serde_json::{Value, json};

use crate::env::{TestEnv, has};
use crate::wait::LIMIT;

const FLAGS: &str = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
                     --disable-background-networking --disable-component-update --disable-sync \
                     --disable-dev-shm-usage --remote-debugging-pipe";

/// A browser with one page open.
pub(crate) struct Browser {
    process: Child,
    commands: Option<ChildStdin>,
    said: Receiver<Value>,
    session: Option<String>,
    next: u64,
    /// What it has told by itself.
    events: Vec<Value>,
}

impl Browser {
    /// `None`, said loudly, where there is no browser.
    pub(crate) fn start(env: &TestEnv) -> Option<Self> {
        if !has("chromium") {
            return None;
        }
        // It takes commands from descriptor 3 and answers on 4.
        let script = format!(
            "exec chromium {FLAGS} --user-data-dir={} about:blank 3<&0 4>&1 </dev/null >/dev/null 2>&1",
            env.path("browser")
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("sh runs");
        let (send, said) = unbounded();
        let answers = process.stdout.take().expect("a pipe");
        thread::spawn(move || {
            for message in BufReader::new(answers).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON");
                if send.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            commands: process.stdin.take(),
            process,
            said,
            session: None,
            next: 0,
            events: Vec::new(),
        };
        let page = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let page = json!({"targetId": page["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", page);
        browser.session = session["sessionId"].as_str().map(ToOwned::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut command = json!({"id": self.next, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        let commands = self.commands.as_mut().expect("it runs");
        commands.write_all(format!("{command}\0").as_bytes()).expect("it listens");
        loop {
            let said =
                self.said.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("{method}: no answer"));
            if said["id"] == self.next {
                assert!(said["error"].is_null(), "{method}: {said}");
                return said["result"].clone();
            }
            self.events.push(said);
        }
    }

    /// Opens a file, and waits until it is loaded.
    pub(crate) fn open(&mut self, path: &str) {
        self.call("Page.navigate", json!({"url": format!("file://{path}")}));
        self.wait_for("document.readyState === 'complete' && window.charts !== undefined");
    }

    /// What an expression comes to in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"]["value"].clone()
    }

    pub(crate) fn text(&mut self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({selector:?}).innerText"));
        text.as_str().expect("a text").to_owned()
    }

    /// Waits until an expression holds.
    pub(crate) fn wait_for(&mut self, expression: &str) {
        self.value(&format!(
            "new Promise((done) => {{ const look = () => ({expression}) ? done(true) : setTimeout(look, 20); look(); }})"
        ));
    }

    /// Presses a key where the focus is.
    pub(crate) fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.call(
                "Input.dispatchKeyEvent",
                json!({"type": kind, "key": key, "code": key}),
            );
        }
    }

    /// The page is so wide, and light or dark.
    pub(crate) fn show(&mut self, width: u32, scheme: &str) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Asserts that the console is empty and that nothing but this file was asked for.
    pub(crate) fn assert_quiet(&mut self, path: &str) {
        self.value("1");
        let loud = [
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
            "Log.entryAdded",
        ];
        for event in &self.events {
            let method = event["method"].as_str().unwrap_or_default();
            assert!(!loud.contains(&method), "{event}");
            if method == "Network.requestWillBeSent" {
                let url = event["params"]["request"]["url"].as_str().unwrap_or_default();
                let is_own = url.starts_with(&format!("file://{path}"));
                assert!(is_own || url.starts_with("data:"), "{url}");
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of its commands ends it.
        self.commands = None;
        let _ = self.process.wait();
    }
}

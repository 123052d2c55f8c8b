//! A run of mtask that has ended, and what a test may claim about it. A claim that does not hold
//! shows the command, its input, how it ended and what it wrote.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::thread;

use rustix::process::Signal;
use serde_json::Value;

/// How error records begin.
pub(crate) const ERROR_MARK: &[u8] = b"{\"mtask_error\":";

/// How a run ended. Where a test fails by other means than a claim here, it is shown as well.
pub(crate) struct Done {
    pub(crate) shown: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Drop for Done {
    fn drop(&mut self) {
        if thread::panicking() {
            let status = self.status.to_string();
            eprintln!(
                "{}",
                dump(&self.shown, &status, &self.stdout, self.stderr.as_bytes())
            );
        }
    }
}

impl Done {
    #[track_caller]
    pub(crate) fn assert_status(&self, status: i32) -> &Self {
        self.check(
            self.status.code() == Some(status),
            &format!("its status is not {status}"),
        )
    }

    /// It succeeded, and this is its standard output, to the byte.
    #[track_caller]
    pub(crate) fn assert_output(&self, expected: impl AsRef<[u8]>) -> &Self {
        self.assert_status(0).assert_stdout(expected)
    }

    /// It was ended by this signal, as its caller sees it.
    #[track_caller]
    pub(crate) fn assert_signal(&self, signal: Signal) -> &Self {
        let ended_by = self.status.signal() == Some(signal.as_raw());
        self.check(ended_by, &format!("{signal:?} did not end it"))
    }

    /// The same, of a signal that may have no name.
    #[track_caller]
    pub(crate) fn assert_signal_number(&self, number: i32) -> &Self {
        let ended_by = self.status.signal() == Some(number);
        self.check(ended_by, &format!("signal {number} did not end it"))
    }

    /// The standard output, to the byte.
    #[track_caller]
    pub(crate) fn assert_stdout(&self, expected: impl AsRef<[u8]>) -> &Self {
        let expected = expected.as_ref();
        if self.stdout != expected {
            let same = self.stdout.iter().zip(expected).take_while(|(a, b)| a == b).count();
            let line = expected[..same].iter().filter(|byte| **byte == b'\n').count() + 1;
            self.fail(&format!(
                "stdout differs from byte {same} (line {line}) on; expected there\n{}\nfound there\n{}",
                shorten(&expected[same..]),
                shorten(&self.stdout[same..])
            ));
        }
        self
    }

    #[track_caller]
    pub(crate) fn assert_stderr_has(&self, text: &str) -> &Self {
        self.check(
            self.stderr.contains(text),
            &format!("stderr lacks {text:?}"),
        )
    }

    /// One of these is on stderr, where the contract leaves the wording open.
    #[track_caller]
    pub(crate) fn assert_stderr_has_any(&self, texts: &[&str]) -> &Self {
        let found = texts.iter().any(|text| self.stderr.contains(text));
        self.check(found, &format!("stderr has none of {texts:?}"))
    }

    #[track_caller]
    pub(crate) fn assert_stderr_empty(&self) -> &Self {
        self.check(self.stderr.is_empty(), "stderr is not empty")
    }

    #[track_caller]
    pub(crate) fn check(&self, holds: bool, why: &str) -> &Self {
        if !holds {
            self.fail(why);
        }
        self
    }

    /// Fails the test; the run is shown when it is dropped.
    #[track_caller]
    pub(crate) fn fail(&self, why: &str) -> ! {
        panic!("{why}")
    }

    /// The lines of stdout; the last must have its end.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<&[u8]> {
        let Some(body) = self.stdout.strip_suffix(b"\n") else {
            self.check(self.stdout.is_empty(), "the last line of stdout has no end");
            return Vec::new();
        };
        body.split(|byte| *byte == b'\n').collect()
    }

    /// The error records on stdout.
    #[track_caller]
    pub(crate) fn error_records(&self) -> Vec<Value> {
        let lines = self.lines().into_iter().filter(|line| line.starts_with(ERROR_MARK));
        lines.map(|line| self.parse(line)).collect()
    }

    /// The one error record on stdout, which stands on line `index`, from 0, and has that index and
    /// kind.
    #[track_caller]
    pub(crate) fn assert_one_error(&self, index: usize, kind: &str) -> Value {
        let errors = self.error_records();
        self.check(errors.len() == 1, "it has not exactly one error record");
        let line = self.lines().into_iter().nth(index).unwrap_or_default();
        self.check(
            line.starts_with(ERROR_MARK),
            &format!("line {index}, from 0, is no error record"),
        );
        let error = &errors[0];
        self.check(
            error["index"] == index,
            &format!("the error record's index is not {index}"),
        );
        self.check(
            error["mtask_error"] == kind,
            &format!("the error record's kind is not {kind}"),
        );
        error.clone()
    }

    /// Every line but the one error record is what `expected` says for its place.
    #[track_caller]
    pub(crate) fn assert_results_but(&self, failed: usize, expected: &[u8]) -> &Self {
        let mut found = self.lines();
        let mut expected: Vec<&[u8]> = expected.split_inclusive(|byte| *byte == b'\n').collect();
        self.check(
            found.len() == expected.len(),
            &format!("stdout has not {} lines", expected.len()),
        );
        found.remove(failed);
        expected.remove(failed);
        let same = found.iter().zip(&expected).all(|(a, b)| b.strip_suffix(b"\n") == Some(a));
        self.check(same, "a result is wrong")
    }

    #[track_caller]
    pub(crate) fn parse(&self, line: &[u8]) -> Value {
        match serde_json::from_slice(line) {
            Ok(value) => value,
            Err(error) => self.fail(&format!("{} is no JSON: {error}", shorten(line))),
        }
    }
}

/// A run as a failure shows it.
pub(crate) fn dump(shown: &str, status: &str, stdout: &[u8], stderr: &[u8]) -> String {
    let (stdout, stderr) = (shorten(stdout), shorten(stderr));
    format!("=== {shown}\n--- status\n{status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n===")
}

/// Bytes for people to read; of many only the first and the last.
pub(crate) fn shorten(bytes: &[u8]) -> String {
    const KEPT: usize = 1000;
    if bytes.len() <= 2 * KEPT {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let (first, last) = (&bytes[..KEPT], &bytes[bytes.len() - KEPT..]);
    let left_out = bytes.len() - 2 * KEPT;
    format!(
        "{}\n[... {left_out} bytes ...]\n{}",
        String::from_utf8_lossy(first),
        String::from_utf8_lossy(last)
    )
}

/// The numbers below `count`, a line each.
pub(crate) fn numbers(count: usize) -> Vec<u8> {
    records((0..count).map(|number| number.to_string()))
}

/// One line for each of these.
pub(crate) fn records(lines: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend(line.as_ref());
        bytes.push(b'\n');
    }
    bytes
}

/// What the test worker answers to these records with `--suffix`.
pub(crate) fn answers(records: &[u8], suffix: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = records;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        bytes.extend(&rest[..end]);
        bytes.extend(suffix.bytes());
        bytes.push(b'\n');
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    bytes
}

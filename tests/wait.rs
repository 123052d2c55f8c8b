//! How the tests and their worker wait for what tells nobody that it has come: they look again.
//! Here is the only sleep of all tests; whatever comes through a pipe, or is a child's end, is
//! waited for there.

use std::thread;
use std::time::{Duration, Instant};

/// How long a run or a wait may take before the test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// Looks again and again until `condition` holds; panics after [`LIMIT`].
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < LIMIT,
            "waited {LIMIT:?} in vain for {what}"
        );
        let_pass(Duration::from_millis(5));
    }
}

/// Lets time pass where time itself is what is looked at.
pub(crate) fn let_pass(time: Duration) {
    thread::sleep(time);
}

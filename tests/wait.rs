//! How the tests and their worker wait for what tells nobody that it has come: they look again.

use std::thread;
use std::time::{Duration, Instant};

/// How long a run or a wait may take before the test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// Looks again and again until `condition` holds; panics after [`LIMIT`].
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < LIMIT,
            "waited {LIMIT:?} in vain for {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

//! How many descriptors may be open: mtask may have as many as the system allows it, and workers
//! as many as mtask was given.
//!
//! Shells give few (1024 is usual) for the sake of programs that use select(2), which can have no
//! more; a run needs three for each worker.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit that mtask was started with, where it has been raised.
static GIVEN: OnceLock<Rlimit> = OnceLock::new();

/// Raises the soft limit to the hard one, once. Where the system refuses that, it stays.
pub fn raise_limit() {
    let given = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: given.maximum,
        ..given
    };
    if given != raised && setrlimit(Resource::Nofile, raised).is_ok() {
        // Only the first time is it the one that was given.
        let _ = GIVEN.set(given);
    }
}

/// Gives this process, which is about to run a program, the limit that mtask was started with.
/// Allocates nothing.
pub(super) fn restore_limit() {
    if let Some(given) = GIVEN.get() {
        // It is lower than the present one, and so allowed.
        let _ = setrlimit(Resource::Nofile, *given);
    }
}

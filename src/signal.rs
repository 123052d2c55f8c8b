//! Signals, as messages to the engine.
//!
//! Always: a signal that was ignored when mtask started stays ignored (nohup, background jobs of sh).
//!
//! Two crates listen. `ctrlc` has SIGINT and nothing else: its feature for SIGTERM and SIGHUP takes all
//! three at once, ignored ones too, and does not tell which came. All that it cannot do is
//! `signal-hook`'s, which exit statuses need as well; it could take SIGINT too.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use crossbeam_channel::Sender;
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::sys;
use crate::waker::Waker;

/// What a signal asks of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// End: SIGINT, SIGTERM or SIGHUP.
    End(i32),
    /// Say where the run stands: SIGUSR1, and SIGINFO (Ctrl-T) where there is one.
    Status,
    /// A process has exited.
    LookAtProcesses,
    /// Stop the workers and mtask: SIGTSTP.
    Stop,
    /// mtask was continued: SIGCONT.
    Continued,
}

/// The signals that ask where the run stands.
#[cfg(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
))]
const STATUS: &[i32] = &[SIGUSR1, libc::SIGINFO];
#[cfg(not(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
)))]
const STATUS: &[i32] = &[SIGUSR1];

/// Has signals that only ask where the run stands do no harm before it has begun.
///
/// # Errors
/// Where a handler cannot be installed.
pub fn spare_status() -> io::Result<()> {
    for signal in STATUS.iter().filter(|signal| !sys::is_ignored(**signal)) {
        signal_hook::flag::register(*signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// Begins to listen to signals, on two threads that live as long as mtask.
///
/// # Errors
/// Where a handler cannot be installed.
pub fn listen(requests: &Sender<Request>, waker: &Waker) -> anyhow::Result<()> {
    sys::unblock(&[SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGTSTP, SIGCONT]);
    sys::unblock(STATUS);
    if !sys::is_ignored(SIGINT) {
        let (requests, waker) = (requests.clone(), waker.clone());
        let end = move || {
            // The engine is gone only when mtask is about to exit.
            let _ = requests.send(Request::End(SIGINT));
            waker.wake();
        };
        ctrlc::set_handler(end)
            .map_err(|error| match error {
                // Its own message hides why.
                ctrlc::Error::System(error) => anyhow::Error::from(error),
                error => error.into(),
            })
            .context("cannot listen to SIGINT")?;
    }
    let wanted = [SIGTERM, SIGHUP, SIGTSTP]
        .into_iter()
        .chain(STATUS.iter().copied())
        .filter(|signal| !sys::is_ignored(*signal));
    let mut signals =
        Signals::new(wanted.chain([SIGCHLD, SIGCONT])).context("cannot listen to signals")?;
    let (requests, waker) = (requests.clone(), waker.clone());
    let forward = move || {
        for signal in &mut signals {
            let request = match signal {
                SIGCHLD => Request::LookAtProcesses,
                SIGTSTP => Request::Stop,
                SIGCONT => Request::Continued,
                signal if STATUS.contains(&signal) => Request::Status,
                signal => Request::End(signal),
            };
            if requests.send(request).is_err() {
                return;
            }
            waker.wake();
        }
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(forward)
        .context("cannot start a thread (is ulimit -u too low?)")?;
    Ok(())
}

//! Signals, as requests to the engine, which polls for them.
//!
//! Always: a signal that was ignored when mtask started stays ignored (nohup, background jobs of
//! sh).
//!
//! Two crates listen. `ctrlc` has SIGINT and nothing else: its feature for SIGTERM and SIGHUP takes
//! all three at once, ignored ones too, and does not tell which came. All that it cannot do is
//! `signal-hook`'s; it takes SIGINT too where `ctrlc` cannot have its thread.

use std::io::{self, Write};
use std::mem;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use anyhow::Context;
use signal_hook::consts::{
    SIGABRT, SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGPROF, SIGQUIT, SIGSYS, SIGTERM, SIGTRAP,
    SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU,
};
use signal_hook::iterator::backend::{Handle, SignalDelivery};
use signal_hook::iterator::exfiltrator::SignalOnly;

use crate::sys;

/// What a signal asks of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// End: SIGINT, SIGTERM, SIGHUP and all others that would end mtask without its workers.
    End(i32),
    /// End once what was sent is done: SIGUSR2, by which batch systems tell that time is running
    /// out.
    Notice(i32),
    /// Say where the run stands: SIGUSR1, and SIGINFO (Ctrl-T) where there is one.
    Status(i32),
    /// A process has exited.
    LookAtProcesses,
    /// Stop the workers and mtask: SIGTSTP.
    Stop,
    /// The same, for mtask wants a terminal that is another job's: SIGTTIN or SIGTTOU. By default
    /// they would stop it again before it could heed a signal to end.
    StopForTerminal,
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

/// The signals that end the run, beside SIGINT. Not among them: SIGKILL, which nobody can catch,
/// and what a fault of mtask's own raises (SIGSEGV, SIGBUS, SIGFPE, SIGILL), after which nothing
/// can go on.
fn ending() -> impl Iterator<Item = i32> {
    const EVERYWHERE: [i32; 10] = [
        SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU, SIGTRAP, SIGSYS,
    ];
    #[cfg(target_os = "linux")]
    let here = [libc::SIGIO, libc::SIGPWR].into_iter().chain(libc::SIGRTMIN()..=libc::SIGRTMAX());
    // The default of SIGIO does nothing there.
    #[cfg(not(target_os = "linux"))]
    let here = [];
    #[cfg(all(
        target_os = "linux",
        any(
            target_arch = "x86",
            target_arch = "x86_64",
            target_arch = "arm",
            target_arch = "aarch64"
        )
    ))]
    let here = here.chain([libc::SIGSTKFLT]);
    EVERYWHERE.into_iter().chain(here)
}

/// Has signals do no harm that end a process by default: those that only ask where the run stands,
/// and SIGXFSZ (ulimit -f), of which a failed write tells more.
///
/// # Errors
/// Where a handler cannot be installed.
pub fn disarm() -> io::Result<()> {
    let harmless = STATUS.iter().copied().chain([libc::SIGXFSZ]);
    for signal in harmless.filter(|signal| !sys::is_ignored(*signal)) {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// Has mtask do without a terminal that is another job's: it can write there, and what it would
/// read has come to its end.
pub fn ignore_terminal() {
    sys::ignore(&[SIGTTIN, SIGTTOU]);
}

/// Has the signals that end a run end mtask at once from now on, where they are not ignored. SIGUSR2
/// and those that do no harm go on doing none.
pub fn end_at_once() {
    let ending = ending().chain([SIGINT]).filter(|signal| !sys::is_ignored(*signal));
    sys::default(ending);
}

/// The signals that have come.
#[derive(Debug)]
pub struct Requests {
    /// Whether SIGINT has come. Its handler says so at once, before the thread of `ctrlc` wakes the
    /// engine: a run that is over by then heeds it too.
    is_interrupted: Arc<AtomicBool>,
    /// Never dropped: mtask ends soon after, and to take each handler back costs a tenth of its start.
    others: ManuallyDrop<SignalDelivery<UnixStream, SignalOnly>>,
    /// Those that have come and were not taken.
    come: Vec<Request>,
}

impl Requests {
    /// Begins to listen to signals.
    ///
    /// # Errors
    /// Where a handler cannot be installed.
    pub fn listen() -> anyhow::Result<Self> {
        let (come, news) = UnixStream::pair().context("cannot listen to signals")?;
        let copy = news.try_clone().context("cannot listen to SIGINT")?;
        let wanted = ending()
            .chain([SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU])
            .chain(STATUS.iter().copied())
            .filter(|signal| !sys::is_ignored(*signal))
            .chain([SIGCHLD, SIGCONT]);
        let others = SignalDelivery::with_pipe(come, news, SignalOnly, wanted)
            .context("cannot listen to signals")?;
        let is_interrupted = listen_to_interrupts(copy, &others.handle())?;
        // Not before: a signal that the caller of mtask has blocked may have come already.
        sys::unblock(&[SIGINT, SIGTERM, SIGHUP, SIGUSR2, SIGCHLD, SIGTSTP, SIGCONT]);
        sys::unblock(STATUS);
        Ok(Self {
            is_interrupted,
            others: ManuallyDrop::new(others),
            come: Vec::new(),
        })
    }

    /// Takes those that have come since the last time.
    pub fn take(&mut self) -> Vec<Request> {
        self.look();
        uncancelled(mem::take(&mut self.come))
    }

    /// Whether SIGCONT is among those that would be taken.
    pub fn has_continued(&mut self) -> bool {
        self.look();
        self.come.contains(&Request::Continued)
    }

    fn look(&mut self) {
        // The news first: what comes after that has news of its own.
        let others = self.others.pending().map(request);
        self.come.extend(others);
        if self.is_interrupted.swap(false, SeqCst) {
            self.come.push(Request::End(SIGINT));
        }
    }
}

/// Has `ctrlc` wake the engine by `news` for each SIGINT, unless that is ignored. Where there is no
/// thread to be had, it comes as `others` do. Gives where it says that one has come.
fn listen_to_interrupts(mut news: UnixStream, others: &Handle) -> anyhow::Result<Arc<AtomicBool>> {
    let has_come = Arc::new(AtomicBool::new(false));
    if sys::is_ignored(SIGINT) {
        return Ok(has_come);
    }
    let wake = move || {
        // Full, it wakes the engine as well. The engine is gone only when mtask is about to exit.
        let _ = news.write(&[0]);
    };
    if ctrlc::set_handler(wake).is_err() {
        others.add_signal(SIGINT).context("cannot listen to SIGINT")?;
    }
    // After `ctrlc`, whose handler it goes on to.
    signal_hook::flag::register(SIGINT, Arc::clone(&has_come))
        .context("cannot listen to SIGINT")?;
    Ok(has_come)
}

/// Which of two signals was first cannot be told: whoever has continued mtask does not want it
/// stopped.
fn uncancelled(mut requests: Vec<Request>) -> Vec<Request> {
    if requests.contains(&Request::Continued) {
        requests.retain(|request| !matches!(request, Request::Stop | Request::StopForTerminal));
    }
    requests
}

/// Readable where a signal has come.
impl AsFd for Requests {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.others.get_read().as_fd()
    }
}

fn request(signal: i32) -> Request {
    match signal {
        SIGCHLD => Request::LookAtProcesses,
        SIGTSTP => Request::Stop,
        SIGTTIN | SIGTTOU => Request::StopForTerminal,
        SIGCONT => Request::Continued,
        SIGUSR2 => Request::Notice(signal),
        signal if STATUS.contains(&signal) => Request::Status(signal),
        signal => Request::End(signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_beside_its_end_is_none() {
        let left =
            |signals: &[i32]| uncancelled(signals.iter().map(|signal| request(*signal)).collect());
        let end = Request::End(SIGTERM);
        assert_eq!(left(&[SIGTERM, SIGTSTP]), [end, Request::Stop]);
        assert_eq!(
            left(&[SIGCONT, SIGTERM, SIGTSTP]),
            [Request::Continued, end]
        );
    }
}

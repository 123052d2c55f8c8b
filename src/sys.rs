//! The few system calls that no safe library offers. The only module with `unsafe`, in two files.
#![expect(unsafe_code, reason = "each block says why it is sound")]

pub mod descriptors;
pub mod spawn;

use std::io;
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use rustix::process::Pid;

/// A bit for each of the descriptors 0 to 2 that was closed when the process began.
static CLOSED_AT_START: AtomicU8 = AtomicU8::new(0);

/// Runs before `main`, and before the standard library opens /dev/null in place of closed standard
/// descriptors, which would turn `>&-` into the silent loss of all output.
extern "C" fn note_closed_descriptors() {
    for fd in 0..3 {
        // SAFETY: F_GETFD takes no argument and changes nothing.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            CLOSED_AT_START.fetch_or(1 << fd, Relaxed);
        }
    }
}

// SAFETY: the section holds pointers to functions that the loader calls before `main`; this one
// needs nothing of the standard library to be set up.
#[used]
#[cfg_attr(
    target_vendor = "apple",
    unsafe(link_section = "__DATA,__mod_init_func")
)]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
static NOTE_CLOSED_DESCRIPTORS: extern "C" fn() = note_closed_descriptors;

/// Whether this standard descriptor (0 to 2) was closed when the process began.
pub fn was_closed_at_start(fd: RawFd) -> bool {
    CLOSED_AT_START.load(Relaxed) & (1 << fd) != 0
}

/// The limit that a system call has met, as a shell sets it.
pub fn limit(error: &io::Error) -> Option<&'static str> {
    match error.raw_os_error()? {
        libc::EAGAIN => Some("ulimit -u"),
        libc::EMFILE => Some("ulimit -n"),
        _ => None,
    }
}

/// Whether the process ignores this signal.
pub fn is_ignored(signal: i32) -> bool {
    // SAFETY: a sigaction of zeros is a valid one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: with no new action given, sigaction only fills in the old one.
    let found = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) } == 0;
    found && action.sa_sigaction == libc::SIG_IGN
}

/// Has the process ignore these signals from now on.
pub fn ignore(signals: &[i32]) {
    for signal in signals {
        // SAFETY: no handler is set that could run.
        unsafe { libc::signal(*signal, libc::SIG_IGN) };
    }
}

/// Has these signals do what they do by default.
pub fn default(signals: impl Iterator<Item = i32>) {
    for signal in signals {
        // SAFETY: no handler is set that could run.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Has this signal do to the process what it does by default. Comes back where that is nothing.
pub fn raise_default(signal: i32) {
    // SAFETY: no handler is set that could run.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    unblock(&[signal]);
    // SAFETY: whatever it does, it does to this process as a whole.
    unsafe { libc::raise(signal) };
}

/// A child of mtask that has exited and has not been waited for, be it one that was left to mtask
/// when its parent ended. It stays as it is.
pub fn exited_child() -> Option<Pid> {
    // SAFETY: zeros are a valid siginfo_t, which the call fills in; its pid is set by waitid, or
    // still 0 where there is no such child.
    let pid = unsafe {
        let mut found: libc::siginfo_t = std::mem::zeroed();
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let done = libc::waitid(libc::P_ALL, 0, &raw mut found, options) == 0;
        if done { found.si_pid() } else { 0 }
    };
    Pid::from_raw(pid)
}

/// Reaps a child that has exited. Gives its status, and the most memory that it, or one of its children
/// that it has waited for, has had, in bytes; `None` where it has not exited.
///
/// # Errors
/// Where there is no such child.
pub fn reap(child: Pid) -> io::Result<Option<(ExitStatus, u64)>> {
    loop {
        let mut status = 0;
        // SAFETY: zeros are a valid rusage, which the call fills in.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both are valid for writes while the call lasts.
        let found = unsafe {
            libc::wait4(
                child.as_raw_nonzero().get(),
                &raw mut status,
                libc::WNOHANG,
                &raw mut usage,
            )
        };
        match found {
            0 => return Ok(None),
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            _ => {
                // Apple's systems count bytes, all others kilobytes.
                let unit = if cfg!(target_vendor = "apple") {
                    1
                } else {
                    1024
                };
                let peak = u64::try_from(usage.ru_maxrss).unwrap_or(0) * unit;
                return Ok(Some((ExitStatus::from_raw(status), peak)));
            }
        }
    }
}

/// Lets these signals through, should they be blocked.
pub fn unblock(signals: &[i32]) {
    // SAFETY: a set of zeros is valid, and is initialised by sigemptyset.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Keeps every descriptor from 3 on out of the processes that are started from now on, those that
/// this process itself was given without asking included.
pub fn close_inherited_on_exec() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: with CLOSE_RANGE_CLOEXEC nothing is closed, only flags are set.
        let done = unsafe {
            libc::syscall(
                libc::SYS_close_range,
                3,
                u32::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            )
        };
        if done == 0 {
            return;
        }
    }
    let Ok(entries) = std::fs::read_dir("/dev/fd") else {
        return;
    };
    for entry in entries.flatten() {
        if let Some(fd) = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok())
            && fd > 2
        {
            // SAFETY: setting the flag on a descriptor that is none any more fails and does
            // nothing.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// Closes a descriptor and tells what `drop` would hide: on some file systems a write fails only
/// now.
///
/// # Errors
/// What close(2) reports.
pub fn close(fd: OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is owned and is not used again.
    match unsafe { libc::close(fd.into_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

//! Wakes the engine, which sleeps in poll(2), from other threads.
//!
//! Always: a thread that has put something where the engine looks and then calls [`Waker::wake`]
//! can be sure that the engine looks again; a wake of an engine that is awake costs no system call.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// The means to wake the engine. Clones wake the same engine.
#[derive(Clone, Debug)]
pub struct Waker(Arc<WakerState>);

#[derive(Debug)]
struct WakerState {
    is_asleep: AtomicBool,
    signal: OwnedFd,
    watched: OwnedFd,
}

impl Waker {
    /// A waker of an engine that is awake.
    ///
    /// # Errors
    /// Where no descriptor can be had.
    pub fn new() -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        let (watched, signal) = {
            use rustix::event::{EventfdFlags, eventfd};
            let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            (fd.try_clone()?, fd)
        };
        #[cfg(not(target_os = "linux"))]
        let (watched, signal) = {
            let (watched, signal) = rustix::pipe::pipe()?;
            for end in [&watched, &signal] {
                rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
                rustix::io::ioctl_fionbio(end, true)?;
            }
            (watched, signal)
        };
        Ok(Self(Arc::new(WakerState {
            is_asleep: AtomicBool::new(false),
            signal,
            watched,
        })))
    }

    /// Wakes the engine if it sleeps or is about to.
    pub fn wake(&self) {
        if self.0.is_asleep.swap(false, SeqCst) {
            // It fails only where a wake is already on its way.
            let _ = rustix::io::write(&self.0.signal, &1u64.to_ne_bytes());
        }
    }

    /// The engine is about to sleep: it must look once more at everything it may be woken for.
    pub(crate) fn fall_asleep(&self) {
        self.0.is_asleep.store(true, SeqCst);
    }

    /// Whether the engine sleeps, and nobody has woken it.
    #[cfg(test)]
    pub(crate) fn is_asleep(&self) -> bool {
        self.0.is_asleep.load(SeqCst)
    }

    /// The engine is awake.
    pub(crate) fn awake(&self, was_signalled: bool) {
        let is_clean = self.0.is_asleep.swap(false, SeqCst);
        if !is_clean || was_signalled {
            let _ = rustix::io::read(&self.0.watched, &mut [0u8; 64]);
        }
    }

    /// What becomes readable when the engine is woken.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.watched.as_fd()
    }
}

/// Wakes the engine when it is dropped, as at the end of a thread, be that a panic.
#[derive(Debug)]
pub struct WakeAtEnd(pub Waker);

impl Drop for WakeAtEnd {
    fn drop(&mut self) {
        self.0.wake();
    }
}

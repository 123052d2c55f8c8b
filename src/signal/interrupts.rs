//! SIGINT, which comes by a thread of `ctrlc`.
//!
//! That thread lives as long as mtask, and would be a twentieth of what a run of ten records takes. So
//! it is started only where a run goes on for longer than an instant, and until then SIGINT is held
//! back. Always: a SIGINT is not lost, however early it came; one that is still held back at the end
//! ends mtask, all having been written.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryIter, unbounded};
use signal_hook::consts::SIGINT;
use signal_hook::iterator::backend::Handle;

use crate::sys;

/// For so long SIGINT is held back. Nobody notices it.
const HELD_BACK: Duration = Duration::from_millis(10);

/// Those that have come.
#[derive(Debug)]
pub(super) struct Interrupts {
    come: Receiver<()>,
    held_back: Option<HeldBack>,
}

/// The state before the thread is started.
#[derive(Debug)]
struct HeldBack {
    until: Instant,
    /// Written to for each that comes.
    news: UnixStream,
}

impl Interrupts {
    /// Holds SIGINT back, in this thread and those that it starts from now on. Ignored, it stays so.
    pub(super) fn hold_back(news: UnixStream) -> Self {
        let until = Instant::now() + HELD_BACK;
        let held_back = (!sys::is_ignored(SIGINT)).then(|| {
            sys::block(&[SIGINT]);
            HeldBack { until, news }
        });
        let come = crossbeam_channel::never();
        Self { come, held_back }
    }

    /// When they are to be let through, if they are not yet.
    pub(super) fn held_back_until(&self) -> Option<Instant> {
        self.held_back.as_ref().map(|it| it.until)
    }

    /// Lets them through from now on, and tells whether one was held back. Where there is no thread to
    /// be had, they come as `others` do.
    pub(super) fn let_through(&mut self, others: &Handle) -> bool {
        let Some(HeldBack { mut news, .. }) = self.held_back.take() else {
            return false;
        };
        let (sender, come) = unbounded();
        self.come = come;
        let tell = move || {
            // The engine is gone only when mtask is about to exit.
            let _ = sender.send(());
            let _ = news.write(&[0]);
        };
        if ctrlc::set_handler(tell).is_err() {
            // It fails only for a signal that nobody may listen to.
            let _ = others.add_signal(SIGINT);
        }
        // Here and now: the run may be over before the thread has passed it on.
        let has_come = sys::take_held_back(SIGINT);
        sys::unblock(&[SIGINT]);
        has_come
    }

    pub(super) fn try_iter(&self) -> TryIter<'_, ()> {
        self.come.try_iter()
    }
}

/// The end of the run: one that is held back ends mtask.
impl Drop for Interrupts {
    fn drop(&mut self) {
        if self.held_back.is_some() {
            sys::unblock(&[SIGINT]);
        }
    }
}

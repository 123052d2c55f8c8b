//! The end of a run: what is still to be written and said once nothing runs any more.

use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::Engine;
use super::messages::LAST_WORDS;
use super::wait::Waited;
use super::world::World;
use crate::exit::Status;
use crate::journal::Known;
use crate::output::WriteError;
use crate::schedule::Scheduler;
use crate::visible;

/// A disk that keeps nothing for so long at the end is named, and each time that has doubled.
const DISK_REMINDER: Duration = Duration::from_secs(60);

impl<W: World> Engine<W> {
    /// Writes and says what is left, and gives the status.
    pub(super) fn finish(&mut self, now: Instant) -> Status {
        // What is left is written whoever has the terminal.
        self.world.ignore_terminal();
        self.finish_journal();
        let is_cut_short = self.is_output_broken || !self.output.is_idle();
        if !self.is_output_broken && (is_cut_short || self.scheduler.is_backed_up()) {
            self.messages.warning(
                "what was finished is not all written: nobody has taken it within --grace",
            );
        }
        self.finish_log();
        self.finish_pages();
        if !is_cut_short && let Err(error) = self.output.close() {
            self.output_failed(&error);
        }
        let closing = self.report.finish(&self.scheduler, now);
        self.messages.end_progress(now);
        if let Some((path, error)) = closing.failure {
            self.messages.error(&format!("cannot write {}: {error}", visible::name(path)));
            self.status = self.status.worst(Status::Fault);
        }
        let status = self.scheduler.status().worst(self.status);
        if let Some(summary) = self.report.summary(self.scheduler.tally())
            && !matches!(
                status,
                Status::Signal(libc::SIGPIPE) | Status::NotFound | Status::NotExecutable
            )
        {
            self.messages.warning(&summary);
        }
        self.messages.report(&closing.text);
        self.finish_messages();
        // A signal may have come meanwhile.
        self.has_requests = true;
        let now = self.world.now();
        self.take_requests(now);
        self.scheduler.status().worst(self.status)
    }

    /// Has the files rewritten that are to be by now. One that cannot be is named each time.
    pub(super) fn rewrite_pages(&mut self, now: Instant) {
        if self.report.pages_due().is_none_or(|due| now < due) || self.pages.is_busy() {
            return;
        }
        if let Some(WriteError { file, error }) = self.pages.take_failure() {
            self.messages.warning(&format!("cannot write {file}: {error}; it is tried again"));
        }
        let pages = self.report.take_pages(&self.scheduler, now);
        self.pages.put(pages);
    }

    /// Has them rewritten for the last time, and waits for that: within the grace period of a signal,
    /// and no longer than until a second one.
    fn finish_pages(&mut self) {
        let now = self.world.now();
        let status = self.scheduler.status().worst(self.status);
        let pages = self.report.end_pages(&self.scheduler, status, now);
        if pages.is_empty() {
            return;
        }
        // What has failed before may have been mended.
        self.pages.take_failure();
        self.pages.put(pages);
        if let Some(ends) = self.pages.close() {
            self.finish_writing(&ends, "the files that show the run have not been written");
        }
    }

    /// Has the last lines of the log written, and waits for that: within the grace period of a signal,
    /// and no longer than until a second one.
    fn finish_log(&mut self) {
        let now = self.world.now();
        let status = self.scheduler.status().worst(self.status);
        let Some(lines) = self.report.end_log(self.scheduler.tally(), status, now) else {
            return;
        };
        if let Err(error) = self.output.log(lines.into()) {
            return self.output_failed(&error);
        }
        if let Some(ends) = self.output.finish_log() {
            self.finish_writing(&ends, "the file of --log has not taken its last lines");
        }
    }

    /// Has the journal say what has been written last, and waits for the disk: within the grace
    /// period of a signal, and no longer than until a second one.
    fn finish_journal(&mut self) {
        let is_written = !self.is_output_broken && self.output.is_idle();
        let is_whole = is_written
            && !self.scheduler.is_backed_up()
            && self.status != Status::Fault
            && !self.scheduler.has_lost_records()
            && self.scheduler.total_records().is_some();
        let known = Known {
            is_whole,
            ..known(&self.scheduler)
        };
        if let Some(kept) = self.output.finish_journal(known) {
            let lags = "the disk has not kept the output and the journal of --resume";
            self.finish_writing(&kept, lags);
        }
    }

    /// Waits until a thread has written what it has, whose ends come from this; `lags` says that it has
    /// not.
    fn finish_writing<T>(&mut self, ends: &Receiver<Result<T, WriteError>>, lags: &str) {
        let began = self.world.now();
        let mut next = began + DISK_REMINDER;
        loop {
            let until = self.end_by.map_or(next, |at| at.min(next));
            match self.wait_for(ends, Some(until)) {
                Waited::Said(Ok(_)) | Waited::Signalled => {}
                Waited::Said(Err(error)) => return self.output_failed(&error),
                Waited::Ended => return,
                Waited::TooLong if Some(until) == self.end_by => return,
                Waited::TooLong => {
                    let now = self.world.now();
                    let waited = now - began;
                    next = now + waited;
                    self.messages.warning(&format!(
                        "{lags} for {} s: it is waited for",
                        waited.as_secs()
                    ));
                }
            }
        }
    }

    /// Waits until all messages are written: within the grace period of a signal, and no longer
    /// than until a second one, but for a moment in any case. Only a reader who takes nothing
    /// misses the last ones.
    fn finish_messages(&mut self) {
        let Some(written) = self.messages.close() else {
            return;
        };
        let soon = self.world.now() + LAST_WORDS;
        let mut waited = Waited::Signalled;
        while matches!(waited, Waited::Signalled) {
            waited = self.wait_for(&written, self.end_by.map(|at| at.max(soon)));
        }
    }
}

/// What a journal is to know beside outcomes.
pub(super) fn known(scheduler: &Scheduler) -> Known<'_> {
    Known {
        tally: scheduler.tally(),
        ready: scheduler.startup_time(),
        is_whole: false,
    }
}

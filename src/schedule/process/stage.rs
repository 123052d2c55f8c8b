//! What a process is about, from its beginning to its end, and times that do not count.

use std::time::{Duration, Instant};

use super::Process;

/// What a process is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It takes records and answers them.
    Serving,
    /// Its stdin has been closed at that time; it is to answer what it owes and exit.
    Closing(Instant),
    /// It was told to end by SIGTERM, and holds nothing any more; SIGKILL comes at that time.
    Stopping(Instant),
    /// It was killed. What has not died by that time, which nothing can end, is left behind.
    Killed(Instant),
}

impl Process {
    /// Its stdin is closed; `asked` tells why, where that is before its time.
    pub(crate) fn close(&mut self, now: Instant) {
        self.stage = Stage::Closing(now);
    }

    /// It is to be gone by then, or gone soon after SIGKILL by `leave_at`: nobody wants its answers.
    /// Gives whether it is yet to be told.
    pub(crate) fn stop(&mut self, kill_at: Instant, leave_at: Instant) -> bool {
        let is_news = self.is_working();
        self.owed.take_all();
        self.stage = match self.stage {
            Stage::Killed(at) => Stage::Killed(at.min(leave_at)),
            Stage::Stopping(earlier) => Stage::Stopping(earlier.min(kill_at)),
            Stage::Serving | Stage::Closing(_) => Stage::Stopping(kill_at),
        };
        is_news
    }

    /// It is killed, and waited for until then.
    pub(crate) fn killed(&mut self, until: Instant) {
        self.owed.take_all();
        self.stage = Stage::Killed(until);
    }

    /// Nothing has happened to it for `pause`, up to now; its end has gone on.
    pub(crate) fn stand_still(&mut self, pause: Duration, now: Instant) {
        self.first_answer.was_uncounted(pause.min(self.start.ran(now)));
        self.move_clocks(pause, now);
    }

    fn move_clocks(&mut self, pause: Duration, now: Instant) {
        let later = |since: Instant| (since + pause).min(now);
        self.owed.move_clocks(later);
        self.first_answer.move_clocks(later);
        self.start.stand_still(later);
        self.listening.stand_still(later);
        self.pipes.stand_still(later);
        if let Stage::Closing(since) = &mut self.stage {
            *since = later(*since);
        }
        self.pace.busy_from(now);
    }

    /// It was stopped for so long, and has not come nearer to its end.
    pub(crate) fn was_suspended(&mut self, pause: Duration, now: Instant) {
        self.first_answer.was_stopped();
        self.move_clocks(pause, now);
        if let Stage::Stopping(at) | Stage::Killed(at) = &mut self.stage {
            *at += pause;
        }
    }

    /// It was stopped for a time that is not known: all its clocks begin anew.
    pub(crate) fn was_stopped(&mut self, kill_at: Instant, leave_at: Instant, now: Instant) {
        self.first_answer.was_stopped();
        self.owed.start_clocks(now);
        self.start.start_anew(now);
        self.listening.stand_still(|_| now);
        self.pipes.stand_still(|_| now);
        match &mut self.stage {
            Stage::Serving => {}
            Stage::Closing(since) => *since = now,
            Stage::Stopping(at) => *at = kill_at,
            Stage::Killed(at) => *at = leave_at,
        }
        self.pace.busy_from(now);
    }
}

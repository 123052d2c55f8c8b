//! A process that holds more memory than it may is replaced, as at the end of its lifespan.
//!
//! Where there is room for it, the next process starts beside the present one, which goes on meanwhile:
//! it is taken to be up after as long as the slowest start so far took. Always: what has been started
//! beside a process takes its place when that is gone, or is gone before.

use std::time::Instant;

use super::Scheduler;
use super::action::{Action, Beginning};
use super::event::Event;
use super::ids::WorkerId;
use super::worker::Worker;

impl Scheduler {
    /// The process of this worker and its group hold so many bytes, and so many are free.
    pub fn holds(&mut self, worker: WorkerId, bytes: u64, free: u64, now: Instant) {
        let most = self.policy.limits.max_memory.map_or(u64::MAX, |limit| limit.get() as u64);
        let is_news = |process: &mut super::Process| process.outgrew();
        if bytes <= most || !self.process_mut(worker).is_some_and(is_news) {
            return;
        }
        self.tell(Event::Outgrown { worker, bytes });
        if free >= most && self.course.gives_out() && !self.policy.is_for_own_record() {
            let up_at = now + self.command.startup_time().unwrap_or_default();
            let number = self.workers[worker.0].prepare(up_at);
            let crew = self.intake.muster(self.workers.len());
            let beginning = Beginning {
                number,
                crew,
                own: None,
            };
            self.actions.push(Action::Prepare(worker, beginning));
            self.watch(worker);
        } else {
            self.retire(worker);
        }
        self.feed(now);
    }

    /// What was started beside a process has ended, or could not be started.
    pub fn successor_lost(&mut self, worker: WorkerId, now: Instant) {
        self.workers[worker.0].lose_successor();
        self.retire(worker);
        self.feed(now);
    }

    /// A process is given no further record.
    pub(super) fn retire(&mut self, worker: WorkerId) {
        if let Some(process) = self.process_mut(worker) {
            process.reputation.retired();
        }
    }

    /// Has what was started beside processes that are gone take their places. Gives how many did.
    pub(super) fn succeed(&mut self, now: Instant) -> usize {
        let waits =
            |worker: &Worker| worker.vacant_from().is_some() && worker.successor_up_at().is_some();
        // One that would have nothing to do is not waited for: it ends with the run.
        if self.policy.limits.max_memory.is_none() || self.nothing_waits() {
            return 0;
        }
        let workers = self.workers.iter().enumerate();
        let places: Vec<_> =
            workers.filter(|(_, worker)| waits(worker)).map(|(number, _)| number).collect();
        places.iter().for_each(|number| self.start(WorkerId(*number), now));
        places.len()
    }
}

//! Which records go to which worker, when processes begin and when they are told that no more
//! comes.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::action::{Action, Beginning};
use super::brakes::MoreRecords;
use super::deadline::Deadline;
use super::event::Event;
use super::held::Held;
use super::ids::WorkerId;
use super::policy::{Delivery, Window};
use super::process::Process;
use super::queue::Work;
use super::straggler::Fleet;
use super::worker::Worker;
use crate::record::{Attempt, OwnRecord};

/// The most that is sent in one piece, in bytes.
const BLOCK: usize = 64 * 1024;
/// The most that is in flight at one worker, in bytes, if it is more than one record.
const IN_FLIGHT: usize = 128 * 1024;
/// With an input that has shown less records than there are workers, the others start after this.
const LATE_START: Duration = Duration::from_millis(50);

impl Scheduler {
    /// Does everything that can be done now: gives out records, starts and closes processes.
    pub(super) fn feed(&mut self, now: Instant) {
        self.conclude_rejected(now);
        if self.policy.is_for_own_record() {
            self.start_for_records(now);
            self.finish_if_done();
            return;
        }
        loop {
            if self.course.gives_out() {
                self.feed_alone(now);
                while self.queue.together() > 0
                    && let Some(worker) = self.best_worker(now)
                {
                    self.give(worker, now);
                    self.conclude_rejected(now);
                }
            }
            if !self.course.gives_out() {
                break;
            }
            self.wind_down(now);
            // Processes that have just begun may take more than their first block, or be told to
            // end.
            if self.succeed(now) + self.staff(now) == 0 {
                break;
            }
        }
        self.watch_trials();
        self.finish_if_done();
    }

    /// The quick path after answers: this worker alone can have got room.
    pub(super) fn after_answers(&mut self, worker: WorkerId, now: Instant) {
        self.audit_answered(worker, now);
        // What is due next depends on how far that check has got.
        self.watch_busy(worker);
        // With a full buffer, this answer may let another worker take the lowest record.
        let is_plain = !self.queue.has_alone() && !self.queue.has_shunning();
        // What has just been timed for the first time may show that others are overdue.
        let is_news = |process: &Process| process.pace.reads() == 1 && self.policy.names_records();
        let is_plain = is_plain && !self.process(worker).is_some_and(is_news);
        if is_plain && !self.budget.is_full() {
            while self.queue.together() > 0 && self.give(worker, now) {
                self.conclude_rejected(now);
                // A window that is measured is filled by halves; any other, at once.
                if self.process(worker).is_none_or(|process| self.is_measured(process)) {
                    break;
                }
            }
            // One that has been given its last record is to be told so in time.
            let goes_on = |process: &Process| !process.owed.is_empty() && self.may_serve(process);
            if self.queue.together() > 0 && self.process(worker).is_some_and(goes_on) {
                return;
            }
        }
        self.feed(now);
    }

    pub(super) fn conclude_rejected(&mut self, now: Instant) {
        while self.course.takes_input()
            && let Some((rejected, queued)) = self.queue.pop_rejected()
        {
            self.reject(rejected, queued, now);
        }
    }

    /// The worker that would be the first to answer one record more, of those that can take it.
    fn best_worker(&mut self, now: Instant) -> Option<WorkerId> {
        let fleet = self.fleet(now);
        let mut best: Option<(f64, usize, WorkerId)> = None;
        for number in 0..self.workers.len() {
            let worker = WorkerId(number);
            if self.can_take(worker, fleet.as_ref(), now) == 0 {
                continue;
            }
            let process = self.process(worker).expect("only a process can take records");
            let next = (process.next_answer(now), process.owed.records(), worker);
            if best.is_none_or(|best| next < best) {
                best = Some(next);
            }
        }
        best.map(|(_, _, worker)| worker)
    }

    /// How many records may be sent to this worker now, together with others. Puts down why it may
    /// be sent none.
    fn can_take(&mut self, worker: WorkerId, fleet: Option<&Fleet>, now: Instant) -> usize {
        self.audit_if_due(worker, now);
        let Some(process) = self.process(worker) else {
            return 0;
        };
        match self.room(worker, process, fleet, now) {
            Ok(records) => records,
            Err(held) => {
                self.process_mut(worker).expect("it runs").hold(held);
                self.watch_for(worker, Deadline::Refusal);
                0
            }
        }
    }

    /// The same, or why it is to be sent none.
    fn room(
        &self,
        worker: WorkerId,
        process: &Process,
        fleet: Option<&Fleet>,
        now: Instant,
    ) -> Result<usize, Held> {
        let waiting = self.waiting_for(worker, now);
        if !self.may_serve(process) {
            return Err(Held::Leaving);
        } else if process.is_reserved() || process.owed.holds_alone() {
            return Err(Held::Suspect);
        } else if process.audit.holds_back() {
            return Err(Held::Check);
        } else if self.awaits_ready_of(process) {
            return Err(Held::Start);
        } else if waiting == 0 {
            return Err(Held::Kept);
        }
        let room = self.room_in_window(process, waiting, now)?;
        if self.must_hold_back() {
            return Err(Held::Budget);
        }
        let left = self.policy.lifespan.most().saturating_sub(process.owed.served());
        let share = match process.owed.concurrency() {
            Some(_) => self.share(worker, process, waiting, now)?,
            None if self.policy.window == Window::Auto => self.part(waiting),
            None => usize::MAX,
        };
        let more = match self.input_is_over() {
            true => MoreRecords::None,
            false => MoreRecords::Expected,
        };
        let records = self.brakes.let_through(worker, room.min(left).min(share), more, now)?;
        // The others are not to be given what shuns them, however fast they are.
        if !self.queue.has_shunning()
            && let Some(pause) = fleet.and_then(|fleet| self.is_outpaced(process, fleet, now))
        {
            return Err(Held::Outpaced { until: now + pause });
        }
        Ok(records)
    }

    /// How many records more fit into the window of a process.
    fn room_in_window(
        &self,
        process: &Process,
        waiting: usize,
        now: Instant,
    ) -> Result<usize, Held> {
        let mut window = self.window(process);
        let is_measured = self.is_measured(process);
        if is_measured && !self.intake.is_open() {
            // Towards the end, all are to be done at the same time.
            window = window.min(self.part(waiting));
        }
        let overdue_at = self.overdue_at(process);
        let is_overdue = overdue_at.is_some_and(|at| now >= at);
        let room = if is_overdue && process.owed.records() <= window {
            1
        } else if is_measured && process.owed.records() > window / 2 {
            // Half a window at a time, so that blocks stay large.
            0
        } else {
            window.saturating_sub(process.owed.records())
        };
        match room {
            _ if is_measured && process.owed.bytes() >= IN_FLIGHT => {
                Err(Held::Full { until: None })
            }
            0 => Err(Held::Full {
                until: overdue_at.filter(|_| !is_overdue),
            }),
            room => Ok(room),
        }
    }

    /// An equal part of what waits, for each worker.
    fn part(&self, waiting: usize) -> usize {
        waiting.div_ceil(self.policy.jobs.get()).max(1)
    }

    /// Whether the window of this process follows from measured time.
    pub(super) fn is_measured(&self, process: &Process) -> bool {
        self.policy.window == Window::Auto && process.owed.concurrency().is_none()
    }

    /// How many records this process may have been sent and not yet answered.
    pub(super) fn window(&self, process: &Process) -> usize {
        let asked = match (self.policy.window, process.owed.concurrency()) {
            _ if self.policy.delivery == Delivery::AtMostOnce => return 1,
            (Window::Auto, None) => return process.pace.window().min(self.brakes.window()),
            (Window::Auto | Window::Full, _) => usize::MAX,
            (Window::Records(records), _) => records.get(),
        };
        (process.owed.concurrency()).map_or(asked, |concurrency| asked.min(concurrency.get()))
    }

    /// Whether this process is to say that it is up, or to stay up, before it is sent anything.
    pub(super) fn awaits_ready_of(&self, process: &Process) -> bool {
        let is_unfed = !process.is_ready() && process.owed.is_empty();
        is_unfed && (self.command.awaits_ready() || self.trial_end(process).is_some())
    }

    /// Whether a process can be given records, now or when it has answered some.
    pub(super) fn may_serve(&self, process: &Process) -> bool {
        process.is_serving() && process.pipes.hung_up().is_none() && !self.is_spent(process)
    }

    /// Whether a process has been given all the records that it is to serve.
    pub(super) fn is_spent(&self, process: &Process) -> bool {
        let is_over = process.owed.served() >= self.policy.lifespan.most();
        is_over || process.reputation.is_spent()
    }

    /// Whether nothing but the lowest record may be given out, because the budget is full. Where that
    /// waits for its time, nothing may.
    pub(super) fn must_hold_back(&self) -> bool {
        self.budget.is_full()
            && self.outcomes.order.next().is_some()
            && self.queue.lowest().is_some_and(|lowest| {
                let holds_lower =
                    |process: &Process| process.owed.oldest().is_some_and(|oldest| oldest < lowest);
                self.queue.lowest_put_off() == Some(lowest)
                    || self.processes().any(|(_, process)| holds_lower(process))
            })
    }

    /// Sends this worker what it can take now, together with others. Gives whether that is
    /// anything.
    fn give(&mut self, worker: WorkerId, now: Instant) -> bool {
        let fleet = self.fleet(now);
        let records = self.can_take(worker, fleet.as_ref(), now);
        if records == 0 {
            return false;
        }
        let mut left = records;
        while left > 0
            && let Some(work) = self.queue.pop(left, BLOCK, &self.shuns_for(worker, now))
        {
            // What is next to each other goes at a time; a batch, whatever it is put together from.
            left = match self.brakes.sends_together() {
                true => left - work.block.count,
                false => 0,
            };
            self.send(worker, work, now);
        }
        true
    }

    pub(super) fn send(&mut self, worker: WorkerId, work: Work, now: Instant) {
        match self.policy.shape.may_be_unfit() {
            true => self.send_fit(worker, work, now),
            false => self.send_whole(worker, work, now),
        }
    }

    pub(super) fn send_whole(&mut self, worker: WorkerId, mut work: Work, now: Instant) {
        work.sent += 1;
        self.brakes.sent(worker, work.block.count, now);
        work.trail.started = Some(now);
        work.trail.process = Some(self.workers[worker.0].number());
        let stuck_since = self.throttle.stderr_stuck_since();
        let process = self.process_mut(worker).expect("records are sent to a running process");
        let (block, attempt) = (work.block.clone(), Attempt(work.sent));
        let is_first = !process.owed.is_timed();
        process.sent(work, stuck_since, now);
        if is_first {
            self.watch_busy(worker);
        }
        self.actions.push(Action::Send(worker, block, attempt));
    }

    /// Tells processes that no more comes, where that is so.
    fn wind_down(&mut self, now: Instant) {
        let nothing_waits = self.nothing_waits();
        for number in 0..self.workers.len() {
            let worker = WorkerId(number);
            let Some(process) = self.process(worker) else {
                continue;
            };
            if !process.is_serving() {
                continue;
            }
            if !nothing_waits && !self.is_spent(process) {
                continue;
            }
            if process.owed.is_empty() || (nothing_waits && self.policy.window == Window::Full) {
                self.close_stdin(worker, now);
            } else {
                self.watch_for(worker, Deadline::End);
            }
        }
    }

    pub(super) fn close_stdin(&mut self, worker: WorkerId, now: Instant) {
        let process = self.process_mut(worker).expect("only a running process has a stdin");
        process.close(now);
        self.actions.push(Action::CloseStdin(worker));
        self.watch(worker);
    }

    /// Starts processes where they are of use, and gives their number.
    fn staff(&mut self, now: Instant) -> usize {
        let Some(may_start) = self.intake.may_start() else {
            return 0;
        };
        let muster_by = may_start + self.policy.limits.muster;
        if now < muster_by && self.is_mustering() {
            self.wake_by(muster_by);
            return 0;
        }
        let waiting = self.queue.together() + self.queue.alone();
        let is_picky = self.queue.has_shunning();
        let idle = self
            .processes()
            .filter(|(_, l)| l.is_serving() && l.owed.is_empty())
            .filter(|(worker, _)| !is_picky || self.is_of_use(*worker, now))
            .count();
        let running = self.processes().filter(|(_, l)| l.is_serving()).count();
        if self.queue.has_shunning() {
            let ends = self.processes().map(|(_, process)| self.is_awaited_until(process));
            if let Some(at) = ends.filter(|at| *at > now).min() {
                self.wake_by(at);
            }
        }
        let mut wanted = if self.intake.is_open() && self.course.takes_input() {
            let of_use = if now >= may_start + LATE_START {
                self.policy.jobs.get()
            } else {
                self.wake_by(may_start + LATE_START);
                self.intake.seen().max(1) as usize
            };
            of_use.saturating_sub(running)
        } else {
            waiting.saturating_sub(idle)
        };
        if wanted == 0 {
            return 0;
        }
        // Those that may begin now go first, and of those the ones whose last processes were of use.
        let vacant = |(number, worker): (usize, &Worker)| {
            Some((
                worker.vacant_from()?.max(now),
                worker.restarts.failed_starts(),
                number,
            ))
        };
        let mut seats: Vec<_> = self.workers.iter().enumerate().filter_map(vacant).collect();
        seats.sort_unstable();
        let mut started = 0;
        for (from, _, number) in seats {
            // A rejected record behind what a new process was given may just have ended the run.
            if wanted == 0 || !self.course.gives_out() {
                break;
            }
            wanted -= 1;
            if now < from {
                self.wake_by(from);
            } else {
                self.start(WorkerId(number), now);
                started += 1;
            }
        }
        started
    }

    /// Whether the first process waits until it is known how many records there are. What finds no room
    /// is not waited for.
    pub(super) fn is_mustering(&self) -> bool {
        let is_waited_for = !self.policy.limits.muster.is_zero() && !self.budget.is_full();
        is_waited_for && !self.budget.has_waiter() && self.intake.may_be_short(self.workers.len())
    }

    pub(super) fn start(&mut self, worker: WorkerId, now: Instant) {
        let beginning = self.begin_process(worker, None, now);
        self.actions.push(Action::Start(worker, beginning));
        self.watch(worker);
        // Its first record goes with it, if one waits.
        if self.queue.has_alone() {
            self.feed_alone(now);
        }
        self.give(worker, now);
        self.conclude_rejected(now);
    }

    /// The next process of a worker begins.
    pub(super) fn begin_process(
        &mut self,
        worker: WorkerId,
        own: Option<OwnRecord>,
        now: Instant,
    ) -> Beginning {
        let generation = self.command.generation();
        let (number, is_restart) = self.workers[worker.0].begin(generation, now);
        self.outcomes.tally.restarts += u64::from(is_restart);
        self.tell(Event::Started {
            worker,
            process: number,
            is_restart,
        });
        Beginning {
            number,
            crew: self.intake.muster(self.workers.len()),
            own,
        }
    }
}

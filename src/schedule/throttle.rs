//! Who is listened to: the input, unless outcomes are far ahead of the output; and every worker,
//! unless the budget is full.
//!
//! Always: while the budget is full, somebody is heard whose answer makes room, or the output is
//! what everything waits for; and the clocks of those who are not heard stand still.
//!
//! Who is heard with a full budget cannot be one that waits for another. In input order it is the
//! one that owes the lowest index: its answer is the next to be written; nobody is, while that waits for
//! its time. Where results are written
//! as they finish, every whole answer makes room at once, so all are heard as long as they have not
//! begun much; then one that is amid an answer is heard alone, until that answer is whole or its
//! process is gone, and both free what it holds. All that it needs for that it gets: its stdin is
//! written to whoever is heard, and its time limits run. Where it says nothing for long, the others
//! are heard too, as if it had begun nothing, and all that are amid an answer have their say: that
//! may hold more for each such worker, and waits for none in turn.

use std::time::{Duration, Instant};

use super::Scheduler;
use super::event::Event;
use super::ids::WorkerId;
use super::process::Process;

/// An output that has not moved on for so long waits for a slow record or a slow reader. Longer,
/// and workers would stand idle each time that a slow fellow moves the output on.
const STANDSTILL: Duration = Duration::from_millis(1);

/// Who says nothing for so long amid an answer, though it is heard, is no reason to let others
/// wait: it may have forgotten the line's end.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same, where another has done so.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);

/// A shorter wait for the time of a record is not told.
const NOTABLE_WAIT: Duration = Duration::from_secs(1);

/// The same, where nothing is held up by it but the end of the run.
const LONG_WAIT: Duration = Duration::from_secs(10);

/// So many bytes of answers may be begun before one worker is heard alone: less is no reason to let
/// the others wait for one that may be slow.
const MOST_BEGUN: usize = 1024 * 1024;

/// Who is listened to, and how far outcomes are ahead.
#[derive(Debug)]
pub(super) struct Throttle {
    /// Whether workers were left paused at the last look, because the budget was full.
    was_full: bool,
    /// Since when what workers write to stderr is not read.
    unread_since: Option<Instant>,
    /// Outcomes are far ahead of the output, which moves on: more input would be of no use.
    is_far_ahead: bool,
    /// What had been passed to the output when it moved on last, and when that was.
    moved_on: (u64, Instant),
    /// It has been told that nothing goes on before the time of a record has come.
    has_told_of_time: bool,
}

impl Throttle {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            was_full: false,
            unread_since: None,
            is_far_ahead: false,
            moved_on: (0, now),
            has_told_of_time: false,
        }
    }

    pub(super) fn is_far_ahead(&self) -> bool {
        self.is_far_ahead
    }

    /// Whether nobody takes from mtask what workers write to stderr.
    pub(super) fn is_stderr_stuck(&self) -> bool {
        self.unread_since.is_some()
    }

    /// Since when that is so.
    pub(super) fn stderr_stuck_since(&self) -> Option<Instant> {
        self.unread_since
    }

    /// People know how long all that is left waits.
    pub(super) fn has_told_of_time(&mut self) {
        self.has_told_of_time = true;
    }

    /// Nothing has moved for `pause`: that time is not to be added twice.
    pub(super) fn was_suspended(&mut self, pause: Duration, now: Instant) {
        self.unread_since = self.unread_since.map(|since| (since + pause).min(now));
    }

    /// Gives since when stderr was not read, if that is over.
    pub(super) fn reads_stderr(&mut self, reads: bool, now: Instant) -> Option<Instant> {
        match reads {
            true => self.unread_since.take(),
            false => {
                self.unread_since.get_or_insert(now);
                None
            }
        }
    }
}

impl Scheduler {
    /// Decides whether the input is listened to, and which workers are: all, unless the budget is
    /// full. Then only the one that owes the lowest index is, for its answer alone can be written,
    /// or, where any can, one that has begun an answer; nobody is while the output itself is what
    /// everything waits for.
    pub fn choose_read_from(&mut self, now: Instant) {
        self.look_ahead(now);
        self.feed_the_starved(now);
        if self.starves() {
            self.budget.lend();
        }
        if self.settle_pending(now) {
            self.feed(now);
            // What has been put down is to be written.
            self.wake_by(now);
        }
        self.tell_of_time(now);
        let is_full = self.budget.is_full();
        if !is_full && !self.throttle.was_full {
            return;
        }
        self.throttle.was_full = is_full;
        if !is_full {
            // Records may have been held back.
            self.feed(now);
        }
        let only = match self.outcomes.order.next() {
            _ if !is_full => ReadFrom::All,
            _ if self.outcomes.order.is_backed_up() || self.outcomes.order.has_no_room() => {
                ReadFrom::None
            }
            None => self.amid_answer(now),
            Some(_) => {
                let by_index = |(_, process): &(WorkerId, &Process)| process.owed.lowest();
                let waits = self.queue.lowest();
                let lowest = self
                    .processes()
                    .filter(|(_, process)| !process.owed.is_empty())
                    .min_by_key(by_index);
                let reserved = self.processes().find(|(_, process)| process.is_reserved());
                match (lowest, reserved) {
                    // Whatever else came could only be held until its time has come.
                    (Some((_, process)), _)
                        if self.queue.is_put_off_before(process.owed.lowest()) =>
                    {
                        ReadFrom::None
                    }
                    (Some((_, process)), Some((worker, _))) if waits < process.owed.lowest() => {
                        ReadFrom::Only(worker)
                    }
                    (Some((worker, _)), _) => ReadFrom::Only(worker),
                    (None, _) => self.amid_answer(now),
                }
            }
        };
        // From when stderr is not read, that alone counts: the time is not to be added twice.
        let until = self.throttle.unread_since.unwrap_or(now);
        for number in 0..self.workers.len() {
            let is_read_from = match only {
                ReadFrom::All => true,
                ReadFrom::None => false,
                ReadFrom::Only(worker) => worker.0 == number,
            };
            let Some(process) = self.workers[number].process_mut() else {
                continue;
            };
            let is_read_from = is_read_from
                || matches!(only, ReadFrom::Only(_)) && process.listening.has_stalled();
            if !is_read_from && !process.is_paused() {
                process.pause(now);
            } else if is_read_from && process.resume(until, now) {
                self.watch(WorkerId(number));
                self.wake_by(now);
            }
        }
    }

    /// Tells, once, that nothing goes on before the time of a record has come that waits for it.
    fn tell_of_time(&mut self, now: Instant) {
        if self.throttle.has_told_of_time {
            return;
        }
        if !self.intake.is_open() || !self.takes_input() {
            return self.tell_that_all_wait(now);
        }
        let Some((index, until)) = self.queue.lowest_put_off().zip(self.queue.next_due()) else {
            return;
        };
        let wait = until.saturating_duration_since(now);
        let is_full = self.budget.is_full() || self.budget.has_waiter();
        let is_held_up = || {
            let is_idle = |process: &Process| process.owed.is_empty() || process.is_paused();
            let has_more = self.queue.together() > 0 && !self.must_hold_back();
            !self.outcomes.order.is_backed_up()
                && !has_more
                && !self.queue.has_alone()
                && self.processes().all(|(_, process)| is_idle(process))
        };
        if wait >= NOTABLE_WAIT && is_full && is_held_up() {
            self.throttle.has_told_of_time = true;
            let buffer = self.budget.limit();
            self.tell(Event::HeldUp {
                index,
                wait,
                buffer,
            });
        }
    }

    /// The same, where nothing comes from the input any more.
    fn tell_that_all_wait(&mut self, now: Instant) {
        let is_idle = |(_, process): (WorkerId, &Process)| process.owed.is_empty();
        let has_fresh = self.takes_input() && self.queue.together() > 0;
        if self.queue.is_empty() || has_fresh || !self.processes().all(is_idle) {
            return;
        }
        let outstanding = self.outstanding(now);
        if outstanding.wait.is_some_and(|wait| wait >= LONG_WAIT) {
            self.throttle.has_told_of_time = true;
            self.tell(Event::AllWait(outstanding));
        }
    }

    /// Whom to listen to where every answer makes room: where much has been begun, the one that is
    /// heard alone goes on being heard, and at first it is the one that has begun most.
    fn amid_answer(&mut self, now: Instant) -> ReadFrom {
        let enough = MOST_BEGUN.min(self.budget.limit() / 8).max(1);
        self.note_stalled(now);
        let patience = self.patience();
        let amid = || self.processes().filter(|(_, process)| process.listening.is_amid());
        let begun: usize = amid().map(|(_, process)| process.listening.begun()).sum();
        let first = amid()
            .max_by_key(|(_, process)| (!process.is_paused(), process.listening.begun()))
            .map(|(worker, process)| (worker, process.listening.silent_since(now)));
        match first {
            Some((worker, since)) if begun >= enough => {
                self.wake_by(since + patience);
                ReadFrom::Only(worker)
            }
            _ => ReadFrom::All,
        }
    }

    /// Notes who says nothing for long amid an answer, though it is heard. Where nobody is left
    /// that goes on, the others that are amid one would be waited for in turn, and have their say
    /// now.
    fn note_stalled(&mut self, now: Instant) {
        let patience = self.patience();
        let (mut stalls, mut goes_on) = (false, false);
        for process in self.amid_answers().filter(|process| !process.is_paused()) {
            if now >= process.listening.silent_since(now) + patience {
                process.listening.stalled();
            }
            stalls |= process.listening.has_stalled();
            goes_on |= !process.listening.has_stalled();
        }
        if stalls && !goes_on {
            self.amid_answers().for_each(|process| process.listening.stalled());
        }
    }

    /// Those that have begun an answer, but for those that have stalled.
    fn amid_answers(&mut self) -> impl Iterator<Item = &mut Process> {
        (self.workers.iter_mut())
            .filter_map(|worker| worker.process_mut())
            .filter(|process| process.is_working() && process.listening.is_amid())
    }

    /// For how long one is waited for that says nothing amid an answer.
    fn patience(&self) -> Duration {
        match self.processes().any(|(_, process)| process.listening.has_stalled()) {
            true => SHORT_PATIENCE,
            false => PATIENCE,
        }
    }

    /// So many bytes are held of an answer that a worker has begun.
    pub(super) fn note_begun(&mut self, worker: WorkerId, bytes: usize, now: Instant) {
        if let Some(process) = self.process_mut(worker) {
            process.listening.said(bytes, now);
        }
    }

    /// Notes whether outcomes are far ahead of the output. While that moves on, to go further would
    /// cost memory and win nothing; while it stands still, workers go on as far as the budget
    /// allows.
    fn look_ahead(&mut self, now: Instant) {
        let passed = self.outcomes.order.passed();
        if passed != self.throttle.moved_on.0 {
            self.throttle.moved_on = (passed, now);
        }
        let (held, lead) = (self.outcomes.order.held(), self.policy.lead);
        let jobs = self.policy.jobs.get();
        let stands_still_at = self.throttle.moved_on.1 + STANDSTILL;
        self.throttle.is_far_ahead = self.takes_input()
            && held.records > jobs.saturating_mul(lead.records)
            && held.bytes > jobs.saturating_mul(lead.bytes)
            && now < stands_still_at;
        if self.throttle.is_far_ahead {
            self.wake_by(stands_still_at);
        }
    }

    /// Whether a process may have something to say that counts: an answer, or its last word.
    pub fn awaits_words(&self, worker: WorkerId) -> bool {
        let may_leave = |process: &Process| {
            let is_closing = process.is_closing();
            self.policy.facts().has_last_word && is_closing && !process.pipes.has_left()
        };
        self.owed(worker) > 0 || self.process(worker).is_some_and(may_leave)
    }

    /// Whether this worker's answers are to be read.
    pub fn reads_from(&self, worker: WorkerId) -> bool {
        self.process(worker).is_some_and(|process| !process.is_paused() && process.is_working())
    }
}

#[derive(Clone, Copy)]
enum ReadFrom {
    All,
    None,
    Only(WorkerId),
}

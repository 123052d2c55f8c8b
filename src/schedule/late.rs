//! A record that took longer than it may (`deadline`): which it is, and what becomes of the others.
//!
//! A process that can give up one record and go on is asked to, and has `--grace` for that. Else the
//! process is ended. A worker of the lines protocol is at its oldest record. One whose answers have
//! ids may be at any of several: then nobody is charged, and each of them is sent again, alone. Where
//! it says what it has begun (`process/owed/calls`), these are no others than that.

use std::time::Instant;

use super::action::Action;
use super::deadline::Deadline;
use super::event::{Event, Suspects};
use super::ids::WorkerId;
use super::process::Death;
use super::{Scheduler, Unsent};
use crate::outcome::{Cause, Ended, TimeLimit, Verdict};

impl Scheduler {
    /// A record took longer than it may: it is charged, the others that the process held are sent
    /// again. Where the process can go on with those, it is asked to.
    pub(super) fn time_out(&mut self, worker: WorkerId, unsent: Unsent<'_>, now: Instant) {
        let process = self.process(worker).expect("only a running process can be too slow");
        let limit = self.time_limit(process).expect("there is a limit where one is over");
        let names_records = self.policy.names_records();
        let process = self.process_mut(worker).expect("it runs");
        let written = process.owed.records().saturating_sub(unsent(worker));
        if process.is_serving() && process.owed.can_cancel() {
            let late = process.cancel_late(written, limit, now);
            let is_asked = !late.is_empty();
            self.actions.extend(late.into_iter().map(|index| Action::Cancel(worker, index)));
            // It has gone on from what its clock was about.
            let is_late = self.due(worker, Deadline::Record).is_some_and(|at| at <= now);
            if is_asked || !is_late {
                return self.watch(worker);
            }
        }
        let process = self.process_mut(worker).expect("it runs");
        let late = match names_records {
            true => process.lead_with_expired(written, limit.duration(), now),
            false => 1,
        };
        let at = if late > 1 { At::Any(late) } else { At::First };
        self.stop_late(worker, at, limit, unsent(worker), now);
    }

    /// A process has not ended what it was asked to: it is ended itself. Where that is one record,
    /// and the process did go on with something, that one is charged. Otherwise something else may
    /// keep the process from ending it, and what it was asked to end is sent again, alone.
    pub(super) fn end_uncancelled(&mut self, worker: WorkerId, unsent: Unsent<'_>, now: Instant) {
        let process = self.process_mut(worker).expect("only a running process can be asked");
        let count = process.owed.lead_with_cancelled();
        let first = process.owed.oldest().expect("it owes what it was asked to end");
        let limit = process.owed.cancelled_limit(first).expect("that stands first");
        let is_it = count == 1 && (process.owed.goes_on() || process.owed.records() == 1);
        let at = if is_it { At::First } else { At::Any(count) };
        self.stop_late(worker, at, limit, unsent(worker), now);
    }

    /// Stops a process that has been for too long at the first of the records that it owes.
    fn stop_late(
        &mut self,
        worker: WorkerId,
        at: At,
        limit: TimeLimit,
        unsent: usize,
        now: Instant,
    ) {
        self.time_oldest(worker, 1, now);
        let process = self.process(worker).expect("only a running process can be too slow");
        let grace = process.owed.cancelled_since().map(|_| self.policy.limits.grace);
        let first = self.take_oldest(worker);
        let process = self.process(worker).expect("it runs");
        let startup = self.startup(process, now);
        let mut others = self.process_mut(worker).expect("it runs").owed.take_all();
        self.stop(worker, now);
        let charged = at == At::First;
        self.count_process(worker, startup, charged, Death::by(Verdict::TimedOut));
        self.take_back(&mut others, unsent);
        let cause = Cause::Timeout {
            limit,
            ended: Ended::Process,
        };
        let suspects = match at {
            At::First => Suspects::One(first.first(), self.fate(&first, &cause)),
            At::Any(count) => Suspects::Several(count),
        };
        self.tell(Event::TimedOut {
            worker,
            suspects,
            limit,
            grace,
        });
        let At::Any(mut left) = at else {
            others.into_iter().for_each(|work| self.queue.put_back(work));
            return self.charge(first, cause, worker, None, now);
        };
        others.push_front(first);
        for work in others {
            if left == 0 {
                self.queue.put_back(work);
            } else {
                debug_assert!(
                    work.remaining() <= left,
                    "what was sent together is late together"
                );
                left -= work.remaining();
                self.tell_again(worker, &work);
                self.queue.put_back_alone(work);
            }
        }
    }
}

/// What a process has been at for too long, of what it owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The first record.
    First,
    /// Any of the first ones, so many.
    Any(usize),
}

//! A record that took longer than it may (`deadline`): which it is, and what becomes of the others.
//!
//! A worker of the lines protocol is at its oldest record. One whose answers have ids may be at any
//! of several: then nobody is charged, and each of them is sent again, alone. Where it says what it
//! has begun (`process/owed/calls`), these are no others than that.

use std::time::{Duration, Instant};

use super::event::{Event, Suspects};
use super::ids::WorkerId;
use super::process::Death;
use super::{Scheduler, Unsent};
use crate::outcome::{Cause, Verdict};

impl Scheduler {
    /// A record took longer than it may: it is charged, the others that the process held are sent
    /// again.
    pub(super) fn time_out(&mut self, worker: WorkerId, unsent: Unsent<'_>, now: Instant) {
        let process = self.process(worker).expect("only a running process can be too slow");
        let limit = self.time_limit(process).expect("there is a limit where one is over");
        let suspects = self.expired(worker, limit.duration(), unsent(worker), now);
        self.time_oldest(worker, 1, now);
        let first = self.take_oldest(worker);
        let process = self.process(worker).expect("only a running process can be too slow");
        let startup = self.startup(process, now);
        let mut others = self.process_mut(worker).expect("it runs").owed.take_all();
        self.stop(worker, now);
        let charged = suspects <= 1;
        self.count_process(worker, startup, charged, Death::by(Verdict::TimedOut));
        self.take_back(&mut others, unsent(worker));
        if charged {
            others.into_iter().for_each(|work| self.queue.put_back(work));
            let cause = Cause::Timeout { limit };
            let suspects = Suspects::One(first.first(), self.fate(&first, &cause));
            self.tell(Event::TimedOut {
                worker,
                suspects,
                limit,
            });
            self.charge(first, cause, worker, None, now);
            return;
        }
        let several = Suspects::Several(suspects);
        self.tell(Event::TimedOut {
            worker,
            suspects: several,
            limit,
        });
        others.push_front(first);
        let mut left = suspects;
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

    /// How many of the records that a process owes, the first ones, it may have taken too long
    /// over.
    ///
    /// With the lines protocol that is the oldest. Where answers come in any order, it may be at
    /// any record that has been written to it and whose time since then is over. One that says what
    /// it has begun is at nothing else, and what has taken too long of that is moved to the front;
    /// where it has begun nothing, it has left the oldest one lying.
    fn expired(&mut self, worker: WorkerId, limit: Duration, unsent: usize, now: Instant) -> usize {
        let names_records = self.policy.names_records();
        let process = self.process_mut(worker).expect("only a running process can be late");
        if !names_records {
            return 1;
        }
        let written = process.owed.records().saturating_sub(unsent);
        process.lead_with_expired(written, limit, now)
    }
}

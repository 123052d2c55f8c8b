//! How many records a worker is given that says how many it takes at a time.
//!
//! All are to be done at the same time: so each holds what brings it to the level at which all that
//! waits would be used up, those included that will be up soon. Owns nothing.

use std::time::Instant;

use super::Scheduler;
use super::held::Held;
use super::ids::WorkerId;
use super::process::Process;

impl Scheduler {
    /// How many of the `waiting` records this worker may be given for all to be done at the same
    /// time; at least one where it owes nothing.
    pub(super) fn share(
        &self,
        worker: WorkerId,
        process: &Process,
        waiting: usize,
        now: Instant,
    ) -> Result<usize, Held> {
        let usual = process.pace.seconds_per_record();
        let level = self.level(worker, usual, waiting, now);
        // What is left of rounding is no record.
        let records = (level - process.ahead(usual, now) - 1e-6).ceil() as usize;
        match records.min(waiting) {
            0 if process.owed.is_empty() => Ok(1),
            0 => Err(Held::Share {
                until: self.starts_end(now),
            }),
            records => Ok(records),
        }
    }

    /// How many records all would have before them once what waits was given to those that have
    /// least.
    fn level(&self, worker: WorkerId, usual: f64, waiting: usize, now: Instant) -> f64 {
        let mut level = f64::INFINITY;
        loop {
            // Whoever has more before it gets nothing.
            let (mut count, mut sum) = (0.0, waiting as f64);
            for (other, process) in self.processes() {
                let ahead = process.ahead(usual, now);
                let is_counted = other == worker || self.is_counted_on(process, ahead, now);
                if is_counted && ahead <= level {
                    count += 1.0;
                    sum += ahead;
                }
            }
            if count == 0.0 || sum / count >= level {
                return level;
            }
            level = sum / count;
        }
    }

    /// When the first of those that are counted on, and are not up yet, is counted on no more.
    fn starts_end(&self, now: Instant) -> Option<Instant> {
        let starting = self.processes().filter(|(_, process)| !process.is_ready());
        let ends = starting.map(|(_, process)| self.comes_before(process));
        ends.filter(|end| *end > now).min()
    }

    /// Whether a process takes part in what waits now: it is up or will be soon, and has room for
    /// a quarter of what it takes, so that the others' batches stay full behind one that has begun.
    fn is_counted_on(&self, process: &Process, ahead: f64, now: Instant) -> bool {
        let is_up = process.is_ready() || now < self.comes_before(process);
        let has_room = ahead <= self.window(process) as f64 * 0.75;
        is_up && has_room && self.may_serve(process) && !process.owed.holds_alone()
    }
}

impl Process {
    /// How many records it has before it, in the time that it takes: what it is about counts as
    /// far as it is not done by now. One that is late may take as long again. `usual` is how many
    /// seconds a record takes where this one has not been measured.
    fn ahead(&self, usual: f64, now: Instant) -> f64 {
        let owed = self.owed.records() as f64;
        let each = self.pace.measured().map_or(usual, |_| self.pace.seconds_per_record());
        if each <= 0.0 {
            return owed;
        }
        let left = each * owed - self.busy_for(now).as_secs_f64();
        (left.abs() / each).min(owed)
    }
}

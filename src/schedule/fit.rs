//! Records that are not UTF-8, where they travel in JSON: they go to processes that take base64, which
//! only the process itself can say. For another one they are no input.

use std::str;
use std::time::Instant;

use super::Scheduler;
use super::ids::WorkerId;
use super::process::Process;
use super::queue::{Isolation, Work};
use crate::outcome::Cause;
use crate::record::{Block, Separator};

impl Scheduler {
    /// Sends what the process can take. What it cannot has failed then; where it has yet to say whether
    /// it can, that waits for one that is ready.
    pub(super) fn send_fit(&mut self, worker: WorkerId, mut work: Work, now: Instant) {
        let takes_base64 = |process: &Process| process.owed.takes_base64();
        let is_fit = str::from_utf8(&work.block.bytes).is_ok()
            || self.process(worker).is_some_and(takes_base64);
        if is_fit {
            return self.send_whole(worker, work, now);
        }
        let has_said = self.process(worker).is_some_and(Process::is_ready);
        let separator = self.policy.shape.separator;
        while work.block.count > 0 {
            let (records, is_text) = run(&work.block, separator);
            let some = work.cut(records, usize::MAX, separator);
            match is_text {
                true => self.send_whole(worker, some, now),
                false if !has_said && some.isolation == Isolation::Together => {
                    self.queue.put_back_alone(some);
                }
                false => self.fail_unfit(some, worker, now),
            }
            let is_dropped = !self.course.takes_input() && work.sent == 0;
            if is_dropped || !self.course.gives_out() {
                return;
            }
        }
    }

    fn fail_unfit(&mut self, mut work: Work, worker: WorkerId, now: Instant) {
        let separator = self.policy.shape.separator;
        // Where one of them has ended the run, the others are dropped, as all that was never sent.
        let goes_on = |scheduler: &Self, work: &Work| {
            scheduler.course.takes_input() || work.sent > 0 && scheduler.course.gives_out()
        };
        while work.block.count > 0 && goes_on(self, &work) {
            let one = work.cut(1, usize::MAX, separator);
            let record = one.block.first_record(separator);
            let valid = str::from_utf8(&record).map_or_else(|error| error.valid_up_to(), str::len);
            let message = format!(
                "not valid text: invalid UTF-8 at byte {}, and the worker does not say that it takes \
                 base64 (\"can\":[\"base64\"])",
                valid + 1
            );
            self.fail_work(one, Cause::UnfitInput(message), worker, None, now);
        }
    }
}

/// How many records at the beginning of the block are all text, or all not, and which.
fn run(block: &Block, separator: Separator) -> (usize, bool) {
    let records = block.bytes.split(|byte| *byte == separator.byte()).take(block.count);
    let mut are_text = records.map(|record| str::from_utf8(record).is_ok());
    let first = are_text.next().unwrap_or(true);
    (
        1 + are_text.take_while(|is_text| *is_text == first).count(),
        first,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{BOOKKEEPING, Budget};
    use crate::record::{Index, Slice};

    #[test]
    fn a_run_is_as_long_as_its_records_are_alike() {
        let budget = Budget::new(1000);
        let run_of = |bytes: &[u8]| {
            let bytes = bytes.to_vec();
            budget.add(bytes.capacity() + BOOKKEEPING);
            let block = Block {
                first: Index(0),
                count: bytes.split(|byte| *byte == b'\n').count() - 1,
                bytes: Slice::new(bytes, &budget),
            };
            run(&block, Separator::Newline)
        };
        assert_eq!(run_of(b"a\n\nb\n"), (3, true));
        assert_eq!(run_of(b"a\nb\n\xff\n"), (2, true));
        assert_eq!(run_of(b"\xff\n\xfe\nb\n\xff\n"), (2, false));
    }
}

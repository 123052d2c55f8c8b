//! What stands at the two ends of the run: the thread that reads the input and the one that writes
//! the output, with the channels to and from the engine.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;

use super::promises::Promises;
use super::scenario::{Burst, Effect, Reader, Record, record_text};
use crate::budget::{BOOKKEEPING, Budget};
use crate::input::{Arrival, Flaw, Rejected, Rejection};
use crate::record::{Block, Index, Slice};
use crate::schedule::Written;

/// How many arrivals wait for the engine, as in `run`.
const ARRIVALS: usize = 2;
const PARCELS: usize = 2;

/// The thread that reads the input.
pub(super) struct Input {
    bursts: VecDeque<Burst>,
    /// When the next burst is there to be read.
    at: Duration,
    next: u64,
    outbox: VecDeque<Arrival>,
    channel: VecDeque<Arrival>,
}

impl Input {
    pub(super) fn new(bursts: &[Burst]) -> Self {
        Self {
            at: bursts[0].after,
            bursts: bursts.iter().cloned().collect(),
            next: 0,
            outbox: VecDeque::new(),
            channel: VecDeque::new(),
        }
    }

    /// Reads what there is, as far as the budget and the channel let it. Gives whether the engine
    /// is to be woken.
    pub(super) fn run(&mut self, records: &[Record], budget: &Budget, now: Duration) -> bool {
        let mut has_news = false;
        loop {
            while !self.outbox.is_empty() && self.channel.len() < ARRIVALS {
                self.channel.extend(self.outbox.pop_front());
                has_news = true;
            }
            let Some(burst) = self.bursts.front() else {
                return has_news;
            };
            if !self.outbox.is_empty()
                || now < self.at
                || !self.read(burst.records, records, budget)
            {
                return has_news;
            }
            self.bursts.pop_front();
            self.at = now
                + self
                    .bursts
                    .front()
                    .map_or(Duration::ZERO, |burst| burst.after);
        }
    }

    fn read(&mut self, count: usize, records: &[Record], budget: &Budget) -> bool {
        if count == 0 {
            self.outbox.push_back(Arrival::End);
            return true;
        }
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for index in self.next..self.next + count as u64 {
            bytes.extend(record_text(index, records[index as usize].len).bytes());
            bytes.push(b'\n');
            ends.push(bytes.len());
        }
        bytes.shrink_to_fit();
        if !budget.take_or_announce(bytes.capacity() + BOOKKEEPING, 0) {
            return false;
        }
        budget.end_loan();
        let chunk = Slice::new(bytes, budget);
        let (mut start, mut run) = (0, 0);
        for (at, end) in ends.iter().enumerate() {
            let index = self.next + at as u64;
            let is_invalid = records[index as usize].effect == Effect::Invalid;
            let before = if at == 0 { 0 } else { ends[at - 1] };
            if !is_invalid {
                run += 1;
            }
            if run > 0 && (is_invalid || at + 1 == count) {
                let to = if is_invalid { before } else { *end };
                self.outbox.push_back(Arrival::Records(Block {
                    first: Index(index + u64::from(!is_invalid) - run),
                    count: run as usize,
                    bytes: chunk.part(start..to),
                }));
                run = 0;
            }
            if is_invalid {
                self.outbox.push_back(Arrival::Rejected(Rejected {
                    index: Index(index),
                    reason: Rejection::Invalid {
                        flaw: Flaw {
                            expected: "JSON",
                            line: index + 1,
                            column: 1,
                            message: "what is this".into(),
                        },
                        record: chunk.part(before..end - 1),
                    },
                }));
                start = *end;
            }
        }
        self.next += count as u64;
        true
    }

    /// When there is something to be read, if that is not now.
    pub(super) fn next(&self, now: Duration) -> Option<Duration> {
        (!self.bursts.is_empty() && self.outbox.is_empty() && now < self.at).then_some(self.at)
    }

    pub(super) fn has_arrivals(&self) -> bool {
        !self.channel.is_empty()
    }

    pub(super) fn take(&mut self) -> Option<Arrival> {
        self.channel.pop_front()
    }
}

/// The output and the thread that writes it.
pub(super) struct Output {
    reader: Reader,
    parcels: VecDeque<usize>,
    done_at: Option<Duration>,
    done: VecDeque<usize>,
    bytes: usize,
    is_awaited: bool,
    budget: Budget,
    /// All that has gone to the output and to the file of error records.
    pub(super) results: Vec<u8>,
    pub(super) errors: Vec<u8>,
    pub(super) promises: Promises,
}

impl Output {
    pub(super) fn new(reader: &Reader, budget: &Budget) -> Self {
        Self {
            reader: reader.clone(),
            parcels: VecDeque::new(),
            done_at: None,
            done: VecDeque::new(),
            bytes: 0,
            is_awaited: false,
            budget: budget.clone(),
            results: Vec::new(),
            errors: Vec::new(),
            promises: Promises::default(),
        }
    }

    /// Writes until `now`. Gives whether the engine is to be woken.
    pub(super) fn run(&mut self, rng: &mut Rng, now: Duration) -> bool {
        let mut has_news = false;
        while let Some(at) = self.done_at
            && at <= now
        {
            self.done.extend(self.parcels.pop_front());
            self.done_at = None;
            self.begin(rng, at);
            has_news |= std::mem::take(&mut self.is_awaited);
        }
        has_news
    }

    fn begin(&mut self, rng: &mut Rng, now: Duration) {
        if self.done_at.is_none() && !self.parcels.is_empty() {
            let is_stalled = rng.f64() < self.reader.stall_chance;
            let takes = if is_stalled {
                self.reader.stall
            } else {
                self.reader.pause
            };
            self.done_at = Some(now + takes);
        }
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.done_at
    }

    pub(super) fn has_news(&self) -> bool {
        !self.done.is_empty()
    }

    pub(super) fn room(&self) -> usize {
        self.reader.room.saturating_sub(self.bytes)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.in_flight() == 0
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight() >= PARCELS
    }

    fn in_flight(&self) -> usize {
        self.parcels.len() + self.done.len()
    }

    pub(super) fn await_writer(&mut self) {
        self.is_awaited = true;
    }

    /// As `engine::Output::flush`.
    pub(super) fn flush(&mut self, written: &mut Written, rng: &mut Rng, now: Duration) {
        for bytes in std::mem::take(&mut self.done) {
            self.bytes -= bytes;
            self.budget.free(bytes);
        }
        let taken = (self.results.len(), self.errors.len());
        self.promises.note(written, taken.0, taken.1);
        if self.in_flight() == 0 && written.results.len() <= self.reader.direct {
            self.results.append(&mut written.results.take_bytes());
        }
        if self.hand_over(written.results.len(), rng, now) {
            self.results.append(&mut written.results.take_bytes());
        }
        if self.hand_over(written.errors.len(), rng, now) {
            self.errors.append(&mut written.errors.take_bytes());
        }
    }

    fn hand_over(&mut self, bytes: usize, rng: &mut Rng, now: Duration) -> bool {
        if bytes == 0 || self.is_busy() {
            return false;
        }
        self.bytes += bytes;
        self.budget.add(bytes);
        self.parcels.push_back(bytes);
        self.begin(rng, now);
        true
    }
}

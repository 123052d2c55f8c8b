//! The threads about the engine, as the simulation plays them: the one that reads the input, and
//! those that write the output, keep the journal and write the messages. Each has its end of the
//! channels that the engine knows.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};
use fastrand::Rng;
use memchr::memchr_iter;

use super::actor::MOAN;
use super::promises::Promises;
use super::scenario::{Burst, Effect, Fault, OutputReader, Record, record_text};
use crate::budget::{BOOKKEEPING, Budget};
use crate::engine::messages::played::PlayedStderr;
use crate::engine::output::played::PlayedWriter;
use crate::input::{Arrival, Flaw, Rejected, Rejection, Requirement};
use crate::journal::played::PlayedKeeper;
use crate::output::Sink;
use crate::output::WriteError;
use crate::record::{Block, Index, Slice};
use crate::waker::Waker;

/// The thread that reads the input.
pub(super) struct SimulatedInput {
    bursts: VecDeque<Burst>,
    /// When the next burst is there to be read.
    at: Duration,
    next: u64,
    outbox: VecDeque<Arrival>,
    /// Until the engine wants no more.
    channel: Option<Sender<Arrival>>,
    /// The records of each arrival that the engine may not have taken yet.
    under_way: VecDeque<(u64, usize)>,
}

impl SimulatedInput {
    pub(super) fn new(bursts: &[Burst], channel: Sender<Arrival>) -> Self {
        Self {
            at: bursts[0].after,
            bursts: bursts.iter().cloned().collect(),
            next: 0,
            outbox: VecDeque::new(),
            channel: Some(channel),
            under_way: VecDeque::new(),
        }
    }

    /// Reads what there is, as far as the budget and the channel let it.
    pub(super) fn run(
        &mut self,
        records: &[Record],
        budget: &Budget,
        waker: &Waker,
        now: Duration,
    ) {
        while self.send(waker)
            && let Some(burst) = self.bursts.front()
            && now >= self.at
            && self.read(burst.records, records, budget)
        {
            self.bursts.pop_front();
            let pause = self.bursts.front().map(|burst| burst.after);
            self.at = now + pause.unwrap_or_default();
        }
    }

    /// Sends on what has been read; gives whether that is all of it, and more is of use.
    fn send(&mut self, waker: &Waker) -> bool {
        while let Some(channel) = &self.channel {
            let Some(arrival) = self.outbox.pop_front() else {
                return true;
            };
            let records = match &arrival {
                Arrival::Records(block) => (block.first.0, block.count),
                Arrival::Rejected(rejected) => (rejected.index.0, 1),
                _ => (0, 0),
            };
            match channel.try_send(arrival) {
                Ok(()) => {
                    self.under_way.push_back(records);
                    waker.wake();
                }
                Err(TrySendError::Full(arrival)) => {
                    self.outbox.push_front(arrival);
                    return false;
                }
                Err(TrySendError::Disconnected(_)) => {
                    self.channel = None;
                    self.outbox.clear();
                }
            }
        }
        false
    }

    /// The records that the engine has taken since the last time: the first, and how many.
    pub(super) fn taken(&mut self) -> impl Iterator<Item = (u64, usize)> {
        let left = self.channel.as_ref().map_or(0, Sender::len);
        let taken = self.under_way.len() - left.min(self.under_way.len());
        self.under_way.drain(..taken)
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
                            expected: Requirement::Json,
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

    /// Nobody waits for what it has read.
    pub(super) fn stop(&mut self) {
        self.channel = None;
        self.outbox.clear();
    }

    /// When there is something to be read, if that is not now.
    pub(super) fn next(&self, now: Duration) -> Option<Duration> {
        let reads = self.channel.is_some() && !self.bursts.is_empty() && self.outbox.is_empty();
        (reads && now < self.at).then_some(self.at)
    }
}

/// A file that outcomes go to, as whoever writes to it and whoever reads it has it.
#[derive(Clone, Debug)]
pub(super) struct File(Arc<FileState>);

#[derive(Debug)]
struct FileState {
    name: &'static str,
    /// So many bytes are taken at once.
    direct: usize,
    /// A lock, for the engine's outputs may be written by any thread. Here there is but one.
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    is_broken: bool,
    has_refused: bool,
    /// Something was taken in part.
    has_parted: bool,
}

impl File {
    pub(super) fn new(name: &'static str, direct: usize) -> Self {
        Self(Arc::new(FileState {
            name,
            direct,
            content: Mutex::default(),
        }))
    }

    /// Nothing can be written any more.
    pub(super) fn fail(&self) {
        self.content(|content| content.is_broken = true);
    }

    /// What has gone wrong with it that is to go wrong in many worlds.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.content(|content| content.has_parted.then_some(Fault::PartialWrite))
    }

    /// Whether it has refused anything since.
    pub(super) fn has_refused(&self) -> bool {
        self.content(|content| content.has_refused)
    }

    /// Shows all that was written.
    pub(super) fn read<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        self.content(|content| look(&content.bytes))
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> Result<(), WriteError> {
        self.content(|content| {
            if content.is_broken {
                content.has_refused = true;
                return Err(WriteError {
                    file: self.0.name.into(),
                    error: io::ErrorKind::StorageFull.into(),
                });
            }
            let bytes = slices.iter().flat_map(|slice| slice.iter());
            content.bytes.extend(bytes);
            Ok(())
        })
    }

    fn content<T>(&self, look: impl FnOnce(&mut Content) -> T) -> T {
        look(&mut self.0.content.lock().expect("nobody panics with it"))
    }
}

impl Sink for File {
    fn name(&self) -> &str {
        self.0.name
    }

    fn write_at_once(&self, bytes: &[u8]) -> Result<usize, WriteError> {
        let count = bytes.len().min(self.0.direct);
        self.write(&[IoSlice::new(&bytes[..count])])?;
        self.content(|content| content.has_parted |= 0 < count && count < bytes.len());
        Ok(count)
    }

    fn write_all(&self, slices: &mut [IoSlice<'_>]) -> Result<(), WriteError> {
        self.write(slices)
    }

    fn close(&self) -> Result<(), WriteError> {
        Ok(())
    }
}

/// When a thread has done what it has begun.
#[derive(Debug, Default)]
struct Pending(Option<Duration>);

impl Pending {
    /// Whether something is done by `now`. Where there is work, and none has begun, that begins now
    /// and takes as long as is given.
    fn is_done(&mut self, has_work: bool, takes: impl FnOnce() -> Duration, now: Duration) -> bool {
        if has_work && self.0.is_none() {
            self.0 = Some(now + takes());
        }
        self.0.take_if(|at| *at <= now).is_some()
    }
}

/// The thread that writes the output.
pub(super) struct SimulatedWriter {
    reader: OutputReader,
    played: PlayedWriter<File>,
    pending: Pending,
}

impl SimulatedWriter {
    pub(super) fn new(reader: &OutputReader, played: PlayedWriter<File>) -> Self {
        Self {
            reader: reader.clone(),
            played,
            pending: Pending::default(),
        }
    }

    /// Writes until `now`.
    pub(super) fn run(&mut self, rng: &mut Rng, now: Duration) -> bool {
        let reader = &self.reader;
        let takes = |rng: &mut Rng| match rng.f64() < reader.stall_chance {
            true => reader.stall,
            false => reader.pause,
        };
        let has_work = self.played.has_work();
        let is_done = self.pending.is_done(has_work, || takes(rng), now);
        if is_done {
            self.played.write();
        }
        is_done
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.pending.0
    }
}

/// The thread that keeps the journal.
pub(super) struct SimulatedKeeper {
    played: PlayedKeeper,
    takes: Duration,
    pending: Pending,
    is_over: bool,
    pub(super) promises: Promises,
}

impl SimulatedKeeper {
    pub(super) fn new(takes: Duration, played: PlayedKeeper) -> Self {
        Self {
            played,
            takes,
            pending: Pending::default(),
            is_over: false,
            promises: Promises::default(),
        }
    }

    /// Whether the last entry is kept.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Keeps what there is until `now`.
    pub(super) fn run(&mut self, waker: &Waker, now: Duration) -> bool {
        let has_work = self.played.has_work();
        let is_done = self.pending.is_done(has_work, || self.takes, now);
        if is_done && let Some(entry) = self.played.keep() {
            self.promises.note(entry);
            waker.wake();
        }
        if !has_work && self.played.end() {
            self.is_over = true;
            waker.wake();
        }
        is_done
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.pending.0
    }
}

/// The thread that writes messages.
pub(super) struct Stderr {
    played: PlayedStderr,
    takes: Duration,
    pending: Pending,
    /// What has been said and was not looked at yet.
    said: Vec<u8>,
    /// How many lines of workers have come out.
    pub(super) moans: u64,
}

impl Stderr {
    pub(super) fn new(takes: Duration, played: PlayedStderr) -> Self {
        Self {
            played,
            takes,
            pending: Pending::default(),
            said: Vec::new(),
            moans: 0,
        }
    }

    /// Writes until `now`.
    pub(super) fn run(&mut self, now: Duration) -> bool {
        let has_work = self.played.has_work();
        let is_done = self.pending.is_done(has_work, || self.takes, now);
        // Without work, it may end.
        if (is_done || !has_work)
            && let Some(text) = self.played.write()
        {
            // Workers' lines come together, and are not of interest but for their number.
            match text.first() {
                Some(&MOAN) => self.moans += memchr_iter(MOAN, &text).count() as u64,
                _ => self.said.extend(text),
            }
        }
        is_done
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.pending.0
    }

    /// Whether what workers write to stderr is not to be read.
    pub(super) fn is_full(&self) -> bool {
        self.played.is_full()
    }

    pub(super) fn take_said(&mut self) -> String {
        String::from_utf8(mem::take(&mut self.said)).expect("messages are text")
    }
}

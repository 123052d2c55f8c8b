//! What has happened in a run, for all who tell of it or count it.
//!
//! Plain data, no texts but what others have written. Always: the scheduler depends on nobody who
//! listens; an event comes after what it tells of and before what follows from that; records that
//! come to the same end together are one event.

use std::collections::VecDeque;
use std::time::Duration;

use super::doubts::Doubts;
use super::ids::{ProcessNumber, WorkerId};
use super::process::Reading;
use super::queue::Work;
pub use super::trail::Trail;
use crate::outcome::{Exit, Failure, TimeLimit};
use crate::protocol::message::Unasked;
use crate::record::Index;
use crate::shape::Protocol;

/// One thing that has happened.
#[derive(Debug)]
pub enum Event {
    /// Records came to an outcome.
    Settled(Settled),
    /// More records failed than may.
    TooManyFailures {
        /// How many there were until then, in earlier runs too.
        failures: u64,
        /// Of so many outcomes.
        outcomes: u64,
        /// When that was found.
        found: LimitFound,
    },
    /// A process has shown its first sign.
    Ready {
        /// Whose.
        worker: WorkerId,
        /// How long it took to it.
        took: Duration,
    },
    /// A process that was sent nothing has stayed up for as long as it had to.
    StayedUp {
        /// Whose.
        worker: WorkerId,
    },
    /// A process has ended by itself or for what it did, and has been judged.
    Ended(Box<Ended>),
    /// A process is no more, whatever it was ended for, or could not be started.
    /// Comes once for each process that began.
    Gone {
        /// Whose.
        worker: WorkerId,
        /// What became of it.
        exit: Exit,
        /// The most memory that it has had, in bytes, where that is known.
        peak: Option<u64>,
    },
    /// Records of a process are to be sent again.
    SentAgain {
        /// Who had them.
        worker: WorkerId,
        /// The index of the first.
        first: Index,
        /// How many there are.
        count: usize,
        /// How often a failure was charged against each.
        charged: u32,
    },
    /// A process did not give one answer for each record.
    OutOfStep {
        /// Whose.
        worker: WorkerId,
        /// What it did.
        breach: Breach,
        /// Whose answers are in doubt, where they carry no ids.
        in_doubt: Doubts,
    },
    /// A process gave an answer that nothing was asked for, and is ended.
    AnsweredUnasked {
        /// Whose.
        worker: WorkerId,
        /// The answer.
        unasked: Unasked,
    },
    /// A process has begun as those of another protocol do. The engine, which reads it, tells that.
    Misspoken {
        /// Whose.
        worker: WorkerId,
        /// The protocol that it seems to speak.
        protocol: Protocol,
    },
    /// A process wants to be sent what is no number of records at a time.
    NoConcurrency(NoConcurrency),
    /// A process that gave results answers with nothing but errors by now, and is replaced.
    Spoilt {
        /// Whose.
        worker: WorkerId,
        /// How many records in a row it answered with errors.
        errors: u32,
    },
    /// A process holds more memory than it may, and is replaced.
    Outgrown {
        /// Whose.
        worker: WorkerId,
        /// How much it holds, with its group.
        bytes: u64,
    },
    /// A record has been waited for long.
    Overdue(Overdue),
    /// No more is read, and nothing done, before the time has come for one that waits for it.
    HeldUp {
        /// The lowest of those that wait so.
        index: Index,
        /// How soon the first of them may be sent.
        wait: Duration,
        /// The buffer that is full.
        buffer: usize,
    },
    /// Nothing is under way, and no more of the input is sent: all that is left waits for its time.
    AllWait(Outstanding),
    /// A process, which has refused a record, asks to wait: those with the same init argument begin
    /// nothing new until then.
    AskedToWait {
        /// Whose.
        worker: WorkerId,
        /// For how long.
        wait: Duration,
    },
    /// A process has not said for long that it is ready.
    StartAwaited {
        /// Whose.
        worker: WorkerId,
        /// For how long it has run.
        age: Duration,
        /// Which limit holds.
        expiry: Expiry,
    },
    /// A process has died that was not ready, and no other is: the next ones are sent nothing
    /// before they have stayed up for a while.
    Trial {
        /// Whose process died.
        worker: WorkerId,
        /// For how long they have to stay up.
        trial: Duration,
    },
    /// The end of its stdin is shown to a process before its time.
    Asked {
        /// Whose.
        worker: WorkerId,
        /// Why.
        asking: Asking,
    },
    /// For the first time a process has answered all only once it was shown the end of its stdin.
    AnsweredAtEnd {
        /// Whose.
        worker: WorkerId,
    },
    /// A process did not exit in time after the end of its stdin, and is ended.
    ExitOverdue {
        /// Whose.
        worker: WorkerId,
    },
    /// The run goes on in another way.
    Turned(Turn),
    /// Records have no outcome at the end of a whole run: a fault of mtask.
    Lost {
        /// How many records were read.
        read: u64,
        /// How many came to an outcome.
        outcomes: u64,
    },
    /// A process took longer over a record than it may, and is replaced.
    TimedOut {
        /// Whose.
        worker: WorkerId,
        /// What it may have been at.
        suspects: Suspects,
        /// How long it may take.
        limit: TimeLimit,
        /// How long it was given to end that, if it was asked to.
        grace: Option<Duration>,
    },
    /// A worker is not started any more.
    GivenUp(Loss),
    /// A process of a worker begins.
    Started {
        /// Whose.
        worker: WorkerId,
        /// Which one.
        process: ProcessNumber,
        /// Whether it replaces one that was not meant to end.
        is_restart: bool,
    },
}

/// Records of consecutive indices that have come to the same end together.
#[derive(Debug)]
pub struct Settled<T = ()> {
    /// The index of the first.
    pub first: Index,
    /// How many there are.
    pub count: usize,
    /// Who had them last, if anybody had.
    pub worker: Option<WorkerId>,
    /// How often each was sent.
    pub attempts: u32,
    /// How long each took; answers that were read together share the time. `None` where no answer
    /// tells.
    pub took: Option<Duration>,
    /// Where they have been before.
    pub trail: Trail,
    /// Whether they gave results, or the failure of the one record, which is without its bytes.
    pub outcome: Result<T, Box<Failure>>,
}

/// When it was found that too many records failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitFound {
    /// As the last of them was put down: nothing more is sent.
    UnderWay,
    /// At the end.
    AtTheEnd,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Whose.
    pub worker: WorkerId,
    /// The process, where it is known to have exited.
    pub pid: Option<u32>,
    /// What became of it.
    pub exit: Exit,
    /// What it means.
    pub moment: Moment,
    /// What it held and had been begun to be written to it.
    pub held: Span,
    /// What becomes of the records of it that are charged.
    pub charged: Option<Fate>,
    /// How many of them are sent again.
    pub again: usize,
}

/// When a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Before it was ready, and no record is charged with it: it tells nothing of a record.
    Start,
    /// After it was ready, or a record is charged with it.
    Work,
    /// After its last answer.
    End,
    /// At any time, and nobody is to blame: mtask was signalled too.
    Excused,
}

/// Records that something happened to, not all of which need be next to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// How many there are.
    pub count: usize,
    /// The lowest index, where there is any.
    pub low: Index,
    /// The highest.
    pub high: Index,
}

/// What becomes of a record that a failure is charged against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has no outcome in this run.
    LeftOut,
    /// It is tried again.
    TriedAgain,
    /// It has failed.
    Failed,
}

/// What a process did that did not give one answer for each record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// It wrote this line when it owed nothing: the beginning.
    StrayLine(Vec<u8>),
    /// It wrote this after its last whole line, and owed nothing.
    Tail(Vec<u8>),
    /// It exited at the end of its stdin and left these.
    NoAnswer(Span),
}

/// What a process gave where it should have given a number of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoConcurrency {
    /// Whose.
    pub worker: WorkerId,
    /// The beginning of it, JSON.
    pub given: String,
}

/// What a run turns to.
#[derive(Debug)]
pub enum Turn {
    /// Nothing that was not sent yet is sent any more.
    Draining(Trigger),
    /// The same, after this signal, which leaves all the time that it takes.
    Notified {
        /// Its number.
        signal: i32,
        /// What that is.
        outstanding: Outstanding,
    },
    /// The same, after a signal, for a limited time.
    Interrupted {
        /// Its number.
        signal: i32,
        /// What that is.
        outstanding: Outstanding,
    },
    /// Processes are ended: that time is over, or there was a second signal.
    Cut {
        /// The number of the last one.
        signal: i32,
    },
    /// Processes are ended, under `--on-error raise`.
    Raised(Trigger),
    /// No worker is left.
    NoWorker {
        /// How the last process ended that counted.
        last: Option<Exit>,
        /// The last of what it wrote to stderr.
        stderr: Vec<u8>,
    },
    /// Processes are ended: outcomes can no longer be written.
    OutputFailed,
    /// All processes have ended.
    Finished,
}

/// The records that were sent before and have no outcome yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// How many workers owe answers to.
    pub owed: usize,
    /// How many wait to be sent again.
    pub waiting: usize,
    /// How soon the first of those may be sent, where all of them wait for that.
    pub wait: Option<Duration>,
}

/// What ends a run, or keeps it from sending more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A record has failed.
    Failure,
    /// A worker wrote what nothing had asked for.
    Stray,
}

/// A record that has been waited for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// Who has it.
    pub worker: WorkerId,
    /// Its index.
    pub index: Index,
    /// For how long it has been the oldest, time not listened to left out.
    pub age: Duration,
    /// Nothing has come of this process, and that is told for the first time.
    pub is_first: bool,
    /// What the process has read.
    pub reading: Reading,
    /// Which limit holds.
    pub expiry: Expiry,
    /// The buffer is full.
    pub is_full: bool,
}

/// What a deadline says about an unanswered record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The record has taken too long.
    Record,
    /// The process has taken too long to start.
    Start,
}

/// Why the end of its stdin is shown to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// It has answered before, and may have skipped this record.
    Skipped(Index),
    /// It has answered nothing, and not this record for so long.
    Unanswered(Index, Duration),
    /// The buffer is full, and it may wait for more records.
    Starved {
        /// So many bytes.
        buffer: usize,
        /// No process was found to wait in vain before.
        is_news: bool,
    },
}

/// What a process took too long over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspects {
    /// This record, and what becomes of it.
    One(Index, Fate),
    /// One of so many, which are sent again.
    Several(usize),
}

/// A worker that is given up.
#[derive(Debug)]
pub struct Loss {
    /// Which one.
    pub worker: WorkerId,
    /// How many processes it was given up for.
    pub processes: u32,
    /// What they did.
    pub cause: LossCause,
    /// How the last of its processes ended that counted.
    pub last: Option<Exit>,
}

/// Why a worker is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// Its processes did not give one answer for each record.
    OutOfStep,
    /// They could not be ended.
    LeftBehind,
    /// All that they were sent was refused.
    Refused,
    /// They did nothing before the end of their stdin.
    Silent,
    /// They showed no sign.
    Unready,
    /// The same, and no other would.
    Unrunnable,
}

impl Span {
    /// What a process owes.
    pub(super) fn of(owed: &VecDeque<Work>) -> Self {
        let low = owed.iter().map(Work::first).min();
        let high = owed.iter().map(|work| Index(work.block.end().0 - 1)).max();
        Self {
            count: owed.iter().map(Work::remaining).sum(),
            low: low.unwrap_or_default(),
            high: high.unwrap_or_default(),
        }
    }
}

//! What must not be missing from many worlds: each kind of fault, and of what is right but rare.

/// What is to happen in many worlds, and how it is told that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Fault {
    /// A signal ended workers, and mtask was told to end.
    EndFromOutside,
    /// A signal ended workers that only asks mtask where the run stands.
    StatusToAll,
    /// A record that was answered with an error was sent again.
    RetriedError,
    /// mtask could not signal an actor.
    BeyondSignals,
    /// An actor did not die of SIGKILL.
    BeyondDeath,
    /// A record is larger than the budget.
    LargeRecord,
    /// Text stood before an answer.
    TextBeforeAnswer,
    /// Workers wrote to stderr.
    Moans,
    /// So much that it was not read.
    UnreadStderr,
    /// A process asked for what is no number of records.
    NoNumber,
    /// A process has begun a record once more.
    BegunAgain,
    /// A process has given up a record as it was asked to.
    GivenUp,
    NotGivenUp,
    /// A process was replaced as it asked to be.
    Resigned,
    /// A first answer took longer than later ones may.
    LazyFirst,
    /// A process closed its stdin in the middle of a record.
    TornRecord,
    /// mtask and the workers were stopped.
    Suspended,
    /// The output failed.
    OutputFailed,
    /// A result was written in part.
    PartialWrite,
    /// A process could not start though COMMAND had been ready.
    Fall,
    /// A record had no result, and did not fail.
    NoResult,
    /// A record had more than one.
    SeveralResults,
    /// A record was sent again only when its time had come.
    Waited,
    /// An actor held more memory than it may; the next one had been started beside it.
    Outgrown,
    Succeeded,
    /// A record was refused, and sent again.
    Refused,
    /// As many records were sent as the rate allows, and then no more for a while.
    Paced,
}

impl Fault {
    pub(in super::super) const ALL: [Self; 27] = [
        Self::EndFromOutside,
        Self::StatusToAll,
        Self::RetriedError,
        Self::BeyondSignals,
        Self::BeyondDeath,
        Self::LargeRecord,
        Self::TextBeforeAnswer,
        Self::Moans,
        Self::UnreadStderr,
        Self::NoNumber,
        Self::BegunAgain,
        Self::GivenUp,
        Self::NotGivenUp,
        Self::Resigned,
        Self::LazyFirst,
        Self::TornRecord,
        Self::Suspended,
        Self::OutputFailed,
        Self::PartialWrite,
        Self::Fall,
        Self::NoResult,
        Self::SeveralResults,
        Self::Waited,
        Self::Outgrown,
        Self::Succeeded,
        Self::Refused,
        Self::Paced,
    ];
}

//! What a record has been through, and what it may be charged with.

use std::time::Duration;

use crate::engine::simulation::scenario::Effect;
use crate::schedule::WorkerId;

/// What a record is charged with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Charge {
    Error,
    BadAnswer,
    Timeout,
    Death,
    /// Its process gave an answer that nothing was asked for.
    Unasked,
    /// Its process answered the record before once more.
    SecondAnswer,
}

impl Charge {
    fn kind(self) -> &'static str {
        match self {
            Self::Error => "worker_error",
            Self::BadAnswer | Self::Unasked | Self::SecondAnswer => "bad_answer",
            Self::Timeout => "timeout",
            Self::Death => "worker_exit",
        }
    }
}

/// What a record has been through.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct EarlierRun {
    pub(in super::super) effect: Option<Effect>,
    pub(in super::super) has_arrived: bool,
    /// To how many processes it was begun to be written.
    pub(in super::super) sends: u32,
    pub(in super::super) holder: Option<WorkerId>,
    /// Some process has answered it for good, as far as can be told.
    pub(in super::super) is_answered: bool,
    /// How many processes died with it, and how many of those for reasons of their own.
    pub(in super::super) hits: u32,
    pub(in super::super) outside_hits: u32,
    /// How many of the latter processes had been ready or, as far as can be told, had stayed up for
    /// longer than those that cannot start, and than they lived with the record.
    pub(in super::super) unlucky_hits: u32,
    /// What it was charged with, and whether that is certain.
    pub(super) charges: Vec<(Charge, bool)>,
    pub(in super::super) timeouts: u32,
    /// It is to be sent alone from now on, for certain or perhaps.
    pub(in super::super) is_suspect: bool,
    pub(in super::super) may_be_suspect: bool,
    pub(in super::super) may_be_missing: bool,
    /// How often it was refused.
    pub(in super::super) refusals: u32,
    /// It is not to be sent before that time.
    pub(in super::super) not_before: Option<Duration>,
    /// The actor that answered it last with an error: its worker, and the number of that.
    pub(super) refused_by: Option<(WorkerId, u32)>,
}

impl EarlierRun {
    pub(in super::super) fn charge(&mut self, charge: Charge, is_certain: bool) {
        self.charges.push((charge, is_certain));
    }

    pub(in super::super) fn suspect(&mut self, is_certain: bool) {
        self.is_suspect |= is_certain;
        self.may_be_suspect = true;
    }

    /// Its worker answered it with an error: it stands in line with the others again.
    pub(in super::super) fn stand_in_line(&mut self) {
        (self.is_suspect, self.may_be_suspect) = (false, false);
    }

    pub(in super::super) fn least_charges(&self) -> u32 {
        self.charges.iter().filter(|(_, is_certain)| *is_certain).count() as u32
    }

    pub(in super::super) fn most_charges(&self) -> u32 {
        self.charges.len() as u32
    }

    pub(in super::super) fn was_charged_with(&self, charge: Charge) -> bool {
        self.charges.iter().any(|(other, _)| *other == charge)
    }

    /// Whether the last charge may have been of this kind.
    pub(in super::super) fn may_have_failed_as(&self, kind: &str) -> bool {
        let last_certain = self.charges.iter().rposition(|(_, is_certain)| *is_certain);
        self.charges[last_certain.unwrap_or(0)..].iter().any(|(charge, _)| charge.kind() == kind)
    }

    /// How often it was a record's own doing, as far as its worker says, that it was not answered.
    pub(in super::super) fn own_faults(&self) -> u32 {
        let by_answer = [Charge::Error, Charge::BadAnswer];
        let said = self.charges.iter().filter(|(charge, _)| by_answer.contains(charge));
        said.count() as u32 + self.timeouts
    }
}

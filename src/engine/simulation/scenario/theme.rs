//! What may go wrong in a world at all.

use fastrand::Rng;

use super::parts::pick;
use crate::shape::Protocol;

/// What kind of world it is.
#[derive(Debug)]
pub(super) struct Theme {
    pub(super) protocol: Protocol,
    /// Answers are several lines, or none.
    pub(super) has_several_lines: bool,
    /// Workers may give more or fewer lines than they should, and nothing else goes wrong.
    pub(super) is_liar: bool,
    pub(super) is_broken: bool,
    pub(super) has_accidents: bool,
    /// Workers cannot start any more from some time on.
    pub(super) has_fall: bool,
    pub(super) has_killers: bool,
    pub(super) has_hangs: bool,
    pub(super) has_sayings: bool,
    pub(super) has_skips: bool,
    /// Answers may be lists of results.
    pub(super) gives_lists: bool,
}

impl Theme {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let protocol = *pick(rng, &[Protocol::Lines, Protocol::Json]);
        let is_json = protocol == Protocol::Json;
        let kind = rng.u32(..100);
        let is_plain = kind < 15;
        let is_liar = (15..27).contains(&kind) && !is_json;
        let has_fall = (31..41).contains(&kind);
        Self {
            protocol,
            has_several_lines: !is_json && !is_liar && kind.is_multiple_of(4),
            is_liar,
            is_broken: (27..31).contains(&kind),
            has_fall,
            has_accidents: !is_plain && !is_liar && !has_fall && rng.u32(..100) < 60,
            has_killers: !is_plain && !is_liar && rng.u32(..100) < 50,
            has_hangs: !is_plain && !is_liar && rng.u32(..100) < 30,
            has_sayings: is_json && !is_plain && rng.u32(..100) < 60,
            has_skips: is_json && !is_plain && rng.u32(..100) < 15,
            gives_lists: is_json && rng.u32(..100) < 40,
        }
    }

    pub(super) fn is_json(&self) -> bool {
        self.protocol == Protocol::Json
    }

    /// Whether no process comes to harm.
    pub(super) fn is_calm(&self) -> bool {
        !self.has_accidents
            && !self.has_fall
            && !self.has_killers
            && !self.has_hangs
            && !self.has_skips
            && !self.is_broken
    }
}

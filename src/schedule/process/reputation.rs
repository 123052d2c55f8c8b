//! What speaks against a process: its answers, where they have ids, and what it holds.

use crate::record::Index;

/// What is known of that so far.
#[derive(Debug, Default)]
pub(crate) struct Reputation {
    /// The record that it answered last.
    last_answered: Option<Index>,
    /// Whether it has given a result.
    has_result: bool,
    /// How many records it has answered with errors since the last result, one after the other,
    errors: u32,
    /// and the last of those.
    refused: Option<Index>,
    /// It is to be replaced, for it has come to answer with nothing but errors.
    is_spoilt: bool,
    /// It holds more memory than it may,
    has_outgrown: bool,
    /// and is to be replaced now.
    is_retired: bool,
}

impl Reputation {
    pub(crate) fn last_answered(&self) -> Option<Index> {
        self.last_answered
    }

    /// How many of its last answers were errors.
    pub(crate) fn errors(&self) -> u32 {
        self.errors
    }

    /// Whether it is to be replaced.
    pub(crate) fn is_spent(&self) -> bool {
        self.is_spoilt || self.is_retired
    }

    /// It holds more memory than it may. Gives whether that is news.
    pub(super) fn outgrew(&mut self) -> bool {
        !std::mem::replace(&mut self.has_outgrown, true)
    }

    /// Whether it goes on only until the next one is up.
    pub(crate) fn awaits_successor(&self) -> bool {
        self.has_outgrown && !self.is_retired
    }

    /// It is to be replaced for what it holds.
    pub(crate) fn retired(&mut self) {
        self.is_retired = true;
    }

    pub(crate) fn answered(&mut self, index: Index) {
        self.last_answered = Some(index);
    }

    pub(crate) fn gave_result(&mut self) {
        self.has_result = true;
        self.errors = 0;
    }

    pub(crate) fn gave_error(&mut self, index: Index) {
        if self.refused.replace(index) != Some(index) {
            self.errors = self.errors.saturating_add(1);
        }
    }

    /// Finds it spoilt where it has given results, and then so many errors. Gives whether that is
    /// news.
    pub(super) fn judge(&mut self, enough: u32) -> bool {
        let is_news = self.has_result && self.errors >= enough && !self.is_spoilt;
        self.is_spoilt |= is_news;
        is_news
    }
}

//! Failures in groups, for the page of a run: those of one kind whose messages differ in digits alone.
//!
//! Always: memory is bounded, however many records fail and whatever is said of them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::reasons::without_digits;
use crate::outcome::Failure;
use crate::visible;

/// The most groups, and the most bytes of a message in the name of one and in its example.
const MOST: usize = 16;
const NAME: usize = 100;
const EXAMPLE: usize = 240;

/// The failures of a run.
#[derive(Debug, Default)]
pub(super) struct GroupedFailures {
    groups: BTreeMap<(&'static str, String), FailureGroup>,
    /// Those that are in none.
    pub(super) more: u64,
}

/// Failures that are alike.
#[derive(Clone, Debug, Serialize)]
pub(super) struct FailureGroup {
    pub(super) kind: &'static str,
    /// The first line of what was said of the first.
    message: String,
    pub(super) count: u64,
    example: Example,
}

/// The first of them.
#[derive(Clone, Debug, Serialize)]
struct Example {
    index: u64,
    worker: Option<usize>,
    attempts: u32,
    message: String,
}

impl GroupedFailures {
    /// A record has failed.
    pub(super) fn count(&mut self, failure: &Failure) {
        let said = failure.message();
        let said = said.trim();
        let name = cut(
            &visible::excerpt(said.lines().next().unwrap_or_default(), NAME),
            NAME,
        );
        let key = (failure.cause.kind(), without_digits(&name));
        if let Some(group) = self.groups.get_mut(&key) {
            group.count += 1;
        } else if self.groups.len() < MOST {
            let group = FailureGroup {
                kind: key.0,
                message: name,
                count: 1,
                example: Example {
                    index: failure.index.0,
                    worker: failure.worker,
                    attempts: failure.attempts,
                    message: cut(
                        &visible::lines(said.get(..EXAMPLE * 4).unwrap_or(said)),
                        EXAMPLE,
                    ),
                },
            };
            self.groups.insert(key, group);
        } else {
            self.more += 1;
        }
    }

    /// The groups, the largest first.
    pub(super) fn groups(&self) -> Vec<&FailureGroup> {
        let mut groups: Vec<_> = self.groups.values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups
    }
}

/// The beginning of a text, of at most so many bytes and a mark.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

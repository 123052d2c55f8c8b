//! Of what records have failed, in the words of those who know: for the last line of a run.
//!
//! Always: memory is bounded, however many records fail and whatever is said of them. Messages that
//! differ in their digits alone are one, once there are too many of them to tell apart: the numbers
//! of records and requests differ each time, those of HTTP do not.

use std::collections::BTreeMap;

use crate::outcome::Failure;
use crate::visible;

/// How many messages that differ in more than digits are told apart.
const MOST_GROUPS: usize = 48;
/// How many are told apart that differ in digits alone.
const MOST_ALIKE: usize = 4;
/// How many characters of a message count.
const MOST_OF_MESSAGE: usize = 60;
/// How many messages of a kind are shown.
const SHOWN: usize = 3;

/// What failures have said.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    /// By kind and by what is left of the message without its digits.
    groups: BTreeMap<(&'static str, String), Group>,
}

/// Messages that differ in digits alone.
#[derive(Debug)]
enum Group {
    /// Each of them, with how often it came.
    Each(Vec<(String, u64)>),
    /// How many there were, where they are too many.
    All(u64),
}

impl Reasons {
    /// A record has failed.
    pub(super) fn count(&mut self, failure: &Failure) {
        let Some(message) = failure.cause.reason() else {
            return;
        };
        let first = message.trim_start().lines().next().unwrap_or_default();
        let text = visible::excerpt(first.trim_end(), MOST_OF_MESSAGE);
        if text.is_empty() {
            return;
        }
        let key = (failure.cause.kind(), without_digits(&text));
        if let Some(group) = self.groups.get_mut(&key) {
            group.count(text);
        } else if self.groups.len() < MOST_GROUPS {
            self.groups.insert(key, Group::Each(vec![(text, 1)]));
        }
    }

    /// The most frequent messages of a kind of which there were so many failures; empty where there
    /// is nothing to tell apart.
    pub(super) fn of(&self, kind: &str, failures: u64) -> String {
        let mut messages: Vec<(&str, u64)> = Vec::new();
        for ((_, masked), group) in self.groups.iter().filter(|((of, _), _)| *of == kind) {
            match group {
                Group::Each(each) => {
                    messages.extend(each.iter().map(|(text, count)| (text.as_str(), *count)));
                }
                Group::All(count) => messages.push((masked, *count)),
            }
        }
        messages.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        match messages.as_slice() {
            [] => String::new(),
            // It has been told with its message.
            _ if failures < 2 => String::new(),
            [(message, count)] if *count == failures => format!(": {message}"),
            _ => {
                let shown = messages.iter().take(SHOWN);
                let counts: u64 = shown.clone().map(|(_, count)| count).sum();
                let mut texts: Vec<String> =
                    shown.map(|(message, count)| format!("{message} ({count})")).collect();
                if counts < failures {
                    texts.push("…".into());
                }
                format!(": {}", texts.join(", "))
            }
        }
    }
}

impl Group {
    fn count(&mut self, text: String) {
        match self {
            Self::All(count) => *count += 1,
            Self::Each(each) => {
                if let Some((_, count)) = each.iter_mut().find(|(known, _)| *known == text) {
                    *count += 1;
                } else if each.len() < MOST_ALIKE {
                    each.push((text, 1));
                } else {
                    *self = Self::All(each.iter().map(|(_, count)| count).sum::<u64>() + 1);
                }
            }
        }
    }
}

/// The text with a mark in place of each number.
pub(super) fn without_digits(text: &str) -> String {
    let mut masked = String::new();
    for c in text.chars() {
        if !c.is_ascii_digit() {
            masked.push(c);
        } else if !masked.ends_with('…') {
            masked.push('…');
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Cause;
    use crate::record::Index;

    fn failed(reasons: &mut Reasons, message: &str) {
        reasons.count(&Failure {
            index: Index(0),
            cause: Cause::WorkerError {
                error: String::new(),
                message: message.into(),
            },
            worker: None,
            attempts: 1,
            record: None,
        });
    }

    fn of(messages: &[(&str, usize)]) -> String {
        let mut reasons = Reasons::default();
        for (message, count) in messages {
            (0..*count).for_each(|_| failed(&mut reasons, message));
        }
        let all = messages.iter().map(|(_, count)| *count as u64).sum();
        reasons.of("worker_error", all)
    }

    #[test]
    fn the_most_frequent_messages_are_shown_by_their_first_line() {
        assert_eq!(of(&[]), "");
        assert_eq!(of(&[("a", 1)]), "");
        assert_eq!(of(&[("a\nb", 2)]), ": a");
        let messages = [("HTTP 500", 2), ("HTTP 429", 238)];
        assert_eq!(of(&messages), ": HTTP 429 (238), HTTP 500 (2)");
        let messages = [("a", 1), ("b", 2), ("c", 3), ("d", 4)];
        assert_eq!(of(&messages), ": d (4), c (3), b (2), …");
        assert_eq!(of(&[("a", 1), ("", 1)]), ": a (1), …");
        assert_eq!(of(&[("\x1b[31m", 2)]), ": \\u{1b}[31m");
    }

    #[test]
    fn messages_that_differ_in_numbers_are_one_where_they_are_many() {
        let mut reasons = Reasons::default();
        (0..100).for_each(|number| failed(&mut reasons, &format!("no user {number} in 7")));
        assert_eq!(reasons.of("worker_error", 100), ": no user … in …");
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut reasons = Reasons::default();
        let letter = |number: usize| char::from(b'a' + number as u8);
        for number in 0..676 {
            let message = format!("{}{}", letter(number / 26), letter(number % 26)).repeat(1000);
            failed(&mut reasons, &message);
        }
        assert_eq!(reasons.groups.len(), MOST_GROUPS);
        assert!(reasons.groups.keys().all(|(_, text)| text.chars().count() <= MOST_OF_MESSAGE + 1));
        assert!(reasons.of("worker_error", 676).ends_with(" (1), …"));
        assert_eq!(reasons.of("timeout", 676), "");
    }
}

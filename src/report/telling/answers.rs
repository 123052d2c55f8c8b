//! What workers say that they should not.

use super::{Notice, Teller, records};
use crate::protocol::message::Unasked;
use crate::schedule::event::{Breach, NoConcurrency};
use crate::schedule::{Doubts, WorkerId};
use crate::shape::Protocol;
use crate::visible;

/// How much is said of what a worker wrote.
const MOST_SAID: usize = 60;
/// How much is said of a value that is not what it should be.
const MOST_OF_VALUE: usize = 30;
/// So many ranges of results in doubt are named.
const NAMED: usize = 3;

impl Teller {
    pub(super) fn out_of_step(
        &self,
        worker: WorkerId,
        breach: &Breach,
        in_doubt: &Doubts,
    ) -> Notice {
        let (what, advice) = match breach {
            Breach::StrayLine(line) => (
                format!("wrote a line with nothing to answer, \"{}\"", shown(line)),
                "does it print something else than answers, or two lines for a record?",
            ),
            Breach::Tail(bytes) => (
                format!("wrote \"{}\" after its last answer", shown(bytes)),
                "does it print something else than answers?",
            ),
            Breach::NoAnswer(span) => (
                format!("exited without an answer for {}", records(*span)),
                "does it skip records, or collect several for one line?",
            ),
        };
        if self.policy.names_records() {
            return Notice::error(format!(
                "{worker} {what}: each record is to be answered once, with its id, before it exits"
            ));
        }
        let range = match (in_doubt.ranges(), doubtful(in_doubt)) {
            ([(low, high)], Some(record)) if low == high => {
                format!("the answer of {record} is in doubt")
            }
            (_, Some(records)) => format!("its answers of {records} are in doubt"),
            (_, None) => "none of its answers is in doubt".into(),
        };
        Notice::error(format!(
            "{worker} {what}; {range}. One line is expected for each record: {advice}"
        ))
    }

    pub(super) fn answered_unasked(&self, worker: WorkerId, unasked: &Unasked) -> Notice {
        let what = match unasked {
            Unasked::Record(index) => format!("answered record {index}, which it does not owe"),
            Unasked::Line(line) => format!(
                "gave an answer whose id is missing or no whole number, \"{}\"",
                shown(line)
            ),
        };
        Notice::error(format!(
            "{worker} {what}: each record is to be answered once, with the id it came with"
        ))
    }

    /// That is said once in a run, for the others are likely to run the same program.
    pub(super) fn misspoken(&mut self, worker: WorkerId, protocol: Protocol) -> Option<Notice> {
        if std::mem::replace(&mut self.has_misspoken, true) {
            return None;
        }
        let (says, name) = (protocol.facts().begins_with, protocol.name());
        Some(Notice::warning(format!(
            "{worker} begins with {says}, which counts as the answer of a record here: is --protocol \
             {name} meant?"
        )))
    }

    /// That is said once in a run, for the others are likely to run the same program.
    pub(super) fn no_concurrency(&mut self, refused: &NoConcurrency) -> Option<Notice> {
        if std::mem::replace(&mut self.has_refused_concurrency, true) {
            return None;
        }
        let given = visible::excerpt(&refused.given, MOST_OF_VALUE);
        Some(Notice::warning(format!(
            "{} says \"concurrency\":{given}, which is ignored: a whole number of at least 1 is \
             expected, without quotes",
            refused.worker
        )))
    }

    pub(super) fn spoilt(&self, worker: WorkerId, errors: u32) -> Notice {
        Notice::warning(format!(
            "{worker} answered its last {errors} records with errors, and gave results before: its \
             process is replaced, and they are tried again"
        ))
    }
}

/// The beginning of what a worker wrote.
fn shown(bytes: &[u8]) -> String {
    visible::excerpt_of_bytes(bytes, MOST_SAID)
}

/// Whose results are in doubt: "record 7", or "records 7 to 9 and 12 to 20".
pub(in crate::report) fn doubtful(doubts: &Doubts) -> Option<String> {
    let ranges = doubts.ranges();
    let [(first, last), rest @ ..] = ranges else {
        return None;
    };
    let one = |first: &u64, last: &u64| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    };
    let noun = match (first == last, rest.is_empty()) {
        (true, true) => "record",
        _ => "records",
    };
    let named = ranges.len().min(NAMED);
    let mut parts: Vec<_> =
        (ranges[..named].iter()).map(|(first, last)| one(first, last)).collect();
    let more = ranges.len() - named;
    if more > 0 {
        parts.push(format!(
            "{more} range{} more",
            if more == 1 { "" } else { "s" }
        ));
    }
    let text = match parts.split_last() {
        Some((last, before)) if !before.is_empty() => {
            format!("{} and {last}", before.join(", "))
        }
        _ => parts.concat(),
    };
    Some(format!("{noun} {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Index;

    #[test]
    fn the_first_three_ranges_are_named() {
        let told = |ranges: &[(u64, u64)]| {
            let mut doubts = Doubts::default();
            for (first, last) in ranges {
                doubts.insert(Index(*first), Index(*last));
            }
            doubtful(&doubts).unwrap_or_default()
        };
        assert_eq!(told(&[]), "");
        assert_eq!(told(&[(7, 7)]), "record 7");
        assert_eq!(told(&[(7, 9)]), "records 7 to 9");
        assert_eq!(told(&[(7, 9), (12, 12)]), "records 7 to 9 and 12");
        let four = [(0, 0), (2, 3), (5, 6), (8, 9)];
        assert_eq!(told(&four), "records 0, 2 to 3, 5 to 6 and 1 range more");
    }
}

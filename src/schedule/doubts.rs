//! Which results may stand in wrong places, because a worker of the lines protocol did not answer
//! line by line.
//!
//! Always: ranges are in rising order and apart from each other, and there are no more than
//! [`Doubts::MOST`] of them.

use crate::record::Index;

/// Ranges of indices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// The first and the last index of each.
    ranges: Vec<(u64, u64)>,
}

impl Doubts {
    /// So many ranges are told apart. Where there are more, the last one covers all the rest, with
    /// what lies between.
    pub const MOST: usize = 1000;
    /// So many are named in a message.
    const NAMED: usize = 3;

    /// Whether no result is in doubt.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The first and the last index of each range, in rising order.
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges
    }

    /// Adds the records from `first` to `last`.
    pub fn insert(&mut self, first: Index, last: Index) {
        let (mut first, mut last) = (first.0, last.0.max(first.0));
        let from = (self.ranges).partition_point(|(_, end)| end.saturating_add(1) < first);
        let to = (self.ranges).partition_point(|(start, _)| *start <= last.saturating_add(1));
        if from < to {
            first = first.min(self.ranges[from].0);
            last = last.max(self.ranges[to - 1].1);
        }
        self.ranges.splice(from..to, [(first, last)]);
        if self.ranges.len() > Self::MOST
            && let Some((_, end)) = self.ranges.pop()
            && let Some(rest) = self.ranges.last_mut()
        {
            rest.1 = end;
        }
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: &Self) {
        for (first, last) in &other.ranges {
            self.insert(Index(*first), Index(*last));
        }
    }

    /// Which records these are, for a message: "record 7", or "records 7 to 9 and 12 to 20".
    pub(super) fn told(&self) -> Option<String> {
        let [(first, last), rest @ ..] = &self.ranges[..] else {
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
        let named = self.ranges.len().min(Self::NAMED);
        let mut parts: Vec<_> = (self.ranges[..named].iter())
            .map(|(first, last)| one(first, last))
            .collect();
        let more = self.ranges.len() - named;
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubts(ranges: &[(u64, u64)]) -> Doubts {
        let mut doubts = Doubts::default();
        for (first, last) in ranges {
            doubts.insert(Index(*first), Index(*last));
        }
        doubts
    }

    #[test]
    fn ranges_that_meet_are_one() {
        let merged = |ranges: &[(u64, u64)]| doubts(ranges).ranges;
        assert_eq!(merged(&[(5, 9), (0, 2)]), [(0, 2), (5, 9)]);
        assert_eq!(merged(&[(5, 9), (0, 2), (3, 3)]), [(0, 3), (5, 9)]);
        assert_eq!(merged(&[(5, 9), (0, 2), (3, 4)]), [(0, 9)]);
        assert_eq!(merged(&[(5, 9), (20, 30), (7, 22)]), [(5, 30)]);
        assert_eq!(merged(&[(5, 9), (6, 7)]), [(5, 9)]);
        assert_eq!(merged(&[(6, 7), (0, 0), (2, 9)]), [(0, 0), (2, 9)]);
        assert_eq!(merged(&[(u64::MAX, u64::MAX), (7, 7)]).len(), 2);
    }

    #[test]
    fn beyond_the_most_the_last_range_covers_the_rest() {
        let most = Doubts::MOST as u64;
        let mut all = doubts(&[]);
        for number in 0..most {
            all.insert(Index(10 * number), Index(10 * number));
        }
        assert_eq!(all.ranges.len() as u64, most);
        all.insert(Index(50_000), Index(50_003));
        let last = 10 * (most - 1);
        assert_eq!(all.ranges.last(), Some(&(last, 50_003)));
        // One in between pushes two others together, and all stay covered.
        all.insert(Index(5), Index(5));
        assert_eq!(all.ranges.len() as u64, most);
        assert_eq!(all.ranges[1], (5, 5));
        assert_eq!(all.ranges.last(), Some(&(last - 10, 50_003)));
    }

    #[test]
    fn the_first_three_ranges_are_named() {
        let told = |ranges: &[(u64, u64)]| doubts(ranges).told().unwrap_or_default();
        assert_eq!(told(&[]), "");
        assert_eq!(told(&[(7, 7)]), "record 7");
        assert_eq!(told(&[(7, 9)]), "records 7 to 9");
        assert_eq!(told(&[(7, 9), (12, 12)]), "records 7 to 9 and 12");
        let four = [(0, 0), (2, 3), (5, 6), (8, 9)];
        assert_eq!(told(&four), "records 0, 2 to 3, 5 to 6 and 1 range more");
    }
}

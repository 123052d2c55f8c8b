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
}

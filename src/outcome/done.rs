//! Which records have come to an outcome, as far as a resumed run must know.
//!
//! Always: ranges are not empty and do not overlap; ranges next to each other are one.

use std::collections::BTreeMap;
use std::ops::Range;

/// Outcomes that were passed on together: whose they are, and how many are failures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The indices.
    pub ranges: Ranges,
    /// How many of the records failed, by kind.
    pub failed: BTreeMap<&'static str, u64>,
    /// How many results the others gave.
    pub parts: u64,
    /// How many of those are the error records of earlier runs.
    pub passed: u64,
    /// Where the outcomes of those that failed stand, as far as that is told.
    pub failed_at: Places,
    /// And of those that gave results.
    pub results_at: Places,
}

impl Done {
    /// Whether there is no outcome in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many of the records have not failed.
    pub fn results(&self) -> u64 {
        self.ranges.count().saturating_sub(self.failures())
    }

    /// How many of the records failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Takes over what is in `other`, none of which may be here already, and which stands behind
    /// what is here.
    pub fn append(&mut self, other: &mut Self) {
        self.ranges.append(&mut other.ranges);
        self.parts += std::mem::take(&mut other.parts);
        self.passed += std::mem::take(&mut other.passed);
        self.failed_at.append(&mut other.failed_at);
        self.results_at.append(&mut other.results_at);
        while let Some((kind, count)) = other.failed.pop_first() {
            *self.failed.entry(kind).or_default() += count;
        }
    }
}

/// Where the outcomes of consecutive records stand in the output, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The index of the first.
    pub first: u64,
    /// How many records.
    pub count: u64,
    /// The first byte. Where error records go to a file of their own, a failure has the place in the
    /// output that a result would have.
    pub at: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// Places, in the order of the output. Always: those of consecutive records that follow each other
/// are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(Vec<Place>);

impl Place {
    /// The index after the last.
    pub fn end(&self) -> u64 {
        self.first + self.count
    }

    /// The byte after the last.
    pub fn end_at(&self) -> u64 {
        self.at + self.bytes
    }
}

impl Places {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many runs of records there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many records have their places here.
    pub fn count(&self) -> u64 {
        self.iter().map(|place| place.count).sum()
    }

    /// The places, as they follow each other.
    pub fn iter(&self) -> impl Iterator<Item = Place> {
        self.0.iter().copied()
    }

    /// Adds one that stands behind all others.
    pub fn push(&mut self, place: Place) {
        match self.0.last_mut() {
            Some(last) if last.end() == place.first && last.end_at() == place.at => {
                last.count += place.count;
                last.bytes += place.bytes;
            }
            _ => self.0.push(place),
        }
    }

    /// Moves all of them by so many bytes.
    pub fn shift(&mut self, bytes: u64) {
        self.0.iter_mut().for_each(|place| place.at += bytes);
    }

    fn append(&mut self, other: &mut Self) {
        other.0.drain(..).for_each(|place| self.push(place));
    }
}

impl FromIterator<Place> for Places {
    fn from_iter<T: IntoIterator<Item = Place>>(places: T) -> Self {
        let mut all = Self::default();
        places.into_iter().for_each(|place| all.push(place));
        all
    }
}

/// A set of indices, as ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// The end of each by its start.
    ends: BTreeMap<u64, u64>,
}

/// Consecutive indices that are all in a set, or all not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretch {
    /// In it, up to before this one.
    Inside(u64),
    /// Not in it, up to before this one.
    Outside(u64),
}

impl Ranges {
    /// Whether no index is in it.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many ranges it is made of.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many indices are in it.
    pub fn count(&self) -> u64 {
        self.ends.iter().map(|(start, end)| end - start).sum()
    }

    /// The index after the highest in it; 0 where there is none.
    pub fn end(&self) -> u64 {
        self.ends.last_key_value().map_or(0, |(_, end)| *end)
    }

    /// The ranges, in rising order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.ends.iter().map(|(start, end)| *start..*end)
    }

    /// What follows from `index` on.
    pub fn stretch(&self, index: u64) -> Stretch {
        if let Some((_, end)) = self.ends.range(..=index).next_back()
            && *end > index
        {
            return Stretch::Inside(*end);
        }
        let next = self.ends.range(index..).next();
        Stretch::Outside(next.map_or(u64::MAX, |(start, _)| *start))
    }

    /// Adds indices that are not in it yet, at least one; gives whether that was so. If not,
    /// nothing has changed.
    #[must_use]
    pub fn insert(&mut self, range: Range<u64>) -> bool {
        if range.is_empty() {
            return false;
        }
        match self.stretch(range.start) {
            Stretch::Outside(next) if next >= range.end => {}
            _ => return false,
        }
        let end = self.ends.remove(&range.end).unwrap_or(range.end);
        if let Some((_, before)) = self.ends.range_mut(..range.start).next_back()
            && *before == range.start
        {
            *before = end;
        } else {
            self.ends.insert(range.start, end);
        }
        true
    }

    /// Those of them that are not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = Self::default();
        for range in self.iter() {
            let mut next = range.start;
            while next < range.end {
                let until = match other.stretch(next) {
                    Stretch::Inside(until) => until.min(range.end),
                    Stretch::Outside(until) => {
                        let until = until.min(range.end);
                        rest.ends.insert(next, until);
                        until
                    }
                };
                next = until;
            }
        }
        rest
    }

    /// Takes over the ranges of `other`.
    fn append(&mut self, other: &mut Self) {
        while let Some((start, end)) = other.ends.pop_first() {
            let is_new = self.insert(start..end);
            debug_assert!(is_new, "records {start}..{end} have two outcomes");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_joined_and_nothing_is_put_in_twice() {
        let mut ranges = Ranges::default();
        for range in [5..7, 0..2, 9..10, 2..5] {
            assert!(ranges.insert(range));
        }
        for range in [0..1, 6..8, 8..10, 4..4, 0..20] {
            assert!(!ranges.insert(range));
        }
        assert!(ranges.insert(7..9));
        assert!(ranges.iter().eq(std::iter::once(0..10)));
        assert_eq!((ranges.count(), ranges.end()), (10, 10));
    }

    #[test]
    fn stretches_lead_through_the_set() {
        let mut ranges = Ranges::default();
        assert!(ranges.insert(3..5) && ranges.insert(7..8));
        let stretches = [0, 3, 4, 5, 7, 8].map(|index| ranges.stretch(index));
        assert_eq!(
            stretches,
            [
                Stretch::Outside(3),
                Stretch::Inside(5),
                Stretch::Inside(5),
                Stretch::Outside(7),
                Stretch::Inside(8),
                Stretch::Outside(u64::MAX),
            ]
        );
    }

    #[test]
    fn places_that_follow_each_other_are_one() {
        let place = |first, count, at, bytes| Place {
            first,
            count,
            at,
            bytes,
        };
        let mut places: Places = [
            place(3, 1, 30, 7),
            place(4, 2, 37, 0),
            place(6, 1, 40, 1),
            place(8, 1, 41, 1),
        ]
        .into_iter()
        .collect();
        assert_eq!((places.len(), places.count()), (3, 5));
        places.shift(10);
        let found: Vec<_> = places.iter().collect();
        let expected = [place(3, 3, 40, 7), place(6, 1, 50, 1), place(8, 1, 51, 1)];
        assert_eq!(found, expected);
    }

    /// Against a plain set of bits.
    #[test]
    fn it_is_a_set() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let (mut ranges, mut plain) = (Ranges::default(), [false; 60]);
            for _ in 0..30 {
                let start = random.usize(..60);
                let end = random.usize(start..60);
                let is_new = start < end && plain[start..end].iter().all(|is_in| !is_in);
                assert_eq!(ranges.insert(start as u64..end as u64), is_new);
                if is_new {
                    plain[start..end].fill(true);
                }
            }
            for (index, is_in) in plain.iter().enumerate() {
                let stretch = ranges.stretch(index as u64);
                assert_eq!(matches!(stretch, Stretch::Inside(_)), *is_in);
            }
            let mut half = Ranges::default();
            assert!(half.insert(20..40));
            let rest = ranges.without(&half);
            for (index, is_in) in plain.iter().enumerate() {
                let is_left = matches!(rest.stretch(index as u64), Stretch::Inside(_));
                assert_eq!(is_left, *is_in && !(20..40).contains(&index));
            }
            let mut previous = None;
            for range in ranges.iter() {
                assert!(previous.is_none_or(|end| range.start > end));
                previous = Some(range.end);
            }
        }
    }
}

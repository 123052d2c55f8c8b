//! Where outcomes stand in the output, as a journal says it.

use super::Past;
use crate::outcome::{Place, Places, Stretch};

/// The first index, how many records, the first byte, how many bytes.
pub(super) type WrittenPlace = (u64, u64, u64, u64);

/// Whether it is kept where outcomes stand in the output, which takes memory for each that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptPlaces {
    /// It is not.
    None,
    /// It is.
    All,
}

/// As they are written, where the output had so many bytes before them.
pub(in super::super) fn written_places(places: &Places, base: u64) -> Vec<WrittenPlace> {
    places
        .iter()
        .map(|place| (place.first, place.count, base + place.at, place.bytes))
        .collect()
}

impl Past {
    /// Adds where outcomes stand, if they are known and can stand there: behind what was vouched for,
    /// in the first `output` bytes.
    pub(super) fn add_places(
        &mut self,
        failed_at: &[WrittenPlace],
        results_at: &[WrittenPlace],
        output: u64,
    ) -> Option<()> {
        for (places, added) in [
            (&mut self.done.failed_at, failed_at),
            (&mut self.done.results_at, results_at),
        ] {
            // A journal that was made of others tells of the places in several lines.
            let mut end_at = match self.header.made_from {
                None => self.output.bytes,
                Some(_) => 0,
            };
            for (first, count, at, bytes) in added.iter().copied() {
                let place = Place {
                    first,
                    count,
                    at,
                    bytes,
                };
                let end = first.checked_add(count)?;
                let is_done = matches!(
                    self.done.ranges.stretch(first),
                    Stretch::Inside(until) if until >= end
                );
                (is_done && count > 0 && at >= end_at).then_some(())?;
                end_at = at.checked_add(bytes).filter(|end| *end <= output)?;
                if self.places == KeptPlaces::All {
                    places.push(place);
                }
            }
        }
        Some(())
    }
}

//! Why a process is given no record. Plain data.

use std::time::Instant;

/// Why a process is given no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// It holds what it takes, unless it answers nothing by then.
    Full { until: Option<Instant> },
    /// It holds its share of what waits, as others will take theirs by then.
    Share { until: Option<Instant> },
    /// Quicker ones will be done with all that waits before it could answer a record, or have turned
    /// out slower by then.
    Outpaced { until: Instant },
    /// No more may be sent before then (`--rate`).
    Rate { until: Instant },
    /// It, or one with the same init argument, has asked to wait until then.
    Asked { until: Instant },
    /// There is room for what comes before alone.
    Budget,
    /// It is seen whether it answers as it should.
    Check,
    /// It is kept for a record that must be alone, or holds one.
    Suspect,
    /// What waits is kept for other workers, or must be alone.
    Kept,
    /// It is to say that it is up, or to stay up, before.
    Start,
    /// It is to be replaced, or to end.
    Leaving,
}

impl Held {
    /// When it is to be looked again.
    pub(crate) fn until(self) -> Option<Instant> {
        match self {
            Self::Full { until } | Self::Share { until } => until,
            Self::Outpaced { until } | Self::Rate { until } | Self::Asked { until } => Some(until),
            _ => None,
        }
    }
}

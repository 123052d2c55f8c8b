//! How long records took, as far as that is known: counts in buckets, however many records there are.

use std::time::Duration;

/// The buckets of the metrics, in seconds; what took longer than the last is in none of them.
pub(super) const EDGES: [f64; 21] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
];

/// Counts of times.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies {
    /// How many took no longer than the edge, and longer than the one before.
    buckets: [u64; EDGES.len()],
    pub(super) count: u64,
    pub(super) seconds: f64,
}

impl Latencies {
    /// So many records took this long each.
    pub(super) fn add(&mut self, took: Duration, count: usize) {
        let (seconds, count) = (took.as_secs_f64(), count as u64);
        let bucket = EDGES.partition_point(|edge| *edge < seconds);
        if let Some(bucket) = self.buckets.get_mut(bucket) {
            *bucket += count;
        }
        self.count += count;
        self.seconds += seconds * count as f64;
    }

    /// How many took no longer than each of the edges.
    pub(super) fn up_to(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut sum = 0;
        EDGES.into_iter().zip(self.buckets).map(move |(edge, count)| {
            sum += count;
            (edge, sum)
        })
    }
}

/// Buckets to a doubling, from a microsecond on, and how many there are: up to an hour and more.
const TO_A_DOUBLING: f64 = 4.0;
const FINE: usize = 128;

/// Counts of times in buckets so fine that a share of them can be told to a tenth.
#[derive(Clone, Debug)]
pub(super) struct Quantiles {
    buckets: [u64; FINE],
    count: u64,
}

impl Default for Quantiles {
    fn default() -> Self {
        Self {
            buckets: [0; FINE],
            count: 0,
        }
    }
}

impl Quantiles {
    /// So many records took this long each.
    pub(super) fn add(&mut self, took: Duration, count: u64) {
        let micros = (took.as_secs_f64() * 1e6).max(1.0);
        let bucket = (micros.log2() * TO_A_DOUBLING) as usize;
        self.buckets[bucket.min(FINE - 1)] += count;
        self.count += count;
    }

    /// Takes over what is in `other`.
    pub(super) fn append(&mut self, other: &Self) {
        for (to, from) in self.buckets.iter_mut().zip(other.buckets) {
            *to += from;
        }
        self.count += other.count;
    }

    /// The seconds that this share of the records did not exceed, if there are any.
    pub(super) fn at(&self, share: f64) -> Option<f64> {
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut sum = 0;
        let bucket = self.buckets.iter().position(|count| {
            sum += count;
            sum >= wanted
        })?;
        Some(((bucket as f64 + 0.5) / TO_A_DOUBLING).exp2() / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_the_buckets_from_its_own_on() {
        let mut latencies = Latencies::default();
        latencies.add(Duration::from_millis(1), 2);
        latencies.add(Duration::from_millis(2), 3);
        latencies.add(Duration::from_secs(4000), 1);
        let up_to: Vec<u64> = latencies.up_to().map(|(_, count)| count).collect();
        assert_eq!(up_to[..6], [0, 0, 0, 2, 5, 5]);
        assert_eq!((up_to[EDGES.len() - 1], latencies.count), (5, 6));
        assert!((latencies.seconds - 4000.008).abs() < 1e-9);
    }

    #[test]
    fn a_share_is_told_to_a_tenth_however_long_it_took() {
        let mut times = Quantiles::default();
        assert_eq!(times.at(0.5), None);
        for (seconds, count) in [(0.01, 90), (1.0, 9), (100.0, 1)] {
            times.add(Duration::from_secs_f64(seconds), count);
        }
        for (share, seconds) in [(0.5, 0.01), (0.95, 1.0), (1.0, 100.0)] {
            let found = times.at(share).unwrap();
            assert!((found / seconds - 1.0).abs() < 0.1, "{share}: {found}");
        }
        let twice = times.clone();
        times.append(&twice);
        assert!((times.at(0.95).unwrap() - 1.0).abs() < 0.1);
    }
}

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
}

//! A bucket of tokens, one for each record: it fills with time, and holds only so many.

use std::time::{Duration, Instant};

/// What is lost in counting.
const ROUNDING: f64 = 1e-6;

#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    most: f64,
    tokens: f64,
    /// When there were so many.
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(per_second: f64, most: f64, now: Instant) -> Self {
        Self {
            per_second,
            most,
            tokens: most,
            at: now,
        }
    }

    fn tokens(&self, now: Instant) -> f64 {
        let time = now.saturating_duration_since(self.at).as_secs_f64();
        (self.tokens + time * self.per_second).min(self.most)
    }

    /// How many records may be sent.
    pub(super) fn available(&self, now: Instant) -> usize {
        (self.tokens(now) + ROUNDING) as usize
    }

    /// From when so many may be sent, if none is before.
    pub(super) fn has(&self, records: usize, now: Instant) -> Instant {
        let lacking = (records as f64).min(self.most) - self.tokens(now);
        if lacking <= 0.0 {
            return now;
        }
        // No run lasts that long.
        let wait = Duration::try_from_secs_f64(lacking / self.per_second);
        now + wait.unwrap_or(Duration::from_secs(1 << 30)) + Duration::from_nanos(1)
    }

    /// So many are sent.
    pub(super) fn take(&mut self, records: usize, now: Instant) {
        self.tokens = self.tokens(now) - records as f64;
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_full_and_fills_with_time() {
        let now = Instant::now();
        let mut bucket = Bucket::new(10.0, 10.0, now);
        assert_eq!(bucket.available(now + Duration::from_secs(9)), 10);
        bucket.take(10, now);
        assert_eq!(bucket.available(now), 0);
        assert_eq!(bucket.has(1, now), now + Duration::from_nanos(100_000_001));
        let next = now + Duration::from_millis(100);
        assert_eq!(bucket.available(next), 1);
        bucket.take(1, next);
        assert_eq!(
            bucket.has(3, next),
            next + Duration::from_nanos(300_000_001)
        );
    }

    #[test]
    fn whoever_comes_when_told_to_gets_what_it_was_told_of_however_odd_the_rate() {
        let mut now = Instant::now();
        let began = now;
        for per_second in [500.0 / 60.0, 7.0 / 3600.0, 999.999, 123_456.7] {
            let mut bucket = Bucket::new(per_second, f64::max(1.0, per_second), now);
            let begin = now;
            let mut sent = bucket.available(now);
            bucket.take(sent, now);
            for _ in 0..2000 {
                let next = bucket.has(1, now);
                assert!(
                    next > now && bucket.available(next) >= 1,
                    "{per_second} a second"
                );
                now = next;
                bucket.take(1, now);
                sent += 1;
            }
            let time = (now - begin).as_secs_f64();
            let most = per_second * time + f64::max(1.0, per_second);
            assert!(sent as f64 <= most + 0.1, "{sent} of {most}");
            assert!(sent as f64 >= most - 2.0, "{sent} of {most}");
        }
        assert!(now > began);
    }
}

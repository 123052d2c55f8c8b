//! How fast a run has been of late, and when it will be over if it stays so.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The recent past is so long, or a third of the run, whichever is longer: a run of slow records
/// needs more time to show its speed than one of quick ones.
const RECENT: Duration = Duration::from_secs(15);
const SHARE: u32 = 3;
/// Points of the recent past that are kept, about.
const POINTS: u32 = 64;
/// The least time that says anything.
const SHORTEST: Duration = Duration::from_millis(500);

/// Where a run stood at one moment.
#[derive(Clone, Copy, Debug)]
struct Point {
    at: Instant,
    done: u64,
    /// From 0 to 1, where it is known.
    fraction: Option<f64>,
}

/// The recent past of a run. It begins with the first outcome: starting up says nothing about how
/// fast workers are.
#[derive(Debug)]
pub(super) struct Recent {
    points: VecDeque<Point>,
}

impl Recent {
    /// Nothing has been done yet.
    pub(super) fn new() -> Self {
        Self {
            points: VecDeque::new(),
        }
    }

    /// This much is done now, `elapsed` after the run began.
    pub(super) fn note(
        &mut self,
        at: Instant,
        elapsed: Duration,
        done: u64,
        fraction: Option<f64>,
    ) {
        let point = Point { at, done, fraction };
        if done == 0 {
            self.points.clear();
            self.points.push_back(point);
            return;
        }
        let span = RECENT.max(elapsed / SHARE);
        let is_new = |last: &Point| at.saturating_duration_since(last.at) >= span / POINTS;
        if self.points.back().is_none_or(is_new) {
            self.points.push_back(point);
        }
        // The point at the front is the last one that lies before the recent past.
        while let Some(second) = self.points.get(1)
            && at.saturating_duration_since(second.at) >= span
        {
            self.points.pop_front();
        }
    }

    /// The run stood still for so long.
    pub(super) fn shift(&mut self, pause: Duration) {
        for point in &mut self.points {
            point.at += pause;
        }
    }

    /// Records per second.
    pub(super) fn rate(&self, at: Instant, done: u64) -> Option<f64> {
        let from = self.points.front()?;
        let took = at.saturating_duration_since(from.at);
        (took >= SHORTEST && done > from.done)
            .then(|| (done - from.done) as f64 / took.as_secs_f64())
    }

    /// How long the rest will take.
    pub(super) fn left(&self, at: Instant, fraction: f64) -> Option<Duration> {
        let from = self.points.front()?;
        let took = at.saturating_duration_since(from.at);
        let gained = fraction - from.fraction?;
        if took < SHORTEST || gained <= 0.0 {
            return None;
        }
        let left = took.as_secs_f64() * (1.0 - fraction).max(0.0) / gained;
        Duration::try_from_secs_f64(left).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes the progress of `seconds`, ten times a second, at a steady rate.
    fn steady(recent: &mut Recent, base: Instant, seconds: std::ops::Range<u64>, total: f64) {
        for tenth in seconds.start * 10..seconds.end * 10 {
            let elapsed = Duration::from_millis(tenth * 100);
            recent.note(base + elapsed, elapsed, tenth, Some(tenth as f64 / total));
        }
    }

    #[test]
    fn a_steady_run_is_seen_to_its_end() {
        let (base, mut recent) = (Instant::now(), Recent::new());
        steady(&mut recent, base, 0..100, 10_000.0);
        let at = base + Duration::from_secs(100);
        let rate = recent.rate(at, 1000).unwrap();
        assert!((9.9..10.1).contains(&rate), "{rate}");
        let left = recent.left(at, 0.1).unwrap().as_secs();
        assert!((890..=910).contains(&left), "{left}");
        assert!(recent.points.len() <= 2 * POINTS as usize);
    }

    #[test]
    fn starting_up_does_not_count() {
        let (base, mut recent) = (Instant::now(), Recent::new());
        for second in 0..60 {
            let elapsed = Duration::from_secs(second);
            recent.note(base + elapsed, elapsed, 0, Some(0.0));
        }
        recent.note(
            base + Duration::from_secs(61),
            Duration::from_secs(61),
            4,
            Some(0.4),
        );
        let left = recent.left(base + Duration::from_secs(61), 0.4).unwrap();
        assert_eq!(left.as_secs(), 3);
    }

    #[test]
    fn nothing_is_promised_where_nothing_is_known() {
        let (base, mut recent) = (Instant::now(), Recent::new());
        assert_eq!(recent.left(base, 0.0), None);
        recent.note(base, Duration::ZERO, 0, Some(0.0));
        assert_eq!(recent.rate(base + Duration::from_secs(9), 0), None);
        assert_eq!(recent.left(base + Duration::from_secs(9), 0.0), None);
        assert_eq!(recent.left(base + Duration::from_millis(1), 0.5), None);
    }

    #[test]
    fn an_old_pace_is_forgotten_and_a_pause_does_not_count() {
        let (base, mut recent) = (Instant::now(), Recent::new());
        steady(&mut recent, base, 0..100, 100_000.0);
        // From now on ten times as slow, for half of the run.
        for second in 100..200 {
            let (elapsed, done) = (Duration::from_secs(second), 1000 + second - 100);
            recent.note(base + elapsed, elapsed, done, Some(done as f64 / 100_000.0));
        }
        let at = base + Duration::from_secs(200);
        let rate = recent.rate(at, 1100).unwrap();
        assert!((0.9..1.1).contains(&rate), "{rate}");
        recent.shift(Duration::from_secs(1000));
        let later = recent.rate(at + Duration::from_secs(1000), 1100).unwrap();
        assert!((0.9..1.1).contains(&later), "{later}");
    }
}

//! How fast a process answers, and the window that follows from it (`--window auto`).
//!
//! Always: the window starts at 1, at most doubles with each read of answers, and shrinks at once.

use std::time::{Duration, Instant};

/// The work kept in flight at one worker: long enough that a fast worker never waits for mtask,
/// short enough that a record has not long to wait behind another.
const IN_FLIGHT: Duration = Duration::from_millis(5);

/// The span of busy time over which answers are averaged. A moving average over reads would be
/// ruined by one read that the operating system delayed.
const MEMORY: Duration = Duration::from_millis(20);

/// The largest window. More would not make a fast worker faster, and would strand more records
/// behind one that suddenly becomes slow.
const LARGEST: usize = 1024;

/// A record this slow, seen alone, is remembered for a while: see [`Pace::slow`].
const NOTABLE: f64 = 0.001;

/// The quickest of so many reads tells whether a process is slow throughout.
const LAST: usize = 4;

/// The speed of one process.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Busy seconds and answers of the recent past.
    busy: f64,
    answers: f64,
    /// Seconds of the slowest of the recent records, fading with each read.
    slow: f64,
    /// The same between two reads, however many answers came with the second.
    gap: f64,
    /// Seconds for each record of the last reads, the latest first, and how many reads there were.
    last: [f64; LAST],
    reads: u32,
    /// How long the first answer took, where that includes the start.
    first: Option<Duration>,
    window: usize,
    /// The moment from which the next answer is timed.
    since: Option<Instant>,
    warm: bool,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self {
            busy: 0.0,
            answers: 0.0,
            slow: 0.0,
            gap: 0.0,
            last: [0.0; LAST],
            reads: 0,
            first: None,
            window: 1,
            since: None,
            warm: false,
        }
    }

    /// The process was idle and has been sent work.
    pub(crate) fn busy_from(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// The first of the records that are answered now was sent at that time: it is not timed from
    /// before, where the process was silent and was sent one more.
    pub(crate) fn sent_at(&mut self, sent: Instant) {
        self.since = self.since.map(|since| since.max(sent));
    }

    /// Since when the next answer is timed.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// The process has said that it is up: its first answer tells its speed already.
    pub(crate) fn is_up(&mut self, now: Instant) {
        self.since = Some(now);
        self.warm = true;
    }

    /// The process has answered `count` records, read together.
    pub(crate) fn answered(&mut self, count: usize, now: Instant) {
        let since = self.since.replace(now);
        let took = since.map(|since| now.saturating_duration_since(since));
        // The first answer of a process includes its start: it only starts the clock.
        if !std::mem::replace(&mut self.warm, true) {
            self.first = took;
            if took.is_some_and(|took| took < IN_FLIGHT) {
                self.window = 2;
            }
            return;
        }
        let Some(took) = took.map(|took| took.as_secs_f64()) else {
            return;
        };
        self.busy += took;
        self.answers += count as f64;
        let scale = MEMORY.as_secs_f64() / self.busy;
        if scale < 1.0 {
            self.busy *= scale;
            self.answers *= scale;
        }
        let each = took / count as f64;
        self.last.rotate_right(1);
        self.last[0] = each;
        self.reads = self.reads.saturating_add(1);
        self.slow *= 0.9;
        self.gap *= 0.9;
        // Many answers in one read say little about any one of them.
        if count <= 4 && each > NOTABLE {
            self.slow = self.slow.max(each);
            self.gap = self.gap.max(took);
        }
        let wanted = IN_FLIGHT.as_secs_f64() / self.seconds_per_record().max(1e-9);
        self.window = (wanted as usize).clamp(1, (self.window * 2).min(LARGEST));
    }

    /// Seconds that a record is expected to take: the recent mean, or more where one of the recent
    /// records was far slower than the mean.
    pub(crate) fn seconds_per_record(&self) -> f64 {
        if self.answers == 0.0 {
            return 0.0;
        }
        (self.busy / self.answers).max(self.slow / 4.0)
    }

    /// The same as a duration.
    pub(crate) fn per_record(&self) -> Duration {
        Duration::from_secs_f64(self.seconds_per_record().max(self.slow))
    }

    /// The same, once an answer has been timed.
    pub(crate) fn measured(&self) -> Option<Duration> {
        (self.answers > 0.0).then(|| self.per_record())
    }

    /// How long the next line of a process may take that gives lines too many: one that comes with
    /// an answer makes that look as if it had taken half the time.
    pub(crate) fn line_time(&self) -> Option<Duration> {
        Some(self.measured()?.max(Duration::from_secs_f64(self.gap)))
    }

    /// The least that a record took of late, and of how many reads of answers that is known. Many
    /// answers in one read count as equally quick.
    pub(crate) fn quickest(&self) -> (f64, u32) {
        let seen = self.reads.min(LAST as u32);
        let last = &self.last[..seen as usize];
        (last.iter().copied().fold(f64::INFINITY, f64::min), seen)
    }

    /// How many reads of answers have been timed.
    pub(crate) fn reads(&self) -> u32 {
        self.reads
    }

    /// How long the first answer took, where that includes the start of the process.
    pub(crate) fn first(&self) -> Option<Duration> {
        self.first
    }

    /// How many records to keep in flight.
    pub(crate) fn window(&self) -> usize {
        self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pace: &mut Pace, now: &mut Instant, reads: usize, count: usize, each: Duration) {
        for _ in 0..reads {
            *now += each * count as u32;
            pace.answered(count, *now);
        }
    }

    #[test]
    fn the_window_is_1_until_the_first_answer_and_then_grows_by_doubling() {
        let mut now = Instant::now();
        let mut pace = Pace::new();
        pace.busy_from(now);
        assert_eq!(pace.window(), 1);
        now += Duration::from_secs(30);
        pace.answered(1, now);
        let mut last = pace.window();
        for _ in 0..20 {
            run(&mut pace, &mut now, 1, last, Duration::from_nanos(500));
            assert!(pace.window() <= 2 * last);
            last = pace.window();
        }
        assert_eq!(last, LARGEST);
    }

    #[test]
    fn slow_records_are_sent_one_at_a_time_and_quick_ones_as_5_ms_of_work() {
        let mut now = Instant::now();
        let mut pace = Pace::new();
        pace.busy_from(now);
        run(&mut pace, &mut now, 10, 1, Duration::from_secs(1));
        assert_eq!(pace.window(), 1);
        let mut pace = Pace::new();
        pace.busy_from(now);
        run(&mut pace, &mut now, 100, 8, Duration::from_micros(100));
        assert!((40..=60).contains(&pace.window()), "{}", pace.window());
    }

    #[test]
    fn one_slow_record_closes_the_window_at_once() {
        let mut now = Instant::now();
        let mut pace = Pace::new();
        pace.busy_from(now);
        run(&mut pace, &mut now, 100, 500, Duration::from_micros(1));
        assert_eq!(pace.window(), LARGEST);
        run(&mut pace, &mut now, 1, 1, Duration::from_millis(300));
        assert_eq!(pace.window(), 1);
    }

    #[test]
    fn one_delayed_read_of_many_answers_does_not_ruin_the_estimate() {
        let mut now = Instant::now();
        let mut pace = Pace::new();
        pace.busy_from(now);
        run(&mut pace, &mut now, 100, 500, Duration::from_micros(1));
        now += Duration::from_millis(4);
        pace.answered(500, now);
        assert!(pace.window() > 500, "{}", pace.window());
    }

    #[test]
    fn the_estimate_is_of_the_last_20_ms_of_busy_time() {
        let mut now = Instant::now();
        let mut pace = Pace::new();
        pace.is_up(now);
        let near = |pace: &Pace, micros: f64| {
            let found = pace.seconds_per_record() * 1e6;
            assert!((found - micros).abs() < 0.5, "{found} and not {micros}");
        };
        run(&mut pace, &mut now, 1, 100, Duration::from_micros(50));
        near(&pace, 50.0);
        run(&mut pace, &mut now, 1, 100, Duration::from_micros(100));
        near(&pace, 75.0);
        run(&mut pace, &mut now, 1000, 10, Duration::from_micros(100));
        near(&pace, 100.0);
        // As much again, twice as slow.
        run(&mut pace, &mut now, 1, 100, Duration::from_micros(200));
        near(&pace, 400.0 / 3.0);
    }

    #[test]
    fn a_slow_record_that_is_seen_alone_is_remembered_for_a_while() {
        let mut now = Instant::now();
        let mut pace = Pace::new();
        pace.is_up(now);
        run(&mut pace, &mut now, 100, 100, Duration::from_micros(10));
        run(&mut pace, &mut now, 1, 5, Duration::from_millis(2));
        assert!(pace.per_record() < Duration::from_millis(2), "one of five");
        run(&mut pace, &mut now, 1000, 100, Duration::from_micros(10));
        run(&mut pace, &mut now, 1, 4, Duration::from_micros(750));
        assert!(
            pace.per_record() < Duration::from_micros(20),
            "each is quick"
        );
        run(&mut pace, &mut now, 1000, 100, Duration::from_micros(10));
        run(&mut pace, &mut now, 1, 1, Duration::from_millis(40));
        run(&mut pace, &mut now, 1, 2000, Duration::from_micros(10));
        let remembered = pace.per_record();
        assert!(remembered > Duration::from_millis(35), "{remembered:?}");
        let each = pace.seconds_per_record();
        assert!(
            (0.008..=0.01).contains(&each),
            "a quarter of that, not {each}"
        );
        run(&mut pace, &mut now, 100, 100, Duration::from_micros(10));
        assert!(pace.per_record() < Duration::from_micros(20));
    }

    #[test]
    fn a_process_that_was_said_to_be_up_is_timed_from_then_on() {
        let mut now = Instant::now();
        let mut pace = Pace::new();
        pace.busy_from(now);
        now += Duration::from_secs(30);
        pace.is_up(now);
        run(&mut pace, &mut now, 1, 1, Duration::from_millis(10));
        assert!((pace.seconds_per_record() - 0.01).abs() < 1e-9);
    }
}

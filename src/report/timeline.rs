//! A run over time, in intervals of equal length: what came of records, and what workers were about.
//!
//! Always: there are at most so many intervals and lanes, however long the run and however many
//! workers; where there would be more, intervals are joined in pairs, and workers share a lane.

use std::time::{Duration, Instant};

use super::latencies::Quantiles;

/// The most intervals,
pub(super) const MOST_INTERVALS: usize = 300;
/// the shortest one,
const SHORTEST: Duration = Duration::from_millis(100);
/// and the most lanes.
pub(super) const MOST_LANES: usize = 64;

/// What a worker is about, as far as a lane shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Working,
    Starting,
    Waiting,
    HeldBack,
    Away,
}

/// The run so far.
#[derive(Debug)]
pub(super) struct Timeline {
    began: Instant,
    step: Duration,
    intervals: Vec<Interval>,
    lanes: Vec<Vec<Cell>>,
    jobs: usize,
    /// Of the whole run.
    times: Quantiles,
}

/// What came of records in an interval.
#[derive(Clone, Debug, Default)]
pub(super) struct Interval {
    pub(super) done: u64,
    pub(super) failed: u64,
    /// The most bytes that were held.
    pub(super) held: usize,
    pub(super) times: Quantiles,
}

/// What the workers of a lane were about in an interval.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    /// Seconds, by [`About`].
    seconds: [f32; 5],
    pub(super) restarts: u32,
}

impl Timeline {
    /// Of a run that begins now.
    pub(super) fn new(jobs: usize, now: Instant) -> Self {
        let lanes = jobs.div_ceil(jobs.div_ceil(MOST_LANES).max(1));
        Self {
            began: now,
            step: SHORTEST,
            intervals: Vec::new(),
            lanes: vec![Vec::new(); lanes],
            jobs,
            times: Quantiles::default(),
        }
    }

    pub(super) fn step(&self) -> Duration {
        self.step
    }

    /// How long records took in the whole run.
    pub(super) fn times(&self) -> &Quantiles {
        &self.times
    }

    pub(super) fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    pub(super) fn lanes(&self) -> &[Vec<Cell>] {
        &self.lanes
    }

    /// How many workers share a lane.
    pub(super) fn workers_per_lane(&self) -> usize {
        self.jobs.div_ceil(MOST_LANES).max(1)
    }

    /// How much of the last interval is over.
    pub(super) fn last(&self, now: Instant) -> Duration {
        let before = self.step * self.intervals.len().saturating_sub(1) as u32;
        now.saturating_duration_since(self.began).saturating_sub(before).min(self.step)
    }

    /// Records came to an outcome.
    pub(super) fn settled(
        &mut self,
        count: usize,
        failed: u64,
        took: Option<Duration>,
        at: Instant,
    ) {
        let interval = self.at(at);
        let interval = &mut self.intervals[interval];
        interval.done += count as u64;
        interval.failed += failed;
        if let Some(took) = took {
            interval.times.add(took, count as u64);
            self.times.add(took, count as u64);
        }
    }

    /// So many bytes are held.
    pub(super) fn held(&mut self, bytes: usize, at: Instant) {
        let interval = self.at(at);
        let interval = &mut self.intervals[interval];
        interval.held = interval.held.max(bytes);
    }

    /// A process replaces one that was not meant to end.
    pub(super) fn restarted(&mut self, worker: usize, at: Instant) {
        let interval = self.at(at);
        let lane = worker / self.workers_per_lane();
        self.lanes[lane][interval].restarts += 1;
    }

    /// A worker was about something from one time to another.
    pub(super) fn spent(&mut self, worker: usize, about: About, from: Instant, to: Instant) {
        let last = self.at(to);
        let first = self.at(from).min(last);
        let lane = worker / self.workers_per_lane();
        for interval in first..=last {
            let begin = (self.began + self.step * interval as u32).max(from);
            let end = (self.began + self.step * (interval as u32 + 1)).min(to);
            let seconds = end.saturating_duration_since(begin).as_secs_f32();
            self.lanes[lane][interval].seconds[about as usize] += seconds;
        }
    }

    /// The run stood still for so long.
    pub(super) fn shift(&mut self, pause: Duration) {
        self.began += pause;
    }

    /// The interval of this time, which is there from now on.
    fn at(&mut self, at: Instant) -> usize {
        let since = at.saturating_duration_since(self.began);
        while since >= self.step * MOST_INTERVALS as u32 {
            self.join_pairs();
        }
        let interval = (since.as_nanos() / self.step.as_nanos()) as usize;
        if self.intervals.len() <= interval {
            self.intervals.resize(interval + 1, Interval::default());
            for lane in &mut self.lanes {
                lane.resize(interval + 1, Cell::default());
            }
        }
        interval
    }

    fn join_pairs(&mut self) {
        self.step *= 2;
        let join = |pair: &[Interval]| {
            let mut joined = pair[0].clone();
            for other in &pair[1..] {
                joined.done += other.done;
                joined.failed += other.failed;
                joined.held = joined.held.max(other.held);
                joined.times.append(&other.times);
            }
            joined
        };
        self.intervals = self.intervals.chunks(2).map(join).collect();
        for lane in &mut self.lanes {
            let join = |pair: &[Cell]| {
                let mut joined = pair[0];
                for other in &pair[1..] {
                    joined.restarts += other.restarts;
                    for (to, from) in joined.seconds.iter_mut().zip(other.seconds) {
                        *to += from;
                    }
                }
                joined
            };
            *lane = lane.chunks(2).map(join).collect();
        }
    }
}

impl Cell {
    /// The share of the time that was spent working, from 0 to 9, and what most of the rest was.
    pub(super) fn shown(&self) -> (u8, char) {
        let all: f32 = self.seconds.iter().sum();
        let working = self.seconds[About::Working as usize];
        let share = if all > 0.0 {
            (working / all * 9.0).round() as u8
        } else {
            0
        };
        let rest = [
            (About::Starting, 's'),
            (About::Waiting, 'i'),
            (About::HeldBack, 'h'),
            (About::Away, 'x'),
        ];
        let most = rest.into_iter().max_by(|(a, _), (b, _)| {
            self.seconds[*a as usize].total_cmp(&self.seconds[*b as usize])
        });
        match most {
            Some((about, letter)) if self.seconds[about as usize] > 0.0 => (share, letter),
            _ if working > 0.0 => (share, 'w'),
            _ => (0, 'x'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_long_run_with_many_workers_takes_no_more_room_and_loses_nothing() {
        let now = Instant::now();
        let mut timeline = Timeline::new(200, now);
        let days = 3 * 24 * 3600;
        for minute in 0..days / 60 {
            let at = now + SECOND * minute * 60;
            timeline.settled(7, u64::from(minute % 2 == 0), Some(SECOND), at);
            timeline.spent(199, About::Working, at, at + 30 * SECOND);
        }
        assert!(timeline.intervals().len() <= MOST_INTERVALS);
        assert!(timeline.lanes().len() <= MOST_LANES);
        let sum = |of: fn(&Interval) -> u64| timeline.intervals().iter().map(of).sum::<u64>();
        assert_eq!(sum(|interval| interval.done), u64::from(days / 60 * 7));
        assert_eq!(sum(|interval| interval.failed), u64::from(days / 60 / 2));
        let lane = timeline.lanes().last().unwrap();
        let worked: f32 = lane.iter().map(|cell| cell.seconds[0]).sum();
        assert!((worked - days as f32 / 2.0).abs() < 10.0, "{worked}");
    }

    #[test]
    fn time_goes_to_the_intervals_in_which_it_was_spent() {
        let now = Instant::now();
        let mut timeline = Timeline::new(1, now);
        timeline.spent(0, About::Starting, now, now + SHORTEST * 3 / 2);
        timeline.spent(
            0,
            About::Working,
            now + SHORTEST * 3 / 2,
            now + SHORTEST * 4,
        );
        let shown: Vec<_> = timeline.lanes()[0].iter().map(Cell::shown).collect();
        assert_eq!(shown[..2], [(0, 's'), (5, 's')]);
        assert_eq!(shown[2..4], [(9, 'w'), (9, 'w')]);
    }
}

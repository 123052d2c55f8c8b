//! What workers with the same init argument were asked to wait, and the pace that follows from it.
//!
//! Most likely they ask one service with one key. So where one of them is refused, all begin nothing
//! new for as long as it says; and then no more than a little less than was granted in a second, a
//! little more each second. Always: a refusal cuts the pace once, whatever else was under way at that
//! time is refused with it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::schedule::ids::WorkerId;

/// The shortest pause. It doubles with each that follows another without an answer in between.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
/// So many pauses in a row, with no answer in between, are enough.
pub(in super::super) const FUTILE: u32 = 20;

/// For so long it is remembered how many records were begun when.
const MEMORY: Duration = Duration::from_secs(10);
/// What a second is counted in.
const SLOT: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

/// So much of what was granted in a second is begun in one after a pause.
const CUT: f64 = 0.9;
/// How much the pace that was refused counts beside what was granted in all.
const REFUSED: f64 = 0.67;
/// The pace never falls below this many records a second.
const SLOWEST: f64 = 1.0;
/// By so much the pace rises each second; and by more while it is under half of what was answered
/// before.
const RISE: f64 = 1.01;
const QUICK_RISE: f64 = 1.1;
/// Where nothing is known of what is granted.
const SEEKING: f64 = 2.0;
/// More than that is no limit.
const FASTEST: f64 = 1e9;
/// Nobody is told to come again sooner.
const SOONEST: Duration = Duration::from_micros(500);
/// Who is woken late may catch up for so long.
const CATCH_UP: f64 = 0.05;

/// Workers with the same init argument.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// How many records were begun from when on, and not refused.
    begun: VecDeque<(Instant, usize)>,
    /// How many were answered from when on, and the most in a second.
    answered: Option<(Instant, usize)>,
    most_answered: usize,
    pause: Option<Pause>,
    /// How many records were begun and not refused since a pause began: the last one before which
    /// there were any.
    granted: Option<(Instant, usize)>,
    /// How many pauses there were since the last answer.
    in_a_row: u32,
    pace: Option<AdaptivePace>,
}

/// Nothing is begun for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    /// When it began: what was sent before may be refused for the same reason.
    from: Instant,
    pub(super) until: Instant,
    /// Who has asked for it.
    pub(super) by: WorkerId,
}

/// How many records may be begun in a second, and how many now.
#[derive(Clone, Copy, Debug)]
struct AdaptivePace {
    per_second: f64,
    /// What it becomes with each second.
    rise: f64,
    tokens: f64,
    at: Instant,
}

/// What a refusal comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Refusal {
    /// It begins a pause.
    First,
    /// It belongs to one.
    More,
    /// It is one too many.
    Futile,
}

impl Group {
    pub(super) fn pause(&self, now: Instant) -> Option<Pause> {
        self.pause.filter(|pause| now < pause.until)
    }

    /// How many records may be begun now, or from when on `least` may be.
    pub(super) fn lets_through(&self, least: usize, now: Instant) -> Result<usize, Instant> {
        if let Some(pause) = self.pause(now) {
            return Err(pause.until);
        }
        let Some(pace) = self.pace_at(least, now) else {
            return Ok(usize::MAX);
        };
        match (pace.tokens + 1e-6) as usize {
            tokens if tokens >= least => Ok(tokens),
            _ => {
                // They come no slower than now, and a little quicker each second.
                let lacking = (least as f64 - pace.tokens) / (pace.per_second * pace.rise);
                Err(now + Duration::from_secs_f64(lacking).max(SOONEST))
            }
        }
    }

    /// The pace as it is by now, where so many records may go together.
    fn pace_at(&self, together: usize, now: Instant) -> Option<AdaptivePace> {
        let pace = self.pace?;
        let time = now.saturating_duration_since(pace.at).as_secs_f64();
        let is_far_below = pace.per_second < self.most_answered as f64 / 2.0;
        let rise = if is_far_below {
            pace.rise.max(QUICK_RISE)
        } else {
            pace.rise
        };
        let per_second = (pace.per_second * rise.powf(time.min(60.0))).min(FASTEST);
        let most = together as f64 + per_second * CATCH_UP;
        Some(AdaptivePace {
            per_second,
            rise: pace.rise,
            tokens: (pace.tokens + (pace.per_second + per_second) / 2.0 * time).min(most),
            at: pace.at.max(now),
        })
    }

    /// So many records are sent.
    pub(super) fn sent(&mut self, records: usize, now: Instant) {
        while self.begun.front().is_some_and(|(at, _)| now > *at + MEMORY + SECOND) {
            self.begun.pop_front();
        }
        match self.begun.back_mut() {
            Some((at, count)) if now < *at + SLOT => *count += records,
            _ => self.begun.push_back((now, records)),
        }
        if let Some((_, granted)) = &mut self.granted {
            *granted += records;
        }
        if let Some(pace) = self.pace_at(records, now) {
            self.pace = Some(AdaptivePace {
                tokens: pace.tokens - records as f64,
                ..pace
            });
        }
    }

    /// So many records were answered, the first of which was sent at that time.
    pub(super) fn answered(&mut self, records: usize, sent: Option<Instant>, now: Instant) {
        let (at, count) = match self.answered {
            Some((at, count)) if now < at + SECOND => (at, count + records),
            _ => (now, records),
        };
        self.answered = Some((at, count));
        self.most_answered = self.most_answered.max(count);
        if let Some(pause) = self.pause
            && sent.is_some_and(|sent| sent >= pause.from)
        {
            self.in_a_row = 0;
        }
    }

    /// A record was refused that was sent at that time: the worker asks to wait for so long.
    pub(super) fn refused(
        &mut self,
        by: WorkerId,
        wait: Duration,
        sent: Option<Instant>,
        now: Instant,
    ) -> Refusal {
        self.was_not_begun(sent);
        let is_known = self
            .pause
            .is_some_and(|pause| now < pause.until || sent.is_some_and(|sent| sent < pause.from));
        match is_known {
            true => self.correct(now),
            false => {
                self.in_a_row += 1;
                self.cut(now);
            }
        }
        let least =
            SHORTEST.saturating_mul(1 << self.in_a_row.saturating_sub(1).min(20)).min(LONGEST);
        let until = now + wait.max(least);
        let pause = self.pause.filter(|_| is_known);
        let pause = match pause {
            Some(pause) if pause.until >= until => pause,
            Some(pause) => Pause { until, by, ..pause },
            None => {
                if self.granted.is_none_or(|(_, granted)| granted > 0) {
                    self.granted = Some((now, 0));
                }
                Pause {
                    from: now,
                    until,
                    by,
                }
            }
        };
        self.pause = Some(pause);
        if let Some(pace) = &mut self.pace {
            // It stands still, and begins with one record.
            (pace.at, pace.tokens) = (pause.until, 1.0);
        }
        match is_known {
            true => Refusal::More,
            false if self.in_a_row >= FUTILE => Refusal::Futile,
            false => Refusal::First,
        }
    }

    /// What was begun with it does not count as granted.
    fn was_not_begun(&mut self, sent: Option<Instant>) {
        let slot = sent.and_then(|sent| self.begun.iter_mut().rfind(|(at, _)| *at <= sent));
        if let Some((_, count)) = slot {
            *count = count.saturating_sub(1);
        }
        if let Some((from, granted)) = &mut self.granted
            && sent.is_some_and(|sent| sent >= *from)
        {
            *granted = granted.saturating_sub(1);
        }
    }

    /// From now on no more is begun than a little less than was granted of late. Where nothing was,
    /// nothing is known: the pace begins low and soon finds out.
    fn cut(&mut self, now: Instant) {
        let most = self.most_granted(now);
        let between = self.between(now);
        self.pace = Some(AdaptivePace {
            per_second: (most * CUT).min(between).max(SLOWEST),
            rise: if most <= SLOWEST { SEEKING } else { RISE },
            tokens: 1.0,
            at: now,
        });
    }

    /// The pace that is refused now is too high; what was granted in all the time since the last pause
    /// began, the pause included, is too low. This lies between the two. Alone, what was granted in
    /// one second may be twice what is right: a service that counts in seconds of its own grants as
    /// much where one of ours lies across two of those.
    fn between(&self, now: Instant) -> f64 {
        let Some((pace, (from, granted))) = self.pace_at(1, now).zip(self.granted) else {
            return f64::INFINITY;
        };
        let time = now.saturating_duration_since(from).as_secs_f64();
        match granted {
            0 => pace.per_second,
            _ => pace.per_second * REFUSED + granted as f64 / time.max(1e-9) * (1.0 - REFUSED),
        }
    }

    /// What was cut before: another record that was under way then was not granted either.
    fn correct(&mut self, now: Instant) {
        let most = self.most_granted(now);
        if let Some(pace) = &mut self.pace
            && most * CUT < pace.per_second
        {
            pace.per_second = (most * CUT).max(SLOWEST);
            pace.rise = if most <= SLOWEST { SEEKING } else { RISE };
        }
    }

    /// The most that was begun in any second of late, and not refused.
    fn most_granted(&self, now: Instant) -> f64 {
        let slots = self.begun.iter().filter(|(at, _)| *at + MEMORY >= now);
        let in_second = |from: Instant| -> usize {
            let within = |at: Instant| from <= at && at < from + SECOND;
            self.begun.iter().filter(|(at, _)| within(*at)).map(|(_, count)| count).sum()
        };
        slots.map(|(at, _)| in_second(*at)).max().unwrap_or(0) as f64
    }
}

//! A running process, as the scheduler knows it.
//!
//! Each thing that is known of it has its owner, whose fields nobody else sees: what it owes
//! (`owed`) and has begun of that (`owed/calls`), how far it has come (`start`, `first_answer`),
//! whether it is listened to (`listening`), its pipes, its pace, the check of its answers (`audit`),
//! what they say of it (`reputation`), and its silence. What happens to it is told to the process
//! alone, by methods named for that.

mod audit;
mod death;
mod first_answer;
mod listening;
mod owed;
mod pipes;
mod reputation;
mod silence;
mod stage;
mod start;

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

pub(crate) use audit::{Audit, AuditState, Break};
pub use death::Death;
pub(crate) use first_answer::{FirstAnswer, Generation};
pub(crate) use listening::Listening;
pub(crate) use owed::Owed;
pub use pipes::Pipe;
pub(crate) use pipes::Pipes;
pub(crate) use reputation::Reputation;
pub use silence::Reading;
pub(crate) use silence::{Asked, HINT, HUNGER, REMINDER, Silence};
pub(crate) use stage::Stage;
pub(crate) use start::{Start, Startup};

use super::held::Held;
use super::pace::Pace;
use super::queue::Work;
use crate::outcome::TimeLimit;
use crate::protocol::message::Capabilities;
use crate::record::{Index, Separator};

/// A running process.
#[derive(Debug)]
pub(crate) struct Process {
    stage: Stage,
    pub(crate) start: Start,
    pub(crate) first_answer: FirstAnswer,
    pub(crate) owed: Owed,
    pub(crate) listening: Listening,
    pub(crate) pipes: Pipes,
    pub(crate) reputation: Reputation,
    pub(crate) silence: Silence,
    pub(crate) pace: Pace,
    pub(crate) audit: Audit,
    /// It is left to run empty so that it can take a record that must be alone.
    is_reserved: bool,
    /// Why it was last given no record.
    held: Held,
}

/// What is known of it.
impl Process {
    pub(crate) fn new(generation: Generation, now: Instant) -> Self {
        Self {
            stage: Stage::Serving,
            start: Start::new(now),
            first_answer: FirstAnswer::new(generation),
            owed: Owed::new(now),
            listening: Listening::new(now),
            pipes: Pipes::default(),
            reputation: Reputation::default(),
            silence: Silence::new(),
            pace: Pace::new(),
            audit: Audit::new(now),
            is_reserved: false,
            held: Held::Start,
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.start.is_ready()
    }

    pub(crate) fn is_reserved(&self) -> bool {
        self.is_reserved
    }

    pub(crate) fn held(&self) -> Held {
        self.held
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.listening.is_paused()
    }

    pub(crate) fn is_serving(&self) -> bool {
        self.stage == Stage::Serving
    }

    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing(_))
    }

    /// Whether it is of use: neither stopped nor killed.
    pub(crate) fn is_working(&self) -> bool {
        self.is_serving() || self.is_closing()
    }

    /// Whether records simply come and go, one after the other.
    pub(crate) fn is_steady(&self) -> bool {
        let is_sound = self.pipes.hung_up().is_none() && !self.audit.holds_back();
        let is_heard = !self.is_paused() && self.owed.concurrency().is_none();
        is_sound && is_heard && self.is_serving() && self.is_ready()
    }

    /// How many records it may answer.
    pub(crate) fn answerable(&self) -> usize {
        self.owed.records().saturating_sub(usize::from(self.pipes.is_partially_written()))
    }

    /// Whether it has seen the end of its stdin, `unsent` records being not even begun to be
    /// written: it was to end, and has taken all that it was sent.
    pub(crate) fn has_seen_end(&self, unsent: usize) -> bool {
        self.is_closing() && unsent == 0 && !self.pipes.has_refused()
    }

    /// How far it has come, where to have stayed up for `enough` is proof in any case.
    pub(crate) fn startup(&self, enough: Duration, now: Instant) -> Startup {
        let holds_any = || !self.owed.is_empty();
        self.start.startup(self.owed.clock(), enough, holds_any, now)
    }

    /// Whether nothing is known of what it does, for it was sent nothing.
    pub(crate) fn is_unproven(&self) -> bool {
        let is_silent = !self.is_ready() && !self.start.has_stood() && self.owed.is_empty();
        is_silent && self.is_serving() && self.pipes.hung_up().is_none()
    }

    /// Up to when it was listened to, where it may have been stuck from `stuck_since` on.
    pub(crate) fn heard_until(&self, stuck_since: Option<Instant>, now: Instant) -> Instant {
        self.listening.until(stuck_since.unwrap_or(now).min(now))
    }

    /// How long its oldest record has been the oldest.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        self.listening.until(now).saturating_duration_since(self.owed.clock())
    }

    /// How long each of so many records took whose answers come together, where its first sign does
    /// not come with them: nobody knows how much of that time was its start.
    pub(crate) fn share(&self, answers: usize, now: Instant) -> Option<Duration> {
        let answers = u32::try_from(answers.max(1)).unwrap_or(u32::MAX);
        self.is_ready().then(|| self.age(now) / answers)
    }

    /// How long a record of it took, that being its share: since it was begun, where that is known;
    /// where it takes several at a time, since it was sent.
    pub(crate) fn took(&self, work: &Work, share: Duration, now: Instant) -> Duration {
        let sent = work.since.filter(|_| self.owed.concurrency().is_some());
        let since = work.call.map(|call| call.since).or(sent);
        let until = self.listening.until(now);
        since.map_or(share, |since| until.saturating_duration_since(since))
    }

    /// How long an answer may take before it is asked whether it will come at all.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(1).max(self.pace.per_record() * 20)
    }

    /// How long its last answers may take before the end of its stdin is shown to it. A process
    /// that has answered does not need it, unless it has skipped a record; one that has not may
    /// collect its output until then.
    pub(crate) fn patience_at_the_end(&self) -> Duration {
        match self.is_ready() {
            true => self.patience(),
            false => Duration::from_millis(100),
        }
    }

    /// From when its silence counts. One that has yet to answer may be starting for as long as it
    /// has not read what it was sent.
    pub(crate) fn silent_since(&self) -> Instant {
        match self.is_ready() {
            true => self.owed.clock(),
            false => self.silence.since_behind(self.owed.clock()),
        }
    }

    /// How long it took to be ready, as far as that says how long others will take.
    pub(crate) fn time_to_ready(&self, now: Instant) -> Duration {
        match self.stage {
            // It may have waited for that.
            Stage::Closing(since) if self.is_prompt(now) => now.saturating_duration_since(since),
            _ => self.start.ran(now),
        }
    }

    /// Whether what it does now is likely to come of the end of its stdin.
    pub(crate) fn is_prompt(&self, now: Instant) -> bool {
        self.silence.is_prompt(self.stage, now)
    }

    /// In how many seconds it would have answered one record more, as far as can be told.
    pub(crate) fn next_answer(&self, now: Instant) -> f64 {
        self.expected(now) * (self.owed.records() + 1) as f64
    }

    /// Seconds that a record is expected to take: one that is already under way for long counts as
    /// slow. What a process holds that takes several at a time may be answered together.
    pub(crate) fn expected(&self, now: Instant) -> f64 {
        let each = self.pace.seconds_per_record();
        match self.owed.concurrency() {
            _ if self.owed.is_empty() => each,
            Some(_) => each.max(self.busy_for(now).as_secs_f64() / self.owed.records() as f64),
            None => each.max(self.age(now).as_secs_f64()),
        }
    }

    /// For how long it has been busy since its last answer.
    pub(crate) fn busy_for(&self, now: Instant) -> Duration {
        let until = self.listening.until(now);
        let since = self.pace.since().filter(|_| !self.owed.is_empty());
        since.map_or(Duration::ZERO, |since| {
            until.saturating_duration_since(since)
        })
    }
}

/// What happens to it.
impl Process {
    /// It runs.
    pub(crate) fn began(&mut self, now: Instant) {
        self.start.began(now);
        self.owed.start_clocks(now);
    }

    /// It is started for this record and for no other: it is as good as up, and sees the end of its
    /// input with that.
    pub(crate) fn begins_with(&mut self, work: Work, now: Instant) {
        self.start.became_ready();
        self.first_answer.is_like_others(now);
        self.sent(work, None, now);
        self.close(now);
    }

    /// It says that it is up, and what else it says of itself.
    pub(crate) fn announced(&mut self, said: Capabilities<'_>, now: Instant) {
        self.owed.takes(said.concurrency.unwrap_or_default());
        self.owed.will_tell(said.begins);
        self.owed.will_cancel(said.cancels);
        self.owed.will_take(said.base64);
        self.start.says_so();
        self.pace.is_up(now);
        // One that owes nothing may be on its way out, and is given no more time for that.
        if !self.owed.is_empty() {
            self.owed.start_clocks(now);
        }
        self.silence.end();
    }

    /// Others like it have died: what has stood a shorter trial stands on.
    pub(crate) fn outlived_others(&mut self) {
        if self.owed.is_empty() {
            self.start.has_yet_to_stand();
        }
    }

    /// It is kept for a record that must be alone, or is not any more.
    pub(crate) fn reserve(&mut self, is_reserved: bool) {
        self.is_reserved = is_reserved;
    }

    /// It is given no record.
    pub(crate) fn hold(&mut self, why: Held) {
        self.held = why;
    }

    /// Records are sent to it. From `stuck_since` on it may have been stuck, where that is given.
    pub(crate) fn sent(&mut self, work: Work, stuck_since: Option<Instant>, now: Instant) {
        if self.owed.is_empty() {
            if self.is_ready() {
                let read_until = self.heard_until(stuck_since, now);
                self.audit.was_empty(self.owed.clock(), read_until, &self.pace);
            }
            self.pace.busy_from(now);
            self.start.fed(self.listening.until(now));
        }
        self.audit.sent(work.block.first, Index(work.block.end().0 - 1));
        self.is_reserved = false;
        // Clocks that stand still go on from there once it is listened to.
        self.owed.push(work, self.listening.until(now));
    }

    /// It has answered so many of the oldest records. Gives how long each took.
    pub(crate) fn answered(&mut self, count: usize, now: Instant) -> Option<Duration> {
        let took = self.share(count, now);
        self.pace.answered(count, now);
        self.owed.restart_clock(now);
        self.silence.end();
        took
    }

    /// It has answered so many records that it names, the first of which was sent at that time.
    /// Gives how long each took.
    pub(crate) fn answered_by_name(
        &mut self,
        count: usize,
        sent: Option<Instant>,
        now: Instant,
    ) -> Option<Duration> {
        self.owed.answers();
        let takes = self.owed.concurrency().map_or(usize::MAX, NonZeroUsize::get);
        let is_timed = self.is_ready() && self.owed.records() <= takes;
        let share = self.share(count, now).filter(|_| is_timed);
        if !is_timed {
            // Until now it may have been starting, or, where it was sent more than it takes before
            // it could say so, at the records that it answers: that is no other record's time.
            self.owed.start_clocks(now);
        }
        if let Some(sent) = sent {
            self.pace.sent_at(sent);
        }
        self.pace.answered(count, now);
        share
    }

    /// It has refused a record: that tells that it is up, and nothing of how long a record takes.
    pub(crate) fn refused(&mut self, now: Instant) {
        self.first_answer.was_refused();
        if !self.is_ready() {
            self.owed.start_clocks(now);
        }
    }

    /// It says that it has begun these records, with one call. Gives whether that is news: it owes
    /// some of them, and has said before that it would say so.
    pub(crate) fn began_call(
        &mut self,
        indices: &[Index],
        separator: Separator,
        now: Instant,
    ) -> bool {
        let tells = self.owed.tells_calls() && self.is_working();
        let is_news = tells && self.owed.begin(indices, separator, now);
        if is_news {
            self.first_answer.called(now);
            self.follow_calls(now);
        }
        is_news
    }

    /// It is asked to end what it has been at for longer than it may, of the first `written` records
    /// that it owes. Gives which that is.
    pub(crate) fn cancel_late(
        &mut self,
        written: usize,
        limit: TimeLimit,
        now: Instant,
    ) -> Vec<Index> {
        let first = &self.first_answer;
        let is_late = |since| now >= first.counts_from(since) + limit.duration();
        let late = self.owed.cancel_late(written, limit, is_late, now);
        if !late.is_empty() {
            self.first_answer.was_cancelled();
        }
        match self.owed.tells_calls() {
            true => self.follow_calls(now),
            false => self.owed.restart_own_clock(now),
        }
        late
    }

    fn follow_calls(&mut self, now: Instant) {
        if self.owed.follow_calls(now) {
            self.silence.end();
        }
    }

    /// It has answered, and `oldest` was the one that it was at for longest before that, of those with
    /// a clock: that of the next one begins.
    pub(crate) fn goes_on_from(&mut self, oldest: Option<Index>, now: Instant) {
        if self.owed.tells_calls() {
            self.follow_calls(now);
        } else if self.owed.oldest_timed() != oldest {
            self.silence.end();
            self.owed.restart_own_clock(now);
        }
    }

    /// Finds it spoilt if so many errors in a row are enough for that. Gives whether that is news.
    pub(crate) fn judge_errors(&mut self, enough: u32) -> bool {
        self.is_serving() && self.reputation.judge(enough)
    }

    /// It holds more memory than it may. Gives whether it is to be replaced for that, which is news: not
    /// before it has had a record, for the next one may need as much to start.
    pub(crate) fn outgrew(&mut self) -> bool {
        let is_of_use = self.is_serving() && self.is_ready() && self.owed.served() > 0;
        is_of_use && self.reputation.outgrew()
    }

    /// It has said something, by itself or because it was asked.
    pub(crate) fn spoke(&mut self, now: Instant) {
        self.silence.spoke(self.stage, now);
    }

    /// It is not listened to from now on.
    pub(crate) fn pause(&mut self, now: Instant) {
        // It may have begun only a moment after `now`.
        self.listening.pause(now.max(self.owed.clock()));
    }

    /// It is listened to again: no clock of it has run up to `until`. Gives whether that is news.
    pub(crate) fn resume(&mut self, until: Instant, now: Instant) -> bool {
        let Some(pause) = self.listening.resume(until, now) else {
            return false;
        };
        self.owed.move_clocks(|since| since + pause);
        self.first_answer.move_clocks(|since| since + pause);
        self.first_answer.was_uncounted(pause);
        self.start.was_unheard(pause);
        if let Stage::Closing(at) = &mut self.stage {
            *at += pause.min(now.saturating_duration_since(*at));
        }
        self.pace.busy_from(now);
        true
    }

    /// It has closed a pipe. Gives the last `unsent` records back, which were not written to it.
    pub(crate) fn hung_up(
        &mut self,
        pipe: Pipe,
        unsent: usize,
        separator: Separator,
        now: Instant,
    ) -> Vec<Work> {
        self.pipes.closed(pipe, now);
        self.owed.take_back(unsent, separator)
    }

    /// It has said its last word. Gives whether that counts: once, after the end of its stdin.
    pub(crate) fn left(&mut self) -> bool {
        let is_news = self.is_closing() && !self.pipes.has_left();
        if is_news {
            self.pipes.left();
        }
        is_news
    }

    /// Whether it is time for a check, if it could be checked at all.
    pub(crate) fn may_be_checked(&self, now: Instant) -> bool {
        self.is_ready() && !self.owed.holds_alone() && self.is_serving() && self.audit.is_due(now)
    }

    /// It is sent nothing before it owes nothing, for which it is given so long.
    pub(crate) fn begin_check(&mut self, patience: Duration) {
        self.audit.begin(patience);
    }

    /// A check goes on after answers.
    pub(crate) fn go_on_with_check(&mut self, now: Instant) {
        match self.owed.is_empty() {
            true => self.audit.ran_empty(&self.pace, now),
            false if self.audit.holds_back() => self.audit.answered(self.patience(), now),
            false => {}
        }
    }
}

//! Where the workers' time went.
//!
//! The scheduler is looked at once in each round of the engine, and the time since the last look
//! goes to what each worker was about then. What each has done is counted from events. Always: the
//! times of a worker add up to the time of the run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::account::{Account, Reason, Share, Times};
use super::latencies::Latencies;
use super::timeline::{About, Timeline};
use crate::schedule::event::Event;
use crate::schedule::{Crew, Scheduler, Standing, WorkerId};
use crate::worker::machine::Machine;

/// The statistics of a run that goes on.
#[derive(Debug)]
pub(super) struct Stats {
    began: Instant,
    last: Instant,
    workers: Vec<Watched>,
    /// What they are given.
    machine: Machine,
    lost: BTreeMap<Reason, Duration>,
    latencies: Latencies,
    /// Where it is asked for.
    timeline: Option<Timeline>,
}

#[derive(Debug)]
struct Watched {
    /// Records with an outcome that it had last, and how many of them failed.
    records: u64,
    failed: u64,
    /// How many processes it has had.
    processes: u32,
    /// The most memory that one of them has had, as far as is known.
    peak: Option<u64>,
    /// How many of them held more memory than they might.
    outgrown: u32,
    standing: Standing,
    /// Why it had nothing to do at the last look, where it had nothing.
    reason: Reason,
    times: Times,
    /// Time since a process began that is not ready and had nothing to do: starting up if it says
    /// that it is up before it is sent a record, else waiting.
    unclear: BTreeMap<Reason, Duration>,
}

impl Stats {
    pub(super) fn new(jobs: usize, machine: Machine, now: Instant) -> Self {
        Self {
            began: now,
            last: now,
            workers: (0..jobs).map(|_| Watched::new()).collect(),
            machine,
            lost: BTreeMap::new(),
            latencies: Latencies::default(),
            timeline: None,
        }
    }

    /// Keeps what happens over time from now on.
    pub(super) fn keep_timeline(&mut self) {
        self.timeline = Some(Timeline::new(self.workers.len(), self.began));
    }

    pub(super) fn timeline(&self) -> Option<&Timeline> {
        self.timeline.as_ref()
    }

    /// So many bytes are held.
    pub(super) fn held(&mut self, bytes: usize) {
        if let Some(timeline) = &mut self.timeline {
            timeline.held(bytes, self.last);
        }
    }

    /// Counts what each worker has done.
    pub(super) fn hear(&mut self, event: &Event) {
        match event {
            Event::Settled(settled) => {
                if let Some(took) = settled.took {
                    self.latencies.add(took, settled.count);
                }
                if let Some(timeline) = &mut self.timeline {
                    let failed = u64::from(settled.outcome.is_err());
                    timeline.settled(settled.count, failed, settled.took, self.last);
                }
                if let Some(WorkerId(number)) = settled.worker {
                    let worker = &mut self.workers[number];
                    worker.records += settled.count as u64;
                    worker.failed += u64::from(settled.outcome.is_err());
                }
            }
            Event::Outgrown { worker, .. } => self.workers[worker.0].outgrown += 1,
            Event::Started {
                worker, is_restart, ..
            } => {
                self.workers[worker.0].processes += 1;
                if let Some(timeline) = self.timeline.as_mut().filter(|_| *is_restart) {
                    timeline.restarted(worker.0, self.last);
                }
            }
            Event::Gone { worker, peak, .. } => {
                let worker = &mut self.workers[worker.0];
                worker.peak = worker.peak.max(*peak);
            }
            _ => {}
        }
    }

    /// A process held so many bytes.
    pub(super) fn saw_memory(&mut self, worker: WorkerId, bytes: u64) {
        let worker = &mut self.workers[worker.0];
        worker.peak = worker.peak.max(Some(bytes));
    }

    /// Looks at the scheduler. `is_draining` tells that only the output is still waited for.
    pub(super) fn observe(&mut self, scheduler: &Scheduler, is_draining: bool, now: Instant) {
        self.charge(now);
        for (number, worker) in self.workers.iter_mut().enumerate() {
            let id = WorkerId(number);
            worker.turn(scheduler.standing(id), &mut self.lost);
            worker.reason = match scheduler.waits_for(id, now) {
                _ if is_draining => Reason::Output,
                wait => wait.into(),
            };
        }
    }

    /// The run stood still for so long.
    pub(super) fn shift(&mut self, pause: Duration) {
        self.began += pause;
        self.last += pause;
        if let Some(timeline) = &mut self.timeline {
            timeline.shift(pause);
        }
    }

    /// What it all comes to.
    pub(super) fn close(&mut self, scheduler: &Scheduler, now: Instant) -> Account {
        self.charge(now);
        for worker in &mut self.workers {
            worker.turn(Standing::Gone, &mut self.lost);
        }
        self.account(scheduler, now)
    }

    /// What it comes to so far, the time until the last look.
    pub(super) fn account(&self, scheduler: &Scheduler, now: Instant) -> Account {
        let threads = |worker| {
            scheduler.crew().and_then(|Crew(workers)| self.machine.threads(worker, workers))
        };
        let shares = self.workers.iter().enumerate().map(|(number, worker)| Share {
            records: worker.records,
            failed: worker.failed,
            processes: worker.processes,
            outgrown: worker.outgrown,
            threads: threads(number),
            peak: worker.peak,
            times: worker.times,
        });
        Account {
            wall: now.saturating_duration_since(self.began),
            records: scheduler.tally().outcomes(),
            results: scheduler.tally().parts,
            failed: scheduler.tally().failed.clone(),
            restarts: scheduler.tally().restarts,
            refusals: scheduler.tally().refusals,
            doubts: scheduler.tally().doubts.clone(),
            workers: shares.collect(),
            lost: self.lost.clone(),
            slowest: scheduler.slowest().to_vec(),
            latencies: self.latencies.clone(),
        }
    }

    /// Puts the time since the last look down.
    fn charge(&mut self, now: Instant) {
        let time = now.saturating_duration_since(self.last);
        if let Some(timeline) = &mut self.timeline {
            for (number, worker) in self.workers.iter().enumerate() {
                timeline.spent(number, about(worker.standing), self.last, now);
            }
        }
        self.last = self.last.max(now);
        for worker in &mut self.workers {
            if let Some(reason) = worker.spend(time) {
                *self.lost.entry(reason).or_default() += time;
            }
        }
    }
}

impl Watched {
    /// A worker of which no process has begun.
    fn new() -> Self {
        Self {
            records: 0,
            failed: 0,
            processes: 0,
            peak: None,
            outgrown: 0,
            standing: Standing::Unstarted,
            reason: Reason::Input,
            times: Times::default(),
            unclear: BTreeMap::new(),
        }
    }

    /// Spends time as it stands. Gives why it was not spent on work, where that is clear.
    fn spend(&mut self, time: Duration) -> Option<Reason> {
        let times = &mut self.times;
        match self.standing {
            Standing::Working => {
                times.working += time;
                None
            }
            Standing::Starting => {
                times.starting += time;
                Some(Reason::Starting)
            }
            Standing::Unready => {
                *self.unclear.entry(self.reason).or_default() += time;
                None
            }
            Standing::Idle | Standing::Paused => {
                times.waiting += time;
                Some(self.reason)
            }
            Standing::Exiting => {
                times.exiting += time;
                Some(Reason::Exiting)
            }
            Standing::Unstarted | Standing::Between | Standing::Gone => {
                times.absent += time;
                Some(self.reason)
            }
        }
    }

    /// Stands otherwise from now on.
    fn turn(&mut self, standing: Standing, lost: &mut BTreeMap<Reason, Duration>) {
        let before = std::mem::replace(&mut self.standing, standing);
        if before != Standing::Unready || standing == Standing::Unready {
            return;
        }
        let has_said_so = matches!(standing, Standing::Idle | Standing::Working);
        for (reason, time) in std::mem::take(&mut self.unclear) {
            let reason = if has_said_so {
                Reason::Starting
            } else {
                reason
            };
            *lost.entry(reason).or_default() += time;
            if has_said_so {
                self.times.starting += time;
            } else {
                self.times.waiting += time;
            }
        }
    }
}

fn about(standing: Standing) -> About {
    match standing {
        Standing::Working => About::Working,
        Standing::Starting => About::Starting,
        Standing::Idle | Standing::Unready => About::Waiting,
        Standing::Paused => About::HeldBack,
        Standing::Exiting | Standing::Unstarted | Standing::Between | Standing::Gone => About::Away,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Cause, Failure};
    use crate::record::Index;
    use crate::schedule::ProcessNumber;
    use crate::schedule::event::{Settled, Trail};

    const SECOND: Duration = Duration::from_secs(1);

    /// Spends a second in each of these standings, and waits for this.
    fn live(standings: &[Standing]) -> (Times, BTreeMap<Reason, Duration>) {
        let mut lost = BTreeMap::new();
        let mut worker = Watched::new();
        for standing in standings {
            worker.turn(*standing, &mut lost);
            worker.reason = match standing {
                Standing::Paused => Reason::Order,
                Standing::Between => Reason::Restart,
                _ => Reason::Input,
            };
            if let Some(reason) = worker.spend(SECOND) {
                *lost.entry(reason).or_default() += SECOND;
            }
        }
        worker.turn(Standing::Gone, &mut lost);
        assert_eq!(worker.times.sum(), SECOND * standings.len() as u32);
        let unaccounted = worker.times.sum() - worker.times.working;
        assert_eq!(lost.values().sum::<Duration>(), unaccounted);
        (worker.times, lost)
    }

    #[test]
    fn each_second_goes_to_what_the_worker_was_about() {
        use Standing::{Between, Exiting, Gone, Idle, Paused, Starting, Working};
        let (times, lost) = live(&[
            Starting, Working, Working, Idle, Paused, Between, Exiting, Gone,
        ]);
        let expected = Times {
            starting: SECOND,
            waiting: 2 * SECOND,
            working: 2 * SECOND,
            exiting: SECOND,
            absent: 2 * SECOND,
        };
        assert_eq!(times, expected);
        assert_eq!(lost[&Reason::Input], 2 * SECOND);
        assert_eq!(lost[&Reason::Order], SECOND);
        assert_eq!(lost[&Reason::Restart], SECOND);
    }

    #[test]
    fn a_worker_with_nothing_to_do_starts_up_only_if_it_says_so() {
        use Standing::{Idle, Starting, Unready, Working};
        let (times, _) = live(&[Unready, Unready, Starting, Working]);
        assert_eq!((times.starting, times.waiting), (SECOND, 2 * SECOND));
        let (times, _) = live(&[Unready, Unready, Idle, Working]);
        assert_eq!((times.starting, times.waiting), (2 * SECOND, SECOND));
        let (times, _) = live(&[Unready, Unready]);
        assert_eq!(
            (times.starting, times.waiting),
            (Duration::ZERO, 2 * SECOND)
        );
    }
    #[test]
    fn what_each_worker_has_done_is_counted_from_events() {
        let mut stats = Stats::new(2, Machine::default(), Instant::now());
        let settled = |count, worker, outcome| {
            Event::Settled(Settled {
                first: Index(0),
                count,
                worker,
                attempts: 1,
                took: None,
                trail: Trail::default(),
                outcome,
            })
        };
        let failure = Box::new(Failure {
            index: Index(0),
            cause: Cause::MissingAnswer,
            worker: None,
            attempts: 0,
            record: None,
        });
        let (worker, process) = (WorkerId(1), ProcessNumber(0));
        for event in [
            Event::Started {
                worker,
                process,
                is_restart: false,
            },
            settled(7, Some(worker), Ok(())),
            settled(1, Some(worker), Err(failure.clone())),
            settled(1, None, Err(failure)),
        ] {
            stats.hear(&event);
        }
        let counted = stats.workers.iter();
        let counted: Vec<_> = counted.map(|it| (it.records, it.failed, it.processes)).collect();
        assert_eq!(counted, [(0, 0, 0), (8, 1, 1)]);
    }
}

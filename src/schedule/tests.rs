//! Rules of time, with a simulated clock: what the binary's tests would have to wait for.

mod calls;
mod cancels;
mod course;
mod deaths;
mod delays;
mod doubts;
mod failures;
mod first_answers;
mod limits;
mod makespan;
mod own;
mod rates;
mod refusals;
mod replies;
mod retries;
mod sharing;
mod silence;
mod skips;
mod starts;
mod throttle;
mod timing;
mod trials;
mod views;

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use super::policy::{Delivery, Policy, Window};
use super::{Action, Death, Scheduler, WorkerId};
use crate::budget::{BOOKKEEPING, Budget};
use crate::exit::Status;
use crate::outcome::{ErrorInput, Exit, ExitStatus, Lines, OutputFormat, Rendering};
use crate::protocol::message::{End, Message};
use crate::protocol::stdout::Tail;
use crate::record::{Block, Index, Slice};
use crate::report::Teller;

/// The end of a read, all of which has been said.
const WHOLE: Message<'static, 'static> = Message::End {
    end: End::Whole,
    begun: 0,
};

const WORKER: WorkerId = WorkerId(0);
const OTHER: WorkerId = WorkerId(1);
const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// One worker, whose answers the test gives.
struct Bench {
    scheduler: Scheduler,
    budget: Budget,
    now: Instant,
    next: u64,
    sent: Vec<u64>,
    starts: u32,
    ends: Vec<&'static str>,
    /// The records whose calls it was asked to end.
    cancelled: Vec<u64>,
    teller: Teller,
    notices: Vec<String>,
    /// How many of the last records sent are not begun to be written.
    unsent: usize,
    /// The test looks at actions itself.
    hold_actions: bool,
}

impl Bench {
    fn new(change: impl FnOnce(&mut Policy)) -> Self {
        let now = Instant::now();
        let budget = Budget::new(64 << 20);
        let mut policy = Policy::usual();
        change(&mut policy);
        let rendering = Rendering {
            shape: policy.shape,
            output_format: OutputFormat::Raw,
            error_input: ErrorInput::Omitted,
        };
        let teller = Teller::new(policy.clone());
        let mut scheduler = Scheduler::new(policy, rendering, &budget, now);
        scheduler.set_output_room(1 << 20);
        Self {
            scheduler,
            budget,
            now,
            next: 0,
            sent: Vec::new(),
            starts: 0,
            ends: Vec::new(),
            cancelled: Vec::new(),
            teller,
            notices: Vec::new(),
            unsent: 0,
            hold_actions: false,
        }
    }

    /// With so many workers.
    fn of_workers(count: usize, change: impl FnOnce(&mut Policy)) -> Self {
        Self::new(|policy| {
            policy.jobs = NonZeroUsize::new(count).unwrap();
            change(policy);
        })
    }

    fn records(&mut self, count: usize) {
        self.bytes(&"x\n".repeat(count));
    }

    fn bytes(&mut self, records: &str) {
        let count = records.lines().count();
        let bytes = records.as_bytes().to_vec();
        self.budget.add(bytes.capacity() + BOOKKEEPING);
        let block = Block {
            first: Index(self.next),
            count,
            bytes: Slice::new(bytes, &self.budget),
        };
        self.next += count as u64;
        self.scheduler.records(block, self.now);
        self.act();
    }

    fn end_input(&mut self) {
        self.scheduler.input_ended(self.now);
        self.act();
    }

    fn answer(&mut self, count: usize) {
        self.answer_of(WORKER, count);
    }

    /// The same, of one among several workers.
    fn answer_of(&mut self, worker: WorkerId, count: usize) {
        let answers = "y\n".repeat(count);
        self.scheduler.heard(
            worker,
            Message::Results(count, Lines::Lent(answers.as_bytes())),
            self.now,
        );
        self.scheduler.heard(worker, WHOLE, self.now);
        self.act();
    }

    /// The records that a worker has been sent and has not answered, oldest first.
    fn held_by(&self, worker: WorkerId) -> Vec<u64> {
        let owed = self.scheduler.process(worker).into_iter();
        let owed = owed.flat_map(|process| process.owed.iter());
        owed.flat_map(|work| work.first().0..work.block.end().0).collect()
    }

    fn die(&mut self, exit: impl Into<Exit>) {
        self.die_with(exit, "");
    }

    /// Lets what depends on a death be decided.
    fn judge(&mut self) {
        self.wait(200 * MILLISECOND);
    }

    /// Ends the process once it holds a record, and lets that be judged.
    fn die_of_a_record(&mut self) {
        for _ in 0..1000 {
            if self.scheduler.owed(WORKER) > 0 {
                break;
            }
            self.wait(20 * MILLISECOND);
        }
        assert!(self.scheduler.owed(WORKER) > 0, "{:?}", self.notices);
        self.die(ExitStatus::Code(3));
        self.judge();
    }

    /// Ends the process, which has written `tail` after its last whole line.
    fn die_with(&mut self, exit: impl Into<Exit>, tail: &str) {
        let death = Death {
            peak: None,
            pid: Some(1),
            exit: exit.into(),
            stderr: Vec::new(),
            tail: Tail {
                bytes: tail.into(),
                ..Tail::default()
            },
            unsent: 0,
        };
        self.scheduler.died(WORKER, death, self.now);
        self.act();
    }

    /// Lets time pass in small steps.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = (self.now + time / 100).min(end);
            self.scheduler.choose_read_from(self.now);
            let unsent = self.unsent;
            self.scheduler.tick(&|_| unsent, self.now);
            self.act();
        }
    }

    fn act(&mut self) {
        if self.hold_actions {
            return;
        }
        for action in self.scheduler.take_actions() {
            match action {
                Action::Start(worker, ..) => {
                    self.starts += 1;
                    self.scheduler.started(worker, self.now);
                }
                Action::Send(_, block, _) => {
                    (self.sent).extend((0..block.count).map(|i| block.first.plus(i).0));
                }
                Action::Cancel(_, index) => self.cancelled.push(index.0),
                Action::Prepare(..) => self.ends.push("successor"),
                Action::CloseStdin(_) => self.ends.push("end of stdin"),
                Action::Terminate(_) => self.ends.push("SIGTERM"),
                Action::Kill(_) => self.ends.push("SIGKILL"),
                Action::Leave(_) => self.ends.push("left behind"),
                Action::Tell(event) => {
                    if let Some(notice) = self.teller.tell(&event) {
                        self.notices.push(notice.text);
                        self.notices.extend(notice.quoted);
                    }
                }
                Action::Finish => self.ends.push("finish"),
            }
        }
    }

    fn notices_with(&self, text: &str) -> usize {
        (self.notices.iter()).filter(|notice| notice.contains(text)).count()
    }

    fn written(&mut self) -> String {
        let out = self.scheduler.written().results.take_bytes();
        String::from_utf8(out).unwrap()
    }
}

#[test]
fn a_single_worker_given_up_before_a_first_answer_is_named_after_it() {
    let mut bench = Bench::of_workers(3, |policy| policy.failures.max_restarts = 1);
    bench.records(100);
    for number in [1, 2] {
        (bench.scheduler).start_failed(WorkerId(number), "no luck".into(), bench.now);
    }
    bench.act();
    bench.notices.clear();
    bench.answer(1);
    assert_eq!(
        bench.notices,
        ["worker 2 is given up too; 1 of 3 workers go on"]
    );
}

#[test]
fn workers_given_up_before_a_first_answer_are_named_after_it_and_later_ones_at_once() {
    let mut bench = Bench::of_workers(8, |policy| policy.failures.max_restarts = 1);
    bench.records(100);
    for number in [3, 1, 5, 6, 7] {
        (bench.scheduler).start_failed(WorkerId(number), "no luck".into(), bench.now);
    }
    bench.act();
    assert_eq!(
        bench.notices,
        [
            "worker 3 could not be started: no luck; later ones like it are counted",
            "worker 3 is given up after 1 process without an answer (--max-restarts 1); others are \
             counted until a first answer",
        ]
    );
    bench.notices.clear();
    bench.answer(1);
    assert_eq!(
        bench.notices,
        ["workers 1, 5 to 7 are given up too; 3 of 8 workers go on"]
    );
    bench.notices.clear();
    (bench.scheduler).start_failed(WorkerId(2), "no luck".into(), bench.now);
    bench.act();
    assert_eq!(
        bench.notices,
        [
            "worker 2 is given up after 1 process without an answer (--max-restarts 1); the last one \
             died (it could not be started: no luck); 2 of 8 workers go on"
        ]
    );
}

#[test]
fn the_first_ten_deaths_of_a_kind_that_tell_of_a_record_are_all_told() {
    let mut bench = Bench::new(|policy| {
        policy.window = Window::Records(NonZeroUsize::MIN);
        policy.failures.max_restarts = 100;
    });
    bench.records(200);
    bench.answer(1);
    // Each is sent again, alone, and then fails.
    for _ in 0..10 {
        assert_eq!(
            bench.notices_with("like it are counted"),
            0,
            "{:?}",
            bench.notices
        );
        bench.die_of_a_record();
    }
    let (again, fails) = ("sent again", "the record fails");
    let told = (bench.notices_with(again), bench.notices_with(fails));
    assert_eq!(told, (5, 5), "{:?}", bench.notices);
    assert_eq!(bench.notices_with("later ones like it are counted"), 1);
    for _ in 0..90 {
        assert_eq!(bench.notices_with("died (exit status 3)"), 10);
        bench.die_of_a_record();
    }
    assert_eq!(bench.notices_with("died (exit status 3)"), 11);
    assert_eq!(bench.notices_with("it is the 100th like it"), 1);
    bench.die(ExitStatus::Code(4));
    assert_eq!(bench.notices_with("died (exit status 4)"), 1);
}

#[test]
fn the_first_ten_processes_that_end_badly_after_their_last_answer_are_all_told() {
    let mut bench = Bench::new(|policy| policy.lifespan = NonZeroUsize::new(1).into());
    bench.records(30);
    for _ in 0..30 {
        bench.answer(1);
        bench.die(ExitStatus::Code(3));
        bench.wait(SECOND);
    }
    assert_eq!(
        bench.notices_with("after its last answer"),
        10,
        "{:?}",
        bench.notices
    );
}

#[test]
fn a_record_without_an_answer_is_named_after_60_s_and_then_at_doubling_intervals() {
    let mut bench = Bench::new(|policy| policy.window = Window::Records(NonZeroUsize::MIN));
    bench.records(2);
    bench.answer(1);
    bench.wait(59 * SECOND);
    assert_eq!(bench.notices_with("has not answered record 1"), 0);
    bench.wait(2 * SECOND);
    assert_eq!(bench.notices_with("has not answered record 1"), 1);
    bench.wait(58 * SECOND);
    assert_eq!(bench.notices_with("has not answered record 1"), 1);
    bench.wait(100 * SECOND);
    assert_eq!(
        bench.notices_with("has not answered record 1"),
        2,
        "at 120 s and not before 240 s again: {:?}",
        bench.notices
    );
}

#[test]
fn a_worker_that_has_never_answered_is_given_a_hint_after_10_s() {
    let mut bench = Bench::new(|_| ());
    bench.records(1);
    bench.wait(9 * SECOND);
    assert_eq!(bench.notices_with("flushed"), 0);
    bench.wait(20 * SECOND);
    assert_eq!(bench.notices_with("flushed"), 1);
}

#[test]
fn later_processes_get_three_times_the_startup_time_and_the_timeout_on_top() {
    let mut bench = Bench::new(|policy| {
        policy.limits.timeout = Some(2 * SECOND);
        policy.limits.init_timeout = Some(300 * SECOND);
    });
    bench.records(2);
    bench.wait(10 * SECOND);
    bench.answer(1);
    bench.die(ExitStatus::Code(1));
    bench.wait(SECOND);
    assert_eq!(bench.starts, 2);
    bench.wait(30 * SECOND);
    assert!(bench.ends.is_empty(), "{:?}", bench.ends);
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"], "3 × 10 s and 2 s have passed");
    assert!(bench.written().contains(r#"{"mtask_error":"timeout","index":1"#));
}

#[test]
fn a_start_that_takes_too_long_charges_nobody() {
    let mut bench = Bench::new(|policy| policy.limits.init_timeout = Some(3 * SECOND));
    bench.records(1);
    bench.wait(4 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
    bench.die(ExitStatus::Signal(15));
    bench.end_input();
    bench.wait(SECOND);
    assert_eq!((bench.starts, &bench.sent[..]), (2, &[0, 0][..]));
    bench.answer(1);
    assert_eq!(bench.written(), "y\n");
}

#[test]
fn sigterm_is_followed_by_sigkill_after_the_grace() {
    let mut bench = Bench::new(|policy| policy.limits.timeout = Some(SECOND));
    bench.records(2);
    bench.answer(1);
    bench.wait(2 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
    bench.wait(5 * SECOND);
    assert_eq!(bench.ends, ["SIGTERM", "SIGKILL"]);
}

#[test]
fn a_suspended_run_takes_no_time_from_a_record() {
    let mut bench = Bench::new(|policy| policy.limits.timeout = Some(10 * SECOND));
    bench.records(2);
    bench.answer(1);
    bench.wait(9 * SECOND);
    bench.now += 3600 * SECOND;
    bench.scheduler.was_suspended(3600 * SECOND, bench.now);
    bench.wait(SECOND / 2);
    assert!(bench.ends.is_empty());
    bench.wait(SECOND);
    assert_eq!(bench.ends, ["SIGTERM"]);
}

#[test]
fn restarts_wait_longer_and_longer_and_end() {
    let mut bench = Bench::new(|_| ());
    bench.records(1);
    for processes in 1..5 {
        assert_eq!(bench.starts, processes);
        bench.die(ExitStatus::Code(1));
        let backoff = Duration::from_millis(100 << (processes - 1));
        bench.wait(backoff * 9 / 10);
        assert_eq!(
            bench.starts, processes,
            "the next process begins after {backoff:?}"
        );
        bench.wait(backoff);
    }
    bench.die(ExitStatus::Code(1));
    assert_eq!(bench.ends, ["finish"]);
    assert_eq!(bench.scheduler.status(), Status::NoWorker);
}

#[test]
fn a_worker_killed_shortly_before_mtask_is_signalled_has_not_failed() {
    let mut bench = Bench::new(|policy| policy.delivery = Delivery::AtMostOnce);
    bench.records(2);
    bench.answer(1);
    bench.die(ExitStatus::Signal(15));
    bench.wait(Duration::from_millis(150));
    bench.scheduler.interrupt(15, bench.now);
    bench.act();
    assert_eq!(bench.sent, [0, 1], "nothing is sent twice");
    assert_eq!(bench.written(), "y\n");
    assert_eq!(bench.scheduler.status(), Status::Signal(15));
}

#[test]
fn no_clock_runs_while_stderr_is_not_read() {
    for stall in [SECOND, 100 * SECOND] {
        let mut bench = Bench::new(|policy| policy.limits.timeout = Some(10 * SECOND));
        bench.records(3);
        bench.answer(1);
        bench.wait(4 * SECOND);
        bench.scheduler.reads_stderr(false, bench.now);
        bench.wait(stall);
        assert!(bench.ends.is_empty());
        let at = bench.scheduler.wake_at();
        assert!(
            at.is_none_or(|at| at > bench.now),
            "awake at once, for ever"
        );
        bench.scheduler.reads_stderr(true, bench.now);
        bench.wait(5 * SECOND);
        assert!(bench.ends.is_empty());
        bench.wait(2 * SECOND);
        assert_eq!(bench.ends, ["SIGTERM"]);
    }
}

//! What one seed stands for.

use std::ops::RangeInclusive;

use fastrand::Rng;
use rustix::process::Signal;
use serde_json::json;

use crate::done::records;
use crate::env::TestEnv;

/// What a record may come to: a result, or failures of these kinds.
pub(super) struct Expected {
    pub(super) kinds: Vec<Option<&'static str>>,
    /// How often it may be tried, `--retries` aside.
    tries: RangeInclusive<u64>,
}

pub(super) struct Record {
    /// What the worker reads, and answers with; of the json protocol a string.
    pub(super) text: String,
    pub(super) expected: Expected,
}

/// A run, and what must come of it.
pub(super) struct World {
    pub(super) options: Vec<String>,
    pub(super) worker: Vec<String>,
    pub(super) records: Vec<Record>,
    pub(super) is_ordered: bool,
    pub(super) cut: Cut,
    /// Failures do not show in the status, unless they end the run.
    pub(super) ignores: bool,
    /// The input ends as soon as it is written.
    pub(super) ends_early: bool,
    pub(super) buffer: usize,
    /// A worker does what shows in the status although no record fails.
    pub(super) breaks: bool,
    /// It may show.
    pub(super) may_end_badly: bool,
    is_json: bool,
    suffix: &'static str,
    retries: u64,
}

/// What ends a run before its input does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Never,
    /// A signal, after so many lines of output, or two of them.
    Signal {
        signal: Signal,
        after: usize,
        twice: bool,
    },
    /// The first failure, at once.
    Raise,
    /// So many failures; what was sent comes to an outcome.
    Drain(usize),
}

/// What goes wrong in a run. One thing at a time, so that it is known what each record must come
/// to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Theme {
    /// Nothing.
    Calm,
    /// Much data.
    Bulk,
    /// Records kill the workers that get them, some of them once.
    Killers,
    /// One process ends after an answer.
    Leaver,
    /// Some records are never answered.
    Hangs,
    /// Answers that are none, or errors.
    Answers,
    /// One answer breaks the contract.
    Break,
    /// Processes end badly, or late.
    Ends,
    /// Records are never answered, and the worker goes on.
    Skips,
}

/// So many records are skipped at most.
const SKIPS: usize = 3;

const RESULT: Option<&str> = None;

impl World {
    pub(super) fn new(seed: u64, env: &TestEnv) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let is_json = rng.bool();
        let themes = [
            Theme::Calm,
            Theme::Bulk,
            Theme::Killers,
            Theme::Killers,
            Theme::Leaver,
            Theme::Hangs,
            Theme::Answers,
            Theme::Answers,
            Theme::Ends,
            // Without ids, what follows would pass for the answer.
            if is_json { Theme::Skips } else { Theme::Calm },
            if is_json { Theme::Break } else { Theme::Calm },
        ];
        let theme = pick(rng, &themes);
        // What a process that ends has just been sent would fail, and that may be any record.
        let may_be_any = matches!(theme, Theme::Leaver | Theme::Break);
        // One that skips all it may hold is given five minutes.
        let has_room = theme == Theme::Skips;
        let is_sent_once = !may_be_any && !has_room && rng.u32(..8) == 0;
        let mut world = Self {
            options: Vec::new(),
            worker: Vec::new(),
            records: Vec::new(),
            is_ordered: rng.u32(..3) > 0,
            cut: Cut::Never,
            ignores: false,
            // A record that is skipped is found at the end of the input.
            ends_early: theme == Theme::Skips || rng.bool(),
            buffer: pick(rng, &[256 << 10, 1 << 20, 8 << 20]),
            breaks: theme == Theme::Break,
            may_end_badly: theme == Theme::Leaver,
            is_json,
            suffix: if is_json {
                ""
            } else {
                pick(rng, &["", "!", " done"])
            },
            retries: if is_sent_once {
                0
            } else {
                pick(rng, &[0, 0, 1, 2])
            },
        };
        world.ask(rng, theme, is_sent_once);
        world.behave(rng, theme, env);
        world.fill(rng, theme, is_sent_once, env);
        world.cut_short(rng, theme);
        world
    }

    fn ask(&mut self, rng: &mut Rng, theme: Theme, is_sent_once: bool) {
        let mut options = vec![
            format!("-j{}", rng.usize(1..5)),
            format!("--buffer={}", self.buffer),
            format!("--retries={}", self.retries),
            // Nobody is given up: what a record comes to would depend on others.
            "--max-restarts=1000".into(),
            "--max-record=1100K".into(),
        ];
        if self.is_json {
            options.extend(["--protocol=json".into(), "--format=jsonl".into()]);
        }
        if !self.is_ordered {
            options.push("--unordered".into());
        }
        if is_sent_once {
            options.push("--at-most-once".into());
        } else {
            // What a process holds that dies twice would fail with it.
            let may_be_full = !matches!(theme, Theme::Killers | Theme::Hangs);
            let widest = if may_be_full { "full" } else { "auto" };
            let window = match theme {
                Theme::Skips => "50",
                _ => pick(rng, &["auto", "auto", widest, "1", "3", "50"]),
            };
            options.push(format!("--window={window}"));
        }
        if rng.u32(..6) == 0 {
            options.push(format!("--lifespan={}", rng.usize(1..30)));
        }
        if theme == Theme::Hangs {
            options.extend(["--timeout=2s".into(), "--init-timeout=20s".into()]);
        }
        options.push(format!("--grace={}ms", pick(rng, &[0, 50, 300])));
        self.options = options;
    }

    /// Lets something end the run early, now and then.
    fn cut_short(&mut self, rng: &mut Rng, theme: Theme) {
        let count = self.records.len();
        let (cut, option) = match rng.u32(..8) {
            // Whoever skips a record is found after a while only. Without a line of output, mtask
            // may not have begun, and where the caller ignores a signal it would be lost.
            0 if theme != Theme::Skips && count > 0 => {
                self.ends_early = false;
                let cut = Cut::Signal {
                    signal: pick(rng, &[Signal::TERM, Signal::INT, Signal::HUP]),
                    after: rng.usize(1..=count),
                    twice: rng.u32(..4) == 0,
                };
                (cut, None)
            }
            1 => (Cut::Raise, Some("--on-error=raise".into())),
            2 => (Cut::Drain(1), Some("--on-error=drain".into())),
            3 => {
                let most = rng.usize(1..4);
                self.ignores = rng.bool();
                let ignore = self.ignores.then(|| "--on-error=ignore".into());
                self.options.extend(ignore);
                (Cut::Drain(most), Some(format!("--max-errors={most}")))
            }
            _ => (Cut::Never, None),
        };
        self.cut = cut;
        self.options.extend(option);
    }

    /// Whether so many failures, or something else, may have ended the run.
    pub(super) fn is_cut(&self, failures: usize) -> bool {
        match self.cut {
            Cut::Never => false,
            Cut::Signal { .. } => true,
            Cut::Raise => failures > 0,
            Cut::Drain(most) => failures >= most,
        }
    }

    fn behave(&mut self, rng: &mut Rng, theme: Theme, env: &TestEnv) {
        let mut worker = vec!["--pids".into(), env.path("workers.pids")];
        if self.is_json {
            worker.push("--json".into());
            // With more, records that wait behind one that hangs would be late too.
            let (least, most) = match theme {
                Theme::Hangs => (1, 1),
                Theme::Skips => (SKIPS + 1, 20),
                _ => (1, 20),
            };
            let ready = json!({"ready": true, "concurrency": rng.usize(least..=most)});
            match rng.u32(..3) {
                0 => worker.extend(["--banner".into(), ready.to_string()]),
                1 => worker.extend(["--banner".into(), json!({"ready": true}).to_string()]),
                _ => {}
            }
        } else {
            worker.extend(["--suffix".into(), self.suffix.into()]);
        }
        if rng.u32(..3) == 0 {
            worker.extend(["--start-sleep".into(), rng.u32(..150).to_string()]);
        }
        if rng.u32(..4) == 0 {
            worker.extend(["--child".into(), env.path("children.pids")]);
        }
        if rng.u32(..3) == 0 {
            worker.push("--ignore-term".into());
        }
        if theme == Theme::Ends {
            let (option, value) = pick(rng, &[("--end-exit", "3"), ("--end-hang", "")]);
            worker.push(option.into());
            if option == "--end-hang" {
                self.options.push("--exit-timeout=300ms".into());
            } else {
                worker.push(value.into());
            }
        }
        self.worker = worker;
    }

    fn fill(&mut self, rng: &mut Rng, theme: Theme, is_sent_once: bool, env: &TestEnv) {
        let count = match theme {
            Theme::Bulk => rng.usize(20..50),
            _ => pick(rng, &[0, 1, 5, 20, 60, 150]),
        };
        self.breaks |= theme == Theme::Ends && count > 0;
        // Without a record, a process begins only where the end of the input is a while in coming.
        self.may_end_badly |= theme == Theme::Ends && count == 0;
        let sizes = match theme {
            Theme::Bulk => 1_000_000,
            // What waits behind a record that is skipped must not fill the buffer.
            Theme::Skips => 300,
            _ => pick(rng, &[10, 300, 300, 20_000]),
        };
        // Before, no process has surely been ready, and deaths are followed by longer and longer
        // waits.
        let (first, mut faults) = match theme {
            Theme::Killers => (12, 5),
            Theme::Hangs => (12, 2),
            Theme::Leaver | Theme::Break => (12, 1),
            Theme::Skips => (0, SKIPS),
            _ => (0, usize::MAX),
        };
        for index in 0..count {
            let mut kinds = vec![RESULT];
            let mut tries = 0..=0;
            let mut words = String::new();
            let is_faulty = index >= first && faults > 0 && rng.u32(..5) == 0;
            if is_faulty {
                let once =
                    rng.bool().then(|| format!("@once:{} ", env.path(&format!("once-{index}"))));
                (words, kinds, tries) = self.fault(rng, theme, is_sent_once, once);
                faults -= usize::from(!words.is_empty());
            } else if theme == Theme::Hangs && index >= first {
                // Load alone can make one late, or keep it at a process that is stopped.
                kinds.push(Some("timeout"));
                tries = 1..=20;
            }
            if words.is_empty() && rng.u32(..20) == 0 {
                words = self.harmless(rng);
            }
            let is_blank = words.is_empty() && self.is_ordered && rng.u32(..10) == 0;
            let size = rng.usize(..sizes);
            let text = match is_blank {
                true => String::new(),
                false => format!("{index} {words} {}", "x".repeat(size)),
            };
            let expected = Expected { kinds, tries };
            self.records.push(Record { text, expected });
        }
        self.breaks &= theme != Theme::Break || faults == 0;
        self.breaks |= theme == Theme::Skips && faults < SKIPS;
    }

    /// What a record does that is at fault, what it may come to, and how often it is tried at least
    /// and at most.
    fn fault(
        &self,
        rng: &mut Rng,
        theme: Theme,
        is_sent_once: bool,
        once: Option<String>,
    ) -> (String, Vec<Option<&'static str>>, RangeInclusive<u64>) {
        let is_once = once.is_some();
        let once = once.unwrap_or_default();
        let is_plain = (String::new(), vec![RESULT], 0..=0);
        match theme {
            Theme::Killers => {
                // Without its newline, an answer with an id is whole all the same.
                let partial = if self.is_json {
                    "@die:1"
                } else {
                    "@partial @die:1"
                };
                let deaths = ["@die:3", "@kill:9", "@kill:6", "@closeout @die:2", partial];
                let kinds = match is_once {
                    true if is_sent_once => vec![Some("worker_exit")],
                    // Held by a process that another killed, it is a suspect by then.
                    true => vec![RESULT, Some("worker_exit")],
                    false => vec![Some("worker_exit")],
                };
                let tries = if is_sent_once { 1..=1 } else { 1..=20 };
                (format!("{once}{}", pick(rng, &deaths)), kinds, tries)
            }
            Theme::Leaver => {
                // With status 0 it would have left well, had its stdin ended, and it has ended as
                // well where the process has been sent its last record. None closes its stdin: it
                // would answer the part that it has read of a record which lies whole in the pipe.
                let ends = ["@thendie:4", "@thenkill:9", "@thendie:0"];
                let may_have_ended =
                    self.ends_early || self.options.iter().any(|it| it.starts_with("--lifespan"));
                let few = if may_have_ended { 2 } else { 3 };
                let once = if once.is_empty() {
                    "@once:left ".into()
                } else {
                    once
                };
                (
                    format!("{once}{}", pick(rng, &ends[..few])),
                    vec![RESULT],
                    0..=0,
                )
            }
            Theme::Hangs => {
                let kinds = match is_once && !is_sent_once {
                    true => vec![RESULT, Some("timeout")],
                    false => vec![Some("timeout")],
                };
                let tries = if is_sent_once { 1..=1 } else { 1..=20 };
                (format!("{once}@hang"), kinds, tries)
            }
            Theme::Answers if !self.is_json => {
                ("@big:1200K".into(), vec![Some("answer_too_large")], 1..=1)
            }
            Theme::Answers => {
                let kinds = [
                    ("@error:no_luck", "worker_error"),
                    ("@nan", "bad_answer"),
                    ("@result", "bad_answer"),
                    ("@big:1200K", "answer_too_large"),
                ];
                let (words, kind) = pick(rng, &kinds);
                let kinds = match is_once && self.retries > 0 {
                    true => vec![RESULT],
                    false => vec![Some(kind)],
                };
                match (kind, is_once) {
                    ("answer_too_large", _) => (words.into(), vec![Some(kind)], 1..=1),
                    (_, true) if self.retries == 0 => is_plain,
                    (_, true) => (format!("{once}{words}"), kinds, 0..=0),
                    _ => (words.into(), kinds, 1 + self.retries..=1 + self.retries),
                }
            }
            Theme::Break => {
                let words = pick(rng, &["@double", "@id:7000000", "@id:-1", "@id:x"]);
                let once = if once.is_empty() {
                    "@once:broken ".into()
                } else {
                    once
                };
                (format!("{once}{words}"), vec![RESULT], 1..=1)
            }
            Theme::Skips => ("@skip".into(), vec![Some("missing_answer")], 1..=1),
            Theme::Calm | Theme::Bulk | Theme::Ends => is_plain,
        }
    }

    fn harmless(&self, rng: &mut Rng) -> String {
        let mut all = vec![
            format!("@sleep:{}", rng.u32(..30)),
            "@err:hello".into(),
            "@errbytes:100K".into(),
            "@errlines:30".into(),
        ];
        if self.is_json {
            all.extend([
                "@stray:loading".into(),
                "@after:{\"level\":1}".replace('"', ""),
            ]);
        }
        all.swap_remove(rng.usize(..all.len()))
    }

    pub(super) fn input(&self) -> Vec<u8> {
        records(self.records.iter().map(|record| self.line(&record.text)))
    }

    fn line(&self, text: &str) -> String {
        if self.is_json {
            json!(text).to_string()
        } else {
            text.to_owned()
        }
    }

    /// The line of output that is the result of a record.
    pub(super) fn result(&self, index: usize) -> Vec<u8> {
        let line = self.line(&self.records[index].text);
        format!("{line}{}", self.suffix).into_bytes()
    }

    /// The record that a result belongs to.
    pub(super) fn index_of(&self, line: &[u8]) -> usize {
        let line = line.strip_prefix(b"\"").unwrap_or(line);
        let digits = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        let index = String::from_utf8_lossy(digits).parse().ok();
        index.filter(|index| *index < self.records.len()).expect("a result is that of a record")
    }

    /// How often a failed record may have been tried.
    pub(super) fn attempts(&self, index: usize) -> RangeInclusive<u64> {
        self.records[index].expected.tries.clone()
    }
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}

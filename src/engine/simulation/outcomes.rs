//! The outcomes as a reader of the output sees them, judged by what the records have been through.

use super::ledger::{Charge, EarlierRun, MOST_REFUSALS};
use super::scenario::{Effect, Fault, MAX_ANSWER, PREFIX, Record, Scenario};
use crate::exit::Status;
use crate::schedule::policy::{Delivery, ErrorRecords, OnError, Order, Policy, Window};
use crate::schedule::{EarlyEnd, Tally};
use crate::shape::{AnswerEnd, Protocol};

const ERROR: &str = "{\"mtask_error\":";

/// What has come out so far.
pub(super) struct OutcomeBook {
    policy: Policy,
    has_liars: bool,
    records: Vec<Record>,
    /// How much of the two outputs has been looked at.
    results_read: usize,
    errors_read: usize,
    /// What each record has come to: a result, or a kind of failure.
    kinds: Vec<Option<String>>,
    /// The lowest index that may come next, in each of the outputs.
    next: u64,
    next_error: u64,
    /// Records that have a result there, and all results.
    results: u64,
    lines: u64,
    failures: u64,
    /// What is left of the results of the last record.
    left: Vec<String>,
    /// The records whose answers are those of others.
    wrong: Vec<u64>,
    /// The failure that ended the run, which stands where it may.
    has_last: bool,
}

impl OutcomeBook {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            policy: scenario.policy.clone(),
            has_liars: scenario.has_liars(),
            records: scenario.records.clone(),
            results_read: 0,
            errors_read: 0,
            kinds: vec![None; scenario.records.len()],
            next: 0,
            next_error: 0,
            results: 0,
            lines: 0,
            failures: 0,
            left: Vec::new(),
            wrong: Vec::new(),
            has_last: false,
        }
    }

    /// Looks at what is new in the output and in the file of error records.
    pub(super) fn read(&mut self, results: &[u8], errors: &[u8], pasts: &[EarlierRun]) {
        let (new, new_errors) = (
            new_lines(results, &mut self.results_read),
            new_lines(errors, &mut self.errors_read),
        );
        for line in new.split_terminator('\n') {
            assert!(
                !self.has_last,
                "something stands behind the failure that ended the run"
            );
            if line.starts_with(ERROR) {
                assert!(self.left.is_empty(), "a record's results are not together");
                assert_eq!(self.policy.error_records, ErrorRecords::InPlace);
                let index = self.error(line, pasts);
                if self.policy.failures.on_error == OnError::Raise {
                    self.has_last = true;
                } else {
                    self.place(index, true);
                }
            } else {
                self.result(line, pasts);
            }
        }
        for line in new_errors.split_terminator('\n') {
            let index = self.error(line, pasts);
            assert!(
                self.policy.order == Order::Finish || index >= self.next_error,
                "error records out of order"
            );
            self.next_error = index + 1;
        }
    }

    fn result(&mut self, line: &str, pasts: &[EarlierRun]) {
        self.lines += 1;
        if let Some(next) = self.left.pop() {
            assert_eq!(line, next, "a record's results are not together");
            return;
        }
        self.results += 1;
        if self.has_liars {
            if !self.is_next(line) {
                self.wrong.push(self.next);
            }
            self.next += 1;
            return;
        }
        let number = line.strip_prefix('a').and_then(|rest| rest.split(':').next());
        let index: u64 = number.and_then(|number| number.parse().ok()).expect("an answer");
        self.left = self.records[index as usize].results(index);
        self.left.reverse();
        assert_eq!(self.left.pop().as_deref(), Some(line), "a wrong result");
        let past = &pasts[index as usize];
        assert!(
            past.is_answered,
            "record {index} has a result before its answer"
        );
        assert!(
            past.least_charges() <= self.policy.failures.retries,
            "record {index} was charged too often"
        );
        self.settle(index, "result");
        self.place(index, self.policy.error_records == ErrorRecords::InPlace);
    }

    fn is_next(&self, line: &str) -> bool {
        match self.policy.order {
            Order::Finish => true,
            Order::Input if self.policy.error_records == ErrorRecords::Apart => true,
            Order::Input => {
                let record = self.records.get(self.next as usize);
                record.is_some_and(|record| record.results(self.next) == [line])
            }
        }
    }

    /// Checks the order of the output. With nothing missing in it, it has no gaps.
    fn place(&mut self, index: u64, is_whole: bool) {
        if self.policy.order == Order::Input {
            assert!(index >= self.next, "record {index} is written out of order");
            let has_nothing = |index: u64| self.records[index as usize].outputs == Some(0);
            assert!(
                !is_whole || (self.next..index).all(has_nothing),
                "a record from {} on is left out before {index}",
                self.next
            );
        }
        self.next = index + 1;
    }

    fn settle(&mut self, index: u64, kind: &str) {
        let slot = &mut self.kinds[index as usize];
        assert_eq!(*slot, None, "record {index} has a second outcome, {kind}");
        *slot = Some(kind.into());
    }

    fn error(&mut self, line: &str, pasts: &[EarlierRun]) -> u64 {
        let error: serde_json::Value = serde_json::from_str(line).expect("an error record");
        let kind = error["mtask_error"].as_str().expect("a kind").to_owned();
        let index = error["index"].as_u64().expect("an index");
        let attempts = error["attempts"].as_u64().expect("a number");
        let past = &pasts[index as usize];
        self.failures += 1;
        if !self.has_liars {
            self.settle(index, &kind);
            // The refusal that was one too many is what it failed of.
            let is_refused = past.refusals >= MOST_REFUSALS && error["error"].is_string();
            assert_eq!(
                attempts,
                u64::from(past.sends) + u64::from(is_refused),
                "attempts of record {index}, {kind}"
            );
        }
        let enough = match self.policy.delivery {
            Delivery::AtMostOnce => 1,
            Delivery::AtLeastOnce => self.policy.failures.retries + 1,
        };
        match kind.as_str() {
            // Refused again and again while others were answered.
            "worker_error" if past.refusals >= MOST_REFUSALS && error["error"].is_string() => {}
            "worker_exit" | "timeout" | "worker_error" | "bad_answer" => {
                assert!(
                    past.most_charges() >= enough,
                    "record {index} is charged too soon: {past:?}"
                );
                assert!(
                    past.may_have_failed_as(&kind),
                    "record {index} failed of something else than {kind}: {past:?}"
                );
                self.check_guilt(index, &kind, past);
                let is_refused = past.refusals > 0 && error["error"].is_string();
                let is_luckless = error["error"]["message"] == "no luck";
                assert!(kind != "worker_error" || is_luckless || is_refused);
            }
            "missing_answer" => {
                assert!(past.may_be_missing, "record {index} has no answer missing");
            }
            "answer_too_large" => {
                let answer = self.records[index as usize].answer(index, Protocol::Json);
                let is_right = self.has_liars || PREFIX.len() + answer.len() > MAX_ANSWER + 1;
                assert!(is_right, "the answer of record {index} is not too large");
            }
            "invalid_input" => assert_eq!(
                past.effect,
                Some(Effect::Invalid),
                "record {index} is valid"
            ),
            other => panic!("record {index} failed as {other}"),
        }
        index
    }

    /// Nobody fails for what others have done.
    fn check_guilt(&self, index: u64, kind: &str, past: &EarlierRun) {
        let is_right = match kind {
            "timeout" => past.timeouts > 0,
            "worker_error" => past.was_charged_with(Charge::Error),
            "bad_answer" if past.was_charged_with(Charge::BadAnswer) => true,
            _ => {
                let is_killer = past.outside_hits < past.hits;
                let is_full = self.policy.window == Window::Full && past.sends >= 2;
                let at_most_once = self.policy.delivery == Delivery::AtMostOnce;
                // Trusted processes died of themselves with it.
                let is_unlucky = past.unlucky_hits > 0 && past.hits + past.own_faults() >= 2;
                is_killer || is_full || at_most_once || is_unlucky
            }
        };
        assert!(is_right, "record {index} is innocent of {kind}: {past:?}");
    }

    /// Looks at what is told of a run that was cut short, all outcomes being written.
    pub(super) fn check_early_end(&self, total: u64, status: Status, end: EarlyEnd) {
        let outcomes = self.results + self.failures;
        let told = outcomes + end.records;
        let most = told + self.silent_ones().count() as u64;
        let may_be_left = end.is_input_left || matches!(status, Status::Signal(_));
        let is_right = (told..=most).contains(&total) || (may_be_left && told < total);
        assert!(is_right, "{outcomes} of {total} have an outcome: {end:?}");
    }

    /// Looks at the whole, once the run has ended.
    pub(super) fn check_end(
        &mut self,
        scenario: &Scenario,
        pasts: &[EarlierRun],
        status: Status,
        tally: &Tally,
        is_cut_short: bool,
    ) {
        let silent = self.silent(tally);
        let outcomes = self.results + silent + self.failures;
        let total = scenario.records.len() as u64;
        let is_ignored = self.policy.failures.on_error == OnError::Ignore;
        let faults = self.failures + tally.faults.strays;
        let drains = (self.policy.failures.on_error == OnError::Drain && faults > 0)
            || (self.policy.failures.max_errors)
                .is_some_and(|most| most.is_exceeded_at_the_end(faults, outcomes));
        let is_raised = self.policy.failures.on_error == OnError::Raise && faults > 0;
        if is_cut_short {
            return;
        }
        assert!(
            self.wrong.is_empty() || status != Status::Success,
            "wrong results and no word"
        );
        // One that was ended for its late exit had more to show.
        if scenario.lies_in_one_way() && tally.early_end.is_none() && tally.faults.bad_ends == 0 {
            let ranges = tally.doubts.ranges();
            for index in &self.wrong {
                let is_named = ranges.iter().any(|(a, b)| (*a..=*b).contains(index));
                let next =
                    ranges.iter().map(|(first, _)| *first).filter(|first| first > index).min();
                let until = next.unwrap_or(scenario.records.len() as u64);
                assert!(
                    is_named || (*index..until).any(|later| scenario.is_unsteady(later)),
                    "record {index} has a wrong result, and {ranges:?} are in doubt"
                );
            }
        }
        assert_eq!(
            tally.lasting_faults.protocol_violations > 0,
            !tally.doubts.is_empty()
        );
        match status {
            Status::Success => {
                assert!(
                    self.failures == 0 || (is_ignored && !drains),
                    "records failed"
                );
                assert_eq!(tally.faults.protocol_violations + tally.faults.bad_ends, 0);
            }
            Status::InDoubt => {
                assert!(
                    tally.faults.protocol_violations > 0,
                    "all answered line by line"
                );
                assert_eq!(self.policy.shape.protocol, Protocol::Lines);
            }
            Status::RecordFailed => {
                let records_failed = self.failures > 0 && (!is_ignored || drains);
                assert!(
                    records_failed || tally.faults.protocol_violations + tally.faults.bad_ends > 0,
                    "nothing failed"
                );
                let is_in_step = tally.faults.protocol_violations == 0
                    || self.policy.shape.protocol == Protocol::Json;
                assert!(is_in_step, "results in doubt do not show");
            }
            Status::NoWorker => {}
            other => panic!("the status is {other:?}"),
        }
        let none_is_missing = pasts.iter().all(|past| !past.may_be_missing);
        let breaks = |past: &EarlierRun| matches!(past.effect, Some(Effect::Says(_, saying)) if saying.is_break());
        if !self.has_liars && none_is_missing && !pasts.iter().any(breaks) {
            assert_eq!(
                tally.faults.protocol_violations, 0,
                "no worker has given a line too many or too few"
            );
        }
        // A line too many that nobody reads keeps its process from exiting.
        if tally.faults.bad_ends > 0 && !self.has_liars {
            let command = &scenario.command;
            let closes = |past: &EarlierRun| matches!(past.effect, Some(Effect::ClosesStdout(_)));
            let has_closers = pasts.iter().any(closes);
            let may_end_badly = command.bad_end > 0.0
                || command.late_end > 0.0
                || !command.kinds.is_empty()
                || command.is_broken
                || command.fall.is_some()
                || has_closers;
            assert!(may_end_badly, "no process ended badly");
        }
        if status == Status::NoWorker {
            return;
        }
        if is_raised {
            assert_eq!(faults, 1, "a failure after the one that ended the run");
        } else if drains {
            let sent = pasts.iter().filter(|past| past.sends > 0).count() as u64;
            assert!(
                outcomes >= sent,
                "{sent} records were sent and {outcomes} have an outcome"
            );
        } else {
            assert_eq!(outcomes, total, "each record has one outcome");
        }
        if !is_raised {
            let counted = (tally.results, tally.parts, tally.failures());
            assert_eq!(
                counted,
                (self.results + silent, self.parts(silent), self.failures),
                "what is counted is what is written"
            );
            let answered = self.silent_ones().filter(|index| pasts[*index].is_answered).count();
            assert!(
                silent <= answered as u64,
                "a record has no result and no answer"
            );
        }
        assert!(self.left.is_empty(), "a result is missing");
    }

    /// Records that may have come to no result without a failure.
    fn silent_ones(&self) -> impl Iterator<Item = usize> {
        let all = self.records.iter().zip(&self.kinds).enumerate();
        let is_one = |(index, (record, kind)): (usize, (&Record, &Option<String>))| {
            (record.outputs == Some(0) && kind.is_none()).then_some(index)
        };
        all.filter_map(is_one)
    }

    /// How many results that is. An answer of several lines is one.
    fn parts(&self, silent: u64) -> u64 {
        match self.policy.shape.answer_end {
            AnswerEnd::Separator => self.lines,
            AnswerEnd::Line(_) | AnswerEnd::Exit => self.results + silent,
        }
    }

    /// How many have: nothing but the count tells.
    fn silent(&self, tally: &Tally) -> u64 {
        let most = self.silent_ones().count() as u64;
        tally.results.saturating_sub(self.results).min(most)
    }

    /// What has come out that is to come out in many worlds.
    pub(super) fn faults(&self, tally: &Tally) -> impl Iterator<Item = Fault> {
        [
            (self.silent(tally) > 0).then_some(Fault::NoResult),
            (self.lines > self.results).then_some(Fault::SeveralResults),
        ]
        .into_iter()
        .flatten()
    }
}

/// The whole lines of `bytes` that have not been read yet.
fn new_lines(bytes: &[u8], read: &mut usize) -> String {
    let new = &bytes[*read..];
    let end = new.iter().rposition(|byte| *byte == b'\n');
    let new = &new[..end.map_or(0, |at| at + 1)];
    *read += new.len();
    String::from_utf8(new.to_vec()).expect("the output is text")
}

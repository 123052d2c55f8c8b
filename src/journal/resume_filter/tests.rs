//! Random inputs, read again in other blocks.

use crossbeam_channel::{Receiver, unbounded};

use super::*;
use crate::input::Requirement;

/// What is passed on, and what is told of the input.
#[derive(Debug, Default)]
struct Passed {
    records: Vec<(u64, String)>,
    changed: Option<Changed>,
    has_ended: bool,
    /// How many bytes were held at most between two arrivals.
    most_held: usize,
    marks: Vec<Prefix>,
}

fn slice(bytes: &[u8], budget: &Budget) -> Slice {
    let bytes = bytes.to_vec();
    budget.add(bytes.capacity() + BOOKKEEPING);
    Slice::new(bytes, budget)
}

/// Skims `records` in blocks of random sizes. `!` is a rejected record, `-` one that is too large.
fn filter(records: &[String], done: &Ranges, before: Prefix, random: &mut fastrand::Rng) -> Passed {
    skim_within(1 << 20, records, done, before, random)
}

/// The same with a budget of so many bytes.
fn skim_within(
    limit: usize,
    records: &[String],
    done: &Ranges,
    before: Prefix,
    random: &mut fastrand::Rng,
) -> Passed {
    let budget = Budget::new(limit);
    let (send, marks): (_, Receiver<Prefix>) = unbounded();
    let left_out = LeftOut::default();
    let mut filter =
        ResumeFilter::new(done.clone(), before, Shape::LINES, &budget, &left_out, send);
    let mut passed = Passed::default();
    let mut is_over = false;
    let mut next = 0;
    while next <= records.len() && !is_over {
        let first = Index(next as u64);
        let arrival = match records.get(next).map(String::as_str) {
            None => Arrival::End,
            Some("-") => Arrival::Rejected(Rejected {
                index: first,
                reason: Rejection::TooLarge { max: 1 },
            }),
            Some(record) if record.starts_with('!') => Arrival::Rejected(Rejected {
                index: first,
                reason: Rejection::Invalid {
                    flaw: Flaw {
                        expected: Requirement::Json,
                        line: 1,
                        column: 1,
                        message: String::new(),
                    },
                    record: slice(record.as_bytes(), &budget),
                },
            }),
            Some(_) => {
                let is_plain = |record: &&String| !record.starts_with(['!', '-']);
                let most = records[next..].iter().take_while(is_plain).count();
                let count = random.usize(1..=most);
                next += count - 1;
                let lines = records[next + 1 - count..=next].iter();
                let text: String = lines.map(|record| format!("{record}\n")).collect();
                Arrival::Records(Block {
                    first,
                    count,
                    bytes: slice(text.as_bytes(), &budget),
                })
            }
        };
        next += 1;
        let mut pass_on = |arrival| {
            passed.marks.extend(marks.try_iter());
            let known = passed.marks.last().unwrap_or(&before).records;
            match arrival {
                Arrival::Records(block) => {
                    assert!(block.end().0 <= known, "no mark tells of it");
                    let text = String::from_utf8(block.bytes.to_vec()).unwrap();
                    let lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
                    assert_eq!(lines.len(), block.count);
                    passed.records.extend((block.first.0..).zip(lines));
                }
                Arrival::Rejected(rejected) => {
                    assert!(rejected.index.0 < known, "no mark tells of it");
                    let record = match rejected.reason {
                        Rejection::Invalid { record, .. } => record.to_vec(),
                        Rejection::TooLarge { .. } => b"-".to_vec(),
                        Rejection::Passed { .. } => panic!("nothing is passed on here"),
                    };
                    let record = String::from_utf8(record).unwrap();
                    passed.records.push((rejected.index.0, record));
                }
                Arrival::Changed(changed) => passed.changed = Some(changed),
                Arrival::End => passed.has_ended = true,
                other => panic!("{other:?}"),
            }
            Ok(())
        };
        // As the reader does before it sends anything.
        budget.end_loan();
        is_over = filter.take(arrival, &mut pass_on).is_err();
        if budget.held() > 0 {
            assert!(budget.try_take(limit, 0), "the reader would wait in vain");
            budget.free(limit);
        }
        passed.most_held = passed.most_held.max(budget.held());
    }
    drop(filter);
    assert_eq!(budget.held(), 0);
    passed.marks.extend(marks.try_iter());
    passed
}

fn random_records(random: &mut fastrand::Rng) -> Vec<String> {
    let count = random.usize(1..60);
    let mut record = |_| match random.u8(..8) {
        0 => "-".to_owned(),
        1 => format!("!{}", random.u8(..)),
        2 => String::new(),
        _ => random.u32(..).to_string(),
    };
    (0..count).map(&mut record).collect()
}

fn random_ranges(end: u64, random: &mut fastrand::Rng) -> Ranges {
    let mut ranges = Ranges::default();
    for _ in 0..random.usize(..8) {
        let start = random.u64(..end);
        let _ = ranges.insert(start..random.u64(start..end) + 1);
    }
    ranges
}

#[test]
fn what_is_not_done_comes_through_however_it_is_read() {
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..2000 {
        let records = random_records(&mut random);
        let first = filter(&records, &Ranges::default(), Prefix::default(), &mut random);
        let all: Vec<_> = (0..).zip(records.clone()).collect();
        assert_eq!(first.records, all);
        assert!(first.has_ended);
        let end = first.marks.last().expect("a mark at the end");
        assert_eq!(end.records, records.len() as u64);

        let before = first.marks[random.usize(..first.marks.len())];
        let done = random_ranges(before.records, &mut random);
        let limit = [600, 2000, 1 << 20][random.usize(..3)];
        let again = skim_within(limit, &records, &done, before, &mut random);
        let is_done = |index| matches!(done.stretch(index), Stretch::Inside(_));
        let left: Vec<_> = all.iter().filter(|it| !is_done(it.0)).cloned().collect();
        assert_eq!(again.records, left);
        assert!(again.has_ended);
        assert!(again.most_held <= limit / 2);
        let (proof, new) = again.marks.split_first().expect("the input is the same");
        assert_eq!(*proof, before);
        assert!(new.iter().all(|mark| mark.records > before.records));
        assert_eq!(again.marks.last(), Some(end));
    }
}

#[test]
fn an_input_that_has_changed_is_refused_though_a_part_of_it_was_too_much_to_be_held() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut records: Vec<_> = (0..500).map(|number| number.to_string()).collect();
    let first = filter(&records, &Ranges::default(), Prefix::default(), &mut random);
    let before = *first.marks.last().expect("a mark at the end");
    let mut done = Ranges::default();
    (0..500).step_by(2).for_each(|index| assert!(done.insert(index..index + 1)));
    records[499] = "changed".into();
    let again = skim_within(10_000, &records, &done, before, &mut random);
    assert!(again.most_held <= 5_000);
    assert!(!again.records.is_empty(), "there was no room for them");
    assert!(again.marks.is_empty(), "nothing of them may be vouched for");
    assert!(again.changed.is_some() && !again.has_ended);
}

#[test]
fn nothing_comes_through_of_an_input_that_has_changed() {
    let mut random = fastrand::Rng::with_seed(6);
    for _ in 0..2000 {
        let mut records = random_records(&mut random);
        let first = filter(&records, &Ranges::default(), Prefix::default(), &mut random);
        let before = *first.marks.last().expect("a mark at the end");
        let done = random_ranges(before.records, &mut random);
        let place = random.usize(..records.len());
        if random.bool() {
            records.truncate(place);
        } else {
            let changed = format!("{}x", records[place].trim_start_matches('-'));
            records[place] = changed;
        }
        let again = filter(&records, &done, before, &mut random);
        assert!(again.records.is_empty() && !again.has_ended);
        let changed = again.changed.expect("it has changed");
        assert_eq!(changed.known.0, before.records);
        assert!(changed.to_string().contains("the input has changed"));
    }
}

#[test]
fn what_is_passed_over_counts_as_left_out() {
    let budget = Budget::new(1 << 20);
    let (send, _marks) = unbounded();
    let left_out = LeftOut::default();
    let mut done = Ranges::default();
    assert!(done.insert(1..3));
    let before = Prefix::default();
    let mut filter = ResumeFilter::new(done, before, Shape::LINES, &budget, &left_out, send);
    let block = Block {
        first: Index(0),
        count: 4,
        bytes: slice(b"0\n11\n222\n3333\n", &budget),
    };
    filter.take(Arrival::Records(block), &mut |_| Ok(())).unwrap();
    assert_eq!(left_out.bytes(), 7);
}

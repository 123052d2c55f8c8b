use super::*;

fn silent(order: policy::Order) -> OrderBuffer {
    OrderBuffer::new(order, &Budget::new(1 << 20))
}

fn buffer(order: policy::Order) -> OrderBuffer {
    behind(order, &[0..4, 4..10], policy::PlacesTold::All)
}

/// One for a run in which these have their outcomes already.
fn behind(
    order: policy::Order,
    earlier: &[std::ops::Range<u64>],
    places: policy::PlacesTold,
) -> OrderBuffer {
    let mut done = Ranges::default();
    for range in earlier {
        assert!(done.insert(range.clone()));
    }
    let mut buffer = silent(order);
    buffer.tell(&done, places);
    buffer
}

fn append(out: &mut Written, text: &str) {
    (out.results).append(text.len(), |to| to.extend_from_slice(text.as_bytes()));
}

fn put(buffer: &mut OrderBuffer, first: u64, outcome: Outcome) {
    buffer.put(Index(first), 1, outcome, |out| {
        append(out, &format!("{first} "));
    });
}

/// Takes out what may be written, as often as it takes: the bytes and the done ranges.
fn take(buffer: &mut OrderBuffer) -> Vec<(String, String)> {
    let mut taken = Vec::new();
    loop {
        buffer.set_room(1000);
        let mut out = std::mem::take(buffer.out());
        if out.is_empty() {
            return taken;
        }
        let ranges: Vec<_> = out.done.ranges.iter().collect();
        let text = String::from_utf8(out.results.take_bytes()).unwrap();
        taken.push((text, format!("{ranges:?} {:?}", out.done.failed)));
    }
}

#[test]
fn it_tells_whose_outcomes_are_passed_on() {
    let mut input = buffer(policy::Order::Input);
    let mut finish = buffer(policy::Order::Finish);
    for buffer in [&mut input, &mut finish] {
        put(buffer, 11, Outcome::Failure("timeout"));
        put(buffer, 13, Outcome::Results(1));
        put(buffer, 10, Outcome::Results(1));
    }
    let told = |text: &str, done: &str| vec![(text.to_owned(), done.to_owned())];
    assert_eq!(
        take(&mut input),
        told("10 11 ", "[10..12] {\"timeout\": 1}")
    );
    assert_eq!(
        take(&mut finish),
        told("11 13 10 ", "[10..12, 13..14] {\"timeout\": 1}")
    );
}

#[test]
fn nothing_is_told_from_the_failure_on_that_ends_the_run() {
    for room in [0, 1000] {
        let mut buffer = buffer(policy::Order::Input);
        buffer.set_room(room);
        put(&mut buffer, 10, Outcome::Results(1));
        put(&mut buffer, 12, Outcome::LastFailure);
        put(&mut buffer, 11, Outcome::Failure("bad_answer"));
        put(&mut buffer, 13, Outcome::Results(1));
        assert_eq!(
            take(&mut buffer),
            [
                ("10 11 ".into(), "[10..12] {\"bad_answer\": 1}".into()),
                ("12 13 ".into(), "[] {}".into()),
            ]
        );
    }
}

#[test]
fn what_is_done_already_makes_no_gap() {
    let mut buffer = behind(
        policy::Order::Input,
        &[0..2, 3..5, 7..9],
        policy::PlacesTold::All,
    );
    for index in [9, 5, 6] {
        put(&mut buffer, index, Outcome::Results(1));
    }
    assert_eq!((buffer.next(), buffer.in_turn()), (Some(Index(2)), 0));
    assert!(buffer.holds_back());
    put(&mut buffer, 2, Outcome::Results(1));
    assert_eq!((buffer.next(), buffer.in_turn()), (Some(Index(10)), 4));
    let done = "[2..3, 5..7, 9..10] {}";
    assert_eq!(take(&mut buffer), [("2 5 6 9 ".into(), done.into())]);
    put(&mut buffer, 11, Outcome::Results(1));
    buffer.put_last(|out| append(out, "last"));
    assert_eq!(take(&mut buffer), [("last".into(), "[] {}".into())]);
}

/// Whatever comes when, and however much is taken at a time.
#[test]
fn places_are_where_the_bytes_are() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let order = random.choice([policy::Order::Input, policy::Order::Finish]).unwrap();
        let told = random.choice([policy::PlacesTold::All, policy::PlacesTold::Failures]).unwrap();
        let mut buffer = behind(order, &[0..3, 5..9, 10..20], told);
        let mut left: Vec<u64> = [3, 4, 9].into_iter().chain(20..50).collect();
        random.shuffle(&mut left);
        let (mut text, mut done) = (String::new(), Done::default());
        while !left.is_empty() || !buffer.pieces.is_empty() || !buffer.out().is_empty() {
            if let Some(index) = left.pop() {
                let outcome = match random.bool() {
                    true => Outcome::Failure("timeout"),
                    false => Outcome::Results(1),
                };
                let repeated = format!("{index} ").repeat(random.usize(..3));
                buffer.put(Index(index), 1, outcome, |out| {
                    if !repeated.is_empty() {
                        append(out, &repeated);
                    }
                });
            }
            buffer.set_room(random.usize(..9));
            let out = buffer.out();
            done.append(&mut std::mem::take(&mut out.done));
            text += &String::from_utf8(out.results.take().take_bytes()).unwrap();
        }
        let failed = done.failed_at.iter();
        for place in failed.chain(done.results_at.iter()) {
            let words = text[place.at as usize..place.end_at() as usize].split_terminator(' ');
            let indices: std::collections::BTreeSet<u64> =
                words.map(|word| word.parse().unwrap()).collect();
            let all = place.first..place.end();
            assert!(
                indices.iter().all(|index| all.contains(index)),
                "seed {seed}"
            );
        }
        let bytes = |places: &crate::outcome::Places| -> u64 {
            places.iter().map(|place| place.bytes).sum()
        };
        let (failed, results) = (bytes(&done.failed_at), bytes(&done.results_at));
        assert_eq!(done.failed_at.count(), done.failures());
        if told == policy::PlacesTold::All {
            assert_eq!(failed + results, text.len() as u64);
            assert_eq!(done.results_at.count(), done.results());
        } else {
            assert_eq!(results, 0);
        }
    }
}

#[test]
fn nothing_is_told_where_nobody_asks() {
    let mut buffer = silent(policy::Order::Input);
    put(&mut buffer, 1, Outcome::Failure("timeout"));
    put(&mut buffer, 0, Outcome::Results(1));
    assert_eq!(take(&mut buffer), [("0 1 ".into(), "[] {}".into())]);
}

#[test]
fn what_waits_is_counted_until_it_is_passed_on() {
    let mut buffer = buffer(policy::Order::Input);
    buffer.set_room(1000);
    for index in 11..51 {
        put(&mut buffer, index, Outcome::Results(1));
    }
    let held = buffer.held();
    assert_eq!((held.records, held.bytes), (40, buffer.budget.held()));
    assert!(held.bytes >= 40 * "11 ".len() + BOOKKEEPING);
    assert!(held.bytes < 2 * BOOKKEEPING, "small pieces are joined");
    put(&mut buffer, 10, Outcome::Results(1));
    assert_eq!(buffer.held(), HeldOutcomes::default());
    assert_eq!(buffer.budget.held(), 0);
    assert_eq!(buffer.outcomes(), 41);
}

#[test]
fn what_is_cut_off_behind_a_gap_is_not_counted_any_more() {
    let mut buffer = buffer(policy::Order::Input);
    for index in [10, 11, 13, 15] {
        put(&mut buffer, index, Outcome::Results(1));
    }
    buffer.cut_at_gap();
    assert_eq!(buffer.held().records, 2);
    assert_eq!(take(&mut buffer)[0].0, "10 11 ");
    assert_eq!(buffer.budget.held(), 0);
}

#[test]
fn large_pieces_are_not_copied_together() {
    let mut buffer = buffer(policy::Order::Input);
    for index in [11, 12] {
        buffer.put(Index(index), 1, Outcome::Results(1), |out| {
            append(out, &"x".repeat(JOINED));
        });
    }
    assert_eq!(buffer.pieces.len(), 2);
}

#[test]
fn a_gap_holds_back_and_a_full_output_backs_up() {
    let mut buffer = buffer(policy::Order::Input);
    let stands = |buffer: &OrderBuffer| (buffer.next(), buffer.holds_back(), buffer.is_backed_up());
    assert_eq!(stands(&buffer), (Some(Index(10)), false, false));
    put(&mut buffer, 11, Outcome::Results(1));
    put(&mut buffer, 13, Outcome::Results(1));
    assert_eq!(stands(&buffer), (Some(Index(10)), true, false));
    put(&mut buffer, 10, Outcome::Results(1));
    assert_eq!(stands(&buffer), (Some(Index(12)), false, true));
    let passed = buffer.passed();
    buffer.set_room(1);
    assert!(buffer.passed() > passed);
    assert_eq!(
        stands(&buffer),
        (Some(Index(12)), false, true),
        "10, and then no room"
    );
    buffer.set_room(1000);
    assert_eq!(stands(&buffer), (Some(Index(12)), true, false));
    assert_eq!(OrderBuffer::next(&silent(policy::Order::Finish)), None);
}

#[test]
fn the_last_words_stand_after_all_that_can_be_written() {
    for order in [policy::Order::Input, policy::Order::Finish] {
        let mut buffer = buffer(order);
        for index in [10, 11, 12, 14] {
            put(&mut buffer, index, Outcome::Results(1));
        }
        buffer.put_last(|out| append(out, "last"));
        let text: String = take(&mut buffer).into_iter().map(|(text, _)| text).collect();
        let expected = match order {
            policy::Order::Input => "10 11 12 last",
            policy::Order::Finish => "10 11 12 14 last",
        };
        assert_eq!(text, expected);
        assert_eq!(buffer.budget.held(), 0);
    }
}

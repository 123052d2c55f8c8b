use std::io::{self, BufReader};

use super::*;

fn header() -> Header {
    Header {
        id: 1,
        terms: [(UNORDERED.into(), "yes".into())].into(),
        files: Files {
            output: "/out \"1\"".into(),
            errors: None,
        },
        command: vec!["cat".into(), "-\n".into()],
        made_from: None,
    }
}

fn entry(done: &[(u64, u64)], bytes: u64) -> Entry {
    Entry {
        done: done.to_vec(),
        output: Extent { bytes, tail: 7 },
        input: Prefix {
            records: bytes,
            hash: u64::MAX,
        },
        ..Entry::default()
    }
}

/// The lines of a journal.
fn lines(header: &Header, entries: impl IntoIterator<Item = Entry>) -> Vec<Vec<u8>> {
    let (first, mut chain) = write_header(header);
    let entries = entries.into_iter().map(|entry| chain.entry(entry));
    std::iter::once(first).chain(entries).collect()
}

/// A journal, and the bytes at which its lines end.
fn journal() -> (Vec<u8>, Vec<usize>) {
    let mut failed = entry(&[(3, 2), (9, 1)], 20);
    failed.failed.insert("timeout".into(), 2);
    failed.failed_at = vec![(4, 1, 12, 3), (9, 1, 19, 1)];
    failed.errors = Some(Extent { bytes: 5, tail: 1 });
    let mut lapsed = entry(&[(5, 4)], 20);
    (lapsed.protocol_violations, lapsed.bad_ends) = (2, 1);
    lapsed.ready = Some(Ready {
        command: 5,
        took: 1500,
    });
    let lines = lines(&header(), [entry(&[(0, 3)], 9), failed, lapsed]);
    let ends = lines.iter().scan(0, |end, line| {
        *end += line.len();
        Some(*end)
    });
    (lines.concat(), ends.collect())
}

#[test]
fn what_was_written_is_read() {
    let (bytes, _) = journal();
    let past = read(&bytes[..]).unwrap().unwrap();
    assert_eq!(past.header, header());
    assert!(past.done.ranges.iter().eq(std::iter::once(0..10)));
    assert_eq!((past.done.failures(), past.done.results()), (2, 8));
    assert_eq!(
        (
            past.worker_faults.protocol_violations,
            past.worker_faults.bad_ends
        ),
        (2, 1)
    );
    assert_eq!((past.output.bytes, past.errors.bytes), (20, 5));
    assert_eq!(past.ready, [(5, Duration::from_millis(1500))].into());
    assert_eq!(past.bytes, bytes.len());
}

#[test]
fn the_files_that_were_named_last_are_known() {
    let (mut bytes, _) = journal();
    let mut past = read(&bytes[..]).unwrap().unwrap();
    assert_eq!(past.files, header().files);
    past.files.output = "/other".into();
    let line = past.write_files();
    past.bytes += line.len();
    bytes.extend(line);
    assert_eq!(read(&bytes[..]), Ok(Some(past)));
}

#[test]
fn a_torn_end_is_left_out_wherever_it_is_torn() {
    let (bytes, ends) = journal();
    for length in 0..=bytes.len() {
        let whole = ends.iter().rev().find(|end| **end <= length);
        for tail in [&b""[..], b"\0\0\0", b"\xff\n garbage\n\n"] {
            let mut torn = bytes[..length].to_vec();
            // A first line that is not whole must be all there is.
            if whole.is_some() {
                torn.extend_from_slice(tail);
            }
            let past = read(&torn[..]).unwrap();
            let expected = whole.map(|end| read(&bytes[..*end]).unwrap().unwrap());
            assert_eq!(past, expected, "{length} bytes");
            assert_eq!(past.map(|past| past.bytes), whole.copied());
        }
    }
}

#[test]
fn a_changed_byte_is_never_taken_for_what_was_written() {
    let (bytes, ends) = journal();
    let last_line = ends[ends.len() - 2];
    let before_last = read(&bytes[..last_line]).unwrap();
    let before_two = read(&bytes[..ends[ends.len() - 3]]).unwrap();
    for place in 0..bytes.len() {
        for flip in [1, 0x20, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[place] ^= flip;
            match read(&changed[..]) {
                Err(_) => {}
                // What cannot be told from a torn end vouches for less.
                Ok(past) if place >= last_line => assert_eq!(past, before_last),
                Ok(past) if place == last_line - 1 => assert_eq!(past, before_two),
                Ok(_) => panic!("byte {place} was changed"),
            }
        }
    }
}

#[test]
fn other_files_and_other_versions_are_known() {
    assert_eq!(read(&b"some records\n"[..]), Err(JournalFault::Foreign));
    assert_eq!(read(&b"x"[..]), Err(JournalFault::Foreign));
    assert_eq!(read(&b""[..]), Ok(None));
    assert_eq!(read(&[0; 100][..]), Ok(None));
    let other = &b"mtask-journal 1 something else\n"[..];
    assert_eq!(read(other), Err(JournalFault::Version("1".into())));
}

#[test]
fn a_line_that_is_too_long_is_not_held() {
    let long = MAX_LINE as u64 + 10;
    let zeros = || io::repeat(0).take(long);
    assert_eq!(read(BufReader::new(zeros())), Err(JournalFault::Foreign));
    let endless = MAGIC.as_bytes().chain(zeros());
    assert_eq!(read(BufReader::new(endless)), Err(JournalFault::Damaged(1)));

    let (bytes, _) = journal();
    let torn = BufReader::new(bytes.chain(zeros()));
    assert_eq!(read(torn), read(&bytes[..]));
    let mut chain = read(&bytes[..]).unwrap().unwrap().chain;
    let next = chain.entry(entry(&[(10, 1)], 21));
    let next = [b"\n", &next[..]].concat();
    let damaged = BufReader::new(bytes.chain(zeros()).chain(&next[..]));
    assert_eq!(read(damaged), Err(JournalFault::Damaged(5)));
}

#[test]
fn lines_that_contradict_each_other_are_damage() {
    let twice = entry(&[(2, 2)], 9);
    let backwards = entry(&[(3, 2)], 8);
    let nothing = entry(&[], 9);
    let endless = entry(&[(3, u64::MAX)], 9);
    let unread = entry(&[(3, 7)], 9);
    let mut unknown = entry(&[(3, 2)], 9);
    unknown.failed.insert("weather".into(), 1);
    let mut many = entry(&[(3, 2)], 9);
    many.failed.insert("timeout".into(), 6);
    let mut overflowing = entry(&[(3, 2)], 9);
    overflowing.failed = [("timeout".into(), u64::MAX), ("worker_exit".into(), 2)].into();
    let mut lapsed = entry(&[(3, 2)], 9);
    lapsed.protocol_violations = u64::MAX;
    for second in [
        twice,
        backwards,
        nothing,
        endless,
        unread,
        unknown,
        many,
        overflowing,
        lapsed,
    ] {
        let bytes = lines(&header(), [entry(&[(0, 3)], 9), second.clone()]).concat();
        assert_eq!(
            read(&bytes[..]),
            Err(JournalFault::Damaged(3)),
            "{second:?}"
        );
    }
}

#[test]
fn places_are_kept_where_they_are_asked_for_and_lie_in_what_is_vouched_for() {
    let (bytes, _) = journal();
    let kept = |past: &mut Past| past.places = KeptPlaces::All;
    let past = read_from(&bytes[..], kept).unwrap().unwrap();
    let places: Vec<_> = past.done.failed_at.iter().map(|it| (it.first, it.at)).collect();
    assert_eq!(places, [(4, 12), (9, 19)]);
    assert!(read(&bytes[..]).unwrap().unwrap().done.failed_at.is_empty());
    for wrong in [
        (3, 1, 8, 1),
        (3, 1, 9, 12),
        (3, 1, 9, u64::MAX),
        (3, u64::MAX, 9, 1),
        (3, 0, 9, 1),
        (4, 3, 9, 1),
        (9, 1, 9, 1),
    ] {
        let mut second = entry(&[(3, 3)], 20);
        second.failed_at = vec![wrong];
        let bytes = lines(&header(), [entry(&[(0, 3)], 9), second]).concat();
        assert_eq!(read(&bytes[..]), Err(JournalFault::Damaged(3)), "{wrong:?}");
    }
}

/// What is tried again is in order, and not all records are.
#[test]
fn a_journal_of_what_is_tried_again_has_gaps_and_goes_on_from_the_other() {
    let (failed, _) = journal();
    let failed = read(&failed[..]).unwrap().unwrap();
    let mut header = header();
    header.terms.insert(UNORDERED.into(), "no".into());
    header.terms.insert(RETRY_FAILED.into(), "0".into());
    let after = |first, bytes| Entry {
        protocol_violations: 2,
        bad_ends: 1,
        input: Prefix {
            records: 20,
            hash: u64::MAX,
        },
        ..entry(&[(first, 1)], bytes)
    };
    let read = |entries: [Entry; 2]| {
        let bytes = lines(&header, entries).concat();
        read_from(&bytes[..], |past| past.follow(&failed))
    };
    let past = read([after(4, 2), after(9, 5)]).unwrap().unwrap();
    assert_eq!((past.done.ranges.count(), past.done.ranges.end()), (2, 10));
    let backwards = read([after(9, 2), after(4, 5)]);
    assert_eq!(backwards, Err(JournalFault::Damaged(3)));
    // What was known of workers and of the input is not taken back.
    let forgetful = read([entry(&[(4, 1)], 20), after(9, 20)]);
    assert_eq!(forgetful, Err(JournalFault::Damaged(2)));
}

#[test]
fn worker_faults_stand_by_themselves_and_are_not_taken_back() {
    let mut lapsed = entry(&[], 0);
    lapsed.protocol_violations = 1;
    let bytes = lines(&header(), [lapsed.clone()]).concat();
    let past = read(&bytes[..]).unwrap().unwrap();
    assert_eq!(
        (past.worker_faults.protocol_violations, past.done.is_empty()),
        (1, true)
    );
    let bytes = lines(&header(), [lapsed, entry(&[(0, 3)], 9)]).concat();
    assert_eq!(read(&bytes[..]), Err(JournalFault::Damaged(3)));
}

#[test]
fn where_outcomes_are_in_order_a_gap_is_damage() {
    let mut header = header();
    for value in ["yes", "no"] {
        header.terms.insert(UNORDERED.into(), value.into());
        let bytes = lines(&header, [entry(&[(0, 3)], 9), entry(&[(4, 2)], 9)]).concat();
        assert_eq!(read(&bytes[..]).is_ok(), value == "yes");
    }
}

#[test]
fn a_line_that_is_lost_doubled_moved_or_of_another_journal_is_known() {
    let entries = || (0..4).map(|i| entry(&[(i * 3, 3)], i * 3 + 3));
    let whole = lines(&header(), entries());
    let other = lines(&Header { id: 2, ..header() }, entries());
    let first_two = read(&whole[..3].concat()[..]).unwrap();
    for number in 0..whole.len() {
        let mut lost = whole.clone();
        lost.remove(number);
        match read(&lost.concat()[..]) {
            // That is how it was at an earlier moment.
            Ok(Some(past)) if number == 4 => assert_eq!(past.done.ranges.end(), 9),
            read => assert_eq!(read, Err(JournalFault::OutOfPlace(number + 1))),
        }
        for place in 1..=whole.len() {
            for line in [&whole[number], &other[number]] {
                let mut added = whole.clone();
                added.insert(place, line.clone());
                let is_out_of_place = |read: &Result<_, _>| matches!(read, Err(JournalFault::OutOfPlace(line)) if *line > place);
                let read = read(&added.concat()[..]);
                assert!(is_out_of_place(&read), "{number} at {place}: {read:?}");
            }
            let mut changed = whole.clone();
            let Some(line) = changed.get_mut(place) else {
                continue;
            };
            line.clone_from(&other[number]);
            assert_eq!(
                read(&changed.concat()[..]),
                Err(JournalFault::OutOfPlace(place + 1))
            );
            let mut swapped = whole.clone();
            swapped.swap(number, place);
            let read = read(&swapped.concat()[..]);
            assert_eq!(read.is_ok(), number == place);
        }
    }
    // What is torn in front of them is not what is wrong with these.
    let torn = [&whole[..3].concat()[..], b"torn\n"].concat();
    assert_eq!(read(&torn[..]).unwrap(), first_two);
    let then = [&torn[..], &whole[3]].concat();
    assert_eq!(read(&then[..]), Err(JournalFault::Damaged(4)));
}

#[test]
fn ranges_in_doubt_add_up() {
    let mut lapsed = entry(&[], 0);
    (lapsed.protocol_violations, lapsed.strays, lapsed.in_doubt) = (1, 1, vec![(3, 9)]);
    // Where there is nothing new they are not told again.
    let mut written = entry(&[(0, 3)], 3);
    (written.protocol_violations, written.strays) = (1, 1);
    let mut again = entry(&[], 3);
    (again.protocol_violations, again.strays, again.in_doubt) = (2, 1, vec![(3, 9), (20, 21)]);
    let bytes = lines(&header(), [lapsed, written, again]).concat();
    let past = read(&bytes[..]).unwrap().unwrap();
    assert_eq!(past.doubts.ranges(), [(3, 9), (20, 21)]);
    assert_eq!(
        (
            past.worker_faults.protocol_violations,
            past.worker_faults.strays
        ),
        (2, 1)
    );
}

/// Whatever the bytes, reading ends without a panic.
#[test]
fn any_bytes_can_be_read() {
    let (bytes, _) = journal();
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..20_000 {
        let mut changed = bytes.clone();
        for _ in 0..random.usize(1..6) {
            let place = random.usize(..changed.len());
            match random.u8(..3) {
                0 => changed[place] = random.u8(..),
                1 => drop(changed.remove(place)),
                _ => changed.insert(place, random.u8(..)),
            }
        }
        if let Ok(Some(past)) = read(&changed[..]) {
            assert!(past.bytes <= changed.len());
        }
    }
}

//! What is written is what is read, and what is damaged is known.

use std::io::{self, BufReader};

use super::*;

fn header() -> Header {
    Header {
        terms: [("--format".into(), "lines".into())].into(),
        files: Files {
            output: "/out \"1\"".into(),
            errors: None,
        },
        command: vec!["cat".into(), "-\n".into()],
    }
}

fn entry(done: &[(u64, u64)], bytes: u64) -> Entry {
    Entry {
        done: done.to_vec(),
        failed: BTreeMap::new(),
        broken: 0,
        strays: 0,
        in_doubt: Vec::new(),
        bad_ends: 0,
        output: Extent { bytes, tail: 7 },
        errors: None,
        input: Prefix {
            records: bytes,
            hash: u64::MAX,
        },
        files: None,
    }
}

/// A journal, and the bytes at which its lines end.
fn journal() -> (Vec<u8>, Vec<usize>) {
    let mut failed = entry(&[(3, 2), (9, 1)], 20);
    failed.failed.insert("timeout".into(), 2);
    failed.errors = Some(Extent { bytes: 5, tail: 1 });
    let mut lapsed = entry(&[(5, 4)], 20);
    (lapsed.broken, lapsed.bad_ends) = (2, 1);
    let entries = [entry(&[(0, 3)], 9), failed, lapsed];
    let mut bytes = write_header(&header());
    let mut ends = vec![bytes.len()];
    for entry in &entries {
        bytes.extend(write_entry(entry));
        ends.push(bytes.len());
    }
    (bytes, ends)
}

#[test]
fn what_was_written_is_read() {
    let (bytes, _) = journal();
    let past = read(&bytes[..]).unwrap().unwrap();
    assert_eq!(past.header, header());
    assert!(past.done.ranges.iter().eq(std::iter::once(0..10)));
    assert_eq!((past.done.failures(), past.done.results()), (2, 8));
    assert_eq!((past.lapses.broken, past.lapses.bad_ends), (2, 1));
    assert_eq!((past.output.bytes, past.errors.bytes), (20, 5));
    assert_eq!(past.bytes, bytes.len());
}

#[test]
fn the_files_that_were_named_last_are_known() {
    let (mut bytes, _) = journal();
    let mut past = read(&bytes[..]).unwrap().unwrap();
    assert_eq!(past.files, header().files);
    past.files.output = "/other".into();
    past.bytes += write_files(&past).len();
    bytes.extend(write_files(&past));
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
    assert_eq!(read(&b"some records\n"[..]), Err(Fault::Foreign));
    assert_eq!(read(&b"x"[..]), Err(Fault::Foreign));
    assert_eq!(read(&b""[..]), Ok(None));
    assert_eq!(read(&[0; 100][..]), Ok(None));
    let other = &b"mtask-journal 1 something else\n"[..];
    assert_eq!(read(other), Err(Fault::Version("1".into())));
}

#[test]
fn a_line_that_is_too_long_is_not_held() {
    let long = MAX_LINE as u64 + 10;
    let zeros = || io::repeat(0).take(long);
    assert_eq!(read(BufReader::new(zeros())), Err(Fault::Foreign));
    let endless = MAGIC.as_bytes().chain(zeros());
    assert_eq!(read(BufReader::new(endless)), Err(Fault::Damaged(1)));

    let (bytes, _) = journal();
    let torn = BufReader::new(bytes.chain(zeros()));
    assert_eq!(read(torn), read(&bytes[..]));
    let next = write_entry(&entry(&[(10, 1)], 21));
    let next = [b"\n", &next[..]].concat();
    let damaged = BufReader::new(bytes.chain(zeros()).chain(&next[..]));
    assert_eq!(read(damaged), Err(Fault::Damaged(5)));
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
    for second in [twice, backwards, nothing, endless, unread, unknown] {
        let mut bytes = write_header(&header());
        bytes.extend(write_entry(&entry(&[(0, 3)], 9)));
        bytes.extend(write_entry(&second));
        assert_eq!(read(&bytes[..]), Err(Fault::Damaged(3)), "{second:?}");
    }
}

#[test]
fn lapses_stand_by_themselves_and_are_not_taken_back() {
    let mut lapsed = entry(&[], 0);
    lapsed.broken = 1;
    let mut bytes = write_header(&header());
    bytes.extend(write_entry(&lapsed));
    let past = read(&bytes[..]).unwrap().unwrap();
    assert_eq!((past.lapses.broken, past.done.is_empty()), (1, true));
    bytes.extend(write_entry(&entry(&[(0, 3)], 9)));
    assert_eq!(read(&bytes[..]), Err(Fault::Damaged(3)));
}

#[test]
fn ranges_in_doubt_add_up() {
    let mut bytes = write_header(&header());
    let mut lapsed = entry(&[], 0);
    (lapsed.broken, lapsed.strays, lapsed.in_doubt) = (1, 1, vec![(3, 9)]);
    bytes.extend(write_entry(&lapsed));
    lapsed.done = vec![(0, 3)];
    lapsed.input.records = 3;
    // Where there is nothing new they are not told again.
    lapsed.in_doubt = Vec::new();
    bytes.extend(write_entry(&lapsed));
    (lapsed.done, lapsed.broken) = (Vec::new(), 2);
    lapsed.in_doubt = vec![(3, 9), (20, 21)];
    bytes.extend(write_entry(&lapsed));
    let past = read(&bytes[..]).unwrap().unwrap();
    assert_eq!(past.doubts.ranges(), [(3, 9), (20, 21)]);
    assert_eq!((past.lapses.broken, past.lapses.strays), (2, 1));
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

//! Each rule of the input by itself; all of them together, at random, in `random`.

mod parts;
mod random;
mod rows;

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::thread;

use super::validator::SourceStart;
use super::*;
use crate::budget::BOOKKEEPING;
use crate::record::Separator;
use crate::shape::Format;

/// What becomes of a record, free of buffers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Record(Vec<u8>),
    Invalid { line: u64, record: Vec<u8> },
    TooLarge,
}

/// The records of an arrival; checks that their indices follow on `seen`.
fn note(arrival: &Arrival, separator: Separator, seen: &mut Vec<Seen>) {
    match arrival {
        Arrival::Records(block) => {
            assert_eq!(block.first.0, seen.len() as u64);
            let records =
                block.bytes.strip_suffix(&[separator.byte()]).expect("ends with the separator");
            let before = seen.len();
            let records = records.split(|&b| b == separator.byte());
            seen.extend(records.map(|record| Seen::Record(record.to_vec())));
            assert_eq!(block.count, seen.len() - before);
        }
        Arrival::Rejected(rejected) => {
            assert_eq!(rejected.index.0, seen.len() as u64);
            seen.push(match &rejected.reason {
                Rejection::Invalid { flaw, record } => Seen::Invalid {
                    line: flaw.line,
                    record: record.to_vec(),
                },
                Rejection::TooLarge { .. } => Seen::TooLarge,
                Rejection::Passed { .. } => panic!("nothing is passed on here"),
            });
        }
        Arrival::Odd(_) => {}
        Arrival::Awaited(_) | Arrival::End | Arrival::Failed(_) | Arrival::Changed(_) => {
            panic!("{arrival:?} comes from read_all")
        }
    }
}

pub(super) const LINES: Shape = Shape::LINES;
pub(super) const JSONL: Shape = Shape {
    format: Format::Jsonl,
    ..LINES
};

/// What `read_all` makes of files with these contents.
fn read_files(contents: &[&[u8]], shape: Shape) -> Vec<Arrival> {
    let folder = tempfile::tempdir().unwrap();
    let sources = contents.iter().enumerate().map(|(number, content)| {
        let path = folder.path().join(number.to_string());
        std::fs::write(&path, content).unwrap();
        InputSource::File(path)
    });
    read_sources(sources.collect(), shape)
}

fn read_sources(sources: Vec<InputSource>, shape: Shape) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    read_all(
        sources,
        shape,
        Budget::new(64 << 20),
        LeftOut::default(),
        |arrival| {
            arrivals.push(arrival);
            Ok(())
        },
    );
    arrivals
}

fn invalid(line: &[u8]) -> (u64, usize, String) {
    match read_files(&[&[b"1\n\n", line].concat()], JSONL).swap_remove(1) {
        Arrival::Rejected(Rejected {
            index: Index(1),
            reason: Rejection::Invalid { flaw, .. },
        }) => (flaw.line, flaw.column, flaw.message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_follow_each_other_and_no_record_spans_two() {
    let arrivals = read_files(&[b"a", b"", b"b\n\nc"], LINES);
    let mut seen = Vec::new();
    for arrival in &arrivals[..arrivals.len() - 1] {
        note(arrival, Separator::Newline, &mut seen);
    }
    let record = |text: &str| Seen::Record(text.into());
    assert_eq!(seen, [record("a"), record("b"), record(""), record("c")]);
    assert!(matches!(arrivals.last(), Some(Arrival::End)));
}

#[test]
fn an_invalid_line_is_named_by_line_column_and_fault() {
    let text = |(line, column, message): (u64, usize, &str)| (line, column, message.to_owned());
    assert_eq!(invalid(b" {\"a\" 1}"), text((3, 7, "expected `:`")));
    assert_eq!(invalid(b"1 2\r"), text((3, 3, "trailing characters")));
    assert_eq!(invalid(b"\"a\xff\""), text((3, 3, "invalid UTF-8")));
    assert_eq!(invalid(b"{\"a\": NaN}"), text((3, 7, "JSON has no NaN")));
    assert_eq!(
        invalid(b"[1,-Infinity]"),
        text((3, 5, "JSON has no Infinity"))
    );
    let bom = "a byte order mark in the middle of a file";
    assert_eq!(invalid(b"\xef\xbb\xbf{}"), text((3, 1, bom)));
}

#[test]
fn nesting_needs_no_stack() {
    let open = vec![b'['; 1_000_000];
    let closed = [open.clone(), vec![b']'; 1_000_000]].concat();
    let shape = Shape {
        max_record: 2_000_000,
        ..JSONL
    };
    let arrivals = read_files(&[&open, &closed], shape);
    assert!(
        matches!(&arrivals[0], Arrival::Rejected(Rejected { reason: Rejection::Invalid { flaw, .. }, .. }) if flaw.column == open.len())
    );
    assert!(matches!(&arrivals[1], Arrival::Records(block) if block.bytes.len() == 2_000_001));
}

#[test]
fn a_flood_of_malformed_lines_comes_out_one_by_one() {
    let arrivals = read_files(&[&b"x\n".repeat(100_000)], JSONL);
    assert_eq!(arrivals.len(), 100_001);
}

#[test]
fn numbers_of_any_size_and_lone_surrogates_are_json() {
    let text = b"1e999\n-0\n\"\\ud800\"\n{\"a\":1,\"a\":2}\n";
    let arrivals = read_files(&[text], JSONL);
    assert!(
        matches!(&arrivals[0], Arrival::Records(block) if block.count == 4 && *block.bytes == text[..])
    );
}

#[test]
fn a_failed_read_ends_the_input_and_names_what_is_left_out() {
    let seen = RefCell::new(Vec::new());
    let send = |arrival| {
        note(&arrival, Separator::Newline, &mut seen.borrow_mut());
        Ok(())
    };
    let mut cutter = Cutter::new(LINES, Budget::new(1 << 20), send);
    let mut reads = [Ok(b"whole\npart"), Err(io::Error::other("broken"))].into_iter();
    let stop = cutter.read(4096, SourceStart::OfFile, |bytes, _| {
        let read = reads.next().expect("a failed read is the last")?;
        bytes.extend_from_slice(read);
        Ok(read.len())
    });
    let Err(Stop::Failed { error, unfinished }) = stop else {
        panic!("{stop:?}");
    };
    assert_eq!(*seen.borrow(), [Seen::Record(b"whole".into())]);
    let file = "f".to_owned();
    let read_error = ReadError {
        file,
        error,
        unfinished,
    };
    let message = "cannot read f: broken (the last 4 bytes, an unfinished record, are left out)";
    assert_eq!(read_error.to_string(), message);
}

#[test]
fn a_source_that_cannot_be_read_is_the_end_of_it_all() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first");
    std::fs::write(&first, "a\n").unwrap();
    for bad in [folder.path().to_owned(), folder.path().join("missing")] {
        let path = bad.display().to_string();
        let sources = [first.clone(), bad, first.clone()].map(InputSource::File);
        let arrivals = read_sources(sources.into(), LINES);
        assert!(
            matches!(&arrivals[..], [Arrival::Records(_), Arrival::Failed(error)] if error.file == path),
            "{arrivals:?}"
        );
    }
}

#[test]
fn nothing_is_read_for_an_engine_that_is_gone() {
    let mut sent = 0;
    let source = InputSource::File("Cargo.toml".into());
    let sources = vec![source.clone(), source];
    read_all(
        sources,
        LINES,
        Budget::new(1 << 20),
        LeftOut::default(),
        |_| {
            sent += 1;
            Err(Gone)
        },
    );
    assert_eq!(sent, 1);
}

#[test]
fn a_descriptor_that_does_not_block_is_waited_for() {
    let (read_end, write_end) = rustix::pipe::pipe().unwrap();
    rustix::fs::fcntl_setfl(&read_end, rustix::fs::OFlags::NONBLOCK).unwrap();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::with_capacity(8);
        let count = source::fill(read_end.as_fd(), &mut bytes, 8).unwrap();
        let end = source::fill(read_end.as_fd(), &mut bytes, 8).unwrap();
        (count, end, bytes)
    });
    rustix::io::write(&write_end, b"ab").unwrap();
    drop(write_end);
    assert_eq!(reader.join().unwrap(), (2, 0, b"ab".to_vec()));
}

#[test]
fn a_grown_buffer_reads_no_more_at_once_and_is_given_up_after_its_record() {
    let budget = Budget::new(1 << 30);
    let mut held = Vec::new();
    let mut cutter = Cutter::new(LINES, budget.clone(), |arrival| {
        held.push(budget.held());
        drop(arrival);
        Ok(())
    });
    let long = [&[b'x'; 100_000][..], b"\n"].concat();
    let mut input: Vec<&[u8]> = long.chunks(4096).collect();
    input.extend([&b"short\n"[..]; 2]);
    let mut input = input.into_iter();
    let fill = |bytes: &mut Vec<u8>, max: usize| {
        let read = input.next().unwrap_or_default();
        assert!(read.len() <= max);
        bytes.extend_from_slice(read);
        Ok(read.len())
    };
    cutter.read(4096, SourceStart::OfFile, fill).unwrap();
    drop(cutter);
    let small = 4096 + BOOKKEEPING + "short\n".len() + BOOKKEEPING;
    // The record with what it needs alone, then copies beside an ordinary buffer.
    assert_eq!(held, [long.len() + BOOKKEEPING, small, small]);
}

/// The bytes of all arrivals, and those that are in none of them.
fn counted(content: &[u8], shape: Shape) -> (usize, i64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input");
    std::fs::write(&path, content).unwrap();
    let (left_out, mut sent) = (LeftOut::default(), 0);
    let budget = Budget::new(64 << 20);
    let sources = vec![InputSource::File(path)];
    read_all(sources, shape, budget, left_out.clone(), |arrival| {
        sent += match arrival {
            Arrival::Records(block) => block.bytes.len(),
            Arrival::Rejected(rejected) => rejected.bytes(),
            Arrival::Awaited(_)
            | Arrival::Odd(_)
            | Arrival::End
            | Arrival::Failed(_)
            | Arrival::Changed(_) => 0,
        };
        Ok(())
    });
    (sent, left_out.bytes())
}

#[test]
fn every_byte_is_in_a_record_or_counted_as_left_out() {
    assert_eq!(counted(b"a\n\nbb\n", LINES), (6, 0));
    let long = [&[b'x'; 400_000], &b"\na\n"[..]].concat();
    let short = Shape {
        max_record: 100_000,
        ..LINES
    };
    assert_eq!(counted(&long, short), (2, 400_001));
    let json = b"\xef\xbb\xbf1\n\n  2 \r\nwrong\n[3]\n";
    let (sent, left_out) = counted(json, JSONL);
    assert_eq!(sent as i64 + left_out, json.len() as i64);
    assert_eq!(left_out, 3 + 1 + 4);
    let short = Shape {
        max_record: 3,
        ..JSONL
    };
    let (sent, left_out) = counted(json, short);
    assert_eq!(sent as i64 + left_out, json.len() as i64);
}

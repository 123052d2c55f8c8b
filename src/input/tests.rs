//! The input against a naive model, and each of its rules by itself.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, TryRecvError, bounded};
use fastrand::Rng;

use super::*;
use crate::budget::BOOKKEEPING;

/// Longer than any test takes on a busy machine.
const TIME_LIMIT: Duration = Duration::from_secs(60);

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
            let records = block
                .bytes
                .strip_suffix(&[separator.byte()])
                .expect("ends with the separator");
            let before = seen.len();
            let records = records.split(|&b| b == separator.byte());
            seen.extend(records.map(|record| Seen::Record(record.to_vec())));
            assert_eq!(block.count, seen.len() - before);
        }
        Arrival::Rejected(rejected) => {
            assert_eq!(rejected.index.0, seen.len() as u64);
            seen.push(match &rejected.reason {
                Rejection::Invalid { line, record, .. } => Seen::Invalid {
                    line: *line,
                    record: record.to_vec(),
                },
                Rejection::TooLarge { .. } => Seen::TooLarge,
            });
        }
        Arrival::End | Arrival::Failed(_) => panic!("{arrival:?} comes from read_all"),
    }
}

/// What should become of the records of a source.
fn model(source: &[u8], settings: Settings, seen: &mut Vec<Seen>) {
    let separator = settings.separator.byte();
    let whole = source.strip_suffix(&[separator]).unwrap_or(source);
    if source.is_empty() {
        return;
    }
    for (number, line) in whole.split(|&b| b == separator).enumerate() {
        if line.len() > settings.max_record {
            seen.push(Seen::TooLarge);
        } else if settings.format == Format::Lines {
            seen.push(Seen::Record(line.to_vec()));
        } else {
            let line = match line.strip_prefix(b"\xEF\xBB\xBF") {
                Some(rest) if number == 0 => rest,
                _ => line,
            };
            let space = |b: &u8| b" \t\r".contains(b);
            if line.iter().all(space) {
                continue;
            }
            let text = str::from_utf8(line);
            let value = text.map(|text| text.trim_matches([' ', '\t', '\r']));
            seen.push(match value {
                Ok(value) if serde_json::from_str::<serde_json::Value>(value).is_ok() => {
                    Seen::Record(value.into())
                }
                _ => Seen::Invalid {
                    line: number as u64 + 1,
                    record: line.to_vec(),
                },
            });
        }
    }
}

/// A run with everything random in it.
#[derive(Debug)]
struct Case {
    settings: Settings,
    block: usize,
    max_read: usize,
    sources: Vec<Vec<u8>>,
}

impl Case {
    fn random(rng: &mut Rng) -> Self {
        let format = rng.choice([Format::Lines, Format::Jsonl]).unwrap();
        let separator = match format {
            Format::Lines => rng.choice([Separator::Newline, Separator::Nul]).unwrap(),
            Format::Jsonl => Separator::Newline,
        };
        Self {
            settings: Settings {
                format,
                separator,
                max_record: rng.choice([0, 5, 40, 1000, 1 << 20]).unwrap(),
            },
            block: rng.choice([4, 16, 100, 4096]).unwrap(),
            max_read: rng.choice([1, 7, 100, 10_000]).unwrap(),
            sources: (0..rng.usize(0..4))
                .map(|_| Self::source(format, separator, rng))
                .collect(),
        }
    }

    fn source(format: Format, separator: Separator, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = Vec::new();
        if rng.bool() {
            bytes.extend(b"\xEF\xBB\xBF");
        }
        for _ in 0..rng.usize(0..60) {
            if format == Format::Lines {
                let most = rng.choice([3, 30, 2000]).unwrap();
                let length = rng.usize(0..most);
                bytes.extend((0..length).map(|_| rng.choice(*b"ab \r\n\0\xff\xc3").unwrap()));
            } else {
                let pieces: [&[u8]; 14] = [
                    b"{\"a\":[1,2.5e3,null]}",
                    b"\"x\xc3\xa9\\u00e9\"",
                    b" \t12345678901234567890123 \r",
                    b"true",
                    b" \r\t ",
                    b"",
                    b"{\"a\":",
                    b"1 2",
                    b"NaN",
                    b"\"\xff\"",
                    b"\xEF\xBB\xBF1",
                    b"\r\"",
                    b"\0",
                    b"  [\t]\r",
                ];
                bytes.extend(rng.choice(pieces).unwrap());
                if rng.u8(..) < 20 {
                    let length = rng.usize(0..3000);
                    bytes.extend(format!("\"{}\"", "y".repeat(length)).bytes());
                }
            }
            bytes.push(separator.byte());
        }
        if rng.bool() {
            bytes.pop();
        }
        bytes
    }

    /// Reads all sources; `before_read` is given what has been read of the present one.
    fn read(
        &self,
        rng: &mut Rng,
        budget: Budget,
        send: impl FnMut(Arrival) -> Result<(), Gone>,
        before_read: impl Fn(usize, &[u8]),
    ) {
        let mut cutter = Cutter::new(self.settings, budget, send);
        for (number, source) in self.sources.iter().enumerate() {
            let mut read = 0;
            let fill = |bytes: &mut Vec<u8>, max: usize| {
                before_read(number, &source[..read]);
                let room = max.min(bytes.capacity() - bytes.len());
                assert!(room > 0 && max == self.block);
                let left = &source[read..];
                let count = room.min(left.len()).min(rng.usize(1..=self.max_read));
                bytes.extend_from_slice(&left[..count]);
                read += count;
                Ok(count)
            };
            cutter.read(self.block, fill).expect("nothing fails here");
        }
    }

    fn model(&self) -> Vec<Seen> {
        let mut seen = Vec::new();
        for source in &self.sources {
            model(source, self.settings, &mut seen);
        }
        seen
    }
}

#[test]
fn random_input_comes_out_as_the_model_says_and_not_later_than_it_may() {
    for seed in 0..3000 {
        let mut rng = Rng::with_seed(seed);
        let case = Case::random(&mut rng);
        let budget = Budget::new(usize::MAX / 2);
        let seen = RefCell::new(Vec::new());
        let send = |arrival| {
            note(&arrival, case.settings.separator, &mut seen.borrow_mut());
            Ok(())
        };
        case.read(&mut rng, budget.clone(), send, |number, read| {
            // Whole lines have been sent on before the next read.
            let mut due = Vec::new();
            for source in &case.sources[..number] {
                model(source, case.settings, &mut due);
            }
            let separator = case.settings.separator.byte();
            let whole = memchr::memrchr(separator, read).map_or(0, |last| last + 1);
            model(&read[..whole], case.settings, &mut due);
            if read.len() - whole > case.settings.max_record {
                due.push(Seen::TooLarge);
            }
            assert_eq!(seen.borrow().len(), due.len(), "seed {seed}: {case:?}");
        });
        assert_eq!(seen.into_inner(), case.model(), "seed {seed}: {case:?}");
        assert_eq!(budget.held(), 0, "seed {seed}");
    }
}

#[test]
fn a_small_budget_bounds_what_is_held_and_never_stops_a_run() {
    for seed in 0..1500 {
        let mut rng = Rng::with_seed(seed);
        let case = Case::random(&mut rng);
        let limit = rng.choice([0, 500, 8 << 10, 64 << 10]).unwrap();
        let budget = Budget::new(limit);
        // One record beyond the budget passes alone, in a buffer with its successor beside it.
        let alone = 2 * (case.settings.max_record.min(4000) * 2 + 2 * case.block + BOOKKEEPING);
        let (sender, receiver) = bounded(rng.usize(1..4));
        let expected = case.model();
        let separator = case.settings.separator;
        let reader = thread::spawn({
            let budget = budget.clone();
            let mut rng = rng.fork();
            move || {
                let send = |arrival| {
                    assert!(budget.held() <= limit.max(alone), "seed {seed}: {case:?}");
                    sender.send(arrival).map_err(|_| Gone)
                };
                case.read(&mut rng, budget.clone(), send, |_, _| {});
            }
        });
        // Holds on to some arrivals for a while, but not while the reader may wait for them.
        let (mut held, mut seen) = (Vec::new(), Vec::new());
        loop {
            let arrival = match receiver.try_recv() {
                Ok(arrival) => arrival,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    held.clear();
                    match receiver.recv_timeout(TIME_LIMIT) {
                        Ok(arrival) => arrival,
                        Err(RecvTimeoutError::Disconnected) => break,
                        Err(RecvTimeoutError::Timeout) => panic!("stuck, seed {seed}"),
                    }
                }
            };
            note(&arrival, separator, &mut seen);
            held.push(arrival);
            if rng.bool() {
                held.swap_remove(rng.usize(..held.len()));
            }
        }
        reader.join().expect("the reader does not panic");
        drop(held);
        assert_eq!(seen, expected, "seed {seed}");
        assert_eq!(budget.held(), 0, "seed {seed}");
    }
}

const LINES: Settings = Settings {
    format: Format::Lines,
    separator: Separator::Newline,
    max_record: 1 << 20,
};
const JSONL: Settings = Settings {
    format: Format::Jsonl,
    ..LINES
};

/// What `read_all` makes of files with these contents.
fn read_files(contents: &[&[u8]], settings: Settings) -> Vec<Arrival> {
    let folder = tempfile::tempdir().unwrap();
    let sources = contents.iter().enumerate().map(|(number, content)| {
        let path = folder.path().join(number.to_string());
        std::fs::write(&path, content).unwrap();
        Source::File(path)
    });
    read_sources(sources.collect(), settings)
}

fn read_sources(sources: Vec<Source>, settings: Settings) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    read_all(sources, settings, Budget::new(64 << 20), |arrival| {
        arrivals.push(arrival);
        Ok(())
    });
    arrivals
}

fn invalid(line: &[u8]) -> (u64, usize, String) {
    match read_files(&[&[b"1\n\n", line].concat()], JSONL).swap_remove(1) {
        Arrival::Rejected(Rejected {
            index: Index(1),
            reason:
                Rejection::Invalid {
                    line,
                    column,
                    message,
                    ..
                },
        }) => (line, column, message),
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
    assert_eq!(invalid(b"NaN"), text((3, 1, "expected value")));
}

#[test]
fn nesting_needs_no_stack() {
    let open = vec![b'['; 1_000_000];
    let closed = [open.clone(), vec![b']'; 1_000_000]].concat();
    let settings = Settings {
        max_record: 2_000_000,
        ..JSONL
    };
    let arrivals = read_files(&[&open, &closed], settings);
    assert!(
        matches!(&arrivals[0], Arrival::Rejected(Rejected { reason: Rejection::Invalid { column, .. }, .. }) if *column == open.len())
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
    let stop = cutter.read(4096, |bytes, _| {
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
        let sources = [first.clone(), bad, first.clone()].map(Source::File);
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
    let source = Source::File("Cargo.toml".into());
    let sources = vec![source.clone(), source];
    read_all(sources, LINES, Budget::new(1 << 20), |_| {
        sent += 1;
        Err(Gone)
    });
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
    cutter.read(4096, fill).unwrap();
    drop(cutter);
    let small = 4096 + BOOKKEEPING + "short\n".len() + BOOKKEEPING;
    // The record with what it needs alone, then copies beside an ordinary buffer.
    assert_eq!(held, [long.len() + BOOKKEEPING, small, small]);
}

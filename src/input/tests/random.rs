//! Random bytes in random reads, against a naive model. A failure names its seed.

use std::cell::RefCell;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, TryRecvError, bounded};
use fastrand::Rng;

use super::{Seen, note};
use crate::budget::{BOOKKEEPING, Budget};
use crate::input::cut::Cutter;
use crate::input::validator::SourceStart;
use crate::input::{Arrival, Gone};
use crate::record::Separator;
use crate::shape::{AnswerEnd, EarlierErrors, Encoding, Format, Protocol, Shape};

/// Longer than any test takes on a busy machine.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What should become of the records of a source.
fn model(source: &[u8], shape: Shape, seen: &mut Vec<Seen>) {
    let separator = shape.separator.byte();
    let whole = source.strip_suffix(&[separator]).unwrap_or(source);
    if source.is_empty() {
        return;
    }
    for (number, line) in whole.split(|&b| b == separator).enumerate() {
        if line.len() > shape.max_record {
            seen.push(Seen::TooLarge);
        } else if shape.format == Format::Lines {
            let is_text = shape.encoding() == Encoding::Bytes || str::from_utf8(line).is_ok();
            seen.push(if is_text {
                Seen::Record(line.to_vec())
            } else {
                Seen::Invalid {
                    line: number as u64 + 1,
                    record: line.to_vec(),
                }
            });
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
    shape: Shape,
    block: usize,
    max_read: usize,
    sources: Vec<Vec<u8>>,
}

impl Case {
    fn random(rng: &mut Rng) -> Self {
        let format = rng.choice([Format::Lines, Format::Jsonl]).unwrap();
        let separator = match format {
            Format::Lines => rng.choice([Separator::Newline, Separator::Nul]).unwrap(),
            _ => Separator::Newline,
        };
        Self {
            shape: Shape {
                format,
                protocol: rng.choice([Protocol::Lines, Protocol::Json]).unwrap(),
                separator,
                max_record: rng.choice([0, 5, 40, 1000, 1 << 20]).unwrap(),
                record_end: None,
                answer_end: AnswerEnd::Separator,
                earlier_errors: EarlierErrors::Sent,
                field: None,
                merge: None,
            },
            block: rng.choice([4, 16, 100, 4096]).unwrap(),
            max_read: rng.choice([1, 7, 100, 10_000]).unwrap(),
            sources: (0..rng.usize(0..4)).map(|_| Self::source(format, separator, rng)).collect(),
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
        let mut cutter = Cutter::new(self.shape, budget, send);
        for (number, source) in self.sources.iter().enumerate() {
            let mut read = 0;
            let fill = |bytes: &mut Vec<u8>, max: usize| {
                before_read(number, &source[..read]);
                let room = max.min(bytes.capacity() - bytes.len());
                assert!(room > 0 && max <= self.block);
                let left = &source[read..];
                let count = room.min(left.len()).min(rng.usize(1..=self.max_read));
                bytes.extend_from_slice(&left[..count]);
                read += count;
                Ok(count)
            };
            cutter.read(self.block, SourceStart::OfFile, fill).expect("nothing fails here");
        }
    }

    /// How many records come before each source.
    fn counts(&self) -> Vec<usize> {
        let mut seen = Vec::new();
        let count = |source: &Vec<u8>| {
            let before = seen.len();
            model(source, self.shape, &mut seen);
            before
        };
        self.sources.iter().map(count).collect()
    }

    fn model(&self) -> Vec<Seen> {
        let mut seen = Vec::new();
        for source in &self.sources {
            model(source, self.shape, &mut seen);
        }
        seen
    }
}

#[test]
fn random_input_comes_out_as_the_model_says_and_not_later_than_it_may() {
    for seed in 0..1000 {
        let mut rng = Rng::with_seed(seed);
        let case = Case::random(&mut rng);
        let budget = Budget::new(usize::MAX / 2);
        let before = case.counts();
        let seen = RefCell::new(Vec::new());
        let send = |arrival| {
            note(&arrival, case.shape.separator, &mut seen.borrow_mut());
            Ok(())
        };
        case.read(&mut rng, budget.clone(), send, |number, read| {
            // Whole lines have been sent on before the next read. Looked at in the first bytes of
            // each source only, for the model starts anew each time.
            if read.len() > 600 {
                return;
            }
            let mut due = Vec::new();
            let separator = case.shape.separator.byte();
            let whole = memchr::memrchr(separator, read).map_or(0, |last| last + 1);
            model(&read[..whole], case.shape, &mut due);
            if read.len() - whole > case.shape.max_record {
                due.push(Seen::TooLarge);
            }
            let due = before[number] + due.len();
            assert_eq!(seen.borrow().len(), due, "seed {seed}: {case:?}");
        });
        assert_eq!(seen.into_inner(), case.model(), "seed {seed}: {case:?}");
        assert_eq!(budget.held(), 0, "seed {seed}");
    }
}

#[test]
fn a_small_budget_bounds_what_is_held_and_never_stops_a_run() {
    for seed in 0..100 {
        let mut rng = Rng::with_seed(seed);
        let case = Case::random(&mut rng);
        let limit = rng.choice([0, 500, 8 << 10, 64 << 10]).unwrap();
        let budget = Budget::new(limit);
        // One record beyond the budget passes alone, in a buffer with its successor beside it.
        let alone = 2 * (case.shape.max_record.min(4000) * 2 + 2 * case.block + BOOKKEEPING);
        let (sender, receiver) = bounded(rng.usize(1..4));
        let expected = case.model();
        let separator = case.shape.separator;
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

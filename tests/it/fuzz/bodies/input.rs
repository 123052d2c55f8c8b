use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;

use mtask::budget::Budget;
use mtask::input::{Arrival, InputSource, LeftOut, Rejection, read_all};
use mtask::record::Separator;
use mtask::shape::{AnswerEnd, EarlierErrors, Encoding, Format, Protocol, Shape};
use rustix::fs::{MemfdFlags, memfd_create};
use serde::de::IgnoredAny;

#[derive(Debug, PartialEq)]
enum Seen {
    Record(Vec<u8>),
    Invalid(Vec<u8>),
    TooLarge,
}

/// Reads the bytes as one or two files, and compares what comes of them with a simple model.
pub(crate) fn input(mut data: &[u8]) {
    let flags = super::take(&mut data);
    let format = if flags & 1 == 0 {
        Format::Lines
    } else {
        Format::Jsonl
    };
    let shape = Shape {
        format,
        protocol: if flags & 2 == 0 {
            Protocol::Lines
        } else {
            Protocol::Json
        },
        separator: match format {
            Format::Lines if flags & 4 != 0 => Separator::Nul,
            _ => Separator::Newline,
        },
        max_record: [3, 20, 100, 1 << 20][flags >> 3 & 3],
        record_end: None,
        answer_end: AnswerEnd::Separator,
        earlier_errors: EarlierErrors::Sent,
        field: None,
        merge: None,
    };
    let budget = Budget::new(1 << 30);
    let split = if flags & 32 == 0 {
        0
    } else {
        super::take(&mut data).min(data.len())
    };
    let sources = [&data[..split], &data[split..]];
    let files = sources.map(|bytes| {
        let memory = memfd_create("input", MemfdFlags::CLOEXEC).expect("memory");
        let mut file = File::from(memory);
        file.write_all(bytes).expect("memory");
        file
    });
    let paths = files
        .each_ref()
        .map(|file| InputSource::File(format!("/proc/self/fd/{}", file.as_raw_fd()).into()));
    let (mut seen, mut next, mut has_ended) = (Vec::new(), 0, false);
    read_all(
        paths.into(),
        shape,
        budget.clone(),
        LeftOut::default(),
        |arrival| {
            assert!(!has_ended, "something comes after the end");
            match arrival {
                Arrival::Records(block) => {
                    assert_eq!(block.first.0, next);
                    next += block.count as u64;
                    let bytes = block.bytes.strip_suffix(&[shape.separator.byte()]);
                    let lines =
                        bytes.expect("a separator").split(|byte| *byte == shape.separator.byte());
                    let before = seen.len();
                    seen.extend(lines.map(|line| Seen::Record(line.to_vec())));
                    assert_eq!(seen.len() - before, block.count);
                }
                Arrival::Rejected(rejected) => {
                    assert_eq!(rejected.index.0, next);
                    next += 1;
                    seen.push(match rejected.reason {
                        Rejection::Invalid { record, flaw } => {
                            assert!((1..=record.len() + 1).contains(&flaw.column), "{flaw}");
                            Seen::Invalid(record.to_vec())
                        }
                        Rejection::TooLarge { .. } => Seen::TooLarge,
                        Rejection::Passed { .. } => panic!("nothing is passed on here"),
                    });
                }
                Arrival::Odd(_) => {}
                Arrival::Awaited(pipe) => panic!("{pipe}"),
                Arrival::End => has_ended = true,
                Arrival::Failed(error) => panic!("{error}"),
                Arrival::Changed(_) => panic!("nothing is resumed"),
            }
            Ok(())
        },
    );
    assert!(has_ended);
    assert_eq!(budget.held(), 0);
    let mut expected = Vec::new();
    sources.iter().for_each(|source| model(source, shape, &mut expected));
    assert_eq!(seen, expected);
}

fn model(source: &[u8], shape: Shape, seen: &mut Vec<Seen>) {
    let separator = shape.separator.byte();
    if source.is_empty() {
        return;
    }
    let whole = source.strip_suffix(&[separator]).unwrap_or(source);
    for (number, line) in whole.split(|byte| *byte == separator).enumerate() {
        if line.len() > shape.max_record {
            seen.push(Seen::TooLarge);
        } else if shape.format == Format::Lines {
            let is_text = shape.encoding() == Encoding::Bytes || str::from_utf8(line).is_ok();
            seen.push(if is_text {
                Seen::Record(line.into())
            } else {
                Seen::Invalid(line.into())
            });
        } else {
            let line = match line.strip_prefix(b"\xEF\xBB\xBF") {
                Some(rest) if number == 0 => rest,
                _ => line,
            };
            if line.iter().all(|byte| b" \t\r".contains(byte)) {
                continue;
            }
            let text = str::from_utf8(line).ok();
            let value = text.map(|text| text.trim_matches([' ', '\t', '\r']));
            let value = value.filter(|value| serde_json::from_str::<IgnoredAny>(value).is_ok());
            seen.push(match value {
                Some(value) => Seen::Record(value.into()),
                None => Seen::Invalid(line.into()),
            });
        }
    }
}

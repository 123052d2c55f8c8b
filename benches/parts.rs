//! How fast the parts are through which every record passes, without processes and pipes:
//! `cargo bench`, or `cargo bench json` for those that have it in their name.
//!
//! What a whole run achieves is measured by `benches/compare.py`.

use std::hint::black_box;
use std::io::Write;
use std::time::Duration;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use mtask::budget::{BOOKKEEPING, Budget};
use mtask::input::{self, InputSource, LeftOut};
use mtask::outcome::{
    Cause, Chunks, ErrorInput, Failure, Lines, OutputFormat, Rendering, TimeLimit,
};
use mtask::protocol::stdout::{Part, StdoutLines};
use mtask::protocol::{json, lines};
use mtask::record::{Block, Index, Separator, Slice};
use mtask::shape::{AnswerEnd, EarlierErrors, Format, Protocol, Shape};

/// As many bytes as are read from a worker at most.
const READ: usize = 128 * 1024;
const MAX_LINE: usize = 1 << 20;

fn main() {
    divan::main();
}

/// JSON records of 96 bytes, each followed by a newline: so many as fit.
fn records(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut text = Vec::with_capacity(bytes);
    for id in 0..bytes / 96 {
        let (a, b) = (random.u128(..), random.u128(..));
        writeln!(text, "{{\"id\":{id:8},\"text\":\"{a:032x}{b:032x}\"}}").expect("a Vec takes all");
    }
    text
}

fn count(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

fn block(bytes: &[u8], budget: &Budget) -> Block {
    let bytes = bytes.to_vec();
    budget.add(bytes.capacity() + BOOKKEEPING);
    Block {
        first: Index(1_000_000),
        count: count(&bytes),
        bytes: Slice::new(bytes, budget),
    }
}

fn shape(format: Format) -> Shape {
    Shape {
        format,
        protocol: Protocol::Lines,
        separator: Separator::Newline,
        max_record: MAX_LINE,
        record_end: None,
        answer_end: AnswerEnd::Separator,
        earlier_errors: EarlierErrors::Sent,
        field: None,
        merge: None,
    }
}

fn rendering(output_format: OutputFormat) -> Rendering {
    Rendering {
        shape: shape(Format::Lines),
        output_format,
        error_input: ErrorInput::Whole,
    }
}

/// What a worker wrote, from reads to counted answers. A read ends in the middle of a line.
#[divan::bench(args = [4096, READ])]
fn lines_read(bencher: Bencher<'_, '_>, read: usize) {
    let text = records(1 << 20);
    let budget = Budget::new(64 << 20);
    let mut stdout = StdoutLines::new(Separator::Newline, MAX_LINE, &budget);
    let mut buffer = Vec::with_capacity(READ + read);
    bencher
        .counter(BytesCount::new(text.len()))
        .counter(ItemsCount::new(count(&text)))
        .bench_local(|| {
            let mut owed = usize::MAX;
            for bytes in text.chunks(read) {
                buffer.clear();
                stdout.lead(&mut buffer);
                buffer.extend_from_slice(bytes);
                stdout.cut(&mut buffer, |part| {
                    lines::read(part, &mut owed, Separator::Newline, |answer| {
                        black_box(answer);
                    });
                });
            }
            owed
        });
}

/// Records to lines for a worker.
#[divan::bench(args = [Format::Lines, Format::Jsonl])]
fn json_write(bencher: Bencher<'_, '_>, format: Format) {
    let budget = Budget::new(64 << 20);
    let block = block(&records(64 * 1024), &budget);
    bencher
        .counter(BytesCount::new(block.bytes.len()))
        .counter(ItemsCount::new(block.count))
        .bench_local(|| json::write(&block, None, &shape(format)));
}

/// Lines of a worker to answers; `{"id":N,"output":...}` is the usual form.
#[divan::bench(args = ["output", "error"])]
fn json_read(bencher: Bencher<'_, '_>, field: &str) {
    let text = records(64 * 1024);
    let lines: Vec<Vec<u8>> = text
        .split(|&byte| byte == b'\n')
        .filter(|record| !record.is_empty())
        .enumerate()
        .map(|(id, record)| {
            let mut line = format!("{{\"id\":{id},\"{field}\":").into_bytes();
            line.extend_from_slice(record);
            line.push(b'}');
            line
        })
        .collect();
    bencher
        .counter(BytesCount::new(lines.iter().map(Vec::len).sum::<usize>()))
        .counter(ItemsCount::new(lines.len()))
        .bench_local(|| {
            for line in &lines {
                black_box(json::read(line, json::Wanted::Json(Separator::Newline)));
            }
        });
}

/// Answers to what is written.
#[divan::bench(args = [OutputFormat::Raw, OutputFormat::Envelope])]
fn render_results(bencher: Bencher<'_, '_>, format: OutputFormat) {
    let text = records(64 * 1024);
    let records = count(&text);
    let rendering = rendering(format);
    let mut out = Chunks::default();
    bencher
        .counter(BytesCount::new(text.len()))
        .counter(ItemsCount::new(records))
        .bench_local(|| {
            let mut answers = Lines::Lent(black_box(&text));
            rendering.results(Index(0), records, &mut answers, text.len(), b"", &mut out);
            out.advance(out.len());
        });
}

/// A failure to its error record.
#[divan::bench]
fn render_failure(bencher: Bencher<'_, '_>) {
    let budget = Budget::new(64 << 20);
    let record = block(&records(96), &budget).first_record(Separator::Newline);
    let failure = Failure {
        index: Index(17),
        cause: Cause::Timeout {
            limit: TimeLimit::Usual(Duration::from_secs(5)),
            ended: mtask::outcome::Ended::Process,
        },
        worker: Some(1),
        attempts: 3,
        record: Some(record),
    };
    let rendering = rendering(OutputFormat::Raw);
    let mut out = Chunks::default();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        out.advance(out.len());
        rendering.failure(black_box(&mut failure.clone()), &mut out);
        out.len()
    });
}

/// The input from a file, which is in memory, to blocks; of JSON each line is looked at.
#[divan::bench(args = [Format::Lines, Format::Jsonl])]
fn input(bencher: Bencher<'_, '_>, format: Format) {
    let text = records(8 << 20);
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&text).expect("room for the file");
    bencher
        .counter(BytesCount::new(text.len()))
        .counter(ItemsCount::new(count(&text)))
        .bench_local(|| {
            input::read_all(
                vec![InputSource::File(file.path().to_owned())],
                shape(format),
                Budget::new(64 << 20),
                LeftOut::default(),
                |arrival| {
                    black_box(arrival);
                    Ok(())
                },
            );
        });
}

/// A line that is longer than may be, which is skipped.
#[divan::bench]
fn lines_too_long(bencher: Bencher<'_, '_>) {
    let budget = Budget::new(64 << 20);
    let mut stdout = StdoutLines::new(Separator::Newline, 1024, &budget);
    let mut line = [vec![b'x'; READ - 1], vec![b'\n']].concat();
    bencher.counter(BytesCount::new(line.len())).bench_local(|| {
        stdout.cut(black_box(&mut line), |part| {
            assert!(matches!(part, Part::TooLong(..)));
        });
    });
}

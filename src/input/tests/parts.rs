//! Shards: whatever the files, all of them together give what the files give, each record once.

use super::*;
use crate::shard::Shard;

/// What all shards of these files give together, and how many records each has.
fn read_shards(contents: &[Vec<u8>], shape: Shape, of: u64) -> Vec<Seen> {
    let folder = tempfile::tempdir().unwrap();
    let path = |number: usize| folder.path().join(number.to_string());
    for (number, content) in contents.iter().enumerate() {
        std::fs::write(path(number), content).unwrap();
    }
    let sizes: Vec<u64> = contents.iter().map(|content| content.len() as u64).collect();
    let mut all = Vec::new();
    for number in 0..of {
        let ranges = Shard::new(number, of).unwrap().ranges(&sizes).into_iter().enumerate();
        let part = |(number, range)| {
            InputSource::Part(FilePart {
                path: path(number),
                range,
            })
        };
        let arrivals = read_sources(ranges.map(part).collect(), shape);
        let (end, arrivals) = arrivals.split_last().unwrap();
        assert!(matches!(end, Arrival::End), "{end:?}");
        let mut seen = Vec::new();
        arrivals.iter().for_each(|arrival| note(arrival, shape.separator, &mut seen));
        all.append(&mut seen);
    }
    all
}

/// Lines are counted from where a part begins.
fn without_lines(seen: Vec<Seen>) -> Vec<Seen> {
    let without = |seen| match seen {
        Seen::Invalid { record, .. } => Seen::Invalid { line: 0, record },
        seen => seen,
    };
    seen.into_iter().map(without).collect()
}

#[test]
fn all_shards_together_are_the_whole_input() {
    let mut rng = fastrand::Rng::with_seed(7);
    for case in 0..400 {
        let (format, separator) = match rng.u8(0..3) {
            0 => (Format::Jsonl, Separator::Newline),
            1 => (Format::Lines, Separator::Newline),
            _ => (Format::Lines, Separator::Nul),
        };
        let shape = Shape {
            format,
            separator,
            max_record: rng.usize(3..60),
            ..LINES
        };
        let words: [&[u8]; 11] = [
            b"\n",
            b"\n",
            b"\r\n",
            b"\0",
            b"\0\0",
            b"1",
            b"\"ab\"",
            b" ",
            b"\xEF\xBB\xBF",
            b"[",
            b"\n\n",
        ];
        let content = |rng: &mut fastrand::Rng| {
            let count = rng.usize(0..60);
            (0..count).flat_map(|_| words[rng.usize(0..words.len())]).copied().collect::<Vec<u8>>()
        };
        let files = rng.usize(1..4);
        let contents: Vec<Vec<u8>> = (0..files).map(|_| content(&mut rng)).collect();
        let of = rng.u64(1..40);
        let whole = read_shards(&contents, shape, 1);
        let slices: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        let mut expected = Vec::new();
        let arrivals = read_files(&slices, shape);
        for arrival in &arrivals[..arrivals.len() - 1] {
            note(arrival, shape.separator, &mut expected);
        }
        assert_eq!(whole, expected, "case {case}: one shard of {contents:?}");
        let parts = read_shards(&contents, shape, of);
        assert_eq!(
            without_lines(parts),
            without_lines(expected),
            "case {case}: {of} shards of {contents:?}"
        );
    }
}

#[test]
fn a_file_that_has_become_shorter_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in");
    std::fs::write(&path, "1\n2\n").unwrap();
    let source = InputSource::Part(FilePart { path, range: 2..10 });
    let arrivals = read_sources(vec![source], LINES);
    let Some(Arrival::Failed(error)) = arrivals.last() else {
        panic!("{arrivals:?}");
    };
    let message = error.to_string();
    assert!(message.contains("shorter: it ends at byte 4"), "{message}");
}

#[test]
fn what_is_read_of_a_large_sparse_file_is_only_its_part() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in");
    let size: u64 = 100 << 30;
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(size).unwrap();
    let at = size / 2 + 10;
    std::os::unix::fs::FileExt::write_all_at(&file, b"\nhere\n", at).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"\n", size - 1).unwrap();
    let source = InputSource::Part(FilePart {
        path,
        range: size / 2..size / 2 + 16,
    });
    let mut seen = Vec::new();
    let arrivals = read_sources(vec![source], LINES);
    arrivals[..arrivals.len() - 1]
        .iter()
        .for_each(|arrival| note(arrival, Separator::Newline, &mut seen));
    assert_eq!(seen, [Seen::Record(b"here".to_vec())]);
}

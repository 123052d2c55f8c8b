use std::collections::BTreeMap;

use mtask::journal::format::{Entry, Extent, Files, Header, Prefix, read, write_header};

/// Reads the bytes as a journal; then makes one of them, and tears and changes that, by bytes and
/// by lines.
pub(crate) fn journal(mut data: &[u8]) {
    check(data);
    let (torn, changed) = (super::take(&mut data), super::take(&mut data));
    let is_unordered = torn % 2 == 1;
    let unordered = if is_unordered { "yes" } else { "no" };
    let header = Header {
        id: changed as u64,
        terms: BTreeMap::from([("--unordered".to_owned(), unordered.to_owned())]),
        files: Files {
            output: String::from_utf8_lossy(&data[..data.len().min(8)]).into_owned(),
            errors: None,
        },
        command: Vec::new(),
        made_from: None,
    };
    let (mut bytes, mut chain) = write_header(&header);
    let (mut lines, mut ends) = (vec![bytes.clone()], vec![bytes.len()]);
    let (mut next, mut written) = (0, 0);
    for entry in data.chunks_exact(3) {
        let (gap, count, grows) = (entry[0] % 4, entry[1], entry[2]);
        let gap = if is_unordered { gap } else { 0 };
        let done = (next + u64::from(gap), u64::from(count) + 1);
        next = done.0 + done.1;
        // An output that has become shorter is damage, which is looked at elsewhere.
        written += u64::from(grows);
        let line = chain.entry(Entry {
            done: vec![done],
            output: Extent {
                bytes: written,
                tail: u64::from(grows),
            },
            input: Prefix {
                records: next,
                hash: next,
            },
            ..Entry::default()
        });
        bytes.extend(&line);
        lines.push(line);
        ends.push(bytes.len());
    }
    let whole = read(&bytes[..]).expect("a journal").expect("a header");
    assert_eq!((whole.bytes, whole.header), (bytes.len(), header));

    let torn = bytes.len() * torn / 256;
    let past = read(&bytes[..torn]).expect("a torn journal");
    let end = ends.iter().rev().find(|end| **end <= torn);
    assert_eq!(past.map(|past| past.bytes), end.copied());

    // A line is lost, doubled or moved: what is read is damage, or what had been written by then.
    let (from, to) = (
        lines.len() * torn.min(255) / 256,
        lines.len() * changed / 256,
    );
    let mut lost = lines.clone();
    let line = lost.remove(from);
    let is_last = from + 1 == lines.len();
    let read_lost = read(&lost.concat()[..]);
    assert!(read_lost.is_err() || is_last, "a lost line goes unnoticed");
    lost.insert(to.min(lost.len()), line.clone());
    let is_moved = lost != lines;
    assert_eq!(read(&lost.concat()[..]).is_err(), is_moved, "a moved line");
    let mut doubled = lines.clone();
    doubled.insert(to + 1, line);
    assert!(read(&doubled.concat()[..]).is_err(), "a doubled line");

    let place = bytes.len() * changed / 256;
    bytes[place] ^= 1 + data.len() as u8 % 255;
    let is_left_out = check(&bytes) <= place;
    assert!(
        is_left_out,
        "a line that was changed is taken for a true one"
    );
}

/// What is read of any bytes is what is read of the part that counts; gives its length.
fn check(bytes: &[u8]) -> usize {
    let Ok(Some(past)) = read(bytes) else {
        return 0;
    };
    let length = past.bytes;
    let part = read(&bytes[..length]).expect("a journal");
    assert_eq!(part, Some(past));
    length
}

use std::collections::BTreeMap;

use mtask::journal::format::{
    Entry, Extent, Files, Header, Prefix, read, write_entry, write_header,
};

/// Reads the bytes as a journal; then makes one of them, and tears and changes that.
pub(crate) fn journal(mut data: &[u8]) {
    check(data);
    let (torn, changed) = (super::take(&mut data), super::take(&mut data));
    let header = Header {
        terms: BTreeMap::new(),
        files: Files {
            output: String::from_utf8_lossy(&data[..data.len().min(8)]).into_owned(),
            errors: None,
        },
        command: Vec::new(),
    };
    let mut bytes = write_header(&header);
    let mut ends = vec![bytes.len()];
    let mut next = 0;
    for entry in data.chunks_exact(3) {
        let (gap, count, grows) = (entry[0] % 4, entry[1], entry[2]);
        let done = (next + u64::from(gap), u64::from(count) + 1);
        next = done.0 + done.1;
        bytes.extend(write_entry(&Entry {
            done: vec![done],
            failed: BTreeMap::new(),
            broken: 0,
            strays: 0,
            in_doubt: Vec::new(),
            bad_ends: 0,
            output: Extent {
                bytes: next + u64::from(grows),
                tail: u64::from(grows),
            },
            errors: None,
            input: Prefix {
                records: next,
                hash: next,
            },
            files: None,
        }));
        // An output that has become shorter is damage, which is looked at elsewhere.
        next += u64::from(grows);
        ends.push(bytes.len());
    }
    let whole = read(&bytes[..]).expect("a journal").expect("a header");
    assert_eq!((whole.bytes, whole.header), (bytes.len(), header));

    let torn = bytes.len() * torn / 256;
    let past = read(&bytes[..torn]).expect("a torn journal");
    let end = ends.iter().rev().find(|end| **end <= torn);
    assert_eq!(past.map(|past| past.bytes), end.copied());

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

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use mtask::record::Index;
use mtask::shape::Format;
use mtask::worker::command::Dealt;
use mtask::worker::each::{RecordPlace, each_commands};

/// Puts a record into words, each of which ends with NUL: the bytes of the record appear whole where
/// `{}` stands, and nothing that is put in is looked at again.
pub(crate) fn record_placeholders(mut data: &[u8]) {
    let format = [Format::Lines, Format::Jsonl][super::take(&mut data) % 2];
    let mut parts = data.split(|byte| *byte == 0);
    let record = parts.next().unwrap_or_default();
    let mut words: Vec<OsString> = vec!["x".into()];
    words.extend(parts.map(|word| OsString::from_vec(word.to_vec())));
    let one = NonZeroUsize::MIN;
    let dealt = Dealt::default();
    let Ok(commands) = each_commands(&words, dealt, one, format, RecordPlace::Argument) else {
        return;
    };
    let Ok(put) = commands[0].words(record, Index(7)) else {
        assert_eq!(format, Format::Jsonl);
        return;
    };
    assert!(put.len() == words.len() || put.len() == words.len() + 1);
    if put.len() > words.len() {
        assert_eq!(put[words.len()].as_bytes(), record);
    }
    for (word, put) in words.iter().zip(&put) {
        match word.as_bytes() {
            b"{}" => assert_eq!(put.as_bytes(), record),
            b"{index}" => assert_eq!(put, "7"),
            word if !word.contains(&b'{') => assert_eq!(put.as_bytes(), word),
            _ => {}
        }
    }
}

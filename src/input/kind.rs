//! What a source holds, as its first bytes show it, where these are likely to be no records.
//!
//! Decides nothing: bytes are records as the format has them, whatever is said here.

use std::fmt;

use memchr::memchr;

use super::InputSource;
use crate::record::Separator;
use crate::shape::{Format, Shape};

/// What begins a file of each kind, what the kind is called and what makes lines of it. All of it
/// is binary, so that text which happens to begin in the same way is told from it.
const MAGIC: [(&[u8], Kind); 14] = {
    use Kind::{Compressed, Encoded, Table};
    [
        (b"\x1f\x8b", Compressed("gzip", "zcat")),
        (b"\xfd7zXZ\0", Compressed("xz", "xzcat")),
        (b"BZh", Compressed("bzip2", "bzcat")),
        (b"\x28\xb5\x2f\xfd", Compressed("zstd", "zstdcat")),
        (b"\x04\x22\x4d\x18", Compressed("lz4", "lz4cat")),
        (b"PK\x03\x04", Compressed("zip", "unzip -p")),
        (b"\xff\xfe\0\0", Encoded("UTF-32")),
        (b"\xff\xfe", Encoded("UTF-16")),
        (b"\xfe\xff", Encoded("UTF-16")),
        (b"PAR1", Table("Parquet")),
        (b"ARROW1", Table("Arrow")),
        (b"Obj\x01", Table("Avro")),
        (b"SQLite format 3\0", Table("SQLite")),
        (b"\x89HDF\r\n\x1a\n", Table("HDF5")),
    ]
};

/// How a source is likely to be no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is compressed: the format, and the command that unpacks it.
    Compressed(&'static str, &'static str),
    /// It is text of this encoding.
    Encoded(&'static str),
    /// It is a file of this format, which has no lines.
    Table(&'static str),
    /// It has NUL and no newline.
    NulTerminated,
    /// It begins as an array of objects does, which are records if each is a line.
    Array,
}

/// A source that is likely to be no records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OddSource {
    pub(super) source: InputSource,
    pub(super) kind: Kind,
}

impl Kind {
    /// The kind of what begins with `bytes`.
    pub(super) fn of(bytes: &[u8], shape: Shape) -> Option<Self> {
        let has_nul = memchr(0, bytes).is_some();
        if has_nul || is_broken(bytes) {
            let known = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic));
            if let Some((_, kind)) = known {
                return Some(*kind);
            }
        }
        match shape.format {
            Format::Jsonl | Format::Csv | Format::Tsv if is_wide(bytes) => {
                Some(Self::Encoded("UTF-16"))
            }
            Format::Csv | Format::Tsv => None,
            Format::Jsonl => is_array_of_objects(bytes).then_some(Self::Array),
            Format::Lines => {
                let is_odd = has_nul
                    && shape.separator == Separator::Newline
                    && memchr(b'\n', bytes).is_none();
                is_odd.then_some(Self::NulTerminated)
            }
        }
    }

    /// In a few words, where no line of it can be read.
    pub(super) fn words(self) -> Option<String> {
        match self {
            Self::Compressed(format, _) => Some(format!("it is compressed with {format}")),
            Self::Encoded(encoding) => Some(format!("it is {encoding}")),
            Self::Table(format) => Some(format!("it is a file of {format}")),
            Self::NulTerminated | Self::Array => None,
        }
    }
}

/// Whether this is no UTF-8, be it cut off at its end.
fn is_broken(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_err_and(|error| error.error_len().is_some())
}

/// Whether this is ASCII in two bytes each.
fn is_wide(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [1..=127, 0, 1..=127, 0, ..] | [0, 1..=127, 0, 1..=127, ..]
    )
}

fn is_array_of_objects(bytes: &[u8]) -> bool {
    let inside = bytes.trim_ascii_start().strip_prefix(b"[");
    inside.is_some_and(|rest| rest.trim_ascii_start().starts_with(b"{"))
}

impl fmt::Display for OddSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = &self.source;
        match self.kind {
            Kind::Compressed(format, tool) => {
                write!(f, "{source} is compressed with {format}: ")?;
                match source {
                    InputSource::Stdin => write!(f, "unpack it with {tool} before"),
                    InputSource::File(_) | InputSource::Part(_) => {
                        write!(f, "{tool} {source} | mtask … unpacks it")
                    }
                }
            }
            Kind::Encoded(encoding) => write!(
                f,
                "{source} is {encoding}: iconv -f {encoding} -t UTF-8 makes UTF-8 of it"
            ),
            Kind::Table(format) => write!(
                f,
                "{source} is a file of {format}, which has no lines: write what is in it as lines, \
                 such as JSON, one value a line"
            ),
            Kind::NulTerminated => write!(
                f,
                "{source} has NUL bytes and no newline: --null is for records that end with NUL"
            ),
            Kind::Array => write!(
                f,
                "{source} is one JSON array, and so one record: jq -c '.[]' makes a record of each \
                 element"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{JSONL, LINES};
    use super::*;

    #[test]
    fn a_file_of_another_kind_is_known_by_its_first_bytes() {
        for (bytes, words) in [
            (&b"\x1f\x8b\x08\0\0"[..], "it is compressed with gzip"),
            (b"BZh91AY&SY\xff", "it is compressed with bzip2"),
            (b"PK\x03\x04\x14\0", "it is compressed with zip"),
            (b"PAR1\x15\x04\xff", "it is a file of Parquet"),
            (b"\xff\xfe{\0", "it is UTF-16"),
            (b"\xff\xfe\0\0{\0\0\0", "it is UTF-32"),
        ] {
            for shape in [JSONL, LINES] {
                let found = Kind::of(bytes, shape).and_then(Kind::words);
                assert_eq!(found.as_deref(), Some(words));
            }
        }
        assert_eq!(Kind::of(b"{\0\"\0", JSONL), Some(Kind::Encoded("UTF-16")));
    }

    #[test]
    fn text_is_not_taken_for_another_kind() {
        for bytes in [
            "",
            "PAR1 is a name\n",
            "BZh\n",
            "PK\n",
            "{\"a\":1}\n",
            "ü\n",
        ] {
            for shape in [JSONL, LINES] {
                assert_eq!(Kind::of(bytes.as_bytes(), shape), None, "{bytes}");
            }
        }
        // A character that is cut off.
        assert_eq!(Kind::of(b"BZh\xc3", LINES), None);
        let null = Shape {
            separator: Separator::Nul,
            ..LINES
        };
        assert_eq!(Kind::of(b"a\0b\0", null), None);
        assert_eq!(Kind::of(b"a\0b\0", LINES), Some(Kind::NulTerminated));
        assert_eq!(Kind::of(b"a\0b\n", LINES), None);
    }

    #[test]
    fn an_array_of_objects_is_known() {
        assert_eq!(Kind::of(b"[\n {\"a\":1}", JSONL), Some(Kind::Array));
        assert_eq!(Kind::of(b"[1,2]\n", JSONL), None);
        assert_eq!(Kind::of(b"[{}]\n", LINES), None);
    }
}

//! A part of a run's input: one of N, for the tasks of a batch system.
//!
//! Pure. Always: the ranges of all N are disjoint and cover every byte, whatever N and the size.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What stands for the shard in the names of files.
pub const PLACEHOLDER: &str = "{shard}";

/// The Kth of N shards, K from 0 (`--shard K/N`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: u64,
    of: u64,
}

impl Shard {
    /// The shard of that number; `None` where there are not so many.
    pub fn new(number: u64, of: u64) -> Option<Self> {
        (number < of).then_some(Self { number, of })
    }

    /// K.
    pub fn number(self) -> u64 {
        self.number
    }

    /// N.
    pub fn of(self) -> u64 {
        self.of
    }

    /// The bytes of `total` in which the first bytes of its records lie.
    pub fn range(self, total: u64) -> Range<u64> {
        let bound = |number: u64| {
            let bound = u128::from(total) * u128::from(number) / u128::from(self.of);
            u64::try_from(bound).expect("a bound is no larger than the total")
        };
        bound(self.number)..bound(self.number + 1)
    }

    /// Its range in each of these files, which are one behind the other.
    pub fn ranges(self, sizes: &[u64]) -> Vec<Range<u64>> {
        let all = self.range(sizes.iter().sum());
        let mut begin = 0;
        let mut ranges = Vec::with_capacity(sizes.len());
        for size in sizes {
            let within = |bound: u64| bound.clamp(begin, begin + size) - begin;
            ranges.push(within(all.start)..within(all.end));
            begin += size;
        }
        ranges
    }

    /// K as it stands in names: with as many digits as N has.
    pub fn name(self) -> String {
        let width = self.of.to_string().len();
        format!("{:0width$}", self.number)
    }

    /// The path with its name in the place of each `{shard}`.
    pub fn place(self, path: &Path) -> PathBuf {
        place(path, &self.name())
    }
}

/// The path with `name` in the place of each `{shard}`.
pub fn place(path: &Path, name: &str) -> PathBuf {
    let (mut rest, mut placed) = (path.as_os_str().as_bytes(), Vec::new());
    while let Some((before, behind)) = split_once(rest) {
        placed.extend_from_slice(before);
        placed.extend_from_slice(name.as_bytes());
        rest = behind;
    }
    placed.extend_from_slice(rest);
    OsString::from_vec(placed).into()
}

/// Whether `{shard}` stands in the name.
pub fn has_place(name: &OsStr) -> bool {
    split_once(name.as_bytes()).is_some()
}

/// What stands before the first `{shard}`, and behind it.
pub fn split_once(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memmem::find(name, PLACEHOLDER.as_bytes())?;
    Some((&name[..at], &name[at + PLACEHOLDER.len()..]))
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected K/N, such as 0/100 for the first of a hundred shards";
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse::<u64>().ok(),
            false => None,
        };
        let (shard, of) = text.split_once('/').ok_or(EXPECTED)?;
        let (shard, of) = number(shard).zip(number(of)).ok_or(EXPECTED)?;
        Self::new(shard, of).ok_or_else(|| match of {
            0 => "there are no shards of 0: N is how many there are".into(),
            _ => format!(
                "K counts from 0: the last of {of} shards is {}/{of}",
                of - 1
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_every_byte_once_whatever_the_size() {
        for total in [0, 1, 7, 99, 100, 101, u64::MAX] {
            for of in [1, 2, 3, 7, 100, 1000] {
                let mut end = 0;
                for number in 0..of {
                    let range = Shard::new(number, of).unwrap().range(total);
                    assert_eq!(range.start, end, "shard {number}/{of} of {total}");
                    end = range.end;
                }
                assert_eq!(end, total, "{of} shards of {total}");
            }
        }
    }

    #[test]
    fn a_shard_goes_on_from_one_file_to_the_next() {
        let shard = |number| Shard::new(number, 2).unwrap().ranges(&[3, 0, 5, 2]);
        assert_eq!(shard(0), [0..3, 0..0, 0..2, 0..0]);
        assert_eq!(shard(1), [3..3, 0..0, 2..5, 0..2]);
    }

    #[test]
    fn a_shard_that_does_not_exist_is_refused_by_name() {
        assert_eq!("3/4".parse(), Ok(Shard { number: 3, of: 4 }));
        let refused = "4/4".parse::<Shard>().unwrap_err();
        assert!(refused.contains("3/4"), "{refused}");
        for text in ["", "3", "/4", "3/", "-1/4", "+1/4", "1/4/5", "a/b", "0/0"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_have_the_digits_of_their_number() {
        let placed = |text: &str, path: &str| text.parse::<Shard>().unwrap().place(path.as_ref());
        assert_eq!(
            placed("3/100", "a-{shard}/b-{shard}"),
            PathBuf::from("a-003/b-003")
        );
        assert_eq!(placed("3/9", "{shard}.jsonl"), PathBuf::from("3.jsonl"));
        assert_eq!(placed("3/9", "plain"), PathBuf::from("plain"));
    }
}

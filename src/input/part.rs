//! Reading a part of a regular file: the records whose first bytes lie in a range of it.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use memchr::memchr;

use crate::record::Separator;
use crate::visible;

use super::source::fill;

/// So much is looked through at a time for the first record of a part.
const LOOK: usize = 16 << 10;

/// A part of a regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePart {
    /// The file.
    pub path: PathBuf,
    /// Where the first bytes of its records lie.
    pub range: Range<u64>,
}

impl fmt::Display for FilePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = visible::name(&self.path);
        match self.range.start {
            0 => f.write_str(&name),
            start => write!(f, "{name} from byte {start} on"),
        }
    }
}

/// The reader of a part: at its end after the last record that begins in the range.
pub(super) struct PartReader<'a> {
    fd: BorrowedFd<'a>,
    /// Where the next byte lies.
    place: u64,
    end: u64,
    separator: Separator,
    is_over: bool,
}

impl<'a> PartReader<'a> {
    /// Looks for the first record that begins in the range.
    pub(super) fn new(
        file: &'a File,
        range: &Range<u64>,
        separator: Separator,
    ) -> io::Result<Self> {
        let first = first_record(file, range, separator)?;
        let place = first.unwrap_or(range.end);
        rustix::fs::seek(file, rustix::fs::SeekFrom::Start(place))?;
        Ok(Self {
            fd: file.as_fd(),
            place,
            end: range.end,
            separator,
            is_over: first.is_none(),
        })
    }

    /// Appends what one read returns, at most `max` bytes and what fits; 0 after the last record.
    pub(super) fn fill(&mut self, bytes: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        if self.is_over {
            return Ok(0);
        }
        let before = bytes.len();
        let left = self.end - self.place;
        let most = match left {
            0 => max,
            left => usize::try_from(left).map_or(max, |left| left.min(max)),
        };
        let mut count = fill(self.fd, bytes, most)?;
        if count == 0 && left > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("it has become shorter: it ends at byte {}", self.place),
            ));
        }
        if left > 0 {
            self.place += count as u64;
            // Else the last record goes on behind the range.
            self.is_over = self.place == self.end && bytes.last() == Some(&self.separator.byte());
        } else if let Some(last) = memchr(self.separator.byte(), &bytes[before..]) {
            count = last + 1;
            bytes.truncate(before + count);
            self.is_over = true;
        }
        Ok(count)
    }
}

/// Where the first record begins of those that begin in the range.
fn first_record(file: &File, range: &Range<u64>, separator: Separator) -> io::Result<Option<u64>> {
    if range.is_empty() {
        return Ok(None);
    }
    if range.start == 0 {
        return Ok(Some(0));
    }
    let mut bytes = [0; LOOK];
    // A record begins behind the end of another: the one before the range may end with that.
    let mut place = range.start - 1;
    let end = range.end - 1;
    while place < end {
        let most = usize::try_from(end - place).map_or(LOOK, |left| left.min(LOOK));
        let count = match file.read_at(&mut bytes[..most], place) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if count == 0 {
            return Ok(None);
        }
        if let Some(last) = memchr(separator.byte(), &bytes[..count]) {
            return Ok(Some(place + last as u64 + 1));
        }
        place += count as u64;
    }
    Ok(None)
}

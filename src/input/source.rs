//! Opening a source and reading from its descriptor.
//!
//! Standard input is read without std's buffer in between. Always: an interrupted read is tried
//! again, and a non-blocking descriptor, which mtask may have inherited, is waited for and left
//! as it was.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};
use rustix::io::{Errno, read as read_fd};

use crate::budget::Budget;

use super::cut::{Cutter, Stop};
use super::part::PartReader;
use super::rows::{Names, RowReader};
use super::validator::SourceStart;
use super::{Arrival, AwaitedFile, FilePart, Gone, InputSource};

/// Bytes of one read from a regular file: no more than a worker is sent at a time, so that whole
/// blocks go on without being counted again.
const FILE_BLOCK: usize = 64 << 10;
/// Bytes of one read from anything else: twice what a pipe holds, so that a full pipe fills more
/// than a quarter of it and is passed on without a copy.
const STREAM_BLOCK: usize = 128 << 10;
/// No block takes a larger share of the budget than this, or there would be nothing left to wait
/// for workers with.
const BLOCKS_IN_BUDGET: usize = 8;
/// Below this, a system call costs more than what it reads.
const MIN_BLOCK: usize = 4 << 10;

/// Whether poll(2) tells a pipe that has had no writer from one that has none any more. Not known
/// of other systems.
const SHOWS_WRITERS: bool = cfg!(target_os = "linux");

/// Opens `source` and reads it to its end.
///
/// Where records are rows, `names` is what the files before have named.
pub(super) fn read<S>(
    source: &InputSource,
    cutter: &mut Cutter<S>,
    names: &mut Option<Names>,
) -> Result<(), Stop>
where
    S: FnMut(Arrival) -> Result<(), Gone>,
{
    let file;
    let fd = match source {
        InputSource::Stdin => rustix::stdio::stdin(),
        InputSource::File(path) => {
            file = open(path).map_err(Stop::failed)?;
            file.as_fd()
        }
        InputSource::Part(part) => return read_part(part, cutter, names),
    };
    let block = block_bytes(fd, cutter.budget()).map_err(Stop::failed)?;
    let mut is_empty = true;
    take(cutter, names, block, |bytes, max| {
        let count = fill(fd, bytes, max)?;
        is_empty &= count == 0;
        Ok(count)
    })?;
    // A pipe that `open` has not waited for is at its end only once a writer has come and gone.
    if let InputSource::File(path) = source
        && is_empty
        && SHOWS_WRITERS
        && is_pipe(fd).map_err(Stop::failed)?
    {
        let at_once = Timespec::default();
        if !wait_readable(fd, Some(&at_once)).map_err(Stop::failed)? {
            cutter.tell(Arrival::Awaited(AwaitedFile(path.clone())))?;
            wait_readable(fd, None).map_err(Stop::failed)?;
        }
        take(cutter, names, block, |bytes, max| fill(fd, bytes, max))?;
    }
    Ok(())
}

/// Takes all that `fill` reads of a file.
fn take<S>(
    cutter: &mut Cutter<S>,
    names: &mut Option<Names>,
    block: usize,
    fill: impl FnMut(&mut Vec<u8>, usize) -> io::Result<usize>,
) -> Result<(), Stop>
where
    S: FnMut(Arrival) -> Result<(), Gone>,
{
    match cutter.delimiter() {
        Some(delimiter) => RowReader::new(cutter, delimiter, names, None, block).read(fill),
        None => cutter.read(block, SourceStart::OfFile, fill),
    }
}

/// Reads the records that begin in a part of a file.
fn read_part<S>(
    part: &FilePart,
    cutter: &mut Cutter<S>,
    names: &mut Option<Names>,
) -> Result<(), Stop>
where
    S: FnMut(Arrival) -> Result<(), Gone>,
{
    let file = File::open(&part.path).map_err(Stop::failed)?;
    let block = block_bytes(file.as_fd(), cutter.budget()).map_err(Stop::failed)?;
    if let Some(delimiter) = cutter.delimiter() {
        if part.range.is_empty() {
            return Ok(());
        }
        let range = Some(part.range.clone());
        return RowReader::new(cutter, delimiter, names, range, block)
            .read(|bytes, max| fill(file.as_fd(), bytes, max));
    }
    let mut reader =
        PartReader::new(&file, &part.range, cutter.separator()).map_err(Stop::failed)?;
    let start = match part.range.start {
        0 => SourceStart::OfFile,
        _ => SourceStart::Within,
    };
    cutter.read(block, start, |bytes, max| reader.fill(bytes, max))
}

/// Opens a file. On Linux a named pipe is opened without waiting for its writer, and then seems to
/// be at its end until one has come.
fn open(path: &Path) -> io::Result<File> {
    let is_pipe = SHOWS_WRITERS && fs::metadata(path)?.file_type().is_fifo();
    if !is_pipe {
        return File::open(path);
    }
    let mut options = OpenOptions::new();
    let file = (options.read(true).custom_flags(libc::O_NONBLOCK)).open(path)?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

fn is_pipe(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode) == FileType::Fifo)
}

fn block_bytes(fd: BorrowedFd<'_>, budget: &Budget) -> io::Result<usize> {
    let usual = match FileType::from_raw_mode(fstat(fd)?.st_mode) {
        FileType::RegularFile => FILE_BLOCK,
        _ => STREAM_BLOCK,
    };
    let share = budget.limit() / BLOCKS_IN_BUDGET;
    Ok(usual.min(share.max(MIN_BLOCK)))
}

/// Appends what one read returns, at most `max` bytes and what fits; 0 at the end of the file.
pub(super) fn fill(fd: BorrowedFd<'_>, bytes: &mut Vec<u8>, max: usize) -> io::Result<usize> {
    loop {
        let read = if bytes.capacity() - bytes.len() <= max {
            read_fd(fd, spare_capacity(bytes))
        } else {
            // A buffer that has grown for a long record. Only `max` bytes of it are cleared, and
            // read, at a time.
            let filled = bytes.len();
            bytes.resize(filled + max, 0);
            let read = read_fd(fd, &mut bytes[filled..]);
            bytes.truncate(filled + read.unwrap_or(0));
            read
        };
        match read {
            Ok(count) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                wait_readable(fd, None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until there is something to read, or the writer of a pipe has gone; for so long, if not
/// for ever. Gives whether that is so. A pipe that has had no writer yet is waited for.
fn wait_readable(fd: BorrowedFd<'_>, timeout: Option<&Timespec>) -> io::Result<bool> {
    loop {
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], timeout) {
            Ok(found) => return Ok(found > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

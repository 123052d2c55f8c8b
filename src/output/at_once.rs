//! Writing that cannot wait, whoever else writes to the same pipe or terminal.
//!
//! What poll(2) says of a pipe is true for a moment only: another process that has the pipe may
//! fill it before the write, which then waits, and with it the engine and all signals. To make a
//! shared descriptor non-blocking would change it for all who have it. So mtask opens the file
//! anew, for itself, and leaves that one non-blocking.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::SendFlags;

/// What takes bytes at once or not at all.
#[derive(Debug)]
pub(crate) enum AtOnce {
    /// A regular file never waits for anybody.
    File,
    /// A pipe that cannot be opened anew is told for each write that it is not to wait, where the
    /// system knows how.
    Pipe,
    /// A socket is told for each write that it is not to wait.
    Socket,
    /// Another description of the same pipe or terminal, which is non-blocking.
    Own(OwnedFd),
}

impl AtOnce {
    /// How `file` can be written to without a wait, if it can.
    pub(crate) fn of(file: BorrowedFd<'_>) -> Option<Self> {
        let stat = rustix::fs::fstat(file).ok()?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Some(Self::File),
            FileType::Socket => Some(Self::Socket),
            FileType::Fifo => Some(reopen(file).map_or(Self::Pipe, Self::Own)),
            FileType::CharacterDevice if rustix::termios::isatty(file) => {
                reopen(file).map(Self::Own)
            }
            _ => None,
        }
    }

    /// Writes what is taken at once.
    ///
    /// # Errors
    /// `AGAIN` where that is nothing; `OPNOTSUPP` where the system does not know how.
    pub(crate) fn write(&self, file: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
        match self {
            Self::File => rustix::io::write(file, bytes),
            Self::Own(own) => rustix::io::write(own, bytes),
            Self::Pipe => write_without_wait(file, bytes),
            Self::Socket => rustix::net::send(file, bytes, SendFlags::DONTWAIT),
        }
    }
}

/// Opens the file behind a descriptor once more. It cannot be done where /proc is not mounted, or
/// where the file belongs to another user who does not allow it.
#[cfg(target_os = "linux")]
fn reopen(file: BorrowedFd<'_>) -> Option<OwnedFd> {
    use rustix::fs::{Mode, OFlags, open};
    use std::os::fd::AsRawFd;

    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let own = open(path, flags, Mode::empty()).ok()?;
    // Should something else be mounted there, it is not that file.
    let (a, b) = (
        rustix::fs::fstat(file).ok()?,
        rustix::fs::fstat(own.as_fd()).ok()?,
    );
    (a.st_dev == b.st_dev && a.st_ino == b.st_ino).then_some(own)
}

/// Linux has known this of pipes since 6.4.
#[cfg(target_os = "linux")]
fn write_without_wait(file: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    use rustix::io::{ReadWriteFlags, pwritev2};

    let bytes = [std::io::IoSlice::new(bytes)];
    pwritev2(file, &bytes, u64::MAX, ReadWriteFlags::NOWAIT)
}

#[cfg(not(target_os = "linux"))]
fn write_without_wait(_: BorrowedFd<'_>, _: &[u8]) -> Result<usize, Errno> {
    Err(Errno::OPNOTSUPP)
}

/// Elsewhere /dev/fd gives the same description again, or nobody knows.
#[cfg(not(target_os = "linux"))]
fn reopen(_: BorrowedFd<'_>) -> Option<OwnedFd> {
    None
}

//! Where bytes go: the files behind the outputs, and how they are written.
//!
//! Owns their descriptors, whose flags it leaves as they are.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::io::Errno;

/// What POSIX lets a pipe take at once if it takes anything (`PIPE_BUF`).
pub(super) const PIPE_BUF: usize = 4096;

/// The most slices that one call writes, on Linux and macOS.
const IOV_MAX: usize = 1024;

/// One of the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Results,
    Errors,
    Exits,
}

/// An output that cannot be written.
#[derive(Debug)]
pub struct WriteError {
    /// The path, or "standard output".
    pub file: String,
    /// What went wrong.
    pub error: io::Error,
}

impl WriteError {
    /// Whether the reader of the output has gone.
    pub fn is_closed_pipe(&self) -> bool {
        self.error.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Where one kind of bytes goes.
#[derive(Debug)]
pub struct Destination {
    pub(super) name: String,
    pub(super) file: OwnedFd,
    direct: Direct,
}

/// How small writes can be made without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direct {
    /// A regular file: always.
    Always,
    /// A pipe: up to `PIPE_BUF` where it polls writable.
    WherePolled,
    /// Anything else: never.
    Never,
}

impl Destination {
    /// mtask's own stdout.
    ///
    /// # Errors
    /// Where its descriptor cannot be duplicated.
    pub fn stdout() -> io::Result<Self> {
        Ok(Self::new(
            "standard output".into(),
            rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?,
        ))
    }

    /// An opened file.
    pub fn file(name: String, file: File) -> Self {
        Self::new(name, file.into())
    }

    fn new(name: String, file: OwnedFd) -> Self {
        let kind = rustix::fs::fstat(&file).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let direct = match kind {
            Ok(FileType::RegularFile) => Direct::Always,
            Ok(FileType::Fifo) => Direct::WherePolled,
            _ => Direct::Never,
        };
        Self { name, file, direct }
    }

    pub(super) fn takes_now(&self) -> bool {
        match self.direct {
            Direct::Always => true,
            Direct::Never => false,
            Direct::WherePolled => {
                let mut fds = [PollFd::new(&self.file, PollFlags::OUT)];
                poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready == 1)
                    && fds[0].revents().contains(PollFlags::OUT)
            }
        }
    }

    pub(super) fn failed(&self, error: Errno) -> WriteError {
        WriteError {
            file: self.name.clone(),
            error: error.into(),
        }
    }

    /// Writes everything, waiting where the file is in non-blocking mode, which is left as it is.
    pub(super) fn write_all(&self, mut slices: &mut [IoSlice<'_>]) -> Result<(), WriteError> {
        while !slices.is_empty() {
            let at_once = slices.len().min(IOV_MAX);
            match rustix::io::writev(&self.file, &slices[..at_once]) {
                Ok(count) => IoSlice::advance_slices(&mut slices, count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let _ = poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], None);
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(())
    }
}

/// Where everything goes.
#[derive(Debug)]
pub struct Destinations {
    /// Results, and error records that have no file of their own.
    pub results: Destination,
    /// The file of `--errors`.
    pub errors: Option<Destination>,
    /// The file of `--exits`.
    pub exits: Option<Destination>,
}

impl Destinations {
    pub(super) fn of(&self, target: Target) -> &Destination {
        let own = match target {
            Target::Results => None,
            Target::Errors => self.errors.as_ref(),
            Target::Exits => self.exits.as_ref(),
        };
        own.unwrap_or(&self.results)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Destination> {
        [
            Some(&self.results),
            self.errors.as_ref(),
            self.exits.as_ref(),
        ]
        .into_iter()
        .flatten()
    }
}

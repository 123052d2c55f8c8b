//! Where bytes go: the files behind the outputs, and how they are written.
//!
//! Owns their descriptors, whose flags it leaves as they are.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::at_once::AtOnce;
use crate::sys;

/// What POSIX lets a pipe take at once if it takes anything (`PIPE_BUF`).
pub(crate) const PIPE_BUF: usize = 4096;

/// The most slices that one call writes, on Linux and macOS.
const IOV_MAX: usize = 1024;

/// One of the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Results,
    Errors,
    Exits,
    Log,
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
pub trait Sink: Send + Sync + 'static {
    /// How it is called in messages.
    fn name(&self) -> &str;

    /// Writes what is taken at once, if anything is.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn write_at_once(&self, bytes: &[u8]) -> Result<usize, WriteError>;

    /// Writes everything, however long that takes.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn write_all(&self, slices: &mut [IoSlice<'_>]) -> Result<(), WriteError>;

    /// Closes it: some file systems tell only now that a write has failed.
    ///
    /// # Errors
    /// What close(2) reports.
    fn close(&self) -> Result<(), WriteError>;
}

/// A file, pipe, terminal or socket.
#[derive(Debug)]
pub struct Destination {
    name: String,
    pub(crate) file: OwnedFd,
    /// How small writes are made by the engine itself, if they can be.
    at_once: Option<AtOnce>,
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
        // A terminal is written to by the thread alone: one that is held up is no rare thing.
        let is_terminal = rustix::termios::isatty(&file);
        let at_once = (!is_terminal).then(|| AtOnce::of(file.as_fd())).flatten();
        Self {
            name,
            file,
            at_once,
        }
    }

    fn failed(&self, error: Errno) -> WriteError {
        self.failure(error.into())
    }

    fn failure(&self, error: io::Error) -> WriteError {
        WriteError {
            file: self.name.clone(),
            error,
        }
    }
}

impl Sink for Destination {
    fn name(&self) -> &str {
        &self.name
    }

    fn write_at_once(&self, bytes: &[u8]) -> Result<usize, WriteError> {
        let Some(at_once) = &self.at_once else {
            return Ok(0);
        };
        match at_once.write(self.file.as_fd(), bytes) {
            Ok(count) => Ok(count),
            Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP) => Ok(0),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Waits where the file is in non-blocking mode, which is left as it is.
    fn write_all(&self, mut slices: &mut [IoSlice<'_>]) -> Result<(), WriteError> {
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

    fn close(&self) -> Result<(), WriteError> {
        // Where no descriptor is to be had, nothing is known of the file.
        let Ok(copy) = self.file.as_fd().try_clone_to_owned() else {
            return Ok(());
        };
        sys::close(copy).map_err(|error| self.failure(error))
    }
}

/// Where everything goes.
#[derive(Debug)]
pub struct Destinations<S> {
    /// Results, and error records that have no file of their own.
    pub results: S,
    /// The file of `--errors`.
    pub errors: Option<S>,
    /// The file of `--exits`.
    pub exits: Option<S>,
    /// The file of `--log`.
    pub log: Option<S>,
}

impl<S> Destinations<S> {
    pub(crate) fn of(&self, target: Target) -> &S {
        let own = match target {
            Target::Results => None,
            Target::Errors => self.errors.as_ref(),
            Target::Exits => self.exits.as_ref(),
            Target::Log => self.log.as_ref(),
        };
        own.unwrap_or(&self.results)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &S> {
        [
            Some(&self.results),
            self.errors.as_ref(),
            self.exits.as_ref(),
            self.log.as_ref(),
        ]
        .into_iter()
        .flatten()
    }
}

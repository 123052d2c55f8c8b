//! The files that are written: all are opened first, and emptied once nothing is refused any more.
//!
//! Owns the opened files until the run takes them over. With `--resume` the output and the file of
//! `--errors` are the journal's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use memchr::memrchr;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use crate::config::Config;
use crate::config::files::{Identity, Taken};
use crate::report::log;
use crate::visible;

use super::lock;

/// The files that were named, as they were found.
#[derive(Debug)]
pub struct Outputs {
    /// The file of `--output`.
    pub results: Option<OutputFile>,
    /// The file of `--errors`.
    pub errors: Option<OutputFile>,
    /// The file of `--exits`.
    pub exits: Option<OutputFile>,
    /// The file of `--stats-file`.
    pub stats: Option<OutputFile>,
    /// The file of `--log`.
    pub log: Option<OutputFile>,
}

/// A file that was opened for an option.
#[derive(Debug)]
pub struct OutputFile {
    option: &'static str,
    /// How it was named.
    pub path: PathBuf,
    /// To be written.
    pub file: File,
    /// It is mtask's stdout or stderr, by another name.
    is_stream: bool,
    /// How many bytes of it stay.
    kept: u64,
}

impl Outputs {
    /// Opens them, or creates them. Two that are one file may be seen only now, for a link to a
    /// file that is not there hides what it will be. A named pipe is waited for until somebody
    /// reads it, which `warn` is told.
    ///
    /// # Errors
    /// Where one cannot be opened, is `taken` already, or is in use by a run that can be resumed.
    pub fn open(
        config: &Config,
        taken: &mut Taken,
        mut warn: impl FnMut(&str),
    ) -> anyhow::Result<Self> {
        let mut open = |option, path: &Option<PathBuf>| match path {
            Some(path) => open(option, path, taken, &mut warn).map(Some),
            None => Ok(None),
        };
        let is_resumable = config.resume.is_some();
        let but_journal = |path| if is_resumable { &None } else { path };
        Ok(Self {
            results: open("--output", but_journal(&config.output))?,
            errors: open("--errors", but_journal(&config.errors))?,
            exits: open("--exits", &config.exits)?,
            stats: open("--stats-file", &config.stats_file)?,
            log: match open("--log", &config.log)? {
                Some(log) if is_resumable => Some(log.go_on()?),
                log => log,
            },
        })
    }

    /// Empties them, but for what the log goes on with.
    ///
    /// # Errors
    /// Where one cannot be.
    pub fn empty(&self) -> anyhow::Result<()> {
        let all = [
            &self.results,
            &self.errors,
            &self.exits,
            &self.stats,
            &self.log,
        ];
        all.into_iter().flatten().try_for_each(OutputFile::empty)
    }
}

impl OutputFile {
    /// Keeps the whole lines of a log that is there.
    fn go_on(mut self) -> anyhow::Result<Self> {
        if !self.is_stream && self.file.metadata().is_ok_and(|found| found.is_file()) {
            self.kept = whole_lines(&self.path).with_context(|| named(self.option, &self.path))?;
        }
        Ok(self)
    }

    fn empty(&self) -> anyhow::Result<()> {
        if self.is_stream {
            // What it holds is not mtask's to take out: that is for whoever has opened it.
            return Ok(());
        }
        let metadata = self.file.metadata();
        // A device or a pipe holds nothing that could be taken out.
        let emptied = metadata.and_then(|found| match found.is_file() {
            true => cut(&self.file, self.kept),
            false => Ok(()),
        });
        emptied.with_context(|| named(self.option, &self.path))
    }
}

fn open(
    option: &'static str,
    path: &Path,
    taken: &mut Taken,
    warn: &mut impl FnMut(&str),
) -> anyhow::Result<OutputFile> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let is_pipe = fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
    let opened = if is_pipe {
        open_pipe(&mut options, path, || {
            let name = named(option, path);
            warn(&format!(
                "{name} is a named pipe that nobody reads: its reader is waited for"
            ));
        })
    } else {
        options.open(path)
    };
    let file = opened.with_context(|| named(option, path))?;
    taken.take(option, path, &file)?;
    let stream = own_stream(&file);
    let is_stream = stream.is_some();
    // A device or a pipe is anybody's.
    if !is_stream && file.metadata().is_ok_and(|found| found.is_file()) {
        lock::share(&file, option, path)?;
    }
    Ok(OutputFile {
        option,
        path: path.to_owned(),
        file: stream.unwrap_or(file),
        is_stream,
        kept: 0,
    })
}

fn cut(mut file: &File, kept: u64) -> io::Result<()> {
    file.set_len(kept)?;
    file.seek(SeekFrom::Start(kept)).map(drop)
}

/// How long a log is without a last line that mtask was killed over. What is no log is not added to.
fn whole_lines(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut beginning = Vec::new();
    (&mut file).take(log::BEGINNING.len() as u64).read_to_end(&mut beginning)?;
    if !log::BEGINNING.starts_with(&beginning) {
        let other = "it is not empty and no log of mtask: name another file";
        return Err(io::Error::other(other));
    }
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut piece = [0; 64 * 1024];
    while end > 0 {
        let from = end.saturating_sub(piece.len() as u64);
        let piece = &mut piece[..(end - from) as usize];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(piece)?;
        if let Some(last) = memrchr(b'\n', piece) {
            return Ok(from + last as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

/// mtask's stdout or stderr, where that is this regular file: written through another descriptor,
/// with a place of its own, it would be overwritten by what goes there besides (/dev/stderr on
/// Linux).
fn own_stream(file: &File) -> Option<File> {
    let wanted = Identity::of_file(file)?;
    let streams = [rustix::stdio::stdout(), rustix::stdio::stderr()];
    let streams = streams.map(|stream| stream.try_clone_to_owned().map(File::from));
    let mut streams = streams.into_iter().flatten();
    streams.find(|stream| Identity::of_file(stream).as_ref() == Some(&wanted))
}

/// Opens a named pipe, which waits for its reader; `wait` is called where there is none yet.
fn open_pipe(options: &mut OpenOptions, path: &Path, wait: impl FnOnce()) -> io::Result<File> {
    let mut without_waiting = options.clone();
    without_waiting.custom_flags(libc::O_NONBLOCK);
    match without_waiting.open(path) {
        Ok(file) => {
            fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
            Ok(file)
        }
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NXIO) => {
            wait();
            options.open(path)
        }
        Err(error) => Err(error),
    }
}

fn named(option: &str, path: &Path) -> String {
    format!("{option} {}", visible::name(path))
}

//! A file that takes its place only once it is whole.
//!
//! Where the file system can, it has no name until then, so that nothing of it is left when mtask is
//! killed. What is no regular file (a pipe, a device, stdout) is written to as it is.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use crate::config::files::directory_of;
use crate::exit::{Status, Unusable};
use crate::visible;

/// A file that is being written.
#[derive(Debug)]
pub(super) struct NewFile {
    file: File,
    name: String,
    place: Whereabouts,
}

/// Where the bytes are until they are all there.
#[derive(Debug)]
enum Whereabouts {
    /// In their place.
    InPlace,
    /// In a file without a name.
    #[cfg(target_os = "linux")]
    Nameless { path: PathBuf },
    /// In a file beside it.
    Beside { path: PathBuf, beside: PathBuf },
}

impl NewFile {
    /// Begins one that is to have that path; stdout without one.
    pub(super) fn create(path: Option<&Path>) -> Result<Self, Unusable> {
        let Some(path) = path else {
            let stdout = rustix::stdio::stdout().try_clone_to_owned();
            let name = "standard output".to_owned();
            let file = stdout.map(File::from).map_err(|error| failed(&name, &error))?;
            let place = Whereabouts::InPlace;
            return Ok(Self { file, name, place });
        };
        let name = visible::name(path);
        // A link stays one: what it leads to is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let (file, place) = open(path).map_err(|error| failed(&name, &error))?;
        Ok(Self { file, name, place })
    }

    /// Where its bytes go.
    pub(super) fn writer(&self) -> &File {
        &self.file
    }

    /// What to say where it cannot be written.
    pub(super) fn failed(&self, error: &io::Error) -> Unusable {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Unusable::new(
                Status::Signal(libc::SIGPIPE),
                format!("nobody reads {} any more", self.name),
            );
        }
        failed(&self.name, error)
    }

    /// Makes it safe, and puts it in its place, instead of what is there.
    pub(super) fn put_in_place(mut self) -> Result<(), Unusable> {
        let place = std::mem::replace(&mut self.place, Whereabouts::InPlace);
        let put = match &place {
            Whereabouts::InPlace => return Ok(()),
            #[cfg(target_os = "linux")]
            Whereabouts::Nameless { path } => self.file.sync_all().and_then(|()| {
                let beside = beside(path);
                give_name(&self.file, &beside)?;
                rename(&beside, path)
            }),
            Whereabouts::Beside { path, beside } => {
                self.file.sync_all().and_then(|()| rename(beside, path))
            }
        };
        put.map_err(|error| self.failed(&error))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Whereabouts::Beside { beside, .. } = &self.place {
            // It is of no use, and may be gone.
            let _ = fs::remove_file(beside);
        }
    }
}

fn open(path: PathBuf) -> io::Result<(File, Whereabouts)> {
    if fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
        let file = OpenOptions::new().write(true).open(path)?;
        return Ok((file, Whereabouts::InPlace));
    }
    #[cfg(target_os = "linux")]
    if let Some(file) = nameless(directory_of(&path)) {
        return Ok((file, Whereabouts::Nameless { path }));
    }
    let beside = beside(&path);
    let file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
    Ok((file, Whereabouts::Beside { path, beside }))
}

/// A file without a name, where the file system has such.
#[cfg(target_os = "linux")]
fn nameless(directory: &Path) -> Option<File> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    openat(CWD, directory, flags, Mode::from_raw_mode(0o666)).ok().map(File::from)
}

#[cfg(target_os = "linux")]
fn give_name(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd;
    let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, nameless, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let renamed = fs::rename(from, to);
    if renamed.is_err() {
        // Nothing is left of what has failed.
        let _ = fs::remove_file(from);
    }
    renamed?;
    // Some file systems cannot do that, and need not.
    if let Ok(directory) = File::open(directory_of(to)) {
        let _ = directory.sync_all();
    }
    Ok(())
}

/// The name it has until it is whole: nobody else's.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", process::id()));
    path.with_file_name(name)
}

fn failed(name: &str, error: &io::Error) -> Unusable {
    Unusable::new(
        Status::Fault,
        format!("cannot write {name}: {error}; nothing is joined"),
    )
}

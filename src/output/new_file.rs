//! A file that takes its place only once it is whole.
//!
//! Where the file system can, it has no name until then, so that nothing of it is left when mtask is
//! killed. What is no regular file (a pipe, a device, stdout) is written to as it is.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use crate::config::files::directory_of;
use crate::exit::{Status, Unusable};
use crate::visible;

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct NewFile {
    file: File,
    name: String,
    /// What follows where it cannot be written, for people.
    otherwise: &'static str,
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
    ///
    /// # Errors
    /// Where it cannot be: then `otherwise` holds.
    pub(crate) fn create(path: Option<&Path>, otherwise: &'static str) -> Result<Self, Unusable> {
        let Some(path) = path else {
            let stdout = rustix::stdio::stdout().try_clone_to_owned();
            let name = "standard output".to_owned();
            let file = stdout.map(File::from).map_err(|error| failed(&name, &error, otherwise))?;
            return Ok(Self {
                file,
                name,
                otherwise,
                place: Whereabouts::InPlace,
            });
        };
        let name = visible::name(path);
        let path = end_of_links(path);
        let (file, place) = open(path).map_err(|error| failed(&name, &error, otherwise))?;
        Ok(Self {
            file,
            name,
            otherwise,
            place,
        })
    }

    /// Where its bytes go.
    pub(crate) fn writer(&self) -> &File {
        &self.file
    }

    /// Has it be read by whoever may read `alike`, and nobody else.
    pub(crate) fn be_read_as(&self, alike: &File) {
        if let Ok(found) = alike.metadata() {
            // Where this cannot be, the file system has no such rights.
            let _ = self.file.set_permissions(found.permissions());
        }
    }

    /// What to say where it cannot be written.
    pub(crate) fn failed(&self, error: &io::Error) -> Unusable {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Unusable::new(
                Status::Signal(libc::SIGPIPE),
                format!("nobody reads {} any more", self.name),
            );
        }
        failed(&self.name, error, self.otherwise)
    }

    /// Makes it safe, and puts it in its place, instead of what is there.
    ///
    /// # Errors
    /// Where it cannot be; nothing is left of it then.
    pub(crate) fn put_in_place(mut self) -> Result<(), Unusable> {
        let put = self.put().map_err(|error| self.failed(&error));
        if put.is_ok() {
            self.place = Whereabouts::InPlace;
        }
        put
    }

    fn put(&mut self) -> io::Result<()> {
        if !matches!(self.place, Whereabouts::InPlace) {
            self.file.sync_all()?;
        }
        #[cfg(target_os = "linux")]
        if let Whereabouts::Nameless { path } = &self.place {
            let (beside, path) = (beside(path), path.clone());
            give_name(&self.file, &beside)?;
            self.place = Whereabouts::Beside { path, beside };
        }
        match &self.place {
            Whereabouts::Beside { path, beside } => rename(beside, path),
            _ => Ok(()),
        }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Nothing is left of what has failed.
        if let Whereabouts::Beside { beside, .. } = &self.place {
            let _ = fs::remove_file(beside);
        }
    }
}

/// Where a link leads, for it stays one; also where nothing is there yet.
pub(crate) fn end_of_links(path: &Path) -> PathBuf {
    /// More links in a row are a circle.
    const MOST_LINKS: usize = 40;
    let mut end = path.to_owned();
    for _ in 0..MOST_LINKS {
        // What is no file on a disk, as a pipe under /dev/fd, has a link that leads nowhere.
        if let Ok(found) = fs::canonicalize(&end) {
            return found;
        }
        match fs::read_link(&end) {
            Ok(to) if !end.exists() => end = directory_of(&end).join(to),
            _ => break,
        }
    }
    end
}

fn open(path: PathBuf) -> io::Result<(File, Whereabouts)> {
    let there = fs::metadata(&path).ok();
    if there.as_ref().is_some_and(|found| !found.is_file()) {
        let file = OpenOptions::new().write(true).open(path)?;
        return Ok((file, Whereabouts::InPlace));
    }
    let (file, place) = create(path)?;
    if let Some(found) = there {
        // Who may read what was there may read what takes its place, and nobody else. Where this
        // cannot be, the file system has no such rights.
        let _ = file.set_permissions(found.permissions());
    }
    Ok((file, place))
}

fn create(path: PathBuf) -> io::Result<(File, Whereabouts)> {
    #[cfg(target_os = "linux")]
    if let Some(file) = nameless(directory_of(&path)) {
        return Ok((file, Whereabouts::Nameless { path }));
    }
    let beside = beside(&path);
    let file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
    Ok((file, Whereabouts::Beside { path, beside }))
}

/// A file without a name, where the file system has such, and one can be given to it.
#[cfg(target_os = "linux")]
fn nameless(directory: &Path) -> Option<File> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    if !Path::new("/proc/self/fd").exists() {
        return None;
    }
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

/// Has a file take the place of another, and makes that safe.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    // Some file systems cannot do that, and need not.
    if let Ok(directory) = File::open(directory_of(to)) {
        let _ = directory.sync_all();
    }
    Ok(())
}

/// The name it has until it is whole: nobody else's. In containers and on other hosts, others have the
/// same process number.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(
        ".{:016x}",
        RandomState::new().build_hasher().finish()
    ));
    path.with_file_name(name)
}

fn failed(name: &str, error: &io::Error, otherwise: &str) -> Unusable {
    Unusable::new(
        Status::Fault,
        format!("cannot write {name}: {error}; {otherwise}"),
    )
}

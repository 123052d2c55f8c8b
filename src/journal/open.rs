//! Looking a journal up before a run: whether it can be gone on with, and where.
//!
//! Owns nothing. Always: whatever is refused, is refused before a byte of any file is changed. Two
//! runs never share a journal or an output: both are locked until mtask ends, however it does, and
//! runs without a journal keep off them too.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::format::{self, Extent, Files, Header, JournalFault, Past, write_header};
use super::keeper::{WatchedFile, tail};
use super::program;
use super::terms::{self, ANEW, whole_path};
use crate::config::Config;
use crate::config::files::{Identity, Taken, directory_of};
use crate::exit::{Status, Unusable};
use crate::output::{Destination, lock};
use crate::visible;

/// A run that can be resumed, ready to begin or to go on.
#[derive(Debug)]
pub struct Opened {
    /// What came to an outcome before.
    pub past: Past,
    pub(super) name: String,
    pub(super) journal: File,
    /// A hash of COMMAND.
    pub(super) command: u64,
    pub(super) output: WatchedFile,
    pub(super) errors: Option<WatchedFile>,
    destinations: Option<(Destination, Option<Destination>)>,
}

impl Opened {
    /// The output, cut back to what is vouched for, and the file of `--errors`. To be taken once.
    pub fn take_destinations(&mut self) -> (Destination, Option<Destination>) {
        (self.destinations.take()).expect("they are taken once")
    }

    /// How long COMMAND took until it was ready in an earlier run, if it was and is the same.
    pub fn was_ready(&self) -> Option<Duration> {
        self.past.ready.get(&self.command).copied()
    }
}

/// The files of a run that can be resumed.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    pub(super) journal: PathBuf,
    pub(super) output: PathBuf,
    pub(super) errors: Option<PathBuf>,
}

impl Paths {
    /// Those that `config` names.
    pub(super) fn of(config: &Config, journal: &Path) -> Self {
        Self {
            journal: journal.to_owned(),
            output: config.output.clone().expect("--resume was refused without --output"),
            errors: config.errors.clone(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Path> {
        let errors = self.errors.as_deref();
        [Some(&*self.journal), Some(&*self.output), errors].into_iter().flatten()
    }
}

/// A journal that was there.
#[derive(Debug)]
pub(super) struct FoundJournal {
    file: File,
    /// What it vouches for, if it was begun.
    pub(super) past: Option<Past>,
}

/// An output as it is looked for.
#[derive(Debug)]
struct Looked {
    option: &'static str,
    path: PathBuf,
    /// What the journal has vouched for, and under which path.
    extent: Extent,
    known_as: Option<String>,
}

/// The files of a run: they are what the journal is about, and locked. Nothing in them has been
/// changed.
#[derive(Debug)]
pub(super) struct FoundFiles {
    pub(super) paths: Paths,
    pub(super) journal: File,
    pub(super) past: Option<Past>,
    pub(super) output: File,
    pub(super) errors: Option<File>,
    header: Header,
    looked: (Looked, Option<Looked>),
}

impl FoundFiles {
    /// Opens the outputs at `paths`, none of which may be `taken`, and the journal where none was
    /// found. What is not there yet may be read by whoever may read `alike`.
    pub(super) fn look_up(
        paths: Paths,
        header: Header,
        journal: Option<FoundJournal>,
        alike: Option<&Self>,
        taken: &mut Taken,
        warnings: &mut Vec<String>,
    ) -> Result<Self, Unusable> {
        let name = visible::name(&paths.journal);
        let (journal, past) = match journal {
            Some(journal) => (Some(journal.file), journal.past),
            None => (None, None),
        };
        if let Some(past) = &past {
            terms::compare(&header, &past.header, &name)?;
        }
        let before = past.as_ref();
        let output = Looked {
            option: "--output",
            path: paths.output.clone(),
            extent: before.map(|past| past.output).unwrap_or_default(),
            known_as: before.map(|past| past.files.output.clone()),
        };
        let errors = paths.errors.as_ref().map(|path| Looked {
            option: "--errors",
            path: path.clone(),
            extent: before.map(|past| past.errors).unwrap_or_default(),
            known_as: before.and_then(|past| past.files.errors.clone()),
        });
        let output_file = output.open(&name, alike.map(|it| &it.output), taken, warnings)?;
        let errors_file = match &errors {
            Some(errors) => {
                let alike = alike.and_then(|it| it.errors.as_ref());
                Some(errors.open(&name, alike, taken, warnings)?)
            }
            None => None,
        };
        let journal = match journal {
            Some(journal) => journal,
            None => {
                let alike = alike.map(|it| &it.journal);
                create_journal(&paths.journal, alike, taken, warnings)?
            }
        };
        Ok(Self {
            paths,
            journal,
            past,
            output: output_file,
            errors: errors_file,
            header,
            looked: (output, errors),
        })
    }

    /// Cuts the outputs back to what is vouched for, and begins the journal where there was none.
    pub(super) fn begin(
        mut self,
        config: &Config,
        warnings: &mut Vec<String>,
    ) -> Result<Opened, Unusable> {
        let name = visible::name(&self.paths.journal);
        let past = self.past.as_ref();
        let warning =
            past.and_then(|past| terms::of_another_command(&self.header, &past.header, &name));
        warnings.extend(warning);
        let (output, errors) = &self.looked;
        let (output_watched, output_file) = output.cut_back(self.output)?;
        let (errors_watched, errors_file) = match (errors, self.errors) {
            (Some(errors), Some(file)) => {
                let (watched, file) = errors.cut_back(file)?;
                (Some(watched), Some(file))
            }
            _ => (None, None),
        };
        let path = &self.paths.journal;
        // Links lead somewhere now, even those that did not.
        self.header.files = terms::files(&self.paths);
        let gone_on_with = match self.past {
            Some(past) => go_on(self.journal, past, self.header.files),
            None => begin(self.journal, self.header),
        };
        let (journal, past) = gone_on_with.map_err(failed("--resume", path))?;
        // The names of the files must be as safe as what is in them.
        self.paths.all().for_each(sync_directory);
        Ok(Opened {
            past,
            destinations: Some((output_file, errors_file)),
            name,
            journal,
            command: program::hash(&config.command),
            output: output_watched,
            errors: errors_watched,
        })
    }
}

/// What there is under the path of the journal: a locked file, and what it vouches for, where its
/// entries go on from what `begin` makes of its beginning.
pub(super) fn look_up(
    path: &Path,
    begin: impl FnOnce(&mut Past),
    taken: &mut Taken,
    warnings: &mut Vec<String>,
) -> Result<Option<FoundJournal>, Unusable> {
    let journal = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed("--resume", path))?,
    };
    check_regular(&journal, "--resume", path)?;
    taken.take("--resume", path, &journal)?;
    lock::claim(&journal, "--resume", path, warnings)?;
    // What had the lock may have put another one in its place.
    if !is_at(&journal, path) {
        return Err(lock::in_use("--resume", path));
    }
    let past = format::read_from(BufReader::new(&journal), begin);
    let past = past.map_err(|fault| unreadable(fault, &visible::name(path)))?;
    Ok(Some(FoundJournal {
        file: journal,
        past,
    }))
}

/// Whether it is this file that has the path.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let there = File::open(path).ok().and_then(|there| Identity::of_file(&there));
    there == Identity::of_file(file)
}

/// What is wrong with a journal.
pub(super) fn unreadable(fault: JournalFault, name: &str) -> Unusable {
    match fault {
        JournalFault::Foreign => Unusable::usage(format!(
            "--resume {name} is no journal of mtask: name the journal, or a file that is not there yet"
        )),
        JournalFault::Version(version) => Unusable::usage(format!(
            "--resume {name} is a journal of version {version}, which this mtask does not know: \
             go on with the mtask that wrote it, or {ANEW}"
        )),
        JournalFault::Unreadable(why) => {
            Unusable::new(Status::Fault, format!("--resume {name}: {why}"))
        }
        JournalFault::Damaged(line) => Unusable::new(
            Status::Fault,
            format!(
                "--resume {name} is damaged in line {line}, and so it is not known what is done: \
                 restore it, or {ANEW}"
            ),
        ),
        JournalFault::OutOfPlace(line) => Unusable::new(
            Status::Fault,
            format!(
                "--resume {name} is damaged: line {line} does not follow what stands before it, so \
                 lines are lost, doubled or out of order, and it is not known what is done: restore \
                 it, or {ANEW}"
            ),
        ),
    }
}

/// That it is gone on with what was begun.
pub(super) fn goes_on_with(past: &Past, name: &str) -> String {
    let count = past.done.ranges.count();
    let records = if count == 1 {
        "record is"
    } else {
        "records are"
    };
    let failed = match past.done.failures() {
        0 => String::new(),
        failures => format!(", {failures} of them with an error record"),
    };
    format!("{count} {records} done already{failed}, as {name} says: what is left follows")
}

impl Looked {
    /// Opens it as it is, or creates it, and makes sure that it is what the journal is about.
    fn open(
        &self,
        journal: &str,
        alike: Option<&File>,
        taken: &mut Taken,
        warnings: &mut Vec<String>,
    ) -> Result<File, Unusable> {
        let (option, path) = (self.option, &*self.path);
        let name = visible::name(path);
        let vouched = self.extent.bytes;
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && vouched == 0 => {
                create(path, alike).map_err(failed(option, path))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.not_the_same(journal, "is not there"));
            }
            opened => opened.map_err(failed(option, path))?,
        };
        check_regular(&file, option, path)?;
        taken.take(option, path, &file)?;
        lock::claim(&file, option, path, warnings)?;
        let length = file.metadata().map_err(failed(option, path))?.len();
        if length < vouched {
            let fault = format!("has only {length} bytes");
            return Err(self.not_the_same(journal, &fault));
        }
        if vouched > 0 {
            if tail(&file, vouched).map_err(failed(option, path))? != self.extent.tail {
                return Err(self.not_the_same(journal, "holds something else"));
            }
            return Ok(file);
        }
        // Nothing in it tells whether it is the file, so its name must.
        match &self.known_as {
            _ if length == 0 => Ok(file),
            Some(known_as) if *known_as == whole_path(path) => Ok(file),
            Some(known_as) => Err(Unusable::usage(format!(
                "{option} {name} is not empty, and not the file that --resume {journal} \
                 names, {known_as}: name that, or one that is empty"
            ))),
            None => Err(Unusable::usage(format!(
                "{option} {name} is not empty, and --resume {journal} does not say what is in it: \
                 name the journal it was written with, or another output"
            ))),
        }
    }

    fn not_the_same(&self, journal: &str, fault: &str) -> Unusable {
        let (option, name) = (self.option, visible::name(&self.path));
        let bytes = self.extent.bytes;
        let message = format!(
            "{option} {name} {fault}, and --resume {journal} vouches for {bytes} bytes of it: \
             restore it, or {ANEW}"
        );
        Unusable::new(Status::Fault, message)
    }

    /// Cuts it back to what is vouched for; gives it twice, for the keeper and to be written.
    fn cut_back(&self, file: File) -> Result<(WatchedFile, Destination), Unusable> {
        let failed = failed(self.option, &self.path);
        let cut = cut_back(file, self.extent.bytes).and_then(|file| Ok((file.try_clone()?, file)));
        let (watched, file) = cut.map_err(failed)?;
        let name = visible::name(&self.path);
        let watched = WatchedFile::new(name.clone(), watched, self.extent);
        Ok((watched, Destination::file(name, file)))
    }
}

/// Whether the file is what a journal vouches for, and no more.
///
/// # Errors
/// Where it cannot be read.
pub fn vouches_for(file: &File, extent: Extent) -> io::Result<bool> {
    Ok(match file.metadata()?.len() == extent.bytes {
        true => extent.bytes == 0 || tail(file, extent.bytes)? == extent.tail,
        false => false,
    })
}

/// Creates the journal, locked.
fn create_journal(
    path: &Path,
    alike: Option<&File>,
    taken: &mut Taken,
    warnings: &mut Vec<String>,
) -> Result<File, Unusable> {
    let failed = failed("--resume", path);
    let journal = create(path, alike).map_err(&failed)?;
    taken.take("--resume", path, &journal)?;
    lock::claim(&journal, "--resume", path, warnings)?;
    match journal.metadata().map_err(&failed)?.len() {
        0 => Ok(journal),
        _ => Err(lock::in_use("--resume", path)),
    }
}

/// Opens what was not there. It may be by now, for a link to it is followed and others may be
/// quicker. Who may not read `alike` may not read it.
fn create(path: &Path, alike: Option<&File>) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(path)?;
    if let Some(alike) = alike {
        // Where this cannot be, the file system has no such rights.
        let _ = file.set_permissions(alike.metadata()?.permissions());
    }
    Ok(file)
}

/// Leaves the first `bytes` of a file, to be written on.
fn cut_back(mut file: File, bytes: u64) -> io::Result<File> {
    if file.metadata()?.len() > bytes {
        file.set_len(bytes)?;
    }
    file.seek(SeekFrom::Start(bytes))?;
    Ok(file)
}

/// Writes the first line of a journal.
fn begin(journal: File, header: Header) -> io::Result<(File, Past)> {
    let mut journal = cut_back(journal, 0)?;
    let (line, chain) = write_header(&header);
    journal.write_all(&line)?;
    journal.sync_all()?;
    let past = Past::begun(header, chain, line.len());
    Ok((journal, past))
}

/// Makes a journal ready for the next line, which says where outcomes go if that is new.
fn go_on(journal: File, mut past: Past, files: Files) -> io::Result<(File, Past)> {
    let mut journal = cut_back(journal, past.bytes as u64)?;
    if past.files != files {
        past.files = files;
        let line = past.write_files();
        journal.write_all(&line)?;
        journal.sync_all()?;
        past.bytes += line.len();
    }
    Ok((journal, past))
}

fn check_regular(file: &File, option: &str, path: &Path) -> Result<(), Unusable> {
    let is_regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
    if is_regular {
        return Ok(());
    }
    Err(Unusable::usage(format!(
        "{option} {} is no regular file, and with --resume it must be one",
        visible::name(path)
    )))
}

fn failed<'a>(option: &'a str, path: &'a Path) -> impl Fn(io::Error) -> Unusable + 'a {
    move |error| {
        Unusable::new(
            Status::Fault,
            format!("{option} {}: {error}", visible::name(path)),
        )
    }
}

/// Some file systems cannot do that, and need not.
fn sync_directory(path: &Path) {
    // Where the path is a link, it leads to the name in question.
    if let Ok(path) = path.canonicalize()
        && let Ok(directory) = File::open(directory_of(&path))
    {
        let _ = directory.sync_all();
    }
}

//! Looking a journal up before a run: whether it can be gone on with, and where.
//!
//! Owns nothing. Always: whatever is refused, is refused before a byte of any file is changed. Two
//! runs never share a journal or an output: both are locked until mtask ends, however it does, and
//! runs without a journal keep off them too.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use super::format::{self, Extent, Files, Header, JournalFault, Past, write_header};
use super::keeper::{WatchedFile, tail};
use super::program;
use super::terms::{self, ANEW, whole_path};
use crate::config::Config;
use crate::config::files::{Taken, directory_of};
use crate::exit::{Status, Unusable};
use crate::output::{Destination, lock};
use crate::visible;

/// A run that can be resumed, ready to begin or to go on.
#[derive(Debug)]
pub struct Opened {
    /// What came to an outcome before.
    pub past: Past,
    /// What the user should know of.
    pub warnings: Vec<String>,
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

/// An output that is looked up.
struct Looked<'a> {
    option: &'static str,
    path: &'a Path,
    /// What the journal has vouched for, and under which path.
    extent: Extent,
    known_as: Option<&'a str>,
}

/// Opens the journal at `path` and the outputs of `config`, none of which may be `taken`.
///
/// # Errors
/// 2 where another command line would do, 1 where the files are not what they were.
pub fn open(config: &Config, path: &Path, taken: &mut Taken) -> Result<Opened, Unusable> {
    let name = visible::name(path);
    let output = (config.output.as_deref()).expect("--resume was refused without --output");
    let mut header = terms::header(config, output);
    let mut warnings = Vec::new();
    let (journal, past) = look_up(path, taken, &mut warnings)?.unzip();
    let past = past.flatten();
    if let Some(past) = &past {
        terms::compare(&header, &past.header, &name, &mut warnings)?;
    }
    let look = |option, path, extent: Option<Extent>, known_as| {
        let extent = extent.unwrap_or_default();
        Looked {
            option,
            path,
            extent,
            known_as,
        }
    };
    let before = past.as_ref();
    let known_as = before.map(|past| past.files.output.as_str());
    let output = look("--output", output, before.map(|past| past.output), known_as);
    let known_as = before.and_then(|past| past.files.errors.as_deref());
    let errors = (config.errors.as_deref())
        .map(|path| look("--errors", path, before.map(|past| past.errors), known_as));

    let output_file = output.open(&name, taken, &mut warnings)?;
    let errors_file = match &errors {
        Some(errors) => Some(errors.open(&name, taken, &mut warnings)?),
        None => None,
    };
    let journal = match journal {
        Some(journal) => journal,
        None => create_journal(path, taken, &mut warnings)?,
    };
    // Nothing has been changed so far; nothing is refused from here on.
    let (output_watched, output_file) = output.cut_back(output_file)?;
    let (errors_watched, errors_file) = match (&errors, errors_file) {
        (Some(errors), Some(file)) => {
            let (watched, file) = errors.cut_back(file)?;
            (Some(watched), Some(file))
        }
        _ => (None, None),
    };
    // Channels lead somewhere now, even those that did not.
    header.files = terms::files(config, output.path);
    let gone_on_with = match past {
        Some(past) => go_on(journal, past, header.files),
        None => begin(journal, header),
    };
    let (journal, past) = gone_on_with.map_err(failed("--resume", path))?;
    // The names of the files must be as safe as what is in them.
    for path in [
        Some(path),
        config.output.as_deref(),
        config.errors.as_deref(),
    ] {
        sync_directory(path);
    }
    if !past.done.is_empty() {
        warnings.push(goes_on(&past, &name));
    }
    Ok(Opened {
        past,
        destinations: Some((output_file, errors_file)),
        warnings,
        name,
        journal,
        command: program::hash(&config.command),
        output: output_watched,
        errors: errors_watched,
    })
}

/// What there is under the path of the journal: a locked file, and what it vouches for.
fn look_up(
    path: &Path,
    taken: &mut Taken,
    warnings: &mut Vec<String>,
) -> Result<Option<(File, Option<Past>)>, Unusable> {
    let journal = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed("--resume", path))?,
    };
    check_regular(&journal, "--resume", path)?;
    taken.take("--resume", path, &journal)?;
    lock::claim(&journal, "--resume", path, warnings)?;
    let name = visible::name(path);
    let past = format::read(BufReader::new(&journal)).map_err(|fault| match fault {
        JournalFault::Foreign => Unusable::usage(format!(
            "--resume {name} is no journal of mtask: name the journal, or a file that is not there yet"
        )),
        JournalFault::Version(version) => Unusable::usage(format!(
            "--resume {name} is a journal of version {version}, which this mtask does not know: \
             go on with the mtask that wrote it, or {ANEW}"
        )),
        JournalFault::Unreadable(why) => Unusable::new(Status::Fault, format!("--resume {name}: {why}")),
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
    })?;
    Ok(Some((journal, past)))
}

fn goes_on(past: &Past, name: &str) -> String {
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

impl Looked<'_> {
    /// Opens it as it is, or creates it, and makes sure that it is what the journal is about.
    fn open(
        &self,
        journal: &str,
        taken: &mut Taken,
        warnings: &mut Vec<String>,
    ) -> Result<File, Unusable> {
        let Self { option, path, .. } = *self;
        let name = visible::name(path);
        let vouched = self.extent.bytes;
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && vouched == 0 => {
                create(path).map_err(failed(option, path))?
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
        match self.known_as {
            _ if length == 0 => Ok(file),
            Some(known_as) if known_as == whole_path(path) => Ok(file),
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
        let (option, name) = (self.option, visible::name(self.path));
        let bytes = self.extent.bytes;
        let message = format!(
            "{option} {name} {fault}, and --resume {journal} vouches for {bytes} bytes of it: \
             restore it, or {ANEW}"
        );
        Unusable::new(Status::Fault, message)
    }

    /// Cuts it back to what is vouched for; gives it twice, for the keeper and to be written.
    fn cut_back(&self, file: File) -> Result<(WatchedFile, Destination), Unusable> {
        let failed = failed(self.option, self.path);
        let cut = cut_back(file, self.extent.bytes).and_then(|file| Ok((file.try_clone()?, file)));
        let (watched, file) = cut.map_err(failed)?;
        let name = visible::name(self.path);
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
    taken: &mut Taken,
    warnings: &mut Vec<String>,
) -> Result<File, Unusable> {
    let failed = failed("--resume", path);
    let journal = create(path).map_err(&failed)?;
    taken.take("--resume", path, &journal)?;
    lock::claim(&journal, "--resume", path, warnings)?;
    match journal.metadata().map_err(&failed)?.len() {
        0 => Ok(journal),
        _ => Err(lock::in_use("--resume", path)),
    }
}

/// Opens what was not there. It may be by now, for a link to it is followed and others may be
/// quicker.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path)
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
fn sync_directory(path: Option<&Path>) {
    // Where the path is a link, it leads to the name in question.
    if let Some(path) = path.and_then(|path| path.canonicalize().ok())
        && let Ok(directory) = File::open(directory_of(&path))
    {
        let _ = directory.sync_all();
    }
}

//! Whether the files that were named can be used together: asked before anything runs and before a
//! file is created, and of each output again once it is open.

use std::fs::{self, File};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FileType, access, fstat};
use rustix::io::Errno;

use super::{Config, InputSource};
use crate::exit::{Status, Unusable};
use crate::input::{self, FilePart};
use crate::visible;

/// Looks up all files of `config`, with `stdin` and `stdout` as mtask got them.
///
/// Only regular files can be in each other's way: a terminal or /dev/null may be all at once.
///
/// # Errors
/// 1 where an input cannot be read or an output cannot be created; 2 where an output is an input,
/// or two outputs are one file; 127 where there is no file that `--python` names.
pub fn look_up(
    config: &Config,
    stdin: BorrowedFd<'_>,
    stdout: BorrowedFd<'_>,
) -> Result<(), Unusable> {
    if let Some(callable) = &config.python_file {
        callable.look_up()?;
    }
    let inputs: Vec<Option<Identity>> = config
        .inputs
        .iter()
        .map(|source| match source {
            InputSource::Stdin => look_up_stdin(stdin),
            InputSource::File(path) => look_up_input(path),
            InputSource::Part(part) => look_up_input(&part.path),
        })
        .collect::<Result<_, _>>()?;

    check_names(config)?;

    let results = match &config.output {
        Some(path) => look_up_output("--output", path)?,
        None => Identity::of_stream(stdout),
    };
    if results.is_some() && inputs.contains(&results) {
        return Err(match &config.output {
            Some(path) => refusal("--output", path, IS_INPUT),
            None => Unusable::usage(format!("standard output {IS_INPUT}")),
        });
    }
    let mut taken = Taken(results.map(|file| (file, "--output")).into_iter().collect());
    let others = [
        ("--errors", &config.errors),
        ("--exits", &config.exits),
        ("--stats-file", &config.stats_file),
        ("--log", &config.log),
        ("--metrics-file", &config.metrics_file),
        ("--report", &config.report),
        ("--resume", &config.resume),
    ];
    for (option, path) in others {
        let Some(path) = path else { continue };
        let file = look_up_output(option, path)?;
        let is_replaced = matches!(option, "--metrics-file" | "--report");
        if is_replaced && file.is_none() {
            let fault = "is no regular file, and could not be replaced: name another one";
            return Err(refusal(option, path, fault));
        }
        if file.is_some() && inputs.contains(&file) {
            return Err(refusal(option, path, IS_INPUT));
        }
        taken.add(option, path, file)?;
    }
    Ok(())
}

/// Rows of all files must have the same fields. Those of a pipe are seen when it is read.
fn check_names(config: &Config) -> Result<(), Unusable> {
    if config.shape.format.delimiter().is_none() {
        return Ok(());
    }
    let regular = config.inputs.iter().filter_map(|source| match source {
        InputSource::File(path) if path.is_file() => Some(&**path),
        _ => None,
    });
    let regular: Vec<&Path> = regular.collect();
    input::check_names(&regular, config.shape).map_err(|(path, error)| {
        Unusable::usage(format!("--input {}: {error}", visible::name(&path)))
    })
}

/// Leaves of the input of `config` the shard that is taken, where one is.
///
/// # Errors
/// 1 where a file is not there, 2 where it is no regular file.
pub fn take_shard(config: &mut Config) -> Result<(), Unusable> {
    let Some(shard) = config.shard else {
        return Ok(());
    };
    let paths: Vec<&PathBuf> = (config.inputs.iter())
        .filter_map(|source| match source {
            InputSource::File(path) => Some(path),
            InputSource::Stdin | InputSource::Part(_) => None,
        })
        .collect();
    let sizes = paths.iter().map(|path| size_of_regular(path));
    config.input_sizes = sizes.collect::<Result<_, _>>()?;
    let ranges = shard.ranges(&config.input_sizes);
    let parts =
        (paths.into_iter().cloned().zip(ranges)).map(|(path, range)| FilePart { path, range });
    let (mut parts, empty): (Vec<_>, Vec<_>) = parts.partition(|part| !part.range.is_empty());
    if parts.is_empty() {
        parts.extend(empty.into_iter().take(1));
    }
    config.inputs = parts.into_iter().map(InputSource::Part).collect();
    Ok(())
}

fn size_of_regular(path: &Path) -> Result<u64, Unusable> {
    let name = visible::name(path);
    let metadata = fs::metadata(path).map_err(|error| fault(format!("--input {name}: {error}")))?;
    match metadata.is_file() {
        true => Ok(metadata.len()),
        false => Err(Unusable::usage(format!(
            "--input {name} is no regular file, and --shard takes a part of regular files only: write \
             it to a file first"
        ))),
    }
}

/// The regular files that something is written to, with the options that say so.
#[derive(Debug, Default)]
pub struct Taken(Vec<(Identity, &'static str)>);

impl Taken {
    /// Takes a file that has been opened.
    ///
    /// # Errors
    /// 2 where it is taken.
    pub fn take(&mut self, option: &'static str, path: &Path, file: &File) -> Result<(), Unusable> {
        self.add(option, path, Identity::of_file(file))
    }

    fn add(
        &mut self,
        option: &'static str,
        path: &Path,
        file: Option<Identity>,
    ) -> Result<(), Unusable> {
        let Some(file) = file else { return Ok(()) };
        match self.0.iter().find(|(other, _)| *other == file) {
            Some((_, other)) => Err(refusal(option, path, &clash(other))),
            None => {
                self.0.push((file, option));
                Ok(())
            }
        }
    }
}

fn clash(option: &str) -> String {
    match option {
        "--output" => "is where results go: name another file, or leave the option out".into(),
        "--resume" => "is the journal of --resume: name another file".into(),
        option => format!("is the file of {option}: name another one"),
    }
}

const IS_INPUT: &str = "is an input file: write to another one";

fn refusal(option: &str, file: &Path, fault: &str) -> Unusable {
    Unusable::usage(format!("{option} {} {fault}", visible::name(file)))
}

/// A regular file, however it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Existing {
        device: u64,
        inode: u64,
    },
    /// One that is not there yet: its directory and name.
    Missing(PathBuf),
}

impl Identity {
    fn of(metadata: &fs::Metadata) -> Option<Self> {
        let (device, inode) = (metadata.dev(), metadata.ino());
        metadata.is_file().then_some(Self::Existing { device, inode })
    }

    pub(crate) fn of_file(file: &File) -> Option<Self> {
        Self::of(&file.metadata().ok()?)
    }

    fn of_missing(path: &Path) -> Option<Self> {
        let directory = directory_of(path).canonicalize().ok()?;
        Some(Self::Missing(directory.join(path.file_name()?)))
    }

    /// `None` also for a stream that is closed: that is found and said where it is used.
    pub(crate) fn of_stream(stream: BorrowedFd<'_>) -> Option<Self> {
        Self::of_file(&File::from(stream.try_clone_to_owned().ok()?))
    }
}

fn look_up_stdin(stdin: BorrowedFd<'_>) -> Result<Option<Identity>, Unusable> {
    let is_directory = fstat(stdin)
        .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory);
    if is_directory {
        return Err(fault(
            "standard input is a directory: redirect it from a file, or name files by --input",
        ));
    }
    Ok(Identity::of_stream(stdin))
}

fn look_up_input(path: &Path) -> Result<Option<Identity>, Unusable> {
    let name = visible::name(path);
    let failed = |error: io::Error| fault(format!("--input {name}: {error}"));
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        let message = format!("--input {name} is a directory: name the files in it");
        return Err(fault(message));
    }
    // Not by opening it: to open a named pipe and close it again would end its writer.
    access(path, Access::READ_OK).map_err(|error| failed(error.into()))?;
    Ok(Identity::of(&metadata))
}

fn look_up_output(option: &str, path: &Path) -> Result<Option<Identity>, Unusable> {
    let name = visible::name(path);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let message = format!("{option} {name} is a directory: name a file in it");
            Err(fault(message))
        }
        Ok(metadata) => Ok(Identity::of(&metadata)),
        // Where a link leads to that is there, is known when it is followed.
        Err(_) if path.is_symlink() => Ok(Identity::of_missing(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = directory_of(path);
            match access(directory, Access::WRITE_OK | Access::EXEC_OK) {
                Ok(()) => Ok(Identity::of_missing(path)),
                Err(Errno::NOENT) => Err(fault(format!(
                    "{option} {name} cannot be created, for its directory is not there: make that, \
                     or name another file"
                ))),
                Err(error) => Err(fault(format!("{option} {name} cannot be created: {error}"))),
            }
        }
        Err(error) => Err(fault(format!("{option} {name}: {error}"))),
    }
}

/// The directory that holds the file, or would.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

fn fault(message: impl Into<String>) -> Unusable {
    Unusable::new(Status::Fault, message)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use clap::Parser;
    use tempfile::TempDir;

    use super::*;
    use crate::cli::Arguments;
    use crate::config::Surroundings;

    /// A directory that holds the file `a`.
    fn directory() -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a"), "x\n").unwrap();
        directory
    }

    /// `words` are looked up with `DIR/` standing for the directory.
    fn look_up_with(
        directory: &TempDir,
        words: &str,
        stdin: BorrowedFd<'_>,
        stdout: BorrowedFd<'_>,
    ) -> Result<(), Unusable> {
        let root = format!("{}/", directory.path().display());
        let words = words.replace("DIR/", &root);
        let arguments = Arguments::try_parse_from(["mtask"].into_iter().chain(words.split(' ')));
        let config = Config::resolve(arguments.unwrap(), &Surroundings::look_up()).unwrap();
        look_up(&config, stdin, stdout)
    }

    fn look_up_without_streams(directory: &TempDir, words: &str) -> Result<(), Unusable> {
        let null = File::open("/dev/null").unwrap();
        look_up_with(directory, words, null.as_fd(), null.as_fd())
    }

    #[track_caller]
    fn assert_refused(directory: &TempDir, words: &str, status: Status, named: &str) {
        let refusal = look_up_without_streams(directory, words).expect_err(words);
        assert_eq!(refusal.status, status, "{refusal}");
        assert!(refusal.message.contains(named), "{refusal}");
    }

    #[test]
    fn every_input_must_be_there_and_be_no_directory() {
        let directory = directory();
        fs::create_dir(directory.path().join("folder")).unwrap();
        assert!(look_up_without_streams(&directory, "-i DIR/a -i DIR/a cat").is_ok());
        assert_refused(
            &directory,
            "-i DIR/a -i DIR/none cat",
            Status::Fault,
            "/none",
        );
        assert_refused(&directory, "-i DIR/folder cat", Status::Fault, "directory");
    }

    // rustix has no mkfifoat for Apple's systems.
    #[cfg(not(target_vendor = "apple"))]
    #[test]
    fn a_named_pipe_is_an_input_and_is_not_opened() {
        let directory = directory();
        let pipe = directory.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
        assert!(look_up_without_streams(&directory, "-i DIR/pipe cat").is_ok());
    }

    #[test]
    fn an_output_that_is_an_input_is_refused_however_it_is_named() {
        let directory = directory();
        let at = |name: &str| directory.path().join(name);
        symlink(at("a"), at("link")).unwrap();
        fs::hard_link(at("a"), at("hard")).unwrap();
        for output in ["DIR/a", "DIR/./a", "DIR/link", "DIR/hard"] {
            let words = format!("-i DIR/a -o {output} cat");
            assert_refused(&directory, &words, Status::Usage, "--output");
            let words = format!("-i DIR/a --errors {output} cat");
            assert_refused(&directory, &words, Status::Usage, "--errors");
        }
    }

    #[test]
    fn stdin_from_a_file_is_an_input_too() {
        let directory = directory();
        let stdin = File::open(directory.path().join("a")).unwrap();
        let null = File::open("/dev/null").unwrap();
        let look_up = |words| look_up_with(&directory, words, stdin.as_fd(), null.as_fd());
        assert_eq!(look_up("-o DIR/a cat").unwrap_err().status, Status::Usage);
        assert!(look_up("-i DIR/a -o DIR/b cat").is_ok());
        fs::write(directory.path().join("b"), "").unwrap();
        assert!(
            look_up("-i DIR/b -o DIR/a cat").is_ok(),
            "stdin is not read here"
        );
    }

    #[test]
    fn results_and_error_records_go_to_two_files() {
        let directory = directory();
        assert!(look_up_without_streams(&directory, "-o DIR/o --errors DIR/e cat").is_ok());
        assert_refused(
            &directory,
            "-o DIR/o --errors DIR/./o cat",
            Status::Usage,
            "--errors",
        );
        let stdout = File::open(directory.path().join("a")).unwrap();
        let look_up = |words| look_up_with(&directory, words, stdout.as_fd(), stdout.as_fd());
        assert_eq!(
            look_up("-i - --errors DIR/a cat").unwrap_err().status,
            Status::Usage
        );
    }

    #[test]
    fn devices_may_be_input_and_output_at_once() {
        let words = "-i /dev/null -o /dev/null --errors /dev/null cat";
        assert!(look_up_without_streams(&directory(), words).is_ok());
    }
}

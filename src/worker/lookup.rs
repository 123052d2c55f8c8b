//! Finding COMMAND before any input is read, the way execvp(3) will.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::exit::{Status, Unusable};
use crate::visible;

/// Where execvp(3) looks when PATH is unset.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// So much of a script's first line Linux looks at.
const FIRST_LINE: u64 = 256;

/// The file that `program` names: itself where it holds a slash, else the first executable file of
/// that name in the directories of `path`, of which an empty one is the working directory.
///
/// # Errors
/// 127 where there is none, 126 where there are only some that cannot be executed.
pub fn look_up(program: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, Unusable> {
    if program.is_empty() {
        let message = "COMMAND is empty: is a variable unset that should name it?";
        return Err(Unusable::new(Status::NotFound, message));
    }
    let name = visible::name(program);
    let mut refused = None;
    for candidate in candidates(program, path.unwrap_or(DEFAULT_PATH.as_ref())) {
        match check(&candidate) {
            Found::Executable => return Ok(candidate),
            // execvp(3) goes on to the next directory, too.
            Found::Refused(reason) => refused = refused.or(Some((candidate, reason))),
            Found::Nothing => {}
        }
    }
    let Some((file, reason)) = refused else {
        let way_out = way_out(program);
        return Err(Unusable::new(
            Status::NotFound,
            format!("{name}: command not found{way_out}"),
        ));
    };
    let file = visible::name(file);
    let message = match reason {
        Refusal::Directory => format!("{file} is a directory: name a program in it"),
        Refusal::Permission => format!(
            "{file} is not executable: chmod +x it, or name its interpreter before it, as in \
             python3 {file}"
        ),
        Refusal::Interpreter(interpreter) => {
            let way_out = match interpreter.ends_with('\r') {
                true => "its lines end as on Windows, with a carriage return: take those out",
                false => {
                    "name one that is there in its first line, or before it on the command line"
                }
            };
            format!("{file} needs {interpreter:?} to run it, which is not there: {way_out}")
        }
    };
    Err(Unusable::new(Status::NotExecutable, message))
}

enum Found {
    Executable,
    Refused(Refusal),
    Nothing,
}

enum Refusal {
    Directory,
    Permission,
    /// The one that its first line names is not there.
    Interpreter(String),
}

fn candidates(program: &OsStr, path: &OsStr) -> Vec<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        vec![program.into()]
    } else {
        std::env::split_paths(path)
            .map(|directory| {
                let here = directory.as_os_str().is_empty();
                if here {
                    Path::new(".").join(program)
                } else {
                    directory.join(program)
                }
            })
            .collect()
    }
}

fn check(file: &Path) -> Found {
    match fs::metadata(file) {
        Ok(metadata) if metadata.is_dir() => Found::Refused(Refusal::Directory),
        Ok(found) if access(file, Access::EXEC_OK).is_ok() => {
            let missing = found.is_file().then(|| missing_interpreter(file)).flatten();
            match missing {
                Some(interpreter) => Found::Refused(Refusal::Interpreter(interpreter)),
                None => Found::Executable,
            }
        }
        Ok(_) => Found::Refused(Refusal::Permission),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Found::Refused(Refusal::Permission)
        }
        Err(_) => Found::Nothing,
    }
}

/// The interpreter that a script names in its first line, where there is no such file.
fn missing_interpreter(script: &Path) -> Option<String> {
    // A script that can be executed and not read could not be run by its interpreter either.
    let mut start = Vec::new();
    let read = File::open(script).and_then(|file| file.take(FIRST_LINE).read_to_end(&mut start));
    read.ok()?;
    // Of a longer line it is not known where the name ends.
    let is_cut_off = start.len() as u64 == FIRST_LINE;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(|byte| b" \t".contains(byte));
    let interpreter = words.find(|word| !word.is_empty())?;
    if is_cut_off && start.ends_with(interpreter) {
        return None;
    }
    let is_missing = fs::metadata(OsStr::from_bytes(interpreter))
        .is_err_and(|error| error.kind() == ErrorKind::NotFound);
    is_missing.then(|| String::from_utf8_lossy(interpreter).into_owned())
}

fn way_out(program: &OsStr) -> String {
    let name = visible::name(program);
    if program.as_encoded_bytes().contains(&b' ') {
        ": there is no shell between; give its arguments as words of their own, or use sh -c '...'"
            .into()
    } else if program.as_encoded_bytes().contains(&b'/') {
        ": check its path".into()
    } else if Path::new(program).is_file() {
        format!(" in PATH: for the file of that name in this directory, write ./{name}")
    } else {
        " in PATH: check its name, or give its path".into()
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    /// A directory with an executable `tool`, a `script` that is not, and a directory `folder`.
    fn directory() -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, mode) in [("tool", 0o755), ("script", 0o644)] {
            let file = directory.path().join(name);
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(directory.path().join("folder")).unwrap();
        directory
    }

    fn find(program: impl AsRef<OsStr>, path: &[&Path]) -> Result<PathBuf, Unusable> {
        look_up(program.as_ref(), Some(&std::env::join_paths(path).unwrap()))
    }

    #[test]
    fn a_script_without_its_interpreter_is_refused_and_the_next_one_is_looked_for() {
        let (folder, other) = (directory(), directory());
        let write = |text: &str| fs::write(folder.path().join("tool"), text).unwrap();
        let refusal = || find("tool", &[folder.path()]).unwrap_err();
        write("#! /nowhere/python3 -u\nprint()\n");
        assert_eq!(refusal().status, Status::NotExecutable);
        assert!(refusal().message.contains("\"/nowhere/python3\""));
        write("#!/bin/sh\r\ncat\r\n");
        assert!(refusal().message.contains("carriage return"));
        let found = find("tool", &[folder.path(), other.path()]).unwrap();
        assert_eq!(found, other.path().join("tool"));
        let too_long = format!("#!/{}", "n".repeat(300));
        for fine in ["#!/bin/sh\ncat\n", "#!", "#! \t", "", "cat\n", &too_long] {
            write(fine);
            assert!(find("tool", &[folder.path()]).is_ok(), "{fine}");
        }
    }

    #[test]
    fn a_name_is_looked_for_in_the_directories_of_path() {
        let directory = directory();
        let found = find("tool", &[Path::new("/nowhere"), directory.path()]).unwrap();
        assert_eq!(found, directory.path().join("tool"));
    }

    #[test]
    fn a_name_with_a_slash_is_not_looked_for_in_path() {
        let directory = directory();
        let tool = directory.path().join("tool");
        assert_eq!(find(&tool, &[]).unwrap(), tool);
        assert_eq!(
            find("x/tool", &[directory.path()]).unwrap_err().status,
            Status::NotFound
        );
    }

    #[test]
    fn without_path_the_usual_directories_are_searched() {
        assert!(look_up("sh".as_ref(), None).is_ok());
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let directory = directory();
        for program in ["", "nothing", "/nowhere/at all", "script/x"] {
            let refusal = find(program, &[directory.path()]).unwrap_err();
            assert_eq!(refusal.status, Status::NotFound, "{program}");
            assert!(refusal.message.contains(program));
        }
    }

    #[test]
    fn what_cannot_be_executed_is_told_from_what_is_not_there() {
        let directory = directory();
        for name in ["script", "folder"] {
            for program in [OsString::from(name), directory.path().join(name).into()] {
                let refusal = find(program, &[directory.path()]).unwrap_err();
                assert_eq!(refusal.status, Status::NotExecutable, "{name}");
                assert!(refusal.message.contains(name));
            }
        }
    }

    #[test]
    fn a_file_that_is_not_executable_does_not_hide_a_later_one_that_is() {
        let (first, second) = (directory(), directory());
        fs::set_permissions(first.path().join("tool"), fs::Permissions::from_mode(0o644)).unwrap();
        let found = find("tool", &[first.path(), second.path()]).unwrap();
        assert_eq!(found, second.path().join("tool"));
    }

    #[test]
    fn a_command_line_in_one_word_is_told_that_there_is_no_shell() {
        let refusal = find("sed -u s/x/y/", &[]).unwrap_err();
        assert!(refusal.message.contains("sh -c"), "{}", refusal.message);
    }
}

//! `--dry-run`: what would be run, in a form that a shell can run and people can read.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use shlex::bytes::Quoter;

use crate::visible::{self, Letter};

use super::launcher::Launcher;
use super::python;
use crate::sys::spawn::Program;

/// Writes each worker's environment and command line, a line for each worker (more where a word
/// holds a newline), quoted so that a shell can run it. What could not be seen is escaped as bash,
/// zsh, ksh and POSIX of 2024 have it, `$'\033'`.
pub fn write_commands(launcher: &Launcher, mut to: impl Write) -> io::Result<()> {
    for worker in 0..launcher.workers() {
        write_program(&launcher.program(worker, 0, launcher.workers()), &mut to)?;
    }
    Ok(())
}

/// The same of one program.
pub fn write_program(program: &Program, mut to: impl Write) -> io::Result<()> {
    for variable in &program.variables {
        write!(to, "{}=", variable.name)?;
        to.write_all(&quote(&variable.value)?)?;
        to.write_all(b" ")?;
    }
    if !program.cpus.is_empty() {
        // What a shell would need for the same.
        let cpus: Vec<_> = program.cpus.iter().map(usize::to_string).collect();
        write!(to, "taskset -c {} ", cpus.join(","))?;
    }
    to.write_all(&quote(&program.name)?)?;
    for arg in &program.args {
        to.write_all(b" ")?;
        match python::is_adapter(arg) {
            true => to.write_all("'…'".as_bytes())?,
            false => to.write_all(&quote(arg)?)?,
        }
    }
    to.write_all(b"\n")
}

/// A word as a shell reads it.
pub(crate) fn quote(word: &OsStr) -> io::Result<Vec<u8>> {
    let stays = |letter| matches!(letter, Letter::Seen(_) | Letter::Hidden('\n' | '\t'));
    let is_text = |text: &str| visible::letters(text).all(stays);
    if !word.to_str().is_some_and(is_text) {
        let mut quoted = String::from("$'");
        for chunk in word.as_bytes().utf8_chunks() {
            for letter in visible::letters(chunk.valid()) {
                match letter {
                    Letter::Seen(c @ ('\'' | '\\')) => quoted.extend(['\\', c]),
                    Letter::Seen(c) | Letter::Hidden(c @ ('\n' | '\t')) => quoted.push(c),
                    Letter::Hidden(c) => quoted += &octal(c.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
            quoted += &octal(chunk.invalid());
        }
        quoted.push('\'');
        return Ok(quoted.into());
    }
    Quoter::new().quote(word.as_bytes()).map(Into::into).map_err(io::Error::other)
}

fn octal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:03o}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::command::WorkerCommand;
    use super::super::launcher::PythonUnbuffered;
    use super::super::machine::Machine;
    use super::*;
    use crate::shape::Protocol;

    #[test]
    fn a_dry_run_can_be_pasted_into_a_shell() {
        let args = vec!["s/x/it's $y/".into(), "größe \n\t".into(), "".into()];
        let command = WorkerCommand {
            program: "sed".into(),
            args,
            arg: Some("a b".into()),
        };
        let mut text = Vec::new();
        let launcher = Launcher::local(
            vec![command],
            Protocol::Lines,
            PythonUnbuffered::Inherited,
            Machine::default(),
        );
        write_commands(&launcher, &mut text).unwrap();
        let words = shlex::bytes::split(&text).expect("well quoted");
        assert_eq!(words[0], b"MTASK_WORKER=0");
        assert_eq!(words[3], b"MTASK_ARG=a b");
        let expected = ["sed", "s/x/it's $y/", "größe \n\t", ""].map(str::as_bytes);
        assert_eq!(words[5..], expected);
    }

    #[test]
    fn what_could_not_be_seen_is_escaped() {
        let quoted = |word: &[u8]| String::from_utf8(quote(OsStr::from_bytes(word)).unwrap());
        for (word, expected) in [
            (&b"\x1b[31m1"[..], r"$'\033[31m1'"),
            (b"it's \\ \xff\n", "$'it\\'s \\\\ \\377\n'"),
            ("ü\u{202e}x".as_bytes(), r"$'ü\342\200\256x'"),
            ("👩\u{200d}👧".as_bytes(), "'👩\u{200d}👧'"),
        ] {
            assert_eq!(quoted(word).unwrap(), expected);
        }
    }
}

//! `--dry-run`: what would be run, in a form that a shell can run.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use shlex::bytes::Quoter;

use crate::protocol::Protocol;

use super::command::{PythonUnbuffered, WorkerCommand};

/// Writes each worker's environment and command line, a line for each worker (more where a word
/// holds a newline), quoted so that a shell can run it.
pub fn write_commands(
    workers: &[WorkerCommand],
    protocol: Protocol,
    python: PythonUnbuffered,
    mut to: impl Write,
) -> io::Result<()> {
    for (worker, command) in workers.iter().enumerate() {
        for (name, value) in command.environment(worker, workers.len(), 0, protocol, python) {
            write!(to, "{name}=")?;
            to.write_all(&quote(&value)?)?;
            to.write_all(b" ")?;
        }
        to.write_all(&quote(&command.program)?)?;
        for arg in &command.args {
            to.write_all(b" ")?;
            to.write_all(&quote(arg)?)?;
        }
        to.write_all(b"\n")?;
    }
    Ok(())
}

fn quote(word: &OsStr) -> io::Result<Vec<u8>> {
    Quoter::new()
        .quote(word.as_bytes())
        .map(Into::into)
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_dry_run_can_be_pasted_into_a_shell() {
        let args = vec![
            "s/x/it's $y/".into(),
            OsString::from_vec(b"\xff \n".to_vec()),
            "".into(),
        ];
        let command = WorkerCommand {
            program: "sed".into(),
            args,
            arg: Some("a b".into()),
        };
        let mut text = Vec::new();
        write_commands(
            &[command],
            Protocol::Lines,
            PythonUnbuffered::Inherited,
            &mut text,
        )
        .unwrap();
        let words = shlex::bytes::split(&text).expect("well quoted");
        assert_eq!(words[0], b"MTASK_WORKER=0");
        assert_eq!(words[3], b"MTASK_ARG=a b");
        let expected: [&[u8]; 4] = [b"sed", b"s/x/it's $y/", b"\xff \n", b""];
        assert_eq!(words[5..], expected);
    }
}

use std::io::{self, ErrorKind, PipeReader, Read, Write};

use rustix::process::{Pid, WaitOptions, getpgid, waitpid};

use super::*;

fn start(name: &str, args: &[&str]) -> io::Result<(Pid, io::PipeWriter, PipeReader, PipeReader)> {
    let (its_stdin, stdin) = io::pipe()?;
    let (stdout, its_stdout) = io::pipe()?;
    let (stderr, its_stderr) = io::pipe()?;
    let program = Program {
        name: name.into(),
        args: args.iter().map(OsString::from).collect(),
        variables: vec![variable("MTASK_ARG", "gpu=0"), variable("PATH_OF_NONE", "")],
        cpus: Vec::new(),
    };
    let its = [its_stdin.into(), its_stdout.into(), its_stderr.into()];
    Ok((spawn(program, its)?, stdin, stdout, stderr))
}

fn variable(name: &'static str, value: &str) -> Variable {
    let value = value.into();
    Variable { name, value }
}

fn read(mut pipe: impl Read) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).unwrap();
    text
}

/// What a program answers that reads nothing.
fn answer(name: &str, args: &[&str]) -> String {
    let (pid, _, stdout, stderr) = start(name, args).unwrap();
    let answer = read(stdout);
    assert_eq!(read(stderr), "");
    waitpid(Some(pid), WaitOptions::empty()).unwrap();
    answer
}

#[test]
fn a_program_gets_its_words_its_variables_and_its_pipes() {
    let script = r#"read line; echo "$line|$0|$1|$MTASK_ARG|${PATH_OF_NONE-unset}"; echo bad >&2"#;
    let (pid, mut stdin, stdout, stderr) = start("sh", &["-c", script, "", "a b"]).unwrap();
    stdin.write_all(b"a line\n").unwrap();
    assert_eq!(read(stdout), "a line||a b|gpu=0|\n");
    assert_eq!(read(stderr), "bad\n");
    let (_, status) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(status.exit_status(), Some(0));
}

#[test]
fn the_rest_of_the_environment_is_inherited_once() {
    let answer = answer("env", &[]);
    let paths = answer.lines().filter(|line| line.starts_with("PATH="));
    assert_eq!(paths.count(), 1, "{answer}");
    assert_eq!(answer.matches("MTASK_ARG=gpu=0\n").count(), 1, "{answer}");
}

#[test]
fn a_process_leads_a_group_of_its_own() {
    let (pid, stdin, _stdout, _stderr) = start("cat", &[]).unwrap();
    assert_eq!(getpgid(Some(pid)), Ok(pid));
    drop(stdin);
    waitpid(Some(pid), WaitOptions::empty()).unwrap();
}

#[test]
fn what_cannot_be_run_is_told() {
    let failure = |name, args: &[&str]| start(name, args).map(drop).unwrap_err().kind();
    assert_eq!(failure("no such program", &[]), ErrorKind::NotFound);
    assert_eq!(failure("/", &[]), ErrorKind::PermissionDenied);
    assert_eq!(failure("cat", &["a\0b"]), ErrorKind::InvalidInput);
}

/// musl's execvpe(3) runs no shell.
#[cfg(not(target_env = "musl"))]
#[test]
fn a_file_without_an_interpreter_is_a_shell_script() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    let script = script.to_str().unwrap();
    // Were it open here, a process that another test starts could hold it: "text file busy".
    let write = r#"echo 'echo "$1"' >"$1" && chmod +x "$1""#;
    assert_eq!(answer("sh", &["-c", write, "", script]), "");
    assert_eq!(answer(script, &["word"]), "word\n");
}

/// A set of signals in what /proc says of a process or a thread.
#[cfg(target_os = "linux")]
fn signals(status: &str, name: &str) -> u64 {
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    u64::from_str_radix(line.rsplit('\t').next().unwrap(), 16).unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_blocks_what_was_blocked_and_a_closed_pipe_ends_it() {
    let ours = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
    // SAFETY: the set is initialised before it is read.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&raw mut set, libc::SIGUSR2);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
    let before = signals(&ours(), "SigBlk");
    let its = answer("cat", &["/proc/self/status"]);
    assert_ne!(before & 1 << (libc::SIGUSR2 - 1), 0);
    assert_eq!(signals(&its, "SigBlk"), before);
    assert_eq!(signals(&its, "SigIgn") & 1 << (libc::SIGPIPE - 1), 0);
    assert_eq!(signals(&ours(), "SigBlk"), before);
}

//! Where a test works: a folder of its own, and mtask as it is to be run there.
//!
//! Each run has a time limit, starts with every signal at its default and with nothing in its
//! environment that mtask or the test worker look at. The limit is there to end a run that hangs,
//! not to measure one: no test may fail because the machine is busy.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use tempfile::TempDir;

use crate::done::{Done, shorten};
use crate::live::Live;
use crate::processes::Process;
use crate::terminal::Terminal;
pub(crate) use crate::wait::{LIMIT, let_pass, wait_until};

/// What tells numeric libraries how many threads to start.
pub(crate) const THREADS: [&str; 8] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
];

/// A temporary folder, gone when the test is done.
pub(crate) struct TestEnv {
    folder: Arc<TempDir>,
}

/// A run of mtask with these options, in a folder that the test need not know.
pub(crate) fn mtask(words: &str) -> Run {
    TestEnv::new().mtask().words(words)
}

impl TestEnv {
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("mtask-test-").expect("a temporary folder");
        Self {
            folder: Arc::new(folder),
        }
    }

    /// A run of mtask in this folder; its input is empty until the test says otherwise.
    pub(crate) fn mtask(&self) -> Run {
        Run {
            folder: Arc::clone(&self.folder),
            args: Vec::new(),
            launch: Vec::new(),
            program: env!("CARGO_BIN_EXE_mtask").into(),
            shell: None,
            vars: Vec::new(),
            stdin: Stdin::Bytes(Vec::new()),
            stdout: Stdout::Captured,
            terminal: None,
        }
    }

    /// Runs a script in this folder by sh, with an empty input.
    pub(crate) fn sh(&self, script: &str) -> Done {
        let mut run = self.mtask();
        run.shell = Some(script.to_owned());
        run.run()
    }

    /// The path of `name` in this folder, in a form that fits into a directive.
    pub(crate) fn path(&self, name: &str) -> String {
        let path = self.folder.path().join(name).into_os_string().into_string();
        let path = path.expect("a temporary folder with a UTF-8 name");
        assert!(
            !path.contains(['@', '"', ' ']),
            "TMPDIR has a name that directives cannot hold: {path}"
        );
        path
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).expect("a file is written");
        path
    }

    /// Writes a file with these permissions and returns its path.
    pub(crate) fn write_with_mode(&self, name: &str, bytes: impl AsRef<[u8]>, mode: u32) -> String {
        let path = self.write(name, bytes);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("permissions are set");
        path
    }

    /// Copies a program. By cp(1): if this process had it open to be written, another one that a test
    /// starts at that moment would too, and then it could not be run.
    pub(crate) fn copy_program(&self, from: impl AsRef<OsStr>, to: &str) {
        let status = Command::new("cp").arg(from).arg(self.path(to)).status();
        assert!(
            status.expect("cp runs").success(),
            "a program is not copied"
        );
    }

    /// Makes a named pipe, open at both ends for as long as the test keeps it: nobody waits to open
    /// it, and who reads it waits until something is written.
    pub(crate) fn fifo(&self, name: &str) -> File {
        let path = self.path(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a named pipe");
        let mut options = OpenOptions::new();
        options.read(true).write(true).open(path).expect("a named pipe")
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        Path::new(&self.path(name)).exists()
    }

    /// The lines of a file; none where it does not exist.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        // A line that is being written does not count.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(ToOwned::to_owned).collect()
    }

    /// The value in a file.
    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A record that makes the file `begun` and is answered when there is a file `go`.
    pub(crate) fn held(&self, record: &str) -> String {
        format!(
            "{record} @touch:{} @wait:{}",
            self.path("begun"),
            self.path("go")
        )
    }

    /// Waits until a file has this many lines, and returns them.
    pub(crate) fn wait_for_lines(&self, name: &str, count: usize) -> Vec<String> {
        let what = format!("{count} lines in {name}");
        wait_until(&what, || self.lines(name).len() >= count);
        self.lines(name)
    }

    /// Waits until a file exists.
    pub(crate) fn wait_for(&self, name: &str) {
        wait_until(name, || self.exists(name));
    }

    /// The processes whose pids were noted in a file.
    pub(crate) fn processes(&self, name: &str) -> Vec<Process> {
        self.lines(name).iter().map(|line| Process::parse(line)).collect()
    }

    /// Asserts that processes were noted in the file, and that all of them end.
    pub(crate) fn assert_all_gone(&self, name: &str) {
        let noted = self.processes(name);
        assert!(!noted.is_empty(), "no process was noted in {name}");
        for process in noted {
            wait_until(&format!("the end of {process:?} of {name}"), || {
                !process.is_live_worker()
            });
        }
    }
}

impl Drop for TestEnv {
    /// Leaves no process behind when a test fails; files of pids are named `*.pids`.
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        for entry in fs::read_dir(self.folder.path()).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".pids") {
                for process in self.processes(&name).into_iter().filter(|p| p.is_live_worker()) {
                    process.kill();
                }
            }
        }
    }
}

/// Says loudly that a test shows nothing on this machine; where `MTASK_TEST_REQUIRE_ALL` is set,
/// as in .ci/run, the test fails.
pub(crate) fn skip(reason: &str) {
    let must_run = std::env::var_os("MTASK_TEST_REQUIRE_ALL").is_some();
    assert!(
        !must_run,
        "SKIPPED, though MTASK_TEST_REQUIRE_ALL is set: {reason}"
    );
    // Not eprintln!, which the test harness keeps back where a test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {reason}");
}

/// Whether a tool is installed; says so where it is not.
pub(crate) fn has(tool: &str) -> bool {
    let found =
        Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        skip(&format!("{tool} is not installed"));
    }
    found
}

/// The path of the test worker, which cargo builds as an example.
pub(crate) fn worker_path() -> String {
    let mtask = Path::new(env!("CARGO_BIN_EXE_mtask"));
    let path = mtask.with_file_name("examples").join("test-worker");
    assert!(
        path.exists(),
        "{} is missing: `cargo test` builds it, `cargo test --test it` needs `cargo build --examples` first",
        path.display()
    );
    path.into_os_string().into_string().expect("a target folder with a UTF-8 name")
}

enum Stdin {
    Bytes(Vec<u8>),
    File(PathBuf),
    Open,
}

enum Stdout {
    Captured,
    File(PathBuf),
    Descriptor(OwnedFd),
}

/// A run of mtask that is being described.
pub(crate) struct Run {
    folder: Arc<TempDir>,
    args: Vec<OsString>,
    /// What the launcher is to see to.
    launch: Vec<String>,
    program: PathBuf,
    shell: Option<String>,
    vars: Vec<(&'static str, &'static str)>,
    stdin: Stdin,
    stdout: Stdout,
    terminal: Option<Terminal>,
}

impl Run {
    /// Arguments as one types them, with blanks between them.
    pub(crate) fn words(self, words: &str) -> Self {
        self.args(words.split_whitespace())
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Ends the options: the command is the test worker with these arguments.
    pub(crate) fn worker(self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args(["--", &worker_path()]).args(args)
    }

    /// Ends the options: the command is the test worker, answering each record with itself.
    pub(crate) fn echo(self) -> Self {
        self.worker([""; 0])
    }

    /// A variable for mtask's environment.
    pub(crate) fn var(mut self, name: &'static str, value: &'static str) -> Self {
        self.vars.push((name, value));
        self
    }

    /// Only so many processes and threads of the user may be there whenever mtask wants one more.
    pub(crate) fn processes(mut self, most: u64) -> Self {
        self.launch.extend(["--processes".into(), most.to_string()]);
        self
    }

    /// Another user runs this copy of mtask.
    pub(crate) fn user(mut self, user: u32, mtask: impl Into<PathBuf>) -> Self {
        self.launch.extend(["--user".into(), user.to_string()]);
        self.program = mtask.into();
        self
    }

    /// Starts mtask by sh; the script finds it with its arguments in `"$0" "$@"`, and should `exec`
    /// it.
    pub(crate) fn shell(mut self, script: &str) -> Self {
        self.shell = Some(script.to_owned());
        self
    }

    /// The input, through a pipe.
    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Stdin::Bytes(bytes.into());
        self
    }

    /// The input, a file.
    pub(crate) fn stdin_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.stdin = Stdin::File(path.into());
        self
    }

    /// The output goes to this file, which exists.
    pub(crate) fn stdout_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.stdout = Stdout::File(path.into());
        self
    }

    /// The output goes to this descriptor.
    pub(crate) fn stdout_descriptor(mut self, descriptor: OwnedFd) -> Self {
        self.stdout = Stdout::Descriptor(descriptor);
        self
    }

    /// stderr is a terminal that can do what xterm can; what is written there is captured.
    pub(crate) fn terminal(mut self, terminal: Terminal) -> Self {
        self.terminal = Some(terminal);
        self.vars.insert(0, ("TERM", "xterm"));
        self
    }

    /// Runs mtask on this input, to its end.
    pub(crate) fn run_on(self, input: impl AsRef<[u8]>) -> Done {
        self.stdin(input.as_ref()).run()
    }

    /// Runs mtask to its end.
    pub(crate) fn run(self) -> Done {
        self.start().wait()
    }

    /// Starts mtask with an input that the test writes as it goes.
    pub(crate) fn open(mut self) -> Live {
        self.stdin = Stdin::Open;
        self.start()
    }

    /// Starts mtask with the input described so far.
    pub(crate) fn start(self) -> Live {
        let shown = self.show();
        let mut command = Command::new(worker_path());
        command.arg("--launch").args(&self.launch);
        if let Some(script) = &self.shell {
            command.args(["sh", "-c", script]);
        }
        command.arg(&self.program).args(&self.args);
        command.current_dir(self.folder.path()).process_group(0).stderr(match &self.terminal {
            Some(terminal) => terminal.writer().into(),
            None => Stdio::piped(),
        });
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MTASK_") {
                command.env_remove(name);
            }
        }
        for name in [
            "PYTHONUNBUFFERED",
            "NO_COLOR",
            "COLUMNS",
            "RUST_BACKTRACE",
            "TERM",
            "TMUX",
            "STY",
            "XTERM_VERSION",
            "CUDA_VISIBLE_DEVICES",
            "CUDA_DEVICE_ORDER",
            "HIP_VISIBLE_DEVICES",
        ]
        .iter()
        .chain(&THREADS)
        {
            command.env_remove(name);
        }
        command.envs(self.vars);
        command.stdin(match &self.stdin {
            Stdin::Bytes(_) | Stdin::Open => Stdio::piped(),
            Stdin::File(path) => File::open(path).expect("the input file").into(),
        });
        command.stdout(match self.stdout {
            Stdout::Captured => Stdio::piped(),
            Stdout::File(path) => {
                OpenOptions::new().write(true).open(path).expect("the output file").into()
            }
            Stdout::Descriptor(descriptor) => descriptor.into(),
        });
        let mut child = command.spawn().expect("mtask starts");
        // The descriptors in it would keep pipes open.
        drop(command);
        if let Stdin::Bytes(bytes) = self.stdin {
            let mut pipe = child.stdin.take().expect("a pipe");
            // mtask may end before it has read everything; the test judges by other means.
            thread::spawn(move || pipe.write_all(&bytes));
        }
        Live::new(shown, child, self.terminal, self.folder)
    }

    /// The command and its input, as a failure shows them.
    fn show(&self) -> String {
        let args: Vec<String> =
            self.args.iter().map(|arg| format!("{:?}", arg.display().to_string())).collect();
        let shell =
            self.shell.as_ref().map(|script| format!("sh -c {script:?} ")).unwrap_or_default();
        let stdin = match &self.stdin {
            Stdin::Bytes(bytes) => shorten(bytes),
            Stdin::File(path) => format!("the file {}", path.display()),
            Stdin::Open => "written by the test".to_owned(),
        };
        let launch = self.launch.join(" ");
        format!(
            "{launch} {shell}mtask {}\n--- stdin\n{stdin}",
            args.join(" ")
        )
    }
}

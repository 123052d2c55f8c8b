//! Starting a program in a process group of its own, on pipes, to be killed when mtask is.
//!
//! On Linux the new process borrows mtask's memory until it runs the program, as with
//! posix_spawn(3), which has no way to ask for the death signal. fork(2) would copy the page tables
//! for nothing, the longer the more mtask holds, and each page that mtask writes to after that
//! would be copied, too.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::Pid;

/// What a process is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// A path, or a name that is looked for in PATH.
    pub name: OsString,
    /// What follows the name.
    pub args: Vec<OsString>,
    /// What is set, beside what it inherits.
    pub variables: Vec<Variable>,
    /// The CPUs that it runs on, with all that it starts; any where there are none. On Linux alone.
    pub cpus: Vec<usize>,
}

/// A variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: OsString,
}

impl Variable {
    /// `NAME=VALUE`, one word, as execve(2) and env(1) take it.
    pub fn word(&self) -> OsString {
        assignment(self.name.as_ref(), &self.value)
    }
}

fn assignment(name: &OsStr, value: &OsStr) -> OsString {
    let mut word = OsString::with_capacity(name.len() + 1 + value.len());
    word.push(name);
    word.push("=");
    word.push(value);
    word
}

#[cfg(target_os = "linux")]
pub use linux::spawn;

/// Starts `program` with these as its stdin, stdout and stderr; gives the process id, which is that
/// of its group too. Whoever starts it has to wait for it.
///
/// # Errors
/// Where it cannot be started.
#[cfg(not(target_os = "linux"))]
pub fn spawn(program: Program, stdio: [OwnedFd; 3]) -> io::Result<Pid> {
    use std::os::unix::process::CommandExt;

    let [stdin, stdout, stderr] = stdio;
    let mut command = std::process::Command::new(program.name);
    command
        .args(program.args)
        .envs(program.variables.iter().map(|set| (set.name, &set.value)))
        .process_group(0)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr);
    // SAFETY: it makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            super::descriptors::restore_limit();
            Ok(())
        });
    }
    let child = command.spawn()?;
    Ok(Pid::from_child(&child))
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{CString, c_char, c_int, c_void};
    use std::iter;
    use std::mem::MaybeUninit;
    use std::os::unix::ffi::OsStringExt;
    use std::ptr;

    use rustix::fs::{Mode, OFlags, open};
    use rustix::io::{Errno, retry_on_intr, write};
    use rustix::process::{
        Signal, WaitOptions, getpid, getppid, set_parent_process_death_signal, setpgid, waitpid,
    };
    use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
    use rustix::thread::{CpuSet, sched_setaffinity};

    use super::super::descriptors::restore_limit;
    use super::{OsStr, OsString, OwnedFd, Pid, Program, Variable, assignment, io};

    /// The new process's stack: execvpe(3) builds paths on it, and a command line for a script
    /// without an interpreter.
    const STACK: usize = 64 * 1024;

    /// What the new process needs to know, all made before there is one: it must not allocate.
    struct Plan {
        words: Strings,
        variables: Strings,
        stdio: [OwnedFd; 3],
        /// The signals that this thread blocks, and the program is to.
        blocked: libc::sigset_t,
        /// What makes the kernel choose it rather than mtask, where memory runs out.
        oom_score: Option<String>,
        /// Where it is to run, unless anywhere.
        cpus: Option<CpuSet>,
        parent: Pid,
        /// Why the program could not be run.
        failure: Option<Errno>,
    }

    /// Starts `program` with these as its stdin, stdout and stderr; gives the process id, which is
    /// that of its group too. Whoever starts it has to wait for it. The process is killed when the
    /// thread that started it ends.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn spawn(program: Program, stdio: [OwnedFd; 3]) -> io::Result<Pid> {
        let mut cpus = CpuSet::new();
        program.cpus.iter().for_each(|cpu| cpus.set(*cpu));
        let cpus = Some(cpus).filter(|_| !program.cpus.is_empty());
        let words = iter::once(program.name).chain(program.args);
        let words = Strings::new(words.map(OsString::into_vec))?;
        let variables = Strings::new(environment(&program.variables))?;
        let signals = BlockedSignals::new();
        let mut plan = Plan {
            words,
            variables,
            stdio,
            blocked: signals.before,
            oom_score: oom_score(),
            cpus,
            parent: getpid(),
            failure: None,
        };
        // In units of 16 bytes, to which a stack is aligned.
        let units = (STACK + size_of_val(&*plan.words.pointers)).div_ceil(16);
        let mut stack: Vec<MaybeUninit<u128>> = Vec::with_capacity(units);
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: the stack's end is that of memory which is ours until the call returns, and the
        // call returns when the new process has left both behind: it runs the program, or is gone.
        // Until then this thread stands still, and no handler of mtask's can run in the new
        // process.
        let pid = unsafe {
            libc::clone(
                begin,
                stack.as_mut_ptr().add(stack.capacity()).cast(),
                flags,
                (&raw mut plan).cast(),
            )
        };
        let refused = io::Error::last_os_error();
        drop(signals);
        let Some(pid) = (pid != -1).then(|| Pid::from_raw(pid)).flatten() else {
            return Err(refused);
        };
        let Some(failure) = plan.failure else {
            return Ok(pid);
        };
        let _ = retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
        Err(failure.into())
    }

    /// The first steps of the new process.
    extern "C" fn begin(plan: *mut c_void) -> c_int {
        // SAFETY: it is the plan of `spawn`, which stands still.
        let plan = unsafe { &mut *plan.cast::<Plan>() };
        plan.failure = prepare(plan).and_then(|()| run(plan)).err();
        127
    }

    fn prepare(plan: &Plan) -> Result<(), Errno> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the signal was asked for.
        if getppid() != Some(plan.parent) {
            return Err(Errno::SRCH);
        }
        setpgid(None, None)?;
        if let Some(cpus) = &plan.cpus {
            sched_setaffinity(None, cpus)?;
        }
        if let Some(score) = &plan.oom_score {
            // Where that is forbidden, it is like mtask.
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            if let Ok(file) = open(c"/proc/self/oom_score_adj", flags, Mode::empty()) {
                let _ = write(&file, score.as_bytes());
            }
        }
        forget_signals(&plan.blocked);
        restore_limit();
        let [stdin, stdout, stderr] = &plan.stdio;
        dup2_stdin(stdin)?;
        dup2_stdout(stdout)?;
        dup2_stderr(stderr)
    }

    /// A score above mtask's own: without mtask all workers would be lost, and whatever it holds.
    fn oom_score() -> Option<String> {
        let own = std::fs::read_to_string("/proc/self/oom_score_adj").ok()?;
        let own: i32 = own.trim().parse().ok()?;
        Some((own + 100).min(1000).to_string())
    }

    /// Undoes what mtask does with signals. What came for mtask's group before this process had one
    /// of its own is dropped: mtask stands still until this process has run its program, and could
    /// not continue it if it were stopped.
    fn forget_signals(blocked: &libc::sigset_t) {
        // SAFETY: this process has handlers of its own, a copy of mtask's; actions, sets and times
        // of zeros are valid.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            let at_once: libc::timespec = std::mem::zeroed();
            while libc::sigtimedwait(&raw const all, ptr::null_mut(), &raw const at_once) != -1 {}
            let mut action: libc::sigaction = std::mem::zeroed();
            for signal in 1..=libc::SIGRTMAX() {
                let is_known = libc::sigaction(signal, ptr::null(), &raw mut action) == 0;
                let is_caught = ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction);
                // The standard library ignores SIGPIPE, whatever it was before.
                if is_known && (is_caught || signal == libc::SIGPIPE) {
                    action = std::mem::zeroed();
                    libc::sigaction(signal, &raw const action, ptr::null_mut());
                }
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, blocked, ptr::null_mut());
        }
    }

    fn run(plan: &Plan) -> Result<(), Errno> {
        let (words, variables) = (&plan.words.pointers, &plan.variables.pointers);
        // SAFETY: both lists end with a null, and there is a first word.
        unsafe { libc::execvpe(words[0], words.as_ptr(), variables.as_ptr()) };
        Err(last_errno())
    }

    /// errno is that of the thread that stands still, as all its memory is.
    fn last_errno() -> Errno {
        io::Error::last_os_error().raw_os_error().map_or(Errno::INVAL, Errno::from_raw_os_error)
    }

    /// What mtask has inherited, with `set` in place of what has the same name.
    fn environment(set: &[Variable]) -> impl Iterator<Item = Vec<u8>> {
        let is_set = |name: &OsStr| set.iter().any(|variable| name == variable.name);
        let inherited = std::env::vars_os().filter(move |(name, _)| !is_set(name));
        let inherited = inherited.map(|(name, value)| assignment(&name, &value));
        inherited.chain(set.iter().map(Variable::word)).map(OsString::into_vec)
    }

    /// Strings as C has lists of them: pointers, the last of them null.
    struct Strings {
        pointers: Vec<*const c_char>,
        _pointed_at: Vec<CString>,
    }

    impl Strings {
        fn new(strings: impl Iterator<Item = Vec<u8>>) -> io::Result<Self> {
            let strings = strings.map(CString::new).collect::<Result<Vec<_>, _>>()?;
            let pointers = strings.iter().map(|string| string.as_ptr());
            Ok(Self {
                pointers: pointers.chain([ptr::null()]).collect(),
                _pointed_at: strings,
            })
        }
    }

    /// While there is one, no signal is delivered to this thread.
    struct BlockedSignals {
        before: libc::sigset_t,
    }

    impl BlockedSignals {
        fn new() -> Self {
            // SAFETY: both sets are written to before they are read.
            unsafe {
                let mut all: libc::sigset_t = std::mem::zeroed();
                let mut before: libc::sigset_t = std::mem::zeroed();
                libc::sigfillset(&raw mut all);
                libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
                Self { before }
            }
        }
    }

    impl Drop for BlockedSignals {
        fn drop(&mut self) {
            // SAFETY: it is the set that was found.
            unsafe {
                libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut());
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! A run of mtask that has been started: the test writes records, reads results and sends signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::mem;
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tempfile::TempDir;

use crate::done::{Done, dump};
use crate::env::{LIMIT, wait_until};
use crate::processes::Process;
use crate::terminal::Terminal;

/// A running mtask. It is killed where the test ends before it does.
pub(crate) struct Live {
    shown: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    read: Vec<u8>,
    stderr: Collected,
    watchdog: Watchdog,
    over: bool,
    _folder: Arc<TempDir>,
}

impl Live {
    /// `folder` is where it runs, which is kept as long.
    pub(crate) fn new(
        shown: String,
        mut child: Child,
        terminal: Option<Terminal>,
        folder: Arc<TempDir>,
    ) -> Self {
        let stderr = match (terminal, child.stderr.take()) {
            (Some(mut terminal), _) => Collected::start(move |bytes| terminal.read(bytes)),
            (None, Some(mut pipe)) => Collected::start(move |bytes| pipe.read(bytes)),
            (None, None) => panic!("stderr goes to a terminal or a pipe"),
        };
        Self {
            shown,
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(BufReader::new),
            read: Vec::new(),
            stderr,
            watchdog: Watchdog::start(child.id()),
            child,
            over: false,
            _folder: folder,
        }
    }

    /// Writes one record.
    pub(crate) fn send(&mut self, record: impl AsRef<[u8]>) {
        let line = [record.as_ref(), b"\n"].concat();
        let pipe = self.stdin.as_mut().expect("an input that the test writes");
        if let Err(error) = pipe.write_all(&line).and_then(|()| pipe.flush()) {
            self.fail(&format!("mtask does not read its input: {error}"));
        }
    }

    /// The next line of the output, without its end.
    pub(crate) fn line(&mut self) -> String {
        self.line_or_end()
            .unwrap_or_else(|| self.fail("stdout ended where another line was expected"))
    }

    /// The next line of the output, without its end; `None` at the end of the output.
    pub(crate) fn line_or_end(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let pipe = self.stdout.as_mut().expect("an output that the test reads");
        pipe.read_until(b'\n', &mut line).expect("stdout can be read");
        self.read.extend(&line);
        let is_whole = line.pop() == Some(b'\n');
        is_whole.then(|| String::from_utf8_lossy(&line).into_owned())
    }

    /// Writes a record and asserts that the next line of output is `expected`.
    pub(crate) fn ask(&mut self, record: &str, expected: &str) {
        self.send(record);
        let line = self.line();
        if line != expected {
            self.fail(&format!("{record:?} gave {line:?} and not {expected:?}"));
        }
    }

    /// What is on stderr so far.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes()).into_owned()
    }

    /// Waits until stderr holds `text`.
    pub(crate) fn wait_for_stderr(&self, text: &str) {
        self.wait_until_stderr(&format!("{text:?}"), |stderr| stderr.contains(text));
    }

    /// Waits until `condition` holds of what is on stderr.
    pub(crate) fn wait_until_stderr(&self, what: &str, condition: impl Fn(&str) -> bool) {
        if !self.stderr.wait_until(condition) {
            self.fail(&format!("stderr ended without {what}"));
        }
    }

    /// Stops mtask as Ctrl-Z does, and waits until it is stopped.
    pub(crate) fn stop(&self) {
        self.signal(Signal::TSTP);
        self.wait_for_stop();
    }

    /// A signal to mtask's whole process group, as a terminal sends it.
    pub(crate) fn signal_group(&self, signal: Signal) {
        kill_process_group(pid(self.child.id()), signal).expect("mtask is there");
    }

    /// Stops mtask's whole process group. The signal is sent again and again: one that comes while
    /// mtask has not yet heard of the SIGCONT before it is cancelled by that.
    pub(crate) fn stop_group(&self) {
        wait_until("mtask stopped", || {
            self.signal_group(Signal::TSTP);
            self.is_stopped(WaitIdOptions::NOHANG)
        });
    }

    /// Waits until mtask has stopped.
    pub(crate) fn wait_for_stop(&self) {
        self.is_stopped(WaitIdOptions::empty());
    }

    /// Whether mtask is stopped, by the end of a wait with these options.
    fn is_stopped(&self, options: WaitIdOptions) -> bool {
        let options =
            options | WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(pid(self.child.id())), options);
        match status.expect("mtask can be waited for") {
            Some(status) if status.stopped() => true,
            Some(_) => self.fail("mtask ended where it was to stop"),
            None => false,
        }
    }

    /// Hands over the pipe to mtask's stdin.
    pub(crate) fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("an input that the test writes")
    }

    /// Closes the reading end of the output.
    pub(crate) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Whether mtask has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        let ended = self.child.try_wait().expect("mtask can be waited for");
        ended.is_some()
    }

    /// SIGKILL for mtask's whole process group.
    pub(crate) fn kill_group(&self) {
        let _ = kill_process_group(pid(self.child.id()), Signal::KILL);
    }

    pub(crate) fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process().signal(signal);
    }

    /// Sends the signal again and again until mtask has ended.
    pub(crate) fn signal_until_ended(&mut self, signal: Signal) {
        wait_until("the end of mtask", || {
            let ended = self.has_ended();
            if !ended {
                self.signal(signal);
            }
            ended
        });
    }

    /// Waits for the end, the input being left open.
    pub(crate) fn wait_with_open_stdin(mut self) -> Done {
        let stdin = self.stdin.take();
        let done = self.wait();
        drop(stdin);
        done
    }

    /// Waits for the end before anything more of the output is read.
    pub(crate) fn wait_unread(mut self) -> Done {
        self.child.wait().expect("mtask can be waited for");
        self.wait()
    }

    /// Closes the input, reads what is left of the output and waits for the end.
    pub(crate) fn wait(mut self) -> Done {
        self.stdin = None;
        if let Some(mut pipe) = self.stdout.take() {
            pipe.read_to_end(&mut self.read).expect("stdout can be read");
        }
        let status = self.child.wait().expect("mtask can be waited for");
        let stderr = self.stderr.finish();
        self.over = true;
        let done = Done {
            shown: mem::take(&mut self.shown),
            status,
            stdout: mem::take(&mut self.read),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        };
        if self.watchdog.bit() {
            done.fail(&format!("it was killed after {LIMIT:?}"));
        }
        done
    }

    /// Fails the test; the run is shown when it is dropped.
    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        panic!("{why}")
    }
}

impl Drop for Live {
    /// After `wait` there is no such child any more, and nothing is done here.
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if thread::panicking() {
            let status = if self.watchdog.bit() {
                "killed at the time limit"
            } else {
                "it is running"
            };
            eprintln!(
                "{}",
                dump(&self.shown, status, &self.read, &self.stderr.bytes())
            );
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pid(number: u32) -> Pid {
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
    pid.expect("a pid")
}

/// What has been read from a pipe so far. A thread reads it, or mtask would block; hence the lock.
struct Collected {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    read: Mutex<ReadFrom>,
    has_more: Condvar,
}

#[derive(Default)]
struct ReadFrom {
    bytes: Vec<u8>,
    has_ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, ReadFrom> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collected {
    fn start(mut read: impl FnMut(&mut [u8]) -> std::io::Result<usize> + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let filled = Arc::clone(&shared);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(count @ 1..) = read(&mut buffer) {
                filled.lock().bytes.extend(&buffer[..count]);
                filled.has_more.notify_all();
            }
            filled.lock().has_ended = true;
            filled.has_more.notify_all();
        });
        Self {
            shared,
            reader: Some(reader),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.shared.lock().bytes.clone()
    }

    /// Waits until `condition` holds; gives whether it does, or all has been read in vain. The
    /// watchdog of the run is the limit.
    fn wait_until(&self, condition: impl Fn(&str) -> bool) -> bool {
        let mut read = self.shared.lock();
        loop {
            if condition(&String::from_utf8_lossy(&read.bytes)) {
                return true;
            }
            if read.has_ended {
                return false;
            }
            let more = self.shared.has_more.wait(read);
            read = more.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn finish(&mut self) -> Vec<u8> {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader of stderr");
        }
        self.bytes()
    }
}

/// Kills mtask's process group after [`LIMIT`].
struct Watchdog {
    bit: Arc<AtomicBool>,
    _gone: Sender<()>,
}

impl Watchdog {
    fn start(pid: u32) -> Self {
        let bit = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&bit);
        let (gone, end) = channel();
        thread::spawn(move || watch(pid, &shared, &end));
        Self { bit, _gone: gone }
    }

    fn bit(&self) -> bool {
        self.bit.load(Ordering::SeqCst)
    }
}

fn watch(pid: u32, bit: &AtomicBool, end: &Receiver<()>) {
    if end.recv_timeout(LIMIT) != Err(RecvTimeoutError::Timeout) {
        return;
    }
    bit.store(true, Ordering::SeqCst);
    let _ = kill_process_group(self::pid(pid), Signal::KILL);
    if end.recv_timeout(Duration::from_secs(30)) == Err(RecvTimeoutError::Timeout) {
        eprintln!("mtask was killed, but something still holds its stdout or stderr open");
        std::process::abort();
    }
}

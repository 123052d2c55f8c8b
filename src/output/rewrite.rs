//! Files that are written again and again while a run goes on: whoever reads one sees a whole one.
//!
//! Each version is written beside the file and takes its place. A thread writes, which the first
//! version starts. Always: of each file at most one version is with it.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::destination::WriteError;
use super::new_file::end_of_links;
use crate::report::Page;
use crate::visible;
use crate::waker::{WakeAtEnd, Waker};

/// The engine's side of the thread that writes pages.
#[derive(Debug)]
pub struct Pages {
    waker: Waker,
    writer: Option<PageWriter>,
    /// How many are with the thread.
    under_way: Arc<AtomicUsize>,
}

/// Where the thread takes pages from, until that is dropped, and what came of each.
#[derive(Debug)]
struct PageWriter {
    pages: Sender<Page>,
    ends: Receiver<Result<(), WriteError>>,
}

impl Pages {
    /// Nothing is written yet.
    pub fn new(waker: &Waker) -> Self {
        Self {
            waker: waker.clone(),
            writer: None,
            under_way: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// Whether the thread has yet to write what it was given.
    pub fn is_busy(&self) -> bool {
        self.under_way.load(SeqCst) > 0
    }

    /// Has pages written. Where there is no thread for it, they are not.
    pub fn put(&mut self, pages: Vec<Page>) {
        if pages.is_empty() {
            return;
        }
        if self.writer.is_none() {
            self.writer = start(&self.waker, &self.under_way).ok();
        }
        if let Some(writer) = &self.writer {
            for page in pages {
                self.under_way.fetch_add(1, SeqCst);
                // The thread ends only with the engine.
                let _ = writer.pages.send(page);
            }
        }
    }

    /// What could not be written since this was asked last.
    pub fn take_failure(&self) -> Option<WriteError> {
        let ends = &self.writer.as_ref()?.ends;
        ends.try_iter().find_map(Result::err)
    }

    /// Nothing more comes. What comes from the receiver are the ends of what is still to be written;
    /// it is closed, and the engine woken, when that is over.
    pub fn close(&mut self) -> Option<Receiver<Result<(), WriteError>>> {
        self.writer.take().map(|writer| writer.ends)
    }
}

fn start(waker: &Waker, under_way: &Arc<AtomicUsize>) -> io::Result<PageWriter> {
    let (send, pages) = unbounded::<Page>();
    let (ended, ends) = unbounded();
    let (waker, left) = (waker.clone(), Arc::clone(under_way));
    let write = move || {
        let _last = WakeAtEnd(waker);
        let ended = ended;
        for page in pages {
            let written = replace(&page.path, &page.bytes).map_err(|error| WriteError {
                file: visible::name(&page.path),
                error,
            });
            left.fetch_sub(1, SeqCst);
            // Nobody asks any more where the engine is gone.
            let _ = ended.send(written);
        }
        drop(ended);
    };
    thread::Builder::new().name("pages".into()).spawn(write)?;
    Ok(PageWriter { pages: send, ends })
}

/// Puts a new version of a file in its place, where a link leads.
///
/// # Errors
/// Where that cannot be; the version before is then as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = end_of_links(path);
    let beside = beside(&path);
    let written = write(&path, &beside, bytes).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // Nothing is left of what has failed.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write(path: &Path, beside: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(beside)?;
    if let Ok(found) = fs::metadata(path) {
        // Who may read what was there may read what takes its place, and nobody else.
        let _ = file.set_permissions(found.permissions());
    }
    file.write_all(bytes)
}

/// The name of a version until it is whole. It has another ending: who looks for files by theirs, does
/// not find it.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.new", process::id()));
    path.with_file_name(name)
}

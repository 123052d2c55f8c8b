//! A terminal for a test: a pseudo-terminal, and an emulator that shows what is on its screen.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::env::wait_until;

/// More than any test writes.
const ROWS: u16 = 200;

/// A terminal. It belongs to no session: signals are sent by the test.
pub(crate) struct Terminal {
    reader: File,
    /// The end that programs have as their stderr.
    writer: Option<File>,
    /// Nothing is read before this file exists.
    stuck_until: Option<PathBuf>,
}

impl Terminal {
    pub(crate) fn new(columns: u16) -> Self {
        let reader = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        fcntl_setfd(&reader, FdFlags::CLOEXEC).expect("a terminal");
        grantpt(&reader).and_then(|()| unlockpt(&reader)).expect("a terminal");
        let name = ptsname(&reader, Vec::new()).expect("a terminal's name");
        let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let mut options = OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOCTTY);
        let writer = options.read(true).write(true).open(path).expect("a terminal");
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&writer, size).expect("a terminal's size");
        Self {
            reader: reader.into(),
            writer: Some(writer),
            stuck_until: None,
        }
    }

    /// Takes nothing before this file exists.
    pub(crate) fn stuck_until(mut self, path: impl Into<PathBuf>) -> Self {
        self.stuck_until = Some(path.into());
        self
    }

    /// Another descriptor of the end that programs use.
    pub(crate) fn writer(&self) -> OwnedFd {
        let writer = self.writer.as_ref().expect("nothing has been read yet");
        writer.try_clone().expect("a descriptor").into()
    }

    /// Changes its width.
    pub(crate) fn resizer(&self) -> impl Fn(u16) + use<> {
        let writer = self.reader.try_clone().expect("a descriptor");
        move |columns| {
            let size = Winsize {
                ws_row: 24,
                ws_col: columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            tcsetwinsize(&writer, size).expect("a terminal's size");
        }
    }
}

impl Read for Terminal {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        // Or the end would never be seen.
        self.writer = None;
        if let Some(path) = self.stuck_until.take() {
            wait_until(&path.display().to_string(), || path.exists());
        }
        self.reader.read(bytes)
    }
}

/// What a terminal shows.
pub(crate) struct Screen {
    /// The rows down to the last that is not empty, without blanks at their ends.
    pub(crate) rows: Vec<String>,
    /// Row and column.
    pub(crate) cursor: (usize, usize),
}

impl Screen {
    /// What a terminal of so many columns shows after `text`.
    pub(crate) fn after(text: &str, columns: u16) -> Self {
        let size = |number| NonZero::new(number).expect("a size");
        let mut parser = vt100::Parser::new(size(ROWS), size(columns), 0);
        parser.process(text.as_bytes());
        let screen = parser.screen();
        let mut rows: Vec<String> =
            screen.rows(0, columns).map(|row| row.trim_end().to_owned()).collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        let (row, column) = screen.cursor_position();
        Self {
            rows,
            cursor: (row.into(), column.into()),
        }
    }

    /// The last row, below which the cursor stands.
    pub(crate) fn last(&self) -> &str {
        assert_eq!(
            self.cursor,
            (self.rows.len(), 0),
            "the cursor; the rows are {:?}",
            self.rows
        );
        self.rows.last().map_or("", |row| row)
    }
}

//! The line that is drawn again and again, at the cursor.
//!
//! indicatif draws it, on a canvas that keeps the bytes. Always: what is on the screen fitted into
//! one row when it was drawn, and the cursor stands behind it.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::choice::{Colour, Drawing, Narrowing};
use super::line::{ProgressLine, brackets};

/// Steps of the whole, more than any terminal has columns.
const STEPS: u64 = 10_000;

/// The bar and what is on the screen of it.
pub(super) struct Bar {
    bar: ProgressBar,
    canvas: Canvas,
    drawing: Drawing,
    /// What is on the screen.
    shown: Option<(ProgressLine, Place)>,
}

impl fmt::Debug for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bar")
            .field("canvas", &self.canvas)
            .field("drawing", &self.drawing)
            .field("shown", &self.shown)
            .finish_non_exhaustive()
    }
}

/// What the terminal is like just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its columns.
    pub columns: usize,
    /// Whether it is ours to draw on: not while mtask runs in the background.
    pub is_ours: bool,
}

impl Place {
    /// Looks at stderr.
    pub fn look() -> Self {
        let stderr = rustix::stdio::stderr();
        let columns = rustix::termios::tcgetwinsize(stderr).map_or(0, |size| size.ws_col);
        let owner = rustix::termios::tcgetpgrp(stderr);
        Self {
            columns: if columns == 0 { 80 } else { columns.into() },
            // A terminal that controls nobody has no owner.
            is_ours: owner.is_ok_and(|owner| owner == rustix::process::getpgrp()) || owner.is_err(),
        }
    }
}

impl Bar {
    /// A bar that is not on the screen yet.
    pub(super) fn new(drawing: Drawing) -> Self {
        let canvas = Canvas(Arc::new(Mutex::new(Paint {
            bytes: Vec::new(),
            width: 0,
            next: 0,
            drawn: 0,
            narrowing: drawing.narrowing,
        })));
        let target = ProgressDrawTarget::term_like(Box::new(canvas.clone()));
        let bar = ProgressBar::with_draw_target(Some(STEPS), target);
        Self {
            bar,
            canvas,
            drawing,
            shown: None,
        }
    }

    pub(super) fn colour(&self) -> Colour {
        self.drawing.colour
    }

    pub(super) fn is_shown(&self) -> bool {
        self.shown.is_some()
    }

    /// The bytes that do what was asked for since they were taken last.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.canvas.with(|paint| std::mem::take(&mut paint.bytes))
    }

    /// Draws the line in place of what is on the screen.
    pub(super) fn draw(&mut self, line: &ProgressLine, place: Place) {
        let shown = place.is_ours.then(|| (line.clone(), place));
        if shown.is_some() && shown == self.shown {
            return;
        }
        self.shown = shown;
        self.canvas.with(|paint| {
            paint.width = place.columns;
            paint.next = line.columns;
            if !place.is_ours {
                // Whoever has the terminal now has moved the cursor.
                paint.drawn = 0;
            }
        });
        if place.is_ours {
            self.bar.set_style(self.style(line));
            // This draws.
            self.bar.update(|state| state.set_pos((line.fraction * STEPS as f64) as u64));
        }
    }

    /// Puts whole lines above the line.
    pub(super) fn write(&mut self, text: &[u8], line: &ProgressLine, place: Place) {
        self.clear(place);
        self.canvas.with(|paint| paint.bytes.extend_from_slice(text));
        self.draw(line, place);
    }

    /// Takes the line off the screen.
    pub(super) fn clear(&mut self, place: Place) {
        let is_there = self.shown.take().is_some() && place.is_ours;
        self.canvas.with(|paint| {
            paint.width = place.columns;
            if is_there {
                paint.erase();
            }
            paint.drawn = 0;
        });
    }

    /// Leaves what is on the screen there for good.
    pub(super) fn finish(&mut self) {
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
        self.canvas.with(|paint| paint.bytes.push(b'\n'));
        self.shown = None;
    }

    /// The line as a template, into which the bar itself is filled.
    fn style(&self, line: &ProgressLine) -> ProgressStyle {
        let literal = |text: &str| text.replace('{', "{{").replace('}', "}}");
        let (before, after) = (literal(&line.before), literal(&line.after));
        let template = match line.bar {
            0 => before + &after,
            columns => {
                let (open, close) = brackets(self.drawing.colour);
                format!("{before}{open}{{bar:{}}}{close}{after}", columns - 2)
            }
        };
        ProgressStyle::with_template(&template)
            .expect("braces in the text are doubled")
            .progress_chars("=> ")
    }
}

/// Where indicatif draws. It wants to share that between threads, hence the lock; only the thread
/// of the messages ever takes it.
#[derive(Clone, Debug)]
struct Canvas(Arc<Mutex<Paint>>);

#[derive(Debug)]
struct Paint {
    bytes: Vec<u8>,
    /// The columns of the terminal.
    width: usize,
    /// The columns of the line that is drawn next.
    next: usize,
    /// The columns of the line that is on the screen.
    drawn: usize,
    narrowing: Narrowing,
}

impl Canvas {
    fn with<T>(&self, paint: impl FnOnce(&mut Paint) -> T) -> T {
        paint(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Paint {
    /// Clears the line. It takes several rows where the terminal has become too narrow for it.
    fn erase(&mut self) {
        let rows = self.drawn.div_ceil(self.width.max(1));
        self.bytes.push(b'\r');
        if rows > 1 && self.narrowing == Narrowing::Rewraps {
            self.bytes.extend(format!("\x1b[{}A\x1b[J", rows - 1).bytes());
        } else {
            self.bytes.extend(b"\x1b[K");
        }
        self.drawn = 0;
    }
}

impl TermLike for Canvas {
    fn width(&self) -> u16 {
        self.with(|paint| u16::try_from(paint.width).unwrap_or(u16::MAX))
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        // There is one line only.
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        // indicatif fills the row up with blanks, which would wrap in a narrower terminal.
        if !text.trim_matches(' ').is_empty() {
            self.with(|paint| {
                paint.bytes.extend_from_slice(text.as_bytes());
                paint.drawn = paint.next;
            });
        }
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.with(Paint::erase);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

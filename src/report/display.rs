//! The progress on stderr, and everything else that is written there meanwhile.
//!
//! Gives bytes and writes nothing itself: the thread of the messages does, in one piece each, so
//! that nothing is torn. Always: a text stands above the bar, and only whole lines are given.

use std::time::{Duration, Instant};

use super::bar::{Bar, Place};
use super::choice::Drawing;
use super::line::{fit, plain};
use super::progress::Progress;

/// How often the bar is drawn.
const FRAME: Duration = Duration::from_millis(100);
/// When a plain line comes first.
const FIRST_LINE: Duration = Duration::from_secs(2);

/// The progress of a run on stderr.
#[derive(Debug)]
pub struct Display {
    progress: Progress,
    next: Instant,
    style: Style,
}

#[derive(Debug)]
enum Style {
    Lines,
    Bar(Bar),
}

impl Display {
    /// Plain lines, now and then.
    pub fn lines(progress: Progress, now: Instant) -> Self {
        let next = now + FIRST_LINE;
        Self {
            progress,
            next,
            style: Style::Lines,
        }
    }

    /// A line that is drawn again and again.
    pub fn bar(progress: Progress, drawing: Drawing, now: Instant) -> Self {
        Self {
            progress,
            next: now,
            style: Style::Bar(Bar::new(drawing)),
        }
    }

    /// When [`Display::draw`] is to be called next.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Shows how far the run is.
    pub fn draw(&mut self, place: Place, now: Instant) -> Vec<u8> {
        let view = self.progress.look(now);
        match &mut self.style {
            Style::Lines => {
                self.next = now + pause_after(view.elapsed);
                ended(plain(self.progress.name(), &view))
            }
            Style::Bar(bar) => {
                self.next = now + FRAME;
                bar.draw(
                    &fit(self.progress.name(), &view, room(place), bar.colour()),
                    place,
                );
                bar.take()
            }
        }
    }

    /// Shows whole lines of text.
    pub fn write(&mut self, text: &[u8], place: Place, now: Instant) -> Vec<u8> {
        match &mut self.style {
            Style::Bar(bar) if bar.is_shown() => {
                self.next = now + FRAME;
                let view = self.progress.look(now);
                let line = fit(self.progress.name(), &view, room(place), bar.colour());
                bar.write(text, &line, place);
                bar.take()
            }
            _ => text.to_vec(),
        }
    }

    /// Leaves the terminal to others until it is drawn on again.
    pub fn clear(&mut self, place: Place) -> Vec<u8> {
        match &mut self.style {
            Style::Lines => Vec::new(),
            Style::Bar(bar) => {
                bar.clear(place);
                bar.take()
            }
        }
    }

    /// The run stood still for so long.
    pub fn shift(&mut self, pause: Duration, now: Instant) {
        self.progress.shift(pause);
        self.next = now;
    }

    /// Shows how the run has ended. Nothing is to be drawn after that.
    pub fn finish(&mut self, place: Place, now: Instant) -> Vec<u8> {
        let view = self.progress.look_back(now);
        match &mut self.style {
            Style::Lines => ended(plain(self.progress.name(), &view)),
            Style::Bar(_) if !place.is_ours => Vec::new(),
            Style::Bar(bar) => {
                bar.draw(
                    &fit(self.progress.name(), &view, room(place), bar.colour()),
                    place,
                );
                bar.finish();
                bar.take()
            }
        }
    }
}

/// The last column stays free, for terminals differ in what becomes of the cursor there; and so do
/// two more, for the terminal itself to show `^C` there.
fn room(place: Place) -> usize {
    place.columns.saturating_sub(3)
}

/// A log of a long run needs fewer lines.
fn pause_after(elapsed: Duration) -> Duration {
    Duration::from_secs(match elapsed.as_secs() {
        0..60 => 5,
        60..600 => 15,
        _ => 60,
    })
}

fn ended(mut line: String) -> Vec<u8> {
    line.push('\n');
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::choice::{Colour, Narrowing};
    use super::super::counts::{Counted, Counts};
    use super::super::progress::Expected;
    use super::*;

    const WIDE: Place = Place {
        columns: 80,
        is_ours: true,
    };

    fn display(counts: &Counts, narrowing: Narrowing, now: Instant) -> Display {
        let expected = Expected {
            records: Some(100),
            ..Expected::default()
        };
        let drawing = Drawing {
            colour: Colour::Off,
            narrowing,
        };
        Display::bar(Progress::new(counts.clone(), expected, now), drawing, now)
    }

    fn done(done: u64) -> Counted {
        Counted {
            done,
            ..Counted::default()
        }
    }

    fn screen() -> vt100::Parser {
        let size = |number| std::num::NonZero::new(number).unwrap();
        vt100::Parser::new(size(24), size(80), 0)
    }

    fn rows(parser: &vt100::Parser) -> Vec<String> {
        let (_, columns) = parser.screen().size();
        let rows = parser.screen().rows(0, columns.get()).map(|row| row.trim_end().to_owned());
        rows.filter(|row| !row.is_empty()).collect()
    }

    #[test]
    fn a_text_stands_above_the_bar_and_the_bar_is_there_once() {
        let (now, counts) = (Instant::now(), Counts::default());
        let mut display = display(&counts, Narrowing::Cuts, now);
        let mut screen = screen();
        for round in 0..5 {
            counts.set(done(round * 10));
            screen.process(&display.draw(WIDE, now));
            screen.process(&display.write(format!("line {round}\r\n").as_bytes(), WIDE, now));
        }
        counts.set(Counted {
            failed: 1,
            total: Some(100),
            ..done(100)
        });
        screen.process(&display.finish(WIDE, now + Duration::from_secs(10)));
        let bar = "=".repeat(40);
        let last = format!("100% [{bar}] 100/100, 1 failed, 10/s, 0:10");
        assert_eq!(
            rows(&screen),
            ["line 0", "line 1", "line 2", "line 3", "line 4", &last]
        );
        assert_eq!(screen.screen().cursor_position(), (6, last.len() as u16));
    }

    #[test]
    fn a_terminal_that_gets_narrower_and_wraps_the_bar_is_cleaned_up() {
        let (now, counts) = (Instant::now(), Counts::default());
        let mut display = display(&counts, Narrowing::Rewraps, now);
        display.draw(WIDE, now);
        let narrow = Place {
            columns: 30,
            ..WIDE
        };
        let text = String::from_utf8(display.draw(narrow, now)).unwrap();
        assert!(text.starts_with("\r\x1b[1A\x1b[J"), "{text:?}");
        // What is there already is not drawn again.
        assert_eq!(display.draw(narrow, now), b"");
        // It does fit now.
        counts.set(done(1));
        let text = String::from_utf8(display.draw(narrow, now)).unwrap();
        assert!(text.starts_with("\r\x1b[K"), "{text:?}");
    }

    #[test]
    fn nothing_is_drawn_where_another_job_has_the_terminal() {
        let (now, counts) = (Instant::now(), Counts::default());
        let mut display = display(&counts, Narrowing::Rewraps, now);
        let others = Place {
            is_ours: false,
            ..WIDE
        };
        display.draw(WIDE, now);
        assert_eq!(display.draw(others, now), b"");
        assert_eq!(display.write(b"text\n", others, now), b"text\n");
        assert_eq!(display.clear(others), b"");
        assert_eq!(display.finish(others, now), b"");
    }

    #[test]
    fn a_cleared_bar_leaves_nothing() {
        let (now, counts) = (Instant::now(), Counts::default());
        let mut display = display(&counts, Narrowing::Cuts, now);
        let mut screen = screen();
        screen.process(&display.draw(WIDE, now));
        assert_eq!(rows(&screen).len(), 1);
        screen.process(&display.clear(WIDE));
        assert_eq!(rows(&screen), [""; 0]);
        assert_eq!(display.clear(WIDE), b"");
    }

    #[test]
    fn a_log_gets_whole_lines_and_fewer_in_a_long_run() {
        let (now, counts) = (Instant::now(), Counts::default());
        let mut display = Display::lines(Progress::new(counts, Expected::default(), now), now);
        assert_eq!(display.next(), now + FIRST_LINE);
        let line = display.draw(WIDE, now + FIRST_LINE);
        assert_eq!(line, b"mtask: 0 done, 0:02 elapsed\n");
        assert_eq!(display.next(), now + FIRST_LINE + Duration::from_secs(5));
        display.draw(WIDE, now + Duration::from_secs(3600));
        assert_eq!(display.next(), now + Duration::from_secs(3660));
        assert_eq!(display.write(b"text\n", WIDE, now), b"text\n");
    }
}

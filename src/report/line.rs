//! The words of a line of progress, fitted into a terminal's width.

use super::choice::Colour;
use super::progress::View;
use super::text::{clock, columns, cut, rate};
use crate::visible;

/// The bar itself is left out where it would be shorter, and never gets longer, brackets included.
const SHORTEST_BAR: usize = 10;
const LONGEST_BAR: usize = 42;
/// A name gets a third of the line, and this much of any line.
const NAME_SHARE: usize = 3;
const SHORTEST_NAME: usize = 8;

const RED: &str = "\x1b[31m";
const CYAN: &str = "\x1b[36m";
const PLAIN: &str = "\x1b[0m";

/// One line, which may have a bar in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ProgressLine {
    pub(super) before: String,
    /// The columns of the bar, brackets included; 0 without one.
    pub(super) bar: usize,
    /// How much of the bar is filled, from 0 to 1.
    pub(super) fraction: f64,
    pub(super) after: String,
    /// The columns of the whole line.
    pub(super) columns: usize,
}

/// What of a view is shown, from the most to the least.
#[derive(Clone, Copy)]
struct Shown {
    bar: bool,
    rate: bool,
    elapsed: bool,
    wait: bool,
    name: bool,
    left: bool,
}

const ALL: Shown = Shown {
    bar: true,
    rate: true,
    elapsed: true,
    wait: true,
    name: true,
    left: true,
};
const LEVELS: [Shown; 7] = [
    ALL,
    Shown { bar: false, ..ALL },
    Shown {
        bar: false,
        elapsed: false,
        ..ALL
    },
    Shown {
        bar: false,
        elapsed: false,
        rate: false,
        ..ALL
    },
    Shown {
        bar: false,
        elapsed: false,
        rate: false,
        name: false,
        ..ALL
    },
    Shown {
        bar: false,
        elapsed: false,
        rate: false,
        name: false,
        left: false,
        ..ALL
    },
    Shown {
        bar: false,
        elapsed: false,
        rate: false,
        name: false,
        left: false,
        wait: false,
    },
];

/// The line for a terminal of so many columns: what finds no room is left out.
pub(super) fn fit(name: Option<&str>, view: &View, width: usize, colour: Colour) -> ProgressLine {
    let name = name.map(|name| cut(&visible::line(name), SHORTEST_NAME.max(width / NAME_SHARE)));
    for shown in LEVELS {
        let line = Words::of(name.as_deref(), view, shown).join(view, width, colour);
        if let Some(line) = line {
            return line;
        }
    }
    let words = Words::of(None, view, LEVELS[LEVELS.len() - 1]);
    let after = cut(&words.counts.join(", "), width);
    ProgressLine {
        before: String::new(),
        bar: 0,
        fraction: 0.0,
        columns: columns(&after),
        after,
    }
}

struct Words {
    name: String,
    percent: String,
    counts: Vec<String>,
    failed: Option<usize>,
    has_bar: bool,
}

impl Words {
    fn of(name: Option<&str>, view: &View, shown: Shown) -> Self {
        let name = name.filter(|name| shown.name && !name.is_empty());
        let mut counts = vec![match view.total {
            Some(total) => format!("{}/{total}", view.done),
            None => format!("{} done", view.done),
        }];
        let failed = (view.failed > 0).then(|| {
            counts.push(format!("{} failed", view.failed));
            counts.len() - 1
        });
        counts.extend(view.rate.filter(|_| shown.rate).map(rate));
        counts.extend(shown.elapsed.then(|| clock(view.elapsed)));
        let left = view.left.filter(|_| shown.left);
        counts.extend(left.map(|left| format!("ETA {}", clock(left))));
        let wait = view.wait.words().filter(|_| shown.wait);
        counts.extend(wait);
        Self {
            name: name.map_or_else(String::new, |name| format!("{name}: ")),
            percent: view.percent().map_or_else(String::new, |percent| format!("{percent:3}% ")),
            counts,
            failed,
            has_bar: shown.bar && view.fraction.is_some(),
        }
    }

    /// The line, if it fits.
    fn join(mut self, view: &View, width: usize, colour: Colour) -> Option<ProgressLine> {
        let before = self.name + &self.percent;
        let text = columns(&before) + columns(&self.counts.join(", "));
        let mut bar = 0;
        if self.has_bar {
            bar = width.checked_sub(text + 1)?.min(LONGEST_BAR);
            if bar < SHORTEST_BAR {
                return None;
            }
        } else if text > width {
            return None;
        }
        if let (Some(failed), Colour::On) = (self.failed, colour) {
            self.counts[failed] = format!("{RED}{}{PLAIN}", self.counts[failed]);
        }
        let gap = if bar > 0 { " " } else { "" };
        Some(ProgressLine {
            fraction: view.fraction.unwrap_or(0.0),
            columns: text + bar + gap.len(),
            after: format!("{gap}{}", self.counts.join(", ")),
            before,
            bar,
        })
    }
}

/// What stands before and behind the bar itself.
pub(super) fn brackets(colour: Colour) -> (String, String) {
    match colour {
        Colour::On => (format!("{CYAN}["), format!("]{PLAIN}")),
        Colour::Off => ("[".into(), "]".into()),
    }
}

/// A whole line for a log.
pub(super) fn plain(name: Option<&str>, view: &View) -> String {
    let name = name.map_or_else(String::new, |name| format!("{}: ", visible::line(name)));
    let mut line = match view.total {
        Some(total) => format!("mtask: {name}{} of {total} done", view.done),
        None => format!("mtask: {name}{} done", view.done),
    };
    if let Some(percent) = view.percent() {
        line += &format!(" ({percent}%)");
    }
    if view.failed > 0 {
        line += &format!(", {} failed", view.failed);
    }
    if let Some(per_second) = view.rate {
        line += &format!(", {}", rate(per_second));
    }
    line += &format!(", {} elapsed", clock(view.elapsed));
    if let Some(left) = view.left {
        line += &format!(", about {} left", clock(left));
    }
    if let Some(wait) = view.wait.words() {
        line += &format!(", {wait}");
    }
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::status::Wait;
    use super::*;

    fn view() -> View {
        View {
            done: 450,
            failed: 3,
            total: Some(1000),
            fraction: Some(0.45),
            rate: Some(37.2),
            elapsed: Duration::from_secs(12),
            left: Some(Duration::from_secs(15)),
            wait: Wait::None,
        }
    }

    fn show(name: Option<&str>, view: &View, width: usize) -> String {
        let line = fit(name, view, width, Colour::Off);
        let bar = if line.bar > 0 {
            format!("[{}]", "-".repeat(line.bar - 2))
        } else {
            String::new()
        };
        let shown = line.before + &bar + &line.after;
        assert!(columns(&shown) <= width, "{shown:?} is wider than {width}");
        assert_eq!(columns(&shown), line.columns, "{shown:?}");
        shown
    }

    #[test]
    fn a_wide_terminal_shows_everything() {
        assert_eq!(
            show(Some("sorting"), &view(), 79),
            "sorting:  45% [----------------------] 450/1000, 3 failed, 37/s, 0:12, ETA 0:15"
        );
    }

    #[test]
    fn a_narrow_one_leaves_out_what_matters_least() {
        for (width, expected) in [
            (60, "sorting:  45% 450/1000, 3 failed, 37/s, 0:12, ETA 0:15"),
            (48, "sorting:  45% 450/1000, 3 failed, 37/s, ETA 0:15"),
            (43, "sorting:  45% 450/1000, 3 failed, ETA 0:15"),
            (39, " 45% 450/1000, 3 failed, ETA 0:15"),
            (30, " 45% 450/1000, 3 failed"),
            (6, "450/1…"),
        ] {
            assert_eq!(show(Some("sorting"), &view(), width), expected);
        }
    }

    #[test]
    fn what_is_waited_for_goes_before_all_but_the_counts() {
        let waits = View {
            wait: Wait::Input,
            ..view()
        };
        for (width, expected) in [
            (
                79,
                " 45% [-------------] 450/1000, 3 failed, 37/s, 0:12, ETA 0:15, input is awaited",
            ),
            (42, " 45% 450/1000, 3 failed, input is awaited"),
            (40, " 45% 450/1000, 3 failed"),
        ] {
            assert_eq!(show(None, &waits, width), expected);
        }
        let line = plain(None, &waits);
        assert!(
            line.ends_with("about 0:15 left, input is awaited"),
            "{line}"
        );
    }

    #[test]
    fn no_width_is_ever_exceeded() {
        for width in 0..120 {
            for name in [
                None,
                Some(""),
                Some("日本語の長い名前です"),
                Some("a\x1b[2Jb\n"),
            ] {
                show(name, &view(), width);
                show(
                    name,
                    &View {
                        left: None,
                        fraction: None,
                        total: None,
                        ..view()
                    },
                    width,
                );
            }
        }
    }

    #[test]
    fn colour_takes_no_room() {
        let (on, off) = (
            fit(None, &view(), 79, Colour::On),
            fit(None, &view(), 79, Colour::Off),
        );
        assert_eq!((on.columns, on.bar), (off.columns, off.bar));
        assert!(on.after.contains(RED) && !off.after.contains('\x1b'));
    }

    #[test]
    fn a_log_gets_a_sentence() {
        assert_eq!(
            plain(Some("sorting"), &view()),
            "mtask: sorting: 450 of 1000 done (45%), 3 failed, 37/s, 0:12 elapsed, about 0:15 left"
        );
        assert_eq!(plain(None, &View::default()), "mtask: 0 done, 0:00 elapsed");
    }
}

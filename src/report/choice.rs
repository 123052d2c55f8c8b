//! Whether progress is shown, and how.

use std::env;
use std::os::fd::BorrowedFd;

use clap::ValueEnum;
use rustix::fs::FileType;

/// When progress is shown (`--progress`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// As a bar, where stderr is a terminal, records are not typed at one, and results go neither to
    /// one nor into a pipe
    Auto,
    /// As a bar where it can be one, else as a plain line every few seconds and at the end
    Always,
    /// Not at all
    Never,
}

/// What is said on stderr beside errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Hints, warnings and a summary.
    Normal,
    /// Nothing.
    Quiet,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Not at all.
    None,
    /// A plain line now and then.
    Lines,
    /// A line that is drawn again and again.
    Bar(Drawing),
}

/// How a bar is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawing {
    /// Whether colour is used.
    pub colour: Colour,
    /// What becomes of the bar in a terminal that gets narrower.
    pub narrowing: Narrowing,
}

/// Whether colour is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// It is.
    On,
    /// stderr cannot or NO_COLOR is set.
    Off,
}

/// What a terminal that gets narrower does to a line that is too long then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrowing {
    /// It goes on in the next row: tmux and most emulators.
    Rewraps,
    /// Its end is lost.
    Cuts,
}

/// What is a terminal, and what it can do.
#[derive(Clone, Copy, Debug)]
pub struct Terminals {
    /// stderr is one.
    pub stderr: bool,
    /// A line can be drawn again: TERM is set and not `dumb`.
    pub can_redraw: bool,
    /// NO_COLOR is unset or empty.
    pub wants_colour: bool,
    /// What it does when it gets narrower.
    pub narrowing: Narrowing,
    /// Records are typed at one.
    pub records: bool,
    /// Where results are written.
    pub results: ResultsTarget,
}

/// Where results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultsTarget {
    /// To a terminal.
    Terminal,
    /// To a pipe or socket: its reader is likely to write to a terminal, and to the same one.
    Pipe,
    /// To a file or device that is none.
    File,
}

impl Terminals {
    /// Asks stderr and the environment.
    pub fn look_up(records: bool, results: ResultsTarget) -> Self {
        let has = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let term = env::var_os("TERM").unwrap_or_default();
        // xterm, the console and GNU screen are the ones known not to; in tmux it is tmux that
        // counts.
        let cuts = has("XTERM_VERSION") || has("STY") || term == "linux";
        Self {
            stderr: rustix::termios::isatty(rustix::stdio::stderr()),
            can_redraw: !term.is_empty() && term != "dumb",
            wants_colour: !has("NO_COLOR"),
            narrowing: if cuts && !has("TMUX") {
                Narrowing::Cuts
            } else {
                Narrowing::Rewraps
            },
            records,
            results,
        }
    }
}

impl ResultsTarget {
    /// Asks what `file` is.
    pub fn look_up(file: BorrowedFd<'_>) -> Self {
        let kind = rustix::fs::fstat(file).map(|stat| FileType::from_raw_mode(stat.st_mode));
        match kind {
            Ok(FileType::Fifo | FileType::Socket) => Self::Pipe,
            _ if rustix::termios::isatty(file) => Self::Terminal,
            _ => Self::File,
        }
    }
}

impl Form {
    /// The form for what was asked and where it is to be shown. A bar would run into records that
    /// are typed, or results that are written, at a terminal; lines do not. Into those that the
    /// reader of a pipe writes there as well, so that one is drawn beside a pipe only where that is
    /// asked for.
    pub fn choose(when: When, verbosity: Verbosity, terminals: Terminals) -> Self {
        let is_in_the_way = terminals.records || terminals.results == ResultsTarget::Terminal;
        let can_draw = terminals.stderr && terminals.can_redraw && !is_in_the_way;
        let is_wanted = verbosity == Verbosity::Normal && terminals.results != ResultsTarget::Pipe;
        let colour = if terminals.wants_colour {
            Colour::On
        } else {
            Colour::Off
        };
        let bar = Self::Bar(Drawing {
            colour,
            narrowing: terminals.narrowing,
        });
        match when {
            When::Never => Self::None,
            When::Always if can_draw => bar,
            When::Always => Self::Lines,
            When::Auto if can_draw && is_wanted => bar,
            When::Auto => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Terminals = Terminals {
        stderr: true,
        can_redraw: true,
        wants_colour: true,
        narrowing: Narrowing::Cuts,
        records: false,
        results: ResultsTarget::File,
    };

    const BAR: Form = Form::Bar(Drawing {
        colour: Colour::On,
        narrowing: Narrowing::Cuts,
    });

    fn choose(when: When, terminals: Terminals) -> Form {
        Form::choose(when, Verbosity::Normal, terminals)
    }

    #[test]
    fn auto_draws_where_nothing_else_uses_the_terminal() {
        assert_eq!(choose(When::Auto, TERMINAL), BAR);
        let in_the_way = [
            Terminals {
                stderr: false,
                ..TERMINAL
            },
            Terminals {
                can_redraw: false,
                ..TERMINAL
            },
            Terminals {
                records: true,
                ..TERMINAL
            },
            Terminals {
                results: ResultsTarget::Terminal,
                ..TERMINAL
            },
            Terminals {
                results: ResultsTarget::Pipe,
                ..TERMINAL
            },
        ];
        for terminals in in_the_way {
            assert_eq!(choose(When::Auto, terminals), Form::None, "{terminals:?}");
        }
        let quiet = Form::choose(When::Auto, Verbosity::Quiet, TERMINAL);
        assert_eq!(quiet, Form::None);
    }

    #[test]
    fn always_draws_where_it_can_and_writes_lines_elsewhere() {
        let results = Terminals {
            results: ResultsTarget::Terminal,
            ..TERMINAL
        };
        assert_eq!(choose(When::Always, results), Form::Lines);
        let pipe = Terminals {
            results: ResultsTarget::Pipe,
            ..TERMINAL
        };
        assert_eq!(choose(When::Always, pipe), BAR);
        assert_eq!(Form::choose(When::Always, Verbosity::Quiet, TERMINAL), BAR);
        let dumb = Terminals {
            can_redraw: false,
            ..TERMINAL
        };
        assert_eq!(choose(When::Always, dumb), Form::Lines);
        let file = Terminals {
            stderr: false,
            ..TERMINAL
        };
        assert_eq!(choose(When::Always, file), Form::Lines);
        assert_eq!(
            Form::choose(When::Always, Verbosity::Quiet, file),
            Form::Lines
        );
    }

    #[test]
    fn never_is_never_and_no_colour_is_no_colour() {
        assert_eq!(choose(When::Never, TERMINAL), Form::None);
        let plain = Terminals {
            wants_colour: false,
            ..TERMINAL
        };
        assert_eq!(
            choose(When::Auto, plain),
            Form::Bar(Drawing {
                colour: Colour::Off,
                narrowing: Narrowing::Cuts
            })
        );
    }
}

//! Where a run stands, in one line: what SIGUSR1 asks for.

use std::time::Duration;

use super::text::{clock, span};
use crate::schedule::{Asked, Tally, UnderWay, WorkerId};

/// What everything waits for, where that is plain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Wait {
    /// Nothing, or nothing that is plain.
    #[default]
    None,
    /// Results have no room in the output.
    Output,
    /// Nothing is to be done before more input comes.
    Input,
    /// What is left waits to be tried again.
    Retry,
    /// No more may be sent so soon.
    Rate,
    /// So many workers start up, and none has shown yet that it is up.
    Starting(u32),
    /// A worker has asked to wait.
    Asked(Asked),
}

impl Wait {
    /// Those that their place here says all of; the others have the next numbers.
    const PLAIN: [Self; 5] = [
        Self::None,
        Self::Output,
        Self::Input,
        Self::Retry,
        Self::Rate,
    ];
    const STARTING: u64 = Self::PLAIN.len() as u64;
    const ASKED: u64 = Self::STARTING + 1;

    /// A number for it: its kind, above that workers, above that seconds.
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Asked(Asked { by, wait }) => {
                let seconds = wait.as_secs_f64().ceil().min(f64::from(u32::MAX)) as u64;
                seconds << 32 | (by.0 as u64 & 0xff_ffff) << 8 | Self::ASKED
            }
            Self::Starting(workers) => u64::from(workers) << 8 | Self::STARTING,
            plain => Self::PLAIN.iter().position(|it| *it == plain).unwrap_or_default() as u64,
        }
    }

    /// The one of this number.
    pub(super) fn of(number: u64) -> Self {
        let (kind, workers) = (number & 0xff, number >> 8 & 0xff_ffff);
        match kind {
            Self::STARTING => Self::Starting(workers as u32),
            Self::ASKED => Self::Asked(Asked {
                by: WorkerId(workers as usize),
                wait: Duration::from_secs(number >> 32),
            }),
            _ => Self::PLAIN[kind as usize],
        }
    }

    /// In a few words, if anything is waited for.
    pub(super) fn words(self) -> Option<String> {
        let words = match self {
            Self::None => return None,
            Self::Output => "output is not read",
            Self::Input => "input is awaited",
            Self::Starting(workers) => {
                return Some(format!("no worker is ready yet, {workers} starting"));
            }
            Self::Retry => "waiting to try again",
            Self::Rate => "held back by --rate",
            Self::Asked(asked) => return Some(asked_words(asked)),
        };
        Some(words.into())
    }
}

fn asked_words(Asked { by, wait }: Asked) -> String {
    let seconds = wait.as_secs_f64().ceil();
    format!("waiting {seconds} s: asked to by {by}")
}

/// The line, without a name before it or an end.
pub(super) fn status(
    tally: &Tally,
    total: Option<u64>,
    under_way: &UnderWay,
    wait: Wait,
    elapsed: Duration,
) -> String {
    let earlier = &tally.earlier;
    let total = total.map(|total| earlier.outcomes() + total);
    let of = total.map_or_else(String::new, |total| format!(" of {total}"));
    let mut line = format!(
        "status: {}{of} done, {} failed, {} in flight, {} waiting",
        earlier.outcomes() + tally.outcomes(),
        earlier.failures() + tally.failures(),
        under_way.in_flight,
        under_way.waiting
    );
    if let Some(oldest) = &under_way.oldest {
        line += &format!(
            "; the oldest is record {} at {} for {}",
            oldest.index,
            oldest.worker,
            span(oldest.age)
        );
        if !oldest.is_ready {
            line += ", which has not answered yet";
        }
    }
    line += &match wait {
        Wait::Asked(asked) => format!("; {}", asked_words(asked)),
        other => other.sentence().to_owned(),
    };
    line + &format!("; {} elapsed", clock(elapsed))
}

impl Wait {
    /// The same, behind the rest of the line.
    fn sentence(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Output => "; results wait for the reader of the output",
            Self::Input => "; input is awaited",
            Self::Starting(_) => "; no worker is ready yet",
            Self::Retry => "; what is left waits to be tried again",
            Self::Rate => "; --rate lets no more through",
            Self::Asked(_) => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::record::Index;
    use crate::schedule::{Oldest, WorkerId};

    #[test]
    fn what_is_waited_for_is_what_its_number_says() {
        let asked = Wait::Asked(Asked {
            by: WorkerId(70_000),
            wait: Duration::from_secs(3600),
        });
        let starting = [1, 200, 70_000].map(Wait::Starting);
        for wait in Wait::PLAIN.into_iter().chain(starting).chain([asked]) {
            assert_eq!(Wait::of(wait.number()), wait);
        }
        let words = Wait::Starting(4).words();
        assert_eq!(words.as_deref(), Some("no worker is ready yet, 4 starting"));
    }

    #[test]
    fn the_line_tells_what_is_under_way() {
        let tally = Tally {
            results: 117,
            failed: BTreeMap::from([("timeout", 3)]),
            ..Tally::default()
        };
        let oldest = Oldest {
            index: Index(57),
            worker: WorkerId(2),
            age: Duration::from_millis(12_340),
            is_ready: true,
        };
        let mut under_way = UnderWay {
            in_flight: 4,
            waiting: 37,
            oldest: Some(oldest),
        };
        let elapsed = Duration::from_secs(80);
        assert_eq!(
            status(&tally, Some(1000), &under_way, Wait::Output, elapsed),
            "status: 120 of 1000 done, 3 failed, 4 in flight, 37 waiting; the oldest is record 57 at \
             worker 2 for 12.3s; results wait for the reader of the output; 1:20 elapsed"
        );
        under_way.oldest = None;
        assert_eq!(
            status(&tally, None, &under_way, Wait::None, elapsed),
            "status: 120 done, 3 failed, 4 in flight, 37 waiting; 1:20 elapsed"
        );
    }
}

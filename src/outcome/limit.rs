//! How long a worker may take over a record, and which options say so.

use std::fmt;
use std::time::Duration;

/// How long a worker may take over a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLimit {
    /// That of `--timeout`.
    Usual(Duration),
    /// For the first answer of a process, as long as COMMAND has given none: that of
    /// `--init-timeout`.
    First(Duration),
    /// The same, where it is known how long such a one takes.
    Learnt {
        /// Three times that, and `--timeout`.
        limit: Duration,
        /// That of `--timeout`.
        timeout: Duration,
    },
}

impl TimeLimit {
    /// How long that is.
    pub fn duration(self) -> Duration {
        match self {
            Self::Usual(limit) | Self::First(limit) | Self::Learnt { limit, .. } => limit,
        }
    }
}

/// For people, behind "within".
impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usual(limit) => write!(f, "--timeout {limit:?}"),
            Self::First(limit) => {
                write!(f, "--init-timeout {limit:?}, the limit for a first answer")
            }
            Self::Learnt { limit, timeout } => {
                let limit = Duration::from_millis(limit.as_millis() as u64);
                write!(
                    f,
                    "{limit:?} (--timeout {timeout:?}, and three times as long as a first answer took)"
                )
            }
        }
    }
}

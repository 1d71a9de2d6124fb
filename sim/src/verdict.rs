//! What a run came to.

use std::fmt;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was lost, no read lied, and the cluster came together.
    Passed,
    /// A promise was broken.
    Safety {
        /// The checker that noticed.
        checker: &'static str,
        /// What it saw.
        what: String,
    },
    /// The cluster did not form, or did not come together although it could have.
    Liveness(String),
    /// The cluster did not come together, and could not have: the plan broke more than it may. Never a pass.
    Unavailable(String),
    /// Something panicked.
    Crash(String),
}

impl Verdict {
    /// The exit code of a process that reports it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Verdict::Passed => 0,
            Verdict::Safety { .. } => 10,
            Verdict::Liveness(_) | Verdict::Unavailable(_) => 11,
            Verdict::Crash(_) => 12,
        }
    }

    /// Its kind in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Safety { .. } => "safety",
            Verdict::Liveness(_) => "liveness",
            Verdict::Unavailable(_) => "unavailable",
            Verdict::Crash(_) => "crash",
        }
    }

    /// Whether another failure is the same as far as can be told: found by the same checker.
    pub fn resembles(&self, other: &Verdict) -> bool {
        match (self, other) {
            (Verdict::Safety { checker, .. }, Verdict::Safety { checker: other, .. }) => checker == other,
            _ => self.kind() == other.kind(),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Passed => write!(formatter, "passed"),
            Verdict::Safety { checker, what } => write!(formatter, "SAFETY: {checker}: {what}"),
            Verdict::Liveness(what) => write!(formatter, "LIVENESS: {what}"),
            Verdict::Unavailable(what) => write!(formatter, "UNAVAILABLE: {what}"),
            Verdict::Crash(what) => write!(formatter, "CRASH: {what}"),
        }
    }
}

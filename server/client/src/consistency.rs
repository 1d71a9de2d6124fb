//! How fresh a read must be.

use std::fmt;
use std::str::FromStr;

/// How fresh a read must be (`?consistency=`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// It sees every write that was acknowledged before it was asked, through whichever node.
    #[default]
    Linearizable,
    /// The same, by the leader's lease: without a round of messages, and true as long as clocks keep to their bound.
    Lease,
    /// What the asked node has, however old.
    Stale,
}

/// Why a text is no [`Consistency`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of linearizable, lease and stale")]
pub struct ConsistencyError(String);

impl FromStr for Consistency {
    type Err = ConsistencyError;

    fn from_str(text: &str) -> Result<Self, ConsistencyError> {
        let all = [Consistency::Linearizable, Consistency::Lease, Consistency::Stale];
        let found = all.into_iter().find(|level| level.to_string() == text);
        found.ok_or_else(|| ConsistencyError(text.to_owned()))
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Consistency::Linearizable => "linearizable",
            Consistency::Lease => "lease",
            Consistency::Stale => "stale",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_they_are_written() {
        for level in [Consistency::Linearizable, Consistency::Lease, Consistency::Stale] {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert!("Stale".parse::<Consistency>().is_err_and(|error| error.to_string().contains("\"Stale\"")));
    }
}

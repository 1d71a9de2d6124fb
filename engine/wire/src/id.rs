//! Names of clusters, and of their histories.

use core::fmt;
use core::str::FromStr;

use quorate_raft::{ParseIdError, parse_id};
use serde::{Deserialize, Serialize};

macro_rules! uuid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Printed as 32 lowercase hex digits; read with or without dashes, with or without `urn:uuid:`.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_id(text).map($name)
            }
        }
    };
}

uuid! {
    /// A cluster's identity, drawn when it is founded and kept for good. Nodes of different clusters that
    /// meet by a wrong address part at the handshake.
    ClusterId
}
uuid! {
    /// The identity of one line of history of a cluster. A restored backup or a recovery from lost quorum
    /// begins a new one, because revisions may then mean something else than what a client remembers.
    HistoryId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_printed_as_they_are_read() {
        let text = "00000000000000000000000000000a5f";
        assert_eq!(ClusterId(0xa5f).to_string(), text);
        assert_eq!(text.parse(), Ok(HistoryId(0xa5f)));
        assert_eq!("urn:uuid:00000000-0000-0000-0000-000000000A5F".parse(), Ok(ClusterId(0xa5f)));
        assert!("a5f".parse::<ClusterId>().is_err());
    }
}

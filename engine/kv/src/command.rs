//! What goes into the state machine, and what comes out.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::bytes::Pair;

/// A point in the life of the store: how many commands have changed it so far. 0 is the empty store.
///
/// One counter serves the whole store, as in etcd, so revisions of different keys can be compared: of two
/// writes the later one has the greater revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision of a store that nothing was ever written to.
    pub const ZERO: Revision = Revision(0);

    /// The greatest revision a snapshot may claim. Half the number space is left above it, so that counting
    /// on from a restored revision cannot overflow, whatever the snapshot said.
    pub const MAX: Revision = Revision(u64::MAX / 2);

    pub(crate) fn next(self) -> Revision {
        Revision(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A change to the store, as it stands in the log.
///
/// Logs outlive programs: variants and fields are encoded by their position, so new variants go to the end,
/// and existing ones never change.
///
/// Keys are bytes here; that a key is UTF-8 and how long it may be is the server's rule, checked before a
/// command is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Writes `value` under `key`, whether or not the key is there.
    Put {
        /// The key.
        #[serde(with = "crate::bytes")]
        key: Arc<[u8]>,
        /// The new value; empty is a value too.
        #[serde(with = "crate::bytes")]
        value: Arc<[u8]>,
    },
    /// Takes `key` out. A key that is not there is no error, and changes nothing.
    Delete {
        /// The key.
        #[serde(with = "crate::bytes")]
        key: Arc<[u8]>,
    },
    /// Writes many keys under *one* new revision: the content of a `data.json`.
    ///
    /// Where a key occurs twice, the last one counts, as in Go's `json.Unmarshal` into a map.
    Import {
        /// Keys and values, in any order.
        #[serde(with = "crate::bytes::pairs")]
        entries: Vec<Pair>,
    },
}

/// What a [`Command`] did. The same on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Answers [`Command::Put`].
    Put {
        /// The store's new revision, which is the key's new `mod_revision`.
        revision: Revision,
    },
    /// Answers [`Command::Delete`].
    Deleted {
        /// How many keys were taken out: 0 or 1.
        count: u64,
        /// The store's revision after the command; only a `count` above 0 has raised it.
        revision: Revision,
    },
    /// Answers [`Command::Import`].
    Imported {
        /// How many different keys were written.
        count: u64,
        /// The store's revision after the command; only a `count` above 0 has raised it.
        revision: Revision,
    },
}

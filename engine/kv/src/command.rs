//! What goes into the state machine.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::bytes::Pair;
use crate::settings::Settings;

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

/// A moment of cluster time, in milliseconds since the cluster was founded, counted while it had a leader that could
/// serve. It is no wall time: it stands still while nobody leads, and no clock can make it jump (`docs/PROTOCOL.md`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterTime(pub u64);

impl ClusterTime {
    /// The latest moment that a snapshot may claim.
    pub const MAX: ClusterTime = ClusterTime(u64::MAX / 4);

    /// So many milliseconds later.
    pub(crate) fn after(self, milliseconds: u64) -> ClusterTime {
        ClusterTime(self.0.saturating_add(milliseconds))
    }
}

/// Names a lease. Chosen at random by whoever asks for one; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseId(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
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
    /// Writes `value` under `key`, whether or not the key is there. What was proposed before there was cluster time.
    Put {
        /// The key.
        #[serde(with = "crate::bytes")]
        key: Arc<[u8]>,
        /// The new value; empty is a value too.
        #[serde(with = "crate::bytes")]
        value: Arc<[u8]>,
    },
    /// Takes `key` out. A key that is not there is no error, and changes nothing. As old as [`Command::Put`].
    Delete {
        /// The key.
        #[serde(with = "crate::bytes")]
        key: Arc<[u8]>,
    },
    /// Writes many keys under *one* new revision: the content of a `data.json`. It founds a cluster.
    ///
    /// Where a key occurs twice, the last one counts, as in Go's `json.Unmarshal` into a map.
    Import {
        /// Keys and values, in any order.
        #[serde(with = "crate::bytes::pairs")]
        entries: Vec<Pair>,
    },
    /// What a leader proposes.
    Order(Order),
}

/// A change, and when it was proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The leader's cluster time. What is due by then expires before the action is carried out; a stamp before the
    /// store's own time means nothing.
    pub time: ClusterTime,
    /// The client's name for this change, if it gave one: then it is carried out once.
    pub once: Option<Once>,
    /// The whole past goes, and this change leaves none: a full disk has no room for what was deleted.
    pub forgets_past: bool,
    /// What is to be done.
    pub action: Action,
}

/// An idempotency key: who repeats a request with the same one gets the answer that was given before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Once {
    /// Whose key it is; empty in an open cluster. At most 65,535 bytes.
    #[serde(with = "crate::bytes")]
    pub principal: Arc<[u8]>,
    /// The key.
    #[serde(with = "crate::bytes")]
    pub key: Arc<[u8]>,
    /// A hash of all that makes the request what it is. Another request with the same key is refused.
    pub request: [u8; 32],
}

/// What an [`Order`] does. New variants go to the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Time passes, and what is due expires.
    Tick,
    /// Writes one key.
    Put(Put),
    /// Takes one key out.
    Delete {
        /// The key.
        #[serde(with = "crate::bytes")]
        key: Arc<[u8]>,
    },
    /// One of two lists of operations, all under one revision.
    Txn(Txn),
    /// Many keys under one revision, as [`Command::Import`].
    Import {
        /// Keys and values, in any order.
        #[serde(with = "crate::bytes::pairs")]
        entries: Vec<Pair>,
    },
    /// Begins a lease.
    Grant {
        /// Its name.
        lease: LeaseId,
        /// How long it lives without being kept alive, in milliseconds.
        ttl_ms: u64,
    },
    /// Lets a lease live for its whole time again.
    KeepAlive {
        /// Its name.
        lease: LeaseId,
    },
    /// Ends a lease, and deletes its keys under one revision.
    Revoke {
        /// Its name.
        lease: LeaseId,
    },
    /// Sets the limits that all replicas must agree on.
    Configure(Settings),
    /// Takes the lock of a name, which lies outside of the key space. Who holds it already keeps it.
    Lock {
        /// What is locked.
        #[serde(with = "crate::bytes")]
        name: Arc<[u8]>,
        /// Who wants it.
        #[serde(with = "crate::bytes")]
        holder: Arc<[u8]>,
        /// What others are told about the holder.
        #[serde(with = "crate::bytes")]
        info: Arc<[u8]>,
    },
    /// Gives a lock back.
    Unlock {
        /// What is locked.
        #[serde(with = "crate::bytes")]
        name: Arc<[u8]>,
        /// Who holds it; without one, whoever does.
        #[serde(with = "crate::bytes::option")]
        holder: Option<Arc<[u8]>>,
    },
}

/// A write of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// The key.
    #[serde(with = "crate::bytes")]
    pub key: Arc<[u8]>,
    /// The new value; empty is a value too.
    #[serde(with = "crate::bytes")]
    pub value: Arc<[u8]>,
    /// When it goes by itself.
    pub expiry: Expiry,
}

impl Put {
    /// A write of a key that stays until it is deleted.
    pub fn for_good(key: Arc<[u8]>, value: Arc<[u8]>) -> Put {
        Put { key, value, expiry: Expiry::Never }
    }
}

/// When a key goes by itself. Each write says it anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiry {
    /// Never.
    Never,
    /// So many milliseconds after the write.
    After {
        /// The time to live.
        ttl_ms: u64,
    },
    /// With this lease.
    With(LeaseId),
}

/// A transaction: when all comparisons hold `success` is carried out, else `failure`. Operations see what those before
/// them did; no key may be written twice in one list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Txn {
    /// What must hold.
    pub compare: Vec<Compare>,
    /// What is done when it does.
    pub success: Vec<Op>,
    /// What is done when it doesn't.
    pub failure: Vec<Op>,
}

impl Txn {
    /// A key that is written twice in one of the lists, if there is one.
    pub fn key_written_twice(&self) -> Option<&[u8]> {
        [&self.success, &self.failure].into_iter().find_map(|ops| {
            let mut keys: Vec<&[u8]> = ops.iter().filter_map(Op::written).collect();
            keys.sort_unstable();
            keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
        })
    }
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Writes a key.
    Put(Put),
    /// Reads a key.
    Get {
        /// The key.
        #[serde(with = "crate::bytes")]
        key: Arc<[u8]>,
    },
    /// Takes a key out.
    Delete {
        /// The key.
        #[serde(with = "crate::bytes")]
        key: Arc<[u8]>,
    },
    /// Reads who holds a lock.
    Holder {
        /// The lock's name.
        #[serde(with = "crate::bytes")]
        name: Arc<[u8]>,
    },
}

impl Op {
    fn written(&self) -> Option<&[u8]> {
        match self {
            Op::Put(Put { key, .. }) | Op::Delete { key } => Some(key),
            Op::Get { .. } | Op::Holder { .. } => None,
        }
    }
}

/// A comparison of what the store holds with what the client takes for granted. A key that is not there has revisions
/// and version 0 and no value: its value differs from every value, and is neither less nor greater than one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    /// The key.
    #[serde(with = "crate::bytes")]
    pub key: Arc<[u8]>,
    /// How the store's side, on the left, must stand to the operand, on the right.
    pub relation: Relation,
    /// Which side of the key is looked at, and what with.
    pub operand: Operand,
}

/// How two things stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    /// They are the same.
    Equal,
    /// They are not.
    NotEqual,
    /// The left one is less.
    Less,
    /// The left one is greater.
    Greater,
}

/// The right side of a [`Compare`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operand {
    /// The value's bytes.
    Value(#[serde(with = "crate::bytes")] Arc<[u8]>),
    /// How often the key was written since it was created.
    Version(u64),
    /// The revision that created it.
    CreateRevision(Revision),
    /// The revision of the latest write.
    ModRevision(Revision),
    /// One of these is the revision of the latest write. Only equal and not equal make sense.
    ModRevisionIn(Vec<Revision>),
    /// Who holds the lock of that name; whether the key is there does not matter. Only equal and not equal make sense.
    Holder(#[serde(with = "crate::bytes")] Arc<[u8]>),
}

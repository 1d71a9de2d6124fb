//! What comes out of the state machine.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::command::{LeaseId, Revision};
use crate::store::Entry;

/// What applying a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What it did.
    pub outcome: Outcome,
    /// The outcome is that of an earlier order with the same idempotency key, and nothing was done this time.
    pub is_replay: bool,
}

/// What a command did. The same on every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A key was written.
    Put {
        /// The store's new revision, which is the key's new `mod_revision`.
        revision: Revision,
    },
    /// A key was to be taken out.
    Deleted {
        /// How many keys were taken out: 0 or 1.
        count: u64,
        /// The store's revision after the command; only a `count` above 0 has raised it.
        revision: Revision,
    },
    /// Many keys were written.
    Imported {
        /// How many different keys were written.
        count: u64,
        /// The store's revision after the command; only a `count` above 0 has raised it.
        revision: Revision,
    },
    /// A transaction was carried out.
    Txn {
        /// Whether all comparisons held.
        succeeded: bool,
        /// The store's revision after it.
        revision: Revision,
        /// What each operation of the list that was carried out did.
        results: Vec<OpResult>,
    },
    /// A lease was begun or kept alive.
    Lease {
        /// The lease.
        lease: LeaseId,
        /// How long it lives from now, in milliseconds.
        ttl_ms: u64,
    },
    /// A lease was ended.
    Revoked {
        /// How many keys went with it.
        count: u64,
        /// The store's revision after it.
        revision: Revision,
    },
    /// Nothing was done: there is no such lease, or no longer.
    LeaseNotFound {
        /// The lease that was named.
        lease: LeaseId,
    },
    /// Nothing was done: there is a lease of that name already.
    LeaseExists,
    /// Nothing was done: somebody else holds the lock.
    Locked {
        /// What the holder said of itself.
        info: Arc<[u8]>,
    },
    /// Nothing was done: a transaction writes a key twice.
    KeyWrittenTwice,
    /// Nothing was done: the idempotency key was used for another request.
    AnotherRequest,
    /// Nothing was done: no more answers can be remembered now.
    AnswersFull,
    /// Done, and there is nothing to say about it.
    Done,
}

/// What one operation of a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// The key was written.
    Put {
        /// By this revision.
        mod_revision: Revision,
    },
    /// What was there.
    Got(Option<Entry>),
    /// The key was to be taken out.
    Deleted {
        /// How many were: 0 or 1.
        count: u64,
    },
    /// Who holds the lock, as it says itself.
    Holder(Option<Arc<[u8]>>),
}

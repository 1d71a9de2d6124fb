//! Auditors: clients of the core stack that use what the store can do beyond single keys, and report all they are told.

use crate::workload::name_of;
use quorate_node::Reply;
use quorate_node::kv::{Change, Entry, EventKind, OpResult, Outcome};

/// What an auditor asks. Every value that is written is written by one errand only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are explained in the line of their variant, or by their types")]
pub enum Errand {
    /// What has changed from this revision on, as any server knows it.
    Follow { from: u64 },
    /// What a key was at a revision, as any server knows it.
    Past { key: String, revision: u64 },
    /// Two keys are written if both hold what is expected, and read if not. It has an idempotency key.
    Transfer { expected: Vec<(String, Option<String>)>, writes: Vec<(String, String)> },
    /// A key is written that goes by itself.
    Fleeting { key: String, value: String, ttl_ms: u64 },
    /// A lease is begun.
    Grant { lease: u64, ttl_ms: u64 },
    /// A lease is kept alive.
    KeepAlive { lease: u64 },
    /// A key is written that goes with a lease.
    Leased { key: String, value: String, lease: u64 },
}

/// What an auditor is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are explained in the line of their variant, or by their types")]
pub enum Account {
    /// These changes, and that they are all up to a revision.
    Followed { changes: Vec<Seen>, upto: u64 },
    /// What was asked for can't be read; these are the oldest and the newest revision that can.
    Gone { oldest: u64, newest: u64 },
    /// A key was so.
    Was { found: Option<Found> },
    /// Written, by this revision; the answer may be one that was given before.
    Done { revision: u64, is_replay: bool },
    /// The keys hold something else, as of this revision.
    Differs { revision: u64, found: Vec<Option<Found>>, is_replay: bool },
    /// A lease lives for its whole time again.
    Lives,
    /// There is no such lease.
    NoLease,
    /// Definitely not done.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// A change as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// The revision that made it.
    pub revision: u64,
    /// Which of that revision's changes it is.
    pub ordinal: u32,
    /// The key.
    pub key: String,
    /// The key's time was over.
    pub expired: bool,
    /// What the key is since then.
    pub found: Option<Found>,
}

/// What is under a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Found {
    /// The name of the value.
    pub value: String,
    /// The revision that created the key, the one that wrote it last, and how often it was written between.
    pub numbers: [u64; 3],
}

impl Found {
    fn of(entry: &Entry) -> Found {
        let numbers = [entry.create_revision.0, entry.mod_revision.0, entry.version];
        Found { value: name_of(&entry.value), numbers }
    }

    /// The revision that wrote it.
    pub(crate) fn written_at(&self) -> u64 {
        self.numbers[1]
    }
}

impl Seen {
    fn of(change: &Change) -> Seen {
        Seen {
            revision: change.id.revision.0,
            ordinal: change.id.ordinal,
            key: String::from_utf8_lossy(&change.key).into_owned(),
            expired: change.kind == EventKind::Expired,
            found: change.entry.as_ref().map(Found::of),
        }
    }
}

impl Account {
    /// What a server's reply comes to.
    pub(crate) fn of(reply: &Reply) -> Account {
        match reply {
            Reply::Changes { changes, upto } => {
                Account::Followed { changes: changes.iter().map(Seen::of).collect(), upto: upto.0 }
            }
            Reply::OutOfReach { oldest, newest } => Account::Gone { oldest: oldest.0, newest: newest.0 },
            Reply::Read { entry, .. } => Account::Was { found: entry.as_ref().map(Found::of) },
            Reply::Written { outcome, is_replay, .. } => Account::of_write(outcome, *is_replay),
            Reply::NotLeader { .. } | Reply::Lost | Reply::Refused(_) => Account::Failed,
            _ => Account::Unknown,
        }
    }

    fn of_write(outcome: &Outcome, is_replay: bool) -> Account {
        match outcome {
            Outcome::Put { revision } | Outcome::Txn { succeeded: true, revision, .. } => {
                Account::Done { revision: revision.0, is_replay }
            }
            Outcome::Txn { succeeded: false, revision, results } => {
                let found = results.iter().map(|result| match result {
                    OpResult::Got(entry) => entry.as_ref().map(Found::of),
                    _ => None,
                });
                Account::Differs { revision: revision.0, found: found.collect(), is_replay }
            }
            Outcome::Lease { .. } => Account::Lives,
            Outcome::LeaseNotFound { .. } => Account::NoLease,
            Outcome::LeaseExists | Outcome::AnswersFull => Account::Failed,
            _ => Account::Unknown,
        }
    }
}

//! Auditors: clients that use what the store can do beyond single keys, and report all that they are told. What they
//! do is the same on both stacks (`auditor`); how they say it is each stack's own.

mod auditor;

pub(crate) use auditor::{Auditor, FIRST_AUDITOR, FIRST_WATCHER, Habits, MOST_HINTS, PATIENCE};

/// A place in the order of all changes: a revision, and which of its changes it is.
pub type Place = (u64, u32);

/// Which change is behind all others of its revision.
pub const BEHIND_ALL: u32 = u32::MAX;

/// What an auditor asks. Every value that is written is written by one errand only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are explained in the line of their variant, or by their types")]
pub enum Errand {
    /// What has changed from this revision on, as any server knows it.
    Follow { from: u64 },
    /// What changes behind this place, whenever it does.
    Watch { after: Place, watched: Watched },
    /// What a key was at a revision, as any server knows it.
    Past { key: String, revision: u64 },
    /// The keys with a prefix, behind one of them; at a revision, or as they are now: fresh, or as any server knows it.
    List { prefix: String, after: Option<String>, limit: usize, revision: Option<u64>, fresh: bool },
    /// Two keys are written if both hold what is expected, and read if not. It has an idempotency key.
    Transfer { expected: Vec<(String, Option<String>)>, writes: Vec<(String, String)> },
    /// A key is written if this revision wrote it last, or, at 0, if it is not there. It has an idempotency key.
    Guarded { key: String, value: String, seen: u64 },
    /// A key is written that goes by itself.
    Fleeting { key: String, value: String, ttl_ms: u64 },
    /// A lease is begun. It has an idempotency key.
    Grant { ttl_ms: u64 },
    /// A lease is kept alive.
    KeepAlive { lease: u64 },
    /// A key is written that goes with a lease.
    Leased { key: String, value: String, lease: u64 },
    /// A lease is ended, and its keys with it.
    Revoke { lease: u64 },
}

/// Which changes a watch wants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Watched {
    /// Of this key, or of all that begin with it.
    pub prefix: String,
    /// Of no other key.
    pub exact: bool,
    /// When something is written.
    pub puts: bool,
    /// When something goes.
    pub deletes: bool,
    /// With what was there before.
    pub previous: bool,
}

/// What an auditor is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are explained in the line of their variant, or by their types")]
pub enum Account {
    /// These changes, and that they are all up to a revision.
    Followed { changes: Vec<Seen>, upto: u64 },
    /// The next change that is watched.
    Saw(Seen),
    /// A watch can't go on, and why; the server is at this revision.
    Reset { revision: u64, reason: String },
    /// What was asked for can't be read any more; this is the oldest revision that can, and the newest, where it is
    /// told.
    Gone { oldest: u64, newest: Option<u64> },
    /// The server has not come to the revision that was asked for; to which it has, where it is told.
    Ahead { newest: Option<u64> },
    /// A key was so.
    Was { found: Option<Found> },
    /// Keys were so at a revision; whether there are more behind them.
    Listed { revision: u64, keys: Vec<(String, Found)>, more: bool },
    /// Written, by this revision; the answer may be one that was given before.
    Done { revision: u64, is_replay: bool },
    /// The keys hold something else, as of this revision.
    Differs { revision: u64, found: Vec<Option<Found>>, is_replay: bool },
    /// As of this revision the key was last written by another one, or is not there.
    Taken { revision: u64, there: Option<u64>, is_replay: bool },
    /// This lease lives for its whole time again.
    Lives { lease: u64 },
    /// There was a lease of the name that this errand alone gives.
    LeaseTaken,
    /// There is no such lease.
    NoLease,
    /// The lease is ended, as of this revision.
    Revoked { revision: u64 },
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
    /// What it was before, where that was asked for.
    pub previous: Option<Option<Found>>,
}

/// What is under a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Found {
    /// The name of the value.
    pub value: String,
    /// The revision that wrote it.
    pub written_at: u64,
    /// The revision that created the key, and how often it was written since, where that is told.
    pub since: Option<(u64, u64)>,
}

impl Errand {
    /// What it writes, when it does.
    pub(crate) fn writes(&self) -> Vec<(&str, &str)> {
        match self {
            Errand::Transfer { writes, .. } => writes.iter().map(|(key, value)| (&**key, &**value)).collect(),
            Errand::Guarded { key, value, .. }
            | Errand::Fleeting { key, value, .. }
            | Errand::Leased { key, value, .. } => vec![(key, value)],
            _ => Vec::new(),
        }
    }

    /// Whether it has an idempotency key, so that it may be repeated whatever became of it.
    pub(crate) fn is_named(&self) -> bool {
        matches!(self, Errand::Transfer { .. } | Errand::Guarded { .. } | Errand::Grant { .. })
    }
}

impl Watched {
    /// Every change.
    pub(crate) fn all() -> Self {
        Watched { prefix: String::new(), exact: false, puts: true, deletes: true, previous: false }
    }

    /// Whether nothing is left out.
    pub(crate) fn is_all(&self) -> bool {
        self.prefix.is_empty() && !self.exact && self.puts && self.deletes
    }

    /// Whether a change is wanted.
    pub(crate) fn wants(&self, seen: &Seen) -> bool {
        let of_key = if self.exact { seen.key == self.prefix } else { seen.key.starts_with(&self.prefix) };
        of_key && if seen.found.is_some() { self.puts } else { self.deletes }
    }
}

impl Seen {
    pub(crate) fn place(&self) -> Place {
        (self.revision, self.ordinal)
    }

    /// Whether both tell of the same change.
    pub(crate) fn agrees(&self, other: &Seen) -> bool {
        let same = |one: &Seen, other: &Seen| one.key == other.key && one.expired == other.expired;
        self.place() == other.place() && same(self, other) && Found::agree(&self.found, &other.found)
    }
}

impl Found {
    /// Whether both may be the same, as far as each tells.
    pub(crate) fn agree(one: &Option<Found>, other: &Option<Found>) -> bool {
        match (one, other) {
            (Some(one), Some(other)) => {
                let since = one.since.is_none() || other.since.is_none() || one.since == other.since;
                since && one.value == other.value && one.written_at == other.written_at
            }
            (one, other) => one.is_none() == other.is_none(),
        }
    }
}

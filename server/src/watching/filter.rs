//! Which events a watcher wants.

use std::sync::Arc;

use quorate_node::kv::{EventId, EventKind, Revision};

/// Which keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// This one.
    Key(Arc<[u8]>),
    /// All that begin so; an empty prefix is all keys.
    Prefix(Arc<[u8]>),
}

/// Which events of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kinds {
    /// Writes.
    pub(crate) puts: bool,
    /// Deletions, and what has expired.
    pub(crate) deletes: bool,
}

/// What a watcher wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    /// Which keys.
    pub(crate) scope: Scope,
    /// Which events of them.
    pub(crate) kinds: Kinds,
    /// Each with what was there before.
    pub(crate) previous: bool,
}

impl Kinds {
    pub(crate) const ALL: Kinds = Kinds { puts: true, deletes: true };

    fn take(self, kind: EventKind) -> bool {
        match kind {
            EventKind::Put => self.puts,
            EventKind::Deleted | EventKind::Expired => self.deletes,
        }
    }
}

impl Scope {
    fn holds(&self, key: &[u8]) -> bool {
        match self {
            Scope::Key(wanted) => **wanted == *key,
            Scope::Prefix(prefix) => key.starts_with(prefix),
        }
    }
}

impl Watch {
    pub(super) fn wants_kind(&self, kind: EventKind) -> bool {
        self.kinds.take(kind)
    }

    pub(super) fn wants(&self, key: &[u8], kind: EventKind) -> bool {
        self.kinds.take(kind) && self.scope.holds(key)
    }
}

/// The place behind all events of `revision`.
pub(crate) fn end_of(revision: Revision) -> EventId {
    EventId { revision, ordinal: u32::MAX }
}

/// The place right before an event.
pub(super) fn before(event: EventId) -> EventId {
    match event.ordinal.checked_sub(1) {
        Some(ordinal) => EventId { ordinal, ..event },
        None => end_of(Revision(event.revision.0.saturating_sub(1))),
    }
}

/// The revision of the first event that can be behind a place.
pub(super) fn next_revision(after: EventId) -> Revision {
    let is_at_end = after.ordinal == u32::MAX;
    Revision(after.revision.0.saturating_add(u64::from(is_at_end)))
}

//! Which rows have changed since they were last taken away for a checkpoint, and the account of all rows.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use crate::changed_keys::{ChangedKeys, Walk};
use crate::hash::{RowHash, RowSum};
use crate::history::{Event, EventId};
use crate::rows::{TABLE_HISTORY, TABLE_KEYS, TABLE_LEASES};
use crate::shared_blocks::{BLOCK, Blocks};
use crate::store::Entry;

/// Table and key of a row.
type RowKey = (u8, Arc<[u8]>);

/// What a row holds.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Entry(Entry),
    Event(Event),
    Bytes(Arc<[u8]>),
}

/// Rows that changed: what each is now, or nothing when it is gone.
///
/// Keys change often, and their rows know where; see [`ChangedKeys`]. Events are never changed, only added at one end
/// and dropped at the other, so they need no map: this costs a write little.
///
/// Invariants: both `dropped` and `events` ascend, and the first event lies above the last one dropped; no row in
/// `rows` is of the keys or of the history.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    pub(crate) keys: ChangedKeys,
    rows: BTreeMap<RowKey, Option<Body>>,
    dropped: Blocks<EventId>,
    /// Each is there; what comes before them is gone.
    events: Blocks<Option<Event>>,
}

/// How far a writer of changes has come.
#[derive(Clone, Debug, Default)]
pub(crate) enum Position {
    /// At the beginning.
    #[default]
    Start,
    /// Behind this row.
    Row(RowKey),
    /// So far with the keys.
    Keys(Walk),
    /// So many of the events that were dropped are out.
    Dropped(usize),
    /// So many of the new events are out.
    Events(usize),
}

impl Changes {
    /// A row is `body` now; it is in none of the tables that have something of their own here.
    pub(crate) fn set(&mut self, table: u8, key: Arc<[u8]>, body: Option<Body>) {
        assert!(table != TABLE_KEYS && table != TABLE_HISTORY, "table {table} has its own changes");
        self.rows.insert((table, key), body);
    }

    pub(crate) fn add_event(&mut self, event: Event) {
        self.events.push(Some(event));
    }

    /// The oldest event is dropped. One that no run holds yet leaves no trace.
    pub(crate) fn drop_event(&mut self, id: EventId) {
        match self.events.get(0) {
            Some(Some(first)) if first.id == id => self.events.drop_first(None),
            _ => self.dropped.push(id),
        }
    }

    /// A run of a tail is read back: these are changes still.
    pub(crate) fn drop_written_event(&mut self, id: EventId) {
        self.dropped.push(id);
    }

    /// A clone, which costs little but for rows that are neither keys nor events.
    pub(crate) fn share(&mut self) -> Changes {
        Changes {
            keys: self.keys.share(),
            rows: self.rows.clone(),
            dropped: self.dropped.clone(),
            events: self.events.clone(),
        }
    }

    /// Frees a block of each kind; false when there is nothing left.
    pub(crate) fn let_go(&mut self) -> bool {
        let rows = (0..BLOCK).map_while(|_| self.rows.pop_first()).count();
        let of_blocks = [self.keys.let_go(), self.dropped.let_go(), self.events.let_go()];
        rows > 0 || of_blocks.contains(&true)
    }

    /// The next row in the order of the tables, and moves `position` behind it.
    pub(crate) fn after(&self, position: &mut Position) -> Option<(u8, Arc<[u8]>, Option<Body>)> {
        loop {
            match position {
                Position::Start | Position::Row(_) => {
                    let is_before_keys = !matches!(position, Position::Row((TABLE_LEASES.., _)));
                    let from = match position {
                        Position::Row(last) => Bound::Excluded(&*last),
                        _ => Bound::Unbounded,
                    };
                    let next = self.rows.range::<RowKey, _>((from, Bound::Unbounded)).next();
                    match next.filter(|((table, _), _)| !is_before_keys || *table < TABLE_KEYS) {
                        Some((row, body)) => {
                            *position = Position::Row(row.clone());
                            return Some((row.0, row.1.clone(), body.clone()));
                        }
                        None if is_before_keys => *position = Position::Keys(self.keys.walk()),
                        None => return None,
                    }
                }
                Position::Keys(walk) => {
                    if let Some((key, entry)) = self.keys.next(walk) {
                        return Some((TABLE_KEYS, key, entry.map(Body::Entry)));
                    }
                    *position = Position::Dropped(0);
                }
                Position::Dropped(out) => {
                    if let Some(id) = self.dropped.get(*out) {
                        *out += 1;
                        return Some((TABLE_HISTORY, Arc::from(id.encode()), None));
                    }
                    *position = Position::Events(0);
                }
                Position::Events(out) => {
                    if let Some(Some(event)) = self.events.get(*out) {
                        *out += 1;
                        let body = Body::Event(event.clone());
                        return Some((TABLE_HISTORY, Arc::from(event.id.encode()), Some(body)));
                    }
                    // No row of that table has an empty key, so nothing is passed over.
                    *position = Position::Row((TABLE_LEASES, Arc::default()));
                }
            }
        }
    }
}

/// The account of all rows: their number, the sum of their hashes, and which have changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) count: u64,
    pub(crate) sum: RowSum,
    pub(crate) changes: Changes,
}

impl Ledger {
    /// There is one row more.
    pub(crate) fn enter(&mut self, hash: u64) {
        self.count += 1;
        self.sum.add(hash);
    }

    /// There is one row less.
    pub(crate) fn leave(&mut self, hash: u64) {
        self.count -= 1;
        self.sum.remove(hash);
    }

    /// A row whose body is just bytes was `before` and is `after`.
    pub(crate) fn replace(
        &mut self,
        table: u8,
        key: &Arc<[u8]>,
        before: Option<Vec<u8>>,
        after: Option<Vec<u8>>,
    ) {
        if let Some(before) = before {
            self.leave(row_hash(table, key, &before));
        }
        if let Some(after) = &after {
            self.enter(row_hash(table, key, after));
        }
        self.changes.set(table, Arc::clone(key), after.map(|bytes| Body::Bytes(bytes.into())));
    }
}

/// The hash of a row whose body is just bytes.
pub(crate) fn row_hash(table: u8, key: &[u8], body: &[u8]) -> u64 {
    RowHash::new(table).bytes(key).bytes(body).finish()
}

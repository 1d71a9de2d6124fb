//! The store itself: an ordered map whose entries carry revisions, its past, and what ends by itself.

use alloc::sync::Arc;
use core::iter;
use core::ops::Bound;

use crate::answers::Answers;
use crate::changed_keys::ChangeNumber;
use crate::changes::{Body, Changes, Ledger};
use crate::command::{ClusterTime, LeaseId, Revision};
use crate::expiries::{Expiries, Lease};
use crate::hash::RowHash;
use crate::history::{Change, Compacted, EventNumber, History};
use crate::key_map::KeyMap;
use crate::locks::{Lock, Locks};
use crate::manifest::Totals;
use crate::rows::{RunWriter, TABLE_KEYS, TABLE_META};
use crate::settings::{Meta, Settings};

/// What the store holds under one key.
///
/// Invariant: 1 ≤ `create_revision` ≤ `mod_revision` ≤ the store's revision, and 1 ≤ `version` ≤
/// `mod_revision` − `create_revision` + 1, because a key is written at most once a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The bytes that were written.
    pub value: Arc<[u8]>,
    /// The revision that brought the key into being, since it was last deleted.
    pub create_revision: Revision,
    /// The revision of the latest write.
    pub mod_revision: Revision,
    /// How many writes there were since the key was created, the creating one included.
    pub version: u64,
}

impl Entry {
    /// The invariant that this entry breaks in a store at `revision`, with the number that breaks it.
    pub(crate) fn unsound(&self, revision: Revision) -> Option<(&'static str, u64)> {
        let Entry { create_revision, mod_revision, version, .. } = self;
        if *create_revision == Revision::ZERO || create_revision > mod_revision {
            return Some(("1 <= create_revision <= mod_revision", create_revision.0));
        }
        if *mod_revision > revision {
            return Some(("a mod_revision up to the store's revision", mod_revision.0));
        }
        let writes_at_most = mod_revision.0 - create_revision.0 + 1;
        if !(1..=writes_at_most).contains(version) {
            return Some(("1 <= version <= mod_revision - create_revision + 1", *version));
        }
        None
    }
}

/// The row of a key: its entry; the entry's share in the state hash, kept so that overwriting a large value needn't
/// read the old one again; and where its past and its change are, which is each store's own affair.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) entry: Entry,
    pub(crate) hash: u64,
    /// The key's latest event. It may be gone.
    pub(crate) last: EventNumber,
    /// Which of the changes since the last checkpoint is the key's.
    pub(crate) changed: ChangeNumber,
}

impl PartialEq for Row {
    fn eq(&self, other: &Row) -> bool {
        self.hash == other.hash && self.entry == other.entry
    }
}

impl Eq for Row {}

impl Row {
    pub(crate) fn new(key: &[u8], entry: Entry) -> Row {
        let hash = RowHash::new(TABLE_KEYS)
            .bytes(key)
            .number(entry.create_revision.0)
            .number(entry.mod_revision.0)
            .number(entry.version)
            .bytes(&entry.value)
            .finish();
        Row { entry, hash, last: EventNumber::NONE, changed: ChangeNumber::NONE }
    }
}

/// The replicated state: all keys, the store's revision, the past as far as it is kept, leases, remembered answers and
/// locks.
///
/// Invariants, checked where rows enter: every entry's are as [`Entry`] says; `ledger` counts every row of every table;
/// `live_bytes` is the sum of the lengths of all keys and values.
///
/// A clone copies references, not keys and values; it still visits every row.
///
/// Beside the state the store remembers which rows have changed since they were last taken away for a checkpoint
/// ([`Kv::seal`]), and events that readers still need ([`Kv::hold`]). Those are no part of the state: stores that
/// differ in them are equal.
#[derive(Clone, Debug, Default)]
pub struct Kv {
    pub(crate) rows: KeyMap,
    pub(crate) revision: Revision,
    pub(crate) live_bytes: u64,
    pub(crate) meta: Meta,
    /// Whether the row of `meta` has changed.
    pub(crate) meta_changed: bool,
    pub(crate) history: History,
    pub(crate) expiries: Expiries,
    pub(crate) answers: Answers,
    pub(crate) locks: Locks,
    pub(crate) ledger: Ledger,
    /// The oldest revision that a reader here still reads at.
    held: Option<Revision>,
}

impl PartialEq for Kv {
    fn eq(&self, other: &Kv) -> bool {
        (self.revision, self.meta, self.ledger.sum, self.live_bytes)
            == (other.revision, other.meta, other.ledger.sum, other.live_bytes)
            && self.rows == other.rows
            && self.history == other.history
            && self.expiries == other.expiries
            && self.answers == other.answers
            && self.locks == other.locks
    }
}

impl Eq for Kv {}

/// What a checkpoint is made of, beside the runs that are there already.
#[derive(Debug)]
pub struct Sealed {
    /// What all runs together, this one as the newest, must amount to.
    pub totals: Totals,
    /// The rows that changed, as one run.
    pub rows: RunWriter,
}

/// What is read.
impl Kv {
    /// The empty store, at revision 0.
    pub fn new() -> Kv {
        Kv::default()
    }

    /// The entry of `key`, if it is there.
    pub fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.rows.get(key).map(|row| &row.entry)
    }

    /// The entry that `key` had at `revision`, which is not above the store's.
    ///
    /// # Errors
    /// [`Compacted`]: that past is gone.
    pub fn get_at(&self, key: &[u8], revision: Revision) -> Result<Option<&Entry>, Compacted> {
        self.reach(revision)?;
        Ok(self.history.at(key, revision, self.rows.get(key)))
    }

    /// The entries of all keys from `start` (inclusive) to `end` (exclusive; without one, to the last key),
    /// in the order of the keys' bytes. An `end` at or below `start` gives nothing.
    pub fn range<'a>(
        &'a self,
        start: &[u8],
        end: Option<&[u8]>,
    ) -> impl Iterator<Item = (&'a [u8], &'a Entry)> + use<'a> {
        // The map's own range panics when it is told to run backwards.
        let end = end.map_or(Bound::Unbounded, |end| Bound::Excluded(end.max(start)));
        let rows = self.rows.range((Bound::Included(start), end));
        rows.map(|(key, row)| (&**key, &row.entry))
    }

    /// The entries that all keys from `start` on had at `revision`, which is not above the store's, in order.
    ///
    /// # Errors
    /// [`Compacted`]: that past is gone.
    pub fn range_at<'a, 'b>(
        &'a self,
        start: Bound<&'b [u8]>,
        revision: Revision,
    ) -> Result<impl Iterator<Item = (&'a Arc<[u8]>, &'a Entry)> + use<'a, 'b>, Compacted> {
        self.reach(revision)?;
        let mut present = self.rows.range((start, Bound::Unbounded)).peekable();
        // Nothing that is gone is looked at when the present is asked for.
        let past = self.history.absent_keys_from(start).take_while(move |_| revision < self.revision);
        let mut past = past.peekable();
        let keys = iter::from_fn(move || {
            let (now, then) = (present.peek(), past.peek());
            let key = match (now, then) {
                (None, None) => return None,
                (Some((now, _)), None) => *now,
                (None, Some(then)) => *then,
                (Some((now, _)), Some(then)) => (*now).min(*then),
            };
            let row = present.next_if(|(now, _)| *now == key).map(|(_, row)| row);
            if row.is_none() {
                past.next();
            }
            Some((key, self.history.at(key, revision, row)))
        });
        Ok(keys.filter_map(|(key, entry)| entry.map(|entry| (key, entry))))
    }

    /// Every change from the revision `from` on, the oldest first.
    ///
    /// # Errors
    /// [`Compacted`]: that past is gone.
    pub fn changes(&self, from: Revision) -> Result<impl Iterator<Item = Change>, Compacted> {
        // The changes that `from` itself made are needed, so the state before it must be in reach.
        self.reach(Revision(from.0.saturating_sub(1)))?;
        Ok(self.history.changes(from, |key| self.get(key)))
    }

    fn reach(&self, revision: Revision) -> Result<(), Compacted> {
        if self.history.reaches(revision) {
            Ok(())
        } else {
            Err(Compacted { oldest: self.oldest_revision() })
        }
    }

    /// The store's revision: the number of commands that changed something. It never falls.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The oldest revision that every node can still read.
    pub fn oldest_revision(&self) -> Revision {
        self.meta.floor
    }

    /// The latest moment that a leader has told.
    pub fn time(&self) -> ClusterTime {
        self.meta.time
    }

    /// When the next key or lease ends.
    pub fn next_end(&self) -> Option<ClusterTime> {
        self.expiries.next()
    }

    /// The limits in force.
    pub fn settings(&self) -> Settings {
        self.meta.settings
    }

    /// A lease that has not ended.
    pub fn lease(&self, lease: LeaseId) -> Option<&Lease> {
        self.expiries.lease(lease).filter(|lease| lease.ends > self.meta.time)
    }

    /// How many leases there are.
    pub fn leases(&self) -> usize {
        self.expiries.leases().count()
    }

    /// How many answers are remembered.
    pub fn answers(&self) -> usize {
        self.answers.count()
    }

    /// Who holds a lock.
    pub fn lock(&self, name: &[u8]) -> Option<&Lock> {
        self.locks.get(name)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The bytes of all keys and values together, without any overhead.
    pub fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// What the past is counted for, in bytes: what all replicas keep, and what this one holds for readers beside.
    pub fn history_bytes(&self) -> (u64, u64) {
        (self.history.bytes(), self.history.held_bytes())
    }

    /// Keeps what a reader at `revision` needs, here, though it is no part of the state any more; and lets go of what
    /// an older one needed.
    pub fn hold(&mut self, revision: Option<Revision>) {
        self.held = revision;
        self.trim();
    }

    pub(crate) fn trim(&mut self) {
        self.history.trim(self.held);
    }
}

/// What checkpoints are made of.
impl Kv {
    /// A hash of the whole state, kept up to date by every change. Equal states have equal hashes, however
    /// they came about; different states have different ones, but for a chance of one in 2^64.
    pub fn state_hash(&self) -> u64 {
        self.totals().state_hash
    }

    /// What the rows amount to, as a manifest says it.
    pub fn totals(&self) -> Totals {
        let (mut sum, mut rows) = (self.ledger.sum, self.ledger.count);
        if let Some(hash) = self.meta.hash() {
            sum.add(hash);
            rows += 1;
        }
        Totals { revision: self.revision, rows, state_hash: sum.state_hash(rows, self.revision.0) }
    }

    /// Makes this the beginning of another history: a backup is restored so. The revision is `by` higher; of the past
    /// and of remembered answers nothing is left. False when there is no such revision, and nothing was done.
    pub fn begin_history(&mut self, by: u64) -> bool {
        let raised = self.revision.0.checked_add(by).map(Revision).filter(|raised| *raised <= Revision::MAX);
        let Some(raised) = raised else { return false };
        self.answers.clear(&mut self.ledger);
        self.revision = raised;
        self.forget_past();
        true
    }

    /// A checkpoint of version 1 had neither a past nor a word of that. Its manifest may have been written again since,
    /// by this version, so it is known by what it lacks: in this one a store that was written to has one or the other.
    pub(crate) fn note_that_there_is_no_past(&mut self) {
        if self.meta.floor == Revision::ZERO
            && self.history.oldest().is_none()
            && self.revision > Revision::ZERO
        {
            self.forget_past();
        }
    }

    pub(crate) fn forget_past(&mut self) {
        while self.history.drop_oldest(&mut self.ledger).is_some() {}
        self.history.forget_all(self.revision);
        self.set_meta(Meta { floor: self.revision, ..self.meta });
    }

    /// Takes away the rows that changed since the last time, to be written as a run while the store moves on. It costs
    /// the same however many there are. Equal histories give equal bytes.
    pub fn seal(&mut self) -> Sealed {
        let mut changes = core::mem::take(&mut self.ledger.changes);
        self.add_meta(&mut changes);
        self.meta_changed = false;
        Sealed { totals: self.totals(), rows: RunWriter::new(changes) }
    }

    /// What [`Kv::seal`] would give, without taking it away. Shares what changed, but for leases, what belongs to them,
    /// remembered answers and locks, to which it copies references.
    pub fn tail(&mut self) -> Sealed {
        let mut changes = self.ledger.changes.share();
        self.add_meta(&mut changes);
        Sealed { totals: self.totals(), rows: RunWriter::new(changes) }
    }

    fn add_meta(&self, changes: &mut Changes) {
        if self.meta_changed {
            let body = self.meta.is_row().then(|| Body::Bytes(self.meta.encode().into()));
            changes.set(TABLE_META, Arc::default(), body);
        }
    }

    /// Counts every row as changed: the runs that were written before are no longer there to build on. Visits every
    /// row.
    pub fn count_all_as_changed(&mut self) {
        let mut all = Changes::default();
        self.rows.for_each_mut(|key, row| {
            row.changed = all.keys.set(key, ChangeNumber::NONE, Some(row.entry.clone()));
        });
        self.history.live_events().for_each(|event| all.add_event(event.clone()));
        let others = self.expiries.rows().chain(self.answers.rows()).chain(self.locks.rows());
        for (table, key, body) in others {
            all.set(table, key, Some(Body::Bytes(body.into())));
        }
        self.ledger.changes = all;
        self.meta_changed = self.meta.is_row();
    }

    pub(crate) fn set_meta(&mut self, meta: Meta) {
        self.meta_changed |= meta != self.meta;
        self.meta = meta;
    }

    /// Adds a row whose key is not there.
    pub(crate) fn insert(&mut self, key: Arc<[u8]>, row: Row) {
        let unsound = row.entry.unsound(self.revision);
        assert_eq!(unsound, None, "store at revision {}: {:?}", self.revision, row.entry);
        self.count(&key, &row);
        let old = self.rows.insert(key, row);
        assert!(old.is_none(), "a row was overwritten without leaving the sums: {old:?}");
    }

    pub(crate) fn count(&mut self, key: &[u8], row: &Row) {
        self.ledger.enter(row.hash);
        self.live_bytes += (key.len() + row.entry.value.len()) as u64;
    }

    pub(crate) fn forget(&mut self, key: &[u8], row: &Row) {
        self.ledger.leave(row.hash);
        self.live_bytes -= (key.len() + row.entry.value.len()) as u64;
    }
}

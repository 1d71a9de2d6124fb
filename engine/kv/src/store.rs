//! The store itself: an ordered map whose entries carry revisions.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use crate::bytes::Pair;
use crate::command::{Command, Outcome, Revision};
use crate::hash::{RowHash, RowSum};
use crate::manifest::Totals;
use crate::rows::{Changes, RunWriter, TABLE_KEYS};

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

/// The row of a key: its entry, and the entry's share in the state hash, kept so that overwriting a large
/// value needn't read the old one again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) entry: Entry,
    hash: u64,
}

impl Row {
    pub(crate) fn new(key: &[u8], entry: Entry) -> Row {
        let hash = RowHash::new(TABLE_KEYS)
            .bytes(key)
            .number(entry.create_revision.0)
            .number(entry.mod_revision.0)
            .number(entry.version)
            .bytes(&entry.value)
            .finish();
        Row { entry, hash }
    }
}

/// The replicated state: all keys, and the store's revision.
///
/// Invariants, checked where rows enter: every entry's are as [`Entry`] says; `rows_hash` is the sum of the
/// rows' hashes, and `live_bytes` that of their keys' and values' lengths.
///
/// A clone copies references, not keys and values; it still visits every row.
///
/// Beside the state the store remembers which rows have changed since they were last taken away for a checkpoint
/// ([`Kv::seal`]). That is no part of the state: stores that differ in it are equal.
#[derive(Clone, Debug, Default)]
pub struct Kv {
    rows: BTreeMap<Arc<[u8]>, Row>,
    revision: Revision,
    rows_hash: RowSum,
    live_bytes: u64,
    changed: Changes,
}

impl PartialEq for Kv {
    fn eq(&self, other: &Kv) -> bool {
        (self.revision, self.rows_hash, self.live_bytes)
            == (other.revision, other.rows_hash, other.live_bytes)
            && self.rows == other.rows
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

impl Kv {
    /// The empty store, at revision 0.
    pub fn new() -> Kv {
        Kv::default()
    }

    /// Carries out one command. Deterministic: the same commands in the same order give the same outcomes and
    /// the same state on every node.
    pub fn apply(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Put { key, value } => {
                self.revision = self.revision.next();
                self.put(key, value);
                Outcome::Put { revision: self.revision }
            }
            Command::Delete { key } => self.delete(key),
            Command::Import { entries } => self.import(entries),
        }
    }

    /// The entry of `key`, if it is there.
    pub fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.rows.get(key).map(|row| &row.entry)
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
        let rows = self.rows.range::<[u8], _>((Bound::Included(start), end));
        rows.map(|(key, row)| (&**key, &row.entry))
    }

    /// The store's revision: the number of commands that changed something. It never falls.
    pub fn revision(&self) -> Revision {
        self.revision
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

    /// A hash of the whole state, kept up to date by every change. Equal states have equal hashes, however
    /// they came about; different states have different ones, but for a chance of one in 2^64.
    pub fn state_hash(&self) -> u64 {
        self.rows_hash.state_hash(self.rows.len() as u64, self.revision.0)
    }

    /// What the rows amount to, as a manifest says it.
    pub fn totals(&self) -> Totals {
        Totals { revision: self.revision, rows: self.rows.len() as u64, state_hash: self.state_hash() }
    }

    /// What [`Kv::totals`] would say if the revision were `by` higher and nothing else had changed; nothing when there
    /// is no such revision. A backup is restored so.
    pub fn totals_raised(&self, by: u64) -> Option<Totals> {
        let raised =
            self.revision.0.checked_add(by).map(Revision).filter(|raised| *raised <= Revision::MAX)?;
        let rows = self.rows.len() as u64;
        Some(Totals { revision: raised, rows, state_hash: self.rows_hash.state_hash(rows, raised.0) })
    }

    /// Takes away the rows that changed since the last time, to be written as a run while the store moves on. It costs
    /// the same however many there are. Equal histories give equal bytes.
    pub fn seal(&mut self) -> Sealed {
        Sealed { totals: self.totals(), rows: RunWriter::new(core::mem::take(&mut self.changed)) }
    }

    /// What [`Kv::seal`] would give, without taking it away. Copies references to the keys and values that changed.
    pub fn tail(&self) -> Sealed {
        Sealed { totals: self.totals(), rows: RunWriter::new(self.changed.clone()) }
    }

    /// Counts every row as changed: the runs that were written before are no longer there to build on. Visits every
    /// row.
    pub fn count_all_as_changed(&mut self) {
        let all = self.rows.iter().map(|(key, row)| (key.clone(), Some(row.entry.clone())));
        self.changed = all.collect();
    }

    fn put(&mut self, key: &Arc<[u8]>, value: &Arc<[u8]>) {
        let (value, mod_revision) = (value.clone(), self.revision);
        let Some(row) = self.rows.get_mut(&**key) else {
            let entry = Entry { value, create_revision: mod_revision, mod_revision, version: 1 };
            self.changed.insert(key.clone(), Some(entry.clone()));
            return self.insert(key.clone(), entry);
        };
        let Entry { create_revision, mod_revision: written, version, .. } = row.entry;
        // Written before in this very revision, by the same import: the later value takes the place of the
        // earlier.
        let version = if written == mod_revision { version } else { version + 1 };
        self.rows_hash.remove(row.hash);
        self.live_bytes -= row.entry.value.len() as u64;
        *row = Row::new(key, Entry { value, create_revision, mod_revision, version });
        self.rows_hash.add(row.hash);
        self.live_bytes += row.entry.value.len() as u64;
        self.changed.insert(key.clone(), Some(row.entry.clone()));
    }

    fn delete(&mut self, key: &[u8]) -> Outcome {
        let Some((key, row)) = self.rows.remove_entry(key) else {
            return Outcome::Deleted { count: 0, revision: self.revision };
        };
        self.forget(&key, &row);
        self.changed.insert(key, None);
        self.revision = self.revision.next();
        Outcome::Deleted { count: 1, revision: self.revision }
    }

    fn import(&mut self, entries: &[Pair]) -> Outcome {
        if entries.is_empty() {
            return Outcome::Imported { count: 0, revision: self.revision };
        }
        self.revision = self.revision.next();
        let mut count = 0;
        for (key, value) in entries {
            let again = self.get(key).is_some_and(|entry| entry.mod_revision == self.revision);
            count += u64::from(!again);
            self.put(key, value);
        }
        Outcome::Imported { count, revision: self.revision }
    }

    /// Adds a row whose key is not there.
    fn insert(&mut self, key: Arc<[u8]>, entry: Entry) {
        assert_eq!(entry.unsound(self.revision), None, "store at revision {}: {entry:?}", self.revision);
        let row = Row::new(&key, entry);
        self.count(&key, &row);
        let old = self.rows.insert(key, row);
        assert!(old.is_none(), "a row was overwritten without leaving the sums: {old:?}");
    }

    fn count(&mut self, key: &[u8], row: &Row) {
        self.rows_hash.add(row.hash);
        self.live_bytes += (key.len() + row.entry.value.len()) as u64;
    }

    fn forget(&mut self, key: &[u8], row: &Row) {
        self.rows_hash.remove(row.hash);
        self.live_bytes -= (key.len() + row.entry.value.len()) as u64;
    }

    /// Takes the rows of a checkpoint's oldest run, which come in order: a map is built from those faster than row by
    /// row, and is denser.
    pub(crate) fn fill(&mut self, rows: Vec<(Arc<[u8]>, Row)>) {
        assert!(
            self.rows.is_empty(),
            "the oldest run is taken first, but {} rows are there",
            self.rows.len()
        );
        rows.iter().for_each(|(key, row)| self.count(key, row));
        self.rows = rows.into_iter().collect();
    }

    /// Takes a row of a newer run: what it says counts, whatever was there.
    pub(crate) fn overwrite(&mut self, key: Arc<[u8]>, entry: Option<Entry>) {
        if let Some((key, row)) = self.rows.remove_entry(&*key) {
            self.forget(&key, &row);
        }
        if let Some(entry) = entry {
            self.insert(key, entry);
        }
    }

    /// The store with these rows for changed.
    pub(crate) fn with_changes(self, changed: Changes) -> Kv {
        Kv { changed, ..self }
    }

    pub(crate) fn at_revision(revision: Revision) -> Kv {
        Kv { revision, ..Kv::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn put(key: &str, value: &str) -> Command {
        Command::Put { key: key.as_bytes().into(), value: value.as_bytes().into() }
    }

    fn delete(key: &str) -> Command {
        Command::Delete { key: key.as_bytes().into() }
    }

    fn import(entries: &[(&str, &str)]) -> Command {
        let shared = |text: &str| Arc::from(text.as_bytes());
        Command::Import { entries: entries.iter().map(|(key, value)| (shared(key), shared(value))).collect() }
    }

    fn value<'a>(kv: &'a Kv, key: &str) -> Option<&'a [u8]> {
        kv.get(key.as_bytes()).map(|entry| &*entry.value)
    }

    /// The seed's TestGetSetDelete.
    #[test]
    fn test_get_set_delete() {
        let mut kv = Kv::new();
        assert_eq!(value(&kv, "key"), None);
        assert_eq!(kv.apply(&put("key", "value")), Outcome::Put { revision: Revision(1) });
        assert_eq!(value(&kv, "key"), Some(b"value".as_slice()));
        assert_eq!(kv.apply(&delete("key")), Outcome::Deleted { count: 1, revision: Revision(2) });
        assert_eq!(value(&kv, "key"), None);
    }

    /// The seed's TestGet: key1, key2 and key4 are there, key3 is missing.
    #[test]
    fn test_get() {
        let mut kv = Kv::new();
        kv.apply(&import(&[("key1", "value1"), ("key2", "value2"), ("key4", "")]));
        assert_eq!(value(&kv, "key1"), Some(b"value1".as_slice()));
        assert_eq!(value(&kv, "key2"), Some(b"value2".as_slice()));
        assert_eq!(value(&kv, "key3"), None);
        assert_eq!(value(&kv, "key4"), Some(b"".as_slice()));
    }

    #[test]
    fn a_key_remembers_its_creation_its_last_write_and_how_often() {
        let mut kv = Kv::new();
        for command in [put("a", "1"), put("b", "1"), put("a", "2"), put("a", "3")] {
            kv.apply(&command);
        }
        let entry = kv.get(b"a").unwrap();
        assert_eq!((entry.create_revision, entry.mod_revision, entry.version), (Revision(1), Revision(4), 3));
        kv.apply(&delete("a"));
        kv.apply(&put("a", "again"));
        let entry = kv.get(b"a").unwrap();
        assert_eq!((entry.create_revision, entry.mod_revision, entry.version), (Revision(6), Revision(6), 1));
    }

    #[test]
    fn what_changes_nothing_does_not_raise_the_revision() {
        let mut kv = Kv::new();
        kv.apply(&put("a", "1"));
        let before = kv.clone();
        assert_eq!(kv.apply(&delete("b")), Outcome::Deleted { count: 0, revision: Revision(1) });
        assert_eq!(kv.apply(&import(&[])), Outcome::Imported { count: 0, revision: Revision(1) });
        assert_eq!(kv, before);
    }

    #[test]
    fn an_import_is_one_revision_and_the_last_of_a_key_counts() {
        let mut kv = Kv::new();
        kv.apply(&put("a", "old"));
        let outcome = kv.apply(&import(&[("b", "1"), ("a", "2"), ("b", "3"), ("a", "4")]));
        assert_eq!(outcome, Outcome::Imported { count: 2, revision: Revision(2) });
        assert_eq!((value(&kv, "a"), value(&kv, "b")), (Some(b"4".as_slice()), Some(b"3".as_slice())));
        let versions: Vec<u64> = kv.range(b"", None).map(|(_, entry)| entry.version).collect();
        assert_eq!(versions, [2, 1]);
    }

    #[test]
    fn raised_totals_are_those_of_the_store_at_that_revision() {
        let mut kv = Kv::new();
        kv.apply(&put("a", "1"));
        let raised = Kv { revision: Revision(1 << 40 | 1), ..kv.clone() };
        assert_eq!(kv.totals_raised(1 << 40), Some(raised.totals()));
        assert_eq!(kv.totals_raised(0), Some(kv.totals()));
        assert_eq!(kv.totals_raised(Revision::MAX.0 - 1).map(|totals| totals.revision), Some(Revision::MAX));
        assert_eq!(kv.totals_raised(Revision::MAX.0), None);
        assert_eq!(kv.totals_raised(u64::MAX), None);
    }

    #[test]
    fn a_range_is_half_open_and_may_be_empty() {
        let mut kv = Kv::new();
        kv.apply(&import(&[("a", ""), ("b", ""), ("ba", ""), ("c", "")]));
        let keys = |start: &str, end: Option<&str>| -> Vec<Vec<u8>> {
            kv.range(start.as_bytes(), end.map(str::as_bytes)).map(|(key, _)| key.to_vec()).collect()
        };
        assert_eq!(keys("b", Some("c")), vec![b"b".to_vec(), b"ba".to_vec()]);
        assert_eq!(keys("bb", None), vec![b"c".to_vec()]);
        assert!(keys("b", Some("b")).is_empty());
        assert!(keys("c", Some("a")).is_empty());
    }

    #[test]
    fn live_bytes_are_those_of_keys_and_values() {
        let mut kv = Kv::new();
        kv.apply(&put("key", "value"));
        kv.apply(&put("key", "longer value"));
        assert_eq!((kv.live_bytes(), kv.len()), (15, 1));
        kv.apply(&delete("key"));
        assert_eq!((kv.live_bytes(), kv.is_empty()), (0, true));
    }
}

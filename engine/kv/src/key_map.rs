//! The map of keys: found by a hash, gone through in order.
//!
//! A key that is there is found in a few steps, however many there are: its hash leads to the place of its row, and no
//! other key is looked at. The ordered tree is only touched when a key comes or goes, and to go through a range.
//!
//! No write waits for all of it to grow. Rows lie in blocks, which stay where they are. The hash index is in
//! [`SHARDS`] parts, each of which grows by itself and keeps the hashes, so that no key is looked at for that. What
//! the map has taken it keeps for the keys that come next: a store takes the memory of the most keys that it ever
//! had, but for the keys and values themselves.
//!
//! The index is never gone through, so that its order, and the seed of its hash, show in nothing.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hash::BuildHasher;
use core::ops::Bound;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::store::Row;

/// Parts of the index: at ten million keys each has forty thousand, and doubles in a fraction of a millisecond.
const SHARDS: usize = 256;

/// Why a place of the tree is taken.
const ORDERED: &str = "what is in order has a row";

/// Rows in a block.
const BLOCK: usize = 1024;

/// Where a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(u32);

/// What the index knows of a key.
#[derive(Clone, Copy)]
struct Known {
    hash: u32,
    place: Place,
}

/// The rows of all keys.
///
/// Invariants: `order` and `index` name the same places, each once, and those are the places in `rows` that are taken;
/// `free` has all others below the end.
#[derive(Clone)]
pub(crate) struct KeyMap {
    order: BTreeMap<Arc<[u8]>, Place>,
    index: Vec<HashTable<Known>>,
    rows: Rows,
    hasher: DefaultHashBuilder,
}

/// A key with its row.
type Pair = (Arc<[u8]>, Row);

/// Rows that stay where they are.
#[derive(Clone, Default)]
struct Rows {
    blocks: Vec<Vec<Option<Pair>>>,
    free: Vec<Place>,
}

impl Rows {
    fn at(&self, place: Place) -> Option<&Pair> {
        let at = place.0 as usize;
        self.blocks[at / BLOCK][at % BLOCK].as_ref()
    }

    fn slot(&mut self, place: Place) -> &mut Option<Pair> {
        let at = place.0 as usize;
        &mut self.blocks[at / BLOCK][at % BLOCK]
    }

    fn put(&mut self, key: Arc<[u8]>, row: Row) -> Place {
        if let Some(place) = self.free.pop() {
            *self.slot(place) = Some((key, row));
            return place;
        }
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let number = self.blocks.len() - 1;
        let block = &mut self.blocks[number];
        let place =
            u32::try_from(number * BLOCK + block.len()).expect("four billion keys do not fit into memory");
        block.push(Some((key, row)));
        Place(place)
    }

    fn take(&mut self, place: Place) -> Option<Pair> {
        let taken = self.slot(place).take();
        self.free.push(place);
        taken
    }
}

impl KeyMap {
    fn find(&self, hash: Hash, key: &[u8]) -> Option<Place> {
        let Hash { shard, short } = hash;
        let is_it = |known: &Known| {
            known.hash == short && self.rows.at(known.place).is_some_and(|(found, _)| **found == *key)
        };
        self.index[shard].find(spread(short), is_it).map(|known| known.place)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Row> {
        let place = self.find(Hash::of(key, &self.hasher), key)?;
        self.rows.at(place).map(|(_, row)| row)
    }

    /// The key as the map has it, and its row.
    pub(crate) fn get_mut(&mut self, key: &[u8]) -> Option<(&Arc<[u8]>, &mut Row)> {
        let place = self.find(Hash::of(key, &self.hasher), key)?;
        self.rows.slot(place).as_mut().map(|(key, row)| (&*key, row))
    }

    /// Adds a row, and gives back the one that it replaces.
    pub(crate) fn insert(&mut self, key: Arc<[u8]>, row: Row) -> Option<Row> {
        let hash = Hash::of(&key, &self.hasher);
        if let Some(place) = self.find(hash, &key) {
            return self.rows.slot(place).as_mut().map(|(_, old)| core::mem::replace(old, row));
        }
        let place = self.rows.put(key.clone(), row);
        self.note(hash, place);
        self.order.insert(key, place);
        None
    }

    fn note(&mut self, hash: Hash, place: Place) {
        let Hash { shard, short } = hash;
        let known = Known { hash: short, place };
        self.index[shard].insert_unique(spread(short), known, |known| spread(known.hash));
    }

    pub(crate) fn remove_entry(&mut self, key: &[u8]) -> Option<Pair> {
        let hash = Hash::of(key, &self.hasher);
        let place = self.find(hash, key)?;
        let known = self.index[hash.shard].find_entry(spread(hash.short), |known| known.place == place);
        known.ok().expect("it was found a moment ago").remove();
        self.order.remove(key);
        self.rows.take(place)
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The rows of a range of keys, in order.
    pub(crate) fn range<'a>(
        &'a self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> impl Iterator<Item = (&'a Arc<[u8]>, &'a Row)> + use<'a> {
        self.order.range::<[u8], _>(range).map(|(key, place)| (key, self.row(*place)))
    }

    /// All rows, in order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<[u8]>, &Row)> {
        self.order.iter().map(|(key, place)| (key, self.row(*place)))
    }

    /// The same, to be changed.
    pub(crate) fn for_each_mut(&mut self, mut change: impl FnMut(&Arc<[u8]>, &mut Row)) {
        for place in self.order.values() {
            let (key, row) = self.rows.slot(*place).as_mut().expect(ORDERED);
            change(key, row);
        }
    }

    fn row(&self, place: Place) -> &Row {
        &self.rows.at(place).expect(ORDERED).1
    }
}

impl Default for KeyMap {
    fn default() -> KeyMap {
        let index = core::iter::repeat_with(HashTable::new).take(SHARDS).collect();
        KeyMap { order: BTreeMap::new(), index, rows: Rows::default(), hasher: DefaultHashBuilder::default() }
    }
}

/// From keys that ascend: the tree is denser, and made faster, than key by key.
impl FromIterator<Pair> for KeyMap {
    fn from_iter<I: IntoIterator<Item = Pair>>(rows: I) -> KeyMap {
        let mut map = KeyMap::default();
        let mut order = Vec::new();
        for (key, row) in rows {
            let hash = Hash::of(&key, &map.hasher);
            let place = map.rows.put(key.clone(), row);
            map.note(hash, place);
            order.push((key, place));
        }
        map.order = order.into_iter().collect();
        assert_eq!(map.order.len(), map.rows.blocks.iter().map(Vec::len).sum(), "no key comes twice");
        map
    }
}

impl PartialEq for KeyMap {
    fn eq(&self, other: &KeyMap) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for KeyMap {}

impl fmt::Debug for KeyMap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

/// What is made of a key's hash.
#[derive(Clone, Copy)]
struct Hash {
    /// Which part of the index the key belongs to.
    shard: usize,
    /// What that part keeps.
    short: u32,
}

impl Hash {
    fn of(key: &[u8], hasher: &DefaultHashBuilder) -> Hash {
        let hash = hasher.hash_one(key).to_le_bytes();
        let [shard, _, _, _, short @ ..] = hash;
        Hash { shard: usize::from(shard), short: u32::from_le_bytes(short) }
    }
}

/// As the table wants it: it looks at the lowest bits, and at the highest ones.
fn spread(short: u32) -> u64 {
    u64::from(short) << 32 | u64::from(short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Revision;
    use crate::store::Entry;
    use proptest::prelude::*;

    fn key(number: u16) -> Arc<[u8]> {
        Arc::from(number.to_be_bytes())
    }

    fn row(number: u64) -> Row {
        let revision = Revision(number + 1);
        let value = Arc::from(number.to_le_bytes());
        Row::new(&[], Entry { value, create_revision: revision, mod_revision: revision, version: 1 })
    }

    /// Each place is named once by each side, and all others are free.
    fn check(map: &KeyMap) {
        let mut named: Vec<u32> = map.order.values().map(|place| place.0).collect();
        let mut indexed: Vec<u32> = map.index.iter().flatten().map(|known| known.place.0).collect();
        named.sort_unstable();
        indexed.sort_unstable();
        assert_eq!(named, indexed);
        let all = map.rows.blocks.iter().map(Vec::len).sum::<usize>();
        assert_eq!(named.len() + map.rows.free.len(), all);
        assert!(map.rows.free.iter().all(|place| map.rows.at(*place).is_none()));
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0..3_u8, 0..40_u16), 0..200)) {
            let (mut map, mut model) = (KeyMap::default(), BTreeMap::new());
            for (at, (what, number)) in steps.into_iter().enumerate() {
                let (key, row) = (key(number), row(at as u64));
                match what {
                    0 => assert_eq!(map.remove_entry(&key).map(|(_, row)| row), model.remove(&key)),
                    1 => assert_eq!(map.get(&key), model.get(&key)),
                    _ => assert_eq!(map.insert(key.clone(), row.clone()), model.insert(key, row)),
                }
            }
            check(&map);
            assert!(map.iter().eq(model.iter()));
            assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
            let (from, to) = (key(10), key(30));
            let range = (Bound::Included(&*from), Bound::Excluded(&*to));
            assert!(map.range(range).eq(model.range::<[u8], _>(range)));
            let again: KeyMap = model.into_iter().collect();
            check(&again);
            assert_eq!(again, map);
        }
    }

    #[test]
    fn parts_of_the_index_grow_and_nothing_is_lost() {
        let mut map = KeyMap::default();
        for number in 0..u16::MAX {
            assert_eq!(map.insert(key(number), row(u64::from(number))), None);
        }
        check(&map);
        assert!((0..u16::MAX).all(|number| map.get(&key(number)) == Some(&row(u64::from(number)))));
        assert!(
            map.index.iter().all(|part| (100..400).contains(&part.len())),
            "one part is as good as another"
        );
    }

    #[test]
    fn a_place_is_used_again() {
        let mut map = KeyMap::default();
        for round in 0..5 {
            for number in 0..3_000 {
                map.insert(key(number), row(round));
            }
            for number in 0..3_000 {
                assert!(map.remove_entry(&key(number)).is_some());
            }
            check(&map);
        }
        assert_eq!(map.rows.blocks.len(), 3);
        assert!(map.iter().next().is_none());
    }
}

//! Who watches a key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::filter::Scope;
use super::hub::WatcherId;

/// Watchers by what they watch.
///
/// Invariants: no set is empty; `lengths` counts the prefixes of each length, and none of which there are none.
#[derive(Debug, Default)]
pub(super) struct Index {
    keys: BTreeMap<Arc<[u8]>, BTreeSet<WatcherId>>,
    prefixes: BTreeMap<Arc<[u8]>, BTreeSet<WatcherId>>,
    lengths: BTreeMap<usize, usize>,
}

impl Index {
    pub(super) fn insert(&mut self, scope: &Scope, id: WatcherId) {
        match scope {
            Scope::Key(key) => drop(self.keys.entry(Arc::clone(key)).or_default().insert(id)),
            Scope::Prefix(prefix) => {
                let group = self.prefixes.entry(Arc::clone(prefix)).or_default();
                if group.is_empty() {
                    *self.lengths.entry(prefix.len()).or_default() += 1;
                }
                group.insert(id);
            }
        }
    }

    /// One that is not in it may be taken out, too.
    pub(super) fn remove(&mut self, scope: &Scope, id: WatcherId) {
        match scope {
            Scope::Key(key) => drop(take_out(&mut self.keys, key, id)),
            Scope::Prefix(prefix) => {
                if take_out(&mut self.prefixes, prefix, id) {
                    let count = self.lengths.get_mut(&prefix.len()).expect("lengths are counted");
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&prefix.len());
                    }
                }
            }
        }
    }

    /// Those who watch `key`. One look for the key, and one for each length that a watched prefix has.
    pub(super) fn watchers<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = WatcherId> + 'a {
        let lengths = self.lengths.keys().take_while(|length| **length <= key.len());
        let by_prefix = lengths.filter_map(|length| self.prefixes.get(&key[..*length]));
        self.keys.get(key).into_iter().chain(by_prefix).flatten().copied()
    }
}

/// Whether that was the last of its group.
fn take_out(groups: &mut BTreeMap<Arc<[u8]>, BTreeSet<WatcherId>>, name: &[u8], id: WatcherId) -> bool {
    let Some(group) = groups.get_mut(name) else { return false };
    group.remove(&id);
    let is_empty = group.is_empty();
    if is_empty {
        groups.remove(name);
    }
    is_empty
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watchers(index: &Index, key: &[u8]) -> Vec<u64> {
        index.watchers(key).map(|id| id.0).collect()
    }

    #[test]
    fn a_key_is_found_by_itself_and_by_its_prefixes() {
        let mut index = Index::default();
        let scopes = [
            Scope::Key(b"ab".as_slice().into()),
            Scope::Prefix(b"".as_slice().into()),
            Scope::Prefix(b"ab".as_slice().into()),
            Scope::Prefix(b"abc".as_slice().into()),
            Scope::Prefix(b"b".as_slice().into()),
            Scope::Prefix(b"ab".as_slice().into()),
        ];
        for (number, scope) in (0..).zip(&scopes) {
            index.insert(scope, WatcherId(number));
        }
        assert_eq!(watchers(&index, b"ab"), [0, 1, 2, 5]);
        assert_eq!(watchers(&index, b"abcd"), [1, 2, 5, 3]);
        assert_eq!(watchers(&index, b"a"), [1]);
        assert_eq!(watchers(&index, b"ba"), [1, 4]);
        index.remove(&scopes[2], WatcherId(2));
        index.remove(&scopes[2], WatcherId(2));
        assert_eq!(watchers(&index, b"ab"), [0, 1, 5]);
        for (number, scope) in (0..).zip(&scopes) {
            index.remove(scope, WatcherId(number));
        }
        assert!(index.keys.is_empty() && index.prefixes.is_empty() && index.lengths.is_empty(), "{index:?}");
    }
}

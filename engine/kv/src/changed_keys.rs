//! Which keys have changed since the last checkpoint, and what each is now.
//!
//! A key that changes again is found by a number that its row keeps, so a write costs the same however many have
//! changed. They are put in order in blocks, as they come; the blocks are merged while they are written, on a thread
//! that has time for it.

use alloc::collections::BinaryHeap;
use alloc::collections::binary_heap::PeekMut;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::shared_blocks::{BLOCK, Blocks};
use crate::store::Entry;

/// Which of the changes is a key's; meaningless once they were taken away, which [`ChangedKeys`] finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChangeNumber(u32);

impl ChangeNumber {
    /// The key has not changed.
    pub(crate) const NONE: ChangeNumber = ChangeNumber(u32::MAX);
}

/// Keys with what they are now: an entry, or gone.
///
/// A key that went and came again is there each time that it did, and so is one that changed again after it was shared:
/// the last one counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChangedKeys {
    changes: Blocks<(Arc<[u8]>, Option<Entry>)>,
    /// The numbers of the changes, each [`BLOCK`] of them in the order of the keys.
    blocks: Vec<Arc<[u32]>>,
    /// Changes with lower numbers were shared, and may still be. They stay as they are, or most of their blocks would
    /// soon be copied; so a key is here once more for each time that it was shared, until the changes are taken away.
    shared: u32,
}

impl ChangedKeys {
    /// `key`, the very one of the row that has this number, is `entry` now. Returns its number from now on.
    pub(crate) fn set(
        &mut self,
        key: &Arc<[u8]>,
        number: ChangeNumber,
        entry: Option<Entry>,
    ) -> ChangeNumber {
        // A number of changes that were taken away may be another key's now.
        if number.0 >= self.shared
            && let Some((of, change)) = self.changes.get_mut(number.0 as usize)
            && Arc::ptr_eq(of, key)
        {
            *change = entry;
            return number;
        }
        let number = self.next_number();
        self.changes.push((key.clone(), entry));
        if self.changes.len().is_multiple_of(BLOCK) {
            self.blocks.push(self.sorted(self.blocks.len()));
        }
        ChangeNumber(number)
    }

    fn next_number(&self) -> u32 {
        u32::try_from(self.changes.len()).expect("four billion changes do not fit into memory")
    }

    /// A clone, which costs little; and so does what is changed here afterwards.
    pub(crate) fn share(&mut self) -> ChangedKeys {
        self.shared = self.next_number();
        self.clone()
    }

    /// The numbers of a block in the order of their keys; of a key that is there again the later one comes last.
    fn sorted(&self, block: usize) -> Arc<[u32]> {
        let end = self.changes.len().min((block + 1) * BLOCK);
        let number = |at: usize| u32::try_from(at).expect("it was given as a number");
        let mut numbers: Vec<u32> = (number(block * BLOCK)..number(end)).collect();
        numbers.sort_unstable_by(|&one, &other| {
            let key = |number: u32| &self.change(number).0;
            key(one).cmp(key(other)).then(one.cmp(&other))
        });
        numbers.into()
    }

    /// Frees a block of changes, of which none is asked for any more; false when there is nothing left.
    pub(crate) fn let_go(&mut self) -> bool {
        self.blocks.pop();
        self.changes.let_go()
    }

    fn change(&self, number: u32) -> &(Arc<[u8]>, Option<Entry>) {
        self.changes.get(number as usize).expect("it was given as a number")
    }

    /// A walk over all of them, from the first key on.
    pub(crate) fn walk(&self) -> Walk {
        let mut last = Arc::default();
        if self.blocks.len() * BLOCK < self.changes.len() {
            last = self.sorted(self.blocks.len());
        }
        let mut walk = Walk { heads: BinaryHeap::new(), last };
        for block in 0..=self.blocks.len() {
            walk.heads.extend(self.head(&walk.last, block, 0));
        }
        walk
    }

    /// The next key, and moves the walk on.
    pub(crate) fn next(&self, walk: &mut Walk) -> Option<(Arc<[u8]>, Option<Entry>)> {
        loop {
            let mut first = walk.heads.peek_mut()?;
            let (key, number) = (first.key.clone(), first.number);
            if let Some(head) = self.head(&walk.last, first.block, first.at + 1) {
                *first = head;
                drop(first);
            } else {
                PeekMut::pop(first);
            }
            if walk.heads.peek().is_none_or(|next| next.key != key) {
                return Some((key, self.change(number).1.clone()));
            }
        }
    }

    fn head(&self, last: &[u32], block: usize, at: usize) -> Option<Head> {
        let numbers = self.blocks.get(block).map_or(last, |block| block);
        let number = *numbers.get(at)?;
        Some(Head { key: self.change(number).0.clone(), number, block, at })
    }
}

/// How far somebody has gone through changed keys, which stay as they are meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    /// The first of each block that is not gone through.
    heads: BinaryHeap<Head>,
    /// The block that is not full.
    last: Arc<[u32]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Head {
    key: Arc<[u8]>,
    number: u32,
    block: usize,
    at: usize,
}

impl Ord for Head {
    /// The heap gives the greatest first: that is the lowest key, and of one key the earliest change.
    fn cmp(&self, other: &Head) -> Ordering {
        other.key.cmp(&self.key).then(other.number.cmp(&self.number))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Revision;
    use alloc::collections::BTreeMap;
    use alloc::vec;
    use proptest::prelude::*;

    fn entry(version: u64) -> Entry {
        let revision = Revision(version);
        Entry { value: Arc::default(), create_revision: revision, mod_revision: revision, version }
    }

    fn all(changed: &ChangedKeys) -> Vec<(Arc<[u8]>, Option<Entry>)> {
        let mut walk = changed.walk();
        core::iter::from_fn(|| changed.next(&mut walk)).collect()
    }

    proptest! {
        /// Keys are written, go, and come again as other rows; what comes out is what each is at the end, in order.
        #[test]
        fn the_last_change_of_each_key_comes_out_in_order(
            steps in prop::collection::vec((0..700_u16, 0..4_u8), 0..3_000),
            share_at in prop::collection::vec(0..3_000_usize, 0..3),
        ) {
            let (mut changed, mut model, mut shared) = (ChangedKeys::default(), BTreeMap::new(), vec![]);
            let mut rows: BTreeMap<u16, (Arc<[u8]>, ChangeNumber)> = BTreeMap::new();
            for (at, (key, what)) in steps.into_iter().enumerate() {
                if share_at.contains(&at) {
                    shared.push((changed.share(), model.clone()));
                }
                let entry = (what > 0).then(|| entry(at as u64 + 1));
                let fresh = || (Arc::from(key.to_be_bytes()), ChangeNumber::NONE);
                let (of, number) = rows.entry(key).or_insert_with(fresh);
                *number = changed.set(of, *number, entry.clone());
                model.insert(of.clone(), entry);
                if what == 0 {
                    rows.remove(&key);
                }
            }
            shared.push((changed, model));
            for (changed, model) in shared {
                prop_assert!(all(&changed).into_iter().eq(model));
            }
        }
    }

    #[test]
    fn a_number_from_before_is_not_taken_for_another_keys() {
        let (one, other): (Arc<[u8]>, Arc<[u8]>) = (Arc::from(*b"1"), Arc::from(*b"2"));
        let mut changed = ChangedKeys::default();
        let number = changed.set(&one, ChangeNumber::NONE, None);
        changed = ChangedKeys::default();
        changed.set(&other, ChangeNumber::NONE, Some(entry(1)));
        assert_ne!(changed.set(&one, number, Some(entry(2))), number);
        assert_eq!(all(&changed), [(one, Some(entry(2))), (other, Some(entry(1)))]);
    }

    #[test]
    fn a_key_that_changes_again_after_it_was_shared_is_there_again_once() {
        let (key, mut number): (Arc<[u8]>, _) = (Arc::from(*b"1"), ChangeNumber::NONE);
        let mut changed = ChangedKeys::default();
        for version in 1..=4 {
            number = changed.set(&key, number, Some(entry(version)));
            if version == 2 {
                assert_eq!(all(&changed.share()), [(key.clone(), Some(entry(2)))]);
            }
        }
        assert_eq!((all(&changed), changed.changes.len()), (vec![(key, Some(entry(4)))], 2));
    }

    #[test]
    fn a_key_that_changes_again_takes_no_more_room() {
        let (key, mut number): (Arc<[u8]>, _) = (Arc::from(*b"1"), ChangeNumber::NONE);
        let mut changed = ChangedKeys::default();
        for version in 1..3 * BLOCK as u64 {
            number = changed.set(&key, number, Some(entry(version)));
        }
        assert_eq!((changed.changes.len(), changed.blocks.len()), (1, 0));
    }
}

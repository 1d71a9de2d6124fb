//! A sequence in blocks that clones share.
//!
//! What changed since the last checkpoint is given to whoever writes the next one while the store moves on. A copy of
//! it all would hold up every request for milliseconds; here a clone costs a reference to each block, and whoever
//! changes something first copies the block that it is in, unless nobody shares it any more.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

/// So many items a block: to copy one is a fraction of what a sync takes.
pub(crate) const BLOCK: usize = 512;

/// Items that are added at the end and go at the front.
///
/// Invariants: each block has [`BLOCK`] items, and `last` has fewer; the first `skipped` items, fewer than [`BLOCK`],
/// are gone.
#[derive(Clone, Debug)]
pub(crate) struct Blocks<T> {
    blocks: VecDeque<Arc<Vec<T>>>,
    /// Clones have their own: to be added to is what happens most.
    last: Vec<T>,
    skipped: usize,
}

impl<T> Default for Blocks<T> {
    fn default() -> Blocks<T> {
        Blocks { blocks: VecDeque::new(), last: Vec::new(), skipped: 0 }
    }
}

impl<T: Clone> Blocks<T> {
    pub(crate) fn len(&self) -> usize {
        self.blocks.len() * BLOCK + self.last.len() - self.skipped
    }

    pub(crate) fn push(&mut self, item: T) {
        self.last.push(item);
        if self.last.len() == BLOCK {
            self.blocks.push_back(Arc::new(mem::replace(&mut self.last, Vec::with_capacity(BLOCK))));
        }
    }

    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        let at = self.skipped + at;
        match self.blocks.get(at / BLOCK) {
            Some(block) => block.get(at % BLOCK),
            None => self.last.get(at - self.blocks.len() * BLOCK),
        }
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let (at, in_blocks) = (self.skipped + at, self.blocks.len() * BLOCK);
        match self.blocks.get_mut(at / BLOCK) {
            Some(block) => Arc::make_mut(block).get_mut(at % BLOCK),
            None => self.last.get_mut(at - in_blocks),
        }
    }

    /// Takes the first item away, if there is one, and puts `gone` in its place: its block goes with the last of its
    /// items, and what an item holds may be large. Of a block that is shared the items stay until then.
    pub(crate) fn drop_first(&mut self, gone: T) {
        if self.len() > 0 {
            let block = match self.blocks.front_mut() {
                Some(first) => Arc::get_mut(first),
                None => Some(&mut self.last),
            };
            if let Some(block) = block {
                block[self.skipped] = gone;
            }
            self.skipped += 1;
            if self.skipped == BLOCK {
                self.blocks.pop_front();
                self.skipped = 0;
            } else if self.len() == 0 {
                self.last.clear();
                self.skipped = 0;
            }
        }
    }

    /// Frees the items of a block; false when there is none left.
    pub(crate) fn let_go(&mut self) -> bool {
        self.skipped = 0;
        self.blocks.pop_front().is_some() || !mem::take(&mut self.last).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;
    use alloc::vec;
    use proptest::prelude::*;

    fn all(blocks: &Blocks<u32>) -> Vec<u32> {
        (0..).map_while(|at| blocks.get(at).copied()).collect()
    }

    proptest! {
        /// It is a queue, whatever is shared, and what a clone has does not change with it.
        #[test]
        fn it_is_a_queue(steps in prop::collection::vec((0..5_u8, 0..2_000_usize), 0..40)) {
            let (mut blocks, mut model, mut clones) = (Blocks::default(), VecDeque::new(), vec![]);
            for (step, (what, count)) in steps.into_iter().enumerate() {
                let number = u32::try_from(step).unwrap();
                match what {
                    0 => clones.push((blocks.clone(), model.clone())),
                    1 => (0..count).for_each(|_| {
                        blocks.drop_first(0);
                        model.pop_front();
                    }),
                    2 => {
                        if let Some(item) = blocks.get_mut(count) {
                            *item = number;
                        }
                        if let Some(item) = model.get_mut(count) {
                            *item = number;
                        }
                    }
                    _ => (0..count).for_each(|_| {
                        blocks.push(number);
                        model.push_back(number);
                    }),
                }
                prop_assert_eq!(blocks.len(), model.len());
                prop_assert!(all(&blocks).into_iter().eq(model.iter().copied()));
            }
            for (blocks, model) in clones {
                prop_assert!(all(&blocks).into_iter().eq(model));
            }
        }
    }

    #[test]
    fn what_goes_is_freed_at_once_unless_it_is_shared() {
        let item = Arc::new(1);
        for count in [2, BLOCK + 2] {
            let mut blocks = Blocks::default();
            (0..count).for_each(|_| blocks.push(Some(item.clone())));
            blocks.drop_first(None);
            assert_eq!(Arc::strong_count(&item), count);
        }
    }

    #[test]
    fn what_is_not_touched_stays_shared() {
        let mut blocks = Blocks::default();
        (0..3 * BLOCK).for_each(|item| blocks.push(item));
        let clone = blocks.clone();
        *blocks.get_mut(BLOCK).unwrap() = 7;
        blocks.push(8);
        let shared = blocks.blocks.iter().zip(&clone.blocks).map(|(one, other)| Arc::ptr_eq(one, other));
        assert_eq!(shared.collect::<Vec<_>>(), [true, false, true]);
        (0..2 * BLOCK).for_each(|_| blocks.drop_first(0));
        assert_eq!((blocks.blocks.len(), blocks.len()), (1, BLOCK + 1));
    }
}

//! A state machine that remembers everything it applied, in one number.

use quorate_raft::{Digest, Entry, Index};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

pub(crate) fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Machine {
    pub(crate) applied: Index,
    /// A hash of every entry up to `applied`, in order.
    pub(crate) digest: u64,
}

impl Machine {
    pub(crate) fn apply(&mut self, entry: &Entry) {
        assert_eq!(
            entry.id.index,
            self.applied.next(),
            "applied out of order: {} after {}",
            entry.id,
            self.applied
        );
        self.applied = entry.id.index;
        self.digest = hash_of(&(self.digest, entry));
    }

    /// The state and a filler that depends on it, so that mixed pieces of two snapshots are noticed.
    pub(crate) fn content(&self) -> Arc<[u8]> {
        let mut content = Vec::new();
        content.extend(self.applied.0.to_le_bytes());
        content.extend(self.digest.to_le_bytes());
        for number in 0..self.digest % 14 {
            content.extend(hash_of(&(self.digest, number)).to_le_bytes());
        }
        content.into()
    }

    pub(crate) fn from_content(content: &[u8]) -> Self {
        let word = |at: usize| u64::from_le_bytes(content[at..at + 8].try_into().unwrap());
        let machine = Machine { applied: Index(word(0)), digest: word(8) };
        assert_eq!(*machine.content(), *content, "a snapshot's pieces were mixed up");
        machine
    }
}

pub(crate) fn digest(content: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.0[..8].copy_from_slice(&hash_of(&content).to_le_bytes());
    digest
}

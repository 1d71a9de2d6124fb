//! Writes that wait for the end of a hand-over.

use crate::RequestId;
use std::collections::VecDeque;
use std::sync::Arc;

/// An encoded command, who waits for it, and whether it frees space.
#[derive(Debug)]
pub(crate) struct HeldWrite {
    pub(crate) id: RequestId,
    pub(crate) command: Arc<[u8]>,
    pub(crate) frees_space: bool,
}

/// Encoded commands in the order they came, and who waits for each.
///
/// A hand-over may take an election timeout, in which a fast network brings gigabytes, so there is a limit in bytes.
/// A single command that is larger than all of it is taken when nothing else waits: the core does the same.
///
/// Invariant: `bytes` is the length of all commands.
#[derive(Debug, Default)]
pub(crate) struct Held {
    writes: VecDeque<HeldWrite>,
    bytes: usize,
}

impl Held {
    pub(crate) fn count(&self) -> usize {
        self.writes.len()
    }

    /// Takes a write up; false when that would be more than `limit_bytes`, and it was not.
    pub(crate) fn push(&mut self, write: HeldWrite, limit_bytes: usize) -> bool {
        let bytes = self.bytes + write.command.len();
        if bytes > limit_bytes && self.bytes > 0 {
            return false;
        }
        self.bytes = bytes;
        self.writes.push_back(write);
        true
    }

    /// Nobody waits for this write any more. True when it was here: then it is certain that it will not be done.
    pub(crate) fn cancel(&mut self, id: RequestId) -> bool {
        let at = self.writes.iter().position(|held| held.id == id);
        let Some(held) = at.and_then(|at| self.writes.remove(at)) else { return false };
        self.bytes -= held.command.len();
        true
    }
}

impl IntoIterator for Held {
    type Item = HeldWrite;
    type IntoIter = std::collections::vec_deque::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.writes.into_iter()
    }
}

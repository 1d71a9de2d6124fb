//! From a recording's base, a checkpoint and some entries to the node that there was.

use super::recorder::Head;
use crate::node::Base;
use crate::state::State;
use crate::{Node, NodeConfig};
use quorate_kv::{Restore, Restored};
use quorate_raft::{Entry, Index, LogId, Members, NodeId, Payload, Time};
use quorate_wire::codec;
use quorate_wire::entry::decode_command;

/// Why a recording can't be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecording {
    /// Another release took it: what is in it is laid out as it was there.
    #[error(
        "the recording was taken by Quorate {found}, and this is {known}: replay it with the release that took it"
    )]
    OtherRelease {
        /// Which one.
        found: String,
        /// This one.
        known: String,
    },
    /// A part of it is not what it ought to be.
    #[error("the recording can't be read: {part}: {reason}; take another one, or get this one again")]
    Malformed {
        /// Which.
        part: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// What is in it does not lead to the state that the recorded node had.
    #[error("the recording does not lead to where it begins: {0}")]
    Mismatch(String),
}

impl BadRecording {
    pub(super) fn malformed(part: &'static str, reason: &impl ToString) -> BadRecording {
        BadRecording::Malformed { part, reason: reason.to_string() }
    }
}

/// Puts a node together from its base and its store.
#[derive(Debug)]
pub struct Rebuild {
    base: Base,
    state: State,
    /// The store is as of this entry.
    applied: Index,
}

impl Rebuild {
    /// Of a node that `head` is about and whose base that is; with an empty store so far.
    ///
    /// # Errors
    /// [`BadRecording`].
    pub fn new(head: &Head, base: &[u8]) -> Result<Rebuild, BadRecording> {
        let known = Head::new(head.node, head.cluster);
        if *head != known {
            let (found, known) = (head.release(), known.release());
            return Err(BadRecording::OtherRelease { found, known });
        }
        let base: Base = codec::decode(base).map_err(|error| BadRecording::malformed("its base", &error))?;
        Ok(Rebuild { base, state: State::new(), applied: Index(0) })
    }

    /// The last entry that the node had applied.
    pub fn wants(&self) -> LogId {
        self.base.applied()
    }

    /// Which node it is.
    pub fn id(&self) -> NodeId {
        self.config().raft.id
    }

    /// With which settings it ran.
    pub fn config(&self) -> &NodeConfig {
        self.base.config()
    }

    /// The configuration that is in force where the recording begins.
    pub fn members(&self) -> &Members {
        self.base.raft().members()
    }

    /// When the last input came before the recording begins.
    pub fn begins_at(&self) -> Time {
        self.base.now()
    }

    /// Takes the store of a checkpoint that ends at `last`: its content, in pieces.
    ///
    /// # Errors
    /// [`BadRecording`].
    pub fn restore<'a>(
        &mut self,
        last: Index,
        content: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), BadRecording> {
        let mut restore = Restore::new();
        let wrong = |error| BadRecording::malformed("its checkpoint", &error);
        for piece in content {
            restore.feed(piece).map_err(wrong)?;
        }
        let Restored { kv, boundary } = restore.finish().map_err(wrong)?;
        (self.state.kv, self.state.boundary) = (kv, boundary);
        self.base.holds().settle(&mut self.state.kv);
        self.applied = last;
        Ok(())
    }

    /// Takes the next entry of the log. Those that the store has, and those beyond the base, are passed over.
    ///
    /// # Errors
    /// [`BadRecording`].
    pub fn entry(&mut self, entry: &Entry) -> Result<(), BadRecording> {
        let index = entry.id.index;
        if index <= self.applied || index > self.wants().index {
            return Ok(());
        }
        if index != self.applied.next() {
            let reason = format!("entry {index} where {} ought to be", self.applied.next());
            return Err(BadRecording::malformed("its entries", &reason));
        }
        if let Payload::Command(bytes) = &entry.payload {
            decode_command(bytes).map_err(|error| BadRecording::malformed("its entries", &error))?;
        }
        self.state.apply(entry);
        if index == self.base.boundary().index {
            self.state.seal(entry.id);
        }
        self.applied = index;
        Ok(())
    }

    /// The node, once all entries were given.
    ///
    /// # Errors
    /// [`BadRecording`].
    pub fn finish(mut self) -> Result<Node, BadRecording> {
        let whole = self.base.raft().whole().to_vec();
        whole.iter().try_for_each(|entry| self.entry(entry))?;
        let wanted = self.wants().index;
        if self.applied != wanted {
            let reason = format!("they end at {}, and the node had applied {wanted}", self.applied);
            return Err(BadRecording::malformed("its entries", &reason));
        }
        self.base.into_node(self.state).map_err(|mismatch| BadRecording::Mismatch(mismatch.to_string()))
    }
}

//! Peer links: how the nodes of a cluster talk.
//!
//! A node that has something to say to another speaks on a connection that stands between them, whoever made it, and
//! dials when there is none. So it can answer one whose address it does not know, as a joiner with an empty log must,
//! or knows wrongly, because the other was moved. When both dial at once there are two connections, which does no harm.
//!
//! Nothing here has to be reliable. A message may be lost with its link, or dropped from a full queue: Raft sends
//! again. What must never happen is that it reaches the wrong node, and the handshake sees to that.
//!
//! | module | what it holds |
//! |---|---|
//! | `links` | where the driver's messages go |
//! | `queue` | what waits to be sent to one peer |
//! | `pieces` | large messages, cut into pieces |
//! | `link` | a connection that is dialed, and dialed again |
//! | `inbound` | connections that arrive |
//! | `handshake` | who is there, and is it who was meant? |
//! | `session` | frames both ways, until something breaks |
//! | `delivery` | how much may wait for the driver |

mod counters;
mod delivery;
mod handshake;
mod inbound;
mod link;
mod links;
mod pieces;
mod queue;
mod session;
#[cfg(test)]
mod tests;

pub use counters::PeerCounters;
pub(crate) use delivery::Room;
pub use handshake::ProbeError;
pub(crate) use handshake::probe;
pub use inbound::Inbound;
pub(crate) use links::Links;
pub(crate) use queue::Queue;

use std::sync::{Arc, OnceLock};

use quorate_node::raft::{Envelope, NodeId};

use crate::context::Identity;

/// What the links tell the driver.
#[derive(Debug)]
pub(crate) enum PeerEvent {
    /// A peer spoke. The sender and receiver are who they should be. The room is free again when it is dropped.
    Message(Envelope, Room),
    /// A connection to a peer broke or could not be made: what was sent lately may be lost.
    Unreachable(NodeId),
    /// A peer dialed; what is said to it may go this way.
    Connected {
        /// The peer.
        peer: NodeId,
        /// What is pushed here is sent on that connection.
        replies: Arc<Queue>,
    },
}

/// Who this node is, as far as it is settled: one that is still joining has an id, no cluster and no history.
#[derive(Debug)]
pub struct Local {
    /// This node.
    pub node: NodeId,
    identity: OnceLock<Identity>,
}

impl Local {
    /// A member of a cluster.
    pub fn member(identity: Identity) -> Self {
        Local { node: identity.node, identity: OnceLock::from(identity) }
    }

    /// A node that is still to join a cluster.
    pub fn joining(node: NodeId) -> Self {
        Local { node, identity: OnceLock::new() }
    }

    /// The node with its cluster and history; `None` while these are not known.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.get()
    }

    /// Settles the cluster and its history.
    ///
    /// # Panics
    /// When it is of another node, or others were settled before: while a process runs, its node belongs to one
    /// history of one cluster.
    pub fn settle(&self, identity: Identity) {
        let settled = *self.identity.get_or_init(|| identity);
        assert!(settled == identity && identity.node == self.node, "{identity:?} for {self:?}");
    }
}

//! Where the driver's messages go.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_node::raft::{Envelope, Members, NodeId};
use tokio::sync::mpsc;

use super::link::Link;
use super::queue::Queue;
use super::{Local, PeerCounters, PeerEvent};
use crate::net::Net;
use crate::runtime::Runtime;

/// The outgoing side of all peer links; owned by the driver. Links are made when first used, and end with the
/// membership of their peer, or with this.
pub(crate) struct Links<R, N> {
    runtime: R,
    net: N,
    local: Arc<Local>,
    deliver: mpsc::Sender<PeerEvent>,
    counters: Arc<PeerCounters>,
    /// The members' addresses.
    addresses: BTreeMap<NodeId, String>,
    open: BTreeMap<NodeId, Arc<Queue>>,
    /// Connections that peers made.
    replies: BTreeMap<NodeId, Arc<Queue>>,
}

impl<R: Runtime, N: Net> Links<R, N> {
    pub(crate) fn new(
        runtime: R,
        net: N,
        local: Arc<Local>,
        deliver: mpsc::Sender<PeerEvent>,
        counters: Arc<PeerCounters>,
    ) -> Self {
        Links {
            runtime,
            net,
            local,
            deliver,
            counters,
            addresses: BTreeMap::new(),
            open: BTreeMap::new(),
            replies: BTreeMap::new(),
        }
    }

    /// Sends a message, or drops it when there is no way or no room.
    pub(crate) fn send(&mut self, envelope: Envelope) {
        if !self.queue(envelope.to).is_some_and(|queue| queue.push(envelope)) {
            self.counters.dropped_messages.count();
        }
    }

    /// Where a message goes: on a connection that stands, or else on one that has to be dialed first.
    fn queue(&mut self, to: NodeId) -> Option<&Arc<Queue>> {
        let is_dialed = self.open.get(&to).is_some_and(|queue| queue.is_connected());
        let has_dialed = self.replies.get(&to).is_some_and(|queue| !queue.is_closed());
        if !is_dialed && has_dialed {
            self.replies.get(&to)
        } else if self.addresses.contains_key(&to) {
            Some(self.link(to))
        } else {
            None
        }
    }

    /// The members or their addresses may have changed.
    pub(crate) fn follow(&mut self, members: &Members) {
        let addresses: BTreeMap<NodeId, String> = members
            .contacts
            .iter()
            .filter(|(id, _)| **id != self.local.node)
            .map(|(id, contact)| (*id, contact.address.clone()))
            .collect();
        self.open.retain(|id, queue| {
            let stays = addresses.get(id).is_some_and(|address| self.addresses.get(id) == Some(address));
            if !stays {
                queue.close();
            }
            stays
        });
        self.addresses = addresses;
    }

    /// A peer dialed.
    pub(crate) fn connected(&mut self, peer: NodeId, replies: Arc<Queue>) {
        self.replies.retain(|_, queue| !queue.is_closed());
        self.replies.insert(peer, replies);
    }

    fn link(&mut self, peer: NodeId) -> &Arc<Queue> {
        self.open.entry(peer).or_insert_with(|| {
            let queue = Arc::new(Queue::default());
            let link = Link {
                runtime: self.runtime.clone(),
                net: self.net.clone(),
                local: Arc::clone(&self.local),
                peer,
                address: self.addresses.get(&peer).cloned().unwrap_or_default(),
                queue: Arc::clone(&queue),
                deliver: self.deliver.clone(),
                counters: Arc::clone(&self.counters),
            };
            self.runtime.spawn(link.run());
            queue
        })
    }
}

impl<R, N> Drop for Links<R, N> {
    fn drop(&mut self) {
        for queue in self.open.values().chain(self.replies.values()) {
            queue.close();
        }
    }
}

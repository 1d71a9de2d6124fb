//! Where the driver's messages go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorate_node::raft::{Envelope, Members, NodeId};

use super::delivery::Delivery;
use super::link::Link;
use super::queue::Queue;
use super::{Local, PeerCounters};
use crate::net::Net;
use crate::runtime::Runtime;

/// How many election timeouts long a former member can still be spoken to, and how long at the least: its leader has to
/// tell it that it was removed, and does so for two election timeouts, or it would go on running for office.
const FAREWELL_TIMEOUTS: u32 = 3;
const SHORTEST_FAREWELL: Duration = Duration::from_secs(5);

/// The outgoing side of all peer links; owned by the driver. Links are made when first used, and end some time after
/// the membership of their peer, or with this.
pub(crate) struct Links<R, N> {
    runtime: R,
    net: N,
    local: Arc<Local>,
    deliver: Delivery,
    counters: Arc<PeerCounters>,
    /// How long a former member can still be spoken to.
    farewell: Duration,
    /// The members' addresses.
    addresses: BTreeMap<NodeId, String>,
    open: BTreeMap<NodeId, Arc<Queue>>,
    /// Links to those who were members until a moment ago.
    former: BTreeMap<NodeId, Arc<Queue>>,
    /// Connections that peers made.
    replies: BTreeMap<NodeId, Arc<Queue>>,
}

impl<R: Runtime, N: Net> Links<R, N> {
    pub(crate) fn new(
        runtime: R,
        net: N,
        local: Arc<Local>,
        deliver: Delivery,
        counters: Arc<PeerCounters>,
        election_timeout: Duration,
    ) -> Self {
        Links {
            runtime,
            net,
            local,
            deliver,
            counters,
            farewell: SHORTEST_FAREWELL.max(election_timeout * FAREWELL_TIMEOUTS),
            addresses: BTreeMap::new(),
            open: BTreeMap::new(),
            former: BTreeMap::new(),
            replies: BTreeMap::new(),
        }
    }

    /// Sends a message, or drops it when there is no way or no room.
    pub(crate) fn send(&mut self, envelope: Envelope) {
        let now = self.runtime.now();
        if !self.queue(envelope.to).is_some_and(|queue| queue.push(now, envelope)) {
            self.counters.dropped_messages.count();
        }
    }

    /// Where a message goes: on a connection that stands, or else on one that has to be dialed first.
    fn queue(&mut self, to: NodeId) -> Option<&Arc<Queue>> {
        let is_member = self.addresses.contains_key(&to);
        let dialed = if is_member { self.open.get(&to) } else { self.former.get(&to) };
        let is_dialed = dialed.is_some_and(|queue| queue.is_connected());
        let has_dialed = self.replies.get(&to).is_some_and(|queue| !queue.is_closed());
        if !is_dialed && has_dialed {
            self.replies.get(&to)
        } else if is_member {
            Some(self.link(to))
        } else {
            self.former.get(&to)
        }
    }

    /// The members or their addresses may have changed. Who is a member no more can still be spoken to for
    /// a while.
    pub(crate) fn follow(&mut self, members: &Members) {
        let addresses: BTreeMap<NodeId, String> = members
            .contacts
            .iter()
            .filter(|(id, _)| **id != self.local.node)
            .map(|(id, contact)| (*id, contact.address.clone()))
            .collect();
        self.former.retain(|_, queue| !queue.is_closed());
        for (id, address) in std::mem::take(&mut self.addresses) {
            match addresses.get(&id) {
                Some(current) if *current == address => {}
                Some(_) => {
                    if let Some(queue) = self.open.remove(&id) {
                        queue.close();
                    }
                }
                None => self.part_with(id, address),
            }
        }
        self.addresses = addresses;
    }

    /// Keeps the link to a former member for a while. It is dialed only when there is something to say.
    fn part_with(&mut self, peer: NodeId, address: String) {
        let queue = self.open.remove(&peer).unwrap_or_else(|| self.start(peer, address));
        self.former.insert(peer, Arc::clone(&queue));
        let farewell = self.runtime.sleep(self.farewell);
        self.runtime.spawn(async move {
            farewell.await;
            queue.close();
        });
    }

    /// A peer dialed.
    pub(crate) fn connected(&mut self, peer: NodeId, replies: Arc<Queue>) {
        self.replies.retain(|_, queue| !queue.is_closed());
        self.replies.insert(peer, replies);
    }

    fn link(&mut self, peer: NodeId) -> &Arc<Queue> {
        if !self.open.contains_key(&peer) {
            let address = self.addresses.get(&peer).cloned().unwrap_or_default();
            let queue = self.start(peer, address);
            self.open.insert(peer, queue);
        }
        &self.open[&peer]
    }

    fn start(&self, peer: NodeId, address: String) -> Arc<Queue> {
        let queue = Arc::new(Queue::default());
        let link = Link {
            runtime: self.runtime.clone(),
            net: self.net.clone(),
            local: Arc::clone(&self.local),
            peer,
            address,
            queue: Arc::clone(&queue),
            deliver: self.deliver.clone(),
            counters: Arc::clone(&self.counters),
        };
        self.runtime.spawn(link.run());
        queue
    }
}

impl<R, N> Drop for Links<R, N> {
    fn drop(&mut self) {
        for queue in self.open.values().chain(self.former.values()).chain(self.replies.values()) {
            queue.close();
        }
    }
}

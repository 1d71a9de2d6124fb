//! Servers that are asked to end: what `Server::stop` does around a node, without the connections.

use std::time::Duration;

use quorate_node::raft::{NodeId, Time};
use quorate_node::{Input, Refusal, Reply, Request, RequestId};

use super::CoreStack;
use super::queue::What;
use crate::plan::Host;

/// How long it serves on when it has handed over, so that clients hear from it.
const FAREWELL: Duration = Duration::from_millis(50);

/// The pause between two looks for a successor.
const PAUSE: Duration = Duration::from_millis(20);

/// A server that was asked to end.
pub(super) struct Leaving {
    /// The plan's fault that asks for it.
    number: usize,
    /// Its newest request to hand leadership over.
    pub(super) request: RequestId,
    /// What came of that, in this turn.
    pub(super) told: Option<Reply>,
    /// Until when it looks for a successor.
    until: Time,
}

impl CoreStack {
    /// The server of `host` is asked to end, by the plan's fault of this number.
    pub(super) fn stop_life(&mut self, host: Host, number: usize) {
        // The core gives a hand-over up after one election timeout, and a successor then has to be heard.
        let until = self.now + self.plan.election_timeout() * 3 / 2;
        let Some(life) = self.lives.get_mut(&host).filter(|life| life.leaving.is_none()) else { return };
        life.leaving = Some(Leaving { number, request: RequestId(0), told: None, until });
        let life = life.number;
        self.queue.at_host(self.now, host, What::HandOver { life });
        self.queue.at_host(until + FAREWELL, host, What::Stopped { life, number });
    }

    /// Asks its own node to hand leadership over, if it leads.
    pub(super) fn hand_over(&mut self, host: Host) {
        let Some(life) = self.lives.get_mut(&host) else { return };
        life.requests += 1;
        let id = RequestId(life.requests);
        let Some(leaving) = &mut life.leaving else { return };
        leaving.request = id;
        self.feed(host, Input::Request { id, request: Request::Transfer(None) });
    }

    /// Looks at what came of the hand-over: it is tried again while somebody could take over, and else the server ends.
    pub(super) fn go_on_leaving(&mut self, host: Host) {
        let now = self.now;
        let Some(life) = self.lives.get_mut(&host) else { return };
        let Some(leaving) = &mut life.leaving else { return };
        let (Some(told), number, until) = (leaving.told.take(), leaving.number, leaving.until) else {
            return;
        };
        let status = life.node.raft().status();
        let own = |id: &NodeId| *id == status.id;
        let has_others = !status.members.voters.iter().all(own);
        let (at, what) = match told {
            Reply::Refused(Refusal::Overloaded) => (now + PAUSE, What::HandOver { life: life.number }),
            Reply::Refused(Refusal::NoSuccessor) if has_others && now < until => {
                (now + PAUSE, What::HandOver { life: life.number })
            }
            _ => (now + FAREWELL, What::Stopped { life: life.number, number }),
        };
        self.queue.at_host(at, host, what);
    }
}

//! How the servers stand all together: whether a cluster has formed, whether it has come together again, and whether it
//! could.

use std::collections::{BTreeMap, BTreeSet};

use quorate_node::raft::{Index, NodeId, Role};
use quorate_node::{Node, View};

use crate::plan::{Host, Plan};
use crate::tap::host_of;

/// How one server stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    role: Role,
    settled: bool,
    voters: BTreeSet<NodeId>,
    outgoing: BTreeSet<NodeId>,
    commit: Index,
    applied: Index,
    last: Index,
    state_hash: u64,
    damaged: usize,
}

impl Standing {
    pub(crate) fn of(node: &Node) -> Self {
        let status = node.raft().status();
        Standing {
            role: status.role,
            settled: status.settled,
            voters: status.members.voters.clone(),
            outgoing: status.members.outgoing.clone(),
            commit: status.commit,
            applied: status.applied.index,
            last: status.last.index,
            state_hash: node.kv().state_hash(),
            damaged: status.damaged,
        }
    }
}

impl From<View> for Standing {
    fn from(view: View) -> Self {
        Standing {
            role: view.role,
            settled: view.settled,
            voters: view.members.voters,
            outgoing: view.members.outgoing,
            commit: view.commit,
            applied: view.applied,
            last: view.last.index,
            state_hash: view.state_hash,
            damaged: view.damaged,
        }
    }
}

/// How the running servers stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outlook {
    servers: u8,
    core: Vec<Host>,
    standings: BTreeMap<Host, Standing>,
}

impl Outlook {
    pub(crate) fn new(plan: &Plan, standings: BTreeMap<Host, Standing>) -> Self {
        Outlook { servers: plan.cluster.servers, core: plan.cluster.core.clone(), standings }
    }

    /// The servers of the beginning all vote, and one of them leads.
    pub(crate) fn formed(&self) -> bool {
        self.standings.len() == usize::from(self.servers)
            && self.standings.values().all(|standing| standing.voters.len() == usize::from(self.servers))
            && self.has_leader()
    }

    /// Somebody leads and has committed in its own term.
    pub(crate) fn has_leader(&self) -> bool {
        self.standings.values().any(|standing| standing.role == Role::Leader && standing.settled)
    }

    /// The core agrees on who votes, all of its own do, and it has the same log, applied to the same state.
    pub(crate) fn together(&self) -> bool {
        let core: Option<Vec<&Standing>> = self.core.iter().map(|host| self.standings.get(host)).collect();
        let Some(core) = core else { return false };
        let level = |standing: &Standing| {
            (standing.commit, standing.applied, standing.last, standing.state_hash, standing.voters.clone())
        };
        let first = level(core[0]);
        let voters: BTreeSet<Host> = core[0].voters.iter().map(|id| host_of(id.0)).collect();
        core.iter().any(|standing| standing.role == Role::Leader && standing.settled)
            && core.iter().all(|standing| level(standing) == first && standing.outgoing.is_empty())
            && core.iter().all(|standing| standing.applied == standing.last && standing.damaged == 0)
            && self.core.iter().all(|host| voters.contains(host))
    }

    /// Why the core can't come together, if it can't: a configuration in force that has no majority in it.
    pub(crate) fn hopeless(&self, gone: &BTreeMap<Host, String>) -> Option<String> {
        if let Some((host, why)) = self.core.iter().find_map(|host| Some((host, gone.get(host)?))) {
            return Some(format!("host {host} of the core is gone for good: {why}"));
        }
        let present = |id: &&NodeId| self.core.contains(&host_of(id.0));
        self.standings.iter().filter(|(host, _)| self.core.contains(host)).find_map(|(host, standing)| {
            let halves = [&standing.voters, &standing.outgoing];
            let lacks = |half: &&BTreeSet<NodeId>| half.iter().filter(present).count() * 2 <= half.len();
            let half = halves.into_iter().filter(|half| !half.is_empty()).find(lacks)?;
            Some(format!(
                "host {host} counts on the voters {half:?}, and the core {:?} is no majority of them",
                self.core
            ))
        })
    }
}

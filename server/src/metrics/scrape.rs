//! All that one scrape reads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use quorate_node::raft::{Members, NodeId, PeerState, Role};

use super::Metrics;
use super::host::Readings;
use super::node::Figures;
use crate::context::{Context, Identity};
use crate::peers::PeerCounters;
use crate::real::off_thread;
use crate::runtime::Runtime;
use crate::watching::WatchCounts;

/// How everything stands at one moment, or a moment apart.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) identity: Identity,
    pub(crate) name: String,
    pub(crate) figures: Figures,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) peers: Arc<PeerCounters>,
    pub(crate) watches: WatchCounts,
    /// HTTP connections that are served.
    pub(crate) connections: usize,
    /// For how long the storage has been at what it does.
    pub(crate) busy: Duration,
    /// What was found bad at rest, and what was mended.
    pub(crate) findings: (u64, u64),
    pub(crate) wrong_tokens: u64,
    pub(crate) machine: Option<Readings>,
}

impl Scrape {
    /// Reads it; nothing when the node has stopped.
    pub(crate) async fn read<R: Runtime, N>(context: &Context<R, N>, connections: usize) -> Option<Scrape> {
        let figures = context.handle.figures().await?;
        let machine = match context.metrics.machine.clone() {
            Some(machine) => Some(off_thread(move || machine.read()).await),
            None => None,
        };
        Some(Scrape {
            identity: context.identity,
            name: context.contact.name.clone(),
            figures,
            metrics: Arc::clone(&context.metrics),
            peers: Arc::clone(&context.counters),
            watches: context.watches.counts(),
            connections,
            busy: context.disk.under_way(context.runtime.now()).unwrap_or_default(),
            findings: context.disk.findings(),
            wrong_tokens: context.guard.as_ref().map_or(0, |guard| guard.wrong_tokens()),
            machine,
        })
    }

    /// Whether this node leads.
    pub(crate) fn leads(&self) -> bool {
        self.figures.view.role == Role::Leader
    }

    /// How many voters may still fail before there is no majority, of a leader, which hears of them.
    pub(crate) fn failures_tolerated(&self) -> Option<usize> {
        let view = &self.figures.view;
        let is_down = |id| view.peers.iter().any(|peer| peer.id == id && peer.state == PeerState::Down);
        self.leads().then(|| spare_voters(&view.members, is_down))
    }
}

/// How many voters that are up no majority needs. During a change of members both halves have to have one.
fn spare_voters(members: &Members, is_down: impl Fn(NodeId) -> bool) -> usize {
    let spare = |half: &BTreeSet<NodeId>| {
        let up = half.iter().filter(|id| !is_down(**id)).count();
        up.saturating_sub(half.len() / 2 + 1)
    };
    let halves = [&members.voters, &members.outgoing].into_iter().filter(|half| !half.is_empty());
    halves.map(spare).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spare(voters: &[u128], outgoing: &[u128], down: &[u128]) -> usize {
        let half = |ids: &[u128]| ids.iter().copied().map(NodeId).collect();
        let members = Members { voters: half(voters), outgoing: half(outgoing), ..Members::default() };
        spare_voters(&members, |id| down.contains(&id.0))
    }

    #[test]
    fn the_weaker_half_tells_how_many_may_fail() {
        assert_eq!(
            [&[1][..], &[1, 2], &[1, 2, 3], &[1, 2, 3, 4, 5]].map(|voters| spare(voters, &[], &[])),
            [0, 0, 1, 2]
        );
        assert_eq!(spare(&[1, 2, 3], &[], &[3]), 0);
        assert_eq!(spare(&[1, 2, 3], &[], &[9]), 1, "a learner is no voter");
        assert_eq!(spare(&[1, 2, 3], &[], &[2, 3]), 0, "there is no majority any more");
        assert_eq!(spare(&[1, 2, 3, 4, 5], &[1, 2, 3], &[]), 1);
        assert_eq!(spare(&[1, 2, 3, 4, 5], &[1, 2, 3], &[3]), 0);
        assert_eq!(spare(&[1, 2, 3], &[4, 5, 6], &[5]), 0);
    }
}

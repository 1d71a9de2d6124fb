//! Nodes compare their states, because a replica that differs is wrong about every answer from then on.
//!
//! Replicas apply the same commands, so after the same slot they have the same state; a bug, or memory that rots, can
//! still make one differ, and no protocol would notice. Every node has the hash of its state in the manifest of each
//! checkpoint, and boundaries are at the same slots on all of them ([ADR 5]). So now and then a node asks the other
//! members for their manifests, at its newest slot that enough of them have, too:
//!
//! | what the voters have | what the node does |
//! |---|---|
//! | a majority has its own hash | goes on |
//! | a majority has another hash | stops at once; before it ends, it says which rows differ, and remembers it in its data dir |
//! | neither, and they differ | goes on, and says so: nobody can tell who is right |
//! | too few have that slot | asks again later |
//!
//! [ADR 5]: ../../../docs/adr/0005-checkpoints.md

mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorate_client::Endpoint;
use quorate_node::raft::{LogId, Members, NodeId, Tally, tally};
use quorate_storage::lending::{Wanted, slot_of, state_hash};
use tracing::{error, warn};

use crate::borrowing::{Lent, ask_to_lend};
use crate::context::Context;
use crate::net::Net;
use crate::runtime::Runtime;

pub(crate) use rows::differing_rows;

/// The pause between two comparisons, of which half is drawn at random.
const PAUSE: Duration = Duration::from_secs(4);

/// A node whose state is another one than that of a majority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The slot after which the states were compared.
    pub slot: LogId,
    /// The hash of this node's state.
    pub own: u64,
    /// That of the majority's.
    pub majority: u64,
    /// One of the majority.
    pub peer: Endpoint,
}

/// What a comparison has shown.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    Odd(Divergence),
    /// They differ, and no majority agrees.
    Differ(BTreeMap<NodeId, u64>),
    /// Too few have that slot.
    Later,
}

/// Compares as long as the node runs. Ends it when its own state is the odd one.
pub(crate) async fn compare<R: Runtime, N: Net>(context: Arc<Context<R, N>>) {
    let (mut compared, mut said) = (LogId::ZERO, None);
    let runtime = &context.runtime;
    loop {
        let half = u64::try_from(PAUSE.as_micros() / 2).unwrap_or(u64::MAX);
        runtime.sleep(PAUSE / 2 + Duration::from_micros(runtime.random() % half)).await;
        let list = match context.storage.lend(Wanted::List).await {
            Some(list) => list.unwrap_or_default(),
            None if context.handle.status().await.is_none() => return,
            None => continue,
        };
        let names = String::from_utf8_lossy(&list);
        for slot in names.lines().filter_map(slot_of).take_while(|slot| *slot > compared) {
            match look(&context, slot).await {
                Verdict::Later => continue,
                Verdict::Same => compared = slot,
                Verdict::Odd(divergence) => {
                    error!(
                        at = %divergence.slot, own = format!("{:016x}", divergence.own),
                        majority = format!("{:016x}", divergence.majority), peer = %divergence.peer,
                        "this node's state is not that of the majority: it stops"
                    );
                    context.divergence.replace(Some(divergence));
                    context.handle.stop().await;
                    return;
                }
                // Whoever did not say may come, and decide it.
                Verdict::Differ(states) if said.as_ref() == Some(&(slot, states.clone())) => {}
                Verdict::Differ(states) => {
                    let all: Vec<String> =
                        states.iter().map(|(node, hash)| format!("{node}: {hash:016x}")).collect();
                    error!(
                        at = %slot, states = all.join(", "),
                        "the members' states differ, and no majority agrees: nobody can tell who is right"
                    );
                    said = Some((slot, states));
                }
            }
            break;
        }
    }
}

/// Asks all other members for their state after a slot.
async fn look<R: Runtime, N: Net>(context: &Context<R, N>, slot: LogId) -> Verdict {
    let wanted = Wanted::Manifest(slot);
    let own = context.storage.lend(wanted).await;
    let Some(own) = own.flatten().and_then(|manifest| state_hash(&manifest, slot)) else {
        return Verdict::Later;
    };
    let members = context.handle.view().current().members.clone();
    let me = context.identity.node;
    let mut states = BTreeMap::from([(me, own)]);
    let mut endpoints = BTreeMap::new();
    for (node, contact) in members.contacts.iter().filter(|(node, _)| **node != me) {
        let Ok(endpoint) = contact.url.parse::<Endpoint>() else { continue };
        // Two addresses may lead to one node, which must not count twice.
        let whom = (&endpoint, Some(*node));
        let lent = ask_to_lend(&context.runtime, &context.net, whom, context.identity, &wanted).await;
        if let Lent::Piece(manifest) = lent
            && let Some(hash) = state_hash(&manifest, slot)
        {
            states.insert(*node, hash);
            endpoints.insert(*node, endpoint);
        }
    }
    for (node, hash) in states.iter().filter(|(_, hash)| **hash != own) {
        warn!(at = %slot, %node, own = format!("{own:016x}"), other = format!("{hash:016x}"), "another member's state differs");
    }
    judge(&members, slot, own, &states, |node| endpoints.get(&node).cloned())
}

fn judge(
    members: &Members,
    slot: LogId,
    own: u64,
    states: &BTreeMap<NodeId, u64>,
    endpoint: impl Fn(NodeId) -> Option<Endpoint>,
) -> Verdict {
    let is_majority =
        |hash: u64| tally(members, |voter| Some(states.get(&voter) == Some(&hash))) == Tally::Won;
    if is_majority(own) {
        return Verdict::Same;
    }
    if let Some((node, majority)) = states.iter().find(|(_, hash)| is_majority(**hash))
        && let Some(peer) = endpoint(*node)
    {
        return Verdict::Odd(Divergence { slot, own, majority: *majority, peer });
    }
    let differ = states.values().any(|hash| *hash != own);
    if differ { Verdict::Differ(states.clone()) } else { Verdict::Later }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    /// The verdict of node 1, with the state `a`, when the nodes have these states; `.` is one that did not say.
    fn verdict(voters: &str, outgoing: &str, states: &str) -> String {
        let ids = |text: &str| text.bytes().map(|digit| NodeId(u128::from(digit - b'0'))).collect();
        let members = Members { voters: ids(voters), outgoing: ids(outgoing), ..Members::default() };
        let said = (1..).zip(states.bytes()).filter(|(_, state)| *state != b'.');
        let states: BTreeMap<NodeId, u64> =
            said.map(|(node, state)| (NodeId(node), u64::from(state))).collect();
        let endpoint = |node: NodeId| Some(format!("http://n{}:80", node.0).parse().unwrap());
        match judge(&members, LogId::ZERO, u64::from(b'a'), &states, endpoint) {
            Verdict::Odd(divergence) => format!("odd, as {} says", divergence.peer),
            Verdict::Differ(states) => format!("{} differ", states.len()),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_majority_decides_in_each_half() {
        assert_eq!(verdict("123", "", "aaa"), "Same");
        assert_eq!(verdict("123", "", "a.a"), "Same");
        assert_eq!(verdict("123", "", "aab"), "Same");
        assert_eq!(verdict("123", "", "a.."), "Later");
        assert_eq!(verdict("123", "", "abb"), "odd, as http://n2:80 says");
        assert_eq!(verdict("123", "", "ab."), "2 differ");
        assert_eq!(verdict("123", "", "abc"), "3 differ");
        assert_eq!(verdict("12", "", "ab"), "2 differ");
        assert_eq!(verdict("1", "", "a"), "Same");
        // A learner is judged, and does not judge.
        assert_eq!(verdict("234", "", "abb."), "odd, as http://n2:80 says");
        assert_eq!(verdict("2345", "", "abb.."), "3 differ");
        assert_eq!(verdict("123", "345", "abb.."), "3 differ");
        assert_eq!(verdict("123", "345", "abbbb"), "odd, as http://n2:80 says");
    }
}

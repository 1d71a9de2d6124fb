//! What is committed is durable on a quorum of the configuration in force, in both halves of a joint one (thesis §3.5,
//! §4.3 and §10.2.1: the leader's own copy counts only once it's written; etcd-io/etcd#14370).

use std::collections::BTreeMap;

use quorate_node::raft::{LogId, NodeId, Time};

use super::{Checker, Evidence};
use crate::observe::Observation;
use crate::plan::Host;
use crate::tap::host_of;

/// How many slots were looked at.
#[derive(Debug, Default)]
pub(crate) struct CommitDurable {
    looked_at: usize,
    configurations: BTreeMap<Host, Configurations>,
}

/// The newest configuration of a server, and the one before: within one turn a leader may commit under the one and then
/// append the other.
#[derive(Debug, Default)]
struct Configurations {
    changed_at: Time,
    halves: [Vec<NodeId>; 2],
    before: [Vec<NodeId>; 2],
}

impl Checker for CommitDurable {
    fn name(&self) -> &'static str {
        "commit-durable"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Members { host, voters, outgoing, .. } => {
                let known = self.configurations.entry(*host).or_default();
                known.before = std::mem::replace(&mut known.halves, [voters.clone(), outgoing.clone()]);
                known.changed_at = evidence.at;
                Ok(())
            }
            Observation::Stands { host, .. } => self.look(evidence, *host),
            _ => Ok(()),
        }
    }
}

impl CommitDurable {
    fn look(&mut self, evidence: &Evidence<'_>, host: Host) -> Result<(), String> {
        let committed = evidence.ledger.committed();
        let Some(slot) = committed.last().filter(|_| committed.len() > self.looked_at) else { return Ok(()) };
        self.looked_at = committed.len();
        let Some(known) = self.configurations.get(&host) else { return Ok(()) };
        let just_changed = known.changed_at == evidence.at && !known.before[0].is_empty();
        if just_changed && lacking(evidence, slot.id, &known.before).is_none() {
            return Ok(());
        }
        match lacking(evidence, slot.id, &known.halves) {
            Some((have, of)) => Err(format!(
                "host {host} committed {} while only {have} of {of} voters had it durably",
                slot.id
            )),
            None => Ok(()),
        }
    }
}

/// Of a half that has no majority with this slot: how many have it, and of how many.
fn lacking(evidence: &Evidence<'_>, slot: LogId, halves: &[Vec<NodeId>; 2]) -> Option<(usize, usize)> {
    let durable =
        |node: &&NodeId| evidence.ledger.host(host_of(node.0)).is_some_and(|log| log.has_durably(slot));
    let counts = halves.iter().filter(|half| !half.is_empty());
    counts.map(|half| (half.iter().filter(durable).count(), half.len())).find(|(have, of)| have * 2 <= *of)
}

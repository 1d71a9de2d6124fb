//! What operators are told about the members is so: a success means that a configuration as they asked for is
//! committed, and nobody else is known at the address of who was taken in (thesis §4.1: a change is complete when its
//! entry is committed).

use std::collections::BTreeMap;

use quorate_node::raft::{LogId, NodeId, Role, Time};

use super::{Checker, Evidence};
use crate::identity::machine_of;
use crate::observe::{Configuration, Observation, Wanted};
use crate::plan::Host;
use crate::tap::host_of;

/// Orders, and what they are held against.
#[derive(Debug, Default)]
pub(crate) struct OrdersKept {
    /// What each entry about the members says.
    configurations: BTreeMap<LogId, Configuration>,
    /// How many committed slots were looked at.
    looked_at: usize,
    /// The committed configurations, with when they were first seen to be.
    committed: Vec<(Time, LogId)>,
    /// The configuration in force at each server, and who leads.
    in_force: BTreeMap<Host, LogId>,
    leaders: BTreeMap<Host, Role>,
    asked: BTreeMap<u64, Asked>,
}

#[derive(Debug)]
struct Asked {
    at: Time,
    wanted: Wanted,
    /// What was in force then at those who led, or thought so: one that is deposed and doesn't know it may say of what
    /// it has that it is so.
    at_leaders: Vec<LogId>,
}

impl Checker for OrdersKept {
    fn name(&self) -> &'static str {
        "orders-kept"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Writes { write, .. } => {
                for (id, configuration) in &write.members {
                    self.configurations.entry(*id).or_insert_with(|| configuration.clone());
                }
            }
            Observation::Members { host, at, voters, outgoing } => {
                self.in_force.insert(*host, *at);
                // The founder's is never seen being written; it has no learners.
                let (voters, outgoing) = (voters.clone(), outgoing.clone());
                let first = Configuration { voters, outgoing, learners: Vec::new() };
                self.configurations.entry(*at).or_insert(first);
            }
            Observation::Stands { host, stand } => {
                self.leaders.insert(*host, stand.role);
                self.look(evidence);
            }
            Observation::Ended { host, .. } => drop(self.leaders.remove(host)),
            Observation::Orders { number, wanted } => {
                let leads = |host: &Host| self.leaders.get(host) == Some(&Role::Leader);
                let in_force = self.in_force.iter().filter(|(host, _)| leads(host));
                let at_leaders = in_force.map(|(_, at)| *at).collect();
                self.asked.insert(*number, Asked { at: evidence.at, wanted: wanted.clone(), at_leaders });
            }
            Observation::Told { number } => return self.told(evidence, *number),
            _ => {}
        }
        Ok(())
    }
}

impl OrdersKept {
    fn look(&mut self, evidence: &Evidence<'_>) {
        let committed = evidence.ledger.committed();
        for slot in &committed[self.looked_at..] {
            if self.configurations.contains_key(&slot.id) {
                self.committed.push((evidence.at, slot.id));
            }
        }
        self.looked_at = committed.len();
    }

    fn told(&mut self, evidence: &Evidence<'_>, number: u64) -> Result<(), String> {
        self.look(evidence);
        let Some(asked) = self.asked.remove(&number) else {
            return Err(format!("order {number} was answered and never given"));
        };
        // What was in force when it was asked, and everything since.
        let before = self.committed.iter().rposition(|(at, _)| *at <= asked.at).unwrap_or(0);
        let since = self.committed.get(before..).unwrap_or_default().iter().map(|(_, id)| *id);
        let is_committed = |id: &LogId| self.committed.iter().any(|(_, committed)| committed == id);
        let at_leaders = asked.at_leaders.iter().copied().filter(is_committed);
        let kept = |id: LogId| self.configurations.get(&id).is_some_and(|found| keeps(found, &asked.wanted));
        if since.chain(at_leaders).any(kept) {
            return Ok(());
        }
        let newest = self.committed.last().and_then(|(_, id)| self.configurations.get(id));
        Err(format!(
            "an operator was told that {:?} is done; the newest committed configuration is {newest:?}",
            asked.wanted
        ))
    }
}

/// Whether a configuration is as an operator wanted it.
fn keeps(found: &Configuration, wanted: &Wanted) -> bool {
    let all = || found.voters.iter().chain(&found.outgoing).chain(&found.learners);
    let machine = |id: &NodeId| machine_of(host_of(id.0));
    match wanted {
        Wanted::Member(id) => {
            all().any(|of| of == id) && !all().any(|of| of != id && machine(of) == machine(id))
        }
        Wanted::Members { voters, learners } => {
            found.outgoing.is_empty() && found.voters == *voters && found.learners == *learners
        }
        Wanted::Voter(id) => found.outgoing.is_empty() && found.voters.contains(id),
        Wanted::Gone(id) => !all().any(|of| of == id),
    }
}

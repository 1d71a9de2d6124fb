//! Servers that have applied the same index have the same state (Raft's State Machine Safety; thesis, figure 3.2).

use std::collections::BTreeMap;

use quorate_node::raft::Index;

use super::{Checker, Evidence};
use crate::observe::Observation;
use crate::plan::Host;

/// The state after each index, as its first applier had it.
#[derive(Debug, Default)]
pub(crate) struct StateMachine {
    states: BTreeMap<Index, (u64, u64, Host)>,
}

impl Checker for StateMachine {
    fn name(&self) -> &'static str {
        "state-machine"
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Observation::Applied { host, index, state_hash, revision } = observation else { return Ok(()) };
        let first = self.states.entry(*index).or_insert((*state_hash, *revision, *host));
        if (first.0, first.1) != (*state_hash, *revision) {
            return Err(format!(
                "after index {index} host {host} has state {state_hash:016x} at revision {revision}, and host {} has \
                 {:016x} at revision {}",
                first.2, first.0, first.1
            ));
        }
        Ok(())
    }
}

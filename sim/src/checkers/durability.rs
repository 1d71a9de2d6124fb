//! Every acknowledged write was committed by some server. That it stays so is for `commit-stable` and `recovery`, and
//! that it is read in the end for `linearizability`.

use std::collections::BTreeSet;

use super::settled::Settled;
use super::{Checker, Evidence};
use crate::history::{Operation, Outcome};
use crate::observe::Observation;

/// The writes that were acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Durability {
    acknowledged: Settled,
}

impl Checker for Durability {
    fn name(&self) -> &'static str {
        "durability"
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        self.acknowledged.observe(observation, |outcome| matches!(outcome, Outcome::Written { .. }));
        Ok(())
    }

    fn finish(&mut self, evidence: &Evidence<'_>, _: &[Operation]) -> Result<(), String> {
        let committed: BTreeSet<u64> = evidence.ledger.committed().iter().map(|slot| slot.content).collect();
        match self.acknowledged.requests().iter().find(|(content, _)| !committed.contains(content)) {
            Some((_, (client, number))) => {
                Err(format!("request {client}.{number} was acknowledged, and no server ever committed it"))
            }
            None => Ok(()),
        }
    }
}

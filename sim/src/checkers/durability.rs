//! Every acknowledged write was committed by some server. That it stays so is for `commit-stable` and `recovery`, and
//! that it is read in the end for `linearizability`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, Evidence};
use crate::history::{Operation, Outcome};
use crate::observe::Observation;

/// The writes that were acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Durability {
    asked: BTreeMap<(u8, u32), u64>,
    acknowledged: BTreeMap<u64, (u8, u32)>,
}

impl Checker for Durability {
    fn name(&self) -> &'static str {
        "durability"
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Asks { client, number, content: Some(content), .. } => {
                self.asked.insert((*client, *number), *content);
            }
            Observation::Hears { client, number, outcome: Outcome::Written { .. }, .. } => {
                if let Some(content) = self.asked.remove(&(*client, *number)) {
                    self.acknowledged.insert(content, (*client, *number));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, evidence: &Evidence<'_>, _: &[Operation]) -> Result<(), String> {
        let committed: BTreeSet<u64> = evidence.ledger.committed().iter().map(|slot| slot.content).collect();
        match self.acknowledged.iter().find(|(content, _)| !committed.contains(content)) {
            Some((_, (client, number))) => {
                Err(format!("request {client}.{number} was acknowledged, and no server ever committed it"))
            }
            None => Ok(()),
        }
    }
}

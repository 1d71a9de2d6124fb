//! A request of which a client was told that it failed never takes effect (Jepsen's analysis of Redis-Raft: a definite
//! error for a write that was committed later).

use std::collections::BTreeMap;

use super::{Checker, Evidence};
use crate::history::Outcome;
use crate::observe::Observation;

/// The writes that failed for sure.
#[derive(Debug, Default)]
pub(crate) struct HonestErrors {
    asked: BTreeMap<(u8, u32), u64>,
    failed: BTreeMap<u64, (u8, u32)>,
}

impl Checker for HonestErrors {
    fn name(&self) -> &'static str {
        "honest-errors"
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Asks { client, number, content: Some(content), .. } => {
                self.asked.insert((*client, *number), *content);
            }
            Observation::Hears { client, number, outcome: Outcome::Failed, .. } => {
                if let Some(content) = self.asked.remove(&(*client, *number)) {
                    self.failed.insert(content, (*client, *number));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, evidence: &Evidence<'_>, _: &[crate::history::Operation]) -> Result<(), String> {
        for slot in evidence.ledger.committed() {
            if let Some((client, number)) = self.failed.get(&slot.content) {
                return Err(format!(
                    "request {client}.{number} was answered as failed for sure, and was committed at {}",
                    slot.id
                ));
            }
        }
        Ok(())
    }
}

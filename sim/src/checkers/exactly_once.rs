//! No request takes effect twice (the tries of one request write the same value, which no other request writes).

use std::collections::BTreeMap;

use quorate_node::raft::LogId;

use super::{Checker, Evidence};
use crate::observe::Observation;

/// Which requests were committed where.
#[derive(Debug, Default)]
pub(crate) struct ExactlyOnce {
    asked: BTreeMap<u64, (u8, u32)>,
    committed: BTreeMap<u64, LogId>,
    looked_at: usize,
}

impl Checker for ExactlyOnce {
    fn name(&self) -> &'static str {
        "exactly-once"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Asks { client, number, content: Some(content), .. } => {
                self.asked.insert(*content, (*client, *number));
                Ok(())
            }
            Observation::Stands { .. } => self.look(evidence),
            _ => Ok(()),
        }
    }
}

impl ExactlyOnce {
    fn look(&mut self, evidence: &Evidence<'_>) -> Result<(), String> {
        let committed = evidence.ledger.committed();
        for slot in &committed[self.looked_at..] {
            let Some((client, number)) = self.asked.get(&slot.content) else { continue };
            if let Some(first) = self.committed.insert(slot.content, slot.id) {
                return Err(format!(
                    "request {client}.{number} was committed twice: at {first} and at {}",
                    slot.id
                ));
            }
        }
        self.looked_at = committed.len();
        Ok(())
    }
}

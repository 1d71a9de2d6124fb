//! If two logs hold a slot with the same index and term, they are the same up to there (Raft's Log Matching; thesis
//! §3.5).
//!
//! By induction it is enough that a slot with one index and term has one content and one term before it, everywhere.

use std::collections::BTreeMap;

use quorate_node::raft::{Index, LogId, Term};

use super::{Checker, Evidence};
use crate::ledger::same;
use crate::observe::Observation;

/// What every slot was ever written with.
#[derive(Debug, Default)]
pub(crate) struct LogMatching {
    slots: BTreeMap<LogId, (u64, Option<Term>)>,
}

impl Checker for LogMatching {
    fn name(&self) -> &'static str {
        "log-matching"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Observation::Writes { host, write } = observation else { return Ok(()) };
        for (id, content) in &write.repair {
            if self.slots.get(id).is_some_and(|known| !same(known.0, *content)) {
                return Err(format!("host {host} mended slot {id} with a content that it never had"));
            }
        }
        let Some(first) = write.append.first() else { return Ok(()) };
        let log = evidence.ledger.host(*host).map(|log| &log.written);
        let before = Index(first.0.index.0 - 1);
        let mut before = log.and_then(|log| {
            if log.base().index == before { Some(log.base().term) } else { Some(log.slot(before)?.0.term) }
        });
        for (id, content) in &write.append {
            let known = self.slots.entry(*id).or_insert((*content, before));
            if !same(known.0, *content) {
                return Err(format!(
                    "host {host} wrote slot {id} with a content that another log doesn't have there"
                ));
            }
            match (known.1, before) {
                (Some(known), Some(term)) if known != term => {
                    return Err(format!(
                        "host {host} wrote slot {id} after a slot of term {term}; in another log one of term {known} \
                         is before it"
                    ));
                }
                (None, term) => known.1 = term,
                _ => {}
            }
            before = Some(id.term);
        }
        Ok(())
    }
}

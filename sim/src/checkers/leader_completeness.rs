//! What was committed in a term is in the log of every leader of a later one (Raft's Leader Completeness; thesis §3.6).

use quorate_node::raft::{Event, Index};

use super::{Checker, Evidence};
use crate::observe::Observation;

/// Looks at each new leader's log.
#[derive(Debug)]
pub(crate) struct LeaderCompleteness;

impl Checker for LeaderCompleteness {
    fn name(&self) -> &'static str {
        "leader-completeness"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Observation::Event { host, event: Event::BecameLeader { term } } = observation else {
            return Ok(());
        };
        let Some(log) = evidence.ledger.host(*host) else { return Ok(()) };
        let below = log.written.base().index;
        let before = |slot: &&crate::ledger::Committed| slot.in_term < *term && slot.id.index > below;
        let first = usize::try_from(below.0).unwrap_or(usize::MAX);
        let committed = evidence.ledger.committed().iter().skip(first).filter(before);
        for slot in committed {
            if !log.written.covers(slot.id) {
                let found = log.written.slot(Index(slot.id.index.0)).map(|(id, _)| id.to_string());
                return Err(format!(
                    "host {host} became leader of term {term} without slot {}, which host {} committed in term {}; it \
                     has {} there",
                    slot.id,
                    slot.by,
                    slot.in_term,
                    found.as_deref().unwrap_or("nothing")
                ));
            }
        }
        Ok(())
    }
}

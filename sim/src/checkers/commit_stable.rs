//! A committed slot never changes: whatever any server commits at an index is what the first one committed there
//! (Raft's State Machine Safety, before the state machine; thesis §3.6.3).

use std::collections::BTreeMap;

use quorate_node::raft::Index;

use super::{Checker, Evidence};
use crate::ledger::same;
use crate::observe::Observation;
use crate::plan::Host;

/// How far each server's commits were compared in this life.
#[derive(Debug, Default)]
pub(crate) struct CommitStable {
    compared: BTreeMap<Host, Index>,
}

impl Checker for CommitStable {
    fn name(&self) -> &'static str {
        "commit-stable"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let (host, commit) = match observation {
            Observation::Started { host, .. } => {
                self.compared.remove(host);
                return Ok(());
            }
            Observation::Stands { host, stand } => (*host, stand.commit),
            _ => return Ok(()),
        };
        let Some(log) = evidence.ledger.host(host) else { return Ok(()) };
        let compared = self.compared.entry(host).or_insert(Index(0));
        for index in compared.0 + 1..=commit.0 {
            let (Some((id, content)), Some(first)) =
                (log.written.slot(Index(index)), evidence.ledger.committed_at(Index(index)))
            else {
                continue;
            };
            if id != first.id || !same(content, first.content) {
                return Err(format!(
                    "host {host} committed {id} where host {} had committed {}{}",
                    first.by,
                    first.id,
                    if id == first.id { " with another content" } else { "" }
                ));
            }
        }
        *compared = commit.max(*compared);
        Ok(())
    }
}

//! A leader commits by counting copies only slots of its own term; those before follow (thesis §3.6.2 and figure 3.7;
//! logcabin/logcabin#44).
//!
//! The damage that a wrong rule does takes a rare course of events, three leaders long. The rule itself is seen at
//! once.

use std::collections::BTreeMap;

use quorate_node::raft::{Index, Role, Term};

use super::{Checker, Evidence};
use crate::observe::Observation;
use crate::plan::Host;

/// What each leader had committed when it was last seen.
#[derive(Debug, Default)]
pub(crate) struct CommitRule {
    leaders: BTreeMap<Host, (Term, Index)>,
}

impl Checker for CommitRule {
    fn name(&self) -> &'static str {
        "commit-rule"
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let (host, stand) = match observation {
            Observation::Stands { host, stand } if stand.role == Role::Leader => (*host, stand),
            Observation::Stands { host, .. } | Observation::Started { host, .. } => {
                self.leaders.remove(host);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let Some((term, commit)) = self.leaders.insert(host, (stand.term, stand.commit)) else {
            return Ok(());
        };
        if term != stand.term || commit >= stand.commit {
            return Ok(());
        }
        let slot = evidence.ledger.host(host).and_then(|log| log.written.slot(stand.commit));
        match slot {
            Some((id, _)) if id.term != stand.term => Err(format!(
                "host {host}, leader of term {}, committed up to slot {id} of an earlier term",
                stand.term
            )),
            _ => Ok(()),
        }
    }
}

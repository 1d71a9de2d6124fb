//! At most one leader a term, over all history (Raft's Election Safety; thesis, figure 3.2 and §3.4).

use std::collections::BTreeMap;

use quorate_node::raft::{Event, Term};

use super::{Checker, Evidence};
use crate::observe::Observation;
use crate::plan::Host;

/// Who led each term.
#[derive(Debug, Default)]
pub(crate) struct ElectionSafety {
    leaders: BTreeMap<Term, Host>,
}

impl Checker for ElectionSafety {
    fn name(&self) -> &'static str {
        "election-safety"
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Observation::Event { host, event: Event::BecameLeader { term } } = observation else {
            return Ok(());
        };
        match self.leaders.insert(*term, *host) {
            Some(other) if other == *host => {
                Err(format!("host {host} became leader of term {term} twice: a restarted node leads again"))
            }
            Some(other) => {
                Err(format!("host {host} became leader of term {term}, which host {other} led already"))
            }
            None => Ok(()),
        }
    }
}

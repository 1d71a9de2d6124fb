//! A request is passed on at most once: by a node that does not lead, to one that it takes for the leader. If that one
//! passed it on as well, two nodes that take each other for the leader would never be done with it.

use super::{Checker, Evidence};
use crate::observe::Observation;

/// Looks at who has passed on what comes back to clients.
#[derive(Debug, Default)]
pub(crate) struct PassedOnOnce;

impl Checker for PassedOnOnce {
    fn name(&self) -> &'static str {
        "passed-on-once"
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::PassedOn { to, by } if by.len() > 1 => Err(format!(
                "what host {to} was answered had been passed on {} times: {}",
                by.len(),
                by.join(", ")
            )),
            _ => Ok(()),
        }
    }
}

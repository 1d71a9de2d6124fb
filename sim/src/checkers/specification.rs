//! Each step that a core takes is one that the specification allows, in the order in which the steps of all servers
//! happened (trace validation; as etcd's `Traceetcdraft.tla`, and CCF's in *Smart Casual Verification*, NSDI 2025).

use std::collections::BTreeSet;

use super::{Checker, Evidence};
use crate::identity::node_id;
use crate::observe::Observation;
use crate::plan::Host;

/// Asks the specification about each step.
#[derive(Debug, Default)]
pub(crate) struct Specification {
    specification: crate::spec::Specification,
    /// The servers whose recovery has ended. On the core stack one may take a turn before that.
    recovered: BTreeSet<Host>,
}

impl Checker for Specification {
    fn name(&self) -> &'static str {
        "specification"
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Started { host, .. } => {
                self.recovered.remove(host);
            }
            Observation::Recovered { host } => {
                self.recovered.insert(*host);
            }
            Observation::Traced { host, steps } => {
                let node = node_id(*host).0;
                steps.0.iter().try_for_each(|step| self.specification.accept(node, step))?;
                // Only now: the first of these steps may be that it opens.
                if self.recovered.contains(host) {
                    self.specification.recovered(node);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

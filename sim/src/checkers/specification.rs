//! Each step that a core takes is one that the specification allows, in the order in which the steps of all servers
//! happened (trace validation; as etcd's `Traceetcdraft.tla`, and CCF's in *Smart Casual Verification*, NSDI 2025).

use super::{Checker, Evidence};
use crate::identity::node_id;
use crate::observe::Observation;

/// Asks the specification about each step.
#[derive(Debug, Default)]
pub(crate) struct Specification {
    specification: crate::spec::Specification,
}

impl Checker for Specification {
    fn name(&self) -> &'static str {
        "specification"
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Observation::Traced { host, steps } = observation else { return Ok(()) };
        let node = node_id(*host).0;
        steps.0.iter().try_for_each(|step| self.specification.accept(node, step))
    }
}

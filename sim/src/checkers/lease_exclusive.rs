//! While a leader holds a lease nobody becomes leader, as long as clocks keep to their bound: else it would serve
//! reads that miss what the other commits (thesis §6.4.1).

use super::{Checker, Evidence};
use crate::observe::Observation;
use crate::plan::Plan;

/// Watches elections.
#[derive(Debug)]
pub(crate) struct LeaseExclusive {
    /// The clocks of this plan are ones that leases reckon with.
    binding: bool,
}

impl LeaseExclusive {
    pub(crate) fn new(plan: &Plan) -> Self {
        LeaseExclusive { binding: plan.keeps_leases() }
    }
}

impl Checker for LeaseExclusive {
    fn name(&self) -> &'static str {
        "lease-exclusive"
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Leases { host, held } if self.binding && !held.is_empty() => {
                Err(format!("host {host} became leader while the hosts {held:?} held a lease"))
            }
            _ => Ok(()),
        }
    }
}

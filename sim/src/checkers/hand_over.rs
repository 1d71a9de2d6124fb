//! A leader that hands over takes nothing more (thesis §3.10): its successor would never have all there is, or would
//! not know of what was taken after it was told to run.

use std::collections::BTreeMap;

use quorate_node::raft::trace::Step;
use quorate_node::raft::{Event, NodeId, Role};

use super::{Checker, Evidence};
use crate::observe::Observation;
use crate::plan::Host;
use crate::tap::host_of;

/// Looks at the logs of leaders that hand over.
#[derive(Debug, Default)]
pub(crate) struct HandOver {
    open: BTreeMap<Host, Open>,
}

#[derive(Debug)]
struct Open {
    to: NodeId,
    /// The turn in which it began is over: whatever comes now came later.
    has_begun: bool,
}

impl Checker for HandOver {
    fn name(&self) -> &'static str {
        "hand-over"
    }

    fn hears_messages(&self) -> bool {
        true
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Event { host, event: Event::TransferBegun { to } } => {
                self.open.insert(*host, Open { to: *to, has_begun: false });
            }
            Observation::Event { host, event: Event::TransferGivenUp { .. } }
            | Observation::Ended { host, .. } => {
                self.open.remove(host);
            }
            Observation::Stands { host, stand } if stand.role != Role::Leader => drop(self.open.remove(host)),
            Observation::Received { to: host, .. }
            | Observation::Durable { host, .. }
            | Observation::Stored { host, .. } => {
                self.open.get_mut(host).into_iter().for_each(|open| open.has_begun = true);
            }
            Observation::Traced { host, steps } => {
                let Some(open) = self.open.get(host).filter(|open| open.has_begun) else { return Ok(()) };
                // A joint configuration ends by itself once it is committed; that is no proposal.
                let resigned = steps.0.iter().position(|step| matches!(step, Step::Resigns { .. }));
                let led = &steps.0[..resigned.unwrap_or(steps.0.len())];
                let taken = led.iter().find(|step| matches!(step, Step::Appends { .. }));
                if let Some(step) = taken {
                    let to = host_of(open.to.0);
                    return Err(format!("host {host} hands over to host {to} and takes a proposal: {step}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

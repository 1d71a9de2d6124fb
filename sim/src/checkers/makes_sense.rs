//! Nothing that a peer or a disk says makes no sense to a core: no fault of a simulation makes up a message, and one
//! that arrives damaged reaches no core. What is dropped as nonsense harms nobody, and shows that somebody is wrong.

use quorate_node::raft::Event;

use super::{Checker, Evidence};
use crate::observe::Observation;
use crate::tap::host_of;

/// Looks at what cores have dropped.
#[derive(Debug, Default)]
pub(crate) struct MakesSense;

impl Checker for MakesSense {
    fn name(&self) -> &'static str {
        "makes-sense"
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Observation::Event { host, event: Event::Nonsense { from, what } } = observation else {
            return Ok(());
        };
        let from = from.map_or("its own disk".to_owned(), |node| format!("host {}", host_of(node.0)));
        Err(format!("host {host} was told by {from} what makes no sense to it: {what}"))
    }
}

//! A follower acknowledges only what is durable in its own log (thesis §3.8; tikv/tikv#994).

use quorate_node::raft::Index;

use super::{Checker, Evidence};
use crate::observe::{MessageKind, Observation};

/// Looks at each acknowledgment.
#[derive(Debug)]
pub(crate) struct AckDurable;

impl Checker for AckDurable {
    fn name(&self) -> &'static str {
        "ack-durable"
    }

    fn hears_messages(&self) -> bool {
        true
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Observation::Sent { from, to, said } = observation else { return Ok(()) };
        let matched = match said.kind {
            MessageKind::Appended => Index(said.numbers[0]),
            MessageKind::HeartbeatReply => Index(said.numbers[2]),
            _ => return Ok(()),
        };
        let log = evidence.ledger.host(*from);
        let durable = log.map_or(Index(0), |log| log.durable_to());
        if matched > durable {
            return Err(format!(
                "host {from} told host {to} in term {} that its log is durable up to {matched}; it is up to {durable}",
                said.term
            ));
        }
        // What was there before may still be durable at an index whose new slot isn't yet.
        let meant = log.and_then(|log| log.written.slot(matched)).map(|(id, _)| id);
        match meant.filter(|id| log.is_some_and(|log| !log.has_durably(*id))) {
            Some(id) => Err(format!(
                "host {from} told host {to} in term {} that slot {id} is durable; what is durable there is another one",
                said.term
            )),
            None => Ok(()),
        }
    }
}

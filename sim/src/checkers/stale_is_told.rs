//! Who asks in a term that is over is told so: a request of an older term is rejected with the newer one (Raft paper,
//! §5.1). A leader that was cut off and a node that moved on could otherwise ignore each other for ever
//! (etcd-io/etcd#8334).
//!
//! The answer may have to wait until the newer term is durable. Whoever has spoken in its term since has done so, and
//! must have answered before it is asked once more.

use std::collections::BTreeMap;

use quorate_node::raft::Term;

use super::{Checker, Evidence};
use crate::observe::{MessageKind, Observation};
use crate::plan::Host;

/// Looks at what servers say to those who ask in a term that is over for them.
#[derive(Debug, Default)]
pub(crate) struct StaleIsTold {
    terms: BTreeMap<Host, Term>,
    /// Who waits for whose answer.
    waiting: BTreeMap<(Host, Host), Waiting>,
}

#[derive(Debug)]
struct Waiting {
    term: Term,
    /// The one that should answer has said something else since.
    passed_over: bool,
}

/// Whether it is a request that an older term makes void, whoever sends it.
fn asks(kind: MessageKind) -> bool {
    use MessageKind::{Append, Heartbeat, ReadIndex, Snapshot, Vote};
    matches!(kind, Append | Heartbeat | ReadIndex | Snapshot | Vote)
}

/// Whether a message of this kind is said in the sender's term, and only when that is durable.
fn is_in_term(kind: MessageKind) -> bool {
    use MessageKind::{Append, Appended, Conflict, Heartbeat, HeartbeatReply, Snapshot, Vote, VoteReply};
    matches!(kind, Append | Appended | Conflict | Heartbeat | HeartbeatReply | Snapshot | Vote | VoteReply)
}

impl Checker for StaleIsTold {
    fn name(&self) -> &'static str {
        "stale-is-told"
    }

    fn hears_messages(&self) -> bool {
        true
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Started { host, .. } | Observation::Ended { host, .. } => {
                self.terms.remove(host);
                self.waiting.retain(|(_, by), _| by != host);
            }
            // What waited to be said in the term before is not said any more.
            Observation::Stands { host, stand }
                if self.terms.insert(*host, stand.term) != Some(stand.term) =>
            {
                self.waiting.retain(|(_, by), _| by != host);
            }
            Observation::Received { from, to, said } if asks(said.kind) => {
                if self.terms.get(to).is_none_or(|term| said.term >= *term) {
                    return Ok(());
                }
                let waiting = self
                    .waiting
                    .entry((*from, *to))
                    .or_insert(Waiting { term: said.term, passed_over: false });
                waiting.term = waiting.term.max(said.term);
                if waiting.passed_over {
                    let (term, newer) = (said.term.0, self.terms[to].0);
                    return Err(format!(
                        "host {to} is in term {newer} and was asked by host {from} in term {term}, more than once, and \
                         told it nothing of a newer term, although it spoke"
                    ));
                }
            }
            Observation::Sent { from, to, said } if is_in_term(said.kind) => {
                if self.waiting.get(&(*to, *from)).is_some_and(|waiting| said.term > waiting.term) {
                    self.waiting.remove(&(*to, *from));
                }
                let passed_over = self.waiting.iter_mut().filter(|((_, by), _)| by == from);
                passed_over.for_each(|(_, waiting)| waiting.passed_over |= said.term > waiting.term);
            }
            _ => {}
        }
        Ok(())
    }
}

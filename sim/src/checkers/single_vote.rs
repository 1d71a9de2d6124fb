//! A server votes at most once a term, also when it was restarted in between (thesis §3.4; its vote is durable before
//! it is given, §3.8). A candidate's own vote counts as given when it asks for others'.

use std::collections::BTreeMap;

use quorate_node::raft::{HardState, Term};

use super::{Checker, Evidence};
use crate::observe::{MessageKind, Observation};
use crate::plan::Host;
use crate::tap::host_of;

/// Whom each server voted for, by term.
#[derive(Debug, Default)]
pub(crate) struct SingleVote {
    votes: BTreeMap<(Host, Term), Host>,
}

impl Checker for SingleVote {
    fn name(&self) -> &'static str {
        "single-vote"
    }

    fn hears_messages(&self) -> bool {
        true
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let (from, to, said) = match observation {
            Observation::Started { host, found } => return self.remembered(*host, found.hard),
            Observation::Sent { from, to, said } => (from, to, said),
            _ => return Ok(()),
        };
        let candidate = match said.kind {
            MessageKind::VoteReply if said.numbers[0] == 1 => *to,
            MessageKind::Vote => *from,
            _ => return Ok(()),
        };
        match self.votes.insert((*from, said.term), candidate) {
            Some(other) if other != candidate => Err(format!(
                "in term {} host {from} voted for host {other} and then for host {candidate}",
                said.term
            )),
            _ => Ok(()),
        }
    }
}

impl SingleVote {
    /// A vote that was forgotten need not be given again for the loss to be one.
    fn remembered(&self, host: Host, found: HardState) -> Result<(), String> {
        let Some(given) = self.votes.get(&(host, found.term)) else { return Ok(()) };
        let known = found.vote.map(|node| host_of(node.0));
        if known != Some(*given) {
            let known = known.map_or("no vote".to_owned(), |host| format!("one for host {host}"));
            return Err(format!(
                "host {host} voted for host {given} in term {}; after a restart it knows of {known}",
                found.term
            ));
        }
        Ok(())
    }
}

//! Term and vote only go forward, also across restarts; commit index, applied index and revision do so within the life
//! of a server (thesis, figure 3.1; etcd-io/etcd#13766).

use std::collections::BTreeMap;

use quorate_node::raft::{HardState, Index, Term};

use super::{Checker, Evidence};
use crate::observe::Observation;
use crate::plan::Host;

/// How far each server has come.
#[derive(Debug, Default)]
pub(crate) struct Monotonic {
    hosts: BTreeMap<Host, Reached>,
}

#[derive(Debug, Default)]
struct Reached {
    /// The term in which it has last spoken.
    spoken: Term,
    /// The newest term and vote that it has asked to be written.
    asked: HardState,
    term: Term,
    commit: Index,
    applied: Index,
    revision: u64,
}

impl Checker for Monotonic {
    fn name(&self) -> &'static str {
        "monotonic"
    }

    fn hears_messages(&self) -> bool {
        true
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            Observation::Sent { from, said, .. } => {
                // A pre-vote asks about a term that its sender is not in.
                if !matches!(
                    said.kind,
                    crate::observe::MessageKind::PreVote | crate::observe::MessageKind::PreVoteReply
                ) {
                    let host = self.hosts.entry(*from).or_default();
                    host.spoken = host.spoken.max(said.term);
                }
                Ok(())
            }
            Observation::Started { host, found } => self.restarted(*host, found.hard),
            Observation::Writes { host, write } => write.hard.map_or(Ok(()), |hard| self.wrote(*host, hard)),
            Observation::Stands { host, stand } => {
                let reached = self.hosts.entry(*host).or_default();
                ahead(*host, "term", reached.term.0, stand.term.0)?;
                ahead(*host, "commit index", reached.commit.0, stand.commit.0)?;
                (reached.term, reached.commit) = (stand.term, stand.commit);
                Ok(())
            }
            Observation::Applied { host, index, revision, .. } => {
                let reached = self.hosts.entry(*host).or_default();
                ahead(*host, "applied index", reached.applied.0, index.0)?;
                ahead(*host, "revision", reached.revision, *revision)?;
                (reached.applied, reached.revision) = (*index, *revision);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Monotonic {
    fn restarted(&mut self, host: Host, found: HardState) -> Result<(), String> {
        let reached = self.hosts.entry(host).or_default();
        if found.term < reached.spoken {
            return Err(format!(
                "host {host} starts in term {}, but it has spoken in term {}",
                found.term, reached.spoken
            ));
        }
        *reached = Reached { spoken: reached.spoken, asked: found, ..Reached::default() };
        Ok(())
    }

    fn wrote(&mut self, host: Host, hard: HardState) -> Result<(), String> {
        let asked = &mut self.hosts.entry(host).or_default().asked;
        ahead(host, "term", asked.term.0, hard.term.0)?;
        if hard.term == asked.term && asked.vote.is_some() && hard.vote != asked.vote {
            return Err(format!(
                "host {host} changed its vote in term {} from {:?} to {:?}",
                hard.term, asked.vote, hard.vote
            ));
        }
        *asked = hard;
        Ok(())
    }
}

fn ahead(host: Host, what: &str, from: u64, to: u64) -> Result<(), String> {
    if to < from {
        return Err(format!("the {what} of host {host} went back from {from} to {to}"));
    }
    Ok(())
}

//! An executable specification of the protocol: Raft as in Ongaro's TLA+ specification (thesis, appendix B), with what
//! `docs/PROTOCOL.md` adds to it.
//!
//! It takes the lines of the trace of all servers, in the order in which they happened, and asks of each whether that
//! step may be taken in the state that all lines before have led to. It shares no type with the core but the line; it
//! counts majorities, knows configurations and reckons what is durable for itself. So it is a second description of the
//! protocol, and where the core does something that it does not allow, one of the two is wrong.
//!
//! | file | actions, named as in the TLA+ specification where it has them |
//! |---|---|
//! | `elections.rs` | `Timeout`, `RequestVote`, `HandleRequestVoteRequest`, `BecomeLeader`, `UpdateTerm`; pre-votes |
//! | `replication.rs` | `ClientRequest`, `HandleAppendEntriesRequest`; changes of members |
//! | `commits.rs` | `AdvanceCommitIndex`, and what followers make of it; applying |
//! | `durability.rs` | `Restart`; writes, and when they are durable |
//! | `messages.rs` | what may be said: `AppendEntries`, answers |
//! | `snapshots.rs` | checkpoints |
//! | `damage.rs` | slots that the disk has lost |
//! | `reads.rs` | reads by a round of heartbeats, or by lease |
//! | `node.rs`, `history.rs`, `log.rs`, `quorum.rs` | the variables |
//!
//! What it does not know is time: that a server is bound by a promise, that a lease is over, that a leader that nobody
//! hears steps down, is for others to check.

mod commits;
mod damage;
mod durability;
mod elections;
mod history;
mod log;
mod messages;
mod node;
mod quorum;
mod reads;
mod replication;
mod snapshots;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use quorate_node::raft::trace::{Line, Step};

use history::History;
use node::Node;

/// What an action asks of the state. The error is what is not so.
type Guard = Result<(), String>;

fn must(is_so: bool, otherwise: impl FnOnce() -> String) -> Guard {
    if is_so { Ok(()) } else { Err(otherwise()) }
}

/// The state that the lines up to now have led to.
#[derive(Debug, Default)]
pub(crate) struct Specification {
    nodes: BTreeMap<u128, Node>,
    history: History,
    /// How many lines were accepted.
    accepted: u64,
}

impl Specification {
    /// Takes the next line: a server's step.
    ///
    /// # Errors
    /// The step may not be taken: which line it is, what it asks for that is not so, and how its server stands.
    pub(crate) fn accept(&mut self, id: u128, step: &Step) -> Result<(), String> {
        self.accepted += 1;
        self.take(id, step).map_err(|what| {
            let node = self.nodes.get(&id).map(|node| format!("; {node:?}")).unwrap_or_default();
            let line = Line { node: id, step: step.clone() };
            format!("line {}, \"{line}\": {what}{node}", self.accepted)
        })
    }

    /// The recovery of a server has ended: what it found is durable from now on.
    pub(crate) fn recovered(&mut self, id: u128) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.before.clear();
        }
    }

    fn take(&mut self, id: u128, step: &Step) -> Guard {
        if let Step::Opens { .. } = step {
            return self.opens(id, step);
        }
        let Specification { nodes, history, .. } = self;
        let node = nodes.get_mut(&id).ok_or("this server has not started")?;
        match step {
            Step::Opens { .. } => Ok(()),
            Step::Enters { term } => node.enters(history, *term),
            Step::Counts { asking, votes } => node.counts(history, *asking, votes),
            Step::Campaigns { term, transfer } => node.campaigns(history, *term, *transfer),
            Step::Votes { candidate } => node.votes(history, *candidate),
            Step::Leads { term } => node.leads_from_now(history, *term),
            Step::Yields { term } => node.yields(*term),
            Step::Resigns { term } => node.resigns(*term),
            Step::Follows { leader } => node.follows(history, *leader),
            Step::Appends { slot } => node.appends(history, *slot),
            Step::Configures { slot, configuration } => node.configures(history, *slot, configuration),
            Step::Truncates { from } => node.truncates(history, *from),
            Step::Verifies { index, members_at } => node.verifies(history, *index, *members_at),
            Step::Writes { .. } => node.issues(step),
            Step::Written { id } => node.hears_of_write(*id),
            Step::Commits { index, matches } => node.commits(history, *index, matches),
            Step::Learns { index } => node.learns(history, *index),
            Step::Hears { slot } => node.hears(history, *slot),
            Step::Applies { last } => node.applies(*last),
            Step::Stores { last, own } => node.stores(history, *last, *own),
            Step::Installs { last, members_at } => node.installs(history, *last, *members_at),
            Step::Compacts { to } => node.compacts(*to),
            Step::Loses { slot } => node.loses(*slot),
            Step::Mends { slot } => node.mends(*slot),
            Step::Recalls { end } => node.recalls(*end),
            Step::Doubts { term, slot } => node.doubts(history, *term, *slot),
            Step::Drops { slot, never } => node.drops(history, *slot, never),
            Step::Asked { by, batch } => node.asked(*by, *batch),
            Step::Rounds { round, index } => node.rounds(history, *round, *index),
            Step::Confirms { round, index } => node.confirms(history, *round, *index),
            Step::Leases { by, index } => node.leases(history, *by, *index),
            said => {
                let told = messages::may_say(node, history, said)?;
                self.told(told);
                Ok(())
            }
        }
    }

    /// Something was said that changes what its receiver may do later.
    fn told(&mut self, told: Option<damage::Reach>) {
        if let Some(reach) = told
            && let Some(node) = self.nodes.get_mut(&reach.to)
        {
            node.is_told_the_reach(&reach);
        }
    }
}

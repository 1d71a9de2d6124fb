//! What the log says of an election and of damage: one line each, with its cause.

use quorate_node::raft::{CampaignCause, Event, Found, StepDownCause};
use tracing::{info, warn};

/// Writes a line for each run of slots that a start found damaged, and one for a lost end.
pub(crate) fn found(found: &Found) {
    for run in found.damaged.chunk_by(|one, next| one.index.next() == next.index) {
        let (first, last) = (run[0], run[run.len() - 1]);
        warn!(%first, %last, "log entries are damaged on disk; asking peers for them");
    }
    if let Some(from) = found.unknown {
        warn!(%from, "the end of the log is lost on disk; this node does not vote until a leader has made up for it");
    }
}

/// Writes the line for an event of the node.
pub(crate) fn event(event: &Event) {
    match event {
        Event::Campaign { term, cause } => info!(%term, cause = campaign(*cause), "runs for leader"),
        Event::BecameLeader { term } => info!(%term, "became leader"),
        Event::SteppedDown { term, cause } => warn!(%term, cause = step_down(*cause), "stepped down"),
        Event::TransferBegun { to } => info!(%to, "hands leadership over"),
        Event::TransferGivenUp { to } => warn!(%to, "was not taken over by the other node; leads on"),
        Event::Follows { term, leader } => info!(%term, %leader, "follows"),
        Event::MembersChanged { at } => info!(%at, "members changed"),
        Event::Damaged { slot } => warn!(%slot, "a log entry is damaged on disk; asking peers for it"),
        Event::Repaired { slot } => info!(%slot, "a damaged log entry was repaired"),
        Event::Nonsense { from: Some(peer), what } => {
            warn!(%peer, what, "dropped a message that makes no sense");
        }
        Event::Nonsense { from: None, what } => warn!(what, "dropped an input that makes no sense"),
    }
}

fn campaign(cause: CampaignCause) -> &'static str {
    match cause {
        CampaignCause::NoLeader => "no leader was heard for an election timeout",
        CampaignCause::Transfer => "the leader hands over to this node",
    }
}

fn step_down(cause: StepDownCause) -> &'static str {
    match cause {
        StepDownCause::HigherTerm => "somebody is in a higher term",
        StepDownCause::NoQuorum => "no majority was heard for an election timeout",
        StepDownCause::SlowDisk => "a write was not durable within an election timeout",
        StepDownCause::Removed => "it was removed from the voters",
        StepDownCause::Damage => "a damaged log entry could not be repaired within an election timeout",
    }
}

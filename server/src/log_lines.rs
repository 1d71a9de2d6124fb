//! What the log says of an election and of damage: one line each, with its cause.

use quorate_node::raft::{CampaignCause, Event, Found, StepDownCause};
use quorate_storage::Finding;
use tracing::{error, info, warn};

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
        Event::Doubts { term, slot } => {
            warn!(%term, %slot, "a log entry is damaged and may be in no other log: asking in a new term");
        }
        Event::GaveUp { slot } => {
            warn!(%slot, "a damaged log entry that was never committed was given up, with all after it");
        }
        Event::Repaired { slot } => info!(%slot, "a damaged log entry was repaired"),
        Event::ShortOfRoom => {
            warn!(
                "the disk is full: writes that need space will be refused, deletes and reads go on; free some"
            );
        }
        Event::RoomAgain => info!("the disk has room again"),
        Event::Nonsense { from: Some(peer), what } => {
            warn!(%peer, what, "dropped a message that makes no sense");
        }
        Event::Nonsense { from: None, what } => warn!(what, "dropped an input that makes no sense"),
    }
}

/// Writes the line for something that was found bad at rest.
pub(crate) fn finding(finding: &Finding) {
    match finding {
        Finding::Slot { id, path, offset } => {
            warn!(slot = %id, path, offset, "a log entry has gone bad at rest; asking peers for it");
        }
        Finding::HeaderMended { path } => {
            warn!(path, "a copy of a log file's header had gone bad, and is mended");
        }
        Finding::HeaderLost { path } => {
            error!(
                path,
                "both copies of a log file's header are bad: replace this disk, before a restart needs them"
            );
        }
        Finding::ManifestMended { path } => {
            warn!(path, "a checkpoint's manifest had gone bad, and is mended");
        }
        Finding::RunLost { path, offset } => {
            warn!(
                path,
                offset, "a run of checkpoints has gone bad at rest; the next checkpoint has the whole state"
            );
        }
        Finding::StableMended { path } => {
            warn!(path, "a file of term and vote had gone bad, and is mended");
        }
        Finding::UnknownContent { last, found, known } => {
            error!(
                checkpoint = %last,
                found,
                known,
                "the leader sends a checkpoint whose content has a version that this release does not know, so this \
                 node stays behind: start it with the release that the leader has"
            );
        }
    }
}

/// Writes the line for a disk that stands still, or no longer does.
pub(crate) fn disk_stands_still(disk: &str, still: bool) {
    if still {
        warn!(disk, "the disk stands still");
    } else {
        info!(disk, "the disk goes on");
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

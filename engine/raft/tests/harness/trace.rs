//! One compact line for everything that happens.

use quorate_raft::{
    Entry, Event, Held, Index, JoinToken, Learner, Load, LogId, Members, Message, NodeId, Payload, PeerState,
    Raft, Reader, Report, Role, TokenHash, Write,
};
use std::collections::BTreeMap;

/// Gives small names to numbers that were drawn at random, in the order in which they appear.
#[derive(Default)]
pub(crate) struct Names {
    questions: BTreeMap<u64, usize>,
}

impl Names {
    fn question(&mut self, number: u64) -> String {
        let next = self.questions.len() + 1;
        format!("q{}", self.questions.entry(number).or_insert(next))
    }

    pub(crate) fn message(&mut self, message: &Message) -> String {
        match message {
            Message::PreVote { last } | Message::Vote { last, transfer: false } => {
                format!("{} last {last}", kind(message))
            }
            Message::Vote { last, transfer: true } => format!("Vote last {last} by transfer"),
            Message::PreVoteReply { granted } | Message::VoteReply { granted } => {
                format!("{} {}", kind(message), if *granted { "yes" } else { "no" })
            }
            Message::Append { prev, entries, commit } => {
                format!("Append after {prev} {} commit {commit}", list(entries))
            }
            Message::Appended { matched } => format!("Appended {matched}"),
            Message::Conflict { prev, hint } => format!("Conflict at {prev} hint {hint}"),
            Message::Heartbeat { round, commit } => format!("Heartbeat round {round} commit {commit}"),
            Message::HeartbeatReply { round, verified, matched, full } => {
                let full = if *full { " full" } else { "" };
                format!("HeartbeatReply round {round} verified {verified} matched {matched}{full}")
            }
            Message::ReadIndex { batch, lease } => {
                format!("ReadIndex {}{}", self.question(*batch), if *lease { " by lease" } else { "" })
            }
            Message::ReadIndexReply { batch, index } => {
                format!("ReadIndexReply {} at {index}", self.question(*batch))
            }
            Message::Snapshot { meta, chunk } => {
                let (from, to) = (chunk.offset, chunk.offset + chunk.data.len() as u64);
                format!("Snapshot of {} bytes {from}..{to} of {}", meta.last, meta.bytes)
            }
            Message::SnapshotReply { last, next } => format!("SnapshotReply of {last} next {next}"),
            Message::Ask { nonce, first, last, sound, doubt } => {
                let doubt = doubt.map_or(String::new(), |slot| format!(" in doubt {slot}"));
                format!("Ask {} for {first}..{last} sound {sound}{doubt}", self.question(*nonce))
            }
            Message::Tell { nonce, entries, leads_to, committed, report } => {
                let reach = leads_to.map_or(String::new(), |id| format!(" leads to {id}"));
                let report = report.as_ref().map_or(String::new(), report_text);
                format!(
                    "Tell {} {}{reach} committed {committed}{report}",
                    self.question(*nonce),
                    list(entries)
                )
            }
            Message::TimeoutNow => "TimeoutNow".into(),
        }
    }
}

pub(crate) fn kind(message: &Message) -> &'static str {
    match message {
        Message::PreVote { .. } => "PreVote",
        Message::PreVoteReply { .. } => "PreVoteReply",
        Message::Vote { .. } => "Vote",
        Message::VoteReply { .. } => "VoteReply",
        Message::Append { .. } => "Append",
        Message::Appended { .. } => "Appended",
        Message::Conflict { .. } => "Conflict",
        Message::Heartbeat { .. } => "Heartbeat",
        Message::HeartbeatReply { .. } => "HeartbeatReply",
        Message::ReadIndex { .. } => "ReadIndex",
        Message::ReadIndexReply { .. } => "ReadIndexReply",
        Message::Snapshot { .. } => "Snapshot",
        Message::SnapshotReply { .. } => "SnapshotReply",
        Message::Ask { .. } => "Ask",
        Message::Tell { .. } => "Tell",
        Message::TimeoutNow => "TimeoutNow",
    }
}

fn report_text(report: &Report) -> String {
    let held = match report.held {
        Held::Intact => "has it",
        Held::Damaged => "lost it too",
        Held::Never => "never",
        Held::InSnapshot => "in my snapshot",
        Held::Unknown => "unknown",
    };
    format!(", {}: {held}{}", report.slot, if report.bound { " (bound)" } else { "" })
}

pub(crate) fn list(entries: &[Entry]) -> String {
    let shown: Vec<String> = entries.iter().map(entry).collect();
    format!("[{}]", shown.join(", "))
}

fn entry(entry: &Entry) -> String {
    match &entry.payload {
        Payload::Noop => format!("{} noop", entry.id),
        Payload::Command(bytes) => format!("{} {}", entry.id, command(bytes)),
        Payload::Members(set) => format!("{} {}", entry.id, members(set)),
    }
}

pub(crate) fn command(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.len() > 12 { format!("{}..({} bytes)", &text[..4], text.len()) } else { text.into_owned() }
}

/// Voters, then learners: `?` for one that joins, `-` for one that stays a learner; an address after `@`. Of a joint
/// configuration, the outgoing half after a slash. Then the join tokens, each with the node that has spent it.
pub(crate) fn members(members: &Members) -> String {
    let address = |id: &NodeId| match &members.contacts[id].address {
        none if none.is_empty() => String::new(),
        address => format!("@{address}"),
    };
    let voters = members.voters.iter().map(|id| format!("{}{}", id.0, address(id)));
    let learners = members.learners.iter().map(|(id, learner)| {
        let mark = if *learner == Learner::Joining { '?' } else { '-' };
        format!("{}{mark}{}", id.0, address(id))
    });
    let outgoing: Vec<String> = members.outgoing.iter().map(|id| id.0.to_string()).collect();
    let outgoing = if members.is_joint() { format!(" / {}", outgoing.join(" ")) } else { String::new() };
    let token = |(hash, token): (&TokenHash, &JoinToken)| match token.spent_by {
        Some(node) => format!(" token {} of {}", hash.0[0], node.0),
        None => format!(" token {}", hash.0[0]),
    };
    let tokens: String = members.tokens.iter().map(token).collect();
    format!("{{{}{outgoing}{tokens}}}", voters.chain(learners).collect::<Vec<_>>().join(" "))
}

pub(crate) fn write(write: &Write) -> String {
    let mut parts = Vec::new();
    if let Some(hard) = write.hard {
        let vote = hard.vote.map_or("nobody".into(), |id: NodeId| id.0.to_string());
        parts.push(format!("term {} vote {vote}", hard.term));
    }
    if let Some(meta) = &write.install {
        parts.push(format!("install {}", meta.last));
    }
    if let Some(from) = write.truncate_from {
        parts.push(format!("truncate from {from}"));
    }
    if !write.repair.is_empty() {
        parts.push(format!("repair {}", list(&write.repair)));
    }
    if !write.append.is_empty() {
        parts.push(format!("append {}", list(&write.append)));
    }
    if let Some(to) = write.compact_to {
        parts.push(format!("compact to {to}"));
    }
    format!("write #{} {}", write.id, parts.join(", "))
}

pub(crate) fn load(load: Load) -> String {
    let reader = match load.reader {
        Reader::Peer(id) => format!("peer {}", id.0),
        Reader::Repair(id) => format!("the repair of {}", id.0),
        Reader::Apply => "applying".into(),
    };
    format!("loads {}..{} for {reader}", load.first, load.last)
}

pub(crate) fn event(event: &Event) -> String {
    match event {
        Event::Campaign { term, cause } => format!("runs for term {term} ({cause:?})"),
        Event::BecameLeader { term } => format!("LEADS term {term}"),
        Event::SteppedDown { term, cause } => format!("STEPS DOWN from term {term} ({cause:?})"),
        Event::TransferBegun { to } => format!("hands over to {}", to.0),
        Event::TransferGivenUp { to } => format!("gives up handing over to {}", to.0),
        Event::Follows { term, leader } => format!("follows {} in term {term}", leader.0),
        Event::MembersChanged { at } => format!("members are those of {at}"),
        Event::Damaged { slot } => format!("finds {slot} damaged"),
        Event::Repaired { slot } => format!("has {slot} again"),
        Event::Doubts { term, slot } => format!("enters term {term} to ask for {slot}"),
        Event::GaveUp { slot } => format!("GIVES UP {slot}"),
        Event::ShortOfRoom => "is SHORT OF ROOM".into(),
        Event::RoomAgain => "has room again".into(),
        Event::Nonsense { from, what } => {
            let whose = from.map_or("the disk".into(), |id| id.0.to_string());
            format!("drops NONSENSE from {whose}: {what}")
        }
    }
}

pub(crate) fn status(core: &Raft, base: LogId) -> String {
    let status = core.status();
    let role = match status.role {
        Role::Leader => "leads",
        Role::Follower => "follows",
        Role::Candidate => "runs in",
        Role::Learner => "learns in",
    };
    let leader = match (status.role, status.leader) {
        (Role::Leader, _) if !status.settled => " not settled".into(),
        (Role::Leader, _) => String::new(),
        (_, Some(leader)) => format!(" of {}", leader.0),
        (_, None) => " of nobody known".into(),
    };
    let mut line = format!(
        "{} {role} term {}{leader}: last {} commit {} applied {} members {}",
        status.id.0,
        status.term,
        status.last,
        status.commit,
        status.applied.index,
        members(status.members)
    );
    if base.index > Index(0) {
        line += &format!(" begins after {base}");
    }
    if status.damaged > 0 {
        line += &format!(" damaged {}", status.damaged);
    }
    for peer in core.peers() {
        let state = match peer.state {
            PeerState::Probe => "probe",
            PeerState::Pipeline => "pipeline",
            PeerState::Snapshot => "snapshot",
            PeerState::Down => "down",
        };
        line += &format!(", {} {state} {}", peer.id.0, peer.matched);
    }
    line
}

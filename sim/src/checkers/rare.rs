//! Which rare states a run has been through: a campaign that never saw one of them has not tested it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use quorate_node::raft::{CampaignCause, Event, NodeId, Role, StepDownCause, Term, Time};

use super::Evidence;
use crate::audit::{Account, Seen};
use crate::counts::Counts;
use crate::history::Outcome;
use crate::identity::machine_of;
use crate::observe::{Ended, MessageKind, Observation, Wanted};
use crate::plan::{Host, Plan};
use crate::tap::host_of;

/// Every rare state that a campaign must have seen.
pub(crate) const RARE_STATES: [&str; 26] = [
    LEADER_CHANGE,
    SPLIT_VOTE,
    TWO_LEADERS,
    HIGHER_TERM,
    NO_QUORUM,
    SLOW_DISK,
    DIVERGED,
    INSTALLED,
    DAMAGED_AT_START,
    DAMAGED_WHILE_RUNNING,
    REPAIRED,
    UNKNOWN_OUTCOME,
    FAILED_OUTCOME,
    LOST_UNSYNCED,
    BEHIND_CHECKPOINT,
    DISK_FAILED,
    REFUSED,
    FOLLOWER_READ,
    RESTARTED_LEADER,
    JOINT,
    HANDED_OVER,
    GIVEN_UP,
    LEADER_REMOVED,
    SHORT_OF_ROOM,
    ROOM_AGAIN,
    FOUND_AT_REST,
];

/// Those that only some plans can bring about.
#[cfg(test)]
pub(crate) const ON_DEMAND: [&str; 6] = [LEASE_READ, CLEANED_UP, EXPIRED, REPLAYED, TERMS_DIFFER, PAST_GONE];

/// The rare states that a campaign must have seen for the sake of this plan.
pub(crate) fn wanted_by(plan: &Plan) -> Vec<&'static str> {
    let by_lease = (plan.workload.lease_percent > 0).then_some(LEASE_READ);
    let audited: &[&str] = if plan.workload.auditors > 0 { &[EXPIRED, REPLAYED, TERMS_DIFFER] } else { &[] };
    let forgets = plan.workload.auditors > 0 && plan.knobs.history_revisions > 0;
    let rest = [by_lease, plan.cleans_up().then_some(CLEANED_UP), forgets.then_some(PAST_GONE)];
    rest.into_iter().flatten().chain(audited.iter().copied()).collect()
}

/// For how long an order that is not answered may still be carried out.
const ORDERS_LAST: Duration = Duration::from_secs(30);

const LEADER_CHANGE: &str = "leader change";
const SPLIT_VOTE: &str = "election without a winner";
const TWO_LEADERS: &str = "two leaders at once, of different terms";
const HIGHER_TERM: &str = "leader deposed by a higher term";
const NO_QUORUM: &str = "leader steps down: hears no majority";
const SLOW_DISK: &str = "leader steps down: disk stands still";
const DIVERGED: &str = "diverged entries are replaced";
const INSTALLED: &str = "snapshot installed";
const DAMAGED_AT_START: &str = "damage found at a start";
const DAMAGED_WHILE_RUNNING: &str = "damage found while running";
const REPAIRED: &str = "damaged slot repaired";
const UNKNOWN_OUTCOME: &str = "unknown outcome";
const FAILED_OUTCOME: &str = "definite failure";
const LOST_UNSYNCED: &str = "unsynced writes lost";
const BEHIND_CHECKPOINT: &str = "log begins after a checkpoint";
const DISK_FAILED: &str = "server stopped by its disk";
const REFUSED: &str = "server will not start on a lost disk";
const FOLLOWER_READ: &str = "read served by a follower";
const RESTARTED_LEADER: &str = "leader ended";
const JOINT: &str = "joint configuration";
const HANDED_OVER: &str = "leader told to run by another";
const GIVEN_UP: &str = "hand-over given up";
const LEADER_REMOVED: &str = "leader steps down: no longer votes";
const FOUND_AT_REST: &str = "damage found at rest, without a restart";
const SHORT_OF_ROOM: &str = "no room for more log";
const ROOM_AGAIN: &str = "room for the log again, without a restart";
const LEASE_READ: &str = "read served by lease";
const CLEANED_UP: &str = "dead voter taken out";
const EXPIRED: &str = "key gone by itself";
const REPLAYED: &str = "answer given again to a repeated request";
const TERMS_DIFFER: &str = "transaction not done on other terms";
const PAST_GONE: &str = "past gone that somebody wants";

/// Counts rare states.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    counts: Counts,
    leaders: BTreeMap<Host, Term>,
    campaigns: BTreeMap<Host, Term>,
    elected: Term,
    /// Questions that a lease is enough for and that arrived at this moment: who was asked, by whom, and their numbers.
    lease_questions: (Time, Vec<(Host, Host, u64)>),
    voters: BTreeMap<Host, Vec<NodeId>>,
    /// What operators have asked for lately.
    orders: VecDeque<(Time, Wanted)>,
}

impl Rare {
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) {
        match observation {
            Observation::Event { host, event } => self.event(*host, event),
            Observation::Stands { host, stand } => {
                if stand.role != Role::Leader {
                    self.leaders.remove(host);
                } else if self.leaders.insert(*host, stand.term).is_none() && self.leaders.len() > 1 {
                    self.counts.note(TWO_LEADERS);
                }
            }
            Observation::Writes { write, .. } => {
                if write.truncate_from.is_some() {
                    self.counts.note(DIVERGED);
                }
                if write.install.is_some() {
                    self.counts.note(INSTALLED);
                }
            }
            Observation::Started { host, found } => {
                let lost =
                    evidence.ledger.host(*host).is_some_and(|log| log.written_before > log.durable.last());
                for (state, seen) in [
                    (DAMAGED_AT_START, !found.damaged.is_empty() || found.unknown.is_some()),
                    (BEHIND_CHECKPOINT, found.base.index.0 > 0),
                    (LOST_UNSYNCED, lost),
                ] {
                    if seen {
                        self.counts.note(state);
                    }
                }
            }
            Observation::FoundAtRest { .. } => self.counts.note(FOUND_AT_REST),
            Observation::Members { host, voters, outgoing, .. } => {
                self.members(evidence.at, *host, voters, outgoing);
            }
            Observation::Orders { wanted, .. } => {
                while self.orders.pop_front_if(|(at, _)| *at + ORDERS_LAST < evidence.at).is_some() {}
                self.orders.push_back((evidence.at, wanted.clone()));
            }
            Observation::ServedByLease { .. } => self.counts.note(LEASE_READ),
            Observation::Received { from, to, said }
                if said.kind == MessageKind::ReadIndex && said.numbers[1] == 1 =>
            {
                if self.lease_questions.0 != evidence.at {
                    self.lease_questions = (evidence.at, Vec::new());
                }
                self.lease_questions.1.push((*to, *from, said.numbers[0]));
            }
            // A round takes longer.
            Observation::Sent { from, to, said } if said.kind == MessageKind::ReadIndexReply => {
                let question = (*from, *to, said.numbers[0]);
                let (at, asked) = &self.lease_questions;
                if *at == evidence.at && asked.contains(&question) {
                    self.counts.note(LEASE_READ);
                }
            }
            Observation::Ended { host, why } => self.ended(*host, why),
            Observation::Account { account, .. } => self.account(account),
            Observation::Hears { outcome: Outcome::Unknown, .. } => self.counts.note(UNKNOWN_OUTCOME),
            Observation::Hears { outcome: Outcome::Failed, .. } => self.counts.note(FAILED_OUTCOME),
            Observation::Received { said, .. } if said.kind == MessageKind::ReadIndexReply => {
                self.counts.note(FOLLOWER_READ);
            }
            _ => {}
        }
    }

    fn account(&mut self, account: &Account) {
        let states = match account {
            Account::Saw(Seen { expired: true, .. }) => [Some(EXPIRED), None],
            Account::Followed { changes, .. } if changes.iter().any(|seen| seen.expired) => {
                [Some(EXPIRED), None]
            }
            Account::Done { is_replay: true, .. } => [Some(REPLAYED), None],
            Account::Differs { is_replay, .. } | Account::Taken { is_replay, .. } => {
                [Some(TERMS_DIFFER), is_replay.then_some(REPLAYED)]
            }
            Account::Gone { .. } | Account::Reset { .. } => [Some(PAST_GONE), None],
            _ => [None, None],
        };
        states.into_iter().flatten().for_each(|state| self.counts.note(state));
    }

    fn members(&mut self, at: Time, host: Host, voters: &[NodeId], outgoing: &[NodeId]) {
        if !outgoing.is_empty() {
            self.counts.note(JOINT);
        }
        // Joint ones are not kept: what follows one is as somebody ordered.
        let known = if outgoing.is_empty() { voters.to_vec() } else { Vec::new() };
        let before = self.voters.insert(host, known).unwrap_or_default();
        let gone: Vec<&NodeId> = before.iter().filter(|id| !voters.contains(id)).collect();
        if let [gone] = gone[..]
            && self.leaders.contains_key(&host)
            && outgoing.is_empty()
            && !self
                .orders
                .iter()
                .any(|(asked, wanted)| *asked + ORDERS_LAST >= at && takes_out(wanted, *gone))
        {
            self.counts.note(CLEANED_UP);
        }
    }

    fn ended(&mut self, host: Host, why: &Ended) {
        self.campaigns.remove(&host);
        if self.leaders.remove(&host).is_some() {
            self.counts.note(RESTARTED_LEADER);
        }
        match why {
            Ended::DiskFailed => self.counts.note(DISK_FAILED),
            Ended::Refused(_) => self.counts.note(REFUSED),
            Ended::Killed | Ended::Stopped | Ended::PowerLost | Ended::DiskLost => {}
        }
    }

    fn event(&mut self, host: Host, event: &Event) {
        match event {
            Event::BecameLeader { term } => {
                if self.elected > Term(0) {
                    self.counts.note(LEADER_CHANGE);
                }
                self.elected = *term;
                self.campaigns.remove(&host);
            }
            Event::Campaign { term, cause } => {
                if *cause == CampaignCause::Transfer {
                    self.counts.note(HANDED_OVER);
                }
                if self.campaigns.insert(host, *term).is_some() {
                    self.counts.note(SPLIT_VOTE);
                }
            }
            Event::Follows { .. } => drop(self.campaigns.remove(&host)),
            Event::SteppedDown { cause, .. } => self.counts.note(match cause {
                StepDownCause::HigherTerm => HIGHER_TERM,
                StepDownCause::NoQuorum => NO_QUORUM,
                StepDownCause::SlowDisk => SLOW_DISK,
                StepDownCause::Damage => "leader steps down: damage",
                StepDownCause::Removed => LEADER_REMOVED,
            }),
            Event::Damaged { .. } => self.counts.note(DAMAGED_WHILE_RUNNING),
            Event::Repaired { .. } => self.counts.note(REPAIRED),
            Event::TransferGivenUp { .. } => self.counts.note(GIVEN_UP),
            Event::ShortOfRoom => self.counts.note(SHORT_OF_ROOM),
            Event::RoomAgain => self.counts.note(ROOM_AGAIN),
            Event::MembersChanged { .. }
            | Event::TransferBegun { .. }
            | Event::Doubts { .. }
            | Event::GaveUp { .. }
            | Event::Nonsense { .. } => {}
        }
    }
}

/// Whether what an operator wants takes this voter out of the voters.
fn takes_out(wanted: &Wanted, voter: NodeId) -> bool {
    match wanted {
        Wanted::Gone(id) => *id == voter,
        Wanted::Members { voters, .. } => !voters.contains(&voter),
        Wanted::Member(id) => *id != voter && machine_of(host_of(id.0)) == machine_of(host_of(voter.0)),
        Wanted::Voter(_) => false,
    }
}

//! A leader names the index for a follower's reads only after it committed an entry of its own term, and after a
//! majority has answered a round of heartbeats that began when the question was there (thesis §6.4); for a question
//! that a lease is enough for, or after a majority has answered a round that was sent, by its own clock, less than the
//! lease's span ago (§6.4.1). What it reads itself by its lease is held to the same.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use quorate_node::raft::{NodeId, Role, Term, Time};

use super::{Checker, Evidence};
use crate::clock::HostClock;
use crate::identity::machine_of;
use crate::observe::{MessageKind, Observation, Said, Stand};
use crate::plan::{Host, Plan};
use crate::tap::host_of;

/// What leaders have asked and heard, and what they were asked.
#[derive(Debug, Default)]
pub(crate) struct ReadConfirmed {
    /// How long a lease holds, where clocks are ones that leases reckon with.
    lease: Option<Duration>,
    clocks: BTreeMap<Host, HostClock>,
    /// When each round of a server in a term was first sent, by its own clock, as far back as a lease may go.
    sent: BTreeMap<(Host, Term), VecDeque<(u64, Time)>>,
    /// The newest round of heartbeats of a server in a term.
    rounds: BTreeMap<(Host, Term), u64>,
    /// The newest of them that a peer has answered.
    answered: BTreeMap<(Host, Term, Host), u64>,
    /// The round that a question came after, and whether a lease is enough for it.
    asked: BTreeMap<(Host, Term, Host, u64), (u64, bool)>,
    voters: BTreeMap<Host, [Vec<NodeId>; 2]>,
    /// The voters before, and until when they were such: within one turn a leader may answer under the one
    /// configuration and then append the other.
    before: BTreeMap<Host, (Time, [Vec<NodeId>; 2])>,
    stands: BTreeMap<Host, Stand>,
    /// What looks wrong under the configuration that was in force before this turn: within one turn a leader may
    /// append a configuration and count under it, and the configuration is seen when the turn ends.
    suspect: Option<Suspect>,
    /// Who named an index before it was seen to have committed in this term: within one turn it may have done both, and
    /// how it stands is seen when the turn ends.
    unsettled: Option<(Time, Host, Term)>,
}

#[derive(Debug)]
struct Suspect {
    at: Time,
    host: Host,
    term: Term,
    after: u64,
    by_lease: bool,
    what: String,
}

impl ReadConfirmed {
    pub(crate) fn new(plan: &Plan) -> Self {
        let lease = plan.keeps_leases().then(|| plan.election_timeout() * 9 / 10);
        ReadConfirmed { lease, ..ReadConfirmed::default() }
    }
}

impl Checker for ReadConfirmed {
    fn name(&self) -> &'static str {
        "read-confirmed"
    }

    fn hears_messages(&self) -> bool {
        true
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        if let Some(suspect) = self.suspect.take_if(|suspect| suspect.at < evidence.at) {
            return Err(suspect.what);
        }
        if let Some((_, host, _)) = self.unsettled.take_if(|(at, ..)| *at < evidence.at) {
            return Err(unsettled(host));
        }
        match observation {
            Observation::Members { host, voters, outgoing, .. } => {
                let before = self.voters.insert(*host, [voters.clone(), outgoing.clone()]);
                self.before.insert(*host, (evidence.at, before.unwrap_or_default()));
                if let Some(suspect) = self.suspect.take_if(|suspect| suspect.host == *host)
                    && self.lacking(*host, suspect.term, suspect.after).is_some()
                    && !(suspect.by_lease && self.holds_lease(evidence.at, *host, suspect.term))
                {
                    return Err(suspect.what);
                }
            }
            Observation::Stands { host, stand } => {
                self.stands.insert(*host, *stand);
                if let Some((_, _, term)) = self.unsettled.take_if(|(_, of, _)| of == host)
                    && !self.is_settled(evidence, *host, term)
                {
                    return Err(unsettled(*host));
                }
            }
            Observation::Received { from, to, said } => self.received(*from, *to, said),
            Observation::Sent { from, said, .. } if said.kind == MessageKind::Heartbeat => {
                self.rounds.insert((*from, said.term), said.numbers[0]);
                self.note_sent(evidence.at, *from, said);
            }
            Observation::Clock { host, shows, rate } => {
                self.clocks.insert(*host, HostClock::showing(evidence.at, *shows, *rate));
            }
            Observation::ServedByLease { host } => return self.served_by_lease(evidence.at, *host),
            Observation::Sent { from, to, said } if said.kind == MessageKind::ReadIndexReply => {
                return self.replied(evidence, *from, *to, said);
            }
            _ => {}
        }
        Ok(())
    }
}

impl ReadConfirmed {
    fn received(&mut self, from: Host, to: Host, said: &Said) {
        match said.kind {
            MessageKind::HeartbeatReply => {
                let newest = self.answered.entry((to, said.term, from)).or_default();
                *newest = said.numbers[0].max(*newest);
            }
            MessageKind::ReadIndex => {
                let round = self.rounds.get(&(to, said.term)).copied().unwrap_or(0);
                let question = (to, said.term, from, said.numbers[0]);
                self.asked.entry(question).or_insert((round, said.numbers[1] == 1));
            }
            _ => {}
        }
    }

    fn replied(&mut self, evidence: &Evidence<'_>, host: Host, to: Host, said: &Said) -> Result<(), String> {
        // A question that arrives twice may be answered twice; the first time it was asked is what counts.
        let Some((after, by_lease)) = self.asked.get(&(host, said.term, to, said.numbers[0])).copied() else {
            return Err(format!("host {host} answered a question of host {to} that it was never asked"));
        };
        let leased = by_lease && self.holds_lease(evidence.at, host, said.term);
        if let Some((have, of)) = self.lacking(host, said.term, after).filter(|_| !leased) {
            let lease = if by_lease { ", and it holds no lease" } else { "" };
            let what = format!(
                "host {host} named an index for a read of host {to}, and only {have} of {of} voters had answered since \
                 it was asked{lease}"
            );
            let (at, term) = (evidence.at, said.term);
            self.suspect.get_or_insert(Suspect { at, host, term, after, by_lease, what });
        }
        if !self.is_settled(evidence, host, said.term) {
            self.unsettled.get_or_insert((evidence.at, host, said.term));
        }
        Ok(())
    }

    fn note_sent(&mut self, at: Time, host: Host, said: &Said) {
        let (Some(lease), Some(clock)) = (self.lease, self.clocks.get(&machine_of(host))) else { return };
        let (round, shows) = (said.numbers[0], clock.at(at));
        let sent = self.sent.entry((host, said.term)).or_default();
        while sent.pop_front_if(|(_, then)| shows.since(*then) > lease * 2).is_some() {}
        if sent.back().is_none_or(|(newest, _)| *newest < round) {
            sent.push_back((round, shows));
        }
    }

    fn served_by_lease(&self, at: Time, host: Host) -> Result<(), String> {
        let Some(stand) = self.stands.get(&host) else { return Ok(()) };
        if self.holds_lease(at, host, stand.term) {
            return Ok(());
        }
        Err(format!(
            "host {host} answered a read by its lease, and no majority has answered a round that it sent less than \
             {:?} ago by its clock",
            self.lease.unwrap_or_default()
        ))
    }

    /// Whether a majority has answered a round of this term that is young enough; with clocks that leases can't reckon
    /// with, any round.
    fn holds_lease(&self, at: Time, host: Host, term: Term) -> bool {
        let Some(lease) = self.lease else { return self.lacking(host, term, 0).is_none() };
        let Some(clock) = self.clocks.get(&machine_of(host)) else { return false };
        let shows = clock.at(at);
        let sent = self.sent.get(&(host, term)).into_iter().flatten();
        let mut young = sent.filter(|(_, then)| shows.since(*then) < lease);
        // Whoever has answered a later round has answered this one as well.
        young.next().is_some_and(|(round, _)| {
            let before = self.before.get(&host).filter(|(until, _)| *until == at);
            let lacks_now = self.lacking(host, term, round - 1).is_some();
            !lacks_now
                || before.is_some_and(|(_, halves)| self.lacks(halves, host, term, round - 1).is_none())
        })
    }

    /// Whether a leader of this term has committed in it, as far as can be seen.
    fn is_settled(&self, evidence: &Evidence<'_>, host: Host, term: Term) -> bool {
        self.stands.get(&host).is_none_or(|stand| {
            let log = evidence.ledger.host(host);
            let slot = log.and_then(|log| log.written.slot(stand.commit));
            stand.role != Role::Leader || stand.term != term || slot.is_none_or(|(id, _)| id.term == term)
        })
    }

    /// Of a half of which no majority has answered a later round: how many have, and of how many.
    fn lacking(&self, host: Host, term: Term, after: u64) -> Option<(usize, usize)> {
        self.lacks(self.voters.get(&host)?, host, term, after)
    }

    fn lacks(&self, halves: &[Vec<NodeId>; 2], host: Host, term: Term, after: u64) -> Option<(usize, usize)> {
        let answered = |voter: &&NodeId| {
            let voter = host_of(voter.0);
            voter == host || self.answered.get(&(host, term, voter)).is_some_and(|round| *round > after)
        };
        let halves = halves.iter().filter(|half| !half.is_empty());
        halves
            .map(|half| (half.iter().filter(answered).count(), half.len()))
            .find(|(have, of)| have * 2 <= *of)
    }
}

fn unsettled(host: Host) -> String {
    format!("host {host} named an index for a read before it committed in its term")
}

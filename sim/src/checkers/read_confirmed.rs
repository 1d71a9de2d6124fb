//! A leader names the index for a follower's reads only after it committed an entry of its own term, and after a
//! majority has answered a round of heartbeats that began when the question was there (thesis §6.4); for a question
//! that a lease is enough for, one that was answered at all (§6.4.1).

use std::collections::BTreeMap;

use quorate_node::raft::{NodeId, Role, Term, Time};

use super::{Checker, Evidence};
use crate::observe::{MessageKind, Observation, Said, Stand};
use crate::plan::Host;
use crate::tap::host_of;

/// What leaders have asked and heard, and what they were asked.
#[derive(Debug, Default)]
pub(crate) struct ReadConfirmed {
    /// The newest round of heartbeats of a server in a term.
    rounds: BTreeMap<(Host, Term), u64>,
    /// The newest of them that a peer has answered.
    answered: BTreeMap<(Host, Term, Host), u64>,
    /// The round that a question came after.
    asked: BTreeMap<(Host, Term, Host, u64), u64>,
    voters: BTreeMap<Host, [Vec<NodeId>; 2]>,
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
    what: String,
}

impl Checker for ReadConfirmed {
    fn name(&self) -> &'static str {
        "read-confirmed"
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
                self.voters.insert(*host, [voters.clone(), outgoing.clone()]);
                if let Some(suspect) = self.suspect.take_if(|suspect| suspect.host == *host)
                    && self.lacking(*host, suspect.term, suspect.after).is_some()
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
            }
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
                let by_lease = said.numbers[1] == 1;
                let round = self.rounds.get(&(to, said.term)).copied().filter(|_| !by_lease).unwrap_or(0);
                self.asked.entry((to, said.term, from, said.numbers[0])).or_insert(round);
            }
            _ => {}
        }
    }

    fn replied(&mut self, evidence: &Evidence<'_>, host: Host, to: Host, said: &Said) -> Result<(), String> {
        // A question that arrives twice may be answered twice; the first time it was asked is what counts.
        let Some(after) = self.asked.get(&(host, said.term, to, said.numbers[0])).copied() else {
            return Err(format!("host {host} answered a question of host {to} that it was never asked"));
        };
        if let Some((have, of)) = self.lacking(host, said.term, after) {
            let what = format!(
                "host {host} named an index for a read of host {to}, and only {have} of {of} voters had answered since it \
                 was asked"
            );
            self.suspect.get_or_insert(Suspect { at: evidence.at, host, term: said.term, after, what });
        }
        if !self.is_settled(evidence, host, said.term) {
            self.unsettled.get_or_insert((evidence.at, host, said.term));
        }
        Ok(())
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
        let answered = |voter: &&NodeId| {
            let voter = host_of(voter.0);
            voter == host || self.answered.get(&(host, term, voter)).is_some_and(|round| *round > after)
        };
        let halves = self.voters.get(&host)?.iter().filter(|half| !half.is_empty());
        halves
            .map(|half| (half.iter().filter(answered).count(), half.len()))
            .find(|(have, of)| have * 2 <= *of)
    }
}

fn unsettled(host: Host) -> String {
    format!("host {host} named an index for a read before it committed in its term")
}

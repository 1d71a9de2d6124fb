//! Who has answered a leader helps no other into office for an election timeout, in any term and whatever it forgets
//! (thesis §4.2.3 and §6.4.1): the leader counts on it when it serves reads by its lease. Only a candidate that a
//! leader told to run is excused.
//!
//! That a promise is broken is seldom seen in what comes of it: the leader must have been about to serve such a read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_node::raft::{Term, Time};

use super::{Checker, Evidence};
use crate::clock::RIGHT;
use crate::identity::machine_of;
use crate::observe::{MessageKind, Observation, Said};
use crate::plan::{Host, Plan};

/// Looks at who answers whom while a promise stands.
#[derive(Debug)]
pub(crate) struct PromiseKept {
    election_timeout: Duration,
    /// When a server last took a heartbeat, and whose and of which term it was.
    beaten: BTreeMap<Host, (Host, Term, Time)>,
    /// When a server took the last heartbeat that it answered.
    promised: BTreeMap<Host, Time>,
    /// Who was asked by whom to help in which term, and whether it may have.
    asked: BTreeMap<(Host, Host, Term, MessageKind), bool>,
    /// The machines whose clocks run at another rate than time.
    off: BTreeSet<Host>,
}

impl PromiseKept {
    pub(crate) fn new(plan: &Plan) -> Self {
        PromiseKept {
            election_timeout: plan.election_timeout(),
            beaten: BTreeMap::new(),
            promised: BTreeMap::new(),
            asked: BTreeMap::new(),
            off: BTreeSet::new(),
        }
    }

    /// A promise counts by the clock of the server that gave it. One that was changed is left alone: what it showed in
    /// between is not known to a minute.
    fn clock(&mut self, machine: Host, rate: u64) {
        self.promised.retain(|host, _| machine_of(*host) != machine);
        self.beaten.retain(|host, _| machine_of(*host) != machine);
        match rate {
            RIGHT => self.off.remove(&machine),
            _ => self.off.insert(machine),
        };
    }

    fn received(&mut self, at: Time, from: Host, to: Host, said: &Said) {
        match said.kind {
            MessageKind::Heartbeat => {
                self.beaten.insert(to, (from, said.term, at));
            }
            MessageKind::PreVote | MessageKind::Vote => {
                let excused = said.kind == MessageKind::Vote && said.numbers[2] == 1;
                let promised = self.promised.get(&to);
                let is_over = promised.is_none_or(|promised| at.since(*promised) >= self.election_timeout);
                // Of several that ask alike one may have come in time.
                *self.asked.entry((to, from, said.term, said.kind)).or_default() |= excused || is_over;
            }
            _ => {}
        }
    }

    fn sent(&mut self, from: Host, to: Host, said: &Said) -> Result<(), String> {
        let (kind, what) = match said.kind {
            MessageKind::HeartbeatReply => {
                let beaten = self.beaten.get(&from).filter(|(by, term, _)| (*by, *term) == (to, said.term));
                if let Some((_, _, at)) = beaten.filter(|_| !self.off.contains(&machine_of(from))) {
                    self.promised.insert(from, *at);
                }
                return Ok(());
            }
            MessageKind::PreVoteReply => (MessageKind::PreVote, "would vote"),
            MessageKind::VoteReply => (MessageKind::Vote, "votes"),
            _ => return Ok(()),
        };
        let may = self.asked.get(&(from, to, said.term, kind)).copied();
        if said.numbers[0] == 0 || may != Some(false) {
            return Ok(());
        }
        Err(format!(
            "host {from} {what} for host {to} in term {}, less than {:?} after it had answered a leader",
            said.term.0, self.election_timeout
        ))
    }
}

impl Checker for PromiseKept {
    fn name(&self) -> &'static str {
        "promise-kept"
    }

    fn hears_messages(&self) -> bool {
        true
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        match observation {
            // What it forgets it has promised all the same.
            Observation::Ended { host, .. } => self.asked.retain(|(asked, ..), _| asked != host),
            Observation::Clock { host, rate, .. } => self.clock(*host, *rate),
            Observation::Received { from, to, said } => self.received(evidence.at, *from, *to, said),
            Observation::Sent { from, to, said } => return self.sent(*from, *to, said),
            _ => {}
        }
        Ok(())
    }
}

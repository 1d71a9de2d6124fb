//! Who may ask, run, vote and lead (thesis §3.4, §3.6.1, §9.6).

use std::collections::BTreeMap;

use quorate_node::raft::trace::Slot;

use super::history::{History, Reign};
use super::node::{Hard, Node, Role};
use super::quorum::agrees;
use super::{Guard, must};

impl Node {
    /// `UpdateTerm`: a message of that term came. Somebody must have begun it.
    pub(super) fn enters(&mut self, history: &History, term: u64) -> Guard {
        must(term > self.hard.term, || format!("term {term} is not above {}", self.hard.term))?;
        must(history.terms.get(&term).is_some_and(|known| known.begun), || {
            format!("nobody has begun term {term}")
        })?;
        self.move_to(Hard { term, vote: None }, Role::Follower(None));
        Ok(())
    }

    /// Each yes that it counts was said, in that term and to it; its own counts when it is durable
    /// (vesoft-inc/nebula#3415, andreev-io/little-raft#44).
    pub(super) fn counts(&mut self, history: &History, asking: bool, votes: &[u128]) -> Guard {
        let term = if asking { self.hard.term + 1 } else { self.hard.term };
        for voter in votes {
            let said = history.terms.get(&term).is_some_and(|known| {
                let said = if asking { &known.would } else { &known.granted };
                said.contains(&(*voter, self.id))
            });
            let voted = self.durable == self.hard && self.hard.vote == Some(self.id);
            let own = *voter == self.id && (asking || voted);
            must(said || own, || format!("{voter:x} has not said yes to it in term {term}, durably"))?;
        }
        self.counted = Some((asking, votes.to_vec()));
        Ok(())
    }

    /// Whether the votes counted last are of this kind and a majority.
    fn has_won(&self, history: &History, asking: bool) -> Guard {
        let votes = self.counted.as_ref().filter(|counted| counted.0 == asking).map(|counted| &counted.1);
        let votes = votes.ok_or("it has counted no such votes")?;
        let members = self.in_force(history).ok_or("it knows of no configuration")?;
        must(agrees(members, |id| votes.contains(&id)), || {
            format!("the votes {votes:x?} are no majority of {members:x?}")
        })
    }

    /// `Timeout`: the next term, with its own vote. It asked first, or its leader told it to.
    pub(super) fn campaigns(&mut self, history: &mut History, term: u64, transfer: bool) -> Guard {
        must(!self.leads(), || "it leads".to_owned())?;
        must(term == self.hard.term + 1, || format!("term {term} is not the one after {}", self.hard.term))?;
        must(self.tail.is_none(), || "it has lost the end of its log".to_owned())?;
        must(self.may_be_needed(history), || "it votes in no configuration that may still count".to_owned())?;
        if transfer {
            let told = history.reign(self.hard.term).is_some_and(|reign| reign.handed_to.contains(&self.id));
            must(told, || "no leader of its term told it to run".to_owned())?;
            must(self.is_fit_to_lead(), || "it has lost what it would need as a leader".to_owned())?;
        } else {
            self.has_won(history, true)?;
        }
        let known = history.term(term);
        known.begun = true;
        known.candidates.insert(self.id, self.log.last());
        self.move_to(Hard { term, vote: Some(self.id) }, Role::Candidate);
        Ok(())
    }

    /// `HandleRequestVoteRequest`, when it grants: one vote a term, to one whose log is not older than its own, term
    /// before index (openraft a48a3282).
    pub(super) fn votes(&mut self, history: &History, candidate: u128) -> Guard {
        let term = self.hard.term;
        must(!self.leads(), || "it leads".to_owned())?;
        must(self.hard.vote.is_none(), || {
            format!("its vote in term {term} is given: {:x?}", self.hard.vote)
        })?;
        must(self.tail.is_none(), || "it has lost the end of its log".to_owned())?;
        let ran = history.terms.get(&term).and_then(|known| known.candidates.get(&candidate).copied());
        let theirs = ran.ok_or_else(|| format!("{candidate:x} does not run in term {term}"))?;
        let ours = self.log.last();
        must(theirs >= ours, || format!("{candidate:x}'s log ends at {theirs:?}, its own at {ours:?}"))?;
        self.hard.vote = Some(candidate);
        self.role = Role::Follower(None);
        Ok(())
    }

    /// `BecomeLeader`.
    pub(super) fn leads_from_now(&mut self, history: &mut History, term: u64) -> Guard {
        must(term == self.hard.term, || format!("it is in term {}", self.hard.term))?;
        must(self.role == Role::Candidate, || "it does not run in this term".to_owned())?;
        self.has_won(history, false)?;
        let known = history.term(term);
        if let Some(reign) = &known.reign {
            return Err(format!("{:x} leads term {term} already", reign.leader));
        }
        known.reign = Some(Reign {
            leader: self.id,
            log: self.log.clone(),
            first_own: self.log.last().index + 1,
            commit: self.commit,
            round: 0,
            acked: BTreeMap::new(),
            answered: BTreeMap::new(),
            handed_to: Default::default(),
        });
        self.role = Role::Leader;
        self.reads.begin();
        Ok(())
    }

    pub(super) fn yields(&mut self, term: u64) -> Guard {
        must(self.role == Role::Candidate && term == self.hard.term, || {
            "it does not run in this term".to_owned()
        })?;
        self.role = Role::Follower(None);
        Ok(())
    }

    pub(super) fn resigns(&mut self, term: u64) -> Guard {
        self.must_lead()?;
        must(term == self.hard.term, || format!("it is in term {}", self.hard.term))?;
        self.role = Role::Follower(None);
        self.reads.begin();
        Ok(())
    }

    /// Only who was elected leads.
    pub(super) fn follows(&mut self, history: &History, leader: u128) -> Guard {
        must(!self.leads(), || "it leads".to_owned())?;
        must(history.reign(self.hard.term).is_some_and(|reign| reign.leader == leader), || {
            format!("{leader:x} was not elected in term {}", self.hard.term)
        })?;
        self.role = Role::Follower(Some(leader));
        Ok(())
    }

    /// A question before an election promises nothing, but who is damaged or no voter must not ask.
    pub(super) fn asks(&self, history: &mut History, term: u64, last: Slot) -> Guard {
        must(!self.leads(), || "it leads".to_owned())?;
        must(term == self.hard.term + 1, || format!("it asks about {term} in term {}", self.hard.term))?;
        must(last == self.log.last(), || format!("its log ends at {:?}", self.log.last()))?;
        must(self.is_fit_to_lead(), || "it has lost what it would need as a leader".to_owned())?;
        must(self.may_be_needed(history), || "it votes in no configuration that may still count".to_owned())?;
        let asked = history.term(term).askers.entry(self.id).or_default();
        *asked = last.max(*asked);
        Ok(())
    }

    pub(super) fn would(&self, history: &mut History, to: u128, term: u64) -> Guard {
        must(!self.leads(), || "it leads".to_owned())?;
        must(term > self.hard.term, || format!("it is in term {} already", self.hard.term))?;
        must(self.tail.is_none(), || "it has lost the end of its log".to_owned())?;
        let known = history.term(term);
        let theirs = known.askers.get(&to).copied().ok_or_else(|| format!("{to:x} has not asked"))?;
        let ours = self.log.last();
        must(theirs >= ours, || format!("{to:x}'s log ends at {theirs:?}, its own at {ours:?}"))?;
        known.would.insert((self.id, to));
        Ok(())
    }

    /// `RequestVote`. Who calls for votes has given its own to itself. It calls with the log that it had when it ran: a
    /// call that waits for the disk may leave when the server follows another that was elected meanwhile.
    pub(super) fn calls(&self, history: &History, term: u64, last: Slot) -> Guard {
        must(self.hard.vote == Some(self.id), || format!("its vote is {:x?}", self.hard.vote))?;
        let ran = history.terms.get(&term).and_then(|known| known.candidates.get(&self.id));
        must(ran == Some(&last), || format!("in term {term} it ran with a log that ends at {ran:?}"))
    }

    pub(super) fn grants(&self, history: &mut History, to: u128, term: u64) -> Guard {
        must(self.hard.vote == Some(to), || format!("its vote is {:x?}", self.hard.vote))?;
        history.term(term).granted.insert((self.id, to));
        Ok(())
    }
}

//! What may be said. A message promises something to its receiver, for whatever time it takes to arrive; so what it
//! says must be so, durably, when it leaves.

use quorate_node::raft::trace::{Slot, Step};

use super::damage::Reach;
use super::history::History;
use super::node::Node;
use super::{Guard, must};

/// Whether a server may say this. It becomes part of the history.
pub(super) fn may_say(node: &mut Node, history: &mut History, said: &Step) -> Result<Option<Reach>, String> {
    match said {
        // These two promise nothing, and need not wait for anything.
        Step::Asks { term, last, .. } => node.asks(history, *term, *last)?,
        Step::Would { to, term } => node.would(history, *to, *term)?,
        _ => return node.says(history, said),
    }
    Ok(None)
}

impl Node {
    fn says(&mut self, history: &mut History, said: &Step) -> Result<Option<Reach>, String> {
        self.may_speak(term_of(said))?;
        match said {
            Step::Calls { term, last, .. } => self.calls(history, *term, *last)?,
            Step::Grants { to, term } => self.grants(history, *to, *term)?,
            Step::Sends { prev, last, commit, .. } => self.sends(*prev, *last, *commit)?,
            Step::Acks { to, term, matched } => self.acks(history, *to, *term, *matched)?,
            Step::Refuses { prev, .. } => self.refuses(*prev)?,
            Step::Beats { term, round, commit, .. } => self.beats(history, *term, *round, *commit)?,
            Step::Answers { to, term, round, verified, matched } => {
                self.answers(history, (*to, *term), *round, (*verified, *matched))?;
            }
            Step::Hands { to, term } => self.hands(history, *to, *term)?,
            Step::Names { to, batch, index, .. } => self.names(*to, *batch, *index)?,
            Step::Tells { to, term, leads_to, committed, never } => {
                return self.tells(history, (*to, *term), *leads_to, *committed, *never);
            }
            _ => {}
        }
        Ok(None)
    }

    /// `AppendEntries`: what it sends is in its log, and what it says is committed is so.
    fn sends(&self, prev: Slot, last: Slot, commit: u64) -> Guard {
        self.must_lead()?;
        must(self.log.holds(prev) && self.log.holds(last), || {
            let at = |slot: Slot| self.log.slot(slot.index);
            format!("its log has {:?} and {:?} there", at(prev), at(last))
        })?;
        must(commit <= self.commit, || format!("it has committed up to {}", self.commit))
    }

    /// What it acknowledges is its leader's, durable and intact (tikv/tikv#994).
    fn has_what_it_acknowledges(&self, matched: u64) -> Guard {
        must(matched <= self.verified, || format!("it has verified its log up to {}", self.verified))?;
        must(self.holds_durably(matched), || {
            let (log, disk) = (self.log.slot(matched), self.disk.slot(matched));
            format!("its log has {log:?} there, its disk {disk:?}, with {:?} lost", self.lost)
        })
    }

    fn acks(&self, history: &mut History, to: u128, term: u64, matched: u64) -> Guard {
        self.has_what_it_acknowledges(matched)?;
        let reign = history.reign_mut(term).filter(|reign| reign.leader == to);
        let reign = reign.ok_or_else(|| format!("{to:x} does not lead term {term}"))?;
        let acked = reign.acked.entry(self.id).or_default();
        *acked = matched.max(*acked);
        Ok(())
    }

    fn refuses(&self, prev: Slot) -> Guard {
        must(!self.log.holds(prev), || "it has that slot".to_owned())
    }

    fn beats(&self, history: &mut History, term: u64, round: u64, commit: u64) -> Guard {
        self.must_lead()?;
        must(commit <= self.commit, || format!("it has committed up to {}", self.commit))?;
        let reign = history.reign_mut(term).ok_or("nobody leads its term")?;
        reign.round = reign.round.max(round);
        Ok(())
    }

    /// Said to a leader of an older term it answers no round, and acknowledges nothing.
    fn answers(
        &self,
        history: &mut History,
        (to, term): (u128, u64),
        round: u64,
        (verified, matched): (u64, u64),
    ) -> Guard {
        must(verified <= self.verified, || format!("it has verified its log up to {}", self.verified))?;
        if matched > 0 {
            self.has_what_it_acknowledges(matched)?;
        }
        let Some(reign) = history.reign_mut(term).filter(|reign| reign.leader == to) else {
            return must(round == 0 && matched == 0, || format!("{to:x} does not lead term {term}"));
        };
        must(round <= reign.round, || format!("the leader's last round is {}", reign.round))?;
        let answered = reign.answered.entry(self.id).or_default();
        *answered = round.max(*answered);
        let acked = reign.acked.entry(self.id).or_default();
        *acked = matched.max(*acked);
        Ok(())
    }

    /// A leader hands over to a voter (thesis §3.10).
    fn hands(&self, history: &mut History, to: u128, term: u64) -> Guard {
        self.must_lead()?;
        let votes = self.in_force(history).is_some_and(|members| members.voters.contains(&to));
        must(votes, || format!("{to:x} does not vote"))?;
        if let Some(reign) = history.reign_mut(term) {
            reign.handed_to.insert(to);
        }
        Ok(())
    }

    fn tells(
        &self,
        history: &mut History,
        (to, term): (u128, u64),
        leads_to: Option<Slot>,
        committed: Slot,
        never: Option<Slot>,
    ) -> Result<Option<Reach>, String> {
        must(committed.index <= self.commit, || format!("it has committed up to {}", self.commit))?;
        must(committed == Slot::default() || self.log.holds(committed), || "it has no such slot".to_owned())?;
        if let Some(slot) = never {
            self.never_had(slot)?;
            history.term(term).never.insert((self.id, slot));
        }
        let Some(end) = leads_to else { return Ok(None) };
        self.must_lead()?;
        must(end == self.log.last(), || format!("its log ends at {:?}", self.log.last()))?;
        Ok(Some(Reach { to, term, index: end.index }))
    }
}

fn term_of(said: &Step) -> u64 {
    match said {
        Step::Calls { term, .. }
        | Step::Grants { term, .. }
        | Step::Sends { term, .. }
        | Step::Acks { term, .. }
        | Step::Refuses { term, .. }
        | Step::Beats { term, .. }
        | Step::Answers { term, .. }
        | Step::Hands { term, .. }
        | Step::Names { term, .. }
        | Step::Tells { term, .. }
        | Step::Says { term, .. } => *term,
        _ => 0,
    }
}

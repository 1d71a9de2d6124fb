//! Reads without the log (thesis §6.4).

use super::history::{History, Reign};
use super::node::Node;
use super::quorum::agrees;
use super::{Guard, must};

/// A leader's rounds for reads.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Questions of followers that wait for a round.
    questions: Vec<(u128, u64)>,
    rounds: Vec<Round>,
    /// Questions that may be answered, with the index.
    answerable: Vec<(u128, u64, u64)>,
    /// A follower's read was settled by lease, at this index.
    leased: Option<(u128, u64)>,
}

#[derive(Debug)]
struct Round {
    round: u64,
    index: u64,
    questions: Vec<(u128, u64)>,
}

impl Reads {
    /// What was asked of a leader ends with its office.
    pub(super) fn begin(&mut self) {
        *self = Reads::default();
    }
}

impl Node {
    pub(super) fn asked(&mut self, by: u128, batch: u64) -> Guard {
        self.must_lead()?;
        self.reads.questions.push((by, batch));
        Ok(())
    }

    /// A leader knows what is committed only when it has committed in its term (etcd-io/etcd#7331).
    fn settled<'a>(&self, history: &'a History, index: u64) -> Result<&'a Reign, String> {
        self.must_lead()?;
        let reign = history.reign(self.hard.term).ok_or("nobody leads its term")?;
        must(self.commit >= reign.first_own, || "it has committed nothing in its term".to_owned())?;
        must(index == self.commit, || format!("it has committed up to {}", self.commit))?;
        Ok(reign)
    }

    /// A round for all that waits. It is a new one: whoever answers it does so after the questions came.
    pub(super) fn rounds(&mut self, history: &mut History, round: u64, index: u64) -> Guard {
        let reign = self.settled(history, index)?;
        must(round >= reign.round && self.reads.rounds.iter().all(|open| open.round < round), || {
            format!("round {} has begun before", reign.round)
        })?;
        must(reign.answered.values().all(|answered| *answered < round), || {
            format!("round {round} is answered already: {:x?}", reign.answered)
        })?;
        let questions = std::mem::take(&mut self.reads.questions);
        self.reads.rounds.push(Round { round, index, questions });
        if let Some(reign) = history.reign_mut(self.hard.term) {
            reign.round = round;
        }
        Ok(())
    }

    /// Whether a majority has answered this round, or a later one, by the configuration in force
    /// (etcd-io/etcd#741, openraft d60f1e85).
    fn is_answered(&self, history: &History, reign: &Reign, round: u64) -> Guard {
        let members = self.in_force(history).ok_or("it knows of no configuration")?;
        let answers =
            |id| id == self.id || reign.answered.get(&id).is_some_and(|answered| *answered >= round);
        must(agrees(members, answers), || {
            format!("{:x?} is no majority of {members:x?} for round {round}", reign.answered)
        })
    }

    pub(super) fn confirms(&mut self, history: &History, round: u64, index: u64) -> Guard {
        self.must_lead()?;
        let reign = history.reign(self.hard.term).ok_or("nobody leads its term")?;
        let open = self.reads.rounds.iter().position(|open| (open.round, open.index) == (round, index));
        let open = open.ok_or("it has not begun that round at that index")?;
        self.is_answered(history, reign, round)?;
        let done = self.reads.rounds.remove(open);
        self.reads.answerable.extend(done.questions.into_iter().map(|(by, batch)| (by, batch, index)));
        Ok(())
    }

    /// By lease, as far as there is no clock: it has committed in its term, a majority has answered some round, and it
    /// has told nobody to run (thesis §6.4.1).
    pub(super) fn leases(&mut self, history: &History, by: Option<u128>, index: u64) -> Guard {
        let reign = self.settled(history, index)?;
        must(reign.handed_to.is_empty(), || format!("it has told {:x?} to run", reign.handed_to))?;
        self.is_answered(history, reign, 1)?;
        self.reads.leased = by.map(|by| (by, index));
        Ok(())
    }

    pub(super) fn names(&mut self, to: u128, batch: u64, index: u64) -> Guard {
        self.must_lead()?;
        let known = self.reads.answerable.iter().position(|answer| *answer == (to, batch, index));
        let leased = self.reads.leased.take() == Some((to, index));
        if let Some(known) = known {
            self.reads.answerable.swap_remove(known);
        }
        must(known.is_some() || leased, || "neither a round nor a lease confirms that index".to_owned())
    }
}

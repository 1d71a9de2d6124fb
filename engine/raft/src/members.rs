//! The cluster's configuration.

use crate::{JoinToken, NodeId, TokenHash};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// Who belongs to the cluster, as data in the log (thesis §4).
///
/// Invariants: a learner is no voter of the incoming half (one of the outgoing half may be named as a learner: it votes
/// until the change ends, and is a learner then); every member has a contact, and nobody else has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Members {
    /// The voters; during a joint change, the incoming half (thesis §4.3).
    pub voters: BTreeSet<NodeId>,
    /// The outgoing half of a joint change; empty when no change is open.
    pub outgoing: BTreeSet<NodeId>,
    /// Those who receive the log and do not vote (thesis §4.2.1).
    pub learners: BTreeMap<NodeId, Learner>,
    /// How each member is reached.
    pub contacts: BTreeMap<NodeId, Contact>,
    /// The join tokens that were made, until some time after their end.
    pub tokens: BTreeMap<TokenHash, JoinToken>,
}

/// What becomes of a learner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Learner {
    /// The leader makes it a voter once it has caught up.
    Joining,
    /// It stays a learner until somebody says otherwise.
    Standing,
}

/// How a member is reached. The core carries it and never looks into it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Contact {
    /// The peer address, `host:port`.
    pub address: String,
    /// The HTTP address, `http://host:port`.
    pub url: String,
    /// A name for people; empty when none was given.
    pub name: String,
}

impl Members {
    /// A cluster of one.
    pub fn founder(id: NodeId, contact: Contact) -> Self {
        Members {
            voters: BTreeSet::from([id]),
            contacts: BTreeMap::from([(id, contact)]),
            ..Members::default()
        }
    }

    /// Whether `id` votes, in either half.
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.outgoing.contains(&id)
    }

    /// Whether `id` belongs to the cluster at all.
    pub fn contains(&self, id: NodeId) -> bool {
        self.is_voter(id) || self.learners.contains_key(&id)
    }

    /// Whether a joint change is open.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Every member once, in order.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.contacts.keys().copied()
    }

    /// How many members there are.
    pub fn count(&self) -> usize {
        self.contacts.len()
    }

    /// With one more member that receives the log and does not vote.
    #[must_use]
    pub fn with_learner(&self, id: NodeId, learner: Learner, contact: Contact) -> Self {
        let mut members = self.clone();
        members.learners.insert(id, learner);
        members.contacts.insert(id, contact);
        members
    }

    /// With the learner `id` as a voter.
    #[must_use]
    pub fn with_voter(&self, id: NodeId) -> Self {
        let mut members = self.clone();
        members.learners.remove(&id);
        members.voters.insert(id);
        members
    }

    /// Without the member `id`, whatever it was.
    #[must_use]
    pub fn without(&self, id: NodeId) -> Self {
        let mut members = self.clone();
        members.voters.remove(&id);
        members.outgoing.remove(&id);
        members.learners.remove(&id);
        members.contacts.remove(&id);
        members
    }

    /// How many nodes vote in one of the two and not in the other.
    pub fn voters_apart(&self, other: &Members) -> usize {
        self.voters.symmetric_difference(&other.voters).count()
    }

    /// The joint configuration on the way to `target`: whoever is in either has a part in it, and an agreement needs
    /// both (thesis §4.3).
    #[must_use]
    pub fn joint_to(&self, target: &Members) -> Self {
        let mut contacts = target.contacts.clone();
        for id in &self.voters {
            if let Some(contact) = self.contacts.get(id) {
                contacts.entry(*id).or_insert_with(|| contact.clone());
            }
        }
        Members { outgoing: self.voters.clone(), contacts, ..target.clone() }
    }

    /// The configuration that a joint one leads to.
    #[must_use]
    pub fn target(&self) -> Self {
        let mut target = Members { outgoing: BTreeSet::new(), ..self.clone() };
        target.contacts.retain(|id, _| self.voters.contains(id) || self.learners.contains_key(id));
        target
    }

    /// What is wrong with it, if anything: the invariants of the type, and that somebody votes.
    pub fn fault(&self) -> Option<&'static str> {
        if self.voters.is_empty() {
            return Some("it has no voter");
        }
        if self.learners.keys().any(|id| self.voters.contains(id)) {
            return Some("a learner is also a voter");
        }
        let named: BTreeSet<NodeId> =
            self.voters.iter().chain(&self.outgoing).chain(self.learners.keys()).copied().collect();
        if !named.iter().eq(self.contacts.keys()) {
            return Some("members and contacts differ");
        }
        None
    }
}

//! What the log is made of.

use crate::{LogId, Members};
use alloc::boxed::Box;
use alloc::sync::Arc;
use serde::{Deserialize, Serialize};

/// One slot of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Where it stands and which leader made it.
    pub id: LogId,
    /// What it carries.
    pub payload: Payload,
}

impl Entry {
    /// What even an entry without content weighs, in bytes.
    pub(crate) const LEAST_WEIGHT: usize = 32;

    /// Its weight against the windows of `Config`, in bytes: the payload and a fixed overhead.
    pub fn weight(&self) -> usize {
        Self::LEAST_WEIGHT
            + match &self.payload {
                Payload::Noop => 0,
                Payload::Command(bytes) => bytes.len(),
                Payload::Members(members) => 64 * (members.count() + members.tokens.len()),
            }
    }
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: a leader appends one when it takes office, to commit what came before (thesis §6.4).
    Noop,
    /// A command for the state machine, which the core never looks into.
    Command(#[serde(with = "crate::bytes")] Arc<[u8]>),
    /// The configuration in force from this entry on, from the moment it is appended (thesis §4.1). Rare and large, so
    /// that it lies elsewhere: entries are moved a lot.
    Members(Box<Members>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Contact, Learner, NodeId, TokenHash};

    #[test]
    fn an_entry_weighs_what_it_carries_and_a_fixed_part() {
        let weight = |payload| Entry { id: LogId::ZERO, payload }.weight();
        assert_eq!(weight(Payload::Noop), 32);
        assert_eq!(weight(Payload::Command([0; 100].into())), 132);
        let members = Members::founder(NodeId(1), Contact::default());
        let members = members.with_learner(NodeId(2), Learner::Standing, Contact::default());
        assert_eq!((members.count(), weight(Payload::Members(members.clone().into()))), (2, 32 + 2 * 64));
        let members = members.with_token(TokenHash([1; 32]), 1, 0).expect("there is room");
        assert_eq!(weight(Payload::Members(members.into())), 32 + 3 * 64);
    }
}

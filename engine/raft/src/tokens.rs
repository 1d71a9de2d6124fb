//! Join tokens: what the configuration knows of them.
//!
//! A token lets one node into the cluster, once. It is made by an entry of the log, and spent by the very entry that
//! adds the node: both are configurations. So it counts from the moment it is appended, is as it was when the entry is
//! truncated, and every leader and every snapshot has it.

use crate::{Members, NodeId};
use core::fmt;
use serde::{Deserialize, Serialize};

/// Names a token: a hash of its secret, which is all that is kept of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TokenHash(pub [u8; 32]);

/// The first digits, which are enough to tell one from another.
impl fmt::Display for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A token that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JoinToken {
    /// From when on it adds nobody any more, in milliseconds of the host's time. The core never looks at it.
    pub ends_ms: u64,
    /// The node that was added with it.
    pub spent_by: Option<NodeId>,
}

/// Why a token does not add a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// There is none, or no longer.
    Unknown,
    /// Its time is over.
    Ended,
    /// It has added this node, which is another one, or was removed since.
    Spent(NodeId),
}

impl Members {
    /// So many tokens are kept at most.
    pub const MOST_TOKENS: usize = 1024;

    /// Whether the node `id` may be added with a token when it is `now_ms`. The one that was added with it may ask as
    /// often as it likes, for as long as it is a member: nothing is done then. Removed, it does not come back by it.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub fn admits(&self, token: &TokenHash, id: NodeId, now_ms: u64) -> Result<(), TokenFault> {
        match self.tokens.get(token) {
            None => Err(TokenFault::Unknown),
            Some(JoinToken { spent_by: Some(node), .. }) if *node == id && self.contains(id) => Ok(()),
            Some(JoinToken { spent_by: Some(node), .. }) => Err(TokenFault::Spent(*node)),
            Some(JoinToken { ends_ms, .. }) if *ends_ms <= now_ms => Err(TokenFault::Ended),
            Some(_) => Ok(()),
        }
    }

    /// With one more token, and without those that have ended by `now_ms`. `None` when there are too many.
    #[must_use]
    pub fn with_token(&self, token: TokenHash, ends_ms: u64, now_ms: u64) -> Option<Self> {
        let mut members = self.clone();
        members.tokens.retain(|_, known| known.ends_ms > now_ms);
        members.tokens.entry(token).or_insert(JoinToken { ends_ms, spent_by: None });
        (members.tokens.len() <= Members::MOST_TOKENS).then_some(members)
    }

    /// With a token that has added the node `id`.
    ///
    /// # Panics
    /// When there is no such token, or another node was added with it: that is to be asked first.
    #[must_use]
    pub fn with_spent(&self, token: &TokenHash, id: NodeId) -> Self {
        let mut members = self.clone();
        let known = members.tokens.get_mut(token).expect("a token is spent after it was found");
        assert!(known.spent_by.is_none_or(|node| node == id), "{token}, spent by {known:?}, adds {id}");
        known.spent_by = Some(id);
        members
    }

    /// Whether a token is open: it may still add a node after `now_ms`.
    pub fn has_open_token(&self, now_ms: u64) -> bool {
        self.tokens.values().any(|token| token.spent_by.is_none() && token.ends_ms > now_ms)
    }

    /// Whether a token that is spent in `before` is open here, or another node's.
    pub fn unspends(&self, before: &Members) -> bool {
        let is_another = |known: &JoinToken, token| {
            known.spent_by.is_some()
                && self.tokens.get(token).is_some_and(|now: &JoinToken| now.spent_by != known.spent_by)
        };
        before.tokens.iter().any(|(token, known)| is_another(known, token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Contact, Learner};

    const TOKEN: TokenHash = TokenHash([7; 32]);
    const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

    fn cluster() -> Members {
        let members = Members::founder(NODES[0], Contact::default());
        members.with_token(TOKEN, 100, 0).expect("there is room")
    }

    fn joined() -> Members {
        cluster().with_learner(NODES[1], Learner::Joining, Contact::default()).with_spent(&TOKEN, NODES[1])
    }

    #[test]
    fn a_token_adds_one_node_before_its_end() {
        assert_eq!(cluster().admits(&TOKEN, NODES[1], 99), Ok(()));
        assert_eq!(cluster().admits(&TOKEN, NODES[1], 100), Err(TokenFault::Ended));
        assert_eq!(cluster().admits(&TokenHash([8; 32]), NODES[1], 0), Err(TokenFault::Unknown));
        assert_eq!(joined().admits(&TOKEN, NODES[2], 0), Err(TokenFault::Spent(NODES[1])));
    }

    #[test]
    fn who_was_added_with_it_may_ask_again_until_it_is_removed() {
        assert_eq!(joined().admits(&TOKEN, NODES[1], 0), Ok(()));
        assert_eq!(
            joined().with_voter(NODES[1]).admits(&TOKEN, NODES[1], 1_000),
            Ok(()),
            "after its end, too"
        );
        let removed = joined().without(NODES[1]);
        assert_eq!(removed.admits(&TOKEN, NODES[1], 0), Err(TokenFault::Spent(NODES[1])));
    }

    #[test]
    fn tokens_that_have_ended_make_room_for_others() {
        let token = |number: usize| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            TokenHash(hash)
        };
        let mut members = cluster();
        for number in 1..Members::MOST_TOKENS {
            members = members.with_token(token(number), 200, 0).expect("there is room");
        }
        let more = token(Members::MOST_TOKENS);
        assert_eq!(members.with_token(more, 200, 99), None);
        assert!(members.with_token(token(1), 200, 99).is_some(), "one that is there takes no room");
        let members = members.with_token(more, 200, 100).expect("one has ended");
        assert_eq!(members.tokens.len(), Members::MOST_TOKENS);
        assert!(!members.tokens.contains_key(&TOKEN));
        assert_eq!(members.tokens[&more], JoinToken { ends_ms: 200, spent_by: None });
    }

    #[test]
    fn a_token_is_open_until_it_is_spent_or_ends() {
        assert!(cluster().has_open_token(99) && !cluster().has_open_token(100));
        assert!(!joined().has_open_token(0));
    }

    #[test]
    fn what_is_spent_stays_so() {
        let (open, spent) = (cluster(), joined());
        let by_another = open.with_spent(&TOKEN, NODES[2]);
        assert!(open.unspends(&spent) && by_another.unspends(&spent));
        assert!(!spent.unspends(&spent) && !spent.unspends(&open) && !open.unspends(&open));
        assert!(!Members::default().unspends(&spent), "it has ended");
    }

    #[test]
    #[should_panic(expected = "adds 00000000000000000000000000000003")]
    fn no_token_adds_two_nodes() {
        let _ = joined().with_spent(&TOKEN, NODES[2]);
    }
}

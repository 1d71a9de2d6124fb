//! A join token lets one node in, ever: through changes of leader, restarts and snapshots, and also once that node was
//! removed (`docs/adr/0012-security.md`, "Joining").

use std::collections::BTreeMap;

use quorate_node::raft::{NodeId, TokenHash};

use super::{Checker, Evidence};
use crate::observe::Observation;

/// Whom each token has let in.
#[derive(Debug, Default)]
pub(crate) struct TokensOnce {
    let_in: BTreeMap<TokenHash, NodeId>,
}

impl Checker for TokensOnce {
    fn name(&self) -> &'static str {
        "tokens-once"
    }

    fn observe(&mut self, _: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let Observation::LetIn { token, node } = observation else { return Ok(()) };
        let first = *self.let_in.entry(*token).or_insert(*node);
        if first == *node {
            return Ok(());
        }
        Err(format!("the join token {token} has let in node {first}, and then node {node}"))
    }
}

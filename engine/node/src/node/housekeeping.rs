//! What a leader proposes by itself: that time passes, the limits that its host was started with, and on a full disk
//! that the past goes.

use super::{Node, frees_space};
use quorate_kv::{Action, ClusterTime, Command, Once, Order};
use quorate_raft::{Index, Time};
use quorate_wire::entry::encode_command;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// While a join token is open, the log is stamped at least so often. A new leader begins at the last stamp, so this is
/// how much longer a token can live for each change of leader; without stamps it could live for ever.
const STAMP_INTERVAL_MS: u64 = 60_000;

/// When the log takes nothing more just now, it is asked again so much later.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// What is under way.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Housekeeping {
    /// Where the last thing stands that was proposed. Nothing more is proposed before it was applied, or this node has
    /// ceased to lead.
    proposed: Index,
    /// Nothing is proposed before.
    not_before: Time,
}

impl Node {
    /// Cluster time goes on.
    pub(super) fn advance_clock(&mut self) {
        self.clock.advance(self.now, self.raft.leads_in(), self.state.kv.time());
    }

    /// When something ends, if this node leads and has to say so.
    pub(super) fn next_end(&self) -> Option<Time> {
        let end = [self.state.kv.next_end(), self.next_stamp()].into_iter().flatten().min()?;
        // What is proposed already is not waited for with a clock, nor is the beginning of leadership.
        let waits = self.raft.is_settled() && !self.is_proposed();
        waits.then(|| self.clock.reaches(end)).flatten().map(|at| at.max(self.housekeeping.not_before))
    }

    /// When the log is to be stamped for the sake of join tokens.
    fn next_stamp(&self) -> Option<ClusterTime> {
        let is_open = self.raft.members().has_open_token(self.clock.now().0);
        is_open.then(|| ClusterTime(self.state.kv.time().0.saturating_add(STAMP_INTERVAL_MS)))
    }

    fn is_proposed(&self) -> bool {
        self.housekeeping.proposed > self.raft.applied().index
    }

    pub(super) fn keep_house(&mut self) {
        if !self.raft.is_settled() {
            self.housekeeping.proposed = Index(0);
            return;
        }
        if self.is_proposed() || self.now < self.housekeeping.not_before {
            return;
        }
        let kv = &self.state.kv;
        let is_due = |end: ClusterTime| end <= self.clock.now();
        let action = if kv.next_end().is_some_and(is_due) || self.next_stamp().is_some_and(is_due) {
            Action::Tick
        } else if kv.settings() != self.config.settings {
            Action::Configure(self.config.settings)
        } else if self.raft.refuses_what_needs_room() && kv.oldest_revision() < kv.revision() {
            // The past goes with it.
            Action::Tick
        } else {
            return;
        };
        self.propose_own(action);
    }

    /// What is proposed now.
    pub(super) fn order(&self, once: Option<Once>, action: Action) -> Order {
        Order { time: self.clock.now(), once, forgets_past: self.raft.refuses_what_needs_room(), action }
    }

    fn propose_own(&mut self, action: Action) {
        let frees_space = frees_space(&action);
        let order = self.order(None, action);
        let command = encode_command(&Command::Order(order)).expect("it holds nothing of any length");
        match self.raft.propose_command(self.now, Arc::from(command), frees_space) {
            Ok(id) => self.housekeeping.proposed = id.index,
            Err(_) => self.housekeeping.not_before = self.now + RETRY_PAUSE,
        }
    }
}

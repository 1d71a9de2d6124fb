//! What a host decides for the core.

use crate::NodeId;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Settings of one node's core. All are this node's own and need not agree over the cluster, but the election
/// timeout should.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// Seeds the election timeouts. Different on each node and at each start.
    pub seed: u64,
    /// A follower that hears no leader for one to two of these, drawn anew each time, runs for office; a leader
    /// that hears no majority for one of these steps down. Who has heard a leader elects no other for as long, and a
    /// restarted node nobody at all: on that leases are built, so for lease reads it must be the same on every node.
    pub election_timeout: Duration,
    /// How often an idle leader speaks.
    pub heartbeat_interval: Duration,
    /// The most bytes of entries in one append; a single larger entry goes alone.
    pub append_bytes: usize,
    /// The most appends sent to one peer and not answered.
    pub inflight_appends: usize,
    /// The most bytes of entries sent to one peer and not answered.
    pub inflight_bytes: usize,
    /// The most bytes of proposals not yet committed; more are refused with `ProposeError::Full`.
    pub uncommitted_bytes: usize,
    /// How many bytes of durable entries at the end of the log are kept in memory.
    pub cache_bytes: usize,
    /// How many entries below a checkpoint stay in the log for followers that lag a little.
    pub keep_entries: u64,
    /// The size of one piece of a snapshot on its way to a follower, in bytes.
    pub chunk_bytes: u64,
    /// The most bytes of snapshots that this node sends to all followers together in a second.
    pub snapshot_bytes_per_second: u64,
    /// What to do with voters that are gone; nothing, unless somebody says otherwise.
    pub cleanup: Option<Cleanup>,
    /// Take note of each step, for [`crate::Raft::take_trace`].
    pub trace: bool,
}

/// When a leader removes voters that it does not hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cleanup {
    /// How long a voter must not have been heard.
    pub after: Duration,
    /// How many voters there must be at least, without the one removed.
    pub least_voters: usize,
}

impl Config {
    /// Settings for a local network: an election timeout of half a second.
    pub fn new(id: NodeId, seed: u64) -> Self {
        Config {
            id,
            seed,
            election_timeout: Duration::from_millis(500),
            heartbeat_interval: Duration::from_millis(50),
            append_bytes: 1 << 20,
            inflight_appends: 64,
            inflight_bytes: 8 << 20,
            uncommitted_bytes: 64 << 20,
            cache_bytes: 16 << 20,
            keep_entries: 10_000,
            chunk_bytes: 1 << 20,
            snapshot_bytes_per_second: 128 << 20,
            cleanup: None,
            trace: false,
        }
    }

    /// How long a leader may serve reads by itself, from the sending of a round of heartbeats that a majority answered
    /// (thesis §6.4.1): as long as those who answered elect no other, less a tenth for clocks that run at different
    /// rates. It holds as long as no clock runs more than a ninth faster than the leader's.
    pub(crate) fn lease(&self) -> Duration {
        self.election_timeout * 9 / 10
    }
}

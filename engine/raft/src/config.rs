//! What a host decides for the core.

use crate::NodeId;
use core::time::Duration;

/// Settings of one node's core. All are this node's own and need not agree over the cluster, but the election
/// timeout should.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// Seeds the election timeouts. Different on each node and at each start.
    pub seed: u64,
    /// A follower that hears no leader for one to two of these, drawn anew each time, runs for office; a leader
    /// that hears no majority for one of these steps down.
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
        }
    }
}

//! What every part of a running server knows.

use std::sync::Arc;

use quorate_node::kv::Settings;
use quorate_node::raft::{Contact, NodeId};
use quorate_node::wire::{ClusterId, HistoryId};

use crate::backups::Backups;
use crate::compare::Divergence;
use crate::disk_health::DiskHealth;
use crate::handle::Handle;
use crate::metrics::Metrics;
use crate::peers::PeerCounters;
use crate::runtime::Runtime;
use crate::shutdown::Shutdown;
use crate::storage_port::StorageLine;
use crate::telemetry::Telemetry;
use crate::tokens::Guard;
use crate::watch;
use crate::watching::Watches;

/// What every part of a running server knows; shared as one `Arc`.
#[derive(Debug)]
pub struct Context<R, N> {
    /// Time, tasks, randomness.
    pub runtime: R,
    /// The network.
    pub net: N,
    /// The line to the node.
    pub handle: Handle,
    /// Who this is.
    pub identity: Identity,
    /// How others reach this node: what it advertises.
    pub contact: Contact,
    /// The bounds on what is taken in.
    pub limits: Limits,
    /// The limits of the store that are in force while this node leads.
    pub settings: Settings,
    /// How this node's disk is.
    pub disk: Arc<DiskHealth>,
    /// The line to the storage, for what is read past the node.
    pub storage: StorageLine,
    /// Who asks HTTP clients for tokens; without it, nobody does.
    pub guard: Option<Arc<Guard>>,
    /// Whether a new node is taken in without a join token: HTTP and peers listen on loopback alone.
    pub joins_are_open: bool,
    /// What answers to `GET /backup` share.
    pub backups: Arc<Backups>,
    /// What goes on between peers, counted.
    pub counters: Arc<PeerCounters>,
    /// What else is counted and measured.
    pub metrics: Arc<Metrics>,
    /// Where requests leave their spans.
    pub telemetry: Telemetry,
    /// Set when this node's state was found to be another one than that of a majority: then it ends.
    pub divergence: watch::Sender<Option<Divergence>>,
    /// How the parts hear that the server ends. HTTP holds a guard for each open connection.
    pub shutdown: Shutdown,
    /// Who watches keys at this node.
    pub watches: Arc<Watches>,
}

/// The names in `node.toml`, durable before the node first speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// This node.
    pub node: NodeId,
    /// The cluster it belongs to, and no other, ever.
    pub cluster: ClusterId,
    /// The history it is part of: a restored backup begins a new one.
    pub history: HistoryId,
}

/// The bounds on what HTTP takes in, on what backups take of the node, and on what it remembers of its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest value, in bytes.
    pub value_bytes: usize,
    /// The largest request, in bytes.
    pub request_bytes: usize,
    /// The most bytes of request bodies held at once.
    pub pending_bytes: usize,
    /// The most connections of HTTP.
    pub connections: usize,
    /// The most watches.
    pub watchers: usize,
    /// The most comparisons, and the most operations of each kind of end, in a transaction.
    pub txn_operations: usize,
    /// How much of backups is read in a second, all together, in bytes.
    pub backup_bytes_per_second: u64,
    /// How much of the node's latest inputs is kept for a recording, in bytes; 0 for none.
    pub flight_recorder_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            value_bytes: 1 << 20,
            request_bytes: 4 << 20,
            pending_bytes: 256 << 20,
            connections: 10_000,
            watchers: 8_000,
            txn_operations: 128,
            backup_bytes_per_second: 64 << 20,
            flight_recorder_bytes: 32 << 20,
        }
    }
}

impl<R: Runtime, N> Context<R, N> {
    /// `duration` from now, as a deadline for [`Handle::request`].
    pub fn deadline_in(&self, duration: std::time::Duration) -> quorate_node::raft::Time {
        self.runtime.now() + duration
    }
}

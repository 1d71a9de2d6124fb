//! The plan: everything that a run is told. A seed becomes a plan, and the plan is data: the runner reads nothing else.
//!
//! So a plan can be printed, saved, loaded, and made smaller until only what matters is left. Durations are whole
//! milliseconds here, because people read and write plans.

mod check;
mod draw;
mod fault;
mod file;
mod generate;
mod scenario;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use fault::{Damage, Fault, Link, Order, Place, Shape, Timed};
pub use file::PlanError;
pub use scenario::Scenario;

/// A machine: servers are 1, 2, …; clients are above 100.
pub type Host = u8;

/// The most servers of a cluster.
pub(crate) const MOST_SERVERS: u8 = 7;

/// How many thousandths a clock may run fast or slow so that leases hold: of any two, the one runs less than a ninth
/// faster than the other.
pub(crate) const DRIFT: i64 = 50;

/// Client n is the machine `FIRST_CLIENT + n`.
pub(crate) const FIRST_CLIENT: Host = 100;

/// One simulated life of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Where it came from; it also seeds everything that is drawn while it runs.
    pub seed: u64,
    /// What it was drawn for. The runner reads it only where a scenario promises more than others do.
    pub scenario: Scenario,
    /// The machines.
    pub cluster: Cluster,
    /// The settings of the servers, their disks and their network.
    pub knobs: Knobs,
    /// What clients do.
    pub workload: Workload,
    /// What breaks, by time.
    #[serde(default)]
    pub faults: Vec<Timed>,
}

/// The machines of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// How many servers there are when the faults begin: hosts 1 to this.
    pub servers: u8,
    /// The hosts that are healed for good in the end, a majority. All other failures are frozen then.
    pub core: Vec<Host>,
    /// How long faults and clients may go on once the cluster has formed.
    pub faults_ms: u64,
    /// By how much each host's clock is ahead of the world's at the start, by host; missing ones are not.
    #[serde(default)]
    pub clocks_ahead_ms: Vec<u64>,
}

/// Settings, drawn so that rare paths are common: tiny batches, tiny segments, frequent checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knobs {
    /// See `raft::Config`.
    pub election_timeout_ms: u64,
    /// See `raft::Config`.
    pub heartbeat_ms: u64,
    /// See `raft::Config`.
    pub append_bytes: usize,
    /// See `raft::Config`.
    pub inflight_appends: usize,
    /// See `raft::Config`.
    pub uncommitted_bytes: usize,
    /// See `raft::Config`.
    pub cache_bytes: usize,
    /// See `raft::Config`.
    pub keep_entries: u64,
    /// See `raft::Config`.
    pub chunk_bytes: u64,
    /// A checkpoint is taken after this many entries.
    pub checkpoint_entries: u64,
    /// See `storage::Options`.
    pub segment_bytes: u32,
    /// See `storage::Options`.
    pub slice_bytes: usize,
    /// How long a packet travels at most when nothing is wrong, in microseconds.
    pub latency_us: u64,
    /// How long a sync takes at most when nothing is wrong, in microseconds.
    pub sync_us: u64,
    /// Of a thousand turns of a node this many are followed by a needless early timeout.
    pub early_timeouts: u32,
    /// Of a thousand messages this many are followed by a report that the link broke.
    pub false_alarms: u32,
    /// The storage performs one job at a time instead of all that wait.
    pub one_job_at_a_time: bool,
    /// See `raft::Cleanup`: how long a voter must not have been heard to be taken out. 0: none ever is.
    #[serde(default)]
    pub cleanup_after_ms: u64,
    /// See `raft::Cleanup`.
    #[serde(default)]
    pub cleanup_least_voters: usize,
    /// See `kv::Settings`: how far back the past can be read. 0: as far as by default.
    #[serde(default)]
    pub history_revisions: u64,
    /// See `kv::Settings`: how many answers are remembered. 0: as many as by default.
    #[serde(default)]
    pub answers: u64,
}

/// What clients do, each one request at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// The clients, by number. What one does doesn't depend on the others being there.
    pub clients: Vec<u8>,
    /// How many requests each makes at most, within the time of the faults.
    pub requests: u32,
    /// How many of these are left out at the beginning.
    #[serde(default)]
    pub skip: u32,
    /// How many keys they share.
    pub keys: u64,
    /// Of a hundred requests this many go to the first key.
    pub hot_percent: u32,
    /// Of a hundred requests this many write.
    pub put_percent: u32,
    /// Of a hundred requests this many delete; the rest read.
    pub delete_percent: u32,
    /// Of a hundred reads this many may be stale.
    pub stale_percent: u32,
    /// Of a hundred of the others this many may be served by a leader's lease.
    #[serde(default)]
    pub lease_percent: u32,
    /// Of a hundred writes this many have an idempotency key, and are asked again when nobody knows what became of
    /// them.
    #[serde(default)]
    pub named_percent: u32,
    /// Of a hundred writes of a value this many are made only if the key still holds what the client wrote last, or was
    /// never written by it and is not there.
    #[serde(default)]
    pub swap_percent: u32,
    /// How many auditors there are beside: see `audit`.
    #[serde(default)]
    pub auditors: u8,
    /// The size of a value at least, in bytes.
    pub value_bytes: usize,
    /// Of a thousand values this many are `large_bytes` long.
    pub large_per_mille: u32,
    /// The size of a large value, in bytes.
    pub large_bytes: usize,
    /// The longest pause before a request.
    pub pause_ms: u64,
    /// After this many requests there is a long pause.
    pub burst: u32,
    /// The longest such pause.
    pub gap_ms: u64,
    /// How long a client waits for an answer.
    pub patience_ms: u64,
    /// How often a request that was definitely not done is tried again, elsewhere.
    pub retries: u32,
    /// Which server a client asks.
    pub asks: Asks,
}

/// Which server a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asks {
    /// Any, drawn anew each time.
    Anyone,
    /// The same one until it fails.
    Sticky,
}

impl Plan {
    /// The plan of a seed in the default scenario.
    pub fn from_seed(seed: u64) -> Plan {
        Plan::new(Scenario::Swarm, seed)
    }

    /// The plan of a seed. It changes when the generator does: save plans, not seeds, for ever.
    pub fn new(scenario: Scenario, seed: u64) -> Plan {
        generate::plan(scenario, seed)
    }

    /// Every server that there will ever be: those of the beginning, and those that join.
    pub fn hosts(&self) -> impl Iterator<Item = Host> + use<> {
        let joining = self.faults.iter().filter_map(|timed| match timed.fault {
            Fault::Join { host } => Some(host),
            _ => None,
        });
        1..=joining.chain([self.cluster.servers]).max().unwrap_or(1)
    }

    /// Whether all clocks run at rates that the servers' leases reckon with, so that a read by lease tells the truth.
    pub(crate) fn keeps_leases(&self) -> bool {
        self.faults.iter().all(|timed| match timed.fault {
            Fault::ClockDrift { per_mille, .. } => (-DRIFT..=DRIFT).contains(&per_mille),
            Fault::ClockJump { .. } | Fault::ClockStop { .. } => false,
            _ => true,
        })
    }

    /// Whether members of the core may come and go while things break.
    pub(crate) fn changes_members(&self) -> bool {
        let changes = |fault: &Fault| matches!(fault, Fault::Change { .. } | Fault::Member { .. });
        self.cleans_up() || self.faults.iter().any(|timed| changes(&timed.fault))
    }

    /// Whether leaders take out voters that they don't hear.
    pub(crate) fn cleans_up(&self) -> bool {
        self.knobs.cleanup_after_ms > 0
    }

    /// How much there is to it: faults and requests.
    pub fn size(&self) -> usize {
        let requests = self.workload.requests.saturating_sub(self.workload.skip) as usize;
        self.faults.len() + self.workload.clients.len() * requests
    }

    /// How long faults and clients may go on.
    pub(crate) fn faults_last(&self) -> Duration {
        Duration::from_millis(self.cluster.faults_ms)
    }

    pub(crate) fn election_timeout(&self) -> Duration {
        Duration::from_millis(self.knobs.election_timeout_ms)
    }
}

//! How a node sees its cluster, as it tells it once a second (`GET /raft/status` as Server-Sent Events), and what a
//! node says of itself for that (`GET /raft/status?verbose`). Unknown fields are ignored: a newer server may say more.

use serde::{Deserialize, Serialize};

use crate::answer::Status;

/// What a node says of itself in detail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
pub struct Detail {
    /// How it is.
    pub condition: Condition,
    /// How long reads of keys, lists and leases took until their answer began.
    pub reads: Durations,
    /// The same of changes: of keys, leases and locks, and transactions.
    pub writes: Durations,
    /// How long the disk took to make the log durable (fsync).
    pub syncs: Durations,
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
pub struct Condition {
    /// The release that it runs.
    pub version: String,
    /// How many keys its store has.
    pub keys: u64,
    /// How many entries of its log are damaged.
    pub damaged: u64,
    /// Whether its disk is full: it refuses writes that need space, or will soon.
    pub disk_full: bool,
    /// Whether its store is still being read from a checkpoint.
    pub restoring: bool,
    /// For how long its storage has been at what it does now, in milliseconds; 0 when it waits for work.
    pub disk_busy_ms: u64,
}

/// How long something took, each time since the process began: how often it fell into which bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
pub struct Durations {
    /// The upper bounds of all buckets but the last, which has none, in microseconds.
    pub bounds_us: Vec<u64>,
    /// How many are in each bucket and in none before it.
    pub counts: Vec<u64>,
}

/// How a node sees its cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
pub struct Overview {
    /// The id of the node that tells it.
    pub node: String,
    /// The members, and the node itself if it is none, by their ids.
    pub nodes: Vec<NodeOverview>,
}

/// One node, as another one sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
pub struct NodeOverview {
    /// Its id.
    pub id: String,
    /// The name it was given, if any.
    #[serde(default)]
    pub name: Option<String>,
    /// Where its peers dial it, `host:port`.
    pub address: String,
    /// Where it serves HTTP; absent while it hasn't said so yet.
    #[serde(default)]
    pub url: Option<String>,
    /// `voter` or `learner`; `outsider` when it is no member.
    pub membership: String,
    /// Why nothing is known of it, when that is so.
    #[serde(default)]
    pub problem: Option<String>,
    /// What it answers to `GET /raft/status`.
    #[serde(default)]
    pub status: Option<Status>,
    /// How it is.
    #[serde(default)]
    pub condition: Option<Condition>,
    /// What it did since it was last asked; absent the first time.
    #[serde(default)]
    pub activity: Option<Activity>,
}

/// What a node did lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
pub struct Activity {
    /// Reads.
    pub reads: Rate,
    /// Changes.
    pub writes: Rate,
    /// Syncs of the log.
    pub syncs: Rate,
}

/// How often something happened lately, and how long it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
pub struct Rate {
    /// How often in a second.
    pub per_second: f64,
    /// Half of them took no longer than so many milliseconds, as far as buckets tell; absent when there were none.
    #[serde(default)]
    pub p50_ms: Option<f64>,
    /// The same for 99 of 100.
    #[serde(default)]
    pub p99_ms: Option<f64>,
}

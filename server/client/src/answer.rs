//! The bodies that the server answers with, as types. Unknown fields are ignored: a newer server may say more.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::overview::Detail;

/// A value that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The raw value.
    pub bytes: Bytes,
    /// The store's revision at which this key was last written (from the `ETag`).
    pub mod_revision: Option<u64>,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The store's revision that it made, which is the key's new `mod_revision`.
    pub mod_revision: Option<u64>,
    /// It was done by an earlier request with the same idempotency key, and not once more.
    pub is_replay: bool,
}

/// One node's view of itself and its cluster (`GET /raft/status`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
pub struct Status {
    /// The node's id, 32 lowercase hex digits.
    pub id: String,
    /// The name it was given, if any.
    #[serde(default)]
    pub name: Option<String>,
    /// `leader`, `follower`, `candidate` or `learner`.
    pub role: String,
    /// The current term.
    pub term: u64,
    /// The leader it knows of.
    pub leader: Option<Leader>,
    /// The highest log index known to be committed.
    pub commit: u64,
    /// The highest log index applied to the store.
    pub applied: u64,
    /// The last index in the log.
    pub last: u64,
    /// The last index that the newest checkpoint covers.
    pub snapshot: u64,
    /// The store's revision.
    pub revision: u64,
    /// The cluster's id.
    pub cluster: String,
    /// The history's id: changes when a cluster is restored or recovered.
    pub history: String,
    /// How far each peer is; only the leader knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<Peer>>,
    /// More of it, when that was asked for (`?verbose`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
pub struct Leader {
    /// The leader's node id.
    pub id: String,
    /// Where it serves HTTP; absent while it hasn't said so yet.
    #[serde(default)]
    pub url: Option<String>,
}

/// The leader's view of one other member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
pub struct Peer {
    /// The peer's node id.
    pub id: String,
    /// The highest index known to be durable there.
    #[serde(rename = "match")]
    pub match_index: u64,
    /// `probe`, `pipeline`, `snapshot` or `down`.
    pub state: String,
}

/// A join token that was made (`POST /raft/join-tokens`). It is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
pub struct JoinTokenMade {
    /// The token, for one node to join with.
    pub token: String,
    /// The id of the cluster that it is for.
    pub cluster: String,
    /// How long it can be used, as in `1h`.
    pub ttl: String,
}

impl fmt::Debug for JoinTokenMade {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let JoinTokenMade { cluster, ttl, .. } = self;
        formatter
            .debug_struct("JoinTokenMade")
            .field("cluster", cluster)
            .field("ttl", ttl)
            .finish_non_exhaustive()
    }
}

/// Who belongs to the cluster (`GET /raft/members`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
pub struct Members {
    /// The cluster's id.
    pub cluster: String,
    /// The log index of the membership in force.
    pub index: u64,
    /// Voters and learners.
    pub members: Vec<Member>,
    /// The two halves of a change that is under way.
    pub joint: Option<Transition>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
pub struct Member {
    /// The node id.
    pub id: String,
    /// The name it was given, if any.
    #[serde(default)]
    pub name: Option<String>,
    /// Where its peers dial it, `host:port`.
    pub address: String,
    /// Where it serves HTTP; absent while it hasn't said so yet.
    #[serde(default)]
    pub url: Option<String>,
    /// `voter` or `learner`.
    pub role: String,
    /// Whether it leads.
    pub leader: bool,
}

/// A membership change that is under way: decisions need a majority of both halves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(utoipa::ToSchema))]
pub struct Transition {
    /// The voters afterwards.
    pub incoming: Vec<String>,
    /// The voters before.
    pub outgoing: Vec<String>,
}

/// The body of every error.
#[derive(Deserialize)]
pub(crate) struct ErrorBody {
    pub(crate) error: String,
    #[serde(default)]
    pub(crate) code: String,
    /// With `compacted`: the oldest revision that can still be read.
    #[serde(default)]
    pub(crate) oldest: Option<u64>,
}

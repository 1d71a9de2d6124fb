//! The configuration of one node.
//!
//! Each setting is looked for in this order, and the first place that has it wins:
//!
//! 1. the flag (`--listen`);
//! 2. `QUORATE_` and the flag in upper snake case (`QUORATE_LISTEN`); an empty variable counts as unset;
//! 3. the seed's own variables: `STORAGE_PATH`, `HOST`, `PORT`, `RAFT_PORT`, `RAFT_LEADER`;
//! 4. the TOML file of `--config`, whose keys are the flags' names (`listen = "127.0.0.1:8080"`);
//! 5. the default.
//!
//! [`SETTINGS`] is the one table of all settings: flags, variables, file keys and help are made from it. A value that
//! can't be used gives a [`ConfigError`] that names where it came from, the value, and what to write instead.

mod collector;
mod duration;
mod error;
mod example;
mod file;
mod lookup;
mod open;
mod resolve;
mod setting;
mod size;
mod tls;

pub use collector::Collector;
pub use duration::{DurationError, duration_text, parse_duration};
pub use error::{ConfigError, Origin};
pub(crate) use example::example;
pub use lookup::{Flags, Surroundings};
pub use open::{OpenPort, OpenPortError};
pub use resolve::{Resolved, resolve};
pub(crate) use resolve::{parse_name, parse_rate};
pub(crate) use setting::variable;
pub use setting::{SETTINGS, Setting, Shape};
pub use size::{SizeError, parse_size};
pub use tls::{Pair, PeerFiles, TlsConfig};

use quorate_client::{Address, Endpoint};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that `quorate serve` has to know.
///
/// Invariants (when made by [`resolve`]): what is advertised is never `0.0.0.0` or `::`; at least three heartbeats
/// fit into an election timeout, and at least two of those pass before a voter counts as dead; the largest value fits
/// into the largest request and into a segment of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeConfig {
    /// Where the node keeps its data.
    pub data_dir: PathBuf,
    /// Where HTTP is served; port 0 takes any free one.
    pub listen: Address,
    /// Where peers are served; port 0 takes any free one.
    pub raft_listen: Address,
    /// What others are told to dial for HTTP; port 0 stands for the port that was bound.
    pub advertise_http: Address,
    /// What peers are told to dial; port 0 stands for the port that was bound.
    pub advertise_raft: Address,
    /// The files of TLS.
    pub tls: TlsConfig,
    /// The file of the tokens that HTTP clients are asked for; without it, nobody is asked.
    pub tokens: Option<PathBuf>,
    /// Ask for a token also at `/livez` and `/readyz`.
    pub probes_need_token: bool,
    /// The file of the token that this node shows to others.
    pub node_token_file: Option<PathBuf>,
    /// The file of the join token that this node joins with.
    pub join_token_file: Option<PathBuf>,
    /// Listen beyond loopback on ports that let anybody in.
    pub insecure: bool,
    /// Found a new cluster when the data dir is empty.
    pub bootstrap: bool,
    /// Nodes to join through when the data dir is empty, in the order given.
    pub join: Vec<Endpoint>,
    /// A name for people; ids are what counts.
    pub name: Option<String>,
    /// The largest value, in bytes.
    pub max_value_bytes: usize,
    /// The largest request body, in bytes.
    pub max_request_bytes: usize,
    /// The most bytes of request bodies held at once.
    pub max_pending_bytes: usize,
    /// The most requests that may wait for the node.
    pub max_pending_requests: usize,
    /// The most connections of HTTP.
    pub max_connections: usize,
    /// The most watches.
    pub max_watchers: usize,
    /// The most comparisons, and the most operations for either end, in a transaction.
    pub max_txn_operations: usize,
    /// How many revisions back the past can be read, at most.
    pub history_revisions: u64,
    /// How many bytes of what was overwritten or deleted are kept for that, at most.
    pub history_bytes: u64,
    /// How many idempotency keys are remembered.
    pub idempotency_keys: u64,
    /// How many bytes they and their answers may have together.
    pub idempotency_bytes: u64,
    /// The size of a log segment, in bytes.
    pub segment_bytes: u32,
    /// How many checkpoints are kept.
    pub keep_snapshots: usize,
    /// A checkpoint is taken once this many entries were applied after the last one.
    pub snapshot_entries: u64,
    /// A follower that hears nothing from its leader for this long (and up to twice as long, at random) runs.
    pub election_timeout: Duration,
    /// A leader with nothing to say says so this often.
    pub heartbeat_interval: Duration,
    /// How much of checkpoints is sent to other nodes in a second, in bytes.
    pub snapshot_bytes_per_second: u64,
    /// How much of backups is sent in a second, all together, in bytes.
    pub backup_bytes_per_second: u64,
    /// How much of what is at rest is read in a second, in bytes.
    pub scrub_bytes_per_second: u64,
    /// How much of the node's latest inputs is kept for a recording, in bytes; 0 for none.
    pub flight_recorder_bytes: usize,
    /// A leader removes a voter that it has not heard for this long; never, when absent.
    pub remove_dead_voters_after: Option<Duration>,
    /// How many voters are left at least when a dead one is removed.
    pub min_voters: usize,
    /// Where traces of requests are sent; `None` in builds without the feature `otel`.
    pub otlp_endpoint: Option<Collector>,
    /// How the log is written.
    pub log: LogConfig,
}

impl ServeConfig {
    /// The base URL that others are told, once the HTTP port is bound.
    pub fn advertised_url(&self, bound_port: u16) -> Endpoint {
        let address = filled(&self.advertise_http, bound_port);
        if self.tls.http.is_some() { Endpoint::https(address) } else { Endpoint::new(address) }
    }

    /// The address that peers are told, once the peer port is bound.
    pub fn advertised_raft(&self, bound_port: u16) -> Address {
        filled(&self.advertise_raft, bound_port)
    }
}

fn filled(address: &Address, bound_port: u16) -> Address {
    if address.port() == 0 { address.with_port(bound_port) } else { address.clone() }
}

/// How a node writes its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Text or JSON.
    pub format: LogFormat,
    /// A level, or filter directives as in `info,quorate_server=debug`.
    pub level: String,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// Text on a terminal, JSON elsewhere.
    Auto,
}

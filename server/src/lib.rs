//! The Quorate server: HTTP, leader proxying, peer links and the command line.
//!
//! | module | what it holds |
//! |---|---|
//! | `runtime`, `net` | the two seams: time, tasks and randomness; the network |
//! | `real` | their real implementation: the one module that uses tokio's clock, scheduler and sockets |
//! | `serve` | a node's life: from a data dir to a running server, and to its end |
//! | `join` | how a new node finds its cluster |
//! | `comeback` | how a node comes back that has lost what it must not forget |
//! | `announce` | a node whose addresses have changed tells its cluster |
//! | `server` | a running server, put together from its parts |
//! | `driver` | the one task that owns the node |
//! | `inspector` | how a simulation looks over the node's shoulder |
//! | `answers` | who waits for what, and until when |
//! | `storage_port` | the line to whoever owns the storage |
//! | `peers` | how the nodes of a cluster talk |
//! | `http` | the HTTP interface |
//! | `handle` | how the server asks the node for something |
//! | `metrics` | what is counted and measured, and told at `/metrics` |
//! | `telemetry` | traces of requests for OpenTelemetry, in builds with the feature `otel` |
//! | `recordings` | what a flight recorder remembers, made into a file |
//! | `context` | what every part of a running server knows |
//! | `cli` | the command line: the commands, `dev` and `bench` |
//! | `config` | the settings of a node: flags, environment, file, defaults |
//! | `recover` | lost quorum: what survivors hold, and how one goes on alone |
//! | `tls` | TLS for HTTP and between peers |
//! | `tokens` | who may ask for what over HTTP |
//! | `watch` | a value that one side changes and many wait for |
//! | `watching` | watches of keys: who is told of which changes |
//! | `shutdown` | how the parts hear that the server ends |

mod announce;
mod answers;
mod backups;
mod borrowing;
mod cli;
mod comeback;
mod compare;
pub mod config;
mod context;
mod dashboard;
mod disk_health;
mod driver;
#[cfg(test)]
mod driver_tests;
mod founding;
mod handle;
mod http;
#[cfg(test)]
mod idle_node;
mod inspector;
mod join;
mod log_lines;
mod mend;
mod metrics;
mod net;
mod open_files;
mod opening;
mod overview;
mod paths;
mod peers;
mod real;
mod recordings;
mod recover;
mod restore;
mod runtime;
mod said;
pub mod serve;
mod server;
mod shutdown;
#[cfg(test)]
mod slow_relay;
mod storage_loop;
mod storage_port;
mod supervisor;
mod sync;
mod telemetry;
mod tls;
mod tokens;
pub mod watch;
mod watching;

pub use cli::main;
pub use compare::Divergence;
pub use context::{Context, Identity, Limits};
pub use disk_health::DiskHealth;
pub use driver::{DriverEnd, checkpoint_job};
pub use founding::{Pairs, first_entries, write_first};
pub use handle::{Answer, Handle};
pub use http::{fuzzing, request};
pub use inspector::Inspector;
pub use join::{JoinRefused, Joined, join};
pub use metrics::{Counter, Metrics};
pub use net::{Certified, Listener, Net};
pub use peers::{Inbound, Local, PeerCounters, ProbeError};
pub use quorate_client::{Endpoint, Entry, Event, EventId, EventReader};
pub use real::{RealListener, RealNet, RealRuntime};
pub use runtime::{DeadlinePassed, Either, HyperExecutor, HyperTimer, Runtime, race, random_id, timeout_at};
pub use server::{Parts, Server};
pub use shutdown::{Shutdown, ShutdownGuard};
pub use storage_port::{StorageEnd, StoragePort, storage_channel};
pub use telemetry::Telemetry;
pub use tls::{TlsListener, TlsNet, TlsStream};
pub use tokens::JoinToken;
pub use watching::{WatchCounts, Watches};

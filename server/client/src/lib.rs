//! A client for Quorate over HTTP.
//!
//! A [`Client`] knows several endpoints of one cluster and tries them in turn. What it may do after a failure depends
//! on what the failure proves:
//!
//! - nothing was sent (the connect failed), or the server says that nothing happened (`no_leader`, `not_leader` …):
//!   the next endpoint is tried, for reads and writes alike, and all of them again until the timeout, as long as
//!   anybody answers at all: a node that restarts, or an election, is a short wait and no error;
//! - the answer was lost on the way: a read is tried again elsewhere, and so is a write, because it has an *idempotency
//!   key*: 128 random bits, by which the cluster knows it when it comes again, and does it once. Only when the timeout
//!   passes without an answer the caller gets [`ClientError::OutcomeUnknown`] and decides;
//! - a write without such a key ([`Client::without_idempotency_keys`]; changes of the membership; and when the cluster
//!   can't remember more keys) is sent once: when its answer is lost, that is `OutcomeUnknown` at once.
//!
//! Lists and watches are streams: [`Listing`] and [`Watch`] hold one entry at a time, and go on through another
//! endpoint where a connection broke off. [`KeptLease`] keeps a lease alive, and [`Place`] makes locks and elections of
//! one.
//!
//! ```no_run
//! # async fn example() -> Result<(), quorate_client::ClientError> {
//! use quorate_client::Client;
//! use std::time::Duration;
//!
//! let client = Client::new(vec!["http://127.0.0.1:8080".parse()?], Duration::from_secs(5));
//! client.put("greeting", "hello".into()).await?;
//! assert_eq!(client.get("greeting").await?.bytes, "hello");
//! # Ok(())
//! # }
//! ```

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a client is no part of the simulated server: it may use tokio itself"
)]

mod address;
mod answer;
mod backup;
mod client;
mod consistency;
mod data;
mod elements;
mod endpoint;
mod entry;
mod error;
mod events;
mod exchange;
mod kept;
mod keys;
mod lease;
mod listing;
mod membership;
mod overview;
mod place;
mod query;
mod sse;
pub mod tls;
mod token;
mod txn;
mod watch;

pub use address::{Address, AddressError};
pub use answer::{JoinTokenMade, Leader, Member, Members, Peer, Status, Transition, Value, Written};
pub use backup::{Arriving, ArrivingRecording, NoBackup, Wanted};
pub use client::Client;
pub use consistency::{Consistency, ConsistencyError};
pub use data::Export;
pub use endpoint::{Endpoint, EndpointError};
pub use entry::{Entry, LeaseId};
pub use error::{ClientError, Failed};
pub use events::EventReader;
pub use kept::KeptLease;
pub use keys::{Delete, Get, Put};
pub use lease::{Lease, LeaseState};
pub use listing::{List, Listing};
pub use membership::NewMember;
pub use overview::{Activity, Condition, Detail, Durations, NodeOverview, Overview, Rate};
pub use place::{LineWatch, Place};
pub use token::{Token, TokenError};
pub use txn::{
    Compare, Key, Operation, OperationResult, PutOperation, Relation, Transaction, TransactionResult,
};
pub use watch::{Event, EventId, EventKind, Watch, WatchRequest};

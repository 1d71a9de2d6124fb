//! A client for Quorate over HTTP.
//!
//! A [`Client`] knows several endpoints of one cluster and tries them in turn. What it may do after a failure depends
//! on what the failure proves:
//!
//! - nothing was sent (the connect failed), or the server says that nothing happened (`no_leader`, `not_leader` …):
//!   the next endpoint is tried, for reads and writes alike, and all of them again until the timeout, as long as
//!   anybody answers at all: a node that restarts, or an election, is a short wait and no error;
//! - the answer was lost on the way: a read is tried again elsewhere, a *write is not*, because it may have been
//!   done. The caller gets [`ClientError::OutcomeUnknown`] and decides.
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
mod endpoint;
mod error;
mod exchange;

pub use address::{Address, AddressError};
pub use answer::{Leader, Member, Members, Peer, Status, Transition, Value};
pub use backup::{Arriving, NoBackup, Wanted};
pub use client::{Client, NewMember};
pub use consistency::{Consistency, ConsistencyError};
pub use endpoint::{Endpoint, EndpointError};
pub use error::{ClientError, Failed};

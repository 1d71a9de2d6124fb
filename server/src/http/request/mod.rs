//! From the parts of a request to what it asks for, typed: the only way into the node.
//!
//! Three steps, all pure. Who asks has to be known before the rest of a head is worth a look, and a body comes later
//! than its head, and is held to limits that the head tells:
//!
//! 1. `route_of` looks up what method and path are for.
//! 2. `parse_routed` makes a [`Head`] of that, query and headers.
//! 3. [`WriteCall::with_body`] and [`MemberCall::with_body`] make a change of that and the body.
//!
//! [`parse_head`] does the first two, for whoever has nobody to ask in between.
//!
//! | module | what it holds |
//! |---|---|
//! | `routes` | which path and method mean what |
//! | `query`, `key`, `ttl`, `conditions`, `once` | the parts of a head, parsed |
//! | `list`, `backup`, `watch` | which keys a list has, and its cursor; which bytes of a backup; what is watched |
//! | `reach` | the keys that all of it reaches |
//! | `write`, `txn`, `import`, `members`, `json` | changes and their bodies |

mod backup;
mod conditions;
mod import;
mod json;
mod key;
mod list;
mod members;
mod once;
mod query;
mod reach;
mod routes;
#[cfg(test)]
mod tests;
mod ttl;
mod txn;
mod watch;
mod write;

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use quorate_node::ReadLevel;
use quorate_node::kv::{Expiry, LeaseId, Revision};
use quorate_storage::lending::Wanted;

use super::accept::prefers;
pub use super::error::ApiError;
use super::headers::IDEMPOTENCY_KEY;
use super::lending::wanted;
pub use backup::BackupCall;
pub use conditions::{Conditions, Tags};
pub(crate) use import::parse_import;
pub use key::MAX_KEY_BYTES;
use key::decode_key;
pub use list::ListCall;
pub(crate) use list::behind;
pub(crate) use members::{AddBody, JoinTokenBody, MemberBody, MembersBody, TransferBody};
pub use members::{MemberCall, MemberChange, MemberSets, NewMember};
pub use once::{MAX_IDEMPOTENCY_KEY_BYTES, OnceCall};
pub(crate) use query::Parameter;
pub use query::parse_timeout;
pub(crate) use query::{MAX_TIMEOUT, format_timeout};
use query::{Query, parse_lease};
#[cfg(feature = "otel")]
pub(crate) use routes::template_of;
pub(crate) use routes::{Need, Operation, PATHS, Path, Route, route_of};
pub use ttl::TTL_MS;
pub(crate) use ttl::{remaining_text, ttl_text};
pub(crate) use txn::TxnBody;
pub(crate) use watch::LAST_EVENT_ID;
pub use watch::WatchCall;
pub(crate) use write::GrantBody;
pub(crate) use write::holder_of;
pub use write::{Change, MAX_LOCK_BYTES, Write, WriteCall};
use write::{Only, What};

/// What a request's head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What is asked for.
    pub call: Call,
    /// How long it may take.
    pub timeout: Duration,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `GET /`
    Hello,
    /// `GET /livez`
    Livez,
    /// `GET /readyz`
    Readyz {
        /// In detail.
        verbose: bool,
    },
    /// `GET /version`
    Version,
    /// `GET /openapi.json`
    OpenApi,
    /// `GET /metrics`
    Metrics,
    /// `GET /debug/recording`
    Record,
    /// `GET /raft/status`
    Status {
        /// In detail.
        verbose: bool,
        /// Again and again, of all nodes, as events.
        live: bool,
    },
    /// `POST /raft/snapshot`
    Snapshot,
    /// `GET /raft/checkpoints…`, `GET /raft/runs/…`
    Lend(Wanted),
    /// `GET /key/{key}`
    Get(GetCall),
    /// `GET /keys`
    List(ListCall),
    /// `GET /leases/{id}`
    Lease {
        /// Which.
        lease: LeaseId,
        /// How fresh it must be.
        level: ReadLevel,
    },
    /// `GET /data.json`
    Export(ReadLevel),
    /// `GET /backup`
    Backup(BackupCall),
    /// `GET /watch`
    Watch(WatchCall),
    /// `GET /raft/members`
    Members(ReadLevel),
    /// A change of the store, which may have a body.
    Write(WriteCall),
    /// A change of the members, which has a body.
    ChangeMembers(MemberCall),
}

/// A read of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetCall {
    /// The key.
    pub key: Arc<[u8]>,
    /// As it was then; without one, as it is.
    pub revision: Option<Revision>,
    /// What the client has already.
    pub known: Tags,
    /// Who is to hold the key's lock, if that is asked.
    pub holder: Option<Arc<[u8]>>,
    /// How fresh it must be.
    pub level: ReadLevel,
}

/// Reads a request's head. The path is as it stands in the request, percent-encoded.
///
/// # Errors
/// `route_not_found`, `method_not_allowed`, `bad_query`, `malformed`, `key_empty`, `key_too_long`, `key_not_utf8`.
pub fn parse_head(
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Head, ApiError> {
    parse_routed(route_of(method, path)?, method, path, query, headers)
}

/// The same, of a request whose method and path were looked up already.
///
/// # Errors
/// Those of [`parse_head`] but the first two.
pub(crate) fn parse_routed(
    Route { operation, named }: Route<'_>,
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Head, ApiError> {
    check_headers(method, operation, headers)?;
    let asked = Query::parse(query, operation.parameters())?;
    let write = |what| -> Result<Call, ApiError> {
        Ok(Call::Write(WriteCall { what, once: OnceCall::of(method, path, query, headers)? }))
    };
    let timeout = asked.timeout;
    let level = asked.level;
    let call = match operation {
        Operation::Hello => Call::Hello,
        Operation::Livez => Call::Livez,
        Operation::Readyz => Call::Readyz { verbose: asked.verbose },
        Operation::Version => Call::Version,
        Operation::OpenApi => Call::OpenApi,
        Operation::Metrics => Call::Metrics,
        Operation::Record => Call::Record,
        Operation::Status => {
            Call::Status { verbose: asked.verbose, live: prefers(headers, "text/event-stream") }
        }
        Operation::Snapshot => Call::Snapshot,
        Operation::Lend => Call::Lend(wanted(path).expect("a route is one of these only when its path is")),
        Operation::Get => Call::Get(GetCall {
            key: decoded(named)?,
            revision: asked.revision,
            known: Tags::known(headers),
            holder: asked.holder.map(|holder| holder.into_bytes().into()),
            level,
        }),
        Operation::List => Call::List(ListCall::of(&asked)?),
        Operation::Watch => Call::Watch(WatchCall::of(asked, headers)?),
        Operation::Lease => Call::Lease { lease: lease(named)?, level },
        Operation::Export => Call::Export(level),
        Operation::Backup => Call::Backup(BackupCall::of(headers, level)),
        Operation::Members => Call::Members(level),
        Operation::Put => {
            write(What::Put { key: decoded(named)?, expiry: expiry(&asked)?, only: only(asked, headers)? })?
        }
        Operation::Delete => write(What::Delete { key: decoded(named)?, only: only(asked, headers)? })?,
        Operation::Txn => write(What::Txn)?,
        Operation::Import => write(What::Import)?,
        Operation::Grant => write(What::Grant)?,
        Operation::KeepAlive => write(What::KeepAlive(lease(named)?))?,
        Operation::Revoke => write(What::Revoke(lease(named)?))?,
        Operation::Lock => write(What::Lock { key: decoded(named)? })?,
        Operation::Unlock => write(What::Unlock { key: decoded(named)? })?,
        Operation::Add => Call::ChangeMembers(MemberCall::Add { wait_for_voter: asked.wait_for_voter }),
        Operation::MakeJoinToken => Call::ChangeMembers(MemberCall::MakeJoinToken),
        Operation::Promote => Call::ChangeMembers(MemberCall::Promote),
        Operation::Remove => Call::ChangeMembers(MemberCall::Remove),
        Operation::SetMembers => Call::ChangeMembers(MemberCall::SetMembers),
        Operation::Transfer => Call::ChangeMembers(MemberCall::Transfer),
    };
    Ok(Head { call, timeout })
}

/// Conditions and promises that a route can't keep are refused: ignoring one would be a lie.
fn check_headers(method: &Method, operation: Operation, headers: &HeaderMap) -> Result<(), ApiError> {
    let is_read = method == Method::GET || method == Method::HEAD;
    let takes = [IF_MATCH, IF_NONE_MATCH, IDEMPOTENCY_KEY]
        .map(|name| (operation.takes(&name) || name != IF_MATCH && is_read, name));
    match takes.iter().find(|(is_taken, name)| !is_taken && headers.contains_key(name)) {
        Some((_, name)) => Err(unsupported(name)),
        None => Ok(()),
    }
}

/// What is said of a header that can't be honoured.
pub(crate) fn unsupported(name: &HeaderName) -> ApiError {
    ApiError::Malformed(format!(
        "the header {name} is not supported here, and ignoring it could do harm: leave it out"
    ))
}

fn decoded(encoded_key: &str) -> Result<Arc<[u8]>, ApiError> {
    decode_key(encoded_key).map(Arc::from)
}

fn lease(text: &str) -> Result<LeaseId, ApiError> {
    parse_lease(text).ok_or_else(|| {
        ApiError::Malformed(format!(
            "{text:?} is no lease: write the 16 hex digits that POST /leases answers"
        ))
    })
}

fn expiry(asked: &Query) -> Result<Expiry, ApiError> {
    match (asked.ttl_ms, asked.lease) {
        (None, None) => Ok(Expiry::Never),
        (Some(ttl_ms), None) => Ok(Expiry::After { ttl_ms }),
        (None, Some(lease)) => Ok(Expiry::With(lease)),
        (Some(_), Some(_)) => Err(ApiError::BadQuery(
            "the query parameters ttl and lease are both given: a key goes by one of them".to_owned(),
        )),
    }
}

fn only(asked: Query, headers: &HeaderMap) -> Result<Only, ApiError> {
    let holder = asked.holder.map(|holder| holder.into_bytes().into());
    Ok(Only { conditions: Conditions::of(headers)?, holder })
}

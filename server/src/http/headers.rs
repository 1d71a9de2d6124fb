//! The names of our own headers, and the values that never change.

use hyper::header::{HeaderName, HeaderValue};

/// On every answer: the id of the history that the store is part of.
pub(crate) const QUORATE_HISTORY: HeaderName = HeaderName::from_static("quorate-history");
/// On every answer that touched the store: its revision.
pub(crate) const QUORATE_REVISION: HeaderName = HeaderName::from_static("quorate-revision");
/// On answers to a join: the cluster that was joined.
pub(crate) const QUORATE_CLUSTER: HeaderName = HeaderName::from_static("quorate-cluster");
/// On what is lent to peers: who lends it.
pub(crate) const QUORATE_NODE: HeaderName = HeaderName::from_static("quorate-node");
/// On errors: the code that is also in the body.
pub(crate) const QUORATE_ERROR: HeaderName = HeaderName::from_static("quorate-error");
/// On a request between peers: the node that forwarded it.
pub(crate) const QUORATE_FORWARDED: HeaderName = HeaderName::from_static("quorate-forwarded");
/// On a request that a peer forwarded: `node`, when it was a node that it comes from, and not a client.
pub(crate) const QUORATE_FOR: HeaderName = HeaderName::from_static("quorate-for");
/// The value of [`QUORATE_FOR`].
pub(crate) const NODE: HeaderValue = HeaderValue::from_static("node");
/// On a request between peers: how long the answer will be waited for, written as in `?timeout=`.
pub(crate) const QUORATE_TIMEOUT: HeaderName = HeaderName::from_static("quorate-timeout");
/// On `421 not_leader`: the leader's URL.
pub(crate) const QUORATE_LEADER: HeaderName = HeaderName::from_static("quorate-leader");
/// From a node that has lost what it must not forget, and waits to come back as another: who it was.
pub(crate) const QUORATE_LOST: HeaderName = HeaderName::from_static("quorate-lost");
/// On a join: the join token that lets the node in.
pub(crate) const QUORATE_JOIN_TOKEN: HeaderName = HeaderName::from_static("quorate-join-token");
/// On every answer, and on a request that has one already: its name in the logs of the nodes that it goes through.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// On a request: the span that it comes from (W3C Trace Context).
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Beside it: what tracing systems want to have passed on.
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Makes a write safe to repeat.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// On the answer to a write that was done before: it is the answer of that time.
pub(crate) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Every JSON body.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// The events of a watch.
pub(crate) const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
/// Every value: bytes whose kind is not known.
pub(crate) const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// Values share an origin with our own pages: no browser may guess that one is a script.
pub(crate) const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// Nor run one that it shows.
pub(crate) const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox");
